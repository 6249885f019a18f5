//! Bodies between the two framings: DATA frames on one side, HTTP/1.1's lengths and chunks on the other.
//!
//! [`Inward`] is a stream's body as HTTP/1.1 bytes to be read; [`Outward`] takes such bytes and sends them on a stream.
//! What is not read is not given back to
//! the peer's window, and what the peer's window has no room for is not taken: so neither holds more than a window.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderName, HeaderValue};
use tokio::io::ReadBuf;

use super::chunks::Chunks;
use super::lines::Lines;
use super::request::Form;
use crate::message::field::may_trail;

/// Most bytes taken at once: a window as peers open it at first. (RFC 9113 section 6.9.2)
const MOST: usize = 64 * 1024 - 1;

/// A stream's body, to be read as HTTP/1.1 has it.
#[derive(Debug)]
pub(super) struct Inward {
    stream: RecvStream,
    form: Form,
    state: Reading,
    /// Framing that comes before `data`.
    frame: Vec<u8>,
    /// How much of `frame` was read.
    read: usize,
    /// What is left of the last DATA frame.
    data: Bytes,
}

/// How far a body was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reading {
    Data,
    Trailers,
    Ended,
}

impl Inward {
    /// The body of `stream`, framed as `form` says. An end of an `Open` one is the end of what is read; behind any
    /// other nothing comes, and nothing is told, until the stream breaks.
    #[must_use]
    pub(super) fn new(stream: RecvStream, form: Form) -> Self {
        let state = if form == Form::None { Reading::Ended } else { Reading::Data };
        Self { stream, form, state, frame: Vec::new(), read: 0, data: Bytes::new() }
    }

    /// Whether all of it was read.
    #[must_use]
    pub(super) fn is_ended(&self) -> bool {
        self.state == Reading::Ended && self.read == self.frame.len() && self.data.is_empty()
    }

    /// Ready when there is something to read; false at its end.
    ///
    /// # Errors
    /// The stream was reset, or its connection is gone.
    pub(super) fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        loop {
            if self.read < self.frame.len() || !self.data.is_empty() {
                return Poll::Ready(Ok(true));
            }
            match self.state {
                Reading::Data => match ready!(self.stream.poll_data(cx)) {
                    Some(Ok(data)) if data.is_empty() => {}
                    Some(Ok(data)) => self.begin(data),
                    Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
                    None if self.form == Form::Chunked => self.state = Reading::Trailers,
                    None => self.state = Reading::Ended,
                },
                Reading::Trailers => {
                    let trailers = ready!(self.stream.poll_trailers(cx)).map_err(into_io)?;
                    self.end(trailers.as_ref());
                }
                Reading::Ended => return Poll::Ready(Ok(false)),
            }
        }
    }

    /// Reads what is there into `out`; nothing at its end.
    ///
    /// # Errors
    /// As [`Self::poll_ready`].
    pub(super) fn poll_read(&mut self, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        while out.remaining() > 0 {
            let frame = self.frame.get(self.read..).unwrap_or_default();
            if !frame.is_empty() {
                let n = frame.len().min(out.remaining());
                out.put_slice(frame.get(..n).unwrap_or_default());
                self.read += n;
            } else if !self.data.is_empty() {
                let n = self.data.len().min(out.remaining());
                out.put_slice(&self.data.split_to(n));
                if self.form == Form::Chunked && self.data.is_empty() {
                    self.restart(b"\r\n");
                }
                let _ = self.stream.flow_control().release_capacity(n); // Of a stream that is gone.
            } else {
                match self.poll_ready(cx) {
                    Poll::Ready(Ok(true)) => {}
                    Poll::Ready(Ok(false)) => break,
                    // What was read so far comes first; an error comes again.
                    Poll::Ready(Err(_)) | Poll::Pending if !out.filled().is_empty() => break,
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending => return Poll::Pending,
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    fn begin(&mut self, data: Bytes) {
        if self.form == Form::Chunked {
            self.restart(format!("{:x}\r\n", data.len()).as_bytes());
        }
        self.data = data;
    }

    fn end(&mut self, trailers: Option<&HeaderMap>) {
        self.restart(b"0\r\n");
        for (name, value) in trailers.into_iter().flatten() {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                self.frame.extend_from_slice(part);
            }
        }
        self.frame.extend_from_slice(b"\r\n");
        self.state = Reading::Ended;
    }

    fn restart(&mut self, with: &[u8]) {
        // Behind a chunk stands what ends it, and what begins the next one.
        if self.read == self.frame.len() {
            self.frame.clear();
            self.read = 0;
        }
        self.frame.extend_from_slice(with);
    }
}

/// Takes a body as HTTP/1.1 has it and sends it on a stream, which it ends with the body.
#[derive(Debug)]
pub(super) struct Outward {
    stream: SendStream<Bytes>,
    state: Writing,
}

#[derive(Debug)]
enum Writing {
    /// So many bytes are to come.
    Length(u64),
    Chunked(Box<Chunks>),
    Open,
    Ended,
}

impl Outward {
    /// A body framed as `form` says, for a stream whose head was sent and did not end it.
    #[must_use]
    pub(super) fn new(stream: SendStream<Bytes>, form: Form) -> Self {
        let state = match form {
            Form::None => Writing::Ended,
            Form::Length(n) => Writing::Length(n),
            Form::Chunked => Writing::Chunked(Box::default()),
            Form::Open => Writing::Open,
        };
        Self { stream, state }
    }

    /// Whether all of it was sent.
    #[must_use]
    pub(super) fn is_ended(&self) -> bool {
        matches!(self.state, Writing::Ended)
    }

    /// Resets the stream.
    pub(super) fn reset(&mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Takes from the front of `bytes` what can be sent; how many, and not 0 unless there are none.
    ///
    /// # Errors
    /// The stream was reset, its connection is gone, or the bytes are not a body of this form.
    pub(super) fn poll_write(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match &mut self.state {
            Writing::Length(left) => {
                let (most, left) = (usize::try_from(*left).unwrap_or(usize::MAX), *left);
                let n = ready!(self.poll_room(bytes.len().min(most), cx))?;
                let ends = n as u64 == left;
                self.state = if ends { Writing::Ended } else { Writing::Length(left - n as u64) };
                Poll::Ready(
                    self.send(Bytes::copy_from_slice(bytes.get(..n).unwrap_or_default()), ends).map(|()| n),
                )
            }
            Writing::Open => {
                let n = ready!(self.poll_room(bytes.len(), cx))?;
                Poll::Ready(
                    self.send(Bytes::copy_from_slice(bytes.get(..n).unwrap_or_default()), false).map(|()| n),
                )
            }
            Writing::Chunked(_) => self.poll_chunks(bytes, cx),
            Writing::Ended => Poll::Ready(Err(malformed())),
        }
    }

    /// The same for the chunked coding: what is decoded of one piece leaves in one frame, however finely it was cut.
    fn poll_chunks(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = match self.poll_room(bytes.len(), cx) {
            Poll::Ready(room) => room?,
            Poll::Pending => 0, // Which is enough for what is no data.
        };
        let Writing::Chunked(chunks) = &mut self.state else { return Poll::Ready(Err(malformed())) };
        let mut data = Vec::new();
        let taken = chunks.decode(bytes, room, &mut data)?;
        if taken == 0 {
            return Poll::Pending; // For want of room, of which it will be told.
        }
        let trailers = chunks.is_ended().then(|| trailers(chunks.trailers()));
        let ends = trailers.as_ref().is_some_and(HeaderMap::is_empty);
        let spare = room > data.len();
        if trailers.is_some() {
            self.state = Writing::Ended;
        }
        if !data.is_empty() || ends {
            self.send(data.into(), ends)?;
        }
        match trailers {
            Some(trailers) if !trailers.is_empty() => self.stream.send_trailers(trailers).map_err(into_io)?,
            None if spare => self.stream.reserve_capacity(0), // Room for the framing, which other streams may need.
            Some(_) | None => {}
        }
        Poll::Ready(Ok(taken))
    }

    /// How many of `n` bytes the peer has room for: at least one.
    fn poll_room(&mut self, n: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let wanted = n.min(MOST);
        loop {
            self.stream.reserve_capacity(wanted);
            let room = self.stream.capacity();
            if room > 0 || wanted == 0 {
                return Poll::Ready(Ok(room.min(wanted)));
            }
            match ready!(self.stream.poll_capacity(cx)) {
                Some(Ok(_)) => {}
                Some(Err(error)) => return Poll::Ready(Err(into_io(error))),
                None => return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            }
        }
    }

    fn send(&mut self, data: Bytes, ends: bool) -> io::Result<()> {
        self.stream.send_data(data, ends).map_err(into_io)
    }
}

fn trailers(lines: &[u8]) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    for line in Lines::of(lines) {
        let line = lines.get(line).unwrap_or_default();
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        let (name, value) = line.split_at(colon);
        let value = value.get(1..).unwrap_or_default().trim_ascii();
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            && may_trail(name.as_str())
        {
            trailers.append(name, value);
        }
    }
    trailers
}

fn malformed() -> io::Error {
    io::ErrorKind::InvalidData.into()
}

/// An error of the connection or of one stream, as a socket would tell it.
#[must_use]
pub(super) fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        return error.into_io().unwrap_or_else(|| io::ErrorKind::Other.into());
    }
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
