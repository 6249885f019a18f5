//! Names of listeners, pools and backends: what they may be, that they differ, and who is meant.

use std::ops::Range;

use ahash::AHashMap;

use super::defaults;
use super::diagnostic::Report;
use super::item::{Item, did_you_mean};
use crate::base::options::nearest;

/// A name and its place.
#[derive(Clone, Debug)]
pub(super) struct Name {
    /// `None` if there is none or it was refused.
    pub(super) text: Option<String>,
    pub(super) span: Range<usize>,
}

impl Name {
    pub(super) fn read(item: &Item<'_>) -> Self {
        Self { text: item.parse(check), span: item.span() }
    }

    /// A name that follows from something else.
    pub(super) fn implied(text: Option<String>, span: Range<usize>) -> Self {
        Self { text, span }
    }
}

/// Reports names that stand twice; `what` is what they name.
pub(super) fn check_unique<'n>(report: &Report, what: &str, names: impl Iterator<Item = &'n Name>) {
    let mut seen: AHashMap<&str, usize> = AHashMap::new();
    for name in names {
        let Some(text) = &name.text else { continue };
        if let Some(first) = seen.get(text.as_str()) {
            let place = report.place_of(*first, name.span.start);
            report.error(name.span.clone(), format!("{what} {text:?} is there already, {place}"));
        } else {
            seen.insert(text, name.span.start);
        }
    }
}

/// The place of the one that is meant.
pub(super) fn find(item: &Item<'_>, what: &str, names: &[Name]) -> Option<usize> {
    let text = item.text()?;
    let found = names.iter().position(|n| n.text.as_deref() == Some(text));
    if found.is_none() {
        let known: Vec<_> = names.iter().filter_map(|n| n.text.as_deref()).collect();
        let help = match nearest(text, known.iter().copied()) {
            Some(near) => did_you_mean(near),
            None if known.is_empty() => String::new(),
            None => format!("; there {} {}", if known.len() == 1 { "is" } else { "are" }, short_list(&known)),
        };
        item.refuse(format_args!("no {what} has this name{help}"));
    }
    found
}

/// What may stand in logs, metrics, pins and the admin's paths without quotes.
fn check(text: &str) -> Result<String, String> {
    if text.is_empty() || text.len() > defaults::LONGEST_ID {
        return Err(format!("must be 1 to {} bytes", defaults::LONGEST_ID));
    }
    if text.chars().any(|c| c.is_whitespace() || c.is_control() || matches!(c, '"' | '\\')) {
        return Err("must be without blanks, quotes and backslashes".to_owned());
    }
    Ok(text.to_owned())
}

fn short_list(names: &[&str]) -> String {
    match names.get(..8) {
        Some(first) if names.len() > 8 => format!("{} and more", first.join(", ")),
        _ => names.join(", "),
    }
}
