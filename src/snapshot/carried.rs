//! What a new plan takes over from the one before it: counters, what operators changed, and who is leaving.

use std::sync::Arc;

use ahash::{AHashMap, AHashSet};

use super::{Listener, Plan};
use crate::affinity::table::Table;
use crate::backend::availability::AdminState;
use crate::backend::{Backend, BackendId};
use crate::base::time::UnixSeconds;
use crate::net::tls::server::{ServerTls, Settings};
use crate::pool::Pool;

/// What is carried into a plan that is built while another is in force. The default carries nothing: a start.
#[derive(Clone, Debug, Default)]
pub struct Carried<'a> {
    /// The plan in force.
    pub previous: Option<&'a Plan>,
    /// Threads that the data plane has; `None` takes the configuration's `workers`. Counters are built for them.
    pub workers: Option<usize>,
    /// Weights that operators set, by pool and backend. They stand in for those of the configuration.
    pub weights: AHashMap<Box<str>, AHashMap<BackendId, u16>>,
    /// Backends, by pool, that stay as leaving members once the configuration does not name them.
    pub leaving: AHashMap<Box<str>, AHashSet<BackendId>>,
    /// Tables by pool that were kept on disk, for pools that have none yet.
    pub tables: AHashMap<Box<str>, Arc<Table>>,
    /// Now: sessions that are counted anew are counted from their last use.
    pub now: UnixSeconds,
}

impl Carried<'_> {
    /// Sets an operator's weight.
    pub fn weigh(&mut self, pool: &str, backend: &str, weight: u16) {
        self.weights.entry(pool.into()).or_default().insert(backend.into(), weight);
    }

    /// Lets a backend stay as a leaving member.
    pub fn let_leave(&mut self, pool: &str, backend: &str) {
        self.leaving.entry(pool.into()).or_default().insert(backend.into());
    }

    /// The weight that an operator set.
    #[must_use]
    pub fn weight(&self, pool: &str, backend: &str) -> Option<u16> {
        self.weights.get(pool)?.get(backend).copied()
    }

    /// The pool of this name in the plan before.
    #[must_use]
    pub fn pool(&self, name: &str) -> Option<&Arc<Pool>> {
        self.previous?.pools.iter().find(|pool| *pool.name == *name)
    }

    /// The listener as it was, if it was the same.
    #[must_use]
    pub fn listener(&self, new: &Listener) -> Option<&Arc<Listener>> {
        self.previous?.listeners.iter().find(|old| old.name == new.name && ***old == *new)
    }

    /// The TLS of the listener of this name, if it was told the same: with its files as they were read last, and what
    /// sessions are resumed by.
    #[must_use]
    pub fn tls(&self, listener: &str, settings: &Settings) -> Option<&Arc<ServerTls>> {
        let old = self.previous?.listeners.iter().find(|old| *old.name == *listener)?;
        old.tls.as_ref().filter(|tls| tls.settings == *settings)
    }

    /// The members of `pool` that are not in `new` and may leave in peace, in the order that they had.
    #[must_use]
    pub fn leaving(&self, pool: &str, new: &[Backend]) -> Vec<Arc<Backend>> {
        let (Some(old), Some(may)) = (self.pool(pool), self.leaving.get(pool)) else { return Vec::new() };
        let stays: AHashSet<&BackendId> = new.iter().map(|b| &b.id).collect();
        let goes = |b: &Arc<Backend>| may.contains(&b.id) && !stays.contains(&b.id);
        let leave = |b: &Arc<Backend>| {
            if b.leaving {
                return Arc::clone(b);
            }
            Arc::new(Backend { leaving: true, admin: AdminState::Drain, ..Backend::clone(b) })
        };
        old.members.iter().filter(|(_, b)| goes(b)).map(|(_, b)| leave(b)).collect()
    }

    /// The backend with what it takes over from the one of the same id: all of it if both are alike, requests in
    /// flight and sessions if it is at the same address, its sessions if it moved to another.
    #[must_use]
    pub fn backend(&self, pool: &str, mut new: Backend) -> Arc<Backend> {
        let old = self.pool(pool).and_then(|p| p.members.find(new.id.as_str()).map(|ix| p.members.get(ix)));
        let Some(old) = old else { return Arc::new(new) };
        if old.is_like(&new) {
            return Arc::clone(old);
        }
        if old.address == new.address {
            new.load = Arc::clone(&old.load);
        }
        if old.sessions.is_laid_out_as(&new.sessions) {
            new.sessions = Arc::clone(&old.sessions);
        } else {
            new.sessions.count_over(&old.sessions, self.now);
        }
        Arc::new(new)
    }
}
