//! Three backends, the program in front of them, and the sessions that live through round after round.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::fault::Fault;
use super::session::{self, Session};
use super::streams;
use super::tally::Tally;
use crate::harness::{Backend, Does, Process, backend, homing, pause, until};

const SESSIONS: usize = 40;
/// Those who come again and again as new visitors.
const VISITORS: usize = 2;
/// Sessions whose home is the one that is struck: enough to be sure that somebody feels it.
const STRUCK: usize = 10;
/// The load before a fault and after it.
const BEFORE: Duration = Duration::from_millis(300);
const AFTER: Duration = Duration::from_millis(500);

/// Everything that takes part.
pub(super) struct Scene {
    pub(super) homing: Process,
    backends: [Backend; 3],
    sessions: Vec<Session>,
}

/// What sessions and streams know of the round that they are in.
pub(super) struct Watch {
    pub(super) address: SocketAddr,
    pub(super) fault: Fault,
    /// The backend that has the fault; nobody's name if it is the program that has it.
    pub(super) target: &'static str,
    healed: Mutex<Option<Instant>>,
    over: AtomicBool,
}

/// Ends the round when it is dropped: also if it fails, or nobody would ever stop.
struct Over<'a>(&'a Watch);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::Relaxed);
    }
}

impl Watch {
    pub(super) fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
    }

    /// Whether what began then began after the fault.
    pub(super) fn is_after(&self, began: Instant) -> bool {
        self.healed.lock().is_some_and(|healed| began >= healed)
    }
}

impl Scene {
    /// Everybody has found a home.
    pub(super) fn set() -> Self {
        let backends = [backend("a"), backend("b"), backend("c")];
        backends.iter().for_each(|b| b.does(Does::Serve));
        let timeouts = "[pool.timeouts]\nconnect = \"500ms\"\nfirst_byte = \"2s\"\n";
        let setup = homing(&[&backends[0], &backends[1], &backends[2]]);
        let homing = setup.pool("fail_timeout = \"300ms\"\n").cookie_with_key().with(timeouts).spawn();
        let sessions = (0..SESSIONS).map(|n| Session::new(n, homing.address)).collect();
        Self { homing, backends, sessions }
    }

    /// A fault at the backend of this number, from before it to after it.
    pub(super) fn round(&mut self, fault: Fault, target: usize) -> Tally {
        let name = self.backends[target].name;
        self.populate(name);
        let watch = Watch {
            address: self.homing.address,
            fault,
            target: if fault.is_ours() { "" } else { name },
            healed: Mutex::default(),
            over: AtomicBool::new(false),
        };
        // No stream outlives a restart of what it runs through.
        let streamed = self.backends.iter().filter(|b| b.name != watch.target && fault != Fault::Restart);
        let streamed: Vec<String> = streamed
            .flat_map(|b| self.sessions.iter().filter(|s| s.home == b.name).take(1))
            .map(Session::cookie)
            .collect();
        let Self { homing, backends, sessions } = self;
        let mut tally = Tally::default();
        std::thread::scope(|scope| {
            let watch = &watch;
            let over = Over(watch);
            let running: Vec<_> = sessions.iter_mut().map(|s| scope.spawn(|| s.run(watch))).collect();
            let visitors = [(); VISITORS].map(|()| scope.spawn(|| session::visit(watch)));
            let streams = streamed.iter().flat_map(|cookie| {
                [
                    scope.spawn(|| streams::events(cookie, watch)),
                    scope.spawn(|| streams::events(cookie, watch)),
                    scope.spawn(|| streams::tunnel(cookie, watch)),
                    scope.spawn(|| streams::tunnel(cookie, watch)),
                ]
            });
            let streams: Vec<_> = streams.collect();
            pause(BEFORE);
            fault.strike(&mut backends[target], homing);
            *watch.healed.lock() = Some(Instant::now());
            pause(AFTER);
            drop(over);
            for thread in running.into_iter().chain(visitors).chain(streams) {
                tally += thread.join().unwrap();
            }
        });
        tally.duplicated = self.duplicated();
        tally
    }

    /// Sends sessions away as new visitors until enough have their home at `target`, and somebody at every other.
    fn populate(&mut self, target: &str) {
        until(|| {
            let surplus = |name: &str| {
                let least = if name == target { STRUCK } else { 1 };
                self.sessions.iter().filter(|s| s.home == name).count().checked_sub(least)
            };
            if self.backends.iter().all(|b| surplus(b.name).is_some()) {
                return true;
            }
            let at = self.sessions.iter().position(|s| surplus(&s.home) > Some(0)).unwrap();
            self.sessions[at].start_over(self.homing.address);
            false
        });
    }

    /// Requests that must not be repeated and were seen more than once, since this was last asked.
    fn duplicated(&self) -> u64 {
        let mut seen: HashMap<String, u64> = HashMap::new();
        for request in self.backends.iter().flat_map(Backend::take_requests) {
            let text = String::from_utf8(request).unwrap();
            if text.starts_with("POST ") {
                let id = text.lines().find_map(|l| l.strip_prefix("X-Id: ")).unwrap();
                *seen.entry(id.to_owned()).or_default() += 1;
            }
        }
        seen.values().map(|n| n - 1).sum()
    }
}
