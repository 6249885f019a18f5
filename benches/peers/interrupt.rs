//! Ctrl-C and TERM: every wait of a run ends at once, so that what was started is ended in order.

use std::cell::Cell;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tokio::signal::unix::{SignalKind, signal};

/// Whether the run was told to end.
pub(crate) struct Interrupt {
    told: Receiver<()>,
    was: Cell<bool>,
}

impl Interrupt {
    /// Begins to listen for signals, on a thread of its own.
    pub(crate) fn listen() -> Result<Self> {
        let (tell, told) = channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                let (Ok(mut first), Ok(mut second)) =
                    (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
                else {
                    return std::future::pending().await;
                };
                loop {
                    tokio::select! { _ = first.recv() => {}, _ = second.recv() => {} }
                    if tell.send(()).is_err() {
                        return;
                    }
                }
            });
        });
        Ok(Self { told, was: Cell::new(false) })
    }

    /// Waits for so long.
    ///
    /// # Errors
    ///
    /// The run was told to end, now or before.
    pub(crate) fn pause(&self, length: Duration) -> Result<()> {
        match self.told.recv_timeout(length) {
            Err(RecvTimeoutError::Timeout) if !self.was.get() => Ok(()),
            Err(RecvTimeoutError::Disconnected) => {
                Err(RecvTimeoutError::Disconnected).context("hear signals")
            }
            Ok(()) | Err(RecvTimeoutError::Timeout) => {
                self.was.set(true);
                bail!("interrupted")
            }
        }
    }

    /// Whether the run was told to end.
    pub(crate) fn is_told(&self) -> bool {
        self.was.get() || self.pause(Duration::ZERO).is_err()
    }
}
