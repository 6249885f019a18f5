//! What a connection's last request told of its session: a client sends the same bytes with every request, and reading
//! them once will do.
//!
//! It holds what the bytes say, and never whether that is still true: a pin is recalled within its slot only, an id is
//! looked up in the table each time, and nothing is recalled by a pool that has changed. Bytes are compared as a whole.

use std::cell::Cell;

use super::Session;
use super::routed::Named;
use super::table::Digest;
use crate::base::time::UnixSeconds;

/// Longest bytes that are remembered; longer ones are read each time.
const MOST: usize = 1024;

/// One connection's memory.
#[derive(Debug, Default)]
pub struct Memory {
    /// The digest of the pool that read it.
    pool: u64,
    /// The `Cookie` line, or the header's value.
    bytes: Vec<u8>,
    told: Option<Told>,
    /// Whether they are those of this request.
    is_present: bool,
    /// Whether they are a `Cookie` line, the only one.
    is_line: bool,
    /// What is taken out of them, if they are a `Cookie` line.
    cut: Cell<Option<Cut>>,
}

/// What the bytes say by themselves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Told {
    /// A pin, as it is worth at these times.
    Pin { session: Session, since: UnixSeconds, until: UnixSeconds },
    /// An application's id, by its digest and the hash that is the session's key.
    Id { digest: Digest, key: u64 },
    /// The same, and whom it names.
    Route { digest: Digest, key: u64, named: Option<Named> },
}

/// What is left of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// All of it.
    Nothing,
    /// What stands before the first place, and from the second on.
    Out(usize, usize),
    /// Nothing: it is dropped.
    Line,
}

impl Memory {
    /// A new request: nothing is known of its bytes.
    pub fn begin(&mut self) {
        self.is_present = false;
    }

    /// What these bytes told the pool of this digest.
    pub(super) fn recall(&mut self, pool: u64, bytes: &[u8]) -> Option<Told> {
        self.is_present = self.pool == pool && self.bytes == bytes;
        self.told.filter(|_| self.is_present)
    }

    /// Remembers what they told.
    pub(super) fn keep(&mut self, pool: u64, bytes: &[u8], is_line: bool, told: Told) {
        if bytes.len() > MOST {
            return;
        }
        if !(self.pool == pool && self.bytes == bytes) {
            self.bytes.clear();
            self.bytes.extend_from_slice(bytes);
            self.cut.set(None);
        }
        (self.pool, self.told, self.is_present, self.is_line) = (pool, Some(told), true, is_line);
    }

    /// What is to be cut out of this line, if that is known.
    #[must_use]
    pub fn cut(&self, line: &[u8]) -> Option<Cut> {
        debug_assert!(!self.is_present || !self.is_line || self.bytes == line, "it is the only line");
        self.cut.get().filter(|_| self.is_present && self.is_line)
    }

    /// Remembers what was left of this line.
    pub fn was_cut(&self, line: &[u8], left: Option<&[u8]>) {
        if !self.is_present || !self.is_line || self.bytes != line {
            return;
        }
        let cut = match left {
            None => Some(Cut::Line),
            Some(left) if left == line => Some(Cut::Nothing),
            Some(left) => {
                let before = line.iter().zip(left).take_while(|(a, b)| a == b).count();
                let after = line.len() - (left.len() - before);
                (line.get(after..) == left.get(before..)).then_some(Cut::Out(before, after))
            }
        };
        self.cut.set(cut);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told() -> Told {
        let session = Session::begin(7, UnixSeconds(100));
        Told::Pin { session, since: UnixSeconds(100), until: UnixSeconds(160) }
    }

    #[test]
    fn only_the_same_bytes_of_the_same_pool_are_recalled() {
        let mut memory = Memory::default();
        assert!(memory.recall(1, b"").is_none());
        memory.keep(1, b"srv=abc", true, told());
        assert!(memory.recall(1, b"srv=abc").is_some());
        for (pool, bytes) in
            [(2, &b"srv=abc"[..]), (1, b"srv=abd"), (1, b"srv=ab"), (1, b"srv=abcd"), (1, b"")]
        {
            assert!(memory.recall(pool, bytes).is_none(), "{pool} {bytes:?}");
        }
        memory.keep(1, &[b'x'; MOST + 1], true, told());
        assert!(memory.recall(1, &[b'x'; MOST + 1]).is_none());
        assert!(memory.recall(1, b"srv=abc").is_some(), "what was too long pushed nothing out");
    }

    #[test]
    fn what_is_left_of_a_line_is_found_again() {
        for (line, left, expected) in [
            ("a=1; srv=x; b=2", Some("a=1; b=2"), Cut::Out(5, 12)),
            ("srv=x; b=2", Some("b=2"), Cut::Out(0, 7)),
            ("a=1; srv=x", Some("a=1"), Cut::Out(3, 10)),
            ("srv=x", None, Cut::Line),
            ("a=1", Some("a=1"), Cut::Nothing),
        ] {
            let mut memory = Memory::default();
            memory.keep(1, line.as_bytes(), true, told());
            assert_eq!(memory.cut(line.as_bytes()), None);
            memory.was_cut(line.as_bytes(), left.map(str::as_bytes));
            assert_eq!(memory.cut(line.as_bytes()), Some(expected), "{line}");
            if let (Some(left), Cut::Out(before, after)) = (left, expected) {
                assert_eq!([&line[..before], &line[after..]].concat(), left);
            }
            memory.begin();
            assert_eq!(memory.cut(line.as_bytes()), None, "of another request nothing is known");
            memory.keep(1, b"other", true, told());
            assert_eq!(memory.cut(b"other"), None);
        }
        let mut memory = Memory::default();
        memory.keep(1, b"srv=x; a=1; srv=y", true, told());
        memory.was_cut(b"srv=x; a=1; srv=y", Some(b"a=1"));
        assert_eq!(memory.cut(b"srv=x; a=1; srv=y"), None, "two places are cut out the long way");
    }
}
