//! One request's stream, as the connection of an HTTP/1.1 client: its body is read from it, an answer is written to it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::answer::{self, Answer};
use super::body::{Form, Inward, Outward, into_io};
use super::watched::Observed;
use crate::message::head::{Search, find_end};
use crate::net::stream::Carried;
use crate::proxy::clock::Clock;
use crate::proxy::door::Door;
use crate::telemetry::reasons::Abuse;

/// Longest head of an answer, bytes: as much as a backend may send, and what homing adds.
const LONGEST_HEAD: usize = 128 * 1024;

/// A stream that a client has opened.
#[derive(Debug)]
pub(super) struct Incoming {
    body: Inward,
    respond: SendResponse<Bytes>,
    /// What has come of a head that came in parts.
    part: Vec<u8>,
    answer: Going,
    /// Whether the client asked for a WebSocket: a 101 is a 200 for it. (RFC 8441 section 5)
    is_tunnel: bool,
    to_head: bool,
    /// Whether all was said: what still comes of the request is waited for, and thrown away.
    is_shut: bool,
    room: Room,
}

/// Whether the client gives room for what it asked for.
#[derive(Debug)]
pub(super) struct Room {
    clock: Rc<Clock>,
    door: Rc<Door>,
    connection: Rc<Observed>,
    /// Since when there is none, in the clock's milliseconds.
    none_since: Option<u64>,
}

/// How far an answer has come.
#[derive(Debug)]
enum Going {
    Head,
    Body(Outward),
    /// All of it was sent, or the stream was reset.
    Over,
}

impl Incoming {
    /// A stream with a request whose body is framed as `form` says.
    #[must_use]
    pub(super) fn new(
        body: RecvStream,
        form: Form,
        respond: SendResponse<Bytes>,
        to_head: bool,
        room: Room,
    ) -> Self {
        Self {
            body: Inward::new(body, form),
            respond,
            part: Vec::new(),
            answer: Going::Head,
            is_tunnel: form == Form::Open,
            to_head,
            is_shut: false,
            room,
        }
    }

    /// Takes a head, or what has come of it, from the front of `bytes`.
    fn write_head(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let before = self.part.len();
        if before > 0 {
            self.part.extend_from_slice(bytes);
        }
        let input = if before > 0 { self.part.as_slice() } else { bytes };
        let found = find_end(input, &mut Search::default()).map_err(|_| io::ErrorKind::InvalidData)?;
        let Some(len) = found else {
            if input.len() > LONGEST_HEAD {
                return Err(io::ErrorKind::InvalidData.into());
            }
            if before == 0 {
                self.part.extend_from_slice(bytes);
            }
            return Ok(bytes.len());
        };
        let head = input.get(..len).unwrap_or_default();
        let answer = answer::read(head, self.to_head, self.is_tunnel).ok_or(io::ErrorKind::InvalidData)?;
        self.part.clear();
        match answer {
            Answer::Informational(response) => self.respond.send_informational(response).map_err(into_io)?,
            Answer::Final(response, form) => {
                let stream = self.respond.send_response(response, form == Form::None).map_err(into_io)?;
                self.answer = match form {
                    Form::None => Going::Over,
                    form => Going::Body(Outward::new(stream, form)),
                };
            }
        }
        Ok(len.saturating_sub(before))
    }

    /// Ready when the client has reset the stream, or is gone.
    fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        match &mut self.answer {
            Going::Head => self.respond.poll_reset(cx).map(|reset| {
                into_io(match reset {
                    Ok(reason) => reason.into(),
                    Err(error) => error,
                })
            }),
            Going::Body(body) => body.poll_reset(cx),
            Going::Over => Poll::Pending,
        }
    }
}

impl AsyncRead for Incoming {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        if stream.is_shut && !stream.is_tunnel {
            return stream.body.poll_rest(cx).map(Ok);
        }
        if ready!(stream.body.poll_ready(cx))? || stream.is_tunnel {
            return stream.body.poll_read(cx, out);
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
            let wrote = match &mut stream.answer {
                Going::Head => Poll::Ready(stream.write_head(rest)),
                Going::Body(body) => body.poll_write(rest, cx),
                Going::Over => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
            stream.room.note(wrote.is_pending());
            match wrote {
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
        let stream = self.get_mut();
        let mut taken = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match Pin::new(&mut *stream).poll_write(cx, buf) {
                Poll::Ready(Ok(n)) => {
                    taken += n;
                    if n < buf.len() {
                        break;
                    }
                }
                Poll::Ready(Err(_)) | Poll::Pending if taken > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(taken))
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
        if let Going::Body(body) = &mut stream.answer {
            body.end();
        }
        stream.is_shut = true;
        Poll::Ready(Ok(()))
    }
}

impl Carried for Incoming {
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if ready!(self.body.poll_ready(cx))? || self.is_tunnel {
            return Poll::Ready(Ok(()));
        }
        self.poll_reset(cx).map(Err)
    }

    /// Whoever got a part of an answer is told that there is no more of it.
    fn reset_on_close(&mut self) {
        match &mut self.answer {
            Going::Head => self.respond.send_reset(Reason::INTERNAL_ERROR),
            Going::Body(body) if self.room.was_never_given() => {
                self.room.door.shard.abused(Abuse::ZeroWindow);
                body.reset(Reason::ENHANCE_YOUR_CALM);
            }
            Going::Body(body) => body.reset(Reason::INTERNAL_ERROR),
            Going::Over => {}
        }
        self.answer = Going::Over;
    }
}

impl Room {
    pub(super) fn new(clock: &Rc<Clock>, door: &Rc<Door>, connection: &Rc<Observed>) -> Self {
        let (clock, door, connection) = (Rc::clone(clock), Rc::clone(door), Rc::clone(connection));
        Self { clock, door, connection, none_since: None }
    }

    fn note(&mut self, is_none: bool) {
        self.none_since = if is_none { self.none_since.or(Some(self.clock.now())) } else { None };
    }

    /// Whether there was none for as long as a client may take, though it reads its connection.
    fn was_never_given(&self) -> bool {
        let most = self.door.listener.timeouts.write.as_millis();
        self.connection.blocked_since().is_none()
            && self.none_since.is_some_and(|since| u128::from(self.clock.now() - since) >= most)
    }
}
