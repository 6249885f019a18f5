//! `homing simulate`: arguments and files; what is simulated is in [`crate::simulate`], and `tell` has the tables.

mod tell;

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use self::tell::{checked, markdown, separated, told, took};
use super::{print, say};
use crate::base::units::Span;
use crate::report;
use crate::simulate::{
    self, Dimension, Key, Outcome, PROFILES, Problem, Replay, Script, Setup, Store, Way, Workload,
};

/// What happens if nobody says what.
const EVENTS: &str = "crash b@60s+15s, roll@180s";
/// Largest log that is read, bytes.
const LARGEST_LOG: u64 = 4 << 30;
/// Before this nobody needs to see how far it is.
const QUIET: Duration = Duration::from_millis(700);
/// Cells of the bar.
const CELLS: usize = 20;
#[derive(Args, Debug)]
pub(super) struct SimulateArgs {
    /// Sessions that are live at any time (default 10000, or the visits of `--replay`)
    #[arg(long, value_name = "N")]
    users: Option<u32>,
    /// Backends at the start: a, b, c, ..
    #[arg(short, long, value_name = "N", default_value_t = 3)]
    n: usize,
    /// Strategies, separated by commas; `consistent` is `hash` with `consistent = true`
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    strategy: Vec<String>,
    /// `cookie`, `none` or both; default what suits each strategy
    #[arg(long, value_name = "MODES", value_delimiter = ',')]
    affinity: Vec<String>,
    /// Where sessions are kept: memory, redis, memcached, jwt
    #[arg(long, value_name = "STORES", value_delimiter = ',', default_value = "memory")]
    sessions: Vec<String>,
    /// What happens: `crash b@60s+15s, roll@120s drain=20s, add@300s, ip_change 30%@400s`
    #[arg(long, value_name = "EVENTS", conflicts_with = "script")]
    events: Option<String>,
    /// The same from a file of [[at]] tables
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
    /// All random numbers are made of it
    #[arg(long)]
    seed: Option<u64>,
    /// Threads; they make no difference to what comes out (default: one per core)
    #[arg(long)]
    threads: Option<usize>,
    /// Who the users are: web, residential, cgnat, corporate, cdn, mobile or bank
    #[arg(long, default_value = "web", value_name = "NAME")]
    profile: String,
    /// How unequal clients' networks are: Zipf's exponent
    #[arg(long, value_name = "EXPONENT")]
    zipf: Option<f64>,
    /// Share of clients that keep no cookie
    #[arg(long, value_name = "SHARE")]
    cookieless: Option<f64>,
    /// What hash strategies place by: client_ip, or user (an id that clients bring)
    #[arg(long, default_value = "client_ip", value_name = "KEY")]
    key: String,
    /// What becomes of a session that a backend does not know: strict (log in again) or adopting (go on with its id)
    #[arg(long, default_value = "strict", value_name = "KIND")]
    application: String,
    /// Time between a session's requests; without it every session asks between any two events
    #[arg(long, value_name = "TIME")]
    think: Option<Span>,
    /// How long to go on; default a minute after the last event
    #[arg(long, value_name = "TIME")]
    duration: Option<Span>,
    /// Go through a range of n, users, zipf, behind_one, cookieless, mobile or stay: `n=2..50`; may be repeated
    #[arg(long, value_name = "RANGE")]
    sweep: Vec<String>,
    /// Closed forms beside what came out, and how many standard deviations lie between
    #[arg(long)]
    theory: bool,
    /// Take the clients' addresses from an access log: combined or JSON lines
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Write the result as JSON (`-` is standard output, in the place of the table)
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the report as one HTML page
    #[arg(long, value_name = "FILE", conflicts_with = "self_check")]
    html: Option<PathBuf>,
    /// Write the events as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Write the events as a Markdown table
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Run what is known to be right, and print each expected and measured value; exit 1 if one fails
    #[arg(long, conflicts_with_all = ["events", "script", "sweep", "replay"])]
    self_check: bool,
    /// With `--self-check`: larger samples, for minutes
    #[arg(long, requires = "self_check")]
    long: bool,
}

pub(super) fn simulate(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    match simulated(args) {
        Ok(code) => Ok(code),
        Err(error) => {
            let Some(problem) = error.downcast_ref::<Problem>().filter(|p| !p.help.is_empty()) else {
                return Err(error);
            };
            say(&format!("homing: {problem}\n  help: {}\n", problem.help));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn simulated(args: &SimulateArgs) -> anyhow::Result<ExitCode> {
    let mut bar = Bar::new();
    if args.self_check {
        let checks = simulate::self_check(args.long, args.seed.unwrap_or(7), &mut |share| bar.show(share));
        bar.clear();
        print(&checked(&checks))?;
        if let Some(file) = &args.json {
            write(file, &pretty(&checks.to_json())?)?;
        }
        return Ok(if checks.all_passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE });
    }
    let setup = setup(args)?;
    let dimensions = args.sweep.iter().map(|text| Dimension::parse(text)).collect::<Result<Vec<_>, _>>()?;
    let (json, timing) = if dimensions.is_empty() {
        let outcome = simulate::run(&setup, &mut |share| bar.show(share))?;
        (Outcome::to_json(&outcome).clone(), Some(outcome.timing))
    } else {
        (simulate::sweep(&setup, &dimensions, &mut |share| bar.show(share))?.json, None)
    };
    bar.clear();
    let is_piped = args.json.as_deref().is_some_and(|file| file.as_os_str() == "-");
    if !is_piped {
        print(&told(&json, args.theory))?;
    }
    if let Some(timing) = timing {
        say(&took(&timing));
    }
    for (file, text) in
        [(&args.json, pretty(&json)?), (&args.csv, separated(&json)), (&args.md, markdown(&json))]
    {
        if let Some(file) = file {
            write(file, &text)?;
        }
    }
    if let Some(file) = &args.html {
        write(file, &report::html(&json))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn setup(args: &SimulateArgs) -> anyhow::Result<Setup> {
    let replay = args.replay.as_deref().map(replayed).transpose()?;
    let users = args.users.or_else(|| replay.as_ref().map(Replay::visits)).unwrap_or(10_000);
    let mut workload = Workload::named(&args.profile, users).ok_or_else(|| {
        let names: Vec<_> = PROFILES.iter().map(|(name, what)| format!("{name} ({what})")).collect();
        Problem::new(format!("unknown profile {:?}", args.profile), format!("one of {}", names.join(", ")))
    })?;
    workload.think = args.think.map(|span| span.0.as_secs_f64()).filter(|think| *think > 0.0);
    if let Some(zipf) = args.zipf {
        workload.zipf = within("--zipf", zipf, 5.0)?;
    }
    if let Some(share) = args.cookieless {
        workload.cookieless = within("--cookieless", share, 1.0)?;
    }
    let script = match (&args.script, &args.events) {
        (Some(file), _) => {
            let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
            Script::parse_toml(&text, &file.display().to_string())?
        }
        (None, events) => Script::parse(events.as_deref().unwrap_or(EVENTS))?,
    };
    let choose = |what: &str, given: &str, names: [&str; 2]| {
        names
            .iter()
            .position(|name| *name == given)
            .ok_or_else(|| Problem::new(format!("{what} {given:?}"), format!("{} or {}", names[0], names[1])))
    };
    let key = if choose("--key", &args.key, ["client_ip", "user"])? == 0 { Key::ClientIp } else { Key::User };
    let threads = args.threads.or_else(|| std::thread::available_parallelism().ok().map(usize::from));
    Ok(Setup {
        workload,
        backends: args.n,
        ways: ways(args)?,
        stores: args.sessions.iter().map(|name| Store::parse(name)).collect::<Result<_, _>>()?,
        key,
        adopts_ids: choose("--application", &args.application, ["strict", "adopting"])? == 1,
        seed: args.seed.or(script.seed).unwrap_or(7),
        script,
        duration: args.duration.map_or(0.0, |span| span.0.as_secs_f64()),
        threads: threads.unwrap_or(1).clamp(1, 256),
        replay,
        theory: args.theory,
        command: command(),
    })
}

fn within(what: &str, x: f64, most: f64) -> Result<f64, Problem> {
    let must = || Problem::new(format!("{what} {x}"), format!("a number from 0 to {most}"));
    if (0.0..=most).contains(&x) { Ok(x) } else { Err(must()) }
}

fn ways(args: &SimulateArgs) -> Result<Vec<Way>, Problem> {
    if args.strategy.is_empty() && args.affinity.is_empty() {
        return Ok(Way::usual());
    }
    let usual = ["round_robin", "least_sessions", "rendezvous", "consistent", "maglev", "hash", "ip_hash"];
    let strategies: Vec<&str> = if args.strategy.is_empty() {
        usual.to_vec()
    } else {
        args.strategy.iter().map(String::as_str).collect()
    };
    let mut ways = Vec::new();
    for strategy in strategies {
        if args.affinity.is_empty() {
            ways.push(Way::parse(strategy, None)?);
        }
        for affinity in &args.affinity {
            ways.push(Way::parse(strategy, Some(affinity))?);
        }
    }
    Ok(ways)
}

/// The command without what makes no difference to what comes out.
fn command() -> String {
    let mut words = vec!["homing".to_owned()];
    let mut given = std::env::args().skip(1);
    while let Some(word) = given.next() {
        let name = word.split('=').next().unwrap_or_default();
        if matches!(name, "--threads" | "--json" | "--html" | "--csv" | "--md") {
            if !word.contains('=') {
                given.next();
            }
            continue;
        }
        words.push(if word.contains([' ', '*']) { format!("'{word}'") } else { word });
    }
    words.join(" ")
}

fn replayed(file: &Path) -> anyhow::Result<Replay> {
    let size = std::fs::metadata(file).with_context(|| format!("read {}", file.display()))?.len();
    if size > LARGEST_LOG {
        let help = "at most 4 GiB; a part of the log says as much".to_owned();
        return Err(Problem::new(format!("{}: {size} bytes", file.display()), help).into());
    }
    let bytes = std::fs::read(file).with_context(|| format!("read {}", file.display()))?;
    Ok(Replay::parse(&String::from_utf8_lossy(&bytes), &file.display().to_string())?)
}

fn write(file: &Path, text: &str) -> anyhow::Result<()> {
    if file.as_os_str() == "-" {
        return print(text);
    }
    std::fs::write(file, text).with_context(|| format!("write {}", file.display()))
}

fn pretty(json: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(json)? + "\n")
}

/// How far it is, on a terminal that waits for long.
struct Bar {
    begun: Instant,
    shown: Option<Instant>,
    is_seen: bool,
}

impl Bar {
    fn new() -> Self {
        Self { begun: Instant::now(), shown: None, is_seen: std::io::stderr().is_terminal() }
    }

    fn show(&mut self, share: f64) {
        let now = Instant::now();
        let passed = now - self.begun;
        let is_due = self.shown.is_none_or(|last| now - last > Duration::from_millis(100));
        if !self.is_seen || passed < QUIET || !is_due {
            return;
        }
        self.shown = Some(now);
        let full = ((share * CELLS as f64) as usize).min(CELLS);
        let left = passed.as_secs_f64() * (1.0 - share) / share.max(1e-3);
        let cells = "#".repeat(full) + &"-".repeat(CELLS - full);
        say(&format!("\r[{cells}] {:3.0} %, {left:.0} s left \x1b[K", share * 100.0));
    }

    fn clear(&mut self) {
        if self.shown.take().is_some() {
            say("\r\x1b[K");
        }
    }
}
