//! The configuration in effect as a file: every key that was read with its value, defaults included, each line with
//! where it came from. What is printed is accepted again and says the same.
//!
//! Included files are part of it, so that it includes none. Files that it names are relative to the folder of the main
//! file. Of secrets only the names of files are known here. A field's value that came from the environment stays as it
//! was written: that is where tokens are.

use std::path::Path;

use super::diagnostic::Report;
use super::print::quote;
use super::reader::Title;
use super::record::{Entry, NodeId, Origin, Value};

/// Where comments begin, in characters, if the line is not longer.
const COLUMN: usize = 40;

struct Printer<'r> {
    report: &'r Report,
    texts: Vec<Lines>,
    out: String,
}

/// A text's name and where its lines begin.
struct Lines {
    name: String,
    base: usize,
    starts: Vec<usize>,
}

/// Everything in `report`'s record; names of files are shown without `folder`.
pub(super) fn print(report: &Report, folder: &Path) -> String {
    let lines = |(name, text, base): (std::sync::Arc<str>, std::sync::Arc<str>, usize)| Lines {
        name: Path::new(&*name)
            .strip_prefix(folder)
            .map_or_else(|_| name.to_string(), |p| p.display().to_string()),
        base,
        starts: std::iter::once(0)
            .chain(memchr::memchr_iter(b'\n', text.as_bytes()).map(|i| i + 1))
            .collect(),
    };
    let texts = report.texts().into_iter().map(lines).collect();
    let mut printer = Printer { report, texts, out: String::new() };
    if let Some(root) = report.record.root() {
        printer.section(root);
    }
    printer.out
}

impl Printer<'_> {
    /// The keys of a section, then the sections in it.
    fn section(&mut self, node: NodeId) {
        let (inner, keys): (Vec<Entry>, Vec<Entry>) =
            self.report.record.entries(node).into_iter().partition(|e| self.has_header(&e.value));
        for entry in &keys {
            self.key(entry);
        }
        for entry in inner {
            match entry.value {
                Value::Table(node) => self.header(node),
                Value::List(list) => list.iter().filter_map(Value::table).for_each(|node| self.header(node)),
                Value::Text(_) | Value::Plain(_) => {}
            }
        }
    }

    fn header(&mut self, node: NodeId) {
        let blank = if self.out.is_empty() { "" } else { "\n" };
        self.out.push_str(&format!("{blank}{}\n", self.report.record.title(node)));
        self.section(node);
    }

    /// Whether it is a section, or several.
    fn has_header(&self, value: &Value) -> bool {
        let node = match value {
            Value::Table(node) => Some(*node),
            Value::List(list) => list.first().and_then(Value::table),
            Value::Text(_) | Value::Plain(_) => None,
        };
        match node.map(|n| self.report.record.title(n)) {
            Some(Title::Section(_) | Title::Repeated(_)) => true,
            Some(Title::Root | Title::Inline(_)) | None => false,
        }
    }

    fn key(&mut self, entry: &Entry) {
        let name = bare_or_quoted(&entry.key);
        if let Value::List(list) = &entry.value
            && list.iter().any(|v| v.table().is_some())
        {
            self.line(&format!("{name} = ["), &[self.origin(entry.origin)]);
            for value in list {
                let mut origins = Vec::new();
                let text = self.value(value, &mut origins);
                self.line(&format!("  {text},"), &origins);
            }
            self.out.push_str("]\n");
            return;
        }
        let mut origins = Vec::new();
        let text = self.entry(entry, false, &mut origins);
        self.line(&format!("{name} = {text}"), &origins);
    }

    fn line(&mut self, text: &str, origins: &[String]) {
        let room = " ".repeat(COLUMN.saturating_sub(text.chars().count()));
        self.out.push_str(&format!("{text}{room} # {}\n", origins.join(", ")));
    }

    /// A key's value; where it and what is in it came from is added to `origins`.
    fn entry(&self, entry: &Entry, is_field: bool, origins: &mut Vec<String>) -> String {
        let written = match entry.origin {
            Origin::At(offset) => self.report.expanded.borrow().get(&offset).map(|text| quote(text)),
            Origin::Default | Origin::Inherited => None,
        };
        if !matches!(entry.value, Value::Table(_)) {
            let origin = match &written {
                Some(text) if !is_field => format!("{} as {text}", self.origin(entry.origin)),
                Some(_) | None => self.origin(entry.origin),
            };
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        written.filter(|_| is_field).unwrap_or_else(|| self.value(&entry.value, origins))
    }

    /// A value on one line.
    fn value(&self, value: &Value, origins: &mut Vec<String>) -> String {
        match value {
            // What is in effect is not to be filled in again.
            Value::Text(text) => quote(&text.replace('$', "$$")),
            Value::Plain(text) => text.clone(),
            Value::List(list) => {
                let values: Vec<_> = list.iter().map(|v| self.value(v, origins)).collect();
                format!("[{}]", values.join(", "))
            }
            Value::Table(node) => {
                let is_field =
                    matches!(self.report.record.title(*node), Title::Inline("set" | "add" | "headers"));
                let entries = self.report.record.entries(*node);
                let pair =
                    |e: &Entry| format!("{} = {}", bare_or_quoted(&e.key), self.entry(e, is_field, origins));
                let pairs: Vec<_> = entries.iter().map(pair).collect();
                if pairs.is_empty() { "{}".to_owned() } else { format!("{{ {} }}", pairs.join(", ")) }
            }
        }
    }

    fn origin(&self, origin: Origin) -> String {
        match origin {
            Origin::Default => "default".to_owned(),
            Origin::Inherited => "as the section".to_owned(),
            Origin::At(offset) => {
                let Some(text) = self.texts.iter().rev().find(|t| t.base <= offset) else {
                    return String::new();
                };
                let line = text.starts.partition_point(|start| *start <= offset - text.base);
                format!("{}:{line}", text.name)
            }
        }
    }
}

fn bare_or_quoted(key: &str) -> String {
    let is_bare = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-');
    if !key.is_empty() && key.bytes().all(is_bare) { key.to_owned() } else { quote(key) }
}

#[cfg(test)]
#[path = "effective_tests.rs"]
mod tests;
