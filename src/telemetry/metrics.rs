//! All counters, by name: of listeners, of pools, and of the backends of pools.
//!
//! A series is found by its name, so what stays in the configuration goes on counting, wherever the file puts it and
//! whatever comes or goes beside it. Names are those of the configuration: nothing that a client sends becomes one.
//! Each series has a block per worker ([`super::shards`]), handed out once per view; the lock here is taken by who
//! builds a view, by the control plane and by the scrape, never by a request. A block that is held stays valid when
//! its series is dropped; it is only seen no more. The text form is in [`super::exposition`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;

use super::reasons::SnapshotEnd;
use super::shards::{BackendShard, ListenerShard, PoolCounters, PoolShard, Shard};
use super::totals::{BackendTotals, ListenerTotals, PoolTotals, TlsFigures};
use crate::base::time::UnixSeconds;

/// What does not change while the process runs. Reasons are told by their place in these lists.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Threads of the data plane.
    pub workers: usize,
    /// Affinity reasons as (result, reason).
    pub affinity: &'static [(&'static str, &'static str)],
    /// Why homing itself refuses a request before a pool is found.
    pub refusals: &'static [&'static str],
}

/// Whose series there are, in the order of the configuration.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// Listeners.
    pub listeners: Vec<Arc<str>>,
    /// Pools with their backends.
    pub pools: Vec<PoolNames>,
}

/// One pool's names.
#[derive(Clone, Debug)]
pub struct PoolNames {
    /// Its name.
    pub name: Arc<str>,
    /// Its backends' ids in order.
    pub backends: Vec<Arc<str>>,
}

/// All counters of one process.
#[derive(Debug)]
pub struct Metrics {
    pub(super) layout: Layout,
    pub(super) shards: Box<[Arc<Shard>]>,
    pub(super) log_dropped: Arc<AtomicU64>,
    series: Mutex<Series>,
    config: Mutex<ConfigFigures>,
}

/// Which configuration is in force, and how it came to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFigures {
    /// Its hash; nothing before one was loaded.
    pub hash: Option<Arc<str>>,
    /// Reloads that took effect. The start is none.
    pub reloads: u64,
    /// Reloads that were refused.
    pub refused: u64,
    /// When a configuration was last loaded or refused.
    pub last_at: UnixSeconds,
    /// Whether it was refused.
    pub last_refused: bool,
}

#[derive(Debug, Default)]
struct Series {
    listeners: BTreeMap<Arc<str>, Blocks<ListenerShard>>,
    tls: BTreeMap<Arc<str>, TlsFigures>,
    pools: BTreeMap<Arc<str>, PoolSeries>,
}

#[derive(Debug)]
struct PoolSeries {
    blocks: Blocks<PoolCounters>,
    backends: BTreeMap<Arc<str>, BackendSeries>,
    snapshots: [u64; SnapshotEnd::ALL.len()],
}

#[derive(Debug)]
struct BackendSeries {
    blocks: Blocks<BackendShard>,
    good_checks: u64,
    bad_checks: u64,
    state_changes: u64,
}

/// One block per worker.
#[derive(Debug)]
struct Blocks<T>(Box<[Arc<T>]>);

impl Metrics {
    /// No series yet but those of the process.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let shards = Blocks::new(layout.workers, || Shard::new(layout.refusals.len())).0;
        Self {
            layout,
            shards,
            log_dropped: Arc::default(),
            series: Mutex::default(),
            config: Mutex::default(),
        }
    }

    /// What a worker counts of no listener and no pool. Workers are counted from 0; one too many shares its blocks,
    /// here and below, with an earlier one, and their counts may then lose against each other.
    #[must_use]
    pub fn shard(&self, worker: usize) -> Arc<Shard> {
        Arc::clone(&self.shards[worker % self.shards.len()])
    }

    /// What a worker counts of a listener.
    #[must_use]
    pub fn listener(&self, worker: usize, name: &str) -> Arc<ListenerShard> {
        let mut series = self.series.lock();
        let new = || Blocks::new(self.layout.workers, ListenerShard::default);
        series.listeners.entry(name.into()).or_insert_with(new).of(worker)
    }

    /// What a worker counts of a pool and of these backends of it, which are found in the handle by their place here.
    #[must_use]
    pub fn pool<'a>(
        &self,
        worker: usize,
        name: &str,
        backends: impl IntoIterator<Item = &'a str>,
    ) -> Arc<PoolShard> {
        let mut series = self.series.lock();
        let pool = series.pool(name, &self.layout);
        let backends = backends.into_iter().map(|id| pool.backend(id).blocks.of(worker)).collect();
        Arc::new(PoolShard::new(pool.blocks.of(worker), backends))
    }

    /// Drops the series of everything that none of `plans` names. After a reload that is the plan in force and the
    /// one before: what returns with the next goes on where it was.
    pub fn retain(&self, plans: &[&Names]) {
        let mut series = self.series.lock();
        series.listeners.retain(|name, _| plans.iter().any(|plan| plan.listeners.contains(name)));
        series.tls.retain(|name, _| plans.iter().any(|plan| plan.listeners.contains(name)));
        series.pools.retain(|name, pool| {
            let named = plans.iter().flat_map(|plan| &plan.pools).filter(|p| p.name == *name);
            let named: Vec<_> = named.collect();
            pool.backends.retain(|id, _| named.iter().any(|p| p.backends.contains(id)));
            !named.is_empty()
        });
    }

    /// What all workers counted of a listener; zeros for one that has no series.
    #[must_use]
    pub fn listener_totals(&self, name: &str) -> ListenerTotals {
        let series = self.series.lock();
        let mut totals = ListenerTotals { tls: series.tls.get(name).cloned(), ..ListenerTotals::default() };
        if let Some(listener) = series.listeners.get(name) {
            listener.0.iter().for_each(|block| block.add_to(&mut totals));
        }
        totals
    }

    /// What all workers counted of a pool; zeros for one that has no series.
    #[must_use]
    pub fn pool_totals(&self, name: &str) -> PoolTotals {
        let mut totals =
            PoolTotals { affinity: vec![0; self.layout.affinity.len()], ..PoolTotals::default() };
        if let Some(pool) = self.series.lock().pools.get(name) {
            pool.blocks.0.iter().for_each(|block| block.add_to(&mut totals));
            totals.snapshots = pool.snapshots;
        }
        totals
    }

    /// What all workers counted of a backend, and the control plane; zeros for one that has no series.
    #[must_use]
    pub fn backend_totals(&self, pool: &str, backend: &str) -> BackendTotals {
        let mut totals = BackendTotals::default();
        if let Some(it) = self.series.lock().pools.get(pool).and_then(|p| p.backends.get(backend)) {
            it.blocks.0.iter().for_each(|block| block.add_to(&mut totals));
            totals.good_checks = it.good_checks;
            totals.bad_checks = it.bad_checks;
            totals.state_changes = it.state_changes;
        }
        totals
    }

    /// Which certificates a listener shows now; `None` if it has no TLS. `failures` more could not be used.
    pub fn certificates(&self, listener: &str, shown: Option<Vec<(String, UnixSeconds)>>, failures: u64) {
        let mut series = self.series.lock();
        match shown {
            None => drop(series.tls.remove(listener)),
            Some(certificates) => {
                let figures = series.tls.entry(listener.into()).or_default();
                figures.certificates = certificates;
                figures.failures += failures;
            }
        }
    }

    /// A check of this backend ended.
    pub fn checked(&self, pool: &str, backend: &str, is_good: bool) {
        self.backend(pool, backend, |it| {
            *(if is_good { &mut it.good_checks } else { &mut it.bad_checks }) += 1;
        });
    }

    /// This backend's availability changed.
    pub fn state_changed(&self, pool: &str, backend: &str) {
        self.backend(pool, backend, |it| it.state_changes += 1);
    }

    /// A snapshot of a pool's session table was written or read, or could not be.
    pub fn snapshot_ended(&self, pool: &str, how: SnapshotEnd) {
        self.series.lock().pool(pool, &self.layout).snapshots[how as usize] += 1;
    }

    /// The process starts with this configuration.
    pub fn config_loaded(&self, hash: &str, now: UnixSeconds) {
        let mut config = self.config.lock();
        *config = ConfigFigures { hash: Some(hash.into()), last_at: now, last_refused: false, ..*config };
    }

    /// A reload put this configuration in force.
    pub fn config_reloaded(&self, hash: &str, now: UnixSeconds) {
        self.config.lock().reloads += 1;
        self.config_loaded(hash, now);
    }

    /// A reload was refused; what was in force stays.
    pub fn config_refused(&self, now: UnixSeconds) {
        let mut config = self.config.lock();
        config.refused += 1;
        (config.last_at, config.last_refused) = (now, true);
    }

    /// Which configuration is in force, and how it came to be.
    #[must_use]
    pub fn config(&self) -> ConfigFigures {
        self.config.lock().clone()
    }

    /// Where the access log counts lines it had to drop.
    #[must_use]
    pub const fn log_dropped(&self) -> &Arc<AtomicU64> {
        &self.log_dropped
    }

    fn backend(&self, pool: &str, backend: &str, write: impl FnOnce(&mut BackendSeries)) {
        write(self.series.lock().pool(pool, &self.layout).backend(backend));
    }
}

impl Series {
    fn pool(&mut self, name: &str, layout: &Layout) -> &mut PoolSeries {
        self.pools.entry(name.into()).or_insert_with(|| PoolSeries {
            blocks: Blocks::new(layout.workers, || PoolCounters::new(layout.affinity.len())),
            backends: BTreeMap::new(),
            snapshots: Default::default(),
        })
    }
}

impl PoolSeries {
    fn backend(&mut self, id: &str) -> &mut BackendSeries {
        let workers = self.blocks.0.len();
        self.backends.entry(id.into()).or_insert_with(|| BackendSeries {
            blocks: Blocks::new(workers, BackendShard::default),
            good_checks: 0,
            bad_checks: 0,
            state_changes: 0,
        })
    }
}

impl<T> Blocks<T> {
    fn new(workers: usize, new: impl Fn() -> T) -> Self {
        Self((0..workers.max(1)).map(|_| Arc::new(new())).collect())
    }

    fn of(&self, worker: usize) -> Arc<T> {
        Arc::clone(&self.0[worker % self.0.len()])
    }
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
