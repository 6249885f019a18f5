//! Who is available: verdicts of checks, failures of requests and the operator's wishes, merged, and published when they
//! change something.
//!
//! | heard | does |
//! |---|---|
//! | a probe | counts; a turned verdict is logged once and published |
//! | a failed request | counts; enough of them eject, unless nobody would be left open in the pool |
//! | an answered one | ends the trial of a backend that was ejected |
//! | the operator | ready, drain, maint; kept over reloads for as long as the configured value is the same |
//! | a new plan | what stayed keeps its health, its ejection and what the operator set |
//! | time | ends ejections and drains |
//!
//! Who comes back from being down or ejected is given its share of new sessions step by step (`slow_start`).
//!
//! An ejection never is the reason that a pool is closed: the last open member is not ejected, and if checks close
//! the last one, ejected ones are opened. Decisions are in [`crate::health`]; of clocks only the wall's is read here.

use std::sync::Arc;
use std::time::Duration;

use super::board::{Board, Key, LastCheck, Level, Override};
use super::checker::{Good, Probed};
use super::drain::{Because, Drain, Left, Mode};
use crate::backend::availability::{AdminState, Availability, Health, Leaving};
use crate::backend::{Backend, BackendIx};
use crate::base::time::UnixSeconds;
use crate::base::units::Span;
use crate::health::outlier::Outlier;
use crate::health::streak::{Finding, Streak};
use crate::net::listen::Bound;
use crate::pool::Pool;
use crate::pool::standing::{Ramp, Standing};
use crate::snapshot::published::Published;
use crate::snapshot::reports::{Outcome, Report};
use crate::snapshot::{Plan, Snapshot};
use crate::telemetry::metrics::Metrics;

/// From one look to the next whether a drain is over.
const LOOK: Duration = Duration::from_secs(1);

/// Owns the availability of every member. Durations are since one fixed moment.
#[derive(Debug)]
pub(super) struct State {
    published: Arc<Published>,
    metrics: Arc<Metrics>,
    pools: Vec<PoolState>,
    board: Arc<Board>,
    /// When it was looked last whether a drain is over.
    looked: Duration,
}

#[derive(Debug)]
struct PoolState {
    pool: Arc<Pool>,
    members: Vec<Member>,
}

#[derive(Debug)]
struct Member {
    /// What the operator set in place of the configured state.
    set: Option<Override<AdminState>>,
    drain: Option<Drain>,
    streak: Streak,
    outlier: Outlier,
    /// When it came back, for its slow start.
    back: Option<UnixSeconds>,
}

/// What an operator wants of a backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    Ready,
    Maint,
    Drain {
        mode: Mode,
        within: Option<Duration>,
    },
    /// What the configuration says.
    AsConfigured,
}

impl State {
    /// The state that the published snapshot begins with.
    pub(super) fn new(published: Arc<Published>, metrics: Arc<Metrics>, board: Arc<Board>) -> Self {
        let snapshot = published.load();
        let pools = snapshot.plan.pools.iter().map(PoolState::new).collect::<Vec<_>>();
        let mut state = Self { published, metrics, pools, board, looked: Duration::ZERO };
        for pool in 0..state.pools.len() {
            state.settle(pool);
        }
        state
    }

    /// Goes on with another plan: what is the same in both keeps what is known of it.
    pub(super) fn adopt(&mut self, plan: Arc<Plan>, bound: Vec<Arc<Bound>>, max_open: u32) {
        let mut before = std::mem::take(&mut self.pools);
        let now = UnixSeconds::now();
        for pool in &plan.pools {
            let old = before.iter().position(|old| old.pool.name == pool.name);
            self.pools.push(match old.map(|at| before.swap_remove(at)) {
                Some(same) if Arc::ptr_eq(&same.pool, pool) => same,
                Some(old) => PoolState::succeeding(pool, old, now, &self.board),
                None => PoolState::new(pool),
            });
        }
        self.pools.iter_mut().for_each(|pool| pool.keep_one_open());
        let standings = self.pools.iter().map(|pool| Arc::new(pool.standing(now))).collect();
        let epoch = self.published.load().epoch + 1;
        self.published.publish(Snapshot { plan, epoch, standings, bound, max_open });
        self.board.tell(|told| {
            told.backends.retain(|(pool, id), _| {
                self.pools.iter().any(|p| p.pool.name == *pool && p.pool.members.find(id.as_str()).is_some())
            });
        });
        for pool in 0..self.pools.len() {
            self.settle(pool);
        }
    }

    /// What the operator wants of a backend, from now on. `None` if there is no such backend.
    pub(super) fn set(&mut self, pool: &str, backend: &str, wish: Wish) -> Option<()> {
        let (at, ix) = self.find(pool, backend)?;
        let now = UnixSeconds::now();
        let state = self.pools.get_mut(at)?;
        let it = Arc::clone(state.pool.members.get(ix));
        let member = state.members.get_mut(ix.index())?;
        let value = match wish {
            Wish::Ready => AdminState::Ready,
            Wish::Maint => AdminState::Maint,
            Wish::Drain { .. } => AdminState::Drain,
            Wish::AsConfigured => it.admin,
        };
        let was = member.admin(&it);
        member.set = (value != it.admin).then_some(Override { value, covers: it.admin, since: now });
        // Who is leaving is gone by then, whatever is wanted meanwhile.
        let gone = member.drain.filter(|_| it.leaving);
        member.drain = match wish {
            Wish::Drain { mode, within } => {
                let deadline = sooner(within.map(|d| later(now, d)), gone.and_then(|d| d.deadline));
                let begun = member.drain.filter(|d| d.because == Because::Operator);
                let (since, began_with) =
                    begun.map_or_else(|| (now, it.sessions.live(now)), |d| (d.since, d.began_with));
                Some(Drain { mode, because: Because::Operator, since, deadline, began_with })
            }
            Wish::AsConfigured => {
                gone.map(|drain| Drain { mode: Mode::Keep, because: Because::Removed, ..drain })
            }
            Wish::Ready | Wish::Maint => None,
        };
        if value == AdminState::Ready && was != AdminState::Ready {
            // Its share of new sessions grows again, as of one that was down.
            member.back = Some(now);
        }
        let name = state.name(ix);
        self.board.event(
            Level::Info,
            match wish {
                Wish::Ready => format!("backend {name}: ready"),
                Wish::Maint => format!("backend {name}: maint; its sessions move at their next request"),
                Wish::AsConfigured => format!("backend {name}: {} as configured", value.as_str()),
                Wish::Drain { mode, within } => {
                    let within = within.map_or_else(String::new, |d| format!(", at most {}", Span(d)));
                    format!("backend {name}: drain ({}{within})", mode.as_str())
                }
            },
        );
        self.settle(at);
        Some(())
    }

    /// The places of a backend.
    pub(super) fn find(&self, pool: &str, backend: &str) -> Option<(usize, BackendIx)> {
        let at = self.pools.iter().position(|p| &*p.pool.name == pool)?;
        Some((at, self.pools.get(at)?.pool.members.find(backend)?))
    }

    /// Backends that may stay for a while when the configuration does not name them any more: something is left on them.
    pub(super) fn may_leave(&self) -> Vec<Key> {
        let now = UnixSeconds::now();
        let all = self.pools.iter().flat_map(|p| {
            p.members.iter().zip(p.pool.members.iter()).map(move |(member, (_, it))| (p, member, it))
        });
        let may = all.filter(|(p, member, it)| {
            let has_time = !it.leaving || member.drain.is_none_or(|d| !d.is_overdue(now));
            !p.pool.policy.leave.is_zero() && has_time && !member.keeps(it, now).is_nothing()
        });
        may.map(|(p, _, it)| (Arc::clone(&p.pool.name), it.id.clone())).collect()
    }

    /// Backends that left the configuration and are empty, or whose time is over: they can be left out of the plan.
    pub(super) fn emptied(&self) -> Vec<Key> {
        let now = UnixSeconds::now();
        let all =
            self.pools.iter().flat_map(|p| p.members.iter().zip(p.pool.members.iter()).map(move |m| (p, m)));
        let over = all.filter(|(_, (member, (_, it)))| {
            it.leaving
                && (member.keeps(it, now).is_nothing() || member.drain.is_some_and(|d| d.is_overdue(now)))
        });
        over.map(|(p, (_, (_, it)))| (Arc::clone(&p.pool.name), it.id.clone())).collect()
    }

    /// A probe ended.
    pub(super) fn probed(&mut self, probed: Probed) {
        let Probed { pool, backend, result } = probed;
        let Some((pool, backend)) = self.find(&pool, backend.as_str()) else { return };
        let Some(state) = self.pools.get_mut(pool) else { return };
        let Some(member) = state.members.get_mut(backend.index()) else { return };
        let (found, text) = match result {
            Ok(good @ Good::Drain(..)) => (Finding::Drain, good.to_string()),
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
                let text = format!("backend {} {is}: {text} ({needed} {checks})", state.name(backend));
                self.board.event(Level::Warning, text);
            }
            Some(health @ (Health::Up | Health::Drain | Health::Unknown)) => {
                if matches!(before, Health::Weak | Health::Down) {
                    // It was away and came back: what it failed before is old.
                    member.outlier.forget();
                    member.back = Some(UnixSeconds::now());
                }
                let is = if health == Health::Drain { "takes no new sessions" } else { "is up" };
                self.board.event(Level::Info, format!("backend {} {is}: {text}", state.name(backend)));
            }
            None => tracing::debug!("backend {} checked: {text}", state.name(backend)),
        }
        let id = &state.pool.members.get(backend).id;
        self.metrics.checked(&state.pool.name, id.as_str(), is_good);
        let check = LastCheck { is_good, text, at: UnixSeconds::now() };
        self.board.note(&state.pool.name, id, |notes| notes.check = Some(check));
        if turned.is_some() {
            self.settle(pool);
        }
    }

    /// A worker reported.
    pub(super) fn reported(&mut self, report: Report, now: Duration) {
        if report.epoch != self.published.load().epoch {
            return; // Of places in another plan.
        }
        let Some(state) = self.pools.get_mut(report.pool) else { return };
        let Some(member) = state.members.get_mut(report.backend.index()) else { return };
        match report.outcome {
            Outcome::Answered => member.outlier.answered(),
            Outcome::Failed if member.outlier.failed(now) => {
                if state.standing(UnixSeconds::now()).open.is_empty() {
                    let name = state.name(report.backend);
                    let text = format!("backend {name} fails requests and stays: no other is open");
                    self.board.event(Level::Warning, text);
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
    pub(super) fn tick(&mut self, now: Duration) {
        self.looked = now;
        for pool in 0..self.pools.len() {
            let Some(state) = self.pools.get_mut(pool) else { return };
            for member in state.members.iter_mut().filter(|m| m.outlier.until().is_some()) {
                if member.outlier.tick(now) {
                    member.back = Some(UnixSeconds::now());
                }
            }
            self.settle(pool);
        }
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn next_due(&self) -> Option<Duration> {
        let members = || self.pools.iter().flat_map(|p| p.members.iter().zip(p.pool.members.iter()));
        let ends = |(m, (_, it)): (&Member, (_, &Arc<Backend>))| {
            it.leaving || m.drain.is_some_and(|d| d.deadline.is_some())
        };
        let drains = members().any(ends).then_some(self.looked + LOOK);
        members().filter_map(|(m, _)| m.outlier.until()).chain(drains).min()
    }

    /// Publishes the pool's standing if it is not the published one.
    fn settle(&mut self, pool: usize) {
        let unix = UnixSeconds::now();
        let Some(state) = self.pools.get_mut(pool) else { return };
        state.keep_one_open();
        state.follow_drains(unix);
        let (now, snapshot) = (state.standing(unix), self.published.load());
        for (is, (_, it)) in now.members.iter().zip(state.pool.members.iter()) {
            // Who may keep nobody keeps no tunnel either.
            match (is.has_left() || is.admin == AdminState::Maint, it.load.is_cut()) {
                (true, false) => self.published.cut(it),
                (false, true) => it.load.mend(),
                (true, true) | (false, false) => {}
            }
        }
        let Some(before) = snapshot.standings.get(pool).filter(|before| ***before != now) else {
            return self.note(pool);
        };
        for ((backend, it), (was, is)) in
            state.pool.members.iter().zip(before.members.iter().zip(&now.members))
        {
            if was != is {
                self.metrics.state_changed(&state.pool.name, state.pool.members.get(backend).id.as_str());
            }
            let name = state.name(backend);
            match (was.ejected, is.ejected) {
                (false, true) => self.board.event(
                    Level::Warning,
                    format!(
                        "backend {name} takes no new sessions for {}: requests failed",
                        Span(it.fail_timeout)
                    ),
                ),
                (true, false) => {
                    self.board.event(Level::Info, format!("backend {name} may take new sessions again"));
                }
                (true, true) | (false, false) => {}
            }
            if (was.leaving, is.leaving) != (Leaving::Over, Leaving::Over) && is.has_left() {
                let left = left_on(it, unix);
                let text = format!(
                    "backend {name}: its drain is over; {} sessions move at their next request, {} tunnels are closed",
                    left.sessions, left.tunnels
                );
                self.board.event(Level::Info, text);
            }
        }
        let name = &state.pool.name;
        match (before.panics, now.panics) {
            (false, true) => self.board.event(
                Level::Error,
                format!(
                    "pool {name}: checks closed every backend; panic = \"serve\": they are used all the same"
                ),
            ),
            (true, false) => self.board.event(Level::Info, format!("pool {name}: a backend is open again")),
            (true, true) | (false, false) => {}
        }
        let mut standings = snapshot.standings.clone();
        if let Some(place) = standings.get_mut(pool) {
            *place = Arc::new(now);
        }
        self.published.publish(Snapshot { standings, ..Snapshot::clone(&snapshot) });
        self.note(pool);
    }

    /// Tells the admin listener how it is with the operator's wishes and drains.
    fn note(&self, pool: usize) {
        let Some(state) = self.pools.get(pool) else { return };
        for (member, (_, it)) in state.members.iter().zip(state.pool.members.iter()) {
            self.board.note(&state.pool.name, &it.id, |notes| {
                (notes.admin, notes.drain) = (member.set, member.drain);
            });
        }
    }
}

impl PoolState {
    fn new(pool: &Arc<Pool>) -> Self {
        let members = pool.members.iter().map(|(_, backend)| Member::new(pool, backend));
        Self { members: members.collect(), pool: Arc::clone(pool) }
    }

    /// The pool as a new plan has it: members keep what is known of them.
    fn succeeding(pool: &Arc<Pool>, mut before: Self, now: UnixSeconds, board: &Board) -> Self {
        let mut next = Self::new(pool);
        let slots = next.members.iter_mut().zip(pool.members.iter());
        for (member, (_, it)) in slots {
            let Some(ix) = before.pool.members.find(it.id.as_str()) else {
                member.back = Some(now); // It comes new among others.
                continue;
            };
            let old_it = Arc::clone(before.pool.members.get(ix));
            let Some(old) = before.members.get_mut(ix.index()) else { continue };
            if old_it.address == it.address {
                member.back = old.back;
                if (old_it.max_fails, old_it.fail_timeout) == (it.max_fails, it.fail_timeout) {
                    std::mem::swap(&mut member.outlier, &mut old.outlier);
                }
                if pool.check.is_some() && before.pool.check.is_some() {
                    member.streak.carry(&old.streak);
                }
            }
            if it.leaving {
                member.drain = if old_it.leaving { old.drain } else { old.removed(&old_it, pool, now) };
                member.set = old.set.filter(|_| old_it.leaving);
                continue;
            }
            match old.set {
                Some(set) if set.covers == it.admin => (member.set, member.drain) = (Some(set), old.drain),
                Some(set) => {
                    let text = format!(
                        "backend {}/{}: what was set at run time ({}) gives way to the configuration, which now says {}",
                        pool.name,
                        it.id,
                        set.value.as_str(),
                        it.admin.as_str()
                    );
                    board.event(Level::Info, text);
                }
                None => {
                    let is_same = |d: &Drain| match d.because {
                        Because::Configured | Because::Operator => member.admin(it) == AdminState::Drain,
                        Because::Health => member.admin(it) == AdminState::Ready,
                        Because::Removed => false,
                    };
                    member.drain = old.drain.filter(is_same);
                }
            }
        }
        next
    }

    /// An ejection is not the reason that nobody is open.
    fn keep_one_open(&mut self) {
        if self.standing(UnixSeconds(0)).open.is_empty() {
            self.members.iter_mut().for_each(|m| m.outlier.release());
        }
    }

    /// Begins and ends the drains that nobody asked for by a command: those that the configuration or the backend's own
    /// answers want.
    fn follow_drains(&mut self, now: UnixSeconds) {
        let pool = &self.pool;
        for (member, (_, it)) in self.members.iter_mut().zip(pool.members.iter()) {
            let because = match (member.admin(it), member.streak.health()) {
                (AdminState::Drain, _) if it.leaving => Some(Because::Removed),
                (AdminState::Drain, _) if member.set.is_some() => Some(Because::Operator),
                (AdminState::Drain, _) => Some(Because::Configured),
                (AdminState::Ready, Health::Drain) => Some(Because::Health),
                (AdminState::Ready | AdminState::Maint, _) => None,
            };
            let Some(because) = because else {
                member.drain = None;
                continue;
            };
            if member.drain.is_none() {
                let deadline = it.leaving.then(|| later(now, pool.policy.leave));
                let began_with = it.sessions.live(now);
                member.drain = Some(Drain { mode: Mode::Keep, because, since: now, deadline, began_with });
            }
        }
    }

    fn standing(&self, now: UnixSeconds) -> Standing {
        let members = self.members.iter().zip(self.pool.members.iter());
        let availability = members.map(|(m, (_, it))| Availability {
            admin: m.admin(it),
            health: m.streak.health(),
            ejected: m.outlier.until().is_some(),
            leaving: m.drain.map_or(Leaving::Keep, |d| d.leaving(now)),
        });
        let (members, policy) = (&self.pool.members, &self.pool.policy);
        let mut standing = Standing::new(members, availability.collect(), policy.panic);
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

impl Member {
    fn new(pool: &Pool, backend: &Backend) -> Self {
        let (rise, fall, fall_pinned) =
            pool.check.as_ref().map_or((1, 1, 1), |c| (c.rise, c.fall, c.fall_pinned));
        Self {
            set: None,
            drain: None,
            streak: Streak::new(rise, fall, fall_pinned),
            outlier: Outlier::new(backend.max_fails, backend.fail_timeout),
            back: None,
        }
    }

    /// What is left on the backend that it has to be kept for: not the sessions that it may not serve any more.
    fn keeps(&self, backend: &Backend, now: UnixSeconds) -> Left {
        let left = left_on(backend, now);
        let is_over = self.drain.is_some_and(|d| d.leaving(now) == Leaving::Over);
        let sessions = if is_over || self.admin(backend) == AdminState::Maint { 0 } else { left.sessions };
        Left { sessions, ..left }
    }

    /// How it goes on emptying once the configuration does not name it any more: what it was to give up before, and by
    /// when, holds; if it served nobody, nobody is sent there again.
    fn removed(&self, backend: &Backend, pool: &Pool, now: UnixSeconds) -> Option<Drain> {
        let last = later(now, pool.policy.leave);
        let (since, because) = (now, Because::Removed);
        match self.admin(backend) {
            AdminState::Maint => {
                let began_with = backend.sessions.live(now);
                Some(Drain { mode: Mode::Now, because, since, deadline: Some(last), began_with })
            }
            AdminState::Ready | AdminState::Drain => self.drain.map(|drain| Drain {
                because,
                deadline: sooner(drain.deadline, Some(last)),
                ..drain
            }),
        }
    }

    /// The administrative state that holds.
    fn admin(&self, backend: &Backend) -> AdminState {
        self.set.map_or(backend.admin, |set| set.value)
    }
}

/// What is left on a backend.
pub(super) fn left_on(backend: &Backend, now: UnixSeconds) -> Left {
    let (in_flight, tunnels) = (backend.load.in_flight(), backend.load.tunnels());
    let requests = in_flight.saturating_sub(tunnels);
    Left { sessions: backend.sessions.live(now), requests, tunnels }
}

/// The sooner of two ends, either of which may not be there.
fn sooner(one: Option<UnixSeconds>, other: Option<UnixSeconds>) -> Option<UnixSeconds> {
    one.into_iter().chain(other).reduce(|a, b| if b < a { b } else { a })
}

fn later(now: UnixSeconds, by: Duration) -> UnixSeconds {
    UnixSeconds(now.0.saturating_add(u32::try_from(by.as_secs()).unwrap_or(u32::MAX)))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
