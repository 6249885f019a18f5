//! The application's processes: `homing backend`, one for each backend. Each listens on an address of its own, so that no
//! connection on its way elsewhere takes its port while it is away.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::Signal;
use serde_json::Value;

use super::balancer::Member;
use super::process::{Folder, Program, this};
use super::wire;
use crate::base::units::Span;

/// How long one may take to begin.
const START: Duration = Duration::from_secs(20);
/// How often its port is tried again, when it is started anew.
const ATTEMPTS: u32 = 20;
/// How long it may take to answer.
const ANSWER: Duration = Duration::from_secs(5);
/// Names, in order.
const NAMES: [&str; 26] = [
    "a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "u",
    "v", "w", "x", "y", "z",
];

/// How every backend is started.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    /// As `homing backend --sessions` takes it.
    pub(super) sessions: String,
    /// A file with the key of its tokens, all backends' the same.
    pub(super) key_file: Option<String>,
    /// A Redis that names tokens that were ended.
    pub(super) deny_list: Option<String>,
    /// How long an access token is good.
    pub(super) access: Duration,
    pub(super) idle: Duration,
    pub(super) is_secure: bool,
    pub(super) adopts_ids: bool,
}

/// A backend.
#[derive(Debug)]
pub(super) struct Backend {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    terms: Terms,
    program: Option<Program>,
}

/// All backends.
#[derive(Debug, Default)]
pub(super) struct Application {
    pub(super) backends: Vec<Backend>,
}

/// What a backend tells of itself.
#[derive(Clone, Debug, Default)]
pub(super) struct Stats {
    pub(super) requests: u64,
    pub(super) store_trips: u64,
    pub(super) sessions: u64,
    pub(super) rss_bytes: u64,
}

impl Application {
    /// Starts so many backends, at these addresses where they are given.
    ///
    /// # Errors
    /// One does not start.
    pub(super) async fn start(count: usize, at: &[SocketAddr], terms: &Terms) -> Result<Self> {
        let mut application = Self::default();
        let count = if at.is_empty() { count } else { at.len() };
        for number in 0..count {
            application.add(at.get(number).copied(), terms).await?;
        }
        Ok(application)
    }

    /// One more.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn add(&mut self, at: Option<SocketAddr>, terms: &Terms) -> Result<Member> {
        let number = self.backends.len();
        let name = name_of(number);
        let last = u8::try_from(number + 1).unwrap_or(u8::MAX);
        let address = at.unwrap_or_else(|| (Ipv4Addr::new(127, 77, 0, last), 0).into());
        let mut backend = Backend { name, address, terms: terms.clone(), program: None };
        backend.launch().await?;
        let member =
            Member { name: backend.name.clone(), address: backend.address, weight: 1, is_down: false };
        self.backends.push(backend);
        Ok(member)
    }

    /// The number of a backend by its name, or of the last one.
    ///
    /// # Errors
    /// There is none of that name.
    pub(super) fn number(&self, name: &str) -> Result<usize> {
        let names = || self.backends.iter().map(|b| b.name.as_str()).collect::<Vec<_>>().join(", ");
        self.backends
            .iter()
            .position(|backend| backend.name == name)
            .with_context(|| format!("{name}: no such backend; there are {}", names()))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.backends.iter().map(|backend| backend.name.clone()).collect()
    }

    pub(super) fn processes(&self) -> Vec<u32> {
        self.backends.iter().filter_map(|backend| Some(backend.program.as_ref()?.id())).collect()
    }

    /// What all of them tell together; whom one cannot ask is left out.
    pub(super) async fn stats(&self) -> Stats {
        let mut sum = Stats::default();
        for backend in &self.backends {
            let Some(stats) = backend.stats().await else { continue };
            sum.requests += stats.requests;
            sum.store_trips += stats.store_trips;
            sum.sessions += stats.sessions;
            sum.rss_bytes += stats.rss_bytes;
        }
        sum
    }
}

impl Backend {
    /// Starts it, or starts it again.
    ///
    /// # Errors
    /// It does not start.
    pub(super) async fn launch(&mut self) -> Result<()> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            match self.try_launch().await {
                Err(error) if format!("{error:#}").to_lowercase().contains("in use") => {
                    last = Some(error);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                outcome => return outcome,
            }
        }
        match last {
            Some(error) => Err(error),
            None => bail!("backend {} was not started", self.name),
        }
    }

    async fn try_launch(&mut self) -> Result<()> {
        let terms = &self.terms;
        let mut command = this()?;
        command.args(["backend", "--name", &self.name, "--listen", &self.address.to_string()]);
        command.args([
            "--sessions",
            &terms.sessions,
            "--open-registration",
            "--faults",
            "--password-cost",
            "low",
        ]);
        command.args(["--idle", &Span(terms.idle.max(Duration::from_secs(1))).to_string()]);
        if let Some(file) = &terms.key_file {
            let access = Span(terms.access.max(Duration::from_millis(100))).to_string();
            command.args(["--key-file", file, "--access", &access]);
        }
        if let Some(url) = &terms.deny_list {
            command.args(["--deny-list", url]);
        }
        if terms.is_secure {
            command.arg("--secure");
        }
        if terms.adopts_ids {
            command.arg("--adopt");
        }
        let mut program = Program::start(&format!("backend {}", self.name), command)?;
        let begin = format!("backend {}: http://", self.name);
        let address = program
            .says(START, |line| line.strip_prefix(&begin)?.split('/').next()?.parse::<SocketAddr>().ok())
            .await?;
        (self.address, self.program) = (address, Some(program));
        Ok(())
    }

    pub(super) fn signal(&self, signal: Signal) {
        if let Some(program) = &self.program {
            program.signal(signal);
        }
    }

    /// Ends it at once.
    pub(super) fn crash(&mut self) {
        if let Some(mut program) = self.program.take() {
            program.kill();
        }
    }

    /// Ends it in order: it finishes what it is at.
    pub(super) async fn stop(&mut self) {
        let Some(mut program) = self.program.take() else { return };
        program.signal(Signal::TERM);
        let end = std::time::Instant::now() + Duration::from_secs(2);
        while program.check().is_ok() && std::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        program.kill();
    }

    /// Gives it a fault, in the application's words.
    ///
    /// # Errors
    /// It does not take it.
    pub(super) async fn fault(&self, what: &Value) -> Result<()> {
        let (host, body) = (self.address.to_string(), what.to_string());
        let request = wire::request("POST", "/faults", &host, &[("connection", "close")], Some(&body));
        match wire::once(self.address, &request, ANSWER).await {
            Ok(reply) if reply.status == 204 => Ok(()),
            Ok(reply) => bail!("backend {} answered {}", self.name, reply.status),
            Err(fault) => bail!("ask backend {}: {}", self.name, fault.name()),
        }
    }

    async fn stats(&self) -> Option<Stats> {
        self.program.as_ref()?;
        let request =
            wire::request("GET", "/stats", &self.address.to_string(), &[("connection", "close")], None);
        let reply = wire::once(self.address, &request, ANSWER).await.ok()?;
        let body: Value = serde_json::from_slice(&reply.body).ok()?;
        let number = |key: &str| body.get(key).and_then(Value::as_u64).unwrap_or(0);
        Some(Stats {
            requests: number("requests"),
            store_trips: number("store_trips"),
            sessions: number("sessions"),
            rss_bytes: number("rss_bytes"),
        })
    }
}

/// What a backend is called, by its number.
pub(super) fn name_of(number: usize) -> String {
    NAMES.get(number).map_or_else(|| format!("b{}", number + 1), |name| (*name).to_owned())
}

/// A file with a key for tokens, if sessions are in tokens.
pub(super) fn key_file(sessions: &str, folder: &Folder) -> Option<String> {
    sessions.starts_with("jwt").then(|| folder.path().join("token.key").to_string_lossy().into_owned())
}
