//! What one worker counts, in blocks that it alone writes and that the scrape reads.
//!
//! An increment is a load and a store of a word that only this worker writes: no lock prefix, no shared cache line.
//! Blocks are handed out by [`super::metrics`]; whoever counts holds its block, so that the path of a request never
//! looks up a name. A place that does not exist counts into a block nobody reads, or not at all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::histogram::Histogram;
use super::reasons::{Abuse, H2Error, HandshakeEnd, Rejection, UpstreamError};
use super::totals::{BackendTotals, CLASSES, ListenerTotals, PoolTotals};

/// One worker's counters that belong to no listener and no pool.
#[derive(Debug)]
#[repr(align(64))]
pub struct Shard {
    pub(super) refusals: Box<[Counter]>,
    pub(super) panics: Counter,
}

/// One worker's counters of one listener.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct ListenerShard {
    opened: Counter,
    closed: Counter,
    rejected: [Counter; Rejection::ALL.len()],
    handshakes: [Counter; HandshakeEnd::ALL.len()],
    abused: [Counter; Abuse::ALL.len()],
    reset: [Counter; H2Error::ALL.len()],
    broken: [Counter; H2Error::ALL.len()],
}

/// One worker's counters of one pool as one snapshot has it: its backends stand in that snapshot's order.
#[derive(Debug)]
pub struct PoolShard {
    /// Those of its backends, in the order in which they were asked for.
    pub backends: Box<[Arc<BackendShard>]>,
    counters: Arc<PoolCounters>,
    /// Stands in for backends that do not exist; never read.
    spare: BackendShard,
}

/// One worker's counters of one pool, whatever its backends.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct PoolCounters {
    by_class: [Counter; CLASSES.len()],
    bytes_in: Counter,
    bytes_out: Counter,
    duration: Histogram,
    retries: Counter,
    replays: Counter,
    denied: Counter,
    queued: Counter,
    affinity: Box<[Counter]>,
}

/// One worker's counters of one backend.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct BackendShard {
    requests: Counter,
    errors: [Counter; UpstreamError::ALL.len()],
    connects: Counter,
    reuses: Counter,
    idle: Counter,
}

/// A counter with one writer.
#[derive(Debug, Default)]
pub(super) struct Counter(AtomicU64);

impl Shard {
    /// So many reasons for a refusal.
    pub(super) fn new(refusals: usize) -> Self {
        Self { refusals: counters(refusals), panics: Counter::default() }
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

    /// A TLS handshake ended.
    pub fn shaken(&self, how: HandshakeEnd) {
        self.handshakes[how as usize].add(1);
    }

    /// A client's HTTP/2 connection, or a stream of it, was ended for this.
    pub fn abused(&self, how: Abuse) {
        self.abused[how as usize].add(1);
    }

    /// A stream of HTTP/2 was reset for what its client did wrong on it.
    pub fn reset(&self, why: H2Error) {
        self.reset[why as usize].add(1);
    }

    /// A connection of HTTP/2 was ended for what its client did wrong on it.
    pub fn broken(&self, why: H2Error) {
        self.broken[why as usize].add(1);
    }

    pub(super) fn add_to(&self, totals: &mut ListenerTotals) {
        totals.opened += self.opened.get();
        totals.closed += self.closed.get();
        add(&mut totals.rejected, &self.rejected);
        add(&mut totals.handshakes, &self.handshakes);
        add(&mut totals.abused, &self.abused);
        add(&mut totals.reset, &self.reset);
        add(&mut totals.broken, &self.broken);
    }
}

impl PoolShard {
    pub(super) fn new(counters: Arc<PoolCounters>, backends: Box<[Arc<BackendShard>]>) -> Self {
        Self { backends, counters, spare: BackendShard::default() }
    }

    /// A request of this pool is over: its status, how long it took, and the bytes of both bodies.
    pub fn finished(&self, status: u16, micros: u64, bytes_in: u64, bytes_out: u64) {
        let counters = &*self.counters;
        bump(&counters.by_class, usize::from(status / 100).wrapping_sub(1));
        counters.duration.observe(micros);
        counters.bytes_in.add(bytes_in);
        counters.bytes_out.add(bytes_out);
    }

    /// A request was placed, or could not be, for this reason (a place in `Layout::affinity`).
    pub fn affinity(&self, reason: usize) {
        bump(&self.counters.affinity, reason);
    }

    /// A request was tried again on another backend.
    pub fn retried(&self) {
        self.counters.retries.add(1);
    }

    /// A request that met a closed kept connection was sent again to the same backend.
    pub fn replayed(&self) {
        self.counters.replays.add(1);
    }

    /// A request was not tried again because the pool's retries had used up their budget.
    pub fn denied(&self) {
        self.counters.denied.add(1);
    }

    /// A request waited for a full backend.
    pub fn queued(&self) {
        self.counters.queued.add(1);
    }

    /// The backend at this place.
    #[must_use]
    pub fn backend(&self, ix: usize) -> &BackendShard {
        self.backends.get(ix).map_or(&self.spare, |shard| &**shard)
    }
}

impl PoolCounters {
    /// So many affinity reasons.
    pub(super) fn new(affinity: usize) -> Self {
        Self { affinity: counters(affinity), ..Self::default() }
    }

    pub(super) fn add_to(&self, totals: &mut PoolTotals) {
        add(&mut totals.by_class, &self.by_class);
        totals.bytes_in += self.bytes_in.get();
        totals.bytes_out += self.bytes_out.get();
        self.duration.add_to(&mut totals.duration);
        totals.retries += self.retries.get();
        totals.replays += self.replays.get();
        totals.denied += self.denied.get();
        totals.queued += self.queued.get();
        add(&mut totals.affinity, &self.affinity);
    }
}

impl BackendShard {
    /// A request was sent to it (each try counts), on a kept connection or on one made for it.
    pub fn sent(&self, is_reused: bool) {
        self.requests.add(1);
        if is_reused { &self.reuses } else { &self.connects }.add(1);
    }

    /// It failed a request.
    pub fn failed(&self, how: UpstreamError) {
        self.errors[how as usize].add(1);
    }

    /// How many idle connections to it this worker keeps now.
    pub fn idle(&self, count: usize) {
        self.idle.set(count as u64);
    }

    pub(super) fn add_to(&self, totals: &mut BackendTotals) {
        totals.requests += self.requests.get();
        add(&mut totals.errors, &self.errors);
        totals.connects += self.connects.get();
        totals.reuses += self.reuses.get();
        totals.idle += self.idle.get();
    }
}

impl Counter {
    /// Adds `n`. Only this counter's one writer calls it.
    pub(super) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    /// Replaces the count, of something that also falls. Only this counter's one writer calls it.
    pub(super) fn set(&self, n: u64) {
        self.0.store(n, Relaxed);
    }

    /// The count.
    pub(super) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

fn bump(counters: &[Counter], ix: usize) {
    if let Some(counter) = counters.get(ix) {
        counter.add(1);
    }
}

fn add(totals: &mut [u64], counters: &[Counter]) {
    totals.iter_mut().zip(counters).for_each(|(total, counter)| *total += counter.get());
}

fn counters(n: usize) -> Box<[Counter]> {
    std::iter::repeat_with(Counter::default).take(n).collect()
}
