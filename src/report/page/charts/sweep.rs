//! A range of settings: a line per way, and what theory says of it, for each figure that a way is judged by.

use super::super::super::known;
use super::super::super::number::short;
use super::super::super::read::{Combination, Run, Stop};
use super::super::super::words::{self, Words};
use super::super::markup::{Table, both, escape, figure, legend};
use super::super::plot::{Frame, Plot, Scale, rounded_up};
use super::super::svg::Point;
use super::{COLOURS, section};

/// Values of the other settings for which there are charts, at most.
const GROUPS: usize = 12;
/// Points of a line up to which each has a mark.
const MARKS: usize = 16;
/// The shapes of marks, as the legend has them.
const SHAPES: [&str; 5] = ["round", "square", "diamond", "triangle", "cross"];

/// What is measured, and what it should be.
type Figure = (f64, Option<f64>);
/// A figure by its words.
type Judged = (Words, fn(&Combination) -> Option<Figure>);

/// A way through the range: where, what, and what it should be.
type Line = Vec<(f64, Figure)>;

pub(crate) fn sweep(run: &Run) -> String {
    let Some(axis) = axis(&run.sweep) else { return String::new() };
    let judged: [Judged; 3] = [
        (known::words("lost_per_live"), |c| c.metric("lost_per_live").map(|m| (m.value, m.theory))),
        (words::MOVES_EACH, moved),
        (known::words("peak_to_average"), |c| c.metric("peak_to_average").map(|m| (m.value, m.theory))),
    ];
    let groups = groups(&run.sweep, axis);
    let shown = groups.iter().take(GROUPS);
    let figures = shown
        .flat_map(|(others, stops)| judged.iter().filter_map(|j| lines(axis, others, stops, j)))
        .collect();
    let note = (groups.len() > GROUPS).then_some(words::SWEEP_MORE);
    section("sweep", &words::SWEEP, note.as_ref(), figures)
}

/// The setting along which lines are drawn: the one with the most values.
fn axis(sweep: &[Stop]) -> Option<&str> {
    let values = |name: &str| {
        let mut all: Vec<f64> = sweep.iter().filter_map(|stop| stop.value(name)).collect();
        all.sort_by(f64::total_cmp);
        all.dedup();
        all.len()
    };
    let names = sweep.first()?.set.iter().map(|(name, _)| name.as_str());
    names.rev().max_by_key(|name| values(name))
}

/// The stops with the same other settings, in their order, by what these are.
fn groups<'a>(sweep: &'a [Stop], axis: &str) -> Vec<(String, Vec<&'a Stop>)> {
    let mut groups: Vec<(String, Vec<&Stop>)> = Vec::new();
    for stop in sweep {
        let others = stop.set.iter().filter(|(name, _)| name != axis);
        let others = others.map(|(name, value)| format!("{name} = {}", short(*value)));
        let others = others.collect::<Vec<_>>().join(", ");
        match groups.iter_mut().find(|(name, _)| *name == others) {
            Some((_, stops)) => stops.push(stop),
            None => groups.push((others, vec![stop])),
        }
    }
    groups
}

/// Moves of all events per session that was live through them.
fn moved(c: &Combination) -> Option<Figure> {
    let (mut all, mut theory) = (0.0, Some(0.0));
    for event in &c.events {
        let of = |name: &str| event.figures.iter().find(|(n, _)| *n == name).map(|(_, value)| *value);
        let moves: f64 = ["forced", "policy", "failback", "unforced"].into_iter().filter_map(of).sum();
        all += moves / of("live").filter(|live| *live > 0.0)?;
        let known = event.theory.iter().find(|(name, _)| name == "moves_per_live");
        theory = theory.zip(known.and_then(|(_, m)| m.theory)).map(|(sum, one)| sum + one);
    }
    (!c.events.is_empty()).then_some((all, theory))
}

fn lines(axis: &str, others: &str, stops: &[&Stop], (name, judge): &Judged) -> Option<String> {
    let mut ways: Vec<(&str, Line)> = Vec::new();
    for stop in stops {
        let Some(x) = stop.value(axis) else { continue };
        for c in &stop.combinations {
            let Some(figure) = judge(c) else { continue };
            match ways.iter_mut().find(|(id, _)| *id == c.id) {
                Some((_, line)) => line.push((x, figure)),
                None => ways.push((&c.id, vec![(x, figure)])),
            }
        }
    }
    ways.iter_mut().for_each(|(_, line)| line.sort_by(|a, b| a.0.total_cmp(&b.0)));
    let all = || ways.iter().flat_map(|(_, line)| line);
    let (least, most) = all().fold((f64::MAX, f64::MIN), |(a, b), (x, _)| (a.min(*x), b.max(*x)));
    let highest = all().map(|(_, (y, theory))| y.max(theory.unwrap_or(0.0))).fold(0.0, f64::max);
    if ways.is_empty() || most <= least {
        return None;
    }
    let frame = Frame::of(250.0);
    let x = Scale::linear((least, most), frame.across());
    let mut plot = Plot::new(frame, x, Scale::linear((0.0, rounded_up(highest)), frame.up()));
    plot.rungs(name);
    plot.foot(&words::condition(axis));
    for (i, (id, line)) in ways.iter().enumerate() {
        draw(&mut plot, i, id, line);
    }
    let mut entries: Vec<(String, String)> = ways
        .iter()
        .enumerate()
        .map(|(i, (id, _))| (format!("c{} {}", i % COLOURS, SHAPES[i % SHAPES.len()]), escape(id)))
        .collect();
    if all().any(|(_, (_, theory))| theory.is_some()) {
        entries.push(("stroke expected".to_owned(), both(&words::THEORY)));
    }
    let caption = if others.is_empty() { name.clone() } else { name.after(&format!("{others}: ")) };
    let table = table(axis, &ways);
    Some(figure(&both(&caption), &plot.svg.finish(&caption), &legend(&entries), &table))
}

fn draw(plot: &mut Plot, i: usize, id: &str, line: &Line) {
    let (colour, shape) = (i % COLOURS, i % SHAPES.len());
    let expected: Vec<Point> =
        line.iter().filter_map(|(x, (_, theory))| Some(plot.at(*x, (*theory)?))).collect();
    plot.svg.path(&expected, &format!("expected s{colour}"));
    let measured: Vec<Point> = line.iter().map(|(x, (y, _))| plot.at(*x, *y)).collect();
    plot.svg.path(&measured, &format!("s{colour}"));
    // Between those that are left out, the line says enough.
    let every = line.len().div_ceil(MARKS).max(1);
    for ((x, (y, _)), at) in line.iter().zip(&measured).step_by(every) {
        plot.svg.mark(*at, shape, 3.2, &format!("c{colour}"), &format!("{id}: {} {}", short(*x), short(*y)));
    }
}

/// A row per value of the setting, a column per way.
fn table(axis: &str, ways: &[(&str, Line)]) -> Table {
    let head = std::iter::once(both(&words::condition(axis)));
    let mut table = Table::new(head.chain(ways.iter().map(|(id, _)| escape(id))));
    let mut values: Vec<f64> = ways.iter().flat_map(|(_, line)| line.iter().map(|(x, _)| *x)).collect();
    values.sort_by(f64::total_cmp);
    values.dedup();
    for value in values {
        let cell = |line: &Line| {
            let found = line.iter().find(|(x, _)| *x == value);
            found.map_or_else(String::new, |(_, (y, theory))| match theory {
                Some(theory) => format!("{} <small>{}</small>", short(*y), short(*theory)),
                None => short(*y),
            })
        };
        table.row(std::iter::once(short(value)).chain(ways.iter().map(|(_, line)| cell(line))));
    }
    table
}
