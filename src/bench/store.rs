//! The stores that sessions are kept in: real servers, started on a free port, empty.

use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::balancer::free;
use super::process::{Folder, Program, find, first_line};

/// How long one may take to begin.
const START: Duration = Duration::from_secs(10);
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(2);
/// What stands behind a kind of tokens that are looked up in a list of those that were ended.
pub(super) const DENIES: &str = "+deny";
/// Which server it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Redis,
    Memcached,
}

/// A running store.
#[derive(Debug)]
pub(super) struct Store {
    kind: Kind,
    pub(super) address: SocketAddr,
    program: Option<Program>,
    _folder: Folder,
}

impl Kind {
    /// The store that sessions of this kind need.
    pub(super) fn of(sessions: &str) -> Option<Self> {
        match sessions {
            "redis" => Some(Self::Redis),
            "memcached" => Some(Self::Memcached),
            tokens if tokens.ends_with(DENIES) => Some(Self::Redis),
            _ => None,
        }
    }

    /// Its program and Debian's package.
    const fn program(self) -> (&'static str, &'static str) {
        match self {
            Self::Redis => ("redis-server", "redis-server"),
            Self::Memcached => ("memcached", "memcached"),
        }
    }

    /// # Errors
    /// It is not installed.
    pub(super) fn version(self) -> Result<Option<String>> {
        let (program, package) = self.program();
        let line = first_line(&find(program, package)?, "--version");
        let is_version =
            |word: &&str| word.trim_start_matches("v=").starts_with(|c: char| c.is_ascii_digit());
        Ok(line.and_then(|line| Some(line.split(' ').find(is_version)?.trim_start_matches("v=").to_owned())))
    }
}

impl Store {
    /// # Errors
    /// It is not installed, or does not start.
    pub(super) async fn start(kind: Kind) -> Result<Self> {
        let address = free(Ipv4Addr::new(127, 79, 0, 1))?;
        let mut store = Self { kind, address, program: None, _folder: Folder::new()? };
        store.launch().await?;
        Ok(store)
    }

    async fn launch(&mut self) -> Result<()> {
        let (name, package) = self.kind.program();
        let mut command = Command::new(find(name, package)?);
        let (ip, port) = (self.address.ip().to_string(), self.address.port().to_string());
        match self.kind {
            Kind::Redis => {
                command.args(["--bind", &ip, "--port", &port, "--save", "", "--appendonly", "no"]);
                command.current_dir(self._folder.path());
            }
            Kind::Memcached => {
                command.args(["-l", &ip, "-p", &port, "-U", "0", "-m", "64"]);
                if rustix::process::geteuid().is_root() {
                    command.args(["-u", "nobody"]);
                }
            }
        }
        let mut program = Program::start(name, command)?;
        let end = std::time::Instant::now() + START;
        while TcpStream::connect(self.address).await.is_err() {
            program.check()?;
            if std::time::Instant::now() > end {
                bail!("{name} does not listen after {START:?}; it said: {}", program.last_words());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.program = Some(program);
        Ok(())
    }

    /// Kills it and starts it again, empty, where it was.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn restart(&mut self) -> Result<()> {
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
        self.launch().await
    }

    /// As the application takes it.
    pub(super) fn url(&self) -> String {
        let scheme = match self.kind {
            Kind::Redis => "redis",
            Kind::Memcached => "memcached",
        };
        format!("{scheme}://{}", self.address)
    }

    pub(super) fn processes(&self) -> Vec<u32> {
        self.program.iter().map(Program::id).collect()
    }

    /// Commands that it has carried out, by its own count.
    pub(super) async fn commands(&self) -> Option<u64> {
        let asked = tokio::time::timeout(ANSWER, self.ask());
        let text = asked.await.ok()?.ok()?;
        match self.kind {
            Kind::Redis => {
                let calls = |name: &str| {
                    let begin = format!("cmdstat_{name}:calls=");
                    let line = text.lines().find_map(|line| line.strip_prefix(&begin));
                    line.and_then(|rest| rest.split(',').next()?.parse::<u64>().ok()).unwrap_or(0)
                };
                // What a script does is counted too, and is no trip: one SET in each; a GET in one that compares; a ZADD in
                // one that does not.
                let scripts = calls("eval") + calls("evalsha");
                let compared = scripts.saturating_sub(calls("zadd"));
                let [get, set] =
                    [calls("get").saturating_sub(compared), calls("set").saturating_sub(scripts)];
                Some(scripts + calls("getex") + calls("mget") + get + set)
            }
            Kind::Memcached => Some(
                ["cmd_get", "cmd_set", "cmd_touch", "delete_hits", "delete_misses", "cmd_meta"]
                    .iter()
                    .filter_map(|name| {
                        let line =
                            text.lines().find_map(|line| line.strip_prefix(&format!("STAT {name} ")))?;
                        line.trim().parse::<u64>().ok()
                    })
                    .sum(),
            ),
        }
    }

    async fn ask(&self) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address).await?;
        let (question, end) = match self.kind {
            Kind::Redis => ("INFO commandstats\r\nQUIT\r\n", None),
            Kind::Memcached => ("stats\r\n", Some("END\r\n")),
        };
        stream.write_all(question.as_bytes()).await?;
        let mut answer = Vec::new();
        loop {
            let read = stream.read_buf(&mut answer).await?;
            let text = String::from_utf8_lossy(&answer);
            if read == 0 || end.is_some_and(|end| text.ends_with(end)) || answer.len() > 1 << 20 {
                return Ok(text.into_owned());
            }
        }
    }
}
