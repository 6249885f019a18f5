//! Numbers (RFC 7541 section 5.1): as many bits of a byte as are left, then seven bits a byte, the lowest first.

use super::Error;

/// Bytes after the first: 35 bits, more than any number here needs.
const MOST_BYTES: usize = 5;

/// The number that begins in the bits `mask` of `first` and goes on in `rest`, which it is taken from.
#[inline]
pub(super) fn read(first: u8, mask: u8, rest: &mut &[u8]) -> Result<usize, Error> {
    let low = first & mask;
    if low < mask { Ok(low.into()) } else { go_on(mask, rest) }
}

fn go_on(mask: u8, rest: &mut &[u8]) -> Result<usize, Error> {
    let mut number = u64::from(mask);
    for (n, byte) in rest.iter().take(MOST_BYTES).enumerate() {
        number += u64::from(byte & 0x7f) << (7 * n);
        if byte & 0x80 == 0 {
            *rest = rest.get(n + 1..).unwrap_or_default();
            return u32::try_from(number).map(|n| n as usize).map_err(|_| Error::Integer);
        }
    }
    Err(if rest.len() < MOST_BYTES { Error::Truncated } else { Error::Integer })
}

/// Writes a number: its beginning into the bits `mask` of a byte whose other bits are `flags`.
#[inline]
pub(super) fn write(flags: u8, mask: u8, number: usize, out: &mut Vec<u8>) {
    if number < mask.into() {
        out.push(flags | number as u8);
    } else {
        write_long(flags, mask, number, out);
    }
}

fn write_long(flags: u8, mask: u8, number: usize, out: &mut Vec<u8>) {
    out.push(flags | mask);
    let mut left = number - usize::from(mask);
    while left >= 0x80 {
        out.push(left as u8 | 0x80);
        left >>= 7;
    }
    out.push(left as u8);
}
