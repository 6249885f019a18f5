//! Medians, and how far they are to be believed.

/// Below so many values there is no interval.
const ENOUGH: usize = 6;

/// What a set of values is like.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Spread {
    pub(crate) lowest: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) highest: f64,
    /// Holds the true median with a probability of 95 % or more, whatever the distribution is: the order statistics
    /// that a sign test does not reject. None for few values.
    pub(crate) interval: Option<(f64, f64)>,
}

impl Spread {
    /// Of values in any order; none if there are none.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().filter(|value| value.is_finite()).collect();
        values.sort_by(f64::total_cmp);
        let (first, last) = (*values.first()?, *values.last()?);
        let interval = (values.len() >= ENOUGH).then(|| {
            let cut = cut(values.len());
            let low = values.get(cut).copied().unwrap_or(first);
            (low, values.get(values.len() - 1 - cut).copied().unwrap_or(last))
        });
        Some(Self {
            lowest: first,
            lower_quartile: quantile(&values, 0.25)?,
            median: quantile(&values, 0.5)?,
            upper_quartile: quantile(&values, 0.75)?,
            highest: last,
            interval,
        })
    }
}

/// The median of values in any order, 0 for none.
pub(crate) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    Spread::of(values).map_or(0.0, |spread| spread.median)
}

/// Between the values beside it, as far as it lies between them.
fn quantile(sorted: &[f64], share: f64) -> Option<f64> {
    let place = (sorted.len().checked_sub(1)?) as f64 * share;
    let (below, above) = (sorted.get(place.floor() as usize)?, sorted.get(place.ceil() as usize)?);
    Some(below + (above - below) * place.fract())
}

/// How many values may be cut off each end so that what is left holds the median with 95 %: the most for which a fair
/// coin, thrown that often, shows so few heads with a probability of 2.5 % at most.
fn cut(count: usize) -> usize {
    let (mut term, mut sum, mut cut) = (0.5_f64.powi(i32::try_from(count).unwrap_or(i32::MAX)), 0.0, 0);
    for heads in 0..count / 2 {
        sum += term;
        if sum > 0.025 {
            break;
        }
        // The interval begins with the value after those that are cut off.
        cut = heads;
        term *= (count - heads) as f64 / (heads + 1) as f64;
    }
    cut
}
