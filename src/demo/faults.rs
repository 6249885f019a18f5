//! Faults of a backend's own, for who wants to see what a balancer makes of them: answers that take longer, and answers
//! that are errors. Only where they were asked for, and only by who is on this machine.

use std::time::Duration;

use serde_json::Value;

/// The longest delay, in milliseconds.
const LONGEST: u64 = 60_000;

/// What is wrong with a backend.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Faults {
    /// Before each answer.
    delay: Duration,
    /// The share of the shop's answers that are a 500.
    errors: f64,
}

impl Faults {
    /// The same with what `{"delay_ms": 200, "errors": 0.5}` says of it; nothing if that cannot be.
    pub(super) fn with(mut self, told: &Value) -> Option<Self> {
        if let Some(delay) = told.get("delay_ms") {
            self.delay = Duration::from_millis(delay.as_u64().filter(|ms| *ms <= LONGEST)?);
        }
        if let Some(share) = told.get("errors") {
            self.errors = share.as_f64().filter(|share| (0.0..=1.0).contains(share))?;
        }
        Some(self)
    }

    pub(super) async fn wait(self) {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
    }

    /// Whether this answer is one of the errors.
    pub(super) fn strikes(self) -> bool {
        self.errors > 0.0 && fastrand::f64() < self.errors
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_taken_or_refused_whole() {
        let of = |text: &str| Faults::default().with(&serde_json::from_str(text).unwrap());
        let both = of(r#"{"delay_ms": 200, "errors": 1.0}"#).unwrap();
        assert!(both.delay == Duration::from_millis(200) && both.strikes());
        let one = both.with(&serde_json::json!({ "errors": 0 })).unwrap();
        assert!(one.delay == Duration::from_millis(200) && !one.strikes());
        for wrong in
            [r#"{"delay_ms": -1}"#, r#"{"delay_ms": 60001}"#, r#"{"errors": 1.1}"#, r#"{"errors": "x"}"#]
        {
            assert!(of(wrong).is_none(), "{wrong}");
        }
    }
}
