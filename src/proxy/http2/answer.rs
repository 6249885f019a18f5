//! An answer's head as homing writes it for HTTP/1.1, made the header block of a stream.

use super::lines::Lines;
use super::request::Form;
use crate::message::field::Name;
use crate::message::hpack::{Encoder, Keep};
use crate::message::tokens;

/// A head that was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// One that others follow.
    Informational,
    /// The last one, and how its body is framed.
    Final(Form),
}

/// Appends the fields of the head at the front of what homing wrote; how many bytes it has, and what it is. `None` if there
/// is no whole one, which nothing that homing writes is.
pub(super) fn write(
    head: &[u8],
    to_head: bool,
    is_tunnel: bool,
    encoder: &mut Encoder,
    out: &mut Vec<u8>,
) -> Option<(usize, Answer)> {
    let mut at = tokens::find(b'\n', head, 0)? + 1;
    let mut status = digits(head.get(9..12)?)? as u16;
    let is_opened = is_tunnel && status == 101;
    if is_opened {
        status = 200;
    }
    encoder.status(status, out);
    let mut form = Form::None;
    while head.get(at)? != &b'\r' {
        let colon = tokens::find(b':', head, at)?;
        let end = tokens::find(b'\r', head, colon)?;
        let (name, value) = (head.get(at..colon)?, head.get(colon + 2..end)?);
        at = end + 2;
        let keep = match Name::of_bytes(name) {
            // What is said of a connection of HTTP/1.1 has no place here. (RFC 9113 section 8.2.2)
            Name::Connection | Name::KeepAlive | Name::Upgrade | Name::ProxyConnection => continue,
            Name::TransferEncoding => {
                form = Form::Chunked;
                continue;
            }
            Name::ContentLength => {
                form = match digits(value)? {
                    0 => Form::None,
                    n => Form::Length(n),
                };
                Keep::Once
            }
            Name::SetCookie => Keep::Never,
            Name::RequestId => Keep::Once,
            _ => {
                if is_opened && name.eq_ignore_ascii_case(b"sec-websocket-accept") {
                    continue;
                }
                kept(name)
            }
        };
        write_field(name, value, keep, encoder, out);
    }
    let answer = match status {
        _ if is_opened => Answer::Final(Form::Open),
        100..=199 => Answer::Informational,
        204 | 304 => Answer::Final(Form::None),
        _ if to_head => Answer::Final(Form::None),
        _ => Answer::Final(form),
    };
    Some((at + 2, answer))
}

/// Appends a trailer's lines.
pub(super) fn write_trailers(lines: &[u8], encoder: &mut Encoder, out: &mut Vec<u8>) {
    for line in Lines::of(lines) {
        let Some(text) = lines.get(line) else { continue };
        let Some(colon) = memchr::memchr(b':', text) else { continue };
        let (name, value) = text.split_at(colon);
        if std::str::from_utf8(name).is_ok_and(crate::message::field::may_trail) {
            write_field(name, value.get(1..).unwrap_or_default().trim_ascii(), kept(name), encoder, out);
        }
    }
}

/// Whether a field is worth a place in the table: what no other answer has would only push useful ones out.
fn kept(name: &[u8]) -> Keep {
    let is_once = match name.len() {
        3 => name.eq_ignore_ascii_case(b"age"),
        4 => name.eq_ignore_ascii_case(b"etag"),
        8 => name.eq_ignore_ascii_case(b"location"),
        13 => name.eq_ignore_ascii_case(b"last-modified") || name.eq_ignore_ascii_case(b"content-range"),
        _ => false,
    };
    if is_once { Keep::Once } else { Keep::Index }
}

/// Names are in lower case here. (RFC 9113 section 8.2.1)
fn write_field(name: &[u8], value: &[u8], keep: Keep, encoder: &mut Encoder, out: &mut Vec<u8>) {
    let mut room = [0; 32];
    let Some(lower) = room.get_mut(..name.len()) else {
        return encoder.field(&name.to_ascii_lowercase(), value, keep, out);
    };
    lower.copy_from_slice(name);
    room.make_ascii_lowercase(); // All of it: of a fixed length it takes few instructions.
    encoder.field(room.get(..name.len()).unwrap_or_default(), value, keep, out);
}

/// A number that homing has checked.
fn digits(text: &[u8]) -> Option<u64> {
    text.iter().try_fold(0_u64, |n, b| n.checked_mul(10)?.checked_add(u64::from(b.wrapping_sub(b'0'))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::hpack::Decoder;

    /// What a head becomes: its fields, and how its body is framed.
    fn told(head: &str, to_head: bool, is_tunnel: bool) -> (String, Answer) {
        let mut out = Vec::new();
        let mut encoder = Encoder::new();
        encoder.begin(&mut out);
        let text = format!("{head}BODY");
        let (len, answer) = write(text.as_bytes(), to_head, is_tunnel, &mut encoder, &mut out).unwrap();
        assert_eq!(len, head.len());
        let mut fields = Vec::new();
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        Decoder::new(4096)
            .decode(&out, |field| fields.push(format!("{}={}", text(field.name), text(field.value))))
            .unwrap();
        (fields.join(" "), answer)
    }

    #[test]
    fn heads_are_read_with_their_framing_and_without_what_is_of_the_connection() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let table = [
            (
                format!("{ok}Content-Length: 5\r\nX-A: b: c\r\n\r\n"),
                ":status=200 content-length=5 x-a=b: c",
                Form::Length(5),
            ),
            (
                format!("{ok}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"),
                ":status=200",
                Form::Chunked,
            ),
            (format!("{ok}Content-Length: 0\r\n\r\n"), ":status=200 content-length=0", Form::None),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_owned(),
                ":status=304 content-length=9",
                Form::None,
            ),
            (
                "HTTP/1.1 599 \r\nX-E: \r\nContent-Length: 1\r\n\r\n".to_owned(),
                ":status=599 x-e= content-length=1",
                Form::Length(1),
            ),
        ];
        for (head, fields, form) in table {
            assert_eq!(told(&head, false, false), (fields.to_owned(), Answer::Final(form)), "{head}");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(told(head, true, false).1, Answer::Final(Form::None), "to HEAD");
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n";
        assert_eq!(told(early, false, false).1, Answer::Informational);
    }

    #[test]
    fn a_switch_to_a_web_socket_is_a_success() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
        let expected = (":status=200 sec-websocket-protocol=chat".to_owned(), Answer::Final(Form::Open));
        assert_eq!(told(head, false, true), expected);
        let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\n";
        let expected = (":status=403 content-length=3".to_owned(), Answer::Final(Form::Length(3)));
        assert_eq!(told(refused, false, true), expected);
    }

    #[test]
    fn trailers_are_those_that_may_be() {
        let mut out = Vec::new();
        let mut encoder = Encoder::new();
        encoder.begin(&mut out);
        write_trailers(b"Grpc-Status: 0\r\nContent-Length: 3\r\nX:y \r\n", &mut encoder, &mut out);
        let mut fields = Vec::new();
        let read = |field: crate::message::hpack::Field<'_>| {
            fields.push((field.name.to_vec(), field.value.to_vec()));
        };
        Decoder::new(4096).decode(&out, read).unwrap();
        let expected: [(&[u8], &[u8]); 2] = [(b"grpc-status", b"0"), (b"x", b"y")];
        let expected = expected.map(|(name, value)| (name.to_vec(), value.to_vec()));
        assert_eq!(fields, expected);
    }
}
