//! How much pools did of late: their counters as they were each second, a few seconds back.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use crate::snapshot::Plan;
use crate::telemetry::histogram::Totals;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::totals::PoolTotals;

/// From one sample to the next.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Samples kept: what is told covers this many seconds.
const KEPT: usize = 10;

/// The samples, the oldest first.
#[derive(Debug)]
pub(super) struct Recent {
    began: Instant,
    samples: Mutex<VecDeque<Sample>>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    pools: BTreeMap<Arc<str>, (u64, Totals)>,
}

/// What a pool did over the seconds that are kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rates {
    /// Requests per second.
    pub(super) rps: f64,
    /// The median of their durations, if there were any.
    pub(super) p50_ms: Option<f64>,
    /// What one in a hundred took longer than.
    pub(super) p99_ms: Option<f64>,
}

impl Recent {
    /// Nothing yet.
    pub(super) fn new(now: Instant) -> Self {
        Self { began: now, samples: Mutex::default() }
    }

    /// Takes a sample of every pool of the plan.
    pub(super) fn sample(&self, plan: &Plan, metrics: &Metrics, now: Instant) {
        let pools = plan.pools.iter().map(|pool| {
            let totals = metrics.pool_totals(&pool.name);
            (Arc::clone(&pool.name), (totals.requests(), totals.duration))
        });
        let sample = Sample { at: now, pools: pools.collect() };
        let mut samples = self.samples.lock();
        if samples.len() >= KEPT {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// What a pool that is now at `totals` did since the oldest sample, or since the start if there is none of it.
    pub(super) fn rates(&self, pool: &str, totals: &PoolTotals, now: Instant) -> Rates {
        let samples = self.samples.lock();
        let oldest = samples.iter().find_map(|s| Some((s.at, s.pools.get(pool)?)));
        let nothing = (0, Totals::default());
        let (at, (requests, duration)) = oldest.unwrap_or((self.began, &nothing));
        let seconds = now.saturating_duration_since(at).as_secs_f64();
        let done = totals.requests().saturating_sub(*requests);
        let quantile = |q| totals.duration.quantile(duration, q).map(|seconds| seconds * 1000.0);
        Rates {
            rps: if seconds > 0.0 { done as f64 / seconds } else { 0.0 },
            p50_ms: quantile(0.5),
            p99_ms: quantile(0.99),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rates_are_those_of_the_last_seconds() {
        let plan = testing::plan(Vec::new(), None);
        let (_, metrics) = testing::published(Arc::clone(&plan));
        let shard = metrics.pool(0, "app", []);
        let start = Instant::now();
        let recent = Recent::new(start);
        let at = |s| start + Duration::from_secs(s);
        let rates = |s| recent.rates("app", &metrics.pool_totals("app"), at(s));
        assert_eq!(rates(0), Rates { rps: 0.0, p50_ms: None, p99_ms: None });
        // Twenty requests in the first second, five in the last.
        (0..20).for_each(|_| shard.finished(200, 80_000, 0, 0));
        assert!((rates(4).rps - 5.0).abs() < 1e-9, "since the start: {:?}", rates(4));
        (1..=20).for_each(|s| recent.sample(&plan, &metrics, at(s)));
        (0..5).for_each(|_| shard.finished(200, 7_000, 0, 0));
        let now = rates(21);
        assert!((now.rps - 0.5).abs() < 1e-9, "{now:?}");
        assert!(now.p99_ms.is_some_and(|ms| ms <= 10.0), "{now:?}");
        assert_eq!(recent.samples.lock().len(), KEPT);
    }
}
