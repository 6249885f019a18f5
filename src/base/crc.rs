//! The CRC-32 of zlib and nginx, for keys: as short as they are, all of a key's bytes are looked up at once.
//!
//! Sixteen tables tell what a byte becomes that 0 to 15 others follow (Kounavis and Berry, Novel Table Lookup-Based
//! Algorithms for High-Performance CRC Generation, 2008). Zeros before the first byte change nothing, so that a key of 4
//! to 16 bytes is one step, whatever its length. Long ones are left to `crc32fast`, which has instructions for them.

/// From here on those instructions are quicker.
const LONG: usize = 128;
/// The polynomial, its lowest power in the highest bit.
const POLYNOMIAL: u32 = 0xedb8_8320;

/// What byte `b` has become when `k` zeros followed it, at `[k][b]`.
static TABLES: [[u32; 256]; 16] = {
    let mut tables = [[0; 256]; 16];
    let mut b = 0;
    while b < 256 {
        let (mut crc, mut k) = (b as u32, 0);
        while k < 16 {
            let mut bit = 0;
            while bit < 8 {
                crc = if crc & 1 == 1 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
                bit += 1;
            }
            tables[k][b] = crc;
            k += 1;
        }
        b += 1;
    }
    tables
};

/// The CRC-32 of `bytes`.
#[inline]
#[must_use]
pub fn crc32(bytes: &[u8]) -> u32 {
    crc32_after(0, bytes)
}

/// The CRC-32 of `bytes` behind others, whose own is `crc`.
#[inline]
#[must_use]
pub fn crc32_after(crc: u32, bytes: &[u8]) -> u32 {
    if bytes.len() >= LONG {
        let mut hasher = crc32fast::Hasher::new_with_initial(crc);
        hasher.update(bytes);
        return hasher.finalize();
    }
    // What is more than whole steps comes first.
    let (head, steps) = bytes.split_at(bytes.len() % 16);
    let (blocks, _) = steps.as_chunks();
    let whole = |state: u32, block: &[u8; 16]| step(u128::from_le_bytes(*block) ^ u128::from(state));
    !blocks.iter().fold(lead(!crc, head), whole)
}

/// The state after fewer than 16 bytes.
#[inline]
fn lead(state: u32, head: &[u8]) -> u32 {
    let bits = 8 * head.len();
    // Both ends, which may overlap.
    let letters = if let (Some(first), Some(last)) = (head.first_chunk(), head.last_chunk()) {
        let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
        u128::from(first) | u128::from(last) << (bits - 64)
    } else if let (Some(first), Some(last)) = (head.first_chunk(), head.last_chunk()) {
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        u128::from(u64::from(first) | u64::from(last) << (bits - 32))
    } else {
        let by = |state: u32, byte: &u8| state >> 8 ^ TABLES[0][usize::from(state as u8 ^ byte)];
        return head.iter().fold(state, by);
    };
    step((letters ^ u128::from(state)) << (128 - bits))
}

/// What 16 bytes become, the state mixed into the first four that are there.
#[inline]
fn step(block: u128) -> u32 {
    let bytes = block.to_le_bytes();
    TABLES.iter().rev().zip(bytes).fold(0, |state, (table, byte)| state ^ table[usize::from(byte)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn known_values_come_out() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        assert_eq!([crc32(b""), crc32(b"a"), crc32(b"abc")], [0, 0xe8b7_be43, 0x3524_41c2]);
    }

    proptest! {
        #[test]
        fn every_length_is_as_a_library_has_it(
            bytes in prop::collection::vec(any::<u8>(), 0..300),
            cut in 0_usize..40,
        ) {
            for bytes in [&bytes[..], bytes.get(..cut).unwrap_or_default()] {
                prop_assert_eq!(crc32(bytes), crc32fast::hash(bytes));
                let (before, behind) = bytes.split_at(cut.min(bytes.len()));
                prop_assert_eq!(crc32_after(crc32(before), behind), crc32fast::hash(bytes));
            }
        }
    }
}
