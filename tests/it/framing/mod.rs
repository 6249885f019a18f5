//! When messages lie: what was sent, what the backend must see byte for byte, and what the client gets.
//!
//! Each file is a table and the few lines that go through it. Every request is sent twice, in one write and byte by
//! byte, with another request right behind it: that one tells where homing thinks the first has ended.

mod bodies;
mod cookies;
mod fields;
mod lies;
mod listeners;
mod refused;
mod requests;
mod responses;
mod streams;
mod unframed;

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;

use crate::harness::{Backend, Homing, LIMIT, Reply, open, read_reply};

/// The request that follows every other, and what is seen of it.
const NEXT: &str = "GET /next HTTP/1.1\r\nHost: next\r\n\r\n";

/// How bytes are handed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sent {
    Whole,
    ByteByByte,
}

const BOTH: [Sent; 2] = [Sent::Whole, Sent::ByteByByte];

#[test]
fn there_are_more_than_three_hundred_cases() {
    let requests = requests::PASS.len() + fields::PASS.len() + fields::TRUSTED.len() + cookies::PASS.len();
    let bodies = bodies::PASS.len() + bodies::BROKEN.len() + streams::PIPELINES.len();
    let listeners = listeners::BARE_LF.len() + listeners::STILL_REFUSED.len() + listeners::UNDERSCORES.len();
    let responses = responses::PASS.len() + responses::SWITCHES.len() + responses::COOKIES.len();
    let lies = lies::REFUSED.len() + lies::CUT.len() + refused::REFUSED.len() + unframed::REFUSED.len();
    let all = requests + bodies + listeners + responses + lies;
    assert!(all >= 300, "{all} cases");
}

/// Writes `bytes` on a new connection and ends nothing.
fn send(address: SocketAddr, bytes: &[u8], how: Sent) -> std::net::TcpStream {
    let mut stream = open(address);
    stream.set_nodelay(true).unwrap();
    let step = if how == Sent::Whole { bytes.len() } else { 1 };
    for piece in bytes.chunks(step.max(1)) {
        if stream.write_all(piece).is_err() {
            break; // Refused while it was being sent: the answer is there to be read.
        }
    }
    stream
}

/// Sends a request that passes, and the next one behind it. `seen` is what reaches the backend of it; the next one
/// does too, unless homing says that it closes.
fn passes(homing: &Homing, backend: &Backend, sent: &str, seen: &str, how: Sent) -> Reply {
    let before = backend.requests().len();
    let mut stream = send(homing.address, format!("{sent}{NEXT}").as_bytes(), how);
    let mut held = Vec::new();
    let reply = read_reply(&mut stream, &mut held, !sent.trim_start().starts_with("HEAD "));
    assert_eq!(reply.status, 200, "{how:?} {sent:?}: {}", reply.text());
    let is_last = reply.field("connection").as_deref() == Some("close");
    if is_last {
        // It may end by a reset: what follows a request that asked for the close is not read.
        let _ = stream.read_to_end(&mut held);
        assert!(held.is_empty(), "{how:?} {sent:?}: {held:?} behind the last answer");
    } else {
        let next = read_reply(&mut stream, &mut held, true);
        assert_eq!(next.status, 200, "{how:?} {sent:?}: the next: {}", next.text());
    }
    let requests = backend.requests();
    let new: Vec<String> =
        requests[before..].iter().map(|r| String::from_utf8_lossy(r).into_owned()).collect();
    assert_eq!(new.len(), if is_last { 1 } else { 2 }, "{how:?} {sent:?}: {new:?}");
    let (found, expected) = (without_ours(&new[0]), seen.to_owned());
    match how {
        Sent::Whole => assert_eq!(found, expected, "{sent:?}"),
        // A chunk ends wherever a read did.
        Sent::ByteByByte => assert_eq!(joined(&found), joined(&expected), "{sent:?}"),
    }
    if !is_last {
        assert_eq!(without_ours(&new[1]), NEXT, "behind {how:?} {sent:?}");
    }
    reply
}

/// Sends a request that is refused, and one behind it that must not be taken for one.
fn is_refused(homing: &Homing, backend: &Backend, sent: &str, status: u16, reason: &str, how: Sent) -> Reply {
    let before = backend.requests().len();
    let mut stream = send(homing.address, format!("{sent}{NEXT}").as_bytes(), how);
    let reply = read_reply(&mut stream, &mut Vec::new(), !sent.starts_with("HEAD "));
    let what = format!("{how:?} {:?}: {}{}", &sent[..sent.len().min(300)], reply.head, reply.text());
    assert_eq!(reply.status, status, "{what}");
    assert!(sent.starts_with("HEAD ") || reply.text().contains(&format!("({reason})")), "{reason} {what}");
    assert_eq!(reply.field("connection").as_deref(), Some("close"), "{what}");
    assert_eq!(backend.requests().len(), before, "{} came of {what}", backend.last());
    reply
}

/// A request without the fields that homing vouches for, of which each must stand once and tell the truth.
fn without_ours(seen: &str) -> String {
    let (head, body) = seen.split_once("\r\n\r\n").unwrap_or((seen, ""));
    let mut kept: Vec<&str> = head.split("\r\n").collect();
    for ours in [
        "X-Forwarded-For: 127.0.0.1",
        "X-Real-IP: 127.0.0.1",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Port: ",
        "Via: 1.x homing-",
    ] {
        let is = |line: &&str| match ours {
            "X-Forwarded-Port: " => line.starts_with(ours),
            "Via: 1.x homing-" => {
                line.starts_with("Via: 1.1 homing-") || line.starts_with("Via: 1.0 homing-")
            }
            _ => *line == ours,
        };
        assert_eq!(kept.iter().filter(|l| is(l)).count(), 1, "{ours:?} in {seen:?}");
        kept.retain(|l| !is(l));
    }
    let host = kept.iter().find_map(|l| l.strip_prefix("Host: ")).unwrap();
    let forwarded = format!("X-Forwarded-Host: {host}");
    kept.retain(|l| *l != forwarded && !l.starts_with("X-Request-Id: "));
    format!("{}\r\n\r\n{body}", kept.join("\r\n"))
}

/// A message whose chunks, if it has any, are one.
fn joined(message: &str) -> String {
    let (head, body) = message.split_once("\r\n\r\n").unwrap();
    if !head.contains("Transfer-Encoding: chunked") {
        return message.to_owned();
    }
    let (mut data, mut rest) = (String::new(), body);
    loop {
        let (size, tail) = rest.split_once("\r\n").unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            return format!("{head}\r\n\r\n{:x}\r\n{data}\r\n0\r\n{tail}", data.len());
        }
        data.push_str(&tail[..size]);
        rest = tail[size..].strip_prefix("\r\n").unwrap();
    }
}

/// Everything that comes back until the connection ends, and whether it ended by a reset.
fn all(address: SocketAddr, request: &[u8]) -> (Vec<u8>, bool) {
    let mut stream = send(address, request, Sent::Whole);
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let (mut came, mut piece) = (Vec::new(), [0; 16 * 1024]);
    loop {
        match stream.read(&mut piece) {
            Ok(0) => return (came, false),
            Ok(n) => came.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => panic!("nothing came in {LIMIT:?}"),
            Err(_) => return (came, true),
        }
    }
}
