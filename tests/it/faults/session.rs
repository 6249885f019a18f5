//! One sticky client: a cookie jar, kept connections as browsers keep them, and a home.

use std::io::{ErrorKind, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::fault::Fault;
use super::scene::Watch;
use super::tally::Tally;
use crate::harness::{Client, LIMIT, Reply, pause, read_reply};

/// Between two requests of a session.
const PACE: Duration = Duration::from_millis(25);
/// Over how many parts of that pace the sessions are spread.
const SPREAD: u32 = 8;
/// Every so many requests is a POST.
const POSTS: u64 = 5;
/// Every so many requests comes on a new connection.
const CONNECTIONS: u64 = 8;

/// A session.
pub(super) struct Session {
    number: usize,
    turn: u64,
    client: Client,
    kept: Option<TcpStream>,
    pub(super) home: String,
    /// Where it moved away from in this round.
    left: Option<String>,
}

impl Session {
    /// A visitor who has found a home.
    pub(super) fn new(number: usize, address: SocketAddr) -> Self {
        let mut client = Client::new(address);
        let home = client.get("/").served_by();
        // They start at different turns, so that they do not post as one.
        Self { number, turn: number as u64, client, kept: None, home, left: None }
    }

    /// Forgets its cookies and comes as a new visitor.
    pub(super) fn start_over(&mut self, address: SocketAddr) {
        self.client = Client::new(address);
        self.home = self.client.get("/").served_by();
    }

    /// The cookie that says where its home is.
    pub(super) fn cookie(&self) -> String {
        self.client.cookie("srv").expect("it was pinned")
    }

    /// Sends requests until the round is over.
    pub(super) fn run(&mut self, watch: &Watch) -> Tally {
        let mut tally = Tally::default();
        self.left = None;
        pause(PACE * (self.number as u32 % SPREAD) / SPREAD);
        while !watch.is_over() {
            self.turn += 1;
            let is_post = self.turn.is_multiple_of(POSTS);
            let began = Instant::now();
            let reply = self.ask(watch.address, is_post);
            tally.sent += 1;
            if self.home != watch.target {
                tally.slowest = tally.slowest.max(began.elapsed());
            }
            match reply.filter(|r| r.status == 200 && !r.is_cut) {
                Some(reply) => self.settle(&reply, began, watch, &mut tally),
                None => self.failed(is_post, began, watch, &mut tally),
            }
            pause(PACE);
        }
        self.kept = None;
        tally
    }

    fn settle(&mut self, reply: &Reply, began: Instant, watch: &Watch, tally: &mut Tally) {
        self.client.learn(reply);
        let by = reply.served_by();
        if by == self.home {
            return;
        }
        if self.left.as_ref() == Some(&by) {
            tally.returned += 1;
        } else if self.home != watch.target || watch.is_after(began) {
            tally.needless += 1;
        } else {
            tally.moved += 1;
        }
        self.left = Some(std::mem::replace(&mut self.home, by));
    }

    fn failed(&self, is_post: bool, began: Instant, watch: &Watch, tally: &mut Tally) {
        let is_struck = self.home == watch.target || watch.fault == Fault::Restart;
        let count = match (watch.is_after(began), is_struck, is_post) {
            (true, ..) => &mut tally.after,
            (false, false, _) => &mut tally.elsewhere,
            (false, true, true) => &mut tally.posts,
            (false, true, false) => &mut tally.at_home,
        };
        *count += 1;
    }

    /// One request; nothing if there was nobody to send it to.
    fn ask(&mut self, address: SocketAddr, is_post: bool) -> Option<Reply> {
        let (number, turn) = (self.number, self.turn);
        let mut stream = match self.kept.take().filter(is_quiet) {
            Some(stream) if !turn.is_multiple_of(CONNECTIONS) => stream,
            _ => TcpStream::connect(address).ok()?,
        };
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        let cookie = self.cookie();
        let (method, body) =
            if is_post { ("POST", "Content-Length: 4\r\n\r\nonce") } else { ("GET", "\r\n") };
        let head =
            format!("{method} / HTTP/1.1\r\nHost: test\r\nX-Id: {number}-{turn}\r\nCookie: srv={cookie}\r\n");
        stream.write_all((head + body).as_bytes()).ok()?;
        let mut held = Vec::new();
        let reply = read_reply(&mut stream, &mut held, true);
        let ends = reply.is_cut || reply.field("connection").is_some_and(|c| c == "close");
        self.kept = Some(stream).filter(|_| !ends);
        Some(reply)
    }
}

/// Comes as a new visitor again and again until the round is over. Who meets the fault is counted as if at home there.
pub(super) fn visit(watch: &Watch) -> Tally {
    let mut tally = Tally::default();
    while !watch.is_over() {
        let began = Instant::now();
        let reply = TcpStream::connect(watch.address).ok().map(|mut stream| {
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            let _ = stream.write_all(Client::new(watch.address).bytes("GET", "/").as_bytes());
            read_reply(&mut stream, &mut Vec::new(), true)
        });
        tally.sent += 1;
        if reply.is_none_or(|r| r.status != 200 || r.is_cut) {
            *(if watch.is_after(began) { &mut tally.after } else { &mut tally.at_home }) += 1;
        }
        pause(PACE);
    }
    tally
}

/// Whether a kept connection is still open, as far as one can know.
fn is_quiet(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let seen = stream.peek(&mut [0]);
    stream.set_nonblocking(false).unwrap();
    matches!(seen, Err(e) if e.kind() == ErrorKind::WouldBlock)
}
