//! A connection: TCP, Unix, or one that another connection carries.

use std::fmt::Debug;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

/// A connection to a client or a backend.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
    /// Within another connection.
    Carried(Box<dyn Carried>),
}

/// A connection that another one carries: a TLS session, a stream of HTTP/2.
pub trait Carried: AsyncRead + AsyncWrite + Debug + Unpin {
    /// Whether a read would find bytes, an end or an error. True may be wrong, as a part of a record has no bytes yet.
    ///
    /// # Errors
    /// The connection's.
    fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Makes the coming close one that cannot be taken for a proper end.
    fn reset_on_close(&mut self);

    /// What the peer did wrong, if it is for that that the connection is over.
    fn fault(&self) -> Option<Fault> {
        None
    }
}

/// What the peer of a connection that another one carries did wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Something on this one, by its reason word.
    Here(&'static str),
    /// Something on that which carries it.
    Carrier,
}

/// Why a backend has done nothing with a request that it was sent: it may go to another, whatever it asks for. Found in
/// the error of a read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotProcessed {
    /// It does not accept our certificate, or wants one.
    #[error("the backend ended the TLS session over who we are")]
    Tls,
    /// It refused the stream, or ended the connection for streams like it.
    #[error("the backend refused the stream")]
    Stream,
    /// It was not sent: HTTP/2 has no way to say it.
    #[error("the request cannot be said in HTTP/2")]
    Unsendable,
}

impl NotProcessed {
    /// As the error of a read.
    #[must_use]
    pub fn into_error(self) -> io::Error {
        io::Error::new(io::ErrorKind::ConnectionRefused, self)
    }

    /// What is found in the error of a read.
    #[must_use]
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref().and_then(|e| e.downcast_ref::<Self>()).copied()
    }
}

impl Stream {
    /// Whether a read would find bytes, an end or an error. Costs no system call while nothing happened.
    ///
    /// # Errors
    /// The runtime is shutting down.
    pub fn poll_read_ready(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(s) => s.poll_read_ready(cx),
            Self::Unix(s) => s.poll_read_ready(cx),
            Self::Carried(s) => s.poll_read_ready(cx),
        }
    }

    /// Asks the kernel whether the peer has ended or sent anything: true means the connection is quiet and open.
    #[must_use]
    pub fn is_quiet(&mut self) -> bool {
        let mut byte = [0_u8; 1];
        let read = match self {
            Self::Tcp(s) => s.try_read(&mut byte),
            Self::Unix(s) => s.try_read(&mut byte),
            Self::Carried(s) => {
                let mut cx = Context::from_waker(std::task::Waker::noop());
                return Pin::new(s).poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_pending();
            }
        };
        matches!(read, Err(e) if e.kind() == io::ErrorKind::WouldBlock)
    }

    /// Says a last word and ends our side, as far as that can be done without waiting. What the peer has sent by now
    /// is read first, up to 4 KiB: a close over unread bytes is a reset, and may take the word back.
    pub fn say_last(&self, word: &[u8]) {
        let socket = match self {
            Self::Tcp(s) => socket2::SockRef::from(s),
            Self::Unix(s) => socket2::SockRef::from(s),
            Self::Carried(_) => return, // Its words are not those of the socket.
        };
        // Nobody waits for any of these: what does not work at once is left.
        let _ = socket.recv(&mut [MaybeUninit::uninit(); 4096]);
        let _ = socket.send(word);
        let _ = socket.shutdown(std::net::Shutdown::Write);
    }

    /// What the peer did wrong, if it is for that that the connection is over, and if whoever carries it knows.
    #[must_use]
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::Tcp(_) | Self::Unix(_) => None,
            Self::Carried(s) => s.fault(),
        }
    }

    /// Makes the coming close a reset, so that the peer cannot take a cut answer for a whole one.
    pub fn reset_on_close(&mut self) {
        match self {
            Self::Tcp(s) => {
                let _ = socket2::SockRef::from(&*s).set_linger(Some(std::time::Duration::ZERO));
            }
            Self::Unix(_) => {}
            Self::Carried(s) => s.reset_on_close(),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_read(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_read(cx, buf),
            Self::Carried(s) => Pin::new(s).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write(cx, buf),
            Self::Unix(s) => Pin::new(s).poll_write(cx, buf),
            Self::Carried(s) => Pin::new(s).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Unix(s) => Pin::new(s).poll_write_vectored(cx, bufs),
            Self::Carried(s) => Pin::new(s).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// A socket holds nothing back; whoever encrypts or frames may.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(_) | Self::Unix(_) => Poll::Ready(Ok(())),
            Self::Carried(s) => Pin::new(s).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(s) => Pin::new(s).poll_shutdown(cx),
            Self::Unix(s) => Pin::new(s).poll_shutdown(cx),
            Self::Carried(s) => Pin::new(s).poll_shutdown(cx),
        }
    }
}
