//! Signals and the way to the end: notice, drain, cut.
//!
//! | signal | does |
//! |---|---|
//! | SIGTERM, SIGQUIT | not ready for `notice`, then listeners close and requests may end for `drain`, then all is cut, tunnels with a last word |
//! | SIGINT | the same; without the notice if standard input is a terminal, for nobody sends clients to a developer |
//! | a second of those | cuts at once |
//! | SIGUSR1 | opens the access log anew |
//! | SIGHUP | reloads the configuration |

use std::io::IsTerminal;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;

use super::owner::{Ask, Order};
use crate::snapshot::phases::{Phase, Phases};
use crate::snapshot::published::Published;
use crate::telemetry::access_log::Reopener;

/// The process's signals, taken from their default actions.
#[derive(Debug)]
pub struct Streams {
    terminate: Signal,
    quit: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user_1: Signal,
}

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wish {
    /// To stop, by way of this phase.
    Stop(Phase),
    Reopen,
    Reload,
}

impl Streams {
    /// Takes them. Within a runtime.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn take() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            quit: signal(SignalKind::quit())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
            user_1: signal(SignalKind::user_defined1())?,
        })
    }

    async fn next(&mut self) -> Wish {
        tokio::select! {
            _ = self.terminate.recv() => Wish::Stop(Phase::Notice),
            _ = self.quit.recv() => Wish::Stop(Phase::Notice),
            _ = self.interrupt.recv() => {
                Wish::Stop(if std::io::stdin().is_terminal() { Phase::Drain } else { Phase::Notice })
            }
            _ = self.hang_up.recv() => Wish::Reload,
            _ = self.user_1.recv() => Wish::Reopen,
        }
    }
}

/// Does what signals ask for; does not end.
pub(super) async fn follow_signals(
    mut streams: Streams,
    phases: Arc<Phases>,
    access_log: Option<Reopener>,
    desk: mpsc::Sender<Ask>,
) {
    loop {
        let wish = streams.next().await;
        if wish == Wish::Reload {
            // Nobody waits for what comes of it: the log says so.
            let (ask, _) = Ask::new(Order::Reload { is_dry: false }, "SIGHUP");
            if desk.send(ask).await.is_err() {
                return;
            }
        } else {
            obey(wish, &phases, access_log.as_ref());
        }
    }
}

fn obey(wish: Wish, phases: &Phases, access_log: Option<&Reopener>) {
    match wish {
        Wish::Stop(_) if phases.now() >= Phase::Notice => {
            tracing::warn!("second signal: every connection is cut now");
            phases.advance(Phase::Cut);
        }
        Wish::Stop(phase) => {
            phases.advance(phase);
        }
        Wish::Reopen => match access_log {
            Some(log) => log.reopen(),
            None => tracing::info!("SIGUSR1: there is no access log to reopen"),
        },
        Wish::Reload => {}
    }
}

/// Leads from notice to drain to cut, each after its time, whoever began it.
pub async fn follow_phases(phases: Arc<Phases>, published: Arc<Published>) {
    phases.reached(Phase::Notice).await;
    let times = published.load().plan.shutdown;
    if phases.now() == Phase::Notice {
        tracing::info!("stopping: not ready any more, serving for another {:?}", times.notice);
        tokio::select! {
            () = tokio::time::sleep(times.notice) => { phases.advance(Phase::Drain); }
            () = phases.reached(Phase::Drain) => {}
        }
    }
    if phases.now() == Phase::Drain {
        tracing::info!("draining: no new connections, requests in flight have {:?} to end", times.drain);
        tokio::select! {
            () = tokio::time::sleep(times.drain) => {
                tracing::warn!("drain is over: what is left is cut");
                phases.advance(Phase::Cut);
            }
            () = phases.reached(Phase::Cut) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::Instant;

    use super::super::testing;
    use super::*;

    /// With a notice of 5 s and a drain of 30 s.
    fn published() -> Arc<Published> {
        testing::published(testing::plan(Vec::new(), None)).0
    }

    fn serving() -> Arc<Phases> {
        let phases = Arc::new(Phases::new());
        phases.advance(Phase::Serving);
        phases
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_gives_notice_then_drains_then_cuts() {
        let (phases, start) = (serving(), Instant::now());
        let watch = async {
            obey(Wish::Stop(Phase::Notice), &phases, None);
            assert_eq!(phases.now(), Phase::Notice);
            phases.reached(Phase::Drain).await;
            assert_eq!(start.elapsed().as_secs(), 5);
            phases.reached(Phase::Cut).await;
            assert_eq!(start.elapsed().as_secs(), 35);
        };
        tokio::join!(follow_phases(Arc::clone(&phases), published()), watch);
    }

    #[tokio::test(start_paused = true)]
    async fn a_developers_interrupt_skips_the_notice() {
        let (phases, start) = (serving(), Instant::now());
        obey(Wish::Stop(Phase::Drain), &phases, None);
        follow_phases(Arc::clone(&phases), published()).await;
        assert_eq!((phases.now(), start.elapsed().as_secs()), (Phase::Cut, 30));
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_cuts_at_once() {
        for first in [Phase::Notice, Phase::Drain] {
            let (phases, start) = (serving(), Instant::now());
            let signals = async {
                obey(Wish::Stop(first), &phases, None);
                tokio::time::sleep(Duration::from_secs(1)).await;
                obey(Wish::Stop(first), &phases, None);
            };
            tokio::join!(follow_phases(Arc::clone(&phases), published()), signals);
            assert_eq!((phases.now(), start.elapsed().as_secs()), (Phase::Cut, 1));
        }
    }

    #[test]
    fn reload_and_reopen_stop_nothing() {
        let phases = serving();
        obey(Wish::Reload, &phases, None);
        obey(Wish::Reopen, &phases, None);
        assert_eq!(phases.now(), Phase::Serving);
    }
}
