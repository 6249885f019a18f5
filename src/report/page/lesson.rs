//! For who has never heard of it: what a session is, the three ways to keep one, what each costs, and the words.

use super::super::number::short;
use super::super::read::{Combination, Metric, Run};
use super::super::words::{self, Way, Words};
use super::super::{known, verdict};
use super::markup::both;

pub(crate) fn lesson(run: &Run) -> String {
    if run.combinations.is_empty() {
        return String::new();
    }
    let text: String = words::LESSON_TEXT.iter().map(|p| format!("<p>{}</p>", both(p))).collect();
    let ways: String = words::WAYS.iter().map(|w| way(run, w)).collect();
    format!(
        "<section id=\"lesson\"><h2>{}</h2>{text}<div class=\"ways\">{ways}</div></section>",
        both(&words::LESSON)
    )
}

fn way(run: &Run, way: &Way) -> String {
    let seen = seen(run, way);
    let seen = if seen.is_empty() {
        String::new()
    } else {
        format!("<dt>{}</dt><dd><ul>{}</ul></dd>", both(&words::SEEN_HERE), seen.concat())
    };
    format!(
        "<article><h3>{}</h3><dl><dt>{}</dt><dd>{}</dd><dt>{}</dt><dd>{}</dd>{seen}</dl></article>",
        both(&way.title),
        both(&words::DOES),
        both(&way.does),
        both(&words::COSTS_WHAT),
        both(&way.costs)
    )
}

/// What this run has of it, from the least to the most over its combinations.
fn seen(run: &Run, way: &Way) -> Vec<String> {
    let of_it = |c: &&Combination| way.stores.iter().any(|store| c.sessions.starts_with(store));
    let named = |name: &'static str| -> (Words, Vec<f64>) {
        (known::words(name), run.combinations.iter().filter(of_it).filter_map(|c| c.value(name)).collect())
    };
    let cpu =
        run.combinations.iter().filter(of_it).filter_map(verdict::cpu).map(|m: Metric| m.value).collect();
    [
        named("lost_per_live"),
        named("stale_per_live"),
        named("trips_per_request"),
        (words::CPU_IN_ALL, cpu),
        named("cookie_bytes"),
        named("revocation_s"),
    ]
    .into_iter()
    .filter_map(|(words, values)| Some(format!("<li>{}: <b>{}</b></li>", both(&words), range(&values)?)))
    .collect()
}

fn range(values: &[f64]) -> Option<String> {
    let low = values.iter().copied().reduce(f64::min)?;
    let high = values.iter().copied().reduce(f64::max)?;
    let (low, high) = (short(low), short(high));
    Some(if low == high { low } else { format!("{low} – {high}") })
}

pub(crate) fn glossary() -> String {
    let words: String = words::GLOSSARY
        .iter()
        .map(|(word, means)| format!("<div><dt>{}</dt><dd>{}</dd></div>", both(word), both(means)))
        .collect();
    format!(
        "<section id=\"words\"><h2>{}</h2><dl class=\"glossary\">{words}</dl></section>",
        both(&words::GLOSSARY_TITLE)
    )
}
