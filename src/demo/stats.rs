//! What a backend counted, and what it used: for who measures it.

use rustix::time::{ClockId, clock_gettime};
use serde_json::{Value, json};

use super::backend::Backend;

/// The whole of `/stats`. Time and memory are those of the process, which a demo's backends share.
pub(super) fn tell(backend: &Backend) -> Value {
    let (counts, tally) = (&backend.counts, &backend.sessions.tally);
    let mut told = json!({
        "backend": &**backend.name(),
        "boot": backend.boot,
        "store": backend.options.sessions.to_string(),
        "requests": counts.requests.get(),
        "hits": counts.hits.get(),
        "misses": counts.misses.get(),
        "logins": counts.logins.get(),
        "unavailable": counts.unavailable.get(),
        "store_trips": tally.trips.get(),
        "store_faults": tally.faults.get(),
    });
    if let Some(told) = told.as_object_mut() {
        // Sessions that are elsewhere this backend does not count.
        backend.sessions.count().map(|sessions| told.insert("sessions".into(), sessions.into()));
        let used = clock_gettime(ClockId::ProcessCPUTime);
        let micros = used.tv_sec.saturating_mul(1_000_000).saturating_add(used.tv_nsec / 1000);
        told.insert("cpu_us".into(), micros.into());
        resident().map(|bytes| told.insert("rss_bytes".into(), bytes.into()));
    }
    told
}

/// Bytes of memory that the process has in use.
fn resident() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}
