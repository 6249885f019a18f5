//! Bodies: where they end, what of the chunked coding goes on, and codings that are broken.

use super::{BOTH, NEXT, passes, send};
use crate::harness::{backend, homing, read_reply};

/// Fields and body sent, fields and body seen, in a POST.
pub(super) const PASS: &[(&str, &str, &str, &str)] = &[
    // A length.
    ("Content-Length: 2\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("Content-Length: 0\r\n", "", "Content-Length: 0\r\n", ""),
    ("Content-Length: 00\r\n", "", "Content-Length: 0\r\n", ""),
    ("Content-Length: 002\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("Content-Length:\t2\t \r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("cOnTeNt-LeNgTh: 2\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("Content-Length: 2\r\nContent-Length: 2\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("Content-Length: 2\r\nX: y\r\nContent-Length: 02\r\n", "hi", "X: y\r\nContent-Length: 2\r\n", "hi"),
    ("Content-Length: 4\r\n", "\r\n\r\n", "Content-Length: 4\r\n", "\r\n\r\n"),
    ("Content-Length: 5\r\n", "0\r\n\r\n", "Content-Length: 5\r\n", "0\r\n\r\n"),
    ("Content-Length: 18\r\n", "GET /x HTTP/1.1\r\n\n", "Content-Length: 18\r\n", "GET /x HTTP/1.1\r\n\n"),
    ("Connection: Content-Length\r\nContent-Length: 2\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("Content_Length: 9\r\nContent-Length: 2\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("Content-Length: 2\r\nTransfer_Encoding: chunked\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    ("Content-Length: 2\r\nTE: chunked\r\n", "hi", "Content-Length: 2\r\n", "hi"),
    (
        "Content-Length: 2\r\nTransfer-Encoding-X: chunked\r\n",
        "hi",
        "Transfer-Encoding-X: chunked\r\nContent-Length: 2\r\n",
        "hi",
    ),
    (
        "Expect: 100-continue\r\nContent-Length: 2\r\n",
        "hi",
        "Expect: 100-continue\r\nContent-Length: 2\r\n",
        "hi",
    ),
    (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n",
        "hi",
        "Content-Length: 2\r\n",
        "hi",
    ),
    ("Connection: Upgrade\r\nUpgrade: websocket\r\n", "", "", ""),
    // The chunked coding: framed anew, extensions left out.
    ("Transfer-Encoding: chunked\r\n", "0\r\n\r\n", CHUNKED, "0\r\n\r\n"),
    ("Transfer-Encoding: CHUNKED\r\n", "2\r\nhi\r\n0\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    ("transfer-encoding:\tchunked \r\n", "2\r\nhi\r\n0\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    (CHUNKED, "002\r\nhi\r\n000\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    (CHUNKED, "0000000000000002\r\nhi\r\n0000000000000000\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    (
        CHUNKED,
        "A\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
        CHUNKED,
        "a\r\n0123456789\r\na\r\n0123456789\r\n0\r\n\r\n",
    ),
    (CHUNKED, "2;x\r\nhi\r\n0;y\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    (CHUNKED, "2;x=y;z\r\nhi\r\n0\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    (CHUNKED, "2;x=\"y;\\\"z\"\r\nhi\r\n0\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    (CHUNKED, "2 ; x = y \t; z\r\nhi\r\n0\r\n\r\n", CHUNKED, "2\r\nhi\r\n0\r\n\r\n"),
    (CHUNKED, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n", CHUNKED, "1\r\na\r\n1\r\nb\r\n0\r\n\r\n"),
    (CHUNKED, "5\r\n0\r\n\r\n\r\n0\r\n\r\n", CHUNKED, "5\r\n0\r\n\r\n\r\n0\r\n\r\n"),
    (CHUNKED, "3\r\n\r\n\r\r\n0\r\n\r\n", CHUNKED, "3\r\n\r\n\r\r\n0\r\n\r\n"),
    (
        CHUNKED,
        "12\r\nGET /x HTTP/1.1\r\n\n\r\n0\r\n\r\n",
        CHUNKED,
        "12\r\nGET /x HTTP/1.1\r\n\n\r\n0\r\n\r\n",
    ),
    ("Connection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", CHUNKED, "0\r\n\r\n"),
    ("Content_Length: 9\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n", CHUNKED, "0\r\n\r\n"),
    // Trailers: none that was not asked for.
    (CHUNKED, "0\r\nX-T: 1\r\n\r\n", CHUNKED, "0\r\n\r\n"),
    ("Trailer: X-T\r\nTransfer-Encoding: chunked\r\n", "0\r\nX-T: 1\r\n\r\n", CHUNKED, "0\r\n\r\n"),
    (
        CHUNKED,
        "2\r\nhi\r\n0\r\nHost: b\r\nCookie: c\r\nX-Forwarded-For: 1\r\n\r\n",
        CHUNKED,
        "2\r\nhi\r\n0\r\n\r\n",
    ),
    (TRAILERS, "0\r\nX-T: 1\r\n\r\n", SEEN_TRAILERS, "0\r\nX-T: 1\r\n\r\n"),
    (
        TRAILERS,
        "2\r\nhi\r\n0\r\nX-T:1\r\nETag: \"e\"\r\n\r\n",
        SEEN_TRAILERS,
        "2\r\nhi\r\n0\r\nX-T:1\r\nETag: \"e\"\r\n\r\n",
    ),
    (TRAILERS, "0\r\nContent-Length: 9\r\nTransfer-Encoding: chunked\r\n\r\n", SEEN_TRAILERS, "0\r\n\r\n"),
    (TRAILERS, "0\r\nHost: b\r\nX-T: 1\r\nAuthorization: b\r\n\r\n", SEEN_TRAILERS, "0\r\nX-T: 1\r\n\r\n"),
    (
        TRAILERS,
        "0\r\nCookie: srv=1\r\nX-Forwarded-For: 1\r\nForwarded: for=1\r\n\r\n",
        SEEN_TRAILERS,
        "0\r\n\r\n",
    ),
    (TRAILERS, "0\r\nX_T: 1\r\nX.Real.IP: 1\r\nTE: x\r\nTrailer: y\r\n\r\n", SEEN_TRAILERS, "0\r\n\r\n"),
    (
        TRAILERS,
        "0\r\nContent-Type: a/b\r\nContent-Encoding: gzip\r\nRange: x\r\n\r\n",
        SEEN_TRAILERS,
        "0\r\n\r\n",
    ),
    (
        TRAILERS,
        "0\r\nConnection: close\r\nUpgrade: websocket\r\nExpect: x\r\n\r\n",
        SEEN_TRAILERS,
        "0\r\n\r\n",
    ),
    (
        "TE: trailers\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n",
        "0\r\nX-T: 1\r\n\r\n",
        "Trailer: X-T\r\nTransfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n",
        "0\r\nX-T: 1\r\n\r\n",
    ),
];

const CHUNKED: &str = "Transfer-Encoding: chunked\r\n";
const TRAILERS: &str = "TE: trailers\r\nTransfer-Encoding: chunked\r\n";
const SEEN_TRAILERS: &str = "Transfer-Encoding: chunked\r\nConnection: TE\r\nTE: trailers\r\n";

/// Bodies whose coding is broken: the request does not become whole at the backend.
pub(super) const BROKEN: &[&str] = &[
    // Sizes.
    "\r\n",
    "x\r\n",
    "g\r\n",
    "-1\r\nx\r\n",
    "+1\r\nx\r\n",
    " 1\r\nx\r\n",
    "\t1\r\nx\r\n",
    "0x1\r\nx\r\n",
    "0X1\r\nx\r\n",
    "1_0\r\n",
    "1.0\r\nx\r\n",
    "1,1\r\nx\r\n",
    "\"1\"\r\nx\r\n",
    "8000000000000000\r\n",
    "FFFFFFFFFFFFFFFF\r\n",
    "11111111111111111\r\n",
    "00000000000000001\r\nx\r\n",
    "00000000000000000\r\n\r\n",
    // Line ends.
    "1\nx\r\n0\r\n\r\n",
    "1\rx\r\n0\r\n\r\n",
    "1\r\rx",
    "1\r\nx\n0\r\n\r\n",
    "1\r\nx\r0\r\n\r\n",
    "1\r\nx0\r\n\r\n",
    "1\r\nxy\r\n0\r\n\r\n",
    "0\n\n",
    "0\r\n\n",
    "0\r\r\n\r\n",
    // Extensions.
    "1 \r\nx\r\n",
    "1\t\r\nx\r\n",
    "1;\r\nx\r\n",
    "1; \r\nx\r\n",
    "1;;a\r\nx\r\n",
    "1;=b\r\nx\r\n",
    "1;a=\r\nx\r\n",
    "1;a b\r\nx\r\n",
    "1 a\r\nx\r\n",
    "1;a=\"\r\nx\r\n",
    "1;a=\"b\"c\r\nx\r\n",
    "1;a=\"b\r\n\"\r\nx\r\n",
    "1;a[\r\nx\r\n",
    "1;a\nx\r\n0\r\n\r\n",
    "1;a\rb\r\nx\r\n",
    "1;\0\r\nx\r\n",
    "1;a=\"\x01\"\r\nx\r\n",
    // Trailers.
    "0\r\n bad: x\r\n\r\n",
    "0\r\nbad\r\n\r\n",
    "0\r\nbad : x\r\n\r\n",
    "0\r\n: x\r\n\r\n",
    "0\r\nX: y\r\n z\r\n\r\n",
    "0\r\nX: y\n\r\n",
    "0\r\nX: y\rz\r\n\r\n",
    "0\r\nX: \0\r\n\r\n",
    "0\r\nX: \x7f\r\n\r\n",
];

#[test]
fn a_body_ends_where_it_says_and_its_coding_is_made_anew() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let head = "POST / HTTP/1.1\r\nHost: a\r\n";
    for (fields, body, seen_fields, seen_body) in PASS {
        let (sent, seen) =
            (format!("{head}{fields}\r\n{body}"), format!("{head}{seen_fields}\r\n{seen_body}"));
        for how in BOTH {
            passes(&homing, &a, &sent, &seen, how);
        }
    }
}

#[test]
fn a_broken_chunk_never_completes_a_request() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n";
    for body in BROKEN {
        for how in BOTH {
            let mut stream = send(homing.address, format!("{head}{body}{NEXT}").as_bytes(), how);
            let reply = read_reply(&mut stream, &mut Vec::new(), true);
            let what = format!("{how:?} {body:?}: {}", reply.text());
            assert_eq!((reply.status, reply.text().contains("(chunked)")), (400, true), "{what}");
            assert_eq!(reply.field("connection").as_deref(), Some("close"), "{what}");
            assert!(a.requests().is_empty(), "{what} became a request: {}", a.last());
        }
    }
}

#[test]
fn extensions_and_trailers_have_an_end() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
    let long = |n: usize| "x".repeat(n);
    for body in [
        format!("1;{}\r\nx\r\n0\r\n\r\n", long(17_000)),
        format!("{}0\r\n\r\n", format!("1;{}\r\nx\r\n", long(1_000)).repeat(17)),
        format!("0\r\nX: {}\r\n\r\n", long(17_000)),
        format!("0\r\n{}\r\n", "X: y\r\n".repeat(3_000)),
        format!("0\r\n{}", long(17_000)),
    ] {
        assert_eq!(homing.send(format!("{head}{body}")).status, 400);
        assert!(a.requests().is_empty(), "it became a request");
    }
}
