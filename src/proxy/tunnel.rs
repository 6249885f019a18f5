//! What is no longer HTTP: bytes both ways after a 101 that was asked for.
//!
//! A tunnel holds its seat in the backend's load and no view. It ends when both sides have ended, when either breaks,
//! or when no byte moved for the pool's `tunnel` time; or for the time for writing, if bytes wait that a side does not
//! take: behind them the end of the other side would not be seen. (nginx: send_timeout)
//!
//! When its backend is cut, or homing has no more time itself, it ends as WebSockets do (RFC 6455 sections 5.5.1 and
//! 7.1): each way goes on to the end of the frame that is under way, then a Close with status 1001 takes the place of
//! the next; what still comes is read and dropped until that side has closed too, or its time is over.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::clock::Deadline;
use super::forward::Waits;
use super::worker::Worker;
use crate::backend::load::Load;
use crate::message::websocket::{Follower, GOING_AWAY, going_away_masked};
use crate::net::buffer::Buffer;
use crate::net::stream::Stream;

/// How long a tunnel may go without a byte once one side has ended: what the other still had to say.
const HALF_OPEN: Duration = Duration::from_secs(30);
/// How long the frames under way have to pass once a tunnel is to end, and then the two sides to close.
const PATIENCE: Duration = Duration::from_secs(5);

/// One end of a tunnel: its connection, and bytes read from it that wait.
#[derive(Debug)]
pub struct End<'a> {
    /// The connection.
    pub stream: &'a mut Stream,
    /// Bytes that came early.
    pub held: &'a mut Buffer,
    /// How long it may take nothing of what waits for it.
    pub write: Duration,
}

/// A tunnel that is counted, among its backend's and its worker's, until it is dropped.
struct Counted<'a> {
    worker: &'a Worker,
    _of_backend: crate::backend::load::Tunnel<'a>,
}

/// One direction.
#[derive(Debug)]
struct Way {
    state: State,
    follower: Follower,
    /// Bytes passed on.
    moved: u64,
    /// Grows with every byte read or written.
    progress: u64,
    waits_for: Waits,
}

/// How far a direction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// What comes is passed on.
    Flows,
    /// Of the last word so many bytes are written.
    Says(usize),
    /// The last word is said; what comes is dropped, up to its Close.
    Hears,
    /// Nothing more comes, or is waited for.
    Over,
}

/// One of the two sockets broke.
struct Broken;

/// Moves bytes both ways until the tunnel ends; returns how many went (to the backend, to the client).
pub async fn run(
    worker: &Worker,
    load: &Load,
    mut client: End<'_>,
    mut backend: End<'_>,
    deadline: &Deadline,
    idle: Duration,
) -> (u64, u64) {
    let _counted = Counted::new(worker, load);
    let mask = (worker.random() as u32).to_be_bytes();
    let (mut up, mut down, mut seen) = (Way::new(), Way::new(), 0);
    let (mut cuts, mut ends, mut was_said) = (None, false, false);
    deadline.set(idle);
    poll_fn(|cx| {
        if cuts != Some(worker.cuts()) {
            cuts = Some(worker.cuts());
            if !ends && (worker.is_cut() || load.is_cut()) {
                ends = true;
                deadline.set(PATIENCE);
            }
        }
        let last_up = ends.then(|| going_away_masked(mask));
        let moved = up.poll(&mut client, &mut backend, last_up.as_ref().map(|w| &w[..]), cx);
        if matches!(moved, Poll::Ready(Err(Broken))) {
            return Poll::Ready(());
        }
        let moved = down.poll(&mut backend, &mut client, ends.then_some(&GOING_AWAY[..]), cx);
        if matches!(moved, Poll::Ready(Err(Broken))) {
            return Poll::Ready(());
        }
        if up.is_over() && down.is_over() {
            // Where a connection is carried by another, a close alone is no end.
            for stream in [&mut *client.stream, &mut *backend.stream] {
                let _ = Pin::new(stream).poll_shutdown(cx);
            }
            return Poll::Ready(());
        }
        if ends {
            if up.is_over() && down.has_said() {
                // The client sees at once that it is over, however long its backend takes.
                let _ = Pin::new(&mut *client.stream).poll_shutdown(cx);
            }
            if !was_said && up.has_said() && down.has_said() {
                was_said = true;
                deadline.set(PATIENCE);
            }
        } else if seen != up.progress + down.progress {
            seen = up.progress + down.progress;
            let mut time = if up.is_over() || down.is_over() { idle.min(HALF_OPEN) } else { idle };
            if up.is_blocked() {
                time = time.min(backend.write);
            }
            if down.is_blocked() {
                time = time.min(client.write);
            }
            deadline.set(time);
        }
        deadline.poll()
    })
    .await;
    (up.moved, down.moved)
}

impl Way {
    fn new() -> Self {
        Self {
            state: State::Flows,
            follower: Follower::default(),
            moved: 0,
            progress: 0,
            waits_for: Waits::Write,
        }
    }

    fn is_over(&self) -> bool {
        self.state == State::Over
    }

    fn has_said(&self) -> bool {
        matches!(self.state, State::Hears | State::Over)
    }

    fn is_blocked(&self) -> bool {
        self.state == State::Flows && self.waits_for == Waits::Write
    }

    /// Moves what can be moved; with a `last` word, as far as to the next border, where the word is said. Ready when
    /// it is over.
    fn poll(
        &mut self,
        from: &mut End<'_>,
        to: &mut End<'_>,
        last: Option<&[u8]>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            match self.state {
                State::Flows => {
                    ready!(self.poll_write(from, to, last.is_some(), cx))?;
                    if last.is_some() && self.follower.is_at_border() {
                        let has_closed = self.follower.has_closed();
                        self.state = if has_closed { State::Over } else { State::Says(0) };
                        continue;
                    }
                }
                State::Says(written) => {
                    let left = last.and_then(|word| word.get(written..)).unwrap_or_default();
                    self.state = match left {
                        [] => State::Hears,
                        left => State::Says(written + ready!(poll_some(to, left, cx))?),
                    };
                    continue;
                }
                State::Hears => {
                    self.follower.follow(from.held.data());
                    from.held.release();
                    if self.follower.has_closed() {
                        self.state = State::Over;
                        continue;
                    }
                }
                State::Over => return Poll::Ready(Ok(())),
            }
            self.waits_for = Waits::Read;
            match ready!(from.held.poll_fill(from.stream, cx)) {
                Ok(n @ 1..) => self.progress += n as u64,
                Ok(0) => {
                    self.progress += 1;
                    self.state = State::Over;
                    let _ = Pin::new(&mut *to.stream).poll_shutdown(cx);
                }
                // Whoever breaks after the last word has no more to say; the other side may still close.
                Err(_) if self.state == State::Hears => self.state = State::Over,
                Err(_) => return Poll::Ready(Err(Broken)),
            }
        }
    }

    /// Writes what is held, or of it what belongs to the frame under way.
    fn poll_write(
        &mut self,
        from: &mut End<'_>,
        to: &mut End<'_>,
        ends: bool,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        loop {
            let mut data = from.held.data();
            if ends {
                data = data.get(..self.follower.rest(data)).unwrap_or_default();
            }
            self.waits_for = Waits::Write;
            if data.is_empty() {
                return Pin::new(&mut *to.stream).poll_flush(cx).map_err(|_| Broken);
            }
            let n = ready!(poll_some(to, data, cx))?;
            self.follower.follow(data.get(..n).unwrap_or_default());
            from.held.consume(n);
            self.moved += n as u64;
            self.progress += n as u64;
        }
    }
}

fn poll_some(to: &mut End<'_>, bytes: &[u8], cx: &mut Context<'_>) -> Poll<Result<usize, Broken>> {
    Pin::new(&mut *to.stream).poll_write(cx, bytes).map(|written| match written {
        Ok(n @ 1..) => Ok(n),
        Ok(0) | Err(_) => Err(Broken),
    })
}

impl<'a> Counted<'a> {
    fn new(worker: &'a Worker, load: &'a Load) -> Self {
        worker.tunnels().set(worker.tunnels().get() + 1);
        Self { worker, _of_backend: load.open_tunnel() }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.worker.tunnels().set(self.worker.tunnels().get().saturating_sub(1));
    }
}
