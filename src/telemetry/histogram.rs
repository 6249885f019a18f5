//! Durations in log-linear buckets, 0.5 ms to 60 s; one writer, read by the scrape and by the page.

use super::shards::Counter;

/// Upper bounds in microseconds with the text of the `le` label in seconds: 1, 2.5, 5 to a decade.
pub(super) const BOUNDS: [(u64, &str); 16] = [
    (500, "0.0005"),
    (1_000, "0.001"),
    (2_500, "0.0025"),
    (5_000, "0.005"),
    (10_000, "0.01"),
    (25_000, "0.025"),
    (50_000, "0.05"),
    (100_000, "0.1"),
    (250_000, "0.25"),
    (500_000, "0.5"),
    (1_000_000, "1"),
    (2_500_000, "2.5"),
    (5_000_000, "5"),
    (10_000_000, "10"),
    (30_000_000, "30"),
    (60_000_000, "60"),
];

/// One worker's histogram of durations.
#[derive(Debug, Default)]
pub(super) struct Histogram {
    /// Observations by bucket, not cumulated; the last is above every bound.
    buckets: [Counter; BOUNDS.len() + 1],
    /// Microseconds in all.
    sum: Counter,
}

/// What all workers' histograms add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// By bucket, not cumulated.
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    /// Microseconds in all.
    pub(super) sum: u64,
}

impl Histogram {
    /// Counts one duration.
    pub(super) fn observe(&self, micros: u64) {
        let bucket = BOUNDS.partition_point(|&(bound, _)| bound < micros);
        if let Some(counter) = self.buckets.get(bucket) {
            counter.add(1);
        }
        self.sum.add(micros);
    }

    /// Adds this worker's observations to `totals`.
    pub(super) fn add_to(&self, totals: &mut Totals) {
        for (total, counter) in totals.buckets.iter_mut().zip(&self.buckets) {
            *total += counter.get();
        }
        totals.sum = totals.sum.wrapping_add(self.sum.get());
    }
}

impl Totals {
    /// Observations in all.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// The duration in seconds that the share `q` (0 to 1) of what was observed after `since` did not exceed; nothing
    /// if nothing was. Within a bucket observations count as spread evenly, and what is above the last bound as on it,
    /// as Prometheus' `histogram_quantile` has it: it is as exact as the buckets are narrow.
    #[must_use]
    pub fn quantile(&self, since: &Self, q: f64) -> Option<f64> {
        let mut fresh = self.buckets;
        fresh.iter_mut().zip(since.buckets).for_each(|(n, before)| *n = n.saturating_sub(before));
        let count: u64 = fresh.iter().sum();
        if count == 0 || !(0.0..=1.0).contains(&q) {
            return None;
        }
        let rank = q * count as f64;
        let (mut below, mut lower) = (0.0, 0.0);
        for ((bound, _), n) in BOUNDS.iter().zip(fresh) {
            let (n, upper) = (n as f64, *bound as f64 / 1e6);
            if n > 0.0 && below + n >= rank {
                return Some(lower + (upper - lower) * (rank - below) / n);
            }
            (below, lower) = (below + n, upper);
        }
        Some(lower)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_falls_into_the_first_bucket_that_holds_it() {
        for (micros, bucket) in [(0, 0), (500, 0), (501, 1), (1_000, 1), (60_000_000, 15), (60_000_001, 16)] {
            let histogram = Histogram::default();
            histogram.observe(micros);
            let mut totals = Totals::default();
            histogram.add_to(&mut totals);
            assert_eq!(totals.buckets.iter().position(|&n| n == 1), Some(bucket), "{micros}");
            assert_eq!((totals.buckets.iter().sum::<u64>(), totals.sum), (1, micros));
        }
    }

    #[test]
    fn a_quantile_is_that_of_the_window() {
        let histogram = Histogram::default();
        let read = || {
            let mut totals = Totals::default();
            histogram.add_to(&mut totals);
            totals
        };
        let check = |since: &Totals, q: f64, expected: Option<f64>| {
            let is = read().quantile(since, q);
            let same = match (is, expected) {
                (Some(is), Some(expected)) => (is - expected).abs() < 1e-9,
                (is, expected) => is == expected,
            };
            assert!(same, "{q}: {is:?}, not {expected:?}");
        };
        let start = read();
        check(&start, 0.5, None);
        // Four within 5 to 10 ms, one within 50 to 100 ms.
        (0..4).for_each(|_| histogram.observe(7_000));
        histogram.observe(80_000);
        check(&start, 0.0, Some(0.005));
        check(&start, 0.4, Some(0.0075));
        check(&start, 0.8, Some(0.010));
        check(&start, 1.0, Some(0.1));
        check(&start, 1.1, None);
        check(&start, f64::NAN, None);
        // Only what came since counts; above every bound is the last of them.
        let later = read();
        check(&later, 0.99, None);
        (0..2).for_each(|_| histogram.observe(400));
        check(&later, 0.5, Some(0.000_25));
        histogram.observe(600_000_000);
        check(&later, 0.99, Some(60.0));
        assert_eq!((read().count(), later.count()), (8, 5));
    }

    #[test]
    fn bounds_grow_and_agree_with_their_labels() {
        assert!(BOUNDS.is_sorted_by(|a, b| a.0 < b.0));
        for (micros, label) in BOUNDS {
            let seconds: f64 = label.parse().unwrap();
            assert!((seconds * 1e6 - micros as f64).abs() < 1e-6, "{label}");
        }
    }
}
