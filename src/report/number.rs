//! Numbers for people: as many digits as mean something.

use super::read::Metric;

/// `1.583`, `0.0447`, `12.5`, `1,234`.
pub(crate) fn short(value: f64) -> String {
    let size = value.abs();
    let places = match size {
        s if s == 0.0 || s.fract() == 0.0 || s >= 1000.0 => 0,
        s if s >= 100.0 => 1,
        s if s >= 10.0 => 2,
        s if s >= 1.0 => 3,
        // Three digits that are not 0.
        s => (2.0 - s.log10().floor()).clamp(3.0, 12.0) as usize,
    };
    if size >= 1e15 {
        return format!("{value:e}");
    }
    let text = format!("{value:.places$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    let (whole, rest) = text.split_once('.').map_or((text, None), |(w, r)| (w, Some(r)));
    let grouped = in_thousands(whole);
    match rest {
        Some(rest) => format!("{grouped}.{rest}"),
        None if grouped == "-0" => "0".to_owned(),
        None => grouped,
    }
}

fn in_thousands(whole: &str) -> String {
    let (sign, digits) = whole.strip_prefix('-').map_or(("", whole), |digits| ("-", digits));
    let mut out = sign.to_owned();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Nothing seen is told as how much there may still be: `0 (≤ 0.005)`.
pub(crate) fn of(metric: &Metric) -> String {
    metric.at_most().map_or_else(|| short(metric.value), |most| format!("0 (≤ {})", short(most)))
}

/// A z-score: `+1.2`.
pub(crate) fn z(z: f64) -> String {
    if z.abs() < 0.05 { "0.0".to_owned() } else { format!("{z:+.1}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_the_digits_that_mean_something() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (1.0, "1"),
            (1.583_333, "1.583"),
            (1.5, "1.5"),
            (0.044_7, "0.0447"),
            (0.000_012_345, "0.0000123"),
            (12.345, "12.35"),
            (123.45, "123.5"),
            (1234.5, "1,234"),
            (999.96, "1,000"),
            (-0.25, "-0.25"),
            (1_000_000.0, "1,000,000"),
        ] {
            assert_eq!(short(value), text, "{value}");
        }
    }

    #[test]
    fn nothing_seen_is_not_nothing_proven() {
        let zero = Metric { n: Some(600.0), unit: "per session".to_owned(), ..Metric::default() };
        assert_eq!(of(&zero), "0 (≤ 0.005)");
        assert_eq!(of(&Metric { high: Some(0.01), ..zero.clone() }), "0 (≤ 0.01)");
        assert_eq!(of(&Metric { value: 2.0, ..zero }), "2");
    }
}
