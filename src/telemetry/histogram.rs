//! Durations in log-linear buckets, 0.5 ms to 60 s; one writer, read by the scrape.

use super::metrics::Counter;

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
pub(super) struct Totals {
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
    fn bounds_grow_and_agree_with_their_labels() {
        assert!(BOUNDS.is_sorted_by(|a, b| a.0 < b.0));
        for (micros, label) in BOUNDS {
            let seconds: f64 = label.parse().unwrap();
            assert!((seconds * 1e6 - micros as f64).abs() < 1e-6, "{label}");
        }
    }
}
