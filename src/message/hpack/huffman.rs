//! The Huffman code of strings (RFC 7541 section 5.2 and appendix B).
//!
//! The code is canonical: codes of one length are numbers that follow each other in the order of their symbols, and begin
//! where those of the length before end. So its lengths are all there is to write down; every table is made from them
//! when this is compiled. A string is read by as many bits at once as most pairs of letters have.

use std::mem::take;

use super::Error;

/// Bits of each symbol's code; the last symbol is EOS.
pub(super) const LENGTHS: [u8; 257] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28,
    28, 28, 28, 28, 28, 28, 6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6,
    6, 6, 7, 8, 15, 6, 12, 10, 13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7,
    8, 13, 19, 13, 14, 6, 15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7,
    15, 11, 14, 13, 28, 20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24,
    23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24, 22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23,
    23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23, 26, 26, 20, 19, 22, 23, 22, 25, 26,
    26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27, 20, 24, 20,
    21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27,
    27, 27, 26, 30,
];
const SYMBOLS: usize = 257;
const SHORTEST: usize = 5;
const LONGEST: usize = 30;
/// Bits that are looked up at once: two of the shorter codes.
const LOOK: usize = 12;
/// Bytes that are written at once: what four looks may bring.
const STEP: usize = 8;

/// What the codes of one length are.
#[derive(Clone, Copy)]
struct Row {
    /// The first.
    first: u32,
    /// How many symbols have shorter ones.
    before: u16,
    /// The first 30 bits behind all that begin with one of them.
    end: u32,
}

static ROWS: [Row; LONGEST + 1] = {
    let mut rows = [Row { first: 0, before: 0, end: 0 }; LONGEST + 1];
    let (mut length, mut code, mut before) = (1, 0_u32, 0);
    while length <= LONGEST {
        code <<= 1;
        rows[length].first = code;
        rows[length].before = before;
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as usize == length {
                code += 1;
                before += 1;
            }
            symbol += 1;
        }
        rows[length].end = code << (LONGEST - length);
        length += 1;
    }
    assert!(code == 1 << LONGEST && before as usize == SYMBOLS, "the code is not complete");
    rows
};

/// Each byte's code and its length.
static CODES: [(u32, u32); 256] = {
    let mut codes = [(0, 0); 256];
    let mut next = ROWS;
    let mut symbol = 0;
    while symbol < codes.len() {
        let length = LENGTHS[symbol];
        codes[symbol] = (next[length as usize].first, length as u32);
        next[length as usize].first += 1;
        symbol += 1;
    }
    codes
};

/// The bytes in the order of their codes: EOS, which would be the last, is not among them.
static SORTED: [u8; 256] = {
    let mut sorted = [0; 256];
    let mut next = ROWS;
    let mut symbol = 0;
    while symbol < sorted.len() {
        let row = &mut next[LENGTHS[symbol] as usize];
        sorted[row.before as usize] = symbol as u8;
        row.before += 1;
        symbol += 1;
    }
    sorted
};

/// The one or two symbols that so many bits begin with. From the lowest bits up: the symbols, a byte each; the bits of
/// their codes; the bits of the symbols, 8 or 16. All is 0 where a longer code begins.
static LOOKS: [u32; 1 << LOOK] = {
    let one = singles();
    let mut looks = [0; 1 << LOOK];
    let mut bits = 0;
    while bits < looks.len() {
        let (symbol, length) = one[bits];
        if length > 0 {
            let (second, more) = one[(bits << length) & (looks.len() - 1)];
            looks[bits] = if more > 0 && length + more <= LOOK as u32 {
                symbol as u32 | (second as u32) << 8 | (length + more) << 16 | 16 << 24
            } else {
                symbol as u32 | length << 16 | 8 << 24
            };
        }
        bits += 1;
    }
    looks
};

/// The first symbol of so many bits, and its length.
const fn singles() -> [(u8, u32); 1 << LOOK] {
    let mut all = [(0, 0); 1 << LOOK];
    let mut symbol = 0;
    while symbol < CODES.len() {
        let (code, length) = CODES[symbol];
        if length <= LOOK as u32 {
            let spare = LOOK as u32 - length;
            let mut bits = code << spare;
            while bits < (code + 1) << spare {
                all[bits as usize] = (symbol as u8, length);
                bits += 1;
            }
        }
        symbol += 1;
    }
    all
}

/// The symbol of the code that these bits begin with, and its length. Nothing: it is EOS.
fn long(bits: u64) -> Option<(u8, u32)> {
    let bits = (bits >> (64 - LONGEST)) as u32;
    let mut length = LOOK + 1;
    while length < LONGEST && ROWS[length].end <= bits {
        length += 1;
    }
    let row = ROWS[length];
    let symbol = usize::from(row.before) + ((bits >> (LONGEST - length)) - row.first) as usize;
    SORTED.get(symbol).map(|symbol| (*symbol, length as u32))
}

/// Reads a string into the front of `into`, which is made as long as that takes and never shorter, and says how long it is.
///
/// Behind the string it reads ones, as if the padding, which has to be of ones, never ended: no code but EOS begins with
/// so many, and what reaches from the string into them was no code of it.
pub(super) fn decode(code: &[u8], into: &mut Vec<u8>) -> Result<usize, Error> {
    let most = code.len() * 8 / SHORTEST + STEP;
    if into.len() < most {
        into.resize(most, 0);
    }
    let (mut rest, mut left) = (code, code.len() * 8);
    // The first `held` of the bits are those that come next, and those behind them are 0 or right.
    let (mut bits, mut held) = (0_u64, 0_u32);
    let mut at = 0;
    // At least a byte of them is held behind each step: enough to tell padding.
    while left >= 8 || left > 0 && bits >> (64 - 8) != 0xff {
        let word = rest.first_chunk().map_or_else(|| padded(rest), |word| u64::from_be_bytes(*word));
        bits |= word >> held;
        rest = rest.get(((63 - held) >> 3) as usize..).unwrap_or_default();
        held |= 56;
        let (mut text, mut width) = (0, 0);
        let before = held;
        for _ in 0..4 {
            let packed = LOOKS[(bits >> (64 - LOOK)) as usize];
            text |= u64::from(packed & 0xffff) << width;
            width += packed >> 24;
            bits <<= packed >> 16 & 0xff;
            held -= packed >> 16 & 0xff;
        }
        if let Some(to) = into.get_mut(at..).and_then(<[u8]>::first_chunk_mut) {
            *to = text.to_le_bytes();
        }
        if width == 0 {
            // Where it is padding, what is left is less than its length.
            let (symbol, length) = long(bits).ok_or(Error::Huffman)?;
            if let Some(to) = into.get_mut(at) {
                *to = symbol;
            }
            (bits, held, width) = (bits << length, held - length, 8);
        }
        at += (width >> 3) as usize;
        left = left.checked_sub((before - held) as usize).ok_or(Error::Huffman)?;
    }
    Ok(at)
}

/// Fewer bytes than eight, and ones behind them.
fn padded(rest: &[u8]) -> u64 {
    let word = rest.iter().fold(u64::MAX, |word, byte| word << 8 | u64::from(*byte));
    word.rotate_right(8 * rest.len() as u32)
}

/// Bytes of a string's code.
pub(super) fn length(text: &[u8]) -> usize {
    let bits: usize = text.iter().map(|byte| usize::from(LENGTHS[usize::from(*byte)])).sum();
    bits.div_ceil(8)
}

/// Writes a string's code, which is of that [`length`].
pub(super) fn encode(text: &[u8], length: usize, out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + length, 0);
    let mut into = out.get_mut(start..).unwrap_or_default();
    let (mut bits, mut held) = (0_u64, 0);
    for byte in text {
        let (code, length) = CODES[usize::from(*byte)];
        bits = bits << length | u64::from(code);
        held += length;
        if held >= 32 {
            held -= 32;
            if let Some((to, after)) = take(&mut into).split_first_chunk_mut() {
                *to = ((bits >> held) as u32).to_be_bytes();
                into = after;
            }
        }
    }
    // What is left, with ones behind it.
    let last = (bits << 32 | 0xffff_ffff) >> held;
    for (to, byte) in into.iter_mut().zip((last as u32).to_be_bytes()) {
        *to = byte;
    }
}
