//! The same for documents: GitHub's Markdown, in English.

use std::fmt::Write as _;

use serde_json::Value;

use super::number::{of, short, z};
use super::read::{Metric, Run};
use super::words;
use super::{known, verdict};

/// The verdict, the combinations, their events, the probe, the checks, and what to doubt.
#[must_use]
pub fn markdown(result: &Value) -> String {
    let run = Run::read(result);
    let title = if run.source == "simulate" { words::SIMULATED } else { words::TITLE };
    let mut out = format!("# {}\n\n", title.en);
    if !run.command.is_empty() {
        let _ = writeln!(out, "    {}\n", line(&run.command));
    }
    for sentence in verdict::sentences(&run) {
        let _ = writeln!(out, "* {}", text(&sentence.en));
    }
    doubts(&run, &mut out);
    combinations(&run, &mut out);
    events(&run, &mut out);
    if let Some(probe) = &run.probe {
        let certainty = probe.certainty.map(|c| format!(", certainty {}", short(c))).unwrap_or_default();
        let _ = writeln!(out, "\n## Probe\n\n{}: **{}**{certainty}\n", text(&probe.url), text(&probe.kind));
        let rows = probe.findings.iter().map(|f| {
            let chance = f.error_probability.map(|p| format!("{p:.1e}")).unwrap_or_default();
            vec![text(&f.id), text(&f.asked), text(&f.seen), text(&f.verdict), chance]
        });
        table(&mut out, &["", "asked", "seen", "verdict", "by chance"], rows);
    }
    if !run.checks.is_empty() {
        out.push_str("\n## Theory against measurement\n\n");
        let rows = run.checks.iter().map(|c| {
            let [expected, measured] = [c.expected, c.measured].map(|v| v.map(short).unwrap_or_default());
            let outcome = c.pass.map_or("", |pass| if pass { "holds" } else { "**does not hold**" });
            let score = c.z.map(z).unwrap_or_default();
            vec![
                text(&c.id),
                text(&c.what),
                expected,
                measured,
                score,
                text(&c.tolerance),
                outcome.to_owned(),
            ]
        });
        table(&mut out, &["", "what", "expected", "measured", "z", "tolerance", ""], rows);
    }
    out
}

fn doubts(run: &Run, out: &mut String) {
    let of_combinations =
        run.combinations.iter().flat_map(|c| c.doubts.iter().map(move |d| format!("{}: {d}", c.id)));
    let all: Vec<String> = run.doubts.iter().cloned().chain(of_combinations).collect();
    if all.is_empty() {
        return;
    }
    let title = if run.is_ranked { &words::DOUBTS } else { &words::NOT_RANKED };
    let _ = writeln!(out, "\n**{}:**\n", title.en);
    for doubt in all {
        let _ = writeln!(out, "* {}", text(&doubt));
    }
}

fn combinations(run: &Run, out: &mut String) {
    if run.combinations.is_empty() {
        return;
    }
    out.push_str("\n## Combinations\n\nIn parentheses what theory says.\n\n");
    let names: Vec<&str> = run.columns().into_iter().flat_map(|(_, names)| names).collect();
    let heads = names.iter().map(|name| known::find(name).map_or(*name, |k| k.short));
    let heads: Vec<&str> = ["combination"].into_iter().chain(heads).chain([""]).collect();
    let rows = run.combinations.iter().map(|c| {
        let mut said = verdict::of_one(c).map(|(_, words)| words.en.into_owned()).unwrap_or_default();
        if !c.is_ranked {
            said.push_str(", not ranked");
        }
        let cells = names.iter().map(|name| c.metric(name).map(cell).unwrap_or_default());
        std::iter::once(text(&c.id)).chain(cells).chain([said]).collect()
    });
    table(out, &heads, rows);
}

fn cell(metric: &Metric) -> String {
    let theory = metric.theory.map(|theory| format!(" ({})", short(theory))).unwrap_or_default();
    format!("{}{theory}", of(metric))
}

fn events(run: &Run, out: &mut String) {
    let all = || run.combinations.iter().flat_map(|c| c.events.iter().map(move |e| (c, e)));
    if all().next().is_none() {
        return;
    }
    out.push_str("\n## Events\n\n");
    let names: Vec<&str> =
        known::OF_EVENTS.into_iter().filter(|name| all().any(|(_, e)| e.figure(name).is_some())).collect();
    let heads: Vec<&str> = ["combination", "event", "t s"].into_iter().chain(names.iter().copied()).collect();
    let rows = all().map(|(c, e)| {
        let cells = names.iter().map(|name| e.figure(name).map(short).unwrap_or_default());
        [text(&c.id), text(&e.label), short(e.t)].into_iter().chain(cells).collect()
    });
    table(out, &heads, rows);
}

fn table(out: &mut String, heads: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    let _ = writeln!(out, "| {} |", heads.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(heads.len()));
    for row in rows {
        let _ = writeln!(out, "| {} |", row.join(" | "));
    }
}

/// One line, without control characters.
fn line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// A text that is nothing but text: what Markdown or HTML would take for markup is escaped.
fn text(text: &str) -> String {
    let mut out = String::new();
    for c in line(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    // A bare address would become a link.
    out.replace("://", ":&#47;&#47;")
}
