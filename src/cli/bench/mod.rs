//! `homing bench`: what is asked for, how it goes, and what came of it in words.

use std::io::IsTerminal as _;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde_json::Value;

use super::client::Failed;
use super::probe::{self, BenchCommand};
use super::report::{OutputArgs, deliver};
use super::say;
use crate::base::units::Span;
use crate::bench::{
    self, ClientAddress, Event, Foreign, Interrupted, Missing, Profile, Progress, Routing, Settings, Workload,
};

mod check;
mod words;

/// What happens where nothing else is asked for.
const EVENTS: &str = "crash b@2s, return b@6s, roll@10s";
/// Sessions at a time.
const USERS: u32 = 300;
/// Between two lines where nobody sees the one that is written over.
const LINE: Duration = Duration::from_secs(5);
/// A session lives at least so much longer than its user thinks at most.
const MARGIN: f64 = 1.5;

#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct BenchArgs {
    #[command(subcommand)]
    other: Option<BenchCommand>,
    /// Where sessions live: memory, redis, memcached, jwt, jwt:rs256, jwt:es256, jwt:eddsa; separated by commas. `+deny`
    /// behind a kind of jwt keeps a deny-list in Redis, which every request asks
    #[arg(long, alias = "sessions", value_name = "KINDS", value_delimiter = ',')]
    session: Vec<String>,
    /// homing's ways to route: cookie, learn, rr, hrw, maglev, ring, ip-hash, or names of `homing strategies`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    strategy: Vec<String>,
    /// Combine each of them with each of these: cookie, learn, none [default: what goes with the strategy]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    affinity: Vec<String>,
    /// Other balancers, from Debian's packages: nginx, haproxy, or one way of theirs, as in nginx:ip_hash
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    peer: Vec<String>,
    /// A balancer that runs already, before backends of ours
    #[arg(long, value_name = "URL", requires = "at")]
    url: Option<String>,
    /// Where that one expects its backends, as in 127.0.0.1:9001..9003 or a list
    #[arg(long = "backends", id = "at", value_name = "ADDRESSES", requires = "url")]
    at: Option<String>,
    /// How many backends
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(2..=26))]
    n: u8,
    /// Balancers side by side; users are spread over them
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    replicas: u8,
    /// What happens, as in 'crash b@20s, return b@30s, roll@40s'; 'none' for nothing
    /// [default: 'crash b@2s, return b@6s, roll@10s']
    #[arg(long, value_name = "EVENTS", conflicts_with = "script")]
    events: Option<String>,
    /// The same from a file of [[at]] tables
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// Runs of which closed forms know what must come out, and what came out; as in B3,B5, or all; list says of what. With --users, --seed,
    /// --json and --quiet; exit 1 if one fails
    #[arg(long, value_name = "IDS", value_delimiter = ',', conflicts_with_all = ["events", "script"])]
    check: Vec<String>,
    /// Who comes: `cohort`, sessions that all stay, as closed forms have it; `web`, sessions that come and go
    #[arg(long, value_name = "NAME", default_value = "cohort")]
    profile: ProfileArg,
    /// Sessions at a time [default: 300]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=50_000))]
    users: Option<u32>,
    /// User times are divided by this; the network's, checks' and retries' are not
    #[arg(long, value_name = "K", default_value_t = 20.0)]
    time_scale: f64,
    /// Mean time between an answer and the next request, before it is scaled
    #[arg(long, value_name = "TIME", default_value = "7s")]
    think: Span,
    /// Mean length of a session, before it is scaled; with --profile web
    #[arg(long, value_name = "TIME", default_value = "15m")]
    session_length: Span,
    /// A session is over after so long without a request, before it is scaled
    #[arg(long, value_name = "TIME", default_value = "30m")]
    idle: Span,
    /// An access token is good for so long, before it is scaled; with jwt
    #[arg(long, value_name = "TIME", default_value = "5m")]
    access: Span,
    /// The share of requests that change something
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    writes: f64,
    /// The share of sessions that begin with several requests at once [default: 0.3 with --profile web, else 0]
    #[arg(long, value_name = "SHARE")]
    parallel: Option<f64>,
    /// How unevenly users share networks: Zipf's exponent; 0: a network each [default: 1 with --profile web, else 0]
    #[arg(long, value_name = "S")]
    zipf: Option<f64>,
    /// How the balancer learns of a client's address: connections from 127.x.y.z, X-Forwarded-For, or not at all
    /// [default: bind; of a --url elsewhere: same]
    #[arg(long, value_name = "HOW")]
    client_address: Option<AddressArg>,
    /// Repetitions, each with other users; 5 or more tell latencies apart
    #[arg(long, value_name = "R", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// What chance hangs on
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Measure so long at least
    #[arg(long, value_name = "TIME", default_value = "10s")]
    duration: Span,
    /// How long is measured before the first event and after the last
    #[arg(long, value_name = "TIME", default_value = "3s")]
    settle: Span,
    /// What becomes of a session that a backend does not know, in memory: `strict`, its user logs in again and has a new id;
    /// `adopting`, the new session has the old id, under which other backends still have old copies
    #[arg(long, value_name = "KIND", default_value = "strict")]
    application: ApplicationArg,
    /// Cookies of the application are `Secure`, with the prefix `__Host-`
    #[arg(long)]
    secure: bool,
    /// How often it is tried how long a session is accepted after its user's were ended everywhere
    #[arg(long, value_name = "N", default_value_t = 2)]
    revocations: u8,
    /// Write the result as JSON
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    output: OutputArgs,
    /// No progress
    #[arg(short, long)]
    quiet: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ProfileArg {
    Cohort,
    Web,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum AddressArg {
    Bind,
    Header,
    Same,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum ApplicationArg {
    Strict,
    Adopting,
}

pub(super) fn bench(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if let Some(BenchCommand::Probe(args)) = &args.other {
        return probe::probe(args);
    }
    if !args.check.is_empty() {
        return check::check(args);
    }
    let settings = args.settings().map_err(Failed::Usage)?;
    let result = match run(&settings, args.quiet)? {
        Ok(result) => result,
        Err(code) => return Ok(code),
    };
    if let Some(file) = &args.json {
        std::fs::write(file, format!("{result:#}\n")).with_context(|| format!("write {}", file.display()))?;
    }
    deliver(&result, &args.output)
}

/// A bench and its result; or the code to exit with, if a program is missing or somebody broke it off.
fn run(settings: &Settings, is_quiet: bool) -> anyhow::Result<Result<Value, ExitCode>> {
    let mut screen = Screen::new(is_quiet);
    let result = bench::bench(settings, &mut |progress| screen.show(progress));
    screen.end();
    match result {
        Ok(result) => Ok(Ok(result)),
        Err(error) if error.downcast_ref::<Missing>().is_some() => {
            say(&format!("homing: {error:#}\n"));
            Ok(Err(ExitCode::from(2)))
        }
        Err(error) if error.downcast_ref::<Interrupted>().is_some() => {
            say(&format!("homing: {error}\n"));
            Ok(Err(ExitCode::from(130)))
        }
        Err(error) => Err(error),
    }
}

#[cfg(test)]
impl BenchArgs {
    fn of(words: &[&str]) -> Self {
        use clap::FromArgMatches as _;
        let command = Self::augment_args(clap::Command::new("bench").no_binary_name(true));
        Self::from_arg_matches(&command.try_get_matches_from(words).unwrap()).unwrap()
    }
}

impl BenchArgs {
    fn settings(&self) -> Result<Settings, String> {
        let (mut seed, events) = self.events()?;
        seed = self.seed.or(seed);
        let workload = self.workload()?;
        let url = self.foreign()?;
        if url.is_some() && !(self.strategy.is_empty() && self.affinity.is_empty() && self.peer.is_empty()) {
            return Err("--url is a balancer of its own: it goes without --strategy, --affinity and --peer"
                .to_owned());
        }
        if url.is_some() && self.session.len() > 1 {
            return Err("--url: one kind of --session at a time".to_owned());
        }
        let routings = if url.is_some() { vec![Routing::foreign()] } else { self.routings()? };
        let mut settings = Settings {
            command: std::env::args()
                .enumerate()
                .map(|(i, word)| match i {
                    0 => "homing".to_owned(),
                    _ if word.contains([' ', '*']) => format!("'{word}'"),
                    _ => word,
                })
                .collect::<Vec<_>>()
                .join(" "),
            seed: seed.unwrap_or(7),
            runs: self.runs,
            workload,
            backends: self.n.into(),
            routings,
            sessions: self.sessions()?,
            events,
            settle: self.settle.0,
            duration: self.duration.0,
            replicas: self.replicas.into(),
            url,
            secure: self.secure,
            adopts_ids: self.application == ApplicationArg::Adopting,
            revocations: self.revocations.into(),
            revocation_limit: Duration::from_secs(2),
        };
        settings.rehearse()?;
        Ok(settings)
    }

    fn events(&self) -> Result<(Option<u64>, Vec<Event>), String> {
        if let Some(file) = &self.script {
            let text = std::fs::read_to_string(file).map_err(|e| format!("{}: {e}", file.display()))?;
            return bench::parse_file(&text, &file.display().to_string());
        }
        match self.events.as_deref() {
            Some("none") => Ok((None, Vec::new())),
            Some(text) => Ok((None, bench::parse(text)?)),
            None => Ok((None, bench::parse(EVENTS)?)),
        }
    }

    fn workload(&self) -> Result<Workload, String> {
        if !(0.01..=10_000.0).contains(&self.time_scale) {
            return Err("--time-scale must be 0.01 to 10000".to_owned());
        }
        for (name, share) in [("--writes", self.writes), ("--parallel", self.parallel.unwrap_or(0.0))] {
            if !(0.0..=1.0).contains(&share) {
                return Err(format!("{name} must be 0 to 1"));
            }
        }
        let scaled = |span: Span| span.0.div_f64(self.time_scale);
        let is_web = self.profile == ProfileArg::Web;
        let (think, users) = (scaled(self.think), self.users.unwrap_or(USERS));
        // A cohort's are cut short, so that everybody is heard of soon: what is lost does not hang on it.
        let think_cap = if is_web { 10 } else { 3 };
        if think.is_zero() {
            return Err("--think is too short at this --time-scale".to_owned());
        }
        Ok(Workload {
            profile: if is_web { Profile::Web } else { Profile::Cohort },
            users: users as usize,
            time_scale: self.time_scale,
            think,
            think_cap,
            session: scaled(self.session_length),
            // Whoever still thinks is still there.
            idle: scaled(self.idle).max((think * think_cap).mul_f64(MARGIN)).max(Duration::from_secs(2)),
            access: scaled(self.access),
            writes: self.writes,
            parallel: self.parallel.unwrap_or(if is_web { 0.3 } else { 0.0 }),
            zipf: self.zipf.unwrap_or(if is_web { 1.0 } else { 0.0 }),
            client_address: self.client_address(),
            ramp: Duration::from_millis(500 + 4 * u64::from(users)),
            timeout: Duration::from_secs(10),
        })
    }

    fn client_address(&self) -> ClientAddress {
        match self.client_address {
            Some(AddressArg::Bind) => ClientAddress::Bind,
            Some(AddressArg::Header) => ClientAddress::Header,
            Some(AddressArg::Same) => ClientAddress::Same,
            None if self.url.as_deref().is_none_or(|url| url.contains("://127.")) => ClientAddress::Bind,
            None => ClientAddress::Same,
        }
    }

    fn routings(&self) -> Result<Vec<Routing>, String> {
        let mut routings = Vec::new();
        let usual = ["cookie".to_owned(), "hrw".to_owned(), "rr".to_owned()];
        let strategies: &[String] =
            if self.strategy.is_empty() && self.peer.is_empty() { &usual } else { &self.strategy };
        for strategy in strategies {
            if self.affinity.is_empty() {
                routings.push(Routing::homing(strategy, None)?);
            }
            for affinity in &self.affinity {
                routings.push(Routing::homing(strategy, Some(affinity))?);
            }
        }
        for peer in &self.peer {
            routings.extend(Routing::peers(peer)?);
        }
        routings.dedup();
        Ok(routings)
    }

    fn sessions(&self) -> Result<Vec<String>, String> {
        let known =
            ["memory", "redis", "memcached", "jwt", "jwt:hs256", "jwt:rs256", "jwt:es256", "jwt:eddsa"];
        let is_known = |kind: &&String| {
            let tokens = kind.strip_suffix("+deny").filter(|kind| kind.starts_with("jwt"));
            known.contains(&tokens.unwrap_or(kind))
        };
        if let Some(unknown) = self.session.iter().find(|kind| !is_known(kind)) {
            return Err(format!(
                "--session {unknown}: must be one of {}, or a kind of jwt with +deny behind it",
                known.join(", ")
            ));
        }
        if !self.session.is_empty() {
            return Ok(self.session.clone());
        }
        if self.url.is_some() {
            return Ok(vec!["memory".to_owned()]);
        }
        // By default, what can be had.
        let usual = ["memory", "redis", "memcached", "jwt"];
        Ok(usual.iter().filter(|kind| bench::has_store_for(kind)).map(|kind| (*kind).to_owned()).collect())
    }

    fn foreign(&self) -> Result<Option<Foreign>, String> {
        let (Some(url), Some(backends)) = (&self.url, &self.at) else { return Ok(None) };
        let rest = url.strip_prefix("http://").ok_or("--url must begin with http://")?;
        let host = rest.split('/').next().unwrap_or_default();
        let with_port = if host.contains(':') { host.to_owned() } else { format!("{host}:80") };
        let address = with_port.to_socket_addrs().map_err(|e| format!("--url {url}: {e}"))?;
        let address = address.into_iter().next().ok_or_else(|| format!("--url {url}: has no address"))?;
        Ok(Some(Foreign { host: host.to_owned(), address, backends: addresses(backends)? }))
    }
}

/// Reads `127.0.0.1:9001..9003`, or addresses separated by commas.
fn addresses(text: &str) -> Result<Vec<SocketAddr>, String> {
    let must =
        || format!("--backends {text}: must be as 127.0.0.1:9001..9003, or addresses separated by commas");
    let mut all = Vec::new();
    for one in text.split(',') {
        match one.split_once("..") {
            None => all.push(one.trim().parse().map_err(|_| must())?),
            Some((first, last)) => {
                let first: SocketAddr = first.trim().parse().map_err(|_| must())?;
                let last: u16 = last.trim().parse().map_err(|_| must())?;
                let ip: IpAddr = first.ip();
                all.extend((first.port()..=last).map(|port| SocketAddr::new(ip, port)));
            }
        }
    }
    if (2..=26).contains(&all.len()) { Ok(all) } else { Err(must()) }
}

/// Where progress is shown.
struct Screen {
    is_quiet: bool,
    is_bar: bool,
    told: Option<Instant>,
    stage: String,
}

impl Screen {
    fn new(is_quiet: bool) -> Self {
        Self { is_quiet, is_bar: std::io::stderr().is_terminal(), told: None, stage: String::new() }
    }

    fn show(&mut self, progress: &Progress) {
        if self.is_quiet {
            return;
        }
        let line = words::progress(progress);
        if self.is_bar {
            say(&format!("\r\x1b[K{line}"));
            return;
        }
        let stage = format!("{} {}", progress.label, progress.stage);
        if stage != self.stage || self.told.is_none_or(|told| told.elapsed() >= LINE) {
            (self.stage, self.told) = (stage, Some(Instant::now()));
            say(&format!("{line}\n"));
        }
    }

    fn end(&self) {
        if self.is_bar && !self.is_quiet {
            say("\r\x1b[K");
        }
    }
}
