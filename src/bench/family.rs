//! A process and all that descend from it: who they are, what the kernel says of them, and how they are ended, each by
//! its id.
//!
//! Nothing of the crate is used here: `benches/peers` takes this file in by its path.

use std::collections::BTreeSet;
use std::fs;
use std::process::Child;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// Clock ticks a second in `/proc` (`USER_HZ`, the same on every architecture we know).
pub(super) const TICKS: f64 = 100.0;
/// How long a program may take to end by itself. homing would go on for as long as its clients need to notice.
const PATIENCE: Duration = Duration::from_millis(500);
/// Between two looks at whether it has.
const LOOK: Duration = Duration::from_millis(5);

/// Processes and all that descend from them.
pub(super) fn family(roots: &[u32]) -> BTreeSet<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(process) = process else { continue };
        // It may have ended since the folder was read.
        let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let parent = fields(&stat).and_then(|fields| fields.get(1)?.parse::<u32>().ok());
        parents.extend(parent.map(|parent| (process, parent)));
    }
    let mut family: BTreeSet<u32> = roots.iter().copied().collect();
    loop {
        let before = family.len();
        let more: Vec<u32> = parents.iter().filter(|(_, p)| family.contains(p)).map(|(c, _)| *c).collect();
        family.extend(more);
        if family.len() == before {
            return family;
        }
    }
}

/// The fields of `stat` behind the name in brackets: `state` is the first.
pub(super) fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect())
}

/// How long all threads of a process were on a processor, in nanoseconds; none where the kernel has no schedstat.
pub(super) fn scheduled(process: u32) -> Option<u64> {
    let mut nanos = 0;
    for thread in fs::read_dir(format!("/proc/{process}/task")).ok()? {
        let text = fs::read_to_string(thread.ok()?.path().join("schedstat")).ok()?;
        nanos += text.split(' ').next()?.parse::<u64>().ok()?;
    }
    Some(nanos)
}

/// Ends a program that may still run: it is asked to, and killed with its family if it does not.
pub(super) fn end_gently(child: &mut Child) {
    if ended_within(child, Duration::ZERO) {
        return;
    }
    let family = family(&[child.id()]);
    // Who is stopped does not hear TERM.
    tell(child.id(), Signal::CONT);
    tell(child.id(), Signal::TERM);
    if !ended_within(child, PATIENCE) {
        family.iter().for_each(|process| tell(*process, Signal::KILL));
        ended_within(child, PATIENCE);
    }
}

fn ended_within(child: &mut Child, limit: Duration) -> bool {
    let end = Instant::now() + limit;
    loop {
        match child.try_wait() {
            Ok(None) if Instant::now() < end => std::thread::park_timeout(LOOK),
            Ok(None) => return false,
            Ok(Some(_)) | Err(_) => return true,
        }
    }
}

/// Sends a signal to a process. If it has ended there is nobody to tell.
pub(super) fn tell(process: u32, signal: Signal) {
    if let Some(pid) = i32::try_from(process).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, signal);
    }
}
