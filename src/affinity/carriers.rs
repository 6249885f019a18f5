//! One pool's affinity: what carries its sessions, in order, and what a request's carriers tell.
//!
//! | mode     | the session is told by                          | and renewed by                    |
//! |----------|-------------------------------------------------|-----------------------------------|
//! | `cookie` | homing's pin in a cookie                        | another `Set-Cookie`              |
//! | `header` | homing's pin in a header                        | another header                    |
//! | `learn`  | an id that the application was seen to make     | an entry of the table             |
//! | `route`  | a value of the application's names the backend  | an entry of the table, to count it|
//!
//! The first carrier that tells a backend wins. [`Affinity::settle`] is the other half.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::caching::Cacheable;
use super::cookie::{CookieAffinity, Style, rank};
use super::header::HeaderAffinity;
use super::kept::Kept;
use super::key::KeyFacts;
use super::opened::OpenedCache;
use super::routed::Routed;
use super::sources::{Create, Lookup, MAX_ID};
use super::{By, Id, Pin, Session, Terms, Why};
use crate::backend::members::Members;
use crate::base::hash::hash64;
use crate::base::time::UnixSeconds;

/// What keeps the clients of one pool with their backends.
#[derive(Debug)]
pub struct Affinity {
    pub(super) parts: Parts,
    begins_together: bool,
    /// Ids that were too long to be looked at.
    long_ids: AtomicU64,
}

/// What an [`Affinity`] is made of. What a mode in `modes` needs must be there; what none needs is not used.
#[derive(Debug)]
pub struct Parts {
    /// In the order in which they are asked; each at most once.
    pub modes: Vec<Mode>,
    /// The name of the preset that it was made from.
    pub preset: Option<&'static str>,
    /// How long sessions last.
    pub terms: Terms,
    /// What is done with pins on answers that shared caches may store.
    pub cacheable: Cacheable,
    /// Of `cookie`.
    pub cookie: Option<CookieAffinity>,
    /// Of `header`.
    pub header: Option<HeaderAffinity>,
    /// Where `learn` and `route` look, in order.
    pub lookup: Vec<Lookup>,
    /// What `learn` learns from.
    pub create: Vec<Create>,
    /// Of `route`.
    pub routed: Option<Routed>,
    /// The table: of `learn` and `route`, and of a cookie that is the application's.
    pub kept: Option<Kept>,
}

/// One way to carry sessions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// homing's pin in a cookie.
    Cookie,
    /// homing's pin in a header.
    Header,
    /// The application's id, learned from its answers.
    Learn,
    /// The application's value, which names the backend.
    Route,
}

/// What reading a session needs beside the request.
#[derive(Debug)]
pub struct Reading<'a> {
    /// The pool's members.
    pub members: &'a Members,
    /// The time.
    pub now: UnixSeconds,
    /// This worker's opened pins.
    pub cache: &'a mut OpenedCache,
    /// A random number: the key of the session if it is a new one.
    pub fresh: u64,
}

impl Mode {
    /// Every mode.
    pub const ALL: [Self; 4] = [Self::Cookie, Self::Header, Self::Learn, Self::Route];

    /// As the configuration writes it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::Header => "header",
            Self::Learn => "learn",
            Self::Route => "route",
        }
    }
}

impl Affinity {
    /// An affinity of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let is_in_cookie = |create: &Create| matches!(create, Create::Cookie(_));
        let begins_together = parts.modes != [Mode::Learn] || parts.create.iter().any(is_in_cookie);
        Self { parts, begins_together, long_ids: AtomicU64::new(0) }
    }

    /// The modes, in the order in which they are asked.
    #[must_use]
    pub fn modes(&self) -> &[Mode] {
        &self.parts.modes
    }

    /// The modes as text, as in `cookie, header`.
    #[must_use]
    pub fn to_text(&self) -> String {
        self.parts.modes.iter().map(|m| m.as_str()).collect::<Vec<_>>().join(", ")
    }

    /// Whether requests that a client sends before it has a session are to begin one together. Each answer with an id
    /// in a header or a body begins one of its own.
    #[must_use]
    pub const fn begins_together(&self) -> bool {
        self.begins_together
    }

    /// The name of the preset that it was made from.
    #[must_use]
    pub const fn preset(&self) -> Option<&'static str> {
        self.parts.preset
    }

    /// The cookie that carries pins.
    #[must_use]
    pub const fn cookie(&self) -> Option<&CookieAffinity> {
        self.parts.cookie.as_ref()
    }

    /// The header that carries pins.
    #[must_use]
    pub const fn header(&self) -> Option<&HeaderAffinity> {
        self.parts.header.as_ref()
    }

    /// The sessions that are kept in a table.
    #[must_use]
    pub const fn kept(&self) -> Option<&Kept> {
        self.parts.kept.as_ref()
    }

    /// Where requests have the application's ids.
    #[must_use]
    pub fn lookup(&self) -> &[Lookup] {
        &self.parts.lookup
    }

    /// Ids that were longer than [`MAX_ID`] and were not looked at.
    #[must_use]
    pub fn long_ids(&self) -> u64 {
        self.long_ids.load(Relaxed)
    }

    /// The session that a request tells: of the first carrier that tells a backend. If there is none, the pin is void
    /// for the reason nearest to valid: `Removed`, then `ExpiredIdle`, `ExpiredLifetime`, `Unknown`, `Invalid`.
    pub fn read<F: KeyFacts>(&self, facts: &F, mut reading: Reading<'_>) -> Session {
        let mut best = Session::begin(reading.fresh, reading.now);
        for mode in &self.parts.modes {
            let session = match mode {
                Mode::Cookie => self.of_cookie(facts, &mut reading),
                Mode::Header => self.of_header(facts, &mut reading),
                Mode::Learn => self.of_id(facts, &reading),
                Mode::Route => self.of_route(facts, &reading),
            };
            let Some(session) = session else { continue };
            let is_found = matches!(session.pin, Pin::To(_));
            if is_found || rank(session.pin) > rank(best.pin) {
                best = session;
            }
            if is_found {
                break;
            }
        }
        // What an application ends or replaces is looked for also where a pin was found first.
        if matches!(best.by, By::Cookie | By::Header) && !self.parts.create.is_empty() {
            best.id = self.first_id(facts);
        }
        best
    }

    fn of_cookie<F: KeyFacts>(&self, facts: &F, reading: &mut Reading<'_>) -> Option<Session> {
        let cookie = self.parts.cookie.as_ref()?;
        let &mut Reading { members, now, ref mut cache, fresh } = reading;
        let session = cookie.read(facts.cookies(), members, now, cache, fresh);
        let Some(kept) = self.parts.kept.as_ref().filter(|_| cookie.style() != Style::Insert) else {
            return Some(session);
        };
        if !matches!(session.pin, Pin::To(_) | Pin::Void(Why::Removed)) {
            return Some(session);
        }
        // The application's cookie may be old: where the session is now, the table says.
        Some(kept.beside(session, kept.digest_of(session.key), now))
    }

    fn of_header<F: KeyFacts>(&self, facts: &F, reading: &mut Reading<'_>) -> Option<Session> {
        let header = self.parts.header.as_ref()?;
        let &mut Reading { members, now, ref mut cache, fresh } = reading;
        Some(header.read(facts.header(header.name()), members, now, cache, fresh))
    }

    /// The session of the first id that is known. One that is not may be another node's: it is placed by its hash, as
    /// every node would.
    fn of_id<F: KeyFacts>(&self, facts: &F, reading: &Reading<'_>) -> Option<Session> {
        let kept = self.parts.kept.as_ref()?;
        let mut best: Option<Session> = None;
        for lookup in &self.parts.lookup {
            let is_header = matches!(lookup, Lookup::Header(_));
            let found = lookup.find(facts, |id| {
                let digest = self.is_id(id).then(|| kept.digest(id))?;
                let mut session = kept.read(id, digest, reading.now).unwrap_or_else(|| {
                    let void = Session::void(Why::Unknown, hash64(id), reading.now);
                    Session { by: By::Learned, id: Some(Id { digest, is_header }), ..void }
                });
                if let Some(id) = &mut session.id {
                    id.is_header = is_header;
                }
                if matches!(session.pin, Pin::To(_)) {
                    return Some(session);
                }
                if best.is_none_or(|best| rank(session.pin) > rank(best.pin)) {
                    best = Some(session);
                }
                None
            });
            if found.is_some() {
                return found;
            }
        }
        best
    }

    /// The session of the first value that names a member, or that the table knows. One that moved is where the table
    /// says, unless the value is a route and nothing else, which new sessions have too. A value that names nobody is
    /// placed by its hash, as one whose backend is gone.
    fn of_route<F: KeyFacts>(&self, facts: &F, reading: &Reading<'_>) -> Option<Session> {
        let (kept, routed) = (self.parts.kept.as_ref()?, self.parts.routed.as_ref()?);
        let mut best: Option<Session> = None;
        for lookup in &self.parts.lookup {
            let found = lookup.find(facts, |value| {
                if !self.is_id(value) {
                    return None;
                }
                let void = Session::void(Why::Removed, hash64(value), reading.now);
                let session = kept.beside(void, kept.digest(value), reading.now);
                let pin = match (session.pin, routed.home(value, reading.members)) {
                    (Pin::To(_), Some(named)) if named.is_alone => Pin::To(named.backend),
                    (Pin::To(home), _) => Pin::To(home),
                    (void, named) => named.map_or(void, |named| Pin::To(named.backend)),
                };
                let session = Session { pin, by: By::Route, ..session };
                if matches!(pin, Pin::To(_)) {
                    return Some(session);
                }
                best = best.or(Some(session));
                None
            });
            if found.is_some() {
                return found;
            }
        }
        best
    }

    fn first_id<F: KeyFacts>(&self, facts: &F) -> Option<Id> {
        let kept = self.parts.kept.as_ref()?;
        self.parts.lookup.iter().find_map(|lookup| {
            let is_header = matches!(lookup, Lookup::Header(_));
            lookup.find(facts, |id| self.is_id(id).then(|| Id { digest: kept.digest(id), is_header }))
        })
    }

    /// Whether an id is short enough to be one; counts those that are not.
    pub(super) fn is_id(&self, id: &[u8]) -> bool {
        let is_id = id.len() <= MAX_ID;
        if !is_id {
            self.long_ids.fetch_add(1, Relaxed);
        }
        is_id
    }
}
