//! Fields that the file adds, sets and removes: names and values that cannot break a message.

use std::ops::Range;

use http::header::{HeaderName, HeaderValue};

use super::item::Item;
use super::reader::{Table, Title};
use crate::message::host;
use crate::route::HeaderRules;

/// Fields that frame a message or belong to one connection: homing writes them itself.
const FRAMING: [&str; 8] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// `key = { set = { .. }, add = { .. }, remove = [ .. ] }`
pub(super) fn rules(table: &Table<'_>, key: &'static str) -> HeaderRules {
    let Some(table) = table.table(key, Title::Inline(key)) else { return HeaderRules::default() };
    let set = fields(&table, "set");
    let add = fields(&table, "add");
    let remove = table.get("remove").and_then(|item| item.list("field names")).unwrap_or_default();
    let remove = remove.iter().filter_map(|item| name(item, item.text()?, item.span(), "remove")).collect();
    table.finish();
    HeaderRules { remove, set, add }
}

/// `key = { "x-name" = "value" }`
pub(super) fn fields(table: &Table<'_>, key: &'static str) -> Vec<(String, String)> {
    let Some(fields) = table.table(key, Title::Inline(key)) else { return Vec::new() };
    let field = |(text, span, item): (&str, Range<usize>, Item<'_>)| {
        let name = name(&item, text, span, key);
        let value = item.parse(value)?;
        let name = name?;
        if name == "host" && !host::is_valid(value.as_bytes()) {
            item.report.error(item.span(), format!("{value:?} must be a host, with a port or without"));
            return None;
        }
        Some((name, value))
    };
    fields.entries().filter_map(field).collect()
}

/// A field's name in lower case, for what `key` does with it.
fn name(item: &Item<'_>, text: &str, span: Range<usize>, key: &str) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    if HeaderName::from_bytes(lower.as_bytes()).is_err() {
        let must = "must be a field name: letters, digits or !#$%&'*+-.^_`|~";
        item.report.error(span, format!("{text:?} {must}"));
        return None;
    }
    if FRAMING.contains(&lower.as_str()) {
        let what = "belongs to the connection; homing writes it itself";
        item.report.error(span, format!("\"{lower}\" {what}"));
        return None;
    }
    if lower == "host" && ["add", "remove"].contains(&key) {
        item.report.error(span, "\"host\" stands in every request, once: it can only be set".to_owned());
        return None;
    }
    Some(lower)
}

/// A field's value.
pub(super) fn value(text: &str) -> Result<String, String> {
    if text.trim_ascii() != text || HeaderValue::from_bytes(text.as_bytes()).is_err() {
        return Err("must be text on one line, without blanks around it".to_owned());
    }
    Ok(text.to_owned())
}
