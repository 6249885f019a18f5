//! A TLS session as a connection, whichever side it is of.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use rustls::AlertDescription;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

use crate::net::stream::{Carried, NotProcessed, Stream};

/// A session over a connection. Dropped, it says goodbye as far as that can be done without waiting.
#[derive(Debug)]
pub struct Session {
    tls: TlsStream<Stream>,
    /// Whether a byte was read, or a read failed.
    has_read: bool,
    /// The coming close must not look like a proper end.
    is_cut: bool,
}

impl Session {
    /// The session of a handshake that was done.
    #[must_use]
    pub const fn new(tls: TlsStream<Stream>) -> Self {
        Self { tls, has_read: false, is_cut: false }
    }
}

impl Carried for Session {
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (stream, session) = self.tls.get_mut();
        // What is decrypted already waits nowhere that the socket knows of.
        if session.wants_read() { stream.poll_read_ready(cx) } else { Poll::Ready(Ok(())) }
    }

    fn reset_on_close(&mut self) {
        self.is_cut = true;
        self.tls.get_mut().0.reset_on_close();
    }
}

impl AsyncRead for Session {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let read = ready!(Pin::new(&mut this.tls).poll_read(cx, buf));
        let is_first = !std::mem::replace(&mut this.has_read, true);
        // With TLS 1.3 a client has shaken hands before the server has looked at its certificate: what the server
        // thinks of it comes where an answer was expected.
        Poll::Ready(read.map_err(|e| match &this.tls {
            TlsStream::Client(_) if is_first && is_refusal(&e) => NotProcessed::Tls.into_error(),
            TlsStream::Client(_) | TlsStream::Server(_) => e,
        }))
    }
}

impl AsyncWrite for Session {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tls).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().tls).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().tls).poll_shutdown(cx)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if !self.is_cut {
            let mut cx = Context::from_waker(Waker::noop());
            let _ = Pin::new(&mut self.tls).poll_shutdown(&mut cx);
        }
    }
}

/// Whether the peer ended the session over what we are, and not over what we sent.
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
