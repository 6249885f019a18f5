//! A worker's coarse clock and the deadlines that hang on it.
//!
//! Every wait of a connection has a deadline, and setting one is a store into a slab: no timer is made or dropped
//! per request. A tick each 100 ms moves the clock and wakes the tasks whose deadline passed.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// From one tick to the next: how late a deadline may fire.
pub const TICK: Duration = Duration::from_millis(100);

const NEVER: u64 = u64::MAX;

/// One worker's clock.
#[derive(Debug, Default)]
pub struct Clock {
    /// Milliseconds since the worker began, as of the last tick.
    now: Cell<u64>,
    at: RefCell<Vec<u64>>,
    wakers: RefCell<Vec<Option<Waker>>>,
    free: RefCell<Vec<usize>>,
}

/// One task's deadline.
#[derive(Debug)]
pub struct Deadline {
    clock: Rc<Clock>,
    place: usize,
}

impl Clock {
    /// Milliseconds since the worker began, as of the last tick.
    #[must_use]
    pub fn now(&self) -> u64 {
        self.now.get()
    }

    /// Moves the clock and wakes the tasks whose deadline passed.
    pub fn tick(&self, now: Duration) {
        let now = u64::try_from(now.as_millis()).unwrap_or(NEVER - 1);
        self.now.set(now);
        for (place, at) in self.at.borrow().iter().enumerate() {
            if *at <= now {
                self.wake(place);
            }
        }
    }

    /// Wakes every task that has a deadline, for a change of phase.
    pub fn wake_all(&self) {
        (0..self.at.borrow().len()).for_each(|place| self.wake(place));
    }

    /// A deadline for a new task: none yet.
    #[must_use]
    pub fn deadline(self: &Rc<Self>) -> Deadline {
        let place = self.free.borrow_mut().pop().unwrap_or_else(|| {
            self.at.borrow_mut().push(NEVER);
            self.wakers.borrow_mut().push(None);
            self.at.borrow().len() - 1
        });
        Deadline { clock: Rc::clone(self), place }
    }

    fn wake(&self, place: usize) {
        if let Some(Some(waker)) = self.wakers.borrow().get(place) {
            waker.wake_by_ref();
        }
    }
}

impl Deadline {
    /// Ties the deadline to the task that polls with `cx`; done once per task.
    pub fn tie(&self, cx: &Context<'_>) {
        if let Some(waker) = self.clock.wakers.borrow_mut().get_mut(self.place) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// Passes `after` from now, up to two ticks late and never early.
    pub fn set(&self, after: Duration) {
        let after = u64::try_from((after + TICK).as_millis()).unwrap_or(NEVER / 2);
        self.store(self.clock.now.get().saturating_add(after));
    }

    /// Never passes.
    pub fn clear(&self) {
        self.store(NEVER);
    }

    /// Ready once it has passed.
    pub fn poll(&self) -> Poll<()> {
        let at = self.clock.at.borrow().get(self.place).copied().unwrap_or(NEVER);
        if at <= self.clock.now.get() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn store(&self, at: u64) {
        if let Some(place) = self.clock.at.borrow_mut().get_mut(self.place) {
            *place = at;
        }
    }
}

impl Drop for Deadline {
    fn drop(&mut self) {
        self.store(NEVER);
        if let Some(waker) = self.clock.wakers.borrow_mut().get_mut(self.place) {
            *waker = None;
        }
        self.clock.free.borrow_mut().push(self.place);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_is_never_early_and_can_be_moved() {
        let clock = Rc::new(Clock::default());
        let deadline = clock.deadline();
        assert!(deadline.poll().is_pending());
        deadline.set(Duration::from_secs(1));
        clock.tick(Duration::from_millis(1050));
        assert!(deadline.poll().is_pending());
        deadline.set(Duration::from_secs(1));
        clock.tick(Duration::from_millis(1200));
        assert!(deadline.poll().is_pending());
        clock.tick(Duration::from_millis(2200));
        assert!(deadline.poll().is_ready());
        deadline.clear();
        assert!(deadline.poll().is_pending());
        drop(deadline);
        assert!(clock.deadline().poll().is_pending(), "a place given back keeps no deadline");
    }
}
