//! How a backend is emptied: what becomes of its sessions meanwhile, when it has to be over, and when it can be stopped.

use crate::backend::availability::Leaving;
use crate::base::time::UnixSeconds;

/// What becomes of the sessions of a backend that drains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// They stay for as long as they are used, until the deadline if there is one.
    Keep,
    /// One that comes back after a pause of so many seconds moves then.
    Idle(u32),
    /// Each moves at its next request.
    Now,
}

/// Who wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Because {
    /// The configuration says `state = "drain"`.
    Configured,
    /// An operator, at run time.
    Operator,
    /// The backend itself, by its answers to checks.
    Health,
    /// It is gone from the configuration.
    Removed,
}

/// One backend's drain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Drain {
    /// What becomes of its sessions.
    pub(super) mode: Mode,
    /// Who wants it.
    pub(super) because: Because,
    /// When it began.
    pub(super) since: UnixSeconds,
    /// When it has to be over.
    pub(super) deadline: Option<UnixSeconds>,
    /// Sessions that were live when it began.
    pub(super) began_with: u32,
}

/// What is left on a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Left {
    /// Live sessions.
    pub(super) sessions: u32,
    /// Requests in flight, tunnels not among them.
    pub(super) requests: u32,
    /// WebSockets and other tunnels.
    pub(super) tunnels: u32,
}

impl Drain {
    /// Which sessions have to go now.
    #[must_use]
    pub(super) fn leaving(&self, now: UnixSeconds) -> Leaving {
        match self.mode {
            Mode::Now => Leaving::Over,
            _ if self.is_overdue(now) => Leaving::Over,
            Mode::Idle(pause) => Leaving::Idle(pause),
            Mode::Keep => Leaving::Keep,
        }
    }

    /// Whether its deadline has passed.
    #[must_use]
    pub(super) fn is_overdue(&self, now: UnixSeconds) -> bool {
        self.deadline.is_some_and(|deadline| deadline <= now)
    }

    /// When it will be over if sessions go on leaving as they did so far, and at its deadline at the latest; `None`
    /// while nothing can be said.
    #[must_use]
    pub(super) fn expected_end(&self, live: u32, now: UnixSeconds) -> Option<UnixSeconds> {
        let (gone, passed) = (self.began_with.saturating_sub(live), now.saturating_since(self.since));
        let left = match (live, gone) {
            (0, _) => Some(0),
            (_, 0) => None,
            (live, gone) => Some(u64::from(live) * u64::from(passed.max(1)) / u64::from(gone)),
        };
        let by_rate = left.map(|s| UnixSeconds(now.0.saturating_add(u32::try_from(s).unwrap_or(u32::MAX))));
        match (by_rate, self.deadline) {
            (Some(rate), Some(deadline)) => Some(if rate < deadline { rate } else { deadline.max(now) }),
            (rate, deadline) => rate.or(deadline),
        }
    }
}

impl Mode {
    /// As commands, logs and the API write it.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Idle(_) => "idle",
            Self::Now => "now",
        }
    }
}

impl Because {
    /// As logs and the API write it.
    #[must_use]
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Operator => "operator",
            Self::Health => "health",
            Self::Removed => "removed",
        }
    }
}

impl Left {
    /// Whether nothing is left.
    #[must_use]
    pub(super) const fn is_nothing(self) -> bool {
        self.sessions == 0 && self.requests == 0 && self.tunnels == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(mode: Mode, deadline: Option<u32>) -> Drain {
        let (since, deadline) = (UnixSeconds(1000), deadline.map(UnixSeconds));
        Drain { mode, because: Because::Operator, since, deadline, began_with: 100 }
    }

    #[test]
    fn sessions_go_by_mode_and_all_of_them_at_the_deadline() {
        for (mode, deadline, at, expected) in [
            (Mode::Keep, None, 9_999_999, Leaving::Keep),
            (Mode::Keep, Some(1600), 1599, Leaving::Keep),
            (Mode::Keep, Some(1600), 1600, Leaving::Over),
            (Mode::Idle(30), None, 1000, Leaving::Idle(30)),
            (Mode::Idle(30), Some(1600), 1600, Leaving::Over),
            (Mode::Now, None, 1000, Leaving::Over),
        ] {
            assert_eq!(drain(mode, deadline).leaving(UnixSeconds(at)), expected, "{mode:?} at {at}");
        }
    }

    #[test]
    fn the_end_is_expected_as_sessions_leave() {
        let end = |drain: Drain, live, at| drain.expected_end(live, UnixSeconds(at)).map(|t| t.0);
        let (open, bounded) = (drain(Mode::Keep, None), drain(Mode::Keep, Some(1600)));
        assert_eq!(end(open, 100, 1100), None, "nobody has left");
        assert_eq!(end(open, 75, 1100), Some(1400), "a quarter in 100 s");
        assert_eq!(end(open, 0, 1100), Some(1100));
        assert_eq!(end(open, 120, 1100), None, "more than at first");
        assert_eq!(end(bounded, 100, 1100), Some(1600));
        assert_eq!(end(bounded, 75, 1100), Some(1400));
        assert_eq!(end(bounded, 99, 1100), Some(1600));
    }
}
