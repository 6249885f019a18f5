//! A listener as one worker sees it: how clients come in, and who is turned away.
//!
//! Three caps: on all connections (the descriptors allow no more), on those of a listener, and on those of an
//! address. Whoever is over one is told so in a few bytes, without waiting, and is closed and counted by reason.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use socket2::Socket;
use tokio::net::{TcpListener, UnixListener};

use super::crowd::{Crowd, Who};
use super::respond::{self, Recipient};
use super::worker::Worker;
use crate::message::head::Version;
use crate::net::stream::Stream;
use crate::snapshot::Listener;
use crate::telemetry::reasons::Rejection;

/// A listener as one worker sees it.
#[derive(Clone, Debug)]
pub struct Door {
    /// Its place in the snapshot.
    pub ix: usize,
    /// Its settings.
    pub listener: Arc<Listener>,
    /// Its port, unless it is a Unix socket.
    pub port: Option<u16>,
    /// Connections open by it, over all workers.
    pub open: Arc<AtomicU32>,
    /// The same by address, where that is limited.
    pub crowd: Option<Arc<Crowd>>,
}

/// Counts a connection as open until it is dropped, and a panic that drops it.
#[derive(Debug)]
pub struct Inside {
    worker: Rc<Worker>,
    door: Rc<Door>,
    who: Option<Who>,
}

impl Door {
    /// A door of which nobody has come in yet.
    #[must_use]
    pub fn new(ix: usize, listener: &Arc<Listener>, port: Option<u16>) -> Self {
        let most = listener.max_connections_per_address;
        Self {
            ix,
            listener: Arc::clone(listener),
            port,
            open: Arc::default(),
            crowd: (most > 0).then(|| Arc::new(Crowd::new(most))),
        }
    }

    /// Lets a connection in, or turns it away.
    pub fn enter(
        self: &Rc<Self>,
        worker: &Rc<Worker>,
        stream: &Stream,
        peer: Option<IpAddr>,
    ) -> Option<Inside> {
        match self.try_enter(worker, peer) {
            Ok(inside) => Some(inside),
            Err(why) => {
                turn_away(worker, self, stream, why);
                None
            }
        }
    }

    fn try_enter(self: &Rc<Self>, worker: &Rc<Worker>, peer: Option<IpAddr>) -> Result<Inside, Rejection> {
        let listener = &self.listener;
        // Whoever could send a PROXY header could pass for anybody: where one is expected, only proxies may speak.
        if listener.proxy_protocol && peer.is_some_and(|ip| !listener.trusted_proxies.contains(ip)) {
            return Err(Rejection::ProxyHeader);
        }
        let most = if listener.max_connections == 0 { u32::MAX } else { listener.max_connections };
        if !take(&self.open, most) {
            return Err(Rejection::ListenerFull);
        }
        if !take(worker.open(), worker.max_open()) {
            self.open.fetch_sub(1, Relaxed);
            return Err(Rejection::ProcessFull);
        }
        worker.record().opened(self.ix);
        Ok(Inside { worker: Rc::clone(worker), door: Rc::clone(self), who: None })
    }
}

/// Counts one more, up to `most`. Exact over all workers.
fn take(count: &AtomicU32, most: u32) -> bool {
    count.fetch_update(Relaxed, Relaxed, |n| (n < most).then(|| n + 1)).is_ok()
}

impl Inside {
    /// By which door.
    #[must_use]
    pub fn door(&self) -> &Rc<Door> {
        &self.door
    }

    /// Counts the connection as one of `client`'s, where those are limited; false if it was turned away.
    pub fn introduce(&mut self, stream: &Stream, client: Option<IpAddr>) -> bool {
        let (Some(crowd), Some(client)) = (&self.door.crowd, client) else { return true };
        let who = Who::of(client);
        if crowd.join(who) {
            self.who = Some(who);
            return true;
        }
        turn_away(&self.worker, &self.door, stream, Rejection::AddressFull);
        false
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let (Some(crowd), Some(who)) = (&self.door.crowd, self.who) {
            crowd.leave(who);
        }
        self.door.open.fetch_sub(1, Relaxed);
        self.worker.open().fetch_sub(1, Relaxed);
        self.worker.record().closed(self.door.ix);
        if std::thread::panicking() {
            self.worker.record().panicked();
        }
    }
}

/// Counts a connection that may not stay, and says so to its peer if there is anything to say.
fn turn_away(worker: &Worker, door: &Door, stream: &Stream, why: Rejection) {
    worker.record().rejected(door.ix, why);
    tracing::debug!(listener = &*door.listener.name, reason = why.as_str(), "a connection is turned away");
    let Some(own) = respond::of_rejection(why) else { return };
    let mut out = worker.blocks.output();
    let (version, date) = (Version::Http11, worker.date());
    let (id, date) = (&b""[..], date.as_bytes());
    own.write(&mut out, &Recipient { version, keep: false, is_head: false, id, location: None, date });
    stream.say_last(&out);
    worker.blocks.recycle(out);
}

/// A listening socket in the worker's runtime.
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    pub(super) fn new(door: &Door, socket: Socket) -> io::Result<Self> {
        if door.port.is_some() {
            return Ok(Self::Tcp(TcpListener::from_std(socket.into())?));
        }
        let listener: std::os::unix::net::UnixListener = std::os::fd::OwnedFd::from(socket).into();
        Ok(Self::Unix(UnixListener::from_std(listener)?))
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            Self::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }
}

/// Whether accepting failed because of the one connection that was to be accepted.
pub(super) fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}
