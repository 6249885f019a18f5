//! What is known to be right, and whether it comes out: algorithms in [`algorithms`] and [`balance`] (A), sessions, events
//! and figures in [`sessions`], single requests in [`requests`] (B).
//!
//! homing's own code is asked wherever homing ships what is meant ([`tables`]), and the small models elsewhere. The seeds
//! are fixed, so that a check that passes goes on passing.

mod algorithms;
mod balance;
mod requests;
mod sessions;
mod tables;

use std::fmt;

use serde_json::{Value, json};

/// One value that is known, and what came out.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// Its id in the table of expected values.
    pub id: &'static str,
    /// What is measured.
    pub what: String,
    /// What is expected.
    pub expected: f64,
    /// What came out.
    pub measured: f64,
    /// The standard deviation of what is measured, where it is random.
    pub sigma: Option<f64>,
    /// How far it may be off.
    pub tolerance: Tolerance,
}

/// How far a value may be off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Tolerance {
    /// Not at all.
    Exact,
    /// Four standard deviations.
    FourSigma,
    /// A share of what is expected.
    Share(f64),
    /// So much.
    Off(f64),
    /// It may be no larger.
    AtMost,
}

/// All checks.
#[derive(Clone, Debug, Default)]
pub struct Checks {
    /// Those that were done.
    pub done: Vec<Check>,
    /// Those that were not, and why.
    pub left_out: Vec<(&'static str, &'static str)>,
}

impl Check {
    /// Whether it is near enough.
    #[must_use]
    pub fn passes(&self) -> bool {
        let off = (self.measured - self.expected).abs();
        match self.tolerance {
            Tolerance::Exact => off < 1e-9,
            Tolerance::FourSigma => off <= 4.0 * self.sigma.unwrap_or(0.0) + 1e-9,
            Tolerance::Share(share) => off <= share * self.expected.abs(),
            Tolerance::Off(most) => off <= most,
            Tolerance::AtMost => self.measured <= self.expected + 1e-9,
        }
    }
}

impl fmt::Display for Tolerance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact => f.write_str("exact"),
            Self::FourSigma => f.write_str("4σ"),
            Self::Share(share) => write!(f, "{} %", super::rounded(share * 100.0)),
            Self::Off(most) => write!(f, "±{most}"),
            Self::AtMost => f.write_str("at most"),
        }
    }
}

impl Checks {
    /// Whether none failed.
    #[must_use]
    pub fn all_passed(&self) -> bool {
        self.done.iter().all(Check::passes)
    }

    /// As the result has them.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let check = |c: &Check| {
            let mut json = json!({
                "id": c.id, "what": c.what, "expected": super::rounded(c.expected),
                "measured": super::rounded(c.measured), "tolerance": c.tolerance.to_string(), "pass": c.passes(),
            });
            if let (Some(sigma), Some(map)) = (c.sigma.filter(|s| *s > 0.0), json.as_object_mut()) {
                map.insert("sigma".to_owned(), json!(super::rounded(sigma)));
                map.insert("z".to_owned(), json!(super::rounded((c.measured - c.expected) / sigma)));
            }
            json
        };
        let left_out: Vec<Value> =
            self.left_out.iter().map(|(id, why)| json!({ "id": id, "why": why })).collect();
        json!({
            "schema": "homing.bench/1", "source": "simulate", "command": "homing simulate --self-check",
            "versions": { "homing": env!("CARGO_PKG_VERSION") }, "combinations": [],
            "checks": self.done.iter().map(check).collect::<Vec<_>>(), "left_out": left_out,
        })
    }
}

/// Checks as they are done.
struct Book {
    checks: Checks,
    is_long: bool,
    seed: u64,
}

impl Book {
    /// The larger number if there is time.
    const fn size(&self, short: usize, long: usize) -> usize {
        if self.is_long { long } else { short }
    }

    fn note(
        &mut self,
        id: &'static str,
        what: impl Into<String>,
        expected: f64,
        measured: f64,
        tolerance: Tolerance,
    ) {
        self.checks.done.push(Check { id, what: what.into(), expected, measured, sigma: None, tolerance });
    }

    fn exact(&mut self, id: &'static str, what: impl Into<String>, expected: f64, measured: f64) {
        self.note(id, what, expected, measured, Tolerance::Exact);
    }

    fn sigma(&mut self, id: &'static str, what: impl Into<String>, expected: f64, measured: f64, sigma: f64) {
        let (what, tolerance) = (what.into(), Tolerance::FourSigma);
        self.checks.done.push(Check { id, what, expected, measured, sigma: Some(sigma), tolerance });
    }

    /// The mean of independent samples, by their own spread.
    fn mean(&mut self, id: &'static str, what: impl Into<String>, expected: f64, samples: &[f64]) {
        let (mean, error) = super::balance::mean_and_error(samples);
        self.sigma(id, what, expected, mean, error);
    }

    /// The mean of samples, within a share of what is expected.
    fn near(
        &mut self,
        id: &'static str,
        what: impl Into<String>,
        expected: f64,
        samples: &[f64],
        share: f64,
    ) {
        let (mean, error) = super::balance::mean_and_error(samples);
        let tolerance = Tolerance::Share(share);
        self.checks.done.push(Check {
            id,
            what: what.into(),
            expected,
            measured: mean,
            sigma: Some(error),
            tolerance,
        });
    }

    fn without(&mut self, id: &'static str, why: &'static str) {
        self.checks.left_out.push((id, why));
    }
}

/// Does all checks; `long` with larger samples.
#[must_use]
pub fn self_check(long: bool, seed: u64, progress: &mut dyn FnMut(f64)) -> Checks {
    let mut book = Book { checks: Checks::default(), is_long: long, seed };
    let parts: Vec<fn(&mut Book)> =
        [algorithms::PARTS, balance::PARTS, sessions::PARTS, requests::PARTS].concat();
    for (i, part) in parts.iter().enumerate() {
        part(&mut book);
        progress((i + 1) as f64 / parts.len() as f64);
    }
    book.checks
}
