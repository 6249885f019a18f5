//! Administrative state x health x ejection -> may it take new sessions, may it keep old ones?

/// What the operator wants of a backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdminState {
    /// Serves everybody.
    #[default]
    Ready,
    /// Keeps its sessions and takes no new ones.
    Drain,
    /// Serves nobody.
    Maint,
}

/// What the checks found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Health {
    /// No verdict yet; counts as up.
    #[default]
    Unknown,
    /// Passed `rise` checks in a row.
    Up,
    /// Passes checks and asks for no new sessions by their status. (HAProxy: disable-on-404)
    Drain,
    /// Failed `fall` checks in a row and not yet `fall_pinned`: takes no new sessions, and keeps those it has.
    Weak,
    /// Failed `fall_pinned` checks in a row.
    Down,
}

/// How far a drain has come: which of its sessions a backend has to give up. Means something only while it drains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Leaving {
    /// None: they stay for as long as they are used.
    #[default]
    Keep,
    /// Those that come back after a pause of so many seconds.
    Idle(u32),
    /// All, each at its next request: the deadline has passed, or nothing is waited for.
    Over,
}

/// All that decides whether a backend may be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Availability {
    /// The operator's wish.
    pub admin: AdminState,
    /// The active checks' verdict.
    pub health: Health,
    /// Closed for a while by failures of real requests (nginx: max_fails).
    pub ejected: bool,
    /// How far its drain has come.
    pub leaving: Leaving,
}

impl Availability {
    /// May keep the sessions it has.
    #[must_use]
    pub const fn is_serving(self) -> bool {
        match (self.admin, self.health) {
            (AdminState::Ready | AdminState::Drain, Health::Down) | (AdminState::Maint, _) => false,
            (
                AdminState::Ready | AdminState::Drain,
                Health::Unknown | Health::Up | Health::Drain | Health::Weak,
            ) => !self.has_left(),
        }
    }

    /// May take new sessions (its weight is not looked at here).
    #[must_use]
    pub const fn is_open(self) -> bool {
        match (self.admin, self.health, self.ejected) {
            (AdminState::Ready, Health::Unknown | Health::Up, false) => true,
            (AdminState::Ready, Health::Drain | Health::Weak | Health::Down, _)
            | (AdminState::Ready, _, true)
            | (AdminState::Drain | AdminState::Maint, ..) => false,
        }
    }

    /// Keeps its sessions and takes no new ones, by the operator's wish or by its own.
    #[must_use]
    pub const fn is_draining(self) -> bool {
        matches!((self.admin, self.health), (AdminState::Drain, _) | (AdminState::Ready, Health::Drain))
    }

    /// Its drain is over: it keeps nobody.
    #[must_use]
    pub const fn has_left(self) -> bool {
        self.is_draining() && matches!(self.leaving, Leaving::Over)
    }

    /// The pause, in seconds, after which a session has to leave it, if there is one.
    #[must_use]
    pub const fn longest_pause(self) -> Option<u32> {
        match self.leaving {
            Leaving::Idle(seconds) if self.is_draining() => Some(seconds),
            Leaving::Idle(_) | Leaving::Keep | Leaving::Over => None,
        }
    }
}

impl AdminState {
    /// As written in configuration, logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

impl Health {
    /// As written in logs and metrics.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Up => "up",
            Self::Drain => "drain",
            Self::Weak => "weak",
            Self::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_each_state_may() {
        use AdminState::{Drain, Maint, Ready};
        use Health::{Down, Unknown, Up};
        let table = [
            (Ready, Unknown, true, true),
            (Ready, Up, true, true),
            (Ready, Health::Drain, false, true),
            (Ready, Health::Weak, false, true),
            (Ready, Down, false, false),
            (Drain, Unknown, false, true),
            (Drain, Up, false, true),
            (Drain, Health::Drain, false, true),
            (Drain, Health::Weak, false, true),
            (Drain, Down, false, false),
            (Maint, Unknown, false, false),
            (Maint, Up, false, false),
            (Maint, Health::Drain, false, false),
            (Maint, Health::Weak, false, false),
            (Maint, Down, false, false),
        ];
        for (admin, health, open, serving) in table {
            let a = Availability { admin, health, ..Availability::default() };
            assert_eq!((a.is_open(), a.is_serving()), (open, serving), "{a:?}");
            let a = Availability { ejected: true, ..a };
            assert_eq!((a.is_open(), a.is_serving()), (false, serving), "{a:?}");
        }
    }

    #[test]
    fn a_drain_gives_its_sessions_up_as_far_as_it_has_come_and_nobody_else_does() {
        use AdminState::{Drain, Maint, Ready};
        let state = |admin, health, leaving| Availability { admin, health, leaving, ejected: false };
        for (admin, health) in [(Drain, Health::Up), (Drain, Health::Unknown), (Ready, Health::Drain)] {
            let at = |leaving| state(admin, health, leaving);
            assert!(at(Leaving::Keep).is_serving() && at(Leaving::Idle(9)).is_serving());
            assert!(!at(Leaving::Over).is_serving() && at(Leaving::Over).has_left());
            let pauses = [Leaving::Keep, Leaving::Idle(9), Leaving::Over].map(|l| at(l).longest_pause());
            assert_eq!(pauses, [None, Some(9), None]);
        }
        let ready = state(Ready, Health::Up, Leaving::Over);
        assert!(ready.is_serving() && ready.is_open() && !ready.has_left());
        assert!(state(Ready, Health::Up, Leaving::Idle(1)).longest_pause().is_none());
        assert!(!state(Maint, Health::Drain, Leaving::Over).has_left());
    }
}
