//! Who is there: the members of a pool, their identity, their state and their load.
//!
//! Nothing here chooses: [`members`] fixes an order, [`availability`] says who may serve whom,
//! [`load`] and [`sessions`] count. Next: [`crate::strategy`] chooses among [`members::Candidates`].

pub mod availability;
pub mod load;
pub mod members;
pub mod sessions;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::base::address::Address;

use availability::AdminState;
use load::Load;
use sessions::LiveSessions;

/// A backend's stable name: its `name`, else its address text. What cookies, tables and logs hold.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendId(Arc<str>);

/// A backend's place in one pool's [`members::Members`]. Valid in that view only; never stored or sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct BackendIx(pub u16);

/// One member of a pool. A clone counts with the original.
#[derive(Clone, Debug)]
pub struct Backend {
    /// Its stable name.
    pub id: BackendId,
    /// What values name it by where affinity goes by routes; its id if none is given. (nginx: route)
    pub route: Option<Arc<str>>,
    /// Where it listens.
    pub address: Address,
    /// The address as the configuration wrote it (`hash consistent` places by this text, as nginx does).
    pub address_text: Arc<str>,
    /// Its share of new sessions, 1 to 65535; 0 takes no new sessions and keeps its pins.
    pub weight: u16,
    /// The weight in the configuration: another one while an operator's is in force.
    pub written_weight: u16,
    /// Used for new sessions only when no primary is open.
    pub backup: bool,
    /// The administrative state written in the configuration.
    pub admin: AdminState,
    /// Whether the configuration names it no more: it keeps its sessions, and no strategy sees it.
    pub leaving: bool,
    /// Requests and tunnels in flight at most, over all workers; 0 is no limit. (nginx: max_conns)
    pub max_conns: u32,
    /// Failures within `fail_timeout` that close it to new sessions; 0 is off. (nginx: max_fails)
    pub max_fails: u32,
    /// See `max_fails`; also how long it stays closed. (nginx: fail_timeout)
    pub fail_timeout: Duration,
    /// How long its share of new sessions grows after it was down or ejected; zero is at once. (nginx: slow_start)
    pub slow_start: Duration,
    /// What it is doing now.
    pub load: Arc<Load>,
    /// How many sessions are live on it.
    pub sessions: Arc<LiveSessions>,
}

impl Backend {
    /// A backend at `10.0.0.7:8080`, `[::1]:8080`, `app.internal:8080` or `unix:/run/app.sock`: weight 1, ready, its
    /// address as its id, no limits, and live sessions counted for one worker over ten idle minutes. `None` if the
    /// text is no such address. The fields are open: change what should differ.
    ///
    /// ```
    /// use homing::backend::Backend;
    ///
    /// let backend = Backend::at("10.0.0.7:8080").map(|b| b.named("blue").weighing(3));
    /// assert_eq!(backend.map(|b| b.id.to_string()).as_deref(), Some("blue"));
    /// assert!(Backend::at("10.0.0.7").is_none());
    /// ```
    #[must_use]
    pub fn at(address: &str) -> Option<Self> {
        Some(Self {
            id: address.into(),
            route: None,
            address: Address::parse(address)?,
            address_text: address.into(),
            weight: 1,
            written_weight: 1,
            backup: false,
            admin: AdminState::Ready,
            leaving: false,
            max_conns: 0,
            max_fails: 0,
            fail_timeout: Duration::from_secs(10),
            slow_start: Duration::ZERO,
            load: Arc::default(),
            sessions: Arc::new(LiveSessions::new(1, Duration::from_secs(600))),
        })
    }

    /// The same backend under another id.
    #[must_use]
    pub fn named(self, id: &str) -> Self {
        Self { id: id.into(), ..self }
    }

    /// The same backend with another weight.
    #[must_use]
    pub fn weighing(self, weight: u16) -> Self {
        Self { weight, written_weight: weight, ..self }
    }

    /// Whether both are one backend with the same settings, so that one may stand for the other.
    #[must_use]
    pub fn is_like(&self, other: &Self) -> bool {
        let Self {
            id,
            route,
            address,
            address_text,
            weight,
            written_weight,
            backup,
            admin,
            leaving,
            max_conns,
            max_fails,
            fail_timeout,
            slow_start,
            load: _,
            sessions,
        } = self;
        let o = other;
        (id, route, address, address_text) == (&o.id, &o.route, &o.address, &o.address_text)
            && (weight, written_weight, backup) == (&o.weight, &o.written_weight, &o.backup)
            && (admin, leaving, max_conns) == (&o.admin, &o.leaving, &o.max_conns)
            && (max_fails, fail_timeout, slow_start) == (&o.max_fails, &o.fail_timeout, &o.slow_start)
            && sessions.is_laid_out_as(&o.sessions)
    }

    /// What values name it by.
    #[must_use]
    pub fn route(&self) -> &str {
        self.route.as_deref().unwrap_or_else(|| self.id.as_str())
    }

    /// The weight with which hash tables are built: a backend of weight 0 keeps the place of weight 1, so
    /// that closing it moves nobody else.
    #[must_use]
    pub const fn table_weight(&self) -> u32 {
        if self.weight == 0 { 1 } else { self.weight as u32 }
    }

    /// Whether a further request may start under `max_conns`.
    #[inline]
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.load.has_room(self.max_conns)
    }
}

impl BackendId {
    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for BackendId {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for BackendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for BackendId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl BackendIx {
    /// The place as a slice index.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}
