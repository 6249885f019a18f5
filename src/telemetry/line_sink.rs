//! Where the pieces of a line go: fast into a fixed array, or slowly into a growing buffer with escapes.
//!
//! Nearly every line is short and needs no escape. Such a line is put together in [`Scratch`] without a call to
//! `memcpy`: text is moved 8 or 16 bytes at a time, and what moves is checked on the way. If the check finds something, or
//! the room ends, the line is made again by [`Json`] or [`Combined`], which can do everything.

/// Takes the pieces of a line in order.
pub(super) trait Sink {
    /// Text that is known here and needs no escape.
    fn fixed<const N: usize>(&mut self, piece: &[u8; N]);
    /// The same, then text that may need escapes.
    fn text<const N: usize>(&mut self, before: &[u8; N], value: &[u8]);
    /// The same, then text that needs none: words of ours, addresses, tokens.
    fn word<const N: usize>(&mut self, before: &[u8; N], value: &[u8]) {
        self.text(before, value);
    }
    /// A number in decimal.
    fn number(&mut self, n: u64);
}

/// Room for one line that needs no escape.
#[derive(Debug)]
pub(super) struct Scratch(Box<[u8; ROOM]>);

/// A line being put together in a [`Scratch`].
#[derive(Debug)]
pub(super) struct Quick<'a> {
    rest: &'a mut [u8],
    /// A top bit is set where a byte that needs an escape went by, or something did not fit.
    dirty: u64,
}

/// Writes JSON with escapes.
#[derive(Debug)]
pub(super) struct Json<'a>(pub(super) &'a mut Vec<u8>);

/// Writes the combined format with nginx's escapes.
#[derive(Debug)]
pub(super) struct Combined<'a>(pub(super) &'a mut Vec<u8>);

/// Bytes; lines of common requests have 300 to 700.
const ROOM: usize = 4096;
const TOP_BITS: u64 = u64::from_ne_bytes([0x80; 8]);
const HEX: &[u8; 16] = b"0123456789abcdef";

impl Scratch {
    pub(super) fn new() -> Self {
        Self(Box::new([0; ROOM]))
    }

    /// The line that `write` makes; `None` if it has to be made the slow way.
    #[inline]
    pub(super) fn line(&mut self, write: impl FnOnce(&mut Quick<'_>)) -> Option<&[u8]> {
        let mut quick = Quick { rest: &mut self.0[..], dirty: 0 };
        write(&mut quick);
        let (dirty, left) = (quick.dirty, quick.rest.len());
        if dirty & TOP_BITS == 0 { self.0.get(..ROOM - left) } else { None }
    }
}

impl<'a> Quick<'a> {
    /// The next `n` bytes of room.
    #[inline(always)]
    fn room(&mut self, n: usize) -> &'a mut [u8] {
        match std::mem::take(&mut self.rest).split_at_mut_checked(n) {
            Some((room, rest)) => {
                self.rest = rest;
                room
            }
            None => {
                self.dirty = TOP_BITS;
                &mut []
            }
        }
    }
}

impl Sink for Quick<'_> {
    #[inline(always)]
    fn fixed<const N: usize>(&mut self, piece: &[u8; N]) {
        if let Some(room) = self.room(N).first_chunk_mut() {
            *room = *piece;
        }
    }

    #[inline(always)]
    fn text<const N: usize>(&mut self, before: &[u8; N], value: &[u8]) {
        if let Some((room, rest)) = self.room(N + value.len()).split_first_chunk_mut() {
            *room = *before;
            self.dirty |= copy(rest, value, suspects);
        }
    }

    #[inline(always)]
    fn word<const N: usize>(&mut self, before: &[u8; N], value: &[u8]) {
        if let Some((room, rest)) = self.room(N + value.len()).split_first_chunk_mut() {
            *room = *before;
            self.dirty |= copy(rest, value, |_| 0);
        }
    }

    #[inline]
    fn number(&mut self, n: u64) {
        if n < 10 {
            self.fixed(&[b'0' + n as u8]);
        } else {
            self.word(b"", itoa::Buffer::new().format(n).as_bytes());
        }
    }
}

/// Copies text to where it just fits; what it returns has a top bit set if `check` finds a byte that needs an escape.
/// Two pieces that may overlap cover any length between one piece and two.
fn copy(to: &mut [u8], from: &[u8], check: impl Fn([u8; 8]) -> u64 + Copy) -> u64 {
    let n = from.len();
    if to.len() != n {
        return TOP_BITS;
    }
    if n >= 32 {
        copy_long(to, from, check)
    } else if n >= 16 {
        copy_ends::<16>(to, from, |bytes| {
            let (words, _) = bytes.as_chunks();
            words.iter().fold(0, |dirty, &word| dirty | check(word))
        })
    } else if n >= 8 {
        copy_ends::<8>(to, from, |bytes| check(*bytes))
    } else if n >= 4 {
        copy_ends::<4>(to, from, |&[a, b, c, d]| check([a, b, c, d, b' ', b' ', b' ', b' ']))
    } else if n > 0 {
        let [a, b, c] = [from[0], from[n / 2], from[n - 1]];
        (to[0], to[n / 2], to[n - 1]) = (a, b, c);
        check([a, b, c, b' ', b' ', b' ', b' ', b' '])
    } else {
        0
    }
}

/// Copies N to 2 N bytes.
#[inline(always)]
fn copy_ends<const N: usize>(to: &mut [u8], from: &[u8], check: impl Fn(&[u8; N]) -> u64) -> u64 {
    let (Some(first), Some(last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else {
        return TOP_BITS;
    };
    if let Some(room) = to.first_chunk_mut() {
        *room = *first;
    }
    if let Some(room) = to.last_chunk_mut() {
        *room = *last;
    }
    check(first) | check(last)
}

/// Copies 8 bytes and more of the same length. Apart, so that the short ways need no registers saved.
#[inline(never)]
fn copy_long(to: &mut [u8], from: &[u8], check: impl Fn([u8; 8]) -> u64) -> u64 {
    to.copy_from_slice(from);
    let (words, _) = from.as_chunks();
    let last = from.last_chunk().map_or(TOP_BITS, |&last| check(last));
    words.iter().fold(last, |dirty, &word| dirty | check(word))
}

/// The top bit of some byte is set if one of the bytes may need an escape: below 0x20, quote, backslash, above 0x7e.
/// A carry or borrow leaves only a byte that needs one, so the whole is exact though its bytes are not.
#[inline(always)]
const fn suspects(bytes: [u8; 8]) -> u64 {
    const EACH: u64 = u64::from_ne_bytes([1; 8]);
    let word = u64::from_le_bytes(bytes);
    // With bit 1 flipped, the quote (0x22) follows the control bytes: 0x20.
    let control_or_quote = (word ^ (EACH * 0x02)).wrapping_sub(EACH * 0x21);
    let backslash = (word ^ (EACH * 0x5c)).wrapping_sub(EACH);
    let delete = word.wrapping_add(EACH);
    control_or_quote | backslash | delete | word
}

impl Sink for Json<'_> {
    fn fixed<const N: usize>(&mut self, piece: &[u8; N]) {
        self.0.extend_from_slice(piece);
    }

    /// Valid UTF-8 stays as it is; what is not becomes U+FFFD, one per broken sequence.
    fn text<const N: usize>(&mut self, before: &[u8; N], value: &[u8]) {
        self.0.extend_from_slice(before);
        for chunk in value.utf8_chunks() {
            for &b in chunk.valid().as_bytes() {
                match b {
                    b'"' | b'\\' => self.0.extend_from_slice(&[b'\\', b]),
                    b'\n' => self.0.extend_from_slice(b"\\n"),
                    b'\r' => self.0.extend_from_slice(b"\\r"),
                    b'\t' => self.0.extend_from_slice(b"\\t"),
                    0..0x20 => {
                        let [high, low] = [b >> 4, b & 15].map(|n| HEX[usize::from(n)]);
                        self.0.extend_from_slice(&[b'\\', b'u', b'0', b'0', high, low]);
                    }
                    _ => self.0.push(b),
                }
            }
            if !chunk.invalid().is_empty() {
                self.0.extend_from_slice("\u{fffd}".as_bytes());
            }
        }
    }

    fn number(&mut self, n: u64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
}

impl Sink for Combined<'_> {
    fn fixed<const N: usize>(&mut self, piece: &[u8; N]) {
        self.0.extend_from_slice(piece);
    }

    /// Quote, backslash and all that is not printable ASCII as `\xXX`. (nginx: `ngx_http_log_escape`)
    fn text<const N: usize>(&mut self, before: &[u8; N], value: &[u8]) {
        self.0.extend_from_slice(before);
        for &b in value {
            if matches!(b, 0x20..0x7f) && b != b'"' && b != b'\\' {
                self.0.push(b);
            } else {
                let [high, low] = [b >> 4, b & 15].map(|n| HEX[usize::from(n)].to_ascii_uppercase());
                self.0.extend_from_slice(&[b'\\', b'x', high, low]);
            }
        }
    }

    fn number(&mut self, n: u64) {
        self.0.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fast_way_says_what_the_slow_way_says_or_gives_up() {
        let mut scratch = Scratch::new();
        for length in 0..70 {
            let plain: Vec<u8> = (0..length).map(|i| b'A' + (i % 26) as u8).collect();
            for at in 0..=length {
                for byte in [b'!', b' ', b'#', b'[', b']', b'~', 0x7f, b'"', b'\\', 0x1f, 0x80, 0xff, 0] {
                    let mut value = plain.clone();
                    if let Some(b) = value.get_mut(at as usize) {
                        *b = byte;
                    }
                    let mut slow = Vec::new();
                    Json(&mut slow).text(b"{", &value);
                    let needs_escape = at < length && matches!(byte, b'"' | b'\\' | 0..0x20 | 0x7f..);
                    let fast = scratch.line(|line| line.text(b"{", &value));
                    assert_eq!(fast, (!needs_escape).then_some(&slow[..]), "{byte} at {at} of {length}");
                }
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_given_up_until_the_next_line() {
        let mut scratch = Scratch::new();
        let mut length = |n, more: &[u8]| {
            let line = scratch.line(|line| {
                line.text(b"123", &vec![b'a'; n]);
                line.text(b"", more);
                line.number(7);
            });
            line.map(<[u8]>::len)
        };
        assert_eq!(length(ROOM - 4, b""), Some(ROOM));
        for (n, more) in
            [(ROOM - 4, &b"b"[..]), (ROOM - 3, b""), (ROOM - 2, b""), (ROOM, b""), (3 * ROOM, b"bb")]
        {
            assert_eq!(length(n, more), None);
            assert_eq!(length(1, b"bb"), Some(7));
        }
    }
}
