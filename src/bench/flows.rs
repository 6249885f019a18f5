//! How sessions left a backend that drains and filled one that is new, beside closed forms: lengths are exponential, cut
//! at four means, and sessions have come and gone for as long before.

use serde_json::{Value, json};

use super::balancer::Placement;
use super::measure::flow::{Flow, LONGEST};
use super::result::{Combination, tidy};
use super::settings::Settings;
use super::statistics::SIGMAS;

/// How late requests may leave, of a session's mean length.
const LATE: f64 = 0.02;

impl Combination<'_> {
    /// Of all runs, and the checks of those that somebody knows what to expect of. Where requests leave late, sessions end
    /// late too, and those that are overdue at an event leave at once after it: that is the machine's, and is not compared.
    pub(super) fn flows(
        &self,
        settings: &Settings,
        checks: &mut Vec<Value>,
        doubts: &mut Vec<String>,
    ) -> Vec<Value> {
        let mut told = Vec::new();
        let mean = settings.workload.session.as_secs_f64() * 1e3;
        let late = self.runs.iter().map(|run| run.generator.lag_p99_ms).fold(0.0, f64::max);
        let is_late = late > LATE * mean;
        let first: Vec<&Flow> = self.measured().take(1).flat_map(|m| &m.flows).collect();
        for (place, flow) in first.into_iter().enumerate() {
            let all: Vec<&Flow> = self.measured().filter_map(|m| m.flows.get(place)).collect();
            let of: f64 = all.iter().map(|flow| flow.of).sum();
            let share = all.iter().map(|flow| flow.share * flow.of).sum::<f64>() / of;
            let mut value = json!({
                "event": flow.label, "after": tidy(flow.after), "share": tidy(share), "of": tidy(of),
            });
            let is_sticky = self.routing.placement == Placement::Sticky && flow.is_steady && !is_late;
            if let Some((id, what, expected, variance)) =
                expected(flow, &self.routing.strategy).filter(|_| is_sticky)
            {
                // What never varies may be away by half a session.
                let sigma = (variance / of).sqrt().max(0.5 / of);
                let z = (share - expected) / sigma;
                value["theory"] = tidy(expected).into();
                checks.push(json!({
                    "id": id,
                    "what": format!("{}: {what} {:.2} mean lengths of a session after {}", self.id(), flow.after, flow.label),
                    "expected": tidy(expected),
                    "measured": tidy(share),
                    "sigma": tidy(sigma),
                    "n": of.round(),
                    "z": tidy(z),
                    "tolerance": "4σ",
                    "pass": z.abs() < SIGMAS,
                }));
            }
            told.push(value);
        }
        if is_late && !told.is_empty() {
            doubts.push(format!(
                "requests left up to {late:.0} ms late (p99), and sessions are {mean:.0} ms long: how they come and go is not compared"
            ));
        }
        told
    }
}

/// The check that it is, what it is called, its mean, and the variance of one session.
fn expected(flow: &Flow, strategy: &str) -> Option<(&'static str, &'static str, f64, f64)> {
    let cut = (-LONGEST).exp();
    let left = (((-flow.after).exp() - cut) / (1.0 - cut)).max(0.0);
    match (flow.kind.as_str(), strategy) {
        ("drain", _) => Some(("B7", "the share still there", left, left * (1.0 - left))),
        ("add", "round_robin" | "random") => Some(("B8", "of a fair share", 1.0 - left, 1.0 - left)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_have_their_published_values() {
        let of = |kind: &str, after| {
            let (kind, label) = (kind.to_owned(), String::new());
            let flow = Flow { kind, label, after, share: 0.0, of: 1.0, is_steady: true };
            expected(&flow, "round_robin").unwrap().2
        };
        for (after, left) in [(1.0 / 3.0, 0.7112), (1.0, 0.3561), (2.0, 0.1192), (4.0, 0.0)] {
            assert!((of("drain", after) - left).abs() < 1e-4, "{after}");
        }
        // Without the cut: 0.221, 0.632 and 0.950.
        for (after, filled) in [(0.25, 0.221), (1.0, 0.632), (3.0, 0.95)] {
            assert!((of("add", after) - filled).abs() < 0.02, "{after}");
        }
    }
}
