//! What keeps a client with its backend.
//!
//! [`carriers`] is one pool's affinity: it reads a request's session before the choice and, in `settle`, settles it
//! after. What carries a session: [`cookie`] and [`header`] hold homing's own [`pins`], [`routed`] reads a backend's
//! name in an application's value, and [`kept`] has the sessions whose ids applications make, which [`sources`] finds,
//! in the stick [`table`]. [`seal`] is a pin's sealed form and [`opened`] a worker's cache of such; [`foreign`] reads
//! other balancers' pins. [`attributes`] is what follows a cookie's value, [`caching`] what shared caches make of it, and
//! [`set_cookie`] what applications write. [`key`] finds the bytes that hash strategies place by. Affinity knows no
//! strategy.

pub mod carriers;
pub mod settle;

pub mod cookie;
pub mod header;
pub mod routed;

pub mod kept;
pub mod key;
pub mod memory;
pub mod pins;
pub mod sources;
pub mod table;

pub mod attributes;
pub mod caching;
pub mod opened;
pub mod seal;
pub mod set_cookie;
pub mod skew;

pub mod foreign;

pub mod base64url;
pub mod pairs;

use std::time::Duration;

use crate::backend::BackendIx;
use crate::backend::members::Members;
use crate::base::time::UnixSeconds;

use attributes::CookieError;
use table::{Digest, Times};

/// Why a backend was chosen, or why none was: one per request, in the access log, in the metrics and, if wanted, in
/// the `X-Homing-Affinity` header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Why {
    /// The pool has no affinity: the strategy chose.
    Balanced,
    /// A new session: no pin was presented.
    New,
    /// A new session that follows its client's other first request, still in flight.
    Followed,
    /// The pin's backend.
    Pinned,
    /// The pin's backend; the pin is due to be written again.
    Refreshed,
    /// A new session: the pin was not used for longer than `idle`.
    ExpiredIdle,
    /// A new session: the pin is older than `lifetime`.
    ExpiredLifetime,
    /// A new session: the value does not open (forged, cut, of another pool, or sealed with a key not held).
    Invalid,
    /// A new session: the application's id is one that homing did not see made. Every node places it alike.
    Unknown,
    /// Moved: the pin names a backend that this pool does not have (any more).
    Removed,
    /// Moved: the pin's backend is down.
    Down,
    /// Moved: the pin's backend is in maintenance.
    Maint,
    /// Moved: the drain of the pin's backend is over, or over for sessions that pause as long as this one did.
    Drained,
    /// Moved: the pin's backend has no room.
    Full,
    /// Moved: the pin's backend did not accept the connection or broke before it answered.
    Unreachable,
    /// Moved: back to its first home.
    Returned,
    /// As [`Self::Removed`], and the pin stays as it is.
    BorrowedRemoved,
    /// As [`Self::Down`], and the pin stays as it is.
    BorrowedDown,
    /// As [`Self::Maint`], and the pin stays as it is.
    BorrowedMaint,
    /// As [`Self::Drained`], and the pin stays as it is.
    BorrowedDrained,
    /// As [`Self::Full`], and the pin stays as it is.
    BorrowedFull,
    /// As [`Self::Unreachable`], and the pin stays as it is.
    BorrowedUnreachable,
    /// Refused: the pin's backend cannot be used and the pool does not let its sessions move.
    Strict,
    /// Refused: no backend could be used.
    NoBackend,
    /// homing answered before a pool was asked.
    Bypass,
}

impl Why {
    /// Every reason, in declaration order, for tables of counters.
    pub const ALL: [Self; 25] = [
        Self::Balanced,
        Self::New,
        Self::Followed,
        Self::Pinned,
        Self::Refreshed,
        Self::ExpiredIdle,
        Self::ExpiredLifetime,
        Self::Invalid,
        Self::Unknown,
        Self::Removed,
        Self::Down,
        Self::Maint,
        Self::Drained,
        Self::Full,
        Self::Unreachable,
        Self::Returned,
        Self::BorrowedRemoved,
        Self::BorrowedDown,
        Self::BorrowedMaint,
        Self::BorrowedDrained,
        Self::BorrowedFull,
        Self::BorrowedUnreachable,
        Self::Strict,
        Self::NoBackend,
        Self::Bypass,
    ];

    /// The reason as one stable word. Together with [`Self::result`] it is this reason's alone.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Balanced => "balanced",
            Self::New => "new",
            Self::Followed => "followed",
            Self::Pinned => "pinned",
            Self::Refreshed => "refreshed",
            Self::ExpiredIdle => "expired_idle",
            Self::ExpiredLifetime => "expired_lifetime",
            Self::Invalid => "invalid",
            Self::Unknown => "unknown",
            Self::Removed | Self::BorrowedRemoved => "removed",
            Self::Down | Self::BorrowedDown => "down",
            Self::Maint | Self::BorrowedMaint => "maint",
            Self::Drained | Self::BorrowedDrained => "drained",
            Self::Full | Self::BorrowedFull => "full",
            Self::Unreachable | Self::BorrowedUnreachable => "unreachable",
            Self::Returned => "returned",
            Self::Strict => "strict",
            Self::NoBackend => "no_backend",
            Self::Bypass => "bypass",
        }
    }

    /// What it means for the session: `hit`, `new`, `moved`, `borrowed`, `broken` or `none`.
    #[must_use]
    pub const fn result(self) -> &'static str {
        match self {
            Self::Pinned | Self::Refreshed => "hit",
            Self::New
            | Self::Followed
            | Self::ExpiredIdle
            | Self::ExpiredLifetime
            | Self::Invalid
            | Self::Unknown => "new",
            Self::Removed
            | Self::Down
            | Self::Maint
            | Self::Drained
            | Self::Full
            | Self::Unreachable
            | Self::Returned => "moved",
            Self::BorrowedRemoved
            | Self::BorrowedDown
            | Self::BorrowedMaint
            | Self::BorrowedDrained
            | Self::BorrowedFull
            | Self::BorrowedUnreachable => "borrowed",
            Self::Strict | Self::NoBackend => "broken",
            Self::Balanced | Self::Bypass => "none",
        }
    }

    /// The same cause, for a session that is only lent to another backend. What is no such cause stays.
    #[must_use]
    pub const fn borrowed(self) -> Self {
        match self {
            Self::Removed => Self::BorrowedRemoved,
            Self::Down => Self::BorrowedDown,
            Self::Maint => Self::BorrowedMaint,
            Self::Drained => Self::BorrowedDrained,
            Self::Full => Self::BorrowedFull,
            Self::Unreachable => Self::BorrowedUnreachable,
            other => other,
        }
    }

    /// Whether the session is lent to a backend that is not its home: its pin stays as it is.
    #[must_use]
    pub const fn is_borrowed(self) -> bool {
        matches!(
            self,
            Self::BorrowedRemoved
                | Self::BorrowedDown
                | Self::BorrowedMaint
                | Self::BorrowedDrained
                | Self::BorrowedFull
                | Self::BorrowedUnreachable
        )
    }

    /// Whether the session moved from one backend to another.
    #[must_use]
    pub const fn is_moved(self) -> bool {
        matches!(
            self,
            Self::Removed
                | Self::Down
                | Self::Maint
                | Self::Drained
                | Self::Full
                | Self::Unreachable
                | Self::Returned
        )
    }
}

/// What the request's pin says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pin {
    /// There is none.
    Free,
    /// It names this member.
    To(BackendIx),
    /// It cannot be used, and this is why: `ExpiredIdle`, `ExpiredLifetime`, `Invalid`, `Unknown` or
    /// `Removed`.
    Void(Why),
}

/// One request's session as read from its pin; settled once after the choice.
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Session {
    /// Where it belongs.
    pub pin: Pin,
    /// A random number that names the session and is kept over every re-issue.
    pub key: u64,
    /// When the session began.
    pub issued: UnixSeconds,
    /// When the pin presented was written; of a session without one, now.
    pub last_seen: UnixSeconds,
    /// Which node counted it as live at `last_seen`.
    pub boot: u32,
    /// Whether the pin is to be written again though its backend is the same.
    pub is_due: bool,
    /// A hash of the id of the backend a `Removed` pin names, for the second choice; else 0.
    pub lost: u64,
    /// Its first home, if it moved from there and is to go back. (see `return_home`)
    pub origin: Option<BackendIx>,
    /// The member on which node `boot` counted it at `last_seen`, if it is one still.
    pub counted_on: Option<BackendIx>,
    /// What told of it.
    pub by: By,
    /// What the table knows it by, if it is told by the application's id or kept by its own number.
    pub id: Option<Id>,
}

/// What told of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum By {
    /// Nothing.
    Nobody,
    /// The cookie.
    Cookie,
    /// The header.
    Header,
    /// The application's id, which was learned.
    Learned,
    /// The application's value, which names the backend.
    Route,
}

/// What the table knows a session by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Id {
    /// The digest of the application's id, or of the session's own number.
    pub digest: Digest,
    /// Whether it came in a header of its own: then a `DELETE` may end it.
    pub is_header: bool,
}

/// How long the sessions of a pool last, and who counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Terms {
    /// When a session is written again, and when it has ended.
    pub times: Times,
    /// A random number drawn by this node at its start: it takes back only what it counted itself.
    pub boot: u32,
}

impl Terms {
    /// Until when what is said of a session that began at `issued`, and is neither due nor over now, stays as it is:
    /// the end of the present slot, or of its lifetime.
    #[must_use]
    pub const fn settled_until(&self, issued: UnixSeconds, now: UnixSeconds) -> UnixSeconds {
        let slots = self.times.slots;
        let slot = slots.slot_of(now).saturating_add(1).saturating_mul(slots.length());
        let life = match self.lifetime() {
            Some(lifetime) => issued.0.saturating_add(lifetime).saturating_add(1),
            None => u32::MAX,
        };
        UnixSeconds(if slot < life { slot } else { life })
    }

    /// Sessions that end after `idle` without a request and after `lifetime` in any case; without that they last as
    /// long as they are used.
    ///
    /// # Errors
    /// A time below 1 s.
    pub fn try_new(idle: Duration, lifetime: Option<Duration>, boot: u32) -> Result<Self, CookieError> {
        if idle.as_secs() == 0 {
            return Err(CookieError::Idle);
        }
        if lifetime.is_some_and(|l| l.as_secs() == 0) {
            return Err(CookieError::Lifetime);
        }
        Ok(Self { times: Times::new(idle, lifetime), boot })
    }

    /// How long a session lasts at most, in seconds; `None`: as long as it is used.
    #[must_use]
    pub const fn lifetime(&self) -> Option<u32> {
        if self.times.lifetime == u32::MAX { None } else { Some(self.times.lifetime) }
    }

    /// Whether a session that began at `issued` is older than it may be.
    #[must_use]
    pub const fn is_over(&self, issued: UnixSeconds, now: UnixSeconds) -> bool {
        now.saturating_since(issued) > self.times.lifetime
    }
}

impl Session {
    /// A session that begins now. `key` is a random number.
    pub const fn begin(key: u64, now: UnixSeconds) -> Self {
        Self {
            pin: Pin::Free,
            key,
            issued: now,
            last_seen: now,
            boot: 0,
            is_due: false,
            lost: 0,
            origin: None,
            counted_on: None,
            by: By::Nobody,
            id: None,
        }
    }

    /// A session that begins now because the pin presented could not be used.
    pub const fn void(why: Why, key: u64, now: UnixSeconds) -> Self {
        Self { pin: Pin::Void(why), ..Self::begin(key, now) }
    }

    /// Whether a pin is to be written once `chosen` has answered: it is new, changed or due.
    #[must_use]
    pub fn needs_pin(&self, chosen: BackendIx) -> bool {
        self.is_due || self.pin != Pin::To(chosen)
    }

    /// Counts it live on `chosen` from now: to be called once where a pin, or the table, is written for it. `members`
    /// must be those that it was read with, `boot` this node's number.
    ///
    /// A session that this node counted is moved from its old backend and slot; one that is new or was counted by
    /// another node is added, and what that node counted dies there with its slot.
    pub fn count(&self, boot: u32, members: &Members, chosen: BackendIx, worker: usize, now: UnixSeconds) {
        let to = &members.get(chosen).sessions;
        match self.counted_on.filter(|_| self.boot == boot) {
            Some(from) if from == chosen => to.refresh(worker, self.last_seen, now),
            Some(from) => {
                members.get(from).sessions.end(worker, self.last_seen, now);
                to.begin(worker, now);
            }
            None => to.begin(worker, now),
        }
    }

    /// Counts it live no more: it was ended.
    pub fn uncount(&self, boot: u32, members: &Members, worker: usize, now: UnixSeconds) {
        if let Some(from) = self.counted_on.filter(|_| self.boot == boot) {
            members.get(from).sessions.end(worker, self.last_seen, now);
        }
    }

    /// The first home that a pin to `chosen` has to remember, so that the session can go back; `None` at home.
    #[must_use]
    pub fn origin_after(&self, chosen: BackendIx) -> Option<BackendIx> {
        let home = match self.pin {
            Pin::To(home) => Some(home),
            Pin::Free | Pin::Void(_) => None,
        };
        self.origin.or(home).filter(|origin| *origin != chosen)
    }
}
