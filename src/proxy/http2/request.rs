//! A stream's request as a head of HTTP/1.1, for [`admit`](crate::proxy::request::admit) to judge like any other.
//!
//! h2 refuses names that are no lower-case tokens, fields of a connection, and pseudo fields that are missing, repeated,
//! unknown or late. The rest of RFC 9113 section 8 is here.

use http::header::{CONTENT_LENGTH, COOKIE, HOST};
use http::{HeaderMap, Method, Request};

use super::body::Form;
use crate::proxy::respond::{MALFORMED, Own, PROTOCOL};

/// What a request's head became.
#[derive(Debug)]
pub(super) struct Read {
    /// How its body is framed.
    pub(super) form: Form,
    /// Whether its method is HEAD.
    pub(super) to_head: bool,
    /// Why it is refused, if it is.
    pub(super) refused: Option<Own>,
}

/// Appends the head. `key` is what a WebSocket's handshake has for its key, which HTTP/2 has none of.
pub(super) fn write<B>(request: &Request<B>, ends: bool, key: u128, out: &mut Vec<u8>) -> Read {
    let (method, uri, fields) = (request.method(), request.uri(), request.headers());
    let protocol = request.extensions().get::<h2::ext::Protocol>().map(h2::ext::Protocol::as_str);
    let mut refused = None;
    let mut form = match () {
        () if ends => Form::None,
        () => fields.get(CONTENT_LENGTH).map_or(Form::Chunked, |_| Form::Length(0)),
    };
    let is_connect = method == Method::CONNECT;
    let told = match (protocol, is_connect) {
        (Some("websocket"), true) => {
            form = Form::Open;
            "GET"
        }
        (Some(_), _) => {
            refused = Some(PROTOCOL);
            method.as_str()
        }
        (None, _) => method.as_str(),
    };
    let path = uri.path_and_query().map_or("", |p| p.as_str());
    let target = match (path, uri.authority()) {
        ("", Some(authority)) if is_connect => authority.as_str(),
        (path, _) => path,
    };
    for part in [told, " ", target, " HTTP/1.1\r\n"] {
        out.extend_from_slice(part.as_bytes());
    }
    let authority = uri.authority().map(|a| a.as_str().as_bytes());
    let is_served = matches!(uri.scheme_str(), Some("http" | "https")) || is_connect && protocol.is_none();
    if !is_served || !agrees(authority, fields) {
        refused = refused.or(Some(MALFORMED));
    }
    if let Some(authority) = authority.or_else(|| fields.get(HOST).map(http::HeaderValue::as_bytes)) {
        write_field("Host", authority, out);
    }
    for (name, value) in fields.iter().filter(|(name, _)| **name != HOST && **name != COOKIE) {
        if has_outer_blank(value.as_bytes()) {
            refused = refused.or(Some(MALFORMED));
        }
        write_field(name.as_str(), value.as_bytes(), out);
    }
    write_cookies(fields, out);
    match form {
        Form::Open => write_handshake(key, out),
        Form::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Form::None | Form::Length(_) => {}
    }
    out.extend_from_slice(b"\r\n");
    Read { form, to_head: method == Method::HEAD, refused }
}

/// Whether `Host`, where it stands beside the authority, says the same, and once. (RFC 9113 section 8.3.1)
fn agrees(authority: Option<&[u8]>, fields: &HeaderMap) -> bool {
    let mut hosts = fields.get_all(HOST).iter();
    match (hosts.next(), hosts.next(), authority) {
        (_, Some(_), _) => false,
        (Some(host), None, Some(authority)) => host.as_bytes().eq_ignore_ascii_case(authority),
        (_, None, _) => true,
    }
}

/// Crumbs of a cookie are one field again, before anybody looks for theirs. (RFC 9113 section 8.2.3)
fn write_cookies(fields: &HeaderMap, out: &mut Vec<u8>) {
    let mut crumbs = fields.get_all(COOKIE).iter();
    let Some(first) = crumbs.next() else { return };
    out.extend_from_slice(b"cookie: ");
    out.extend_from_slice(first.as_bytes());
    for crumb in crumbs {
        out.extend_from_slice(b"; ");
        out.extend_from_slice(crumb.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
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

fn write_field(name: &str, value: &[u8], out: &mut Vec<u8>) {
    for part in [name.as_bytes(), b": ", value, b"\r\n"] {
        out.extend_from_slice(part);
    }
}
