//! The connection under HTTP/2, where small writes leave together.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::watched::Watched;
use crate::net::stream::Stream;

/// Bytes that wait to be written, at most: frames of several streams leave in one write.
const JOINED: usize = 64 * 1024;

/// A connection that carries HTTP/2.
#[derive(Debug)]
pub(super) struct Carrier {
    stream: Watched<Stream>,
    out: Vec<u8>,
    written: usize,
}

impl Carrier {
    /// Carries on `stream`.
    #[must_use]
    pub(super) const fn new(stream: Watched<Stream>) -> Self {
        Self { stream, out: Vec::new(), written: 0 }
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

impl AsyncRead for Carrier {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, out: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_read(cx, out)
    }
}

impl AsyncWrite for Carrier {
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
