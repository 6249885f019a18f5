//! One worker's cache of opened pins: a client sends the same text with every request, and opening it once will do.
//!
//! It holds what the text says and never whether that is still true: times are checked and the backend is looked up on
//! every hit. An entry is found by a hash and believed only if the whole text and the whole binding (pool, cookie
//! name, ring of keys) are the same, so that a collision costs an opening and never a wrong pin. Values that do not
//! open are not held: they would push out those that do.

use std::fmt;

use super::seal::Sealed;
use crate::base::hash::hash64_seeded;
use crate::base::time::UnixSeconds;

/// Pins held per worker if nothing else is said: about 1.2 MiB when full.
pub const ENTRIES: usize = 4096;
/// Room for text and ids of one entry; longer ones (ids beyond 73 bytes, of two together) are opened each time.
const ROOM: usize = 256;

/// What a text must have been opened with: a hash of pool, cookie name and ring that no two configurations share.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Binding(pub(super) [u64; 2]);

/// Opened pins, of all pools; two places for each hash, the longer unused one is given away.
pub struct OpenedCache {
    sets: Box<[[Place; 2]]>,
    seed: u64,
}

#[derive(Clone, Default)]
struct Place {
    hash: u64,
    entry: Option<Box<Entry>>,
}

#[derive(Clone)]
struct Entry {
    binding: Binding,
    session: u64,
    issued: UnixSeconds,
    last_seen: UnixSeconds,
    boot: u32,
    text_len: usize,
    backend_end: usize,
    end: usize,
    /// The text, then the backend's id, then that of the first home, if there is one.
    bytes: [u8; ROOM],
}

impl OpenedCache {
    /// A cache of about `entries` entries, whose memory is taken as they come. `seed` keeps clients from knowing which
    /// pins push out which.
    #[must_use]
    pub fn new(entries: usize, seed: u64) -> Self {
        let sets = (entries / 2).clamp(1, 1 << 20).next_power_of_two();
        Self { sets: vec![<[Place; 2]>::default(); sets].into(), seed }
    }

    /// What `text` opened to under `binding`, if it is held.
    pub(super) fn get(&mut self, binding: Binding, text: &[u8]) -> Option<Sealed<'_>> {
        let (hash, set) = self.set(binding, text);
        let [first, second] = set;
        if !first.holds(hash, binding, text) {
            if !second.holds(hash, binding, text) {
                return None;
            }
            std::mem::swap(first, second);
        }
        first.entry.as_ref().and_then(|entry| entry.sealed())
    }

    /// Holds what `text` opened to under `binding`.
    pub(super) fn put(&mut self, binding: Binding, text: &[u8], sealed: &Sealed<'_>) {
        let origin = sealed.origin.unwrap_or_default();
        let backend_end = text.len() + sealed.backend.len();
        let end = backend_end + origin.len();
        if end > ROOM {
            return;
        }
        let (hash, [first, second]) = self.set(binding, text);
        std::mem::swap(first, second);
        first.hash = hash;
        let entry = first.entry.get_or_insert_with(|| Box::new(Entry::EMPTY));
        let all = text.iter().chain(sealed.backend.as_bytes()).chain(origin.as_bytes());
        entry.bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        (entry.binding, entry.text_len) = (binding, text.len());
        (entry.backend_end, entry.end) = (backend_end, end);
        (entry.session, entry.boot) = (sealed.session, sealed.boot);
        (entry.issued, entry.last_seen) = (sealed.issued, sealed.last_seen);
    }

    fn set(&mut self, binding: Binding, text: &[u8]) -> (u64, &mut [Place; 2]) {
        let hash = hash64_seeded(text, self.seed ^ binding.0[0]);
        let at = hash as usize & (self.sets.len() - 1);
        (hash, &mut self.sets[at])
    }
}

impl fmt::Debug for OpenedCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenedCache").field("sets", &self.sets.len()).finish_non_exhaustive()
    }
}

impl Place {
    fn holds(&self, hash: u64, binding: Binding, text: &[u8]) -> bool {
        let is_same =
            |entry: &Entry| entry.binding == binding && entry.bytes.get(..entry.text_len) == Some(text);
        self.hash == hash && self.entry.as_deref().is_some_and(is_same)
    }
}

impl Entry {
    const EMPTY: Self = Self {
        binding: Binding([0; 2]),
        session: 0,
        issued: UnixSeconds(0),
        last_seen: UnixSeconds(0),
        boot: 0,
        text_len: 0,
        backend_end: 0,
        end: 0,
        bytes: [0; ROOM],
    };

    fn sealed(&self) -> Option<Sealed<'_>> {
        let id = |from, to| std::str::from_utf8(self.bytes.get(from..to)?).ok();
        let backend = id(self.text_len, self.backend_end)?;
        let origin = if self.end > self.backend_end { id(self.backend_end, self.end) } else { None };
        let Self { session, issued, last_seen, boot, .. } = *self;
        Some(Sealed { backend, origin, session, issued, last_seen, boot })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sealed(backend: &str, session: u64) -> Sealed<'_> {
        Sealed { backend, origin: None, session, issued: UnixSeconds(1), last_seen: UnixSeconds(2), boot: 3 }
    }

    #[test]
    fn what_was_put_is_got_under_its_binding_only() {
        let (here, there) = (Binding([1, 2]), Binding([1, 3]));
        let mut cache = OpenedCache::new(16, 7);
        cache.put(here, b"text", &sealed("a", 1));
        assert_eq!(cache.get(here, b"text"), Some(sealed("a", 1)));
        let moved = Sealed { origin: Some("home"), ..sealed("b", 1) };
        cache.put(here, b"moved", &moved);
        assert_eq!(cache.get(here, b"moved"), Some(moved));
        assert_eq!(cache.get(there, b"text"), None);
        assert_eq!(cache.get(here, b"tex"), None);
        assert_eq!(cache.get(here, b"texta"), None, "the id is no part of the text");
    }

    #[test]
    fn of_three_with_one_hash_the_longest_unused_is_given_away() {
        let (binding, mut cache) = (Binding([1, 2]), OpenedCache::new(2, 7));
        cache.put(binding, b"a", &sealed("a", 1));
        cache.put(binding, b"b", &sealed("b", 2));
        assert!(cache.get(binding, b"a").is_some());
        cache.put(binding, b"c", &sealed("c", 3));
        assert!(cache.get(binding, b"a").is_some() && cache.get(binding, b"c").is_some());
        assert_eq!(cache.get(binding, b"b"), None);
    }

    #[test]
    fn what_has_no_room_is_not_held() {
        let (binding, mut cache) = (Binding([1, 2]), OpenedCache::new(2, 7));
        cache.put(binding, &[b'x'; ROOM], &sealed("a", 1));
        assert_eq!(cache.get(binding, &[b'x'; ROOM]), None);
        cache.put(binding, &[b'x'; ROOM - 1], &sealed("a", 1));
        assert_eq!(cache.get(binding, &[b'x'; ROOM - 1]), Some(sealed("a", 1)));
    }

    proptest! {
        #[test]
        fn a_hit_is_what_was_put_last(steps in prop::collection::vec((0_u64..40, any::<u64>()), 0..300)) {
            let mut cache = OpenedCache::new(16, 1);
            let mut truth = std::collections::HashMap::new();
            for (n, session) in steps {
                let (binding, text) = (Binding([n % 3, 0]), (n / 3).to_string());
                if let Some(hit) = cache.get(binding, text.as_bytes()) {
                    prop_assert_eq!(Some(&hit.session), truth.get(&n));
                }
                cache.put(binding, text.as_bytes(), &sealed(&text, session));
                truth.insert(n, session);
            }
        }
    }
}
