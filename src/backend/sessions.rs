//! How many sessions are live on a backend, without a table of them.
//!
//! Time is cut into slots of `idle`/30, 1 s to 1 min. A session is counted in the slot in which its pin was last
//! written; a refresh moves it to the present slot; live is the sum over the slots within `idle`. A session that is
//! left alone is never looked for: its slot leaves the window. The same [`Slots`] say when a pin is due and when it
//! is dead, so that "counted" and "valid" are one thing.
//!
//! Each worker writes only its own cells, with plain loads and stores; a session may begin on one worker and move on
//! by another, so one worker's share may be negative and only the sum over all means something.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::base::time::UnixSeconds;

/// Slots that `idle` is cut into, if they are neither shorter than 1 s nor longer than 1 min.
const PARTS: u32 = 30;
/// Longest slot, in seconds.
const LONGEST: u32 = 60;
/// Most slots that `idle` is cut into: a day of minutes. Beyond it slots grow past [`LONGEST`], which keeps a
/// backend's counters below 12 KiB per worker whatever `idle` is.
const MOST: u32 = 24 * 60;
/// Words of one cache line; a worker's row is a whole number of lines, so that workers do not share one.
const LINE: usize = 8;

/// How an idle time is cut into slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Seconds of one slot, at least 1.
    length: u32,
    /// Seconds without a request after which a session ends, at least 1.
    idle: u32,
}

/// The live sessions of one backend.
#[derive(Debug)]
pub struct LiveSessions {
    slots: Slots,
    /// Cells per worker: the slots within `idle`, the present one, one that is being left and one ahead.
    cells: usize,
    /// One row per worker. Its first word is (oldest slot in the sum, sum), the others are (slot, count): one word
    /// each, so that a reader never sees one half.
    rows: Box<[Line]>,
}

/// A cache line of words.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Line([AtomicU64; LINE]);

/// One worker's cells.
#[derive(Clone, Copy)]
struct Row<'a> {
    lines: &'a [Line],
    cells: usize,
}

impl Slots {
    /// Slots for sessions that end after `idle` without a request; below 1 s is taken as 1 s.
    #[must_use]
    pub fn new(idle: Duration) -> Self {
        let idle = u32::try_from(idle.as_secs()).unwrap_or(u32::MAX).max(1);
        Self { length: (idle / PARTS).clamp(1, LONGEST).max(idle.div_ceil(MOST)), idle }
    }

    /// The slot in which `t` lies.
    #[must_use]
    pub const fn slot_of(self, t: UnixSeconds) -> u32 {
        t.0 / self.length
    }

    /// The oldest slot that counts as live at `now`.
    #[must_use]
    pub const fn oldest(self, now: UnixSeconds) -> u32 {
        now.0.saturating_sub(self.idle) / self.length
    }

    /// Whether a session last written at `last_seen` may have been used within `idle` before `now`.
    ///
    /// A pin is written once per slot, so its last use lies anywhere in the slot of `last_seen`: a session that was
    /// used within `idle` is always live, and none is live longer than `idle` and one slot.
    #[must_use]
    pub const fn is_live(self, last_seen: UnixSeconds, now: UnixSeconds) -> bool {
        self.slot_of(last_seen) >= self.oldest(now)
    }

    /// Whether a pin last written at `last_seen` is to be written again: its slot is past, or it lies ahead by more
    /// than a slot because a clock was set back.
    #[must_use]
    pub const fn is_due(self, last_seen: UnixSeconds, now: UnixSeconds) -> bool {
        let (written, present) = (self.slot_of(last_seen), self.slot_of(now));
        written < present || written > present.saturating_add(1)
    }

    /// For how many seconds before `now` a session last written at `last_seen` was surely not used: its last use may
    /// lie anywhere in the slot of `last_seen`. Less than the truth by one slot at most.
    #[must_use]
    pub const fn pause(self, last_seen: UnixSeconds, now: UnixSeconds) -> u32 {
        now.0.saturating_sub(self.slot_of(last_seen).saturating_add(1).saturating_mul(self.length))
    }

    /// When a session last written at `last_seen` ends if it is left alone: the first second at which it is not live.
    #[must_use]
    pub const fn end_of(self, last_seen: UnixSeconds) -> UnixSeconds {
        let next = self.slot_of(last_seen).saturating_add(1).saturating_mul(self.length);
        UnixSeconds(next.saturating_add(self.idle))
    }

    /// Seconds without a request after which a session ends.
    #[must_use]
    pub const fn idle(self) -> u32 {
        self.idle
    }

    /// Seconds of one slot.
    #[must_use]
    pub const fn length(self) -> u32 {
        self.length
    }
}

impl LiveSessions {
    /// Counters for `workers` workers and sessions that end after `idle` without a request.
    #[must_use]
    pub fn new(workers: usize, idle: Duration) -> Self {
        let slots = Slots::new(idle);
        let cells = slots.idle.div_ceil(slots.length) as usize + 3;
        let lines = (workers.max(1) + 1) * (cells + 1).div_ceil(LINE);
        Self { slots, cells, rows: (0..lines).map(|_| Line::default()).collect() }
    }

    /// Counters that count nothing and take no memory, for pools whose sessions homing does not carry.
    #[must_use]
    pub fn none() -> Self {
        Self { slots: Slots { length: 1, idle: 1 }, cells: 0, rows: Box::default() }
    }

    /// Whether both cut time into the same slots, for as many workers.
    #[must_use]
    pub const fn is_laid_out_as(&self, other: &Self) -> bool {
        self.slots.length == other.slots.length
            && self.slots.idle == other.slots.idle
            && self.rows.len() == other.rows.len()
    }

    /// Counts the sessions of `from` that are live at `now` here, each from its last use. Only before anybody else
    /// writes here.
    pub fn count_over(&self, from: &Self, now: UnixSeconds) {
        let Some(row) = self.row(0) else { return };
        let oldest = self.advance(row, now);
        let before = from.slots.oldest(now);
        for lines in from.rows.chunks_exact(from.lines_per_row()) {
            let old = Row { lines, cells: from.cells };
            for (slot, count) in (1..=from.cells).map(|at| old.load(at)).filter(|(slot, _)| *slot >= before) {
                // Anywhere in its slot: the latest that it can have been, so that none ends here before it does there.
                let end = slot.saturating_add(1).saturating_mul(from.slots.length).saturating_sub(1);
                row.add(oldest, self.slots.slot_of(UnixSeconds(end.min(now.0))), count);
            }
        }
    }

    /// The slots that time is cut into.
    #[must_use]
    pub const fn slots(&self) -> Slots {
        self.slots
    }

    /// The row beside those of the workers: the control plane's.
    #[must_use]
    pub fn last_row(&self) -> usize {
        (self.rows.len() / self.lines_per_row()).saturating_sub(1)
    }

    /// A session that was counted before this process began, and was used last at `last_seen`.
    pub fn restore(&self, last_seen: UnixSeconds, now: UnixSeconds) {
        if let Some(row) = self.row(self.last_row()) {
            let oldest = self.advance(row, now);
            row.add(oldest, self.slots.slot_of(last_seen), 1);
        }
    }

    /// A new session, or one that another node counted: counted from now.
    pub fn begin(&self, worker: usize, now: UnixSeconds) {
        if let Some(row) = self.row(worker) {
            let oldest = self.advance(row, now);
            row.add(oldest, self.slots.slot_of(now), 1);
        }
    }

    /// A session counted at `last_seen` is still there now.
    pub fn refresh(&self, worker: usize, last_seen: UnixSeconds, now: UnixSeconds) {
        if let Some(row) = self.row(worker) {
            let oldest = self.advance(row, now);
            row.add(oldest, self.slots.slot_of(last_seen), -1);
            row.add(oldest, self.slots.slot_of(now), 1);
        }
    }

    /// A session counted at `last_seen` has left this backend.
    pub fn end(&self, worker: usize, last_seen: UnixSeconds, now: UnixSeconds) {
        if let Some(row) = self.row(worker) {
            let oldest = self.advance(row, now);
            row.add(oldest, self.slots.slot_of(last_seen), -1);
        }
    }

    /// Live sessions at `now`, over all workers: two or three loads per worker, so that a strategy may ask for each
    /// choice. Exact when nobody writes; else off by what is being written.
    #[must_use]
    pub fn live(&self, now: UnixSeconds) -> u32 {
        let oldest = self.slots.oldest(now);
        let rows = self.rows.chunks_exact(self.lines_per_row());
        let sum: i64 = rows.map(|lines| Row { lines, cells: self.cells }.sum_from(oldest)).sum();
        u32::try_from(sum.max(0)).unwrap_or(u32::MAX)
    }

    /// For how many seconds the longest idle of the live sessions was surely not used; `None` if none is live. Less than
    /// the truth by one slot at most. For people: it reads every cell.
    #[must_use]
    pub fn longest_idle(&self, now: UnixSeconds) -> Option<u32> {
        let rows = || self.rows.chunks_exact(self.lines_per_row());
        let count = |slot| -> i64 {
            let cell = |lines| {
                let row = Row { lines, cells: self.cells };
                let (held, count) = row.load(row.place(slot));
                if held == slot { i64::from(count) } else { 0 }
            };
            rows().map(cell).sum()
        };
        let (oldest, present) = (self.slots.oldest(now), self.slots.slot_of(now));
        let slot = (oldest..=present).find(|slot| count(*slot) > 0)?;
        Some(self.slots.pause(UnixSeconds(slot.saturating_mul(self.slots.length)), now))
    }

    const fn lines_per_row(&self) -> usize {
        (self.cells + 1).div_ceil(LINE)
    }

    fn row(&self, worker: usize) -> Option<Row<'_>> {
        let per_row = self.lines_per_row();
        let start = worker.checked_mul(per_row)?;
        Some(Row { lines: self.rows.get(start..start + per_row)?, cells: self.cells })
    }

    /// Takes the slots that left the window out of the sum; returns the oldest slot that counts now.
    fn advance(&self, row: Row<'_>, now: UnixSeconds) -> u32 {
        let (from, _) = row.head();
        if self.slots.slot_of(now) < from {
            // The clock was set back by more than `idle`: nothing counted since is of use.
            row.clear();
        }
        let oldest = self.slots.oldest(now).max(row.head().0);
        row.set_head(oldest, row.sum_from(oldest));
        oldest
    }
}

impl Row<'_> {
    fn word(&self, at: usize) -> Option<&AtomicU64> {
        self.lines.get(at / LINE)?.0.get(at % LINE)
    }

    fn load(&self, at: usize) -> (u32, i32) {
        self.word(at).map_or((0, 0), |w| unpack(w.load(Relaxed)))
    }

    fn store(&self, at: usize, slot: u32, count: i32) {
        if let Some(word) = self.word(at) {
            word.store(pack(slot, count), Relaxed);
        }
    }

    fn head(&self) -> (u32, i32) {
        self.load(0)
    }

    fn set_head(&self, oldest: u32, sum: i64) {
        let sum = sum.clamp(i64::from(i32::MIN), i64::from(i32::MAX));
        self.store(0, oldest, i32::try_from(sum).unwrap_or(0));
    }

    const fn place(&self, slot: u32) -> usize {
        1 + slot as usize % self.cells
    }

    /// The sum over the slots from `oldest` on: the sum kept, less the slots that have left it since.
    fn sum_from(&self, oldest: u32) -> i64 {
        let (from, sum) = self.head();
        if (from, sum) == (0, 0) {
            return 0; // Never written, so that reading does not walk all cells; 1970 is not a time to count in.
        }
        if oldest.saturating_sub(from) as usize >= self.cells {
            let newer = |at| Some(self.load(at)).filter(|(slot, _)| *slot >= oldest);
            return (1..=self.cells).filter_map(newer).map(|(_, count)| i64::from(count)).sum();
        }
        let gone = (from..oldest).map(|slot| match self.load(self.place(slot)) {
            (held, count) if held == slot => i64::from(count),
            _ => 0,
        });
        i64::from(sum) - gone.sum::<i64>()
    }

    /// Adds to one slot's cell and to the sum. A slot that left the window counts no more.
    fn add(&self, oldest: u32, slot: u32, by: i32) {
        let (held, count) = self.load(self.place(slot));
        if slot < oldest || held > slot {
            return;
        }
        let mut sum = i64::from(self.head().1) + i64::from(by);
        if held == slot {
            self.store(self.place(slot), slot, count.saturating_add(by));
        } else {
            if held >= oldest {
                sum -= i64::from(count); // Only after the clock was set back: its cell is taken over.
            }
            self.store(self.place(slot), slot, by);
        }
        self.set_head(oldest, sum);
    }

    fn clear(&self) {
        (0..=self.cells).for_each(|at| self.store(at, 0, 0));
    }
}

const fn pack(slot: u32, count: i32) -> u64 {
    (slot as u64) << 32 | count.cast_unsigned() as u64
}

const fn unpack(word: u64) -> (u32, i32) {
    ((word >> 32) as u32, (word as u32).cast_signed())
}

#[cfg(test)]
#[path = "sessions_tests.rs"]
mod tests;
