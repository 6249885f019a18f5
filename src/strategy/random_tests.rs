//! Shares of random choices, and the oracle's A16.

use super::super::testing::{Pool, facts};
use super::*;
use crate::backend::Backend;
use crate::base::options::Value;

const TWO: &[(&str, Value)] = &[("two", Value::Bool(true))];

fn share_of(weights: &[u16], closed: &[usize], options: &[(&str, Value)]) -> Vec<f64> {
    const PICKS: usize = 40_000;
    let pool = Pool::weighing(weights).without(closed);
    let counts = pool.counts(&mut *pool.picker(&KIND, options), (0..PICKS).map(|_| facts()));
    counts.iter().map(|c| *c as f64 / PICKS as f64).collect()
}

#[test]
fn shares_follow_weights() {
    let check = |weights: &[u16], closed: &[usize], options, expected: &[f64]| {
        for (is, p) in share_of(weights, closed, options).iter().zip(expected) {
            let sigma = (p * (1.0 - p) / 40_000.0).sqrt();
            assert!((is - p).abs() <= 4.0 * sigma, "{weights:?} without {closed:?}: {is}, not {p}");
        }
    };
    check(&[1, 2, 5], &[], &[], &[0.125, 0.25, 0.625]);
    check(&[1, 2, 5], &[2], &[], &[1.0 / 3.0, 2.0 / 3.0, 0.0]);
    // All idle: the first of the two choices stands.
    check(&[1, 2, 5], &[], TWO, &[0.125, 0.25, 0.625]);
}

#[test]
fn of_two_choices_the_less_loaded_wins() {
    let pool = Pool::weighing(&[1, 1, 1]).with_in_flight(&[1, 2, 3]);
    let mut picker = pool.picker(&KIND, TWO);
    let counts = pool.counts(&mut *picker, (0..9000).map(|_| facts()));
    // The pairs are alike: {0, 1} and {0, 2} go to 0, {1, 2} goes to 1, and the fullest never wins.
    assert!(counts[0].abs_diff(6000) < 4 * 45 && counts[2] == 0, "{counts:?}");

    let pool = Pool::weighing(&[4, 1]).with_in_flight(&[3, 1]);
    let counts = pool.counts(&mut *pool.picker(&KIND, TWO), (0..100).map(|_| facts()));
    assert_eq!(counts, [100, 0]);
}

#[test]
fn one_candidate_is_enough_and_none_is_none() {
    let one = Pool::weighing(&[1, 1, 1]).without(&[0]).after(&[2]);
    assert_eq!(one.pick(&mut *one.picker(&KIND, TWO), &facts()), Some(1));
    let none = Pool::weighing(&[1, 1]).without(&[0]).after(&[1]);
    assert_eq!(none.pick(&mut *none.picker(&KIND, TWO), &facts()), None);
}

#[test]
fn workers_draw_apart_and_a_seed_repeats() {
    let pool = Pool::weighing(&[1; 8]);
    let strategy = build(&mut Options::none(), pool.members.primaries());
    let draw = |seed| {
        let mut picker = Arc::clone(&strategy).picker(seed);
        (0..20).map(|_| pool.pick(&mut *picker, &facts())).collect::<Vec<_>>()
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
}

/// A16: as many requests as backends, each to the least loaded of d choices.
///
/// A pool holds 65535 backends at most, so the choice at 2^20 is made on an array, by the picker's own comparison.
#[test]
fn the_fullest_of_a_million_holds_four_with_two_choices() {
    const N: usize = 1 << 20;
    let backend = Backend::at("10.0.0.1:80").unwrap();
    for (choices, expected) in [(1, 9..=10), (2, 4..=4), (3, 3..=3)] {
        let mut random = fastrand::Rng::with_seed(7);
        let mut load = vec![0_u32; N];
        for _ in 0..N {
            let drawn = (0..choices).map(|_| random.usize(..N));
            let least = drawn.min_by_key(|ix| Ratio::new(load[*ix], &backend)).unwrap();
            load[least] += 1;
        }
        let fullest = load.into_iter().max().unwrap();
        assert!(expected.contains(&fullest), "{choices} choices: {fullest}");
    }
}

/// The same through the picker, at a size where log log n is the same.
#[test]
fn the_fullest_of_a_pool_holds_few_with_two_choices() {
    let pool = Pool::weighing(&[1; 250]);
    let mut picker = pool.picker(&KIND, TWO);
    for _ in 0..250 {
        let ix = pool.pick(&mut *picker, &facts()).unwrap();
        assert!(pool.backend(ix).load.enter(0));
    }
    let fullest = (0..250).map(|ix| pool.backend(ix).load.in_flight()).max();
    assert!(fullest <= Some(3), "{fullest:?}");
}
