//! Bodies on their way: read from one side, framed anew, written to the other, 64 KiB at most in between.
//!
//! A [`Pump`] moves one direction. What is to go out first (a head) and what was read with it leave in one write;
//! larger pieces go out as they were read, uncopied. A body in the chunked coding is decoded and encoded anew.

use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;

use crate::message::chunked::{Decoder, Step};
use crate::message::field;
use crate::message::framing::Framing;
use crate::net::buffer::Buffer;
use crate::net::stream::Stream;

/// A head and what is copied behind it, bytes at most: both leave in one write, which is cheaper than a vectored one,
/// and can be sent again.
const JOIN: usize = 16 * 1024;

/// One direction of an exchange.
#[derive(Debug)]
pub struct Pump {
    source: Source,
    sink: Sink,
    trailers: Trailers,
    in_trailers: bool,
    pending: Vec<u8>,
    written: usize,
    /// The head, once it was written and body bytes took its place.
    head: Vec<u8>,
    /// Body bytes moved.
    pub moved: u64,
    /// Bytes that a body in the chunked coding may have. A larger one is never passed on with an end.
    pub most: u64,
    /// Grows with every byte read or written: a wait without growth runs against its deadline.
    pub progress: u64,
    /// What the pump waits for.
    pub waits_for: Waits,
    /// Whether bytes of the body were taken that are no longer held.
    pub has_taken: bool,
    /// Whether a short body in the chunked coding is held with its head, so that both can be sent again.
    pub holds: bool,
}

/// What a pump waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The sender's bytes.
    Read,
    /// Room at the receiver.
    Write,
}

/// Which side broke.
#[derive(Debug)]
pub enum Broken {
    /// The sender ended early, or its socket failed.
    Sender,
    /// The sender's chunked coding is not one.
    Coding,
    /// The sender's body is larger than it may be.
    Length,
    /// The receiver's socket failed.
    Receiver(io::Error),
}

/// How the body is framed for the receiver.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sink {
    /// As it is: a length was announced, or the end is the connection's.
    Plain,
    /// In the chunked coding.
    Chunked,
}

/// Whether trailers are passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trailers {
    /// Those that a trailer may be.
    Pass,
    /// None.
    Drop,
}

impl Trailers {
    /// Those of one exchange: they pass, either way, only if its request had `TE: trailers` (RFC 9110 section 6.5.1).
    #[must_use]
    pub const fn asked(te_trailers: bool) -> Self {
        if te_trailers { Self::Pass } else { Self::Drop }
    }
}

#[derive(Debug)]
enum Source {
    Ended,
    Length(u64),
    Chunked(Decoder),
    UntilClose,
}

impl Pump {
    /// A pump that first writes `pending` and then a body framed as `source` says.
    #[must_use]
    pub fn new(pending: Vec<u8>, source: Framing, sink: Sink, trailers: Trailers) -> Self {
        let source = match source {
            Framing::None | Framing::Length(0) => Source::Ended,
            Framing::Length(n) => Source::Length(n),
            Framing::Chunked => Source::Chunked(Decoder::default()),
            Framing::UntilClose => Source::UntilClose,
        };
        Self {
            source,
            sink,
            trailers,
            in_trailers: false,
            pending,
            written: 0,
            head: Vec::new(),
            moved: 0,
            most: u64::MAX,
            progress: 0,
            waits_for: Waits::Write,
            has_taken: false,
            holds: false,
        }
    }

    /// Whether all was read and written.
    #[must_use]
    pub fn is_done(&self) -> bool {
        matches!(self.source, Source::Ended) && self.written == self.pending.len()
    }

    /// Whether the body was read to its end.
    #[must_use]
    pub const fn is_read(&self) -> bool {
        matches!(self.source, Source::Ended)
    }

    /// Whether a byte was written.
    #[must_use]
    pub const fn has_written(&self) -> bool {
        self.written > 0 || self.moved > 0
    }

    /// Bytes of the body still to be read, if that is known.
    #[must_use]
    pub const fn left(&self) -> Option<u64> {
        match self.source {
            Source::Ended => Some(0),
            Source::Length(n) => Some(n),
            Source::Chunked(_) | Source::UntilClose => None,
        }
    }

    /// Gives back the vector that holds the head.
    pub fn take_head(&mut self) -> Vec<u8> {
        self.written = 0;
        let pending = std::mem::take(&mut self.pending);
        if self.head.is_empty() { pending } else { std::mem::take(&mut self.head) }
    }

    /// The head, whatever became of it.
    #[must_use]
    pub fn head(&self) -> &[u8] {
        if self.head.is_empty() { &self.pending } else { &self.head }
    }

    /// Puts `text` in the place of these bytes of the head. Only before the head is written.
    pub fn amend(&mut self, place: Range<usize>, text: &[u8]) {
        if self.written == 0 && place.start <= place.end && place.end <= self.pending.len() {
            self.pending.splice(place, text.iter().copied());
        }
    }

    /// Starts over with the same head, for another try. Only while nothing was taken from the sender.
    pub fn rewind(&mut self) {
        self.written = 0;
        self.progress += 1;
    }

    /// Lets a body that its sender broke off end with these trailers. False, and nothing is done, where there is no
    /// place for them.
    pub fn cut(&mut self, trailers: &[u8]) -> bool {
        let may = self.sink == Sink::Chunked
            && self.trailers == Trailers::Pass
            && !self.in_trailers
            && matches!(self.source, Source::Chunked(_));
        if may {
            // What is pending are whole chunks.
            for part in [b"0\r\n", trailers, b"\r\n"] {
                self.pending.extend_from_slice(part);
            }
            self.source = Source::Ended;
        }
        may
    }

    /// Moves what can be moved. Ready when the whole message was written.
    ///
    /// # Errors
    /// Which side broke.
    pub fn poll(
        &mut self,
        from: &mut Stream,
        held: &mut Buffer,
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            self.encode(held)?;
            ready!(self.poll_write(held, to, cx)).map_err(Broken::Receiver)?;
            if matches!(self.source, Source::Ended) {
                return Poll::Ready(Ok(()));
            }
            if !held.is_empty() && !self.wants_more() {
                continue;
            }
            self.waits_for = Waits::Read;
            let coming = if let Source::Length(left) = self.source { left } else { 0 };
            match ready!(held.poll_fill_of(coming, from, cx)) {
                Ok(0) => self.end_of_stream()?,
                Ok(n) => self.progress += n as u64,
                Err(_) => return Poll::Ready(Err(Broken::Sender)),
            }
        }
    }

    /// Whether the bytes held are the front of something that needs more bytes to be read.
    fn wants_more(&self) -> bool {
        matches!(self.source, Source::Chunked(_)) && self.written == self.pending.len()
    }

    fn end_of_stream(&mut self) -> Result<(), Broken> {
        self.progress += 1;
        if !matches!(self.source, Source::UntilClose) {
            return Err(Broken::Sender);
        }
        self.source = Source::Ended;
        if self.sink == Sink::Chunked {
            self.pending.extend_from_slice(b"0\r\n\r\n");
        }
        Ok(())
    }

    /// Turns bytes held into bytes pending where they must be copied: chunked on either side, or few behind a head.
    fn encode(&mut self, held: &mut Buffer) -> Result<(), Broken> {
        match (&mut self.source, self.sink) {
            (Source::Ended, _) => {}
            (Source::Chunked(_), _) => self.decode(held)?,
            (Source::Length(_) | Source::UntilClose, Sink::Chunked) => {
                let n = self.available(held);
                if n > 0 && self.written == self.pending.len() {
                    self.clear();
                    write_chunk(&mut self.pending, &held.data()[..n]);
                    self.took(n);
                    held.consume(n);
                }
            }
            (Source::Length(_) | Source::UntilClose, Sink::Plain) => {
                let n = self.available(held);
                let room = JOIN.saturating_sub(self.pending.len());
                // As long as everything is held, the head written or not: a short body can be sent again with it.
                if !self.pending.is_empty() && !self.has_taken && (1..=room).contains(&n) {
                    self.pending.extend_from_slice(&held.data()[..n]);
                    self.took(n);
                    held.consume(n);
                }
            }
        }
        Ok(())
    }

    fn decode(&mut self, held: &mut Buffer) -> Result<(), Broken> {
        if self.written > 0 {
            if self.written < self.pending.len() {
                return Ok(());
            }
            // As long as everything is held, a short body can be sent again.
            let is_held = self.holds && !self.has_taken && self.pending.len() + held.len() <= JOIN;
            if !is_held {
                self.clear();
            }
        }
        let Source::Chunked(decoder) = &mut self.source else { return Ok(()) };
        loop {
            let data = held.data();
            let used = match decoder.next(data).map_err(|_| Broken::Coding)? {
                Step::More => return Ok(()),
                Step::Skip(n) => n,
                Step::Data(skip, n) => {
                    if n as u64 > self.most.saturating_sub(self.moved) {
                        return Err(Broken::Length);
                    }
                    let piece = &data[skip..skip + n];
                    match self.sink {
                        Sink::Chunked => write_chunk(&mut self.pending, piece),
                        Sink::Plain => self.pending.extend_from_slice(piece),
                    }
                    self.moved += n as u64;
                    skip + n
                }
                Step::Trailer(n) => {
                    if self.sink == Sink::Chunked && self.trailers == Trailers::Pass && is_trailer(&data[..n])
                    {
                        if !self.in_trailers {
                            self.pending.extend_from_slice(b"0\r\n");
                            self.in_trailers = true;
                        }
                        self.pending.extend_from_slice(&data[..n]);
                    }
                    n
                }
                Step::End(n) => {
                    held.consume(n);
                    if self.sink == Sink::Chunked {
                        self.pending.extend_from_slice(if self.in_trailers { b"\r\n" } else { b"0\r\n\r\n" });
                    }
                    self.source = Source::Ended;
                    return Ok(());
                }
            };
            held.consume(used);
        }
    }

    /// How many of the bytes held belong to this body.
    fn available(&self, held: &Buffer) -> usize {
        match self.source {
            Source::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(held.len()),
            Source::UntilClose => held.len(),
            Source::Ended | Source::Chunked(_) => 0,
        }
    }

    fn took(&mut self, n: usize) {
        self.moved += n as u64;
        if let Source::Length(left) = &mut self.source {
            *left -= n as u64;
            if *left == 0 {
                self.source = Source::Ended;
            }
        }
    }

    fn clear(&mut self) {
        if self.head.is_empty() {
            self.head = std::mem::take(&mut self.pending);
        }
        self.pending.clear();
        self.written = 0;
        self.has_taken = true;
    }

    fn poll_write(
        &mut self,
        held: &mut Buffer,
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            let direct = match self.sink {
                Sink::Plain => self.available(held),
                Sink::Chunked => 0,
            };
            let head = &self.pending[self.written..];
            self.waits_for = Waits::Write;
            let to = Pin::new(&mut *to);
            if head.is_empty() && direct == 0 {
                return to.poll_flush(cx);
            }
            let n = if direct == 0 {
                ready!(to.poll_write(cx, head))?
            } else if head.is_empty() {
                ready!(to.poll_write(cx, &held.data()[..direct]))?
            } else {
                let both = [IoSlice::new(head), IoSlice::new(&held.data()[..direct])];
                ready!(to.poll_write_vectored(cx, &both))?
            };
            if n == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.progress += n as u64;
            let of_head = n.min(head.len());
            self.written += of_head;
            if n > of_head {
                self.has_taken = true;
                self.took(n - of_head);
                held.consume(n - of_head);
            }
        }
    }
}

fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    let mut digits = [0_u8; 16];
    let mut at = digits.len();
    let mut n = data.len();
    while n > 0 {
        at -= 1;
        digits[at] = b"0123456789abcdef"[n % 16];
        n /= 16;
    }
    out.extend_from_slice(&digits[at..]);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// Whether a trailer line may be passed on.
fn is_trailer(line: &[u8]) -> bool {
    let name = line.split(|&b| b == b':').next().unwrap_or_default();
    std::str::from_utf8(name).is_ok_and(field::may_trail)
}
