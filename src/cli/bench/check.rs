//! `homing bench --check B3,B5`: runs for which somebody knows what must come out, each an ordinary command line, and what
//! came out beside it. The names are those of `homing simulate --self-check`, which says the same of the simulation.

use std::fmt::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args as _, Command, FromArgMatches as _};
use serde_json::{Value, json};

use super::{BenchArgs, run};
use crate::bench::Settings;
use crate::cli::client::Failed;
use crate::cli::table::{Cell, Hue, Side, Table};
use crate::cli::{paint, print, say};

/// A check: its name, what it is of, and the words of its run.
type Known = (&'static str, &'static str, &'static str);

/// What can be run. Options of a script have no blanks that would part words: they stand behind the time.
const KNOWN: [Known; 9] = [
    (
        "B1",
        "one of n crashes: 1/n of what is in memory is lost, and nothing of what lies elsewhere",
        "--session memory,redis,memcached,jwt --strategy cookie,hrw --events crash|b@500ms --settle 2s",
    ),
    (
        "B2",
        "it crashes and returns: a cookie loses 1/n, a consistent hash 2/n",
        "--session memory --strategy cookie,hrw,ring --peer nginx:ip_hash,haproxy:cookie --events crash|b@500ms+3s --settle 2s",
    ),
    (
        "B3",
        "a rolling restart with a cookie: ((n-1)/n)((n/(n-1))^n - 1) losses for each session",
        "--session memory --strategy cookie --peer haproxy:cookie --events roll@500ms|downtime=500ms",
    ),
    (
        "B4",
        "a rolling restart with a consistent hash: 2, out and back",
        "--session memory --strategy hrw,ring --peer nginx:hash_consistent --events roll@500ms|downtime=500ms",
    ),
    (
        "B5",
        "a rolling restart with a remainder: 2(n-1) moves; where ids are adopted 3 - 2/n losses, and all others stale",
        "--session memory --strategy hash --peer haproxy:source --application adopting \
         --events roll@500ms|by=list|downtime=500ms",
    ),
    (
        "B6",
        "a rolling restart by the list with Maglev's table: 2.001 for n = 3",
        "--session memory --strategy maglev --events roll@500ms|by=list|downtime=500ms",
    ),
    (
        "B7",
        "a drain: of the sessions, 71 % are there after 1/3 of a mean length, 36 % after one, 12 % after two",
        "--session memory --strategy cookie --profile web --users 600 --think 270s --session-length 15m --time-scale 90 \
         --parallel 0 --settle 41s --events drain|b@0s",
    ),
    (
        "B8",
        "one more backend: it has 22 % of a fair share after 1/4 of a mean length, 63 % after one, 95 % after three",
        "--session memory --strategy cookie --profile web --users 600 --think 270s --session-length 15m --time-scale 90 \
         --parallel 0 --settle 41s --events add@0s",
    ),
    (
        "B12",
        "every client changes its address: (n-1)/n move with a hash of it, none with a cookie, none within a /24 by ip_hash",
        "--session memory --strategy cookie,ip-hash,hrw --peer nginx:ip_hash \
         --events ip_change@500ms,ip_change@2500ms|far=0 --settle 2s",
    ),
];

/// What all of them have.
const ALL: &str = "--users 300 --think 4s --settle 500ms --duration 1s --revocations 0";

/// The names that can be given, and what they are of.
fn names() -> String {
    KNOWN.iter().map(|(id, what, _)| format!("{id:<4} {what}\n")).collect()
}

/// Runs those that are wanted, one after the other: 0 if every check holds.
pub(super) fn check(args: &BenchArgs) -> anyhow::Result<ExitCode> {
    if args.check.iter().any(|id| id == "list") {
        print(&names())?;
        return Ok(ExitCode::SUCCESS);
    }
    let all = args.check.iter().any(|id| id == "all");
    let known = || KNOWN.iter().map(|(id, ..)| *id).collect::<Vec<_>>().join(", ");
    if let Some(unknown) =
        args.check.iter().find(|id| *id != "all" && KNOWN.iter().all(|(known, ..)| known != id))
    {
        let must = format!("--check {unknown}: must be one of {}, or all", known());
        return Err(Failed::Usage(must).into());
    }
    let wanted = KNOWN.iter().filter(|(id, ..)| all || args.check.iter().any(|wanted| wanted == id));
    // Nothing is started before all of them can be read.
    let runs: Vec<(&str, Settings)> = wanted
        .map(|(id, _, words)| Ok((*id, settings(words, args).map_err(Failed::Usage)?)))
        .collect::<anyhow::Result<_>>()?;
    let (mut checks, mut unchecked, mut doubts, mut first) =
        (Vec::new(), Vec::new(), Vec::new(), Value::Null);
    for (id, settings) in &runs {
        if !args.quiet {
            say(&format!("{id}: {}\n", settings.command));
        }
        let result = match run(settings, args.quiet)? {
            Ok(result) => result,
            Err(code) => return Ok(code),
        };
        let told = result.get("checks").and_then(Value::as_array).cloned().unwrap_or_default();
        if !told.iter().any(|check| check.get("id").is_some_and(|of| of == id)) {
            unchecked.push(format!("{id}: nothing was checked"));
        }
        checks.extend(told);
        doubts.extend(of_combinations(&result).map(|doubt| format!("{id}: {doubt}")));
        if first.is_null() {
            first = result;
        }
    }
    doubts.splice(0..0, unchecked.iter().cloned());
    print(&told(&checks, &doubts))?;
    let holds = |check: &Value| check.get("pass").and_then(Value::as_bool) == Some(true);
    let passed = unchecked.is_empty() && checks.iter().all(holds);
    if let Some(file) = &args.json {
        write(file, &first, &checks, &doubts)?;
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What speaks against believing a run.
fn of_combinations(result: &Value) -> impl Iterator<Item = String> {
    let combinations = result.get("combinations").and_then(Value::as_array).into_iter().flatten();
    combinations.flat_map(|combination| {
        let id = combination.get("id").and_then(Value::as_str).unwrap_or_default();
        let doubts = combination.get("doubts").and_then(Value::as_array).into_iter().flatten();
        doubts.filter_map(Value::as_str).map(move |doubt| format!("{id}: {doubt}"))
    })
}

/// Of a run's words; what was said beside `--check` holds for every run.
fn settings(words: &str, args: &BenchArgs) -> Result<Settings, String> {
    let mut words: Vec<String> =
        ALL.split_whitespace().chain(words.split_whitespace()).map(|word| word.replace('|', " ")).collect();
    for (name, value) in
        [("--users", args.users.map(|n| n.to_string())), ("--seed", args.seed.map(|n| n.to_string()))]
    {
        words.extend(value.into_iter().flat_map(|value| [name.to_owned(), value]));
    }
    let shown: Vec<String> = words
        .iter()
        .map(|word| if word.contains(' ') { format!("'{word}'") } else { word.clone() })
        .collect();
    // What comes later holds.
    let command =
        BenchArgs::augment_args(Command::new("bench").no_binary_name(true).args_override_self(true));
    let matches = command.try_get_matches_from(words).map_err(|e| e.to_string())?;
    let mut settings = BenchArgs::from_arg_matches(&matches).map_err(|e| e.to_string())?.settings()?;
    settings.command = format!("homing bench {}", shown.join(" "));
    Ok(settings)
}

fn told(checks: &[Value], doubts: &[String]) -> String {
    use Side::{Left, Right};
    let mut table = Table::new(&[
        ("", Left),
        ("ID", Left),
        ("WHAT", Left),
        ("EXPECTED", Right),
        ("MEASURED", Right),
        ("Z", Right),
        ("WITHIN", Left),
    ]);
    let mut failed = 0;
    for check in checks {
        let text = |key: &str| check.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let number = |key: &str| check.get(key).and_then(Value::as_f64);
        let passed = check.get("pass").and_then(Value::as_bool) == Some(true);
        failed += u32::from(!passed);
        let verdict = if passed { ("ok", Hue::Good) } else { ("FAIL", Hue::Bad) };
        let precise = |key: &str| number(key).map_or_else(String::new, |x| format!("{x:.4}"));
        table.row(vec![
            Cell(verdict.0.to_owned(), verdict.1),
            text("id").into(),
            text("what").into(),
            precise("expected").into(),
            precise("measured").into(),
            number("z").map_or_else(String::new, |z| format!("{z:.2}")).into(),
            text("tolerance").into(),
        ]);
    }
    let mut out = table.render("", paint());
    for doubt in doubts {
        let _ = writeln!(out, "! {doubt}");
    }
    let _ = writeln!(out, "{} checks, {failed} failed", checks.len());
    out
}

/// What all of them come to, as a result without combinations.
fn write(file: &Path, first: &Value, checks: &[Value], doubts: &[String]) -> anyhow::Result<()> {
    let mut result = json!({ "source": "bench", "combinations": [], "checks": checks, "doubts": doubts });
    for key in ["schema", "seed", "made", "host", "versions"] {
        if let Some(value) = first.get(key) {
            result[key] = value.clone();
        }
    }
    std::fs::write(file, format!("{result:#}\n")).with_context(|| format!("write {}", file.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_a_command_that_can_be_read() {
        for (id, what, words) in KNOWN {
            let settings = settings(words, &BenchArgs::of(&["--users", "77", "--seed", "5"])).unwrap();
            assert!(!settings.events.is_empty() && !settings.routings.is_empty() && !what.is_empty(), "{id}");
            assert_eq!((settings.workload.users, settings.seed), (77, 5), "{id}");
        }
        let plain = settings(KNOWN[2].2, &BenchArgs::of(&[])).unwrap();
        assert_eq!(plain.workload.users, 300);
        assert!(plain.command.ends_with("--events 'roll@500ms downtime=500ms'"), "{}", plain.command);
    }
}
