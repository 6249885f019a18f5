//! The program as a child process, under the tool that counts.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, anyhow, ensure};
use rustix::process::{Pid, Signal, kill_process};

use super::rows::Unit;

/// A running program; ended on drop.
pub(crate) struct Program {
    pub(crate) address: SocketAddr,
    tool: Child,
    /// The program's own process, which is the tool's child under strace.
    pid: Pid,
    /// What it says after it has started.
    said: Option<JoinHandle<Vec<String>>>,
}

impl Program {
    /// Starts `homing` and waits until it is ready. `out` is where the tool writes its count.
    pub(crate) fn start(unit: Unit, homing: &Path, config: &Path, out: &Path) -> anyhow::Result<Self> {
        // What an earlier run left there is not to be taken for this one's.
        let _ = std::fs::remove_file(out);
        let mut command = match unit {
            Unit::Instructions => {
                let mut command = Command::new("valgrind");
                let file = format!("--callgrind-out-file={}", out.display());
                command.args(["-q", "--tool=callgrind", &file]);
                command
            }
            Unit::Calls => {
                let mut command = Command::new("strace");
                command.args(["-f", "-c", "-U", "calls,name", "-o"]).arg(out);
                command
            }
        };
        command.arg(homing).args(["run", "-c"]).arg(config);
        let mut tool =
            command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().with_context(|| {
                format!("start {:?}; `make bench-gate` installs it", command.get_program())
            })?;
        let mut lines = BufReader::new(tool.stderr.take().context("no pipe")?).lines().map_while(Result::ok);
        let (mut address, mut said) = (None, Vec::new());
        for line in lines.by_ref() {
            if let Some((_, at)) = line.split_once("://") {
                address = Some(at.parse()?);
            } else if line == "ready" {
                break;
            }
            said.push(line);
        }
        let pid = match unit {
            Unit::Instructions => Some(Pid::from_child(&tool)),
            Unit::Calls => child_of(tool.id()),
        };
        let (Some(address), Some(pid)) = (address, pid) else {
            let _ = tool.kill();
            return Err(anyhow!("it did not start: {}", said.join("\n")));
        };
        let said = std::thread::spawn(move || {
            said.extend(lines);
            said
        });
        Ok(Self { address, tool, pid, said: Some(said) })
    }

    /// Ends it, so that the tool writes its count. Gives what it said.
    pub(crate) fn stop(mut self) -> anyhow::Result<String> {
        kill_process(self.pid, Signal::TERM)?;
        let said = self.said.take().and_then(|said| said.join().ok()).unwrap_or_default().join("\n");
        let status = self.tool.wait()?;
        ensure!(status.success(), "it ended with {status}: {said}");
        Ok(said)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // Not taken by `stop`: it still runs.
        if self.said.is_some() {
            let _ = kill_process(self.pid, Signal::KILL);
            let _ = self.tool.wait();
        }
    }
}

/// What the tool counted in all.
pub(crate) fn total(unit: Unit, out: &Path) -> anyhow::Result<u64> {
    let text = std::fs::read_to_string(out).with_context(|| format!("read {}", out.display()))?;
    let count = match unit {
        Unit::Instructions => text.lines().find_map(|line| line.strip_prefix("totals: ")),
        Unit::Calls => text.lines().find_map(|line| line.trim().strip_suffix(" total")),
    };
    let count = count.with_context(|| format!("no total in {}", out.display()))?;
    Ok(count.trim().parse()?)
}

fn child_of(pid: u32) -> Option<Pid> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
    Pid::from_raw(children.split_whitespace().next()?.parse().ok()?)
}
