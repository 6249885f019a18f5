//! What the stick table costs when it is large: `cargo bench --bench table -- SESSIONS` (10 million if nothing is said).
//!
//! Memory is what the kernel counts as resident, with the allocator that homing ships with. Times are of this machine
//! and of one thread, unless it says otherwise. An id has 32 letters; making its digest is part of every figure. The
//! file is written to the folder for temporary files.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and fails by panicking")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use homing::affinity::table::{Bounds, NameNo, Record, Seeds, Table, Times};
use homing::base::hash::hash64_seeded;
use homing::base::time::UnixSeconds;
use homing::store::disk;

#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);
const LATER: UnixSeconds = UnixSeconds(1_800_000_060);
const BACKENDS: u32 = 100;
/// Look-ups that are timed.
const ASKED: u64 = 1 << 20;

type Id = [u8; 32];

fn main() {
    let sessions = std::env::args().skip(1).find_map(|arg| arg.parse().ok()).unwrap_or(10_000_000);
    println!("{sessions} sessions, ids of 32 letters");
    let (hits, misses) = (asked(0, sessions), asked(sessions, sessions));
    let before = resident();
    // Two in a hundred more than there are, since shards fill unevenly by as much.
    let bounds = Bounds { entries: sessions + sessions / 50 + 1000, bytes: 1 << 40 };
    let table = Table::new(bounds, Seeds::random().unwrap());
    let names: Vec<_> = (0..BACKENDS).map(|n| table.name(&format!("10.0.0.{n}:8080")).unwrap()).collect();
    fill(&table, &names, sessions);
    let resident = resident() - before;
    let figures = table.figures();
    let per = |bytes: u64| bytes as f64 / figures.entries as f64;
    println!("held          {:>10}    given away {}", figures.entries, figures.evicted);
    println!("resident      {:>10.1} B per session ({} MiB)", per(resident), resident >> 20);
    println!("counted       {:>10.1} B per session", per(figures.bytes));
    each("get, held", &hits, |id| assert!(get(&table, id)));
    each("get, not held", &misses, |id| assert!(!get(&table, id)));
    each("put, renewed", &hits, |id| put(&table, &names, id, LATER));
    each("put, new", &misses, |id| put(&table, &names, id, LATER));
    each("end", &misses, |id| _ = black_box(table.end(table.digest(id))));
    together(&table, &hits);
    on_disk(&table, sessions, &hits);
}

/// The id of a session: letters that have nothing in common.
fn id(n: u64) -> Id {
    let hash = |seed| hash64_seeded(&n.to_le_bytes(), seed);
    let both = u128::from(hash(1)) << 64 | u128::from(hash(2));
    std::array::from_fn(|i| b"0123456789abcdef"[(both >> (4 * i)) as usize & 15])
}

/// Some ids of `of` sessions, in no order.
fn asked(from: u64, of: u64) -> Vec<Id> {
    (0..ASKED.min(of)).map(|n| id(from + hash64_seeded(&n.to_le_bytes(), 3) % of)).collect()
}

fn times() -> Times {
    Times::new(Duration::from_secs(3600), None)
}

fn get(table: &Table, id: &Id) -> bool {
    black_box(table.get(table.digest(id), LATER, times())).is_some()
}

fn put(table: &Table, names: &[NameNo], id: &Id, now: UnixSeconds) {
    let home = names[usize::from(id[0]) % names.len()];
    black_box(table.put(table.digest(id), Record { home, origin: None, issued: NOW }, now, times()));
}

/// Puts all sessions; what making their ids takes is left out.
fn fill(table: &Table, names: &[NameNo], sessions: u64) {
    let (mut taken, mut longest) = (Duration::ZERO, Duration::ZERO);
    let mut batch = Vec::with_capacity(1000);
    for n in 0..sessions {
        batch.push(id(n));
        if batch.len() == batch.capacity() || n + 1 == sessions {
            for id in batch.drain(..) {
                let begin = Instant::now();
                put(table, names, &id, NOW);
                let took = begin.elapsed();
                taken += took;
                longest = longest.max(took);
            }
        }
    }
    let each = taken.as_nanos() as f64 / sessions as f64;
    println!("filled        {each:>10.0} ns per session, the longest {longest:.1?}, clock included");
}

fn each(what: &str, ids: &[Id], ask: impl Fn(&Id)) {
    let begin = Instant::now();
    ids.iter().for_each(ask);
    println!("{what:<14}{:>10.0} ns", begin.elapsed().as_nanos() as f64 / ids.len() as f64);
}

/// Look-ups of two threads at once.
fn together(table: &Table, hits: &[Id]) {
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| hits.iter().for_each(|id| assert!(get(table, id))));
        }
    });
    let each = begin.elapsed().as_nanos() as f64 / hits.len() as f64;
    println!("get, 2 threads{each:>10.0} ns on each");
}

/// Saves and loads, with look-ups meanwhile.
fn on_disk(table: &Table, sessions: u64, hits: &[Id]) {
    let path: PathBuf = std::env::temp_dir().join(format!("homing-bench-{}.table", std::process::id()));
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            let slowest = |id| {
                let begin = Instant::now();
                assert!(get(table, id));
                begin.elapsed()
            };
            hits.iter().cycle().take_while(|_| !done.load(Relaxed)).map(slowest).max()
        });
        let begin = Instant::now();
        let saved = disk::save(table, &path, LATER).unwrap();
        let took = begin.elapsed();
        done.store(true, Relaxed);
        println!("saved         {took:>10.2?}    {} MiB, {} sessions", saved.bytes >> 20, saved.sessions);
        println!("slowest get   {:>10.1?}    meanwhile", asking.join().unwrap().unwrap());
    });
    let begin = Instant::now();
    let bounds = table.bounds();
    let loaded = disk::load(&path, bounds, LATER, times()).unwrap().unwrap();
    println!("loaded        {:>10.2?}    {} sessions", begin.elapsed(), loaded.table.figures().entries);
    assert!(get(&loaded.table, &id(sessions / 2)));
    std::fs::remove_file(&path).unwrap();
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}
