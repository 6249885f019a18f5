//! Means and how far they are to be believed.

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Estimate {
    pub(super) mean: f64,
    pub(super) low: f64,
    pub(super) high: f64,
    /// The standard error.
    pub(super) error: f64,
}

/// How many standard errors a figure may be from what is expected.
pub(super) const SIGMAS: f64 = 4.0;
/// Student's t at 97.5 %, for 1 to 30 degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
];

/// Of independent values; nothing if there is none, and no width for one.
pub(super) fn estimate(values: &[f64]) -> Option<Estimate> {
    let n = values.len();
    if n == 0 {
        return None;
    }
    let mean = values.iter().sum::<f64>() / n as f64;
    if n == 1 {
        return Some(Estimate { mean, low: mean, high: mean, error: 0.0 });
    }
    let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / (n - 1) as f64;
    let error = (variance / n as f64).sqrt();
    let width = T.get(n - 2).copied().unwrap_or(1.96) * error;
    Some(Estimate { mean, low: mean - width, high: mean + width, error })
}

/// The interval of a count of rare things: by Poisson's law, about; none seen means 3 at most.
pub(super) fn of_count(count: u64) -> (f64, f64) {
    if count == 0 {
        return (0.0, 3.0);
    }
    let root = (count as f64).sqrt();
    ((count as f64 - 1.96 * root).max(0.0), count as f64 + 1.96 * root)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_students() {
        let of = estimate(&[1.0, 2.0, 3.0, 4.0, 5.0]).unwrap();
        assert!((of.mean - 3.0).abs() < 1e-12 && (of.error - 0.5_f64.sqrt()).abs() < 1e-4);
        assert!((of.high - 3.0 - 2.776 * 0.5_f64.sqrt()).abs() < 1e-3, "{of:?}");
        assert_eq!(estimate(&[]), None);
        assert_eq!(estimate(&[2.0]).map(|e| (e.low, e.high)), Some((2.0, 2.0)));
        assert_eq!(of_count(0), (0.0, 3.0));
    }
}
