//! Programs that a run starts: each has a group of its own, and is ended by its process id when its `Program` goes, with
//! all that descends from it. A folder for a run's files goes with the run.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{BufRead as _, BufReader, Read};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use parking_lot::Mutex;
use rustix::process::Signal;

use super::family::{end_gently, family, tell};

/// Between two looks at what is waited for.
const LOOK: Duration = Duration::from_millis(5);
/// Last lines that are kept of what it says.
const LINES: usize = 50;

/// A program that is not installed.
#[derive(Debug, thiserror::Error)]
#[error("{program} is not installed; on Debian and Ubuntu: apt-get install {package}")]
pub struct Missing {
    /// What would be started.
    pub program: String,
    /// Debian's package that has it.
    pub package: String,
}

/// A running program.
#[derive(Debug)]
pub(super) struct Program {
    name: String,
    child: Child,
    said: Arc<Said>,
}

#[derive(Debug, Default)]
struct Said {
    lines: Mutex<VecDeque<String>>,
}

impl Program {
    /// Starts it; both its outputs are read.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn start(name: &str, mut command: Command) -> Result<Self> {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        let mut child = command.spawn().with_context(|| format!("start {name}"))?;
        let said = Arc::new(Said::default());
        listen(child.stdout.take(), &said);
        listen(child.stderr.take(), &said);
        Ok(Self { name: name.to_owned(), child, said })
    }

    pub(super) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line for which this answers something.
    ///
    /// # Errors
    /// There is none in time.
    pub(super) async fn says<T>(&mut self, within: Duration, what: impl Fn(&str) -> Option<T>) -> Result<T> {
        let end = Instant::now() + within;
        loop {
            if let Some(found) = self.said.lines.lock().iter().find_map(|line| what(line)) {
                return Ok(found);
            }
            self.check()?;
            if Instant::now() > end {
                bail!("{} did not begin within {within:?}; it said: {}", self.name, self.last_words());
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// # Errors
    /// It has ended; the error has its last words.
    pub(super) fn check(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("look after {}", self.name))? {
            None => Ok(()),
            Some(status) => bail!("{} ended ({status}); it said: {}", self.name, self.last_words()),
        }
    }

    /// How it ended, if it has.
    ///
    /// # Errors
    /// Nobody knows.
    pub(super) fn ended(&mut self) -> Result<Option<std::process::ExitStatus>> {
        self.child.try_wait().with_context(|| format!("look after {}", self.name))
    }

    pub(super) fn last_words(&self) -> String {
        let lines = self.said.lines.lock();
        let lines: Vec<&str> = lines.iter().rev().take(8).rev().map(String::as_str).collect();
        if lines.is_empty() { "nothing".to_owned() } else { lines.join(" / ") }
    }

    pub(super) fn signal(&self, signal: Signal) {
        tell(self.child.id(), signal);
    }

    /// Ends it at once, as `kill -9` does.
    pub(super) fn kill(&mut self) {
        end(&mut self.child);
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        end_gently(&mut self.child);
    }
}

/// Ends a process at once with all that descends from it, each by its id.
pub(super) fn end(child: &mut Child) {
    for process in family(&[child.id()]) {
        tell(process, Signal::KILL);
    }
    let _ = child.wait();
}

/// Reads to the end on a thread of its own: it ends with the program.
fn listen(output: Option<impl Read + Send + 'static>, said: &Arc<Said>) {
    let (Some(output), said) = (output, Arc::clone(said)) else { return };
    std::thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            let mut lines = said.lines.lock();
            if lines.len() == LINES {
                lines.pop_front();
            }
            lines.push_back(line);
        }
    });
}

/// Where a command lies. Debian keeps servers in the `sbin` beside a `bin`, where not everybody's path leads.
///
/// # Errors
/// It is not installed.
pub(super) fn find(program: &str, package: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing = || Missing { program: program.to_owned(), package: package.to_owned() };
    std::env::split_paths(&path)
        .flat_map(|folder| [folder.with_file_name("sbin"), folder])
        .map(|folder| folder.join(program))
        .find(|path| path.is_file())
        .ok_or_else(|| missing().into())
}

/// A command's first line of output, for its version.
pub(super) fn first_line(program: &Path, argument: &str) -> Option<String> {
    let output = Command::new(program).arg(argument).stdin(Stdio::null()).output().ok()?;
    let text = if output.stdout.is_empty() { output.stderr } else { output.stdout };
    Some(String::from_utf8_lossy(&text).lines().next()?.to_owned())
}

/// A folder that goes when this does.
#[derive(Debug)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// # Errors
    /// It cannot be made.
    pub(super) fn new() -> Result<Self> {
        use std::os::unix::fs::DirBuilderExt as _;
        let name = format!("homing-bench-{}-{:016x}", std::process::id(), fastrand::u64(..));
        let path = std::env::temp_dir().join(name);
        // Workers of nginx run as somebody else, if it is started by root.
        let made = std::fs::DirBuilder::new().mode(0o755).create(&path);
        made.with_context(|| format!("make the folder {}", path.display()))?;
        Ok(Self(path))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// # Errors
    /// It cannot be written.
    pub(super) fn write(&self, name: &str, text: &str) -> Result<PathBuf> {
        use std::io::Write as _;
        use std::os::unix::fs::OpenOptionsExt as _;
        let path = self.0.join(name);
        let mut options = std::fs::OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(&path);
        file.and_then(|mut file| file.write_all(text.as_bytes()))
            .with_context(|| format!("write {}", path.display()))?;
        Ok(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// This program, to be started again.
///
/// # Errors
/// Nobody knows where it lies.
pub(super) fn this() -> Result<Command> {
    Ok(Command::new(std::env::current_exe().context("ask where this program lies")?))
}

/// A shell's command line.
pub(super) fn shell(line: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("sh");
    command.arg("-c").arg(line);
    command
}
