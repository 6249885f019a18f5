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
    /// Failed `fall` checks in a row.
    Down,
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
}

impl Availability {
    /// May keep the sessions it has.
    #[must_use]
    pub const fn is_serving(self) -> bool {
        match (self.admin, self.health) {
            (AdminState::Ready | AdminState::Drain, Health::Unknown | Health::Up | Health::Drain) => true,
            (AdminState::Ready | AdminState::Drain, Health::Down) | (AdminState::Maint, _) => false,
        }
    }

    /// May take new sessions (its weight is not looked at here).
    #[must_use]
    pub const fn is_open(self) -> bool {
        match (self.admin, self.health, self.ejected) {
            (AdminState::Ready, Health::Unknown | Health::Up, false) => true,
            (AdminState::Ready, Health::Down | Health::Drain, _)
            | (AdminState::Ready, _, true)
            | (AdminState::Drain | AdminState::Maint, ..) => false,
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
            Self::Down => "down",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_twelve_cases() {
        use AdminState::{Drain, Maint, Ready};
        use Health::{Down, Unknown, Up};
        let table = [
            (Ready, Unknown, true, true),
            (Ready, Up, true, true),
            (Ready, Health::Drain, false, true),
            (Ready, Down, false, false),
            (Drain, Unknown, false, true),
            (Drain, Up, false, true),
            (Drain, Health::Drain, false, true),
            (Drain, Down, false, false),
            (Maint, Unknown, false, false),
            (Maint, Up, false, false),
            (Maint, Health::Drain, false, false),
            (Maint, Down, false, false),
        ];
        for (admin, health, open, serving) in table {
            let a = Availability { admin, health, ejected: false };
            assert_eq!((a.is_open(), a.is_serving()), (open, serving), "{a:?}");
            let a = Availability { ejected: true, ..a };
            assert_eq!((a.is_open(), a.is_serving()), (false, serving), "{a:?}");
        }
    }
}
