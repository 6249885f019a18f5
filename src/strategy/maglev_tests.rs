//! The paper's properties, and the oracle's A9, A10, A15, A21 and A24.

use proptest::prelude::*;

use super::super::testing::{Pool, as_shares, assert_near, by_key, cv, facts, gini, mean_of, peak, place};
use super::*;
use crate::base::hash::hash64;
use crate::base::options::Value;

fn by_hash(hash: u64) -> RequestFacts<'static> {
    RequestFacts { hash, ..facts() }
}

fn table(pool: &Pool, size: u32) -> Vec<BackendIx> {
    fill(pool.members.primaries(), size)
}

fn slots(pool: &Pool, size: u32) -> Vec<usize> {
    let mut counts = vec![0; pool.members.len()];
    table(pool, size).iter().for_each(|ix| counts[ix.index()] += 1);
    counts
}

/// `n` backends without those from `from` up to `from + k`.
fn lacking(n: usize, from: usize, k: usize) -> Pool {
    let names: Vec<_> = (0..n).filter(|i| !(from..from + k).contains(i)).map(|i| format!("b{i}.f0.test:80")).collect();
    Pool::at(&names.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Part of the slots that belong to another backend when k of n leave, starting with `from`.
fn changed(n: usize, (from, k): (usize, usize), size: u32) -> f64 {
    let (before, after) = (Pool::sized(0, n), lacking(n, from, k));
    let (old, new) = (table(&before, size), table(&after, size));
    // Those behind the ones that left have moved up in the list.
    let now = |ix: usize| if ix < from { ix } else { ix + k };
    let moved = old.iter().zip(&new).filter(|(a, b)| a.index() != now(b.index())).count();
    moved as f64 / f64::from(size)
}

#[test]
fn placements_never_change() {
    let pool = Pool::weighing(&[1, 2, 3, 4, 5]);
    let mut picker = pool.picker(&KIND, &[]);
    let picks = ["a", "user1", "203.0.113.7", "", "sess-7f3a", "cart=9", "homing", "zzz"]
        .map(|key| pool.pick(&mut *picker, &by_key(key)).unwrap());
    assert_eq!(picks, [2, 3, 4, 2, 2, 3, 3, 2]);
}

/// A9.
#[test]
fn shares_are_even_to_one_slot() {
    let of = |n, size, slots_each| {
        slots(&Pool::sized(0, n), size).into_iter().filter(|s| *s == slots_each).count()
    };
    assert_eq!((of(1000, 65_537, 66), of(1000, 65_537, 65)), (537, 463));
    assert_eq!((of(1000, 655_373, 656), of(1000, 655_373, 655)), (373, 627));
    assert_eq!((of(10, 65_537, 6554), of(10, 65_537, 6553)), (7, 3));
    assert_near(peak(&as_shares(&slots(&Pool::sized(0, 1000), 65_537))), 1.00706, 0.00001, "peak");
}

#[test]
fn shares_follow_weights() {
    let weights = [1, 2, 3, 4, 10];
    let counts = slots(&Pool::weighing(&weights), 65_537);
    for (count, weight) in counts.iter().zip(weights) {
        assert_near(*count as f64, 65_537.0 * f64::from(weight) / 20.0, 0.001, "slots");
    }
    assert_eq!(slots(&Pool::weighing(&[65_535, 1]), 65_537), [65_535, 2]);
    assert_eq!(slots(&Pool::weighing(&[0, 1]), 251).iter().sum::<usize>(), 251);
}

/// A10: part of the slots that change when k of n leave.
#[test]
fn few_slots_change_beside_those_that_must() {
    let table = [
        (3, 1, 65_537, 33.36),
        (5, 1, 65_537, 20.10),
        (10, 1, 65_537, 10.24),
        (20, 1, 65_537, 5.35),
        (50, 1, 65_537, 2.445),
        (100, 1, 65_537, 1.56),
        (150, 1, 65_537, 1.283),
        (200, 1, 65_537, 1.238),
        (1000, 1, 65_537, 0.668),
        (1000, 5, 65_537, 2.31),
        (1000, 10, 65_537, 3.34),
        (1000, 20, 65_537, 4.65),
        (1000, 50, 65_537, 8.27),
        (1000, 1, 655_373, 0.429),
        (1000, 10, 655_373, 1.57),
        (1000, 50, 655_373, 5.91),
    ];
    for (n, k, size, expected) in table {
        let draws = if size > 65_537 { 2 } else if n < 1000 { 6.min(n) } else { 8 };
        let part = mean_of((0..draws).map(|i| changed(n, (i * (n - k) / draws, k), size)));
        assert_near(part * 100.0, expected, 0.05, &format!("{k} of {n} in {size}"));
    }
}

/// A15 at its larger size.
#[test]
fn keys_spread_as_chance_has_it() {
    let pool = Pool::sized(0, 10);
    let mut picker = pool.picker(&KIND, &[]);
    let mut draw = |d: u64| {
        let hashes = (0..10_000_u64).map(|i| by_hash(combine(d, hash64(&i.to_le_bytes()))));
        as_shares(&pool.counts(&mut *picker, hashes))
    };
    let draws: Vec<_> = (0..250).map(&mut draw).collect();
    assert_near(mean_of(draws.iter().map(|s| cv(s).powi(2))).sqrt(), 0.0300, 0.03, "CV");
    assert_near(mean_of(draws.iter().map(|s| peak(s))), 1.049, 0.03, "peak");
    assert_near(mean_of(draws.iter().map(|s| gini(s))), 0.0162, 0.03, "Gini");
}

/// A21: one address that a part of all requests comes from.
#[test]
fn one_large_client_weighs_on_balance() {
    let pool = Pool::sized(0, 10);
    let mut picker = pool.picker(&KIND, &[]);
    // Every slot once, which is as even as the rest can be, and a quarter as many requests of one client.
    let rest = (0..65_537).map(by_hash);
    let nat = (0..65_537 / 4).map(|_| by_hash(5));
    let load = as_shares(&pool.counts(&mut *picker, rest.chain(nat)));
    assert_near(peak(&load), 2.8, 0.001, "peak");
    assert_near(cv(&load), 0.6, 0.001, "CV");
    assert_near(gini(&load), 0.18, 0.001, "Gini");
}

/// A24: the table keeps its size, so that one more or less moves little beside what it must.
#[test]
fn one_more_or_less_moves_little() {
    for (n, limit) in [(3, 1.03), (5, 1.03), (10, 1.03), (20, 1.07)] {
        // What n - 1 to n moves is what n to n - 1 moves; the least that can is one part in n.
        let ratio = mean_of((0..n).map(|i| changed(n, (i, 1), 65_537))) * n as f64;
        assert!(ratio <= limit, "{n}: {ratio}");
    }
}

#[test]
fn whoever_is_left_is_found() {
    let all: Vec<_> = (0..300).collect();
    for left in [0, 150, 299] {
        let closed: Vec<_> = all.iter().copied().filter(|ix| *ix != left).collect();
        let pool = Pool::sized(0, 300).without(&closed);
        let mut picker = pool.picker(&KIND, &[]);
        assert!((0..50).all(|hash| pool.pick(&mut *picker, &by_hash(hash)) == Some(left)));
    }
    let nobody = Pool::sized(0, 3).without(&[0, 1, 2]);
    assert_eq!(nobody.pick(&mut *nobody.picker(&KIND, &[]), &by_hash(1)), None);
    let empty = Pool::at(&[]);
    assert_eq!(empty.pick(&mut *empty.picker(&KIND, &[]), &by_hash(1)), None);
}

#[test]
fn a_closed_backends_keys_spread_over_all_others() {
    let pool = Pool::weighing(&[1, 1, 2, 1]).without(&[0]);
    let mut picker = pool.picker(&KIND, &[]);
    let own = table(&pool, 65_537);
    let its = (0..65_537_u64).filter(|slot| own[*slot as usize] == place(0));
    let counts = pool.counts(&mut *picker, its.map(by_hash));
    let total: usize = counts.iter().sum();
    for (ix, part) in [(1, 0.25), (2, 0.5), (3, 0.25)] {
        assert_near(counts[ix] as f64, total as f64 * part, 0.06, "spread");
    }
}

#[test]
fn only_a_prime_that_is_large_enough_is_a_size() {
    let problems = |size, n| {
        let mut options = Options::new(vec![("table_size".to_owned(), Value::Integer(size), 0..1)]);
        let _ = build(&mut options, Pool::sized(0, n).members.primaries());
        options.finish().len()
    };
    for (size, n, expected) in [
        (251, 3, 0),
        (65_537, 3, 0),
        (655_373, 3, 0),
        (250, 3, 1),
        (241, 3, 1),
        (65_536, 3, 1),
        (655_379, 3, 1),
        (-251, 3, 1),
        (251, 252, 1),
        (257, 252, 0),
    ] {
        assert_eq!(problems(size, n), expected, "{size} for {n}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn closing_moves_only_its_keys(
        weights in prop::collection::vec(1_u16..50, 2..12), closed: prop::sample::Index, hash: u64,
    ) {
        let closed = closed.index(weights.len());
        let size = [("table_size", Value::Integer(1009))];
        let (before, after) = (Pool::weighing(&weights), Pool::weighing(&weights).without(&[closed]));
        let pick = |pool: &Pool| pool.pick(&mut *pool.picker(&KIND, &size), &by_hash(hash)).unwrap();
        let (from, to) = (pick(&before), pick(&after));
        prop_assert!(to != closed);
        prop_assert_eq!(from != to, from == closed);
    }

    #[test]
    fn order_is_no_matter(n in 1_usize..12, turn in 0_usize..12, hash: u64) {
        let names: Vec<_> = (0..n).map(|i| (format!("b{i}.test:80"), i as u16 % 3 + 1)).collect();
        let mut list: Vec<_> = names.iter().map(|(name, weight)| (name.as_str(), *weight)).collect();
        let one = Pool::of(&list);
        list.rotate_left(turn % n);
        list.reverse();
        let other = Pool::of(&list);
        let size = [("table_size", Value::Integer(251))];
        let id = |pool: &Pool| pool.pick_id(&mut *pool.picker(&KIND, &size), &by_hash(hash)).map(str::to_owned);
        prop_assert_eq!(id(&one), id(&other));
    }
}
