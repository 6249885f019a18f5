//! Another configuration in place of the present one: read, built and bound as a whole, and only then in force.
//!
//! The same way leads from a weight that an operator sets to a plan: it is built again from the texts that were read
//! last, so that nothing comes in that has changed on disk meanwhile. What stays the same in both plans is shared by
//! them: see [`crate::snapshot::carried`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::board::{Board, ConfigState, Key, Level, Override, Reloaded};
use super::certificates;
use super::figures::names;
use super::keeper;
use super::owner::{Owner, Refused};
use crate::affinity::table::Table;
use crate::backend::{Backend, BackendId};
use crate::base::time::UnixSeconds;
use crate::config::diagnostic::{Diagnostic, Diagnostics, Style};
use crate::config::{Environment, Loaded, Sources};
use crate::net::listen::{Bound, Claim, ListenAddress};
use crate::pool::Pool;
use crate::snapshot::Plan;
use crate::snapshot::carried::Carried;
use crate::snapshot::difference::Difference;
use crate::snapshot::phases::Phase;
use crate::strategy::Registry;
use crate::telemetry::metrics::Metrics;

/// How long an address may still be open that a plan has given up: workers close it at their next tick.
const CLOSING: Duration = Duration::from_secs(2);
/// From one look at what workers have taken to the next.
const PAUSE: Duration = Duration::from_millis(10);

/// Where a plan came from.
#[derive(Debug)]
pub struct Origin {
    /// What it was built from.
    pub sources: Sources,
    /// The strategies that there are.
    pub registry: Registry,
    /// The process and the machine.
    pub environment: Environment,
    /// What was probably not meant in it.
    pub warnings: Diagnostics,
}

/// Where plans come from.
#[derive(Debug)]
pub struct Reloader {
    /// The plan in force.
    origin: Origin,
    /// Threads that the data plane has; a reload does not change that.
    workers: usize,
    /// Descriptors that this process may have.
    descriptors: u64,
    /// Weights that stand in place of the configured ones.
    pub(super) weights: BTreeMap<Key, Weight>,
    /// Addresses that were given up of late.
    given_up: Vec<(ListenAddress, Instant)>,
}

/// A weight that stands in place of the configured one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Weight {
    set: Override<u16>,
    /// The backend asked for it by its answers to checks; an operator's word counts for more.
    by_backend: bool,
}

impl Reloader {
    /// Plans come from where the first one came from.
    #[must_use]
    pub const fn new(origin: Origin, workers: usize, descriptors: u64) -> Self {
        Self { origin, workers, descriptors, weights: BTreeMap::new(), given_up: Vec::new() }
    }

    /// The first plan with the sessions that tables were kept with on disk.
    ///
    /// # Errors
    /// The plan cannot be built again, which is a bug.
    pub fn with_kept(&self, plan: Plan, metrics: &Metrics) -> Result<Plan, Diagnostics> {
        let tables = keeper::restore(&plan, None, metrics);
        if tables.is_empty() {
            return Ok(plan);
        }
        let origin = &self.origin;
        let carried = Carried { tables: tables.clone(), ..Carried::default() };
        let plan = origin.sources.build(&origin.registry, &origin.environment, &carried)?.plan;
        keeper::count(&plan, &tables);
        Ok(plan)
    }

    /// Tells which configuration homing began with.
    pub(super) fn introduce(&self, board: &Board, metrics: &Metrics) {
        let (now, hash) = (UnixSeconds::now(), self.hash());
        metrics.config_loaded(&hash, now);
        let warnings = lines(&self.origin.warnings);
        let source = self.origin.sources.origin().display().to_string();
        board.tell(|told| {
            told.config = ConfigState { source, hash, loaded: now, warnings, last_reload: None };
        });
    }

    fn hash(&self) -> String {
        format!("{:016x}", self.origin.sources.hash())
    }
}

impl Owner {
    /// Reads the configuration again. If anything is wrong with it, everything stays as it is.
    pub(super) async fn reload(&mut self, is_dry: bool) -> Result<Value, Refused> {
        if self.phases.now() >= Phase::Drain {
            // Nobody would accept on a listener that is new.
            return Err(Refused::Impossible("homing is stopping: nothing is reloaded any more".to_owned()));
        }
        let done = self.try_reload(is_dry).await;
        if is_dry {
            return done;
        }
        let now = UnixSeconds::now();
        let text = match &done {
            Ok(told) => told["text"].as_str().unwrap_or_default().to_owned(),
            Err(refused) => refused.text().to_owned(),
        };
        match &done {
            Ok(_) => {
                self.board.event(Level::Info, format!("reloaded: {}", text.trim_end().replace('\n', "; ")))
            }
            Err(_) => {
                self.metrics.config_refused(now);
                let text = format!("the configuration was not reloaded, the old one stays in force: {text}");
                self.board.event(Level::Error, text);
            }
        }
        let is_ok = done.is_ok();
        self.board.tell(|told| told.config.last_reload = Some(Reloaded { at: now, is_ok, text }));
        done
    }

    async fn try_reload(&mut self, is_dry: bool) -> Result<Value, Refused> {
        let reloader = self.reloader.as_ref().ok_or_else(no_sources)?;
        let sources = reloader.origin.sources.fresh().map_err(|e| wrong(&e))?;
        let (mut loaded, mut weights) = self.build(&sources, &AHashMap::new())?;
        let before = Arc::clone(&self.published.load().plan);
        let now = UnixSeconds::now();
        let live = |_: &Pool, backend: &Backend| backend.sessions.live(now);
        let difference = Difference::between(&before, &loaded.plan, &live);
        let (text, told, warnings) = (difference.to_text(), difference.to_json(), lines(&loaded.warnings));
        if is_dry {
            return Ok(json!({
                "reloaded": false, "hash": format!("{:016x}", sources.hash()), "text": text, "difference": told, "warnings": warnings,
            }));
        }
        let tables = keeper::restore(&loaded.plan, Some(&before), &self.metrics);
        if !tables.is_empty() {
            (loaded, weights) = self.build(&sources, &tables)?;
            keeper::count(&loaded.plan, &tables);
        }
        self.commit(loaded.plan).await?;
        certificates::look(&self.published.load().plan, &self.metrics, &self.board);
        keeper::save_gone(&before, &self.published.load().plan).await;
        let Some(reloader) = &mut self.reloader else { return Err(no_sources()) };
        for (key, weight) in &reloader.weights {
            if !weights.contains_key(key) {
                let text = format!(
                    "backend {}/{}: the weight set at run time ({}) gives way to the configuration",
                    key.0, key.1, weight.set.value
                );
                self.board.event(Level::Info, text);
            }
        }
        (reloader.origin.sources, reloader.origin.warnings) = (sources, loaded.warnings);
        reloader.weights = weights;
        let hash = reloader.hash();
        self.metrics.config_reloaded(&hash, now);
        self.board.tell(|told| {
            (told.config.hash, told.config.loaded) = (hash.clone(), now);
            told.config.warnings.clone_from(&warnings);
        });
        self.note_weights();
        Ok(json!({
            "reloaded": true, "hash": hash, "text": text, "difference": told, "warnings": warnings,
        }))
    }

    /// Sets a weight in place of the configured one, or takes that back.
    pub(super) async fn weigh(
        &mut self,
        pool: &str,
        backend: &str,
        weight: Option<u16>,
    ) -> Result<(), Refused> {
        let Some((key, covers)) = self.written_weight(pool, backend) else { return Ok(()) };
        let set = weight.map(|value| {
            let set = Override { value, covers, since: UnixSeconds::now() };
            Weight { set, by_backend: false }
        });
        self.put_weight(key, set).await
    }

    /// A backend asks for a weight, or no longer does.
    pub(super) async fn weight_asked(&mut self, pool: &str, backend: &BackendId, weight: Option<u16>) {
        let Some(reloader) = &self.reloader else { return };
        let Some((key, covers)) = self.written_weight(pool, backend.as_str()) else { return };
        let present = reloader.weights.get(&key);
        if present.is_some_and(|w| !w.by_backend) || present.map(|w| w.set.value) == weight {
            return;
        }
        let text = match weight {
            Some(weight) => format!("backend {pool}/{backend}: asks for weight {weight}"),
            None => format!("backend {pool}/{backend}: asks for no weight any more"),
        };
        let set = weight.map(|value| {
            let set = Override { value, covers, since: UnixSeconds::now() };
            Weight { set, by_backend: true }
        });
        match self.put_weight(key, set).await {
            Ok(()) => self.board.event(Level::Info, text),
            Err(refused) => self.board.event(Level::Error, format!("{text}: {}", refused.text())),
        }
    }

    /// Leaves out those who left the configuration and are empty by now.
    pub(super) async fn drop_emptied(&mut self) {
        let emptied = self.state.emptied();
        if emptied.is_empty() || self.reloader.is_none() {
            return;
        }
        if let Err(refused) = self.build_again().await {
            tracing::error!("leave out backends that are gone: {}", refused.text());
            return;
        }
        for (pool, backend) in emptied {
            self.board.event(Level::Info, format!("backend {pool}/{backend} has left"));
        }
    }

    fn written_weight(&self, pool: &str, backend: &str) -> Option<(Key, u16)> {
        let plan = Arc::clone(&self.published.load().plan);
        let pool = plan.pools.iter().find(|p| &*p.name == pool)?;
        let it = pool.members.get(pool.members.find(backend)?);
        Some(((Arc::clone(&pool.name), it.id.clone()), it.written_weight))
    }

    async fn put_weight(&mut self, key: Key, weight: Option<Weight>) -> Result<(), Refused> {
        let reloader = self.reloader.as_mut().ok_or_else(no_sources)?;
        let before = reloader.weights.clone();
        match weight {
            Some(weight) => reloader.weights.insert(key, weight),
            None => reloader.weights.remove(&key),
        };
        let done = self.build_again().await;
        if done.is_err()
            && let Some(reloader) = &mut self.reloader
        {
            reloader.weights = before;
        }
        self.note_weights();
        done
    }

    /// The texts in force once more, with what else has changed.
    async fn build_again(&mut self) -> Result<(), Refused> {
        let reloader = self.reloader.as_ref().ok_or_else(no_sources)?;
        let sources = reloader.origin.sources.clone();
        let (loaded, _) = self.build(&sources, &AHashMap::new())?;
        self.commit(loaded.plan).await
    }

    /// The plan of these texts beside the one in force, and the weights that still stand in it.
    fn build(
        &self,
        sources: &Sources,
        tables: &AHashMap<Box<str>, Arc<Table>>,
    ) -> Result<(Loaded, BTreeMap<Key, Weight>), Refused> {
        let reloader = self.reloader.as_ref().ok_or_else(no_sources)?;
        let previous = Arc::clone(&self.published.load().plan);
        let (mut weights, origin) = (reloader.weights.clone(), &reloader.origin);
        loop {
            let mut carried = Carried {
                previous: Some(&previous),
                workers: Some(reloader.workers),
                tables: tables.clone(),
                now: UnixSeconds::now(),
                ..Carried::default()
            };
            for ((pool, backend), weight) in &weights {
                carried.weigh(pool, backend.as_str(), weight.set.value);
            }
            for (pool, backend) in self.state.may_leave() {
                carried.let_leave(&pool, backend.as_str());
            }
            let loaded =
                sources.build(&origin.registry, &origin.environment, &carried).map_err(|e| wrong(&e))?;
            let stands = |(pool, backend): &Key, weight: &mut Weight| {
                let pool = loaded.plan.pools.iter().find(|p| p.name == *pool);
                let it = pool.and_then(|p| Some(p.members.get(p.members.find(backend.as_str())?)));
                it.is_some_and(|it| it.written_weight == weight.set.covers)
            };
            let before = weights.len();
            weights.retain(stands);
            if weights.len() == before {
                return Ok((loaded, weights));
            }
        }
    }

    /// Puts a plan in force: what it needs is taken first, so that it fails without having changed anything.
    async fn commit(&mut self, plan: Plan) -> Result<(), Refused> {
        let reloader = self.reloader.as_ref().ok_or_else(no_sources)?;
        let before = self.published.load();
        let max_open = plan.max_open(reloader.descriptors).map_err(Refused::Wrong)?;
        let bound = bind(&plan, &before.bound, reloader)?;
        let plan = Arc::new(plan);
        let goes = before.bound.iter().filter(|old| !bound.iter().any(|new| Arc::ptr_eq(old, new)));
        let goes: Vec<_> = goes.cloned().collect();
        let by = Instant::now() + CLOSING;
        while goes.iter().any(|bound| !bound.is_taken()) && Instant::now() < by {
            // It came a moment ago: clients may be waiting in a socket that a worker has not seen yet.
            tokio::time::sleep(PAUSE).await;
        }
        self.state.adopt(Arc::clone(&plan), bound.clone(), max_open);
        self.checkers.follow(&plan);
        self.metrics.retain(&[&names(&plan), &names(&before.plan)]);
        let now = Instant::now();
        let Some(reloader) = &mut self.reloader else { return Err(no_sources()) };
        reloader.given_up.retain(|(_, since)| now - *since < CLOSING);
        for gone in goes {
            reloader.given_up.push((gone.listen.clone(), now));
            if let ListenAddress::Unix(path) = &gone.listen {
                // Nobody finds it any more; who has, is still accepted. Gone already is as good.
                let _ = std::fs::remove_file(path);
            }
        }
        Ok(())
    }

    fn note_weights(&self) {
        let Some(reloader) = &self.reloader else { return };
        self.board.tell(|told| {
            for (key, notes) in &mut told.backends {
                notes.weight = reloader.weights.get(key).map(|weight| weight.set);
            }
        });
    }
}

/// A socket for each listener: that of the plan before where the address is the same.
fn bind(plan: &Plan, before: &[Arc<Bound>], reloader: &Reloader) -> Result<Vec<Arc<Bound>>, Refused> {
    enum Taken {
        Held(Arc<Bound>),
        New(Claim),
    }
    let stays = |bound: &Bound| plan.listeners.iter().any(|l| l.listen == bound.listen);
    let goes = before.iter().filter(|bound| !stays(bound)).map(|bound| &bound.listen);
    let late =
        reloader.given_up.iter().filter(|(_, since)| since.elapsed() < CLOSING).map(|(listen, _)| listen);
    let given_up: Vec<_> = goes.chain(late).collect();
    let mut taken = Vec::new();
    for listener in &plan.listeners {
        taken.push(match before.iter().find(|bound| bound.listen == listener.listen) {
            Some(bound) => Taken::Held(Arc::clone(bound)),
            None => Taken::New(claim(&listener.listen, &given_up).map_err(|error| {
                Refused::Wrong(format!(
                    "cannot listen on {}: {error} (listener \"{}\")",
                    listener.listen, listener.name
                ))
            })?),
        });
    }
    let bound = taken.into_iter().map(|taken| match taken {
        Taken::Held(bound) => Ok(bound),
        Taken::New(claim) => claim.listen(reloader.workers).map(Arc::new),
    });
    bound.collect::<std::io::Result<_>>().map_err(|e| Refused::Wrong(format!("cannot listen: {e}")))
}

/// `given_up` are ours for as long as workers have not closed them: beside them there is room for what overlaps.
fn claim(address: &ListenAddress, given_up: &[&ListenAddress]) -> std::io::Result<Claim> {
    if given_up.iter().any(|old| old.overlaps(address)) { address.claim_shared() } else { address.claim() }
}

fn no_sources() -> Refused {
    Refused::Impossible(
        "there is no configuration to build from: homing runs inside of another program".to_owned(),
    )
}

fn wrong(diagnostics: &Diagnostics) -> Refused {
    Refused::Wrong(diagnostics.render(Style::Plain))
}

fn lines(diagnostics: &Diagnostics) -> Vec<String> {
    let line = |d: &Diagnostic| {
        let place = d.place.as_ref().map_or_else(String::new, |p| format!("{}:{}:", p.line, p.column));
        format!("{}:{place} {}", d.file, d.message)
    };
    diagnostics.iter().map(line).collect()
}
