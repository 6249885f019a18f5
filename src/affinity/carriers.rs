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
use super::memory::{Memory, Told};
use super::opened::OpenedCache;
use super::routed::{Named, Routed};
use super::sources::{Create, Lookup, MAX_ID};
use super::table::Digest;
use super::{By, Id, Pin, Session, Terms, Why};
use crate::backend::BackendIx;
use crate::backend::members::Members;
use crate::base::hash::hash64;
use crate::base::time::UnixSeconds;

/// What keeps the clients of one pool with their backends.
#[derive(Debug)]
pub struct Affinity {
    pub(super) parts: Parts,
    begins_together: bool,
    first: First,
    /// Whether answers of the application end sessions or make ids by what is in a `Set-Cookie`, or elsewhere.
    hears: Hears,
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
    /// What its connection remembers.
    pub memory: &'a mut Memory,
    /// Tells the pool, and all that is set of it, from any other.
    pub pool: u64,
}

/// What of an answer tells something of its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hears {
    Nothing,
    /// Its `Set-Cookie` fields.
    Cookies,
    /// Other fields, or its body.
    More,
}

/// Where the first carrier looks first: what is found there is remembered.
#[derive(Debug)]
enum First {
    Line,
    Header(Box<str>),
    /// In the target; or several things are looked at.
    Elsewhere,
}

/// A session, and what the bytes said of it if the first place told it.
type Found = (Session, Option<Told>);

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
        let of_lookup = || match parts.lookup.first() {
            Some(Lookup::Cookie(..)) => First::Line,
            Some(Lookup::Header(name)) => First::Header(name.clone()),
            Some(Lookup::Query(_) | Lookup::PathParam(..)) | None => First::Elsewhere,
        };
        let first = match parts.modes.first() {
            // Beside a pin ids are looked for too.
            Some(Mode::Cookie | Mode::Header) if !parts.create.is_empty() => First::Elsewhere,
            Some(Mode::Cookie) => First::Line,
            Some(Mode::Header) => parts
                .header
                .as_ref()
                .map_or(First::Elsewhere, |header| First::Header(header.name().to_ascii_lowercase().into())),
            Some(Mode::Learn | Mode::Route) => of_lookup(),
            None => First::Elsewhere,
        };
        let hears = if parts.create.iter().any(|create| !is_in_cookie(create)) {
            Hears::More
        } else if !parts.create.is_empty()
            || parts.routed.is_some()
            || parts.cookie.as_ref().is_some_and(CookieAffinity::is_shared)
        {
            Hears::Cookies
        } else {
            Hears::Nothing
        };
        Self { parts, begins_together, first, hears, long_ids: AtomicU64::new(0) }
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

    /// Whether nothing is to be settled: the session is at its home, nothing of it is due, and the answer, by what it has
    /// or has not, cannot say anything of it.
    #[must_use]
    pub fn is_settled(&self, session: &Session, chosen: BackendIx, has_set_cookie: bool) -> bool {
        let is_written = match (&self.parts.kept, session.id) {
            (None, _) => true,
            (Some(_), Some(id)) => session.counted_on == Some(chosen) && !id.is_header,
            (Some(_), None) => session.by == By::Header,
        };
        let is_heard = match self.hears {
            Hears::Nothing => false,
            Hears::Cookies => has_set_cookie,
            Hears::More => true,
        };
        session.pin == Pin::To(chosen) && !session.is_due && is_written && !is_heard
    }

    /// The session that a request tells: of the first carrier that tells a backend. If there is none, the pin is void
    /// for the reason nearest to valid: `Removed`, then `ExpiredIdle`, `ExpiredLifetime`, `Unknown`, `Invalid`.
    pub fn read<F: KeyFacts>(&self, facts: &F, mut reading: Reading<'_>) -> Session {
        reading.memory.begin();
        if self.parts.modes == [Mode::Cookie] && !facts.has_cookies() {
            return Session::begin(reading.fresh, reading.now);
        }
        let bytes = match &self.first {
            First::Line => facts.only_cookie_line(),
            First::Header(name) => facts.header(name),
            First::Elsewhere => None,
        };
        if let Some(bytes) = bytes
            && let Some(told) = reading.memory.recall(reading.pool, bytes)
            && let Some(session) = self.recalled(told, &reading)
        {
            return session;
        }
        let mut best = Session::begin(reading.fresh, reading.now);
        for (place, mode) in self.parts.modes.iter().enumerate() {
            let found = match mode {
                Mode::Cookie => self.of_cookie(facts, &mut reading),
                Mode::Header => self.of_header(facts, &mut reading),
                Mode::Learn => self.of_id(facts, &reading),
                Mode::Route => self.of_route(facts, &reading),
            };
            let Some((session, told)) = found else { continue };
            let is_found = matches!(session.pin, Pin::To(_));
            if is_found || rank(session.pin) > rank(best.pin) {
                best = session;
            }
            if is_found {
                if let (0, Some(bytes), Some(told)) = (place, bytes, told) {
                    let is_line = matches!(self.first, First::Line);
                    reading.memory.keep(reading.pool, bytes, is_line, told);
                }
                break;
            }
        }
        // What an application ends or replaces is looked for also where a pin was found first.
        if matches!(best.by, By::Cookie | By::Header) && !self.parts.create.is_empty() {
            best.id = self.first_id(facts);
        }
        best
    }

    /// The session of what is remembered, if it still tells a backend.
    fn recalled(&self, told: Told, reading: &Reading<'_>) -> Option<Session> {
        let now = reading.now;
        let session = match told {
            Told::Pin { session, since, until } => {
                let is_in_time = (since..until).contains(&now);
                return is_in_time.then(|| self.beside_table(session, now));
            }
            Told::Id { digest, key } => {
                let is_header = matches!(self.first, First::Header(_));
                self.learned(self.parts.kept.as_ref()?, digest, key, is_header, now)
            }
            Told::Route { digest, key, named } => routed(self.parts.kept.as_ref()?, digest, key, named, now),
        };
        matches!(session.pin, Pin::To(_)).then_some(session)
    }

    fn of_cookie<F: KeyFacts>(&self, facts: &F, reading: &mut Reading<'_>) -> Option<Found> {
        let cookie = self.parts.cookie.as_ref()?;
        let &mut Reading { members, now, ref mut cache, fresh, .. } = reading;
        let session = cookie.read(facts.cookies(), members, now, cache, fresh);
        Some((self.beside_table(session, now), self.told_pin(session, now)))
    }

    /// The application's cookie may be old: where its session is now, the table says.
    fn beside_table(&self, session: Session, now: UnixSeconds) -> Session {
        let theirs = self.parts.cookie.as_ref().is_some_and(|cookie| cookie.style() != Style::Insert);
        match &self.parts.kept {
            Some(kept)
                if theirs
                    && session.by == By::Cookie
                    && matches!(session.pin, Pin::To(_) | Pin::Void(Why::Removed)) =>
            {
                kept.beside(session, kept.digest_of(session.key), now)
            }
            Some(_) | None => session,
        }
    }

    /// What a pin is worth until its slot is over, or its lifetime.
    fn told_pin(&self, session: Session, now: UnixSeconds) -> Option<Told> {
        if session.is_due || !matches!(session.pin, Pin::To(_)) {
            return None;
        }
        let until = self.parts.terms.settled_until(session.issued, now);
        Some(Told::Pin { session, since: now, until })
    }

    fn of_header<F: KeyFacts>(&self, facts: &F, reading: &mut Reading<'_>) -> Option<Found> {
        let header = self.parts.header.as_ref()?;
        let &mut Reading { members, now, ref mut cache, fresh, .. } = reading;
        let session = header.read(facts.header(header.name()), members, now, cache, fresh);
        Some((session, self.told_pin(session, now)))
    }

    /// The session of the first id that is known. One that is not may be another node's: it is placed by its hash, as
    /// every node would.
    fn of_id<F: KeyFacts>(&self, facts: &F, reading: &Reading<'_>) -> Option<Found> {
        let kept = self.parts.kept.as_ref()?;
        let mut best: Option<Session> = None;
        for (place, lookup) in self.parts.lookup.iter().enumerate() {
            let is_header = matches!(lookup, Lookup::Header(_));
            let found = lookup.find(facts, |id| {
                let digest = self.is_id(id).then(|| kept.digest(id))?;
                let key = hash64(id);
                let session = self.learned(kept, digest, key, is_header, reading.now);
                if matches!(session.pin, Pin::To(_)) {
                    return Some((session, (place == 0).then_some(Told::Id { digest, key })));
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
        best.map(|best| (best, None))
    }

    /// What the table says of an id.
    fn learned(&self, kept: &Kept, digest: Digest, key: u64, is_header: bool, now: UnixSeconds) -> Session {
        let mut session = kept.read(key, digest, now).unwrap_or_else(|| {
            let void = Session::void(Why::Unknown, key, now);
            Session { by: By::Learned, id: Some(Id { digest, is_header }), ..void }
        });
        if let Some(id) = &mut session.id {
            id.is_header = is_header;
        }
        session
    }

    /// The session of the first value that names a member, or that the table knows.
    fn of_route<F: KeyFacts>(&self, facts: &F, reading: &Reading<'_>) -> Option<Found> {
        let (kept, names) = (self.parts.kept.as_ref()?, self.parts.routed.as_ref()?);
        let mut best: Option<Session> = None;
        for (place, lookup) in self.parts.lookup.iter().enumerate() {
            let found = lookup.find(facts, |value| {
                if !self.is_id(value) {
                    return None;
                }
                let (digest, key) = (kept.digest(value), hash64(value));
                let named = names.home(value, reading.members);
                let session = routed(kept, digest, key, named, reading.now);
                if matches!(session.pin, Pin::To(_)) {
                    let told = (place == 0).then_some(Told::Route { digest, key, named });
                    return Some((session, told));
                }
                best = best.or(Some(session));
                None
            });
            if found.is_some() {
                return found;
            }
        }
        best.map(|best| (best, None))
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

/// The session of a value that names a member, or that the table knows. One that moved is where the table says, unless
/// the value is a route and nothing else, which new sessions have too. A value that names nobody is placed by its hash,
/// as one whose backend is gone.
fn routed(kept: &Kept, digest: Digest, key: u64, named: Option<Named>, now: UnixSeconds) -> Session {
    let session = kept.beside(Session::void(Why::Removed, key, now), digest, now);
    let pin = match (session.pin, named) {
        (Pin::To(_), Some(named)) if named.is_alone => Pin::To(named.backend),
        (Pin::To(home), _) => Pin::To(home),
        (void, named) => named.map_or(void, |named| Pin::To(named.backend)),
    };
    Session { pin, by: By::Route, ..session }
}
