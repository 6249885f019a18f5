//! The same for the terminal: the combinations in aligned columns, as many side by side as the width has room for, with
//! what theory says in grey; then three sentences, and what to doubt.

use std::fmt::Write as _;

use serde_json::Value;

use super::number::{of, short};
use super::read::{Combination, Run};
use super::verdict::{self, Tone};
use super::words;
use super::{known, verdict::cpu};

/// Whether colours are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Letters alone.
    Plain,
    /// With the terminal's colours.
    Coloured,
}

/// The narrowest that a table is made for.
const LEAST: usize = 40;

/// A text of a table, what stands faintly behind it, and its colour.
#[derive(Clone, Debug, Default)]
struct Cell {
    text: String,
    faint: String,
    code: &'static str,
    is_left: bool,
}

/// One screen: `width` columns of letters.
#[must_use]
pub fn table(result: &Value, width: usize, ink: Ink) -> String {
    let run = Run::read(result);
    let width = width.max(LEAST);
    let mut out = head(&run, width, ink);
    if !run.combinations.is_empty() {
        blocks(&run, width, ink, &mut out);
    }
    if let Some(probe) = &run.probe {
        for f in &probe.findings {
            let told = format!("{:<4} {}: {}", clean(&f.id), clean(&f.asked), clean(&f.verdict));
            out.push_str(&wrapped(&told, width, 5));
        }
        out.push('\n');
    }
    let failed: Vec<_> = run.checks.iter().filter(|c| c.pass == Some(false)).collect();
    for check in &failed {
        let [expected, measured] = [check.expected, check.measured].map(|v| v.map(short).unwrap_or_default());
        let told = format!("check {} ({}): expected {expected}, measured {measured}", check.id, check.what);
        out.push_str(&painted(&wrapped(&clean(&told), width, 2), "31", ink));
    }
    if !run.checks.is_empty() {
        let _ = writeln!(out, "{} of {} checks hold\n", run.checks.len() - failed.len(), run.checks.len());
    }
    for sentence in verdict::sentences(&run) {
        out.push_str(&wrapped(&clean(&sentence.en), width, 0));
    }
    let of_combinations =
        run.combinations.iter().flat_map(|c| c.doubts.iter().map(move |d| format!("{}: {d}", c.id)));
    for doubt in run.doubts.iter().cloned().chain(of_combinations) {
        out.push_str(&painted(&wrapped(&format!("! {}", clean(&doubt)), width, 2), "33", ink));
    }
    out
}

fn head(run: &Run, width: usize, ink: Ink) -> String {
    let mut told: Vec<String> = Vec::new();
    told.extend(run.seed.as_ref().map(|seed| format!("seed {}", clean(seed))));
    told.extend(run.versions.iter().map(|(name, version)| format!("{} {}", clean(name), clean(version))));
    for (key, name) in [
        ("n", "backends"),
        ("users", "users"),
        ("time_scale", "clock ×"),
        ("n_eff", "N_eff"),
        ("predicted_cv", "predicted CV"),
    ] {
        told.extend(run.of_workload(key).map(|value| format!("{name} {}", clean(value))));
    }
    if told.is_empty() {
        String::new()
    } else {
        painted(&wrapped(&told.join(" · "), width, 0), "2", ink) + "\n"
    }
}

/// Columns in blocks that fit the width, each with the combinations before it.
fn blocks(run: &Run, width: usize, ink: Ink, out: &mut String) {
    let mut names = vec![String::new()];
    names.extend(run.combinations.iter().map(|c| cut(&clean(&c.id), width / 2)));
    let first = names.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let columns = columns(run);
    let mut rest = columns.as_slice();
    while !rest.is_empty() {
        let mut room = width.saturating_sub(first);
        let fits = |column: &&Vec<Cell>| {
            let needs = wide(column) + 2;
            let is_in = needs <= room;
            room = room.saturating_sub(needs);
            is_in
        };
        let (block, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
        rest = later;
        for (i, name) in names.iter().enumerate() {
            let mut line = format!("{name:<first$}");
            for column in block {
                let cell = column.get(i).cloned().unwrap_or_default();
                let gap = " ".repeat(wide(column).saturating_sub(cell.len()));
                let is_left = column.iter().any(|cell| cell.is_left);
                let (before, after) = if is_left { ("", gap.as_str()) } else { (gap.as_str(), "") };
                let (text, faint) = (painted(&cell.text, cell.code, ink), painted(&cell.faint, "2", ink));
                let _ = write!(line, "  {before}{text}{faint}{after}");
            }
            let _ = writeln!(out, "{}", line.trim_end());
        }
        out.push('\n');
    }
}

/// Each a heading and a cell per combination; those that nobody has are left out.
fn columns(run: &Run) -> Vec<Vec<Cell>> {
    let heading = |text: &str| Cell { code: "2", ..Cell::of(text) };
    let mut columns = Vec::new();
    let mut put = |name: &str, cell: &dyn Fn(&Combination) -> Option<Cell>| {
        let cells: Vec<_> = run.combinations.iter().map(cell).collect();
        if cells.iter().any(Option::is_some) {
            columns.push(
                std::iter::once(heading(name))
                    .chain(cells.into_iter().map(Option::unwrap_or_default))
                    .collect(),
            );
        }
    };
    put("in short", &|c| {
        let (tone, words) = verdict::of_one(c)?;
        let code = match tone {
            Tone::Good => "32",
            Tone::Caution => "33",
            Tone::Bad => "31",
        };
        let faint = if c.is_ranked { String::new() } else { format!(", {}", words::UNRANKED.en) };
        Some(Cell { code, faint, is_left: true, ..Cell::of(&words.en) })
    });
    let names = run.columns().into_iter().flat_map(|(_, names)| names);
    for name in names.filter(|name| !name.starts_with("cpu_us")) {
        let short_name = known::find(name).map_or(name, |k| k.short);
        put(short_name, &|c| {
            let metric = c.metric(name)?;
            let faint = metric.theory.map(|theory| format!(" ({})", short(theory))).unwrap_or_default();
            Some(Cell { faint, ..Cell::of(&of(metric)) })
        });
        if name == "trips_per_request" {
            put("CPU µs (lb|app|store)", &|c| {
                let all = ["balancer", "application", "store"].map(|who| c.value(&format!("cpu_us_{who}")));
                all.iter().any(Option::is_some).then(|| {
                    let told = all.map(|v| v.map_or_else(|| "-".to_owned(), short)).join("|");
                    let sum = cpu(c).map(|m| format!("{} (", short(m.value)));
                    let close = if sum.is_some() { ")" } else { "" };
                    Cell::of(&format!("{}{told}{close}", sum.unwrap_or_default()))
                })
            });
        }
    }
    columns
}

impl Cell {
    fn of(text: &str) -> Self {
        Self { text: clean(text), ..Self::default() }
    }

    fn len(&self) -> usize {
        self.text.chars().count() + self.faint.chars().count()
    }
}

fn wide(column: &[Cell]) -> usize {
    column.iter().map(Cell::len).max().unwrap_or(0)
}

fn painted(text: &str, code: &str, ink: Ink) -> String {
    if ink == Ink::Plain || code.is_empty() || text.is_empty() {
        return text.to_owned();
    }
    let (body, end) = text.strip_suffix('\n').map_or((text, ""), |body| (body, "\n"));
    format!("\x1b[{code}m{body}\x1b[0m{end}")
}

/// In lines of this width; those after the first begin further in.
fn wrapped(text: &str, width: usize, indent: usize) -> String {
    let (mut out, mut column) = (String::new(), 0);
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        let long = word.chars().count();
        if column > 0 && column + 1 + long > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            column = indent;
        } else if column > 0 {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += long;
    }
    out + "\n"
}

fn cut(text: &str, letters: usize) -> String {
    if text.chars().count() <= letters {
        return text.to_owned();
    }
    text.chars().take(letters.saturating_sub(1)).chain(['…']).collect()
}

/// One line without what a terminal would obey.
fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
