//! Virtual users, on one thread. Sessions arrive by themselves (open); inside a session the next request is due a think
//! time after the last answer (closed): partly open, as sessions are. A request that leaves late has been late since it
//! was due: no omission is coordinated. The generator watches itself, by how late it is and how busy.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::dice::Dice;
use super::seen::{Kind, Life, Micros, Outcome, Record, Revocation, Seen};
use super::settings::{ClientAddress, Profile, Workload};
use super::user::User;

/// A timer's tick, in microseconds: what is due is due at one.
const TICK: Micros = 1000;
/// Last latencies that are looked at while a run lasts.
const RECENT: usize = 2048;
/// Sessions at a time beyond which none arrives: what is beyond them is a doubt.
const MOST_SESSIONS: usize = 50_000;

/// Whom users go to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Balancers, or backends: a session goes to one of them, and to the next if nobody is there.
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) host: String,
    /// The backends' names: their places are the numbers in records.
    pub(super) backends: Vec<String>,
    pub(super) is_https: bool,
    /// Sessions are tokens that are renewed.
    pub(super) has_tokens: bool,
}

/// What is done to clients.
#[derive(Clone, Copy, Debug)]
pub(super) enum Nudge {
    /// This share of them goes elsewhere, and of those this share to another network.
    Move {
        share: f64,
        far: f64,
    },
    Revoke(f64),
    LoseCookies(f64),
}

/// A session that is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Live {
    pub(super) born: Micros,
    /// When the last request that was answered had been sent.
    pub(super) answered: Micros,
    pub(super) backend: u16,
}

/// What is told while a run lasts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) requests: u64,
    pub(super) errors: u64,
    pub(super) lost: u64,
    recent: VecDeque<Micros>,
    /// How late requests left, after they were due.
    pub(super) lags: Vec<u32>,
}

/// A load that is on.
#[derive(Debug)]
pub(super) struct Load {
    pub(super) target: RefCell<Target>,
    pub(super) workload: Workload,
    pub(super) seed: u64,
    zero: Instant,
    /// From a tick to when its sleepers wake, on an idle machine.
    wakes: Cell<Duration>,
    pub(super) seen: RefCell<Seen>,
    pub(super) live: RefCell<BTreeMap<u32, Live>>,
    pub(super) tally: RefCell<Tally>,
    pub(super) nudges: RefCell<Vec<Nudge>>,
    /// Sessions that were ended everywhere: when, until when they were accepted, how often.
    revoked: RefCell<BTreeMap<u32, (Micros, Micros, u32)>>,
    sessions: Cell<u32>,
    /// Nobody asks any more.
    pub(super) is_over: Cell<bool>,
    networks: Vec<f64>,
}

impl Load {
    pub(super) fn new(target: Target, workload: Workload, seed: u64) -> Rc<Self> {
        let networks = zipf(workload.networks(), workload.zipf);
        Rc::new(Self {
            target: RefCell::new(target),
            workload,
            seed,
            zero: Instant::now(),
            wakes: Cell::default(),
            seen: RefCell::default(),
            live: RefCell::default(),
            tally: RefCell::default(),
            nudges: RefCell::default(),
            revoked: RefCell::default(),
            sessions: Cell::default(),
            is_over: Cell::default(),
            networks,
        })
    }

    /// Lets users come: the first over the ramp, further ones as the profile has it. Never ends.
    pub(super) async fn arrive(self: &Rc<Self>) {
        self.find_wakes().await;
        let mut dice = Dice::new(self.seed, 1, 0);
        let begin = self.now();
        let step = self.workload.ramp.as_micros() as u64 / self.workload.users.max(1) as u64;
        for number in 0..self.workload.users as u64 {
            self.wait_until(begin + number * step).await;
            self.welcome();
        }
        let rate = self.workload.arrivals();
        let mut next = self.now();
        loop {
            if rate <= 0.0 || self.workload.profile == Profile::Cohort {
                return std::future::pending().await;
            }
            let gap = dice.exponential(Duration::from_secs_f64(1.0 / rate), Duration::from_secs(3600));
            next += gap.as_micros() as u64;
            self.wait_until(next).await;
            if self.live.borrow().len() < MOST_SESSIONS {
                self.welcome();
            }
        }
    }

    /// One more session.
    fn welcome(self: &Rc<Self>) {
        let number = self.sessions.get();
        self.sessions.set(number + 1);
        let user = User::new(Rc::clone(self), number);
        tokio::task::spawn_local(user.live());
    }

    pub(super) fn now(&self) -> Micros {
        self.zero.elapsed().as_micros() as Micros
    }

    /// Sleeps until a time that no request is due at.
    pub(super) async fn wait_until(&self, at: Micros) {
        sleep_until(self.zero + Duration::from_micros(at)).await;
    }

    /// Sleeps until the tick at which something is due, and returns when that was.
    pub(super) async fn sleep_until(&self, due: Micros) -> Micros {
        let tick = due.div_ceil(TICK) * TICK;
        sleep_until(self.zero + Duration::from_micros(tick)).await;
        let due = tick + self.wakes.get().as_micros() as Micros;
        let lag = self.now().saturating_sub(due);
        self.tally.borrow_mut().lags.push(u32::try_from(lag).unwrap_or(u32::MAX));
        due
    }

    /// Timers wake at ticks of their own: how far from ours they lie belongs to no request.
    async fn find_wakes(&self) {
        let mut least = Duration::from_micros(TICK);
        for _ in 0..16 {
            let tick = (self.now() / TICK + 3) * TICK;
            sleep_until(self.zero + Duration::from_micros(tick)).await;
            least = least.min(self.zero.elapsed().saturating_sub(Duration::from_micros(tick)));
        }
        self.wakes.set(least);
        self.tally.borrow_mut().lags.clear();
    }

    /// Where a session's user is: its network by weight, its place in it by chance.
    pub(super) fn address(&self, dice: &mut Dice, number: u32) -> Option<IpAddr> {
        if self.workload.client_address == ClientAddress::Same {
            return None;
        }
        let network = if self.workload.zipf > 0.0 {
            dice.weighted(&self.networks)
        } else {
            // Scattered: neighbours in time are not neighbours in address.
            Dice::new(self.seed, 2, u64::from(number)).below(16_000)
        };
        // 127.128.0.0/10 and up: nothing else of a run listens there.
        let (high, low) = ((network / 250) % 64 + 128, network % 250);
        let host = dice.below(253) + 1;
        let octet = |n: usize| u8::try_from(n).unwrap_or(1);
        Some(Ipv4Addr::new(127, octet(high), octet(low), octet(host)).into())
    }

    pub(super) fn record(&self, record: Record) {
        let mut tally = self.tally.borrow_mut();
        tally.requests += 1;
        tally.errors += u64::from(record.failed());
        tally.lost += u64::from(record.outcome == super::seen::Outcome::Unknown);
        if tally.recent.len() == RECENT {
            tally.recent.pop_front();
        }
        tally.recent.push_back(record.latency());
        self.seen.borrow_mut().record(record);
    }

    /// Looks whether a session that was ended everywhere is still accepted.
    pub(super) fn watch(&self, session: u32, kind: Kind, outcome: Outcome, [sent, done]: [Micros; 2]) {
        let mut revoked = self.revoked.borrow_mut();
        match (kind, outcome) {
            (Kind::EndAll, Outcome::Hit) => drop(revoked.insert(session, (done, done, 0))),
            (Kind::Read | Kind::Write | Kind::Refresh, Outcome::Hit) => {
                if let Some((_, until, accepted)) = revoked.get_mut(&session) {
                    (*until, *accepted) = (sent.max(*until), *accepted + 1);
                }
            }
            // What has expired may be renewed.
            (_, Outcome::Unknown | Outcome::None | Outcome::Revoked) | (Kind::Refresh, Outcome::Expired) => {
                if let Some(of) = revoked.remove(&session) {
                    self.seen.borrow_mut().revocations.push(revocation(of, false));
                }
            }
            _ => {}
        }
    }

    /// Whether every session that was there at a time has been answered since; the share of them that has.
    pub(super) fn swept(&self, since: Micros) -> f64 {
        let live = self.live.borrow();
        let before = live.values().filter(|live| live.born < since);
        let (all, answered) = before.fold((0_u32, 0_u32), |(all, answered), live| {
            (all + 1, answered + u32::from(live.answered >= since))
        });
        if all == 0 { 1.0 } else { f64::from(answered) / f64::from(all) }
    }

    /// Everything that was seen. Who is still there has lived until now.
    pub(super) fn end(&self) -> Seen {
        let now = self.now();
        let mut seen = std::mem::take(&mut *self.seen.borrow_mut());
        let live = std::mem::take(&mut *self.live.borrow_mut());
        let still = std::mem::take(&mut *self.revoked.borrow_mut());
        seen.revocations.extend(still.into_values().map(|of| revocation(of, true)));
        seen.lives.extend(live.iter().map(|(s, live)| Life { session: *s, born: live.born, ended: now }));
        seen
    }
}

impl Tally {
    /// Of the last requests.
    pub(super) fn p99_ms(&self) -> Option<f64> {
        let mut recent: Vec<Micros> = self.recent.iter().copied().collect();
        recent.sort_unstable();
        recent.get(recent.len() * 99 / 100).map(|micros| *micros as f64 / 1000.0)
    }

    /// How late requests left, at the 99th percentile.
    pub(super) fn lag_p99(&mut self) -> Option<Micros> {
        self.lags.sort_unstable();
        self.lags.get(self.lags.len() * 99 / 100).map(|micros| Micros::from(*micros))
    }
}

fn revocation((began, until, accepted): (Micros, Micros, u32), is_capped: bool) -> Revocation {
    Revocation { seconds: until.saturating_sub(began) as f64 / 1e6, accepted, is_capped }
}

/// Cumulated weights of 1/k^s.
fn zipf(n: usize, exponent: f64) -> Vec<f64> {
    let mut sum = 0.0;
    (1..=n)
        .map(|k| {
            sum += (k as f64).powf(-exponent);
            sum
        })
        .collect()
}

/// 1/Σp² over the networks that users come from: how many equal ones would be as uneven.
pub(super) fn effective_networks(workload: &Workload) -> f64 {
    let cumulated = zipf(workload.networks(), workload.zipf);
    let sum = cumulated.last().copied().unwrap_or(1.0);
    let mut before = 0.0;
    let squares: f64 = cumulated
        .iter()
        .map(|to| {
            let share = (to - std::mem::replace(&mut before, *to)) / sum;
            share * share
        })
        .sum();
    // Users are drawn from networks: each has a part in the unevenness too.
    1.0 / (squares + (1.0 - squares) / workload.users.max(1) as f64)
}
