//! Programs that a run starts. Each is ended by its process id when its `Program` is dropped, with all that descends from
//! it; and it ends by itself when the run does, however that happens (`roles::settle`).

use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::family::end_gently;
use crate::interrupt::Interrupt;
use crate::usage::Usage;

/// How long it may take to listen.
const START: Duration = Duration::from_secs(15);
/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(10);
/// Of what a program said, so many last bytes are shown.
const SHOWN: usize = 1_500;

/// A running program.
pub(crate) struct Program {
    name: String,
    child: Child,
    /// What it says on its standard error.
    said: PathBuf,
    lines: Option<Receiver<String>>,
}

impl Program {
    /// Starts another program on these processors. What it says goes to a file in the folder.
    pub(crate) fn start(name: &str, cpus: &[usize], command: &[String], folder: &Path) -> Result<Self> {
        let mut own = own()?;
        own.arg("become").arg(on(cpus)).arg("--").args(command);
        own.stdin(Stdio::null());
        Self::spawn(name, own, folder, false)
    }

    /// Starts this program in a role that speaks line by line.
    pub(crate) fn role(role: &str, cpus: &[usize], options: &[String], folder: &Path) -> Result<Self> {
        let mut own = own()?;
        own.arg(role).arg(on(cpus)).args(options);
        own.stdin(Stdio::piped());
        Self::spawn(role, own, folder, true)
    }

    fn spawn(name: &str, mut command: Command, folder: &Path, speaks: bool) -> Result<Self> {
        let said = folder.join(format!("{name}.log"));
        let log = File::create(&said).with_context(|| format!("write {}", said.display()))?;
        let output = if speaks { Stdio::piped() } else { log.try_clone()?.into() };
        // A group of its own: Ctrl-C reaches the one that leads, which ends the others.
        let child = command.stdout(output).stderr(log).process_group(0).spawn();
        let mut child = child.with_context(|| format!("start {name}"))?;
        let lines = child.stdout.take().map(|output| {
            let (tell, lines) = channel();
            std::thread::spawn(move || {
                BufReader::new(output).lines().map_while(Result::ok).try_for_each(|line| tell.send(line))
            });
            lines
        });
        Ok(Self { name: name.to_owned(), child, said, lines })
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        Usage::of(self.child.id()).with_context(|| format!("measure {}", self.name))
    }

    /// # Errors
    ///
    /// It has ended; the error says how, and what its last words were.
    pub(crate) fn check(&mut self) -> Result<()> {
        let Some(status) = self.child.try_wait().with_context(|| format!("look after {}", self.name))? else {
            return Ok(());
        };
        let said = std::fs::read(&self.said).unwrap_or_default();
        let said = String::from_utf8_lossy(&said[said.len().saturating_sub(SHOWN)..]).trim().to_owned();
        let said = if said.is_empty() { "it said nothing".to_owned() } else { format!("it said: {said}") };
        bail!("{} ended ({status}); {said}", self.name)
    }

    /// Waits until it accepts connections.
    pub(crate) fn until_listening(&mut self, address: SocketAddr, interrupt: &Interrupt) -> Result<()> {
        let end = Instant::now() + START;
        loop {
            self.check()?;
            if TcpStream::connect_timeout(&address, LOOK).is_ok() {
                return Ok(());
            }
            if Instant::now() > end {
                bail!("{} does not listen on {address} after {START:?}", self.name);
            }
            interrupt.pause(LOOK)?;
        }
    }

    /// Tells it a line.
    pub(crate) fn tell(&mut self, line: &str) -> Result<()> {
        let input = self.child.stdin.as_mut().with_context(|| format!("{} takes no lines", self.name))?;
        writeln!(input, "{line}").with_context(|| format!("tell {}: {line}", self.name))
    }

    /// Waits for its next line.
    pub(crate) fn line(&mut self, limit: Duration, interrupt: &Interrupt) -> Result<String> {
        let end = Instant::now() + limit;
        loop {
            let lines = self.lines.as_ref().with_context(|| format!("{} says no lines", self.name))?;
            match lines.recv_timeout(LOOK) {
                Ok(line) => return Ok(line),
                Err(RecvTimeoutError::Timeout) => interrupt.pause(Duration::ZERO)?,
                Err(RecvTimeoutError::Disconnected) => {
                    interrupt.pause(LOOK)?;
                    self.check()?;
                }
            }
            if Instant::now() > end {
                bail!("{} is silent for {limit:?}", self.name);
            }
        }
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // A role ends with its input.
        drop(self.child.stdin.take());
        end_gently(&mut self.child);
    }
}

/// This program, to be started again.
fn own() -> Result<Command> {
    Ok(Command::new(std::env::current_exe().context("ask where this program lies")?))
}

fn on(cpus: &[usize]) -> String {
    let cpus: Vec<String> = cpus.iter().map(usize::to_string).collect();
    format!("--cpus={}", cpus.join(","))
}
