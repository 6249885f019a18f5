//! One visitor: a connection to the proxy, and the request that it repeats.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use socket2::Socket;

use super::http;
use super::load::{Arguments, Tally};
use super::poll::{Interest, Poll, Ready};
use super::transport::{self, Transport};

/// The longest head that is waited for.
const HEAD: usize = 64 << 10;

/// What every visitor does alike.
pub(crate) struct Script {
    address: SocketAddrV4,
    head: String,
    upload: usize,
    /// A frame that a client sends, if it is a WebSocket that is tried.
    message: Option<Rc<[u8]>>,
    learns: bool,
    cookie: Option<String>,
}

pub(crate) struct Visitor {
    script: Rc<Script>,
    source: Ipv4Addr,
    key: usize,
    /// What TLS is spoken with, if it is.
    client: Option<Arc<ClientConfig>>,
    stream: Option<Transport>,
    /// Whether nothing was answered on this connection yet.
    fresh: bool,
    connecting: bool,
    /// Whether writing is waited for.
    blocked: bool,
    request: Rc<[u8]>,
    presents: bool,
    /// What of the request is sent; none while nothing is asked.
    sent: usize,
    clock: Option<Instant>,
    state: State,
    held: Vec<u8>,
}

#[derive(Clone, Copy)]
enum State {
    Head,
    Body(usize),
    /// After an upgrade: so much of an echo is still to come.
    Echo(usize),
}

/// How it stands with a visitor after its turn.
#[derive(Clone, Copy)]
pub(crate) enum Step {
    Waits,
    /// The answer to the request of that time is whole.
    Answered(Instant),
    /// The connection ended or misbehaved in the middle of a request.
    Failed,
    /// The connection ended while nothing was asked.
    Left,
}

impl Script {
    pub(crate) fn new(arguments: &Arguments) -> Self {
        let method = if arguments.upload > 0 { "POST" } else { "GET" };
        let mut head = format!(
            "{method} /s/{} HTTP/1.1\r\nHost: bench.test\r\nUser-Agent: peers\r\nAccept: */*\r\n",
            arguments.answer
        );
        if arguments.upload > 0 {
            head.push_str(&format!("Content-Length: {}\r\n", arguments.upload));
        }
        if arguments.connection_per_request {
            head.push_str("Connection: close\r\n");
        }
        Self {
            address: arguments.address,
            head,
            upload: arguments.upload,
            message: (arguments.message > 0).then(|| frame(arguments.message)),
            learns: arguments.learn,
            cookie: arguments.cookie.clone(),
        }
    }

    fn request(&self, cookie: Option<&str>) -> Rc<[u8]> {
        let mut text = self.head.clone();
        if let Some(cookie) = cookie {
            text.push_str(&format!("Cookie: {cookie}\r\n"));
        }
        text.push_str("\r\n");
        let mut bytes = text.into_bytes();
        bytes.resize(bytes.len() + self.upload, b'y');
        bytes.into()
    }

    /// The handshake of RFC 6455, section 1.3.
    fn handshake(&self) -> Rc<[u8]> {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        format!("{}{upgrade}", self.head).into_bytes().into()
    }
}

/// A masked binary frame with a payload of so many bytes.
fn frame(payload: usize) -> Rc<[u8]> {
    let mut bytes = vec![0x82];
    match u16::try_from(payload) {
        Ok(length @ 0..126) => bytes.push(0x80 | length as u8),
        Ok(length) => {
            bytes.push(0x80 | 126);
            bytes.extend(length.to_be_bytes());
        }
        Err(_) => {
            bytes.push(0x80 | 127);
            bytes.extend((payload as u64).to_be_bytes());
        }
    }
    bytes.extend(*b"mask");
    bytes.resize(bytes.len() + payload, b'w');
    bytes.into()
}

impl Visitor {
    pub(crate) fn new(
        key: usize,
        source: Ipv4Addr,
        script: Rc<Script>,
        client: Option<Arc<ClientConfig>>,
    ) -> Self {
        let cookie = script.cookie.as_ref().map(|cookie| format!("{cookie}{key:016x}"));
        Self {
            request: script.request(cookie.as_deref()),
            presents: cookie.is_some(),
            script,
            source,
            key,
            client,
            stream: None,
            fresh: false,
            connecting: false,
            blocked: false,
            sent: 0,
            clock: None,
            state: State::Head,
            held: Vec::new(),
        }
    }

    pub(crate) fn presents_a_cookie(&self) -> bool {
        self.presents
    }

    /// Asks, over a new connection if there is none.
    pub(crate) fn begin(&mut self, clock: Instant, poll: &Poll) -> Step {
        self.clock = Some(clock);
        self.sent = 0;
        match (&self.stream, self.state, &self.script.message) {
            (None, ..) => return if self.dial(poll).is_ok() { Step::Waits } else { Step::Failed },
            (_, State::Echo(_), Some(message)) => {
                self.request = Rc::clone(message);
                self.state = State::Echo(message.len());
            }
            _ => self.state = State::Head,
        }
        self.write(poll)
    }

    /// Closes a connection that the proxy has ended.
    pub(crate) fn close(&mut self) {
        self.stream = None;
        self.clock = None;
        self.held.clear();
    }

    /// Ends the connection without leaving the kernel anything to remember it by.
    pub(crate) fn hang_up(&mut self) {
        if let Some(stream) = self.stream.take() {
            let socket = Socket::from(stream.socket);
            let _ = socket.set_linger(Some(Duration::ZERO));
        }
        self.close();
    }

    pub(crate) fn turn(&mut self, ready: Ready, poll: &Poll, buffer: &mut [u8], tally: &mut Tally) -> Step {
        if self.stream.is_none() {
            return Step::Waits;
        }
        if ready.write {
            self.connecting = false;
            if let step @ (Step::Failed | Step::Left) = self.write(poll) {
                return step;
            }
        }
        if !ready.read {
            return Step::Waits;
        }
        match self.read(buffer, tally) {
            // A handshake that came further may have more to send.
            Step::Waits if self.client.is_some() => self.write(poll),
            step => step,
        }
    }

    fn dial(&mut self, poll: &Poll) -> io::Result<()> {
        let stream = transport::dial(self.source, self.script.address)?;
        poll.add(&stream, self.key, Interest::ReadAndWrite)?;
        self.stream = Some(Transport::new(stream, self.client.as_ref())?);
        self.fresh = true;
        self.connecting = true;
        self.blocked = true;
        self.state = State::Head;
        if self.script.message.is_some() {
            self.request = self.script.handshake();
        }
        Ok(())
    }

    fn write(&mut self, poll: &Poll) -> Step {
        let Some(stream) = &mut self.stream else { return Step::Failed };
        while self.clock.is_some() && !self.connecting && self.sent < self.request.len() {
            match stream.write(&self.request[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    return self.block(poll);
                }
                Err(_) => return Step::Failed,
            }
        }
        if self.connecting {
            return Step::Waits;
        }
        match stream.flush() {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return self.block(poll),
            Err(_) => return Step::Failed,
        }
        if self.blocked {
            self.blocked = false;
            if poll.change(&stream.socket, self.key, Interest::Read).is_err() {
                return Step::Failed;
            }
        }
        Step::Waits
    }

    /// Waits until there is room to write.
    fn block(&mut self, poll: &Poll) -> Step {
        let Some(stream) = &self.stream else { return Step::Failed };
        if !self.blocked && poll.change(&stream.socket, self.key, Interest::ReadAndWrite).is_err() {
            return Step::Failed;
        }
        self.blocked = true;
        Step::Waits
    }

    fn read(&mut self, buffer: &mut [u8], tally: &mut Tally) -> Step {
        let Some(stream) = &mut self.stream else { return Step::Failed };
        match stream.read(buffer) {
            Ok(length @ 1..) => self.take(&buffer[..length], tally),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Step::Waits,
            Ok(_) | Err(_) if self.clock.is_some() => Step::Failed,
            Ok(_) | Err(_) => Step::Left,
        }
    }

    fn take(&mut self, bytes: &[u8], tally: &mut Tally) -> Step {
        let Some(clock) = self.clock else { return Step::Left };
        let (left, came) = match self.state {
            State::Echo(left) | State::Body(left) => (left, bytes.len()),
            State::Head => {
                let held = std::mem::take(&mut self.held);
                let joined =
                    if held.is_empty() { bytes.into() } else { [held, bytes.to_vec()].concat().into() };
                let joined: std::borrow::Cow<'_, [u8]> = joined;
                let Some(end) = http::head_end(&joined) else {
                    if joined.len() > HEAD {
                        return Step::Failed;
                    }
                    self.held = joined.into_owned();
                    return Step::Waits;
                };
                let Some(length) = self.head(&joined[..end], tally) else { return Step::Failed };
                // A tunnel's first message goes out with the visitor's next turn.
                (length, joined.len() - end)
            }
        };
        let Some(left) = left.checked_sub(came) else { return Step::Failed };
        self.state = match self.state {
            State::Echo(_) => State::Echo(left),
            State::Body(_) | State::Head => State::Body(left),
        };
        if left > 0 {
            return Step::Waits;
        }
        self.clock = None;
        if std::mem::take(&mut self.fresh)
            && let Some(stream) = &self.stream
        {
            tally.connected(stream);
        }
        Step::Answered(clock)
    }

    /// Reads an answer's head and says how long its body is.
    fn head(&mut self, head: &[u8], tally: &mut Tally) -> Option<usize> {
        let status = head.get(9..12)?;
        if status == b"101" && self.script.message.is_some() {
            self.state = State::Echo(0);
            return Some(0);
        }
        if status[0] != b'2' {
            tally.refused += 1;
        }
        let mut length = None;
        for (name, value) in http::fields(head) {
            match name.first() {
                Some(b'c' | b'C') if http::is(name, "content-length") => length = http::number(value),
                Some(b's' | b'S') if http::is(name, "set-cookie") => {
                    tally.cookies += 1;
                    if self.script.learns {
                        let pair = value.split(|byte| *byte == b';').next().unwrap_or(value);
                        self.request = self.script.request(Some(&String::from_utf8_lossy(pair)));
                        self.presents = true;
                    }
                }
                _ => {}
            }
        }
        length
    }
}
