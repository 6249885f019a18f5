//! What `homing simulate` found, in tables: for a terminal, CSV and Markdown.

use std::fmt::Write as _;

use serde_json::Value;

use super::super::paint;
use super::super::table::{Cell, Hue, Side, Table};
use crate::simulate::{Check, Checks, Timing};

/// Most lines of a sweep on a terminal.
const MOST_ROWS: usize = 2000;

fn list<'a>(json: &'a Value, name: &str) -> &'a [Value] {
    json[name].as_array().map_or(&[], Vec::as_slice)
}

fn word<'a>(json: &'a Value, name: &str) -> &'a str {
    json[name].as_str().unwrap_or_default()
}

fn count(json: &Value, name: &str) -> u64 {
    json[name].as_u64().unwrap_or(0)
}

/// Three decimals, or nothing.
fn figure(json: &Value) -> String {
    json.as_f64()
        .map_or_else(String::new, |x| if x >= 1000.0 { format!("{x:.0}") } else { format!("{x:.3}") })
}

/// A count for each live session.
fn rate(event: &Value, name: &str) -> f64 {
    count(event, name) as f64 / count(event, "live").max(1) as f64
}

/// The head, the table, and what is to be doubted.
pub(super) fn told(json: &Value, theory: bool) -> String {
    let w = &json["workload"];
    let mut out = format!(
        "{} users on {} backends, profile {}, application {}, seed {}\n\
         networks worth {} equal ones (predicted CV of a hash by /24: {}), addresses {} ({})\n\n",
        count(w, "users"),
        count(w, "n"),
        word(w, "profile"),
        word(w, "application"),
        count(json, "seed"),
        figure(&w["n_eff"]),
        figure(&w["predicted_cv"]),
        figure(&w["n_eff_addresses"]),
        figure(&w["predicted_cv_addresses"]),
    );
    if json["sweep"].is_array() {
        out.push_str(&swept(json));
    } else {
        out.push_str(&events_table(list(json, "combinations"), theory).render("", paint()));
        out.push_str(
            "\nlost, stale and moves are per session that was live from an event's beginning to its end\n",
        );
    }
    let doubts =
        list(json, "doubts").iter().chain(list(json, "combinations").iter().flat_map(|c| list(c, "doubts")));
    let mut said = Vec::new();
    for doubt in doubts.filter_map(Value::as_str) {
        if !said.contains(&doubt) {
            said.push(doubt);
            let _ = writeln!(out, "note: {doubt}");
        }
    }
    out
}

fn events_table(combinations: &[Value], theory: bool) -> Table {
    use Side::{Left, Right};
    let mut columns = vec![
        ("WAY", Left),
        ("EVENT", Left),
        ("LOST", Right),
        ("STALE", Right),
        ("FORCED", Right),
        ("POLICY", Right),
        ("FAILBACK", Right),
        ("UNFORCED", Right),
        ("D", Right),
        ("PEAK", Right),
        ("CV", Right),
        ("GINI", Right),
    ];
    if theory {
        columns.extend([("THEORY LOST", Right), ("STALE", Right), ("MOVES", Right), ("Z", Right)]);
    }
    let mut table = Table::new(&columns);
    for c in combinations {
        let way = word(c, "id").trim_start_matches("homing/");
        if list(c, "events").is_empty() {
            let m = &c["metrics"];
            let mut row = vec![Cell::from(way.to_owned()), "none".to_owned().into()];
            row.extend((0..7).map(|_| Cell::from(String::new())));
            row.extend(["peak_to_average", "cv", "gini"].map(|name| Cell::from(figure(&m[name]["value"]))));
            table.row(row);
        }
        for e in list(c, "events") {
            let cell = |name: &str, hue: Hue| {
                let rate = rate(e, name);
                Cell(format!("{rate:.4}"), if rate > 0.0 { hue } else { Hue::Faint })
            };
            let mut row = vec![
                Cell::from(way.to_owned()),
                word(e, "label").to_owned().into(),
                cell("lost", Hue::Caution),
                cell("stale", Hue::Bad),
                cell("forced", Hue::None),
                cell("policy", Hue::None),
                cell("failback", Hue::None),
                cell("unforced", Hue::Caution),
                figure(&e["disruption"]).into(),
            ];
            row.extend(["peak_to_average", "cv", "gini"].map(|name| Cell::from(figure(&e["after"][name]))));
            if theory {
                let t = &e["theory"];
                let names = ["lost_per_live", "stale_per_live", "moves_per_live"];
                row.extend(names.map(|name| Cell(figure(&t[name]["theory"]), Hue::Faint)));
                let zs = names.iter().filter_map(|name| t[name]["z"].as_f64());
                let worst = zs.max_by(|a, b| a.abs().total_cmp(&b.abs()));
                row.push(worst.map_or_else(Cell::default, |z| {
                    Cell(format!("{z:.1}"), if z.abs() < 4.0 { Hue::Good } else { Hue::Bad })
                }));
            }
            table.row(row);
        }
    }
    table
}

/// A line for each value and way: the sum over the events.
fn swept(json: &Value) -> String {
    use Side::{Left, Right};
    let columns = [
        ("SET", Left),
        ("WAY", Left),
        ("LOST", Right),
        ("THEORY", Right),
        ("Z", Right),
        ("STALE", Right),
        ("UNFORCED", Right),
        ("PEAK", Right),
        ("CV", Right),
        ("PREDICTED CV", Right),
    ];
    let mut table = Table::new(&columns);
    let mut rows = 0;
    for row in list(json, "sweep") {
        let set: Vec<String> = row["set"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name}={}", value.as_f64().unwrap_or_default()))
            .collect();
        for c in list(row, "combinations") {
            rows += 1;
            if rows > MOST_ROWS {
                continue;
            }
            let m = &c["metrics"];
            let is_network = word(c, "strategy") == "ip_hash" && word(c, "affinity") == "none";
            let predicted = match (word(c, "affinity"), is_network) {
                (_, true) => figure(&row["workload"]["predicted_cv"]),
                ("none", false) if !word(c, "strategy").contains('_') => {
                    figure(&row["workload"]["predicted_cv_addresses"])
                }
                _ => String::new(),
            };
            let lost = &m["lost_per_live"];
            table.row(vec![
                set.join(" ").into(),
                word(c, "id").trim_start_matches("homing/").to_owned().into(),
                figure(&lost["value"]).into(),
                Cell(figure(&lost["theory"]), Hue::Faint),
                lost["z"].as_f64().map_or_else(String::new, |z| format!("{z:.1}")).into(),
                figure(&m["stale_per_live"]["value"]).into(),
                count(&m["unforced_moves"], "n").to_string().into(),
                figure(&m["peak_to_average"]["value"]).into(),
                figure(&m["cv"]["value"]).into(),
                Cell(predicted, Hue::Faint),
            ]);
        }
    }
    let mut out = table.render("", paint());
    if rows > MOST_ROWS {
        let _ = writeln!(out, "{} more in --json and --csv", rows - MOST_ROWS);
    }
    out
}

/// The columns of CSV and Markdown.
const COLUMNS: [&str; 17] = [
    "set",
    "strategy",
    "affinity",
    "sessions",
    "event",
    "t",
    "live",
    "lost",
    "stale",
    "forced",
    "policy",
    "failback",
    "unforced",
    "disruption",
    "peak_to_average",
    "cv",
    "gini",
];

fn lines(json: &Value) -> Vec<[String; 17]> {
    let mut lines = Vec::new();
    let mut of = |set: &str, combinations: &[Value]| {
        for c in combinations {
            for e in list(c, "events") {
                let number = |name: &str| e[name].as_f64().map_or_else(String::new, |x| x.to_string());
                let after =
                    |name: &str| e["after"][name].as_f64().map_or_else(String::new, |x| x.to_string());
                let text = |of: &Value, name: &str| word(of, name).to_owned();
                lines.push([
                    set.to_owned(),
                    text(c, "strategy"),
                    text(c, "affinity"),
                    text(c, "sessions"),
                    text(e, "label"),
                    number("t"),
                    number("live"),
                    number("lost"),
                    number("stale"),
                    number("forced"),
                    number("policy"),
                    number("failback"),
                    number("unforced"),
                    number("disruption"),
                    after("peak_to_average"),
                    after("cv"),
                    after("gini"),
                ]);
            }
        }
    };
    if json["sweep"].is_array() {
        for row in list(json, "sweep") {
            let set: Vec<String> = row["set"]
                .as_object()
                .into_iter()
                .flatten()
                .map(|(name, value)| format!("{name}={value}"))
                .collect();
            of(&set.join(" "), list(row, "combinations"));
        }
    } else {
        of("", list(json, "combinations"));
    }
    lines
}

pub(super) fn separated(json: &Value) -> String {
    let mut out = COLUMNS.join(",") + "\n";
    for line in lines(json) {
        out.push_str(&(line.join(",") + "\n"));
    }
    out
}

pub(super) fn markdown(json: &Value) -> String {
    let mut out = format!("| {} |\n|{}\n", COLUMNS.join(" | "), "---|".repeat(COLUMNS.len()));
    for line in lines(json) {
        let _ = writeln!(out, "| {} |", line.join(" | "));
    }
    out
}

pub(super) fn took(timing: &Timing) -> String {
    let passes = timing.passes.max(1);
    let each = timing.time.as_secs_f64() / passes as f64;
    format!(
        "{} passes over {:.0} sessions on average, {:.2} ms each; {} bytes per session\n",
        timing.passes,
        timing.sessions as f64 / passes as f64,
        each * 1e3,
        timing.bytes
    )
}

pub(super) fn checked(checks: &Checks) -> String {
    use Side::{Left, Right};
    let columns = [
        ("", Left),
        ("ID", Left),
        ("WHAT", Left),
        ("EXPECTED", Right),
        ("MEASURED", Right),
        ("Z", Right),
        ("WITHIN", Left),
    ];
    let mut table = Table::new(&columns);
    for Check { id, what, expected, measured, sigma, tolerance, .. } in &checks.done {
        let passed = checks.done.iter().any(|c| c.id == *id && c.what == *what && c.passes());
        let z = sigma
            .filter(|s| *s > 0.0)
            .map_or_else(String::new, |s| format!("{:.2}", (measured - expected) / s));
        table.row(vec![
            if passed { Cell("ok".to_owned(), Hue::Good) } else { Cell("FAIL".to_owned(), Hue::Bad) },
            id.to_string().into(),
            what.clone().into(),
            precise(*expected).into(),
            precise(*measured).into(),
            z.into(),
            tolerance.to_string().into(),
        ]);
    }
    for (id, why) in &checks.left_out {
        let mut row = vec![Cell("left out".to_owned(), Hue::Faint), (*id).to_owned().into()];
        row.extend([Cell::from((*why).to_owned()), "".to_owned().into(), "".to_owned().into()]);
        row.extend([Cell::default(), Cell::default()]);
        table.row(row);
    }
    let mut out = table.render("", paint());
    let failed = checks.done.iter().filter(|c| !c.passes()).count();
    let _ =
        writeln!(out, "{} checks, {failed} failed, {} left out", checks.done.len(), checks.left_out.len());
    out
}

fn precise(x: f64) -> String {
    if x.fract() == 0.0 && x.abs() < 1e9 { format!("{x:.0}") } else { format!("{x:.5}") }
}
