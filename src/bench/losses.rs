//! What sessions suffered in each event, beside what a closed form expects.

use serde_json::{Value, json};

use super::measure::EventFigures;
use super::result::{Combination, Metrics, tidy, z};
use super::settings::Settings;
use super::statistics::{Estimate, SIGMAS, estimate};
use super::theory::{Case, Expected, equal, expected};

/// A share of sessions that were answered in each phase, from which closed forms hold.
const COVERED: f64 = 0.995;

/// What all events together did to a session, and what was expected, as far as that is known of all of them.
struct Sums {
    lost: f64,
    stale: f64,
    /// Of both.
    variance: [f64; 2],
    theory: Option<[f64; 2]>,
    live: usize,
}

impl Combination<'_> {
    pub(super) fn losses(&self, settings: &Settings, metrics: &mut Metrics, checks: &mut Vec<Value>) {
        let sessions = usize::try_from(self.sum(|m| m.sessions)).unwrap_or(0);
        metrics.count("lost", sessions, self.sum(|m| m.totals.lost));
        metrics.count("stale", sessions, self.sum(|m| m.totals.stale));
        let requests = usize::try_from(self.sum(|m| m.requests)).unwrap_or(0);
        metrics.count("duplicates", requests, self.sum(|m| m.totals.duplicates));
        let zero = Some([0.0; 2]);
        let mut sums = Sums { lost: 0.0, stale: 0.0, variance: [0.0; 2], theory: zero, live: 0 };
        for (place, events) in self.told().iter().enumerate() {
            self.event(settings, place, events, &mut sums, checks);
        }
        if sums.live == 0 {
            return;
        }
        let sides = [("lost_per_live", sums.lost), ("stale_per_live", sums.stale)];
        for (side, (name, mean)) in sides.into_iter().enumerate() {
            let error = sums.variance.get(side).copied().unwrap_or(0.0).sqrt();
            let width = 1.96 * error;
            // Of nothing seen in n, 3/n at most.
            let high = if mean > 0.0 { mean + width } else { 3.0 / sums.live as f64 };
            let of = Estimate { mean, low: (mean - width).max(0.0), high, error };
            metrics.put(name, "per session", sums.live, of);
            if let Some(theory) = sums.theory.and_then(|both| both.get(side).copied()) {
                metrics.expect(name, theory, Some(z(mean, theory, error, sums.live)));
            }
        }
    }

    /// One event, in all runs.
    fn event(
        &self,
        settings: &Settings,
        place: usize,
        events: &[&EventFigures],
        sums: &mut Sums,
        checks: &mut Vec<Value>,
    ) {
        let Some(event) = events.first() else { return };
        let there = usize::try_from(events.iter().map(|e| e.live).sum::<u64>()).unwrap_or(0);
        if there == 0 {
            return;
        }
        sums.live = sums.live.max(there);
        let stayed: usize = events.iter().map(|e| e.losses.len()).sum();
        // Where most come and go meanwhile, what happened counts against those that were there.
        let stays = stayed * 2 > there;
        let of = |each: fn(&EventFigures) -> &[u32], count: fn(&EventFigures) -> u64| {
            let values: Vec<f64> =
                events.iter().flat_map(|e| each(e).iter().map(|n| f64::from(*n))).collect();
            estimate(&values).filter(|_| stays).unwrap_or_else(|| {
                let (count, n) = (events.iter().map(|e| count(e)).sum::<u64>() as f64, there as f64);
                Estimate { mean: count / n, low: 0.0, high: 0.0, error: count.sqrt() / n }
            })
        };
        let lost = of(|e| &e.losses, |e| e.counts.lost);
        let stale = of(|e| &e.stale, |e| e.counts.stale);
        let moved = of(|e| &e.moves, |e| e.counts.moves());
        sums.lost += lost.mean;
        sums.stale += stale.mean;
        sums.variance = [sums.variance[0] + lost.error.powi(2), sums.variance[1] + stale.error.powi(2)];
        let keeps = self.sessions == "memory";
        let expected = self.expected(settings, place, event);
        // What lies elsewhere is not lost by anything that is done to backends and balancers.
        let is_safe =
            !keeps && !matches!(event.kind.as_str(), "store_restart" | "jar_clear" | "exec" | "revoke");
        if is_safe && expected.is_none() {
            checks.push(self.check(&event.kind, "lost", "B1", (0.0, lost), there));
            return;
        }
        let covered = events.iter().all(|e| stays && e.coverage.unwrap_or(1.0) >= COVERED);
        let covered = covered || !keeps || event.kind == "roll_drain";
        let Some(expected) = expected.filter(|_| covered) else {
            sums.theory = None;
            return;
        };
        sums.theory = sums.theory.map(|[l, s]| [l + expected.lost, s + expected.stale]);
        checks.push(self.check(&event.kind, "lost", expected.check, (expected.lost, lost), there));
        if keeps && stays {
            checks.push(self.check(&event.kind, "moved", expected.check, (expected.moves, moved), stayed));
        }
        if keeps && stays && (settings.adopts_ids || expected.stale > 0.0) {
            checks.push(self.check(&event.kind, "stale", expected.check, (expected.stale, stale), stayed));
        }
    }

    fn expected(&self, settings: &Settings, place: usize, event: &EventFigures) -> Option<Expected> {
        expected(&Case {
            event: &event.kind,
            routing: self.routing,
            keeps_in_memory: self.sessions == "memory",
            adopts_ids: settings.adopts_ids,
            is_first: place == 0,
            // What comes first finds sessions spread evenly.
            shares: if place == 0 { equal(self.backends(settings)) } else { event.shares.clone() },
            target: event.target.map(usize::from),
        })
    }

    fn check(&self, event: &str, what: &str, id: &str, (value, seen): (f64, Estimate), n: usize) -> Value {
        let z = z(seen.mean, value, seen.error, n);
        json!({
            "id": id,
            "what": format!("{}: {what} per live session, {event}", self.id()),
            "expected": tidy(value),
            "measured": tidy(seen.mean),
            "sigma": tidy(seen.error),
            "n": n,
            "z": tidy(z),
            "tolerance": "4σ",
            "pass": z.abs() < SIGMAS,
        })
    }
}
