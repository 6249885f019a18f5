//! The cookie in which the client carries its pin: read before the choice, stripped from the request, written after.
//!
//! The first *valid* value wins, over every `Cookie` line: a cookie tossed in from a neighbouring host cannot unseat a
//! session. A value that cannot be used makes a new session and a reason, never an error.
//!
//! [`Style`] says whose cookie it is: homing's own, or one that the application sets and homing puts its pin into.
//! (HAProxy: `cookie NAME insert|rewrite|prefix`)

use std::sync::Arc;
use std::time::Duration;

use memchr::memchr;
use memchr::memmem::Finder;

use super::attributes::{Attributes, CookieError, Secure};
use super::opened::OpenedCache;
use super::pairs::{pair, segments};
use super::pins::{Pins, Renewal};
use super::seal::{MIN_TEXT, Nonces, SealError, SealKeys};
use super::set_cookie::SetCookie;
use super::sources::cookie_values;
use super::{By, Pin, Session, Terms, Why};
use crate::backend::members::Members;
use crate::base::time::UnixSeconds;

/// Values of our name that are looked at in one request; what follows them is not read.
pub const MAX_VALUES: usize = 16;

/// Between a pin and the application's value, in the style `prefix`: no letter of a pin. (HAProxy has the same)
const DELIMITER: u8 = b'~';

/// What a pool's cookie is to be.
#[derive(Clone, Debug)]
pub struct CookieSettings {
    /// The pool's name, to which pins are bound.
    pub pool: String,
    /// The cookie's name.
    pub name: String,
    /// Whose cookie it is.
    pub style: Style,
    /// The application may set and delete the cookie too, and then homing does not. (HAProxy: preserve)
    pub preserve: bool,
    /// The cookie is set on answers to POST alone. (HAProxy: postonly)
    pub post_only: bool,
    /// How long a session lasts without a request; at least 1 s.
    pub idle: Duration,
    /// How long a session lasts at most; none: as long as it is used.
    pub lifetime: Option<Duration>,
    /// What follows the value.
    pub attributes: Attributes,
    /// What pins are sealed with.
    pub keys: Arc<SealKeys>,
    /// A random number drawn by this node at its start: it takes back only what it counted itself.
    pub boot: u32,
}

/// Whose cookie it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// homing's: backends do not see it.
    #[default]
    Insert,
    /// The application's, which sets it to anything: the pin takes the place of its value, and is what backends see.
    Rewrite,
    /// The application's: the pin and a `~` stand before its value, and are taken out of requests.
    Prefix,
}

/// One pool's cookie.
#[derive(Debug)]
pub struct CookieAffinity {
    name: Box<str>,
    finder: Finder<'static>,
    style: Style,
    preserve: bool,
    post_only: bool,
    /// Everything behind the value: `; Path=/; ..`.
    suffix: Box<[u8]>,
    /// The same for a value that is to be deleted.
    deletion: Box<[u8]>,
    secure: Secure,
    pins: Pins,
}

/// What becomes of a `Set-Cookie` of our name that an application wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Theirs {
    /// It goes on as it is.
    Kept,
    /// It is left out: it would unseat the session.
    Dropped,
    /// The pin is put into it.
    Pinned,
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
        let CookieSettings { pool, name, style, preserve, post_only, idle, lifetime, attributes, .. } =
            settings;
        attributes.check(&name)?;
        let terms = Terms::try_new(idle, lifetime, settings.boot)?;
        let renewal = if style == Style::Insert { Renewal::Ours } else { Renewal::Theirs };
        let secure = attributes.secure;
        let (mut suffix, mut deletion) = (Vec::new(), b"; Max-Age=0".to_vec());
        attributes.write(&mut suffix);
        Attributes { max_age: None, ..attributes }.write(&mut deletion);
        Ok(Self {
            finder: Finder::new(&name).into_owned(),
            style,
            preserve,
            post_only,
            suffix: suffix.into(),
            deletion: deletion.into(),
            secure,
            pins: Pins::new(&pool, &name, settings.keys, terms, renewal),
            name: name.into(),
        })
    }

    /// Whether it is sent over TLS only.
    #[must_use]
    pub const fn secure(&self) -> Secure {
        self.secure
    }

    /// The cookie's name.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// Its pins.
    #[must_use]
    pub const fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Whose cookie it is.
    #[must_use]
    pub const fn style(&self) -> Style {
        self.style
    }

    /// Whether the application may set it too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        self.preserve || self.style != Style::Insert
    }

    /// Whether a pin may go out on an answer to this method.
    #[must_use]
    pub fn may_set(&self, method: &str) -> bool {
        !self.post_only || method == "POST"
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
            let Some(pin) = self.pin_of(value) else { continue };
            let session = Session { by: By::Cookie, ..self.pins.read(pin, members, now, cache, fresh) };
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
    /// in front if the first pair was ours. A cookie of the application's stays; a pin before its value does not.
    pub fn strip(&self, line: &[u8], out: &mut Vec<u8>) -> Stripped {
        match self.style {
            Style::Rewrite => return Stripped::Unchanged,
            Style::Prefix => return self.strip_pins(line, out),
            Style::Insert if self.values(line).next().is_none() => return Stripped::Unchanged,
            Style::Insert => {}
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
        let start = out.len();
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        self.pins.write(session, backend, origin, now, nonces, out).inspect_err(|_| out.truncate(start))?;
        out.extend_from_slice(&self.suffix);
        Ok(())
    }

    /// Appends the pin of `session` to `backend`, written now, for [`Self::set_theirs`].
    ///
    /// # Errors
    /// As [`Self::set_cookie`].
    pub fn pin(
        &self,
        session: &Session,
        backend: &str,
        origin: Option<&str>,
        now: UnixSeconds,
        nonces: &mut Nonces,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        self.pins.write(session, backend, origin, now, nonces, out)
    }

    /// Appends the application's own `Set-Cookie` value with `pin` in it.
    pub fn set_theirs(&self, theirs: &SetCookie<'_>, pin: &[u8], out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(pin);
        if self.style == Style::Prefix {
            out.push(DELIMITER);
            out.extend_from_slice(theirs.value);
        }
        out.extend_from_slice(theirs.rest);
    }

    /// Appends the value of the `Set-Cookie` that takes the pin back.
    pub fn delete(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.push(b'=');
        out.extend_from_slice(&self.deletion);
    }

    /// Whether this `Set-Cookie` value, written by an application, sets a cookie of our name.
    #[must_use]
    pub fn is_own_set_cookie(&self, value: &[u8]) -> bool {
        segments(value).next().is_some_and(|s| self.is_ours(s))
    }

    /// What becomes of a `Set-Cookie` of our name that an application wrote; one that deletes the cookie stays as it
    /// is wherever the application may set it.
    #[must_use]
    pub fn fate_of(&self, theirs: &SetCookie<'_>, now: UnixSeconds) -> Theirs {
        match self.style {
            Style::Insert if self.preserve => Theirs::Kept,
            Style::Insert => Theirs::Dropped,
            Style::Rewrite | Style::Prefix if theirs.deletes(now) => Theirs::Kept,
            Style::Rewrite | Style::Prefix => Theirs::Pinned,
        }
    }

    /// What of a value is the pin; `None` for an application's value that has none in front.
    #[must_use]
    pub fn pin_of<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        if self.style != Style::Prefix {
            return Some(value);
        }
        let pin = value.get(..memchr(DELIMITER, value)?)?;
        let is_letter = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
        (pin.len() >= MIN_TEXT && pin.iter().all(is_letter)).then_some(pin)
    }

    /// Appends a `Cookie` line without the pins in front of our values.
    fn strip_pins(&self, line: &[u8], out: &mut Vec<u8>) -> Stripped {
        if !self.values(line).any(|value| self.pin_of(value).is_some()) {
            return Stripped::Unchanged;
        }
        for (n, segment) in segments(line).enumerate() {
            if n > 0 {
                out.push(b';');
            }
            let ours = pair(segment).filter(|(name, _)| *name == self.name.as_bytes());
            match ours.and_then(|(_, value)| Some((value, self.pin_of(value)?))) {
                Some((value, pin)) => {
                    let blanks = segment.iter().take_while(|b| matches!(b, b' ' | b'\t')).count();
                    out.extend_from_slice(segment.get(..blanks).unwrap_or_default());
                    out.extend_from_slice(self.name.as_bytes());
                    out.push(b'=');
                    out.extend_from_slice(value.get(pin.len() + 1..).unwrap_or_default());
                }
                None => out.extend_from_slice(segment),
            }
        }
        Stripped::Changed
    }

    /// The values of our name in a line.
    fn values<'l>(&'l self, line: &'l [u8]) -> impl Iterator<Item = &'l [u8]> {
        cookie_values(line, &self.name, &self.finder)
    }

    fn is_ours(&self, segment: &[u8]) -> bool {
        pair(segment).is_some_and(|(name, _)| name == self.name.as_bytes())
    }
}

/// How near to valid: higher is nearer.
pub(super) const fn rank(pin: Pin) -> u8 {
    match pin {
        Pin::To(_) => 6,
        Pin::Void(Why::Removed) => 5,
        Pin::Void(Why::ExpiredIdle) => 4,
        Pin::Void(Why::ExpiredLifetime) => 3,
        Pin::Void(Why::Unknown) => 2,
        Pin::Void(_) => 1,
        Pin::Free => 0,
    }
}

#[cfg(test)]
#[path = "cookie_tests.rs"]
mod tests;
