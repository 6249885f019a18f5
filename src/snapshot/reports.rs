//! What workers tell the control plane: bounded, lossy, counted.

use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::mpsc;

use crate::backend::BackendIx;

/// Reports that may wait for the control plane; more are dropped and counted.
const WAITING: usize = 4096;

/// Something a worker saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Report {
    /// Which plan the places are of.
    pub epoch: u64,
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
    /// It answered. Sent only when [`Owed`] says so: it ends the trial of a backend that was ejected.
    Answered,
}

/// One worker's memory of the backends, of one pool, whose next answer the control plane waits for: those that failed
/// a request of this worker, and those that this worker saw ejected. Without it every answer would be a report.
#[derive(Debug)]
pub struct Owed(Box<[Cell<bool>]>);

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

impl Owed {
    /// Nothing owed for any of `backends` backends.
    #[must_use]
    pub fn new(backends: usize) -> Self {
        Self(std::iter::repeat_with(Cell::default).take(backends).collect())
    }

    /// The backend failed a request, or is ejected in a new view.
    pub fn note(&self, backend: BackendIx) {
        if let Some(owed) = self.0.get(backend.index()) {
            owed.set(true);
        }
    }

    /// The backend answered. Whether that is to be reported; while it `is_ejected` an answer means nothing yet.
    #[must_use]
    pub fn answered(&self, backend: BackendIx, is_ejected: bool) -> bool {
        !is_ejected && self.0.get(backend.index()).is_some_and(|owed| owed.replace(false))
    }
}

impl Reports {
    /// The next report; `None` when every worker is gone.
    pub async fn next(&mut self) -> Option<Report> {
        self.receiver.recv().await
    }

    /// Counts reports lost because too many waited.
    #[must_use]
    pub const fn dropped(&self) -> &Arc<AtomicU64> {
        &self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_owed_once_and_not_during_an_ejection() {
        let (owed, a, b) = (Owed::new(2), BackendIx(0), BackendIx(1));
        assert!(!owed.answered(a, false));
        owed.note(a);
        assert!(!owed.answered(a, true) && !owed.answered(b, false));
        assert!(owed.answered(a, false) && !owed.answered(a, false));
        owed.note(BackendIx(9));
        assert!(!owed.answered(BackendIx(9), false));
    }

    #[tokio::test]
    async fn more_reports_than_may_wait_are_counted() {
        let (reporter, mut reports) = channel();
        let report = Report { epoch: 0, pool: 0, backend: BackendIx(1), outcome: Outcome::Failed };
        (0..WAITING + 3).for_each(|_| reporter.tell(report));
        assert_eq!((reports.dropped().load(Relaxed), reports.next().await), (3, Some(report)));
    }
}
