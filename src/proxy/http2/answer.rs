//! An answer's head as homing writes it for HTTP/1.1, made the head of a stream.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::body::Form;
use super::lines::Lines;
use crate::message::field::Name;

/// A head that was read.
#[derive(Debug)]
pub(super) enum Answer {
    /// One that others follow.
    Informational(Response<()>),
    /// The last one, and how its body is framed.
    Final(Response<()>, Form),
}

/// Reads a head that homing wrote, and that is whole. `None` if it is not one, which nothing that homing writes is.
#[must_use]
pub(super) fn read(head: &[u8], to_head: bool, is_tunnel: bool) -> Option<Answer> {
    // Values are parts of this one copy.
    let head = Bytes::copy_from_slice(head);
    let mut lines = Lines::of(&head);
    let status = StatusCode::from_bytes(head.get(lines.next()?)?.get(9..12)?).ok()?;
    let mut fields = HeaderMap::with_capacity(16);
    let mut form = Form::None;
    for line in lines {
        let text = head.get(line.clone())?;
        let Some(colon) = memchr::memchr(b':', text) else { continue };
        let (name, value) = (text.get(..colon)?, text.get(colon + 2..)?);
        let known = Name::of(std::str::from_utf8(name).ok()?);
        match known {
            // What is said of a connection of HTTP/1.1 has no place here. (RFC 9113 section 8.2.2)
            Name::Connection | Name::KeepAlive | Name::Upgrade | Name::ProxyConnection => continue,
            Name::TransferEncoding => {
                form = Form::Chunked;
                continue;
            }
            Name::ContentLength => {
                form = match std::str::from_utf8(value).ok()?.parse().ok()? {
                    0 => Form::None,
                    n => Form::Length(n),
                };
            }
            _ => {}
        }
        let value = head.slice(line.start + colon + 2..line.end);
        let mut value = HeaderValue::from_maybe_shared(value).ok()?;
        // What no other answer has would only push useful entries out of the table; and a secret does not belong there.
        value.set_sensitive(matches!(known, Name::SetCookie | Name::RequestId));
        fields.append(HeaderName::from_bytes(name).ok()?, value);
    }
    let mut response = Response::new(());
    *response.status_mut() = status;
    if is_tunnel && status == StatusCode::SWITCHING_PROTOCOLS {
        fields.remove("sec-websocket-accept");
        *response.status_mut() = StatusCode::OK;
        *response.headers_mut() = fields;
        return Some(Answer::Final(response, Form::Open));
    }
    *response.headers_mut() = fields;
    if status.is_informational() {
        return Some(Answer::Informational(response));
    }
    if to_head || matches!(status.as_u16(), 204 | 304) {
        form = Form::None;
    }
    Some(Answer::Final(response, form))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a head becomes: its status, its fields, and how its body is framed.
    fn told(head: &str, to_head: bool, is_tunnel: bool) -> (u16, String, Option<Form>) {
        let (response, form) = match read(head.as_bytes(), to_head, is_tunnel).unwrap() {
            Answer::Informational(response) => (response, None),
            Answer::Final(response, form) => (response, Some(form)),
        };
        let fields: Vec<String> = response
            .headers()
            .iter()
            .map(|(name, value)| format!("{name}={}", value.to_str().unwrap()))
            .collect();
        (response.status().as_u16(), fields.join(" "), form)
    }

    #[test]
    fn heads_are_read_with_their_framing_and_without_what_is_of_the_connection() {
        let ok = "HTTP/1.1 200 OK\r\n";
        let table = [
            (
                format!("{ok}Content-Length: 5\r\nX-A: b: c\r\n\r\n"),
                200,
                "content-length=5 x-a=b: c",
                Form::Length(5),
            ),
            (format!("{ok}Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n"), 200, "", Form::Chunked),
            (format!("{ok}Content-Length: 0\r\n\r\n"), 200, "content-length=0", Form::None),
            (
                "HTTP/1.1 304 Not Modified\r\nContent-Length: 9\r\n\r\n".to_owned(),
                304,
                "content-length=9",
                Form::None,
            ),
            (
                "HTTP/1.1 599 \r\nX-E: \r\nContent-Length: 1\r\n\r\n".to_owned(),
                599,
                "x-e= content-length=1",
                Form::Length(1),
            ),
        ];
        for (head, status, fields, form) in table {
            assert_eq!(told(&head, false, false), (status, fields.to_owned(), Some(form)), "{head}");
        }
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert_eq!(told(head, true, false).2, Some(Form::None), "to HEAD");
        assert_eq!(told("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", false, false).2, None);
    }

    #[test]
    fn a_switch_to_a_web_socket_is_a_success() {
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                    Sec-WebSocket-Accept: x\r\nSec-WebSocket-Protocol: chat\r\n\r\n";
        let expected = (200, "sec-websocket-protocol=chat".to_owned(), Some(Form::Open));
        assert_eq!(told(head, false, true), expected);
        let refused = "HTTP/1.1 403 Forbidden\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(told(refused, false, true), (403, "content-length=3".to_owned(), Some(Form::Length(3))));
    }
}
