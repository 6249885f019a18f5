//! A Redis or Memcached of the demo's own: the real server, on loopback and a free port, keeping nothing on disk.

use std::fmt;
use std::io::{self, Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use super::options::{Endpoint, Place};

/// Where programs are: Debian keeps servers where not everybody's path leads.
const FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/sbin"];

/// The user and group that own nothing, on Linux.
const NOBODY: &str = "65534";

/// For a server to answer.
const PATIENCE: Duration = Duration::from_secs(10);
const ASK: Duration = Duration::from_millis(500);
const PAUSE: Duration = Duration::from_millis(20);

/// Ports that are tried: another process may take a free one first.
const ATTEMPTS: usize = 5;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Software {
    /// `redis-server`
    Redis,
    /// `memcached`
    Memcached,
}

/// A server that runs as long as this lives. It is ended by its process id.
pub struct Server {
    software: Software,
    address: SocketAddr,
    child: Child,
}

/// Why there is no server.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// It is not installed.
    #[error("{0} is not installed (Debian, Ubuntu: sudo apt-get install {1})")]
    Missing(&'static str, &'static str),
    /// It cannot be started.
    #[error("start {0}")]
    Start(&'static str, #[source] io::Error),
    /// It began, and does not answer.
    #[error("{0} was started and does not answer")]
    Silent(&'static str),
}

impl Software {
    /// Its program.
    fn program(self) -> &'static str {
        match self {
            Self::Redis => "redis-server",
            Self::Memcached => "memcached",
        }
    }

    /// The program and its words for this port.
    fn command(self, program: &Path, port: u16) -> Command {
        let is_root = rustix::process::geteuid().is_root();
        // Where there is setpriv, the server ends with us however we end, and root's is nobody's.
        let setpriv = find("setpriv");
        let is_nobody = is_root && setpriv.is_some();
        let mut command = match setpriv {
            Some(setpriv) => {
                let mut command = Command::new(setpriv);
                if is_root {
                    command.args(["--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"]);
                }
                command.args(["--pdeathsig", "TERM", "--"]).arg(program);
                command
            }
            None => Command::new(program),
        };
        let port = port.to_string();
        match self {
            Self::Redis => command.args([
                "--port",
                &port,
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
                "--daemonize",
                "no",
                "--dir",
                "/tmp",
                "--loglevel",
                "warning",
            ]),
            Self::Memcached => {
                command.args(["-l", "127.0.0.1", "-p", &port, "-U", "0"]);
                if is_root && !is_nobody {
                    command.args(["-u", "nobody"]);
                }
                &mut command
            }
        };
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command
    }

    /// What is asked of it to know its process, and how the answer names that.
    fn question(self) -> (&'static [u8], &'static str) {
        match self {
            Self::Redis => (b"INFO server\r\n", "process_id:"),
            Self::Memcached => (b"stats\r\n", "STAT pid "),
        }
    }
}

impl Server {
    /// Starts one, and waits until it answers. The thread that calls this should live as long as the server: the
    /// kernel ends it with that thread.
    ///
    /// # Errors
    ///
    /// When it is not installed, cannot be started, or does not answer.
    pub fn start(software: Software) -> Result<Self, ServerError> {
        let name = software.program();
        // Debian names the packages as the programs.
        let program = find(name).ok_or(ServerError::Missing(name, name))?;
        for _ in 0..ATTEMPTS {
            let begun = Self::at_free_port(software, &program).map_err(|e| ServerError::Start(name, e))?;
            if let Some(server) = begun {
                return Ok(server);
            }
        }
        Err(ServerError::Silent(name))
    }

    /// Nothing if it did not come up: somebody else may have its port.
    fn at_free_port(software: Software, program: &Path) -> io::Result<Option<Self>> {
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let child = software.command(program, address.port()).spawn()?;
        let mut server = Self { software, address, child };
        Ok(server.is_up().then_some(server))
    }

    fn is_up(&mut self) -> bool {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if self.child.try_wait().is_ok_and(|ended| ended.is_some()) {
                return false;
            }
            match self.process() {
                Some(process) => return process == self.child.id(),
                #[expect(clippy::disallowed_methods, reason = "nothing else runs on this thread yet")]
                None => std::thread::sleep(PAUSE),
            }
        }
        false
    }

    /// Which process answers at its port.
    fn process(&self) -> Option<u32> {
        let (question, name) = self.software.question();
        let mut stream = TcpStream::connect_timeout(&self.address, ASK).ok()?;
        stream.set_read_timeout(Some(ASK)).ok()?;
        stream.write_all(question).ok()?;
        let (mut text, mut chunk) = (Vec::new(), [0; 4096]);
        while text.len() < 64 * 1024 {
            let said = String::from_utf8_lossy(&text);
            if let Some((line, _)) = said.split_once(name).and_then(|(_, rest)| rest.split_once("\r\n")) {
                return line.parse().ok();
            }
            let read = stream.read(&mut chunk).ok().filter(|&read| read > 0)?;
            text.extend_from_slice(chunk.get(..read)?);
        }
        None
    }

    /// Ends it and starts another at the same port, which knows nothing of what this one kept.
    ///
    /// # Errors
    ///
    /// When it cannot be started or does not answer.
    pub fn restart(&mut self) -> Result<(), ServerError> {
        let name = self.software.program();
        self.end();
        let program = find(name).ok_or(ServerError::Missing(name, name))?;
        let command = self.software.command(&program, self.address.port()).spawn();
        self.child = command.map_err(|e| ServerError::Start(name, e))?;
        if self.is_up() { Ok(()) } else { Err(ServerError::Silent(name)) }
    }

    /// Ends it, at once.
    pub fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its process.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sessions in it.
    #[must_use]
    pub fn place(&self) -> Place {
        let endpoint = Endpoint::Tcp(self.address.to_string());
        match self.software {
            Software::Redis => Place::Redis(endpoint),
            Software::Memcached => Place::Memcached(endpoint),
        }
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("software", &self.software).field("address", &self.address).finish()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}

fn find(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders = std::env::split_paths(&path).chain(FOLDERS.map(PathBuf::from));
    folders.map(|folder| folder.join(program)).find(|file| file.is_file())
}
