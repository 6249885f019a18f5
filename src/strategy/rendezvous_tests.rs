//! The laws of rendezvous hashing, and the oracle's A5, A11, A15 and A21.

use proptest::prelude::*;

use super::super::testing::{
    Pool, as_shares, assert_near, by_key, cv, facts, gini, keys, mean_of, moved, peak,
};
use super::*;

fn by_hash(hash: u64) -> RequestFacts<'static> {
    RequestFacts { hash, ..facts() }
}

fn pick(pool: &Pool, hash: u64) -> Option<usize> {
    pool.pick(&mut *pool.picker(&KIND, &[]), &by_hash(hash))
}

/// `draws` families of `n` backends, each asked by `count` hashes: how many go to each backend.
fn spreads(n: usize, count: u64, draws: u64) -> Vec<Vec<f64>> {
    let pool = Pool::sized(0, n);
    let mut picker = pool.picker(&KIND, &[]);
    let mut draw = |d| {
        as_shares(&pool.counts(&mut *picker, (0..count).map(|i| by_hash(combine(d, hash64(&i.to_le_bytes()))))))
    };
    (0..draws).map(&mut draw).collect()
}

#[test]
fn placements_never_change() {
    let pool = Pool::weighing(&[1, 2, 3, 4, 5]);
    let mut picker = pool.picker(&KIND, &[]);
    let picks = ["a", "user1", "203.0.113.7", "", "sess-7f3a", "cart=9", "homing", "zzz"]
        .map(|key| pool.pick(&mut *picker, &by_key(key)).unwrap());
    assert_eq!(picks, [2, 1, 2, 1, 2, 4, 3, 3]);
    let seconds = [1, 2, 3, 4].map(|s| second_choice(s, 7, &pool.candidates()).unwrap().index());
    assert_eq!(seconds, [1, 3, 4, 0]);
}

#[test]
fn equal_weights_are_placed_as_by_their_logarithms() {
    for n in [1, 2, 3, 10, 70, 140] {
        let pool = Pool::sized(0, n).without(&[1, 69, 135]).after(&[2]);
        let ids: Vec<_> = pool.members.iter().map(|(ix, b)| (ix, turned(id_hash(&b.id)))).collect();
        for key in (0..500_u64).map(|k| combine(n as u64, k)) {
            let open = ids.iter().filter(|(ix, _)| pool.candidates().contains(*ix));
            let by_logarithm = best(key, open.map(|(ix, id)| (*ix, pool.members.get(*ix).as_ref(), *id)));
            let open: Vec<_> = ids.iter().filter(|(ix, _)| pool.candidates().contains(*ix)).collect();
            let turned: Vec<u64> = open.iter().map(|(_, id)| *id).collect();
            assert_eq!(clear(key, &turned).map(|at| open[at].0), by_logarithm);
            assert_eq!(pick(&pool, key), by_logarithm.map(BackendIx::index));
        }
    }
    assert_eq!(clear(7, &[3, 3]), None, "too near to each other");
    let full = Pool::limited(&[1, 1, 1]).with_in_flight(&[1, 0, 1]);
    assert!((0..100).all(|key| pick(&full, combine(key, 1)) == Some(1)), "the best with room");
}

#[test]
fn one_picker_follows_those_who_come_and_go() {
    let all = Pool::sized(0, 9);
    let mut picker = all.picker(&KIND, &[]);
    for (round, closed) in [&[][..], &[3], &[3, 5], &[5], &[], &[0, 1, 2, 3, 4, 5, 6, 7, 8], &[8]].iter().enumerate() {
        let now = Pool::sized(0, 9).without(closed);
        for key in (0..200).map(|k| combine(round as u64, k)) {
            let request = RequestFacts { hash: key, ..by_key(b"k") };
            let chosen = picker.pick(&request, &now.candidates()).map(BackendIx::index);
            assert_eq!(chosen, pick(&now, key), "round {round}");
        }
    }
}

#[test]
fn the_logarithm_is_one() {
    for hash in [0, 1 << 12, 1 << 40, u64::MAX / 3, u64::MAX / 2, u64::MAX / 2 + 1, 3 << 62, u64::MAX - 4096] {
        let u = (hash >> 12 << 1 | 1) as f64 / 2_f64.powi(53);
        assert!((minus_ln(hash) / -u.ln() - 1.0).abs() < 1e-14, "{hash:x}: {} {}", minus_ln(hash), -u.ln());
    }
    assert!(minus_ln(u64::MAX) > 0.0);
    assert!(minus_ln(0).is_finite());
}

#[test]
fn shares_follow_weights() {
    let weights = [1, 2, 3, 4, 10];
    let pool = Pool::weighing(&weights);
    let total = 40_000;
    let hashes = (0..total).map(|i: u64| by_hash(hash64(&i.to_le_bytes())));
    let counts = pool.counts(&mut *pool.picker(&KIND, &[]), hashes);
    for (count, weight) in counts.iter().zip(weights) {
        let p = f64::from(weight) / 20.0;
        let sigma = (p * (1.0 - p) * total as f64).sqrt();
        assert!((*count as f64 - p * total as f64).abs() < 4.0 * sigma, "{counts:?}");
    }
}

#[test]
fn a_second_choice_spreads_one_backends_sessions_over_all_others() {
    let pool = Pool::weighing(&[1, 1, 2, 1]).without(&[1]);
    let mut counts = [0.0; 4];
    for session in 0..20_000 {
        let lost = id_hash(&pool.backend(1).id);
        counts[second_choice(hash64(&u64::to_le_bytes(session)), lost, &pool.candidates()).unwrap().index()] += 1.0;
    }
    assert!(counts[1] == 0.0);
    for (ix, expected) in [(0, 5000.0), (2, 10_000.0), (3, 5000.0)] {
        assert_near(counts[ix], expected, 0.05, "second choices");
    }
}

/// A5.
#[test]
fn only_what_must_moves() {
    let keys = keys(0, 4000);
    for n in [1, 2, 3, 10, 30] {
        let (small, large) = (Pool::sized(0, n), Pool::sized(0, n + 1));
        for pair in [(&small, &large), (&large, &small)] {
            let (part, all_forced) = moved(&KIND, &[], pair, &keys);
            let p = 1.0 / (n + 1) as f64;
            assert!(all_forced);
            assert!((part - p).abs() < 4.0 * (p * (1.0 - p) / 4000.0).sqrt(), "{n}: {part}");
        }
    }
}

/// A11: a table filled by rendezvous is as uneven as balls thrown at random into bins.
///
/// The oracle's 200 tables of 65537 slots and 1000 backends are 13 billion draws. Instead: the expected peak of
/// independent throws, worked out exactly, gives the oracle's figures; and rendezvous gives the same formula's
/// figure at the same number of slots per backend with fewer backends.
#[test]
fn a_table_filled_by_rendezvous_is_as_uneven_as_chance() {
    assert!((expected_peak(65_537, 1000) - 1.424).abs() < 0.01);
    assert!((expected_peak(655_373, 1000) - 1.1295).abs() < 0.01);
    let (slots, n, tables) = (1311, 20, 200);
    let is = mean_of(spreads(n, slots, tables).iter().map(|s| peak(s)));
    assert!((is - expected_peak(slots, n)).abs() < 0.01, "{is} {}", expected_peak(slots, n));
}

/// The mean of max / mean over `n` bins with `balls` thrown at random: the sum over k of 1 - P(bin <= k)^n.
fn expected_peak(balls: u64, n: usize) -> f64 {
    let p = 1.0 / n as f64;
    let mut term = balls as f64 * (1.0 - p).ln();
    let (mut below, mut expected) = (0.0, 0.0);
    for k in 0..balls {
        below += term.exp();
        expected += 1.0 - f64::min(below, 1.0).powf(n as f64);
        term += ((balls - k) as f64 / (k + 1) as f64).ln() + (p / (1.0 - p)).ln();
    }
    expected / (balls as f64 * p)
}

/// A15 at the size that many draws are cheap; the larger one is among maglev's tests.
#[test]
fn keys_spread_as_chance_has_it() {
    let draws = spreads(3, 1000, 1000);
    assert_near(mean_of(draws.iter().map(|s| cv(s).powi(2))).sqrt(), 0.0447, 0.03, "CV");
    assert_near(mean_of(draws.iter().map(|s| peak(s))), 1.047, 0.03, "peak");
}

/// A21: keyed by groups, balance is that of the groups.
#[test]
fn large_groups_weigh_on_balance() {
    for (groups, n, draws, expected) in
        [(1000, 3, 1500, 0.242), (1000, 10, 300, 0.514), (10_000, 3, 150, 0.185), (10_000, 10, 30, 0.393)]
    {
        let total: f64 = (1..=groups).map(|g| 1.0 / f64::from(g)).sum();
        let squares: f64 = (1..=groups).map(|g| (f64::from(g) * total).powi(-2)).sum();
        assert_near(((n - 1) as f64 * squares).sqrt(), expected, 0.005, "the formula");
        let pool = Pool::sized(0, n);
        let mut picker = pool.picker(&KIND, &[]);
        let mut draw = |d: u64| {
            let mut load = vec![0.0; n];
            for g in 1..=groups {
                let hash = combine(d, hash64(&u32::to_le_bytes(g)));
                load[pool.pick(&mut *picker, &by_hash(hash)).unwrap()] += 1.0 / f64::from(g);
            }
            cv(&load).powi(2)
        };
        let is = mean_of((0..draws).map(&mut draw)).sqrt();
        assert_near(is, expected, 0.03, &format!("{groups} groups on {n}"));
    }
    // All behind one proxy.
    let pool = Pool::sized(0, 10);
    let all = as_shares(&pool.counts(&mut *pool.picker(&KIND, &[]), (0..100).map(|_| by_key("proxy"))));
    assert_eq!((peak(&all), cv(&all), gini(&all)), (10.0, 3.0, 0.9));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn closing_moves_only_its_keys(
        weights in prop::collection::vec(1_u16..50, 2..12), closed: prop::sample::Index, hash: u64,
    ) {
        let closed = closed.index(weights.len());
        let (before, after) = (Pool::weighing(&weights), Pool::weighing(&weights).without(&[closed]));
        let (from, to) = (pick(&before, hash).unwrap(), pick(&after, hash).unwrap());
        prop_assert!(to != closed);
        prop_assert_eq!(from != to, from == closed);
    }

    #[test]
    fn more_weight_only_draws_keys_in(
        mut weights in prop::collection::vec(1_u16..50, 2..12), heavier: prop::sample::Index, hash: u64,
    ) {
        let heavier = heavier.index(weights.len());
        let from = pick(&Pool::weighing(&weights), hash).unwrap();
        weights[heavier] += 5;
        let to = pick(&Pool::weighing(&weights), hash).unwrap();
        prop_assert!(from == to || to == heavier);
    }

    #[test]
    fn order_is_no_matter(n in 1_usize..12, turn in 0_usize..12, hash: u64, lost: u64) {
        let names: Vec<_> = (0..n).map(|i| (format!("b{i}.test:80"), i as u16 % 3 + 1)).collect();
        let mut list: Vec<_> = names.iter().map(|(name, weight)| (name.as_str(), *weight)).collect();
        let one = Pool::of(&list);
        list.rotate_left(turn % n);
        list.reverse();
        let other = Pool::of(&list);
        let id = |pool: &Pool, ix: usize| pool.backend(ix).id.clone();
        prop_assert_eq!(id(&one, pick(&one, hash).unwrap()), id(&other, pick(&other, hash).unwrap()));
        let second = |pool: &Pool| id(pool, second_choice(hash, lost, &pool.candidates()).unwrap().index());
        prop_assert_eq!(second(&one), second(&other));
    }
}
