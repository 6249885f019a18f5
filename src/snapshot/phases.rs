//! How far homing is on its way from start to end; what signals, timers, workers and readiness agree on.

use std::sync::atomic::{AtomicU8, Ordering};

use tokio::sync::watch;

/// A step of homing's life. They only ever follow each other; some may be skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Phase {
    /// Not listening yet; not ready.
    Starting,
    /// Serving and ready.
    Serving,
    /// Serving, and not ready any more, so that whoever sends clients here stops doing so.
    Notice,
    /// Listeners are closed; requests in flight may end.
    Drain,
    /// Every connection is closed now; a tunnel after a last word.
    Cut,
}

/// The phase, shared: set by the control plane, read by workers on each tick, awaited by whoever has time.
#[derive(Debug)]
pub struct Phases {
    /// The same as in `changes`, without its lock.
    now: AtomicU8,
    changes: watch::Sender<Phase>,
}

impl Phases {
    /// In [`Phase::Starting`].
    #[must_use]
    pub fn new() -> Self {
        Self { now: AtomicU8::new(Phase::Starting as u8), changes: watch::Sender::new(Phase::Starting) }
    }

    /// The phase now; one load.
    #[must_use]
    pub fn now(&self) -> Phase {
        let now = self.now.load(Ordering::Acquire);
        Phase::ALL.get(usize::from(now)).copied().unwrap_or(Phase::Cut)
    }

    /// Goes on to `phase`. Whether that is a step forward; if it is not, nothing happens.
    pub fn advance(&self, phase: Phase) -> bool {
        self.changes.send_if_modified(|current| {
            let is_forward = phase > *current;
            if is_forward {
                *current = phase;
                self.now.store(phase as u8, Ordering::Release);
            }
            is_forward
        })
    }

    /// Waits until `phase` or a later one is reached. Cancel-safe; may be awaited on any runtime.
    pub async fn reached(&self, phase: Phase) {
        // An error would mean that the sender is gone, and `self` holds it.
        let _ = self.changes.subscribe().wait_for(|now| *now >= phase).await;
    }
}

impl Default for Phases {
    fn default() -> Self {
        Self::new()
    }
}

impl Phase {
    const ALL: [Self; 5] = [Self::Starting, Self::Serving, Self::Notice, Self::Drain, Self::Cut];

    /// As written in logs and by the admin listener.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Serving => "serving",
            Self::Notice => "notice",
            Self::Drain => "drain",
            Self::Cut => "cut",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phases_only_go_forward() {
        let phases = Phases::new();
        assert_eq!(phases.now(), Phase::Starting);
        assert!(phases.advance(Phase::Notice) && !phases.advance(Phase::Notice));
        assert!(!phases.advance(Phase::Serving));
        assert_eq!(phases.now(), Phase::Notice);
        assert!(phases.advance(Phase::Cut));
        assert_eq!(phases.now(), Phase::Cut);
    }

    #[tokio::test]
    async fn a_skipped_phase_counts_as_reached() {
        let phases = Phases::new();
        phases.reached(Phase::Starting).await;
        let (_, is_forward) =
            tokio::join!(phases.reached(Phase::Notice), async { phases.advance(Phase::Drain) });
        assert!(is_forward);
    }
}
