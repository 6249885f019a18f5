//! Where the current snapshot hangs, and how workers notice a new one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::Snapshot;
use crate::backend::Backend;

/// The current snapshot. Written by the control plane alone.
#[derive(Debug)]
pub struct Published {
    generation: AtomicU64,
    current: ArcSwap<Snapshot>,
    cuts: AtomicU64,
}

impl Published {
    /// Hangs up the first snapshot.
    #[must_use]
    pub fn new(snapshot: Snapshot) -> Self {
        Self {
            generation: AtomicU64::new(1),
            current: ArcSwap::from_pointee(snapshot),
            cuts: AtomicU64::new(0),
        }
    }

    /// Hangs up the next one.
    pub fn publish(&self, snapshot: Snapshot) {
        self.current.store(Arc::new(snapshot));
        self.generation.fetch_add(1, Ordering::Release);
    }

    /// Grows with every publication. One load of a line that is seldom written: cheap enough for every request.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation.load(Ordering::Acquire)
    }

    /// Ends the tunnels of a backend, politely, and those that begin on it until its load is mended. Workers see it
    /// at their next tick, whether the backend is in the snapshot or not any more.
    pub fn cut(&self, backend: &Backend) {
        backend.load.cut();
        self.cuts.fetch_add(1, Ordering::Release);
    }

    /// Grows with every cut: whoever sees it grow wakes its tunnels.
    #[must_use]
    pub fn cuts(&self) -> u64 {
        self.cuts.load(Ordering::Acquire)
    }

    /// The current snapshot.
    #[must_use]
    pub fn load(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }
}
