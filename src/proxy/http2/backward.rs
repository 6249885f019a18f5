//! Heads between homing and a backend of HTTP/2: a request as homing writes it for HTTP/1.1 made one of a stream, and a
//! stream's answer made the head that is read from a connection.
//!
//! What a request becomes is looked at once more: a field of a connection, a name or a value that HTTP/2 cannot have
//! never leaves. (RFC 9113 sections 8.2 and 8.3)

use bytes::Bytes;
use h2::RecvStream;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};

use super::lines::Lines;
use super::request::Form;
use crate::message::field::{self, Name};

/// Reads a head that is whole, and how the body behind it is framed. `None` if HTTP/2 has no way to say it.
#[must_use]
pub(super) fn request(head: &[u8], scheme: Scheme) -> Option<(Request<()>, Form)> {
    // Values are parts of this one copy.
    let head = Bytes::copy_from_slice(head);
    let mut lines = Lines::of(&head);
    let start = std::str::from_utf8(head.get(lines.next()?)?).ok()?;
    let mut parts = start.split(' ');
    let (method, target) = (Method::from_bytes(parts.next()?.as_bytes()).ok()?, parts.next()?);
    let (mut fields, mut form, mut host) = (HeaderMap::with_capacity(16), Form::None, None);
    for line in lines {
        let text = head.get(line.clone())?;
        let Some(colon) = memchr::memchr(b':', text) else { continue };
        let name = text.get(..colon)?;
        let value = head.slice(line.start + (colon + 2).min(text.len())..line.end);
        match Name::of_bytes(name) {
            Name::Host => {
                host = Some(Authority::from_maybe_shared(value).ok()?);
                continue;
            }
            Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::Upgrade
            | Name::Http2Settings => continue,
            Name::TransferEncoding => {
                form = Form::Chunked;
                continue;
            }
            Name::Te if !field::list(&value).any(|c| c.eq_ignore_ascii_case(b"trailers")) => continue,
            Name::Te => {
                fields.insert(http::header::TE, HeaderValue::from_static("trailers"));
                continue;
            }
            Name::ContentLength => {
                form = match std::str::from_utf8(&value).ok()?.parse().ok()? {
                    0 => Form::None,
                    n => Form::Length(n),
                };
            }
            _ => {}
        }
        fields.append(HeaderName::from_bytes(name).ok()?, HeaderValue::from_maybe_shared(value).ok()?);
    }
    let target = PathAndQuery::try_from(target).ok()?;
    let uri = Uri::builder().scheme(scheme).authority(host?).path_and_query(target).build().ok()?;
    let mut request = Request::new(());
    (*request.method_mut(), *request.uri_mut(), *request.headers_mut()) = (method, uri, fields);
    Some((request, form))
}

/// Appends the head of an answer and returns how its body is to be framed.
pub(super) fn answer(response: &Response<RecvStream>, to_head: bool, out: &mut Vec<u8>) -> Form {
    let (status, fields) = (response.status(), response.headers());
    write_status(status, out);
    let has_none = to_head || matches!(status.as_u16(), 204 | 304);
    let length = fields.get(CONTENT_LENGTH);
    // Behind a body of known length there would be no place for the trailers that gRPC ends with.
    let is_grpc = fields.get(CONTENT_TYPE).is_some_and(|v| v.as_bytes().starts_with(b"application/grpc"));
    let form = match length {
        _ if has_none => Form::None,
        Some(n) if !is_grpc => {
            // What is no number is passed on, and refused where answers are read.
            Form::Length(n.to_str().ok().and_then(|n| n.parse().ok()).unwrap_or_default())
        }
        _ if response.body().is_end_stream() => Form::Length(0),
        _ => Form::Chunked,
    };
    for (name, value) in fields {
        match Name::of(name.as_str()) {
            Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::Upgrade
            | Name::TransferEncoding => {}
            Name::ContentLength if form == Form::Chunked => {}
            _ => write_field(name.as_str(), value.as_bytes(), out),
        }
    }
    match form {
        Form::Length(0) if length.is_none() || is_grpc => out.extend_from_slice(b"content-length: 0\r\n"),
        Form::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Form::None | Form::Length(_) | Form::Open => {}
    }
    out.extend_from_slice(b"\r\n");
    match form {
        Form::Length(0) => Form::None,
        form => form,
    }
}

/// Appends the head of an informational answer.
pub(super) fn informational(response: &Response<()>, out: &mut Vec<u8>) {
    write_status(response.status(), out);
    for (name, value) in response.headers() {
        write_field(name.as_str(), value.as_bytes(), out);
    }
    out.extend_from_slice(b"\r\n");
}

fn write_status(status: StatusCode, out: &mut Vec<u8>) {
    let phrase = status.canonical_reason().unwrap_or_default();
    for part in ["HTTP/1.1 ", status.as_str(), " ", phrase, "\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
}

fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(head: &str) -> Option<(Request<()>, Form)> {
        request(head.as_bytes(), Scheme::HTTP)
    }

    #[test]
    fn a_head_becomes_pseudo_fields_and_fields() {
        let head = "POST /a?b=c HTTP/1.1\r\nHost: app:80\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\n\
                    TE: trailers\r\nCookie: a=b\r\nX-Empty: \r\n\r\n";
        let (request, form) = of(head).unwrap();
        assert_eq!(request.uri(), "http://app:80/a?b=c");
        assert_eq!((request.method(), form), (&Method::POST, Form::Chunked));
        let fields: Vec<_> = request.headers().iter().map(|(n, v)| (n.as_str(), v.as_bytes())).collect();
        assert_eq!(fields, [("te", &b"trailers"[..]), ("cookie", b"a=b"), ("x-empty", b"")]);
        let (request, form) = of("OPTIONS * HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\n").unwrap();
        assert_eq!((request.uri().path(), form), ("*", Form::Length(7)));
        assert_eq!(request.headers()["content-length"], "7");
    }

    #[test]
    fn what_has_no_place_in_http2_is_left_out() {
        let head = "GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nKeep-Alive: 5\r\n\
                    Proxy-Connection: x\r\nHTTP2-Settings: x\r\nTE: gzip\r\n\r\n";
        let (request, form) = of(head).unwrap();
        assert_eq!((request.headers().len(), form), (0, Form::None));
    }

    #[test]
    fn what_cannot_be_said_is_not() {
        for head in [
            "GET /a<b HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nbad name: x\r\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\nx: a\x01b\r\n\r\n",
        ] {
            assert!(of(head).is_none(), "{head:?}");
        }
    }
}
