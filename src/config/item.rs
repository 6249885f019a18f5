//! One value of the file: typed, bounded reads that say what would be right.
//!
//! Every read returns `None` after it has reported what is wrong, and the caller goes on with its default: one reading
//! finds every mistake.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use toml::de::DeValue;

use super::diagnostic::Report;
use super::reader::{Table, Title};
use super::record::{Slot, Value};
use super::{defaults, reader};
use crate::base::options::nearest;
use crate::base::units::{ByteSize, Span};

/// One value with its place, and what messages call it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Item<'a> {
    pub(super) report: &'a Report,
    /// The key it stands under; `None` in a list.
    pub(super) key: Option<&'a str>,
    pub(super) value: &'a DeValue<'a>,
    pub(super) place: Place,
    /// Where what is read of it is noted.
    pub(super) slot: Slot<'a>,
}

/// Bytes of the texts; `Range` is not `Copy`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    start: usize,
    end: usize,
    /// Where its text begins.
    pub(super) base: usize,
}

impl<'a> Item<'a> {
    pub(super) fn span(&self) -> Range<usize> {
        self.place.span()
    }

    /// Reports that this value is wrong: `must` is the rest of the sentence.
    pub(super) fn refuse(&self, must: impl Display) {
        self.report.error(self.span(), self.sentence(&must));
    }

    /// As [`Self::refuse`], with a way out.
    pub(super) fn refuse_with_help(&self, must: impl Display, help: impl Into<String>) {
        self.report.error_with_help(self.span(), self.sentence(&must), help);
    }

    /// `key = value: must ..`, or `value: must ..` in a list.
    pub(super) fn sentence(&self, must: &dyn Display) -> String {
        match self.key {
            Some(key) => format!("{key} = {}: {must}", shown(self.value)),
            None => format!("{}: {must}", shown(self.value)),
        }
    }

    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.value.as_str();
        if text.is_none() {
            self.refuse("must be a string");
        }
        text
    }

    /// A string that `parse` accepts.
    pub(super) fn parse<T>(&self, parse: impl FnOnce(&'a str) -> Result<T, String>) -> Option<T> {
        parse(self.text()?).map_err(|must| self.refuse(must)).ok()
    }

    pub(super) fn boolean(&self) -> Option<bool> {
        let value = self.value.as_bool().or_else(|| self.expanded()?.parse().ok());
        match value {
            Some(value) => self.note(Value::plain(&value)),
            None => self.refuse("must be true or false"),
        }
        value
    }

    /// The text, if it is a string that came from the environment: that may stand for a number or a switch.
    fn expanded(&self) -> Option<&'a str> {
        let is_expanded = self.report.expanded.borrow().contains_key(&self.place.start);
        self.value.as_str().filter(|_| is_expanded)
    }

    /// Notes the form in which the value is in effect.
    fn note(&self, value: Value) {
        self.report.record.set(self.slot, value);
    }

    pub(super) fn integer(&self, bounds: &RangeInclusive<u32>) -> Option<u32> {
        let number = whole(self.value).or_else(|| self.expanded()?.parse().ok());
        let number = number.and_then(|n| u32::try_from(n).ok()).filter(|n| bounds.contains(n));
        match number {
            Some(number) => self.note(Value::plain(&number)),
            None => self.refuse(format_args!(
                "must be a whole number between {} and {}",
                bounds.start(),
                bounds.end()
            )),
        }
        number
    }

    /// A duration above zero.
    pub(super) fn duration(&self) -> Option<Duration> {
        let span = self.duration_or_zero()?;
        if span.is_zero() {
            self.refuse("must be above 0");
            return None;
        }
        Some(span)
    }

    pub(super) fn duration_or_zero(&self) -> Option<Duration> {
        if let Some(number) = whole(self.value) {
            self.refuse(format_args!("needs a unit, as in \"{number}s\""));
            return None;
        }
        let span = self.parse(str::parse::<Span>)?.0;
        if span > defaults::LONGEST {
            self.refuse(format_args!("must be at most {}", Span(defaults::LONGEST)));
            return None;
        }
        self.note(Value::text(&Span(span)));
        Some(span)
    }

    pub(super) fn size(&self, bounds: &RangeInclusive<usize>) -> Option<usize> {
        if let Some(number) = whole(self.value) {
            let bytes = ByteSize(u64::try_from(number).unwrap_or(0));
            self.refuse(format_args!("needs a unit, as in \"{bytes}\""));
            return None;
        }
        let size = self.parse(str::parse::<ByteSize>)?;
        let size = usize::try_from(size.0).ok().filter(|n| bounds.contains(n));
        if let Some(size) = size {
            self.note(Value::text(&ByteSize(size as u64)));
        } else {
            let (least, most) = (ByteSize(*bounds.start() as u64), ByteSize(*bounds.end() as u64));
            self.refuse(format_args!("must be between {least} and {most}"));
        }
        size
    }

    /// One of these words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.value.as_str().unwrap_or_default();
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            let names: Vec<_> = words.iter().map(|(word, _)| *word).collect();
            let help = nearest(text, names.iter().copied()).map(did_you_mean).unwrap_or_default();
            self.refuse(format_args!("must be one of {}{help}", names.join(", ")));
        }
        found
    }

    /// The items of a list.
    pub(super) fn list(&self, of: &str) -> Option<Vec<Self>> {
        let Some(list) = self.value.as_array() else {
            self.refuse(format_args!("must be a list of {of}, in [ ]"));
            return None;
        };
        let item = |(i, v): (usize, &'a toml::Spanned<DeValue<'a>>)| Item {
            key: None,
            value: v.get_ref(),
            place: self.place.inside(v.span()),
            slot: Slot { element: Some(i), ..self.slot },
            ..*self
        };
        Some(list.iter().enumerate().map(item).collect())
    }

    /// The table that this value is.
    pub(super) fn table(&self, title: Title) -> Option<Table<'a>> {
        let Some(table) = self.value.as_table() else {
            self.refuse(format_args!("must be a table, {}", title.example()));
            return None;
        };
        Some(Table::new(self, title, table))
    }
}

impl Place {
    /// A span of the text that begins at `base`.
    pub(super) const fn new(base: usize, span: &Range<usize>) -> Self {
        Self { start: base + span.start, end: base + span.end, base }
    }

    pub(super) const fn start(self) -> usize {
        self.start
    }

    pub(super) const fn span(self) -> Range<usize> {
        self.start..self.end
    }

    /// A span of the text that this place is in.
    pub(super) const fn inside(self, span: Range<usize>) -> Self {
        Self::new(self.base, &span)
    }
}

/// `; did you mean "name"?`
pub(super) fn did_you_mean(name: &str) -> String {
    format!("; did you mean \"{name}\"?")
}

/// A whole number of the file, if it is one that fits.
pub(super) fn whole(value: &DeValue<'_>) -> Option<i64> {
    let integer = value.as_integer()?;
    i64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

/// A value as a message shows it: short, on one line, without control characters.
pub(super) fn shown(value: &DeValue<'_>) -> String {
    match value {
        DeValue::String(text) => reader::quoted(text),
        DeValue::Integer(i) => i.to_string(),
        DeValue::Float(x) => x.to_string(),
        DeValue::Boolean(b) => b.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "[..]".to_owned(),
        DeValue::Table(_) => "{..}".to_owned(),
    }
}
