//! What a pool does when a backend cannot serve: whom it waits for, whom it refuses, and for how long.

use std::time::Duration;

/// A pool's policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What becomes of a session whose backend cannot be used.
    pub on_lost: OnLost,
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

/// What becomes of a session whose backend cannot be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnLost {
    /// It moves to its second choice, and the answer carries the new pin.
    #[default]
    Rebind,
    /// It is refused with 503 until its backend is back: better no answer than one without its data.
    /// (Envoy: stateful session, strict)
    Strict,
    /// It waits for its backend, this long at most, and moves then.
    Wait(Duration),
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

impl Policy {
    /// Whether an answer of this status counts as a failure of its backend.
    #[must_use]
    pub fn is_failure(&self, status: u16) -> bool {
        self.fail_statuses.iter().any(|(from, to)| (*from..=*to).contains(&status))
    }
}
