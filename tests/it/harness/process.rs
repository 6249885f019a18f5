//! The program itself, as a process of its own: it can be killed, and the kernel tells what it uses.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal};
use socket2::Socket;
use tempfile::TempDir;

use super::backend::bound;
use super::{Setup, get, until};

/// Descriptors that a process is given where a test does not care.
const DESCRIPTORS: u32 = 16_384;

/// Clock ticks a second in `/proc` (USER_HZ, the same on every architecture we know).
const TICKS: u32 = 100;
/// Lines kept of what it says, to be shown for a test that fails.
const LINES: usize = 50;

/// A running program with its files. It is killed on drop.
pub(crate) struct Process {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    child: Child,
    files: TempDir,
    descriptors: u32,
    said: Said,
    /// Bound for as long as this lives, so that no other test is given its ports while it is started again.
    _reserved: [Socket; 2],
}

/// The last lines that a process said.
type Said = Arc<Mutex<VecDeque<String>>>;

impl Setup {
    /// Cookie affinity with a key in a file, which a program that is started again finds there.
    pub(crate) fn cookie_with_key(self) -> Self {
        self.with(
            "\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\nsecret = { file = \"cookie.key\" }\n",
        )
    }

    /// Starts the program.
    pub(crate) fn spawn(&self) -> Process {
        self.spawn_with(DESCRIPTORS)
    }

    /// Starts the program with so many descriptors, or with as many as we have ourselves.
    pub(crate) fn spawn_with(&self, descriptors: u32) -> Process {
        raise_limit();
        let files = tempfile::tempdir().unwrap();
        write_private(&files.path().join("cookie.key"), &"5a".repeat(32));
        let reserved = [(); 2].map(|()| bound("127.0.0.1:0".parse().unwrap()));
        let text = reserved.iter().fold(self.toml(), |text, socket| {
            let address = socket.local_addr().unwrap().as_socket().unwrap();
            text.replacen("\"127.0.0.1:0\"", &format!("\"{address}\""), 1)
        });
        std::fs::write(files.path().join("config.toml"), text).unwrap();
        let said = Said::default();
        let (child, address, admin) = start(files.path(), descriptors, &said);
        Process { address, admin, child, files, descriptors, said, _reserved: reserved }
    }
}

impl Process {
    /// Kills it, as `kill -9` does.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Starts it again after it was killed, on the same ports and with the same files.
    pub(crate) fn start_again(&mut self) {
        let (child, address, admin) = start(self.files.path(), self.descriptors, &self.said);
        assert_eq!((address, admin), (self.address, self.admin));
        self.child = child;
    }

    /// Waits until it has ended by itself.
    pub(crate) fn ends(&mut self) {
        until(|| self.child.try_wait().unwrap().is_some());
    }

    /// A file of its folder.
    pub(crate) fn file(&self, name: &str) -> std::path::PathBuf {
        self.files.path().join(name)
    }

    /// Waits until one of the last lines that it said has this in it.
    pub(crate) fn until_said(&self, text: &str) {
        super::until(|| self.said.lock().iter().any(|line| line.contains(text)));
    }

    /// How many of the last lines that it said have this in them.
    pub(crate) fn said(&self, text: &str) -> usize {
        self.said.lock().iter().filter(|line| line.contains(text)).count()
    }

    /// Its configuration as it is on disk.
    pub(crate) fn config(&self) -> String {
        std::fs::read_to_string(self.files.path().join("config.toml")).unwrap()
    }

    /// Writes its configuration anew and asks for a reload; how many have been answered by then, (done, refused).
    pub(crate) fn reload(&self, text: &str) -> (u64, u64) {
        let before = self.reloads();
        std::fs::write(self.files.path().join("config.toml"), text).unwrap();
        self.signal(Signal::HUP);
        until(|| self.reloads() != before);
        self.reloads()
    }

    /// A figure of its metrics, by the whole name of the series.
    pub(crate) fn metric(&self, series: &str) -> Option<f64> {
        let reply = get(self.admin, "/metrics");
        let text = String::from_utf8(reply.body).unwrap();
        text.lines().find_map(|l| l.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
    }

    pub(crate) fn signal(&self, signal: Signal) {
        rustix::process::kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// How many reloads were done so far, and refused.
    pub(crate) fn reloads(&self) -> (u64, u64) {
        let of = |result| format!("homing_config_reloads_total{{result=\"{result}\"}}");
        let count = |result| self.metric(&of(result)).map_or(0, |n| n as u64);
        (count("ok"), count("refused"))
    }

    /// Memory in use, in KiB.
    pub(crate) fn memory(&self) -> u64 {
        self.status("VmRSS:")
    }

    /// The most memory that was ever in use, in KiB.
    pub(crate) fn peak(&self) -> u64 {
        self.status("VmHWM:")
    }

    /// Processor time used so far.
    pub(crate) fn busy(&self) -> Duration {
        let stat = self.proc("stat");
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let ticks: u32 = [11, 12].map(|i| fields[i].parse::<u32>().unwrap()).iter().sum();
        Duration::from_secs(1) * ticks / TICKS
    }

    /// Descriptors that are open.
    pub(crate) fn open(&self) -> usize {
        std::fs::read_dir(format!("/proc/{}/fd", self.child.id())).unwrap().count()
    }

    /// Waits until no more descriptors are open than these.
    pub(crate) fn until_open(&self, at_most: usize) {
        until(|| self.open() <= at_most);
    }

    fn status(&self, name: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find_map(|l| l.strip_prefix(name)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            self.said.lock().iter().for_each(|line| println!("homing: {line}"));
        }
    }
}

/// Descriptors that this process itself may have open.
pub(crate) fn descriptors() -> u32 {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|l| l.starts_with("Max open files")).unwrap();
    line.split_whitespace().nth(3).unwrap().parse().unwrap_or(u32::MAX)
}

/// Clients and backends are both in this process, so that it needs as many descriptors as the program. Where they
/// cannot be had, hordes are smaller.
fn raise_limit() {
    if descriptors() < DESCRIPTORS {
        let mut prlimit = Command::new("prlimit");
        prlimit.arg(format!("--pid={}", std::process::id())).arg(format!("--nofile={DESCRIPTORS}:"));
        let _ = prlimit.stderr(Stdio::null()).status();
    }
}

fn write_private(path: &Path, text: &str) {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
}

/// Starts the program and reads from what it says where it listens.
fn start(folder: &Path, descriptors: u32, said: &Said) -> (Child, SocketAddr, SocketAddr) {
    let limit = format!("ulimit -n {descriptors} 2>/dev/null; exec \"$0\" run -c config.toml");
    let mut command = Command::new("sh");
    command.args(["-c", &limit, env!("CARGO_BIN_EXE_homing")]).current_dir(folder);
    let mut child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let (mut address, mut admin) = (None, None);
    loop {
        let Some(line) = lines.next() else { panic!("it did not start: {:#?}", said.lock()) };
        if let Some((what, at)) = line.split_once(": http://").or_else(|| line.split_once(": https://")) {
            let slot = if what == "admin" { &mut admin } else { &mut address };
            *slot = Some(at.parse().unwrap());
        } else if line == "ready" {
            break;
        }
        said.lock().push_back(line);
    }
    let said = Arc::clone(said);
    std::thread::spawn(move || {
        for line in lines {
            let mut said = said.lock();
            said.push_back(line);
            if said.len() > LINES {
                said.pop_front();
            }
        }
    });
    (child, address.unwrap(), admin.unwrap())
}
