//! Answers that lie: what is a 502, and what must not look whole.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};

use super::responses::{Then, does, request};
use super::{BOTH, all};
use crate::harness::{Does, LIMIT, backend, homing, open, read_reply, until};

/// (request, answer): what is a 502 and loses its connection.
pub(super) const REFUSED: &[(&str, &str)] = &[
    // Status lines.
    ("GET", "HTTP/1.1 OK\r\n\r\n"),
    ("GET", "HTTP/1.1\r\n\r\n"),
    ("GET", "HTTP/1.1 2 OK\r\n\r\n"),
    ("GET", "HTTP/1.1 20 OK\r\n\r\n"),
    ("GET", "HTTP/1.1 2000 OK\r\n\r\n"),
    ("GET", "HTTP/1.1 099 x\r\n\r\n"),
    ("GET", "HTTP/1.1 -200 x\r\n\r\n"),
    ("GET", "HTTP/1.1 +20 x\r\n\r\n"),
    ("GET", "HTTP/1.1 20x OK\r\n\r\n"),
    ("GET", "HTTP/1.1  200 OK\r\n\r\n"),
    ("GET", "HTTP/1.1\t200 OK\r\n\r\n"),
    ("GET", " HTTP/1.1 200 OK\r\n\r\n"),
    ("GET", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "http/1.1 200 OK\r\n\r\n"),
    ("GET", "HTP/1.1 200 OK\r\n\r\n"),
    ("GET", "HTTP/01.1 200 OK\r\n\r\n"),
    ("GET", "HTTP/1.01 200 OK\r\n\r\n"),
    ("GET", "HTTP/1.2 200 OK\r\n\r\n"),
    ("GET", "HTTP/2.0 200 OK\r\n\r\n"),
    ("GET", "HTTP/0.9 200 OK\r\n\r\n"),
    ("GET", "ICY 200 OK\r\n\r\n"),
    ("GET", "RTSP/1.0 200 OK\r\n\r\n"),
    ("GET", "<html>HTTP/0.9</html>\r\n\r\n"),
    ("GET", "\0\x01\x02\x03\r\n\r\n"),
    ("GET", "HTTP/1.1 200 O\0K\r\n\r\n"),
    ("GET", "HTTP/1.1 200 O\rK\r\n\r\n"),
    // Line ends and fields.
    ("GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("GET", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
    ("GET", "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\x01\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX\x01: a\r\nContent-Length: 0\r\n\r\n"),
    // Lengths and codings.
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    ("GET", "HTTP/1.1 304 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedchunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    // Switches and informational answers.
    ("GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ("GET", "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("WS", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
    ("WS", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ("WS", "HTTP/1.0 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ("GET", "HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 100 Continue\r\nX : y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("1.0", "HTTP/1.1 103 x\r\nX\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
];

/// Answers whose body breaks off or whose coding is broken, and what of it may be seen. It never ends well.
pub(super) const CUT: &[(&str, &str)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    (
        "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\nhi",
        "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\nhi",
    ),
    ("HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 50000\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\n0\n\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\r\nhi\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n x\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX\r\n\r\n", CHUNKED),
];

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";

#[test]
fn answers_that_lie_are_a_502_and_their_connection_is_not_used_again() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    for ((word, answer), how) in REFUSED.iter().flat_map(|row| BOTH.map(|how| (row, how))) {
        does(&a, answer, Then::Lose, how);
        let ended = a.ended();
        let (came, is_reset) = all(homing.address, request(word).as_bytes());
        let text = String::from_utf8(came).unwrap();
        assert!(!is_reset, "{answer:?}");
        assert!(text.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer:?}: {text}");
        assert!(*word == "HEAD" || text.ends_with("(backend_answer)\n"), "{answer:?}: {text}");
        assert!(text.contains("\r\nConnection: close\r\n"), "{answer:?}: {text}");
        until(|| a.ended() > ended);
    }
}

#[test]
fn an_answer_that_breaks_off_or_is_coded_wrongly_never_looks_whole() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    for (answer, most) in CUT {
        a.does(Does::BytesThenClose(answer.as_bytes().to_vec()));
        for word in ["POST", "GET", "TE", "1.0"] {
            let (came, is_reset) = all(homing.address, request(word).as_bytes());
            // A small answer is waited for where it can be asked for again: nothing of it was seen yet.
            if word != "POST" && answer.contains("Content-Length: 5\r\n") {
                assert!(came.starts_with(b"HTTP/1.1 502 Bad Gateway\r\n") && !is_reset, "{word} {answer:?}");
                continue;
            }
            assert!(is_reset, "{word} {answer:?} ended as if it were whole: {came:?}");
            if word == "1.0" {
                continue;
            }
            // What the reset left to be read is the front of what may be seen.
            let head = format!("{}\r\nConnection", most.split_once("\r\n\r\n").unwrap().0);
            let text = String::from_utf8(came).unwrap();
            assert!(text.starts_with(&head) || head.starts_with(&text), "{word} {answer:?}: {text:?}");
            assert!(!text.ends_with("\r\n0\r\n\r\n"), "{word} {answer:?}: {text:?}");
        }
    }
}

#[test]
fn informational_answers_have_a_bound() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (n, status) in [(16, "200 OK"), (17, "502 Bad Gateway")] {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(n);
        a.answers(format!("{early}{last}"));
        let (came, _) = all(homing.address, request("GET").as_bytes());
        let text = String::from_utf8(came).unwrap();
        assert_eq!(text.matches("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").count(), 16, "{n}");
        assert_eq!(text.matches(&format!("HTTP/1.1 {status}\r\n")).count(), 1, "{n}: {text}");
        let (came, _) = all(homing.address, request("1.0").as_bytes());
        assert!(came.starts_with(format!("HTTP/1.1 {status}\r\n").as_bytes()), "{n}");
    }
}

#[test]
fn a_head_has_64_kib_and_a_hundred_fields() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
    let long = |total: usize| with(&format!("X: {}\r\n", "x".repeat(total - with("X: \r\n").len())));
    let many = |n: usize| with(&"X: y\r\n".repeat(n - 1));
    for (answer, status) in [
        (long(60_000), 200),
        (long(65_535), 200),
        (long(65_536), 200),
        (long(65_537), 502),
        (long(100_000), 502),
        (many(100), 200),
        (many(101), 502),
        (many(5_000), 502),
    ] {
        a.answers(&answer);
        let (came, _) = all(homing.address, request("GET").as_bytes());
        let line = format!("HTTP/1.1 {status} ");
        assert!(came.starts_with(line.as_bytes()), "{} bytes: no {line}", answer.len());
        assert_eq!(came.len() > answer.len(), status == 200, "{} bytes", answer.len());
    }
}

/// A backend that answers once, and then says more that nobody asked for.
fn talks_on(listener: &TcpListener, more: &[u8]) -> TcpStream {
    let (mut connection, _) = listener.accept().unwrap();
    connection.set_read_timeout(Some(LIMIT)).unwrap();
    let mut held = Vec::new();
    while !held.ends_with(b"\r\n\r\n") {
        let mut piece = [0; 1024];
        let n = connection.read(&mut piece).unwrap();
        held.extend_from_slice(&piece[..n]);
    }
    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi").unwrap();
    connection.write_all(more).unwrap();
    connection
}

#[test]
fn what_an_idle_connection_says_is_no_answer() {
    let more = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    for next in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"]
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap();
        let homing = homing(&[]).pool(&format!("backends = [\"{target}\"]\n")).run();
        let mut client = open(homing.address);
        let mut held = Vec::new();
        client.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").unwrap();
        let first = talks_on(&listener, more);
        assert_eq!(read_reply(&mut client, &mut held, true).text(), "hi");
        client.write_all(next.as_bytes()).unwrap();
        let second = talks_on(&listener, b"");
        assert_eq!(read_reply(&mut client, &mut held, true).text(), "hi", "{next:?}");
        drop((first, second));
    }
}
