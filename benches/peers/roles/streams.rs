//! The load's visitors of HTTP/2: a few connections, and many streams on each, always as many as there may be.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustls::ClientConfig;

use super::frames::{self, Broken, DATA, END_HEADERS, END_STREAM, Frame, HEADERS, Link, PREFACE};
use super::load::{Arguments, ERRORS, LAST_ANSWERS, Tally};
use super::poll::{Interest, Poll, Ready};
use super::transport::{self, Transport};
use crate::identity::NAME;
use crate::tls;

/// How much a connection may be sent before it gives back: what a browser allows.
const WINDOW: u32 = 15 << 20;
/// `SETTINGS_ENABLE_PUSH`: 0.
const SETTINGS: &[u8] = &[0, 2, 0, 0, 0, 0];
/// Room for one read.
const BUFFER: usize = 256 << 10;
/// The number of the newest field in HPACK's dynamic table, as one that is referred to.
const NEWEST: u8 = 0x80 | 62;
/// More than the fields of a request take in that table.
const TABLE: u32 = 1_024;

/// What every stream asks, and what is right as an answer.
struct Script {
    address: SocketAddrV4,
    /// The fields of a connection's first request, which enter the table of HPACK, and those of all others.
    first: Vec<u8>,
    next: Vec<u8>,
    /// A message of gRPC, if it is one that is called.
    message: Vec<u8>,
    answer: usize,
    streams: usize,
}

pub(crate) struct Load {
    poll: Poll,
    script: Script,
    connections: Vec<Connection>,
    pub(crate) tally: Tally,
    buffer: Vec<u8>,
}

struct Connection {
    key: usize,
    source: Ipv4Addr,
    client: Option<Arc<ClientConfig>>,
    open: Option<Open>,
}

/// A connection that is there.
struct Open {
    transport: Transport,
    connecting: bool,
    /// Whether writing is waited for.
    blocked: bool,
    is_counted: bool,
    link: Link,
    streams: Vec<Stream>,
    /// The number of the next stream.
    next: u32,
    out: Vec<u8>,
    sent: usize,
}

struct Stream {
    number: u32,
    clock: Instant,
    begun: bool,
    came: usize,
}

impl Script {
    fn new(arguments: &Arguments) -> Result<Self> {
        let is_call = arguments.grpc > 0;
        let path = if is_call { "/bench.Echo/Say".to_owned() } else { format!("/s/{}", arguments.answer) };
        // In the static table: GET or POST, and https.
        let mut first = vec![if is_call { 0x83 } else { 0x82 }, 0x87];
        let mut next = first.clone();
        // By the number of the name in that table, with the bit that has a field enter the dynamic one.
        let mut fields = vec![(0x44, "", path.as_str()), (0x41, "", NAME), (0x7a, "", "peers")];
        if is_call {
            fields.extend([(0x5f, "", "application/grpc"), (0x40, "te", "trailers")]);
        } else {
            fields.push((0x53, "", "*/*"));
        }
        for (place, (number, name, value)) in fields.iter().enumerate() {
            frames::literal(*number, name, value, &mut first);
            next.push(NEWEST + (fields.len() - 1 - place) as u8);
        }
        let message = if is_call { frames::message(arguments.grpc) } else { Vec::new() };
        let answer = if is_call { message.len() } else { arguments.answer };
        if answer as i64 > frames::WINDOW {
            bail!("an answer of {answer} bytes is more than a stream's window");
        }
        Ok(Self { address: arguments.address, first, next, message, answer, streams: arguments.streams })
    }
}

impl Load {
    pub(crate) fn new(arguments: &Arguments) -> Result<Self> {
        let connections = (0..arguments.connections).map(|key| {
            let client = arguments.tls.then(|| tls::client("h2", arguments.resume)).transpose()?;
            Ok(Connection { key, source: arguments.source(key)?, client, open: None })
        });
        Ok(Self {
            poll: Poll::new().context("make an epoll")?,
            script: Script::new(arguments)?,
            connections: connections.collect::<Result<_>>()?,
            tally: Tally::new(),
            buffer: vec![0; BUFFER],
        })
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Every stream that is answered has a successor, for so long; then what is under way is waited for.
    pub(crate) fn closed_loop(&mut self, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        for key in 0..self.connections.len() {
            self.act(key, None, true);
        }
        while Instant::now() < end && self.tally.errors < ERRORS {
            self.turn(end, true)?;
        }
        let end = Instant::now() + LAST_ANSWERS;
        while self.connections.iter().any(Connection::is_asking) && Instant::now() < end {
            self.turn(end, false)?;
        }
        for connection in self.connections.iter_mut().filter(|connection| connection.is_asking()) {
            self.tally.errors += connection.give_up();
        }
        Ok(())
    }

    /// Waits for events, until then at most, and acts on them.
    fn turn(&mut self, until: Instant, goes_on: bool) -> Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        let limit = until.saturating_duration_since(Instant::now());
        self.poll.wait(limit, &mut ready).context("wait for answers")?;
        for event in ready {
            self.act(event.key, Some(event), goes_on);
        }
        Ok(())
    }

    fn act(&mut self, key: usize, event: Option<Ready>, goes_on: bool) {
        let Self { poll, script, connections, tally, buffer } = self;
        let connection = &mut connections[key];
        if connection.act(event, goes_on, poll, script, tally, buffer).is_err() {
            tally.errors += connection.give_up().max(1);
            // A proxy that fails at once must not keep us here for ever.
            if goes_on && tally.errors < ERRORS {
                let _ = connection.act(None, true, poll, script, tally, buffer);
            }
        }
    }
}

impl Connection {
    fn is_asking(&self) -> bool {
        self.open.as_ref().is_some_and(|open| !open.streams.is_empty())
    }

    /// Closes it, and says how many streams that leaves without an answer.
    fn give_up(&mut self) -> u64 {
        self.open.take().map_or(0, |open| open.streams.len() as u64)
    }

    fn act(
        &mut self,
        event: Option<Ready>,
        goes_on: bool,
        poll: &Poll,
        script: &Script,
        tally: &mut Tally,
        buffer: &mut [u8],
    ) -> Result<(), Broken> {
        let open = match &mut self.open {
            Some(open) => open,
            None if goes_on => {
                let open = Open::new(self.source, self.client.as_ref(), script).map_err(|_| Broken)?;
                let interest = Interest::ReadAndWrite;
                poll.add(&open.transport.socket, self.key, interest).map_err(|_| Broken)?;
                self.open.insert(open)
            }
            None => return Ok(()),
        };
        if event.is_some_and(|event| event.write) {
            open.connecting = false;
        }
        if event.is_some_and(|event| event.read) {
            open.read(script, tally, buffer)?;
        }
        if goes_on {
            open.fill(script);
        }
        open.write(self.key, poll)
    }
}

impl Open {
    fn new(source: Ipv4Addr, client: Option<&Arc<ClientConfig>>, script: &Script) -> io::Result<Self> {
        let mut out = PREFACE.to_vec();
        frames::begin(frames::SETTINGS, 0, 0, SETTINGS.len(), &mut out);
        out.extend_from_slice(SETTINGS);
        frames::update(0, WINDOW, &mut out);
        Ok(Self {
            transport: Transport::new(transport::dial(source, script.address)?, client)?,
            connecting: true,
            blocked: true,
            is_counted: false,
            link: Link::new(),
            streams: Vec::new(),
            next: 1,
            out,
            sent: 0,
        })
    }

    /// Begins as many streams as there may be.
    fn fill(&mut self, script: &Script) {
        let length = script.message.len();
        while self.streams.len() < script.streams && length as i64 <= self.link.window {
            let fields = if self.next == 1 { &script.first } else { &script.next };
            let ends = if length == 0 { END_STREAM } else { 0 };
            frames::begin(HEADERS, END_HEADERS | ends, self.next, fields.len(), &mut self.out);
            self.out.extend_from_slice(fields);
            if length > 0 {
                self.link.window -= length as i64;
                frames::begin(DATA, END_STREAM, self.next, length, &mut self.out);
                self.out.extend_from_slice(&script.message);
            }
            self.streams.push(Stream { number: self.next, clock: Instant::now(), begun: false, came: 0 });
            self.next += 2;
        }
    }

    fn write(&mut self, key: usize, poll: &Poll) -> Result<(), Broken> {
        let mut is_full = false;
        while !self.connecting && !is_full && self.sent < self.out.len() {
            match self.transport.write(&self.out[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => is_full = true,
                Err(_) => return Err(Broken),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
        if !self.connecting && !is_full {
            match self.transport.flush() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => is_full = true,
                outcome => outcome.map_err(|_| Broken)?,
            }
        }
        let blocked = self.connecting || is_full;
        if blocked != self.blocked {
            let interest = if blocked { Interest::ReadAndWrite } else { Interest::Read };
            poll.change(&self.transport.socket, key, interest).map_err(|_| Broken)?;
            self.blocked = blocked;
        }
        Ok(())
    }

    fn read(&mut self, script: &Script, tally: &mut Tally, buffer: &mut [u8]) -> Result<(), Broken> {
        let length = match self.transport.read(buffer) {
            Ok(0) => return Err(Broken),
            Ok(length) => length,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(_) => return Err(Broken),
        };
        if !self.is_counted {
            self.is_counted = true;
            tally.connected(&self.transport);
        }
        let (now, streams) = (Instant::now(), &mut self.streams);
        self.link.take(&buffer[..length], &mut self.out, |_, frame, _| {
            if frame.kind == frames::SETTINGS {
                return allows(frame, script);
            }
            let Some(place) = streams.iter().position(|stream| stream.number == frame.stream) else {
                return Ok(());
            };
            if frame.kind == frames::RST_STREAM {
                streams.swap_remove(place);
                tally.errors += 1;
                return Ok(());
            }
            let stream = &mut streams[place];
            let is_call = !script.message.is_empty();
            match frame.kind {
                // What is said before the answer, or without one: a call that failed.
                HEADERS if !stream.begun && (!frame.is_success() || is_call && frame.ends()) => {
                    tally.refused += 1;
                    stream.begun = true;
                }
                HEADERS => stream.begun = true,
                DATA => {
                    stream.came += frame.payload.len();
                    // A call ends with its status, which stands behind the message.
                    tally.refused += u64::from(is_call && frame.ends());
                }
                _ => {}
            }
            if frame.ends() {
                let stream = streams.swap_remove(place);
                tally.errors += u64::from(stream.came != script.answer);
                tally.answered(stream.clock, now);
            }
            Ok(())
        })
    }
}

/// Whether the proxy allows what is done here.
fn allows(frame: &Frame<'_>, script: &Script) -> Result<(), Broken> {
    let is_allowed = frame.settings().all(|(name, value)| match name {
        frames::HEADER_TABLE_SIZE => value >= TABLE,
        frames::INITIAL_WINDOW_SIZE => value as usize >= script.message.len(),
        _ => true,
    });
    if is_allowed { Ok(()) } else { Err(Broken) }
}
