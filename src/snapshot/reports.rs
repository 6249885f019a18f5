//! What workers tell the control plane: bounded, lossy, counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::mpsc;

use crate::backend::BackendIx;

/// Reports that may wait for the control plane; more are dropped and counted.
const WAITING: usize = 4096;

/// Something a worker saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// The pool, by place in the snapshot.
    pub pool: usize,
    /// The backend.
    pub backend: BackendIx,
    /// What happened.
    pub outcome: Outcome,
}

/// How a real request went with a backend, as far as passive checks care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It failed: connection refused, timed out, broken off or answered wrongly.
    Failed,
    /// It answered. Sent only for a backend that is ejected or failed lately.
    Answered,
}

/// The workers' end.
#[derive(Clone, Debug)]
pub struct Reporter {
    sender: mpsc::Sender<Report>,
    dropped: Arc<AtomicU64>,
}

/// The control plane's end.
#[derive(Debug)]
pub struct Reports {
    receiver: mpsc::Receiver<Report>,
    dropped: Arc<AtomicU64>,
}

/// Both ends.
#[must_use]
pub fn channel() -> (Reporter, Reports) {
    let (sender, receiver) = mpsc::channel(WAITING);
    let dropped = Arc::new(AtomicU64::new(0));
    (Reporter { sender, dropped: Arc::clone(&dropped) }, Reports { receiver, dropped })
}

impl Reporter {
    /// Tells the control plane; never waits.
    pub fn tell(&self, report: Report) {
        if self.sender.try_send(report).is_err() {
            self.dropped.fetch_add(1, Relaxed);
        }
    }
}

impl Reports {
    /// The next report; `None` when every worker is gone.
    pub async fn next(&mut self) -> Option<Report> {
        self.receiver.recv().await
    }

    /// Reports lost because too many waited.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}
