//! How evenly loads are spread. Definitions: the mean is over all backends that take new sessions, weights considered
//! equal; the Gini coefficient is the sum of (2i - n - 1) x_i / (n sum x) over the sorted loads.

use serde_json::{Value, json};

use super::rounded;

/// Figures of one distribution of loads.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Balance {
    pub(super) peak: f64,
    pub(super) cv: f64,
    pub(super) gini: f64,
    pub(super) jain: f64,
}

impl Balance {
    /// All zero if there is no load.
    pub(super) fn of(loads: &[f64]) -> Self {
        let (n, sum) = (loads.len() as f64, loads.iter().sum::<f64>());
        if sum <= 0.0 {
            return Self::default();
        }
        let mean = sum / n;
        let squares: f64 = loads.iter().map(|x| x * x).sum();
        let mut sorted = loads.to_vec();
        sorted.sort_by(f64::total_cmp);
        let weighted: f64 = (1..).zip(&sorted).map(|(i, x)| (2.0 * f64::from(i) - n - 1.0) * x).sum();
        Self {
            peak: sorted.last().copied().unwrap_or(0.0) / mean,
            cv: (squares / n - mean * mean).max(0.0).sqrt() / mean,
            gini: weighted / (n * sum),
            jain: sum * sum / (n * squares),
        }
    }

    pub(super) fn of_counts(counts: impl Iterator<Item = u64>) -> Self {
        Self::of(&counts.map(|c| c as f64).collect::<Vec<_>>())
    }

    pub(super) fn to_json(self) -> Value {
        json!({ "peak_to_average": rounded(self.peak), "cv": rounded(self.cv), "gini": rounded(self.gini) })
    }
}

/// Mean and the standard error of that mean.
pub(super) fn mean_and_error(values: &[f64]) -> (f64, f64) {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n.max(1.0);
    let squares: f64 = values.iter().map(|x| (x - mean).powi(2)).sum();
    (mean, if n > 1.0 { (squares / (n - 1.0) / n).sqrt() } else { 0.0 })
}
