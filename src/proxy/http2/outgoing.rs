//! One request's stream to a backend, as a connection to a backend of HTTP/1.1: a request is written to it, and its
//! answer is read from it.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::Reason;
use h2::client::{ResponseFuture, SendRequest};
use http::uri::Scheme;
use http::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::backward;
use super::body::{Inward, Outward};
use super::request::Form;
use super::upstream::Connection;
use crate::message::head::{Search, find_end};
use crate::net::stream::{Carried, NotProcessed};

/// Longest head of a request, bytes: as much as a client may send, and what homing adds.
const LONGEST_HEAD: usize = 128 * 1024;

/// A stream, opened when the head of its request is whole. Dropped before its end, it is reset.
#[derive(Debug)]
pub(super) struct Outgoing {
    connection: Rc<Connection>,
    up: Up,
    down: Down,
    /// Heads of an answer that were not read.
    heads: Vec<u8>,
    /// How much of them was.
    read: usize,
    to_head: bool,
    /// Why the stream is over before its end; every read tells.
    broken: Option<Broken>,
    /// Bytes that had come by the connection when the stream was opened, and when that was.
    before: (u64, u64),
}

/// How far a request has gone.
#[derive(Debug)]
enum Up {
    /// Its head, as far as it was written, and what it is sent by.
    Head(Vec<u8>, SendRequest<Bytes>),
    Body(Outward),
    Over,
}

/// How far an answer has come.
#[derive(Debug)]
enum Down {
    /// The request was not sent.
    Before,
    Head(ResponseFuture),
    Body(Inward),
}

/// How a stream broke.
#[derive(Clone, Copy, Debug)]
enum Broken {
    NotProcessed(NotProcessed),
    Otherwise(io::ErrorKind),
}

impl Outgoing {
    /// A stream on this connection, which counts it.
    pub(super) fn new(connection: Rc<Connection>, sender: SendRequest<Bytes>) -> Self {
        let before = connection.stamp();
        Self {
            connection,
            up: Up::Head(Vec::new(), sender),
            down: Down::Before,
            heads: Vec::new(),
            read: 0,
            to_head: false,
            broken: None,
            before,
        }
    }

    /// Takes a head, or what has come of it, from the front of `bytes`; sends it when it is whole.
    fn write_head(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Up::Head(part, sender) = &mut self.up else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        let before = part.len();
        if before > 0 {
            part.extend_from_slice(bytes);
        }
        let input = if before > 0 { part.as_slice() } else { bytes };
        let found = find_end(input, &mut Search::default()).map_err(|_| io::ErrorKind::InvalidData)?;
        let Some(len) = found else {
            if input.len() > LONGEST_HEAD {
                return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
            }
            if before == 0 {
                part.extend_from_slice(bytes);
            }
            return Poll::Ready(Ok(bytes.len()));
        };
        let scheme = if self.connection.is_secure() { Scheme::HTTPS } else { Scheme::HTTP };
        let Some((request, form)) = backward::request(input.get(..len).unwrap_or_default(), scheme) else {
            return Poll::Ready(Err(self.breaks(Broken::NotProcessed(NotProcessed::Unsendable))));
        };
        self.to_head = request.method() == Method::HEAD;
        // A connection that is over or ending takes no stream.
        let sent = match sender.poll_ready(cx) {
            Poll::Ready(Ok(())) => sender.send_request(request, form == Form::None),
            Poll::Ready(Err(error)) => Err(error),
            Poll::Pending => return Poll::Pending,
        };
        let Ok((response, stream)) = sent else {
            return Poll::Ready(Err(self.breaks(Broken::NotProcessed(NotProcessed::Stream))));
        };
        self.down = Down::Head(response);
        self.up = match form {
            Form::None => Up::Over,
            form => Up::Body(Outward::new(stream, form)),
        };
        Poll::Ready(Ok(len.saturating_sub(before)))
    }

    /// Ready when there is something to read, an end or an error.
    fn poll_answer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.read < self.heads.len() {
                return Poll::Ready(Ok(()));
            }
            if let Some(broken) = self.broken {
                return Poll::Ready(Err(broken.into()));
            }
            match &mut self.down {
                Down::Before => return Poll::Pending,
                Down::Body(body) => return body.poll_ready(cx).map_ok(|_| ()),
                Down::Head(response) => {
                    (self.heads, self.read) = (std::mem::take(&mut self.heads), 0);
                    self.heads.clear();
                    match response.poll_informational(cx) {
                        Poll::Ready(Some(Ok(told))) if told.status() != StatusCode::SWITCHING_PROTOCOLS => {
                            backward::informational(&told, &mut self.heads);
                            continue;
                        }
                        Poll::Ready(Some(Ok(_))) => {
                            return Poll::Ready(Err(
                                self.breaks(Broken::Otherwise(io::ErrorKind::InvalidData))
                            ));
                        }
                        Poll::Ready(Some(Err(_)) | None) | Poll::Pending => {}
                    }
                    match ready!(Pin::new(response).poll(cx)) {
                        Ok(answer) => {
                            let form = backward::answer(&answer, self.to_head, &mut self.heads);
                            self.down = Down::Body(Inward::new(answer.into_body(), form));
                        }
                        Err(error) => return Poll::Ready(Err(self.breaks(Broken::of(&error)))),
                    }
                }
            }
        }
    }

    /// Whatever follows is told the same.
    fn breaks(&mut self, how: Broken) -> io::Error {
        let how = *self.broken.get_or_insert(how);
        self.up = Up::Over;
        self.down = Down::Before;
        how.into()
    }

    /// Whether the answer was read to its end.
    fn is_answered(&self) -> bool {
        matches!(&self.down, Down::Body(body) if body.is_ended())
    }
}

impl Broken {
    fn of(error: &h2::Error) -> Self {
        let is_refused = error.is_reset() && error.reason() == Some(Reason::REFUSED_STREAM);
        // Of a peer that goes away only those streams are told so that it has not looked at.
        if error.is_remote() && (is_refused || error.is_go_away()) {
            return Self::NotProcessed(NotProcessed::Stream);
        }
        Self::Otherwise(io::ErrorKind::ConnectionReset)
    }
}

impl From<Broken> for io::Error {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::NotProcessed(why) => why.into_error(),
            Broken::Otherwise(kind) => kind.into(),
        }
    }
}

impl AsyncRead for Outgoing {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let stream = self.get_mut();
        ready!(stream.poll_answer(cx))?;
        let head = stream.heads.get(stream.read..).unwrap_or_default();
        if !head.is_empty() {
            let n = head.len().min(out.remaining());
            out.put_slice(head.get(..n).unwrap_or_default());
            stream.read += n;
        }
        match &mut stream.down {
            Down::Body(body) if stream.read == stream.heads.len() => match body.poll_read(cx, out) {
                // The head is there, whatever becomes of the body.
                Poll::Pending | Poll::Ready(Err(_)) if !out.filled().is_empty() => Poll::Ready(Ok(())),
                read => read,
            },
            Down::Body(_) | Down::Before | Down::Head(_) => Poll::Ready(Ok(())),
        }
    }
}

impl AsyncWrite for Outgoing {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let stream = self.get_mut();
        let mut taken = 0;
        while let Some(rest) = bytes.get(taken..).filter(|rest| !rest.is_empty()) {
            let wrote = match &mut stream.up {
                Up::Head(..) => stream.write_head(rest, cx),
                Up::Body(body) => body.poll_write(rest, cx),
                Up::Over => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            };
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
        Poll::Ready(Ok(()))
    }
}

impl Carried for Outgoing {
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_answer(cx)
    }

    /// It is reset as it is dropped: there is no other end of a part.
    fn reset_on_close(&mut self) {}
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        let is_answered = self.is_answered();
        if let Up::Body(body) = &mut self.up
            && !(body.is_ended() && is_answered)
        {
            body.reset(Reason::CANCEL);
        }
        let is_silent = matches!(self.down, Down::Head(_));
        self.connection.left(is_silent.then_some(self.before));
    }
}
