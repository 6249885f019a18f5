//! A worker: one thread, its runtime, its listeners, its view of the snapshot and its connections.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::Notify;

use super::clock::{Clock, TICK};
use super::connection::{self, Client};
use super::door::{Acceptor, Door, is_of_peer};
use super::http2::Servant;
use super::record::Record;
use super::request::Request;
use super::request_id::{self, Digits};
use super::story::Story;
use super::upstream::{Member, PoolView};
use super::visits::Visits;
use crate::affinity::opened::{ENTRIES, OpenedCache};
use crate::affinity::seal::Nonces;
use crate::backend::{Backend, BackendIx};
use crate::base::time::UnixSeconds;
use crate::net::buffer::Blocks;
use crate::net::stream::Stream;
use crate::pool::Pool;
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
    /// Tasks that wait for a stream to serve.
    pub servants: RefCell<Vec<Rc<Servant>>>,
    shared: Shared,
    record: Record,
    rng: RefCell<fastrand::Rng>,
    view: RefCell<Rc<View>>,
    entrances: RefCell<Vec<Rc<Entrance>>>,
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

/// A listening socket while it is served.
#[derive(Debug)]
struct Entrance {
    /// The door by which the next one comes in.
    door: RefCell<Rc<Door>>,
    closes: Notify,
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
        let counts = (&*shared.metrics, index);
        let view = View::new(shared.published.generation(), snapshot, None, &mut rng, counts);
        let worker = Self {
            index,
            clock: Rc::default(),
            blocks: Rc::new(Blocks::new(view.snapshot.plan.workers)),
            opened: RefCell::new(OpenedCache::new(ENTRIES, rng.u64(..))),
            nonces: RefCell::default(),
            visits: Arc::clone(&shared.visits),
            servants: RefCell::default(),
            record: Record::new(shared.metrics.shard(index), logger),
            rng: RefCell::new(rng),
            view: RefCell::new(Rc::new(view)),
            entrances: RefCell::default(),
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

    /// Serves until the phase says that it is over and every connection has ended or is cut.
    ///
    /// # Errors
    /// A socket could not be handed to the runtime.
    pub async fn run(self: Rc<Self>) -> io::Result<()> {
        let mut ticks = tokio::time::interval(TICK);
        let (mut phase, mut epoch, mut silence) = (Phase::Serving, None, None);
        loop {
            let now = self.shared.phases.now();
            if now != phase {
                phase = now;
                if phase >= Phase::Drain {
                    self.entrances.borrow_mut().drain(..).for_each(|entrance| entrance.closes.notify_one());
                    self.closing.set(Some(Instant::now() + GRACE));
                }
                if phase == Phase::Cut {
                    silence = Some(Instant::now() + LAST_WORD);
                    self.tell_tunnels(u64::MAX);
                }
            }
            let view = self.view();
            if phase < Phase::Drain && epoch.replace(view.snapshot.epoch) != Some(view.snapshot.epoch) {
                self.open_doors(&view.snapshot)?;
            }
            drop(view);
            if self.closes_idle() {
                self.clock.wake_all();
            }
            let is_said = silence.is_some_and(|at| self.tunnels.get() == 0 || at <= Instant::now());
            let is_over = is_said || phase == Phase::Drain && self.shared.open.load(Relaxed) == 0;
            if is_over {
                self.record.flush();
                return Ok(());
            }
            ticks.tick().await;
            self.tick();
        }
    }

    /// Begins to accept by listeners that are new.
    fn open_doors(self: &Rc<Self>, snapshot: &Snapshot) -> io::Result<()> {
        for (ix, (listener, bound)) in snapshot.plan.listeners.iter().zip(&snapshot.bound).enumerate() {
            let Some(socket) = bound.take(self.index) else { continue };
            let acceptor = Acceptor::new(bound, socket)?;
            let shard = self.shared.metrics.listener(self.index, &listener.name);
            let door = RefCell::new(Rc::new(Door::new(ix, listener, bound, shard)));
            let entrance = Rc::new(Entrance { door, closes: Notify::new() });
            self.entrances.borrow_mut().push(Rc::clone(&entrance));
            let worker = Rc::clone(self);
            tokio::task::spawn_local(async move { worker.accept(&entrance, acceptor).await });
        }
        Ok(())
    }

    /// Makes the doors agree with a snapshot: places move, settings change, and listeners that are gone are closed.
    fn adjust_doors(&self, snapshot: &Snapshot) {
        let before = self.entrances.borrow().len();
        self.entrances.borrow_mut().retain(|entrance| {
            let old = Rc::clone(&entrance.door.borrow());
            let ix = snapshot.bound.iter().position(|bound| Arc::ptr_eq(bound, &old.bound));
            old.ix.set(ix);
            match ix.and_then(|ix| Some((ix, snapshot.plan.listeners.get(ix)?))) {
                None => entrance.closes.notify_one(),
                Some((ix, listener)) if !Arc::ptr_eq(listener, &old.listener) => {
                    let shard = self.shared.metrics.listener(self.index, &listener.name);
                    *entrance.door.borrow_mut() = Rc::new(Door::new(ix, listener, &old.bound, shard));
                }
                Some(_) => {}
            }
            ix.is_some()
        });
        if self.entrances.borrow().len() < before {
            self.clock.wake_all(); // Who came by HTTP/2 is told so, and asks elsewhere.
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
                pool.shard.backend(member.ix.index()).idle(member.idle());
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

    async fn accept(self: Rc<Self>, entrance: &Entrance, acceptor: Acceptor) {
        let mut in_a_row = 0;
        loop {
            let accepted = tokio::select! {
                biased;
                accepted = acceptor.accept() => accepted,
                () = entrance.closes.notified() => break,
            };
            let door = Rc::clone(&entrance.door.borrow());
            match accepted {
                Ok((stream, peer)) => {
                    self.welcome(&door, stream, peer);
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
        let door = Rc::clone(&entrance.door.borrow());
        acceptor.close().into_iter().for_each(|(stream, peer)| self.welcome(&door, stream, peer));
    }

    fn welcome(self: &Rc<Self>, door: &Rc<Door>, stream: Stream, peer: Option<IpAddr>) {
        if let Some(inside) = door.enter(self, &stream, peer) {
            tokio::task::spawn_local(connection::serve(Rc::clone(self), inside, stream, peer));
        }
    }

    /// The present view. Looks once whether there is a new snapshot; pickers and connections of pools that are still
    /// the same go over, and of others the connections to backends that stayed.
    pub fn view(&self) -> Rc<View> {
        let generation = self.shared.published.generation();
        let old = Rc::clone(&self.view.borrow());
        if old.generation == generation {
            return old;
        }
        let snapshot = self.shared.published.load();
        let counts = (&*self.shared.metrics, self.index);
        let new = Rc::new(View::new(generation, snapshot, Some(&old), &mut self.rng.borrow_mut(), counts));
        *self.view.borrow_mut() = Rc::clone(&new);
        if new.snapshot.epoch != old.snapshot.epoch {
            self.adjust_doors(&new.snapshot);
        }
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
        self.view.borrow().snapshot.max_open
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
    pub fn report(&self, pool: &PoolView, backend: BackendIx, outcome: Outcome) {
        self.shared.reporter.tell(Report { epoch: pool.epoch, pool: pool.ix, backend, outcome });
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
    /// `counts` is where this worker, by its number, counts.
    fn new(
        generation: u64,
        snapshot: Arc<Snapshot>,
        old: Option<&Self>,
        rng: &mut fastrand::Rng,
        (metrics, worker): (&Metrics, usize),
    ) -> Self {
        let epoch = snapshot.epoch;
        let pools = snapshot.plan.pools.iter().zip(&snapshot.standings).enumerate();
        let pools = pools.map(|(ix, (pool, standing))| {
            let before = old.and_then(|o| o.pools.iter().find(|p| p.pool.name == pool.name));
            let view = match before {
                Some(same) if Arc::ptr_eq(&same.pool, pool) => {
                    PoolView { epoch, ix, standing: Arc::clone(standing), ..PoolView::clone(same) }
                }
                _ => PoolView {
                    epoch,
                    ix,
                    pool: Arc::clone(pool),
                    standing: Arc::clone(standing),
                    shard: metrics.pool(worker, &pool.name, pool.members.iter().map(|(_, b)| b.id.as_str())),
                    pickers: Rc::new(RefCell::new(Pickers::new(pool, rng.u64(..)))),
                    members: members(pool, before.map(|b| &**b)),
                    owed: Rc::new(Owed::new(pool.members.len())),
                    budget: before.map_or_else(Rc::default, |b| Rc::clone(&b.budget)),
                    skew: pool.skew.is_some().then(Rc::default),
                    collided: before.map_or_else(Rc::default, |b| Rc::clone(&b.collided)),
                },
            };
            let ejected = pool.members.iter().zip(&standing.members).filter(|(_, a)| a.ejected);
            ejected.for_each(|((ix, _), _)| view.owed.note(ix));
            Rc::new(view)
        });
        let pools: Vec<Rc<PoolView>> = pools.collect();
        for gone in old.map_or(&[][..], |o| &o.pools) {
            if !pools.iter().any(|p| p.pool.name == gone.pool.name) {
                gone.members.iter().for_each(|member| member.close());
            }
        }
        Self { generation, snapshot, pools }
    }
}

/// A pool's members: those of `before` at the same place keep their connections, the others of it are closed.
fn members(pool: &Pool, before: Option<&PoolView>) -> Rc<[Rc<Member>]> {
    let before = before.map_or(&[][..], |b| &b.members);
    let transport = &pool.transport;
    let succeeds = |old: &Rc<Member>, new: &Backend| {
        old.backend.id == new.id
            && old.backend.address == new.address
            && old.transport.digest == transport.digest
    };
    for old in before {
        if !pool.members.iter().any(|(_, new)| succeeds(old, new)) {
            old.close();
        }
    }
    let member = |(ix, new): (BackendIx, &Arc<Backend>)| {
        let old = before.iter().find(|old| succeeds(old, new));
        Rc::new(match old {
            Some(old) => Member::succeeding(ix, Arc::clone(new), Arc::clone(transport), old),
            None => Member::new(ix, Arc::clone(new), Arc::clone(transport)),
        })
    };
    pool.members.iter().map(member).collect()
}
