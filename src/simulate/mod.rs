//! `homing simulate`: what a way of keeping sessions does to them, offline, with millions of sessions.
//!
//! The choices are the proxy's own: [`crate::strategy`], [`crate::pool::choose`], standing and members, no copy of
//! them. `users` is who comes, `script` what happens, `fleet` the backends, `marks` what sessions are placed by, `run`
//! one way through all of it, a `pass` at each change, with `tally` and `balance`; `theory` has the closed forms,
//! `result` the JSON, `sweep` whole ranges of settings, `replay` the clients of an access log, and `check` what is known
//! to be right. `models` are algorithms that homing does not ship and that are only measured.
//!
//! Left out: single requests. A session asks once between two changes, or as its think times let it; so there are no
//! latencies, no retries, no bound on requests in flight and no time to detect. `homing bench` measures those.

mod balance;
mod draw;
mod fleet;
mod marks;
mod pass;
mod run;
mod tally;
mod theory;

mod replay;
mod result;
mod script;
mod sweep;
mod users;

mod check;
mod models;

use std::fmt;
use std::time::Duration;

use crate::base::options::nearest;
use crate::strategy::{Kind, Needs, Registry};

pub use check::{Check, Checks, self_check};
pub use replay::Replay;
pub use result::Outcome;
pub use script::{Drained, Event, Roll, Script, What};
pub use sweep::{Dimension, Sweep, sweep};
pub use users::{PROFILES, Workload};

use result::Combination;
use run::Course;
use users::Users;

/// Seconds of quiet after the last event.
const TAIL: f64 = 60.0;

/// Something wrong with what was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    message: String,
    /// What would be right; empty if that is not known.
    pub help: String,
}

/// What keeps a session with its backend.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Affinity {
    /// homing's cookie.
    Cookie,
    /// Nothing but the strategy's own choice.
    None,
}

/// Where sessions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// In the backend's process.
    Memory,
    /// In Redis, shared by all.
    Redis,
    /// In Memcached, shared by all.
    Memcached,
    /// In the client's token.
    Jwt,
}

/// What hash strategies place by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    /// The client's address, as by default.
    ClientIp,
    /// An id that the client brings from its first request on.
    User,
}

/// A strategy and an affinity.
#[derive(Clone, Debug)]
pub struct Way {
    /// The strategy as it is asked for; `consistent` is `hash` with `consistent = true`.
    pub name: &'static str,
    /// What keeps sessions.
    pub affinity: Affinity,
    kind: &'static Kind,
    is_ring: bool,
}

/// Everything that a run depends on.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Who comes.
    pub workload: Workload,
    /// Backends at the start.
    pub backends: usize,
    /// Ways to try.
    pub ways: Vec<Way>,
    /// Where sessions are kept.
    pub stores: Vec<Store>,
    /// What hash strategies place by.
    pub key: Key,
    /// Whether the application goes on with ids that it does not know (as PHP does by default), instead of having the
    /// user log in again. Only then a session can be stale.
    pub adopts_ids: bool,
    /// What happens.
    pub script: Script,
    /// Seconds until the end; no less than the events take.
    pub duration: f64,
    /// What all random numbers are made of.
    pub seed: u64,
    /// Threads, which make no difference to what comes out.
    pub threads: usize,
    /// Clients of a log.
    pub replay: Option<Replay>,
    /// Whether closed forms stand beside what is measured.
    pub theory: bool,
    /// The command, for the result.
    pub command: String,
}

/// How long passes took.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Timing {
    /// Passes over the live sessions.
    pub passes: usize,
    /// Sessions that they went over.
    pub sessions: u64,
    /// How long they took together.
    pub time: Duration,
    /// How long the quickest took of those over most sessions; zero if there was none.
    pub quickest: Duration,
    /// Bytes kept per session, at most.
    pub bytes: usize,
}

impl Problem {
    pub(crate) const fn new(message: String, help: String) -> Self {
        Self { message, help }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl Way {
    /// The way of these names; without an affinity, a cookie for strategies that place by nothing of a request, and
    /// none for the others.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(strategy: &str, affinity: Option<&str>) -> Result<Self, Problem> {
        let registry = Registry::built_in();
        let is_ring = matches!(strategy, "consistent" | "ring" | "ketama");
        let Some(kind) = registry.find(if is_ring { "hash" } else { strategy }) else {
            let names: Vec<_> = registry.iter().map(|k| k.name).chain(["consistent"]).collect();
            let help = nearest(strategy, names.iter().copied()).map_or_else(
                || format!("one of {}", names.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            return Err(Problem::new(format!("unknown strategy {strategy:?}"), help));
        };
        let affinity = match affinity {
            Some("cookie") => Affinity::Cookie,
            Some("none") => Affinity::None,
            None if kind.needs == Needs::Nothing => Affinity::Cookie,
            None => Affinity::None,
            Some(other) => {
                return Err(Problem::new(format!("unknown affinity {other:?}"), "cookie or none".to_owned()));
            }
        };
        Ok(Self { name: if is_ring { "consistent" } else { kind.name }, affinity, kind, is_ring })
    }

    /// Those that a comparison begins with.
    #[must_use]
    pub fn usual() -> Vec<Self> {
        let ways = [
            ("round_robin", Some("cookie")),
            ("least_sessions", Some("cookie")),
            ("rendezvous", None),
            ("consistent", None),
            ("maglev", None),
            ("hash", None),
            ("ip_hash", None),
            ("round_robin", Some("none")),
        ];
        ways.into_iter().filter_map(|(strategy, affinity)| Self::parse(strategy, affinity).ok()).collect()
    }

    /// `round_robin/cookie`
    #[must_use]
    pub fn label(&self) -> String {
        format!("{}/{}", self.name, self.affinity.as_str())
    }

    fn counts_sessions(&self) -> bool {
        self.name == "least_sessions"
    }
}

impl Affinity {
    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Cookie => "cookie",
            Self::None => "none",
        }
    }
}

impl Store {
    /// The store of this name.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(name: &str) -> Result<Self, Problem> {
        let all = [Self::Memory, Self::Redis, Self::Memcached, Self::Jwt];
        all.into_iter().find(|s| s.as_str() == name).ok_or_else(|| {
            Problem::new(
                format!("unknown place for sessions {name:?}"),
                "memory, redis, memcached or jwt".to_owned(),
            )
        })
    }

    /// As it is written.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis => "redis",
            Self::Memcached => "memcached",
            Self::Jwt => "jwt",
        }
    }

    const fn is_emptied_by_restart(self) -> bool {
        matches!(self, Self::Redis | Self::Memcached)
    }
}

/// Runs every way through the script. `progress` is told the share that is done.
///
/// # Errors
/// What is wrong with the setup.
pub fn run(setup: &Setup, progress: &mut dyn FnMut(f64)) -> Result<Outcome, Problem> {
    if setup.backends == 0 || setup.workload.users == 0 {
        return Err(Problem::new(
            "nobody to simulate".to_owned(),
            "one user and one backend at least".to_owned(),
        ));
    }
    let steps = setup.script.steps(setup.backends, setup.workload.longest())?;
    let last = steps.last().map_or(0.0, |s| s.at);
    let horizon = setup.duration.max(last + TAIL);
    let listed = setup.replay.as_ref().map(Replay::addresses);
    let users = Users::draw(&setup.workload, setup.seed, horizon, listed)?;
    let whole = (setup.ways.len() * (steps.len() + 1)).max(1) as f64;
    let (mut done, mut timing, mut combinations) = (0.0, Timing::default(), Vec::new());
    for way in &setup.ways {
        let course = Course::new(setup, &users, way)?;
        let record = course.run(&steps, horizon, &mut || {
            done += 1.0;
            progress(done / whole);
        })?;
        done += 1.0;
        progress(done / whole);
        for (time, sessions) in &record.passes {
            timing.passes += 1;
            timing.sessions += *sessions as u64;
            timing.time += *time;
        }
        let most = record.passes.iter().map(|(_, sessions)| *sessions).max().unwrap_or(0);
        let full = record.passes.iter().filter(|(_, sessions)| *sessions * 10 >= most * 9);
        timing.quickest = full.map(|(time, _)| *time).min().unwrap_or_default();
        timing.bytes = timing.bytes.max(record.bytes);
        let stores = setup.stores.iter();
        combinations.extend(stores.map(|store| Combination::new(setup, &users, way, *store, &record)));
    }
    Ok(Outcome::new(setup, &users, horizon, combinations, timing))
}

/// A number as results show it: six significant digits, so that they can be compared as text.
fn rounded(x: f64) -> f64 {
    if x == 0.0 || !x.is_finite() {
        return 0.0;
    }
    format!("{x:.5e}").parse().unwrap_or(x)
}

#[cfg(test)]
#[path = "simulate_tests.rs"]
mod tests;
