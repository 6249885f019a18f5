//! A `Set-Cookie` value that an application wrote: its name, its value, and whether it deletes the cookie.
//!
//! Read as browsers do ([RFC 6265, section 5](https://www.rfc-editor.org/rfc/rfc6265#section-5)): `Max-Age` before
//! `Expires`, of several the last, and dates in whatever order their parts come.

use super::pairs::{pair, segments};
use crate::base::time::UnixSeconds;

/// One `Set-Cookie` value.
#[derive(Clone, Copy, Debug)]
pub struct SetCookie<'v> {
    /// The cookie's name.
    pub name: &'v [u8],
    /// Its value.
    pub value: &'v [u8],
    /// From the value's end on: `; Path=/ ..`.
    pub rest: &'v [u8],
}

impl<'v> SetCookie<'v> {
    /// Splits a value; `None` if it sets nothing.
    #[must_use]
    pub fn parse(text: &'v [u8]) -> Option<Self> {
        let first = segments(text).next()?;
        let (name, value) = pair(first)?;
        Some(Self { name, value, rest: text.get(first.len()..)? })
    }

    /// Whether it takes effect as a deletion: it ends at once, or ended long ago.
    #[must_use]
    pub fn deletes(&self, now: UnixSeconds) -> bool {
        let (mut max_age, mut expires) = (None, None);
        for (name, value) in segments(self.rest).filter_map(pair) {
            if name.eq_ignore_ascii_case(b"max-age") {
                max_age = ends_at_once(value).or(max_age);
            } else if name.eq_ignore_ascii_case(b"expires") {
                expires = date(value).map(|at| at <= i64::from(now.0)).or(expires);
            }
        }
        max_age.or(expires).unwrap_or(false)
    }
}

/// Whether a `Max-Age` is 0 or less; `None` if it is no number.
fn ends_at_once(value: &[u8]) -> Option<bool> {
    let digits = value.strip_prefix(b"-").unwrap_or(value);
    let is_number = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    is_number.then(|| digits.len() < value.len() || digits.iter().all(|d| *d == b'0'))
}

/// Seconds since 1970 of a cookie's date (RFC 6265 section 5.1.1).
fn date(value: &[u8]) -> Option<i64> {
    const MONTHS: &[u8; 36] = b"janfebmaraprmayjunjulaugsepoctnovdec";
    let (mut time, mut day, mut month, mut year) = (None, None, None, None);
    let is_part = |b: &u8| b.is_ascii_alphanumeric() || *b == b':' || *b >= 0x80;
    for part in value.split(|b| !is_part(b)).filter(|p| !p.is_empty()) {
        let lower = part.get(..3).map(<[u8]>::to_ascii_lowercase);
        let named = lower.and_then(|l| MONTHS.chunks_exact(3).position(|m| m == l.as_slice()));
        if time.is_none()
            && let Some(seconds) = clock(part)
        {
            time = Some(seconds);
        } else if day.is_none() && part.len() <= 2 && number(part).is_some() {
            day = number(part);
        } else if month.is_none() && named.is_some() {
            month = named;
        } else if year.is_none() && (2..=4).contains(&part.len()) {
            year = number(part);
        }
    }
    let year = match year? {
        y @ 0..=69 => y + 2000,
        y @ 70..=99 => y + 1900,
        y => y,
    };
    let month = i64::try_from(month?).ok()? + 1;
    Some(days(year, month, day?) * 86_400 + time?)
}

/// `12:34:56` as seconds.
fn clock(part: &[u8]) -> Option<i64> {
    let mut parts = part.split(|b| *b == b':').map(number);
    let (h, m, s) = (parts.next()??, parts.next()??, parts.next()??);
    parts.next().is_none().then_some(h * 3600 + m * 60 + s)
}

fn number(digits: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(digits).ok().filter(|t| t.len() <= 4)?;
    text.bytes().all(|b| b.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// Days from 1970-01-01 in the Gregorian calendar; years begin in March, so that the leap day is the last.
const fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let of_year = (153 * month + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + of_year - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixSeconds = UnixSeconds(1_800_000_000); // 2027-01-15T08:00:00Z

    #[test]
    fn name_value_and_rest_are_told_apart() {
        let check = |text: &str, expected: Option<(&str, &str, &str)>| {
            let text = text.as_bytes();
            let parsed = SetCookie::parse(text).map(|c| (c.name, c.value, c.rest));
            let expected = expected.map(|(n, v, r)| (n.as_bytes(), v.as_bytes(), r.as_bytes()));
            assert_eq!(parsed, expected, "{}", String::from_utf8_lossy(text));
        };
        check("a=b", Some(("a", "b", "")));
        check(" a = b ; Path=/; x", Some(("a", "b", "; Path=/; x")));
        check("a=;Max-Age=0", Some(("a", "", ";Max-Age=0")));
        check("a=b=c~d", Some(("a", "b=c~d", "")));
        check("a", None);
        check("", None);
        check("; a=b", None);
    }

    #[test]
    fn a_deletion_is_known_as_browsers_know_it() {
        let check = |attributes: &str, deletes: bool| {
            let text = format!("a=b; {attributes}");
            let cookie = SetCookie::parse(text.as_bytes()).unwrap();
            assert_eq!(cookie.deletes(NOW), deletes, "{attributes}");
        };
        check("Path=/", false);
        check("Max-Age=0", true);
        check("max-age=00", true);
        check("Max-Age=-1", true);
        check("Max-Age=1", false);
        check("Max-Age=soon", false);
        check("Max-Age=0; Max-Age=60", false);
        check("Expires=Thu, 01 Jan 1970 00:00:00 GMT", true);
        check("Expires=Thu, 01-Jan-1970 00:00:01 GMT", true);
        check("Expires=Thursday, 01-Jan-70 00:00:01 GMT", true);
        check("EXPIRES=Thu Jan  1 00:00:00 1970", true);
        check("Expires=Fri, 15 Jan 2027 08:00:00 GMT", true);
        check("Expires=Fri, 15 Jan 2027 08:00:01 GMT", false);
        check("Expires=Tue, 29 Feb 2028 00:00:00 GMT", false);
        check("Expires=Fri, 31-Dec-99 23:59:59 GMT", true);
        check("Expires=Wed, 01 Jan 2069 00:00:00 GMT", false);
        check("Expires=0", false);
        check("Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=60", false);
        check("Expires=Fri, 15 Jan 2100 08:00:00 GMT; Max-Age=0", true);
    }

    #[test]
    fn days_are_counted_from_1970() {
        for (date, expected) in
            [((1970, 1, 1), 0), ((1970, 3, 1), 59), ((2000, 2, 29), 11_016), ((2027, 1, 15), 20_833)]
        {
            assert_eq!(days(date.0, date.1, date.2), expected, "{date:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_split_and_dated_without_harm(text in "[ -~]{0,120}", expires in "[ -~]{0,40}") {
            for text in [text, format!("a=b; Expires={expires}")] {
                if let Some(cookie) = SetCookie::parse(text.as_bytes()) {
                    let _ = cookie.deletes(NOW);
                    proptest::prop_assert!(text.as_bytes().ends_with(cookie.rest));
                }
            }
        }
    }
}
