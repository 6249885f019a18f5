//! What the kernel knows of this process: memory, descriptors, time. Linux's `/proc`; elsewhere nothing.

use std::fs;

/// Clock ticks per second in `/proc`: 100 on every Linux that Rust runs on.
const TICKS_PER_SECOND: f64 = 100.0;

/// The usual `process_*` figures.
#[derive(Debug, Default, PartialEq)]
pub struct Process {
    /// Memory resident.
    pub resident_bytes: u64,
    /// Descriptors open.
    pub open_fds: usize,
    /// Descriptors allowed.
    pub max_fds: u64,
    /// Its start, in Unix seconds.
    pub start_seconds: f64,
    /// CPU time used.
    pub cpu_seconds: f64,
}

impl Process {
    /// Reads them now; `None` where there is no `/proc`.
    #[must_use]
    pub fn read() -> Option<Self> {
        let (status, stat) =
            (fs::read_to_string("/proc/self/status").ok()?, fs::read_to_string("/proc/self/stat").ok()?);
        let (limits, system) = (fs::read_to_string("/proc/self/limits"), fs::read_to_string("/proc/stat"));
        let [cpu, started] = ticks(&stat)?;
        let booted = number_after(&system.unwrap_or_default(), "btime ").unwrap_or(0);
        Some(Self {
            resident_bytes: number_after(&status, "VmRSS:").unwrap_or(0) * 1024,
            // Less the one that lists the folder.
            open_fds: fs::read_dir("/proc/self/fd").map_or(0, |dir| dir.count().saturating_sub(1)),
            max_fds: number_after(&limits.unwrap_or_default(), "Max open files").unwrap_or(0),
            start_seconds: booted as f64 + started as f64 / TICKS_PER_SECOND,
            cpu_seconds: cpu as f64 / TICKS_PER_SECOND,
        })
    }
}

/// CPU ticks used and the tick of the start. The name in field 2 may hold blanks and brackets, so fields are
/// counted from its last bracket.
fn ticks(stat: &str) -> Option<[u64; 2]> {
    let rest = &stat[stat.rfind(')')? + 1..];
    let field = |n: usize| rest.split_whitespace().nth(n - 3)?.parse::<u64>().ok();
    Some([field(14)? + field(15)?, field(22)?])
}

/// The first number behind the first `name`.
fn number_after(text: &str, name: &str) -> Option<u64> {
    let at = text.find(name)? + name.len();
    text[at..].split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_counted_from_the_last_bracket() {
        let stat = "7 (a) b) S 1 1 1 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 12345 1 1";
        assert_eq!(ticks(stat), Some([200, 12345]));
        assert_eq!(ticks("nothing"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_has_figures() {
        let process = Process::read().unwrap();
        assert!(process.resident_bytes > 100_000 && process.open_fds >= 3 && process.max_fds > 0);
        assert!(process.start_seconds > 1e9, "{process:?}");
    }
}
