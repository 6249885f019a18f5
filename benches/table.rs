//! What the stick table costs when it is large: `cargo bench --bench table -- SESSIONS` (10 million if nothing is said).
//!
//! Memory is what the kernel counts as resident, with the allocator that homing ships with. Times of single calls are
//! processor time of the thread, so that others on the machine disturb them less. An id has 32 letters; making its
//! digest is part of every figure. The file is written to the folder for temporary files.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and fails by panicking")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use homing::affinity::table::{Bounds, NameNo, Record, Seeds, Table, Times};
use homing::base::hash::hash64_seeded;
use homing::base::time::UnixSeconds;
use homing::store::disk;
use rustix::time::{ClockId, clock_gettime};

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
    // Shards fill unevenly, by one or two in a hundred; and some more sessions come later.
    let bounds = Bounds { entries: sessions + sessions / 50 + 2 * ASKED, bytes: 1 << 40 };
    let table = Table::new(bounds, Seeds::random().unwrap());
    let names: Vec<_> = (0..BACKENDS).map(|n| table.name(&format!("10.0.0.{n}:8080")).unwrap()).collect();
    fill(&table, &names, sessions);
    let resident = resident() - before;
    let figures = table.figures();
    let per = |bytes: u64| bytes as f64 / figures.entries as f64;
    println!("{:<16}{:>8}       given away {}", "held", figures.entries, figures.evicted);
    println!("{:<16}{:>8.1} B     per session, {} MiB", "resident", per(resident), resident >> 20);
    println!("{:<16}{:>8.1} B     per session", "counted", per(figures.bytes));
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
    for first in (0..sessions).step_by(1000) {
        batch.clear();
        batch.extend((first..sessions.min(first + 1000)).map(id));
        let took = processor(|| batch.iter().for_each(|id| put(table, names, id, NOW)));
        taken += took;
        longest = longest.max(took);
    }
    let each = taken.as_nanos() as f64 / sessions as f64;
    println!("{:<16}{each:>8.0} ns    the slowest thousand took {longest:.1?}", "put, to fill it");
}

fn each(what: &str, ids: &[Id], ask: impl Fn(&Id)) {
    let took = processor(|| ids.iter().for_each(ask));
    println!("{what:<16}{:>8.0} ns", took.as_nanos() as f64 / ids.len() as f64);
}

/// How long this thread had a processor.
fn processor(work: impl FnOnce()) -> Duration {
    let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap();
    let begin = now();
    work();
    now() - begin
}

/// Look-ups of two threads at once.
fn together(table: &Table, hits: &[Id]) {
    let what = "get, 2 threads";
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| each(what, hits, |id| assert!(get(table, id))));
        }
    });
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
        println!("{:<16}{took:>11.2?}    {} MiB, {} sessions", "saved", saved.bytes >> 20, saved.sessions);
        println!("{:<16}{:>11.1?}    meanwhile", "slowest get", asking.join().unwrap().unwrap());
    });
    let begin = Instant::now();
    let bounds = table.bounds();
    let loaded = disk::load(&path, bounds, LATER, times()).unwrap().unwrap();
    println!("{:<16}{:>11.2?}    {} sessions", "loaded", begin.elapsed(), loaded.table.figures().entries);
    assert!(get(&loaded.table, &id(sessions / 2)));
    std::fs::remove_file(&path).unwrap();
}

/// Bytes of this process that are in memory.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() << 10
}
