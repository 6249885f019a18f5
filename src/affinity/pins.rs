//! Pins in the client's own keeping, of one pool and under one name: sealed, opened, and judged.
//!
//! A cookie and a header carry the same pins; only where they stand differs. Idle time and lifetime are enforced by
//! what is sealed, whatever the client does.

use std::sync::Arc;

use super::opened::{Binding, OpenedCache};
use super::seal::{Aad, MAX_TEXT, Nonces, Scratch, SealError, SealKeys, Sealed};
use super::{Pin, Session, Terms, Why};
use crate::backend::members::Members;
use crate::base::hash::{hash64, hash64_seeded};
use crate::base::time::UnixSeconds;

/// How far a pin's times may lie ahead, in seconds: clocks of nodes differ, and one that ran ahead must not cost all
/// its clients their sessions when it is set right. What lies further ahead is `Invalid`. (HAProxy: 24 h)
pub const MAX_AHEAD: u32 = 24 * 60 * 60;

/// Seals and opens the pins of one pool under one name.
#[derive(Debug)]
pub struct Pins {
    terms: Terms,
    renewal: Renewal,
    keys: Arc<SealKeys>,
    aad: Aad,
    binding: Binding,
}

/// Whether a pin can be written again while it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Renewal {
    /// It is, once a slot: one that was not written for longer than `idle` has ended.
    Ours,
    /// Only when the application says so: the pin does not tell when it was used last, and idle time ends none.
    Theirs,
}

impl Pins {
    /// Pins of this pool under this name.
    #[must_use]
    pub fn new(pool: &str, name: &str, keys: Arc<SealKeys>, terms: Terms, renewal: Renewal) -> Self {
        let aad = Aad::new(pool, name);
        let bound = [aad.as_bytes(), &keys.fingerprint()].concat();
        let binding = Binding([hash64(&bound), hash64_seeded(&bound, 1)]);
        Self { terms, renewal, keys, aad, binding }
    }

    /// The session that one value tells: pinned to a member, or void for `Removed`, `ExpiredIdle`, `ExpiredLifetime` or
    /// `Invalid`. `fresh` is a random number: the key of the session if it is a new one.
    pub fn read(
        &self,
        text: &[u8],
        members: &Members,
        now: UnixSeconds,
        cache: &mut OpenedCache,
        fresh: u64,
    ) -> Session {
        if text.len() > MAX_TEXT {
            return Session::void(Why::Invalid, fresh, now);
        }
        if let Some(sealed) = cache.get(self.binding, text) {
            return self.judge(&sealed, members, now, fresh);
        }
        let mut scratch = Scratch::new();
        let Some(sealed) = self.keys.open(&self.aad, text, &mut scratch) else {
            return Session::void(Why::Invalid, fresh, now);
        };
        cache.put(self.binding, text, &sealed);
        self.judge(&sealed, members, now, fresh)
    }

    /// What they are sealed with.
    #[must_use]
    pub const fn keys(&self) -> &Arc<SealKeys> {
        &self.keys
    }

    /// What they are bound to.
    #[must_use]
    pub const fn aad(&self) -> &Aad {
        &self.aad
    }

    /// How long their sessions last.
    #[must_use]
    pub const fn terms(&self) -> Terms {
        self.terms
    }

    /// Appends the pin of `session` to `backend`, written now; it remembers the backend `origin` as the session's first
    /// home.
    ///
    /// # Errors
    /// The pin cannot be sealed; `out` is as it was.
    pub fn write(
        &self,
        session: &Session,
        backend: &str,
        origin: Option<&str>,
        now: UnixSeconds,
        nonces: &mut Nonces,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let (session, issued, boot) = (session.key, session.issued, self.terms.boot);
        let sealed = Sealed { backend, origin, session, issued, last_seen: now, boot };
        self.keys.seal(&self.aad, &sealed, nonces, out)
    }

    /// What an authentic pin is worth now.
    fn judge(&self, sealed: &Sealed<'_>, members: &Members, now: UnixSeconds, fresh: u64) -> Session {
        let Sealed { backend, origin, session: key, issued, last_seen, boot } = *sealed;
        if issued.saturating_since(now) > MAX_AHEAD || last_seen.saturating_since(now) > MAX_AHEAD {
            return Session::void(Why::Invalid, fresh, now);
        }
        if self.renewal == Renewal::Ours && !self.terms.times.slots.is_live(last_seen, now) {
            return Session::void(Why::ExpiredIdle, fresh, now);
        }
        let member = members.find(backend);
        if self.terms.is_over(issued, now) {
            let void = Session::void(Why::ExpiredLifetime, fresh, now);
            return Session { counted_on: member, last_seen, boot, ..void };
        }
        let (pin, lost) = match member {
            Some(ix) => (Pin::To(ix), 0),
            None => (Pin::Void(Why::Removed), hash64(backend.as_bytes())),
        };
        let is_due = self.terms.times.slots.is_due(last_seen, now);
        let (issued, origin) = (issued.min(now), origin.and_then(|id| members.find(id)));
        Session {
            pin,
            key,
            issued,
            last_seen,
            boot,
            is_due,
            lost,
            origin,
            counted_on: member,
            ..Session::begin(key, now)
        }
    }
}
