//! What is put into the table, held there, and told of it.

use std::time::Duration;

use crate::affinity::Why;
use crate::backend::sessions::Slots;
use crate::base::time::UnixSeconds;

/// The number of a backend's id in one table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameNo(pub(super) u32);

/// When sessions end by themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Times {
    /// The idle time, cut as live sessions are counted, so that "counted" and "valid" are one thing.
    pub slots: Slots,
    /// Seconds that a session lasts at most, however much it is used.
    pub lifetime: u32,
}

/// What a session is put with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it belongs.
    pub home: NameNo,
    /// Its first home, if it was moved and may return.
    pub origin: Option<NameNo>,
    /// When it began.
    pub issued: UnixSeconds,
}

/// What the table holds of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where it belongs.
    pub home: NameNo,
    /// Its first home, if it was moved and may return.
    pub origin: Option<NameNo>,
    /// When it began.
    pub issued: UnixSeconds,
    /// When it was put last.
    pub last_seen: UnixSeconds,
    /// When it is over whatever happens: of a retired one.
    pub ends: Option<UnixSeconds>,
}

/// A session that was looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What is held of it.
    pub held: Held,
    /// `ExpiredIdle` or `ExpiredLifetime`, if it is over.
    pub expired: Option<Why>,
}

/// What putting a session did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Put {
    /// What was there before.
    pub outcome: Outcome,
    /// Who had to go for it.
    pub evicted: Option<Evicted>,
}

/// What was there before a session was put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Nothing.
    Created,
    /// The session, with another home.
    Moved {
        /// That home.
        from: NameNo,
        /// When it was put last.
        last_seen: UnixSeconds,
    },
    /// The session, at the same home.
    Refreshed {
        /// When it was put last.
        last_seen: UnixSeconds,
    },
}

/// A session that had to go because its shard was full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evicted {
    /// What was held of it.
    pub held: Held,
    /// Whether it was still of use: neither expired nor retired.
    pub was_live: bool,
}

impl NameNo {
    /// The number itself: names are numbered from 0 as they come.
    #[must_use]
    pub const fn index(self) -> u32 {
        self.0
    }
}

impl Times {
    /// Sessions end `idle` after their last use and `lifetime` after their beginning; below 1 s is taken as 1 s.
    #[must_use]
    pub fn new(idle: Duration, lifetime: Option<Duration>) -> Self {
        let seconds = |l: Duration| u32::try_from(l.as_secs()).unwrap_or(u32::MAX).max(1);
        Self { slots: Slots::new(idle), lifetime: lifetime.map_or(u32::MAX, seconds) }
    }

    /// `ExpiredIdle` or `ExpiredLifetime`, if a session with these times is over at `now`.
    #[must_use]
    pub const fn expired(self, issued: UnixSeconds, last_seen: UnixSeconds, now: UnixSeconds) -> Option<Why> {
        if !self.slots.is_live(last_seen, now) {
            Some(Why::ExpiredIdle)
        } else if now.saturating_since(issued) > self.lifetime {
            Some(Why::ExpiredLifetime)
        } else {
            None
        }
    }
}

impl Held {
    /// `ExpiredIdle` or `ExpiredLifetime`, if the session is over at `now`.
    #[must_use]
    pub const fn expired(&self, now: UnixSeconds, times: Times) -> Option<Why> {
        times.expired(self.issued, self.last_seen, now)
    }
}
