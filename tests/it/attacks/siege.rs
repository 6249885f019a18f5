//! A program under attack, and the honest clients beside the attackers.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::harness::{Backend, Client, Does, Process, backend, homing, pause};

/// Requests that warm it up: after them, what it uses is what it keeps.
const WARM_UP: usize = 200;
/// Between two requests of an honest client.
const PACE: Duration = Duration::from_millis(5);
/// How long an attack lasts at least.
const LASTS: Duration = Duration::from_secs(1);

/// A program under attack.
pub(crate) struct Siege {
    homing: Process,
    backends: [Backend; 2],
    open: usize,
    honest: Honest,
}

/// A client that asks for this and that until it is over.
type Honest = fn(SocketAddr, &AtomicBool) -> Served;

/// What the honest saw.
#[derive(Default)]
pub(crate) struct Served {
    requests: u64,
    slowest: Duration,
}

impl Siege {
    /// A program that is warm, with these keys of its listener.
    pub(crate) fn set(listener: &str) -> Self {
        Self::set_among(listener, be_honest)
    }

    /// The same, with honest clients of another kind.
    pub(crate) fn set_among(listener: &str, honest: Honest) -> Self {
        let backends = [backend("a"), backend("b")];
        backends.iter().for_each(|b| b.does(Does::Serve));
        let homing = homing(&[&backends[0], &backends[1]]).cookie().listener(listener).spawn();
        for _ in 0..WARM_UP {
            assert_eq!(Client::new(homing.address).get("/").status, 200);
        }
        let open = homing.open();
        Self { homing, backends, open, honest }
    }

    /// Attacks again and again, for a second at least, while two honest clients are served, and checks that the memory of it all stays within `bound` KiB.
    pub(crate) fn under(&self, name: &str, bound: u64, mut attack: impl FnMut(SocketAddr)) {
        let (before, busy) = (self.homing.memory(), self.homing.busy());
        let address = self.homing.address;
        let over = AtomicBool::new(false);
        let served = std::thread::scope(|scope| {
            let honest = [(); 2].map(|()| scope.spawn(|| (self.honest)(address, &over)));
            let mut attacks = || {
                let began = Instant::now();
                while began.elapsed() < LASTS {
                    attack(address);
                }
            };
            let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(&mut attacks));
            over.store(true, Ordering::Relaxed);
            let served = honest.map(|thread| thread.join().unwrap());
            attacked.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            served
        });
        let peak = self.homing.peak();
        let growth = peak.saturating_sub(before);
        self.until_as_before();
        let requests: u64 = served.iter().map(|s| s.requests).sum();
        let slowest = served.iter().map(|s| s.slowest).max().unwrap();
        let busy = self.homing.busy() - busy;
        println!(
            "{name}: {requests} honest requests served, the slowest in {slowest:.0?}; memory {before} KiB, at most \
             {growth} KiB more; processor time {busy:.0?}"
        );
        assert!(growth <= bound, "{name}: {growth} KiB more, at most {bound}");
        self.backends.iter().for_each(|b| drop(b.take_requests()));
    }

    /// A figure of its metrics, by the whole name of the series.
    pub(crate) fn metric(&self, series: &str) -> f64 {
        self.homing.metric(series).unwrap_or_else(|| panic!("{series} is not told"))
    }

    /// All figures of its metrics whose series begin so and are not 0.
    pub(crate) fn metrics(&self, beginning: &str) -> Vec<String> {
        let text = crate::harness::get(self.homing.admin, "/metrics").text();
        let told = |line: &&str| line.starts_with(beginning) && !line.ends_with(" 0");
        text.lines().filter(told).map(str::to_owned).collect()
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.homing.address
    }

    /// Waits until nothing of an attack is left open.
    pub(crate) fn until_as_before(&self) {
        self.homing.until_open(self.open + 8);
    }
}

/// Asks for this and that, and is answered, until it is over.
fn be_honest(address: SocketAddr, over: &AtomicBool) -> Served {
    let mut client = Client::new(address);
    Served::until(over, |method, path| {
        let reply = client.request(method, path);
        (reply.status, reply.body.len())
    })
}

impl Served {
    /// Asks for this and that until it is over, and checks the status and the length of each answer.
    pub(crate) fn until(over: &AtomicBool, mut ask: impl FnMut(&str, &str) -> (u16, usize)) -> Self {
        let mut served = Self::default();
        while !over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let (method, path, length) = match served.requests % 4 {
                0 => ("POST", "/", 1),
                1 => ("GET", "/large/200000", 200_000),
                _ => ("GET", "/", 1),
            };
            assert_eq!(ask(method, path), (200, length), "{method} {path}");
            served.requests += 1;
            served.slowest = served.slowest.max(began.elapsed());
            pause(PACE);
        }
        served
    }
}
