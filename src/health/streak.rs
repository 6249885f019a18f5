//! Rise and fall: how many checks in a row turn a verdict. (HAProxy: rise, fall)
//!
//! There are two thresholds on the way down: strict for new sessions (`fall`), lenient for those that are there
//! (`fall_pinned`); in between a backend is weak. The first verdict is sooner than later ones: while nothing is known,
//! one good check is enough for up, so that a fresh process is useful after its first round of checks. Weak and down
//! take their number of bad ones even then. A check that asks for drain is a good one; of a backend that serves it is
//! believed at once, and so is the next without.

use crate::backend::availability::Health;

/// What one check found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// It serves.
    Good,
    /// It serves whom it has and asks for no new sessions.
    Drain,
    /// It does not serve.
    Bad,
}

/// One backend's count of checks.
#[derive(Clone, Debug)]
pub struct Streak {
    rise: u32,
    fall: u32,
    fall_pinned: u32,
    health: Health,
    /// Good checks in a row, those that ask for drain included.
    good: u32,
    /// Bad checks in a row.
    bad: u32,
}

impl Streak {
    /// Nothing known yet. Thresholds of 0 count as 1, and `fall_pinned` as `fall` if it is less.
    #[must_use]
    pub fn new(rise: u32, fall: u32, fall_pinned: u32) -> Self {
        let (rise, fall) = (rise.max(1), fall.max(1));
        Self { rise, fall, fall_pinned: fall_pinned.max(fall), health: Health::Unknown, good: 0, bad: 0 }
    }

    /// Goes on from what was known under other thresholds.
    pub const fn carry(&mut self, before: &Self) {
        self.health = before.health;
        (self.good, self.bad) = (before.good, before.bad);
    }

    /// Counts one check; the new verdict, if this check turned it.
    pub fn record(&mut self, found: Finding) -> Option<Health> {
        let verdict = match found {
            Finding::Good => self.good(Health::Up),
            Finding::Drain => self.good(Health::Drain),
            Finding::Bad => self.bad(),
        };
        let turned = verdict != self.health;
        self.health = verdict;
        turned.then_some(verdict)
    }

    /// The verdict as it stands.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }

    fn good(&mut self, verdict: Health) -> Health {
        (self.good, self.bad) = (self.good.saturating_add(1), 0);
        match self.health {
            Health::Weak | Health::Down if self.good < self.rise => self.health,
            Health::Unknown | Health::Up | Health::Drain | Health::Weak | Health::Down => verdict,
        }
    }

    fn bad(&mut self) -> Health {
        (self.good, self.bad) = (0, self.bad.saturating_add(1));
        match self.health {
            Health::Down => Health::Down,
            _ if self.bad >= self.fall_pinned => Health::Down,
            _ if self.bad >= self.fall => Health::Weak,
            health => health,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(rise: u32, fall: u32, checks: &str, expected: &str) {
        check_both(rise, fall, fall, checks, expected);
    }

    /// `+` is a good check, `-` a bad one, `~` one that asks for drain; `U`, `W`, `w`, `D` in the answer are the verdicts
    /// up, drain, weak and down, `.` is none.
    fn check_both(rise: u32, fall: u32, fall_pinned: u32, checks: &str, expected: &str) {
        let mut streak = Streak::new(rise, fall, fall_pinned);
        let found = |c| match c {
            '+' => Finding::Good,
            '~' => Finding::Drain,
            _ => Finding::Bad,
        };
        let verdict = |c| match streak.record(found(c)) {
            Some(Health::Up) => 'U',
            Some(Health::Drain) => 'W',
            Some(Health::Weak) => 'w',
            Some(Health::Down) => 'D',
            Some(Health::Unknown) => '?',
            None => '.',
        };
        assert_eq!(checks.chars().map(verdict).collect::<String>(), expected, "{rise}/{fall} {checks}");
    }

    #[test]
    fn between_its_thresholds_a_backend_is_weak() {
        check_both(2, 2, 4, "+-----", "U.w.D.");
        check_both(2, 2, 4, "+--++--", "U.w.U.w");
        check_both(2, 2, 4, "+--+-+++", "U.w...U.");
        // A good check in between: all of `fall_pinned` in a row are needed again.
        check_both(2, 2, 4, "+--+----", "U.w....D");
        check_both(1, 1, 2, "-+--~--", "wUwDWwD");
        check_both(2, 3, 1, "+---", "U..D");
    }

    #[test]
    fn verdicts_turn_after_rise_and_fall() {
        check(2, 3, "+++---++-", "U....D.U.");
        check(2, 3, "---+-++", "..D...U");
        check(2, 3, "--+--+---", "..U.....D");
        check(1, 1, "-+-+", "DUDU");
        check(0, 0, "+-+", "UDU");
        check(5, 1, "-++++-+++++", "D.........U");
        check(2, 3, "~+~-~--~---~+", "WUW.......D.U");
        check(2, 3, "+--~--+---~~", "U..W..U..D.W");
    }
}
