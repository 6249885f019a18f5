//! One run of one combination: its processes are started, users come, what the script says is done, and all that was seen
//! becomes figures. Everything that was started ends with the run, however it ends.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::task::{LocalSet, spawn_local};

use super::application::{Application, Stats, Terms, key_file};
use super::balancer::{Balancer, Family, Member, NOTICED, Routing};
use super::director::Stage;
use super::load::{Load, Target};
use super::measure::{Measured, measure};
use super::process::Folder;
use super::revocation;
use super::script::What;
use super::seen::Revocation;
use super::settings::{Profile, Settings};
use super::store::{DENIES, Kind, Store};
use super::usage;

/// How long users directly at the backends are measured, before anything else.
const CALIBRATION: Duration = Duration::from_secs(2);
/// By when the first users must have logged in, after their ramp.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long it is watched at most how long a token is accepted.
const LASTING: Duration = Duration::from_secs(3600);
/// The share of a processor from which the generator is too busy to be believed.
const TOO_BUSY: f64 = 0.7;
/// How late requests may leave, in milliseconds at the 99th percentile: one more than the timers' own.
const TOO_LATE: f64 = 2.0;
/// Answers below which percentiles are not told apart.
const TOO_FEW: u64 = 1_000;

/// What is told while it lasts.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    /// `homing/cookie/memory`
    pub label: String,
    /// Its number, from 1.
    pub run: u32,
    /// Of so many.
    pub runs: u32,
    /// What happens now.
    pub stage: String,
    /// Requests in a second.
    pub rate: f64,
    /// Of the last two thousand or so.
    pub p99_ms: Option<f64>,
    /// Requests of this run that failed.
    pub errors: u64,
    /// Sessions of this run that were lost.
    pub lost: u64,
    /// Of everything.
    pub left: Option<Duration>,
}

/// Where progress is told.
pub(super) type Teller<'a> = &'a RefCell<dyn FnMut(&Progress) + 'a>;

/// One run's figures.
#[derive(Debug, Default)]
pub(super) struct Ran {
    pub(super) measured: Measured,
    pub(super) backends: Vec<String>,
    pub(super) cost: Cost,
    pub(super) revocations: Vec<Revocation>,
    pub(super) doubts: Vec<String>,
    pub(super) generator: Generator,
}

/// How the generator did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Generator {
    pub(super) share: f64,
    pub(super) lag_p99_ms: f64,
}

/// What it cost, in the time before the first event.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Microseconds of processor time a request.
    pub(super) balancer: Option<f64>,
    pub(super) application: Option<f64>,
    pub(super) store: Option<f64>,
    pub(super) trips: Option<f64>,
    /// Commands by the store's count, trips by the application's.
    pub(super) commands: Option<(u64, u64)>,
    pub(super) bytes_per_session: Option<f64>,
}

/// What was used until a moment.
struct Used {
    at: u64,
    requests: u64,
    balancer: Duration,
    application: Duration,
    store: Duration,
    stats: Stats,
    has_store: bool,
}

/// Everything of one run that stands while it lasts.
pub(super) struct Scene<'a> {
    pub(super) settings: &'a Settings,
    pub(super) routing: &'a Routing,
    pub(super) sessions: &'a str,
    pub(super) run: u32,
    pub(super) tell: Teller<'a>,
    pub(super) progress: RefCell<Progress>,
}

impl Scene<'_> {
    /// Runs it.
    ///
    /// # Errors
    /// Something cannot be started, or ended before its time.
    pub(super) async fn run(&self) -> Result<Ran> {
        LocalSet::new().run_until(self.all()).await
    }

    /// Measures the same users directly at the backends: what the generator and the application take by themselves.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub(super) async fn calibrate(&self) -> Result<Ran> {
        LocalSet::new()
            .run_until(async {
                self.stage("calibration against the backends directly");
                let (application, store, ..) = self.backends().await?;
                let addresses = application.backends.iter().map(|b| b.address).collect();
                let target = self.target(addresses, &application);
                let load = Load::new(target, self.settings.workload.clone(), self.seed());
                let (arriving, telling) = (self.arrive(&load), self.tell_on(&load));
                let (from, busy) = tokio::select! {
                    ended = arriving => return ended.map(|()| Ran::default()),
                    () = telling => bail!("progress ended"),
                    begun = async {
                        self.filled(&load).await?;
                        load.tally.borrow_mut().lags.clear();
                        let begun = (load.now(), usage::own());
                        tokio::time::sleep(CALIBRATION).await;
                        Ok::<_, anyhow::Error>(begun)
                    } => begun?,
                };
                let to = load.now();
                let generator = generator(&load, from, to, usage::own().saturating_sub(busy));
                let commands = self.counted(&load, &application, store.as_ref()).await;
                let seen = load.end();
                let measured = measure(&seen, from, to, application.backends.len(), None);
                let cost = Cost { commands, ..Cost::default() };
                Ok(Ran { measured, generator, cost, backends: application.names(), ..Ran::default() })
            })
            .await
    }

    /// Lets the users go, and asks store and application what each has counted since it began.
    async fn counted(
        &self,
        load: &Load,
        application: &Application,
        store: Option<&Store>,
    ) -> Option<(u64, u64)> {
        let store = store?;
        load.is_over.set(true);
        let workload = &self.settings.workload;
        tokio::time::sleep(workload.think * workload.think_cap + Duration::from_millis(300)).await;
        let trips = application.stats().await.store_trips;
        Some((store.commands().await?, trips))
    }

    async fn all(&self) -> Result<Ran> {
        self.stage("starting");
        let (application, store, terms, _folder) = self.backends().await?;
        let members: Vec<Member> = application
            .backends
            .iter()
            .map(|b| Member { name: b.name.clone(), address: b.address, weight: 1, is_down: false })
            .collect();
        let workload = &self.settings.workload;
        let replicas = self.settings.replicas;
        let balancer =
            Balancer::start(self.routing, members, replicas, workload.client_address, workload.idle).await?;
        let addresses = match &self.settings.url {
            Some(foreign) if self.routing.family == Family::Foreign => vec![foreign.address],
            _ => balancer.addresses(),
        };
        // Backends that have not been checked yet count as up; a foreign balancer may have to notice them.
        tokio::time::sleep(NOTICED).await;
        let load = Load::new(self.target(addresses, &application), workload.clone(), self.seed());
        let longest_pause = workload.think * workload.think_cap;
        let mut stage = Stage { application, balancer, store, load: Rc::clone(&load), terms, longest_pause };
        tokio::select! {
            ended = self.arrive(&load) => ended.map(|()| Ran::default()),
            () = self.tell_on(&load) => bail!("progress ended"),
            ran = self.measured(&mut stage) => ran,
        }
    }

    async fn measured(&self, stage: &mut Stage) -> Result<Ran> {
        let load = Rc::clone(&stage.load);
        self.stage("users log in");
        self.filled(&load).await?;
        self.stage("steady");
        let count = self.settings.revocations;
        // What only expires takes long: it is watched all the while.
        let lasting =
            self.only_expires().then(|| spawn_local(revocation::all(Rc::clone(&load), count, LASTING)));
        load.tally.borrow_mut().lags.clear();
        let (from, busy) = (load.now(), usage::own());
        let before = used(stage, from).await;
        tokio::time::sleep(self.settings.settle).await;
        let after = used(stage, load.now()).await;
        let zero = load.now();
        stage
            .play(zero, &self.settings.events, &|label| {
                self.stage(if label.is_empty() { "steady" } else { label })
            })
            .await?;
        tokio::time::sleep(self.settings.settle).await;
        let least = from + self.settings.duration.as_micros() as u64;
        load.wait_until(least).await;
        stage.balancer.check()?;
        let to = load.now();
        let generator = generator(&load, from, to, usage::own().saturating_sub(busy));
        self.stage("revocation");
        let mut revocations = match lasting {
            None => revocation::all(Rc::clone(&load), count, self.settings.revocation_limit).await,
            Some(lasting) => {
                load.is_over.set(true);
                lasting.await.unwrap_or_default()
            }
        };
        let seen = load.end();
        revocations.extend(&seen.revocations);
        let workload = &load.workload;
        let mean = (workload.profile == Profile::Web).then_some(workload.session.as_micros() as u64);
        let measured = measure(&seen, from, to, stage.application.backends.len(), mean);
        let mut ran = Ran {
            cost: cost(&before, &after, self.routing.family, load.workload.users),
            backends: stage.application.names(),
            generator,
            revocations,
            measured,
            doubts: Vec::new(),
        };
        ran.doubts = doubts(&ran, &self.settings.events);
        if seen.dropped > 0 {
            ran.doubts.push(format!("{} requests were not recorded: there were too many", seen.dropped));
        }
        Ok(ran)
    }

    async fn backends(&self) -> Result<(Application, Option<Store>, Terms, Folder)> {
        let folder = Folder::new()?;
        let kind = Kind::of(self.sessions);
        let store = match kind {
            Some(kind) => Some(Store::start(kind).await?),
            None => None,
        };
        let url = store.as_ref().map(Store::url);
        let (sessions, deny_list) = match self.sessions.strip_suffix(DENIES) {
            Some(tokens) => (tokens.to_owned(), url),
            None => (url.unwrap_or_else(|| self.sessions.to_owned()), None),
        };
        let terms = Terms {
            key_file: key_file(self.sessions, &folder),
            sessions,
            deny_list,
            access: self.settings.workload.access,
            idle: self.settings.workload.idle,
            is_secure: self.settings.secure,
            adopts_ids: self.settings.adopts_ids && self.sessions == "memory",
        };
        let at = self.settings.url.as_ref().map(|foreign| foreign.backends.as_slice()).unwrap_or_default();
        let application = Application::start(self.settings.backends, at, &terms).await?;
        Ok((application, store, terms, folder))
    }

    fn target(&self, addresses: Vec<std::net::SocketAddr>, application: &Application) -> Target {
        let first = addresses.first().map(ToString::to_string).unwrap_or_default();
        let host = self.settings.url.as_ref().map_or(first, |foreign| foreign.host.clone());
        Target {
            addresses,
            host,
            backends: application.names(),
            is_https: false,
            has_tokens: self.sessions.starts_with("jwt"),
        }
    }

    /// The same users come in every combination of a repetition.
    fn seed(&self) -> u64 {
        self.settings.seed.wrapping_add(u64::from(self.run).wrapping_mul(0x9e37_79b9))
    }

    async fn arrive(&self, load: &Rc<Load>) -> Result<()> {
        load.arrive().await;
        bail!("users ceased to arrive")
    }

    /// Waits until those who come first have logged in.
    async fn filled(&self, load: &Rc<Load>) -> Result<()> {
        let workload = &load.workload;
        let end = load.now() + (workload.ramp + PATIENCE).as_micros() as u64;
        // Of a partly open load some have left again.
        let enough = match workload.profile {
            Profile::Cohort => workload.users,
            Profile::Web => workload.users * 7 / 10,
        };
        let ramp = load.now() + workload.ramp.as_micros() as u64 + 100_000;
        loop {
            let live = load.live.borrow().len();
            if live >= enough && load.now() >= ramp {
                return Ok(());
            }
            if load.now() > end {
                let tally = load.tally.borrow();
                bail!(
                    "{live} of {enough} users have logged in, {} of {} requests failed: is everything reachable?",
                    tally.errors,
                    tally.requests
                );
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Whether a session that is ended is good until its token expires.
    fn only_expires(&self) -> bool {
        self.sessions.starts_with("jwt") && !self.sessions.ends_with(DENIES)
    }

    fn stage(&self, stage: &str) {
        stage.clone_into(&mut self.progress.borrow_mut().stage);
        (self.tell.borrow_mut())(&self.progress.borrow());
    }

    /// Tells how it goes, again and again.
    async fn tell_on(&self, load: &Rc<Load>) {
        let (mut before, mut at) = (0, load.now());
        let began = load.now();
        let left = self.progress.borrow().left;
        loop {
            tokio::time::sleep(Duration::from_millis(500)).await;
            let (now, tally) = (load.now(), load.tally.borrow());
            {
                let mut progress = self.progress.borrow_mut();
                progress.rate = (tally.requests - before) as f64 * 1e6 / (now - at).max(1) as f64;
                progress.p99_ms = tally.p99_ms();
                (progress.errors, progress.lost) = (tally.errors, tally.lost);
                progress.left = left.map(|left| left.saturating_sub(Duration::from_micros(now - began)));
            }
            (before, at) = (tally.requests, now);
            drop(tally);
            (self.tell.borrow_mut())(&self.progress.borrow());
        }
    }
}

async fn used(stage: &Stage, at: u64) -> Used {
    let store = stage.store.as_ref();
    let requests = stage.load.tally.borrow().requests;
    Used {
        at,
        requests,
        balancer: usage::busy(&stage.balancer.processes()),
        application: usage::busy(&stage.application.processes()),
        store: usage::busy(&store.map(Store::processes).unwrap_or_default()),
        stats: stage.application.stats().await,
        has_store: store.is_some(),
    }
}

fn cost(before: &Used, after: &Used, family: Family, users: usize) -> Cost {
    let requests = after.requests.saturating_sub(before.requests);
    if requests == 0 || after.at <= before.at {
        return Cost::default();
    }
    let each = |from: Duration, to: Duration| to.saturating_sub(from).as_secs_f64() * 1e6 / requests as f64;
    let served = after.stats.requests.saturating_sub(before.stats.requests);
    let trips = after.stats.store_trips.saturating_sub(before.stats.store_trips);
    Cost {
        balancer: (family != Family::Foreign).then(|| each(before.balancer, after.balancer)),
        application: Some(each(before.application, after.application)),
        store: after.has_store.then(|| each(before.store, after.store)),
        trips: (served > 0).then(|| trips as f64 / served as f64),
        commands: None,
        bytes_per_session: (after.stats.sessions > 0 && users > 0)
            .then(|| after.stats.rss_bytes as f64 / after.stats.sessions as f64),
    }
}

fn generator(load: &Load, from: u64, to: u64, busy: Duration) -> Generator {
    let lag = load.tally.borrow_mut().lag_p99().unwrap_or(0);
    Generator {
        share: busy.as_secs_f64() * 1e6 / to.saturating_sub(from).max(1) as f64,
        lag_p99_ms: lag as f64 / 1000.0,
    }
}

/// What speaks against believing a run.
fn doubts(ran: &Ran, events: &[super::script::Event]) -> Vec<String> {
    let mut doubts = Vec::new();
    if ran.generator.share > TOO_BUSY {
        doubts.push(format!(
            "the generator used {:.0} % of a processor: latencies are its own in part, and are not ranked",
            ran.generator.share * 100.0
        ));
    }
    if ran.measured.requests < TOO_FEW {
        doubts.push(format!("{} requests are too few for percentiles", ran.measured.requests));
    }
    for (event, figures) in events.iter().zip(ran.measured.events.iter().filter(|e| e.kind != "crash_return"))
    {
        let coverage = figures.coverage.unwrap_or(1.0);
        if matches!(event.what, What::Roll(_)) && coverage < 1.0 {
            doubts.push(format!(
                "{}: in one phase {:.1} % of the sessions were not heard of: closed forms do not hold",
                event.label,
                (1.0 - coverage) * 100.0
            ));
        }
    }
    doubts
}

/// The same of all repetitions together: how late requests left in the worst of them.
pub(super) fn lateness(runs: &[Ran]) -> Option<String> {
    let late = runs.iter().map(|ran| ran.generator.lag_p99_ms).fold(0.0, f64::max);
    (late > TOO_LATE).then(|| {
        format!(
            "requests left up to {late:.1} ms late (p99): the machine is too busy, and latencies are not ranked"
        )
    })
}
