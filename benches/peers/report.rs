//! The tables, for a terminal and for a page alike: they are Markdown.

use crate::measure::Slice;
use crate::peers::Peer;
use crate::rows::{Figure, Row};
use crate::run::{Outcome, Run};
use crate::statistics::{Spread, median};

/// Lines of a configuration that are shown; the file of raw rounds has them all.
const LINES: usize = 60;

/// What is about to be done, on what.
pub(crate) fn introduce(run: &Run<'_>, rows: &[&Row]) {
    let machine = &run.machine;
    println!("{}, {} cores, Linux {}, {}", machine.processor, machine.cores, machine.kernel, machine.system);
    for installed in &run.installed {
        let commit = match (installed.peer, &machine.commit) {
            (Peer::Homing, Some(commit)) => format!(" (tree at {commit})"),
            _ => String::new(),
        };
        println!("{}: {}{commit}", installed.binary.display(), installed.version);
    }
    let names: Vec<&str> = rows.iter().map(|row| row.name).collect();
    println!(
        "{} paired rounds, slices of {:?}; rows: {}\n",
        run.settings.rounds,
        run.length,
        names.join(", ")
    );
}

/// What came of it.
pub(crate) fn tell(run: &Run<'_>, outcomes: &[Outcome]) {
    configurations(outcomes);
    comparison(outcomes);
    circumstances(outcomes);
    notes(run, outcomes);
}

/// The configurations of the first row; those of the others differ in how they choose.
fn configurations(outcomes: &[Outcome]) {
    let Some(first) = outcomes.iter().find(|outcome| !outcome.configurations.is_empty()) else { return };
    for (peer, text) in Peer::ALL.iter().zip(&first.configurations) {
        println!("--- {}, row {}", peer.name(), first.row.name);
        let lines: Vec<&str> = text.lines().collect();
        lines.iter().take(LINES).for_each(|line| println!("{line}"));
        if let Some(more) = lines.len().checked_sub(LINES + 1) {
            println!("... and {} lines more", more + 1);
        }
    }
    println!("---\n");
}

fn comparison(outcomes: &[Outcome]) {
    println!(
        "homing's figure to the peer's in the same round: median (quartiles) [95 % interval of the median]\n"
    );
    let mut lines = vec![
        ["row", "n", "figure", "homing", "nginx", "haproxy", "to nginx", "to haproxy", "bar", "is it met"]
            .map(str::to_owned),
    ];
    for outcome in outcomes.iter().filter(|outcome| !outcome.rounds.is_empty()) {
        let [homing, nginx, haproxy] = Peer::ALL.map(|peer| figure(outcome, peer));
        let [to_nginx, to_haproxy] = [Peer::Nginx, Peer::Haproxy].map(|peer| spread(outcome.ratios(peer)));
        lines.push([
            outcome.row.name.to_owned(),
            outcome.rounds.len().to_string(),
            outcome.row.figure.unit().to_owned(),
            homing,
            nginx,
            haproxy,
            to_nginx,
            to_haproxy,
            bar(outcome.row),
            verdicts(outcome),
        ]);
    }
    table(&lines);
}

fn figure(outcome: &Outcome, peer: Peer) -> String {
    let Some(spread) = outcome.figures(peer) else { return "-".to_owned() };
    format!("{}{}", short(spread.median), if outcome.is_pessimistic(peer) { "*" } else { "" })
}

/// Three digits that count.
fn short(value: f64) -> String {
    match value.abs() {
        100.0.. => format!("{value:.0}"),
        10.0.. => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

fn spread(spread: Option<Spread>) -> String {
    let Some(spread) = spread else { return "-".to_owned() };
    let Spread { median, lower_quartile, upper_quartile, .. } = spread;
    let mut text = format!("{median:.2} ({lower_quartile:.2}-{upper_quartile:.2})");
    if let Some((low, high)) = spread.interval {
        text.push_str(&format!(" [{low:.2}-{high:.2}]"));
    }
    text
}

/// The bar in words.
fn bar(row: &Row) -> String {
    let limit = |bar: Option<f64>| bar.map_or("-".to_owned(), |bar| format!("<= {bar:.2}"));
    let stretch = row.bar.stretch.map_or(String::new(), |stretch| format!(", stretch {stretch:.2}"));
    match row.bar.own {
        Some(own) => format!("<= {own:.1} {}{stretch}", row.figure.unit()),
        None => format!("{} / {}{stretch}", limit(row.bar.nginx), limit(row.bar.haproxy)),
    }
}

/// What is said of each bar.
fn verdicts(outcome: &Outcome) -> String {
    if outcome.failed.is_some() {
        return "not judged: given up".to_owned();
    }
    if Peer::ALL.iter().any(|peer| outcome.slices(*peer).any(|slice| slice.errors > 0)) {
        return "not judged: errors".to_owned();
    }
    let said = Peer::ALL.iter().filter_map(|peer| Some(outcome.verdict(*peer)?.to_string()));
    let mut said: Vec<String> = said.collect();
    if let (Some(spread), Some(stretch)) = (
        if outcome.row.bar.own.is_some() {
            outcome.figures(Peer::Homing)
        } else {
            outcome.ratios(Peer::Nginx)
        },
        outcome.row.bar.stretch,
    ) && spread.median <= stretch
    {
        said.push("stretch too".to_owned());
    }
    said.join(" / ")
}

/// What else was seen: throughput, latency, memory, and who was the limit.
fn circumstances(outcomes: &[Outcome]) {
    println!("\nMedians of the same slices (busy: of a processor; load: with the backends)\n");
    let heads = [
        "row",
        "proxy",
        "requests/s",
        "rank",
        "busy",
        "load busy",
        "limit",
        "p50 ms",
        "p99 ms",
        "RSS MiB",
        "user",
        "errors",
    ];
    let mut lines = vec![heads.map(str::to_owned)];
    for outcome in outcomes.iter().filter(|outcome| !outcome.rounds.is_empty()) {
        let rate = |peer: Peer| median(outcome.slices(peer).map(Slice::rate));
        for peer in Peer::ALL {
            let of = |value: fn(&Slice) -> f64| median(outcome.slices(peer).map(value));
            let rank = 1 + Peer::ALL.iter().filter(|other| rate(**other) > rate(peer)).count();
            lines.push([
                outcome.row.name.to_owned(),
                peer.name().to_owned(),
                format!("{:.0}", rate(peer)),
                if outcome.ranks() { rank.to_string() } else { "not ranked".to_owned() },
                format!("{:.2}", of(|slice| slice.busy)),
                format!("{:.2}", of(|slice| slice.load_busy + slice.backend_busy)),
                outcome.limit(peer).to_string(),
                format!("{:.2}", of(|slice| slice.p50_us / 1e3)),
                format!("{:.2}", of(|slice| slice.p99_us / 1e3)),
                format!("{:.1}", of(|slice| slice.resident as f64 / f64::from(1 << 20))),
                format!("{:.0} %", median(outcome.slices(peer).filter_map(|slice| slice.user_share)) * 100.0),
                outcome.slices(peer).map(|slice| slice.errors).sum::<u64>().to_string(),
            ]);
        }
    }
    table(&lines);
}

fn notes(run: &Run<'_>, outcomes: &[Outcome]) {
    println!();
    if outcomes.iter().any(|outcome| Peer::ALL.iter().any(|peer| outcome.is_pessimistic(*peer))) {
        println!(
            "* The proxy had time left, and so was woken more often per request than a busy one: \
            its figure is a little pessimistic."
        );
    }
    for outcome in outcomes {
        println!("{}: {}.", outcome.row.name, outcome.row.about);
        outcome.doubts().iter().for_each(|doubt| println!("  - {doubt}"));
        if outcome.row.figure == Figure::GrowthPerConnection && run.held < crate::rows::HELD {
            println!("  - {} connections were held: {} descriptors are allowed", run.held, run.descriptors);
        }
        if let Some(failed) = &outcome.failed {
            println!("  - GIVEN UP: {failed}");
        }
    }
}

/// Prints a table whose columns are as wide as they must be.
fn table<const N: usize>(lines: &[[String; N]]) {
    let widths: [usize; N] = std::array::from_fn(|column| {
        lines.iter().map(|line| line[column].chars().count()).max().unwrap_or(0)
    });
    for (number, line) in lines.iter().enumerate() {
        let cells: Vec<String> =
            line.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        println!("| {} |", cells.join(" | "));
        if number == 0 {
            println!("|{}|", widths.map(|width| "-".repeat(width + 2)).join("|"));
        }
    }
}
