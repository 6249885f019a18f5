//! Connections to backends: lease, send, response. How one is driven, nobody else knows.
//!
//! Each worker keeps its own idle connections per backend, last in first out, and closes them before their backend
//! would. A [`Seat`] counts one request in the backend's load until it is dropped; it is held for as long as a
//! [`Lease`] is wanted, so that one that has to be made anew keeps its place.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use super::connection::Client;
use super::http2;
use super::http2::upstream::Connections;
use super::retry::Budget;
use super::sampler::Sampler;
use super::worker::Worker;
use crate::backend::{Backend, BackendIx};
use crate::message::head::{self, Fault, ResponseHead, Search};
use crate::net::buffer::{BLOCK, Buffer};
use crate::net::connect::{connect, is_our_own};
use crate::net::stream::{NotProcessed, Stream};
use crate::net::tls::session::Session;
use crate::pool::Pool;
use crate::pool::choose::Pickers;
use crate::pool::standing::Standing;
use crate::pool::transport::Transport;
use crate::snapshot::reports::Owed;
use crate::telemetry::shards::PoolShard;

/// Longest response head: what fits into the buffer.
const MAX_HEAD: usize = BLOCK;

/// From one word in the log about a backend, or about the clients of a listener, to the next.
pub(super) const QUIET: Duration = Duration::from_secs(10);

/// One worker's view of a pool.
#[derive(Clone, Debug)]
pub struct PoolView {
    /// Of which plan `ix` is.
    pub epoch: u64,
    /// The pool's place in the snapshot.
    pub ix: usize,
    /// The pool.
    pub pool: Arc<Pool>,
    /// Its members' standing.
    pub standing: Arc<Standing>,
    /// This worker's counters.
    pub shard: Arc<PoolShard>,
    /// This worker's pickers.
    pub pickers: Rc<RefCell<Pickers>>,
    /// This worker's connections, by member.
    pub members: Rc<[Rc<Member>]>,
    /// The backends whose next answer the control plane waits for.
    pub owed: Rc<Owed>,
    /// What may be sent again.
    pub budget: Rc<Budget>,
    /// This worker's look at its keys, if they are watched.
    pub skew: Option<Rc<Sampler>>,
    /// Whether the application was seen to set a cookie of our name: it is told once per worker.
    pub collided: Rc<Cell<bool>>,
}

/// One worker's side of a backend.
#[derive(Debug)]
pub struct Member {
    /// The backend's place in its pool.
    pub ix: BackendIx,
    /// The backend.
    pub backend: Arc<Backend>,
    /// How it is spoken to.
    pub transport: Arc<Transport>,
    idle: Rc<IdleList>,
    /// Its connections of HTTP/2, where that is spoken.
    pub http2: Option<Rc<Connections>>,
    /// When the log was last told what is wrong with it.
    told: Rc<Cell<Option<Instant>>>,
}

/// Kept connections; those of a backend that a reload changed are shared by its members of before and after.
#[derive(Debug, Default)]
struct IdleList {
    list: RefCell<Vec<Idle>>,
    /// Its backend is gone: nothing is kept any more.
    is_closed: Cell<bool>,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: u64,
}

/// A connection to a backend that serves one request now.
#[derive(Debug)]
pub struct Lease {
    /// Whose it is.
    pub member: Rc<Member>,
    /// The connection.
    pub stream: Stream,
    /// Bytes of the response not yet passed on.
    pub held: Buffer,
    /// Whether it served a request before.
    pub reused: bool,
    /// How long it took to be there, if it did not.
    pub connect: Option<Duration>,
    search: Search,
}

/// A place in the backend's load, given back on drop.
#[derive(Debug)]
pub struct Seat(Arc<Backend>);

impl Seat {
    /// Takes a place, if the backend has room and nobody waits for it.
    #[must_use]
    pub fn take(backend: &Arc<Backend>) -> Option<Self> {
        backend.load.enter(backend.max_conns).then(|| Self(Arc::clone(backend)))
    }

    /// The place that was granted to a request that waited.
    #[must_use]
    pub fn granted(backend: &Arc<Backend>) -> Self {
        Self(Arc::clone(backend))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.load.leave(self.0.max_conns);
    }
}

/// Why there is no connection.
#[derive(Debug)]
pub enum NoLease {
    /// The client left meanwhile.
    Gone,
    /// It did not accept in time.
    Timeout,
    /// It accepted, and allowed no streams in that time.
    NoStreams,
    /// It did not accept.
    Refused(io::Error),
    /// It accepted, and no TLS session came of it.
    Tls(io::Error),
    /// Something of our own has run out.
    Exhausted(io::Error),
}

/// Whether a kept connection will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reuse {
    /// Any that no end was noticed of: the request can be sent again.
    Likely,
    /// Only one that the kernel says is open: the request cannot be sent again.
    Sure,
    /// None.
    No,
}

impl Member {
    /// Nothing kept yet.
    #[must_use]
    pub fn new(ix: BackendIx, backend: Arc<Backend>, transport: Arc<Transport>) -> Self {
        let http2 = transport.protocol.is_http2().then(Rc::default);
        Self { ix, backend, transport, idle: Rc::default(), http2, told: Rc::default() }
    }

    /// The same backend after a reload: its kept connections go over.
    #[must_use]
    pub fn succeeding(
        ix: BackendIx,
        backend: Arc<Backend>,
        transport: Arc<Transport>,
        before: &Self,
    ) -> Self {
        let (idle, http2, told) = (&before.idle, before.http2.clone(), &before.told);
        Self { ix, backend, transport, idle: Rc::clone(idle), http2, told: Rc::clone(told) }
    }

    /// Its backend is gone: kept connections are closed, and those in use when they are free.
    pub fn close(&self) {
        self.idle.is_closed.set(true);
        self.release();
        self.http2.iter().for_each(|connections| connections.close());
    }

    /// How many idle connections are kept.
    #[must_use]
    pub fn idle(&self) -> usize {
        self.http2.as_ref().map_or_else(|| self.idle.list.borrow().len(), |connections| connections.idle())
    }

    /// Closes every idle connection: its descriptor is needed.
    pub fn release(&self) {
        self.idle.list.borrow_mut().clear();
        self.http2.iter().for_each(|connections| connections.release());
    }

    /// Closes the connections that were idle for longer than `max` milliseconds.
    pub fn sweep(&self, now: u64, max: u64) {
        self.idle.list.borrow_mut().retain(|idle| now.saturating_sub(idle.since) < max);
        self.http2.iter().for_each(|connections| connections.sweep(now, max));
    }

    /// Tells the log why a backend that accepts is of no use, now and then: answers and counters have a word for it, and
    /// who is to mend it needs more.
    pub fn complain(&self, why: &dyn std::fmt::Display) {
        if self.told.get().is_none_or(|at| at.elapsed() >= QUIET) {
            self.told.set(Some(Instant::now()));
            tracing::warn!(backend = self.backend.id.as_str(), "{why}");
        }
    }

    fn kept(&self, now: u64, max: u64, reuse: Reuse) -> Option<Stream> {
        let mut cx = Context::from_waker(std::task::Waker::noop());
        loop {
            let mut idle = self.idle.list.borrow_mut().pop()?;
            // Anything to read on an idle connection is its end, or bytes that belong to no answer.
            let is_open = now.saturating_sub(idle.since) < max
                && match &idle.stream {
                    // What came may be no bytes of an answer: a ticket, a new key.
                    Stream::Carried(_) => idle.stream.is_quiet(),
                    Stream::Tcp(_) | Stream::Unix(_) => {
                        idle.stream.poll_read_ready(&mut cx).is_pending()
                            && (reuse == Reuse::Likely || idle.stream.is_quiet())
                    }
                };
            if is_open {
                return Some(idle.stream);
            }
        }
    }
}

/// A connection to `member`'s backend, kept or new, for who has a seat there; given up when `client` is gone, as
/// [`Client::poll_gone`] understands it.
///
/// # Errors
/// Why there is none.
pub async fn lease(
    worker: &Rc<Worker>,
    pool: &PoolView,
    member: &Rc<Member>,
    reuse: Reuse,
    client: &mut Client,
    delivers: bool,
) -> Result<Lease, NoLease> {
    if member.http2.is_some() {
        return Box::pin(lease_stream(worker, pool, member, reuse, client, delivers)).await;
    }
    let idle = u64::try_from(pool.pool.timeouts.idle.as_millis()).unwrap_or(u64::MAX);
    let kept = if reuse == Reuse::No { None } else { member.kept(worker.clock.now(), idle, reuse) };
    let (stream, connect) = match kept {
        Some(stream) => (stream, None),
        None => {
            let began = Instant::now();
            let dialled = match dial(pool, member, client, delivers).await {
                Err(NoLease::Exhausted(_)) => {
                    // What waits for a next request has descriptors and ports that this one needs.
                    worker.release_idle();
                    dial(pool, member, client, delivers).await
                }
                dialled => dialled,
            };
            (dialled?, Some(began.elapsed()))
        }
    };
    Ok(Lease::new(worker, member, stream, connect))
}

/// The same by a stream of HTTP/2.
async fn lease_stream(
    worker: &Rc<Worker>,
    pool: &PoolView,
    member: &Rc<Member>,
    reuse: Reuse,
    client: &mut Client,
    delivers: bool,
) -> Result<Lease, NoLease> {
    let (within, fresh) = (pool.pool.timeouts.connect, reuse == Reuse::No);
    let began = Instant::now();
    client.deadline.set(within);
    let mut ends = |cx: &mut Context<'_>| {
        if client.poll_gone(cx, delivers).is_ready() {
            return Poll::Ready(NoLease::Gone);
        }
        client.deadline.poll().map(|()| NoLease::Timeout)
    };
    let opened = match http2::upstream::stream(worker, member, fresh, within, &mut ends).await {
        Err(NoLease::Exhausted(_)) => {
            worker.release_idle();
            http2::upstream::stream(worker, member, fresh, within, &mut ends).await
        }
        opened => opened,
    };
    client.deadline.clear();
    let (stream, reused) = opened?;
    Ok(Lease::new(worker, member, stream, (!reused).then(|| began.elapsed())))
}

async fn dial(
    pool: &PoolView,
    member: &Member,
    client: &mut Client,
    delivers: bool,
) -> Result<Stream, NoLease> {
    let mut connecting = Box::pin(open(member));
    client.deadline.set(pool.pool.timeouts.connect);
    let dialled = poll_fn(|cx| {
        if let Poll::Ready(connected) = connecting.as_mut().poll(cx) {
            return Poll::Ready(connected);
        }
        // Who leaves must not wait here: a backend that accepts nothing would gather them.
        if client.poll_gone(cx, delivers).is_ready() {
            return Poll::Ready(Err(NoLease::Gone));
        }
        client.deadline.poll().map(|()| Err(NoLease::Timeout))
    });
    let dialled = dialled.await;
    client.deadline.clear();
    dialled
}

/// A connection that a request can be sent on, with a TLS session where the pool wants one.
///
/// # Errors
/// Why there is none.
pub(super) async fn open(member: &Member) -> Result<Stream, NoLease> {
    let stream = connect(&member.backend.address).await.map_err(|e| match is_our_own(&e) {
        true => NoLease::Exhausted(e),
        false => NoLease::Refused(e),
    })?;
    match member.transport.connector(member.ix) {
        None => Ok(stream),
        Some(connector) => {
            let tls = connector.handshake(stream).await.map_err(|error| {
                member.complain(&format_args!("no TLS session: {error}"));
                NoLease::Tls(error)
            })?;
            Ok(Stream::Carried(Box::new(Session::new(tls))))
        }
    }
}

impl Lease {
    fn new(worker: &Worker, member: &Rc<Member>, stream: Stream, connect: Option<Duration>) -> Self {
        let (member, held) = (Rc::clone(member), Buffer::new(&worker.blocks));
        Self { member, stream, held, reused: connect.is_none(), connect, search: Search::default() }
    }

    /// Keeps the connection for the next request, if it is clean: nothing of an answer is left in it.
    pub fn keep(self, worker: &Worker, pool: &PoolView) {
        if self.member.http2.is_some() {
            return; // A stream is for one request; its connection is kept elsewhere.
        }
        let mut idle = self.member.idle.list.borrow_mut();
        let has_room = idle.len() < pool.pool.timeouts.max_idle as usize && !self.member.idle.is_closed.get();
        if self.held.is_empty() && has_room {
            idle.push(Idle { stream: self.stream, since: worker.clock.now() });
        }
    }

    /// The connection's parts, for a tunnel.
    #[must_use]
    pub fn into_tunnel(self) -> (Stream, Buffer) {
        (self.stream, self.held)
    }

    /// Reads until a whole head is held, and returns its length. With `few` little of what follows it is read.
    pub fn poll_head(&mut self, few: bool, cx: &mut Context<'_>) -> Poll<Result<usize, NoHead>> {
        loop {
            if !self.held.is_empty() {
                match head::find_end(self.held.data(), &mut self.search) {
                    Ok(Some(end)) => {
                        self.search = Search::default();
                        return Poll::Ready(Ok(end));
                    }
                    Ok(None) if self.held.len() >= MAX_HEAD => return Poll::Ready(Err(NoHead::Malformed)),
                    Ok(None) => {}
                    Err(_) => return Poll::Ready(Err(NoHead::Malformed)),
                }
            }
            let filled = if few {
                self.held.poll_fill_small(&mut self.stream, cx)
            } else {
                self.held.poll_fill(&mut self.stream, cx)
            };
            match ready!(filled) {
                Err(e) if let Some(why) = NotProcessed::of(&e) => {
                    if why == NotProcessed::Tls {
                        self.member.complain(&why);
                    }
                    return Poll::Ready(Err(NoHead::NotProcessed(why)));
                }
                Ok(0) | Err(_) if self.held.is_empty() => return Poll::Ready(Err(NoHead::Closed)),
                Ok(0) | Err(_) => return Poll::Ready(Err(NoHead::Cut)),
                Ok(_) => {}
            }
        }
    }

    /// Parses the head that is held.
    ///
    /// # Errors
    /// It is malformed.
    pub fn parse<'h, 'b>(
        &'b self,
        end: usize,
        room: &'h mut head::Room<'b>,
    ) -> Result<ResponseHead<'h, 'b>, Fault> {
        head::parse_response(self.held.data().get(..end).unwrap_or_default(), room)
    }
}

/// Why there is no head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoHead {
    /// The connection ended before a byte came.
    Closed,
    /// It ended within the head.
    Cut,
    /// What came is not a head.
    Malformed,
    /// The backend has done nothing with the request.
    NotProcessed(NotProcessed),
}
