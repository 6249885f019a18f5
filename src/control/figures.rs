//! What is true at one moment of every pool and backend: as JSON, and as gauges for the metrics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::board::{Board, Event, Notes, Override, Told};
use super::certificates;
use super::drain::{Drain, Left, Mode};
use super::recent::Recent;
use super::state::left_on;
use crate::affinity::Why;
use crate::affinity::carriers::Affinity;
use crate::backend::availability::{AdminState, Availability, Health};
use crate::backend::{Backend, BackendIx};
use crate::base::time::UnixSeconds;
use crate::pool::Pool;
use crate::snapshot::phases::Phase;
use crate::snapshot::published::Published;
use crate::snapshot::{Plan, Snapshot};
use crate::telemetry::live::{BackendLive, BackendState, DrainLive, Live, TableLive};
use crate::telemetry::metrics::{Metrics, Names, PoolNames};
use crate::telemetry::process::Process;

/// What may become of a request's session, of which each is told though it never happened.
const RESULTS: [&str; 6] = ["hit", "new", "moved", "borrowed", "broken", "none"];

/// One snapshot's live figures.
pub(super) struct Figures<'a> {
    metrics: &'a Metrics,
    reports_dropped: &'a AtomicU64,
    told: Told,
    snapshot: Arc<Snapshot>,
    now: UnixSeconds,
}

/// What the backends of one pool share.
#[derive(Clone, Copy)]
struct Whole {
    sessions: u64,
    /// Of those that take new sessions.
    weights: u32,
}

/// Whether a backend can be stopped without anybody losing anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Safety {
    pub(super) left: Left,
    /// It takes no new sessions.
    pub(super) is_closed: bool,
    /// Its sessions have to go: they are not waited for.
    pub(super) has_left: bool,
}

impl Safety {
    /// Nobody is sent there any more, and nobody is there.
    pub(super) const fn is_safe(self) -> bool {
        let sessions = if self.has_left { 0 } else { self.left.sessions };
        self.is_closed && Left { sessions, ..self.left }.is_nothing()
    }
}

impl<'a> Figures<'a> {
    /// Those of the published snapshot.
    pub(super) fn now(
        published: &Published,
        board: &Board,
        metrics: &'a Metrics,
        reports_dropped: &'a AtomicU64,
    ) -> Self {
        let (told, now) = (board.told(), UnixSeconds::now());
        Self { metrics, reports_dropped, told, snapshot: published.load(), now }
    }

    /// Pools and backends as JSON.
    pub(super) fn pools(&self, phase: Phase) -> Value {
        let pools = self.snapshot.plan.pools.iter().enumerate();
        let pools = pools.map(|(p, pool)| {
            let live = |b: &Backend| u64::from(b.sessions.live(self.now));
            let sessions = pool.members.iter().map(|(_, b)| live(b)).sum::<u64>();
            let whole = self.whole(p, pool);
            let backends = pool.members.iter().map(|(ix, b)| self.backend_json(p, ix, b, whole));
            json!({
                "name": *pool.name,
                "strategy": pool.kind.name,
                "affinity": pool.affinity.as_ref().map_or_else(|| "none".to_owned(), Affinity::to_text),
                "preset": pool.affinity.as_ref().and_then(Affinity::preset),
                "panic": self.snapshot.standings.get(p).is_some_and(|s| s.panics),
                "sessions": sessions,
                "long_ids": pool.affinity.as_ref().map_or(0, Affinity::long_ids),
                "skew": pool.skew.as_ref().and_then(|s| s.now(self.now)).map(|alarm| json!({
                    "share": (alarm.share * 100.0).round() / 100.0,
                    "key": alarm.seen.to_string(),
                    "since": alarm.since.0,
                    "cause": alarm.cause(&pool.key.sources),
                })),
                "backends": backends.collect::<Vec<_>>(),
            })
        });
        json!({ "phase": phase.as_str(), "pools": pools.collect::<Vec<_>>() })
    }

    /// All of it: the pools with how much they did, the configuration, what happened, the process.
    pub(super) fn state(&self, phase: Phase, recent: &Recent, uptime: Duration) -> Value {
        let mut state = self.pools(phase);
        if let Some(pools) = state.get_mut("pools").and_then(Value::as_array_mut) {
            for (at, (json, pool)) in pools.iter_mut().zip(&self.snapshot.plan.pools).enumerate() {
                self.add_totals(json, at, pool, recent);
            }
        }
        let listeners = self.snapshot.plan.listeners.iter().map(|l| self.metrics.listener_totals(&l.name));
        let connections: u64 = listeners.map(|l| l.opened.saturating_sub(l.closed)).sum();
        let process = Process::read();
        state["version"] = json!(env!("CARGO_PKG_VERSION"));
        state["now"] = json!(self.now.0);
        state["uptime_s"] = json!(uptime.as_secs());
        state["config"] = self.told.config.json();
        state["tls"] = certificates::json(&self.snapshot.plan);
        state["events"] = self.told.events.iter().map(Event::json).collect();
        state["process"] = json!({
            "connections": connections,
            "workers": self.snapshot.plan.workers,
            "rss_bytes": process.as_ref().map(|p| p.resident_bytes),
            "open_fds": process.as_ref().map(|p| p.open_fds),
            "max_fds": process.as_ref().map(|p| p.max_fds),
            "cpu_s": process.as_ref().map(|p| p.cpu_seconds),
        });
        state
    }

    fn add_totals(&self, json: &mut Value, at: usize, pool: &Pool, recent: &Recent) {
        let totals = self.metrics.pool_totals(&pool.name);
        let rates = recent.rates(&pool.name, &totals, Instant::now());
        let (mut results, mut reasons) = (BTreeMap::from(RESULTS.map(|word| (word, 0))), BTreeMap::new());
        for (why, n) in Why::ALL.iter().zip(&totals.affinity) {
            *results.entry(why.result()).or_insert(0) += n;
            // Words stand for a home that was lost and for one that was only away.
            *reasons.entry(why.as_str()).or_insert(0) += n;
        }
        let table = self.table(at).map(|t| {
            json!({
                "entries": t.entries, "bytes": t.bytes, "evicted_live": t.evicted_live,
                "evicted_expired": t.evicted_expired,
            })
        });
        json["requests_total"] = json!(totals.requests());
        json["errors_total"] = json!(totals.by_class.last());
        json["rps"] = json!(rates.rps);
        json["p50_ms"] = json!(rates.p50_ms);
        json["p99_ms"] = json!(rates.p99_ms);
        json["affinity"] = json!({ "mode": json["affinity"], "results": results, "reasons": reasons });
        json["table"] = json!(table);
    }

    /// Whether this backend can be stopped, if there is one.
    pub(super) fn safety(&self, pool: &str, backend: &str) -> Option<Safety> {
        let (p, pool) = self.snapshot.plan.pools.iter().enumerate().find(|(_, p)| &*p.name == pool)?;
        let ix = pool.members.find(backend)?;
        let availability = self.availability(p, ix);
        Some(Safety {
            left: left_on(pool.members.get(ix), self.now),
            is_closed: availability.is_draining() || availability.admin == AdminState::Maint,
            has_left: !availability.is_serving(),
        })
    }

    /// One backend as JSON, if there is one.
    pub(super) fn backend(&self, pool: &str, backend: &str) -> Option<Value> {
        let (p, pool) = self.snapshot.plan.pools.iter().enumerate().find(|(_, p)| &*p.name == pool)?;
        let ix = pool.members.find(backend)?;
        Some(self.backend_json(p, ix, pool.members.get(ix), self.whole(p, pool)))
    }

    /// What a pool's backends have their shares of.
    fn whole(&self, p: usize, pool: &Pool) -> Whole {
        let weights = pool.members.iter().filter(|(ix, _)| self.is_open(p, *ix));
        Whole {
            sessions: pool.members.iter().map(|(_, b)| u64::from(b.sessions.live(self.now))).sum(),
            weights: weights.map(|(_, b)| u32::from(b.weight)).sum(),
        }
    }

    fn is_open(&self, pool: usize, backend: BackendIx) -> bool {
        self.snapshot.standings.get(pool).is_some_and(|s| s.open.contains(backend))
    }

    fn backend_json(&self, pool: usize, ix: BackendIx, backend: &Backend, whole: Whole) -> Value {
        let weight = if self.is_open(pool, ix) { backend.weight } else { 0 };
        let availability = self.availability(pool, ix);
        let notes = self.notes(pool, backend);
        let check = notes.check.map(|check| {
            let result = if check.is_good { "good" } else { "bad" };
            json!({ "result": result, "text": check.text, "at": check.at.0 })
        });
        let left = left_on(backend, self.now);
        let name = self.pool(pool).map(|p| Arc::clone(&p.name)).unwrap_or_default();
        let totals = self.metrics.backend_totals(&name, backend.id.as_str());
        json!({
            "id": backend.id.as_str(),
            "address": *backend.address_text,
            "weight": backend.weight,
            "backup": backend.backup,
            "leaving": backend.leaving,
            "admin": availability.admin.as_str(),
            "health": availability.health.as_str(),
            "ejected": availability.ejected,
            "state": state(availability).as_str(),
            "in_flight": backend.load.in_flight(),
            "tunnels": left.tunnels,
            "waiting": backend.load.waiting(),
            "sessions": left.sessions,
            "share": f64::from(left.sessions) / whole.sessions.max(1) as f64,
            "fair_share": f64::from(weight) / f64::from(whole.weights.max(1)),
            "requests_total": totals.requests,
            "errors_total": totals.errors.iter().sum::<u64>(),
            "last_check": check,
            "drain": notes.drain.map(|drain| self.drain_json(&drain, backend, left)),
            "overrides": {
                "state": notes.admin.map(|set| over_json(set, AdminState::as_str)),
                "weight": notes.weight.map(|set| over_json(set, |weight| weight)),
            },
        })
    }

    fn drain_json(&self, drain: &Drain, backend: &Backend, left: Left) -> Value {
        let pause = if let Mode::Idle(pause) = drain.mode { Some(pause) } else { None };
        json!({
            "mode": drain.mode.as_str(),
            "idle_s": pause,
            "because": drain.because.as_str(),
            "since": drain.since.0,
            "deadline": drain.deadline.map(|t| t.0),
            "is_over": drain.leaving(self.now) == crate::backend::availability::Leaving::Over,
            "began_with": drain.began_with,
            "sessions": left.sessions,
            "requests": left.requests,
            "tunnels": left.tunnels,
            "longest_idle_s": backend.sessions.longest_idle(self.now),
            "expected_end": drain.expected_end(left.sessions, self.now).map(|t| t.0),
        })
    }

    fn notes(&self, pool: usize, backend: &Backend) -> Notes {
        self.pool(pool).map(|pool| self.told.of(&pool.name, &backend.id)).unwrap_or_default()
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
    fn names(&self) -> Names {
        names(&self.snapshot.plan)
    }

    fn table(&self, pool: usize) -> Option<TableLive> {
        let kept = self.pool(pool)?.affinity.as_ref().and_then(Affinity::kept)?;
        let of = kept.table().figures();
        let (entries, bytes, evicted_live) = (of.entries, of.bytes, of.evicted_live);
        Some(TableLive {
            entries,
            bytes,
            evicted_live,
            evicted_expired: of.evicted.saturating_sub(evicted_live),
        })
    }

    fn backend(&self, pool: usize, backend: usize) -> BackendLive {
        let ix = BackendIx(u16::try_from(backend).unwrap_or(u16::MAX));
        let member = self.pool(pool).filter(|p| backend < p.members.len()).map(|p| p.members.get(ix));
        BackendLive {
            state: state(self.availability(pool, ix)),
            weight: member.map_or(0, |b| b.weight),
            in_flight: member.map_or(0, |b| b.load.in_flight()),
            tunnels: member.map_or(0, |b| b.load.tunnels()),
            waiting: member.map_or(0, |b| b.load.waiting()),
            sessions: member.map_or(0, |b| b.sessions.live(self.now)),
            drain: member.and_then(|b| {
                let (drain, sessions) = (self.notes(pool, b).drain?, b.sessions.live(self.now));
                Some(DrainLive { sessions, started: drain.since, deadline: drain.deadline })
            }),
        }
    }

    fn reports_dropped(&self) -> u64 {
        self.reports_dropped.load(Ordering::Relaxed)
    }
}

/// Whose series a plan has.
pub(super) fn names(plan: &Plan) -> Names {
    let pools = plan.pools.iter().map(|pool| PoolNames {
        name: Arc::clone(&pool.name),
        backends: pool.members.iter().map(|(_, b)| b.id.as_str().into()).collect(),
    });
    Names { listeners: plan.listeners.iter().map(|l| Arc::clone(&l.name)).collect(), pools: pools.collect() }
}

fn over_json<T: Copy, J: Into<Value>>(set: Override<T>, word: impl Fn(T) -> J) -> Value {
    let (value, covers): (Value, Value) = (word(set.value).into(), word(set.covers).into());
    json!({ "value": value, "covers": covers, "since": set.since.0 })
}

/// The one word for it: what the operator wants before what checks found before what requests met.
const fn state(of: Availability) -> BackendState {
    match (of.admin, of.health, of.ejected) {
        (AdminState::Maint, ..) => BackendState::Maint,
        (_, Health::Down, _) => BackendState::Down,
        (AdminState::Drain, ..) | (_, Health::Drain, _) => BackendState::Drain,
        (AdminState::Ready, Health::Weak, _) => BackendState::Weak,
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
            (Ready, Health::Weak, true, BackendState::Weak),
            (Drain, Health::Weak, false, BackendState::Drain),
            (Maint, Down, true, BackendState::Maint),
        ] {
            assert_eq!(state(Availability { admin, health, ejected, ..Availability::default() }), expected);
        }
    }
}
