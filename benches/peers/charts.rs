//! One chart of the ratios, as an SVG that needs nothing else.

use std::fmt::Write as _;

use crate::peers::Peer;
use crate::run::{Outcome, Run};
use crate::statistics::Spread;

/// Ratios beyond this are cut off.
const LARGEST: f64 = 1.5;
/// The picture's measures, in pixels.
const LEFT: f64 = 110.0;
const WIDTH: f64 = 560.0;
const TOP: f64 = 78.0;
const BAR: f64 = 14.0;
const ROW: f64 = 46.0;
const RIGHT: f64 = 190.0;

/// The peers that homing is compared with, and their colours.
const PEERS: [(Peer, &str); 2] = [(Peer::Nginx, "#2f7d4f"), (Peer::Haproxy, "#3b6fb6")];

pub(crate) fn svg(run: &Run<'_>, outcomes: &[Outcome]) -> String {
    let outcomes: Vec<&Outcome> = outcomes.iter().filter(|outcome| !outcome.rounds.is_empty()).collect();
    let height = TOP + ROW * outcomes.len() as f64 + 48.0;
    let mut out = String::new();
    let _ = writeln!(
        out,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {height}\" width=\"{w}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>",
        w = LEFT + WIDTH + RIGHT,
    );
    let versions: Vec<&str> = run.installed.iter().map(|installed| installed.version.as_str()).collect();
    text(
        &mut out,
        10.0,
        20.0,
        "bold",
        "homing's figure to that of nginx and HAProxy: less than 1 is better for homing",
    );
    text(&mut out, 10.0, 37.0, "normal", &versions.join(" | "));
    let machine = &run.machine;
    text(
        &mut out,
        10.0,
        52.0,
        "normal",
        &format!("{}, {} cores, {}", machine.processor, machine.cores, machine.date),
    );
    for step in 0..=6 {
        let ratio = f64::from(step) * 0.25;
        let (x, bottom) = (x(ratio), height - 42.0);
        let stroke = if step == 4 { "#444" } else { "#ddd" };
        let _ = writeln!(out, "<path d=\"M{x:.1} {TOP:.0}V{bottom:.0}\" stroke=\"{stroke}\"/>");
        text(&mut out, x - 10.0, bottom + 14.0, "normal", &format!("{ratio:.2}"));
    }
    for (place, outcome) in outcomes.iter().enumerate() {
        row(&mut out, TOP + ROW * place as f64 + 6.0, outcome);
    }
    text(
        &mut out,
        10.0,
        height - 6.0,
        "normal",
        "Bars: medians of paired rounds. Thick line: quartiles. Thin line: 95 % interval of the median. Red: the bar. *: a proxy had time left.",
    );
    out.push_str("</svg>\n");
    out
}

fn row(out: &mut String, top: f64, outcome: &Outcome) {
    let mark = if Peer::ALL.iter().any(|peer| outcome.is_pessimistic(*peer)) { " *" } else { "" };
    text(out, 10.0, top + 13.0, "bold", &format!("{}{mark}", outcome.row.name));
    text(out, 10.0, top + 28.0, "normal", outcome.row.figure.unit());
    for (place, (peer, colour)) in PEERS.into_iter().enumerate() {
        let Some(spread) = outcome.ratios(peer) else { continue };
        let top = top + (BAR + 3.0) * place as f64;
        let middle = top + BAR / 2.0;
        let _ = writeln!(
            out,
            "<rect x=\"{LEFT}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{BAR}\" fill=\"{colour}\" opacity=\"0.55\"/>",
            x(spread.median) - LEFT
        );
        line(out, spread.lower_quartile, spread.upper_quartile, middle, 4.0);
        if let Some((low, high)) = spread.interval {
            line(out, low, high, middle, 1.0);
        }
        let bar = match peer {
            Peer::Homing => None,
            Peer::Nginx => outcome.row.bar.nginx,
            Peer::Haproxy => outcome.row.bar.haproxy,
        };
        if let Some(bar) = bar {
            let x = x(bar);
            let _ = writeln!(out, "<path d=\"M{x:.1} {top:.1}v{BAR}\" stroke=\"#c22\" stroke-width=\"2\"/>");
        }
        text(out, LEFT + WIDTH + 8.0, top + 11.0, "normal", &label(peer, &spread));
    }
}

fn label(peer: Peer, spread: &Spread) -> String {
    let interval = spread.interval.map_or(String::new(), |(low, high)| format!(" [{low:.2}-{high:.2}]"));
    format!("{:.2}{interval} {}", spread.median, peer.name())
}

fn line(out: &mut String, from: f64, to: f64, y: f64, width: f64) {
    let (from, to) = (x(from), x(to));
    let _ = writeln!(out, "<path d=\"M{from:.1} {y:.1}H{to:.1}\" stroke=\"#222\" stroke-width=\"{width}\"/>");
}

fn x(ratio: f64) -> f64 {
    LEFT + ratio.clamp(0.0, LARGEST) / LARGEST * WIDTH
}

fn text(out: &mut String, x: f64, y: f64, weight: &str, words: &str) {
    let words = words.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-weight=\"{weight}\">{words}</text>");
}
