use proptest::prelude::*;

use super::*;
use crate::message::head::{Search, find_end, parse_request, room};

type Pair<'a> = (&'a [u8], &'a [u8]);

const GET: [Pair<'_>; 4] =
    [(b":method", b"GET"), (b":scheme", b"https"), (b":authority", b"test"), (b":path", b"/")];

/// What these fields become.
fn made(fields: &[Pair<'_>], ends: bool) -> Result<Asked, Malformed> {
    let mut assembly = Assembly::default();
    assembly.begin(Vec::new(), 1 << 20);
    for &(name, value) in fields {
        assembly.field(&Field { name, value, known: 0, is_secret: false });
    }
    assembly.finish(ends, || u128::MAX)
}

fn with(more: &[Pair<'_>]) -> Result<Asked, Malformed> {
    made(&[&GET[..], more].concat(), false)
}

fn name() -> impl Strategy<Value = String> {
    "[a-z0-9!#$%&'*+.^_`|~-]{1,12}"
}

fn value() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(any::<u8>(), 0..40)
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
        let pseudo: [Pair<'_>; 4] = [
            (b":method", method.as_bytes()),
            (b":scheme", b"https"),
            (b":path", path.as_bytes()),
            (b":authority", host.as_bytes()),
        ];
        let pairs = fields.iter().map(|(name, value)| (name.as_bytes(), value.as_slice()));
        let all: Vec<Pair<'_>> = pseudo.into_iter().chain(pairs).collect();
        let Ok(asked) = made(&all, ends) else { return Ok(()) };
        if asked.refused.is_some() {
            return Ok(());
        }
        prop_assert_eq!(find_end(&asked.head, &mut Search::default()), Ok(Some(asked.head.len())));
        let mut room = room();
        let Ok(parsed) = parse_request(&asked.head, &mut room) else { return Ok(()) }; // Which is refused by that.
        prop_assert_eq!(parsed.method, method);
        prop_assert_eq!(parsed.target.as_bytes(), path.as_bytes());
        let text = |name: &[u8]| String::from_utf8(name.to_vec()).unwrap();
        let told = parsed.fields.iter().map(|f| (text(f.name), f.value.to_owned()));
        let mut told: Vec<_> =
            told.filter(|(name, _)| !matches!(&**name, "Host" | "cookie" | "Transfer-Encoding")).collect();
        let mut expected = fields;
        expected.retain(|(name, _)| name != "host" && name != "cookie");
        told.sort();
        expected.sort();
        prop_assert_eq!(told, expected);
    }
}

#[test]
fn a_head_has_its_line_its_host_and_its_cookies_in_one() {
    let fields: [Pair<'_>; 4] =
        [(b"cookie", b"a=b"), (b"accept", b"*/*"), (b"cookie", b"c=d"), (b"content-length", b"3")];
    let asked = with(&fields).unwrap();
    let head = "GET / HTTP/1.1\r\nHost: test\r\naccept: */*\r\ncontent-length: 3\r\ncookie: a=b; c=d\r\n\r\n";
    assert_eq!(String::from_utf8(asked.head).unwrap(), head);
    assert_eq!((asked.form, asked.length, asked.refused), (Form::Length(3), Some(3), None));
    assert_eq!(with(&[]).unwrap().form, Form::Chunked);
    assert_eq!(made(&GET, true).unwrap().form, Form::None);
}

#[test]
fn a_request_without_an_authority_has_the_host_that_it_says() {
    let fields: [Pair<'_>; 4] =
        [(b":method", b"GET"), (b":scheme", b"http"), (b":path", b"/a"), (b"host", b"x")];
    let head = made(&fields, true).unwrap().head;
    assert_eq!(String::from_utf8(head).unwrap(), "GET /a HTTP/1.1\r\nHost: x\r\n\r\n");
}

#[test]
fn what_is_malformed_is_no_request() {
    let wrong: [&[Pair<'_>]; 15] = [
        &[(b"X", b"a")],
        &[(b"", b"a")],
        &[(b"a b", b"a")],
        &[(b"a", b"b\nc")],
        &[(b"a", b"b\0")],
        &[(b":path", b"/b")],
        &[(b"a", b"b"), (b":path", b"/b")],
        &[(b"connection", b"close")],
        &[(b"transfer-encoding", b"chunked")],
        &[(b"te", b"gzip")],
        &[(b"content-length", b"+3")],
        &[(b"content-length", b"3"), (b"content-length", b"4")],
        &[(b"content-length", b"99999999999999999999")],
        &[(b":status", b"200")],
        &[(b":unknown", b"200")],
    ];
    for fields in wrong {
        assert!(with(fields).is_err(), "{fields:?}");
    }
    for missing in GET {
        let fields: Vec<Pair<'_>> = GET.into_iter().filter(|pair| *pair != missing).collect();
        assert_eq!(made(&fields, true).is_err(), missing.0 != b":authority", "without {missing:?}");
    }
    for (at, value) in [(0, b"G T" as &[u8]), (3, b"/a b"), (3, b"a"), (3, b""), (2, b"a\r\nb"), (0, b"")] {
        let mut fields = GET;
        fields[at].1 = value;
        assert!(made(&fields, true).is_err(), "{value:?}");
    }
    let length: [Pair<'_>; 1] = [(b"content-length", b"3")];
    assert!(made(&[&GET[..], &length].concat(), true).is_err(), "a length, and no body");
}

#[test]
fn what_cannot_be_served_is_refused() {
    for (fields, own) in [
        (&[(b"host" as &[u8], b"other" as &[u8])][..], MALFORMED),
        (&[(b"host", b"test"), (b"host", b"test")], MALFORMED),
        (&[(b"a", b" b")], MALFORMED),
    ] {
        assert_eq!(with(fields).unwrap().refused, Some(own), "{fields:?}");
    }
    let mut fields = GET;
    fields[1].1 = b"ftp";
    assert_eq!(made(&fields, true).unwrap().refused, Some(MALFORMED));
    let mut assembly = Assembly::default();
    assembly.begin(Vec::new(), 400);
    let field = |name, value| Field { name, value, known: 0, is_secret: false };
    GET.iter().for_each(|(name, value)| assembly.field(&field(name, value)));
    assembly.field(&field(b"a", &[b'x'; 400]));
    let asked = assembly.finish(true, || 0).unwrap();
    assert_eq!(asked.refused, Some(HEAD_TOO_LONG));
    assert!(asked.head.starts_with(b"GET / HTTP/1.1\r\n") && asked.head.ends_with(b"\r\n\r\n"));
}

#[test]
fn a_web_socket_has_a_key_of_16_bytes() {
    for (key, text) in [
        (0, "AAAAAAAAAAAAAAAAAAAAAA=="),
        (u128::MAX, "/////////////////////w=="),
        (u128::from_be_bytes(*b"the sample nonce"), "dGhlIHNhbXBsZSBub25jZQ=="),
    ] {
        let fields: [Pair<'_>; 5] = [
            (b":method", b"CONNECT"),
            (b":protocol", b"websocket"),
            (b":scheme", b"https"),
            (b":path", b"/ws"),
            (b":authority", b"test"),
        ];
        let mut assembly = Assembly::default();
        assembly.begin(Vec::new(), 1 << 20);
        for (name, value) in fields {
            assembly.field(&Field { name, value, known: 0, is_secret: false });
        }
        let asked = assembly.finish(false, || key).unwrap();
        assert_eq!(asked.form, Form::Open);
        let head = String::from_utf8(asked.head).unwrap();
        assert!(head.starts_with("GET /ws HTTP/1.1\r\nHost: test\r\n"), "{head}");
        assert!(head.contains(&format!("\r\nSec-WebSocket-Key: {text}\r\n")), "{head}");
    }
}
