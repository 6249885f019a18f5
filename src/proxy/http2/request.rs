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
pub struct Read {
    /// How its body is framed.
    pub form: Form,
    /// Whether its method is HEAD.
    pub to_head: bool,
    /// Why it is refused, if it is.
    pub refused: Option<Own>,
}

/// Appends the head. `key` is what a WebSocket's handshake has for its key, which HTTP/2 has none of.
pub fn write<B>(request: &Request<B>, ends: bool, key: u128, out: &mut Vec<u8>) -> Read {
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
    // Without an authority h2 has no place for the scheme that it has judged: then Host alone says for whom it is.
    let is_served = uri.scheme_str().map_or_else(
        || authority.is_none() || is_connect && protocol.is_none(),
        |scheme| matches!(scheme, "http" | "https"),
    );
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

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};
    use proptest::prelude::*;

    use super::*;
    use crate::message::head::{Search, find_end, parse_request, room};

    /// The head that a request becomes, and what was found of it.
    fn written(request: &Request<()>, ends: bool) -> (Vec<u8>, Read) {
        let mut out = Vec::new();
        let read = write(request, ends, u128::MAX, &mut out);
        (out, read)
    }

    fn name() -> impl Strategy<Value = HeaderName> {
        "[a-z0-9!#$%&'*+.^_`|~-]{1,12}"
            .prop_filter_map("a name", |n| HeaderName::from_bytes(n.as_bytes()).ok())
    }

    fn value() -> impl Strategy<Value = HeaderValue> {
        prop::collection::vec(any::<u8>(), 0..40)
            .prop_filter_map("a value", |v| HeaderValue::from_bytes(&v).ok())
    }

    proptest! {
        #[test]
        fn whatever_is_not_refused_is_one_head_with_the_same_fields(
            method in "[A-Z!#$%&'*+.^_`|~-]{1,10}",
            path in "/[ -~\u{80}-\u{ff}]{0,30}",
            host in "[a-z0-9.-]{1,10}",
            fields in prop::collection::vec((name(), value()), 0..8),
            ends in any::<bool>(),
        ) {
            let uri = http::Uri::builder().scheme("https").authority(host.as_str()).path_and_query(path.as_str());
            let Ok(uri) = uri.build() else { return Ok(()) };
            let mut request = Request::new(());
            *request.method_mut() = Method::from_bytes(method.as_bytes()).unwrap();
            *request.uri_mut() = uri;
            for (name, value) in &fields {
                request.headers_mut().append(name, value.clone());
            }
            let (head, read) = written(&request, ends);
            if read.refused.is_some() {
                return Ok(());
            }
            prop_assert_eq!(find_end(&head, &mut Search::default()), Ok(Some(head.len())));
            let mut room = room();
            let Ok(parsed) = parse_request(&head, &mut room) else { return Ok(()) }; // Which is refused by that.
            prop_assert_eq!(parsed.method, method);
            let ours = ["Host", "cookie", "Transfer-Encoding"];
            let told = parsed.fields.iter().filter(|f| !ours.contains(&f.name));
            let mut told: Vec<_> = told.map(|f| (f.name.to_owned(), f.value.to_owned())).collect();
            let mut expected: Vec<_> = request
                .headers()
                .iter()
                .filter(|(n, _)| **n != HOST && **n != COOKIE)
                .map(|(n, v)| (n.as_str().to_owned(), v.as_bytes().to_owned()))
                .collect();
            told.sort();
            expected.sort();
            prop_assert_eq!(told, expected);
        }
    }

    #[test]
    fn a_web_socket_has_a_key_of_16_bytes() {
        let mut request = Request::new(());
        *request.method_mut() = Method::CONNECT;
        *request.uri_mut() = "https://test/ws".parse().unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        for (key, text) in [
            (0, "AAAAAAAAAAAAAAAAAAAAAA=="),
            (u128::MAX, "/////////////////////w=="),
            (u128::from_be_bytes(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            let mut out = Vec::new();
            let read = write(&request, false, key, &mut out);
            assert_eq!(read.form, Form::Open);
            let head = String::from_utf8(out).unwrap();
            assert!(head.starts_with("GET /ws HTTP/1.1\r\nHost: test\r\n"), "{head}");
            assert!(head.contains(&format!("\r\nSec-WebSocket-Key: {text}\r\n")), "{head}");
        }
    }
}
