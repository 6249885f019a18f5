//! `homing status`: one screen of what is true now.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::admin::{self, AdminArgs, as_json, list, number, text};
use super::client::Failed;
use super::print;
use super::progress::{left, rough, several};
use super::table::{Cell, Hue, Paint, Side, Table, clean};
use crate::base::units::ByteSize;

/// A certificate that ends within so many seconds is pointed out: a week.
const WARNED: u64 = 7 * 86_400;
/// The columns of a pool's backends.
const COLUMNS: [(&str, Side); 11] = [
    ("BACKEND", Side::Left),
    ("STATE", Side::Left),
    ("WEIGHT", Side::Right),
    ("SESSIONS", Side::Right),
    ("SHARE", Side::Right),
    ("FAIR", Side::Right),
    ("IN FLIGHT", Side::Right),
    ("TUNNELS", Side::Right),
    ("QUEUE", Side::Right),
    ("ERRORS", Side::Right),
    ("LAST CHECK", Side::Left),
];

#[derive(Args, Debug)]
pub(super) struct StatusArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// Only this pool
    pool: Option<String>,
    /// For scripts: the names of the pool's backends alone, a line each, without those that leave or are in maintenance
    #[arg(long, requires = "pool", conflicts_with = "json")]
    names: bool,
}

pub(super) fn status(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    admin::run(&args.admin, async |client| {
        let answer = client.get("/api/v1/state").await?;
        if args.admin.json && args.pool.is_none() {
            return as_json(&answer);
        }
        let mut state = answer.accepted()?;
        if let Some(only) = &args.pool {
            keep_only(&mut state, only)?;
        }
        print(&match (args.admin.json, args.names) {
            (true, _) => format!("{state}\n"),
            (_, true) => names(&state),
            _ => in_words(&state, super::paint()),
        })?;
        Ok(ExitCode::SUCCESS)
    })
}

fn keep_only(state: &mut Value, only: &str) -> Result<(), Failed> {
    let pools = list(state, "pools");
    let kept: Vec<_> = pools.iter().filter(|pool| text(pool, "name") == only).cloned().collect();
    if kept.is_empty() {
        let names: Vec<_> = pools.iter().map(|pool| clean(text(pool, "name"))).collect();
        return Err(Failed::Usage(format!("no pool {only}; there are: {}", names.join(", "))));
    }
    state["pools"] = kept.into();
    Ok(())
}

fn names(state: &Value) -> String {
    let backends = list(state, "pools").iter().flat_map(|pool| list(pool, "backends"));
    let is_there = |b: &&Value| text(b, "admin") != "maint" && b.get("leaving") != Some(&Value::Bool(true));
    backends.filter(is_there).map(|backend| format!("{}\n", clean(text(backend, "id")))).collect()
}

fn in_words(state: &Value, paint: Paint) -> String {
    let mut out = head(state, paint);
    let mut has_overrides = false;
    for pool in list(state, "pools") {
        out.push('\n');
        out.push_str(&pool_in_words(pool, number(state, "now"), paint));
        has_overrides |= list(pool, "backends").iter().any(|b| is_set(b, "state") || is_set(b, "weight"));
    }
    if has_overrides {
        out.push_str("\n* set at run time, in place of what the configuration says\n");
    }
    out
}

fn head(state: &Value, paint: Paint) -> String {
    let phase = clean(text(state, "phase"));
    let hue = if phase == "serving" { Hue::Good } else { Hue::Caution };
    let mut out = format!(
        "homing {}: {} for {}, {}\n",
        clean(text(state, "version")),
        paint.text(&phase, hue),
        rough(number(state, "uptime_s")),
        several(state.get("process").map_or(0, |p| number(p, "connections")), "connection"),
    );
    let ago = |at: u64| format!("{} ago", rough(number(state, "now").saturating_sub(at)));
    let config = state.get("config").filter(|config| !text(config, "source").is_empty());
    let Some(config) = config else { return out };
    out.push_str(&format!(
        "configuration {} ({}), in force since {}",
        clean(text(config, "source")),
        clean(text(config, "hash")),
        ago(number(config, "loaded"))
    ));
    match list(config, "warnings").len() {
        0 => {}
        n => out.push_str(&format!(", {}", paint.text(&several(n as u64, "warning"), Hue::Caution))),
    }
    out.push('\n');
    if let Some(reload) = config.get("last_reload").filter(|reload| reload.is_object()) {
        let is_ok = reload.get("ok") == Some(&Value::Bool(true));
        let (word, hue) = if is_ok { ("done", Hue::Good) } else { ("refused", Hue::Bad) };
        // Warnings may stand before what it was refused for.
        let lines = || text(reload, "text").lines();
        let first = lines().find(|line| line.contains(": error: ")).or(lines().next()).unwrap_or_default();
        let at = ago(number(reload, "at"));
        out.push_str(&format!("last reload {at}: {}; {}\n", paint.text(word, hue), clean(first)));
    }
    list(state, "tls").iter().for_each(|tls| out.push_str(&tls_in_words(tls, number(state, "now"), paint)));
    out
}

/// A listener's certificates with what is left of them, and files that could not be read again.
fn tls_in_words(tls: &Value, now: u64, paint: Paint) -> String {
    let told = |certificate: &Value| {
        let left = number(certificate, "not_after").saturating_sub(now);
        let hue = if left < WARNED { Hue::Bad } else { Hue::Good };
        let left = if left == 0 { "ended".to_owned() } else { format!("ends in {}", rough(left)) };
        format!("{} {}", clean(text(certificate, "name")), paint.text(&left, hue))
    };
    let certificates: Vec<_> = list(tls, "certificates").iter().map(told).collect();
    let mut out = format!("TLS on {}: {}\n", clean(text(tls, "listener")), certificates.join(", "));
    for error in list(tls, "errors").iter().filter_map(Value::as_str) {
        let words = format!("{}; what was there before stays in force", clean(error));
        out.push_str(&format!("  {}\n", paint.text(&words, Hue::Bad)));
    }
    out
}

fn pool_in_words(pool: &Value, now: u64, paint: Paint) -> String {
    let affinity = pool.get("affinity");
    let mode = affinity.and_then(|a| a.as_str().or_else(|| a.get("mode")?.as_str())).unwrap_or("none");
    let milliseconds = |key: &str| {
        let ms = pool.get(key).and_then(Value::as_f64);
        ms.map_or_else(|| "-".to_owned(), |ms| format!("{} ms", short(ms)))
    };
    let mut out = format!(
        "pool {}: {}, affinity {}; {}, {} requests/s, p50 {}, p99 {}; {} of {}\n",
        clean(text(pool, "name")),
        clean(text(pool, "strategy")),
        clean(mode),
        several(number(pool, "sessions"), "session"),
        short(pool.get("rps").and_then(Value::as_f64).unwrap_or_default()),
        milliseconds("p50_ms"),
        milliseconds("p99_ms"),
        several(number(pool, "errors_total"), "error"),
        several(number(pool, "requests_total"), "request"),
    );
    if pool.get("panic") == Some(&Value::Bool(true)) {
        let words = "checks have closed every backend; they are used all the same";
        out.push_str(&format!("  {}\n", paint.text(words, Hue::Bad)));
    }
    if let Some(skew) = pool.get("skew").filter(|skew| skew.is_object()) {
        let share = percent(skew.get("share").and_then(Value::as_f64).unwrap_or_default());
        let words =
            format!("one key has {share} of the requests: {} ({})", text(skew, "key"), text(skew, "cause"));
        out.push_str(&format!("  {}\n", paint.text(&clean(&words), Hue::Caution)));
    }
    let results = affinity.and_then(|a| a.get("results")?.as_object());
    let results = results.into_iter().flatten().filter(|(_, n)| n.as_u64() > Some(0));
    let results: Vec<_> = results.map(|(word, n)| clean(&format!("{word} {n}"))).collect();
    if !results.is_empty() {
        out.push_str(&format!("  affinity so far: {}\n", results.join(", ")));
    }
    if let Some(table) = pool.get("table").filter(|table| table.is_object()) {
        let (entries, evicted) = (number(table, "entries"), number(table, "evicted_live"));
        let entries = several(entries, "session");
        let bytes = ByteSize(number(table, "bytes") >> 10 << 10);
        out.push_str(&format!("  table: {entries} in {bytes}, {evicted} evicted while live\n"));
    }
    let mut table = Table::new(&COLUMNS);
    list(pool, "backends").iter().for_each(|backend| table.row(row(backend, now)));
    out.push_str(&table.render("  ", paint));
    list(pool, "backends").iter().for_each(|backend| out.push_str(&drain_in_words(backend, now)));
    out
}

fn row(backend: &Value, now: u64) -> Vec<Cell> {
    let star = |what| if is_set(backend, what) { "*" } else { "" };
    let state = text(backend, "state");
    let hue = match state {
        "up" => Hue::Good,
        "down" => Hue::Bad,
        "maint" => Hue::Faint,
        _ => Hue::Caution,
    };
    let share = |key| percent(backend.get(key).and_then(Value::as_f64).unwrap_or_default());
    let check = backend.get("last_check").filter(|check| check.is_object()).map_or_else(
        || Cell::from("-".to_owned()),
        |check| {
            let hue = if text(check, "result") == "good" { Hue::None } else { Hue::Bad };
            let ago = rough(now.saturating_sub(number(check, "at")));
            Cell(clean(&format!("{}, {ago} ago", text(check, "text"))), hue)
        },
    );
    let count = |key: &str| Cell::from(number(backend, key).to_string());
    vec![
        text(backend, "id").to_owned().into(),
        Cell(clean(state) + star("state"), hue),
        format!("{}{}", number(backend, "weight"), star("weight")).into(),
        count("sessions"),
        share("share").into(),
        share("fair_share").into(),
        count("in_flight"),
        count("tunnels"),
        count("waiting"),
        count("errors_total"),
        check,
    ]
}

/// `  b drains (keep, wanted by operator): 12 of 40 sessions, .. left; 9m to the deadline, expected end in 4m`
fn drain_in_words(backend: &Value, now: u64) -> String {
    let Some(drain) = backend.get("drain").filter(|drain| drain.is_object()) else { return String::new() };
    let (sessions, most) = (number(drain, "sessions"), number(drain, "began_with"));
    let mut out = format!(
        "  {} drains ({}, wanted by {}): {}",
        clean(text(backend, "id")),
        clean(text(drain, "mode")),
        match text(drain, "because") {
            "configured" => "the configuration",
            "operator" => "an operator",
            "health" => "its health checks",
            "removed" => "its removal from the configuration",
            _ => "?",
        },
        left(sessions, most, number(drain, "requests"), number(drain, "tunnels"))
    );
    let at = |key: &str| drain.get(key).and_then(Value::as_u64);
    match at("deadline") {
        Some(deadline) if deadline > now => {
            out.push_str(&format!("; {} to the deadline", rough(deadline - now)))
        }
        Some(_) => out.push_str("; the deadline has passed"),
        None => {}
    }
    if let Some(end) = at("expected_end").filter(|end| *end > now && Some(*end) != at("deadline")) {
        out.push_str(&format!("; expected end in {}", rough(end - now)));
    }
    out + "\n"
}

/// Whether an operator's word stands in place of the configured one.
fn is_set(backend: &Value, what: &str) -> bool {
    backend.get("overrides").and_then(|o| o.get(what)).is_some_and(Value::is_object)
}

fn percent(share: f64) -> String {
    format!("{:.0}%", share * 100.0)
}

/// One digit behind the point where that says something.
fn short(n: f64) -> String {
    if n >= 10.0 || n == 0.0 { format!("{n:.0}") } else { format!("{n:.1}") }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;
