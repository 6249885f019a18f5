//! Who of a pool's members may take new sessions, and who may keep old ones.

use crate::backend::availability::Availability;
use crate::backend::members::{BackendSet, Members};

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
}

impl Standing {
    /// The sets that follow from `availability`, which has one entry per member in order.
    #[must_use]
    pub fn new(members: &Members, availability: Vec<Availability>) -> Self {
        let of = |test: fn(Availability) -> bool| {
            members
                .iter()
                .zip(&availability)
                .filter(move |(_, a)| test(**a))
                .map(|((ix, backend), _)| (ix, backend))
        };
        let open: BackendSet =
            of(Availability::is_open).filter(|(_, b)| b.weight > 0).map(|(ix, _)| ix).collect();
        let serving = of(Availability::is_serving).map(|(ix, _)| ix).collect();
        let has_open_primary = members.primaries().iter().any(|(ix, _)| open.contains(ix));
        Self { open, serving, has_open_primary, members: availability }
    }

    /// The standing before any check: the configured states, health unknown.
    #[must_use]
    pub fn initial(members: &Members) -> Self {
        let states = members.iter().map(|(_, b)| Availability { admin: b.admin, ..Availability::default() });
        Self::new(members, states.collect())
    }
}
