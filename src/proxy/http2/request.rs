//! A stream's request, field by field, made a head of HTTP/1.1 for [`admit`](crate::proxy::request::admit) to judge
//! like any other.
//!
//! What RFC 9113 section 8 calls malformed ends the stream. What is well-formed and cannot be served is answered.

use super::wrong;
use crate::message::hpack::Field;
use crate::message::tokens::{is_clean, is_graphic};
use crate::proxy::respond::{HEAD_TOO_LONG, MALFORMED, Own, PROTOCOL};

/// Far more than any client may send, once decoded: four times the largest block on the wire.
pub(super) const FAR_TOO_LONG: usize = 256 * 1024;
/// What a field counts beside its name and value. (RFC 9113 section 6.5.2)
const OVERHEAD: usize = 32;

/// How a body is framed in HTTP/1.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// There is none.
    None,
    /// Of so many bytes.
    Length(u64),
    /// In the chunked coding.
    Chunked,
    /// As it is, until either side ends: a tunnel.
    Open,
}

/// A request whose block was read.
#[derive(Debug)]
pub(super) struct Asked {
    /// Its head.
    pub(super) head: Vec<u8>,
    /// How its body is framed.
    pub(super) form: Form,
    /// What `content-length` says.
    pub(super) length: Option<u64>,
    /// Whether its method is HEAD.
    pub(super) to_head: bool,
    /// Why it is refused, if it is.
    pub(super) refused: Option<Own>,
}

/// A block is not a request, or not trailers, and why. (RFC 9113 section 8.1.1)
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed(pub(super) &'static Own);

/// Where a pseudo-field's value stands, if it came.
type Span = Option<(usize, usize)>;

/// A request of which fields come. It is used again for the next.
#[derive(Debug, Default)]
pub(super) struct Assembly {
    /// The values of the pseudo-fields.
    text: Vec<u8>,
    method: Span,
    scheme: Span,
    authority: Span,
    path: Span,
    protocol: Span,
    head: Vec<u8>,
    has_started: bool,
    has_host: bool,
    cookies: Vec<u8>,
    length: Option<u64>,
    /// Bytes that the fields count, and how many they may.
    list: usize,
    most: usize,
    malformed: Option<&'static Own>,
    refused: Option<Own>,
}

/// The fields that are looked at here.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    ContentLength,
    Cookie,
    Host,
    Te,
    OfConnection,
    Other,
}

impl Assembly {
    /// Begins a request whose fields may count `most` bytes; its head is appended to `head`.
    pub(super) fn begin(&mut self, head: Vec<u8>, most: usize) {
        let Self { mut text, mut cookies, .. } = std::mem::take(self);
        text.clear();
        cookies.clear();
        *self = Self { text, cookies, head, most, ..Self::default() };
    }

    /// Whether the fields are far beyond what they may count.
    pub(super) const fn is_far_too_long(&self) -> bool {
        self.list > FAR_TOO_LONG
    }

    /// Takes the next field.
    pub(super) fn field(&mut self, field: &Field<'_>) {
        let (name, value) = (field.name, field.value);
        self.list = self.list.saturating_add(name.len() + value.len() + OVERHEAD);
        if self.list > self.most {
            self.refused = Some(HEAD_TOO_LONG);
        }
        if self.malformed.is_some() || self.list > self.most {
            return;
        }
        if name.first() == Some(&b':') {
            return self.pseudo(name, value);
        }
        self.start();
        if !is_field(field) {
            return self.malformed(&wrong::FIELD);
        }
        if has_outer_blank(value) {
            self.refused = self.refused.or(Some(MALFORMED));
        }
        match Known::of(field) {
            Known::Other => {}
            Known::Cookie => {
                // Crumbs of a cookie are one field again, before anybody looks for theirs. (RFC 9113 section 8.2.3)
                if !self.cookies.is_empty() {
                    self.cookies.extend_from_slice(b"; ");
                }
                return self.cookies.extend_from_slice(value);
            }
            Known::Host => return self.host(value),
            Known::ContentLength => {
                let length = number(value);
                if length.is_none() || self.length.is_some_and(|known| Some(known) != length) {
                    self.malformed(&wrong::CONTENT_LENGTH);
                }
                if self.length.is_some() {
                    return;
                }
                self.length = length;
            }
            Known::Te if value.eq_ignore_ascii_case(b"trailers") => {}
            Known::Te | Known::OfConnection => self.malformed(&wrong::CONNECTION_FIELD),
        }
        write_field(name, value, &mut self.head);
    }

    /// The head, if what came is a request; `ends` says that no body follows. `key` makes what a WebSocket's handshake
    /// has for its key, which HTTP/2 has none of.
    pub(super) fn finish(&mut self, ends: bool, key: impl FnOnce() -> u128) -> Result<Asked, Malformed> {
        self.start();
        if let Some(why) = self.malformed
            && self.refused != Some(HEAD_TOO_LONG)
        {
            return Err(Malformed(why));
        }
        if ends && self.length.is_some_and(|length| length > 0) {
            return Err(Malformed(&wrong::LENGTH_MISMATCH));
        }
        let head = std::mem::take(&mut self.head);
        let mut asked = Asked {
            head,
            form: if ends { Form::None } else { self.length.map_or(Form::Chunked, Form::Length) },
            length: self.length,
            to_head: of(&self.text, self.method) == Some(b"HEAD"),
            refused: self.refused,
        };
        if self.protocol.is_some() && asked.refused.is_none() {
            asked.form = Form::Open;
        }
        if !self.cookies.is_empty() {
            write_field(b"cookie", &self.cookies, &mut asked.head);
        }
        match asked.form {
            Form::Open => write_handshake(key(), &mut asked.head),
            Form::Chunked => asked.head.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Form::None | Form::Length(_) => {}
        }
        asked.head.extend_from_slice(b"\r\n");
        Ok(asked)
    }

    fn pseudo(&mut self, name: &[u8], value: &[u8]) {
        let span = match name {
            b":method" => &mut self.method,
            b":scheme" => &mut self.scheme,
            b":authority" => &mut self.authority,
            b":path" => &mut self.path,
            b":protocol" => &mut self.protocol,
            _ => return self.malformed(&wrong::PSEUDO_FIELD),
        };
        let start = self.text.len();
        if self.has_started || span.replace((start, start + value.len())).is_some() {
            self.malformed(&wrong::PSEUDO_FIELD);
        }
        // A blank would end the target, and a line's end the line.
        let is_odd = |b: &u8| *b <= b' ' || *b == 0x7f;
        if value.is_empty() || !is_graphic(value) && value.iter().any(is_odd) {
            self.malformed(&wrong::PSEUDO_VALUE);
        }
        self.text.extend_from_slice(value);
    }

    /// Writes the first line and `Host`, once: no pseudo-field follows.
    fn start(&mut self) {
        if std::mem::replace(&mut self.has_started, true) {
            return;
        }
        let text = &self.text;
        let (method, path) = (of(text, self.method), of(text, self.path));
        let (scheme, authority) = (of(text, self.scheme), of(text, self.authority));
        let mut refused = None;
        let is_connect = method == Some(b"CONNECT");
        let mut told = method.unwrap_or_default();
        let mut is_wrong = !told.iter().all(|&b| crate::message::field::is_token_byte(b));
        let mut is_missing = method.is_none();
        match of(text, self.protocol) {
            Some(b"websocket") if is_connect => told = b"GET",
            Some(_) => refused = Some(PROTOCOL),
            None => {}
        }
        let target = if is_connect && self.protocol.is_none() {
            // A tunnel to somewhere else, which has neither a scheme nor a path. (RFC 9113 section 8.5)
            is_missing |= scheme.is_some() || path.is_some();
            authority
        } else {
            is_missing |= scheme.is_none();
            is_wrong |= !path.is_none_or(|path| path.starts_with(b"/") || path == b"*");
            path
        };
        is_missing |= target.is_none();
        if scheme.is_some_and(|s| !s.eq_ignore_ascii_case(b"http") && !s.eq_ignore_ascii_case(b"https")) {
            refused = refused.or(Some(MALFORMED));
        }
        let target = target.unwrap_or_default();
        let head = &mut self.head;
        head.reserve(512);
        for part in [told, b" ", target, b" HTTP/1.1\r\n"] {
            head.extend_from_slice(part);
        }
        if let Some(authority) = authority {
            write_field(b"Host", authority, head);
        }
        self.refused = self.refused.or(refused);
        if is_missing | is_wrong {
            self.malformed(if is_missing { &wrong::PSEUDO_FIELD } else { &wrong::PSEUDO_VALUE });
        }
    }

    /// What comes is no request, for this reason or one that was known before.
    #[cold]
    fn malformed(&mut self, why: &'static Own) {
        self.malformed.get_or_insert(why);
    }

    /// The head of what is no request, as far as it was written: its first line at least.
    #[cold]
    pub(super) fn take_head(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.head)
    }

    /// `Host`, where it stands beside the authority, says the same, and once. (RFC 9113 section 8.3.1)
    fn host(&mut self, value: &[u8]) {
        let is_second = std::mem::replace(&mut self.has_host, true);
        let authority = of(&self.text, self.authority);
        if is_second || authority.is_some_and(|authority| !authority.eq_ignore_ascii_case(value)) {
            self.refused = self.refused.or(Some(MALFORMED));
        }
        if authority.is_none() && !is_second {
            write_field(b"Host", value, &mut self.head);
        }
    }
}

fn of(text: &[u8], span: Span) -> Option<&[u8]> {
    text.get(span?.0..span?.1)
}

impl Known {
    fn of(field: &Field<'_>) -> Self {
        match (field.known, field.name) {
            (28, _) | (_, b"content-length") => Self::ContentLength,
            (32, _) | (_, b"cookie") => Self::Cookie,
            (38, _) | (_, b"host") => Self::Host,
            (_, b"te") => Self::Te,
            (57, _)
            | (_, b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade") => {
                Self::OfConnection
            }
            _ => Self::Other,
        }
    }
}

/// Appends a trailer's line, if trailers may have such a field and their lines stay within `most` bytes.
pub(super) fn trailer(field: &Field<'_>, most: usize, out: &mut Vec<u8>) -> Result<(), Malformed> {
    let is_right = field.name.first() != Some(&b':')
        && is_field(field)
        && matches!(Known::of(field), Known::Other | Known::Cookie)
        && out.len() + field.name.len() + field.value.len() + OVERHEAD <= most;
    if !is_right {
        return Err(Malformed(&wrong::TRAILERS));
    }
    write_field(field.name, field.value.trim_ascii(), out);
    Ok(())
}

/// Whether name and value are what a field may have. (RFC 9113 section 8.2.1)
fn is_field(field: &Field<'_>) -> bool {
    const NAME: [bool; 256] = {
        let mut table = [false; 256];
        let mut b = 0;
        while b < 256 {
            let byte = b as u8;
            table[b] = crate::message::field::is_token_byte(byte) && !byte.is_ascii_uppercase();
            b += 1;
        }
        table
    };
    let is_name = field.known > 0
        || !field.name.is_empty() && field.name.iter().fold(true, |good, &b| good & NAME[usize::from(b)]);
    is_name && (is_clean(field.value) || !field.value.iter().any(|b| matches!(b, 0 | b'\r' | b'\n')))
}

/// Digits alone.
fn number(value: &[u8]) -> Option<u64> {
    let digits = value.iter().all(u8::is_ascii_digit).then_some(value)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// A value neither begins nor ends with a blank. (RFC 9113 section 8.2.1)
fn has_outer_blank(value: &[u8]) -> bool {
    let is_blank = |b: Option<&u8>| matches!(b, Some(b' ' | b'\t'));
    is_blank(value.first()) || is_blank(value.last())
}

/// What a WebSocket's handshake is in HTTP/1.1. (RFC 6455 section 4.1; RFC 8441 section 5)
fn write_handshake(key: u128, out: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: ");
    // 16 bytes in base64: 21 digits of six bits, one of two, and the filling.
    out.extend((0..21).map(|i| DIGITS[(key >> (122 - 6 * i)) as usize & 63]));
    out.push(DIGITS[((key & 3) << 4) as usize]);
    out.extend_from_slice(b"==\r\n");
}

fn write_field(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    out.reserve(name.len() + value.len() + 4);
    for part in [name, b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
#[path = "request_tests.rs"]
mod tests;
