//! What the values that a request presents say: homing's own pins with the pools' keys, others by their forms.

use std::sync::Arc;

use crate::affinity::cookie::CookieAffinity;
use crate::affinity::foreign::{self, Names, Presented, Reading, Secrets};
use crate::affinity::opened::OpenedCache;
use crate::affinity::pins::Pins;
use crate::affinity::seal::{Aad, Scratch, SealKeys, Sealed, Unopened};
use crate::affinity::{Pin, Session, Why};
use crate::backend::BackendIx;
use crate::base::time::UnixSeconds;
use crate::pool::Pool;

/// What one value says.
#[derive(Clone, Debug)]
pub struct PinReport {
    /// Where it stands: `cookie` or `header`.
    pub carrier: &'static str,
    /// The name of the cookie or field.
    pub name: String,
    /// The value as it is presented.
    pub value: String,
    /// What it is as a pin of homing's, if it is to be one.
    pub own: Option<Own>,
    /// How other balancers would read it.
    pub foreign: Vec<Foreign>,
}

/// A value that is to be a pin of homing's.
#[derive(Clone, Debug)]
pub enum Own {
    /// It opens.
    Opened(Box<OwnPin>),
    /// It does not.
    Unopened {
        /// The pool whose pin it is to be.
        pool: String,
        /// What is in the way.
        why: String,
    },
}

/// A pin that opens.
#[derive(Clone, Debug)]
pub struct OwnPin {
    /// The pool that it is bound to.
    pub pool: String,
    /// The pool that the request goes to, if it is another one.
    pub elsewhere: Option<String>,
    /// The cookie's name that it is bound to.
    pub cookie: String,
    /// The backend's id.
    pub backend: String,
    /// Whether the pool has that backend.
    pub is_member: bool,
    /// The number that names the session.
    pub session: u64,
    /// When the session began.
    pub issued: UnixSeconds,
    /// When the pin was written.
    pub last_seen: UnixSeconds,
    /// What the pool makes of it now.
    pub state: State,
    /// When it ends without a further request.
    pub ends: UnixSeconds,
    /// Which bound that is: `idle` or `lifetime`.
    pub bound: &'static str,
    /// That bound, seconds.
    pub bound_seconds: u32,
    /// Which key of the pool's ring sealed it, from 1.
    pub key: usize,
    /// How many keys the ring has.
    pub keys: usize,
    /// That key's id, as the value shows it.
    pub key_id: u16,
}

/// What a pool makes of a pin that opens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It holds.
    Valid,
    /// It holds, and is written again with the next answer.
    Due,
    /// It chooses nothing, for this reason.
    Void(Why),
    /// It is bound to another pool than the request's, and opens nothing there.
    OtherPool,
    /// It is bound to another name than the one it came under, and opens nothing there.
    OtherName,
}

/// How another balancer reads a value, for one pool's backends.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// The reading.
    pub reading: Reading,
    /// Pool, id and address of the backend that it names.
    pub backend: Option<(String, String, String)>,
}

/// Reads values for the pools of one plan.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    pub(super) pools: &'a [Arc<Pool>],
    /// The pool that the request goes to.
    pub(super) here: Option<&'a Pool>,
    /// What pools without a secret seal with in this process, and so in no other.
    pub(super) unsaved: &'a Arc<SealKeys>,
    pub(super) secrets: &'a Secrets,
    pub(super) now: UnixSeconds,
}

impl Decoder<'_> {
    /// What a cookie says.
    pub(super) fn cookie(&self, name: &str, value: &str) -> PinReport {
        let own = self.own(name, value);
        let is_opened = matches!(own, Some(Own::Opened(_)));
        let foreign = if is_opened { Vec::new() } else { self.foreign(name, value) };
        PinReport { carrier: "cookie", name: name.to_owned(), value: value.to_owned(), own, foreign }
    }

    /// What a field says.
    pub(super) fn header(&self, name: &str, value: &str) -> PinReport {
        let own = self.own_header(name, value);
        let is_opened = matches!(own, Some(Own::Opened(_)));
        let foreign = if is_opened { Vec::new() } else { self.foreign(name, value) };
        PinReport { carrier: "header", name: name.to_owned(), value: value.to_owned(), own, foreign }
    }

    /// The pin of a pool whose header this is, that of the request's first.
    fn own_header(&self, name: &str, value: &str) -> Option<Own> {
        let of = |p: &'_ Arc<Pool>| {
            p.affinity.as_ref()?.header().filter(|h| h.is_ours(name.as_bytes())).map(|_| Arc::clone(p))
        };
        let mut pools: Vec<_> = self.pools.iter().filter_map(of).collect();
        pools.sort_by_key(|pool| !self.is_here(pool));
        let (mut scratch, mut unopened) = (Scratch::new(), None);
        for pool in &pools {
            let header = pool.affinity.as_ref()?.header()?;
            let pins = header.pins();
            match pins.keys().inspect(pins.aad(), value.as_bytes(), &mut scratch) {
                Ok((key, sealed)) => {
                    let mut cache = OpenedCache::new(1, 0);
                    let session = header.read(Some(value.as_bytes()), &pool.members, self.now, &mut cache, 0);
                    return Some(Own::Opened(Box::new(self.opened(
                        pool,
                        pins,
                        name,
                        key,
                        &sealed,
                        told(session),
                    ))));
                }
                Err(why) if unopened.is_none() => {
                    unopened =
                        Some(Own::Unopened { pool: pool.name.to_string(), why: self.in_the_way(pins, why) });
                }
                Err(_) => {}
            }
        }
        unopened
    }

    /// The pools with a cookie, those to which a cookie of this name belongs first.
    fn cookies(&self, name: &str) -> Vec<(&Pool, &CookieAffinity)> {
        let mut all: Vec<_> =
            self.pools.iter().filter_map(|p| Some((p.as_ref(), p.affinity.as_ref()?.cookie()?))).collect();
        all.sort_by_key(|(pool, cookie)| (cookie.name() != name, !self.is_here(pool)));
        all
    }

    fn is_here(&self, pool: &Pool) -> bool {
        self.here.is_some_and(|here| here.name == pool.name)
    }

    fn own(&self, name: &str, value: &str) -> Option<Own> {
        let cookies = self.cookies(name);
        let mut scratch = Scratch::new();
        for (pool, cookie) in &cookies {
            for bound in [cookie.name(), name] {
                let aad = Aad::new(&pool.name, bound);
                let text = cookie.pin_of(value.as_bytes()).unwrap_or(value.as_bytes());
                if let Ok((key, sealed)) = cookie.pins().keys().inspect(&aad, text, &mut scratch) {
                    let state = if cookie.name() == name && bound == name {
                        self.state(pool, cookie, name, value)
                    } else {
                        State::OtherName
                    };
                    let pin = self.opened(pool, cookie.pins(), bound, key, &sealed, state);
                    return Some(Own::Opened(Box::new(pin)));
                }
            }
        }
        let (pool, cookie) = cookies.first()?;
        let aad = Aad::new(&pool.name, name);
        let text = cookie.pin_of(value.as_bytes())?;
        let why = cookie.pins().keys().inspect(&aad, text, &mut scratch).err()?;
        // Under a name that is no pool's, only what shows a key of ours is a pin.
        let is_ours = cookie.name() == name || matches!(why, Unopened::Forged(_));
        is_ours
            .then(|| Own::Unopened { pool: pool.name.to_string(), why: self.in_the_way(cookie.pins(), why) })
    }

    fn in_the_way(&self, pins: &Pins, why: Unopened) -> String {
        let Unopened::UnknownKey(_) = why else { return why.to_string() };
        if Arc::ptr_eq(pins.keys(), self.unsaved) {
            return "the pool has no `secret`: only the process that sealed it can open it".to_owned();
        }
        let ids: Vec<String> = pins.keys().ids().map(|id| format!("{id:04x}")).collect();
        format!("{why} (it has {})", ids.join(", "))
    }

    fn opened(
        &self,
        pool: &Pool,
        pins: &Pins,
        bound: &str,
        key: usize,
        sealed: &Sealed<'_>,
        state: State,
    ) -> OwnPin {
        let slots = pins.terms().times.slots;
        let by_idle = (slots.end_of(sealed.last_seen), "idle", slots.idle());
        let by_age = pins
            .terms()
            .lifetime()
            .map(|l| (UnixSeconds(sealed.issued.0.saturating_add(l).saturating_add(1)), "lifetime", l));
        let (ends, limit, bound_seconds) = by_age.filter(|(at, ..)| *at < by_idle.0).unwrap_or(by_idle);
        let is_elsewhere = self.here.is_some() && !self.is_here(pool);
        let state = if is_elsewhere { State::OtherPool } else { state };
        OwnPin {
            pool: pool.name.to_string(),
            elsewhere: self.here.filter(|_| is_elsewhere).map(|here| here.name.to_string()),
            cookie: bound.to_owned(),
            backend: sealed.backend.to_owned(),
            is_member: pool.members.find(sealed.backend).is_some(),
            session: sealed.session,
            issued: sealed.issued,
            last_seen: sealed.last_seen,
            state,
            ends,
            bound: limit,
            bound_seconds,
            key: key + 1,
            keys: pins.keys().len(),
            key_id: pins.keys().ids().nth(key).unwrap_or(0),
        }
    }

    /// What the pool makes of it, asked as the proxy does.
    fn state(&self, pool: &Pool, cookie: &CookieAffinity, name: &str, value: &str) -> State {
        let line = format!("{name}={value}");
        let mut cache = OpenedCache::new(1, 0);
        let lines = std::iter::once(line.as_bytes());
        told(cookie.read(lines, &pool.members, self.now, &mut cache, 0))
    }

    /// The readings for the request's pool, or else for every pool: those that name a backend alone, if there are any.
    fn foreign(&self, name: &str, value: &str) -> Vec<Foreign> {
        let mut all: Vec<Foreign> = Vec::new();
        let pools = self.pools.iter().map(AsRef::as_ref);
        for pool in pools.filter(|pool| self.here.is_none() || self.is_here(pool)) {
            for reading in foreign::read(Presented { name, value }, &pool.name, &pool.members, self.secrets) {
                let backend = match reading.names {
                    Names::Member(ix) => Some(described(pool, ix)),
                    Names::Stranger(_) | Names::Nobody => None,
                };
                if backend.is_some() || all.iter().all(|f| f.reading.form != reading.form) {
                    all.push(Foreign { reading, backend });
                }
            }
        }
        if all.iter().any(|f| f.backend.is_some()) {
            all.retain(|f| f.backend.is_some());
        }
        all
    }
}

fn told(session: Session) -> State {
    match session.pin {
        Pin::To(_) if session.is_due => State::Due,
        Pin::To(_) => State::Valid,
        Pin::Void(why) => State::Void(why),
        Pin::Free => State::Void(Why::Invalid),
    }
}

fn described(pool: &Pool, ix: BackendIx) -> (String, String, String) {
    let backend = pool.members.get(ix);
    (pool.name.to_string(), backend.id.to_string(), backend.address_text.to_string())
}

impl PinReport {
    /// Whether it tells of somebody: it opens, or has a form that names a backend, an address or an id.
    #[must_use]
    pub fn names_somebody(&self) -> bool {
        let is_named = |f: &Foreign| f.reading.names != Names::Nobody;
        matches!(self.own, Some(Own::Opened(_))) || self.foreign.iter().any(is_named)
    }

    /// Whether it names somebody or is to be homing's; what has but the shape of a digest does not.
    pub(super) fn tells(&self) -> bool {
        self.own.is_some() || self.names_somebody()
    }
}
