//! A result in words: a table for the terminal, Markdown, CSV; and how a run goes, in a line.

use std::fmt::Write as _;

use serde_json::Value;

use crate::bench::{Change, Progress};
use crate::cli::progress::rough;
use crate::cli::table::{Cell, Hue, Paint, Side, Table, clean};

/// Characters of a line that is written over.
const WIDTH: usize = 99;

/// Columns: heading, metric, digits.
const COLUMNS: [(&str, &str, usize); 14] = [
    ("LOST/SESSION", "lost_per_live", 3),
    ("STALE", "stale", 0),
    ("UNFORCED", "unforced_moves", 0),
    ("D", "disruption", 2),
    ("PEAK/AVG", "peak_to_average", 2),
    ("CV", "cv", 2),
    ("P50 MS", "p50_ms", 1),
    ("P99 MS", "p99_ms", 1),
    ("ERRORS", "errors", 0),
    ("RECOVER S", "recover_s", 1),
    ("TRIPS/REQ", "trips_per_request", 2),
    ("COOKIE B", "cookie_bytes", 0),
    ("REVOKE S", "revocation_s", 1),
    ("SESSIONS", "sessions", 0),
];

/// The table, the checks, the doubts, and what it comes to.
pub(super) fn table(result: &Value, paint: Paint) -> String {
    let mut out = heading(result);
    let mut columns = vec![("COMBINATION", Side::Left)];
    columns.extend(COLUMNS.iter().map(|(name, ..)| (*name, Side::Right)));
    columns.push(("CPU US LB|APP|STORE", Side::Right));
    let mut table = Table::new(&columns);
    for combination in list(result, "combinations") {
        let mut row = vec![Cell::from(text(combination, "id").to_owned())];
        row.extend(COLUMNS.iter().map(|(_, metric, digits)| cell(combination, metric, *digits)));
        let cpu = ["cpu_us_balancer", "cpu_us_application", "cpu_us_store"];
        let cpu =
            cpu.map(|name| value(combination, name).map_or_else(|| "-".to_owned(), |us| format!("{us:.0}")));
        row.push(cpu.join("|").into());
        table.row(row);
    }
    out.push_str(&table.render("", paint));
    out.push_str("\n(theory in brackets)\n");
    let checks = list(result, "checks");
    if !checks.is_empty() {
        out.push_str("\nAgainst closed forms:\n");
    }
    for check in checks {
        let (word, hue) = if is(check, "pass") { ("ok", Hue::Good) } else { ("DIFFERS", Hue::Bad) };
        let _ = writeln!(out, "  {:<8} {}", paint.text(word, hue), check_line(check));
    }
    for doubt in all_doubts(result) {
        let _ = writeln!(out, "{} {}", paint.text("doubt:", Hue::Caution), clean(&doubt));
    }
    for sentence in sentences(result) {
        let _ = writeln!(out, "{sentence}");
    }
    out
}

fn heading(result: &Value) -> String {
    let workload = result.get("workload").cloned().unwrap_or_default();
    let number = |key: &str| workload.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let versions = result.get("versions").and_then(Value::as_object);
    let versions: Vec<String> = versions
        .into_iter()
        .flatten()
        .map(|(k, v)| format!("{k} {}", v.as_str().unwrap_or_default()))
        .collect();
    format!(
        "{} users ({}), {} backends, seed {}, {} run(s); think {:.2} s (clock x{}), N_eff {:.0}: CV by address {:.3}; {}\n\n",
        number("users"),
        text(&workload, "profile"),
        number("n"),
        result.get("seed").and_then(Value::as_u64).unwrap_or(0),
        number("runs"),
        number("think_s"),
        number("time_scale"),
        number("n_eff"),
        number("predicted_cv"),
        versions.join(", "),
    )
}

fn cell(combination: &Value, metric: &str, digits: usize) -> Cell {
    let Some(measured) = value(combination, metric) else { return Cell("-".to_owned(), Hue::Faint) };
    let theory = of(combination, metric, "theory");
    let z = of(combination, metric, "z");
    let text = match theory {
        Some(theory) => format!("{measured:.digits$} ({theory:.digits$})"),
        None => format!("{measured:.digits$}"),
    };
    let hue = match (metric, z) {
        (_, Some(z)) if z.abs() >= 4.0 => Hue::Bad,
        ("lost_per_live" | "stale" | "unforced_moves" | "errors", _) if measured == 0.0 => Hue::Good,
        ("stale" | "unforced_moves", _) => Hue::Caution,
        _ => Hue::None,
    };
    Cell(text, hue)
}

fn check_line(check: &Value) -> String {
    let number = |key: &str| check.get(key).and_then(Value::as_f64).unwrap_or(0.0);
    let z = check.get("z").and_then(Value::as_f64).map_or_else(String::new, |z| format!(", z = {z:.2}"));
    let (id, what) = (text(check, "id"), clean(text(check, "what")));
    format!("{id:<4} {what}: {:.4}, expected {:.4}{z}", number("measured"), number("expected"))
}

/// What it comes to, in sentences.
fn sentences(result: &Value) -> Vec<String> {
    let mut sentences = Vec::new();
    for combination in list(result, "combinations") {
        let Some(lost) = value(combination, "lost_per_live") else { continue };
        let theory = of(combination, "lost_per_live", "theory");
        let theory = theory.map_or_else(String::new, |theory| format!("; theory {theory:.3}"));
        let id = text(combination, "id");
        let n = of(combination, "lost_per_live", "n").unwrap_or(0.0);
        sentences.push(if lost > 0.0 {
            format!("{id}: {lost:.3} logins lost per session that lived through it{theory}.")
        } else {
            format!(
                "{id}: nobody lost a login (0 of {n} sessions; at most {:.4} of them, 95 %){theory}.",
                3.0 / n.max(1.0)
            )
        });
    }
    sentences
}

fn all_doubts(result: &Value) -> Vec<String> {
    let own = list(result, "doubts").iter().filter_map(|d| Some(d.as_str()?.to_owned()));
    let theirs = list(result, "combinations").iter().flat_map(|combination| {
        let id = text(combination, "id").to_owned();
        list(combination, "doubts").iter().filter_map(move |d| Some(format!("{id}: {}", d.as_str()?)))
    });
    own.chain(theirs).collect()
}

/// As Markdown.
pub(super) fn markdown(result: &Value) -> String {
    let mut out =
        format!("# Session routing, measured\n\n{}`{}`\n\n", heading(result), text(result, "command"));
    let mut head = "| combination |".to_owned();
    let mut rule = "|---|".to_owned();
    for (name, ..) in COLUMNS {
        let _ = write!(head, " {} |", name.to_lowercase());
        rule.push_str("--:|");
    }
    let _ = writeln!(out, "{head}\n{rule}");
    for combination in list(result, "combinations") {
        let _ = write!(out, "| {} |", text(combination, "id"));
        for (_, metric, digits) in COLUMNS {
            let _ = write!(out, " {} |", cell(combination, metric, digits).0);
        }
        out.push('\n');
    }
    out.push_str("\nIn brackets what is to be expected.\n");
    if !list(result, "checks").is_empty() {
        out.push_str("\n| check | measured | expected | z | |\n|---|--:|--:|--:|---|\n");
    }
    for check in list(result, "checks") {
        let number = |key: &str| check.get(key).and_then(Value::as_f64).unwrap_or(0.0);
        let _ = writeln!(
            out,
            "| {} {} | {:.4} | {:.4} | {:.2} | {} |",
            text(check, "id"),
            text(check, "what"),
            number("measured"),
            number("expected"),
            number("z"),
            if is(check, "pass") { "ok" } else { "differs" }
        );
    }
    let doubts = all_doubts(result);
    if !doubts.is_empty() {
        out.push_str("\nDoubts:\n\n");
    }
    doubts.iter().for_each(|doubt| out.push_str(&format!("* {doubt}\n")));
    out.push('\n');
    sentences(result).iter().for_each(|sentence| out.push_str(&format!("* {sentence}\n")));
    out
}

/// Each figure in a line.
pub(super) fn csv(result: &Value) -> String {
    let mut out = "combination,metric,value,low,high,n,unit,theory,z\n".to_owned();
    for combination in list(result, "combinations") {
        let metrics = combination.get("metrics").and_then(Value::as_object);
        for (name, metric) in metrics.into_iter().flatten() {
            let field = |key: &str| match metric.get(key) {
                Some(Value::String(text)) => text.clone(),
                Some(value) => value.to_string(),
                None => String::new(),
            };
            let fields = ["value", "low", "high", "n", "unit", "theory", "z"].map(field).join(",");
            let _ = writeln!(out, "{},{name},{fields}", text(combination, "id"));
        }
    }
    out
}

/// What differs from an earlier result.
pub(super) fn changes(changes: &[Change]) -> String {
    if changes.is_empty() {
        return "nothing differs from the earlier result by more than chance\n".to_owned();
    }
    let mut out = "differs from the earlier result (the 95 % intervals have nothing in common):\n".to_owned();
    for Change { combination, metric, before, after } in changes {
        let _ = writeln!(out, "  {combination}: {metric} {before} -> {after}");
    }
    out
}

/// How a run goes.
pub(super) fn progress(progress: &Progress) -> String {
    let mut line = format!("[{}/{}] {}: {}", progress.run, progress.runs, progress.label, progress.stage);
    if progress.rate > 0.0 {
        let _ = write!(line, "; {:.0}/s", progress.rate);
    }
    if let Some(p99) = progress.p99_ms {
        let _ = write!(line, ", p99 {p99:.1} ms");
    }
    let _ = write!(line, ", {} lost, {} failed", progress.lost, progress.errors);
    if let Some(left) = progress.left {
        let _ = write!(line, "; {} left", rough(left.as_secs()));
    }
    line.chars().take(WIDTH).collect()
}

fn value(combination: &Value, metric: &str) -> Option<f64> {
    of(combination, metric, "value")
}

fn of(combination: &Value, metric: &str, key: &str) -> Option<f64> {
    combination.get("metrics")?.get(metric)?.get(key)?.as_f64()
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn is(of: &Value, key: &str) -> bool {
    of.get(key) == Some(&Value::Bool(true))
}
