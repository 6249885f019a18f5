//! `homing bench probe`: its arguments, its checklist, its file.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

use super::client::Failed;
use super::table::{Hue, Paint, clean};
use crate::base::time::UnixSeconds;
use crate::base::units::Span;
use crate::bench::probe::classify::tiny;
use crate::bench::probe::findings::{Finding, Mark, Probed};
use crate::bench::probe::identify::Identify;
use crate::bench::probe::target::Wrong;
use crate::bench::probe::{self, Hooks, Settings, Trust};
use crate::net::tls::client::Settings as Tls;

/// What `homing bench` does besides.
#[derive(Debug, Subcommand)]
pub(super) enum BenchCommand {
    /// Tell what kind of affinity the balancer at a URL has, with evidence; exit 0 if that could be told, 1 if not
    Probe(Box<ProbeArgs>),
}

/// Whom to probe, and how.
#[derive(Args, Debug)]
pub(super) struct ProbeArgs {
    /// Whom: http:// or https://
    #[arg(value_name = "URL")]
    url: String,
    /// What tells backends apart: header:NAME, json:/pointer, cookie:NAME, body:BEFORE*AFTER or body; default whatever does
    #[arg(long, value_name = "WHAT", value_parser = Identify::parse)]
    identify: Option<Identify>,
    /// The field by which the balancer believes client addresses, as X-Forwarded-For; on 127.0.0.0/8 none is needed
    #[arg(long, value_name = "NAME", value_parser = field_name)]
    client_header: Option<String>,
    /// A field of every request, as 'Name: value'; may be repeated
    #[arg(long, value_name = "FIELD", value_parser = field)]
    header: Vec<(String, String)>,
    /// A cookie that may be hashed or learnt, to be tried with made-up values besides the usual ones; may be repeated
    #[arg(long, value_name = "NAME")]
    try_cookie: Vec<String>,
    /// A field that may be hashed, to be tried with made-up values besides the usual ones; may be repeated
    #[arg(long, value_name = "NAME", value_parser = field_name)]
    try_header: Vec<String>,
    /// Backends that you know, as name=address, separated by commas: digests of addresses can be read then
    #[arg(long, value_name = "LIST", value_delimiter = ',', value_parser = backend)]
    backends: Vec<(String, String)>,
    /// A backend's own URL: cookies that it sets there are the application's
    #[arg(long, value_name = "URL")]
    direct: Option<String>,
    /// Log in to homing's application by this: '{"user":"u","password":"demo"}'
    #[arg(long, value_name = "JSON", value_parser = object)]
    login: Option<String>,
    /// Ends the backend that is named in HOMING_BACKEND
    #[arg(long, value_name = "COMMAND")]
    kill_hook: Option<String>,
    /// Brings it back, also from a drain
    #[arg(long, value_name = "COMMAND")]
    revive_hook: Option<String>,
    /// Drains it
    #[arg(long, value_name = "COMMAND")]
    drain_hook: Option<String>,
    /// Has the balancer read its configuration again
    #[arg(long, value_name = "COMMAND")]
    reload_hook: Option<String>,
    /// Certificates to trust, in PEM; default the system's
    #[arg(long, value_name = "FILE", conflicts_with = "insecure")]
    ca: Option<PathBuf>,
    /// Trust whoever answers
    #[arg(long)]
    insecure: bool,
    /// For all of it
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    within: Span,
    /// Of the random choices; default drawn
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Write the result to this file (`-` is standard output), as homing.bench/1
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
}

pub(super) fn probe(args: &ProbeArgs) -> anyhow::Result<ExitCode> {
    let settings = settings(args)?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    let is_terminal = std::io::stderr().is_terminal();
    let began = std::time::Instant::now();
    let mut progress = |what: &str| {
        let line = format!("[{:>4.1} s] {what}", began.elapsed().as_secs_f64());
        super::say(&if is_terminal { format!("\r\x1b[K{line}") } else { line + "\n" });
    };
    let local = tokio::task::LocalSet::new();
    let probed = local.block_on(&runtime, Box::pin(probe::probe(&settings, &mut progress)));
    drop(local);
    // A look-up of a name may still hang, and is nothing to wait for.
    runtime.shutdown_background();
    if is_terminal {
        super::say("\r\x1b[K");
    }
    let probed = match probed {
        Ok(probed) => probed,
        Err(Wrong::Usage(message)) => return Err(Failed::Usage(message).into()),
        Err(Wrong::Unreachable(message)) => anyhow::bail!(message),
    };
    let is_out = args.json.as_deref() == Some(Path::new("-"));
    if !is_out {
        super::print(&checklist(&probed, super::paint()))?;
    }
    if let Some(file) = &args.json {
        let text = serde_json::to_string_pretty(&result(&probed)).context("write JSON")? + "\n";
        if is_out {
            super::print(&text)?;
        } else {
            let mut out = std::fs::File::create(file).with_context(|| format!("write {}", file.display()))?;
            out.write_all(text.as_bytes()).with_context(|| format!("write {}", file.display()))?;
        }
    }
    Ok(if probed.is_told() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn settings(args: &ProbeArgs) -> anyhow::Result<Settings> {
    if args.within.0 < Duration::from_secs(1) {
        return Err(Failed::Usage("--within: must be a second at least".to_owned()).into());
    }
    let trust = match (&args.ca, args.insecure) {
        (Some(file), _) => {
            let mut roots = RootCertStore::empty();
            let read =
                CertificateDer::pem_file_iter(file).map(|all| all.filter_map(Result::ok).collect::<Vec<_>>());
            let (added, _) = roots.add_parsable_certificates(read.unwrap_or_default());
            if added == 0 {
                let message = format!("--ca {}: holds no certificate that can be read", file.display());
                return Err(Failed::Usage(message).into());
            }
            Trust::by(Tls::new(Some(roots.into()), None)?)
        }
        (None, true) => Trust::by(Tls::new(None, None)?),
        (None, false) => Trust::default(),
    };
    Ok(Settings {
        url: args.url.clone(),
        identify: args.identify.clone(),
        client_header: args.client_header.clone(),
        fields: args.header.clone(),
        try_cookies: args.try_cookie.clone(),
        try_fields: args.try_header.clone(),
        backends: args.backends.clone(),
        direct: args.direct.clone(),
        login: args.login.clone(),
        hooks: Hooks {
            kill: args.kill_hook.clone(),
            revive: args.revive_hook.clone(),
            drain: args.drain_hook.clone(),
            reload: args.reload_hook.clone(),
        },
        within: args.within.0,
        seed: args.seed.unwrap_or_else(|| fastrand::u64(..)),
        trust,
    })
}

/// The sentence, what else is known, and the checklist.
fn checklist(probed: &Probed, paint: Paint) -> String {
    let verdict = &probed.verdict;
    let hue = if probed.is_told() { Hue::Good } else { Hue::Caution };
    let mut out = format!("{}\n", paint.text(&clean(&verdict.sentence), hue));
    let certainty = match 1.0 - verdict.certainty {
        _ if !probed.is_told() => String::new(),
        p if p <= 0.0 => String::new(),
        p if p >= 0.1 => ", not for certain".to_owned(),
        p => format!("; chance would look so with probability {}", tiny(p)),
    };
    out.push_str(&format!("  kind: {}{certainty}\n", verdict.kind.name()));
    for detail in &verdict.details {
        out.push_str(&format!("  {}\n", clean(detail)));
    }
    for doubt in &verdict.doubts {
        out.push_str(&format!("  {} {}\n", paint.text("doubt:", Hue::Caution), clean(doubt)));
    }
    out.push('\n');
    let (left_out, asked): (Vec<&Finding>, Vec<&Finding>) =
        probed.findings.iter().partition(|f| f.mark == Mark::LeftOut);
    asked.into_iter().for_each(|finding| out.push_str(&line(finding, paint)));
    out.push_str(&not_asked(&left_out, paint));
    let by =
        probed.identified_by.as_ref().map_or_else(String::new, |by| format!(", told apart by {}", clean(by)));
    let n = probed.backends.len();
    out.push_str(&format!(
        "\n{n} backend{}{by}; {} requests in {:.1} s; --seed {} repeats the choices\n",
        if n == 1 { "" } else { "s" },
        probed.requests,
        probed.seconds,
        probed.seed
    ));
    out
}

/// What was left out, by the reasons for it.
fn not_asked(left_out: &[&Finding], paint: Paint) -> String {
    let mut reasons: Vec<&str> = Vec::new();
    for finding in left_out {
        if !reasons.contains(&finding.verdict.as_str()) {
            reasons.push(&finding.verdict);
        }
    }
    let mut out = String::new();
    for reason in reasons {
        let of = left_out.iter().filter(|f| f.verdict == reason);
        let asked: Vec<String> = of.map(|f| format!("{} {}", f.id, clean(&f.asked))).collect();
        let text = format!("{}: left out, {}", asked.join("; "), clean(reason));
        out.push_str(&format!("   {}\n", paint.text(&text, Hue::Faint)));
    }
    out
}

fn line(finding: &Finding, paint: Paint) -> String {
    let (sign, hue) = match finding.mark {
        Mark::Good => ("ok", Hue::Good),
        Mark::Note => ("--", Hue::None),
        Mark::Bad => ("!!", Hue::Bad),
        Mark::LeftOut => ("  ", Hue::Faint), // See `not_asked`.
    };
    let chance = finding.error_probability.map_or_else(String::new, |p| format!(" (by chance: {})", tiny(p)));
    let mut out = format!(
        "{} {:<3} {}: {}{chance}\n",
        paint.text(sign, hue),
        finding.id,
        clean(&finding.asked),
        paint.text(&clean(&finding.verdict), hue)
    );
    if !finding.seen.is_empty() {
        out.push_str(&format!("       {}\n", paint.text(&clean(&finding.seen), Hue::Faint)));
    }
    out
}

/// The whole file.
fn result(probed: &Probed) -> Value {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    let cpu = cpu
        .lines()
        .find_map(|l| l.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name.to_owned()));
    let mut host = json!({ "cores": std::thread::available_parallelism().map_or(1, std::num::NonZero::get) });
    if let Some(cpu) = cpu {
        host["cpu"] = json!(cpu);
    }
    let kernel = read("/proc/sys/kernel/osrelease");
    if !kernel.is_empty() {
        host["kernel"] = json!(kernel.trim());
    }
    json!({
        "schema": "homing.bench/1",
        "source": "bench",
        "command": command(),
        "seed": probed.seed,
        "made": UnixSeconds::now().0,
        "host": host,
        "versions": { "homing": env!("CARGO_PKG_VERSION") },
        "workload": {},
        "combinations": [],
        "checks": [],
        "probe": probed.to_json(),
        "doubts": probed.verdict.doubts,
    })
}

/// The command line, but for what nobody else should read.
fn command() -> String {
    let mut words = vec!["homing".to_owned()];
    let mut is_secret = false;
    for word in std::env::args().skip(1) {
        let (name, value) = word.split_once('=').map_or((word.as_str(), None), |(n, v)| (n, Some(v)));
        let hides = matches!(name, "--login" | "--header");
        words.push(match (is_secret, hides && value.is_some()) {
            (true, _) => "***".to_owned(),
            (false, true) => format!("{name}=***"),
            (false, false) => word.clone(),
        });
        is_secret = hides && value.is_none() && !is_secret;
    }
    words.join(" ")
}

fn time(text: &str) -> Result<Span, String> {
    text.parse::<Span>().map_err(|must| format!("a time {must}"))
}

fn field_name(text: &str) -> Result<String, String> {
    http::HeaderName::try_from(text)
        .map(|_| text.to_owned())
        .map_err(|_| "must be the name of a field".to_owned())
}

fn field(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("must be 'Name: value'")?;
    let value = value.trim();
    http::HeaderValue::try_from(value).map_err(|_| "must have a value of visible characters")?;
    Ok((field_name(name.trim())?, value.to_owned()))
}

fn backend(text: &str) -> Result<(String, String), String> {
    let (name, address) = text.split_once('=').ok_or("must be name=address")?;
    let known = crate::backend::Backend::at(address).ok_or("must be name=address, as in a=10.0.0.7:8080")?;
    Ok((name.to_owned(), known.address.to_string()))
}

fn object(text: &str) -> Result<String, String> {
    let read = serde_json::from_str::<Value>(text).ok().filter(Value::is_object);
    read.map(|_| text.to_owned()).ok_or_else(|| "must be a JSON object".to_owned())
}
