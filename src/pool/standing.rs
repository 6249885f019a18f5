//! Who of a pool's members may take new sessions, and who may keep old ones.

use super::policy::Panic;
use crate::backend::availability::{AdminState, Availability, Health};
use crate::backend::members::{BackendSet, Members};
use crate::backend::{Backend, BackendIx};
use crate::base::hash::{combine, hash64};
use crate::base::time::UnixSeconds;

/// The availability of every member at one moment, and what follows from it. Immutable; published as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// By the member's place.
    pub members: Vec<Availability>,
    /// May take new sessions: ready, up, not ejected, weight above 0.
    pub open: BackendSet,
    /// May keep sessions.
    pub serving: BackendSet,
    /// Whether an open primary exists; backups take new sessions only when none does.
    pub has_open_primary: bool,
    /// Whether members that checks have closed are open because nobody else is. (see [`Panic::Serve`])
    pub panics: bool,
    /// Whether some serving member gives up sessions that come back after a pause. (see [`Leaving::Idle`])
    ///
    /// [`Leaving::Idle`]: crate::backend::availability::Leaving::Idle
    pub lets_idle_go: bool,
    /// Members that came back not long ago and are given their share of new sessions step by step.
    pub ramps: Vec<Ramp>,
}

/// A member whose share of new sessions grows from next to nothing to the whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    /// The member.
    pub backend: BackendIx,
    /// When it came back.
    pub since: UnixSeconds,
    /// How long its share grows, seconds.
    pub seconds: u32,
}

impl Standing {
    /// The sets that follow from `availability`, which has one entry per member in order.
    #[must_use]
    pub fn new(members: &Members, availability: Vec<Availability>, panic: Panic) -> Self {
        let of = |test: fn(Availability, &Backend) -> bool| -> BackendSet {
            members
                .iter()
                .zip(&availability)
                .filter(|((_, b), a)| test(**a, b))
                .map(|((ix, _), _)| ix)
                .collect()
        };
        let mut open = of(|a, b| a.is_open() && b.weight > 0);
        let mut serving = of(|a, _| a.is_serving());
        // Who is only ejected is better than who is down: ejections end first. (see `control/state.rs`)
        let closed = || of(|a, b| Availability { ejected: false, ..a }.is_open() && b.weight > 0).is_empty();
        let panics = panic == Panic::Serve && open.is_empty() && closed();
        if panics {
            open = of(|a, b| {
                let is_closed = matches!(a.health, Health::Weak | Health::Down);
                a.admin == AdminState::Ready && is_closed && b.weight > 0
            });
            serving = of(|a, _| a.admin != AdminState::Maint && !a.has_left());
        }
        let panics = panics && !open.is_empty();
        let has_open_primary = members.primaries().iter().any(|(ix, _)| open.contains(ix));
        let lets_idle_go = availability.iter().any(|a| a.longest_pause().is_some());
        Self {
            open,
            serving,
            has_open_primary,
            panics,
            lets_idle_go,
            members: availability,
            ramps: Vec::new(),
        }
    }

    /// The standing before any check: the configured states, health unknown.
    #[must_use]
    pub fn initial(members: &Members) -> Self {
        let states = members.iter().map(|(_, b)| Availability { admin: b.admin, ..Availability::default() });
        Self::new(members, states.collect(), Panic::Refuse)
    }
}

impl Ramp {
    /// Whether a new session that drew `draw` is still kept from the member at `now`. One draw has one moment from
    /// which on it is let in, so a key's clients come back once and do not go to and fro.
    #[must_use]
    pub fn holds_back(&self, draw: u64, id: &str, now: UnixSeconds) -> bool {
        let (passed, whole) = (now.saturating_since(self.since), u64::from(self.seconds) + 1);
        // Not the mix by which `rendezvous` ranks: who wins a key there must not also draw high here.
        let share = combine(hash64(id.as_bytes()), draw) >> 32;
        (share * whole) >> 32 > u64::from(passed)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::backend::availability::Leaving;

    fn members(n: u16) -> Members {
        Members::new((0..n).filter_map(|i| Backend::at(&format!("a{i}:1"))).map(Arc::new).collect())
    }

    fn standing(states: &[Availability], panic: Panic) -> Standing {
        Standing::new(&members(u16::try_from(states.len()).unwrap()), states.to_vec(), panic)
    }

    const DOWN: Availability = Availability {
        admin: AdminState::Ready,
        health: Health::Down,
        ejected: false,
        leaving: Leaving::Keep,
    };

    #[test]
    fn in_panic_those_that_checks_closed_serve_and_nobody_else() {
        let maint = Availability { admin: AdminState::Maint, ..DOWN };
        let drain = Availability { admin: AdminState::Drain, ..DOWN };
        let left = Availability { leaving: Leaving::Over, ..drain };
        let panicking = standing(&[DOWN, maint, drain, left], Panic::Serve);
        assert!(panicking.panics && panicking.has_open_primary);
        let has = |set: &BackendSet| [0, 1, 2, 3].map(|i| set.contains(BackendIx(i)));
        assert_eq!(has(&panicking.open), [true, false, false, false]);
        assert_eq!(has(&panicking.serving), [true, false, true, false]);
        assert!(standing(&[DOWN, maint], Panic::Refuse).open.is_empty());
        let one_up = standing(&[DOWN, Availability::default()], Panic::Serve);
        assert!(!one_up.panics && !one_up.serving.contains(BackendIx(0)));
        let ejected = Availability { ejected: true, ..Availability::default() };
        assert!(
            standing(&[DOWN, ejected], Panic::Serve).open.is_empty(),
            "checks did not close the ejected one"
        );
    }

    #[test]
    fn a_ramp_lets_in_more_and_more_and_nobody_twice() {
        let ramp = Ramp { backend: BackendIx(0), since: UnixSeconds(100), seconds: 9 };
        let held = |draw: u64, at| {
            ramp.holds_back(crate::base::hash::hash64(&draw.to_be_bytes()), "a", UnixSeconds(at))
        };
        let let_in = |at| (0..1000).filter(|draw| !held(*draw, at)).count();
        let shares: Vec<_> = (100..110).map(let_in).collect();
        assert!(shares.is_sorted() && shares[9] == 1000, "{shares:?}");
        assert!((60..140).contains(&shares[0]) && (430..570).contains(&shares[4]), "{shares:?}");
        for draw in 0..1000 {
            let seen: Vec<bool> = (100..110).map(|at| held(draw, at)).collect();
            assert!(seen.windows(2).all(|w| w[0] || !w[1]), "{draw} was let in and then held back");
        }
        assert!(!held(7, 4_000_000_000));
    }
}
