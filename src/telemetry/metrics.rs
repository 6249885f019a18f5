//! What workers count: one shard per worker with one writer each; the scrape adds them up.
//!
//! An increment is a load and a store of a word that only this worker writes: no lock prefix, no shared cache line.
//! Every series exists from the start and is found by place, so the path of a request never looks up a name, and
//! nothing that a client sends becomes a label. A place that does not exist counts into a shard nobody reads.
//! The text form is in [`super::exposition`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::Histogram;
use super::reasons::{Rejection, UpstreamError};

/// Whose series there are. Reasons and listeners are told by their place in these lists.
#[derive(Clone, Debug, Default)]
pub struct Layout {
    /// Threads of the data plane.
    pub workers: usize,
    /// Listeners by name.
    pub listeners: Vec<Arc<str>>,
    /// Pools with their backends.
    pub pools: Vec<PoolNames>,
    /// Affinity reasons as (result, reason).
    pub affinity: &'static [(&'static str, &'static str)],
    /// Why homing itself refuses a request before a pool is found.
    pub refusals: &'static [&'static str],
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
    pub(super) shards: Vec<Arc<Shard>>,
    pub(super) control: ControlShard,
    pub(super) log_dropped: Arc<AtomicU64>,
}

/// One worker's counters. Shared with the scrape, written by that worker alone.
#[derive(Debug)]
#[repr(align(64))]
pub struct Shard {
    pub(super) listeners: Box<[ListenerShard]>,
    pub(super) pools: Box<[PoolShard]>,
    pub(super) refusals: Box<[Counter]>,
    pub(super) panics: Counter,
    /// Stand-ins for places that do not exist; never read.
    spare: Box<(ListenerShard, PoolShard)>,
}

/// One worker's counters of one listener.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ListenerShard {
    pub(super) opened: Counter,
    pub(super) closed: Counter,
    pub(super) rejected: [Counter; Rejection::ALL.len()],
}

/// One worker's counters of one pool.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PoolShard {
    pub(super) by_class: [Counter; CLASSES.len()],
    pub(super) bytes_in: Counter,
    pub(super) bytes_out: Counter,
    pub(super) duration: Histogram,
    pub(super) retries: Counter,
    pub(super) replays: Counter,
    pub(super) denied: Counter,
    pub(super) queued: Counter,
    pub(super) affinity: Box<[Counter]>,
    pub(super) backends: Box<[BackendShard]>,
    spare: BackendShard,
}

/// One worker's counters of one backend.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct BackendShard {
    pub(super) requests: Counter,
    pub(super) errors: [Counter; UpstreamError::ALL.len()],
    pub(super) connects: Counter,
    pub(super) reuses: Counter,
    pub(super) idle: Counter,
}

/// The control plane's counters, written by its thread alone.
#[derive(Debug)]
pub struct ControlShard {
    pub(super) pools: Box<[Box<[Checks]>]>,
}

/// What the control plane counts of one backend.
#[derive(Debug, Default)]
pub(super) struct Checks {
    pub(super) good: Counter,
    pub(super) bad: Counter,
    pub(super) changes: Counter,
}

/// A counter with one writer.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

/// The classes of status codes, as labels.
pub(super) const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

impl Metrics {
    /// Every series at zero.
    #[must_use]
    pub fn new(layout: Layout) -> Self {
        let shards = (0..layout.workers.max(1)).map(|_| Arc::new(Shard::new(&layout))).collect();
        let control =
            ControlShard { pools: layout.pools.iter().map(|p| defaults(p.backends.len())).collect() };
        Self { layout, shards, control, log_dropped: Arc::new(AtomicU64::new(0)) }
    }

    /// The shard of one worker. Workers are counted from 0; one too many shares with an earlier one, and their
    /// counts may then lose against each other.
    #[must_use]
    pub fn shard(&self, worker: usize) -> Arc<Shard> {
        Arc::clone(&self.shards[worker % self.shards.len()])
    }

    /// The control plane's counters.
    #[must_use]
    pub const fn control(&self) -> &ControlShard {
        &self.control
    }

    /// Where the access log counts lines it had to drop.
    #[must_use]
    pub const fn log_dropped(&self) -> &Arc<AtomicU64> {
        &self.log_dropped
    }
}

impl Shard {
    fn new(layout: &Layout) -> Self {
        let pool = |backends| PoolShard {
            affinity: defaults(layout.affinity.len()),
            backends: defaults(backends),
            ..PoolShard::default()
        };
        Self {
            listeners: defaults(layout.listeners.len()),
            pools: layout.pools.iter().map(|p| pool(p.backends.len())).collect(),
            refusals: defaults(layout.refusals.len()),
            panics: Counter::default(),
            spare: Box::new((ListenerShard::default(), pool(0))),
        }
    }

    /// The listener at this place.
    #[must_use]
    pub fn listener(&self, ix: usize) -> &ListenerShard {
        self.listeners.get(ix).unwrap_or(&self.spare.0)
    }

    /// The pool at this place.
    #[must_use]
    pub fn pool(&self, ix: usize) -> &PoolShard {
        self.pools.get(ix).unwrap_or(&self.spare.1)
    }

    /// A request was refused by homing before a pool was found, for this reason (a place in `Layout::refusals`).
    pub fn refused(&self, reason: usize) {
        bump(&self.refusals, reason);
    }

    /// A panic ended a connection.
    pub fn panicked(&self) {
        self.panics.add(1);
    }
}

impl ListenerShard {
    /// A connection was accepted and is open.
    pub fn opened(&self) {
        self.opened.add(1);
    }

    /// A connection that was open is closed.
    pub fn closed(&self) {
        self.closed.add(1);
    }

    /// A connection was turned away.
    pub fn rejected(&self, why: Rejection) {
        self.rejected[why as usize].add(1);
    }
}

impl PoolShard {
    /// A request of this pool is over: its status, how long it took, and the bytes of both bodies.
    pub fn finished(&self, status: u16, micros: u64, bytes_in: u64, bytes_out: u64) {
        bump(&self.by_class, usize::from(status / 100).wrapping_sub(1));
        self.duration.observe(micros);
        self.bytes_in.add(bytes_in);
        self.bytes_out.add(bytes_out);
    }

    /// A request was placed, or could not be, for this reason (a place in `Layout::affinity`).
    pub fn affinity(&self, reason: usize) {
        bump(&self.affinity, reason);
    }

    /// A request was tried again on another backend.
    pub fn retried(&self) {
        self.retries.add(1);
    }

    /// A request that met a closed kept connection was sent again to the same backend.
    pub fn replayed(&self) {
        self.replays.add(1);
    }

    /// A request was not tried again because the pool's retries had used up their budget.
    pub fn denied(&self) {
        self.denied.add(1);
    }

    /// A request waited for a full backend.
    pub fn queued(&self) {
        self.queued.add(1);
    }

    /// The backend at this place.
    #[must_use]
    pub fn backend(&self, ix: usize) -> &BackendShard {
        self.backends.get(ix).unwrap_or(&self.spare)
    }
}

impl BackendShard {
    /// A request was sent to it (each try counts).
    pub fn sent(&self) {
        self.requests.add(1);
    }

    /// It failed a request.
    pub fn failed(&self, how: UpstreamError) {
        self.errors[how as usize].add(1);
    }

    /// A connection to it was made.
    pub fn connected(&self) {
        self.connects.add(1);
    }

    /// A kept connection to it was used again.
    pub fn reused(&self) {
        self.reuses.add(1);
    }

    /// How many idle connections to it this worker keeps now.
    pub fn idle(&self, count: u64) {
        self.idle.set(count);
    }
}

impl ControlShard {
    /// A check of this backend ended.
    pub fn checked(&self, pool: usize, backend: usize, is_good: bool) {
        if let Some(checks) = self.get(pool, backend) {
            if is_good { &checks.good } else { &checks.bad }.add(1);
        }
    }

    /// This backend's availability changed.
    pub fn state_changed(&self, pool: usize, backend: usize) {
        if let Some(checks) = self.get(pool, backend) {
            checks.changes.add(1);
        }
    }

    fn get(&self, pool: usize, backend: usize) -> Option<&Checks> {
        self.pools.get(pool)?.get(backend)
    }
}

impl Counter {
    /// Adds `n`. Only this counter's one writer calls it.
    pub fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Replaces the count, of something that also falls. Only this counter's one writer calls it.
    pub fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The count.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

fn bump(counters: &[Counter], ix: usize) {
    if let Some(counter) = counters.get(ix) {
        counter.add(1);
    }
}

fn defaults<T: Default>(n: usize) -> Box<[T]> {
    std::iter::repeat_with(T::default).take(n).collect()
}
