//! Server-sent events ([HTML], 9.2): the state once a second and when something happened, and what happened.
//!
//! One task makes them for everybody, only while somebody listens. Whoever reads too slowly is hung up on: a browser
//! comes back by itself.
//!
//! [HTML]: https://html.spec.whatwg.org/multipage/server-sent-events.html

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::Instant;

use super::View;

/// Listeners at once.
const LISTENERS: usize = 16;
/// Pieces that wait for one listener; a piece is a state and what happened before it.
const WAITING: usize = 4;
/// From one state to the next.
const EVERY: Duration = Duration::from_secs(1);
/// The same when things happen.
const SOONEST: Duration = Duration::from_millis(100);

/// Everybody who listens.
#[derive(Debug)]
pub(super) struct Hub {
    places: Arc<Semaphore>,
    listeners: Mutex<Vec<Listener>>,
    came: Notify,
}

#[derive(Debug)]
struct Listener {
    pieces: mpsc::Sender<Bytes>,
    /// Ends its connection.
    hang_up: Arc<Notify>,
}

/// What one listener is sent.
#[derive(Debug)]
pub(super) struct Stream {
    pieces: mpsc::Receiver<Bytes>,
    _place: OwnedSemaphorePermit,
}

impl Default for Hub {
    fn default() -> Self {
        let places = Arc::new(Semaphore::new(LISTENERS));
        Self { places, listeners: Mutex::default(), came: Notify::new() }
    }
}

impl Hub {
    /// A stream that begins with `first`; `hang_up` is told when nobody reads it. `None`: too many listen.
    pub(super) fn listen(&self, first: Bytes, hang_up: &Arc<Notify>) -> Option<Stream> {
        let place = Arc::clone(&self.places).try_acquire_owned().ok()?;
        let (sender, pieces) = mpsc::channel(WAITING);
        sender.try_send(first).ok()?;
        self.listeners.lock().push(Listener { pieces: sender, hang_up: Arc::clone(hang_up) });
        self.came.notify_one();
        Some(Stream { pieces, _place: place })
    }

    fn has_listeners(&self) -> bool {
        let mut listeners = self.listeners.lock();
        listeners.retain(|listener| !listener.pieces.is_closed());
        !listeners.is_empty()
    }

    fn send(&self, piece: &Bytes) {
        self.listeners.lock().retain(|listener| match listener.pieces.try_send(piece.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => false,
            Err(mpsc::error::TrySendError::Full(_)) => {
                listener.hang_up.notify_one();
                false
            }
        });
    }
}

impl Stream {
    /// The next piece.
    pub(super) fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.pieces.poll_recv(context)
    }
}

/// The state as an event.
pub(super) fn state(view: &View) -> String {
    format!("event: state\ndata: {}\n\n", view.state())
}

/// Tells everybody who listens; does not end.
pub(super) async fn tell(view: &View) {
    let newest = |after| view.board.events_after(after).last().map_or(after, |event| event.number);
    let mut told = 0;
    loop {
        if !view.hub.has_listeners() {
            view.hub.came.notified().await;
            // The first state has what happened before.
            told = newest(told);
        }
        let due = Instant::now() + EVERY;
        tokio::select! {
            () = tokio::time::sleep_until(due) => {}
            () = view.board.happened() => tokio::time::sleep(SOONEST).await,
        }
        // One piece, however much happened: it must fit who reads as it comes.
        let mut text = String::new();
        for event in view.board.events_after(told) {
            told = event.number;
            text += &format!("event: event\nid: {}\ndata: {}\n\n", event.number, event.json());
        }
        if view.hub.has_listeners() {
            view.hub.send(&(text + &state(view)).into());
        }
    }
}

/// Takes a sample of the counters each second; does not end.
pub(super) async fn sample(view: &View) {
    let mut every = tokio::time::interval(super::super::recent::EVERY);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
    loop {
        let now = every.tick().await;
        view.recent.sample(&view.published.load().plan, &view.metrics, now);
    }
}
