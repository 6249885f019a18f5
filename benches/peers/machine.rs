//! The machine that a run is made on, as far as it explains the figures.

use std::fs;
use std::process::Command;
use std::time::SystemTime;

use serde_json::{Value, json};

/// What is told of it.
pub(crate) struct Machine {
    pub(crate) processor: String,
    pub(crate) cores: usize,
    pub(crate) kernel: String,
    pub(crate) system: String,
    memory_mib: u64,
    /// When the run began.
    pub(crate) date: String,
    /// The commit of the tree, with a `+` if it was changed since.
    pub(crate) commit: Option<String>,
    load_before: String,
}

impl Machine {
    pub(crate) fn look() -> Self {
        let cpuinfo = read("/proc/cpuinfo");
        let processor = value(&cpuinfo, "model name", ':').unwrap_or("unknown").to_owned();
        let system = read("/etc/os-release");
        let memory = read("/proc/meminfo");
        let memory =
            value(&memory, "MemTotal", ':').and_then(|text| text.split(' ').next()?.parse::<u64>().ok());
        Self {
            processor,
            cores: std::thread::available_parallelism().map_or(0, usize::from),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            system: value(&system, "PRETTY_NAME", '=').unwrap_or("unknown").trim_matches('"').to_owned(),
            memory_mib: memory.unwrap_or_default() / 1024,
            date: httpdate::fmt_http_date(SystemTime::now()),
            commit: commit(),
            load_before: load(),
        }
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "processor": self.processor,
            "cores": self.cores,
            "kernel": self.kernel,
            "system": self.system,
            "memory_mib": self.memory_mib,
            "load_average_before": self.load_before,
            "load_average_after": load(),
        })
    }
}

fn load() -> String {
    read("/proc/loadavg").split(' ').take(3).collect::<Vec<_>>().join(" ")
}

fn commit() -> Option<String> {
    let git = |options: &[&str]| {
        let done =
            Command::new("git").args(["-C", env!("CARGO_MANIFEST_DIR")]).args(options).output().ok()?;
        done.status.success().then(|| String::from_utf8_lossy(&done.stdout).trim().to_owned())
    };
    let commit = git(&["rev-parse", "--short=12", "HEAD"])?;
    let changed = git(&["status", "--porcelain", "--untracked-files=no"])?;
    Some(if changed.is_empty() { commit } else { format!("{commit}+") })
}

fn read(path: &str) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// The first value under that name.
fn value<'a>(text: &'a str, name: &str, between: char) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (found, value) = line.split_once(between)?;
        (found.trim() == name).then(|| value.trim())
    })
}
