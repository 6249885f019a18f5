//! A table of the file, read key by key.
//!
//! A table remembers every key that it is asked for, so that [`Table::finish`] can name the others with the nearest
//! known one. What was asked for is also what `config.toml` must show; a test compares them.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::diagnostic::Report;
use super::item::{Item, did_you_mean};
use crate::base::options::nearest;

/// Longest part of a value that a message shows, in characters.
const SHOWN: usize = 60;

/// One table: a section of the file or an inline table.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) report: &'a Report<'a>,
    title: Title,
    span: Range<usize>,
    /// In the order of the text.
    entries: Vec<Entry<'a>>,
    asked: RefCell<Vec<&'static str>>,
}

/// What messages call a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Title {
    /// The file itself.
    Root,
    /// `[admin]`
    Section(&'static str),
    /// `[[pool]]`
    Repeated(&'static str),
    /// `{ .. }` under this key.
    Inline(&'static str),
}

#[derive(Debug)]
struct Entry<'a> {
    key: &'a str,
    key_span: Range<usize>,
    span: Range<usize>,
    value: &'a DeValue<'a>,
}

impl<'a> Table<'a> {
    pub(super) fn new(
        report: &'a Report<'a>,
        title: Title,
        span: Range<usize>,
        table: &'a DeTable<'a>,
    ) -> Self {
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Entry {
                key: key.get_ref(),
                key_span: key.span(),
                span: value.span(),
                value: value.get_ref(),
            })
            .collect();
        entries.sort_by_key(|e| e.key_span.start);
        Self { report, title, span, entries, asked: RefCell::default() }
    }

    /// Where the table stands: its header.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// The value of `key`, if it is there.
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|e| e.key == key).map(|e| self.item(e))
    }

    /// The value of `key`, which must be there; `what` says what it is for.
    pub(super) fn required(&self, key: &'static str, what: &str) -> Option<Item<'a>> {
        let item = self.get(key);
        if item.is_none() {
            self.report.error(self.span(), format!("{} has no {key}: {what}", self.title));
        }
        item
    }

    pub(super) fn bool(&self, key: &'static str, default: bool) -> bool {
        self.get(key).and_then(|i| i.boolean()).unwrap_or(default)
    }

    pub(super) fn integer(&self, key: &'static str, bounds: RangeInclusive<u32>, default: u32) -> u32 {
        self.get(key).and_then(|i| i.integer(&bounds)).unwrap_or(default)
    }

    pub(super) fn duration(&self, key: &'static str, default: Duration) -> Duration {
        self.get(key).and_then(|i| i.duration()).unwrap_or(default)
    }

    pub(super) fn size(&self, key: &'static str, bounds: RangeInclusive<usize>, default: usize) -> usize {
        self.get(key).and_then(|i| i.size(&bounds)).unwrap_or(default)
    }

    pub(super) fn choice<T: Copy>(&self, key: &'static str, words: &[(&'static str, T)], default: T) -> T {
        self.get(key).and_then(|i| i.choice(words)).unwrap_or(default)
    }

    /// The table under `key`, if it is there.
    pub(super) fn table(&self, key: &'static str, title: Title) -> Option<Self> {
        let item = self.get(key)?;
        if item.value.is_array() && matches!(title, Title::Section(_)) {
            item.refuse(format_args!("must stand there once, {}", title.example()));
            return None;
        }
        item.table(title)
    }

    /// The tables of `[[key]]`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Self> {
        let (title, Some(item)) = (Title::Repeated(key), self.get(key)) else { return Vec::new() };
        let Some(list) = item.value.as_array() else {
            item.refuse(format_args!("must be {title}, in double brackets: there may be several"));
            // What is in it is read all the same: its mistakes are worth knowing too.
            return item
                .value
                .as_table()
                .map(|t| Self::new(self.report, title, item.span(), t))
                .into_iter()
                .collect();
        };
        let table = |v: &'a toml::Spanned<DeValue<'a>>| {
            let item = Item { key: Some(key), value: v.get_ref(), place: v.span().into(), ..item };
            item.table(title)
        };
        list.iter().filter_map(table).collect()
    }

    /// Every entry, for tables whose keys are the operator's own words: (key, its place, value).
    pub(super) fn entries(&self) -> impl Iterator<Item = (&'a str, Range<usize>, Item<'a>)> {
        self.entries.iter().map(|e| (e.key, e.key_span.clone(), self.item(e)))
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for entry in self.entries.iter().filter(|e| !asked.contains(&e.key)) {
            let help = nearest(entry.key, asked.iter().copied()).map(did_you_mean).unwrap_or_default();
            let message = format!("unknown key {} in {}{help}", quoted(entry.key), self.title);
            self.report.error(entry.key_span.clone(), message);
        }
        drop(asked);
        self.leave();
    }

    /// As [`Self::finish`], where somebody else reads the other keys.
    pub(super) fn leave(self) {
        let asked = self.asked.into_inner();
        self.report.asked.borrow_mut().extend(asked.into_iter().map(|key| (self.title, key)));
    }

    fn item(&self, entry: &Entry<'a>) -> Item<'a> {
        let place = entry.span.clone().into();
        Item { report: self.report, key: Some(entry.key), value: entry.value, place }
    }
}

impl Title {
    /// `as in [admin]`
    pub(super) fn example(self) -> String {
        match self {
            Self::Inline(key) => format!("as in {key} = {{ .. }}"),
            Self::Root | Self::Section(_) | Self::Repeated(_) => format!("as in {self}"),
        }
    }
}

impl std::fmt::Display for Title {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Root => f.write_str("the file"),
            Self::Section(name) => write!(f, "[{name}]"),
            Self::Repeated(name) => write!(f, "[[{name}]]"),
            Self::Inline(key) => write!(f, "{key}"),
        }
    }
}

/// Text in quotes, cut if it is long, with escapes for what would not show.
pub(super) fn quoted(text: &str) -> String {
    match text.char_indices().nth(SHOWN) {
        None => format!("{text:?}"),
        Some((cut, _)) => format!("{:?}..", &text[..cut]),
    }
}
