//! Header blocks, written.
//!
//! Fields of the dynamic table are found by a hash of their name: those of one hash are a chain from the newest back, and
//! bytes decide. Nothing has to be taken out of the chains, for what left the table is older than its oldest.

use super::dynamic_table::DynamicTable;
use super::{FIRST_SIZE, Keep, huffman, integer, is_same, static_table};

/// Chains of names: as many as a full table has fields of the usual length.
const CHAINS: usize = 64;
/// Fields of a chain that are looked at.
const LOOKED_AT: usize = 16;
/// Longer strings that come once are Huffman-coded. It takes some 17 instructions a byte, and the peer has to undo it, for
/// a quarter less to send: a `Date` would cost four times as much, and save 7 bytes. So only where it saves dozens.
const LONG: usize = 256;

/// How a field's line begins (RFC 7541 section 6), and the bits that its number has there.
const INDEXED: (u8, u8) = (0x80, 0x7f);
const INDEXING: (u8, u8) = (0x40, 0x3f);
const RESIZE: (u8, u8) = (0x20, 0x1f);
const NEVER: (u8, u8) = (0x10, 0x0f);
const ONCE: (u8, u8) = (0x00, 0x0f);

/// One direction of a connection, as its sender sees it.
#[derive(Debug)]
pub struct Encoder {
    pub(super) table: DynamicTable<Mark>,
    /// The newest field of each chain, by how many were put into the table before it.
    newest: [u32; CHAINS],
    /// How many were put into it.
    inserted: u32,
    /// The lowest size since the last block, if there was another than before.
    lowest: Option<usize>,
}

/// What is kept with a field.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// A hash of it.
    hash: u32,
    /// The next of its chain.
    older: u32,
}

impl Default for Encoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Encoder {
    /// For a peer that has not told its size yet.
    #[must_use]
    pub fn new() -> Self {
        Self {
            table: DynamicTable::new(FIRST_SIZE, FIRST_SIZE),
            newest: [u32::MAX; CHAINS],
            inserted: 0,
            lowest: None,
        }
    }

    /// The peer's SETTINGS_HEADER_TABLE_SIZE; of more than 4096 no use is made. The next block tells of it where
    /// RFC 7541 section 4.2 asks, and of the lowest if there were several.
    pub fn set_table_size(&mut self, size: u32) {
        let size = (size as usize).min(FIRST_SIZE);
        if size != self.table.limit() {
            self.lowest = Some(self.lowest.map_or(size, |lowest| lowest.min(size)));
            self.table.resize(size);
        }
    }

    /// Must be called once at the front of each block.
    #[inline]
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(lowest) = self.lowest {
            self.resize(lowest, out);
        }
    }

    #[cold]
    fn resize(&mut self, lowest: usize, out: &mut Vec<u8>) {
        let last = self.table.limit();
        integer::write(RESIZE.0, RESIZE.1, lowest, out);
        if last != lowest {
            integer::write(RESIZE.0, RESIZE.1, last, out);
        }
        self.lowest = None;
    }

    /// Writes the status of an answer.
    pub fn status(&mut self, status: u16, out: &mut Vec<u8>) {
        let place = match status {
            200 => 8,
            204 => 9,
            206 => 10,
            304 => 11,
            400 => 12,
            404 => 13,
            500 => 14,
            _ => {
                let digit = |n: u16| b'0' + (status / n % 10) as u8;
                return self.field(b":status", &[digit(100), digit(10), digit(1)], Keep::Index, out);
            }
        };
        out.push(INDEXED.0 | place);
    }

    /// Writes a field. Its name is in lower case.
    pub fn field(&mut self, name: &[u8], value: &[u8], how: Keep, out: &mut Vec<u8>) {
        if how != Keep::Index {
            return self.pass(name, value, how == Keep::Never, out);
        }
        let hash = static_table::hash(name);
        match self.find(hash, sample(value, hash), name, value) {
            Some(age) => integer::write(INDEXED.0, INDEXED.1, place_of(age), out),
            None => self.enter(name, value, out),
        }
    }

    /// Writes a field that is not in the table, and puts it there if it has room.
    #[inline(never)]
    fn enter(&mut self, name: &[u8], value: &[u8], out: &mut Vec<u8>) {
        if DynamicTable::<Mark>::size_of(name, value) > self.table.limit() / 2 {
            return self.pass(name, value, false, out);
        }
        let known = static_table::find(name);
        let whole = static_table::find_value(known, value);
        if whole != 0 {
            return out.push(INDEXED.0 | whole);
        }
        if known != 0 {
            out.push(INDEXING.0 | known);
        } else {
            self.name(name, INDEXING, 0, out);
        }
        string(value, 0, out);
        let hash = static_table::hash(name);
        let older = self.newest[chain(hash)];
        self.table.insert(name, value, Mark { hash: sample(value, hash), older });
        self.newest[chain(hash)] = self.inserted;
        self.inserted = self.inserted.wrapping_add(1);
    }

    /// Writes a field that does not enter the table.
    fn pass(&self, name: &[u8], value: &[u8], is_secret: bool, out: &mut Vec<u8>) {
        let known = static_table::find(name);
        let whole = if is_secret { 0 } else { static_table::find_value(known, value) };
        if whole != 0 {
            return out.push(INDEXED.0 | whole);
        }
        let form = if is_secret { NEVER } else { ONCE };
        if known != 0 {
            integer::write(form.0, form.1, known.into(), out);
        } else {
            self.name(name, form, LONG, out);
        }
        string(value, LONG, out);
    }

    /// Writes a name that the static table has not: where it stands in the other, or as it is spelt.
    fn name(&self, name: &[u8], form: (u8, u8), raw: usize, out: &mut Vec<u8>) {
        if let Some(age) = self.find_name(static_table::hash(name), name) {
            integer::write(form.0, form.1, place_of(age), out);
        } else {
            out.push(form.0);
            string(name, raw, out);
        }
    }

    /// Looks for a field in the dynamic table. Nearly always it is the first that has its hash, if it is there.
    #[inline]
    fn find(&self, hash: u32, of_field: u32, name: &[u8], value: &[u8]) -> Option<usize> {
        let mut at = self.newest[chain(hash)];
        for _ in 0..LOOKED_AT {
            let age = self.age(at);
            let mark = self.table.mark(age)?;
            if mark.hash == of_field {
                let (its_name, its_value, _) = self.table.get(age)?;
                let is_it = is_same(its_name, name) && is_same(its_value, value);
                return if is_it { Some(age) } else { self.find_behind(mark.older, name, value) };
            }
            at = mark.older;
        }
        None
    }

    /// The same where another field has its hash.
    #[cold]
    fn find_behind(&self, mut at: u32, name: &[u8], value: &[u8]) -> Option<usize> {
        for _ in 0..LOOKED_AT {
            let age = self.age(at);
            let (its_name, its_value, mark) = self.table.get(age)?;
            if (its_name, its_value) == (name, value) {
                return Some(age);
            }
            at = mark.older;
        }
        None
    }

    /// Looks for a field of a name in the dynamic table.
    fn find_name(&self, hash: u32, name: &[u8]) -> Option<usize> {
        let mut at = self.newest[chain(hash)];
        for _ in 0..LOOKED_AT {
            let age = self.age(at);
            let (its_name, _, mark) = self.table.get(age)?;
            if its_name == name {
                return Some(age);
            }
            at = mark.older;
        }
        None
    }

    /// How many fields came after who came after so many. Who left the table, and nobody, are too old for it.
    const fn age(&self, at: u32) -> usize {
        self.inserted.wrapping_sub(1).wrapping_sub(at) as usize
    }
}

/// The place on the wire of who came so many fields before the newest.
const fn place_of(age: usize) -> usize {
    static_table::LENGTH + 1 + age
}

/// The chain of a name.
const fn chain(hash: u32) -> usize {
    hash as usize >> (32 - CHAINS.trailing_zeros())
}

/// Writes a string as it is, or as its code if that is shorter and it has more bytes than `raw`.
fn string(text: &[u8], raw: usize, out: &mut Vec<u8>) {
    if text.len() > raw {
        let length = huffman::length(text);
        if length < text.len() {
            integer::write(0x80, 0x7f, length, out);
            return huffman::encode(text, length, out);
        }
    }
    integer::write(0, 0x7f, text.len(), out);
    out.extend_from_slice(text);
}

/// A hash of a value's ends and its length, and of its name's. Whoever makes many of one hash finds them written out each
/// time.
#[inline]
fn sample(text: &[u8], name: u32) -> u32 {
    let (a, b) = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
    } else if let (Some(first), Some(last)) = (text.first(), text.last()) {
        (u64::from(*first) | u64::from(text[text.len() / 2]) << 8, (*last).into())
    } else {
        (0, 0)
    };
    let mixed = (a ^ b.rotate_left(29) ^ text.len() as u64 ^ u64::from(name) << 8)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}
