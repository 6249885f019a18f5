//! Chance, by seed: every session has a generator of its own, made of the run's seed and the session's number, so that
//! all combinations meet the same people.

use std::time::Duration;

/// A generator for one purpose.
#[derive(Debug)]
pub(super) struct Dice(fastrand::Rng);

impl Dice {
    /// Of the run's seed, for the purpose and its number.
    pub(super) fn new(seed: u64, purpose: u64, number: u64) -> Self {
        Self(fastrand::Rng::with_seed(mixed(mixed(seed ^ mixed(purpose)) ^ number)))
    }

    /// Exponential about a mean, cut at a cap.
    pub(super) fn exponential(&mut self, mean: Duration, cap: Duration) -> Duration {
        // 1 - f64() is never 0.
        mean.mul_f64(-(1.0 - self.0.f64()).ln()).min(cap)
    }

    /// Whether something with this probability happens.
    pub(super) fn happens(&mut self, probability: f64) -> bool {
        self.0.f64() < probability
    }

    /// One of `0..n`; 0 if there is none.
    pub(super) fn below(&mut self, n: usize) -> usize {
        if n == 0 { 0 } else { self.0.usize(..n) }
    }

    /// An index of cumulated weights, of which the last is their sum.
    pub(super) fn weighted(&mut self, cumulated: &[f64]) -> usize {
        let point = self.0.f64() * cumulated.last().copied().unwrap_or_default();
        cumulated.partition_point(|sum| *sum <= point).min(cumulated.len().saturating_sub(1))
    }
}

/// The finaliser of splitmix64.
const fn mixed(seed: u64) -> u64 {
    let seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let seed = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let seed = (seed ^ (seed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    seed ^ (seed >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_mean_and_stay_below_their_cap() {
        let mut dice = Dice::new(7, 1, 2);
        let (mean, cap) = (Duration::from_secs(7), Duration::from_secs(70));
        let times: Vec<f64> = (0..20_000).map(|_| dice.exponential(mean, cap).as_secs_f64()).collect();
        let average = times.iter().sum::<f64>() / times.len() as f64;
        assert!((average - 7.0).abs() < 4.0 * 7.0 / (times.len() as f64).sqrt(), "{average}");
        assert!(times.iter().all(|time| *time <= 70.0));
    }

    #[test]
    fn streams_are_of_their_seed_purpose_and_number() {
        let first = |seed, purpose, number| Dice::new(seed, purpose, number).below(usize::MAX);
        assert_eq!(first(1, 2, 3), first(1, 2, 3));
        let all = [first(1, 2, 3), first(2, 2, 3), first(1, 3, 3), first(1, 2, 4)];
        assert!((1..all.len()).all(|i| !all[..i].contains(&all[i])));
    }

    #[test]
    fn weights_are_followed() {
        let mut dice = Dice::new(1, 1, 1);
        let counts = (0..30_000).fold([0_u32; 3], |mut counts, _| {
            counts[dice.weighted(&[1.0, 3.0, 6.0])] += 1;
            counts
        });
        for (count, share) in counts.iter().zip([1.0, 2.0, 3.0]) {
            assert!((f64::from(*count) / 5000.0 - share).abs() < 0.1, "{counts:?}");
        }
    }
}
