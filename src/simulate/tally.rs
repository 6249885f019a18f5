//! What a pass over the live sessions found, by the definitions that `homing bench` counts by.
//!
//! A *move* is an answer from another backend than the one before. It is *forced* if that one was gone, *policy* if it
//! drained, *failback* if the session had been at the new one before and that had come back meanwhile, and *unforced*
//! otherwise. A session is *lost* when its backend does not know it; *stale* when it knows an older state of it.

use super::fleet::{NOBODY, SlotIx, View};

/// Parts that sessions are dealt into for the intervals: all clients of one network are in one.
pub(super) const BATCHES: usize = 20;

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) lost: u64,
    pub(super) stale: u64,
    pub(super) forced: u64,
    pub(super) policy: u64,
    pub(super) failback: u64,
    pub(super) unforced: u64,
}

/// The same of one part.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Batch {
    pub(super) live: u64,
    pub(super) lost: u64,
    pub(super) stale: u64,
    pub(super) moved: u64,
}

/// Everything that is counted of one event.
#[derive(Clone, Debug)]
pub(super) struct Tally {
    pub(super) all: Counts,
    /// Of those that are live from its beginning to its end.
    pub(super) cohort: Counts,
    pub(super) batches: [Batch; BATCHES],
    /// From (row) to (column), of the same.
    pub(super) matrix: Vec<u64>,
    slots: usize,
    /// Changes of the live counts, by slot.
    pub(super) flows: Vec<i64>,
    /// Sessions that began anew because their client lost its own credential.
    pub(super) relogins: u64,
    pub(super) refused: u64,
    /// Requests of clients that keep no cookie.
    pub(super) unkept: u64,
}

/// What became of one session's request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen {
    pub(super) from: SlotIx,
    pub(super) to: SlotIx,
    pub(super) is_lost: bool,
    pub(super) is_stale: bool,
    /// Whether it was at `to` before.
    pub(super) was_there: bool,
    pub(super) in_cohort: bool,
    pub(super) batch: usize,
}

impl Counts {
    pub(super) const fn moved(&self) -> u64 {
        self.forced + self.policy + self.failback + self.unforced
    }

    pub(super) const fn add(&mut self, o: &Self) {
        self.lost += o.lost;
        self.stale += o.stale;
        self.forced += o.forced;
        self.policy += o.policy;
        self.failback += o.failback;
        self.unforced += o.unforced;
    }
}

impl Tally {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            all: Counts::default(),
            cohort: Counts::default(),
            batches: [Batch::default(); BATCHES],
            matrix: vec![0; slots * slots],
            slots,
            flows: vec![0; slots],
            relogins: 0,
            refused: 0,
            unkept: 0,
        }
    }

    /// Counts one answered request.
    pub(super) fn count(&mut self, view: &View, seen: Seen) {
        let mut counts =
            Counts { lost: u64::from(seen.is_lost), stale: u64::from(seen.is_stale), ..Counts::default() };
        let is_moved = seen.from != seen.to && seen.from != NOBODY;
        if is_moved {
            let (from, to) = (1_u64 << seen.from, 1_u64 << seen.to);
            *if view.serving & from == 0 {
                &mut counts.forced
            } else if view.draining & from != 0 {
                &mut counts.policy
            } else if seen.was_there && view.came_back & to != 0 {
                &mut counts.failback
            } else {
                &mut counts.unforced
            } += 1;
            self.flow(seen.from, seen.to);
        }
        self.all.add(&counts);
        if seen.in_cohort {
            self.cohort.add(&counts);
            let batch = &mut self.batches[seen.batch];
            batch.lost += counts.lost;
            batch.stale += counts.stale;
            batch.moved += u64::from(is_moved);
            if is_moved
                && let Some(cell) =
                    self.matrix.get_mut(usize::from(seen.from) * self.slots + usize::from(seen.to))
            {
                *cell += 1;
            }
        }
    }

    /// One live session less here, one more there.
    pub(super) fn flow(&mut self, from: SlotIx, to: SlotIx) {
        for (slot, by) in [(from, -1), (to, 1)] {
            if let Some(flow) = self.flows.get_mut(usize::from(slot)) {
                *flow += by;
            }
        }
    }

    pub(super) fn add(&mut self, o: &Self) {
        self.all.add(&o.all);
        self.cohort.add(&o.cohort);
        for (a, b) in self.batches.iter_mut().zip(&o.batches) {
            a.live += b.live;
            a.lost += b.lost;
            a.stale += b.stale;
            a.moved += b.moved;
        }
        self.matrix.iter_mut().zip(&o.matrix).for_each(|(a, b)| *a += b);
        self.flows.iter_mut().zip(&o.flows).for_each(|(a, b)| *a += b);
        self.relogins += o.relogins;
        self.refused += o.refused;
        self.unkept += o.unkept;
    }
}
