//! The checklist: what was asked, what was seen, and what that says.

use serde_json::{Value, json};

use super::classify::{Kind, Verdict};

/// How a finding is marked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// As one wishes.
    Good,
    /// To be known.
    Note,
    /// To be mended.
    Bad,
    /// Not asked, and why.
    LeftOut,
}

/// One line of the checklist.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// `T3`
    pub id: &'static str,
    /// How it is marked.
    pub mark: Mark,
    /// What was asked.
    pub asked: String,
    /// What was seen.
    pub seen: String,
    /// What that says.
    pub verdict: String,
    /// The probability that chance looks so, where that is known.
    pub error_probability: Option<f64>,
}

/// What a probe found.
#[derive(Clone, Debug, PartialEq)]
pub struct Probed {
    /// Whom.
    pub url: String,
    /// What kind of affinity, in a sentence.
    pub verdict: Verdict,
    /// What backends are called.
    pub backends: Vec<String>,
    /// What tells them apart.
    pub identified_by: Option<String>,
    /// The checklist.
    pub findings: Vec<Finding>,
    /// Requests that were sent.
    pub requests: u64,
    /// Seconds that it took.
    pub seconds: f64,
    /// What the random choices came from.
    pub seed: u64,
}

impl Mark {
    /// As it stands in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Note => "note",
            Self::Bad => "bad",
            Self::LeftOut => "left_out",
        }
    }
}

impl Probed {
    /// Whether a kind could be told.
    #[must_use]
    pub fn is_told(&self) -> bool {
        self.verdict.kind != Kind::Unknown
    }

    /// The `probe` object of a result.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let findings: Vec<Value> = self.findings.iter().map(Finding::to_json).collect();
        let mut told = json!({
            "url": self.url,
            "kind": self.verdict.kind.name(),
            "certainty": self.verdict.certainty,
            "sentence": self.verdict.sentence,
            "details": self.verdict.details,
            "backends": self.backends,
            "requests": self.requests,
            "seconds": self.seconds,
            "findings": findings,
        });
        if let Some(by) = &self.identified_by {
            told["identified_by"] = json!(by);
        }
        told
    }
}

impl Finding {
    fn to_json(&self) -> Value {
        let mut told = json!({
            "id": self.id,
            "mark": self.mark.name(),
            "asked": self.asked,
            "seen": self.seen,
            "verdict": self.verdict,
        });
        if let Some(p) = self.error_probability {
            told["error_probability"] = json!(p);
        }
        told
    }
}
