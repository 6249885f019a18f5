//! The control plane: one thread that decides what is true, and says so.
//!
//! It owns every probe, timer and decision about availability. [`checker`] probes, `state` turns probes, workers' reports
//! and operators' wishes into verdicts and publishes them, `owner` does what is asked for ([`reload`] among it),
//! `drain` is how a backend is emptied, [`admin`] answers questions and takes wishes, `board` is what it reads beside the
//! snapshot, [`keeper`] keeps tables on disk, `certificates` reads those of listeners again, [`stopping`] ends the process in order. It
//! never sees a client's request and never names the data plane.

pub mod admin;
mod board;
mod certificates;
pub mod checker;
mod drain;
mod figures;
pub mod keeper;
mod owner;
mod probe_http2;
mod recent;
pub mod reload;
mod state;
pub mod stopping;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::snapshot::phases::Phases;
use crate::snapshot::published::Published;
use crate::snapshot::reports::Reports;
use crate::telemetry::access_log::Reopener;
use crate::telemetry::metrics::Metrics;

use board::Board;
use owner::Owner;
use reload::Reloader;

/// Verdicts of probes that may wait; the probes wait beyond it.
const PROBED: usize = 256;
/// Wishes of operators that may wait; they wait beyond it.
const ASKED: usize = 64;
/// When nothing is due the owner of the state still looks this often.
const IDLE: Duration = Duration::from_secs(3600);

/// What the control plane works with.
#[derive(Debug)]
pub struct Control {
    /// Where it publishes, with the first snapshot hung up.
    pub published: Arc<Published>,
    /// What workers tell it.
    pub reports: Reports,
    /// What it counts into and renders.
    pub metrics: Arc<Metrics>,
    /// Where it answers, if anywhere; made by [`admin::AdminSocket::new`].
    pub admin: Option<admin::AdminSocket>,
    /// The phase, which the caller moves from `Starting` to `Serving`, and signals move on from there.
    pub phases: Arc<Phases>,
    /// What SIGUSR1 reopens.
    pub access_log: Option<Reopener>,
    /// Where plans come from; without it nothing can be reloaded, nor weights set.
    pub reloader: Option<Reloader>,
    /// Whose signals.
    pub signals: Signals,
}

/// Whether the process's signals are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signals {
    /// SIGTERM, SIGINT, SIGQUIT, SIGUSR1 and SIGHUP of this process are ours.
    Take,
    /// They are somebody else's: homing runs inside of a test or another program.
    Leave,
}

/// The control plane's thread.
#[derive(Debug)]
pub struct Handle {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Starts the control plane on a thread of its own.
///
/// # Errors
/// No thread, no runtime, or signals that cannot be taken.
pub fn start(control: Control) -> std::io::Result<Handle> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let signals = match control.signals {
        Signals::Take => {
            let _inside = runtime.enter();
            Some(stopping::Streams::take()?)
        }
        Signals::Leave => None,
    };
    let (stop, stopped) = oneshot::channel();
    let thread = std::thread::Builder::new().name("homing-control".into()).spawn(move || {
        runtime.block_on(async {
            tokio::select! {
                () = run(control, signals) => {}
                _ = stopped => {}
            }
        });
        // Without waiting for a name that is being looked up.
        runtime.shutdown_background();
    })?;
    Ok(Handle { stop: Some(stop), thread: Some(thread) })
}

impl Handle {
    /// Ends the thread and waits for it. Called when every worker is gone; dropping the handle does the same.
    pub fn stop(self) {
        drop(self);
    }

    /// Whether the thread ended by itself, which is a bug.
    #[must_use]
    pub fn is_finished(&self) -> bool {
        self.thread.as_ref().is_none_or(std::thread::JoinHandle::is_finished)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.stop.take();
        if self.thread.take().is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the control thread panicked");
        }
    }
}

/// The control plane itself; does not end by itself. Dropped, it ends every task that it started.
pub async fn run(control: Control, signals: Option<stopping::Streams>) {
    let Control { published, mut reports, metrics, admin, phases, access_log, reloader, signals: _ } =
        control;
    let started = Instant::now();
    let board = Arc::new(Board::default());
    let (probed, mut verdicts) = mpsc::channel(PROBED);
    let (desk, mut asked) = mpsc::channel(ASKED);
    let mut tasks = JoinSet::new();
    let mut owner = Owner::new(
        Arc::clone(&published),
        Arc::clone(&metrics),
        Arc::clone(&phases),
        Arc::clone(&board),
        reloader,
        probed,
    );
    if let Some(socket) = admin {
        let dropped = Arc::clone(reports.dropped());
        let view = admin::View::new(
            Arc::clone(&published),
            Arc::clone(&metrics),
            Arc::clone(&phases),
            Arc::clone(&board),
            dropped,
            desk.clone(),
        );
        tasks.spawn(admin::serve(socket, Arc::new(view)));
    }
    if let Some(streams) = signals {
        tasks.spawn(stopping::follow_signals(streams, Arc::clone(&phases), access_log, desk.clone()));
    }
    tasks.spawn(certificates::watch(Arc::clone(&published), Arc::clone(&metrics), Arc::clone(&board)));
    tasks.spawn(keeper::keep(Arc::clone(&published), Arc::clone(&metrics), Arc::clone(&board)));
    tasks.spawn(stopping::follow_phases(phases, published));
    loop {
        let due = owner.next_due().map_or_else(|| Instant::now() + IDLE, |due| started + due);
        tokio::select! {
            // `probed` and `desk` are held here, so these never end.
            Some(verdict) = verdicts.recv() => owner.probed(verdict).await,
            Some(report) = reports.next() => owner.state.reported(report, started.elapsed()),
            Some(ask) = asked.recv() => owner.obey(ask).await,
            () = tokio::time::sleep_until(due) => owner.tick(started.elapsed()).await,
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a control task ended: {error}");
                }
            }
        }
    }
}

#[cfg(test)]
mod testing;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::BackendIx;
    use crate::base::address::Address;
    use crate::health::Probe;
    use crate::snapshot::phases::Phase;
    use crate::snapshot::reports::{self, Outcome, Report, Reporter};

    /// A control plane of two backends of which nobody answers; `check` is whether they are probed.
    fn control(check: bool) -> (Control, Arc<Published>, Reporter) {
        let nowhere = || Address::Unix("/nowhere/at/all".into());
        let backends = vec![testing::backend("a", nowhere()), testing::backend("b", nowhere())];
        let plan = testing::plan(backends, check.then(|| testing::check(Probe::Tcp)));
        let (published, metrics) = testing::published(plan);
        let (reporter, reports) = reports::channel();
        let control = Control {
            published: Arc::clone(&published),
            reports,
            metrics,
            admin: None,
            phases: Arc::new(Phases::new()),
            access_log: None,
            reloader: None,
            signals: Signals::Leave,
        };
        (control, published, reporter)
    }

    /// Waits, in paused time, until so many backends are open; how long that took.
    async fn until_open(published: &Published, n: usize) -> Duration {
        let start = Instant::now();
        while published.load().standings[0].open.len() != n {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        start.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn probes_reach_the_snapshot() {
        let (control, published, _reporter) = control(true);
        let took = tokio::select! {
            () = run(control, None) => Duration::ZERO,
            took = until_open(&published, 0) => took,
        };
        // Three checks, at 0, 2 and 4 s.
        assert_eq!(took.as_secs(), 4);
    }

    #[tokio::test(start_paused = true)]
    async fn reports_eject_and_time_opens_again_after_the_last_worker_is_gone() {
        let (control, published, reporter) = control(false);
        let failed = Report { epoch: 0, pool: 0, backend: BackendIx(1), outcome: Outcome::Failed };
        let watch = async {
            (0..2).for_each(|_| reporter.tell(failed));
            until_open(&published, 1).await;
            drop(reporter);
            until_open(&published, 2).await
        };
        let took = tokio::select! {
            () = run(control, None) => Duration::ZERO,
            took = watch => took,
        };
        assert!((9..=10).contains(&took.as_secs()), "{took:?}");
    }

    #[test]
    fn a_handle_ends_its_thread() {
        let (control, ..) = control(true);
        let phases = Arc::clone(&control.phases);
        let handle = start(control).unwrap();
        phases.advance(Phase::Serving);
        assert!(!handle.is_finished());
        handle.stop();
        assert_eq!(Arc::strong_count(&phases), 1);
    }
}
