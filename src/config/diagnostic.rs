//! What is wrong with a configuration: the place, what stands there, what would be right.
//!
//! All findings of one reading are gathered in a `Report` by byte span and become [`Diagnostics`] with lines and
//! columns once, at the end. Columns count characters from 1, as editors do.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::reader::Title;
use super::record::Record;
use crate::base::options::Problem;

/// Diagnostics that are shown; the rest are counted.
const SHOWN: usize = 20;
/// Characters of a source line that are shown.
const WIDTH: usize = 120;

/// Whether the configuration can be used in spite of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It cannot.
    Error,
    /// It can, and probably not as meant.
    Warning,
}

/// Whether a rendering carries terminal colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// Text alone.
    Plain,
    /// ANSI colours.
    Coloured,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// Whether it is in the way.
    pub severity: Severity,
    /// The configuration's name as the caller gave it.
    pub file: Arc<str>,
    /// Where in the file; `None` if the file itself cannot be read.
    pub place: Option<Place>,
    /// What is there and what would be right.
    pub message: String,
    /// How to get there.
    pub help: Option<String>,
}

/// A place in a text, with its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The line, from 1.
    pub line: usize,
    /// The first character, from 1.
    pub column: usize,
    /// The part of the line that is shown.
    excerpt: String,
    /// The caret's offset and width in `excerpt`, in characters.
    caret: (usize, usize),
}

/// All that is wrong, in the order of the text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

/// Findings while the texts of one configuration are read. Their offsets count through all texts, one after the other:
/// [`Report::add`] says where each begins.
#[derive(Debug, Default)]
pub(super) struct Report {
    texts: RefCell<Vec<Source>>,
    findings: RefCell<Vec<Finding>>,
    /// Every key that a table was asked for: what `config.toml` must show.
    pub(super) asked: RefCell<BTreeSet<(Title, &'static str)>>,
    /// What was read.
    pub(super) record: Record,
    /// Strings that came from the environment: where they stand, and as what they are written.
    pub(super) expanded: RefCell<BTreeMap<usize, Box<str>>>,
}

/// One text.
#[derive(Debug)]
struct Source {
    name: Arc<str>,
    text: Arc<str>,
    /// Where it begins.
    base: usize,
}

#[derive(Debug)]
struct Finding {
    severity: Severity,
    problem: Problem,
    /// The text at the span is a secret and is not shown.
    is_secret: bool,
}

impl Diagnostics {
    /// One error about a file as a whole.
    pub(super) fn of_file(origin: &Path, message: String) -> Self {
        let file = origin.display().to_string().into();
        let place = None;
        Self { list: vec![Diagnostic { severity: Severity::Error, file, place, message, help: None }] }
    }

    /// Whether one of them is an error.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|d| d.severity == Severity::Error)
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// In the order of the text.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// The text for people: errors and warnings in the order of the file, at most 20, and how many more there are.
    #[must_use]
    pub fn render(&self, style: Style) -> String {
        let mut out = String::new();
        for diagnostic in self.list.iter().take(SHOWN) {
            diagnostic.render(style, &mut out);
        }
        match self.list.len().saturating_sub(SHOWN) {
            0 => {}
            more => out.push_str(&format!("and {more} more\n")),
        }
        out
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.render(Style::Plain).trim_end())
    }
}

impl std::error::Error for Diagnostics {}

impl Diagnostic {
    fn render(&self, style: Style, out: &mut String) {
        let (word, colour) = match self.severity {
            Severity::Error => ("error", "1;31"),
            Severity::Warning => ("warning", "1;33"),
        };
        let (word, message) = (paint(style, colour, word), paint(style, "1", &self.message));
        let place = self.place.as_ref().map_or_else(String::new, |p| format!("{}:{}:", p.line, p.column));
        // Writing to memory does not fail.
        let _ = writeln!(out, "{}:{place} {word}: {message}", self.file);
        if let Some(place) = &self.place {
            let line = place.line.to_string();
            let blank = " ".repeat(line.len());
            let caret = paint(style, colour, &"^".repeat(place.caret.1));
            let _ = writeln!(out, "  {line} | {}", place.excerpt);
            let _ = writeln!(out, "  {blank} | {}{caret}", " ".repeat(place.caret.0));
        }
        if let Some(help) = &self.help {
            let _ = writeln!(out, "  {} {help}", paint(style, "1;36", "help:"));
        }
    }
}

impl Report {
    /// Adds a text under its name in messages; returns the offset at which it begins.
    pub(super) fn add(&self, name: &Path, text: &Arc<str>) -> usize {
        let mut texts = self.texts.borrow_mut();
        let base = texts.last().map_or(0, |last| last.base + last.text.len() + 1);
        texts.push(Source { name: name.display().to_string().into(), text: Arc::clone(text), base });
        base
    }

    pub(super) fn error(&self, span: Range<usize>, message: impl Into<String>) {
        self.problem(Problem { span, message: message.into(), help: None });
    }

    pub(super) fn error_with_help(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) {
        self.problem(Problem { span, message: message.into(), help: Some(help.into()) });
    }

    /// An error at a secret: the text at the span is not shown.
    pub(super) fn error_at_secret(&self, span: Range<usize>, message: &str, help: &str) {
        let problem = Problem { span, message: message.to_owned(), help: Some(help.to_owned()) };
        self.findings.borrow_mut().push(Finding { severity: Severity::Error, problem, is_secret: true });
    }

    pub(super) fn has(&self, problem: &Problem) -> bool {
        self.findings.borrow().iter().any(|f| f.problem == *problem)
    }

    pub(super) fn problem(&self, problem: Problem) {
        self.findings.borrow_mut().push(Finding { severity: Severity::Error, problem, is_secret: false });
    }

    pub(super) fn warning(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let problem = Problem { span, message: message.into(), help: Some(help.into()) };
        self.findings.borrow_mut().push(Finding { severity: Severity::Warning, problem, is_secret: false });
    }

    /// Where `offset` is, for a message at `from`: `in line 3`, or `in pools/a.toml:3`.
    pub(super) fn place_of(&self, offset: usize, from: usize) -> String {
        let texts = self.texts.borrow();
        let [there, here] = [offset, from].map(|at| find(&texts, at));
        let Some((text, line)) = there else { return "in line 1".to_owned() };
        match here {
            Some((here, _)) if here.base != text.base => format!("in {}:{line}", text.name),
            Some(_) | None => format!("in line {line}"),
        }
    }

    /// Every text: its name, itself, and where it begins.
    pub(super) fn texts(&self) -> Vec<(Arc<str>, Arc<str>, usize)> {
        let texts = self.texts.borrow();
        texts.iter().map(|t| (Arc::clone(&t.name), Arc::clone(&t.text), t.base)).collect()
    }

    /// Everything found, with lines and columns, in the order of the texts.
    pub(super) fn into_diagnostics(self) -> Diagnostics {
        let (texts, mut findings) = (self.texts.take(), self.findings.take());
        findings.sort_by_key(|f| (f.problem.span.start, f.severity));
        let diagnostic = |f: Finding| {
            let text = find(&texts, f.problem.span.start).map(|(text, _)| text);
            let span = |base| f.problem.span.start - base..f.problem.span.end.saturating_sub(base);
            Diagnostic {
                severity: f.severity,
                file: text.map_or_else(|| "".into(), |t| Arc::clone(&t.name)),
                place: text.map(|t| Place::of(&t.text, &span(t.base), f.is_secret)),
                message: f.problem.message,
                help: f.problem.help,
            }
        };
        Diagnostics { list: findings.into_iter().map(diagnostic).collect() }
    }
}

/// The text that an offset is in, and the line there, from 1.
fn find(texts: &[Source], offset: usize) -> Option<(&Source, usize)> {
    let text = texts.iter().rev().find(|t| t.base <= offset)?;
    let bytes = text.text.as_bytes();
    let before = bytes.get(..offset - text.base).unwrap_or(bytes);
    Some((text, 1 + before.iter().filter(|b| **b == b'\n').count()))
}

impl Place {
    fn of(text: &str, span: &Range<usize>, is_secret: bool) -> Self {
        let start = text.floor_char_boundary(span.start);
        let end = text.floor_char_boundary(span.end.max(start));
        let (before, rest) = text.split_at(start);
        let from = before.rfind('\n').map_or(0, |i| i + 1);
        let to = rest.find('\n').map_or(text.len(), |i| start + i);
        let column = text[from..start].chars().count();
        let width = text[start..end.min(to)].chars().count().max(1);
        // A tab, a carriage return or an escape would move the caret away, or worse.
        let clean = |(i, c): (usize, char)| match c {
            _ if is_secret && (column..column + width).contains(&i) => '*',
            c if c.is_control() => ' ',
            c => c,
        };
        let first = if column < WIDTH { 0 } else { column - WIDTH / 4 };
        let shown = text[from..to].chars().enumerate().map(clean).skip(first).take(WIDTH);
        let caret = (column - first, width.min(first + WIDTH - column));
        let line = 1 + before.bytes().filter(|b| *b == b'\n').count();
        Self { line, column: column + 1, excerpt: shown.collect::<String>().trim_end().to_owned(), caret }
    }
}

fn paint(style: Style, colour: &str, text: &str) -> String {
    match style {
        Style::Plain => text.to_owned(),
        Style::Coloured => format!("\x1b[{colour}m{text}\x1b[0m"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(text: &str) -> Report {
        let report = Report::default();
        report.add(Path::new("a.toml"), &text.into());
        report
    }

    fn report(text: &str, span: Range<usize>) -> Diagnostics {
        let report = of(text);
        report.error_with_help(span, "wrong", "do right");
        report.into_diagnostics()
    }

    #[test]
    fn a_diagnostic_shows_place_line_caret_and_help() {
        let text = "workers = 2\n\t\u{e4} = true\n";
        let expected = "a.toml:2:6: error: wrong\n  2 |  \u{e4} = true\n    |      ^^^^\n  help: do right";
        assert_eq!(report(text, 18..22).to_string(), expected);
    }

    #[test]
    fn a_place_at_the_end_or_beyond_is_still_a_place() {
        for (text, span) in
            [("", 0..0), ("a", 1..1), ("a\n", 2..2), ("\u{e4}", 1..9), ("a", Range { start: 7, end: 3 })]
        {
            let shown = report(text, span.clone()).to_string();
            assert!(shown.contains('^'), "{text:?} {span:?}");
        }
    }

    #[test]
    fn a_secret_is_not_shown() {
        let report = of("secret = \"hunter2\"");
        report.error_at_secret(9..18, "secret must be a file", "");
        let shown = report.into_diagnostics().to_string();
        assert!(!shown.contains("hunter2") && shown.contains("*********"), "{shown}");
    }

    #[test]
    fn more_than_twenty_are_counted() {
        let report = of("x");
        (0..23).for_each(|n| report.error(0..1, format!("number {n}")));
        let shown = report.into_diagnostics().to_string();
        assert!(shown.contains("number 19") && !shown.contains("number 20") && shown.ends_with("and 3 more"));
    }

    #[test]
    fn colours_come_only_when_asked_for() {
        let list = report("x = 1", 0..1);
        assert!(!list.render(Style::Plain).contains('\x1b'));
        assert!(list.render(Style::Coloured).contains("\x1b[1;31merror\x1b[0m"));
    }

    #[test]
    fn the_order_is_that_of_the_text() {
        let report = of("a\nb\n");
        report.warning(2..3, "second", "");
        report.error(0..1, "first");
        let list = report.into_diagnostics();
        let lines: Vec<_> = list.iter().map(|d| d.place.as_ref().unwrap().line).collect();
        assert_eq!(lines, [1, 2]);
    }

    #[test]
    fn each_text_has_its_own_lines() {
        let report = of("a\nb\n");
        let base = report.add(Path::new("pools/b.toml"), &"c\nd\n".into());
        report.error(base + 2..base + 3, format!("as {}", report.place_of(2, base + 2)));
        report.error(2..3, format!("as {} and {}", report.place_of(0, 2), report.place_of(base + 2, 2)));
        report.error(base..base + 1, "first");
        let list = report.into_diagnostics();
        let said: Vec<_> = list
            .iter()
            .map(|d| format!("{}:{}: {}", d.file, d.place.as_ref().unwrap().line, d.message))
            .collect();
        let expected = [
            "a.toml:2: as in line 1 and in pools/b.toml:2",
            "pools/b.toml:1: first",
            "pools/b.toml:2: as in a.toml:2",
        ];
        assert_eq!(said, expected);
    }

    proptest! {
        #[test]
        fn any_span_of_any_text_has_a_place(text in "\\PC{0,300}|[a\n\t\u{e4}]{0,40}", a in 0_usize..400, b in 0_usize..400) {
            let place = Place::of(&text, &(a..b), false);
            prop_assert!(place.line >= 1 && place.column >= 1 && place.caret.1 >= 1);
            prop_assert!(place.excerpt.chars().count() <= WIDTH);
        }
    }
}
