//! What stands before a listener or a route: who may come in, how often, with how large a body.

use std::sync::Arc;

use crate::affinity::key::KeyPlan;
use crate::route::access::Access;
use crate::route::rate::Gate;

/// All of it, where anything of it is configured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Guard {
    /// Who may come in.
    pub access: Access,
    /// Largest body of a request, bytes; `None` is no bound here.
    pub max_body: Option<u64>,
    /// How often.
    pub limit: Option<RateLimit>,
}

/// How often requests may come that have a key in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Whether a session that homing can vouch for is its own key, before any other.
    pub by_pin: bool,
    /// The keys; the last is there in every request.
    pub keys: KeyPlan,
    /// The budgets. They outlive a reload that leaves this as it is.
    pub gate: Arc<Gate>,
}

impl Guard {
    /// Takes over the budgets of what stood here before, if they are of the same kind.
    pub fn succeed(&mut self, old: Option<&Self>) {
        if let (Some(new), Some(old)) = (&mut self.limit, old.and_then(|guard| guard.limit.as_ref()))
            && *new == *old
        {
            new.gate = Arc::clone(&old.gate);
        }
    }
}
