//! Several requests on one connection: each ends where it says, and what is refused ends the connection.

use super::{BOTH, Sent, send};
use crate::harness::{backend, homing, read_reply};

/// What is sent; the first lines that the backend sees; the statuses that come back.
pub(super) const PIPELINES: &[(&str, &[&str], &[u16])] = &[
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nGETGET /2 HTTP/1.1\r\nHost: t\r\n\r\n\
         GET /3 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /3 HTTP/1.1"],
        &[200, 200, 200],
    ),
    // A blank line between two.
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\n\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["GET /1 HTTP/1.1"],
        &[200, 400],
    ),
    // The body of one is not the next.
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 34\r\n\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n\
         GET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n22\r\nGET /evil HTTP/1.1\r\nHost: evil\r\n\r\n\
         \r\n0\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nHost: evil\r\n\r\n\
         GET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    (
        "HEAD /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nxGET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["HEAD /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    (
        "OPTIONS * HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nxGET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["OPTIONS * HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    // More than its length is a request of its own, and as bad as it is.
    ("POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\nX", &["POST /1 HTTP/1.1"], &[200]),
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\nXGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1", "XGET /evil HTTP/1.1"],
        &[200, 200],
    ),
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nhi there\r\nGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1"],
        &[200, 400],
    ),
    // A length and a coding: neither reading gets its second request.
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n\
         GET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &[],
        &[400],
    ),
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n22\r\n\
         GET /evil HTTP/1.1\r\nHost: evil\r\n\r\n\r\n0\r\n\r\n",
        &[],
        &[400],
    ),
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 4\r\nContent-Length: 34\r\n\r\nPINGGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &[],
        &[400],
    ),
    // What was good before it was answered.
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\nHost: t\r\n\r\nGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &["GET /1 HTTP/1.1"],
        &[200, 400],
    ),
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\n\r\nCONNECT t:80 HTTP/1.1\r\nHost: t:80\r\n\r\nGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &["GET /1 HTTP/1.1"],
        &[200, 405],
    ),
    // Nothing counts behind a request that ends its connection.
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\nGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &["GET /1 HTTP/1.1"],
        &[200],
    ),
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, CLOSE\r\n\r\nGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &["GET /1 HTTP/1.1"],
        &[200],
    ),
    ("GET /1 HTTP/1.0\r\n\r\nGET /evil HTTP/1.1\r\nHost: t\r\n\r\n", &["GET /1 HTTP/1.1"], &[200]),
    (
        "POST /1 HTTP/1.0\r\nContent-Length: 2\r\n\r\nhiGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1"],
        &[200],
    ),
    (
        "GET /1 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /2 HTTP/1.0\r\n\r\nGET /evil HTTP/1.0\r\n\r\n",
        &["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    // Bytes behind a request for a WebSocket are the next request when it is declined.
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nGET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["GET /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    (
        "GET /1 HTTP/1.1\r\nHost: t\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\nPRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        &["GET /1 HTTP/1.1"],
        &[200, 505],
    ),
    // Expectations: the body comes all the same.
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: t\r\n\r\n",
        &["POST /1 HTTP/1.1", "GET /2 HTTP/1.1"],
        &[200, 200],
    ),
    (
        "POST /1 HTTP/1.1\r\nHost: t\r\nExpect: x\r\nContent-Length: 2\r\n\r\nhiGET /evil HTTP/1.1\r\nHost: t\r\n\r\n",
        &[],
        &[417],
    ),
];

#[test]
fn requests_end_where_they_say_and_are_answered_in_order() {
    for how in BOTH {
        let a = backend("a");
        let homing = homing(&[&a]).run();
        let mut before = 0;
        for (sent, lines, statuses) in PIPELINES {
            let mut stream = send(homing.address, sent.as_bytes(), how);
            let mut held = Vec::new();
            let mut got = Vec::new();
            let mut is_last = false;
            for (i, _) in statuses.iter().enumerate() {
                let reply = read_reply(&mut stream, &mut held, !(i == 0 && sent.starts_with("HEAD ")));
                got.push(reply.status);
                is_last = reply.field("connection").as_deref() == Some("close");
            }
            assert_eq!(got, *statuses, "{how:?} {sent:?}");
            if is_last {
                let _ = std::io::Read::read_to_end(&mut stream, &mut held);
                assert!(held.is_empty(), "{how:?} {sent:?}: {:?}", String::from_utf8_lossy(&held));
            }
            let seen: Vec<String> = a.requests()[before..]
                .iter()
                .map(|r| String::from_utf8_lossy(r).lines().next().unwrap().to_owned())
                .collect();
            assert_eq!(seen, *lines, "{how:?} {sent:?}");
            before += seen.len();
        }
    }
}

#[test]
fn a_request_cut_off_reaches_nobody() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let whole = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    for cut in 0..whole.len() {
        let stream = send(homing.address, &whole.as_bytes()[..cut], Sent::Whole);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut came = Vec::new();
        let _ = std::io::Read::read_to_end(&mut &stream, &mut came);
        assert!(!came.starts_with(b"HTTP/1.1 2"), "cut at {cut}");
        assert!(a.requests().is_empty(), "cut at {cut}");
    }
}
