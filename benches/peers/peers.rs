//! The proxies that are compared: how each is found, configured and started.

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::identity::Identity;
use crate::interrupt::Interrupt;
use crate::process::Program;
use crate::rows::{Choice, Row, Wire};
use crate::settings::Settings;

/// How often a proxy is started anew because somebody else took its port.
const ATTEMPTS: usize = 3;
/// Connections that a peer is told to allow, at most; where there are fewer descriptors, it is fewer.
const CONNECTIONS: u64 = 19_000;

/// Resumption by a shared cache and by tickets, as operators are told to set it up. The client offers one suite and one
/// group, which all three take; so nothing is said of them.
const NGINX_TLS: &str = "ssl_certificate {folder}/certificate.pem;
    ssl_certificate_key {folder}/key.pem;
    ssl_protocols TLSv1.2 TLSv1.3;
    ssl_session_cache shared:tls:16m;
    ssl_session_timeout 1h;
    ssl_session_tickets on;";
const HAPROXY_TLS: &str = "ssl-default-bind-options ssl-min-ver TLSv1.2
  tune.ssl.cachesize 60000
  tune.ssl.lifetime 3600";

const NGINX_HTTP: &str = "proxy_pass http://app;
      proxy_http_version 1.1;
      proxy_set_header Host $http_host;
      proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      proxy_set_header X-Forwarded-Proto $scheme;
      proxy_set_header Upgrade $http_upgrade;
      proxy_set_header Connection $connection_upstream;";
const NGINX_GRPC: &str = "grpc_pass grpc://app;
      grpc_set_header Host $host;
      grpc_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
      grpc_set_header X-Forwarded-Proto $scheme;";

/// A proxy that is compared.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Peer {
    Homing,
    Nginx,
    Haproxy,
}

/// A peer with its binary.
pub(crate) struct Installed {
    pub(crate) peer: Peer,
    pub(crate) binary: PathBuf,
    /// As it says itself.
    pub(crate) version: String,
}

/// A peer that runs.
pub(crate) struct Running {
    pub(crate) peer: Peer,
    pub(crate) address: SocketAddr,
    pub(crate) program: Program,
    pub(crate) configuration: String,
    /// Its files; gone when it is.
    _folder: TempDir,
}

/// What a configuration is made for.
pub(crate) struct Place<'a> {
    pub(crate) row: &'a Row,
    pub(crate) backends: &'a [u16],
    pub(crate) cpus: &'a [usize],
    pub(crate) descriptors: u64,
    pub(crate) identity: &'a Identity,
}

impl Peer {
    pub(crate) const ALL: [Self; 3] = [Self::Homing, Self::Nginx, Self::Haproxy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Homing => "homing",
            Self::Nginx => "nginx",
            Self::Haproxy => "haproxy",
        }
    }

    /// Finds the binary and asks for its version.
    pub(crate) fn find(self, settings: &Settings) -> Result<Installed> {
        let (binary, question, remedy) = match self {
            Self::Homing => (settings.homing()?, "--version", "cargo build --release"),
            Self::Nginx => (settings.nginx.clone(), "-v", "apt-get install nginx-light"),
            Self::Haproxy => (settings.haproxy.clone(), "-v", "apt-get install haproxy"),
        };
        // Debian keeps servers where not everybody's path leads.
        let path = std::env::var_os("PATH").unwrap_or_default();
        let folders = std::env::split_paths(&path).chain(["/usr/sbin", "/sbin"].map(PathBuf::from));
        let path = std::env::join_paths(folders)?;
        let binary = found(&binary, &path)
            .with_context(|| format!("{} is not there: {}; try: {remedy}", self.name(), binary.display()))?;
        let asked = Command::new(&binary).arg(question).output();
        let asked = asked.with_context(|| format!("ask {} for its version", binary.display()))?;
        let said = [asked.stdout, asked.stderr].concat();
        let version = String::from_utf8_lossy(&said).lines().next().unwrap_or_default().trim().to_owned();
        Ok(Installed { peer: self, binary, version })
    }

    fn file(self) -> (&'static str, &'static str) {
        match self {
            Self::Homing => ("homing.toml", include_str!("configs/homing.toml")),
            Self::Nginx => ("nginx.conf", include_str!("configs/nginx.conf")),
            Self::Haproxy => ("haproxy.cfg", include_str!("configs/haproxy.cfg")),
        }
    }

    /// How it chooses, and the affinity that goes with it.
    fn choice(self, choice: Choice) -> (&'static str, &'static str) {
        match (self, choice) {
            (Self::Homing, Choice::Address) => {
                ("strategy = { kind = \"hash\", key = \"client_ip\", consistent = true }", "")
            }
            (Self::Homing, Choice::Cookie | Choice::FirstVisit) => {
                ("strategy = \"round_robin\"", "\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"")
            }
            (Self::Nginx, Choice::Address) => ("hash $remote_addr consistent;", ""),
            // Debian's has no affinity cookie: a hash of the cookie's value stands in for reading it, and a constant
            // field for writing it.
            (Self::Nginx, Choice::Cookie) => ("hash $cookie_srv consistent;", ""),
            (Self::Nginx, Choice::FirstVisit) => {
                ("# in turn", "add_header Set-Cookie \"srv=0123456789abcdef; Path=/; HttpOnly\";")
            }
            (Self::Haproxy, Choice::Address) => ("balance source\n  hash-type consistent", ""),
            (Self::Haproxy, Choice::Cookie | Choice::FirstVisit) => {
                ("balance roundrobin", "cookie srv insert indirect nocache httponly")
            }
        }
    }

    /// What is said of TLS, and of HTTP/2, where it listens; and, where it is said elsewhere, what is to be added there.
    fn listener(self, wire: Wire) -> (&'static str, &'static str) {
        match (self, wire) {
            (_, Wire::Plain) => ("", ""),
            (Self::Homing, _) => {
                ("tls = { certificate = \"{folder}/certificate.pem\", key = \"{folder}/key.pem\" }", "")
            }
            (Self::Nginx, _) => (" ssl http2", NGINX_TLS),
            (Self::Haproxy, _) => (" ssl crt {folder}/both.pem alpn h2,http/1.1", HAPROXY_TLS),
        }
    }

    /// What is said of the protocol to backends.
    fn upstream(self, wire: Wire) -> &'static str {
        match (self, wire) {
            (Self::Homing, Wire::Grpc) => "protocol = \"h2c\"",
            (Self::Nginx, Wire::Grpc) => NGINX_GRPC,
            (Self::Nginx, Wire::Plain | Wire::Tls) => NGINX_HTTP,
            (Self::Homing, Wire::Plain | Wire::Tls) | (Self::Haproxy, _) => "",
        }
    }

    fn backend(self, number: usize, port: u16, row: &Row) -> String {
        let protocol = if row.wire == Wire::Grpc { " proto h2" } else { "" };
        match (self, row.choice) {
            (Self::Homing, _) => format!("  \"127.0.0.1:{port}\","),
            (Self::Nginx, _) => format!("    server 127.0.0.1:{port};"),
            (Self::Haproxy, Choice::Address) => format!("  server s{number} 127.0.0.1:{port}{protocol}"),
            (Self::Haproxy, Choice::Cookie | Choice::FirstVisit) => {
                format!("  server s{number} 127.0.0.1:{port}{protocol} cookie s{number}")
            }
        }
    }

    /// What the load does differently for this one.
    pub(crate) fn load(self, choice: Choice) -> &'static [&'static str] {
        match (self, choice) {
            (Self::Nginx, Choice::Cookie) => &["--cookie", "srv="],
            (_, Choice::Cookie) => &["--learn"],
            (_, Choice::Address | Choice::FirstVisit) => &[],
        }
    }

    fn configuration(self, place: &Place<'_>, port: u16, folder: &Path) -> String {
        let (balance, affinity) = self.choice(place.row.choice);
        let (listener, tls) = self.listener(place.row.wire);
        let mut backends = String::new();
        for (number, port) in place.backends.iter().enumerate() {
            let _ = writeln!(backends, "{}", self.backend(number, *port, place.row));
        }
        // Two descriptors for each connection, and some for everything else.
        let connections = CONNECTIONS.min(place.descriptors.saturating_sub(200) / 2);
        let filled = self
            .file()
            .1
            .replace("{listener}", listener)
            .replace("{tls}", tls)
            .replace("{upstream}", self.upstream(place.row.wire))
            .replace("{workers}", &place.row.workers.to_string())
            .replace("{port}", &port.to_string())
            .replace("{folder}", &folder.display().to_string())
            .replace("{connections}", &connections.to_string())
            .replace("{balance}", balance)
            .replace("{affinity}", affinity)
            .replace("{backends}", backends.trim_end());
        // A place that nothing was put in leaves no line, except where the line was empty before.
        let lines = filled.lines().filter(|line| line.is_empty() || !line.trim().is_empty());
        lines.collect::<Vec<_>>().join("\n") + "\n"
    }

    fn command(self, binary: &Path, folder: &Path, file: &Path) -> Vec<String> {
        let (binary, folder, file) = (text(binary), text(folder), text(file));
        match self {
            Self::Homing => vec![binary, "run".to_owned(), "-c".to_owned(), file],
            Self::Nginx => {
                let options = ["-p", &folder, "-e", "stderr", "-c", &file];
                [vec![binary], options.map(str::to_owned).to_vec()].concat()
            }
            Self::Haproxy => vec![binary, "-db".to_owned(), "-f".to_owned(), file],
        }
    }
}

impl Installed {
    /// Starts it on a free port and waits until it listens.
    pub(crate) fn start(&self, place: &Place<'_>, interrupt: &Interrupt) -> Result<Running> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.try_start(place, interrupt) {
                Err(error) if format!("{error:#}").to_lowercase().contains("in use") => last = Some(error),
                outcome => return outcome,
            }
        }
        match last {
            Some(error) => Err(error),
            None => bail!("{} was not started", self.peer.name()),
        }
    }

    fn try_start(&self, place: &Place<'_>, interrupt: &Interrupt) -> Result<Running> {
        let folder = tempfile::Builder::new().prefix("bench-peers-").tempdir().context("make a folder")?;
        // Workers of a peer may run as somebody else.
        std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755))?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).and_then(|socket| socket.local_addr());
        let address = address.context("find a free port")?;
        let configuration = self.peer.configuration(place, address.port(), folder.path());
        let file = folder.path().join(self.peer.file().0);
        std::fs::write(&file, &configuration).with_context(|| format!("write {}", file.display()))?;
        if place.row.wire != Wire::Plain {
            place.identity.write(folder.path())?;
        }
        let command = self.peer.command(&self.binary, folder.path(), &file);
        let mut program = Program::start(self.peer.name(), place.cpus, &command, folder.path())?;
        program.until_listening(address, interrupt)?;
        let configuration = configuration.replace(&text(folder.path()), "/tmp/bench-peers");
        Ok(Running { peer: self.peer, address, program, configuration, _folder: folder })
    }
}

/// Where a command lies: as named, or in one of the folders.
fn found(command: &Path, path: &OsStr) -> Option<PathBuf> {
    let candidates: Vec<PathBuf> = match command.components().count() {
        1 => std::env::split_paths(path).map(|folder| folder.join(command)).collect(),
        _ => vec![command.to_path_buf()],
    };
    candidates.into_iter().find(|candidate| candidate.is_file())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
