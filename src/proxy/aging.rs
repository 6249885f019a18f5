//! When a client's connection has served enough: clients that connect anew are spread anew, by whatever stands before
//! homing, and what a long connection has gathered is let go.

use std::time::{Duration, Instant};

use crate::snapshot::Listener;

/// What a connection may still do.
#[derive(Clone, Copy, Debug, Default)]
pub struct Aging {
    /// From when on its next answer is its last.
    until: Option<Instant>,
    /// Requests on it; 0 is no limit.
    most: u32,
}

impl Aging {
    /// Of a connection that was accepted at `opened`. Up to a tenth of its age is taken off by `random`, so that those
    /// that came together do not end together.
    #[must_use]
    pub fn new(listener: &Listener, opened: Instant, random: impl FnOnce() -> u64) -> Self {
        let age = listener.max_connection_age;
        let until = (!age.is_zero()).then(|| opened + lessened(age, random()));
        Self { until, most: listener.max_requests_per_connection }
    }

    /// Whether the request after so many others is the last: its answer says so.
    #[must_use]
    pub fn is_over(&self, served: u32) -> bool {
        self.is_spent(served.saturating_add(1))
    }

    /// How long until its age is over, if that is limited and to come.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.until.map(|until| until.saturating_duration_since(Instant::now())).filter(|left| !left.is_zero())
    }

    /// Whether there is to be no request after so many: over HTTP/2 that is said by a frame, and not by an answer.
    #[must_use]
    pub fn is_spent(&self, begun: u32) -> bool {
        self.most != 0 && begun >= self.most || self.until.is_some_and(|until| until <= Instant::now())
    }
}

fn lessened(age: Duration, random: u64) -> Duration {
    age - (age / 10).mul_f64((random >> 11) as f64 / (1_u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn so_many_requests_and_no_more() {
        let aging = |most| Aging { until: None, most };
        let table =
            [(0, 0, false), (0, u32::MAX, false), (1, 0, true), (3, 1, false), (3, 2, true), (3, 9, true)];
        for (most, served, is_over) in table {
            assert_eq!(aging(most).is_over(served), is_over, "{most} {served}");
        }
    }

    #[test]
    fn an_old_one_is_over() {
        let now = Instant::now();
        assert!(Aging { until: Some(now), most: 0 }.is_over(0));
        assert!(!Aging { until: Some(now + Duration::from_secs(3600)), most: 0 }.is_over(0));
    }

    proptest! {
        #[test]
        fn an_age_is_less_by_a_tenth_at_most(millis in 1_u64..10_000_000, random in any::<u64>()) {
            let age = Duration::from_millis(millis);
            let less = lessened(age, random);
            prop_assert!(less <= age && less >= age / 10 * 9);
        }
    }
}
