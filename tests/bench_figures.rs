//! The arithmetic behind `make bench`: whoever ranks others must not miscount.

#[path = "../benches/peers/roles/histogram.rs"]
mod histogram;
#[path = "../benches/peers/statistics.rs"]
mod statistics;

use std::time::Duration;

use histogram::Histogram;
use statistics::{Spread, median};

#[test]
fn an_interval_of_the_median_has_the_ranks_of_the_sign_test() {
    // Tables of the sign test: 95 % and more, two-sided; ranks from 1.
    for (count, low, high) in [(6, 1, 6), (8, 1, 8), (9, 2, 8), (16, 4, 13), (30, 10, 21), (100, 40, 61)] {
        let spread = Spread::of((1..=count).rev().map(f64::from)).unwrap();
        assert_eq!(spread.interval, Some((f64::from(low), f64::from(high))), "of {count}");
    }
    assert_eq!(Spread::of((1..=5).map(f64::from)).unwrap().interval, None);
}

#[test]
fn quartiles_lie_between_values_and_what_is_no_number_is_left_out() {
    let spread = Spread::of([4.0, 1.0, f64::NAN, 3.0, 2.0, f64::INFINITY]).unwrap();
    let Spread { lowest, lower_quartile, median: middle, upper_quartile, highest, .. } = spread;
    assert_eq!((lowest, lower_quartile, middle, upper_quartile, highest), (1.0, 1.75, 2.5, 3.25, 4.0));
    assert_eq!((Spread::of([]), median([])), (None, 0.0));
}

#[test]
fn a_percentile_is_off_by_a_sixtieth_at_most() {
    for scale in [1, 63, 64, 127, 128, 1_000, 12_345_678] {
        let mut histogram = Histogram::new();
        (1..=1_000_u64).for_each(|n| histogram.add(Duration::from_nanos(n * scale)));
        for (share, exact) in [(0.5, 500), (0.99, 990), (0.001, 1)] {
            let (found, exact) = (histogram.micros(share) * 1e3, (exact * scale) as f64);
            assert!(
                found <= exact && found >= exact * (1.0 - 1.0 / 60.0),
                "{share} of {scale}: {found}, {exact}"
            );
        }
        assert!((histogram.largest_micros() - 1.0 * scale as f64).abs() < 1e-6);
    }
}
