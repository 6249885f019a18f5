//! How slowly a client may send its body: pauses are bounded one by one, and by this in all.
//!
//! A client may keep homing waiting for so long, and every byte that it sends earns it more. Time in which homing waits
//! for somebody else (a backend that does not read on) is not the client's. (httpd: RequestReadTimeout body, MinRate)

use std::time::Duration;

/// What a client has at the beginning.
const GRACE: Duration = Duration::from_secs(10);

/// One body's account, in milliseconds of the worker's clock.
#[derive(Debug)]
pub(super) struct Pace {
    /// Bytes for one second; 0 is no bound.
    rate: u32,
    /// More than this is not saved up: so long is the longest pause.
    most: u64,
    left: u64,
    at: u64,
    moved: u64,
    is_waiting: bool,
}

impl Pace {
    /// An account of a body that begins at `now`.
    pub(super) fn new(rate: u32, longest_pause: Duration, now: u64) -> Self {
        let most = millis(longest_pause.max(GRACE));
        Self { rate, most, left: millis(GRACE), at: now, moved: 0, is_waiting: false }
    }

    /// Something moved, `moved` bytes by `now` in all; from now on homing `waits` for the client, or does not. How long
    /// it may wait; zero if it has waited longer than it might: a byte that comes then does not make up for that.
    pub(super) fn step(&mut self, now: u64, moved: u64, waits: bool) -> Duration {
        if self.rate == 0 {
            return Duration::MAX;
        }
        let waited = if self.is_waiting { now.saturating_sub(self.at) } else { 0 };
        if waited > self.left {
            return Duration::ZERO;
        }
        self.left -= waited;
        let earned = moved.saturating_sub(self.moved).saturating_mul(1000) / u64::from(self.rate);
        self.left = self.left.saturating_add(earned).min(self.most);
        (self.at, self.moved, self.is_waiting) = (now, moved, waits);
        Duration::from_millis(self.left)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn pace() -> Pace {
        Pace::new(240, s(30), 5000)
    }

    #[test]
    fn a_byte_now_and_then_is_over_in_ten_seconds_and_little_more() {
        let mut pace = pace();
        assert_eq!(pace.step(5000, 0, true), s(10));
        let left: Vec<_> = (1..=3).map(|n| pace.step(5000 + 3000 * n, n, true)).collect();
        assert_eq!(left, [7, 4, 1].map(|n| Duration::from_millis(n * 1000 + 4 * ((10 - n) / 3))));
        assert_eq!(pace.step(17_000, 4, true), Duration::ZERO, "too late, whatever comes");
    }

    #[test]
    fn who_sends_enough_is_never_late_and_saves_up_one_pause() {
        let mut pace = pace();
        pace.step(5000, 0, true);
        for n in 1..1000 {
            assert!(pace.step(5000 + n * 1000, n * 240, true) >= s(10));
        }
        assert_eq!(pace.step(1_005_000, 1_000_000, true), s(30));
    }

    #[test]
    fn waiting_for_a_backend_is_not_the_clients() {
        let mut pace = pace();
        pace.step(5000, 0, false);
        assert_eq!(pace.step(100_000, 0, true), s(10));
        assert_eq!(Pace::new(0, s(30), 0).step(100_000, 0, true), Duration::MAX);
    }
}
