//! What is true at one moment of every pool and backend: as JSON, and as gauges for the metrics.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Value, json};

use super::state::LastChecks;
use crate::affinity::carriers::Affinity;
use crate::backend::availability::{AdminState, Availability, Health};
use crate::backend::{Backend, BackendIx};
use crate::base::time::UnixSeconds;
use crate::pool::Pool;
use crate::snapshot::Snapshot;
use crate::snapshot::phases::Phase;
use crate::snapshot::published::Published;
use crate::telemetry::exposition::{BackendLive, BackendState, Live};

/// One snapshot's live figures.
pub(super) struct Figures<'a> {
    checks: &'a LastChecks,
    reports_dropped: &'a AtomicU64,
    snapshot: Arc<Snapshot>,
    now: UnixSeconds,
}

impl<'a> Figures<'a> {
    /// Those of the published snapshot.
    pub(super) fn now(published: &Published, checks: &'a LastChecks, reports_dropped: &'a AtomicU64) -> Self {
        Self { checks, reports_dropped, snapshot: published.load(), now: UnixSeconds::now() }
    }

    /// Pools and backends as JSON.
    pub(super) fn pools(&self, phase: Phase) -> Value {
        let pools = self.snapshot.plan.pools.iter().enumerate();
        let pools = pools.map(|(p, pool)| {
            let backends = pool.members.iter().map(|(ix, b)| self.backend_json(p, ix, b));
            json!({
                "name": *pool.name,
                "strategy": pool.kind.name,
                "affinity": pool.affinity.as_ref().map_or_else(|| "none".to_owned(), Affinity::modes),
                "preset": pool.affinity.as_ref().and_then(Affinity::preset),
                "panic": self.snapshot.standings.get(p).is_some_and(|s| s.panics),
                "backends": backends.collect::<Vec<_>>(),
            })
        });
        json!({ "phase": phase.as_str(), "pools": pools.collect::<Vec<_>>() })
    }

    fn backend_json(&self, pool: usize, ix: BackendIx, backend: &Backend) -> Value {
        let availability = self.availability(pool, ix);
        let check = self.checks.get(pool, ix).map(|check| {
            let result = if check.is_good { "good" } else { "bad" };
            json!({ "result": result, "text": check.text, "at": check.at.0 })
        });
        json!({
            "id": backend.id.as_str(),
            "address": *backend.address_text,
            "weight": backend.weight,
            "backup": backend.backup,
            "admin": availability.admin.as_str(),
            "health": availability.health.as_str(),
            "ejected": availability.ejected,
            "state": state(availability).as_str(),
            "in_flight": backend.load.in_flight(),
            "waiting": backend.load.waiting(),
            "sessions": backend.sessions.live(self.now),
            "last_check": check,
        })
    }

    fn pool(&self, pool: usize) -> Option<&Pool> {
        self.snapshot.plan.pools.get(pool).map(|pool| &**pool)
    }

    fn availability(&self, pool: usize, backend: BackendIx) -> Availability {
        let standing = self.snapshot.standings.get(pool);
        standing.and_then(|s| s.members.get(backend.index())).copied().unwrap_or_default()
    }
}

impl Live for Figures<'_> {
    fn backend(&self, pool: usize, backend: usize) -> BackendLive {
        let ix = BackendIx(u16::try_from(backend).unwrap_or(u16::MAX));
        let member = self.pool(pool).filter(|p| backend < p.members.len()).map(|p| p.members.get(ix));
        BackendLive {
            state: state(self.availability(pool, ix)),
            weight: member.map_or(0, |b| b.weight),
            in_flight: member.map_or(0, |b| b.load.in_flight()),
            waiting: member.map_or(0, |b| b.load.waiting()),
            sessions: member.map_or(0, |b| b.sessions.live(self.now)),
        }
    }

    fn reports_dropped(&self) -> u64 {
        self.reports_dropped.load(Ordering::Relaxed)
    }
}

/// The one word for it: what the operator wants before what checks found before what requests met.
const fn state(of: Availability) -> BackendState {
    match (of.admin, of.health, of.ejected) {
        (AdminState::Maint, ..) => BackendState::Maint,
        (_, Health::Down, _) => BackendState::Down,
        (AdminState::Drain, ..) | (_, Health::Drain, _) => BackendState::Drain,
        (AdminState::Ready, _, true) => BackendState::Ejected,
        (AdminState::Ready, Health::Unknown, false) => BackendState::Unknown,
        (AdminState::Ready, Health::Up, false) => BackendState::Up,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_state_is_what_matters_most() {
        use AdminState::{Drain, Maint, Ready};
        use Health::{Down, Unknown, Up};
        for (admin, health, ejected, expected) in [
            (Ready, Up, false, BackendState::Up),
            (Ready, Unknown, false, BackendState::Unknown),
            (Ready, Up, true, BackendState::Ejected),
            (Ready, Down, true, BackendState::Down),
            (Drain, Up, true, BackendState::Drain),
            (Drain, Down, false, BackendState::Down),
            (Ready, Health::Drain, true, BackendState::Drain),
            (Maint, Down, true, BackendState::Maint),
        ] {
            assert_eq!(state(Availability { admin, health, ejected }), expected);
        }
    }
}
