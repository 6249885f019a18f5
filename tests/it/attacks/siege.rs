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
pub(super) struct Siege {
    homing: Process,
    backends: [Backend; 2],
    open: usize,
}

/// What the honest saw.
#[derive(Default)]
struct Served {
    requests: u64,
    slowest: Duration,
}

impl Siege {
    /// A program that is warm, with these keys of its listener.
    pub(super) fn set(listener: &str) -> Self {
        let backends = [backend("a"), backend("b")];
        backends.iter().for_each(|b| b.does(Does::Serve));
        let homing = homing(&[&backends[0], &backends[1]]).cookie().listener(listener).spawn();
        for _ in 0..WARM_UP {
            assert_eq!(Client::new(homing.address).get("/").status, 200);
        }
        let open = homing.open();
        Self { homing, backends, open }
    }

    /// Attacks again and again, for a second at least, while two honest clients are served, and checks that the memory of it all stays within `bound` KiB.
    pub(super) fn under(&self, name: &str, bound: u64, mut attack: impl FnMut(SocketAddr)) {
        let (before, busy) = (self.homing.memory(), self.homing.busy());
        let address = self.homing.address;
        let over = AtomicBool::new(false);
        let served = std::thread::scope(|scope| {
            let honest = [(); 2].map(|()| scope.spawn(|| be_honest(address, &over)));
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

    /// Waits until nothing of an attack is left open.
    pub(super) fn until_as_before(&self) {
        self.homing.until_open(self.open + 8);
    }
}

/// Asks for this and that, and is answered, until it is over.
fn be_honest(address: SocketAddr, over: &AtomicBool) -> Served {
    let mut client = Client::new(address);
    let mut served = Served::default();
    while !over.load(Ordering::Relaxed) {
        let began = Instant::now();
        let (method, path, length) = match served.requests % 4 {
            0 => ("POST", "/", 1),
            1 => ("GET", "/large/200000", 200_000),
            _ => ("GET", "/", 1),
        };
        let reply = client.request(method, path);
        assert_eq!((reply.status, reply.body.len()), (200, length), "{method} {path}: {}", reply.head);
        served.requests += 1;
        served.slowest = served.slowest.max(began.elapsed());
        pause(PACE);
    }
    served
}
