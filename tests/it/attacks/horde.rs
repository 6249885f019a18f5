//! Many connections that do the same, from one thread.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, SockRef, Socket, Type};

use crate::harness::{self, descriptors, until};

/// The receive buffer of a client that means to read slowly; the kernel doubles it.
const SMALL_WINDOW: usize = 8 * 1024;
/// The largest segment of an ordinary network. That of the loopback makes the kernel hold megabytes for each.
const SEGMENT: u32 = 1_460;
/// What is kept of an answer: enough for its status.
const KEPT: usize = 64;

/// Many connections.
pub(super) struct Horde(Vec<Attacker>);

struct Attacker {
    stream: TcpStream,
    /// The beginning of what it was sent.
    said: Vec<u8>,
    is_over: bool,
}

impl Horde {
    pub(super) fn new(address: SocketAddr, count: u32) -> Self {
        Self((0..count.min(room())).map(|_| Attacker::new(TcpStream::connect(address).unwrap())).collect())
    }

    /// With receive buffers that are soon full.
    pub(super) fn with_small_windows(address: SocketAddr, count: u32) -> Self {
        let connect = |_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(SMALL_WINDOW).unwrap();
            socket.set_tcp_mss(SEGMENT).unwrap();
            socket.connect(&address.into()).unwrap();
            Attacker::new(socket.into())
        };
        Self((0..count.min(room())).map(connect).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Sends bytes on every connection, as far as they are taken.
    pub(super) fn send(&mut self, bytes: &str) {
        for attacker in &mut self.0 {
            let _ = attacker.stream.write(bytes.as_bytes());
        }
    }

    /// Sends bytes one at a time.
    pub(super) fn drip(&mut self, bytes: &str, pause: Duration) {
        for at in 0..bytes.len() {
            self.send(&bytes[at..=at]);
            harness::pause(pause);
        }
    }

    /// Says on every connection that no more will come.
    pub(super) fn end_sides(&self) {
        for attacker in &self.0 {
            let _ = attacker.stream.shutdown(Shutdown::Write);
        }
    }

    /// Goes away, by resets or not.
    pub(super) fn leave(self, resets: bool) {
        for attacker in self.0.iter().filter(|_| resets) {
            SockRef::from(&attacker.stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    }

    /// Reads until every connection was ended by the other side.
    pub(super) fn until_over(&mut self) {
        until(|| {
            self.0.iter_mut().for_each(Attacker::read);
            self.0.iter().all(|a| a.is_over)
        });
    }

    /// Reads a few bytes on every connection.
    pub(super) fn sip(&mut self, bytes: usize) {
        for attacker in &mut self.0 {
            attacker.sip(bytes);
        }
    }

    /// How many were told something that begins so.
    pub(super) fn count(&self, beginning: &str) -> usize {
        self.0.iter().filter(|a| a.said.starts_with(beginning.as_bytes())).count()
    }
}

/// How many connections one horde may open: each may have an end at a backend in this process too, and other tests
/// run beside this one.
fn room() -> u32 {
    descriptors() / 8
}

impl Attacker {
    fn new(stream: TcpStream) -> Self {
        stream.set_nonblocking(true).unwrap();
        Self { stream, said: Vec::new(), is_over: false }
    }

    /// Reads all that there is.
    fn read(&mut self) {
        while self.sip(16 * 1024) {}
    }

    /// Reads so many bytes at most. False: there are none now.
    fn sip(&mut self, bytes: usize) -> bool {
        let mut piece = vec![0; bytes];
        match self.stream.read(&mut piece) {
            Ok(n @ 1..) => {
                let room = KEPT.saturating_sub(self.said.len());
                self.said.extend_from_slice(&piece[..n.min(room)]);
                return true;
            }
            Err(e) if e.kind() == ErrorKind::WouldBlock => {}
            Ok(0) | Err(_) => self.is_over = true,
        }
        false
    }
}
