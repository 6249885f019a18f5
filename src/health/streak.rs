//! Rise and fall: how many checks in a row turn a verdict. (HAProxy: rise, fall)
//!
//! The first verdict is sooner than later ones: while nothing is known, one good check is enough for up, so that a
//! fresh process is useful after its first round of checks. Down takes `fall` bad ones in a row even then. A check that
//! asks for drain is a good one; of a backend that serves it is believed at once, and so is the next without.

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
    health: Health,
    /// Checks in a row that speak against `health`.
    against: u32,
}

impl Streak {
    /// Nothing known yet. `rise` and `fall` of 0 count as 1.
    #[must_use]
    pub const fn new(rise: u32, fall: u32) -> Self {
        let (rise, fall) = (if rise == 0 { 1 } else { rise }, if fall == 0 { 1 } else { fall });
        Self { rise, fall, health: Health::Unknown, against: 0 }
    }

    /// Goes on from what was known under other thresholds.
    pub const fn carry(&mut self, before: &Self) {
        self.health = before.health;
        self.against = before.against;
    }

    /// Counts one check; the new verdict, if this check turned it.
    pub fn record(&mut self, found: Finding) -> Option<Health> {
        let verdict = match found {
            Finding::Good => Health::Up,
            Finding::Drain => Health::Drain,
            Finding::Bad => Health::Down,
        };
        if verdict == self.health {
            self.against = 0;
            return None;
        }
        let needed = match (self.health, found) {
            (Health::Down, _) => self.rise,
            (_, Finding::Bad) => self.fall,
            (Health::Unknown | Health::Up | Health::Drain, Finding::Good | Finding::Drain) => {
                self.against = 0;
                1
            }
        };
        self.against += 1;
        if self.against < needed {
            return None;
        }
        self.against = 0;
        self.health = verdict;
        Some(verdict)
    }

    /// The verdict as it stands.
    #[must_use]
    pub const fn health(&self) -> Health {
        self.health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `+` is a good check, `-` a bad one, `~` one that asks for drain; `U`, `D`, `W` in the answer are the verdicts
    /// up, down and drain, `.` is none.
    fn check(rise: u32, fall: u32, checks: &str, expected: &str) {
        let mut streak = Streak::new(rise, fall);
        let found = |c| match c {
            '+' => Finding::Good,
            '~' => Finding::Drain,
            _ => Finding::Bad,
        };
        let verdict = |c| match streak.record(found(c)) {
            Some(Health::Up) => 'U',
            Some(Health::Drain) => 'W',
            Some(Health::Down) => 'D',
            Some(Health::Unknown) => '?',
            None => '.',
        };
        assert_eq!(checks.chars().map(verdict).collect::<String>(), expected, "{rise}/{fall} {checks}");
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
