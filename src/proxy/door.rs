//! A listener as one worker sees it: how clients come in, and who is turned away.
//!
//! Three caps: on all connections (the descriptors allow no more), on those of a listener, and on those of an
//! address. Whoever is over one is told so in a few bytes, without waiting, and is closed and counted by reason.

use std::cell::Cell;
use std::io;
use std::net::IpAddr;
use std::num::NonZero;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use socket2::Socket;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use super::respond::{self, Recipient};
use super::upstream::QUIET;
use super::worker::Worker;
use crate::message::head::Version;
use crate::net::crowd::Who;
use crate::net::listen::Bound;
use crate::net::stream::Stream;
use crate::snapshot::Listener;
use crate::telemetry::reasons::Rejection;
use crate::telemetry::shards::ListenerShard;

/// A listener as one worker sees it. Connections keep the one that they came in by: what a reload changes of a listener
/// is for those that come after it.
#[derive(Debug)]
pub struct Door {
    /// Its place in the snapshot; none once it is gone from there.
    pub ix: Cell<Option<usize>>,
    /// Its settings.
    pub listener: Arc<Listener>,
    /// Its address, and who has come in by it.
    pub bound: Arc<Bound>,
    /// This worker's counters of it.
    pub shard: Arc<ListenerShard>,
    /// When the log was last told of a connection that ended for what its client did.
    told: Cell<Option<Instant>>,
    /// Of how many since then it was not.
    untold: Cell<u32>,
}

/// Counts a connection as open until it is dropped, and a panic that drops it.
#[derive(Debug)]
pub struct Inside {
    worker: Rc<Worker>,
    door: Rc<Door>,
    who: Option<Who>,
}

impl Door {
    /// The door of a listener at `ix` of the snapshot.
    #[must_use]
    pub fn new(ix: usize, listener: &Arc<Listener>, bound: &Arc<Bound>, shard: Arc<ListenerShard>) -> Self {
        Self {
            ix: Cell::new(Some(ix)),
            listener: Arc::clone(listener),
            bound: Arc::clone(bound),
            shard,
            told: Cell::new(None),
            untold: Cell::new(0),
        }
    }

    /// Its port, unless it is a Unix socket.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        self.bound.address.map(|a| a.port())
    }

    /// Its place in the snapshot; beyond every other's once it is gone.
    #[must_use]
    pub fn place(&self) -> usize {
        self.ix.get().unwrap_or(usize::MAX)
    }

    /// Whether its listener is gone: connections end after what is in flight on them.
    #[must_use]
    pub fn is_gone(&self) -> bool {
        self.ix.get().is_none()
    }

    /// Whether the log may be told of a connection that ended for what its client did: now and then, however many there
    /// are. If so, of how many before it was not.
    pub fn may_tell(&self) -> Option<u32> {
        if self.told.get().is_some_and(|at| at.elapsed() < QUIET) {
            self.untold.set(self.untold.get().saturating_add(1));
            return None;
        }
        self.told.set(Some(Instant::now()));
        Some(self.untold.take())
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
        if !take(&self.bound.open, most) {
            return Err(Rejection::ListenerFull);
        }
        if !take(worker.open(), worker.max_open()) {
            self.bound.open.fetch_sub(1, Relaxed);
            return Err(Rejection::ProcessFull);
        }
        self.shard.opened();
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
        let most = NonZero::new(self.door.listener.max_connections_per_address);
        let (Some(most), Some(client)) = (most, client) else { return true };
        let who = Who::of(client);
        if self.door.bound.crowd.join(who, most) {
            self.who = Some(who);
            return true;
        }
        turn_away(&self.worker, &self.door, stream, Rejection::AddressFull);
        false
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        if let Some(who) = self.who {
            self.door.bound.crowd.leave(who);
        }
        self.door.bound.open.fetch_sub(1, Relaxed);
        self.worker.open().fetch_sub(1, Relaxed);
        self.door.shard.closed();
        if std::thread::panicking() {
            self.worker.record().panicked();
        }
    }
}

/// Counts a connection that may not stay, and says so to its peer if there is anything to say.
fn turn_away(worker: &Worker, door: &Door, stream: &Stream, why: Rejection) {
    door.shard.rejected(why);
    tracing::debug!(listener = &*door.listener.name, reason = why.as_str(), "a connection is turned away");
    if door.listener.tls.is_some() {
        return; // What is said before a handshake is no TLS.
    }
    let Some(own) = respond::of_rejection(why) else { return };
    let mut out = worker.blocks.output();
    let (version, date) = (Version::Http11, worker.date());
    let (id, date) = (&b""[..], date.as_bytes());
    own.write(
        &mut out,
        &Recipient {
            version,
            keep: false,
            is_head: false,
            is_grpc: false,
            id,
            location: None,
            retry_after: None,
            date,
        },
    );
    stream.say_last(&out);
    worker.blocks.recycle(out);
}

/// A listening socket in the worker's runtime.
pub(super) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    /// Hands a bound socket to this thread's runtime.
    pub(super) fn new(bound: &Bound, socket: Socket) -> io::Result<Self> {
        if bound.address.is_some() {
            return Ok(Self::Tcp(TcpListener::from_std(socket.into())?));
        }
        let listener: std::os::unix::net::UnixListener = std::os::fd::OwnedFd::from(socket).into();
        Ok(Self::Unix(UnixListener::from_std(listener)?))
    }

    /// The next connection.
    pub(super) async fn accept(&self) -> io::Result<(Stream, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Stream::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            Self::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), None)),
        }
    }

    /// Stops accepting: the connections that wait in the kernel's queue, which would be reset when it is closed.
    pub(super) fn close(self) -> Vec<(Stream, Option<IpAddr>)> {
        let mut left = Vec::new();
        match self {
            Self::Tcp(listener) => {
                let Ok(listener) = listener.into_std() else { return left };
                while let Ok((stream, peer)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    left.extend(stream.ok().map(|s| (Stream::Tcp(s), Some(peer.ip().to_canonical()))));
                }
            }
            Self::Unix(listener) => {
                let Ok(listener) = listener.into_std() else { return left };
                while let Ok((stream, _)) = listener.accept() {
                    let stream = stream.set_nonblocking(true).and_then(|()| UnixStream::from_std(stream));
                    left.extend(stream.ok().map(|s| (Stream::Unix(s), None)));
                }
            }
        }
        left
    }
}

/// Whether accepting failed because of the one connection that was to be accepted.
pub(super) fn is_of_peer(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, Interrupted, InvalidInput, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | Interrupted | InvalidInput | NotConnected)
}
