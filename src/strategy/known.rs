//! Who of a group is open, remembered from one choice to the next: that seldom changes, and to ask it of every member
//! costs more than the choice.

use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Room};

/// The open members of one group, have they room or not.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// [`Candidates::first_open`] when they were found; `None` if there are members that have no bits in it.
    bits: Option<[u64; 2]>,
    open: Vec<BackendIx>,
}

impl Known {
    /// Makes sure that they are those of `among`, and tells whether they may have changed.
    #[inline]
    pub(super) fn update(&mut self, among: &Candidates<'_>) -> bool {
        let is_new = self.bits != Some(among.first_open());
        if is_new {
            self.find(among);
        }
        is_new
    }

    fn find(&mut self, among: &Candidates<'_>) {
        self.open.clear();
        self.open.extend(among.with(Room::Whatever).iter().map(|(ix, _)| ix));
        self.bits = among.are_first().then(|| among.first_open());
    }

    /// In file order.
    #[inline]
    pub(super) fn open(&self) -> &[BackendIx] {
        &self.open
    }
}
