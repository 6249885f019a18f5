//! Durations and sizes as people write them: a number is nothing without its unit.
//!
//! `"30s"`, `"1m30s"`, `"250ms"`; `"32KiB"`. Numbers without a unit are refused: what they mean differs from proxy to
//! proxy (HAProxy: milliseconds, nginx: seconds), and a timeout that is wrong by a thousand shows only in trouble.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// A duration in whole milliseconds, read and shown as people write it: `1m30s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

/// A number of bytes, read and shown as people write it: `32KiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByteSize(pub u64);

/// Units of time in milliseconds, the longest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1)];
/// Units of size in bytes, the largest first.
const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];
/// Units that people write and that mean two things, with ours.
const MISTAKEN: [(&str, &str); 6] =
    [("k", "KiB"), ("kb", "KiB"), ("m", "MiB"), ("mb", "MiB"), ("g", "GiB"), ("gb", "GiB")];

impl FromStr for Span {
    type Err = String;

    /// Reads numbers with units, the longer unit first, each unit at most once.
    ///
    /// # Errors
    /// What would be right, as the rest of a sentence that begins with the value.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let mut millis = 0_u64;
        let mut shortest = u64::MAX;
        while !rest.is_empty() || text.is_empty() {
            let (number, unit, after) = number_and_unit(rest, "\"30s\", \"250ms\" or \"1m30s\"")?;
            if unit.is_empty() {
                let example =
                    if text.len() == rest.len() { format!("{number}s") } else { "1m30s".to_owned() };
                return Err(format!("needs a unit, as in \"{example}\""));
            }
            let Some(&(_, size)) = TIMES.iter().find(|(name, _)| *name == unit) else {
                return Err(format!("unit \"{unit}\" must be one of ms, s, m, h, d"));
            };
            if size >= shortest {
                return Err("must have the longer unit first and each unit once, as in \"1m30s\"".to_owned());
            }
            shortest = size;
            millis = number.checked_mul(size).and_then(|n| millis.checked_add(n)).ok_or("is too long")?;
            rest = after;
        }
        Ok(Self(Duration::from_millis(millis)))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut left = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if left == 0 {
            return f.write_str("0s");
        }
        for (unit, size) in TIMES {
            if left >= size {
                write!(f, "{}{unit}", left / size)?;
                left %= size;
            }
        }
        Ok(())
    }
}

impl FromStr for ByteSize {
    type Err = String;

    /// Reads one number with one unit.
    ///
    /// # Errors
    /// What would be right, as the rest of a sentence that begins with the value.
    fn from_str(text: &str) -> Result<Self, String> {
        let (number, unit, after) = number_and_unit(text, "\"32KiB\"")?;
        if !after.is_empty() {
            return Err("must be one number and one unit, as in \"32KiB\"".to_owned());
        }
        if unit.is_empty() {
            return Err(format!("needs a unit, as in \"{}\"", Self(number)));
        }
        if let Some(&(_, size)) = SIZES.iter().find(|(name, _)| *name == unit) {
            return number.checked_mul(size).map(Self).ok_or_else(|| "is too large".to_owned());
        }
        let meant = SIZES.iter().map(|(name, _)| (*name, *name)).chain(MISTAKEN);
        let meant = meant.into_iter().find(|(wrong, _)| wrong.eq_ignore_ascii_case(unit));
        let help =
            meant.map_or_else(String::new, |(_, right)| format!("; did you mean \"{number}{right}\"?"));
        Err(format!("unit \"{unit}\" must be one of B, KiB, MiB, GiB{help}"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fits = |(_, size): &&(&str, u64)| self.0 >= *size && self.0.is_multiple_of(*size);
        let (unit, size) = SIZES.iter().find(fits).copied().unwrap_or(("B", 1));
        write!(f, "{}{unit}", self.0 / size)
    }
}

/// Cuts a number and the letters that follow it off the front.
fn number_and_unit<'t>(text: &'t str, examples: &str) -> Result<(u64, &'t str, &'t str), String> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(digits);
    let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(letters);
    if rest.starts_with('.') && !number.is_empty() {
        return Err(format!("must be whole numbers with units, as in {examples}"));
    }
    if number.is_empty() || (unit.is_empty() && !after.is_empty()) {
        return Err(format!("must be a number and a unit without blanks, as in {examples}"));
    }
    let number = number.parse().map_err(|_| "is too large".to_owned())?;
    Ok((number, unit, after))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_are_read() {
        let table = [
            ("0s", 0),
            ("250ms", 250),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("90s", 90_000),
            ("2h", 7_200_000),
            ("1d2h3m4s5ms", 93_784_005),
        ];
        for (text, millis) in table {
            assert_eq!(text.parse(), Ok(Span(Duration::from_millis(millis))), "{text}");
        }
    }

    #[test]
    fn what_is_no_duration_says_what_would_be() {
        let table = [
            ("", "number and a unit"),
            ("30", "needs a unit, as in \"30s\""),
            ("1m30", "needs a unit, as in \"1m30s\""),
            ("s", "number and a unit"),
            ("30 s", "without blanks"),
            (" 30s", "without blanks"),
            ("-1s", "number and a unit"),
            ("1.5s", "whole numbers"),
            ("30S", "must be one of ms, s, m, h, d"),
            ("30sec", "unit \"sec\""),
            ("30s1m", "longer unit first"),
            ("1s1s", "each unit once"),
            ("99999999999999999999s", "too large"),
            ("999999999999999999d", "too long"),
        ];
        for (text, part) in table {
            let error = text.parse::<Span>().unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    #[test]
    fn sizes_are_read() {
        let table = [("0B", 0), ("100B", 100), ("8KiB", 8192), ("1MiB", 1 << 20), ("3GiB", 3 << 30)];
        for (text, bytes) in table {
            assert_eq!(text.parse(), Ok(ByteSize(bytes)), "{text}");
            assert_eq!(ByteSize(bytes).to_string(), text);
        }
    }

    #[test]
    fn what_is_no_size_says_what_would_be() {
        let table = [
            ("32768", "needs a unit, as in \"32KiB\""),
            ("1000", "needs a unit, as in \"1000B\""),
            ("32k", "did you mean \"32KiB\"?"),
            ("1MB", "did you mean \"1MiB\"?"),
            ("1kib", "did you mean \"1KiB\"?"),
            ("1x", "must be one of B, KiB, MiB, GiB"),
            ("1KiB2B", "one number and one unit"),
            ("", "number and a unit"),
            ("99999999999GiB", "too large"),
        ];
        for (text, part) in table {
            let error = text.parse::<ByteSize>().unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn shown_is_read_back(n in any::<u64>()) {
            let span = Span(Duration::from_millis(n));
            prop_assert_eq!(span.to_string().parse(), Ok(span));
            prop_assert_eq!(ByteSize(n).to_string().parse(), Ok(ByteSize(n)));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,12}|[0-9smhdKiMBG. ]{0,12}") {
            if let Ok(span) = text.parse::<Span>() {
                prop_assert_eq!(span.to_string().parse(), Ok(span));
            }
            if let Ok(size) = text.parse::<ByteSize>() {
                prop_assert_eq!(size.to_string().parse(), Ok(size));
            }
        }
    }
}
