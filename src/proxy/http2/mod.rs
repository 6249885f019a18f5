//! HTTP/2: its streams are to the rest of the data plane what connections of HTTP/1.1 are.
//!
//! Frames, windows and header compression of what clients speak are kept here (`reading`, `link`, and
//! [`hpack`](crate::message::hpack)); towards backends the h2 library keeps them ([`upstream`]). Each request that comes
//! becomes a head in the bytes of HTTP/1.1 and a [`Stream`] that carries its body and takes its answer, and goes the way
//! of every other request: there is one place where a request is admitted, and one where its session is found. Nothing
//! here knows of pools or affinity.

mod answer;
mod backward;
mod body;
mod carrier;
mod chunks;
pub mod dry;
mod lines;
mod link;
mod outgoing;
mod reading;
mod request;
mod servant;
mod slots;
mod stream;
#[cfg(test)]
mod together_tests;
pub mod upstream;
mod watch;
mod wrong;

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead as _, AsyncWrite, ReadBuf};

use self::link::{Fault, JOINED, Link, State};
use self::reading::{Begun, LEAVING, Reading, Unfinished};
pub use self::request::Form;
pub use self::servant::Servant;
use self::servant::{Counted, Job, attend};
use self::stream::Incoming;
use self::wrong::Serves;
use super::aging::Aging;
use super::clock::{Deadline, TICK};
use super::connection::{Client, LINGER_BYTES};
use super::worker::Worker;
use crate::affinity::memory::Memory;
use crate::message::h2_frames::{self as frames, Code, Kind, setting};
use crate::net::stream::Stream;
use crate::telemetry::reasons::Abuse;

/// What a client of HTTP/2 says first. (RFC 9113 section 3.4)
pub const PREFACE: &[u8; 24] = &frames::PREFACE;

/// Requests at once on one connection. (RFC 9113 section 6.5.2 asks for 100 at least)
const STREAMS: u32 = 100;
/// The same with those that the client has reset and whose tasks have not seen it: a page that was left is followed by
/// another.
const MOST_TAKEN: usize = 2 * STREAMS as usize;
/// Bytes of one request's body that wait for its backend.
const STREAM_WINDOW: u32 = 64 * 1024;
/// Bytes of all bodies on one connection: as many as all its streams may have and a little more, so that those whose
/// backends take nothing leave room for the others.
const CONNECTION_WINDOW: u32 = (STREAMS + 2) * STREAM_WINDOW;
/// Bytes of frames that wait to be written, at which no more are read: each may be one to answer.
const MOST_UNWRITTEN: usize = 4 * JOINED;
/// Reads of one turn.
const READS: u32 = 4;
/// How long a connection that is to end waits for its client to take the last frames.
const PATIENCE: Duration = Duration::from_secs(5);

/// What the streams of one connection have in common.
#[derive(Debug)]
struct Shared {
    worker: Rc<Worker>,
    link: Rc<Link>,
    /// How many are being served.
    open: Cell<u32>,
    /// How many were.
    served: Cell<u32>,
    /// What the last request told of its session.
    memory: RefCell<Option<Box<Memory>>>,
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
    /// It was said that no more requests are taken; and, once the client knows, which was the last. Since when, in the
    /// clock's milliseconds.
    Leaving {
        is_known: bool,
        since: u64,
    },
    /// It was said that this is the end.
    Ending {
        is_shut: bool,
    },
}

/// Serves HTTP/2 on a client's connection to its end.
pub async fn serve(worker: &Rc<Worker>, client: Client) {
    let Client { stream, held, peer, door, deadline, vouched, tls, opened, aging, .. } = client;
    let most = door.listener.limits.head;
    let write = door.listener.timeouts.write;
    let link = Rc::new(Link::new(&worker.clock, worker.blocks.long_output(), write, &door.shard));
    say_hello(&mut link.state.borrow_mut().out, most);
    let reading = Reading::new(held, most, &worker.blocks, worker.clock.now());
    let shared = Shared {
        worker: Rc::clone(worker),
        link: Rc::clone(&link),
        open: Cell::new(0),
        served: Cell::new(0),
        memory: RefCell::default(),
        client: Template { peer, door, vouched, tls, opened, aging },
    };
    let mut driver = Driver {
        worker,
        shared: Rc::new(shared),
        link: Rc::clone(&link),
        stream,
        reading,
        deadline,
        stage: Stage::Serving,
        since: None,
        idle: (0, worker.clock.now()),
        is_new: true,
        thrown_away: 0,
    };
    poll_fn(|cx| {
        link.drive(cx);
        Poll::Ready(())
    })
    .await;
    poll_fn(|cx| driver.poll(cx)).await;
    link.state.borrow_mut().end();
}

/// Our SETTINGS, and the window of the whole connection.
fn say_hello(out: &mut Vec<u8>, most: usize) {
    let settings = [
        (setting::MAX_CONCURRENT_STREAMS, STREAMS),
        (setting::INITIAL_WINDOW_SIZE, STREAM_WINDOW),
        (setting::MAX_HEADER_LIST_SIZE, u32::try_from(most).unwrap_or(u32::MAX)),
        (setting::ENABLE_CONNECT_PROTOCOL, 1),
    ];
    frames::write_header(Kind::Settings, 0, 0, settings.len() * 6, out);
    for (id, value) in settings {
        out.extend_from_slice(&id.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
    frames::write_header(Kind::WindowUpdate, 0, 0, 4, out);
    out.extend_from_slice(&(CONNECTION_WINDOW - 65_535).to_be_bytes());
}

/// Drives one connection.
struct Driver<'a> {
    worker: &'a Rc<Worker>,
    shared: Rc<Shared>,
    link: Rc<Link>,
    stream: Stream,
    reading: Reading,
    deadline: Deadline,
    stage: Stage,
    /// What it waits for, and how much was read and written when that began.
    since: Option<(Waits, u64)>,
    /// Since when no stream is open, and after how many that was.
    idle: (u32, u64),
    /// Nothing was looked at of what was read before it was known to be HTTP/2.
    is_new: bool,
    /// Bytes that came behind the end.
    thrown_away: usize,
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
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            match self.stage {
                Stage::Ending { .. } => {
                    if self.poll_end(cx).is_ready() {
                        return Poll::Ready(());
                    }
                }
                Stage::Serving | Stage::Leaving { .. } => match self.turn(cx) {
                    Ok(None) => {}
                    Ok(Some(fault)) => {
                        self.break_off(fault);
                        continue;
                    }
                    Err(_) => return Poll::Ready(()),
                },
            }
            let Template { door, aging, .. } = &self.shared.client;
            let begun = self.shared.open.get().saturating_add(self.shared.served.get());
            let is_last = self.worker.is_draining() || door.is_gone() || aging.is_spent(begun);
            match self.stage {
                Stage::Serving if is_last => {
                    self.leave();
                    continue;
                }
                Stage::Leaving { is_known: false, since } if self.is_leaving_known(since) => {
                    self.stage = Stage::Leaving { is_known: true, since };
                    let state = &mut *self.link.state.borrow_mut();
                    self.reading.highest = state.slots.last;
                    state.say_go_away(state.slots.last, Code::NoError);
                    continue;
                }
                Stage::Leaving { is_known: true, .. } if self.shared.open.get() == 0 => {
                    self.stage = Stage::Ending { is_shut: false };
                    continue;
                }
                Stage::Serving | Stage::Leaving { .. } if self.worker.is_cut() => {
                    self.end(Code::NoError);
                    continue;
                }
                Stage::Serving | Stage::Leaving { .. } | Stage::Ending { .. } => {}
            }
            if !self.is_late() {
                return Poll::Pending;
            }
            match (self.stage, self.since.map(|(waits, _)| waits)) {
                (Stage::Ending { .. }, _) => return Poll::Ready(()),
                (Stage::Serving, Some(Waits::Request)) => self.leave(),
                (_, Some(Waits::Client(Abuse::NotRead))) => {
                    wrong::tell(&self.shared, Fault::Abuse(Abuse::NotRead), None);
                    return Poll::Ready(()); // It would not read the word either.
                }
                (_, Some(Waits::Client(of))) => self.break_off(Fault::Abuse(of)),
                (_, Some(Waits::Request | Waits::End) | None) => self.end(Code::NoError),
            }
        }
    }

    /// Reads what has come and writes what waits.
    fn turn(&mut self, cx: &mut Context<'_>) -> io::Result<Option<Fault>> {
        let mut is_held_up = false;
        for read in 0.. {
            let (is_full, fault) = {
                let state = self.link.state.borrow();
                (state.out.len() >= MOST_UNWRITTEN, state.fault)
            };
            if fault.is_some() {
                return Ok(fault);
            }
            if is_full {
                is_held_up = true;
                break;
            }
            if read > READS {
                cx.waker().wake_by_ref(); // Others have their turn.
                break;
            }
            if !std::mem::take(&mut self.is_new) {
                match self.reading.input.poll_fill(&mut self.stream, cx)? {
                    Poll::Ready(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Poll::Ready(_) => {}
                    Poll::Pending => break,
                }
            }
            let (shared, now) = (&self.shared, self.worker.clock.now());
            let state = &mut *self.link.state.borrow_mut();
            if let Err(fault) = self.reading.look(state, now, Serves(shared)) {
                return Ok(Some(fault));
            }
        }
        if self.reading.unfinished().is_some() {
            self.reading.input.shrink();
        }
        let _ = self.poll_write(cx)?;
        if is_held_up && self.link.state.borrow().out.len() < MOST_UNWRITTEN {
            cx.waker().wake_by_ref(); // What has come meanwhile is not told again.
        }
        Ok(None)
    }

    /// Writes what waits; ready when nothing does.
    fn poll_write(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<()>> {
        let state = &mut *self.link.state.borrow_mut();
        if state.out.is_empty() && self.link.blocked_since.get().is_none() && !state.has_guests() {
            return Ok(Poll::Ready(()));
        }
        let mut written = 0;
        let polled = loop {
            let rest = state.out.get(written..).unwrap_or_default();
            if rest.is_empty() {
                break Pin::new(&mut self.stream).poll_flush(cx)?;
            }
            match Pin::new(&mut self.stream).poll_write(cx, rest)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(n) => written += n,
                Poll::Pending => break Poll::Pending,
            }
        };
        if written == state.out.len() {
            state.out.clear();
            // An idle connection holds nothing.
            if self.shared.open.get() == 0 || state.out.capacity() > 2 * JOINED {
                self.worker.blocks.recycle(std::mem::take(&mut state.out));
            }
        } else {
            state.out.drain(..written);
        }
        let since = if written > 0 { None } else { self.link.blocked_since.get() };
        let is_blocked = polled.is_pending();
        self.link.blocked_since.set(is_blocked.then(|| since.unwrap_or_else(|| self.worker.clock.now())));
        self.link.invite(state);
        Ok(polled)
    }

    /// Ready when the last words were written and the client has ended too, or never will.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self.poll_write(cx) {
            Ok(Poll::Ready(())) => {}
            Ok(Poll::Pending) => return Poll::Pending,
            Err(_) => return Poll::Ready(()),
        }
        if self.stage == (Stage::Ending { is_shut: false }) {
            if ready!(Pin::new(&mut self.stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            self.stage = Stage::Ending { is_shut: true };
        }
        // A close over bytes that were not read is a reset, and may take the last words back.
        self.reading.input.release();
        let mut room = [0; 4096];
        while self.thrown_away < LINGER_BYTES {
            let mut buf = ReadBuf::new(&mut room);
            match ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buf)) {
                Ok(()) if !buf.filled().is_empty() => self.thrown_away += buf.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(())
    }

    /// Whether what the connection waits for has taken too long.
    fn is_late(&mut self) -> bool {
        let timeouts = &self.shared.client.door.listener.timeouts;
        let (waits, time, progress) = match self.stage {
            Stage::Ending { .. } => (Waits::End, PATIENCE, 0),
            _ if let Some((at, of)) = self.due() => {
                let left = at.saturating_sub(self.worker.clock.now());
                (Waits::Client(of), Duration::from_millis(left), at)
            }
            Stage::Leaving { .. } if self.shared.open.get() == 0 => (Waits::End, PATIENCE, 0),
            Stage::Serving if self.shared.open.get() == 0 => {
                let (served, now) = (self.shared.served.get(), self.worker.clock.now());
                if self.idle.0 != served {
                    self.idle = (served, now);
                }
                // Frames that came in parts meanwhile make it no younger.
                let waited = Duration::from_millis(now.saturating_sub(self.idle.1));
                if waited >= timeouts.idle + TICK {
                    self.since = Some((Waits::Request, served.into()));
                    return true;
                }
                (Waits::Request, timeouts.idle.saturating_sub(waited), served.into())
            }
            Stage::Serving | Stage::Leaving { .. } => {
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

    /// When what was begun and not finished, by the client or towards it, will have taken too long, in the clock's
    /// milliseconds, and what it is then; the soonest.
    fn due(&self) -> Option<(u64, Abuse)> {
        let timeouts = &self.shared.client.door.listener.timeouts;
        let millis = |d: Duration| u64::try_from(d.as_millis()).unwrap_or(u64::MAX);
        let blocked = self.link.blocked_since.get().map(|at| (at, timeouts.write, Abuse::NotRead));
        let unfinished = self.reading.unfinished().map(|what| match what {
            Unfinished::Head(at) => (at, timeouts.head, Abuse::SlowHead),
            Unfinished::Data(at) => (at, timeouts.body, Abuse::SlowData),
        });
        let both = blocked.into_iter().chain(unfinished);
        both.map(|(at, time, of)| (at.saturating_add(millis(time)), of)).min_by_key(|(at, _)| *at)
    }

    /// Takes no more requests, and ends behind those that are served.
    fn leave(&mut self) {
        let state = &mut *self.link.state.borrow_mut();
        state.say_go_away(frames::LARGEST_WINDOW, Code::NoError);
        frames::write_header(Kind::Ping, 0, 0, LEAVING.len(), &mut state.out);
        state.out.extend_from_slice(&LEAVING);
        self.stage = Stage::Leaving { is_known: false, since: self.worker.clock.now() };
    }

    /// Whether the client has heard of our leaving, or does not say so though it had the time.
    fn is_leaving_known(&self, since: u64) -> bool {
        let waited = self.worker.clock.now().saturating_sub(since);
        self.reading.knows_of_leaving || u128::from(waited) >= PATIENCE.as_millis()
    }

    /// Ends for what the client has done.
    fn break_off(&mut self, fault: Fault) {
        wrong::tell(&self.shared, fault, self.reading.blamed);
        self.link.state.borrow_mut().fault = Some(fault);
        self.end(fault.code());
    }

    /// Ends at once, with a word why.
    fn end(&mut self, why: Code) {
        let state = &mut *self.link.state.borrow_mut();
        // The number that a GOAWAY gives never rises. (RFC 9113 section 6.8)
        state.say_go_away(state.slots.last.min(self.reading.highest), why);
        state.end();
        self.stage = Stage::Ending { is_shut: false };
    }
}

/// Has a request served, by a task that waits for one or by a new one.
fn begin(shared: &Rc<Shared>, begun: Begun, state: &mut State) {
    let worker = &shared.worker;
    if state.out.capacity() == 0 {
        state.out = worker.blocks.long_output();
    }
    let Begun { place, asked } = begun;
    let stream = Incoming::new(&shared.link, place, &asked);
    let job = Job { shared: Counted::new(shared), stream, head: asked.head, refused: asked.refused };
    let idle = worker.servants.borrow_mut().pop();
    let servant = idle.unwrap_or_else(|| {
        let servant = Rc::new(Servant::default());
        tokio::task::spawn_local(attend(Rc::clone(worker), Rc::clone(&servant)));
        servant
    });
    servant.give(job);
}

/// Writes each piece in its turn, as far as all of one was taken.
fn write_each<W: AsyncWrite + Unpin>(
    mut to: Pin<&mut W>,
    cx: &mut Context<'_>,
    pieces: &[IoSlice<'_>],
) -> Poll<io::Result<usize>> {
    let mut taken = 0;
    for piece in pieces.iter().filter(|piece| !piece.is_empty()) {
        match to.as_mut().poll_write(cx, piece) {
            Poll::Ready(Ok(n)) => {
                taken += n;
                if n < piece.len() {
                    break;
                }
            }
            Poll::Ready(Err(_)) | Poll::Pending if taken > 0 => break,
            other => return other,
        }
    }
    Poll::Ready(Ok(taken))
}
