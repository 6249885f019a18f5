//! How far stopping has come: written by the control plane, read by workers.

use std::sync::atomic::{AtomicU8, Ordering};

/// A step of a graceful stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Phase {
    /// Serving.
    Serving,
    /// Serving, and not ready: whoever sends us clients should stop.
    Notice,
    /// Not accepting; requests in flight may end.
    Drain,
    /// Over.
    Cut,
}

/// The present phase.
#[derive(Debug, Default)]
pub struct Phases(AtomicU8);

impl Phases {
    /// The present phase.
    #[must_use]
    pub fn now(&self) -> Phase {
        match self.0.load(Ordering::Acquire) {
            0 => Phase::Serving,
            1 => Phase::Notice,
            2 => Phase::Drain,
            _ => Phase::Cut,
        }
    }

    /// Goes on to `phase`; never back.
    pub fn advance(&self, phase: Phase) {
        self.0.fetch_max(phase as u8, Ordering::AcqRel);
    }
}
