//! What breaks in practice, driven: sticky clients under load, and one of three backends that has a fault.
//!
//! Counted per fault and printed: `cargo test --test it faults -- --nocapture`. What must be 0 is 0, whatever the fault:
//! failures at healthy backends, sessions that moved without need or went back, requests sent twice, streams cut.

mod fault;
mod scene;
mod session;
mod soak;
mod streams;
mod tally;

use fault::Fault;
use scene::Scene;

/// One round with this fault at the first backend.
fn drive(fault: Fault) {
    let mut scene = Scene::set();
    let tally = scene.round(fault, 0);
    println!("{fault:?}: {tally}");
    let missed = tally.missed(fault);
    assert!(missed.is_empty(), "{fault:?}: {missed:?}\n{tally}");
}

#[test]
fn a_killed_backend_costs_no_request() {
    drive(Fault::Killed);
}

#[test]
fn a_refusing_backend_costs_no_request() {
    drive(Fault::Refusing);
}

#[test]
fn a_backend_that_vanished_costs_no_request() {
    drive(Fault::Vanished);
}

#[test]
fn a_flapping_backend_costs_no_request() {
    drive(Fault::Flapping);
}

#[test]
fn a_stopped_backend_costs_its_own_sessions_only_and_keeps_them() {
    drive(Fault::Stopped);
}

#[test]
fn a_hanging_backend_costs_its_own_sessions_only_and_keeps_them() {
    drive(Fault::Hanging);
}

#[test]
fn a_dripping_backend_costs_no_request() {
    drive(Fault::Dripping);
}

#[test]
fn a_backend_that_resets_before_it_answers_costs_no_request() {
    drive(Fault::Resetting);
}

#[test]
fn a_backend_that_resets_within_small_answers_costs_no_request() {
    drive(Fault::ResettingWithinSmall);
}

#[test]
fn a_backend_that_resets_within_large_answers_keeps_its_sessions() {
    drive(Fault::ResettingWithin);
}

#[test]
fn a_backend_that_closes_what_it_accepts_costs_no_request() {
    drive(Fault::Closing);
}

#[test]
fn a_backend_that_sends_half_a_head_costs_no_request() {
    drive(Fault::HalfAHead);
}

#[test]
fn answers_of_500_and_503_move_nobody() {
    drive(Fault::Answering500);
    drive(Fault::Answering503);
}

#[test]
fn forty_reloads_cost_nothing_and_move_nobody() {
    drive(Fault::Reloads);
}

#[test]
fn a_restart_moves_nobody() {
    drive(Fault::Restart);
}
