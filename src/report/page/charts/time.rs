//! Over time: live sessions per backend, one band each; losses, old states and errors, one lane each.

use super::super::super::number::short;
use super::super::super::read::{Combination, Run, Series};
use super::super::super::words::{self, Words};
use super::super::markup::{Table, both, escape, figure, legend};
use super::super::plot::{Frame, Plot, Scale, WIDTH, rounded_up};
use super::super::svg::{Anchor, Svg, cut};
use super::{COLOURS, colour, numbered, section, title};

/// Points that are drawn; a series of more is drawn in windows.
const POINTS: usize = 160;
/// Rows of the table below.
const ROWS: usize = 12;
/// How high a lane is.
const LANE: f64 = 44.0;

/// How several values become one.
#[derive(Clone, Copy)]
enum Join {
    Mean,
    Sum,
}

pub(crate) fn sessions(run: &Run) -> String {
    let figures = numbered(run).filter_map(|(number, c)| bands(number, c, c.series.as_ref()?)).collect();
    section("sessions", &words::SESSIONS, None, figures)
}

pub(crate) fn trouble(run: &Run) -> String {
    let figures = numbered(run).filter_map(|(number, c)| lanes(number, c, c.series.as_ref()?)).collect();
    section("trouble", &words::TROUBLE, None, figures)
}

/// In so many windows at most.
fn thinned(values: &[f64], most: usize, join: Join) -> Vec<f64> {
    let per = values.len().div_ceil(most).max(1);
    let one = |window: &[f64]| {
        let sum: f64 = window.iter().sum();
        match join {
            Join::Sum => sum,
            Join::Mean => sum / window.len().max(1) as f64,
        }
    };
    values.chunks(per).map(one).collect()
}

/// The times at which windows begin; in minutes where there are many.
fn times(t: &[f64], most: usize) -> (Vec<f64>, f64, Words) {
    let (per, unit) =
        if t.last().is_some_and(|t| *t > 900.0) { (60.0, words::MINUTES) } else { (1.0, words::SECONDS) };
    (t.iter().step_by(t.len().div_ceil(most).max(1)).map(|t| t / per).collect(), per, unit)
}

/// The bands: backends in the combination's order, those beyond the colours together.
fn ordered(combination: &Combination, series: &Series) -> Vec<(String, Vec<f64>)> {
    let place = |name: &str| combination.backends.iter().position(|b| b == name).unwrap_or(usize::MAX);
    let mut live = series.live.clone();
    live.sort_by_key(|(name, _)| place(name));
    if live.len() > COLOURS {
        let rest = live.split_off(COLOURS - 1);
        let mut sum = vec![0.0; series.t.len()];
        for (_, values) in &rest {
            sum.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
        }
        live.push((format!("+{}", rest.len()), sum));
    }
    live
}

fn bands(number: usize, combination: &Combination, series: &Series) -> Option<String> {
    let live = ordered(combination, series);
    let (t, per, unit) = times(&series.t, POINTS);
    let thin: Vec<Vec<f64>> = live.iter().map(|(_, values)| thinned(values, POINTS, Join::Mean)).collect();
    let total = |i: usize| -> f64 { thin.iter().filter_map(|values| values.get(i)).sum() };
    let most = (0..t.len()).map(total).fold(0.0, f64::max);
    if most <= 0.0 {
        return None;
    }
    let frame = Frame { top: 30.0, ..Frame::of(220.0) };
    let (begin, end) = (t.first().copied().unwrap_or(0.0), t.last().copied().unwrap_or(1.0));
    let x = Scale::linear((begin, end), frame.across());
    let mut plot = Plot::new(frame, x, Scale::linear((0.0, rounded_up(most)), frame.up()));
    let mut floor = vec![0.0; t.len()];
    for (i, ((name, _), values)) in live.iter().zip(&thin).enumerate() {
        let top: Vec<f64> = floor.iter().zip(values).map(|(a, b)| a + b).collect();
        let line = |ys: &[f64]| -> Vec<_> { t.iter().zip(ys).map(|(t, y)| plot.at(*t, *y)).collect() };
        let (upper, lower) = (line(&top), line(&floor));
        plot.svg.area(&upper, &lower, &format!("band {}", colour(i)), name);
        floor = top;
    }
    plot.rungs(&words::SESSIONS_AXIS);
    plot.foot(&unit);
    let flags = flags(&mut plot.svg, combination, x, per, (frame.top - 4.0, frame.up().0));
    let names = live.iter().enumerate().map(|(i, (name, _))| (colour(i), escape(name)));
    let legend = legend(&names.collect::<Vec<_>>()) + &flags;
    let name = words::SESSIONS.title;
    Some(figure(
        &title(number, combination),
        &plot.svg.finish(&named(&name, combination)),
        &legend,
        &table(series, &live, Join::Mean),
    ))
}

fn named(what: &Words, combination: &Combination) -> Words {
    what.after(&format!("{}: ", combination.id))
}

/// A flag per event, numbered, and what the numbers are.
fn flags(svg: &mut Svg, combination: &Combination, x: Scale, per: f64, (top, bottom): (f64, f64)) -> String {
    let mut list = String::new();
    let mut free = f64::NEG_INFINITY;
    for (i, event) in combination.events.iter().take(40).enumerate() {
        let at = x.at(event.t / per);
        svg.line((at, top), (at, bottom), "flag");
        if at > free {
            svg.text((at, top - 3.0), Anchor::Middle, "flagged", &(i + 1).to_string());
            free = at + 12.0;
        }
        list.push_str(&format!("<li>{} <small>{} s</small></li>", escape(&event.label), short(event.t)));
    }
    if list.is_empty() { list } else { format!("<ol class=\"flags\">{list}</ol>") }
}

fn lanes(number: usize, combination: &Combination, series: &Series) -> Option<String> {
    if series.trouble.is_empty() {
        return None;
    }
    let (t, per, unit) = times(&series.t, POINTS);
    let (begin, end) = (t.first().copied().unwrap_or(0.0), t.last().copied().unwrap_or(1.0));
    let count = series.trouble.len() as f64;
    let frame = Frame { top: 14.0, bottom: 36.0, ..Frame::of(14.0 + LANE * count + 36.0) };
    let x = Scale::linear((begin, end), frame.across());
    let mut plot = Plot::new(frame, x, Scale::linear((0.0, 1.0), frame.up()));
    let flags = flags(&mut plot.svg, combination, x, per, (frame.top, frame.up().0));
    let width = ((frame.across().1 - frame.across().0) / t.len() as f64 + 0.4).max(1.2);
    for (lane, (name, values)) in series.trouble.iter().enumerate() {
        let bottom = frame.top + LANE * (lane as f64 + 1.0);
        let values = thinned(values, POINTS, Join::Sum);
        let most = values.iter().copied().fold(0.0, f64::max);
        let y = Scale::linear((0.0, if most > 0.0 { most } else { 1.0 }), (bottom, bottom - LANE + 16.0));
        let (words, class) = what(name);
        plot.svg.words((frame.left, bottom - LANE + 11.0), Anchor::Start, "axis", &words);
        plot.svg.line((frame.left, bottom), (WIDTH - frame.right, bottom), "grid");
        plot.svg.text((frame.left - 5.0, bottom - LANE + 20.0), Anchor::End, "tick", &short(most));
        for (t, value) in t.iter().zip(&values).filter(|(_, value)| **value > 0.0) {
            let (left, top) = (x.at(*t), y.at(*value).min(bottom - 1.5));
            plot.svg.rect(
                (left.min(WIDTH - frame.right - width), top),
                (width, bottom - top),
                class,
                &short(*value),
            );
        }
    }
    plot.foot(&unit);
    let all: Vec<(String, Vec<f64>)> =
        series.trouble.iter().map(|(n, v)| ((*n).to_owned(), v.clone())).collect();
    let name = named(&words::TROUBLE.title, combination);
    Some(figure(
        &title(number, combination),
        &plot.svg.finish(&name),
        &flags,
        &table(series, &all, Join::Sum),
    ))
}

/// The name and the colour of a lane.
fn what(name: &str) -> (Words, &'static str) {
    match name {
        "lost" => (Words::of("sessions lost", "잃은 세션"), "c5"),
        "stale" => (Words::of("old states seen", "옛 상태 노출"), "c3"),
        _ => (Words::of("failed requests", "실패한 요청"), "c1"),
    }
}

fn table(series: &Series, columns: &[(String, Vec<f64>)], join: Join) -> Table {
    let name = |name: &str| match join {
        Join::Mean => escape(name),
        Join::Sum => both(&what(name).0),
    };
    let time = both(&Words::said(format!("{}, s", words::TIME.en), format!("{}, s", words::TIME.ko)));
    let mut table = Table::new(std::iter::once(time).chain(columns.iter().map(|(n, _)| name(&cut(n, 40)))));
    let thin: Vec<Vec<f64>> = columns.iter().map(|(_, values)| thinned(values, ROWS, join)).collect();
    for (i, t) in series.t.iter().step_by(series.t.len().div_ceil(ROWS).max(1)).enumerate() {
        let cells = thin.iter().map(|values| values.get(i).map(|v| short(v.round())).unwrap_or_default());
        table.row(std::iter::once(short(*t)).chain(cells));
    }
    table
}
