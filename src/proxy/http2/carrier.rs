//! The connection under HTTP/2, where small writes leave together.

use std::cell::Cell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that wait to be written, at most: frames of several streams leave in one write.
const JOINED: usize = 64 * 1024;

/// A connection that carries HTTP/2.
#[derive(Debug)]
pub(super) struct Carrier<S> {
    stream: S,
    /// Bytes that came.
    read: Rc<Cell<u64>>,
    out: Vec<u8>,
    written: usize,
}

impl<S: AsyncWrite + Unpin> Carrier<S> {
    /// Carries on `stream`.
    #[must_use]
    pub(super) fn new(stream: S) -> Self {
        Self { stream, read: Rc::default(), out: Vec::new(), written: 0 }
    }

    /// How many bytes will have come, for who looks on.
    pub(super) fn read(&self) -> Rc<Cell<u64>> {
        Rc::clone(&self.read)
    }

    /// Writes what waits.
    fn poll_out(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while let Some(rest) = self.out.get(self.written..).filter(|rest| !rest.is_empty()) {
            match ready!(Pin::new(&mut self.stream).poll_write(cx, rest))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                n => self.written += n,
            }
        }
        ready!(Pin::new(&mut self.stream).poll_flush(cx))?;
        self.written = 0;
        // An idle connection holds nothing.
        if self.out.capacity() > JOINED {
            self.out = Vec::new()
        } else {
            self.out.clear()
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Carrier<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let carrier = self.get_mut();
        let before = out.filled().len();
        ready!(Pin::new(&mut carrier.stream).poll_read(cx, out))?;
        carrier.read.set(carrier.read.get() + (out.filled().len() - before) as u64);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Carrier<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let carrier = self.get_mut();
        if carrier.out.len() + bytes.len() > JOINED && !carrier.out.is_empty() {
            ready!(carrier.poll_out(cx))?;
        }
        let n = bytes.len().min(JOINED);
        carrier.out.extend_from_slice(bytes.get(..n).unwrap_or_default());
        Poll::Ready(Ok(n))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let carrier = self.get_mut();
        let mut taken = 0;
        for buf in bufs.iter().filter(|buf| !buf.is_empty()) {
            match Pin::new(&mut *carrier).poll_write(cx, buf) {
                Poll::Ready(Ok(n)) => taken += n,
                Poll::Ready(Err(_)) | Poll::Pending if taken > 0 => break,
                other => return other,
            }
        }
        Poll::Ready(Ok(taken))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.get_mut().poll_out(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let carrier = self.get_mut();
        ready!(carrier.poll_out(cx))?;
        Pin::new(&mut carrier.stream).poll_shutdown(cx)
    }
}
