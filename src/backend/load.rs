//! What a backend is doing now: relaxed atomics, written by every worker.
//!
//! Two atomic additions per request on a line of their own; figures for measurement live in
//! [`crate::telemetry`], per worker.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// Counters of one backend, shared by all workers.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct Load {
    in_flight: AtomicU32,
}

impl Load {
    /// Requests and tunnels in flight over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u32 {
        self.in_flight.load(Relaxed)
    }

    /// Takes a place if fewer than `max` are taken (0: no limit). The caller gives it back with [`Self::leave`].
    #[must_use]
    pub fn enter(&self, max: u32) -> bool {
        let before = self.in_flight.fetch_add(1, Relaxed);
        if max != 0 && before >= max {
            self.in_flight.fetch_sub(1, Relaxed);
            return false;
        }
        true
    }

    /// Gives a place back.
    pub fn leave(&self) {
        self.in_flight.fetch_sub(1, Relaxed);
    }
}
