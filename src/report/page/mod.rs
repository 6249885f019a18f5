//! The page: one file with everything in it, without a script and without a request elsewhere.
//!
//! Both languages are in it; a pair of radio buttons before the rest shows one of them by the style sheet alone. Charts
//! are inline SVG whose colours are the style sheet's, for light and for dark; each has its numbers in a table below it.
//! The colours are those of Okabe and Ito (<https://jfly.uni-koeln.de/color/>), and nothing is told by colour alone.

mod charts;
mod lesson;
mod markup;
mod overview;
mod plot;
mod probe;
mod svg;

use serde_json::Value;

use self::markup::{both, escape};
use super::read::Run;
use super::verdict;
use super::words::{self, Words};
use crate::base::time::UnixSeconds;

const STYLE: &str = include_str!("style.css");

/// The whole page.
#[must_use]
pub fn html(result: &Value) -> String {
    let run = Run::read(result);
    let title = if run.source == "simulate" { words::SIMULATED } else { words::TITLE };
    let (body, start, skip) = if run.sweep.len() > 1 {
        (swept(&run, &title), "sweep", words::SKIP_TO_CHARTS)
    } else {
        (measured(&run, &title), "verdict", words::SKIP)
    };
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">\n\
         <title>homing: {}</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <input type=\"radio\" name=\"language\" id=\"en\" checked><input type=\"radio\" name=\"language\" id=\"ko\">\n\
         <a class=\"skip\" href=\"#{start}\">{}</a>\n\
         <nav aria-label=\"Language / 언어\"><label for=\"en\" lang=\"en\" class=\"shown\">English</label>\
         <label for=\"ko\" lang=\"ko\" class=\"shown\">한국어</label></nav>\n<main>\n{body}</main>\n</body>\n</html>\n",
        escape(&title.en),
        both(&skip),
    )
}

/// Everything of one run.
fn measured(run: &Run, title: &Words) -> String {
    [
        head(run, title),
        said(run),
        lesson::lesson(run),
        overview::overview(run),
        charts::time::sessions(run),
        charts::time::trouble(run),
        charts::pareto::pareto(run),
        charts::bars::disruption(run),
        charts::matrix::matrices(run),
        charts::latency::latency(run),
        charts::bars::costs(run),
        charts::bars::revocation(run),
        probe::probe(run),
        charts::checks::checks(run),
        lesson::glossary(),
        conditions(run),
    ]
    .concat()
}

/// A range of settings: no verdict, which would be of the first of them.
fn swept(run: &Run, title: &Words) -> String {
    let combinations = run.sweep.iter().flat_map(|stop| stop.combinations.iter().cloned()).collect();
    let all = Run { combinations, ..run.clone() };
    [head(run, title), charts::sweep::sweep(run), lesson::lesson(&all), lesson::glossary(), conditions(run)]
        .concat()
}

fn head(run: &Run, title: &Words) -> String {
    let mut told: Vec<String> = Vec::new();
    if let Some(made) = run.made {
        told.push(format!("<time>{}</time>", UnixSeconds(made)));
    }
    if let Some(seed) = &run.seed {
        told.push(format!("seed {}", escape(seed)));
    }
    told.extend(run.versions.iter().map(|(name, version)| format!("{} {}", escape(name), escape(version))));
    let command = Some(&run.command).filter(|c| !c.is_empty());
    let command = command.map(|c| format!("<pre><code>{}</code></pre>", escape(c))).unwrap_or_default();
    format!("<header><h1>{}</h1><p class=\"told\">{}</p>{command}</header>", both(title), told.join(" · "))
}

/// The verdict, and what to doubt about it.
fn said(run: &Run) -> String {
    let sentences: String =
        verdict::sentences(run).iter().map(|said| format!("<li>{}</li>", both(said))).collect();
    let mut doubts: Vec<String> =
        run.doubts.iter().map(|doubt| format!("<li>{}</li>", escape(doubt))).collect();
    for (number, combination) in charts::numbered(run) {
        doubts.extend(
            combination
                .doubts
                .iter()
                .map(|doubt| format!("<li>{}: {}</li>", charts::title(number, combination), escape(doubt))),
        );
    }
    let doubts = if doubts.is_empty() {
        String::new()
    } else {
        let (class, name) =
            if run.is_ranked { ("doubts", words::DOUBTS) } else { ("doubts warned", words::NOT_RANKED) };
        format!(
            "<div class=\"{class}\" role=\"note\"><h3>{}</h3><ul>{}</ul></div>",
            both(&name),
            doubts.concat()
        )
    };
    format!(
        "<section id=\"verdict\"><h2>{}</h2><ol class=\"verdict\">{sentences}</ol>{doubts}</section>",
        both(&words::VERDICT)
    )
}

/// What it was run on and with.
fn conditions(run: &Run) -> String {
    let pairs: String = run
        .workload
        .iter()
        .chain(&run.host)
        .map(|(name, value)| (name, run.range(name).unwrap_or_else(|| value.clone())))
        .map(|(name, value)| {
            format!("<div><dt>{}</dt><dd>{}</dd></div>", both(&words::condition(name)), escape(&value))
        })
        .collect();
    if pairs.is_empty() {
        return String::new();
    }
    format!(
        "<section id=\"conditions\"><h2>{}</h2><dl class=\"pairs\">{pairs}</dl></section>",
        both(&words::WHAT_WAS_RUN)
    )
}

#[cfg(test)]
#[path = "page_tests.rs"]
mod tests;
