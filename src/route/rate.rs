//! How often somebody may ask: a rate with a burst, kept for many keys at once in a table that never grows.
//!
//! The generic cell rate algorithm: of each key one number is kept, the time at which it would have its whole budget
//! back. A request adds one interval to it, and is refused where that would reach further than the burst allows. So no
//! span of time `t` has more than `rate * t + burst` requests of a key, and a refused one costs nothing.
//!
//! A key whose time has passed is as good as none: it takes no room. Where the table has none left, the one that is
//! nearest to its whole budget gives way: whoever is at his limit stays known, however many new keys come. To be
//! forgotten, others in the same row must each have used up more than he; each of those had its own budget anyway.
//! Where a key is found depends on a number drawn at the start, so nobody can choose keys that meet in a row.

use std::fmt;
use std::str::FromStr;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use ahash::RandomState;
use parking_lot::Mutex;

/// Keys in a row: those that may give way to each other.
const ROW: usize = 8;

/// Units of time that a rate is for.
const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

/// So many in a unit of time: `10/s`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// How many, at least 1.
    pub count: u32,
    unit: usize,
}

/// What a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// How often in the long run.
    pub rate: Rate,
    /// How often at once, at least 1.
    pub burst: u32,
    /// Keys that are known at once; rounded up to rows.
    pub entries: u32,
}

/// The budgets of all keys. Shared by all workers: a row has a lock, which is held for one look at it.
pub struct Gate {
    terms: Terms,
    /// What a request costs, and how much there may be of it, in nanoseconds.
    interval: u64,
    capacity: u64,
    seeds: RandomState,
    rows: Box<[Mutex<[Budget; ROW]>]>,
    /// Times are counted from the first request.
    origin: OnceLock<Instant>,
}

/// One key's.
#[derive(Clone, Copy, Default)]
struct Budget {
    key: u64,
    /// When it is whole again, in nanoseconds.
    whole_at: u64,
}

impl FromStr for Rate {
    type Err = String;

    /// Reads `10/s`, `100/m`, `1000/h` or `5000/d`.
    ///
    /// # Errors
    /// What would be right, as the rest of a sentence that begins with the value.
    fn from_str(text: &str) -> Result<Self, String> {
        let must = || "must be a number for each s, m, h or d, as in \"10/s\"".to_owned();
        let (count, unit) = text.split_once('/').ok_or_else(must)?;
        let unit = UNITS.iter().position(|(name, _)| *name == unit).ok_or_else(must)?;
        if count.is_empty() || !count.bytes().all(|b| b.is_ascii_digit()) {
            return Err(must());
        }
        let count = count.parse().ok().filter(|n| (1..=Self::MOST).contains(n));
        let count = count.ok_or_else(|| format!("must be between 1 and {} for each unit", Self::MOST))?;
        Ok(Self { count, unit })
    }
}

impl Rate {
    /// Highest number for a unit.
    pub const MOST: u32 = 1_000_000;

    /// The time that one request costs; rounded up, so that the rate is never exceeded.
    #[must_use]
    pub fn interval(self) -> Duration {
        let seconds = UNITS.get(self.unit).map_or(1, |(_, seconds)| *seconds);
        Duration::from_nanos((seconds * 1_000_000_000).div_ceil(u64::from(self.count.max(1))))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, UNITS.get(self.unit).map_or("s", |(name, _)| name))
    }
}

impl Gate {
    /// With every budget whole.
    #[must_use]
    pub fn new(terms: Terms) -> Self {
        let interval = u64::try_from(terms.rate.interval().as_nanos()).unwrap_or(u64::MAX);
        let rows = (terms.entries as usize).div_ceil(ROW).max(1);
        Self {
            terms,
            interval,
            capacity: interval.saturating_mul(u64::from(terms.burst.max(1))).min(u64::MAX / 4),
            seeds: RandomState::new(),
            rows: std::iter::repeat_with(Mutex::default).take(rows).collect(),
            origin: OnceLock::new(),
        }
    }

    /// What each key may do.
    #[must_use]
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// One request of the key that stands at `place` among those that are asked for.
    ///
    /// # Errors
    /// It has no budget left; how long until it has. Then nothing was taken from it.
    pub fn charge(&self, place: usize, key: &[u8], now: Instant) -> Result<(), Duration> {
        // Nothing is due at 0, so that an entry nobody has used is one that is over.
        let now = now.saturating_duration_since(*self.origin.get_or_init(|| now)).as_nanos();
        let now = u64::try_from(now).unwrap_or(u64::MAX / 2).saturating_add(1);
        let key = self.seeds.hash_one((place, key));
        // The upper half says the row: the whole of it is what is compared.
        let row = ((u128::from(key) * self.rows.len() as u128) >> 64) as usize;
        let Some(row) = self.rows.get(row) else { return Ok(()) };
        let mut row = row.lock();
        let known = row.iter().position(|b| b.key == key && b.whole_at > now);
        let found = known.or_else(|| (0..ROW).min_by_key(|i| row[*i].whole_at)).unwrap_or(0);
        let from = if known.is_some() { row[found].whole_at } else { now };
        let whole_at = from.saturating_add(self.interval);
        match whole_at.saturating_sub(now).checked_sub(self.capacity) {
            None | Some(0) => {
                row[found] = Budget { key, whole_at };
                Ok(())
            }
            Some(wait) => Err(Duration::from_nanos(wait)),
        }
    }
}

impl PartialEq for Gate {
    /// By their terms: what has been used is no part of a configuration.
    fn eq(&self, other: &Self) -> bool {
        self.terms == other.terms
    }
}

impl Eq for Gate {}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.terms.fmt(f)
    }
}

#[cfg(test)]
#[path = "rate_tests.rs"]
mod tests;
