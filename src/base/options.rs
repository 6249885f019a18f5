//! A strategy's options: typed, bounded reads that remember where each value stood.
//!
//! A strategy asks for what it knows, with bounds and a default; what is wrong is collected as a
//! [`Problem`] and the default is used, so that one pass finds every mistake. A key that nobody asked for
//! is unknown: [`Options::finish`] reports it with the nearest known name.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};

/// One option's value as the configuration wrote it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i64),
    /// A number with a fraction.
    Float(f64),
    /// A string.
    Text(String),
    /// Anything else; the text says what, for the message.
    Other(&'static str),
}

/// Something wrong at a place in the configuration text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Bytes of the text that are meant.
    pub span: Range<usize>,
    /// What is there and what is wrong with it.
    pub message: String,
    /// What would be right, if that is known.
    pub help: Option<String>,
}

/// The options of one table, read by name.
#[derive(Debug, Default)]
pub struct Options {
    values: Vec<(String, Value, Range<usize>)>,
    /// With what is in effect, once that is known.
    asked: Vec<(&'static str, Option<Value>)>,
    problems: Vec<Problem>,
}

impl Options {
    /// No options given: every read yields its default.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Options as (name, value, place).
    #[must_use]
    pub fn new(values: Vec<(String, Value, Range<usize>)>) -> Self {
        Self { values, ..Self::default() }
    }

    /// A switch.
    pub fn bool(&mut self, name: &'static str, default: bool) -> bool {
        let value = match self.find(name) {
            None => default,
            Some((Value::Bool(b), _)) => b,
            Some((other, span)) => self.wrong(span, name, &other, "true or false", default),
        };
        self.settle(name, Value::Bool(value));
        value
    }

    /// A whole number within `bounds`.
    pub fn integer(&mut self, name: &'static str, bounds: RangeInclusive<u32>, default: u32) -> u32 {
        let must = format!("a whole number between {} and {}", bounds.start(), bounds.end());
        self.integer_where(name, &must, default, |n| bounds.contains(&n))
    }

    /// A whole number that `is_right` accepts; `must` says in words which those are.
    pub fn integer_where(
        &mut self,
        name: &'static str,
        must: &str,
        default: u32,
        is_right: impl Fn(u32) -> bool,
    ) -> u32 {
        let value = match self.find(name) {
            None => default,
            Some((Value::Integer(i), span)) => match u32::try_from(i).ok().filter(|n| is_right(*n)) {
                Some(n) => n,
                None => self.wrong(span, name, &Value::Integer(i), must, default),
            },
            Some((other, span)) => self.wrong(span, name, &other, must, default),
        };
        self.settle(name, Value::Integer(value.into()));
        value
    }

    /// Every option that was read, with its value in effect.
    pub fn in_effect(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.asked.iter().filter_map(|(name, value)| Some((*name, value.as_ref()?)))
    }

    /// Everything that was wrong, unknown keys included.
    #[must_use]
    pub fn finish(mut self) -> Vec<Problem> {
        for (name, _, span) in &self.values {
            if !self.asked.iter().any(|(asked, _)| asked == name) {
                let help = nearest(name, self.asked.iter().map(|(asked, _)| *asked))
                    .map(|n| format!("did you mean \"{n}\"?"));
                let message = format!("unknown option \"{name}\"");
                self.problems.push(Problem { span: span.clone(), message, help });
            }
        }
        self.problems
    }

    fn find(&mut self, name: &'static str) -> Option<(Value, Range<usize>)> {
        self.asked.push((name, None));
        self.values.iter().find(|(n, ..)| n == name).map(|(_, v, s)| (v.clone(), s.clone()))
    }

    fn settle(&mut self, name: &'static str, value: Value) {
        if let Some((_, of)) = self.asked.iter_mut().rev().find(|(asked, _)| *asked == name) {
            *of = Some(value);
        }
    }

    fn wrong<T: Display>(&mut self, span: Range<usize>, name: &str, is: &Value, must: &str, default: T) -> T {
        let message = format!("{name} = {is}: must be {must} (default {default})");
        self.problems.push(Problem { span, message, help: None });
        default
    }
}

impl Display for Value {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool(b) => b.fmt(f),
            Self::Integer(i) => i.fmt(f),
            Self::Float(x) => x.fmt(f),
            Self::Text(t) => write!(f, "\"{t}\""),
            Self::Other(what) => f.write_str(what),
        }
    }
}

/// The known name closest to `name`, if it is close enough to be what was meant.
///
/// Distance is Levenshtein's with transpositions; at most a third of the name's length (and at least one).
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let limit = (name.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in known {
        let d = distance(name, candidate);
        if d <= limit && best.is_none_or(|(b, _)| d < b) {
            best = Some((d, candidate));
        }
    }
    best.map(|(_, n)| n)
}

fn distance(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.chars().collect();
    let b: Vec<char> = b.chars().collect();
    let width = b.len() + 1;
    let mut table = vec![0_usize; (a.len() + 1) * width];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            let at = i * width + j;
            table[at] = if i == 0 {
                j
            } else if j == 0 {
                i
            } else {
                let same = usize::from(a[i - 1] != b[j - 1]);
                let mut d = (table[at - width] + 1).min(table[at - 1] + 1).min(table[at - width - 1] + same);
                if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                    d = d.min(table[at - 2 * width - 2] + 1);
                }
                d
            };
        }
    }
    table[a.len() * width + b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(values: &[(&str, Value)]) -> Options {
        Options::new(values.iter().map(|(n, v)| ((*n).to_owned(), v.clone(), 0..1)).collect())
    }

    #[test]
    fn a_value_out_of_bounds_is_named_with_its_bounds_and_default() {
        let mut o = options(&[("points", Value::Integer(0))]);
        assert_eq!(o.integer("points", 1..=4096, 160), 160);
        let problems = o.finish();
        assert_eq!(problems.len(), 1);
        assert_eq!(
            problems[0].message,
            "points = 0: must be a whole number between 1 and 4096 (default 160)"
        );
    }

    #[test]
    fn an_unknown_option_suggests_the_nearest() {
        let mut o = options(&[("consistant", Value::Bool(true))]);
        assert!(!o.bool("consistent", false));
        assert_eq!(o.finish()[0].help.as_deref(), Some("did you mean \"consistent\"?"));
    }

    #[test]
    fn nearest_needs_to_be_near() {
        assert_eq!(nearest("stratgy", ["strategy", "name"]), Some("strategy"));
        assert_eq!(nearest("naem", ["strategy", "name"]), Some("name"));
        assert_eq!(nearest("banana", ["strategy", "name"]), None);
    }
}
