//! Long streams through healthy backends, which nothing that happens elsewhere may cut: events down, echoes both ways.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

use super::scene::Watch;
use super::tally::Tally;
use crate::harness::{Reply, open, pause, read_reply};

/// Between two messages in a tunnel.
const PACE: Duration = Duration::from_millis(20);

/// Reads events until the round is over.
pub(super) fn events(cookie: &str, watch: &Watch) -> Tally {
    let (mut stream, mut held, reply) = ask(cookie, "/events", "", watch);
    let mut tally = Tally { streams: 1, ..Tally::default() };
    let mut is_whole = reply.status == 200;
    while is_whole && !watch.is_over() {
        let next = format!("data: {}\n\n", tally.events);
        let chunk = format!("{:x}\r\n{next}\r\n", next.len());
        is_whole = expect(&mut stream, &mut held, chunk.as_bytes());
        tally.events += u64::from(is_whole);
    }
    tally.cut = u64::from(!is_whole);
    tally
}

/// Sends messages into a tunnel and reads them again until the round is over.
pub(super) fn tunnel(cookie: &str, watch: &Watch) -> Tally {
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let (mut stream, mut held, reply) = ask(cookie, "/socket", upgrade, watch);
    let mut tally = Tally { streams: 1, ..Tally::default() };
    let mut is_whole = reply.status == 101;
    while is_whole && !watch.is_over() {
        let message = format!("message {}\n", tally.events);
        is_whole = stream.write_all(message.as_bytes()).is_ok()
            && expect(&mut stream, &mut held, message.as_bytes());
        tally.events += u64::from(is_whole);
        pause(PACE);
    }
    tally.cut = u64::from(!is_whole);
    tally
}

/// Sends a request for a stream and reads the head of its answer.
fn ask(cookie: &str, path: &str, more: &str, watch: &Watch) -> (TcpStream, Vec<u8>, Reply) {
    let mut stream = open(watch.address);
    let head = format!("GET {path} HTTP/1.1\r\nHost: test\r\nCookie: srv={cookie}\r\n{more}\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    let mut held = Vec::new();
    let reply = read_reply(&mut stream, &mut held, false);
    (stream, held, reply)
}

/// Whether exactly these bytes come next.
fn expect(stream: &mut TcpStream, held: &mut Vec<u8>, bytes: &[u8]) -> bool {
    let mut piece = [0; 1024];
    while held.len() < bytes.len() {
        match stream.read(&mut piece) {
            Ok(n @ 1..) => held.extend_from_slice(&piece[..n]),
            Ok(0) | Err(_) => return false,
        }
    }
    held.drain(..bytes.len()).eq(bytes.iter().copied())
}
