//! The lines of a head that homing wrote.

use std::ops::Range;

/// Where each line is, without its end; the last one is empty.
pub(super) struct Lines<'a> {
    head: &'a [u8],
    at: usize,
}

impl<'a> Lines<'a> {
    /// Of a head that is whole.
    pub(super) const fn of(head: &'a [u8]) -> Self {
        Self { head, at: 0 }
    }
}

impl Iterator for Lines<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self.head.get(self.at..)?;
        let start = self.at;
        let len = memchr::memchr(b'\n', rest)?;
        self.at += len + 1;
        Some(start..start + len.saturating_sub(1))
    }
}
