//! One request's stream, as the connection of an HTTP/1.1 client: its body is read from it, an answer is written to it.

use std::io::{self, IoSlice, Write as _};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::{self, Answer};
use super::chunks::Chunks;
use super::link::{Link, State};
use super::request::{Asked, Form};
use super::slots::{End, Slot};
use crate::message::h2_frames::{Code, LARGEST};
use crate::net::stream::{Carried, Fault};
use crate::telemetry::reasons::Abuse;

/// A stream that a client has opened.
#[derive(Debug)]
pub(super) struct Incoming {
    link: Rc<Link>,
    place: usize,
    body: Body,
    answer: Going,
    /// Whether the client asked for a WebSocket: a 101 is a 200 for it. (RFC 8441 section 5)
    is_tunnel: bool,
    to_head: bool,
    /// Whether all was said: what still comes of the request is waited for, and thrown away.
    is_shut: bool,
    /// Since when the client gives no room for what it asked for, in the clock's milliseconds.
    no_room_since: Option<u64>,
}

/// A request's body, as it is read.
#[derive(Debug)]
enum Body {
    /// There is none, or all of it was read.
    Ended,
    /// As it comes.
    Plain,
    /// In the chunked coding: framing that comes before `left` bytes of data.
    Chunked { frame: Vec<u8>, read: usize, left: usize, is_last: bool },
}

/// How far an answer has come.
#[derive(Debug)]
enum Going {
    Head,
    /// So many bytes are to come.
    Length(u64),
    Chunked(Box<Chunks>),
    Open,
    /// All of it was sent, or the stream was reset.
    Over,
}

impl Incoming {
    /// The stream in this place, with this request.
    pub(super) fn new(link: &Rc<Link>, place: usize, asked: &Asked) -> Self {
        let body = match asked.form {
            Form::None => Body::Ended,
            Form::Length(_) | Form::Open => Body::Plain,
            Form::Chunked => Body::Chunked { frame: Vec::new(), read: 0, left: 0, is_last: false },
        };
        Self {
            link: Rc::clone(link),
            place,
            body,
            answer: Going::Head,
            is_tunnel: asked.form == Form::Open,
            to_head: asked.to_head,
            is_shut: false,
            no_room_since: None,
        }
    }

    /// Where it is.
    pub(super) const fn place(&self) -> usize {
        self.place
    }

    /// Ready when there is something to read; false at the body's end, behind which nothing comes until the stream
    /// breaks.
    fn poll_body(&mut self, cx: &Context<'_>) -> Poll<io::Result<bool>> {
        let state = &mut *self.link.state.borrow_mut();
        if let Body::Chunked { frame, read, left, .. } = &self.body
            && (*read < frame.len() || *left > 0)
        {
            return Poll::Ready(Ok(true));
        }
        let slot = live(state, self.place)?;
        match &mut self.body {
            Body::Ended => return Poll::Ready(Ok(false)),
            Body::Plain | Body::Chunked { .. } if slot.read < slot.data.len() => {
                return Poll::Ready(Ok(true));
            }
            Body::Plain if slot.has_ended => self.body = Body::Ended,
            Body::Chunked { is_last: true, .. } => self.body = Body::Ended,
            Body::Chunked { .. } if slot.has_ended => return Poll::Ready(Ok(true)),
            Body::Plain | Body::Chunked { .. } => {
                slot.waits(cx);
                return Poll::Pending;
            }
        }
        Poll::Ready(Ok(false))
    }

    /// Reads what is there of the body.
    fn read(&mut self, out: &mut ReadBuf<'_>) {
        let state = &mut *self.link.state.borrow_mut();
        let Some(slot) = state.slots.get_mut(self.place) else { return };
        let mut taken = 0;
        match &mut self.body {
            Body::Ended => {}
            Body::Plain => taken = take(slot, usize::MAX, out),
            Body::Chunked { frame, read, left, is_last } => {
                while out.remaining() > 0 {
                    let rest = frame.get(*read..).unwrap_or_default();
                    if !rest.is_empty() {
                        let n = rest.len().min(out.remaining());
                        out.put_slice(rest.get(..n).unwrap_or_default());
                        *read += n;
                        continue;
                    }
                    (*read, _) = (0, frame.clear());
                    if *left > 0 {
                        let n = take(slot, *left, out);
                        (taken, *left) = (taken + n, *left - n);
                        if *left == 0 {
                            frame.extend_from_slice(b"\r\n");
                        }
                    } else if slot.read < slot.data.len() {
                        *left = slot.data.len() - slot.read;
                        let _ = write!(frame, "{left:x}\r\n"); // A vector takes all.
                    } else if slot.has_ended && !std::mem::replace(is_last, true) {
                        frame.extend_from_slice(b"0\r\n");
                        frame.append(&mut slot.trailers);
                        frame.extend_from_slice(b"\r\n");
                    } else {
                        break;
                    }
                }
            }
        }
        let before = state.out.len();
        state.release_on(self.place, taken as u32);
        if state.out.len() > before {
            self.link.wake();
        }
    }

    /// Ready when the rest of the request has come, or never will. None of it is given back to the window, so that its
    /// sender soon waits, and reads what it is told.
    fn poll_rest(&self, cx: &Context<'_>) -> Poll<()> {
        let state = &mut *self.link.state.borrow_mut();
        let Ok(slot) = live(state, self.place) else { return Poll::Ready(()) };
        slot.is_ignored = true;
        slot.data.clear();
        slot.read = 0;
        if slot.has_ended || matches!(self.body, Body::Ended) {
            return Poll::Ready(());
        }
        slot.waits(cx);
        Poll::Pending
    }

    /// Ready when the client has reset the stream, or is gone.
    fn poll_reset(&self, cx: &Context<'_>) -> Poll<io::Error> {
        match live(&mut self.link.state.borrow_mut(), self.place) {
            Err(error) => Poll::Ready(error),
            Ok(slot) => {
                slot.waits(cx);
                Poll::Pending
            }
        }
    }

    /// Takes from the front of `bytes` what can be sent; how many, and not 0 unless there are none.
    fn poll_some(&mut self, bytes: &[u8], cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let link = Rc::clone(&self.link);
        let state = &mut *link.state.borrow_mut();
        live(state, self.place)?;
        let before = state.out.len();
        let wrote = match &mut self.answer {
            Going::Head => self.poll_head(bytes, state, cx),
            Going::Length(left) => {
                let most = usize::try_from(*left).unwrap_or(usize::MAX);
                let n = state.room(self.place, bytes.len().min(most), true, cx);
                *left -= n as u64;
                let ends = *left == 0;
                if ends {
                    self.answer = Going::Over;
                }
                if n > 0 {
                    state.data(self.place, bytes.get(..n).unwrap_or_default(), ends);
                }
                ready_if(n)
            }
            Going::Open => {
                let n = state.room(self.place, bytes.len(), true, cx);
                if n > 0 {
                    state.data(self.place, bytes.get(..n).unwrap_or_default(), false);
                }
                ready_if(n)
            }
            Going::Chunked(_) => self.poll_chunks(bytes, state, cx),
            Going::Over => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        };
        self.no_room_since =
            if wrote.is_pending() { self.no_room_since.or(Some(link.clock.now())) } else { None };
        if state.out.len() > before || state.has_guests() {
            link.wake();
        }
        wrote
    }

    /// Takes a head. Whoever writes one writes it whole.
    fn poll_head(&mut self, bytes: &[u8], state: &mut State, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        if state.room(self.place, bytes.len(), false, cx) == 0 {
            return Poll::Pending;
        }
        let mut wrote = None;
        state.block(self.place, |encoder, out| {
            wrote = answer::write(bytes, self.to_head, self.is_tunnel, encoder, out);
            matches!(wrote, Some((_, Answer::Final(Form::None))))
        });
        let (len, answer) = wrote.ok_or(io::ErrorKind::InvalidData)?;
        self.answer = match answer {
            Answer::Informational => Going::Head,
            Answer::Final(Form::None) => Going::Over,
            Answer::Final(Form::Length(n)) => Going::Length(n),
            Answer::Final(Form::Chunked) => Going::Chunked(Box::default()),
            Answer::Final(Form::Open) => Going::Open,
        };
        Poll::Ready(Ok(len))
    }

    /// A chunked body: what is decoded of one piece leaves in one frame, however finely it was cut.
    fn poll_chunks(&mut self, bytes: &[u8], state: &mut State, cx: &Context<'_>) -> Poll<io::Result<usize>> {
        let Going::Chunked(chunks) = &mut self.answer else { return Poll::Pending };
        if state.is_full() && state.room(self.place, 1, false, cx) == 0 {
            return Poll::Pending; // The end and the trailers take room too, though none of a window.
        }
        let mut data = Vec::new();
        let mut taken = chunks.decode(bytes, 0, &mut data)?;
        // Who has no data to send does not ask for room, nor wait for it.
        if let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty() && !chunks.is_ended()) {
            let room = state.room(self.place, rest.len().min(LARGEST), true, cx);
            taken += chunks.decode(rest, room, &mut data)?;
        }
        let (has_ended, ends) = (chunks.is_ended(), chunks.is_ended() && chunks.trailers().is_empty());
        if !data.is_empty() || ends {
            state.data(self.place, &data, ends);
        }
        if has_ended && !ends {
            state.block(self.place, |encoder, out| {
                answer::write_trailers(chunks.trailers(), encoder, out);
                true
            });
        }
        if has_ended {
            self.answer = Going::Over;
        }
        ready_if(taken)
    }

    /// Whether there was no room for as long as a client may take, though it reads its connection.
    fn was_never_given_room(&self) -> bool {
        let most = self.link.write.as_millis();
        self.link.blocked_since.get().is_none()
            && self.no_room_since.is_some_and(|since| u128::from(self.link.clock.now() - since) >= most)
    }
}

/// The stream in this place, if nobody has ended it.
fn live(state: &mut State, place: usize) -> io::Result<&mut Slot> {
    let is_over = state.is_over;
    let slot = state.slots.get_mut(place).filter(|slot| !is_over && slot.end != End::Reset);
    slot.ok_or_else(|| io::ErrorKind::ConnectionReset.into())
}

fn ready_if(taken: usize) -> Poll<io::Result<usize>> {
    if taken > 0 { Poll::Ready(Ok(taken)) } else { Poll::Pending }
}

/// Moves at most so many bytes of data that came.
fn take(slot: &mut Slot, most: usize, out: &mut ReadBuf<'_>) -> usize {
    let rest = slot.data.get(slot.read..).unwrap_or_default();
    let n = rest.len().min(most).min(out.remaining());
    out.put_slice(rest.get(..n).unwrap_or_default());
    slot.read += n;
    if slot.read == slot.data.len() {
        slot.data.clear();
        slot.read = 0;
    }
    n
}

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.is_shut && !stream.is_tunnel {
            return stream.poll_rest(cx).map(Ok);
        }
        if ready!(stream.poll_body(cx))? {
            stream.read(out);
            return Poll::Ready(Ok(()));
        }
        if stream.is_tunnel {
            return Poll::Ready(Ok(()));
        }
        // Behind its request a client of HTTP/2 is silent, and no less there for it.
        stream.poll_reset(cx).map(Err)
    }
}

impl AsyncWrite for Incoming {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            match stream.poll_some(rest, cx) {
                Poll::Ready(Ok(n)) => taken += n,
                // What was taken is said first; an error comes again.
                Poll::Ready(Err(_)) | Poll::Pending if taken > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        super::write_each(self, cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// The connection's task writes what its streams have sent.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if matches!(stream.answer, Going::Open) {
            stream.answer = Going::Over;
            let state = &mut *stream.link.state.borrow_mut();
            if live(state, stream.place).is_ok() {
                state.data(stream.place, &[], true);
                stream.link.wake();
            }
        }
        stream.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Carried for Incoming {
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if ready!(self.poll_body(cx))? || self.is_tunnel {
            return Poll::Ready(Ok(()));
        }
        self.poll_reset(cx).map(Err)
    }

    fn fault(&self) -> Option<Fault> {
        let state = &mut *self.link.state.borrow_mut();
        let wrong = state.slots.get_mut(self.place).and_then(|slot| slot.wrong);
        let here = wrong.map(|own| Fault::Here(own.reason));
        here.or_else(|| state.fault.filter(|_| state.is_over).map(|_| Fault::Carrier))
    }

    /// Whoever got a part of an answer is told that there is no more of it.
    fn reset_on_close(&mut self) {
        let code = match self.answer {
            Going::Over => return,
            Going::Head => Code::Internal,
            Going::Length(_) | Going::Chunked(_) | Going::Open if self.was_never_given_room() => {
                self.link.shard.abused(Abuse::ZeroWindow);
                Code::EnhanceYourCalm
            }
            Going::Length(_) | Going::Chunked(_) | Going::Open => Code::Internal,
        };
        self.answer = Going::Over;
        self.link.state.borrow_mut().reset(self.place, code, self.link.clock.now());
        self.link.wake();
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let state = &mut *self.link.state.borrow_mut();
        let before = state.out.len();
        state.leave(self.place, self.link.clock.now());
        if state.out.len() > before || state.has_guests() {
            self.link.wake();
        }
    }
}
