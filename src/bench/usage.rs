//! What programs use: processor time, from `/proc`.

use std::collections::BTreeSet;
use std::fs;
use std::time::Duration;

/// Clock ticks a second in `/proc` (`USER_HZ`, the same on every architecture we know).
const TICKS: f64 = 100.0;

/// The processor time that these processes and all that descend from them have used so far.
pub(super) fn busy(roots: &[u32]) -> Duration {
    family(roots).iter().filter_map(|process| of(*process)).sum()
}

/// The processor time that this process has used so far.
pub(super) fn own() -> Duration {
    of(std::process::id()).unwrap_or_default()
}

/// By the scheduler's clock; by ticks, to the hundredth of a second, where there is none.
fn of(process: u32) -> Option<Duration> {
    let mut nanos = Some(0_u64);
    for thread in fs::read_dir(format!("/proc/{process}/task")).ok()?.flatten() {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok();
        let spent = text.and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        nanos = nanos.zip(spent).map(|(sum, spent)| sum + spent);
    }
    if let Some(nanos) = nanos {
        return Some(Duration::from_nanos(nanos));
    }
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = fields(&stat)?;
    let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    Some(Duration::from_secs_f64(ticks / TICKS))
}

/// The fields of `stat` behind the name in brackets.
fn fields(stat: &str) -> Option<Vec<&str>> {
    Some(stat.rsplit_once(") ")?.1.split_ascii_whitespace().collect())
}

/// Processes and all that descend from them.
pub(super) fn family(roots: &[u32]) -> BTreeSet<u32> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let process = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok());
        let Some(process) = process else { continue };
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

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_process_uses_only_grows() {
        let before = super::own();
        let sum: u64 = (0..2_000_000_u64).map(|n| std::hint::black_box(n) % 7).sum();
        assert!(sum > 0 && super::own() >= before);
        assert!(super::family(&[std::process::id()]).contains(&std::process::id()));
    }
}
