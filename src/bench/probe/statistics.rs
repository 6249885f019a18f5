//! How sure an observation makes us: the power of a row of equal answers, χ² in both tails, the binomial tail.

/// The probability that we accept of taking chance for affinity.
pub const ALPHA: f64 = 1e-6;

/// Slack for sums of powers that come out a hair above what they are.
const ROUNDING: f64 = 1.0 + 1e-9;
/// Most answers that are asked for in a row, however uneven the shares are.
const MOST: usize = 60;

/// The probability that `r` choices made anew each time, by these shares, all fall on one backend: Σ pᵢʳ. Of n equal
/// shares that is n⁻⁽ʳ⁻¹⁾.
#[must_use]
pub fn same_by_chance(shares: &[f64], r: usize) -> f64 {
    if shares.is_empty() {
        return 1.0;
    }
    shares.iter().map(|p| p.powf(r as f64)).sum::<f64>().min(1.0)
}

/// How many equal answers in a row say, but for `alpha`, that they are no chance; 60 at most.
#[must_use]
pub fn needed(shares: &[f64], alpha: f64) -> usize {
    (2..MOST).find(|r| same_by_chance(shares, *r) <= alpha * ROUNDING).unwrap_or(MOST)
}

/// Shares of `n` that are all alike.
#[must_use]
pub fn equal_shares(n: usize) -> Vec<f64> {
    vec![1.0 / n.max(1) as f64; n]
}

/// The shares that these counts show: equal ones, where the counts do not speak against it.
#[must_use]
pub fn shares(counts: &[usize]) -> Vec<f64> {
    /// What χ² must be above by chance at most, before shares count as uneven.
    const UNEVEN: f64 = 1e-3;
    let total: usize = counts.iter().sum();
    if total == 0 || above(chi_square(counts), counts.len().saturating_sub(1)) >= UNEVEN {
        return equal_shares(counts.len());
    }
    counts.iter().map(|c| *c as f64 / total as f64).collect()
}

/// χ² of these counts against equal ones.
#[must_use]
pub fn chi_square(counts: &[usize]) -> f64 {
    let expected = counts.iter().sum::<usize>() as f64 / counts.len().max(1) as f64;
    if expected == 0.0 {
        return 0.0;
    }
    counts.iter().map(|c| (*c as f64 - expected).powi(2) / expected).sum()
}

/// The probability of a χ² of at most `x` with so many degrees of freedom: near 0 where counts are more even than chance
/// makes them, as round robin's are.
#[must_use]
pub fn below(x: f64, degrees: usize) -> f64 {
    if degrees == 0 { 1.0 } else { gamma_p(degrees as f64 / 2.0, x / 2.0) }
}

/// The probability of a χ² of at least `x`: near 0 where counts are uneven.
#[must_use]
pub fn above(x: f64, degrees: usize) -> f64 {
    if degrees == 0 { 1.0 } else { 1.0 - gamma_p(degrees as f64 / 2.0, x / 2.0) }
}

/// The probability of at least `k` hits in `n` trials that hit with `p` each.
#[must_use]
pub fn at_least(k: usize, n: usize, p: f64) -> f64 {
    let (p, choose) = (p.clamp(1e-12, 1.0 - 1e-12), |i: usize| {
        ln_gamma(n as f64 + 1.0) - ln_gamma(i as f64 + 1.0) - ln_gamma((n - i) as f64 + 1.0)
    });
    let term = |i: usize| (choose(i) + i as f64 * p.ln() + (n - i) as f64 * (1.0 - p).ln()).exp();
    (k..=n).map(term).sum::<f64>().min(1.0)
}

/// The bits of entropy in a text's letters, by how often each stands in `texts`, per letter.
#[must_use]
pub fn bits_per_letter<'t>(texts: impl Iterator<Item = &'t str>) -> f64 {
    let mut counts = [0_usize; 256];
    let mut total = 0_usize;
    for byte in texts.flat_map(str::bytes) {
        counts[usize::from(byte)] += 1;
        total += 1;
    }
    let share = |c: &usize| *c as f64 / total.max(1) as f64;
    counts.iter().filter(|c| **c > 0).map(|c| -share(c) * share(c).log2()).sum()
}

/// The regularised lower incomplete gamma function, by its series or its continued fraction (Abramowitz and Stegun
/// 6.5.29 and 6.5.31).
fn gamma_p(a: f64, x: f64) -> f64 {
    const STEPS: u32 = 500;
    if x <= 0.0 {
        return 0.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum) = (1.0 / a, 1.0 / a);
        for k in 1..STEPS {
            term *= x / (a + f64::from(k));
            sum += term;
            if term < sum * 1e-15 {
                break;
            }
        }
        return (front * sum).min(1.0);
    }
    // Lentz's way to evaluate a continued fraction from the front.
    const TINY: f64 = 1e-300;
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1.0 / TINY, 1.0 / b);
    let mut fraction = d;
    for k in 1..STEPS {
        let an = -f64::from(k) * (f64::from(k) - a);
        b += 2.0;
        d = an * d + b;
        d = if d.abs() < TINY { TINY } else { d };
        c = b + an / c;
        c = if c.abs() < TINY { TINY } else { c };
        d = 1.0 / d;
        let step = d * c;
        fraction *= step;
        if (step - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (1.0 - front * fraction).clamp(0.0, 1.0)
}

/// The logarithm of Γ, for x > 0, by Stirling's series above 10 and the recurrence below.
fn ln_gamma(x: f64) -> f64 {
    let (mut x, mut shift) = (x, 0.0);
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let series = 1.0 / (12.0 * x) - 1.0 / (360.0 * x.powi(3)) + 1.0 / (1260.0 * x.powi(5));
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_as_long_as_the_power_formula_says() {
        for (n, r) in [(2, 21), (3, 14), (10, 7)] {
            assert_eq!(needed(&equal_shares(n), ALPHA), r, "{n} backends");
            let by_formula = (n as f64).powf(-(r as f64 - 1.0));
            assert!((same_by_chance(&equal_shares(n), r) / by_formula - 1.0).abs() < 1e-9);
        }
        assert_eq!(needed(&[1.0], ALPHA), MOST, "one backend is always the same");
        assert!(needed(&[0.8, 0.2], ALPHA) > 21, "uneven shares need longer rows");
    }

    #[test]
    fn chi_square_is_what_tables_say() {
        for (x, degrees, expected) in [
            (3.841_459, 1, 0.95),
            (5.991_465, 2, 0.95),
            (18.307_04, 10, 0.95),
            (0.102_587, 2, 0.05),
            (20.515_0, 5, 0.999),
        ] {
            let found = below(x, degrees);
            assert!((found - expected).abs() < 1e-5, "{x} {degrees}: {found}");
            assert!((found + above(x, degrees) - 1.0).abs() < 1e-12);
        }
        assert_eq!(below(0.0, 2), 0.0, "round robin's counts are too even for chance");
        assert_eq!(chi_square(&[20, 20, 20]), 0.0);
        assert!((chi_square(&[10, 20, 30]) - 10.0).abs() < 1e-12);
    }

    #[test]
    fn shares_are_equal_until_counts_speak_against_it() {
        assert_eq!(shares(&[14, 18, 16]), equal_shares(3));
        assert_eq!(shares(&[30, 5, 5]), [0.75, 0.125, 0.125]);
        assert_eq!(shares(&[]), Vec::<f64>::new());
    }

    #[test]
    fn the_binomial_tail_sums_what_it_should() {
        assert!((at_least(0, 10, 0.3) - 1.0).abs() < 1e-9);
        assert!((at_least(10, 10, 0.5) - 0.5_f64.powi(10)).abs() < 1e-9);
        assert!((at_least(6, 10, 0.5) - 0.376_953_125).abs() < 1e-9);
    }

    #[test]
    fn letters_have_the_bits_that_they_have() {
        assert!((bits_per_letter(["0123", "4567", "89ab", "cdef"].into_iter()) - 4.0).abs() < 1e-12);
        assert_eq!(bits_per_letter(["aaaa"].into_iter()), 0.0);
    }
}
