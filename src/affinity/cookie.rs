//! The cookie in which the client carries its pin: read before the choice, stripped from the request, written after.
//!
//! The first *valid* value wins, over every `Cookie` line: a cookie tossed in from a neighbouring host cannot unseat a
//! session. A value that cannot be used makes a new session and a reason, never an error. Idle time and lifetime are
//! enforced by what is sealed in the value, whatever the browser does.

use std::sync::Arc;
use std::time::Duration;

use memchr::memmem::Finder;
use memchr::memrchr;

use super::attributes::{Attributes, CookieError};
use super::caching::Cacheable;
use super::opened::{Binding, OpenedCache};
use super::pairs::{pair, segments, values};
use super::seal::{Aad, MAX_TEXT, Nonces, Scratch, SealError, SealKeys, Sealed};
use super::{Pin, Session, Why};
use crate::backend::BackendIx;
use crate::backend::members::Members;
use crate::backend::sessions::Slots;
use crate::base::hash::{hash64, hash64_seeded};
use crate::base::time::UnixSeconds;

/// Values of our name that are looked at in one request; what follows them is not read.
pub const MAX_VALUES: usize = 16;
/// How far a pin's times may lie ahead, in seconds: clocks of nodes differ, and one that ran ahead must not cost all
/// its clients their sessions when it is set right. What lies further ahead is `Invalid`. (HAProxy: 24 h)
pub const MAX_AHEAD: u32 = 24 * 60 * 60;

/// What a pool's cookie is to be.
#[derive(Clone, Debug)]
pub struct CookieSettings {
    /// The pool's name, to which pins are bound.
    pub pool: String,
    /// The cookie's name.
    pub name: String,
    /// How long a session lasts without a request; at least 1 s.
    pub idle: Duration,
    /// How long a session lasts at most; none: as long as it is used.
    pub lifetime: Option<Duration>,
    /// What follows the value.
    pub attributes: Attributes,
    /// What is done on answers that shared caches may store.
    pub cacheable: Cacheable,
    /// What pins are sealed with.
    pub keys: Arc<SealKeys>,
    /// A random number drawn by this node at its start: it takes back only what it counted itself.
    pub boot: u32,
}

/// One pool's cookie.
#[derive(Debug)]
pub struct CookieAffinity {
    name: Box<str>,
    finder: Finder<'static>,
    slots: Slots,
    lifetime: u32,
    /// Everything behind the value: `; Path=/; ..`.
    suffix: Box<[u8]>,
    cacheable: Cacheable,
    keys: Arc<SealKeys>,
    aad: Aad,
    binding: Binding,
    boot: u32,
}

/// What is left of a `Cookie` line without our pairs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stripped {
    /// None was in it: nothing was written, the line goes on as it is.
    Unchanged,
    /// What was written takes its place.
    Changed,
    /// Nothing is left: the line is to be dropped.
    Empty,
}

impl CookieAffinity {
    /// A cookie as set.
    ///
    /// # Errors
    /// A setting for which browsers would drop the cookie, or a time below 1 s.
    pub fn try_new(settings: CookieSettings) -> Result<Self, CookieError> {
        let CookieSettings { pool, name, idle, lifetime, attributes, cacheable, keys, boot } = settings;
        attributes.check(&name)?;
        if idle.as_secs() == 0 {
            return Err(CookieError::Idle);
        }
        if lifetime.is_some_and(|l| l.as_secs() == 0) {
            return Err(CookieError::Lifetime);
        }
        let mut suffix = Vec::new();
        attributes.write(&mut suffix);
        let aad = Aad::new(&pool, &name);
        let bound = [aad.as_bytes(), &keys.fingerprint()].concat();
        Ok(Self {
            finder: Finder::new(&name).into_owned(),
            slots: Slots::new(idle),
            lifetime: lifetime.map_or(u32::MAX, |l| u32::try_from(l.as_secs()).unwrap_or(u32::MAX)),
            suffix: suffix.into(),
            binding: Binding([hash64(&bound), hash64_seeded(&bound, 1)]),
            name: name.into(),
            cacheable,
            keys,
            aad,
            boot,
        })
    }

    /// The cookie's name.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// What its pins are sealed with.
    #[must_use]
    pub const fn keys(&self) -> &Arc<SealKeys> {
        &self.keys
    }

    /// How idle time is told.
    #[must_use]
    pub const fn slots(&self) -> Slots {
        self.slots
    }

    /// How long a session lasts at most, in seconds; `None`: as long as it is used.
    #[must_use]
    pub const fn lifetime(&self) -> Option<u32> {
        if self.lifetime == u32::MAX { None } else { Some(self.lifetime) }
    }

    /// What is done on answers that shared caches may store.
    #[must_use]
    pub const fn cacheable(&self) -> Cacheable {
        self.cacheable
    }

    /// The session that the request's `Cookie` lines tell. `fresh` is a random number: the key of the session if it
    /// is a new one.
    ///
    /// The first valid value wins: one that opens, is in time, and names a member. If there is none, the pin is void
    /// for the reason nearest to valid: `Removed`, then `ExpiredIdle`, `ExpiredLifetime`, `Invalid`; of equals the
    /// first. Values after the [`MAX_VALUES`]th are not read. Without any value of our name the pin is `Free`.
    pub fn read<'h>(
        &self,
        cookies: impl Iterator<Item = &'h [u8]>,
        members: &Members,
        now: UnixSeconds,
        cache: &mut OpenedCache,
        fresh: u64,
    ) -> Session {
        let mut best = Session::begin(fresh, now);
        for value in cookies.flat_map(|line| self.values(line)).take(MAX_VALUES) {
            let session = self.open(value, members, now, cache, fresh);
            match session.pin {
                Pin::To(_) => return session,
                Pin::Void(_) | Pin::Free => {}
            }
            if rank(session.pin) > rank(best.pin) {
                best = session;
            }
        }
        best
    }

    /// Appends to `out` what is left of a `Cookie` line without our pairs: every other byte as it was, less the blanks
    /// in front if the first pair was ours.
    pub fn strip(&self, line: &[u8], out: &mut Vec<u8>) -> Stripped {
        if self.values(line).next().is_none() {
            return Stripped::Unchanged;
        }
        let start = out.len();
        let kept = segments(line).enumerate().filter(|(_, s)| !self.is_ours(s));
        for (n, (place, segment)) in kept.enumerate() {
            if n > 0 {
                out.push(b';');
            }
            let is_moved_up = n == 0 && place > 0;
            let is_blank = |b: &&u8| is_moved_up && matches!(b, b' ' | b'\t');
            let blanks = segment.iter().take_while(is_blank).count();
            out.extend_from_slice(segment.get(blanks..).unwrap_or_default());
        }
        if out.iter().skip(start).all(|b| b" \t;".contains(b)) {
            out.truncate(start);
            return Stripped::Empty;
        }
        Stripped::Changed
    }

    /// Appends the value of the `Set-Cookie` that pins `session` to `backend`, written now; it remembers the backend
    /// `origin` as the session's first home.
    ///
    /// # Errors
    /// The pin cannot be sealed; `out` is as it was, and the answer goes out without it.
    pub fn set_cookie(
        &self,
        session: &Session,
        backend: &str,
        origin: Option<&str>,
        now: UnixSeconds,
        nonces: &mut Nonces,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let (start, issued) = (out.len(), session.issued);
        let (session, boot) = (session.key, self.boot);
        let sealed = Sealed { backend, origin, session, issued, last_seen: now, boot };
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        if let Err(error) = self.keys.seal(&self.aad, &sealed, nonces, out) {
            out.truncate(start);
            return Err(error);
        }
        out.extend_from_slice(&self.suffix);
        Ok(())
    }

    /// Whether this `Set-Cookie` value, written by an application, sets a cookie of our name. Such a one is to be
    /// dropped: it would unseat the session.
    #[must_use]
    pub fn is_own_set_cookie(&self, value: &[u8]) -> bool {
        segments(value).next().is_some_and(|s| self.is_ours(s))
    }

    /// Counts a session whose pin to `chosen` is being written. To be called once per pin written; where none is due
    /// it counts nothing. `members` must be those that the session was read with.
    ///
    /// A session that this node counted is moved from its old backend and slot; one that is new or was counted by
    /// another node is added, and what that node counted dies there with its slot.
    pub fn count(
        &self,
        session: &Session,
        members: &Members,
        chosen: BackendIx,
        worker: usize,
        now: UnixSeconds,
    ) {
        if !session.needs_pin(chosen) {
            return;
        }
        let to = &members.get(chosen).sessions;
        match session.counted_on.filter(|_| session.boot == self.boot) {
            Some(from) if from == chosen => to.refresh(worker, session.last_seen, now),
            Some(from) => {
                members.get(from).sessions.end(worker, session.last_seen, now);
                to.begin(worker, now);
            }
            None => to.begin(worker, now),
        }
    }

    /// The values of our name in a line. Whatever stands before the name's first occurrence is not split.
    fn values<'l>(&self, line: &'l [u8]) -> impl Iterator<Item = &'l [u8]> {
        let found = self.finder.find(line).and_then(|at| {
            let start = memrchr(b';', line.get(..at)?).map_or(0, |i| i + 1);
            line.get(start..)
        });
        found.into_iter().flat_map(|rest| values(rest, self.name.as_bytes()))
    }

    fn is_ours(&self, segment: &[u8]) -> bool {
        pair(segment).is_some_and(|(name, _)| name == self.name.as_bytes())
    }

    fn open(
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

    /// What an authentic pin is worth now.
    fn judge(&self, sealed: &Sealed<'_>, members: &Members, now: UnixSeconds, fresh: u64) -> Session {
        let Sealed { backend, origin, session: key, issued, last_seen, boot } = *sealed;
        if issued.saturating_since(now) > MAX_AHEAD || last_seen.saturating_since(now) > MAX_AHEAD {
            return Session::void(Why::Invalid, fresh, now);
        }
        if !self.slots.is_live(last_seen, now) {
            return Session::void(Why::ExpiredIdle, fresh, now);
        }
        let member = members.find(backend);
        if now.saturating_since(issued) > self.lifetime {
            let void = Session::void(Why::ExpiredLifetime, fresh, now);
            return Session { counted_on: member, last_seen, boot, ..void };
        }
        let (pin, lost) = match member {
            Some(ix) => (Pin::To(ix), 0),
            None => (Pin::Void(Why::Removed), hash64(backend.as_bytes())),
        };
        let is_due = self.slots.is_due(last_seen, now);
        let (issued, origin) = (issued.min(now), origin.and_then(|id| members.find(id)));
        Session { pin, key, issued, last_seen, boot, is_due, lost, origin, counted_on: member }
    }
}

/// How near to valid: higher is nearer.
const fn rank(pin: Pin) -> u8 {
    match pin {
        Pin::To(_) => 5,
        Pin::Void(Why::Removed) => 4,
        Pin::Void(Why::ExpiredIdle) => 3,
        Pin::Void(Why::ExpiredLifetime) => 2,
        Pin::Void(_) => 1,
        Pin::Free => 0,
    }
}

#[cfg(test)]
#[path = "cookie_tests.rs"]
mod tests;
