//! One part of the table: entries in a slab, an index into it, and two lists through it.
//!
//! `recent` runs from the session put last to the longest idle. `retired` holds those whose ids were replaced, from the
//! one retired last to the first; they end in about that order.

use super::digest::Digest;
use super::index::Index;
use super::slab::{Entry, NONE, Slab};
use super::{Evicted, Figures, Held, NameNo, Outcome, Put, Record, Times};
use crate::base::time::UnixSeconds;

#[derive(Debug)]
pub(super) struct Shard {
    slab: Slab,
    index: Index,
    recent: List,
    retired: List,
    evicted: u64,
    evicted_live: u64,
}

/// A copy of a shard's entries, to be read at leisure. Kept from shard to shard for its memory.
#[derive(Debug, Default)]
pub struct ShardCopy {
    entries: Vec<Entry>,
    /// The oldest of each list.
    ends: [u32; 2],
}

/// A list through the slab, by slots.
#[derive(Clone, Copy, Debug)]
struct List {
    newest: u32,
    oldest: u32,
}

impl Shard {
    /// A shard for so many entries, or for what fits the bytes.
    pub(super) fn new(entries: u64, bytes: u64) -> Self {
        let (mut fits, mut too_many) = (1, entries.max(1) + 1);
        while fits + 1 < too_many {
            let middle = fits.midpoint(too_many);
            if Self::bytes_for(middle) <= bytes { fits = middle } else { too_many = middle }
        }
        Self {
            slab: Slab::new(u32::try_from(fits).unwrap_or(NONE)),
            index: Index::new(fits),
            recent: List::EMPTY,
            retired: List::EMPTY,
            evicted: 0,
            evicted_live: 0,
        }
    }

    /// The bytes that a shard of so many entries allocates at most, at the worst moment of growing.
    pub(super) const fn bytes_for(entries: u64) -> u64 {
        let fixed = 2 * size_of::<Self>() as u64; // With its lock, on cache lines of its own.
        fixed + Slab::bytes_for(entries) + Index::bytes_for(entries)
    }

    pub(super) fn get(&self, digest: Digest) -> Option<Held> {
        self.index
            .find(digest.place(), |slot| Some(self.slab.at(slot)).filter(|at| at.digest == digest))
            .map(Entry::held)
    }

    pub(super) fn put(&mut self, digest: Digest, record: Record, now: UnixSeconds, times: Times) -> Put {
        let Record { home, origin, issued } = record;
        if let Some(slot) = self.find(digest) {
            let before = self.slab.at(slot).held();
            if before.ends.is_none_or(|ends| ends > now) {
                let held = Held { home, origin, issued, last_seen: now, ends: before.ends };
                self.renew(slot, held);
                let last_seen = before.last_seen;
                let outcome = if before.home == home {
                    Outcome::Refreshed { last_seen }
                } else {
                    Outcome::Moved { from: before.home, last_seen }
                };
                return Put { outcome, evicted: None };
            }
            self.remove(slot);
        }
        let evicted = self.make_room().map(|held| {
            let was_live = held.ends.is_none() && held.expired(now, times).is_none();
            self.evicted += 1;
            self.evicted_live += u64::from(was_live);
            Evicted { held, was_live }
        });
        self.add(digest, Held { home, origin, issued, last_seen: now, ends: None });
        Put { outcome: Outcome::Created, evicted }
    }

    pub(super) fn restore(&mut self, digest: Digest, held: Held) {
        if let Some(slot) = self.find(digest) {
            self.remove(slot);
        }
        self.make_room();
        self.add(digest, held);
    }

    pub(super) fn move_to(&mut self, digest: Digest, home: NameNo) -> Option<Held> {
        let slot = self.find(digest)?;
        let entry = self.slab.at_mut(slot);
        let before = entry.held();
        (entry.home, entry.origin) = (home.0, NONE);
        Some(before)
    }

    pub(super) fn end(&mut self, digest: Digest) -> Option<Held> {
        self.find(digest).map(|slot| self.remove(slot))
    }

    pub(super) fn retire(&mut self, digest: Digest, now: UnixSeconds, left: u32) -> Option<Held> {
        let slot = self.find(digest)?;
        let before = self.slab.at(slot).held();
        let ends = now.0.saturating_add(left).max(1);
        if before.ends.is_none() {
            self.recent.unlink(&mut self.slab, slot);
            self.retired.push(&mut self.slab, slot);
        }
        self.slab.at_mut(slot).ends = before.ends.map_or(ends, |said| said.0.min(ends));
        Some(before)
    }

    pub(super) fn sweep(&mut self, now: UnixSeconds, times: Times, budget: usize) -> usize {
        let mut freed = 0;
        while freed < budget {
            let over = |held: Held| match held.ends {
                Some(ends) => ends <= now,
                None => held.expired(now, times).is_some(),
            };
            let oldest = [self.retired.oldest, self.recent.oldest];
            let found = oldest.into_iter().find(|slot| *slot != NONE && over(self.slab.at(*slot).held()));
            let Some(slot) = found else { break };
            self.remove(slot);
            freed += 1;
        }
        freed
    }

    pub(super) fn figures(&self) -> Figures {
        Figures {
            entries: self.slab.used().into(),
            capacity: self.slab.most().into(),
            bytes: size_of::<Self>() as u64 + self.slab.bytes() + self.index.bytes(),
            evicted: self.evicted,
            evicted_live: self.evicted_live,
        }
    }

    /// Lists sessions from slot `from` on, until `into` holds `most` or `left` slots were looked at; returns the slot to
    /// go on with, if the shard has more.
    pub(super) fn list(
        &self,
        from: u32,
        left: &mut u32,
        home: Option<NameNo>,
        most: usize,
        into: &mut Vec<(Digest, Held)>,
    ) -> Option<u32> {
        for slot in from..self.slab.fresh() {
            if *left == 0 || into.len() >= most {
                return Some(slot);
            }
            *left -= 1;
            let entry = self.slab.at(slot);
            if entry.home != NONE && home.is_none_or(|home| home.0 == entry.home) {
                into.push((entry.digest, entry.held()));
            }
        }
        None
    }

    pub(super) fn copy(&self, into: &mut ShardCopy) {
        into.entries.reserve(self.slab.fresh() as usize);
        self.slab.chunks().for_each(|chunk| into.entries.extend_from_slice(chunk));
        into.ends = [self.retired.oldest, self.recent.oldest];
    }

    /// Orders `recent` by last use and `retired` by end; those with the same time stay as they are.
    pub(super) fn reorder(&mut self) {
        for (list, key) in [
            (&mut self.recent, (|entry| entry.last_seen) as fn(&Entry) -> u32),
            (&mut self.retired, |entry| entry.ends),
        ] {
            let mut order = Vec::new();
            let mut slot = list.oldest;
            while slot != NONE {
                let entry = self.slab.at(slot);
                order.push((key(entry), slot));
                slot = entry.newer;
            }
            order.sort_by_key(|(time, _)| *time);
            *list = List::EMPTY;
            order.iter().for_each(|(_, slot)| list.push(&mut self.slab, *slot));
        }
    }

    fn find(&self, digest: Digest) -> Option<u32> {
        self.index.find(digest.place(), |slot| Some(slot).filter(|slot| self.slab.at(*slot).digest == digest))
    }

    /// Adds a session that is not there, if there is room.
    fn add(&mut self, digest: Digest, held: Held) {
        let Some(slot) = self.slab.add(Entry::new(digest, held)) else { return };
        self.index.insert(digest.place(), slot);
        let list = if held.ends.is_some() { &mut self.retired } else { &mut self.recent };
        list.push(&mut self.slab, slot);
    }

    /// Frees a slot if none is free.
    fn make_room(&mut self) -> Option<Held> {
        if self.slab.used() < self.slab.most() {
            return None;
        }
        let oldest = [self.retired.oldest, self.recent.oldest];
        oldest.into_iter().find(|slot| *slot != NONE).map(|slot| self.remove(slot))
    }

    /// Writes over a session and makes it the newest; a retired one stays where it is.
    fn renew(&mut self, slot: u32, held: Held) {
        let entry = self.slab.at_mut(slot);
        let (newer, older) = (entry.newer, entry.older);
        *entry = Entry { newer, older, ..Entry::new(entry.digest, held) };
        if !entry.is_retired() && newer != NONE {
            self.recent.unlink(&mut self.slab, slot);
            self.recent.push(&mut self.slab, slot);
        }
    }

    fn remove(&mut self, slot: u32) -> Held {
        let entry = *self.slab.at(slot);
        let held = entry.held();
        self.index.remove(entry.digest.place(), slot);
        let list = if entry.is_retired() { &mut self.retired } else { &mut self.recent };
        list.unlink(&mut self.slab, slot);
        self.slab.remove(slot);
        held
    }
}

impl List {
    const EMPTY: Self = Self { newest: NONE, oldest: NONE };

    /// Adds a slot that is in no list, as the newest.
    fn push(&mut self, slab: &mut Slab, slot: u32) {
        let entry = slab.at_mut(slot);
        (entry.newer, entry.older) = (NONE, self.newest);
        match self.newest {
            NONE => self.oldest = slot,
            newest => slab.at_mut(newest).newer = slot,
        }
        self.newest = slot;
    }

    /// Takes a slot of this list out of it.
    fn unlink(&mut self, slab: &mut Slab, slot: u32) {
        let Entry { newer, older, .. } = *slab.at(slot);
        match newer {
            NONE => self.newest = older,
            newer => slab.at_mut(newer).older = older,
        }
        match older {
            NONE => self.oldest = newer,
            older => slab.at_mut(older).newer = newer,
        }
    }
}

impl ShardCopy {
    /// The sessions, from the one that would go first to the newest.
    pub fn sessions(&self) -> impl Iterator<Item = (Digest, Held)> {
        let entry = |slot: u32| self.entries.get(slot as usize);
        self.ends.into_iter().flat_map(move |oldest| {
            std::iter::successors(entry(oldest), move |at| entry(at.newer)).map(|e| (e.digest, e.held()))
        })
    }

    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.ends = [NONE; 2];
    }
}
