//! What was sent, what the backend must see byte for byte, and what the client gets.

use std::fmt::Write as _;

use crate::harness::{Does, backend, get, homing, until};

/// The fields that homing adds to every request and that differ from run to run.
fn without_ours(seen: &str) -> String {
    let (head, body) = seen.split_once("\r\n\r\n").unwrap_or((seen, ""));
    let ours = ["X-Forwarded-", "X-Real-IP: ", "Via: 1.1 homing-", "Via: 1.0 homing-"];
    let kept: Vec<&str> = head.split("\r\n").filter(|l| !ours.iter().any(|o| l.starts_with(o))).collect();
    format!("{}\r\n\r\n{body}", kept.join("\r\n"))
}

/// Requests that pass: (sent, seen by the backend).
const PASS: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    ("GET / HTTP/1.0\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    (
        "GET /%7e;p?q=/../&x=%00 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /%7e;p?q=/../&x=%00 HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("GET /a/../b//c HTTP/1.1\r\nHost: a\r\n\r\n", "GET /a/../b//c HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("PURGE / HTTP/1.1\r\nHost: a\r\n\r\n", "PURGE / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET / HTTP/1.1\r\nhOsT:\t a:80 \r\nx-y:z\r\n\r\n", "GET / HTTP/1.1\r\nHost: a:80\r\nx-y: z\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: a\r\nEmpty:\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\nEmpty: \r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n"),
    ("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("OPTIONS http://b HTTP/1.1\r\nHost: a\r\n\r\n", "OPTIONS * HTTP/1.1\r\nHost: b\r\n\r\n"),
    ("GET http://b/x?y HTTP/1.1\r\nHost: a\r\n\r\n", "GET /x?y HTTP/1.1\r\nHost: b\r\n\r\n"),
    ("GET HTTP://b HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: b\r\n\r\n"),
    // Bodies.
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nhi",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: CHUNKED\r\n\r\n2;x=\"y\"\r\nhi\r\n00\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\nContent-Length: 9\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx",
    ),
    // Fields of the connection and what it nominates.
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, X-Own\r\nKeep-Alive: 5\r\nX-Own: 1\r\nx-own: 2\r\nY: 3\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nY: 3\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: Cookie, Authorization, Host\r\nCookie: c=1\r\nAuthorization: x\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nCookie: c=1\r\nAuthorization: x\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nProxy-Connection: x\r\nTE: gzip\r\nHTTP2-Settings: x\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nTE: gzip, trailers\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n",
    ),
    (
        "GET / HTTP/1.1\r\nHost: a\r\nX_Forwarded_For: 1\r\na_b: 1\r\nX.Real.IP: 2\r\nForwarded: for=1\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    (
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 5\r\n\r\n",
        "OPTIONS / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 4\r\n\r\n",
    ),
];

/// Requests that are refused: (sent, status, reason).
const REFUSED: &[(&str, u16, &str)] = &[
    ("GET / HTTP/1.1\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n", 400, "host"),
    ("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405, "connect"),
    ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "trace"),
    ("GET / HTTP/1.1\nHost: a\n\n", 400, "line_end"),
    ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "line_end"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "field"),
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /\r\n", 400, "request_line"),
    ("GET / HTTP/0.9\r\n\r\n", 505, "version"),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version"),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx", 400, "content_length"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\nx", 400, "content_length"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +1\r\n\r\nx", 400, "content_length"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\nx", 400, "content_length"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0x1\r\n\r\nx", 400, "content_length"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\nx", 400, "content_length"),
    ("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\nx", 400, "content_length"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "length_and_coding",
    ),
    ("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400, "coding_in_1_0"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer_coding",
    ),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer_coding",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: , chunked\r\n\r\n0\r\n\r\n", 501, "transfer_coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n", 400, "unframed_coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, identity\r\n\r\n", 400, "unframed_coding"),
    ("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n", 400, "unframed_coding"),
    (
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        501,
        "transfer_coding",
    ),
    ("POST / HTTP/1.1\r\nHost: a\r\nExpect: 200-ok\r\nContent-Length: 1\r\n\r\nx", 417, "expectation"),
];

/// Bodies whose coding is broken: the request does not become whole at the backend.
const BROKEN: &[&str] = &[
    "x\r\n",
    "-1\r\n",
    "1\nx",
    " 1\r\n",
    "1 \r\nx",
    "1;\r\nx",
    "1;a=\"\r\nx",
    "g\r\n",
    "8000000000000000\r\n",
    "11111111111111111\r\n",
    "1\r\nxy\r\n",
    "1\r\nx\n",
    "0\r\n bad\r\n\r\n",
    "0\r\nbad\r\n\r\n",
    "0x1\r\nx\r\n",
];

/// Responses that a proxy must not pass on.
const BAD_RESPONSES: &[&str] = &[
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
    "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "HTTP/1.1 OK\r\n\r\n",
    "HTTP/2.0 200 OK\r\n\r\n",
    "<html>HTTP/0.9</html>\r\n\r\n",
    "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 0\r\n\r\n",
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
];

#[test]
fn what_passes_is_seen_byte_for_byte() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (sent, seen) in PASS {
        let before = a.requests().len();
        let reply = homing.send(sent);
        assert_eq!(reply.status, 200, "{sent:?}: {}", reply.text());
        let requests = a.requests();
        assert_eq!(requests.len(), before + 1, "{sent:?}");
        assert_eq!(without_ours(&a.last()), *seen, "{sent:?}");
    }
}

#[test]
fn what_is_refused_reaches_nobody_and_closes() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (sent, status, reason) in REFUSED {
        // A second request behind it must not be taken for one.
        let reply = homing.send(format!("{sent}GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert_eq!(reply.status, *status, "{sent:?}: {}", reply.text());
        assert!(reply.text().contains(&format!("({reason})")), "{sent:?}: {}", reply.text());
        assert_eq!(reply.field("connection").as_deref(), Some("close"), "{sent:?}");
        assert!(a.requests().is_empty(), "{sent:?} reached the backend");
    }
    let metrics = get(homing.admin, "/metrics").text();
    assert!(
        metrics.contains("homing_refusals_total{reason=\"host\"} 10"),
        "each refusal is counted:\n{metrics}"
    );
}

#[test]
fn what_is_too_large_is_refused_with_its_own_status() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let long = |n: usize| "x".repeat(n);
    let many = (0..101).fold(String::new(), |mut all, i| {
        let _ = write!(all, "X-{i}: y\r\n");
        all
    });
    for (sent, status, reason) in [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8192)), 414, "target_length"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(100_000)), 414, "target_length"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(16_384)), 431, "field_length"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(100_000)), 431, "head_length"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{many}\r\n"), 431, "field_count"),
    ] {
        let reply = homing.send(&sent);
        assert_eq!((reply.status, reply.text().contains(reason)), (status, true), "{}", reply.text());
    }
    let fits = format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(8_000), long(16_000));
    assert_eq!(homing.send(fits).status, 200);
}

#[test]
fn a_broken_chunk_never_completes_a_request() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for body in BROKEN {
        let head = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";
        let reply = homing.send(format!("{head}{body}"));
        assert_eq!(reply.status, 400, "{body:?}: {}", reply.text());
        assert!(a.requests().is_empty(), "{body:?} became a request: {}", a.last());
    }
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let mut stream = crate::harness::open(homing.address);
    let requests = "POST /1 HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\n\r\nGETGET /2 HTTP/1.1\r\nHost: t\r\n\r\n\
                    GET /3 HTTP/1.1\r\nHost: t\r\n\r\n";
    std::io::Write::write_all(&mut stream, requests.as_bytes()).unwrap();
    let mut held = Vec::new();
    for _ in 0..3 {
        assert_eq!(crate::harness::read_reply(&mut stream, &mut held, true).status, 200);
    }
    let lines: Vec<String> =
        a.requests().iter().map(|r| String::from_utf8_lossy(r).lines().next().unwrap().to_owned()).collect();
    assert_eq!(lines, ["POST /1 HTTP/1.1", "GET /2 HTTP/1.1", "GET /3 HTTP/1.1"]);
}

#[test]
fn responses_that_lie_are_a_502_and_their_connection_is_not_used_again() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for answer in BAD_RESPONSES {
        a.answers(answer);
        let ended = a.ended();
        let reply = homing.send("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        assert_eq!(reply.status, 502, "{answer:?}: {}", reply.text());
        until(|| a.ended() > ended);
    }
}

#[test]
fn bytes_behind_an_answer_belong_to_nobody() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (method, answer) in [
        (
            "GET",
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        ),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil"),
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"),
    ] {
        a.answers(answer);
        let ended = a.ended();
        let reply = homing.send(format!("{method} / HTTP/1.1\r\nHost: a\r\n\r\n"));
        assert!(!reply.text().contains("evil"), "{answer:?}");
        until(|| a.ended() > ended);
        a.does(Does::Answer);
        assert_eq!(homing.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").text(), "a", "after {answer:?}");
    }
}

#[test]
fn fields_between_the_backend_and_us_stay_there() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.answers(
        "HTTP/1.1 299 Odd Reason\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nUpgrade: h2c\r\n\
         Proxy-Connection: x\r\nX-Stay: 1\r\nX-Stay: 2\r\nDate: d\r\nContent-Length: 0\r\n\r\n",
    );
    let reply = homing.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let expected = "HTTP/1.1 299 Odd Reason\r\nX-Stay: 1\r\nX-Stay: 2\r\nDate: d\r\nContent-Length: 0\r\n\
                    X-Homing-Affinity: balanced\r\n\r\n";
    assert_eq!(reply.head, expected);
}

#[test]
fn a_request_that_was_here_before_is_a_loop() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    homing.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let via = a.last().lines().find_map(|l| l.strip_prefix("Via: ").map(str::to_owned)).unwrap();
    let reply = homing.send(format!("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.0 other, {via}\r\n\r\n"));
    assert_eq!((reply.status, reply.text().contains("(loop)")), (508, true));
    assert_eq!(homing.send("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 homing\r\n\r\n").status, 200);
}
