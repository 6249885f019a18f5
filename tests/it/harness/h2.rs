//! HTTP/2 frame by frame: a client that says what it is told to, right or wrong, and tells what it sees.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use super::{LIMIT, open};

pub(crate) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const PRIORITY: u8 = 2;
pub(crate) const RESET: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
pub(crate) const PUSH_PROMISE: u8 = 5;
pub(crate) const PING: u8 = 6;
pub(crate) const GO_AWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;
pub(crate) const CONTINUATION: u8 = 9;

pub(crate) const ACK: u8 = 0x1;
pub(crate) const END_STREAM: u8 = 0x1;
pub(crate) const END_HEADERS: u8 = 0x4;
pub(crate) const PADDED: u8 = 0x8;
pub(crate) const WITH_PRIORITY: u8 = 0x20;

// Why a stream or a connection ends. (RFC 9113 section 7)
pub(crate) const NO_ERROR: u32 = 0;
pub(crate) const PROTOCOL_ERROR: u32 = 1;
pub(crate) const INTERNAL_ERROR: u32 = 2;
pub(crate) const FLOW_CONTROL_ERROR: u32 = 3;
pub(crate) const STREAM_CLOSED: u32 = 5;
pub(crate) const FRAME_SIZE_ERROR: u32 = 6;
pub(crate) const REFUSED_STREAM: u32 = 7;
pub(crate) const CANCEL: u32 = 8;
pub(crate) const COMPRESSION_ERROR: u32 = 9;
pub(crate) const ENHANCE_YOUR_CALM: u32 = 11;

/// The largest window there is.
pub(crate) const LARGEST_WINDOW: u32 = u32::MAX >> 1;

/// What a client sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// The head of an answer; its status, or 0 for trailers.
    Status(u32, u16),
    /// So many bytes of an answer's body.
    Data(u32, usize),
    /// An answer's end.
    End(u32),
    /// A stream's, with a code.
    Reset(u32, u32),
    /// The connection's, with a code.
    GoAway(u32),
    /// Its ping came back.
    Pong([u8; 8]),
    /// Its settings were seen.
    SettingsAck,
    /// Anything else.
    Other,
    /// There will be no more.
    Closed,
}

/// A client.
pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    held: Vec<u8>,
    events: Vec<Event>,
    /// The last stream that each GOAWAY has named; and the PINGs that came and were not answered.
    pub(crate) lasts: Vec<u32>,
    pub(crate) pinged: Vec<[u8; 8]>,
}

/// A frame's bytes.
pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [length[1], length[2], length[3], kind, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// A field as a literal that no table learns (RFC 7541 section 6.2.2).
pub(crate) fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0], &*string(name), &*string(value)].concat()
}

/// A field that the table learns (section 6.2.1).
pub(crate) fn learned(name: &str, value: &str) -> Vec<u8> {
    [&[0x40], &*string(name), &*string(value)].concat()
}

/// A string's length and its letters (section 5.2).
fn string(text: &str) -> Vec<u8> {
    let mut bytes = match text.len() {
        n @ ..127 => vec![n as u8],
        n => {
            let (mut bytes, mut rest) = (vec![127], n - 127);
            while rest >= 128 {
                bytes.push(rest as u8 | 0x80);
                rest >>= 7;
            }
            bytes.push(rest as u8);
            bytes
        }
    };
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

/// A header block of these fields.
pub(crate) fn block(fields: &[(&str, &str)]) -> Vec<u8> {
    fields.iter().flat_map(|(name, value)| field(name, value)).collect()
}

/// The header block of a request.
pub(crate) fn request(method: &str, path: &str) -> Vec<u8> {
    block(&[(":method", method), (":scheme", "http"), (":path", path), (":authority", "test")])
}

/// The frame of a GET.
pub(crate) fn get(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, &request("GET", path))
}

/// The frame of a POST whose body comes.
pub(crate) fn post(stream: u32, path: &str) -> Vec<u8> {
    frame(HEADERS, END_HEADERS, stream, &request("POST", path))
}

/// SETTINGS with these.
pub(crate) fn settings(all: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        all.iter().flat_map(|(id, value)| [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(SETTINGS, 0, 0, &payload)
}

pub(crate) fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(RESET, 0, stream, &code.to_be_bytes())
}

pub(crate) fn window(stream: u32, more: u32) -> Vec<u8> {
    frame(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

pub(crate) fn ping(payload: [u8; 8]) -> Vec<u8> {
    frame(PING, 0, 0, &payload)
}

impl Raw {
    /// Connects and says nothing.
    pub(crate) fn silent(address: SocketAddr) -> Self {
        Self::on(open(address))
    }

    /// The same on a connection that there is.
    pub(crate) const fn on(stream: TcpStream) -> Self {
        Self { stream, held: Vec::new(), events: Vec::new(), lasts: Vec::new(), pinged: Vec::new() }
    }

    /// Connects, begins with these settings, and has seen those of the other side.
    pub(crate) fn begin(address: SocketAddr, with: &[(u16, u32)]) -> Self {
        let mut this = Self::silent(address);
        this.send(PREFACE);
        this.send(&settings(with));
        this.send(&frame(SETTINGS, ACK, 0, b""));
        this.until(|event| *event == Event::SettingsAck);
        this
    }

    /// Sends bytes; whether they were taken.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> bool {
        self.stream.write_all(bytes).is_ok()
    }

    /// Sends bytes as long as they are taken, and meanwhile reads what comes, so that nobody waits for the other.
    /// False: the connection has ended, or is about to.
    pub(crate) fn flood(&mut self, bytes: &[u8]) -> bool {
        let mut left = bytes;
        let began = Instant::now();
        self.stream.set_nonblocking(true).unwrap();
        while !left.is_empty() && began.elapsed() < LIMIT {
            match self.stream.write(left) {
                Ok(n) => left = &left[n..],
                Err(e) if e.kind() == ErrorKind::WouldBlock => std::thread::yield_now(),
                Err(_) => break,
            }
            let _ = self.fill();
            self.take();
            if self.is_over() {
                break;
            }
        }
        self.stream.set_nonblocking(false).unwrap();
        left.is_empty() && !self.is_over()
    }

    /// Whether the connection has ended, or is about to.
    pub(crate) fn is_over(&self) -> bool {
        self.events.iter().any(|event| matches!(event, Event::GoAway(_) | Event::Closed))
    }

    /// Everything that was seen so far.
    pub(crate) fn events(&self) -> &[Event] {
        &self.events
    }

    /// Reads until something is seen, or seen already. False: it ended, or nothing came for too long.
    pub(crate) fn until(&mut self, is_it: impl Fn(&Event) -> bool) -> bool {
        loop {
            if self.events.iter().any(&is_it) {
                return true;
            }
            if self.events.last() == Some(&Event::Closed) || !self.fill() {
                return false;
            }
            self.take();
        }
    }

    /// Reads once. False: it ended, or nothing came for too long.
    pub(crate) fn more(&mut self) -> bool {
        let is_read = self.fill();
        self.take();
        is_read && self.events.last() != Some(&Event::Closed)
    }

    /// Reads to the end; the code of the first GOAWAY, if there was one.
    pub(crate) fn code(&mut self) -> Option<u32> {
        assert!(self.until(|event| *event == Event::Closed), "it goes on: {:?}", self.events);
        self.events.iter().find_map(|event| match event {
            Event::GoAway(code) => Some(*code),
            _ => None,
        })
    }

    /// Reads once. False: nothing came.
    fn fill(&mut self) -> bool {
        let mut piece = [0; 64 * 1024];
        match self.stream.read(&mut piece) {
            Ok(n @ 1..) => self.held.extend_from_slice(&piece[..n]),
            Err(e) if e.kind() == ErrorKind::WouldBlock => return false,
            Ok(0) | Err(_) => {
                self.take();
                self.events.push(Event::Closed);
            }
        }
        true
    }

    /// The whole frames that have come.
    fn take(&mut self) {
        let mut at = 0;
        while let Some(head) = self.held.get(at..at + 9) {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let stream = u32::from_be_bytes(head[5..9].try_into().unwrap());
            let Some(payload) = self.held.get(at + 9..at + 9 + length) else { break };
            let (kind, flags) = (head[3], head[4]);
            match kind {
                GO_AWAY => self.lasts.push(u32::from_be_bytes(payload[..4].try_into().unwrap())),
                PING if flags & ACK == 0 => self.pinged.push(payload.try_into().unwrap()),
                _ => {}
            }
            let number = || u32::from_be_bytes(payload[..4].try_into().unwrap());
            self.events.push(match kind {
                DATA => Event::Data(stream, length),
                HEADERS => Event::Status(stream, status(payload)),
                RESET => Event::Reset(stream, number()),
                SETTINGS if flags & ACK != 0 => Event::SettingsAck,
                PING if flags & ACK != 0 => Event::Pong(payload.try_into().unwrap()),
                GO_AWAY => Event::GoAway(u32::from_be_bytes(payload[4..8].try_into().unwrap())),
                _ => Event::Other,
            });
            if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
                self.events.push(Event::End(stream));
            }
            at += 9 + length;
        }
        self.held.drain(..at);
    }
}

/// The status that a header block begins with, behind what is said of the table; 0 if it begins with anything else.
fn status(mut block: &[u8]) -> u16 {
    while let [0x20..=0x3f, rest @ ..] = block {
        block = rest;
    }
    match block {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8a, ..] => 206,
        [0x8b, ..] => 304,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x48 | 0x08, 3, digits @ ..] => std::str::from_utf8(&digits[..3]).unwrap().parse().unwrap(),
        [0x48 | 0x08, length, digits @ ..] if length & 0x80 != 0 => huffman_digits(digits),
        _ => 0,
    }
}

/// Three digits as RFC 7541 appendix B writes them.
fn huffman_digits(bytes: &[u8]) -> u16 {
    let bits = bytes.iter().take(3).fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
        << (32 - 8 * bytes.len().min(3));
    let (mut bits, mut number) = (bits, 0);
    for _ in 0..3 {
        let (digit, length) = match bits >> 27 {
            short @ 0..=2 => (short, 5),
            _ => ((bits >> 26) - 0b01_1001 + 3, 6),
        };
        number = number * 10 + digit as u16;
        bits <<= length;
    }
    number
}

#[test]
fn statuses_are_read_in_every_form() {
    assert_eq!(status(&[0x88]), 200);
    assert_eq!(status(&[0x20, 0x3f, 0x8c]), 400);
    assert_eq!(status(&[0x48, 3, b'4', b'3', b'1']), 431);
    assert_eq!(status(&[0x48, 0x82, 0x64, 0x02]), 302, "RFC 7541, C.6.1");
    assert_eq!(status(&[0x48, 0x83, 0x64, 0x0e, 0xff]), 307, "RFC 7541, C.6.2");
}
