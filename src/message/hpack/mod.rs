//! HPACK (RFC 7541): the fields of HTTP/2 as bytes, both ways.
//!
//! [`Decoder`] reads a connection's header blocks in their order, [`Encoder`] writes them. Each keeps a dynamic table that
//! mirrors its peer's. Blocks are whole here: CONTINUATION, limits on lists of fields and what fields may say are for who
//! reads the frames. Made for connections whose blocks say the same again and again: what is in the tables costs a few
//! dozen instructions a field, and nothing is allocated for it.

use std::fmt;

pub mod decode;
mod dynamic_table;
pub mod encode;
mod huffman;
mod integer;
mod static_table;

pub use decode::Decoder;
pub use encode::Encoder;

/// Bytes of a dynamic table as both sides begin (RFC 9113 section 6.5.2).
const FIRST_SIZE: usize = 4096;

/// Why a block cannot be read: COMPRESSION_ERROR of the connection (RFC 9113 section 4.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It names a place that neither table has.
    Index,
    /// A number has too many bytes, or is larger than any here can be.
    Integer,
    /// It ends within a field.
    Truncated,
    /// A string's Huffman code holds EOS, or its padding is not the beginning of EOS, or longer than 7 bits.
    Huffman,
    /// The dynamic table is resized to more than we allow, or behind the front of the block.
    TableSize,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Index => "no table has this index",
            Self::Integer => "a number is too large",
            Self::Truncated => "the block ends within a field",
            Self::Huffman => "a string is not of the Huffman code",
            Self::TableSize => "the dynamic table may not be resized so",
        })
    }
}

impl std::error::Error for Error {}

/// One field of a block that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// As the block spells it: nothing is checked, not even that it is in lower case.
    pub name: &'a [u8],
    /// Any bytes at all.
    pub value: &'a [u8],
    /// Where the name stands in the static table: 1 to 61, one of its places if it has several. 0: it is not there.
    pub known: u8,
    /// Whether nobody on the way may put it into a table ("never indexed", RFC 7541 section 7.1.3).
    pub is_secret: bool,
}

/// What becomes of a field that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keep {
    /// It comes again: it may enter the dynamic table.
    Index,
    /// It does not come again.
    Once,
    /// It is a secret, and nobody on the way may put it into a table.
    Never,
}

/// Whether two texts are the same; for short ones, which names are, without a call.
#[inline]
fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && match a.len() {
            0 => true,
            1..4 => a.first() == b.first() && a.last() == b.last() && a[a.len() / 2] == b[b.len() / 2],
            4..8 => have_same_ends::<4>(a, b),
            8..17 => have_same_ends::<8>(a, b),
            17..33 => have_same_ends::<16>(a, b),
            _ => a == b,
        }
}

#[inline]
fn have_same_ends<const N: usize>(a: &[u8], b: &[u8]) -> bool {
    a.first_chunk::<N>() == b.first_chunk() && a.last_chunk::<N>() == b.last_chunk()
}

#[cfg(test)]
#[path = "hpack_tests.rs"]
mod tests;
