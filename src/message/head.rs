//! Heads: found without being parsed twice, tokenised, and refused where two parsers could disagree.
//!
//! The rules are those of RFC 9112 sections 2.2, 3 and 5 without their leniencies: one SP in the request line, CRLF
//! and nothing else as a line end, no folding, no blank around a name, no control bytes. One leniency can be asked
//! for: a bare LF as a line end in requests. A bare CR is refused everywhere.

use super::tokens::{self, Wrong};
pub use super::tokens::{Field, Room};

/// Fields that one head may have whatever the limits say: there is room for no more.
pub const MAX_FIELDS: usize = 128;
/// Fields that a response may have. (Envoy: 100, HAProxy: 101)
pub const MAX_RESPONSE_FIELDS: usize = 100;

/// An empty room.
#[must_use]
pub fn room<'b>() -> Room<'b> {
    Room::new()
}

/// A message's version; homing refuses all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
}

/// A request's head, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug)]
pub struct RequestHead<'h, 'b> {
    /// A token.
    pub method: &'b str,
    /// Visible ASCII, as it stood.
    pub target: &'b str,
    /// Its version.
    pub version: Version,
    /// In their order.
    pub fields: &'h [Field<'b>],
}

/// A response's head, borrowed from the bytes it came in.
#[derive(Clone, Copy, Debug)]
pub struct ResponseHead<'h, 'b> {
    /// Its version.
    pub version: Version,
    /// 100 to 999.
    pub status: u16,
    /// As it stood; may be empty.
    pub reason: &'b [u8],
    /// In their order.
    pub fields: &'h [Field<'b>],
}

/// Why a message is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The request or status line is not one.
    StartLine,
    /// The version is not HTTP/1.0 or HTTP/1.1.
    Version,
    /// The target is no valid target for this method.
    Target,
    /// The target is longer than the limit.
    TargetTooLong,
    /// A field line is not one.
    Field,
    /// A line ends in LF without CR, or a CR stands alone.
    LineEnd,
    /// The head is longer than the limit.
    HeadTooLong,
    /// A field is longer than the limit.
    FieldTooLong,
    /// More fields than the limit.
    TooManyFields,
    /// No `Host`, several, or not a valid one.
    Host,
    /// `Content-Length` is not one number.
    ContentLength,
    /// `Content-Length` and `Transfer-Encoding` together.
    LengthAndCoding,
    /// `Transfer-Encoding` in HTTP/1.0.
    CodingInHttp10,
    /// A transfer coding beside `chunked`.
    TransferCoding,
    /// A transfer coding that does not end in `chunked`.
    UnframedCoding,
    /// `CONNECT`, which homing does not serve.
    Connect,
    /// `TRACE`, which homing does not serve.
    Trace,
    /// An expectation other than `100-continue`.
    Expectation,
    /// A field's name has an underscore, and the listener refuses those.
    Underscore,
    /// The request came through this homing before.
    Loop,
}

/// How far the search for a head's end has come, between two reads.
#[derive(Clone, Copy, Debug, Default)]
pub struct Search {
    /// Bytes looked at.
    seen: usize,
    /// Whether a line was whole among them.
    has_line: bool,
    /// Whether a bare LF ends a line too.
    bare_lf: bool,
}

/// Looks for the end of a head in `bytes`, of which `search` remembers what was seen before.
///
/// Returns the head's length, or `None` when more bytes are needed.
///
/// # Errors
/// A line ends in a bare LF, unless `search` is one that takes it for a line end.
pub fn find_end(bytes: &[u8], search: &mut Search) -> Result<Option<usize>, Fault> {
    let from = skip_lines(bytes, search.seen);
    for lf in memchr::memchr_iter(b'\n', &bytes[from..]).map(|i| i + from) {
        let has_cr = lf > 0 && bytes[lf - 1] == b'\r';
        if !has_cr && !search.bare_lf {
            return Err(Fault::LineEnd);
        }
        // A blank line behind another; one at the very front is no end.
        if lf > usize::from(has_cr) && bytes[lf - 1 - usize::from(has_cr)] == b'\n' {
            return Ok(Some(lf + 1));
        }
    }
    search.has_line |= memchr::memchr(b'\n', &bytes[search.seen..]).is_some();
    search.seen = bytes.len();
    Ok(None)
}

/// Goes over pieces of 32 bytes in which every LF ends a line that is not blank, and has a CR before it.
fn skip_lines(bytes: &[u8], seen: usize) -> usize {
    let mut at = seen.max(2);
    if bytes.get(seen..2).is_some_and(|front| front.contains(&b'\n')) {
        return seen;
    }
    while let Some(piece) = bytes.get(at - 2..).and_then(|rest| rest.first_chunk::<34>()) {
        let is_odd = |i: usize| (piece[i + 2] == b'\n') & ((piece[i + 1] != b'\r') | (piece[i] == b'\n'));
        if (0..32).fold(false, |odd, i| odd | is_odd(i)) {
            break;
        }
        at += 32;
    }
    if at > 2 { at } else { seen }
}

impl Search {
    /// A search that has seen nothing. `bare_lf` says whether a bare LF ends a line (RFC 9112 section 2.2 lets a
    /// recipient choose); [`Search::default`] does not take it for one.
    #[must_use]
    pub const fn new(bare_lf: bool) -> Self {
        Self { seen: 0, has_line: false, bare_lf }
    }

    /// How many bytes of a blank line stand at the front of `bytes`: its line end, or 0 if there is none.
    #[must_use]
    pub const fn blank_line(self, bytes: &[u8]) -> usize {
        match bytes {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] if self.bare_lf => 1,
            _ => 0,
        }
    }

    /// Whether the request line is still incomplete.
    #[must_use]
    pub const fn in_first_line(self) -> bool {
        !self.has_line
    }
}

/// Parses a request head that [`find_end`] found whole.
///
/// # Errors
/// It is malformed, or its version is not served. Limits other than [`MAX_FIELDS`] are the caller's.
pub fn parse_request<'h, 'b>(bytes: &'b [u8], room: &'h mut Room<'b>) -> Result<RequestHead<'h, 'b>, Fault> {
    // One blank line before it is nobody's. (RFC 9112 section 2.2)
    let at = Search::new(true).blank_line(bytes);
    let line = tokens::request_line(bytes, at).map_err(|wrong| match wrong {
        Wrong::Version => version_fault(first_line(bytes.get(at..).unwrap_or_default())),
        Wrong::Target => Fault::Target,
        Wrong::Line => Fault::StartLine,
    })?;
    tokens::fields(bytes, line.end, room)?;
    Ok(RequestHead { method: line.method, target: line.target, version: line.version, fields: room })
}

/// Parses a response head that [`find_end`] found whole.
///
/// # Errors
/// It is malformed, or has more than [`MAX_RESPONSE_FIELDS`].
pub fn parse_response<'h, 'b>(
    bytes: &'b [u8],
    room: &'h mut Room<'b>,
) -> Result<ResponseHead<'h, 'b>, Fault> {
    let line = tokens::status_line(bytes).filter(|line| line.status >= 100).ok_or(Fault::StartLine)?;
    tokens::fields(bytes, line.end, room)?;
    if room.len() > MAX_RESPONSE_FIELDS {
        return Err(Fault::TooManyFields);
    }
    Ok(ResponseHead { version: line.version, status: line.status, reason: line.reason, fields: room })
}

/// 505 is for a version; anything else at the end of a request line is just malformed.
fn version_fault(line: &[u8]) -> Fault {
    let mut words = line.split(|&b| b == b' ');
    match (words.next(), words.next(), words.next(), words.next()) {
        (Some(_), Some(_), Some([b'H', b'T', b'T', b'P', b'/', a, b'.', b]), None)
            if a.is_ascii_digit() && b.is_ascii_digit() =>
        {
            Fault::Version
        }
        _ => Fault::StartLine,
    }
}

/// Whether a head that is not whole yet has a first line that can be refused already: HTTP/0.9, say, whose sender
/// waits for an answer.
///
/// # Errors
/// The first line is whole and ends in no version.
pub fn check_first_line(bytes: &[u8]) -> Result<(), Fault> {
    if memchr::memchr(b'\n', bytes).is_none() {
        return Ok(());
    }
    match first_line(bytes) {
        line if memchr::memchr(b'\r', line).is_some() => Err(Fault::StartLine),
        [.., b' ', b'H', b'T', b'T', b'P', b'/', b'1', b'.', b'0' | b'1'] => Ok(()),
        line => Err(version_fault(line)),
    }
}

/// The first line without its end.
fn first_line(bytes: &[u8]) -> &[u8] {
    let line = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    line.strip_suffix(b"\r").unwrap_or(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(text: &str) -> Result<(String, String, usize), Fault> {
        let end = find_end(text.as_bytes(), &mut Search::default())?.ok_or(Fault::HeadTooLong)?;
        let mut room = room();
        let head = parse_request(&text.as_bytes()[..end], &mut room)?;
        Ok((head.method.to_owned(), head.target.to_owned(), head.fields.len()))
    }

    #[test]
    fn the_end_is_found_however_the_head_arrives() {
        let text = b"GET / HTTP/1.1\r\nHost: a\r\n\r\nBODY";
        for cut in 0..text.len() {
            let mut search = Search::default();
            let first = find_end(&text[..cut], &mut search).unwrap();
            assert_eq!(first, (cut >= 27).then_some(27));
            if first.is_none() {
                assert_eq!(find_end(text, &mut search).unwrap(), Some(27), "cut at {cut}");
            }
        }
    }

    #[test]
    fn a_bare_lf_ends_a_line_only_where_it_was_asked_for() {
        let table: [(&[u8], Option<usize>); 9] = [
            (b"GET / HTTP/1.1\nHost: a\n\nBODY", Some(24)),
            (b"GET / HTTP/1.1\r\nHost: a\n\r\nBODY", Some(26)),
            (b"GET / HTTP/1.1\nHost: a\r\n\nBODY", Some(25)),
            (b"GET / HTTP/1.1\nHost: a\nX: \r\n\nBODY", Some(29)),
            (b"GET / HTTP/1.1\n\n\n", Some(16)),
            (b"GET / HTTP/1.1\nHost: a\n", None),
            (b"GET / HTTP/1.1\nHost: a\n\r", None),
            (b"GET / HTTP/1.1\nHost: a\r\r\n", None),
            (b"GET / HTTP/1.1\rHost: a\r\r", None),
        ];
        for (text, end) in table {
            let mut search = Search::new(true);
            let in_pieces = (0..=text.len()).find_map(|n| find_end(&text[..n], &mut search).unwrap());
            assert_eq!(in_pieces, end, "{text:?}");
            assert_eq!(find_end(text, &mut Search::new(true)), Ok(end), "{text:?}");
            let is_strict = find_end(text, &mut Search::default());
            assert_eq!(is_strict, if text.ends_with(b"\r\r") { Ok(None) } else { Err(Fault::LineEnd) });
            if let Some(end) = end {
                assert!(parse_request(&text[..end], &mut room()).is_ok(), "{text:?}");
            }
        }
    }

    #[test]
    fn a_response_has_a_hundred_fields_at_most() {
        for (fields, expected) in
            [(0, Ok(0)), (100, Ok(100)), (101, Err(Fault::TooManyFields)), (200, Err(Fault::TooManyFields))]
        {
            let text = format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(fields));
            let mut room = room();
            let parsed = parse_response(text.as_bytes(), &mut room).map(|head| head.fields.len());
            assert_eq!(parsed, expected);
        }
    }

    #[test]
    fn heads_that_two_parsers_could_read_differently_are_refused() {
        let table = [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Ok(("GET", "/", 1))),
            ("GET / HTTP/1.1\nHost: a\r\n\r\n", Err(Fault::LineEnd)),
            ("GET / HTTP/1.1\r\nHost: a\n\r\n", Err(Fault::LineEnd)),
            ("GET / HTTP/1.1\r\nHost: a\r\n\n", Err(Fault::LineEnd)),
            ("GET  / HTTP/1.1\r\n\r\n", Err(Fault::StartLine)),
            ("GET /  HTTP/1.1\r\n\r\n", Err(Fault::StartLine)),
            ("GET /\tHTTP/1.1\r\n\r\n", Err(Fault::StartLine)),
            ("GET / HTTP/1.1 \r\n\r\n", Err(Fault::StartLine)),
            ("GET / HTTP/2.0\r\n\r\n", Err(Fault::Version)),
            ("GET / HTTP/0.9\r\n\r\n", Err(Fault::Version)),
            ("GET / http/1.1\r\n\r\n", Err(Fault::StartLine)),
            ("GET / HTTP/1.10\r\n\r\n", Err(Fault::StartLine)),
            ("GET /\r\n\r\n", Err(Fault::StartLine)),
            ("G@T / HTTP/1.1\r\n\r\n", Err(Fault::StartLine)),
            (" GET / HTTP/1.1\r\n\r\n", Err(Fault::StartLine)),
            ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", Err(Fault::Field)),
            ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", Err(Fault::Field)),
            ("GET / HTTP/1.1\r\nHost: a\r\n b\r\n\r\n", Err(Fault::Field)),
            ("GET / HTTP/1.1\r\nHost: a\x00\r\n\r\n", Err(Fault::Field)),
            ("GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", Err(Fault::Field)),
            ("GET / HTTP/1.1\r\n: a\r\n\r\n", Err(Fault::Field)),
            ("GET / HTTP/1.1\r\nHost\r\n\r\n", Err(Fault::Field)),
            ("GET /a b HTTP/1.1\r\n\r\n", Err(Fault::StartLine)),
            ("GET /\u{e9} HTTP/1.1\r\n\r\n", Err(Fault::Target)),
        ];
        for (text, expected) in table {
            let expected = expected.map(|(m, t, n)| (m.to_owned(), t.to_owned(), n));
            match (request(text), expected) {
                (Err(_), Err(Fault::StartLine | Fault::Field | Fault::LineEnd | Fault::Target)) => {}
                (found, expected) => assert_eq!(found, expected, "{text:?}"),
            }
        }
    }
}
