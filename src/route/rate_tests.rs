//! No span has more than its rate and its burst, whoever else asks; rates as they are written.

use std::thread;

use proptest::prelude::*;

use super::*;

fn gate(rate: &str, burst: u32, entries: u32) -> Gate {
    Gate::new(Terms { rate: rate.parse().unwrap(), burst, entries })
}

fn millis(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn a_burst_passes_at_once_and_then_the_rate() {
    let (gate, start) = (gate("10/s", 3, 64), Instant::now());
    let ask = |at| gate.charge(0, b"a", start + millis(at));
    assert!(ask(0).is_ok() && ask(0).is_ok() && ask(0).is_ok());
    assert_eq!(ask(0), Err(millis(100)));
    assert_eq!(ask(40), Err(millis(60)), "being refused cost something");
    assert!(ask(100).is_ok() && ask(100).is_err() && ask(200).is_ok());
    assert!(
        ask(900).is_ok() && ask(900).is_ok() && ask(900).is_ok() && ask(900).is_err(),
        "more than a burst"
    );
}

#[test]
fn keys_do_not_share_and_neither_do_places() {
    let (gate, now) = (gate("1/h", 1, 64), Instant::now());
    assert!(gate.charge(0, b"a", now).is_ok() && gate.charge(0, b"a", now).is_err());
    assert!(gate.charge(0, b"b", now).is_ok() && gate.charge(1, b"a", now).is_ok());
    assert!(gate.charge(0, b"a", now).is_err());
}

/// The whole point of what gives way: new keys, each used a little, do not free one that is at its limit.
#[test]
fn a_flood_of_keys_frees_nobody_who_is_at_his_limit() {
    let (gate, now) = (gate("1/m", 5, 1024), Instant::now());
    for _ in 0..5 {
        assert!(gate.charge(0, b"abuser", now).is_ok());
    }
    for n in 0_u32..100_000 {
        let _ = gate.charge(0, &n.to_le_bytes(), now);
    }
    assert!(gate.charge(0, b"abuser", now).is_err());
}

#[test]
fn workers_share_one_budget() {
    let (gate, now) = (gate("1/h", 50, 64), Instant::now());
    let ask = || (0..40).filter(|_| gate.charge(0, b"a", now).is_ok()).count();
    let passed: usize = thread::scope(|s| {
        let threads: Vec<_> = (0..4).map(|_| s.spawn(ask)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum()
    });
    assert_eq!(passed, 50);
}

#[test]
fn rates_are_read_and_shown_as_they_are_written() {
    for (text, nanos) in [
        ("1/s", 1_000_000_000),
        ("3/s", 333_333_334),
        ("100/m", 600_000_000),
        ("1000000/s", 1000),
        ("24/d", 3_600_000_000_000),
        ("1/h", 3_600_000_000_000),
    ] {
        let rate: Rate = text.parse().unwrap();
        assert_eq!((rate.to_string().as_str(), rate.interval()), (text, Duration::from_nanos(nanos)));
    }
}

#[test]
fn what_is_no_rate_says_what_would_be() {
    for text in
        ["", "10", "/s", "10/", "10/x", "-1/s", "+1/s", "1.5/s", "10 /s", "10/ s", "10/s/s", "10/1s", "10r/s"]
    {
        assert!(text.parse::<Rate>().unwrap_err().contains("as in \"10/s\""), "{text}");
    }
    for text in ["0/s", "1000001/s", "99999999999999999999/d"] {
        assert!(text.parse::<Rate>().unwrap_err().contains("between 1 and 1000000"), "{text}");
    }
}

proptest! {
    #[test]
    fn a_rate_is_read_back(count in 1_u32..=Rate::MOST, unit in 0_usize..4) {
        let rate = Rate { count, unit };
        prop_assert_eq!(rate.to_string().parse(), Ok(rate));
    }

    #[test]
    fn no_text_is_too_odd_for_the_reader(text in "[0-9smhd/ .+-]{0,8}") {
        if let Ok(rate) = text.parse::<Rate>() {
            prop_assert!(rate.count >= 1 && rate.interval() > Duration::ZERO);
        }
    }

    /// In every window: never more than `rate * t + burst`, and who keeps to the rate is never refused.
    #[test]
    fn no_window_has_more_than_its_rate_and_a_burst(
        count in 1_u32..50, burst in 1_u32..10, steps in prop::collection::vec(0_u64..300, 1..120),
    ) {
        let (gate, start) = (gate(&format!("{count}/s"), burst, 64), Instant::now());
        let (mut at, mut passed) = (0, Vec::new());
        for step in steps {
            at += step;
            if gate.charge(0, b"k", start + millis(at)).is_ok() {
                passed.push(at);
            }
        }
        for (i, from) in passed.iter().enumerate() {
            for (n, to) in passed[i..].iter().enumerate() {
                let most = u64::from(count) * (to - from) / 1000 + u64::from(burst);
                prop_assert!((n as u64) < most, "{} of {most} in {from}..{to}", n + 1);
            }
        }
    }

    #[test]
    fn what_others_do_changes_nothing_while_there_is_room(
        asks in prop::collection::vec((0_u8..4, 0_u64..200), 1..100),
    ) {
        // A row for all of them, so that nobody gives way.
        let (all, alone, start) = (gate("5/s", 2, 8), gate("5/s", 2, 8), Instant::now());
        let mut at = 0;
        for (key, step) in asks {
            at += step;
            let now = start + millis(at);
            // Both count from the same moment.
            let _ = (alone.charge(9, b"", start), all.charge(9, b"", start));
            let among = all.charge(0, &[key], now);
            if key == 0 {
                prop_assert_eq!(among, alone.charge(0, &[key], now));
            }
        }
    }

    #[test]
    fn after_the_wait_it_passes(burst in 1_u32..5, count in 1_u32..20) {
        let (gate, now) = (gate(&format!("{count}/s"), burst, 8), Instant::now());
        for _ in 0..burst {
            prop_assert!(gate.charge(0, b"k", now).is_ok());
        }
        let wait = gate.charge(0, b"k", now).unwrap_err();
        prop_assert!(gate.charge(0, b"k", now + wait - Duration::from_nanos(1)).is_err());
        prop_assert!(gate.charge(0, b"k", now + wait).is_ok());
    }
}
