use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

fn value(hash: u64) -> Seen {
    Seen { hash, origin: Origin::Source(0) }
}

fn client(address: &str, claims: bool) -> Seen {
    Seen { hash: 7, origin: Origin::Client { address: Some(address.parse().unwrap()), claims } }
}

/// Samples of which so many of a hundred are of one key, and the others all differ.
fn samples(n: u64, percent: u64) -> Sketch {
    let mut sketch = Sketch::default();
    (0..n).for_each(|i| {
        sketch.note(Some(value(if i * percent / 100 != (i + 1) * percent / 100 { 7 } else { 1000 + i })))
    });
    sketch
}

const T: UnixSeconds = UnixSeconds(1_000_000);

fn later(seconds: u32) -> UnixSeconds {
    UnixSeconds(T.0 + seconds)
}

proptest! {
    #[test]
    fn a_count_is_within_its_bounds_and_a_16th_is_never_missed(keys in prop::collection::vec(0_u64..60, 0..600)) {
        let (mut sketch, mut exact) = (Sketch::default(), HashMap::<u64, u32>::new());
        for key in &keys {
            let key = key * key / 60; // Some more often than others.
            sketch.note(Some(value(key)));
            *exact.entry(key).or_default() += 1;
        }
        let least = sketch.counters.iter().map(|c| c.map_or(0, |c| c.count)).min().unwrap();
        prop_assert!(least as usize <= keys.len() / COUNTERS);
        for counter in sketch.counters.iter().flatten() {
            let n = exact.remove(&counter.seen.hash).unwrap();
            prop_assert!(counter.count - counter.error <= n && n <= counter.count && counter.error <= least);
        }
        prop_assert!(exact.values().all(|n| *n <= least), "what is not counted is rarer than what is");
    }

    #[test]
    fn what_several_workers_counted_is_never_too_much(
        streams in prop::collection::vec(prop::collection::vec(0_u64..40, 0..200), 1..6),
    ) {
        let mut all = Sketch::default();
        for stream in &streams {
            let mut sketch = Sketch::default();
            stream.iter().for_each(|key| sketch.note(Some(value(*key))));
            all.absorb(&sketch);
        }
        let exact = |key: u64| streams.iter().flatten().filter(|k| **k == key).count();
        prop_assert_eq!(all.total as usize, streams.iter().map(Vec::len).sum::<usize>());
        for counter in all.counters.iter().flatten() {
            prop_assert!((counter.count - counter.error) as usize <= exact(counter.seen.hash));
        }
    }
}

#[test]
fn a_heavy_key_is_told_of_once_an_hour() {
    let skew = Skew::new(0.5);
    let alarm = skew.absorb(&mut samples(100, 90), T).unwrap();
    assert!((0.85..=0.9).contains(&alarm.share) && alarm.seen.hash == 7, "{alarm:?}");
    assert_eq!(skew.now(T), Some(alarm));
    for at in [1, 70, 3599] {
        assert_eq!(skew.absorb(&mut samples(100, 90), later(at)), None);
        assert!(skew.now(later(at)).is_some());
    }
    assert!(skew.absorb(&mut samples(100, 90), later(3600)).is_some());
}

#[test]
fn it_lasts_for_as_long_as_it_does() {
    let skew = Skew::new(0.5);
    for at in [0, 50, 100, 150] {
        skew.absorb(&mut samples(100, 80), later(at));
    }
    assert_eq!(skew.now(later(150)).unwrap().since, T);
    skew.absorb(&mut samples(200, 10), later(220));
    assert_eq!(skew.now(later(220)), None);
    skew.absorb(&mut samples(1000, 80), later(221));
    assert_eq!(skew.now(later(221)).unwrap().since, later(221));
    assert_eq!(skew.now(later(221 + 2 * WINDOW)), None, "nobody came since");
}

#[test]
fn a_spread_and_a_few_requests_are_no_alarm() {
    for (n, percent) in [(100_000, 0), (10_000, 45), (u64::from(ENOUGH) - 1, 100)] {
        let skew = Skew::new(0.5);
        assert_eq!(skew.absorb(&mut samples(n, percent), T), None, "{n} samples, {percent} %");
        assert_eq!(skew.now(T), None);
    }
    let skew = Skew::new(0.5);
    for at in 0..10 {
        assert_eq!(skew.absorb(&mut samples(60, 100), later(60 * at)), None, "a minute is not ten");
    }
}

#[test]
fn requests_without_a_key_count_among_all() {
    let skew = Skew::new(0.5);
    let mut sketch = samples(100, 100);
    (0..100).for_each(|_| sketch.note(None));
    assert_eq!(skew.absorb(&mut sketch, T), None);
}

#[test]
fn workers_share_one_verdict() {
    let skew = Skew::new(0.5);
    assert_eq!(skew.absorb(&mut samples(60, 100), T), None);
    assert_eq!(skew.absorb(&mut samples(60, 0), T), None, "half is not more than half");
    assert!(skew.absorb(&mut samples(60, 100), T).is_some());
}

#[test]
fn more_keys_than_are_remembered_are_told_of_anew() {
    let skew = Skew::new(0.5);
    for key in 0..=TOLD as u64 {
        let mut sketch = Sketch::default();
        (0..100).for_each(|_| sketch.note(Some(value(key))));
        assert!(skew.absorb(&mut sketch, later(60 * key as u32)).is_some());
    }
    let mut sketch = Sketch::default();
    (0..100).for_each(|_| sketch.note(Some(value(0))));
    assert!(skew.absorb(&mut sketch, later(1200)).is_some(), "the oldest was forgotten");
}

#[test]
fn keys_are_masked() {
    for (seen, expected) in [
        (client("203.0.113.77", false), "203.0.113.0/24"),
        (client("2001:db8:1:2::3", false), "2001:db8:1::/48"),
        (client("::ffff:203.0.113.77", false), "203.0.113.0/24"),
        (Seen { hash: 1, origin: Origin::Client { address: None, claims: false } }, "unix:"),
    ] {
        assert_eq!(seen.to_string(), expected);
    }
    let text = value(crate::base::hash::hash64(b"secret")).to_string();
    assert!(text.len() == 9 && text.starts_with('#'), "{text}");
}

#[test]
fn the_cause_is_named() {
    let cause = |seen: Seen| {
        Alarm { share: 0.9, seen, since: T }.cause(&[
            KeySource::Cookie("sid".into()),
            KeySource::Path,
            KeySource::Host,
        ])
    };
    let of = |place| cause(Seen { hash: 1, origin: Origin::Source(place) });
    for (text, word) in [
        (cause(client("10.0.0.1", true)), "trusted_proxies"),
        (cause(client("10.0.0.1", true)), "X-Forwarded-For"),
        (cause(client("10.0.0.1", false)), "NAT"),
        (cause(Seen { hash: 1, origin: Origin::Client { address: None, claims: false } }), "proxy_protocol"),
        (of(0), "cookie:sid"),
        (of(1), "one path"),
        (of(2), "one host"),
        (of(3), "share"),
    ] {
        assert!(text.contains(word), "{text}");
    }
}
