//! What the kernel knows of processes and processors: `/proc`.

use std::collections::BTreeSet;
use std::fs;

use anyhow::{Context as _, Result, bail};

use crate::family::{TICKS, family, fields, scheduled};

/// Bytes of a page, as `/proc` counts resident memory.
const PAGE: u64 = 4096;

/// What a program has used: all its processes, all their threads.
#[derive(Clone, Default)]
pub(crate) struct Usage {
    processes: BTreeSet<u32>,
    /// Processor time, from the scheduler.
    nanos: u64,
    /// User and system time, in ticks; coarse, for their proportion.
    user: u64,
    system: u64,
    /// Resident memory of all processes together; shared pages count in each.
    pub(crate) resident: u64,
}

/// The difference of two.
#[derive(Clone, Copy)]
pub(crate) struct Used {
    pub(crate) nanos: f64,
    /// The share of user time in it.
    pub(crate) user_share: Option<f64>,
}

impl Usage {
    /// Of a process and all that descend from it.
    pub(crate) fn of(root: u32) -> Result<Self> {
        let mut usage = Self::default();
        for process in family(&[root]) {
            usage.add(process).with_context(|| format!("read what process {process} uses"))?;
        }
        Ok(usage)
    }

    /// What was used since an earlier look.
    ///
    /// # Errors
    ///
    /// The processes are not the same: what ended has taken its figures along.
    pub(crate) fn since(&self, earlier: &Self) -> Result<Used> {
        if self.processes != earlier.processes {
            bail!("its processes changed from {:?} to {:?}", earlier.processes, self.processes);
        }
        let (user, system) = (self.user - earlier.user, self.system - earlier.system);
        let user_share = (user + system > 0).then(|| user as f64 / (user + system) as f64);
        Ok(Used { nanos: self.nanos.saturating_sub(earlier.nanos) as f64, user_share })
    }

    fn add(&mut self, process: u32) -> Result<()> {
        let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
        let fields = fields(&stat).context("a line of stat")?;
        let field = |i: usize| fields.get(i).and_then(|f| f.parse::<u64>().ok()).context("a field of stat");
        let (user, system) = (field(11)?, field(12)?);
        self.user += user;
        self.system += system;
        self.resident += field(21)? * PAGE;
        self.nanos += match scheduled(process) {
            Some(nanos) => nanos,
            // A kernel without schedstat: to the hundredth of a second.
            None => ((user + system) as f64 / TICKS * 1e9) as u64,
        };
        self.processes.insert(process);
        Ok(())
    }
}

/// Time that processors have spent on anything, in nanoseconds, to the hundredth of a second each.
pub(crate) fn busy(cpus: &[usize]) -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    let mut ticks = 0;
    for cpu in cpus {
        let name = format!("cpu{cpu} ");
        let line = stat.lines().find_map(|line| line.strip_prefix(&name)).context("a processor's line")?;
        let times: Vec<u64> = line.split_ascii_whitespace().filter_map(|t| t.parse().ok()).collect();
        // user, nice, system, (idle, iowait,) irq, softirq, steal
        ticks += [0, 1, 2, 5, 6, 7].iter().filter_map(|i| times.get(*i)).sum::<u64>();
    }
    Ok(ticks as f64 / TICKS * 1e9)
}
