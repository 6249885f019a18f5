//! The stick table: which backend a session belongs to whose id the application makes.
//!
//! A session's id is a secret, so the table never holds it: it is found by a keyed [`Digest`]. Backends are held as
//! numbers of interned [`names`](Table::name), so that a backend which left the configuration may come back to its
//! sessions. The table is cut into shards by the digest, each under a lock of its own that is held for one look-up or
//! one change; a hit writes to nothing but that lock.
//!
//! It is bounded in entries and in bytes, and a shard is full when it has its share of either. A full shard gives away
//! a retired session, or else the one that was longest not [put](Table::put): the longest idle of the *shard*, not of
//! the table. Digests fill shards evenly, to within one or two percent, so that a large table gives somebody away when
//! it is nearly full; one of less than 16384 entries is one shard and exact. What a table has allocated it keeps for
//! the next sessions.
//!
//! An entry takes 44 bytes and its place in the index 10 to 15. Times are coarse: a session is put once in each of its
//! [slots](Times) and not with every request.

pub mod digest;
pub mod held;
mod index;
mod names;
pub mod shard;
mod slab;

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::{Mutex, MutexGuard};

pub use self::digest::{Digest, Seeds};
pub use self::held::{Evicted, Found, Held, NameNo, Outcome, Put, Record, Times};
use self::names::Names;
use self::shard::Shard;
pub use self::shard::ShardCopy;
use crate::base::time::UnixSeconds;

/// Most shards of a table.
const SHARDS: u64 = 256;
/// A shard has room for so many entries, if the bounds let the table be cut at all.
const PER_SHARD: u64 = 8192;
/// Most entries that one shard may have, which bounds a table to 2^36.
const SHARD_MOST: u64 = 1 << 28;
/// What part of the bytes may be taken by names.
const NAMES_PART: u64 = 16;
/// Bytes that names take at most, however large the table: half a million of them.
pub const NAMES_MOST: u64 = 64 << 20;
/// Slots that one call of [`Table::page`] looks at, so that no lock is held long.
const PAGE_SCAN: u32 = 16 << 10;

/// How large a table may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// Sessions at once; 0 is taken as 1.
    pub entries: u64,
    /// Bytes allocated, all told; below [`Bounds::LEAST_BYTES`] is taken as that.
    pub bytes: u64,
}

/// How full a table is, and what it gave away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions held, expired ones that were not swept yet included.
    pub entries: u64,
    /// Sessions that fit, by both bounds.
    pub capacity: u64,
    /// Bytes allocated, names included.
    pub bytes: u64,
    /// Sessions that had to go for others.
    pub evicted: u64,
    /// How many of those were of use: neither expired nor retired.
    pub evicted_live: u64,
}

/// Where a listing goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cursor(pub u64);

/// A part of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page {
    /// Sessions, in no order that means something; expired ones that were not swept yet included.
    pub sessions: Vec<(Digest, Held)>,
    /// Where to go on; none at the end.
    pub next: Option<Cursor>,
}

/// Sessions and where they belong. Shared by all threads.
pub struct Table {
    seeds: Seeds,
    bounds: Bounds,
    shards: Box<[Line]>,
    names: Names,
    /// The shard that is swept next.
    sweep_at: AtomicUsize,
    saving: Mutex<()>,
}

/// A shard on cache lines of its own.
#[repr(align(64))]
struct Line(Mutex<Shard>);

impl Bounds {
    /// The least that a table takes: room for some hundred sessions.
    pub const LEAST_BYTES: u64 = 32 << 10;

    /// The number of shards, and what each may hold: entries and bytes.
    fn split(self) -> (u64, u64, u64) {
        let entries = self.entries.max(1);
        let bytes = self.bytes.max(Self::LEAST_BYTES);
        let bytes = bytes - bytes / NAMES_PART;
        let by_bytes = bytes / Shard::bytes_for(PER_SHARD);
        let most = (entries / PER_SHARD).min(by_bytes).clamp(1, SHARDS);
        let shards = 1 << most.ilog2();
        (shards, (entries / shards).min(SHARD_MOST), bytes / shards)
    }
}

impl Table {
    /// An empty table. Memory is taken as sessions come.
    #[must_use]
    pub fn new(bounds: Bounds, seeds: Seeds) -> Self {
        let (shards, entries, bytes) = bounds.split();
        let shard = |_| Line(Mutex::new(Shard::new(entries, bytes)));
        let names = Names::new((bounds.bytes.max(Bounds::LEAST_BYTES) / NAMES_PART).min(NAMES_MOST));
        let shards = (0..shards).map(shard).collect();
        Self { seeds, bounds, shards, names, sweep_at: AtomicUsize::new(0), saving: Mutex::new(()) }
    }

    /// What another table holds, within other bounds: where they are narrower, the longest idle are left out.
    #[must_use]
    pub fn of(other: &Self, bounds: Bounds) -> Self {
        let (table, mut copy) = (Self::new(bounds, other.seeds), ShardCopy::default());
        let (mut count, mut names) = (0, Vec::new());
        for part in 0..other.parts() {
            other.copy_part(part, &mut copy);
            // After the copy: whatever it mentions has its name by now.
            for name in other.names(count) {
                names.push(table.name(&name));
                count += 1;
            }
            let named = |name: NameNo| names.get(name.0 as usize).copied().flatten();
            for (digest, held) in copy.sessions() {
                if let Some(home) = named(held.home) {
                    table.restore(digest, Held { home, origin: held.origin.and_then(named), ..held });
                }
            }
        }
        table.reorder();
        table
    }

    /// Held by who writes it to a file: of two copies the one that was begun later is the one that stays.
    pub fn saving(&self) -> MutexGuard<'_, ()> {
        self.saving.lock()
    }

    /// What its digests are keyed with: as secret as the ids.
    #[must_use]
    pub const fn seeds(&self) -> Seeds {
        self.seeds
    }

    /// How large it may grow, as given.
    #[must_use]
    pub const fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// What a session is found by.
    #[must_use]
    pub fn digest(&self, id: &[u8]) -> Digest {
        self.seeds.digest(id)
    }

    /// The number of a backend's id, the same as long as the table lives. Takes a lock that look-ups do not need:
    /// asked once per backend and configuration, and not per request.
    ///
    /// None: no more names fit. A sixteenth of the bytes is theirs, up to [`NAMES_MOST`], at 128 each beside their
    /// text; those of backends that are long gone are forgotten when the table is next read from disk.
    #[must_use]
    pub fn name(&self, text: &str) -> Option<NameNo> {
        self.names.number(text)
    }

    /// The id that a number of this table stands for; empty for a number of another one.
    #[must_use]
    pub fn text(&self, name: NameNo) -> Arc<str> {
        self.names.text(name)
    }

    /// All ids from the number `from` on, in the order of their numbers.
    #[must_use]
    pub fn names(&self, from: u32) -> Vec<Arc<str>> {
        self.names.from(from)
    }

    /// Looks a session up. One that was retired and is over is not found.
    #[must_use]
    pub fn get(&self, digest: Digest, now: UnixSeconds, times: Times) -> Option<Found> {
        let held = self.shard(digest).lock().get(digest)?;
        if held.ends.is_some_and(|ends| ends <= now) {
            return None;
        }
        Some(Found { held, expired: held.expired(now, times) })
    }

    /// Writes a session down as used now. A retired one stays retired until it is over, whoever puts it. One that
    /// expired and begins anew under its id is told as refreshed or moved, so that whoever counts finds it where it was.
    ///
    /// Asked when a session begins or moves, and else once in each of its slots.
    pub fn put(&self, digest: Digest, record: Record, now: UnixSeconds, times: Times) -> Put {
        self.shard(digest).lock().put(digest, record, now, times)
    }

    /// Gives a session another home and nothing else: it counts as used when it was, and has no first home to return
    /// to. Returns what was held.
    pub fn move_to(&self, digest: Digest, home: NameNo) -> Option<Held> {
        self.shard(digest).lock().move_to(digest, home)
    }

    /// Ends a session. Returns what was held.
    pub fn end(&self, digest: Digest) -> Option<Held> {
        self.shard(digest).lock().end(digest)
    }

    /// Lets a session end `left` seconds from now, or sooner if that was said before: its application gave it another
    /// id, and requests under the old one are still on their way. It is the first to go when room is needed. Returns
    /// what was held.
    pub fn retire(&self, digest: Digest, now: UnixSeconds, left: u32) -> Option<Held> {
        self.shard(digest).lock().retire(digest, now, left)
    }

    /// Frees up to `budget` sessions that are over, and says how many. Looks at the longest idle of each shard, so
    /// that one which is over by `lifetime` while in use waits until it is met or rests. Goes on where it stopped.
    pub fn sweep(&self, now: UnixSeconds, times: Times, budget: usize) -> usize {
        let mut freed = 0;
        for _ in 0..self.shards.len() {
            let at = self.sweep_at.load(Relaxed) % self.shards.len();
            freed += self.shards[at].0.lock().sweep(now, times, budget - freed);
            if freed >= budget {
                break;
            }
            self.sweep_at.store(at + 1, Relaxed);
        }
        freed
    }

    /// How full it is. Takes each shard's lock for a moment.
    #[must_use]
    pub fn figures(&self) -> Figures {
        let fixed = size_of::<Self>() + self.shards.len() * (size_of::<Line>() - size_of::<Shard>());
        let start = Figures { bytes: fixed as u64 + self.names.bytes(), ..Figures::default() };
        self.shards.iter().fold(start, |sum, line| {
            let of = line.0.lock().figures();
            Figures {
                entries: sum.entries + of.entries,
                capacity: sum.capacity + of.capacity,
                bytes: sum.bytes + of.bytes,
                evicted: sum.evicted + of.evicted,
                evicted_live: sum.evicted_live + of.evicted_live,
            }
        })
    }

    /// Up to `most` sessions from `from` on, of one backend or of all. A page may hold fewer, or none, and still have
    /// a next one. Sessions that come, go or move meanwhile may be missed; none is shown twice that stays.
    #[must_use]
    pub fn page(&self, from: Cursor, most: usize, home: Option<NameNo>) -> Page {
        let (mut shard, mut slot) = ((from.0 >> 32) as usize, from.0 as u32);
        let (mut sessions, mut left) = (Vec::new(), PAGE_SCAN);
        while let Some(line) = self.shards.get(shard) {
            if left == 0 || sessions.len() >= most {
                return Page { sessions, next: Some(Cursor((shard as u64) << 32 | u64::from(slot))) };
            }
            match line.0.lock().list(slot, &mut left, home, most, &mut sessions) {
                Some(next) => slot = next,
                None => (shard, slot) = (shard + 1, 0),
            }
        }
        Page { sessions, next: None }
    }

    /// How many parts [`Table::copy_part`] has.
    #[must_use]
    pub const fn parts(&self) -> usize {
        self.shards.len()
    }

    /// Copies one part of the table, to be written elsewhere; its lock is held for as long as that takes, about a
    /// millisecond for 100,000 sessions.
    pub fn copy_part(&self, part: usize, into: &mut ShardCopy) {
        into.clear();
        if let Some(line) = self.shards.get(part) {
            line.0.lock().copy(into);
        }
    }

    /// Takes in a session as it was held elsewhere, as the one used last of its shard; [`Table::reorder`] when all are
    /// in. Whoever is pushed out by it is not counted.
    pub fn restore(&self, digest: Digest, held: Held) {
        self.shard(digest).lock().restore(digest, held);
    }

    /// Brings all sessions into the order of their last use.
    pub fn reorder(&self) {
        self.shards.iter().for_each(|line| line.0.lock().reorder());
    }

    fn shard(&self, digest: Digest) -> &Mutex<Shard> {
        &self.shards[digest.shard(self.shards.len())].0
    }
}

impl fmt::Debug for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shards = self.shards.len();
        f.debug_struct("Table").field("bounds", &self.bounds).field("shards", &shards).finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
