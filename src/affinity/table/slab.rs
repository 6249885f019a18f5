//! Where a shard's entries are: chunks of 8 KiB, so that growing copies nothing and holds nothing twice.

use super::digest::Digest;
use super::{Held, NameNo};
use crate::base::time::UnixSeconds;

/// No slot, no name.
pub(super) const NONE: u32 = u32::MAX;
/// Entries of a chunk: 8,184 bytes, just below what allocators round to. (jemalloc pads what is 16 KiB or more by a page.)
const CHUNK: usize = 186;

/// A session: 44 bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) digest: Digest,
    /// [`NONE`]: the slot is free.
    pub(super) home: u32,
    pub(super) origin: u32,
    pub(super) issued: u32,
    pub(super) last_seen: u32,
    /// 0: not retired.
    pub(super) ends: u32,
    /// Towards the one used later.
    pub(super) newer: u32,
    /// Towards the one used earlier; of a free slot, the next free one.
    pub(super) older: u32,
}

/// Entries by slot.
#[derive(Debug)]
pub(super) struct Slab {
    chunks: Vec<Box<[Entry]>>,
    /// The first free slot below `fresh`.
    free: u32,
    /// Slots from here on were never used.
    fresh: u32,
    used: u32,
    most: u32,
}

impl Entry {
    pub(super) const FREE: Self = Self {
        digest: Digest::NONE,
        home: NONE,
        origin: NONE,
        issued: 0,
        last_seen: 0,
        ends: 0,
        newer: NONE,
        older: NONE,
    };

    pub(super) fn new(digest: Digest, held: Held) -> Self {
        Self {
            digest,
            home: held.home.0,
            origin: held.origin.map_or(NONE, |name| name.0),
            issued: held.issued.0,
            last_seen: held.last_seen.0,
            ends: held.ends.map_or(0, |ends| ends.0.max(1)),
            newer: NONE,
            older: NONE,
        }
    }

    pub(super) const fn is_retired(&self) -> bool {
        self.ends != 0
    }

    pub(super) fn held(&self) -> Held {
        Held {
            home: NameNo(self.home),
            origin: Some(self.origin).filter(|name| *name != NONE).map(NameNo),
            issued: UnixSeconds(self.issued),
            last_seen: UnixSeconds(self.last_seen),
            ends: Some(self.ends).filter(|ends| *ends != 0).map(UnixSeconds),
        }
    }
}

impl Slab {
    pub(super) fn new(most: u32) -> Self {
        let chunks = Vec::with_capacity((most as usize).div_ceil(CHUNK));
        Self { chunks, free: NONE, fresh: 0, used: 0, most }
    }

    /// The bytes that a slab of so many slots allocates at most.
    pub(super) const fn bytes_for(slots: u64) -> u64 {
        slots * size_of::<Entry>() as u64 + slots.div_ceil(CHUNK as u64) * size_of::<Box<[Entry]>>() as u64
    }

    pub(super) fn bytes(&self) -> u64 {
        let entries: usize = self.chunks.iter().map(|chunk| size_of_val(&**chunk)).sum();
        (entries + self.chunks.capacity() * size_of::<Box<[Entry]>>()) as u64
    }

    pub(super) const fn used(&self) -> u32 {
        self.used
    }

    pub(super) const fn most(&self) -> u32 {
        self.most
    }

    /// Slots below this one were used.
    pub(super) const fn fresh(&self) -> u32 {
        self.fresh
    }

    pub(super) fn at(&self, slot: u32) -> &Entry {
        &self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    pub(super) fn at_mut(&mut self, slot: u32) -> &mut Entry {
        &mut self.chunks[slot as usize / CHUNK][slot as usize % CHUNK]
    }

    /// Puts an entry into a free slot, if there is one.
    pub(super) fn add(&mut self, entry: Entry) -> Option<u32> {
        let slot = if self.free != NONE {
            let slot = self.free;
            self.free = self.at(slot).older;
            slot
        } else if self.fresh < self.most {
            let slot = self.fresh;
            if slot as usize == self.chunks.len() * CHUNK {
                let len = CHUNK.min((self.most - slot) as usize);
                self.chunks.push(vec![Entry::FREE; len].into());
            }
            self.fresh += 1;
            slot
        } else {
            return None;
        };
        self.used += 1;
        *self.at_mut(slot) = entry;
        Some(slot)
    }

    /// Frees a slot that is used.
    pub(super) fn remove(&mut self, slot: u32) -> Entry {
        let free = Entry { older: self.free, ..Entry::FREE };
        self.free = slot;
        self.used -= 1;
        std::mem::replace(self.at_mut(slot), free)
    }

    /// The entries of all slots that were ever used, free ones included.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &[Entry]> {
        self.chunks.iter().map(|chunk| &**chunk)
    }
}
