//! What a backend is doing now: relaxed atomics, written by every worker; and who waits for a place.
//!
//! Two atomic additions per request on a line of their own; figures for measurement live in
//! [`crate::telemetry`], per worker. Where places are bounded (`max_conns`) requests may wait for one: a place given
//! back on one worker goes to the request that has waited longest, on whichever worker that is. Only then is there a
//! lock, and nobody passes those who wait.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed, Ordering::SeqCst};
use std::task::{Context, Poll, Waker};

use parking_lot::Mutex;

/// Counters of one backend, shared by all workers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Load {
    in_flight: AtomicU32,
    /// How many are in `queue`; read before its lock is taken.
    waiting: AtomicU32,
    /// The oldest first.
    queue: Mutex<VecDeque<Arc<Mutex<Turn>>>>,
    /// Those of `in_flight` that are tunnels.
    tunnels: AtomicU32,
    /// Whether tunnels are to end.
    is_cut: AtomicBool,
}

/// Counts one tunnel until it is dropped.
#[derive(Debug)]
pub struct Tunnel<'a>(&'a Load);

/// What one waiting request is told.
#[derive(Debug)]
enum Turn {
    /// Nothing yet; whom to wake.
    Waits(Option<Waker>),
    /// A place was taken for it.
    Granted,
    /// It has taken that place over, or went away.
    Over,
}

/// A request's place in the queue. Dropped, it leaves the queue, and gives back a place that it was granted meanwhile.
#[derive(Debug)]
pub struct Waiting<'a> {
    load: &'a Load,
    max: u32,
    turn: Arc<Mutex<Turn>>,
}

impl Load {
    /// Requests and tunnels in flight over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Requests that wait for a place.
    #[must_use]
    pub fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }

    /// Tunnels in flight over all workers; each has its place among those in flight besides.
    #[must_use]
    pub fn tunnels(&self) -> u32 {
        self.tunnels.load(Relaxed)
    }

    /// Counts a tunnel.
    #[must_use]
    pub fn open_tunnel(&self) -> Tunnel<'_> {
        self.tunnels.fetch_add(1, Relaxed);
        Tunnel(self)
    }

    /// Asks tunnels to end, and those that begin from now on. `Published::cut` does this and lets them know.
    pub fn cut(&self) {
        self.is_cut.store(true, Relaxed);
    }

    /// Takes that back: the backend is ready again. Tunnels that are ending already go on doing so.
    pub fn mend(&self) {
        self.is_cut.store(false, Relaxed);
    }

    /// Whether tunnels are asked to end.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut.load(Relaxed)
    }

    /// Whether a request that comes now would get a place among `max` (0: no limit).
    #[inline]
    #[must_use]
    pub fn has_room(&self, max: u32) -> bool {
        max == 0 || self.waiting() == 0 && self.in_flight() < max
    }

    /// Takes a place if fewer than `max` are taken (0: no limit) and nobody waits for one. The caller gives it back
    /// with [`Self::leave`].
    #[must_use]
    pub fn enter(&self, max: u32) -> bool {
        if max == 0 {
            self.in_flight.fetch_add(1, Relaxed);
            return true;
        }
        self.waiting.load(SeqCst) == 0 && self.take(max)
    }

    /// Gives a place back; who has waited longest gets it. `max` is what [`Self::enter`] was given.
    pub fn leave(&self, max: u32) {
        self.in_flight.fetch_sub(1, SeqCst);
        if self.waiting.load(SeqCst) > 0 {
            self.serve_queue(max);
        }
    }

    /// Waits for a place among `max`, behind at most `size - 1` others; `None` if as many wait already.
    #[must_use]
    pub fn wait(&self, max: u32, size: u32) -> Option<Waiting<'_>> {
        let turn = Arc::new(Mutex::new(Turn::Waits(None)));
        {
            let mut queue = self.queue.lock();
            if queue.len() >= size as usize {
                return None;
            }
            queue.push_back(Arc::clone(&turn));
            self.waiting.fetch_add(1, SeqCst);
        }
        // A place given back just before nobody waited would otherwise be noticed by no one.
        self.serve_queue(max);
        Some(Waiting { load: self, max, turn })
    }

    fn take(&self, max: u32) -> bool {
        self.in_flight.fetch_update(SeqCst, SeqCst, |n| (max == 0 || n < max).then_some(n + 1)).is_ok()
    }

    /// Gives free places to those who wait, the oldest first.
    fn serve_queue(&self, max: u32) {
        let mut queue = self.queue.lock();
        while !queue.is_empty() && self.take(max) {
            let Some(oldest) = queue.pop_front() else { return };
            self.waiting.fetch_sub(1, SeqCst);
            let before = std::mem::replace(&mut *oldest.lock(), Turn::Granted);
            if let Turn::Waits(Some(waker)) = before {
                waker.wake();
            }
        }
    }
}

impl Drop for Tunnel<'_> {
    fn drop(&mut self) {
        self.0.tunnels.fetch_sub(1, Relaxed);
    }
}

impl Waiting<'_> {
    /// Ready once a place was taken for this request, which then gives it back with [`Load::leave`].
    pub fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let mut turn = self.turn.lock();
        match &mut *turn {
            Turn::Waits(waker) => {
                *waker = Some(cx.waker().clone());
                Poll::Pending
            }
            Turn::Granted => {
                *turn = Turn::Over;
                Poll::Ready(())
            }
            Turn::Over => Poll::Pending,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut queue = self.load.queue.lock();
        let before = std::mem::replace(&mut *self.turn.lock(), Turn::Over);
        match before {
            Turn::Waits(_) => {
                queue.retain(|turn| !Arc::ptr_eq(turn, &self.turn));
                self.load.waiting.fetch_sub(1, SeqCst);
            }
            Turn::Granted => {
                drop(queue);
                self.load.leave(self.max);
            }
            Turn::Over => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn poll(waiting: &mut Waiting<'_>) -> bool {
        waiting.poll(&Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn the_longest_wait_is_served_first_and_nobody_passes() {
        let load = Load::default();
        assert!(load.enter(1) && !load.enter(1));
        let (mut first, mut second) = (load.wait(1, 2).unwrap(), load.wait(1, 2).unwrap());
        assert!(load.wait(1, 2).is_none(), "the queue is full");
        load.leave(1);
        assert!(!load.enter(1), "the place is taken for who waits");
        assert!(!poll(&mut second) && poll(&mut first) && !poll(&mut first));
        load.leave(1);
        assert!(poll(&mut second));
        assert_eq!((load.in_flight(), load.waiting()), (1, 0));
    }

    #[test]
    fn who_goes_away_leaves_the_queue_or_gives_its_place_on() {
        let load = Load::default();
        assert!(load.enter(1));
        let (first, second, mut third) =
            (load.wait(1, 9).unwrap(), load.wait(1, 9).unwrap(), load.wait(1, 9).unwrap());
        drop(second);
        assert_eq!(load.waiting(), 2);
        load.leave(1);
        drop(first);
        assert!(poll(&mut third), "a place that was granted to one that went away goes to the next");
        drop(third);
        assert_eq!(
            (load.in_flight(), load.waiting()),
            (1, 0),
            "a place that was taken over is the request's"
        );
    }

    #[test]
    fn tunnels_are_counted_while_they_last_and_a_cut_can_be_mended() {
        let load = Load::default();
        let (one, two) = (load.open_tunnel(), load.open_tunnel());
        assert_eq!((load.tunnels(), load.in_flight()), (2, 0), "the place is the seat's");
        drop(one);
        assert_eq!(load.tunnels(), 1);
        drop(two);
        load.cut();
        assert!(load.is_cut() && load.tunnels() == 0);
        load.mend();
        assert!(!load.is_cut());
    }

    #[test]
    fn who_waits_is_served_when_the_limit_is_lifted() {
        let load = Load::default();
        assert!(load.enter(1));
        let mut waiting = load.wait(1, 9).unwrap();
        assert!(load.enter(0), "a configuration without a limit came meanwhile");
        assert!(!poll(&mut waiting));
        load.leave(0);
        assert!(poll(&mut waiting));
        assert_eq!((load.in_flight(), load.waiting()), (2, 0));
    }

    #[test]
    fn every_place_is_given_back_however_threads_meet() {
        let load = Load::default();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..2000 {
                        if !load.enter(2) {
                            let Some(mut waiting) = load.wait(2, 3) else { continue };
                            while !poll(&mut waiting) {
                                std::thread::yield_now();
                            }
                        }
                        assert!(load.in_flight() <= 2);
                        load.leave(2);
                    }
                });
            }
        });
        assert_eq!((load.in_flight(), load.waiting()), (0, 0));
    }
}
