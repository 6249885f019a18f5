//! Header blocks, written.
//!
//! Fields of the dynamic table are found by a hash of their name: those of one hash are a chain from the newest back, and
//! bytes decide. Nothing has to be taken out of the chains, for what left the table is older than its oldest.

use super::dynamic_table::DynamicTable;
use super::{FIRST_SIZE, Keep, huffman, integer, static_table};

/// Chains of names: as many as a full table has fields of the usual length.
const CHAINS: usize = 64;
/// Fields of a chain that are looked at.
const LOOKED_AT: usize = 16;
/// Longer values that come once are Huffman-coded. A quarter less to send is worth the work only where it is much: at
/// some 7 instructions a byte, a `Date` that is coded costs more than everything else of its line.
const LONG_VALUE: usize = 64;

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
    /// A hash of its value.
    value: u32,
    /// The next of its chain.
    older: u32,
}

/// What the tables know of a field.
enum Found {
    Field(usize),
    Name(usize),
    Nothing,
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
    pub fn begin(&mut self, out: &mut Vec<u8>) {
        if let Some(lowest) = self.lowest.take() {
            let last = self.table.limit();
            integer::write(RESIZE.0, RESIZE.1, lowest, out);
            if last != lowest {
                integer::write(RESIZE.0, RESIZE.1, last, out);
            }
        }
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
        if how != Keep::Index || DynamicTable::<Mark>::size_of(name, value) > self.table.limit() / 2 {
            return self.pass(name, value, how == Keep::Never, out);
        }
        let (chain, mark) = (chain_of(name), sample(value));
        let found = self.find(chain, name, Some((value, mark)));
        if let Found::Field(age) = found {
            return integer::write(INDEXED.0, INDEXED.1, place_of(age), out);
        }
        let known = static_table::find(name);
        if known != 0 {
            let whole = static_table::find_value(known, value);
            if whole != 0 {
                return out.push(INDEXED.0 | whole);
            }
        }
        if let (0, Found::Name(age)) = (known, &found) {
            integer::write(INDEXING.0, INDEXING.1, place_of(*age), out);
        } else {
            out.push(INDEXING.0 | known);
            if known == 0 {
                string(name, 0, out);
            }
        }
        string(value, 0, out);
        self.insert(chain, name, value, mark);
    }

    /// Writes a field that does not enter the table.
    fn pass(&self, name: &[u8], value: &[u8], is_secret: bool, out: &mut Vec<u8>) {
        let (flags, mask) = if is_secret { NEVER } else { ONCE };
        let known = static_table::find(name);
        if known != 0 {
            let whole = if is_secret { 0 } else { static_table::find_value(known, value) };
            if whole != 0 {
                return out.push(INDEXED.0 | whole);
            }
            integer::write(flags, mask, known.into(), out);
        } else if let Found::Name(age) = self.find(chain_of(name), name, None) {
            integer::write(flags, mask, place_of(age), out);
        } else {
            out.push(flags);
            string(name, LONG_VALUE, out);
        }
        string(value, LONG_VALUE, out);
    }

    /// Looks for a field in the dynamic table, or for its name.
    #[inline]
    fn find(&self, chain: usize, name: &[u8], value: Option<(&[u8], u32)>) -> Found {
        let mut found = Found::Nothing;
        let mut at = self.newest[chain];
        for _ in 0..LOOKED_AT {
            let age = self.inserted.wrapping_sub(1).wrapping_sub(at) as usize;
            let Some((its_name, its_value, mark)) = self.table.get(age) else { break };
            let is_it = value.is_some_and(|(value, hash)| mark.value == hash && its_value == value);
            if (is_it || matches!(found, Found::Nothing)) && its_name == name {
                if is_it {
                    return Found::Field(age);
                }
                found = Found::Name(age);
                if value.is_none() {
                    break;
                }
            }
            at = mark.older;
        }
        found
    }

    fn insert(&mut self, chain: usize, name: &[u8], value: &[u8], hash: u32) {
        self.table.insert(name, value, Mark { value: hash, older: self.newest[chain] });
        self.newest[chain] = self.inserted;
        self.inserted = self.inserted.wrapping_add(1);
    }
}

/// The place on the wire of who came so many fields before the newest.
const fn place_of(age: usize) -> usize {
    static_table::LENGTH + 1 + age
}

/// Writes a string as it is, or as its code if that is shorter and it has more bytes than `raw`.
fn string(text: &[u8], raw: usize, out: &mut Vec<u8>) {
    if text.len() > raw {
        let length = huffman::length(text);
        if length < text.len() {
            integer::write(0x80, 0x7f, length, out);
            return huffman::encode(text, out);
        }
    }
    integer::write(0, 0x7f, text.len(), out);
    out.extend_from_slice(text);
}

fn chain_of(name: &[u8]) -> usize {
    sample(name) as usize % CHAINS
}

/// A hash of a string's ends and its length. Whoever makes many strings of one hash finds them written out each time.
#[inline]
fn sample(text: &[u8]) -> u32 {
    let (a, b) = if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        (u64::from_le_bytes(*first), u64::from_le_bytes(*last))
    } else if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        (u32::from_le_bytes(*first).into(), u32::from_le_bytes(*last).into())
    } else if let (Some(first), Some(last)) = (text.first(), text.last()) {
        (u64::from(*first) | u64::from(text[text.len() / 2]) << 8, (*last).into())
    } else {
        (0, 0)
    };
    let mixed = (a ^ b.rotate_left(29) ^ text.len() as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (mixed >> 32) as u32
}
