//! HTTP/2: its streams are to the rest of the data plane what connections of HTTP/1.1 are.
//!
//! The h2 library keeps frames, header compression and windows. Each request that it hands out becomes a head in the
//! bytes of HTTP/1.1 and a [`Stream`] that carries its body and takes its answer, and goes the way of every other
//! request: there is one place where a request is admitted, and one where its session is found. Nothing here knows of
//! pools or affinity.

mod answer;
pub mod backward;
pub mod body;
mod carrier;
mod lines;
mod outgoing;
pub mod request;
mod servant;
mod stream;
pub mod upstream;
pub mod watch;
pub mod watched;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use h2::server::{Builder, Connection, SendResponse};
use h2::{Reason, RecvStream};
use http::Request;

use self::carrier::Carrier;
pub use self::servant::Servant;
use self::servant::{Counted, Job, attend};
use self::watch::Verdict;
use self::watched::{Observed, Watched};
use super::aging::Aging;
use super::clock::Deadline;
use super::connection::Client;
use super::worker::Worker;
use crate::affinity::memory::Memory;
use crate::net::stream::Stream;
use crate::telemetry::reasons::Abuse;

/// What a client of HTTP/2 says first. (RFC 9113 section 3.4)
pub const PREFACE: &[u8; 24] = &crate::message::h2_frames::PREFACE;

/// Requests at once on one connection. (RFC 9113 section 6.5.2 asks for 100 at least)
const STREAMS: u32 = 100;
/// Bytes of one request's body that wait for its backend; and of all on one connection.
const STREAM_WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes of an answer that wait in the library, per stream.
const SEND_BUFFER: usize = 64 * 1024;
/// Streams that were reset and are remembered, so that what still comes for them is no error: all that may be open.
const RESET_STREAMS: usize = 100;
/// Streams that the client reset before they were looked at. More at once the library takes for abuse; up to as many
/// as may be open it is a page that was left, and [`watch`] counts them.
const RESET_EARLY: usize = 100;
/// What small DATA frames that wait to be taken cost beside what is in them, bytes: some 4,000 of them. A stream of gRPC
/// messages of a few bytes each has thousands in its window.
const SMALL_FRAMES: usize = 1024 * 1024;
/// How long a connection that is to end waits for its client to take the last frames.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the streams of one connection have in common.
#[derive(Debug)]
struct Shared {
    worker: Rc<Worker>,
    /// How many are being served.
    open: Cell<u32>,
    /// How many were.
    served: Cell<u32>,
    /// What the last request told of its session.
    memory: RefCell<Option<Box<Memory>>>,
    /// What is known of the connection.
    seen: Rc<Observed>,
    /// Who opened them: its connection is replaced by a stream for each.
    client: Template,
}

/// Of a client what its streams share.
#[derive(Debug)]
struct Template {
    peer: Option<std::net::IpAddr>,
    door: Rc<super::door::Door>,
    vouched: super::vouched::Vouched,
    tls: Option<Rc<super::handshake::Secured>>,
    opened: Instant,
    /// When the connection has served enough. Its streams end anyway.
    aging: Aging,
}

/// How far a connection is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Serving,
    /// It was said that no more requests are taken.
    Leaving,
    /// It was said that this is the end.
    Ending,
}

/// Serves HTTP/2 on a client's connection to its end.
pub async fn serve(worker: &Rc<Worker>, client: Client) {
    let Client { stream, held, peer, door, deadline, vouched, tls, opened, aging, .. } = client;
    let (stream, seen) = Watched::new(stream, held, &worker.clock);
    let carrier = Carrier::new(stream);
    let limits = door.listener.limits;
    let mut builder = Builder::new();
    builder
        .max_concurrent_streams(STREAMS)
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(u32::try_from(limits.head).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_reset_streams(RESET_STREAMS)
        .max_pending_accept_reset_streams(RESET_EARLY)
        .data_frame_budget(SMALL_FRAMES)
        .max_local_error_reset_streams(None) // It would count for the life of a connection; the watch does in a window.
        .enable_connect_protocol();
    deadline.set(door.listener.timeouts.head);
    let mut handshake = pin!(builder.handshake::<_, Bytes>(carrier));
    let connected = poll_fn(|cx| match handshake.as_mut().poll(cx) {
        Poll::Ready(connected) => Poll::Ready(connected.ok()),
        Poll::Pending => deadline.poll().map(|()| {
            door.shard.abused(Abuse::SlowHead);
            None
        }),
    });
    let Some(mut connection) = connected.await else { return };
    let template = Template { peer, door, vouched, tls, opened, aging };
    let shared = Shared {
        worker: Rc::clone(worker),
        open: Cell::new(0),
        served: Cell::new(0),
        memory: RefCell::default(),
        seen: Rc::clone(&seen),
        client: template,
    };
    let mut driver =
        Driver { worker, shared: Rc::new(shared), deadline, seen, stage: Stage::Serving, since: None };
    poll_fn(|cx| driver.poll(&mut connection, cx)).await;
}

/// Drives one connection.
struct Driver<'a> {
    worker: &'a Rc<Worker>,
    shared: Rc<Shared>,
    deadline: Deadline,
    seen: Rc<Observed>,
    stage: Stage,
    /// What it waits for, and how much was read and written when that began.
    since: Option<(Waits, u64)>,
}

/// What a connection waits for, each with a time of its own.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Waits {
    /// Its next request.
    Request,
    /// Its client to go on with what it began, or to take what was written; what it is if it does not.
    Client(Abuse),
    /// Its end.
    End,
}

impl Driver<'_> {
    fn poll(
        &mut self,
        connection: &mut Connection<Carrier<Watched<Stream>>, Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<()> {
        self.seen.turn();
        loop {
            match connection.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    self.begin(request, respond);
                    continue;
                }
                Poll::Ready(Some(Err(_)) | None) => {
                    self.seen.told().into_iter().for_each(|of| self.count(of));
                    return Poll::Ready(());
                }
                Poll::Pending => {}
            }
            if self.stage != Stage::Ending
                && let Some(verdict) = self.seen.verdict()
            {
                if let Verdict::Abuse(of) = verdict {
                    self.count(of);
                }
                self.end(connection, verdict.reason());
                continue;
            }
            let Template { door, aging, .. } = &self.shared.client;
            let begun = self.shared.open.get().saturating_add(self.shared.served.get());
            let is_last = self.worker.is_draining() || door.is_gone() || aging.is_spent(begun);
            if self.stage == Stage::Serving && is_last {
                self.leave(connection);
                continue;
            }
            if self.stage != Stage::Ending && self.worker.is_cut() {
                self.end(connection, Reason::NO_ERROR);
                continue;
            }
            if !self.is_late() {
                return Poll::Pending;
            }
            match (self.stage, self.since.map(|(waits, _)| waits)) {
                (Stage::Serving, Some(Waits::Request)) => self.leave(connection),
                (Stage::Serving | Stage::Leaving, Some(Waits::Client(of))) => {
                    self.count(of);
                    if of == Abuse::NotRead {
                        return Poll::Ready(()); // It would not read the word either.
                    }
                    self.end(connection, Reason::ENHANCE_YOUR_CALM);
                }
                (Stage::Serving | Stage::Leaving, _) => self.end(connection, Reason::NO_ERROR),
                (Stage::Ending, _) => return Poll::Ready(()),
            }
        }
    }

    /// Whether what the connection waits for has taken too long.
    fn is_late(&mut self) -> bool {
        let timeouts = &self.shared.client.door.listener.timeouts;
        let due = self.seen.due(timeouts);
        let (waits, time, progress) = match self.stage {
            Stage::Ending => (Waits::End, PATIENCE, 0),
            _ if let Some((at, of)) = due => {
                let left = at.saturating_sub(self.worker.clock.now());
                (Waits::Client(of), Duration::from_millis(left), at)
            }
            Stage::Leaving if self.shared.open.get() == 0 => (Waits::End, PATIENCE, 0),
            Stage::Serving if self.shared.open.get() == 0 => {
                (Waits::Request, timeouts.idle, u64::from(self.shared.served.get()))
            }
            Stage::Serving | Stage::Leaving => {
                self.since = None;
                // Streams may be silent for long, and a connection that is old enough takes no more of them.
                match self.shared.client.aging.left().filter(|_| self.stage == Stage::Serving) {
                    Some(left) => self.deadline.set(left),
                    None => self.deadline.clear(),
                }
                return false;
            }
        };
        if self.since.replace((waits, progress)) != Some((waits, progress)) {
            self.deadline.set(time);
            return false;
        }
        self.deadline.poll().is_ready()
    }

    /// Takes no more requests, and ends behind those that are served.
    fn leave(&mut self, connection: &mut Connection<Carrier<Watched<Stream>>, Bytes>) {
        connection.graceful_shutdown();
        self.stage = Stage::Leaving;
    }

    /// Ends at once, with a word why.
    fn end(&mut self, connection: &mut Connection<Carrier<Watched<Stream>>, Bytes>, why: Reason) {
        connection.abrupt_shutdown(why);
        self.stage = Stage::Ending;
    }

    fn count(&self, of: Abuse) {
        self.shared.client.door.shard.abused(of);
    }

    /// Has a request served, by a task that waits for one or by a new one.
    fn begin(&self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let job = Job { shared: Counted::new(&self.shared), request, respond };
        let idle = self.worker.servants.borrow_mut().pop();
        let servant = idle.unwrap_or_else(|| {
            let servant = Rc::new(Servant::default());
            tokio::task::spawn_local(attend(Rc::clone(self.worker), Rc::clone(&servant)));
            servant
        });
        servant.give(job);
    }
}
