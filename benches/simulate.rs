//! What an event costs `homing simulate`: `cargo bench --bench simulate`, or with a number of sessions
//! and names of strategies behind `--`.
//!
//! One thread, ten backends, a million sessions: one backend crashes and returns, ten times. The quickest pass counts,
//! for others use the machine too.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench fails by panicking, and prints")]

use homing::simulate::{Key, Script, Setup, Store, Way, Workload, run};

/// What a pass may take for a million sessions and ten backends, milliseconds.
const BUDGET_MS: f64 = 50.0;

fn main() {
    let users = std::env::args().skip(1).find_map(|word| word.parse().ok()).unwrap_or(1_000_000_u32);
    let asked: Vec<String> = std::env::args().skip(1).filter(|word| word.parse::<u32>().is_err()).collect();
    let events: Vec<String> = (1..=10).map(|i| format!("crash b@{}s+500ms", i)).collect();
    let budget = BUDGET_MS * f64::from(users) / 1e6;
    for (strategy, affinity) in [
        ("round_robin", "cookie"),
        ("least_sessions", "cookie"),
        ("rendezvous", "none"),
        ("consistent", "none"),
        ("maglev", "none"),
        ("hash", "none"),
        ("ip_hash", "none"),
        ("round_robin", "none"),
    ] {
        if asked.iter().any(|a| !a.starts_with("--")) && !asked.iter().any(|a| a == strategy) {
            continue;
        }
        let setup = Setup {
            workload: Workload::named("web", users).unwrap(),
            backends: 10,
            ways: vec![Way::parse(strategy, Some(affinity)).unwrap()],
            stores: vec![Store::Memory],
            key: Key::ClientIp,
            adopts_ids: false,
            script: Script::parse(&events.join(", ")).unwrap(),
            duration: 0.0,
            seed: 7,
            threads: 1,
            replay: None,
            theory: false,
            command: String::new(),
        };
        let timing = run(&setup, &mut |_| ()).unwrap().timing;
        let quickest = timing.quickest.as_secs_f64() * 1e3;
        let mean = timing.time.as_secs_f64() * 1e3 / timing.passes as f64;
        let verdict = if quickest <= budget { "" } else { "  over the budget" };
        println!(
            "{strategy:>15}/{affinity:<6} {users} sessions: {quickest:6.1} ms an event (mean {mean:.1}), {} bytes each{verdict}",
            timing.bytes
        );
    }
}
