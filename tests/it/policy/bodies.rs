//! Bodies that are too large: announced or not, for the listener or for the route.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;

use super::is_refused;
use crate::harness::{Does, backend, homing, open, read_reply, until};

const LIMITS: &str = "\n[[route]]\npool = \"app\"\n[[route]]\npath = \"/large\"\npool = \"app\"\nmax_body = \"1KiB\"\n\
                      [[route]]\npath = \"/small\"\npool = \"app\"\nmax_body = \"4B\"\n\
                      [[route]]\npath = \"/none\"\npool = \"app\"\nmax_body = \"0B\"\n";

fn announced(path: &str, n: usize) -> String {
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n\r\n{}", "x".repeat(n))
}

fn chunked(path: &str, n: usize) -> String {
    let body = "1\r\nx\r\n".repeat(n);
    format!("POST {path} HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n{body}0\r\n\r\n")
}

#[test]
fn a_body_of_as_many_bytes_as_it_may_have_passes_and_one_more_does_not() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("max_body = \"100B\"\n").with(LIMITS).run();
    for (path, most) in [("/", 100), ("/large", 1024), ("/small", 4), ("/none", 0)] {
        for bytes in [announced(path, most), chunked(path, most)] {
            assert_eq!(homing.send(bytes).served_by(), "a", "{path}");
        }
        let before = a.take_requests().len();
        assert_eq!(before, 2);
        for bytes in [announced(path, most + 1), chunked(path, most + 1)] {
            is_refused(&homing.send(bytes), 413, "body_length");
        }
        assert!(a.requests().is_empty(), "{path}: a whole request came through");
    }
}

/// What is announced is not sent to anybody, and not waited for.
#[test]
fn too_much_is_refused_before_it_is_asked_for() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("max_body = \"10B\"\n").run();
    let head = "POST / HTTP/1.1\r\nHost: t\r\nExpect: 100-continue\r\nContent-Length: 11\r\n\r\n";
    let reply = homing.send(head);
    is_refused(&reply, 413, "body_length");
    assert_eq!(reply.field("connection").as_deref(), Some("close"));
    assert_eq!(a.opened(), 0);
}

#[test]
fn a_backend_never_sees_the_end_of_a_body_that_grew_too_large() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("max_body = \"10B\"\n").run();
    let mut stream = open(homing.address);
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .unwrap();
    until(|| a.opened() == 1);
    stream.write_all(b"6\r\n world\r\n0\r\n\r\n").unwrap();
    is_refused(&read_reply(&mut stream, &mut Vec::new(), true), 413, "body_length");
    until(|| a.ended() == 1);
    assert!(a.requests().is_empty());
}

/// An answer that has begun cannot become another one: it breaks off.
#[test]
fn a_body_that_grows_too_large_under_an_answer_cuts_it() {
    let early = TcpListener::bind("127.0.0.1:0").unwrap();
    let backends = format!("backends = [\"{}\"]\n", early.local_addr().unwrap());
    let homing = homing(&[]).pool(&backends).listener("max_body = \"10B\"\n").run();
    let mut stream = open(homing.address);
    stream
        .write_all(b"POST / HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .unwrap();
    let (mut backend, _) = early.accept().unwrap();
    backend.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf").unwrap();
    let mut held = Vec::new();
    let mut piece = [0; 1024];
    while !held.ends_with(b"half") {
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0);
        held.extend_from_slice(&piece[..n]);
    }
    stream.write_all(b"6\r\n world\r\n0\r\n\r\n").unwrap();
    let reply = read_reply(&mut stream, &mut held, true);
    assert!(reply.is_cut && reply.body == b"half", "{}", reply.head);
    let mut seen = Vec::new();
    let _ = backend.read_to_end(&mut seen);
    assert!(!seen.ends_with(b"0\r\n\r\n"), "{}", String::from_utf8_lossy(&seen));
}

#[test]
fn a_request_without_a_body_and_answers_have_no_bound() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("max_body = \"1B\"\n").run();
    a.does(Does::Serve);
    assert_eq!(homing.send("GET /large/50000 HTTP/1.1\r\nHost: t\r\n\r\n").body.len(), 50_000);
}
