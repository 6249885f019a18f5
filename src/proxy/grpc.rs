//! What homing knows of gRPC: which requests are calls, and how an answer of our own is told to who made one.
//!
//! (<https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md>, and `http-grpc-status-mapping.md` beside it)

use crate::message::head::Field;

/// A call's content type, alone or with what messages are coded in behind it. `application/grpc-web` is another thing:
/// who speaks that reads the status of HTTP.
const TYPE: &[u8] = b"application/grpc";

/// The trailers of an answer that its backend broke off: UNAVAILABLE. A reset would be INTERNAL.
pub(super) const BROKEN_OFF: &[u8] =
    b"grpc-status: 14\r\ngrpc-message: the backend broke off its answer (backend.body)\r\n";

/// Whether these are the fields of a call. All of them are POST.
pub(super) fn is_call(fields: &[Field<'_>]) -> bool {
    fields.iter().any(|f| f.name.eq_ignore_ascii_case(b"content-type") && is_type(f.value))
}

/// The same of a head that may be anything.
pub(super) fn is_call_head(head: &[u8]) -> bool {
    let is_type_line = |line: &[u8]| {
        let Some(colon) = memchr::memchr(b':', line) else { return false };
        let (name, value) = line.split_at(colon);
        name.eq_ignore_ascii_case(b"content-type") && is_type(value.get(1..).unwrap_or_default().trim_ascii())
    };
    head.starts_with(b"POST ") && head.split(|b| *b == b'\n').any(is_type_line)
}

fn is_type(value: &[u8]) -> bool {
    value.split_at_checked(TYPE.len()).is_some_and(|(start, rest)| {
        start.eq_ignore_ascii_case(TYPE) && matches!(rest.first(), None | Some(b'+' | b';' | b' '))
    })
}

/// The status of gRPC that a client makes of a status of HTTP.
pub(super) const fn status_of(status: u16) -> u8 {
    match status {
        400 => 13,                   // INTERNAL
        401 => 16,                   // UNAUTHENTICATED
        403 => 7,                    // PERMISSION_DENIED
        404 => 12,                   // UNIMPLEMENTED
        429 | 502 | 503 | 504 => 14, // UNAVAILABLE
        _ => 2,                      // UNKNOWN
    }
}

/// Appends a message, with everything in it that would not be itself as a percentage sign and two digits.
pub(super) fn write_message(text: &str, out: &mut Vec<u8>) {
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(byte);
        } else {
            let digit = |n: u8| b"0123456789ABCDEF"[usize::from(n & 15)];
            out.extend_from_slice(&[b'%', digit(byte >> 4), digit(byte)]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_known_by_its_content_type() {
        let table: [(&str, bool); 9] = [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC; charset=utf-8", true),
            ("application/grpc-web", false),
            ("application/grpc-web+proto", false),
            ("application/grpcx", false),
            ("application/json", false),
            ("application/grp", false),
            ("", false),
        ];
        for (text, expected) in table {
            let field = Field { name: b"Content-Type", value: text.as_bytes() };
            assert_eq!(is_call(&[field]), expected, "{text}");
            let head = format!("POST / HTTP/1.1\r\nA: b\r\ncontent-TYPE:  {text} \r\n\r\n");
            assert_eq!(is_call_head(head.as_bytes()), expected, "{text}");
        }
        assert!(!is_call_head(b"GET / HTTP/1.1\r\ncontent-type: application/grpc\r\n\r\n"));
    }

    #[test]
    fn messages_are_coded() {
        let mut out = Vec::new();
        write_message("100 % \u{e4}\n", &mut out);
        assert_eq!(out, b"100 %25 %C3%A4%0A");
    }
}
