//! One connection of a backend that speaks HTTP/2 in the clear and answers calls of gRPC: each with a message as long as
//! its own was.

use std::collections::VecDeque;
use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;

use super::connection::Outcome;
use super::frames::{self, Broken, DATA, END_HEADERS, END_STREAM, HEADERS, Link, PREFACE, SETTINGS};

/// `:status: 200`, `content-type: application/grpc`.
const BEGINS: &[u8] = b"\x88\x0f\x10\x10application/grpc";
/// `grpc-status: 0`.
const ENDS: &[u8] = b"\x00\x0bgrpc-status\x010";

pub(crate) struct Calls {
    pub(crate) stream: TcpStream,
    link: Link,
    /// What of the client's preface is still to come.
    preface: &'static [u8],
    /// Streams whose message is under way, and how much of it has come.
    asked: Vec<(u32, usize)>,
    /// Streams that wait for the window.
    owed: VecDeque<(u32, usize)>,
    unsent: Vec<u8>,
    sent: usize,
}

impl Calls {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let mut unsent = Vec::new();
        frames::begin(SETTINGS, 0, 0, 0, &mut unsent);
        Self {
            stream,
            link: Link::new(),
            preface: PREFACE,
            asked: Vec::new(),
            owed: VecDeque::new(),
            unsent,
            sent: 0,
        }
    }

    /// Reads once and answers what that completes.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Outcome {
        match self.stream.read(buffer) {
            Ok(0) => Outcome::Over,
            Ok(length) => match self.take(&buffer[..length]) {
                Ok(()) => self.write(),
                Err(Broken) => Outcome::Over,
            },
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Outcome::Reads,
            Err(_) => Outcome::Over,
        }
    }

    /// Writes what waits.
    pub(crate) fn write(&mut self) -> Outcome {
        while self.sent < self.unsent.len() {
            match self.stream.write(&self.unsent[self.sent..]) {
                Ok(length) => self.sent += length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Outcome::Blocked,
                Err(_) => return Outcome::Over,
            }
        }
        self.unsent.clear();
        self.sent = 0;
        Outcome::Reads
    }

    fn take(&mut self, bytes: &[u8]) -> Result<(), Broken> {
        let (begun, bytes) = bytes.split_at(self.preface.len().min(bytes.len()));
        self.preface = self.preface.strip_prefix(begun).ok_or(Broken)?;
        let (asked, owed) = (&mut self.asked, &mut self.owed);
        self.link.take(bytes, &mut self.unsent, |_, frame, _| {
            if frame.kind == HEADERS && !asked.iter().any(|(stream, _)| *stream == frame.stream) {
                asked.push((frame.stream, 0));
            }
            let Some(place) = asked.iter().position(|(stream, _)| *stream == frame.stream) else {
                return Ok(());
            };
            match frame.kind {
                DATA => asked[place].1 += frame.payload.len(),
                frames::RST_STREAM => {
                    asked.swap_remove(place);
                }
                _ => {}
            }
            if frame.ends() {
                owed.push_back(asked.swap_remove(place));
            }
            Ok(())
        })?;
        while let Some((stream, length)) =
            self.owed.pop_front_if(|(_, length)| *length as i64 <= self.link.window)
        {
            self.link.window -= length as i64;
            answer(stream, length, &mut self.unsent);
        }
        Ok(())
    }
}

fn answer(stream: u32, length: usize, out: &mut Vec<u8>) {
    frames::begin(HEADERS, END_HEADERS, stream, BEGINS.len(), out);
    out.extend_from_slice(BEGINS);
    let message = frames::message(length.saturating_sub(5));
    frames::begin(DATA, 0, stream, message.len(), out);
    out.extend_from_slice(&message);
    frames::begin(HEADERS, END_HEADERS | END_STREAM, stream, ENDS.len(), out);
    out.extend_from_slice(ENDS);
}
