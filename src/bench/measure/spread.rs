//! How evenly sessions and requests lie on the backends.

use super::moves::Tracked;
use crate::bench::seen::{Micros, Seen};

/// How uneven a load is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::bench) struct Spread {
    pub(in crate::bench) peak: f64,
    pub(in crate::bench) cv: f64,
    pub(in crate::bench) gini: f64,
}

impl Spread {
    /// Of loads; nothing if there is none.
    pub(in crate::bench) fn of(loads: &[f64]) -> Option<Self> {
        let n = loads.len() as f64;
        let sum: f64 = loads.iter().sum();
        if sum <= 0.0 {
            return None;
        }
        let mean = sum / n;
        let variance = loads.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        let mut sorted = loads.to_vec();
        sorted.sort_by(f64::total_cmp);
        let weighted: f64 =
            sorted.iter().enumerate().map(|(i, x)| (2.0 * (i + 1) as f64 - n - 1.0) * x).sum();
        let peak = sorted.last().copied().unwrap_or_default() / mean;
        Some(Self { peak, cv: variance.sqrt() / mean, gini: weighted / (n * sum) })
    }
}

/// Live sessions by backend, at a time.
pub(in crate::bench) fn sessions_at(tracked: &Tracked, at: Micros, backends: usize) -> Vec<f64> {
    let mut counts = vec![0.0; backends];
    for session in tracked.homes.keys() {
        // Who is there at the end has not gone.
        let home = tracked.home(*session, at.saturating_sub(1));
        if let Some(slot) = home.and_then(|home| counts.get_mut(usize::from(home))) {
            *slot += 1.0;
        }
    }
    counts
}

/// Requests by backend, in a time.
pub(in crate::bench) fn requests(seen: &Seen, from: Micros, to: Micros, backends: usize) -> Vec<f64> {
    let mut counts = vec![0.0; backends];
    for record in seen.records.iter().filter(|r| (from..=to).contains(&r.sent)) {
        if let Some(slot) = record.backend.and_then(|b| counts.get_mut(usize::from(b))) {
            *slot += 1.0;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fixtures_have_their_known_values() {
        let of = Spread::of(&[0.0, 0.0, 0.0, 1.0]).unwrap();
        assert!((of.gini - 0.75).abs() < 1e-9 && (of.cv - 1.7321).abs() < 1e-4 && of.peak == 4.0, "{of:?}");
        assert_eq!(Spread::of(&[1.0; 4]), Some(Spread { peak: 1.0, cv: 0.0, gini: 0.0 }));
        assert_eq!(Spread::of(&[0.0; 4]), None);
        assert_eq!(Spread::of(&[]), None);
    }
}
