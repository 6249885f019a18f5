//! What a pool does when a backend cannot serve: whom it waits for, whom it refuses, and for how long.

use std::sync::Arc;
use std::time::Duration;

use crate::affinity::{Session, Why};
use crate::backend::BackendIx;

/// A pool's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of a session whose backend cannot be used.
    pub on_lost: OnLost,
    /// Whether a session that moved goes back to its first home.
    pub return_home: ReturnHome,
    /// How much more than its share of the requests in flight a member may have before new placements pass it over, in
    /// thousandths of that share; 0 is no bound. (HAProxy: hash-balance-factor)
    pub max_load: u32,
    /// How requests wait for a backend that is full.
    pub queue: Queue,
    /// What happens when checks have closed every backend.
    pub panic: Panic,
    /// Statuses that count as failures of their backend, as inclusive ranges. Default none.
    /// (nginx: proxy_next_upstream http_500 ..)
    pub fail_statuses: Vec<(u16, u16)>,
    /// How long a backend that is gone from the configuration still serves its sessions; zero is not at all.
    pub leave: Duration,
}

/// What becomes of a session whose backend cannot be used, by the cause of that.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OnLost {
    /// It is down, in maintenance, or does not answer.
    pub down: Remedy,
    /// Its drain is over.
    pub drained: Remedy,
    /// It is gone from the pool.
    pub removed: Remedy,
    /// It has no room, and the time in its queue is over.
    pub full: Remedy,
}

/// What becomes of a session for one cause.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Remedy {
    /// It moves to its second choice, and the answer carries the new pin.
    #[default]
    Rebind,
    /// Its second choice serves it, and its pin stays as it is: it is back as soon as its backend serves.
    Borrow,
    /// It waits for its backend, this long at most, and moves then. One that is removed or full is not waited for: that
    /// does not come back, and this has a queue.
    Wait(Duration),
    /// It is refused with this status until its backend is back: better no answer than one without its data.
    /// (Envoy: stateful session, strict)
    Refuse(u16),
    /// It is sent there with a 302: an absolute URL or a path, in visible ASCII.
    Redirect(Arc<str>),
}

/// Whether a session that moved goes back to its first home, once that is open to new sessions again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReturnHome {
    /// It stays where it is.
    #[default]
    Never,
    /// When it comes back after a pause of so many seconds.
    Idle(u32),
    /// At its next request.
    Now,
}

/// How requests wait for a backend that has as many requests as `max_conns` allows. (HAProxy: maxqueue, timeout queue)
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Requests that may wait per backend; 0 is none. Default 100.
    pub size: u32,
    /// How long one waits. Default 5 s.
    pub timeout: Duration,
}

/// What happens when checks have closed every backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Panic {
    /// 503.
    #[default]
    Refuse,
    /// Those that checks closed are used all the same: a broken check does not take the service down.
    /// (Envoy: panic threshold)
    Serve,
}

impl OnLost {
    /// The same for backends that are down, drained or full. One that was removed has no way back, and its sessions
    /// move.
    #[must_use]
    pub fn all(remedy: Remedy) -> Self {
        let full = match &remedy {
            Remedy::Wait(_) => Remedy::Rebind,
            Remedy::Rebind | Remedy::Borrow | Remedy::Refuse(_) | Remedy::Redirect(_) => remedy.clone(),
        };
        Self { down: remedy.clone(), drained: remedy, removed: Remedy::Rebind, full }
    }

    /// What is done for the cause that this reason tells.
    #[must_use]
    pub const fn of(&self, why: Why) -> &Remedy {
        match why {
            Why::Full => &self.full,
            Why::Drained => &self.drained,
            Why::Removed => &self.removed,
            _ => &self.down,
        }
    }
}

impl Policy {
    /// The first home that a session's pin to `chosen` remembers.
    #[must_use]
    pub fn origin(&self, session: &Session, chosen: BackendIx) -> Option<BackendIx> {
        match self.return_home {
            ReturnHome::Never => None,
            ReturnHome::Idle(_) | ReturnHome::Now => session.origin_after(chosen),
        }
    }

    /// Whether an answer of this status counts as a failure of its backend.
    #[must_use]
    pub fn is_failure(&self, status: u16) -> bool {
        self.fail_statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}
