//! A connection once its handshake is done.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::server::TlsStream;

use crate::net::stream::{Carried, Stream};

/// A TLS session over a socket, from our side.
#[derive(Debug)]
pub struct Session {
    inner: TlsStream<Stream>,
    /// Whether the session may hold bytes, an end or an error that were not read: until a read has said that it waits.
    may_hold: bool,
    /// Whether the socket is closed without the word that it is an end.
    is_cut: bool,
}

impl Session {
    /// A session whose handshake is done.
    #[must_use]
    pub const fn new(inner: TlsStream<Stream>) -> Self {
        Self { inner, may_hold: true, is_cut: false }
    }
}

impl Carried for Session {
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.may_hold {
            return Poll::Ready(Ok(()));
        }
        self.inner.get_mut().0.poll_read_ready(cx)
    }

    fn reset_on_close(&mut self) {
        self.is_cut = true;
        self.inner.get_mut().0.reset_on_close();
    }
}

impl AsyncRead for Session {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.inner).poll_read(cx, buf);
        self.may_hold = polled.is_ready();
        polled
    }
}

impl AsyncWrite for Session {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.is_cut {
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.inner).poll_shutdown(cx)
    }
}
