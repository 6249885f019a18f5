//! One connection of a backend: heads in, fixed answers out.

use std::collections::{HashMap, VecDeque};
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::rc::Rc;

use super::http;

/// The longest head that is waited for.
const HEAD: usize = 64 << 10;

/// Answers by the size of their body, made once.
#[derive(Default)]
pub(crate) struct Answers(HashMap<usize, Rc<[u8]>>);

/// A connection of a proxy.
pub(crate) struct Connection {
    pub(crate) stream: TcpStream,
    state: State,
    held: Vec<u8>,
    unsent: VecDeque<(Rc<[u8]>, usize)>,
    ends: bool,
}

enum State {
    Head,
    /// So much of a request's body is still to come; then this is the answer.
    Upload(usize, Rc<[u8]>),
    /// After an upgrade: whatever comes goes back.
    Echo,
}

/// What the one who waits for a connection has to know.
pub(crate) enum Outcome {
    /// It wants to be read.
    Reads,
    /// It wants to be written, too.
    Blocked,
    /// It has ended.
    Over,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self { stream, state: State::Head, held: Vec::new(), unsent: VecDeque::new(), ends: false }
    }

    /// Reads once and answers what that completes.
    pub(crate) fn read(&mut self, buffer: &mut [u8], answers: &mut Answers) -> Outcome {
        match self.stream.read(buffer) {
            Ok(0) => Outcome::Over,
            Ok(length) => match self.take(&buffer[..length], answers) {
                Ok(()) => self.write(),
                Err(_) => Outcome::Over,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Outcome::Reads,
            Err(_) => Outcome::Over,
        }
    }

    /// Writes what waits.
    pub(crate) fn write(&mut self) -> Outcome {
        while let Some((bytes, sent)) = self.unsent.front_mut() {
            match self.stream.write(&bytes[*sent..]) {
                Ok(length) => *sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Blocked,
                Err(_) => return Outcome::Over,
            }
            if *sent == bytes.len() {
                self.unsent.pop_front();
            }
        }
        if self.ends { Outcome::Over } else { Outcome::Reads }
    }

    fn take(&mut self, mut bytes: &[u8], answers: &mut Answers) -> io::Result<()> {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Echo => {
                    self.unsent.push_back((bytes.into(), 0));
                    return Ok(());
                }
                State::Upload(left, answer) => {
                    let now = bytes.len().min(*left);
                    *left -= now;
                    bytes = &bytes[now..];
                    if *left == 0 {
                        self.unsent.push_back((Rc::clone(answer), 0));
                        self.state = State::Head;
                    }
                }
                State::Head if self.held.is_empty() => match http::head_end(bytes) {
                    Some(end) => {
                        self.begin(&bytes[..end], answers)?;
                        bytes = &bytes[end..];
                    }
                    None => {
                        self.held.extend_from_slice(bytes);
                        return Ok(());
                    }
                },
                State::Head => {
                    // Rare: a head that came in pieces. Only what ends it is taken from the bytes at hand.
                    let before = self.held.len();
                    self.held.extend_from_slice(bytes);
                    let Some(end) = http::head_end(&self.held) else {
                        return if self.held.len() > HEAD {
                            Err(io::ErrorKind::InvalidData.into())
                        } else {
                            Ok(())
                        };
                    };
                    let head = std::mem::take(&mut self.held);
                    self.begin(&head[..end], answers)?;
                    bytes = &bytes[end - before..];
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, head: &[u8], answers: &mut Answers) -> io::Result<()> {
        let (mut length, mut upgrade) = (0, false);
        for (name, value) in http::fields(head) {
            // Most names are told apart by their first letter.
            match name.first() {
                Some(b'c' | b'C') if http::is(name, "content-length") => {
                    length = http::number(value).ok_or(io::ErrorKind::InvalidData)?;
                }
                Some(b'c' | b'C') if http::is(name, "connection") => self.ends |= http::is(value, "close"),
                Some(b'u' | b'U') if http::is(name, "upgrade") => upgrade = http::is(value, "websocket"),
                // Nobody here sends one, so that a proxy must have made it up.
                Some(b't' | b'T') if http::is(name, "transfer-encoding") => {
                    return Err(io::ErrorKind::InvalidData.into());
                }
                _ => {}
            }
        }
        if upgrade {
            self.unsent.push_back((SWITCHED.as_bytes().into(), 0));
            self.state = State::Echo;
            return Ok(());
        }
        let answer = answers.of(size(head).ok_or(io::ErrorKind::InvalidData)?);
        if length == 0 {
            self.unsent.push_back((answer, 0));
        } else {
            self.state = State::Upload(length, answer);
        }
        Ok(())
    }
}

impl Answers {
    fn of(&mut self, size: usize) -> Rc<[u8]> {
        let made = self.0.entry(size).or_insert_with(|| {
            let head = format!(
                "HTTP/1.1 200 OK\r\nServer: fixed\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
            );
            let mut bytes = head.into_bytes();
            bytes.resize(bytes.len() + size, b'x');
            bytes.into()
        });
        Rc::clone(made)
    }
}

/// The answer to the handshake that the load sends: the example of RFC 6455, section 1.3.
const SWITCHED: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n";

/// The size in `GET /s/200 HTTP/1.1`.
fn size(head: &[u8]) -> Option<usize> {
    let target = head.split(|byte| *byte == b' ').nth(1)?;
    http::number(target.strip_prefix(b"/s/")?)
}
