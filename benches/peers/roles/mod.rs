//! What this program is when it has started itself again. Each role ends with the one that leads.

pub(crate) mod backend;
pub(crate) mod calls;
pub(crate) mod connection;
pub(crate) mod frames;
pub(crate) mod histogram;
pub(crate) mod http;
pub(crate) mod load;
pub(crate) mod poll;
pub(crate) mod streams;
pub(crate) mod transform;
pub(crate) mod transport;
pub(crate) mod visitor;

use anyhow::{Context as _, Result};
use rustix::process::{Signal, set_parent_process_death_signal};
use rustix::thread::{CpuSet, sched_setaffinity};

/// Runs on these processors from now on, and ends when whoever started us ends. Both survive becoming another program.
pub(crate) fn settle(cpus: &[usize]) -> Result<()> {
    set_parent_process_death_signal(Some(Signal::TERM)).context("ask to be ended with the parent")?;
    let mut set = CpuSet::new();
    cpus.iter().for_each(|cpu| set.set(*cpu));
    sched_setaffinity(None, &set).with_context(|| format!("run on the processors {cpus:?} alone"))
}
