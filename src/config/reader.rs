//! A table of the file, read key by key.
//!
//! A table remembers every key that it is asked for, so that [`Table::finish`] can name the others with the nearest
//! known one. What was asked for is also what `config.toml` must show; a test compares them.

use std::cell::RefCell;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::{DeString, DeTable, DeValue};

use super::diagnostic::Report;
use super::item::{Item, Place, did_you_mean};
use super::record::{NodeId, Origin, Slot, Value};
use crate::base::options::nearest;
use crate::base::units::{ByteSize, Span};

/// Longest part of a value that a message shows, in characters.
const SHOWN: usize = 60;

/// One table: a section of the file or an inline table.
#[derive(Debug)]
pub(super) struct Table<'a> {
    pub(super) report: &'a Report,
    title: Title,
    span: Range<usize>,
    /// In the order of the text.
    entries: Vec<Entry<'a>>,
    asked: RefCell<Vec<&'static str>>,
    /// Where what is read is noted.
    node: NodeId,
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
    item: Item<'a>,
}

impl<'a> Table<'a> {
    /// The table that `item` is.
    pub(super) fn new(item: &Item<'a>, title: Title, table: &'a DeTable<'a>) -> Self {
        let (report, node) = (item.report, item.report.record.open_at(item.slot, title));
        let entries = entries(report, item.place.base, node, table);
        Self { report, title, span: item.span(), entries, asked: RefCell::default(), node }
    }

    /// The table `{ key = item }`, where `item` alone may stand for it.
    pub(super) fn of_one(item: &Item<'a>, title: Title, key: &'static str) -> Self {
        let (report, node) = (item.report, item.report.record.open_at(item.slot, title));
        let slot = Slot { node, key, element: None };
        let entries = vec![Entry { key, key_span: item.span(), item: Item { slot, ..*item } }];
        Self { report, title, span: item.span(), entries, asked: RefCell::default(), node }
    }

    /// The root of a configuration of several texts: (where it begins, what it is). What repeats is joined; of what
    /// must stand there once the first counts, and the others are reported.
    pub(super) fn root(report: &'a Report, texts: &[(usize, &'a DeTable<'a>)]) -> Self {
        let node = report.record.open(Title::Root);
        let mut all: Vec<Entry<'a>> = Vec::new();
        for entry in texts.iter().flat_map(|(base, table)| entries(report, *base, node, table)) {
            let repeats = |e: &Entry<'_>| {
                e.item.value.as_array().is_some_and(|list| list.iter().all(|v| v.get_ref().is_table()))
            };
            match all.iter().find(|e| e.key == entry.key && !(repeats(e) && repeats(&entry))) {
                None => all.push(entry),
                Some(first) => {
                    let place = report.place_of(first.key_span.start, entry.key_span.start);
                    let message = format!("{} is there already, {place}: must stand there once", entry.key);
                    report.error(entry.key_span.clone(), message);
                }
            }
        }
        Self { report, title: Title::Root, span: 0..0, entries: all, asked: RefCell::default(), node }
    }

    /// Where the table stands: its header.
    pub(super) fn span(&self) -> Range<usize> {
        self.span.clone()
    }

    /// Where what is read of it is noted.
    pub(super) const fn node(&self) -> NodeId {
        self.node
    }

    /// The value of `key`, if it is there. What holds if it is not is noted by [`Self::default`].
    pub(super) fn get(&self, key: &'static str) -> Option<Item<'a>> {
        self.asked.borrow_mut().push(key);
        self.entries.iter().find(|e| e.key == key).map(|e| self.item(e))
    }

    /// Somebody else reads `key`.
    pub(super) fn skip(&self, key: &'static str) {
        self.asked.borrow_mut().push(key);
    }

    /// Notes what holds for `key` if it is not there.
    pub(super) fn default(&self, key: &'static str, value: Value) {
        self.report.record.note(self.node, key, || value, Origin::Default);
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
        let item = self.get(key);
        self.default(key, Value::plain(&default));
        item.and_then(|i| i.boolean()).unwrap_or(default)
    }

    pub(super) fn integer(&self, key: &'static str, bounds: RangeInclusive<u32>, default: u32) -> u32 {
        let item = self.get(key);
        self.default(key, Value::plain(&default));
        item.and_then(|i| i.integer(&bounds)).unwrap_or(default)
    }

    pub(super) fn duration(&self, key: &'static str, default: Duration) -> Duration {
        let item = self.get(key);
        self.default(key, Value::text(&Span(default)));
        item.and_then(|i| i.duration()).unwrap_or(default)
    }

    /// As [`Self::duration`], and `"0s"` is fine.
    pub(super) fn duration_or_zero(&self, key: &'static str, default: Duration) -> Duration {
        let item = self.get(key);
        self.default(key, Value::text(&Span(default)));
        item.and_then(|i| i.duration_or_zero()).unwrap_or(default)
    }

    pub(super) fn size(&self, key: &'static str, bounds: RangeInclusive<usize>, default: usize) -> usize {
        let item = self.get(key);
        self.default(key, Value::text(&ByteSize(default as u64)));
        item.and_then(|i| i.size(&bounds)).unwrap_or(default)
    }

    pub(super) fn text(&self, key: &'static str, default: &'a str) -> &'a str {
        let item = self.get(key);
        self.default(key, Value::text(default));
        item.and_then(|i| i.text()).unwrap_or(default)
    }

    pub(super) fn choice<T: Copy + PartialEq>(
        &self,
        key: &'static str,
        words: &[(&'static str, T)],
        default: T,
    ) -> T {
        let item = self.get(key);
        if let Some((word, _)) = words.iter().find(|(_, value)| *value == default) {
            self.default(key, Value::text(word));
        }
        item.and_then(|i| i.choice(words)).unwrap_or(default)
    }

    /// The table under `key`; an empty one if it is not there, so that all its defaults are noted.
    pub(super) fn section(&self, key: &'static str, title: Title) -> Self {
        if let Some(table) = self.table(key, title) {
            return table;
        }
        let (report, span) = (self.report, self.span());
        self.default(key, Value::plain("{}"));
        let node = report.record.open_at(Slot { node: self.node, key, element: None }, title);
        Self { report, title, span, entries: Vec::new(), asked: RefCell::default(), node }
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
        self.asked.borrow_mut().push(key);
        let title = Title::Repeated(key);
        let mut items = Vec::new();
        for entry in self.entries.iter().filter(|e| e.key == key) {
            match entry.item.value.as_array() {
                Some(list) => items.extend(list.iter().map(|v| Item {
                    value: v.get_ref(),
                    place: entry.item.place.inside(v.span()),
                    ..entry.item
                })),
                // What is in it is read all the same: its mistakes are worth knowing too.
                None => {
                    let must = format!("must be {title}, in double brackets: there may be several");
                    entry.item.refuse(must);
                    items.extend(entry.item.value.is_table().then_some(entry.item));
                }
            }
        }
        let room = vec![Value::plain("{}"); items.len()];
        self.default(key, Value::List(room));
        let table = |(i, item): (usize, Item<'a>)| {
            Item { slot: Slot { element: Some(i), ..item.slot }, ..item }.table(title)
        };
        items.into_iter().enumerate().filter_map(table).collect()
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
        let (item, at) = (entry.item, Origin::At(entry.item.span().start));
        self.report.record.note(self.node, item.slot.key, || item.value.into(), at);
        item
    }
}

fn entries<'a>(report: &'a Report, base: usize, node: NodeId, table: &'a DeTable<'a>) -> Vec<Entry<'a>> {
    let entry = |(key, value): (&'a toml::Spanned<DeString<'a>>, &'a toml::Spanned<DeValue<'a>>)| {
        let (name, key_span): (&str, _) = (key.get_ref(), key.span());
        let (place, slot) = (Place::new(base, &value.span()), Slot { node, key: name, element: None });
        let item = Item { report, key: Some(name), value: value.get_ref(), place, slot };
        Entry { key: name, key_span: base + key_span.start..base + key_span.end, item }
    };
    let mut entries: Vec<_> = table.iter().map(entry).collect();
    entries.sort_by_key(|e| e.key_span.start);
    entries
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
