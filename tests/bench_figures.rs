//! The arithmetic behind `make bench`: whoever ranks others must not miscount.

#[path = "../benches/peers/roles/frames.rs"]
#[allow(dead_code, reason = "the test needs no more of it than what counts")]
mod frames;
#[path = "../benches/peers/roles/histogram.rs"]
mod histogram;
#[path = "../benches/peers/statistics.rs"]
mod statistics;

use std::time::Duration;

use frames::{Broken, DATA, END_HEADERS, END_STREAM, HEADERS, Link};
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

#[test]
fn an_answer_of_http2_is_the_same_in_whatever_pieces_it_comes() {
    let mut bytes = Vec::new();
    // A change of the dynamic table's size to 4,096, and `:status: 200`.
    for (stream, fields) in
        [(1, &b"\x88"[..]), (3, b"\x3f\xe1\x1f\x88"), (5, b"\x20\x88\xbe"), (7, b"\x8d\x88")]
    {
        frames::begin(HEADERS, END_HEADERS, stream, fields.len(), &mut bytes);
        bytes.extend_from_slice(fields);
        frames::begin(DATA, END_STREAM, stream, 3, &mut bytes);
        bytes.extend_from_slice(b"abc");
    }
    for cut in 0..bytes.len() {
        let (mut link, mut out) = (Link::new(), Vec::new());
        let (mut good, mut ended, mut came) = (Vec::new(), Vec::new(), 0);
        for piece in [&bytes[..cut], &bytes[cut..]] {
            let taken = link.take(piece, &mut out, |_, frame, _| {
                match frame.kind {
                    HEADERS if frame.is_success() => good.push(frame.stream),
                    DATA => came += frame.payload.len(),
                    _ => {}
                }
                ended.extend(frame.ends().then_some(frame.stream));
                Ok(())
            });
            assert!(taken.is_ok(), "cut at {cut}");
        }
        assert_eq!((good, ended, came, out.len()), (vec![1, 3, 5], vec![1, 3, 5, 7], 12, 0), "cut at {cut}");
    }
}

#[test]
fn what_speaks_http2_gives_back_the_window_and_hears_of_an_end() {
    let (mut link, mut out, mut bytes) = (Link::new(), Vec::new(), Vec::new());
    for _ in 0..4 {
        frames::begin(DATA, 0, 1, 10_000, &mut bytes);
        bytes.resize(bytes.len() + 10_000, b'x');
    }
    frames::update(0, 1_000, &mut bytes);
    assert!(link.take(&bytes, &mut out, |_, _, _| Ok(())).is_ok());
    let mut given = Vec::new();
    frames::update(0, 40_000, &mut given);
    assert_eq!((out, link.window), (given, frames::WINDOW + 1_000));
    let mut bytes = Vec::new();
    frames::begin(frames::GOAWAY, 0, 0, 0, &mut bytes);
    assert!(matches!(link.take(&bytes, &mut Vec::new(), |_, _, _| Ok(())), Err(Broken)));
}
