//! Descriptors that have run out: it waits without spinning, and serves again as soon as there are some.

use std::time::{Duration, Instant};

use super::horde::Horde;
use crate::harness::{Client, LIMIT, Process, backend, homing, pause, until};

/// How long it is watched while it has none.
const WATCHED: Duration = Duration::from_millis(1_500);
/// Processor time that it may use meanwhile: a twentieth of a core.
const BUSY: Duration = Duration::from_millis(75);
/// From the end of an attack to the next honest answer.
const BACK: Duration = Duration::from_secs(3);

/// Attacks with more connections than there are descriptors.
fn starve(descriptors: u32) {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().spawn_with(descriptors);
    assert_eq!(Client::new(homing.address).get("/").status, 200);
    let horde = Horde::new(homing.address, 300);
    until_quiet(&homing);
    let busy = homing.busy();
    pause(WATCHED);
    let spent = homing.busy() - busy;
    let open = homing.open();
    horde.leave(false);
    let left = Instant::now();
    until(|| is_served(&homing));
    let back = left.elapsed();
    println!("{descriptors} descriptors: {open} open, {spent:?} of {WATCHED:?} spent, back in {back:?}");
    assert!(spent <= BUSY, "{spent:?} of {WATCHED:?} spent on waiting");
    assert!(back <= BACK, "back in {back:?}");
    for _ in 0..50 {
        assert!(is_served(&homing), "it serves on");
    }
}

/// Waits until what the attackers opened was accepted or is not going to be.
fn until_quiet(homing: &Process) {
    let mut last = (homing.open(), Instant::now());
    until(|| {
        if homing.open() != last.0 {
            last = (homing.open(), Instant::now());
        }
        last.1.elapsed() > LIMIT / 20
    });
}

/// Whether a request is answered, by whom it should be.
fn is_served(homing: &Process) -> bool {
    Client::new(homing.address).get("/").status == 200
}

#[test]
fn more_connections_than_are_let_in() {
    starve(96);
}

#[test]
fn no_descriptor_to_accept_with() {
    starve(40);
}
