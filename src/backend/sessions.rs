//! How many sessions are live on a backend, without a table of them.
//!
//! Time is cut into slots of `idle`/30, 1 s to 1 min. A session is counted in the slot in which it was last
//! refreshed; a refresh moves it to the present slot; live is the sum over the slots within `idle`. Each worker
//! writes only its own counters.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::base::time::UnixSeconds;

/// Slots that `idle` is cut into.
const SLOTS: u32 = 30;
/// Cells kept per worker: the slots within `idle`, the present one, and one being reused.
const CELLS: usize = SLOTS as usize + 2;

/// The live sessions of one backend.
#[derive(Debug)]
pub struct LiveSessions {
    slot: u32,
    idle: u32,
    /// `CELLS` per worker; each cell is (slot number, count) in one word, so a reader never sees one half.
    cells: Box<[AtomicU64]>,
}

impl LiveSessions {
    /// Counters for `workers` workers and sessions that end after `idle` without a request.
    #[must_use]
    pub fn new(workers: usize, idle: Duration) -> Self {
        let idle = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).max(1);
        let cells = (0..workers.max(1) * CELLS).map(|_| AtomicU64::new(0)).collect();
        Self { slot: slot_seconds(idle), idle, cells }
    }

    /// The slot in which `t` lies.
    #[must_use]
    pub const fn slot_of(&self, t: UnixSeconds) -> u32 {
        t.0 / self.slot
    }

    /// A new session, or one whose counting node is another: counted from now.
    pub fn begin(&self, worker: usize, now: UnixSeconds) {
        self.add(worker, self.slot_of(now), 1);
    }

    /// A session counted at `last_seen` is still there now.
    pub fn refresh(&self, worker: usize, last_seen: UnixSeconds, now: UnixSeconds) {
        self.end(worker, last_seen);
        self.begin(worker, now);
    }

    /// A session counted at `last_seen` is gone from this backend.
    pub fn end(&self, worker: usize, last_seen: UnixSeconds) {
        self.add(worker, self.slot_of(last_seen), -1);
    }

    /// Live sessions at `now`, over all workers.
    #[must_use]
    pub fn live(&self, now: UnixSeconds) -> u32 {
        let (newest, oldest) =
            (self.slot_of(now), self.slot_of(UnixSeconds(now.0.saturating_sub(self.idle))));
        let within = |cell: &AtomicU64| {
            let (slot, count) = unpack(cell.load(Relaxed));
            if slot >= oldest && slot <= newest { i64::from(count) } else { 0 }
        };
        u32::try_from(self.cells.iter().map(within).sum::<i64>().max(0)).unwrap_or(u32::MAX)
    }

    fn add(&self, worker: usize, slot: u32, by: i32) {
        let at = worker * CELLS + slot as usize % CELLS;
        let Some(cell) = self.cells.get(at) else { return };
        let (held, count) = unpack(cell.load(Relaxed));
        if held == slot {
            cell.store(pack(slot, count.saturating_add(by)), Relaxed);
        } else if held < slot {
            cell.store(pack(slot, by), Relaxed);
        } // An older slot than the cell holds has left the window: nothing to count.
    }
}

/// The length in seconds of one slot for this idle time: a thirtieth, 1 s to 1 min, and long enough that
/// the cells cover `idle`.
const fn slot_seconds(idle: u32) -> u32 {
    let slot = idle.div_ceil(SLOTS);
    if slot == 0 { 1 } else { slot }
}

const fn pack(slot: u32, count: i32) -> u64 {
    (slot as u64) << 32 | count.cast_unsigned() as u64
}

const fn unpack(word: u64) -> (u32, i32) {
    ((word >> 32) as u32, (word as u32).cast_signed())
}
