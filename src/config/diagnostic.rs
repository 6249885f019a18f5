//! What is wrong with a configuration: the place, what stands there, what would be right.
//!
//! All findings of one reading are gathered in a `Report` by byte span and become [`Diagnostics`] with lines and
//! columns once, at the end. Columns count characters from 1, as editors do.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fmt::{self, Write as _};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::reader::Title;
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

/// Findings while one text is read.
#[derive(Debug)]
pub(super) struct Report<'t> {
    text: &'t str,
    findings: RefCell<Vec<Finding>>,
    /// Every key that a table was asked for: what `config.toml` must show.
    pub(super) asked: RefCell<BTreeSet<(Title, &'static str)>>,
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

impl<'t> Report<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, findings: RefCell::new(Vec::new()), asked: RefCell::new(BTreeSet::new()) }
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

    pub(super) fn problem(&self, problem: Problem) {
        self.findings.borrow_mut().push(Finding { severity: Severity::Error, problem, is_secret: false });
    }

    pub(super) fn warning(&self, span: Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        let problem = Problem { span, message: message.into(), help: Some(help.into()) };
        self.findings.borrow_mut().push(Finding { severity: Severity::Warning, problem, is_secret: false });
    }

    /// The line of an offset, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        let before = self.text.as_bytes().get(..offset).unwrap_or(self.text.as_bytes());
        1 + before.iter().filter(|b| **b == b'\n').count()
    }

    /// Everything found, with lines and columns, in the order of the text.
    pub(super) fn into_diagnostics(self, origin: &Path) -> Diagnostics {
        let file: Arc<str> = origin.display().to_string().into();
        let mut findings = self.findings.take();
        findings.sort_by_key(|f| (f.problem.span.start, f.severity));
        let diagnostic = |f: Finding| Diagnostic {
            severity: f.severity,
            file: file.clone(),
            place: Some(Place::of(self.text, &f.problem.span, f.is_secret)),
            message: f.problem.message,
            help: f.problem.help,
        };
        Diagnostics { list: findings.into_iter().map(diagnostic).collect() }
    }
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

    fn report(text: &str, span: Range<usize>) -> Diagnostics {
        let report = Report::new(text);
        report.error_with_help(span, "wrong", "do right");
        report.into_diagnostics(Path::new("a.toml"))
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
        let report = Report::new("secret = \"hunter2\"");
        report.error_at_secret(9..18, "secret must be a file", "");
        let shown = report.into_diagnostics(Path::new("a.toml")).to_string();
        assert!(!shown.contains("hunter2") && shown.contains("*********"), "{shown}");
    }

    #[test]
    fn more_than_twenty_are_counted() {
        let report = Report::new("x");
        (0..23).for_each(|n| report.error(0..1, format!("number {n}")));
        let shown = report.into_diagnostics(Path::new("a.toml")).to_string();
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
        let report = Report::new("a\nb\n");
        report.warning(2..3, "second", "");
        report.error(0..1, "first");
        let list = report.into_diagnostics(Path::new("a.toml"));
        let lines: Vec<_> = list.iter().map(|d| d.place.as_ref().unwrap().line).collect();
        assert_eq!(lines, [1, 2]);
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
