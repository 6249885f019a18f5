//! Header blocks, read: each field is handed out as it stands in the block, in a table, or where it was decoded to.

use super::dynamic_table::DynamicTable;
use super::{Error, FIRST_SIZE, Field, huffman, integer, static_table};

/// Bytes for decoded strings that are kept from block to block.
const KEPT_BYTES: usize = 8 * 1024;

/// One direction of a connection, as its receiver sees it.
#[derive(Debug)]
pub struct Decoder {
    /// With each field, where its name stands in the static table.
    pub(super) table: DynamicTable<u8>,
    /// Where names and values are decoded to.
    name: Vec<u8>,
    value: Vec<u8>,
}

/// How a field's line begins (RFC 7541 section 6).
const INDEXED: u8 = 0x80;
const INDEXING: u8 = 0x40;
const RESIZE: u8 = 0x20;
const NEVER: u8 = 0x10;

impl Decoder {
    /// `most`: bytes of the dynamic table that we allow (SETTINGS_HEADER_TABLE_SIZE). It begins with the 4096 that all
    /// begin with, or with `most` if that is less: who counts on more before it has read our SETTINGS gets
    /// [`Error::Index`]. With 4096 or more the peer owes us no update.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { table: DynamicTable::new(most, FIRST_SIZE), name: Vec::new(), value: Vec::new() }
    }

    /// Reads one whole header block and hands out each field in order. On an error some may have been handed out already,
    /// and this is of no more use.
    pub fn decode(&mut self, block: &[u8], mut field: impl FnMut(Field<'_>)) -> Result<(), Error> {
        let mut rest = block;
        let mut is_front = true;
        while let Some((&first, after)) = rest.split_first() {
            rest = after;
            if first & INDEXED != 0 {
                let place = integer::read(first, INDEXED - 1, &mut rest)?;
                field(self.indexed(place)?);
            } else if first & (INDEXING | RESIZE) == RESIZE {
                let size = integer::read(first, RESIZE - 1, &mut rest)?;
                if !is_front || size > self.table.most() {
                    return Err(Error::TableSize);
                }
                self.table.resize(size);
                continue;
            } else {
                self.literal(first, &mut rest, &mut field)?;
            }
            is_front = false;
        }
        for decoded in [&mut self.name, &mut self.value] {
            if decoded.len() > KEPT_BYTES {
                *decoded = Vec::new();
            }
        }
        Ok(())
    }

    /// A field that is in a table.
    #[inline]
    fn indexed(&self, place: usize) -> Result<Field<'_>, Error> {
        let (name, value, known) = match place.checked_sub(static_table::LENGTH + 1) {
            Some(age) => self.table.get(age),
            None => static_table::get(place).map(|(name, value)| (name, value, place as u8)),
        }
        .ok_or(Error::Index)?;
        Ok(Field { name, value, known, is_secret: false })
    }

    /// A field whose value is in the block, and its name perhaps.
    fn literal(
        &mut self,
        first: u8,
        rest: &mut &[u8],
        mut field: impl FnMut(Field<'_>),
    ) -> Result<(), Error> {
        let is_kept = first & INDEXING != 0;
        let is_secret = first & (INDEXING | NEVER) == NEVER;
        let place = integer::read(first, if is_kept { INDEXING - 1 } else { NEVER - 1 }, rest)?;
        if let Some(age) = place.checked_sub(static_table::LENGTH + 1) {
            let (name, _, known) = self.table.get(age).ok_or(Error::Index)?;
            let value = string(rest, &mut self.value)?;
            field(Field { name, value, known, is_secret });
            if is_kept {
                self.table.insert_named_as(age, value, known);
            }
            return Ok(());
        }
        let (name, known) = if place == 0 {
            let name = string(rest, &mut self.name)?;
            (name, static_table::find(name))
        } else {
            (static_table::get(place).ok_or(Error::Index)?.0, place as u8)
        };
        let value = string(rest, &mut self.value)?;
        field(Field { name, value, known, is_secret });
        if is_kept {
            self.table.insert(name, value, known);
        }
        Ok(())
    }
}

/// The string that comes next: from the block, or decoded.
fn string<'t, 'b: 't>(rest: &mut &'b [u8], decoded: &'t mut Vec<u8>) -> Result<&'t [u8], Error> {
    const IS_HUFFMAN: u8 = 0x80;
    let (&first, mut after) = rest.split_first().ok_or(Error::Truncated)?;
    let length = integer::read(first, IS_HUFFMAN - 1, &mut after)?;
    let (text, after) = after.split_at_checked(length).ok_or(Error::Truncated)?;
    *rest = after;
    if first & IS_HUFFMAN == 0 {
        return Ok(text);
    }
    let length = huffman::decode(text, decoded)?;
    Ok(decoded.get(..length).unwrap_or_default())
}
