//! Theory against measurement: how many standard deviations lie between them, a row per check; and all of it as a table.

use super::super::super::known;
use super::super::super::number::{short, z};
use super::super::super::read::{Check, Metric, Run};
use super::super::super::words::{self, Words};
use super::super::markup::{Table, both, escape, figure, legend};
use super::super::plot::{Frame, Plot, Scale};
use super::super::svg::Anchor;
use super::{numbered, section};

const ROW: f64 = 17.0;
const ROWS: usize = 24;
/// Where the axis ends: what lies further out is drawn there.
const EDGE: f64 = 6.0;
/// Beyond this, chance does not explain a difference.
const BAND: f64 = 4.0;

pub(crate) fn checks(run: &Run) -> String {
    let all: Vec<Check> = run.checks.iter().cloned().chain(of_metrics(run)).collect();
    let figures = all.chunks(ROWS).map(draw).collect();
    section("checks", &words::CHECKS, None, figures)
}

/// Every figure that has a z-score is a check too: of a combination, and of its events.
fn of_metrics(run: &Run) -> impl Iterator<Item = Check> {
    numbered(run).flat_map(|(number, combination)| {
        let of_all = combination.metrics.iter().map(|(name, metric)| (String::new(), name, metric));
        let of_events = combination.events.iter().flat_map(|event| {
            event.theory.iter().map(move |(name, metric)| (format!(", {}", event.label), name, metric))
        });
        let check = move |(event, name, metric): (String, &String, &Metric)| {
            Some(Check {
                id: number.to_string(),
                what: format!("{}: {}{event}", known::words(name).en, combination.id),
                expected: Some(metric.theory?),
                measured: Some(metric.value),
                z: Some(metric.z?),
                tolerance: "4σ".to_owned(),
                pass: Some(metric.z?.abs() < BAND),
            })
        };
        of_all.chain(of_events).filter_map(check).collect::<Vec<_>>()
    })
}

fn draw(checks: &[Check]) -> String {
    let frame =
        Frame { left: 62.0, right: 16.0, top: 8.0, ..Frame::of(8.0 + ROW * checks.len() as f64 + 36.0) };
    let x = Scale::linear((-EDGE, EDGE), frame.across());
    let mut plot = Plot::new(frame, x, Scale::linear((0.0, 1.0), frame.up()));
    let (bottom, top) = frame.up();
    plot.svg.rect((x.at(-BAND), top), (x.at(BAND) - x.at(-BAND), bottom - top), "within", "");
    plot.svg.line((x.at(0.0), top), (x.at(0.0), bottom), "base");
    let head = [
        &words::CHECK,
        &words::EXPECTED,
        &words::MEASURED,
        &words::STANDARD_DEVIATIONS,
        &words::TOLERANCE,
        &words::RESULT,
    ];
    let mut table = Table::new(head.map(both));
    for (i, check) in checks.iter().enumerate() {
        let y = frame.top + ROW * (i as f64 + 0.5);
        plot.svg.line((frame.left, y), (x.at(EDGE), y), "grid");
        plot.svg.text(
            (frame.left - 6.0, y + 4.0),
            Anchor::End,
            "label",
            &super::super::svg::cut(&check.id, 9),
        );
        let fails = check.pass == Some(false);
        // What is exact has no z: it stands in the middle, or at the edge.
        let score = check.z.unwrap_or(if fails { EDGE } else { 0.0 });
        let (shape, class) = match (fails, check.z.is_none()) {
            (true, _) => (4, "c5"),
            (false, true) => (2, "c2"),
            (false, false) => (0, "c0"),
        };
        let tip = format!("{} {}: {}", check.id, check.what, check.z.map(z).unwrap_or_default());
        plot.svg.mark((x.at(score), y), shape, 4.0, class, &tip);
        table.row([
            format!("<b>{}</b> {}", escape(&check.id), escape(&check.what)),
            check.expected.map(short).unwrap_or_default(),
            check.measured.map(short).unwrap_or_default(),
            check.z.map(z).unwrap_or_default(),
            escape(&check.tolerance),
            outcome(check),
        ]);
    }
    plot.foot(&words::STANDARD_DEVIATIONS);
    let kinds = [
        ("c0 round", words::PASSES),
        ("c2 diamond", Words::of("holds exactly", "정확히 성립")),
        ("c5 cross", words::FAILS),
        ("withinmark", Words::of("±4", "±4")),
    ];
    let legend = legend(&kinds.map(|(class, name)| (class.to_owned(), both(&name))));
    figure(&both(&words::CHECKS.title), &plot.svg.finish(&words::CHECKS.title), &legend, &table)
}

fn outcome(check: &Check) -> String {
    match check.pass {
        Some(true) => format!("<span class=\"good\">✓ {}</span>", both(&words::PASSES)),
        Some(false) => format!("<span class=\"bad\">✗ {}</span>", both(&words::FAILS)),
        None => String::new(),
    }
}
