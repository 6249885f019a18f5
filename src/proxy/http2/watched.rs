//! A client's connection as the `h2` crate reads and writes it, and what its task is told of it.
//!
//! [`Watched`] is the socket with a [`Watch`] beside it; [`Observed`] is what both share: `h2` owns the one, the
//! connection's task asks the other after each poll. Once there is a verdict no more is read: `h2` sees nothing of the
//! read that brought it, and is told to end by [`h2::server::Connection::abrupt_shutdown`].

use std::cell::{Cell, RefCell};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watch::{Unfinished, Verdict, Watch};
use crate::net::buffer::Buffer;
use crate::proxy::clock::Clock;
use crate::snapshot::ClientTimeouts;
use crate::telemetry::reasons::Abuse;

/// A connection that is watched.
#[derive(Debug)]
pub struct Watched<S> {
    stream: S,
    /// What was read before it was known to be HTTP/2; comes first.
    held: Option<Buffer>,
    observed: Rc<Observed>,
}

/// What is known of it by now.
#[derive(Debug)]
pub struct Observed {
    clock: Rc<Clock>,
    watch: RefCell<Watch>,
    blocked_since: Cell<Option<u64>>,
}

impl<S> Watched<S> {
    /// `held` was read of `stream` already, the preface and what follows it.
    pub fn new(stream: S, held: Buffer, clock: &Rc<Clock>) -> (Self, Rc<Observed>) {
        let observed = Rc::new(Observed::new(clock));
        (Self { stream, held: Some(held), observed: Rc::clone(&observed) }, observed)
    }

    /// The socket.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.stream
    }
}

impl Observed {
    fn new(clock: &Rc<Clock>) -> Self {
        Self {
            clock: Rc::clone(clock),
            watch: RefCell::new(Watch::new(clock.now())),
            blocked_since: Cell::default(),
        }
    }

    /// Why the connection has to end, if it has to.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        self.watch.borrow().verdict()
    }

    /// What `h2` ended the connection for by itself, where that is abuse.
    #[must_use]
    pub fn told(&self) -> Option<Abuse> {
        self.watch.borrow().told()
    }

    /// A turn of the connection's task begins: it may read again.
    pub fn turn(&self) {
        self.watch.borrow_mut().turn();
    }

    /// Since when the socket has taken nothing of what there is to write, in the clock's milliseconds.
    #[must_use]
    pub const fn blocked_since(&self) -> Option<u64> {
        self.blocked_since.get()
    }

    /// What has begun to come and not come to its end, and since when.
    #[must_use]
    pub fn unfinished(&self) -> Option<Unfinished> {
        self.watch.borrow().unfinished()
    }

    /// When all this will have taken too long, in the clock's milliseconds, and what it is then; the soonest.
    #[must_use]
    pub fn due(&self, timeouts: &ClientTimeouts) -> Option<(u64, Abuse)> {
        let millis = |d: std::time::Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let blocked =
            self.blocked_since().map(|at| (at.saturating_add(millis(timeouts.write)), Abuse::NotRead));
        let unfinished = self.unfinished().map(|what| match what {
            Unfinished::Head(at) => (at.saturating_add(millis(timeouts.head)), Abuse::SlowHead),
            Unfinished::Data(at) => (at.saturating_add(millis(timeouts.body)), Abuse::SlowData),
        });
        blocked.into_iter().chain(unfinished).min_by_key(|(at, _)| *at)
    }

    fn came(&self, bytes: &[u8]) {
        self.watch.borrow_mut().incoming(bytes, self.clock.now());
    }

    fn went<'a>(&self, pieces: impl IntoIterator<Item = &'a [u8]>, polled: &Poll<io::Result<usize>>) {
        match polled {
            Poll::Ready(Ok(n)) => {
                self.blocked_since.set(None);
                let (mut left, mut watch) = (*n, self.watch.borrow_mut());
                for piece in pieces {
                    let n = left.min(piece.len());
                    watch.outgoing(piece.get(..n).unwrap_or_default(), self.clock.now());
                    left -= n;
                }
            }
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.is_blocked(),
        }
    }

    fn is_blocked(&self) {
        self.blocked_since.set(self.blocked_since.get().or(Some(self.clock.now())));
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.observed.verdict().is_some() {
            return Poll::Pending; // Its task knows, and has been woken for it.
        }
        if this.observed.watch.borrow().is_full() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if let Some(held) = &mut this.held {
            let n = held.len().min(buf.remaining());
            buf.put_slice(held.data().get(..n).unwrap_or_default());
            held.consume(n);
            if held.is_empty() {
                this.held = None;
            }
        }
        if buf.filled().len() == before {
            std::task::ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        }
        this.observed.came(buf.filled().get(before..).unwrap_or_default());
        if this.observed.verdict().is_some() {
            buf.set_filled(before);
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write(cx, buf);
        this.observed.went([buf], &polled);
        polled
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_write_vectored(cx, bufs);
        this.observed.went(bufs.iter().map(|piece| &**piece), &polled);
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let polled = Pin::new(&mut this.stream).poll_flush(cx);
        match polled {
            Poll::Pending => this.observed.is_blocked(),
            Poll::Ready(_) => this.observed.blocked_since.set(None),
        }
        polled
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
#[path = "watched_tests.rs"]
mod tests;
