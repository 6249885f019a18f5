//! The subcommands. This file holds those that run or read a configuration, and the one-line form; the folder those
//! that talk to a running homing: `reload` and `status`, `drain` (and ready, maint, weight) with `progress`, `sessions`;
//! what they share is in `admin`, `client` and `table`; and `demo` and `backend`, the shop. `report` shows
//! what was measured. Only this room prints.

mod admin;
mod backend;
mod bench;
mod client;
mod demo;
mod drain;
mod probe;
mod progress;
mod reload;
mod report;
mod sessions;
mod simulate;
mod status;
mod table;

use std::io::{IsTerminal as _, Write as _};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};

use self::client::Failed;
use self::table::Paint;
use crate::affinity::foreign::Secrets;
use crate::app::{self, Running};
use crate::base::time::UnixSeconds;
use crate::config::diagnostic::{Diagnostics, Style};
use crate::config::print::OneLine;
use crate::config::{self, Environment, Loaded, Sources};
use crate::control::Signals;
use crate::control::reload::Origin;
use crate::explain::{self, Ask, Explainer};
use crate::net::listen::ListenAddress;
use crate::snapshot::carried::Carried;
use crate::snapshot::difference::Difference;
use crate::strategy::Registry;

/// A reverse-proxy load balancer: a client that has found a backend keeps finding it.
#[derive(Debug, Parser)]
#[command(name = "homing", version, args_conflicts_with_subcommands = true, arg_required_else_help = true)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    one_line: Option<OneLineArgs>,
}

/// Serve without a file.
#[derive(Args, Debug)]
struct OneLineArgs {
    /// Where clients come in: `:8080`, `127.0.0.1:8080` or `unix:/run/homing.sock`
    #[arg(long, value_name = "ADDRESS")]
    listen: String,
    /// Backends, separated by commas: `127.0.0.1:9001,127.0.0.1:9002`
    #[arg(long, value_name = "ADDRESSES", required = true)]
    to: Vec<String>,
    /// How a backend is chosen for a new session (see `homing strategies`)
    #[arg(long, value_name = "NAME")]
    strategy: Option<String>,
    /// What keeps a client with its backend: `cookie` or `none`
    #[arg(long, value_name = "MODE")]
    affinity: Option<String>,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<String>,
    /// Print the configuration file that says the same, and exit
    #[arg(long)]
    print_config: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve in the foreground until SIGTERM or Ctrl-C
    Run(ConfigArgs),
    /// Find every problem of a configuration; exit 0 if it can be used, 1 if not
    Check(ConfigArgs),
    /// Print the configuration in effect, every key with its value and where that came from; homing reads it as a file
    Print(ConfigArgs),
    /// Tell what another configuration would change, and whose sessions and keys would move; exit 0 if nothing changes,
    /// 1 if something does, 2 if one of them cannot be used
    Diff(DiffArgs),
    /// Tell which backend a request would get, and why; or, of cookies alone, what they say. Offline
    Explain(ExplainArgs),
    /// Have a running homing read its configuration again; refused whole if anything is wrong with it
    Reload(reload::ReloadArgs),
    /// What a running homing's pools and backends do now
    Status(status::StatusArgs),
    /// Empty a backend: no new sessions, and those it has stay as long as you say
    Drain(drain::DrainArgs),
    /// Let a backend take sessions again
    Ready(drain::ReadyArgs),
    /// Take a backend away at once: nobody is sent there
    Maint(drain::MaintArgs),
    /// Give a backend more or less of the new sessions
    Weight(drain::WeightArgs),
    /// List, find, move or end the sessions that a pool keeps in its table
    Sessions(sessions::SessionsArgs),
    /// Measure session routing on real processes: homing's strategies, nginx, HAProxy or any balancer, while backends crash
    /// and are deployed to
    Bench(Box<bench::BenchArgs>),
    /// List the strategies
    Strategies,
    /// Tell what each way of keeping sessions does to them when backends crash, are deployed to, come and go. Offline
    Simulate(Box<simulate::SimulateArgs>),
    /// Tell a result of `bench` or `simulate` again: a page, a document, a table, what changed, whether it will do
    Report(report::ReportArgs),
    /// Try it: a proxy and three backends of a small shop that people log in to
    Demo(demo::DemoArgs),
    /// Serve one backend of the demo's shop: something to put behind a balancer, and to measure
    Backend(backend::BackendArgs),
}

#[derive(Args, Debug)]
struct ConfigArgs {
    /// The configuration file
    #[arg(short, long, value_name = "FILE", default_value = "config.toml")]
    config: PathBuf,
}

#[derive(Args, Debug)]
struct DiffArgs {
    /// The configuration file as it is
    #[arg(value_name = "OLD")]
    old: PathBuf,
    /// The configuration file as it would be
    #[arg(value_name = "NEW")]
    new: PathBuf,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Args, Debug)]
struct ExplainArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The client's address
    #[arg(long)]
    ip: Option<IpAddr>,
    /// The listener it comes in by; default the first
    #[arg(long)]
    listener: Option<String>,
    /// The host it asks for
    #[arg(long)]
    host: Option<String>,
    /// The path, with its query
    #[arg(long)]
    path: Option<String>,
    /// A header field, as 'Name: value'; may be repeated
    #[arg(long, value_name = "FIELD")]
    header: Vec<String>,
    /// A cookie, as 'name=value'; may be repeated. With nothing else asked, only what it says is told
    #[arg(long, value_name = "PAIR")]
    cookie: Vec<String>,
    /// A file with HAProxy's dynamic-cookie-key, to read cookies made with it
    #[arg(long, value_name = "FILE")]
    haproxy_key: Option<PathBuf>,
    /// A file with the secret of Caddy's `lb_policy cookie`, to read cookies made with it
    #[arg(long, value_name = "FILE")]
    caddy_secret: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// A file with one address or key a line (`-` is standard input); prints `key TAB backend`
    #[arg(long, value_name = "FILE", conflicts_with = "json")]
    batch: Option<PathBuf>,
}

/// Parses the command line, does what it says, and returns the exit code: 0 if all went well, 1 if something is wrong
/// with what was asked, 2 if the command line is, 3 if the homing that is asked cannot be reached.
#[must_use]
pub fn main() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            say(&format!("homing: {error:#}\n"));
            let failed = error.downcast_ref::<Failed>();
            if let Some(help) = failed.and_then(Failed::help) {
                say(&format!("  help: {help}\n"));
            }
            failed.map_or(ExitCode::FAILURE, |failed| failed.code().into())
        }
    }
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    match (cli.command, cli.one_line) {
        (Some(Command::Run(args)), _) => run(&args.config),
        (Some(Command::Check(args)), _) => check(&args.config),
        (Some(Command::Print(args)), _) => print_in_effect(&args.config),
        (Some(Command::Diff(args)), _) => diff(&args),
        (Some(Command::Explain(args)), _) => explain(args),
        (Some(Command::Strategies), _) => {
            for kind in Registry::built_in().iter() {
                print(&format!("{:<15} {}\n", kind.name, kind.summary))?;
            }
            Ok(ExitCode::SUCCESS)
        }
        (Some(Command::Reload(args)), _) => reload::reload(&args),
        (Some(Command::Status(args)), _) => status::status(&args),
        (Some(Command::Drain(args)), _) => drain::drain(&args),
        (Some(Command::Ready(args)), _) => drain::ready(&args),
        (Some(Command::Maint(args)), _) => drain::maint(&args),
        (Some(Command::Weight(args)), _) => drain::weight(&args),
        (Some(Command::Sessions(args)), _) => sessions::sessions(&args),
        (Some(Command::Bench(args)), _) => bench::bench(&args),
        (Some(Command::Simulate(args)), _) => simulate::simulate(&args),
        (Some(Command::Report(args)), _) => report::report(&args),
        (Some(Command::Demo(args)), _) => demo::demo(&args),
        (Some(Command::Backend(args)), _) => backend::backend(args),
        (None, Some(args)) => one_line(args),
        (None, None) => Ok(ExitCode::from(2)),
    }
}

fn run(path: &Path) -> anyhow::Result<ExitCode> {
    match Sources::read(path) {
        Ok(sources) => serve(sources),
        Err(diagnostics) => {
            say(&diagnostics.render(style()));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn one_line(args: OneLineArgs) -> anyhow::Result<ExitCode> {
    let OneLineArgs { listen, to, strategy, affinity, admin, print_config } = args;
    let text = OneLine { listen, to, strategy, affinity, admin }.to_toml();
    if print_config {
        print(&text)?;
        return Ok(ExitCode::SUCCESS);
    }
    let origin = Path::new("command line (see --print-config)");
    serve(Sources::text(&text, origin))
}

fn check(path: &Path) -> anyhow::Result<ExitCode> {
    let Some(Loaded { plan, .. }) = read(config::load(path, &Registry::built_in(), &environment()?)) else {
        return Ok(ExitCode::FAILURE);
    };
    let backends: usize = plan.pools.iter().map(|p| p.members.len()).sum();
    print(&format!(
        "{}: ok: {} listener(s), {} route(s), {} pool(s), {backends} backend(s)\n",
        path.display(),
        plan.listeners.len(),
        plan.routes.as_slice().len(),
        plan.pools.len(),
    ))?;
    Ok(ExitCode::SUCCESS)
}

fn print_in_effect(path: &Path) -> anyhow::Result<ExitCode> {
    let environment = environment()?;
    match Sources::read(path).and_then(|s| s.print(&Registry::built_in(), &environment)) {
        Ok((text, warnings)) => {
            say(&warnings.render(style()));
            print(&text)?;
            Ok(ExitCode::SUCCESS)
        }
        Err(diagnostics) => {
            say(&diagnostics.render(style()));
            Ok(ExitCode::FAILURE)
        }
    }
}

fn diff(args: &DiffArgs) -> anyhow::Result<ExitCode> {
    let (registry, environment) = (Registry::built_in(), environment()?);
    // The number of workers is a key that is compared, and nothing that pools are to differ by.
    let carried = Carried { workers: Some(1), ..Carried::default() };
    let plan = |path: &Path| Sources::read(path).and_then(|s| s.build(&registry, &environment, &carried));
    let (Some(old), Some(new)) = (read_quietly(plan(&args.old)), read(plan(&args.new))) else {
        return Ok(ExitCode::from(2));
    };
    let difference = Difference::between(&old.plan, &new.plan, &|_, _| 0);
    print(&if args.json { format!("{}\n", difference.to_json()) } else { difference.to_text() })?;
    Ok(if difference.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn explain(args: ExplainArgs) -> anyhow::Result<ExitCode> {
    let environment = environment()?;
    let loaded = config::load(&args.config.config, &Registry::built_in(), &environment);
    let Some(Loaded { plan, .. }) = read(loaded) else { return Ok(ExitCode::FAILURE) };
    let secrets = Secrets {
        haproxy: args.haproxy_key.as_deref().map(secret).transpose()?,
        caddy: args.caddy_secret.as_deref().map(secret).transpose()?,
    };
    let explainer = Explainer::new(plan, &environment, secrets);
    let ask = Ask {
        listener: args.listener,
        ip: args.ip,
        host: args.host,
        path: args.path,
        headers: args.header,
        cookies: args.cookie,
    };
    if let Some(file) = args.batch {
        let lines = if file.as_os_str() == "-" {
            std::io::read_to_string(std::io::stdin()).context("read standard input")?
        } else {
            std::fs::read_to_string(&file).with_context(|| format!("read {}", file.display()))?
        };
        print(&explainer.batch(&ask, &lines)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    let now = UnixSeconds::now();
    let (text, is_answered) = if ask.is_about_cookies() {
        let pins = explainer.decode(&ask)?;
        let told = if args.json {
            explain::pins_to_json(&pins, now) + "\n"
        } else {
            pins.iter().map(|pin| pin.to_text(now)).collect()
        };
        (told, pins.iter().any(explain::pins::PinReport::names_somebody))
    } else {
        let answer = explainer.explain(&ask)?;
        let told = if args.json { answer.to_json(now) + "\n" } else { answer.to_text(now) };
        (told, answer.backend.is_some())
    };
    print(&text)?;
    Ok(if is_answered { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// A secret of another system, from a file of its own: a command line is seen by everybody.
fn secret(file: &Path) -> anyhow::Result<String> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    Ok(text.trim_end_matches(['\r', '\n']).to_owned())
}

fn serve(sources: Sources) -> anyhow::Result<ExitCode> {
    let (registry, environment) = (Registry::built_in(), environment()?);
    let Some(loaded) = read(sources.build(&registry, &environment, &Carried::default())) else {
        return Ok(ExitCode::FAILURE);
    };
    let Loaded { plan, warnings } = loaded;
    log_to_standard_error();
    let pools: Vec<String> = plan
        .pools
        .iter()
        .map(|p| {
            let affinity = p.affinity.as_ref().map(|a| format!(", affinity by {}", a.to_text()));
            let affinity = affinity.unwrap_or_default();
            format!("pool \"{}\": {} backend(s), {}{affinity}\n", p.name, p.members.len(), p.kind.name)
        })
        .collect();
    let origin = Origin { sources, registry, environment, warnings };
    let running = app::start(plan, Some(origin), Signals::Take)?;
    announce(&running, &pools);
    running.join()?;
    say("stopped\n");
    Ok(ExitCode::SUCCESS)
}

fn announce(running: &Running, pools: &[String]) {
    let mut text = String::new();
    let plan = &running.published.load().plan;
    for ((name, listen, bound), listener) in running.listeners.iter().zip(&plan.listeners) {
        let scheme = if listener.tls.is_some() { "https" } else { "http" };
        let at = match (listen, bound) {
            (ListenAddress::Tcp { both_families: true, .. }, Some(a)) => format!("{scheme}://*:{}", a.port()),
            (_, Some(a)) => format!("{scheme}://{a}"),
            (other, None) => other.to_string(),
        };
        text.push_str(&format!("listener \"{name}\": {at}\n"));
    }
    text.extend(pools.iter().map(String::as_str));
    if let Some(admin) = running.admin {
        text.push_str(&format!("admin: http://{admin}\n"));
    }
    text.push_str("ready\n");
    say(&text);
}

fn environment() -> anyhow::Result<Environment> {
    Environment::detect().context("draw random bytes")
}

/// The plan, after its warnings were said; or nothing, after its errors were.
fn read(loaded: Result<Loaded, Diagnostics>) -> Option<Loaded> {
    if let Ok(loaded) = &loaded {
        say(&loaded.warnings.render(style()));
    }
    read_quietly(loaded)
}

fn read_quietly(loaded: Result<Loaded, Diagnostics>) -> Option<Loaded> {
    match loaded {
        Ok(loaded) => Some(loaded),
        Err(diagnostics) => {
            say(&diagnostics.render(style()));
            None
        }
    }
}

fn style() -> Style {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    if !is_plain && std::io::stderr().is_terminal() { Style::Coloured } else { Style::Plain }
}

/// For what goes to standard output.
fn paint() -> Paint {
    let is_plain = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
    if !is_plain && std::io::stdout().is_terminal() { Paint::Coloured } else { Paint::Plain }
}

fn log_to_standard_error() {
    let is_terminal = std::io::stderr().is_terminal();
    // A second start in one process keeps the first logger.
    let _ = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(is_terminal && std::env::var_os("NO_COLOR").is_none())
        .with_target(false)
        .try_init();
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        done => done.context("write to standard output"),
    }
}

/// Standard error is where people look; that it is closed is nothing to stop for.
fn say(text: &str) {
    let _ = std::io::stderr().lock().write_all(text.as_bytes());
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn commands_are_read() {
        for (line, is_read) in [
            ("reload --dry-run --admin 127.0.0.1:9900", true),
            ("status -c x.toml --json", true),
            ("status --admin https://node:9900", false),
            ("drain app/a --deadline 10m --wait --timeout 1h", true),
            ("drain app/a --mode deadline --deadline 10m", true),
            ("drain app/a --mode deadline", false),
            ("drain app/a --deadline 10", false),
            ("drain app/a --mode later", false),
            ("drain app/a --timeout 10m", false),
            ("drain", false),
            ("ready a", true),
            ("ready app/a --as-configured --when-up --timeout 1m", true),
            ("ready app/a --timeout 1m", false),
            ("ready app/", false),
            ("status app --names", true),
            ("status --names", false),
            ("maint app/unix:/run/a.sock", true),
            ("weight app/a 5", true),
            ("weight app/a default", true),
            ("weight app/a 65536", false),
            ("weight app/a", false),
            ("sessions", true),
            ("sessions app --backend a --limit 5", true),
            ("sessions app --find -", true),
            ("sessions app --move s1 --to b", true),
            ("sessions app --move s1", false),
            ("sessions app --to b", false),
            ("sessions app --end s1 --find x", false),
            ("sessions app --end s1", true),
            (
                "simulate --users 1000 -n 5 --strategy round_robin,maglev --affinity cookie,none --theory",
                true,
            ),
            ("simulate --self-check --long", true),
            ("simulate --long", false),
            ("simulate --self-check --sweep n=2..5", false),
            (
                "report r.json --html - --md r.md --csv r.csv --compare old.json --fail-if a>0 --fail-if b>1",
                true,
            ),
            ("report --html r.html", false),
            ("bench probe http://127.0.0.1:8080/ --identify header:X-Served-By --within 60s", true),
            ("bench probe http://a --ca x.pem --insecure", false),
            ("bench probe http://a --identify regex:x", false),
            ("bench probe http://a --backends a=10.0.0.7:80,b=10.0.0.8:80", true),
            ("bench probe http://a --backends 10.0.0.7", false),
            ("bench probe", false),
            ("demo --sessions redis", true),
            ("demo --sessions jwt:es256", true),
            ("demo --sessions files", false),
            ("backend --sessions memory --listen :0", true),
            ("backend --sessions redis://127.0.0.1:6379 --idle 5m --lifetime 1h", true),
            ("backend --sessions jwt:eddsa --key-file k.pem --deny-list redis://127.0.0.1:6379", true),
            ("backend --sessions jwt:none", false),
            ("backend --sessions memory --idle 5", false),
            ("backend --sessions memory --password-cost low --open-registration --secure", true),
        ] {
            let words = std::iter::once("homing").chain(line.split(' '));
            let read = Cli::try_parse_from(words).map(drop);
            assert_eq!(read.is_ok(), is_read, "{line}: {read:?}");
        }
    }
}
