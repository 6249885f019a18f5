//! A head taken apart: the tokens of its first line, and its fields.
//!
//! By hand, for every request goes through here twice (what that saves is in `benches/README.md`). Values are looked
//! through a word at a time; a name's bytes one by one, by a table. What is accepted is what `httparse` accepts
//! with nothing lenient turned on, and a test holds the two beside each other.

use smallvec::SmallVec;

use super::field::is_token_byte;
use super::head::{Fault, MAX_FIELDS, Version};

/// Name and value as they stood, the value without blanks around it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'b> {
    /// A token.
    pub name: &'b [u8],
    /// Without control bytes, but for tabs.
    pub value: &'b [u8],
}

/// Room for parsed fields, on the caller's stack.
pub type Room<'b> = SmallVec<[Field<'b>; MAX_FIELDS]>;

/// A request line's parts, and where the fields begin.
pub(super) struct RequestLine<'b> {
    pub(super) method: &'b str,
    pub(super) target: &'b str,
    pub(super) version: Version,
    pub(super) end: usize,
}

/// A status line's parts, and where the fields begin.
pub(super) struct StatusLine<'b> {
    pub(super) version: Version,
    pub(super) status: u16,
    pub(super) reason: &'b [u8],
    pub(super) end: usize,
}

/// What is wrong with a request line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wrong {
    /// It has another version, or its end is not a line's.
    Version,
    /// Its target has a byte beyond ASCII.
    Target,
    /// It is something else.
    Line,
}

/// The bytes of a token.
static TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut b = 0;
    while b < 256 {
        table[b] = is_token_byte(b as u8);
        b += 1;
    }
    table
};

/// A byte in every place of a word.
const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The high bit of each byte that is below `low` (which is at most 0x80) or is DEL; of the bytes behind the first of them
/// it may say more.
const fn below(word: u64, low: u8) -> u64 {
    let is_del = word ^ each(0x7f);
    (word.wrapping_sub(each(low)) & !word | is_del.wrapping_sub(each(1)) & !is_del) & each(0x80)
}

/// Where the token that begins at `at` ends.
#[inline(always)]
fn token_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(|&b| TOKEN[usize::from(b)]) {
        at += 1;
    }
    at
}

/// Where a run of visible bytes ends: at a blank, a control byte, or one beyond ASCII.
#[inline(always)]
fn graphic_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let word = u64::from_le_bytes(*word);
        let hits = below(word, b'!') | word & each(0x80);
        if hits != 0 {
            return at + hits.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(u8::is_ascii_graphic) {
        at += 1;
    }
    at
}

/// Where a value ends: at a control byte that is no tab.
#[inline(always)]
fn value_end(bytes: &[u8], mut at: usize) -> usize {
    let mut words = 0;
    while let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) {
        let hits = below(u64::from_le_bytes(*word), b' ');
        if hits != 0 {
            at += hits.trailing_zeros() as usize / 8;
            if bytes.get(at) != Some(&b'\t') {
                return at;
            }
            at += 1;
            continue;
        }
        at += 8;
        words += 1;
        if words == 4 {
            at = skip_long(bytes, at);
        }
    }
    while bytes.get(at).is_some_and(|&b| b >= b' ' && b != 0x7f || b == b'\t') {
        at += 1;
    }
    at
}

/// Goes over pieces of 32 bytes that have no control byte.
#[inline(never)]
fn skip_long(bytes: &[u8], mut at: usize) -> usize {
    while let Some(piece) = bytes.get(at..).and_then(|rest| rest.first_chunk::<32>()) {
        if piece.iter().fold(false, |found, &b| found | (b < b' ') | (b == 0x7f)) {
            break;
        }
        at += 32;
    }
    at
}

/// Where the line behind the one that ends at `at` begins, if one ends there.
#[inline(always)]
fn next_line(bytes: &[u8], at: usize) -> Option<usize> {
    match bytes.get(at..)? {
        [b'\r', b'\n', ..] => Some(at + 2),
        [b'\n', ..] => Some(at + 1),
        _ => None,
    }
}

/// The version in these bytes.
const fn version(text: &[u8]) -> Option<Version> {
    match text {
        b"HTTP/1.1" => Some(Version::Http11),
        b"HTTP/1.0" => Some(Version::Http10),
        _ => None,
    }
}

fn text(bytes: &[u8], from: usize, to: usize) -> Option<&str> {
    std::str::from_utf8(bytes.get(from..to)?).ok()
}

/// The request line that begins at `at`.
pub(super) fn request_line(bytes: &[u8], at: usize) -> Result<RequestLine<'_>, Wrong> {
    let method_end = token_end(bytes, at);
    if method_end == at || bytes.get(method_end) != Some(&b' ') {
        return Err(Wrong::Line);
    }
    let target_end = graphic_end(bytes, method_end + 1);
    match bytes.get(target_end) {
        Some(b' ') if target_end > method_end + 1 => {}
        Some(0x80..) => return Err(Wrong::Target),
        _ => return Err(Wrong::Line),
    }
    let from = target_end + 1;
    let version = bytes.get(from..from + 8).and_then(version).ok_or(Wrong::Version)?;
    let end = next_line(bytes, from + 8).ok_or(Wrong::Version)?;
    // Both at once: a look at few bytes costs nearly what one at twice as many does.
    let both = text(bytes, at, target_end).ok_or(Wrong::Target)?;
    let (method, target) = both.split_at_checked(method_end - at).ok_or(Wrong::Line)?;
    let target = target.get(1..).ok_or(Wrong::Line)?;
    Ok(RequestLine { method, target, version, end })
}

/// The status line at the front. A reason that is not ASCII is left out.
pub(super) fn status_line(bytes: &[u8]) -> Option<StatusLine<'_>> {
    let version = version(bytes.get(..8)?)?;
    let &[b' ', a @ b'0'..=b'9', b @ b'0'..=b'9', c @ b'0'..=b'9'] = bytes.get(8..12)?.first_chunk()? else {
        return None;
    };
    let digit = |d: u8| u16::from(d - b'0');
    let status = digit(a) * 100 + digit(b) * 10 + digit(c);
    if bytes.get(12) != Some(&b' ') {
        return Some(StatusLine { version, status, reason: b"", end: next_line(bytes, 12)? });
    }
    let reason_end = value_end(bytes, 13);
    let end = next_line(bytes, reason_end)?;
    let reason = bytes.get(13..reason_end).filter(|reason| reason.is_ascii()).unwrap_or_default();
    Some(StatusLine { version, status, reason, end })
}

/// The fields from `at` on, up to the blank line with which the head ends.
pub(super) fn fields<'b>(bytes: &'b [u8], mut at: usize, room: &mut Room<'b>) -> Result<(), Fault> {
    loop {
        let colon = token_end(bytes, at);
        if colon == at {
            let is_end = next_line(bytes, at) == Some(bytes.len());
            return if is_end { Ok(()) } else { Err(Fault::Field) };
        }
        if bytes.get(colon) != Some(&b':') {
            return Err(Fault::Field);
        }
        if room.len() == MAX_FIELDS {
            return Err(Fault::TooManyFields);
        }
        let name = bytes.get(at..colon);
        let is_blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
        let mut start = colon + 1;
        while is_blank(bytes.get(start)) {
            start += 1;
        }
        let mut end = value_end(bytes, start);
        at = next_line(bytes, end).ok_or(Fault::Field)?;
        while end > start && is_blank(bytes.get(end - 1)) {
            end -= 1;
        }
        let (Some(name), Some(value)) = (name, bytes.get(start..end)) else { return Err(Fault::Field) };
        room.push(Field { name, value });
    }
}

/// Whether no control byte but tabs is in a value.
#[inline]
#[must_use]
pub fn is_clean(value: &[u8]) -> bool {
    value_end(value, 0) == value.len()
}

/// Whether all bytes are visible ASCII.
#[inline]
#[must_use]
pub fn is_graphic(text: &[u8]) -> bool {
    graphic_end(text, 0) == text.len()
}

/// Where `byte` stands first at or behind `at`, if it is near: what is far is found by `memchr`.
#[inline(always)]
pub fn find(byte: u8, bytes: &[u8], mut at: usize) -> Option<usize> {
    for _ in 0..4 {
        let Some(word) = bytes.get(at..).and_then(|rest| rest.first_chunk()) else { break };
        let other = u64::from_le_bytes(*word) ^ each(byte);
        let hits = other.wrapping_sub(each(1)) & !other & each(0x80);
        if hits != 0 {
            return Some(at + hits.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    Some(at + memchr::memchr(byte, bytes.get(at..)?)?)
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
