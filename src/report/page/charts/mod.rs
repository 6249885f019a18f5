//! The charts: each is a section that is there when there is something to draw, and nothing otherwise.

pub(crate) mod bars;
pub(crate) mod checks;
pub(crate) mod latency;
pub(crate) mod matrix;
pub(crate) mod pareto;
pub(crate) mod sweep;
pub(crate) mod time;

use super::super::read::{Combination, Run};
use super::super::words::{self, Section, Words};
use super::markup::{both, escape};

/// Charts of a section that are open from the start; the rest can be unfolded.
const OPEN: usize = 6;
/// Colours that the style sheet has for things that are told apart by them.
pub(crate) const COLOURS: usize = 8;

/// A section with a title, how to read it, and its figures; nothing if there are none.
pub(crate) fn section(id: &str, section: &Section, note: Option<&Words>, mut figures: Vec<String>) -> String {
    if figures.is_empty() {
        return String::new();
    }
    let rest = figures.split_off(figures.len().min(OPEN));
    let more = if rest.is_empty() {
        String::new()
    } else {
        format!(
            "<details class=\"more\"><summary>{} ({})</summary><div class=\"figures\">{}</div></details>",
            both(&words::MORE),
            rest.len(),
            rest.concat()
        )
    };
    let class = if figures.len() == 1 { "figures one" } else { "figures" };
    let note = note.map(|note| format!("<p class=\"note\">{}</p>", both(note))).unwrap_or_default();
    format!(
        "<section id=\"{id}\"><h2>{}</h2><p>{}</p>{note}<div class=\"{class}\">{}</div>{more}</section>",
        both(&section.title),
        both(&section.how),
        figures.concat()
    )
}

/// A combination with its number in the table.
pub(crate) fn title(number: usize, combination: &Combination) -> String {
    // A long name may be broken between its parts.
    format!("<b class=\"no\">{number}</b> {}", escape(&combination.id).replace('/', "/<wbr>"))
}

/// Every combination with its number.
pub(crate) fn numbered(run: &Run) -> impl Iterator<Item = (usize, &Combination)> {
    run.combinations.iter().enumerate().map(|(i, c)| (i + 1, c))
}

/// The class of a backend's colour; those beyond the colours have them again, paler.
pub(crate) fn colour(i: usize) -> String {
    let pale = if i >= COLOURS { " pale" } else { "" };
    format!("c{}{pale}", i % COLOURS)
}
