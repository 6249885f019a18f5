//! The share of requests that were answered within a time, a line per class.

use super::super::super::number::short;
use super::super::super::read::{Combination, Run};
use super::super::super::words;
use super::super::markup::{Table, both, figure, legend};
use super::super::plot::{Frame, Plot, Scale};
use super::super::svg::Point;
use super::{numbered, section, title};

/// Points of a line that are drawn.
const POINTS: usize = 200;
/// Colours and strokes of the classes, in their order: each is told from the others without colour too.
const CLASSES: [&str; 6] = ["l0", "l1", "l2", "l3", "l4", "l5"];

pub(crate) fn latency(run: &Run) -> String {
    let all = || run.combinations.iter().flat_map(|c| &c.latency).flat_map(|(_, l)| l.points());
    let low = all().map(|(ms, _)| ms).filter(|ms| *ms > 0.0).fold(f64::INFINITY, f64::min);
    let high = all().map(|(ms, _)| ms).fold(0.0, f64::max);
    if high <= 0.0 {
        return String::new();
    }
    // One axis for all, so that charts can be held against each other.
    let figures = numbered(run).filter_map(|(number, c)| draw(number, c, (low, high))).collect();
    section("latency", &words::LATENCY, None, figures)
}

fn draw(number: usize, combination: &Combination, range: (f64, f64)) -> Option<String> {
    if combination.latency.is_empty() {
        return None;
    }
    let frame = Frame::of(210.0);
    let x = Scale::logarithmic(range, frame.across());
    let mut plot = Plot::new(frame, x, Scale::linear((0.0, 100.0), frame.up()));
    plot.rungs(&words::Words::of("% of requests", "요청의 %"));
    plot.foot(&words::MILLISECONDS);
    let head = ["n", "p50", "p90", "p99", "p99.9", "max"].map(str::to_owned);
    let mut table = Table::new(std::iter::once(both(&words::CLASS)).chain(head));
    let mut names = Vec::new();
    for (i, (class, latency)) in combination.latency.iter().enumerate() {
        let style = CLASSES.get(i).copied().unwrap_or("l5");
        let points = latency.points();
        let per = points.len().div_ceil(POINTS).max(1);
        let last = points.last().copied();
        let mut line: Vec<Point> = Vec::new();
        for (ms, share) in points.iter().copied().step_by(per).chain(last) {
            let (x, y) = plot.at(ms, share * 100.0);
            // A distribution rises in steps.
            if let Some((_, before)) = line.last().copied() {
                line.push((x, before));
            }
            line.push((x, y));
        }
        plot.svg.path(&line, style);
        names.push((format!("stroke {style}"), both(&words::class(class))));
        let cell = |name: &str| latency.percentiles.iter().find(|(n, _)| *n == name).map(|(_, v)| short(*v));
        let cells = ["p50", "p90", "p99", "p999", "max"].map(|name| cell(name).unwrap_or_default());
        let n = latency.n.map(short).unwrap_or_default();
        table.row([both(&words::class(class)), n].into_iter().chain(cells));
    }
    let name = words::LATENCY.title.after(&format!("{}: ", combination.id));
    Some(figure(&title(number, combination), &plot.svg.finish(&name), &legend(&names), &table))
}
