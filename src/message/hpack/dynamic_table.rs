//! A dynamic table (RFC 7541 section 2.3.2): fields in the order in which they came, the oldest given up first.
//!
//! Names and values stand one after the other in one buffer, each field's together, so that nothing is allocated for a
//! field and both are slices. New ones are put at its end; what was given up at its beginning is taken away when the end
//! is reached, after at least as many bytes have come as have to be moved.

use std::collections::VecDeque;

/// What a field counts beside its bytes (RFC 7541 section 4.1).
const OVERHEAD: usize = 32;
/// What the buffer begins with.
const FIRST_BYTES: usize = 512;
/// Positions are of 32 bits, and the buffer is twice as large as the table.
const MOST: usize = 1 << 30;

#[derive(Debug)]
pub(super) struct DynamicTable<M> {
    bytes: Vec<u8>,
    /// The position of the first of `bytes`; positions count up, and around.
    begin: u32,
    /// The newest first.
    entries: VecDeque<Entry<M>>,
    /// What the entries count.
    size: usize,
    /// What they may count now, and ever.
    limit: usize,
    most: usize,
}

#[derive(Debug)]
struct Entry<M> {
    at: u32,
    name: u32,
    value: u32,
    mark: M,
}

impl<M> Entry<M> {
    const fn size(&self) -> usize {
        self.name as usize + self.value as usize + OVERHEAD
    }
}

impl<M: Copy> DynamicTable<M> {
    /// An empty one that will never be larger than `most`, and is of `limit` until it is resized.
    pub(super) fn new(most: usize, limit: usize) -> Self {
        let most = most.min(MOST);
        Self { bytes: Vec::new(), begin: 0, entries: VecDeque::new(), size: 0, limit: limit.min(most), most }
    }

    /// What a field counts.
    pub(super) const fn size_of(name: &[u8], value: &[u8]) -> usize {
        name.len() + value.len() + OVERHEAD
    }

    pub(super) const fn most(&self) -> usize {
        self.most
    }

    pub(super) const fn limit(&self) -> usize {
        self.limit
    }

    /// The field that came so many fields before the newest, and its mark.
    #[inline]
    pub(super) fn get(&self, age: usize) -> Option<(&[u8], &[u8], M)> {
        let entry = self.entries.get(age)?;
        let at = entry.at.wrapping_sub(self.begin) as usize;
        let (name, value) = self.bytes.get(at..)?.split_at_checked(entry.name as usize)?;
        Some((name, value.get(..entry.value as usize)?, entry.mark))
    }

    /// The mark of who came so many fields before the newest.
    #[inline]
    pub(super) fn mark(&self, age: usize) -> Option<M> {
        self.entries.get(age).map(|entry| entry.mark)
    }

    /// Puts a field in; one that is too large for the table empties it.
    pub(super) fn insert(&mut self, name: &[u8], value: &[u8], mark: M) {
        if self.makes_room(name.len(), value.len()) {
            let at = self.end();
            self.bytes.extend_from_slice(name);
            self.push(at, name.len(), value, mark);
        }
    }

    /// The same with the name of a field that is in the table, and may leave it for this one.
    pub(super) fn insert_named_as(&mut self, age: usize, value: &[u8], mark: M) {
        let Some(entry) = self.entries.get(age) else { return };
        let (from, name) = (entry.at, entry.name as usize);
        if self.makes_room(name, value.len()) {
            let (at, from) = (self.end(), from.wrapping_sub(self.begin) as usize);
            self.bytes.extend_from_within(from..from + name);
            self.push(at, name, value, mark);
        }
    }

    /// Changes what may be in it.
    pub(super) fn resize(&mut self, limit: usize) {
        self.limit = limit.min(self.most);
        self.evict(self.limit);
    }

    fn push(&mut self, at: u32, name: usize, value: &[u8], mark: M) {
        self.bytes.extend_from_slice(value);
        let entry = Entry { at, name: name as u32, value: value.len() as u32, mark };
        self.size += entry.size();
        self.entries.push_front(entry);
    }

    /// Room for a field's bytes, in the buffer and in the table. The bytes of who leaves for it stay where they are.
    fn makes_room(&mut self, name: usize, value: usize) -> bool {
        let (bytes, size) = (name + value, name + value + OVERHEAD);
        if size > self.limit {
            self.evict(0);
            return false;
        }
        if self.bytes.len() + bytes > self.bytes.capacity() {
            self.extend_buffer(bytes);
        }
        self.evict(self.limit - size);
        true
    }

    /// Takes away what is not used at the buffer's beginning, or makes it larger. It is never larger than twice the table.
    fn extend_buffer(&mut self, bytes: usize) {
        let oldest = self.entries.back().map_or_else(|| self.end(), |entry| entry.at);
        let unused = oldest.wrapping_sub(self.begin) as usize;
        let capacity = self.bytes.capacity();
        if unused * 2 >= self.bytes.len() || capacity >= self.most * 2 {
            self.bytes.drain(..unused);
            self.begin = oldest;
        }
        let needed = self.bytes.len() + bytes;
        if needed > capacity {
            let grown = (capacity * 2).max(FIRST_BYTES).min(self.most * 2).max(needed);
            self.bytes.reserve_exact(grown - self.bytes.len());
        }
    }

    fn evict(&mut self, until: usize) {
        while self.size > until {
            let Some(oldest) = self.entries.pop_back() else { return };
            self.size -= oldest.size();
        }
    }

    const fn end(&self) -> u32 {
        self.begin.wrapping_add(self.bytes.len() as u32)
    }
}

#[cfg(test)]
impl<M: Copy> DynamicTable<M> {
    pub(super) const fn size(&self) -> usize {
        self.size
    }

    pub(super) fn capacity(&self) -> usize {
        self.bytes.capacity()
    }
}
