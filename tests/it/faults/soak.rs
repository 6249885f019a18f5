//! The long form: all faults in turn, against one process that must be at the end what it was at the start.
//!
//! `make soak SECONDS=600` sets `HOMING_SOAK_SECONDS`; without it the soak is a short one.

use std::time::{Duration, Instant};

use super::fault::{Fault, OF_BACKENDS};
use super::scene::Scene;
use super::tally::Tally;

/// Seconds of a soak that nobody asked for.
const SHORT: u64 = 8;
/// Memory that may be added, in KiB.
const MEMORY: u64 = 64 * 1024;
/// Descriptors that may be open at the end beyond those at the start: none but what the runtime opens late.
const DESCRIPTORS: usize = 4;

#[test]
fn a_soak_leaves_no_trace() {
    let seconds = std::env::var("HOMING_SOAK_SECONDS").map_or(SHORT, |s| s.parse().unwrap());
    let mut scene = Scene::set();
    let (began, lasts) = (Instant::now(), Duration::from_secs(seconds));
    let mut missed = Vec::new();
    let mut total = Tally::default();
    let open = scene.homing.open();
    let mut memory = None;
    for (n, fault) in OF_BACKENDS.iter().cycle().copied().enumerate() {
        let round = Instant::now();
        let tally = scene.round(fault, n % 3);
        let rate = tally.sent as f64 / round.elapsed().as_secs_f64();
        println!(
            "{:>5} s of {seconds}: {fault:?}: {rate:.0} requests/s: {tally}; memory {} KiB",
            began.elapsed().as_secs(),
            scene.homing.memory()
        );
        missed.extend(tally.missed(fault).iter().map(|what| format!("{fault:?}: {what}")));
        total += tally;
        memory.get_or_insert_with(|| scene.homing.memory());
        if began.elapsed() >= lasts {
            break;
        }
    }
    let (before, after) = (memory.unwrap(), scene.homing.memory());
    println!("in all: {total}");
    println!("memory: {before} KiB after the first round, {after} KiB at the end");
    scene.homing.until_open(open + DESCRIPTORS);
    println!("descriptors: {open} at the start, {} at the end", scene.homing.open());
    let restart = scene.round(Fault::Restart, 0);
    println!("{:?}: {restart}", Fault::Restart);
    missed.extend(restart.missed(Fault::Restart));
    assert!(missed.is_empty(), "{missed:#?}");
    assert!(after.saturating_sub(before) <= MEMORY, "memory grew from {before} to {after} KiB");
}
