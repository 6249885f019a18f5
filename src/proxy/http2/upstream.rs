//! Connections of HTTP/2 to one backend: several, each for as many requests at once as its peer allows.
//!
//! A new request goes by the youngest connection that has room, so that the others come to rest and are closed. Where
//! none has, another is made, and whoever asks meanwhile waits for the same one. A connection is given up, and lives on
//! for the streams that it has, when its peer goes away or when a request was given up on it while not a byte came.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use tokio::sync::oneshot;

use super::carrier::Carrier;
use super::outgoing::Outgoing;
use super::{CONNECTION_WINDOW, PATIENCE, STREAM_WINDOW};
use crate::net::stream::Stream;
use crate::proxy::clock::Clock;
use crate::proxy::upstream::{Member, NoLease, open};
use crate::proxy::worker::Worker;

/// Requests at once on one connection, whatever its peer allows. (RFC 9113 section 6.5.2 asks peers for 100 at least)
const MOST_STREAMS: usize = 100;
/// Connections per backend and worker: beyond them requests wait for room in one of these.
const MOST_CONNECTIONS: usize = 64;
/// Streams that were reset and are remembered, so that what still comes for them is no error: all that may be open.
const RESET_STREAMS: usize = 100;
/// Bytes of a request that wait in the library, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Requests that wait for one connection before another is begun: how much room it will have is not known.
const WAITING: usize = 32;
/// Largest head of an answer, bytes. (HTTP/1.1: a block)
const MAX_HEAD: u32 = 64 * 1024;
/// What the library says that a peer allows before the peer has said it: no number of SETTINGS, which has 32 bits.
const UNKNOWN: usize = usize::MAX - 1;
/// From when on a request that was given up says something about its connection, milliseconds.
const SILENCE: u64 = 1000;

/// One worker's connections of HTTP/2 to one backend.
#[derive(Debug, Default)]
pub struct Connections {
    list: RefCell<Vec<Rc<Connection>>>,
    dials: RefCell<Vec<Rc<Dial>>>,
    /// Its backend is gone.
    is_closed: Cell<bool>,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// What requests are sent by; nothing once no more are.
    sender: RefCell<Option<SendRequest<Bytes>>>,
    /// Requests on it.
    open: Cell<usize>,
    /// How many its peer allows; none before it has said so.
    room: Cell<usize>,
    /// Whether its peer has said that it allows none.
    is_barred: Rc<Cell<bool>>,
    /// Since when there are none, milliseconds of the clock.
    since: Cell<u64>,
    /// Bytes that came.
    read: Rc<Cell<u64>>,
    clock: Rc<Clock>,
    is_secure: bool,
}

/// A connection that is being made, and who waits for it.
#[derive(Debug, Default)]
struct Dial {
    waiting: Cell<usize>,
    wakers: RefCell<Vec<Waker>>,
    /// What came of it.
    end: Cell<Option<Made>>,
    /// Whether its peer has said that it allows no streams.
    is_barred: Rc<Cell<bool>>,
}

/// What came of making a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Made {
    Connection,
    Exhausted(io::ErrorKind),
    Refused(io::ErrorKind),
    Tls,
    Timeout,
}

/// One place among those who wait for a connection.
struct Waits(Rc<Dial>);

impl Connections {
    /// How many are idle.
    pub(in crate::proxy) fn idle(&self) -> usize {
        self.list.borrow().iter().filter(|c| c.open.get() == 0).count()
    }

    /// Its backend is gone: idle ones are closed, and the others when they are idle.
    pub(in crate::proxy) fn close(&self) {
        self.is_closed.set(true);
        self.list.borrow_mut().drain(..).for_each(|c| c.retire());
    }

    /// Closes those that are idle.
    pub(in crate::proxy) fn release(&self) {
        self.retain(|c| c.open.get() > 0);
    }

    /// Closes those that were idle for longer than `max` milliseconds.
    pub(in crate::proxy) fn sweep(&self, now: u64, max: u64) {
        self.retain(|c| c.open.get() > 0 || now.saturating_sub(c.since.get()) < max);
    }

    fn retain(&self, stays: impl Fn(&Connection) -> bool) {
        self.list.borrow_mut().retain(|c| {
            let stays = stays(c) && !c.is_retired();
            if !stays {
                c.retire();
            }
            stays
        });
    }

    /// A stream on a connection that has room; on the one that has most, if there may be no more connections.
    fn take(&self) -> Option<Outgoing> {
        self.retain(|c| c.is_usable());
        let list = self.list.borrow();
        let with_room = list.iter().rev().find(|c| c.open.get() < c.room.get().min(MOST_STREAMS));
        let least = || list.iter().min_by_key(|c| c.open.get()).filter(|_| list.len() >= MOST_CONNECTIONS);
        let connection = with_room.or_else(least)?;
        let sender = connection.sender.borrow().clone()?;
        connection.open.set(connection.open.get() + 1);
        Some(Outgoing::new(Rc::clone(connection), sender))
    }

    /// The connection that is being made, or one that is begun now.
    fn dial(self: &Rc<Self>, worker: &Rc<Worker>, member: &Rc<Member>, within: Duration) -> Waits {
        let known = self.dials.borrow().iter().find(|dial| dial.waiting.get() < WAITING).map(Rc::clone);
        if let Some(dial) = known {
            return Waits::new(dial);
        }
        let dial = Rc::<Dial>::default();
        self.dials.borrow_mut().push(Rc::clone(&dial));
        let waits = Waits::new(Rc::clone(&dial));
        let (connections, worker, member) = (Rc::clone(self), Rc::clone(worker), Rc::clone(member));
        // A task of its own: who began it may leave, and others wait for it.
        tokio::task::spawn_local(async move {
            let made = tokio::time::timeout(within, make(&worker, &member, &dial.is_barred)).await;
            connections.dials.borrow_mut().retain(|other| !Rc::ptr_eq(other, &dial));
            if made.is_err() && dial.is_barred.get() {
                member.complain(
                    &"no HTTP/2 connection: it allows no streams (SETTINGS_MAX_CONCURRENT_STREAMS is 0)",
                );
            }
            let made = made.unwrap_or(Err(Made::Timeout)).map(|connection| {
                if connections.is_closed.get() {
                    connection.retire();
                } else {
                    connections.list.borrow_mut().push(connection);
                }
            });
            dial.end.set(Some(made.map_or_else(|e| e, |()| Made::Connection)));
            dial.wakers.take().into_iter().for_each(Waker::wake);
        });
        waits
    }
}

impl Waits {
    fn new(dial: Rc<Dial>) -> Self {
        dial.waiting.set(dial.waiting.get() + 1);
        Self(dial)
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<Result<(), NoLease>> {
        let Some(end) = self.0.end.get() else {
            let mut wakers = self.0.wakers.borrow_mut();
            if !wakers.iter().any(|waker| waker.will_wake(cx.waker())) {
                wakers.push(cx.waker().clone());
            }
            return Poll::Pending;
        };
        Poll::Ready(match end {
            Made::Connection => Ok(()),
            Made::Exhausted(kind) => Err(NoLease::Exhausted(kind.into())),
            Made::Refused(kind) => Err(NoLease::Refused(kind.into())),
            Made::Tls => Err(NoLease::Tls(io::ErrorKind::InvalidData.into())),
            Made::Timeout => Err(NoLease::Timeout),
        })
    }
}

impl Waits {
    /// Why there is no connection: one that is late may be there, and allow nothing.
    fn cause(&self, why: NoLease) -> NoLease {
        match why {
            NoLease::Timeout if self.0.is_barred.get() => NoLease::NoStreams,
            why => why,
        }
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        self.0.waiting.set(self.0.waiting.get().saturating_sub(1));
    }
}

/// A stream to `member`'s backend, and whether it goes by a connection that was there. A `fresh` one does not.
/// `ends` says when it is given up.
///
/// # Errors
/// Why there is none.
pub(in crate::proxy) async fn stream(
    worker: &Rc<Worker>,
    member: &Rc<Member>,
    fresh: bool,
    within: Duration,
    mut ends: impl FnMut(&mut Context<'_>) -> Poll<NoLease>,
) -> Result<(Stream, bool), NoLease> {
    let Some(connections) = &member.http2 else { return Err(NoLease::Refused(io::ErrorKind::Other.into())) };
    let is_full = connections.list.borrow().len() >= MOST_CONNECTIONS;
    if (!fresh || is_full)
        && let Some(stream) = connections.take()
    {
        return Ok((Stream::Carried(Box::new(stream)), !fresh));
    }
    loop {
        let waits = connections.dial(worker, member, within);
        poll_fn(|cx| match waits.poll(cx) {
            Poll::Ready(made) => Poll::Ready(made),
            Poll::Pending => ends(cx).map(Err),
        })
        .await
        .map_err(|why| waits.cause(why))?;
        if let Some(stream) = connections.take() {
            return Ok((Stream::Carried(Box::new(stream)), false));
        }
    }
}

/// Makes a connection. One that ends in peace as soon as it is there is made once more: its peer may be on its way from
/// one process to the next. The caller sets the deadline by dropping the future.
async fn make(
    worker: &Rc<Worker>,
    member: &Member,
    is_barred: &Rc<Cell<bool>>,
) -> Result<Rc<Connection>, Made> {
    for _ in 0..2 {
        if let Some(connection) = begin(worker, member, is_barred).await? {
            return Ok(connection);
        }
    }
    Err(Made::Refused(io::ErrorKind::ConnectionAborted))
}

/// Begins a connection and waits for its peer to say what it allows. `None` if it has ended in peace instead.
/// `is_barred` is told whether it allows nothing.
async fn begin(
    worker: &Rc<Worker>,
    member: &Member,
    is_barred: &Rc<Cell<bool>>,
) -> Result<Option<Rc<Connection>>, Made> {
    let stream = open(member).await.map_err(|e| match e {
        NoLease::Exhausted(e) => Made::Exhausted(e.kind()),
        NoLease::Refused(e) => Made::Refused(e.kind()),
        NoLease::Tls(_) => Made::Tls,
        NoLease::Gone | NoLease::Timeout | NoLease::NoStreams => Made::Timeout,
    })?;
    let carrier = Carrier::new(stream);
    let read = carrier.read();
    let builder = Builder::new()
        .enable_push(false)
        .initial_max_send_streams(UNKNOWN)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_header_list_size(MAX_HEAD)
        .max_send_buffer_size(SEND_BUFFER)
        .handshake::<_, Bytes>(carrier);
    let broken = |error: Option<h2::Error>| {
        let why = error.map_or_else(|| "nothing came".to_owned(), |error| error.to_string());
        member.complain(&format_args!("no HTTP/2 connection: {why}"));
        Made::Refused(io::ErrorKind::InvalidData)
    };
    let (sender, h2) = builder.await.map_err(|error| broken(Some(error)))?;
    let connection = Rc::new(Connection {
        sender: RefCell::new(Some(sender)),
        open: Cell::new(0),
        room: Cell::new(0),
        is_barred: Rc::clone(is_barred),
        since: Cell::new(worker.clock.now()),
        read,
        clock: Rc::clone(&worker.clock),
        is_secure: member.transport.connectors.is_some(),
    });
    let (settled, settings) = oneshot::channel();
    let unsettled = Unsettled(Rc::clone(&connection));
    tokio::task::spawn_local(drive(Rc::clone(&connection), h2, settled));
    let is_open = settings.await.map_err(|_| broken(None))?.map_err(|error| broken(Some(error)))?;
    drop(unsettled);
    Ok(is_open.then_some(connection))
}

/// A connection whose peer has said nothing. Nobody else has it: it is over when it is given up here.
struct Unsettled(Rc<Connection>);

impl Drop for Unsettled {
    fn drop(&mut self) {
        if self.0.room.get() == 0 {
            self.0.retire();
        }
    }
}

/// Reads and writes a connection's frames until it is over.
async fn drive(
    connection: Rc<Connection>,
    mut h2: h2::client::Connection<Carrier<Stream>>,
    settled: oneshot::Sender<Result<bool, h2::Error>>,
) {
    let mut settled = Some(settled);
    let mut patience = None;
    poll_fn(|cx| {
        if let Poll::Ready(end) = Pin::new(&mut h2).poll(cx) {
            if let Some(settled) = settled.take() {
                let _ = settled.send(end.map(|()| false));
            }
            return Poll::Ready(());
        }
        let allowed = Some(h2.max_concurrent_send_streams()).filter(|&n| n != UNKNOWN);
        connection.room.set(allowed.unwrap_or(0));
        connection.is_barred.set(allowed == Some(0));
        if connection.room.get() > 0
            && let Some(settled) = settled.take()
        {
            let _ = settled.send(Ok(true));
        }
        if !connection.is_retired() || connection.open.get() > 0 {
            return Poll::Pending;
        }
        // It has its last words to say, and a peer that does not take them is not waited for.
        let patience = patience.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        patience.as_mut().poll(cx)
    })
    .await;
    connection.retire();
}

impl Connection {
    /// How many bytes have come, and the time.
    pub(super) fn stamp(&self) -> (u64, u64) {
        (self.read.get(), self.clock.now())
    }

    /// Whether it goes over TLS.
    pub(super) const fn is_secure(&self) -> bool {
        self.is_secure
    }

    /// A request has left; without an answer, with the [stamp](Self::stamp) of its beginning.
    pub(super) fn left(&self, silent: Option<(u64, u64)>) {
        self.open.set(self.open.get().saturating_sub(1));
        self.since.set(self.clock.now());
        let is_dead = silent.is_some_and(|(read, at)| {
            read == self.read.get() && self.clock.now().saturating_sub(at) >= SILENCE
        });
        if is_dead {
            self.retire();
        }
    }

    /// Takes no more requests; it is over when it has none.
    fn retire(&self) {
        drop(self.sender.take());
    }

    fn is_retired(&self) -> bool {
        self.sender.borrow().is_none()
    }

    /// Whether another request may be sent: a peer that goes away was heard by now.
    fn is_usable(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        let mut sender = self.sender.borrow_mut();
        sender.as_mut().is_some_and(|sender| !matches!(sender.poll_ready(&mut cx), Poll::Ready(Err(_))))
    }
}
