//! A connection once its handshake is done.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::net::stream::{Carried, NotProcessed, Stream};

/// A TLS session over a socket, with a client or with a backend.
#[derive(Debug)]
pub struct Session {
    inner: TlsStream<Stream>,
    /// Whether the session may hold bytes, an end or an error that were not read: until a read has said that it waits.
    may_hold: bool,
    /// Whether nothing came by it yet.
    is_new: bool,
    /// Whether the socket is closed without the word that it is an end.
    is_cut: bool,
}

impl Session {
    /// A session whose handshake is done.
    #[must_use]
    pub fn new(inner: impl Into<TlsStream<Stream>>) -> Self {
        Self { inner: inner.into(), may_hold: true, is_new: true, is_cut: false }
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
        if !self.may_hold || !std::mem::take(&mut self.is_new) {
            return polled;
        }
        // With TLS 1.3 a client has shaken hands before the server has looked at its certificate: what the server
        // thinks of it comes where an answer was expected.
        polled.map_err(|e| match &self.inner {
            TlsStream::Client(_) if is_refusal(&e) => NotProcessed::Tls.into_error(),
            TlsStream::Client(_) | TlsStream::Server(_) => e,
        })
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

impl Drop for Session {
    /// Says goodbye to a backend, as far as that can be done without waiting. Clients were told by who served them.
    fn drop(&mut self) {
        if !self.is_cut && matches!(self.inner, TlsStream::Client(_)) {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.inner).poll_shutdown(&mut cx); // One that does not hear it does without.
        }
    }
}

/// Whether the peer ended the session over who we are, and not over what we sent.
fn is_refusal(error: &io::Error) -> bool {
    let error = error.get_ref().and_then(|e| e.downcast_ref());
    matches!(
        error,
        Some(rustls::Error::AlertReceived(
            AlertDescription::AccessDenied
                | AlertDescription::BadCertificate
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateRequired
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateUnknown
                | AlertDescription::DecryptError
                | AlertDescription::HandshakeFailure
                | AlertDescription::UnknownCA
                | AlertDescription::UnsupportedCertificate
        ))
    )
}
