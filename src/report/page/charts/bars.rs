//! Bars, a row per combination: moved against the least possible, the cost of a request, how long a logout takes.

use super::super::super::number::{of, short};
use super::super::super::read::{Combination, Metric, Run};
use super::super::super::words::{self, Section, Words};
use super::super::markup::{Table, both, figure, legend};
use super::super::plot::{Frame, Plot, Scale, WIDTH, rounded_up};
use super::super::svg::{Anchor, cut};
use super::{numbered, section, title};

/// How high a row is: a line of text, and the bar below it.
const ROW: f64 = 30.0;
/// Rows in one chart; more make a second one.
const ROWS: usize = 12;

/// A combination's bar.
struct Row<'a> {
    number: usize,
    combination: &'a Combination,
    /// Classes, names and lengths of its parts.
    parts: Vec<(&'static str, Words, f64)>,
    /// What is written at its end.
    text: String,
    interval: Option<(f64, f64)>,
    theory: Option<f64>,
}

impl Row<'_> {
    fn length(&self) -> f64 {
        self.parts.iter().map(|(.., length)| length).sum()
    }
}

/// Something that is drawn in bars.
struct Bars<'a> {
    id: &'static str,
    section: &'a Section,
    axis: Words,
    /// Where a line stands that bars are to be held against.
    mark: Option<(f64, Words)>,
}

pub(crate) fn disruption(run: &Run) -> String {
    let rows = numbered(run).filter_map(|(number, combination)| {
        let metric = combination.metric("disruption").cloned().or_else(|| from_events(combination))?;
        let length = metric.value;
        let parts = moves(combination, length);
        Some(Row {
            number,
            combination,
            parts,
            text: of(&metric),
            interval: metric.interval(),
            theory: metric.theory,
        })
    });
    let bars = Bars {
        id: "disruption",
        section: &words::DISRUPTION,
        axis: Words::of("times the least possible", "최소의 몇 배"),
        mark: Some((1.0, words::LEAST)),
    };
    bars.draw(&rows.collect::<Vec<_>>())
}

/// All that moved in the events against the least that had to.
fn from_events(combination: &Combination) -> Option<Metric> {
    let sum = |names: &[&str]| -> f64 {
        combination.events.iter().flat_map(|e| names.iter().filter_map(|name| e.figure(name))).sum()
    };
    let least = sum(&["least"]);
    let value = sum(&["forced", "policy", "failback", "unforced"]) / least;
    (least > 0.0).then(|| Metric { value, unit: "share".to_owned(), ..Metric::default() })
}

/// A bar of this length, in parts by why sessions moved.
fn moves(combination: &Combination, length: f64) -> Vec<(&'static str, Words, f64)> {
    let kinds = [
        ("c0", "forced", "forced_moves"),
        ("c4", "policy", "policy_moves"),
        ("c2", "failback", "failback_moves"),
        ("c5", "unforced", "unforced_moves"),
    ];
    let counts = kinds.map(|(class, event, metric)| {
        let sum: f64 = combination.events.iter().filter_map(|e| e.figure(event)).sum();
        (class, super::super::super::known::words(metric), sum)
    });
    let all: f64 = counts.iter().map(|(.., count)| count).sum();
    if all <= 0.0 {
        return vec![("c0", words::MOVED, length)];
    }
    counts.into_iter().filter(|(.., n)| *n > 0.0).map(|(c, words, n)| (c, words, length * n / all)).collect()
}

pub(crate) fn costs(run: &Run) -> String {
    let rows = numbered(run).filter_map(|(number, combination)| {
        let parts: Vec<_> = [
            ("c0", words::BALANCER, "cpu_us_balancer"),
            ("c1", words::APPLICATION, "cpu_us_application"),
            ("c3", words::STORE, "cpu_us_store"),
        ]
        .into_iter()
        .filter_map(|(class, words, name)| Some((class, words, combination.value(name)?)))
        .collect();
        let text = short(parts.iter().map(|(.., v)| v).sum());
        (!parts.is_empty()).then_some(Row { number, combination, parts, text, interval: None, theory: None })
    });
    let bars = Bars { id: "costs", section: &words::COSTS, axis: words::CPU_IN_ALL, mark: None };
    bars.draw(&rows.collect::<Vec<_>>())
}

pub(crate) fn revocation(run: &Run) -> String {
    let rows = numbered(run).filter_map(|(number, combination)| {
        let metric = combination.metric("revocation_s")?;
        Some(Row {
            number,
            combination,
            parts: vec![("c3", words::VALUE, metric.value)],
            text: of(metric),
            interval: metric.interval(),
            theory: metric.theory,
        })
    });
    let bars = Bars { id: "revocation", section: &words::REVOCATION, axis: words::SECONDS, mark: None };
    bars.draw(&rows.collect::<Vec<_>>())
}

impl Bars<'_> {
    fn draw(&self, rows: &[Row<'_>]) -> String {
        let longest = |row: &Row<'_>| {
            row.length().max(row.interval.map_or(0.0, |(_, high)| high)).max(row.theory.unwrap_or(0.0))
        };
        let longest = rows.iter().map(longest).fold(self.mark.as_ref().map_or(0.0, |(at, _)| *at), f64::max);
        // All charts of a section have the same axis.
        let figures = rows.chunks(ROWS).map(|rows| self.chart(rows, rounded_up(longest))).collect();
        section(self.id, self.section, None, figures)
    }

    fn chart(&self, rows: &[Row<'_>], longest: f64) -> String {
        let height = 16.0 + ROW * rows.len() as f64 + 36.0;
        let frame = Frame { left: 8.0, right: 56.0, top: 16.0, ..Frame::of(height) };
        let x = Scale::linear((0.0, longest), frame.across());
        let mut plot = Plot::new(frame, x, Scale::linear((0.0, 1.0), frame.up()));
        if let Some((at, words)) = &self.mark {
            let at = x.at(*at);
            plot.svg.line((at, frame.top - 3.0), (at, frame.up().0), "flag");
            let (anchor, at) =
                if at > 260.0 { (Anchor::End, WIDTH - 4.0) } else { (Anchor::Start, at - 4.0) };
            plot.svg.words((at, frame.top - 6.0), anchor, "axis", words);
        }
        for (i, row) in rows.iter().enumerate() {
            row.draw(&mut plot, frame.top + ROW * i as f64);
        }
        plot.foot(&self.axis);
        let mut kinds: Vec<(String, String)> = Vec::new();
        for (class, words, _) in rows.iter().flat_map(|row| &row.parts) {
            let entry = ((*class).to_owned(), both(words));
            if !kinds.contains(&entry) {
                kinds.push(entry);
            }
        }
        if rows.iter().any(|row| row.interval.is_some()) {
            kinds.push(("whisker".to_owned(), both(&words::INTERVAL)));
        }
        if rows.iter().any(|row| row.theory.is_some()) {
            kinds.push(("theory".to_owned(), both(&words::THEORY)));
        }
        figure(&both(&self.axis), &plot.svg.finish(&self.section.title), &legend(&kinds), &self.table(rows))
    }

    fn table(&self, rows: &[Row<'_>]) -> Table {
        let mut names: Vec<&Words> = Vec::new();
        for (_, words, _) in rows.iter().flat_map(|row| &row.parts) {
            if !names.contains(&words) {
                names.push(words);
            }
        }
        let is_split = names.len() > 1;
        let head = [&words::COMBINATION, &self.axis, &words::INTERVAL, &words::THEORY].map(both);
        let parts = names.iter().filter(|_| is_split).map(|name| both(name));
        let mut table = Table::new(head.into_iter().chain(parts));
        for row in rows {
            let interval = row.interval.map(|(low, high)| format!("{} – {}", short(low), short(high)));
            let theory = row.theory.map(short).unwrap_or_default();
            let cells =
                [title(row.number, row.combination), row.text.clone(), interval.unwrap_or_default(), theory];
            let part = |name: &&Words| row.parts.iter().find(|(_, n, _)| n == *name).map(|(.., v)| short(*v));
            let parts = names.iter().filter(|_| is_split).map(|name| part(name).unwrap_or_default());
            table.row(cells.into_iter().chain(parts).collect::<Vec<_>>());
        }
        table
    }
}

impl Row<'_> {
    fn draw(&self, plot: &mut Plot, top: f64) {
        let (bar, thick) = (top + 14.0, 11.0);
        let name = format!("{}  {}", self.number, cut(&self.combination.id, 44));
        plot.svg.text((8.0, top + 10.0), Anchor::Start, "label", &name);
        let mut from = 0.0;
        for (class, words, length) in &self.parts {
            let (left, right) = (plot.x.at(from), plot.x.at(from + length));
            let tip = format!("{} / {}: {}", words.en, words.ko, short(*length));
            plot.svg.rect((left, bar), (right - left, thick), class, &tip);
            from += length;
        }
        let end = plot.x.at(from.max(self.interval.map_or(0.0, |(_, high)| high)));
        if let Some((low, high)) = self.interval.filter(|(low, high)| high > low) {
            let middle = bar + thick / 2.0;
            plot.svg.line((plot.x.at(low), middle), (plot.x.at(high), middle), "whisker");
            for at in [low, high].map(|v| plot.x.at(v)) {
                plot.svg.line((at, middle - 3.0), (at, middle + 3.0), "whisker");
            }
        }
        if let Some(theory) = self.theory {
            let at = plot.x.at(theory);
            plot.svg.line((at, bar - 2.0), (at, bar + thick + 2.0), "theory");
        }
        plot.svg.text((end + 5.0, bar + 9.5), Anchor::Start, "value", &self.text);
    }
}
