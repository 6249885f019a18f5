//! From a digest to a slot: open addressing with linear probes, 8 bytes per place.
//!
//! A place holds 32 bits of the digest and the slot, so that growing and removing never look at the entries. It is at
//! most four fifths full and grows by half; any number of places will do, which keeps a full shard's index as small
//! as its bound allows. Removing closes the gap: there are no tombstones.

/// Places of the smallest index.
const LEAST: usize = 64;

/// Words of (32 bits of the digest, slot + 1); 0 is an empty place.
#[derive(Debug, Default)]
pub(super) struct Index {
    places: Box<[u64]>,
    len: usize,
    /// Places when full.
    most: usize,
}

impl Index {
    /// An index for up to so many slots.
    pub(super) fn new(slots: u64) -> Self {
        Self { places: Box::default(), len: 0, most: places_for(slots) as usize }
    }

    /// The bytes that an index of so many slots allocates at most, while it grows the last time.
    pub(super) const fn bytes_for(slots: u64) -> u64 {
        let most = places_for(slots);
        8 * (most + most * 2 / 3 + LEAST as u64)
    }

    pub(super) fn bytes(&self) -> u64 {
        size_of_val(&*self.places) as u64
    }

    /// What `look` finds in the first slot under `hash` in which it finds anything.
    pub(super) fn find<T>(&self, hash: u32, look: impl Fn(u32) -> Option<T>) -> Option<T> {
        self.walk(hash, |_, slot| look(slot))
    }

    /// Adds a slot that is not there.
    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 5 > self.places.len() * 4 {
            self.grow();
        }
        self.len += 1;
        put(&mut self.places, u64::from(hash) << 32 | (u64::from(slot) + 1));
    }

    /// Removes a slot and moves up those that were kept from their place by it.
    pub(super) fn remove(&mut self, hash: u32, it: u32) {
        let Some(mut gap) = self.walk(hash, |at, slot| (slot == it).then_some(at)) else { return };
        let n = self.places.len();
        let ahead = |from: usize, to: usize| if to >= from { to - from } else { to + n - from };
        let mut at = gap;
        for _ in 1..n {
            at = next(at, n);
            let word = self.places[at];
            if word == 0 {
                break;
            }
            if ahead(first(word, n), at) >= ahead(gap, at) {
                self.places[gap] = word;
                gap = at;
            }
        }
        self.places[gap] = 0;
        self.len -= 1;
    }

    /// Goes over the places and slots under `hash`.
    fn walk<T>(&self, hash: u32, look: impl Fn(usize, u32) -> Option<T>) -> Option<T> {
        let n = self.places.len();
        let start = first(u64::from(hash) << 32, n);
        for at in (start..n).chain(0..start) {
            let word = self.places[at];
            if word == 0 {
                return None;
            }
            if (word >> 32) as u32 == hash
                && let Some(found) = look(at, slot(word))
            {
                return Some(found);
            }
        }
        None
    }

    /// Grows by half; the last step is up to twice that, so that the one before it is no needless copy.
    fn grow(&mut self) {
        let by_half = (self.places.len() * 3 / 2).max(LEAST);
        let n = if by_half * 3 / 2 >= self.most { self.most } else { by_half };
        let mut places = vec![0; n].into_boxed_slice();
        self.places.iter().filter(|word| **word != 0).for_each(|word| put(&mut places, *word));
        self.places = places;
    }
}

/// Places for so many slots: one in five stays empty.
const fn places_for(slots: u64) -> u64 {
    slots * 5 / 4 + 2
}

const fn slot(word: u64) -> u32 {
    (word as u32).wrapping_sub(1)
}

/// Where a word would be, if nobody was there before.
const fn first(word: u64, n: usize) -> usize {
    (((word >> 32) * n as u64) >> 32) as usize
}

const fn next(at: usize, n: usize) -> usize {
    if at + 1 == n { 0 } else { at + 1 }
}

fn put(places: &mut [u64], word: u64) {
    let n = places.len();
    let mut at = first(word, n);
    while places[at] != 0 {
        at = next(at, n); // There is always an empty place.
    }
    places[at] = word;
}
