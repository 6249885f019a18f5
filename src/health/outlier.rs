//! Passive ejection: failures of real requests within a window (nginx: max_fails, fail_timeout).
//!
//! `max_fails` failures within `fail_timeout`, over all workers, close a backend to new sessions for
//! `fail_timeout`; failures meanwhile (of requests that keep their backend) prolong that. Then it is open on trial:
//! one more failure closes it again at once, one answer ends the trial. nginx sends one request per `fail_timeout`
//! as a trial and this opens fully, because the retry loop saves the request at hand. Answers outside a trial change
//! nothing, as in nginx, where a success does not lower the count of a window.
//! (nginx: ngx_http_upstream_free_round_robin_peer)

use std::collections::VecDeque;
use std::time::Duration;

/// One backend's failures. All times are since one fixed moment.
#[derive(Clone, Debug)]
pub struct Outlier {
    /// 0 is off.
    max_fails: usize,
    window: Duration,
    state: State,
}

#[derive(Clone, Debug)]
enum State {
    /// Open; the failures within the window, oldest first, fewer than `max_fails`.
    Trusted(VecDeque<Duration>),
    Ejected {
        until: Duration,
    },
    OnTrial,
}

impl Outlier {
    /// No failures yet.
    #[must_use]
    pub const fn new(max_fails: u32, fail_timeout: Duration) -> Self {
        Self { max_fails: max_fails as usize, window: fail_timeout, state: State::Trusted(VecDeque::new()) }
    }

    /// A request failed. Whether that ejects the backend, now.
    pub fn failed(&mut self, now: Duration) -> bool {
        if self.max_fails == 0 {
            return false;
        }
        let until = now + self.window;
        match &mut self.state {
            State::Ejected { until: end } => {
                *end = until;
                return false;
            }
            State::Trusted(failures) => {
                failures.push_back(now);
                while failures.front().is_some_and(|&at| at + self.window <= now) {
                    failures.pop_front();
                }
                if failures.len() < self.max_fails {
                    return false;
                }
            }
            State::OnTrial => {}
        }
        self.state = State::Ejected { until };
        true
    }

    /// A request was answered.
    pub fn answered(&mut self) {
        if matches!(self.state, State::OnTrial) {
            self.forget();
        }
    }

    /// Opens it on trial if its time is over. Whether that happened, now.
    pub fn tick(&mut self, now: Duration) -> bool {
        let is_over = self.until().is_some_and(|until| until <= now);
        if is_over {
            self.release();
        }
        is_over
    }

    /// Opens it on trial before its time, if it is ejected.
    pub fn release(&mut self) {
        if self.until().is_some() {
            self.state = State::OnTrial;
        }
    }

    /// Forgets every failure: it may not be ejected now.
    pub fn forget(&mut self) {
        self.state = State::Trusted(VecDeque::new());
    }

    /// Until when it is ejected; `None` if it is not.
    #[must_use]
    pub const fn until(&self) -> Option<Duration> {
        match self.state {
            State::Ejected { until } => Some(until),
            State::Trusted(_) | State::OnTrial => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn three_in_ten() -> Outlier {
        Outlier::new(3, s(10))
    }

    #[test]
    fn max_fails_within_the_window_eject() {
        let mut outlier = three_in_ten();
        assert_eq!([0, 5, 9].map(|t| outlier.failed(s(t))), [false, false, true]);
        assert_eq!(outlier.until(), Some(s(19)));
    }

    #[test]
    fn the_window_slides() {
        let mut outlier = three_in_ten();
        assert_eq!([0, 5, 10, 14].map(|t| outlier.failed(s(t))), [false, false, false, true]);
    }

    #[test]
    fn an_answer_outside_a_trial_does_not_lower_the_count() {
        let mut outlier = three_in_ten();
        assert!(!outlier.failed(s(0)) && !outlier.failed(s(1)));
        outlier.answered();
        assert!(outlier.failed(s(2)));
        outlier.answered();
        assert!(outlier.until().is_some());
    }

    #[test]
    fn on_trial_one_failure_ejects_again() {
        let mut outlier = Outlier::new(2, s(10));
        assert!(!outlier.failed(s(0)) && outlier.failed(s(0)));
        assert!(!outlier.tick(s(9)) && outlier.tick(s(10)) && !outlier.tick(s(10)));
        assert!(outlier.failed(s(11)));
        assert_eq!(outlier.until(), Some(s(21)));
    }

    #[test]
    fn on_trial_one_answer_forgives() {
        let mut outlier = Outlier::new(2, s(10));
        assert!(!outlier.failed(s(0)) && outlier.failed(s(0)) && outlier.tick(s(10)));
        outlier.answered();
        assert!(!outlier.failed(s(11)));
    }

    #[test]
    fn failures_while_ejected_prolong_it() {
        let mut outlier = Outlier::new(1, s(10));
        assert!(outlier.failed(s(0)) && !outlier.failed(s(8)) && !outlier.tick(s(10)) && outlier.tick(s(18)));
    }

    #[test]
    fn zero_is_off() {
        let mut outlier = Outlier::new(0, s(10));
        assert!((0..100).all(|_| !outlier.failed(s(0))));
    }
}
