//! What programs use: processor time, from `/proc`.

use std::time::Duration;

use super::family::{TICKS, family, fields, scheduled};

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
    if let Some(nanos) = scheduled(process) {
        return Some(Duration::from_nanos(nanos));
    }
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let fields: Vec<&str> = fields(&stat)?;
    let ticks: f64 = [11, 12].iter().filter_map(|i| fields.get(*i)?.parse::<f64>().ok()).sum();
    Some(Duration::from_secs_f64(ticks / TICKS))
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
