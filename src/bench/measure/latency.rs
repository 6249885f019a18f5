//! How long people waited, counted from when their requests were due, by what the request was to its session.

use std::collections::BTreeMap;

use super::moves::{Class, Tracked};
use crate::bench::seen::{Kind, Micros, Seen};

/// Points of a distribution, at most.
const POINTS: usize = 60;

/// Latencies in microseconds, in order, by class.
#[derive(Clone, Debug, Default)]
pub(in crate::bench) struct Latencies(BTreeMap<&'static str, Vec<u32>>);

/// What a distribution is like, in milliseconds.
#[derive(Clone, Debug)]
pub(in crate::bench) struct Distribution {
    pub(in crate::bench) n: usize,
    pub(in crate::bench) p50: f64,
    pub(in crate::bench) p90: f64,
    pub(in crate::bench) p99: f64,
    pub(in crate::bench) p999: f64,
    pub(in crate::bench) max: f64,
    /// Milliseconds, and the share that took no longer.
    pub(in crate::bench) cdf: Vec<(f64, f64)>,
}

impl Latencies {
    /// Of a time's requests that were answered. Logins hash a password: they are a class of their own.
    pub(in crate::bench) fn of(seen: &Seen, tracked: &Tracked, from: Micros, to: Micros) -> Self {
        let mut by_class: BTreeMap<&'static str, Vec<u32>> = BTreeMap::new();
        for (record, class) in seen.records.iter().zip(&tracked.classes) {
            if record.failed() || !(from..=to).contains(&record.sent) {
                continue;
            }
            let micros = u32::try_from(record.latency()).unwrap_or(u32::MAX);
            let name = match (record.kind, class) {
                (Kind::Login, _) => "login",
                _ if record.is_retried => "retried",
                (_, Class::Moved) => "moved",
                (_, Class::First) => "first",
                (_, Class::OwnerHit) => "owner_hit",
            };
            by_class.entry(name).or_default().push(micros);
            if record.kind != Kind::Login {
                by_class.entry("all").or_default().push(micros);
            }
        }
        by_class.values_mut().for_each(|all| all.sort_unstable());
        Self(by_class)
    }

    /// Takes in another run's.
    pub(in crate::bench) fn join(&mut self, other: &Self) {
        for (name, more) in &other.0 {
            let all = self.0.entry(name).or_default();
            all.extend(more);
            all.sort_unstable();
        }
    }

    pub(in crate::bench) fn classes(&self) -> impl Iterator<Item = (&'static str, Distribution)> {
        self.0.iter().filter_map(|(name, all)| Some((*name, Distribution::of(all)?)))
    }

    pub(in crate::bench) fn class(&self, name: &str) -> Option<Distribution> {
        Distribution::of(self.0.get(name)?)
    }
}

impl Distribution {
    /// Of sorted values.
    fn of(sorted: &[u32]) -> Option<Self> {
        let max = *sorted.last()?;
        let n = sorted.len();
        let at = |share: f64| {
            let place = ((n as f64 * share).ceil() as usize).clamp(1, n) - 1;
            f64::from(sorted.get(place).copied().unwrap_or(max)) / 1000.0
        };
        let step = n.div_ceil(POINTS);
        let mut cdf: Vec<(f64, f64)> = (1..=n / step)
            .map(|i| i * step)
            .filter_map(|i| Some((f64::from(*sorted.get(i - 1)?) / 1000.0, i as f64 / n as f64)))
            .collect();
        if cdf.last().is_none_or(|(_, share)| *share < 1.0) {
            cdf.push((f64::from(max) / 1000.0, 1.0));
        }
        let max = f64::from(max) / 1000.0;
        Some(Self { n, p50: at(0.5), p90: at(0.9), p99: at(0.99), p999: at(0.999), max, cdf })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_values_that_were_seen() {
        let all: Vec<u32> = (1..=1000).map(|n| n * 1000).collect();
        let of = Distribution::of(&all).unwrap();
        assert_eq!(
            (of.n, of.p50, of.p90, of.p99, of.p999, of.max),
            (1000, 500.0, 900.0, 990.0, 999.0, 1000.0)
        );
        assert!(of.cdf.len() <= POINTS + 1 && of.cdf.last() == Some(&(1000.0, 1.0)));
        assert!(of.cdf.windows(2).all(|w| w[0].0 <= w[1].0 && w[0].1 < w[1].1));
        assert!(Distribution::of(&[]).is_none());
        assert_eq!(Distribution::of(&[5000]).unwrap().p99, 5.0);
    }
}
