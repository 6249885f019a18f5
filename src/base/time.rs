//! Wall-clock seconds, handed into decisions so that they never read a clock themselves.

use std::fmt;

/// Seconds since the Unix epoch. 32 bits last until 2106 and keep sealed pins small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u32);

impl UnixSeconds {
    /// The system's clock, read now. A clock before 1970 reads as 0.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |d| u32::try_from(d.as_secs()).unwrap_or(u32::MAX)))
    }

    /// Seconds from `earlier` to `self`; 0 when `earlier` lies in the future.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for UnixSeconds {
    /// `2026-11-25T18:04:09Z`, as [RFC 3339](https://www.rfc-editor.org/rfc/rfc3339) writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ((year, month, day), of_day) = (civil(u64::from(self.0 / 86_400)), self.0 % 86_400);
        let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Year, month 1 to 12 and day 1 to 31 of a day since 1970, Gregorian.
/// (Hinnant: `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>)
#[must_use]
pub const fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    (yoe + era * 400 + (month <= 2) as u64, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_is_shown_as_a_date() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_441_860, "2026-11-23T13:51:00Z"),
            (u32::MAX, "2106-02-07T06:28:15Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(UnixSeconds(seconds).to_string(), text);
        }
    }
}
