//! A worker: one thread, its runtime, its listeners, its view of the snapshot and its connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use socket2::Socket;

use super::clock::{Clock, TICK};
use super::connection::{self, Client};
use super::door::{Acceptor, Door, is_of_peer};
use super::record::Record;
use super::request::Request;
use super::request_id::{self, Digits};
use super::retry::Budget;
use super::story::Story;
use super::upstream::{Member, PoolView};
use super::visits::Visits;
use crate::affinity::opened::{ENTRIES, OpenedCache};
use crate::affinity::seal::Nonces;
use crate::backend::BackendIx;
use crate::base::time::UnixSeconds;
use crate::net::buffer::Blocks;
use crate::pool::choose::Pickers;
use crate::snapshot::Snapshot;
use crate::snapshot::phases::{Phase, Phases};
use crate::snapshot::published::Published;
use crate::snapshot::reports::{Outcome, Owed, Report, Reporter};
use crate::telemetry::access_log::AccessLogger;
use crate::telemetry::metrics::Metrics;

/// Connections accepted in one go before others get their turn.
const ACCEPTS: u32 = 64;
/// From the start of draining until idle connections are closed: a request that is on its way when listeners close is
/// still answered, with the word that its connection ends.
const GRACE: Duration = Duration::from_secs(1);
/// How long accepting rests when descriptors have run out: it must not spin.
const REST: Duration = Duration::from_millis(100);
/// How long tunnels have for a last word when everything is cut.
const LAST_WORD: Duration = Duration::from_secs(1);
/// From one word in the log about that to the next.
const QUIET: Duration = Duration::from_secs(1);

/// What every worker is given.
#[derive(Clone, Debug)]
pub struct Shared {
    /// The snapshots.
    pub published: Arc<Published>,
    /// The way to the control plane.
    pub reporter: Reporter,
    /// All counters.
    pub metrics: Arc<Metrics>,
    /// How far stopping has come.
    pub phases: Arc<Phases>,
    /// First visits in flight.
    pub visits: Arc<Visits>,
    /// Connections open, over all workers.
    pub open: Arc<AtomicU32>,
    /// Connections that may be open, over all workers.
    pub max_open: u32,
    /// This process's name in `Via`.
    pub pseudonym: Arc<str>,
}

/// One thread of the data plane.
#[derive(Debug)]
pub struct Worker {
    /// Its number, from 0.
    pub index: usize,
    /// Its clock.
    pub clock: Rc<Clock>,
    /// Its free buffers.
    pub blocks: Rc<Blocks>,
    /// Opened pins.
    pub opened: RefCell<OpenedCache>,
    /// Nonces for sealing.
    pub nonces: RefCell<Nonces>,
    /// First visits in flight.
    pub visits: Arc<Visits>,
    shared: Shared,
    record: Record,
    rng: RefCell<fastrand::Rng>,
    view: RefCell<Rc<View>>,
    date: RefCell<Rc<str>>,
    unix: Cell<UnixSeconds>,
    began: Instant,
    /// When idle connections are closed, once draining has begun.
    closing: Cell<Option<Instant>>,
    /// When the log was last told that accepting rests.
    rested: Cell<Option<Instant>>,
    /// Tunnels in flight on this worker.
    tunnels: Cell<u32>,
    /// The cuts that this worker's tunnels know of.
    cuts: Cell<u64>,
}

/// A snapshot as one worker sees it.
#[derive(Debug)]
pub struct View {
    generation: u64,
    /// The snapshot.
    pub snapshot: Arc<Snapshot>,
    /// Its pools, with this worker's pickers and connections.
    pub pools: Vec<Rc<PoolView>>,
}

impl Worker {
    /// A worker that has not begun.
    #[must_use]
    pub fn new(index: usize, shared: Shared, logger: Option<AccessLogger>) -> Rc<Self> {
        let mut rng = fastrand::Rng::new();
        let snapshot = shared.published.load();
        let view = View::new(shared.published.generation(), snapshot, None, &mut rng);
        let worker = Self {
            index,
            clock: Rc::default(),
            blocks: Rc::new(Blocks::new(view.snapshot.plan.workers)),
            opened: RefCell::new(OpenedCache::new(ENTRIES, rng.u64(..))),
            nonces: RefCell::default(),
            visits: Arc::clone(&shared.visits),
            record: Record::new(shared.metrics.shard(index), logger),
            rng: RefCell::new(rng),
            view: RefCell::new(Rc::new(view)),
            date: RefCell::new("".into()),
            unix: Cell::new(UnixSeconds::now()),
            began: Instant::now(),
            closing: Cell::new(None),
            rested: Cell::new(None),
            tunnels: Cell::new(0),
            cuts: Cell::new(0),
            shared,
        };
        worker.tick();
        Rc::new(worker)
    }

    /// Serves `doors` until the phase says that it is over and every connection has ended or is cut.
    ///
    /// # Errors
    /// A socket could not be handed to the runtime.
    pub async fn run(self: Rc<Self>, doors: Vec<(Door, Socket)>) -> io::Result<()> {
        let mut accepting = Vec::new();
        for (door, socket) in doors {
            let acceptor = Acceptor::new(&door, socket)?;
            let worker = Rc::clone(&self);
            accepting.push(tokio::task::spawn_local(async move { worker.accept(door, acceptor).await }));
        }
        let mut ticks = tokio::time::interval(TICK);
        let (mut phase, mut silence) = (Phase::Serving, None);
        loop {
            ticks.tick().await;
            self.tick();
            let now = self.shared.phases.now();
            if now != phase {
                phase = now;
                if phase >= Phase::Drain {
                    accepting.drain(..).for_each(|task| task.abort());
                    self.closing.set(Some(Instant::now() + GRACE));
                }
                if phase == Phase::Cut {
                    silence = Some(Instant::now() + LAST_WORD);
                    self.tell_tunnels(u64::MAX);
                }
            }
            if self.closes_idle() {
                self.clock.wake_all();
            }
            let is_said = silence.is_some_and(|at| self.tunnels.get() == 0 || at <= Instant::now());
            let is_over = is_said || phase == Phase::Drain && self.shared.open.load(Relaxed) == 0;
            if is_over {
                self.record.flush();
                return Ok(());
            }
        }
    }

    fn tick(&self) {
        self.clock.tick(self.began.elapsed());
        let unix = UnixSeconds::now();
        if self.unix.replace(unix) != unix || self.date.borrow().is_empty() {
            *self.date.borrow_mut() = httpdate::fmt_http_date(SystemTime::now()).into();
        }
        self.blocks.tick();
        self.tell_tunnels(self.shared.published.cuts());
        let view = Rc::clone(&self.view.borrow());
        for pool in &view.pools {
            if let Some(skew) = &pool.skew {
                skew.tick(&pool.pool, unix);
            }
            let idle = u64::try_from(pool.pool.timeouts.idle.as_millis()).unwrap_or(u64::MAX);
            for member in pool.members.iter() {
                member.sweep(self.clock.now(), idle);
                self.record.idle(pool.ix, member.ix, member.idle());
            }
        }
        self.record.flush();
    }

    /// Wakes the tunnels, with everything else, if there are cuts that they do not know of.
    fn tell_tunnels(&self, cuts: u64) {
        let known = self.cuts.get().max(cuts);
        if self.cuts.replace(known) != known {
            self.clock.wake_all();
        }
    }

    async fn accept(self: Rc<Self>, door: Door, acceptor: Acceptor) {
        let door = Rc::new(door);
        let mut in_a_row = 0;
        loop {
            match acceptor.accept().await {
                Ok((stream, peer)) => {
                    if let Some(inside) = door.enter(&self, &stream, peer) {
                        tokio::task::spawn_local(connection::serve(Rc::clone(&self), inside, stream, peer));
                    }
                    in_a_row += 1;
                    if in_a_row % ACCEPTS == 0 {
                        tokio::task::yield_now().await;
                    }
                }
                Err(error) if is_of_peer(&error) => {}
                Err(error) => {
                    if self.rested.get().is_none_or(|at| at.elapsed() >= QUIET) {
                        self.rested.set(Some(Instant::now()));
                        tracing::warn!(listener = &*door.listener.name, %error, "accepting rests");
                    }
                    tokio::time::sleep(REST).await;
                }
            }
        }
    }

    /// The present view. Looks once whether there is a new snapshot; pickers and connections of pools that are still
    /// the same go over.
    pub fn view(&self) -> Rc<View> {
        let generation = self.shared.published.generation();
        let old = Rc::clone(&self.view.borrow());
        if old.generation == generation {
            return old;
        }
        let snapshot = self.shared.published.load();
        let new = Rc::new(View::new(generation, snapshot, Some(&old), &mut self.rng.borrow_mut()));
        *self.view.borrow_mut() = Rc::clone(&new);
        new
    }

    /// Closes every idle connection to backends.
    pub fn release_idle(&self) {
        let view = Rc::clone(&self.view.borrow());
        view.pools.iter().flat_map(|pool| pool.members.iter()).for_each(|member| member.release());
    }

    /// The wall clock's second, as of the last tick.
    #[must_use]
    pub fn unix_now(&self) -> UnixSeconds {
        self.unix.get()
    }

    /// The date as HTTP writes it, as of the last tick.
    #[must_use]
    pub fn date(&self) -> Rc<str> {
        Rc::clone(&self.date.borrow())
    }

    /// A random number; not for secrets.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.rng.borrow_mut().u64(..)
    }

    /// A name for a request.
    #[must_use]
    pub fn request_id(&self) -> Digits {
        let mut rng = self.rng.borrow_mut();
        request_id::digits(rng.u64(..), rng.u64(..))
    }

    /// This process's name in `Via`.
    #[must_use]
    pub fn pseudonym(&self) -> &str {
        &self.shared.pseudonym
    }

    /// Connections open, over all workers.
    pub(super) fn open(&self) -> &AtomicU32 {
        &self.shared.open
    }

    /// Connections that may be open, over all workers.
    pub(super) fn max_open(&self) -> u32 {
        self.shared.max_open
    }

    /// Whether connections are to end after what is in flight on them.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.phases.now() >= Phase::Drain
    }

    /// Whether idle connections are closed now.
    #[must_use]
    pub fn closes_idle(&self) -> bool {
        self.closing.get().is_some_and(|at| at <= Instant::now())
    }

    /// Tunnels in flight on this worker.
    pub(super) fn tunnels(&self) -> &Cell<u32> {
        &self.tunnels
    }

    /// Grows when tunnels should look whether they are to end.
    pub(super) fn cuts(&self) -> u64 {
        self.cuts.get()
    }

    /// Whether everything is cut now.
    pub(super) fn is_cut(&self) -> bool {
        self.shared.phases.now() == Phase::Cut
    }

    /// Tells the control plane how a request went with a backend.
    pub fn report(&self, pool: usize, backend: BackendIx, outcome: Outcome) {
        self.shared.reporter.tell(Report { pool, backend, outcome });
    }

    /// Counters and the access log.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Records one request.
    pub fn finish(&self, story: &Story, request: Option<&Request>, client: &Client) {
        self.record.finish(story, request, client);
    }
}

impl View {
    fn new(generation: u64, snapshot: Arc<Snapshot>, old: Option<&Self>, rng: &mut fastrand::Rng) -> Self {
        let pools = snapshot.plan.pools.iter().zip(&snapshot.standings).enumerate();
        let pools = pools.map(|(ix, (pool, standing))| {
            let same = old.and_then(|o| o.pools.iter().find(|p| Arc::ptr_eq(&p.pool, pool)));
            let view = match same {
                Some(same) => PoolView { ix, standing: Arc::clone(standing), ..PoolView::clone(same) },
                None => {
                    let members = pool.members.iter().map(|(ix, b)| Rc::new(Member::new(ix, Arc::clone(b))));
                    PoolView {
                        ix,
                        pool: Arc::clone(pool),
                        standing: Arc::clone(standing),
                        pickers: Rc::new(RefCell::new(Pickers::new(pool, rng.u64(..)))),
                        members: members.collect(),
                        owed: Rc::new(Owed::new(pool.members.len())),
                        budget: Rc::new(Budget::default()),
                        skew: pool.skew.is_some().then(Rc::default),
                        collided: Rc::default(),
                    }
                }
            };
            let ejected = pool.members.iter().zip(&standing.members).filter(|(_, a)| a.ejected);
            ejected.for_each(|((ix, _), _)| view.owed.note(ix));
            Rc::new(view)
        });
        let pools = pools.collect();
        Self { generation, snapshot, pools }
    }
}
