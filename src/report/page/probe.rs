//! What a probe asked a balancer, what it saw, and what follows.

use super::super::number::short;
use super::super::read::Run;
use super::super::words;
use super::markup::{Table, both, escape, scrolling};

pub(crate) fn probe(run: &Run) -> String {
    let Some(probe) = &run.probe else { return String::new() };
    let head = [&words::QUESTION, &words::SEEN, &words::ANSWER, &words::CHANCE].map(both);
    let mut table = Table::new(head);
    for finding in &probe.findings {
        table.row([
            format!("<b>{}</b> {}", escape(&finding.id), escape(&finding.asked)),
            escape(&finding.seen),
            format!("<b>{}</b>", escape(&finding.verdict)),
            finding.error_probability.map(chance).unwrap_or_default(),
        ]);
    }
    let certainty = probe.certainty.map(|c| format!(" · {} {}", both(&words::CERTAINTY), short(c)));
    format!(
        "<section id=\"probe\"><h2>{}</h2><p class=\"kind\"><b>{}</b>{} · <code>{}</code></p><p>{}</p>{}</section>",
        both(&words::PROBE.title),
        escape(&probe.kind),
        certainty.unwrap_or_default(),
        escape(&probe.url),
        both(&words::PROBE.how),
        scrolling(&words::PROBE.title, &format!("<div class=\"answers\">{}</div>", table.render()))
    )
}

/// A probability, of which only the size matters.
fn chance(p: f64) -> String {
    if p > 0.0 && p < 0.001 { format!("≤ 10<sup>{}</sup>", p.log10().ceil()) } else { short(p) }
}
