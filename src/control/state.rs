//! Who is available: verdicts of checks and failures of requests, merged, and published when they change something.
//!
//! | heard | does |
//! |---|---|
//! | a probe | counts; a turned verdict is logged once and published |
//! | a failed request | counts; enough of them eject, unless nobody would be left open in the pool |
//! | an answered one | ends the trial of a backend that was ejected |
//! | time | ends ejections |
//!
//! Who comes back from being down or ejected is given its share of new sessions step by step (`slow_start`).
//!
//! An ejection never is the reason that a pool is closed: the last open member is not ejected, and if checks close
//! the last one, ejected ones are opened. Decisions are in [`crate::health`]; nothing here reads a clock.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;

use super::checker::{Good, Probed};
use crate::backend::BackendIx;
use crate::backend::availability::{AdminState, Availability, Health, Leaving};
use crate::base::time::UnixSeconds;
use crate::health::outlier::Outlier;
use crate::health::streak::{Finding, Streak};
use crate::pool::Pool;
use crate::pool::standing::{Ramp, Standing};
use crate::snapshot::Snapshot;
use crate::snapshot::published::Published;
use crate::snapshot::reports::{Outcome, Report};
use crate::telemetry::metrics::Metrics;

/// Owns the availability of every member. All times are since one fixed moment.
#[derive(Debug)]
pub struct State {
    published: Arc<Published>,
    metrics: Arc<Metrics>,
    pools: Vec<PoolState>,
    checks: Arc<LastChecks>,
}

/// The last check of every backend, for the admin listener; within the control plane only.
#[derive(Debug, Default)]
pub struct LastChecks(Mutex<Vec<Vec<Option<LastCheck>>>>);

/// A backend's last check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LastCheck {
    /// Whether it was good.
    pub is_good: bool,
    /// What came of it: `status 200`, `connect refused`.
    pub text: String,
    /// When it ended.
    pub at: UnixSeconds,
}

#[derive(Debug)]
struct PoolState {
    pool: Arc<Pool>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    admin: AdminState,
    streak: Streak,
    outlier: Outlier,
    /// When it came back, for its slow start.
    back: Option<UnixSeconds>,
}

impl State {
    /// The state that the published snapshot begins with.
    #[must_use]
    pub fn new(published: Arc<Published>, metrics: Arc<Metrics>) -> Self {
        let snapshot = published.load();
        let pools = snapshot.plan.pools.iter().map(PoolState::new).collect::<Vec<_>>();
        let checks = pools.iter().map(|p| vec![None; p.members.len()]).collect();
        Self { published, metrics, pools, checks: Arc::new(LastChecks(Mutex::new(checks))) }
    }

    /// The last checks, kept up to date.
    #[must_use]
    pub fn checks(&self) -> Arc<LastChecks> {
        Arc::clone(&self.checks)
    }

    /// A probe ended.
    pub fn probed(&mut self, probed: Probed) {
        let Probed { pool, backend, result } = probed;
        let Some(state) = self.pools.get_mut(pool) else { return };
        let Some(member) = state.members.get_mut(backend.index()) else { return };
        let (found, text) = match result {
            Ok(good @ Good::Drain(_)) => (Finding::Drain, good.to_string()),
            Ok(good) => (Finding::Good, good.to_string()),
            Err(bad) => (Finding::Bad, bad.to_string()),
        };
        let is_good = found != Finding::Bad;
        let (before, turned) = (member.streak.health(), member.streak.record(found));
        match turned {
            Some(health @ (Health::Weak | Health::Down)) => {
                let check = state.pool.check.as_ref();
                let (is, needed) = match health {
                    Health::Weak => ("takes no new sessions", check.map_or(1, |c| c.fall)),
                    _ => ("is down", check.map_or(1, |c| c.fall_pinned)),
                };
                let checks = if needed == 1 { "check" } else { "checks" };
                tracing::warn!("backend {} {is}: {text} ({needed} {checks})", state.name(backend));
            }
            Some(health @ (Health::Up | Health::Drain | Health::Unknown)) => {
                if matches!(before, Health::Weak | Health::Down) {
                    // It was away and came back: what it failed before is old.
                    member.outlier.forget();
                    member.back = Some(UnixSeconds::now());
                }
                let is = if health == Health::Drain { "takes no new sessions" } else { "is up" };
                tracing::info!("backend {} {is}: {text}", state.name(backend));
            }
            None => tracing::debug!("backend {} checked: {text}", state.name(backend)),
        }
        self.metrics.control().checked(pool, backend.index(), is_good);
        self.checks.set(pool, backend, LastCheck { is_good, text, at: UnixSeconds::now() });
        if turned.is_some() {
            self.settle(pool);
        }
    }

    /// A worker reported.
    pub fn reported(&mut self, report: Report, now: Duration) {
        let Some(state) = self.pools.get_mut(report.pool) else { return };
        let Some(member) = state.members.get_mut(report.backend.index()) else { return };
        match report.outcome {
            Outcome::Answered => member.outlier.answered(),
            Outcome::Failed if member.outlier.failed(now) => {
                if state.standing().open.is_empty() {
                    tracing::warn!(
                        "backend {} fails requests and stays: no other is open",
                        state.name(report.backend)
                    );
                    if let Some(member) = state.members.get_mut(report.backend.index()) {
                        member.outlier.forget();
                    }
                } else {
                    self.settle(report.pool);
                }
            }
            Outcome::Failed => {}
        }
    }

    /// Time passed.
    pub fn tick(&mut self, now: Duration) {
        for pool in 0..self.pools.len() {
            let Some(state) = self.pools.get_mut(pool) else { return };
            let mut is_over = false;
            for member in state.members.iter_mut().filter(|m| m.outlier.until().is_some()) {
                if member.outlier.tick(now) {
                    member.back = Some(UnixSeconds::now());
                    is_over = true;
                }
            }
            if is_over {
                self.settle(pool);
            }
        }
    }

    /// When [`Self::tick`] has something to do.
    #[must_use]
    pub fn next_due(&self) -> Option<Duration> {
        self.pools.iter().flat_map(|p| &p.members).filter_map(|m| m.outlier.until()).min()
    }

    /// Publishes the pool's standing if it is not the published one.
    fn settle(&mut self, pool: usize) {
        let Some(state) = self.pools.get_mut(pool) else { return };
        if state.standing().open.is_empty() {
            state.members.iter_mut().for_each(|m| m.outlier.release());
        }
        let (now, snapshot) = (state.standing(), self.published.load());
        let Some(before) = snapshot.standings.get(pool).filter(|before| ***before != now) else { return };
        for ((backend, it), (was, is)) in
            state.pool.members.iter().zip(before.members.iter().zip(&now.members))
        {
            if was != is {
                self.metrics.control().state_changed(pool, backend.index());
            }
            match (was.ejected, is.ejected) {
                (false, true) => tracing::warn!(
                    "backend {} takes no new sessions for {:?}: requests failed",
                    state.name(backend),
                    it.fail_timeout
                ),
                (true, false) => {
                    tracing::info!("backend {} may take new sessions again", state.name(backend))
                }
                (true, true) | (false, false) => {}
            }
        }
        match (before.panics, now.panics) {
            (false, true) => tracing::error!(
                "pool {}: checks closed every backend; panic = \"serve\": they are used all the same",
                state.pool.name
            ),
            (true, false) => tracing::info!("pool {}: a backend is open again", state.pool.name),
            (true, true) | (false, false) => {}
        }
        let mut standings = snapshot.standings.clone();
        if let Some(place) = standings.get_mut(pool) {
            *place = Arc::new(now);
        }
        self.published.publish(Snapshot { plan: Arc::clone(&snapshot.plan), standings });
    }
}

impl PoolState {
    fn new(pool: &Arc<Pool>) -> Self {
        let streak = pool
            .check
            .as_ref()
            .map_or_else(|| Streak::new(1, 1, 1), |c| Streak::new(c.rise, c.fall, c.fall_pinned));
        let members = pool.members.iter().map(|(_, backend)| Member {
            admin: backend.admin,
            streak: streak.clone(),
            outlier: Outlier::new(backend.max_fails, backend.fail_timeout),
            back: None,
        });
        Self { members: members.collect(), pool: Arc::clone(pool) }
    }

    fn standing(&self) -> Standing {
        let availability = self.members.iter().map(|m| Availability {
            admin: m.admin,
            health: m.streak.health(),
            ejected: m.outlier.until().is_some(),
            leaving: Leaving::default(),
        });
        let (members, policy) = (&self.pool.members, &self.pool.policy);
        let mut standing = Standing::new(members, availability.collect(), policy.panic);
        let now = UnixSeconds::now();
        standing.ramps = self.ramps().filter(|r| now.saturating_since(r.since) <= r.seconds).collect();
        standing
    }

    /// Those that came back and are to start slowly.
    fn ramps(&self) -> impl Iterator<Item = Ramp> {
        self.members.iter().zip(self.pool.members.iter()).filter_map(|(member, (backend, it))| {
            let seconds = u32::try_from(it.slow_start.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
            (seconds > 0).then_some(Ramp { backend, since: member.back?, seconds })
        })
    }

    /// `pool/backend`, as logs name it.
    fn name(&self, backend: BackendIx) -> String {
        format!("{}/{}", self.pool.name, self.pool.members.get(backend).id)
    }
}

impl LastChecks {
    /// The last check of this backend.
    #[must_use]
    pub fn get(&self, pool: usize, backend: BackendIx) -> Option<LastCheck> {
        self.0.lock().get(pool)?.get(backend.index())?.clone()
    }

    fn set(&self, pool: usize, backend: BackendIx, check: LastCheck) {
        if let Some(place) = self.0.lock().get_mut(pool).and_then(|p| p.get_mut(backend.index())) {
            *place = Some(check);
        }
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
