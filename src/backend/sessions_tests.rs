//! Live counts over simulated time, against a table of every session.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32};

use proptest::prelude::*;

use super::*;

const START: u32 = 1_800_000_000;

fn at(seconds: u32) -> UnixSeconds {
    UnixSeconds(START + seconds)
}

#[test]
fn slots_are_a_thirtieth_of_idle_within_a_second_and_a_minute() {
    let check = |idle: u64, length: u32| {
        assert_eq!(Slots::new(Duration::from_secs(idle)).length(), length, "idle {idle} s");
    };
    check(0, 1);
    check(1, 1);
    check(10, 1);
    check(59, 1);
    check(60, 2);
    check(30 * 60, 60);
    check(8 * 3600, 60);
    check(24 * 3600, 60);
    check(7 * 24 * 3600, 420);
    check(u64::MAX, u32::MAX.div_ceil(MOST));
}

#[test]
fn a_backend_counts_in_modest_memory() {
    let bytes = |idle: u64| LiveSessions::new(1, Duration::from_secs(idle)).rows.len() * size_of::<Line>();
    // A row for the worker, and the control plane's.
    assert!(bytes(10) <= 2 * 128);
    assert!(bytes(30 * 60) <= 2 * 320);
    assert!(bytes(365 * 24 * 3600) <= 2 * 12 * 1024);
    assert_eq!(LiveSessions::none().rows.len(), 0);
}

#[test]
fn a_session_left_alone_ends_at_its_end() {
    for (idle, last) in
        [(1, 1_000), (10, 1_007), (1_800, 1_800_000_059), (1_800, 1_800_000_060), (90_000, 77)]
    {
        let slots = Slots::new(Duration::from_secs(idle));
        let end = slots.end_of(UnixSeconds(last)).0;
        assert!(slots.is_live(UnixSeconds(last), UnixSeconds(end - 1)), "idle {idle}: the second before");
        assert!(!slots.is_live(UnixSeconds(last), UnixSeconds(end)), "idle {idle}: from then on");
    }
}

#[test]
fn none_counts_nothing() {
    let none = LiveSessions::none();
    none.begin(0, at(0));
    none.refresh(3, at(0), at(1));
    none.end(0, at(0), at(1));
    assert_eq!(none.live(at(1)), 0);
}

#[test]
fn a_session_lives_for_idle_after_its_slot_and_no_longer() {
    for idle in [1, 10, 60, 61, 1799, 1800, 8 * 3600, 3 * 24 * 3600] {
        let live = LiveSessions::new(2, Duration::from_secs(idle.into()));
        let slot = live.slots().length();
        let end_of_slot = (START / slot + 1) * slot - 1;
        live.begin(1, at(0));
        assert_eq!(live.live(at(0)), 1, "idle {idle}");
        assert_eq!(live.live(UnixSeconds(end_of_slot + idle)), 1, "idle {idle}");
        assert_eq!(live.live(UnixSeconds(end_of_slot + idle + 1)), 0, "idle {idle}");
        assert_eq!(live.live(UnixSeconds(u32::MAX)), 0, "idle {idle}");
    }
}

#[test]
fn what_is_counted_is_what_is_live() {
    for idle in [1, 10, 100, 1800, 100_000] {
        let live = LiveSessions::new(1, Duration::from_secs(idle));
        live.begin(0, at(7));
        for later in (7..400_000).step_by(13) {
            let counted = live.live(at(later)) == 1;
            assert_eq!(counted, live.slots().is_live(at(7), at(later)), "idle {idle}, {later} s");
        }
    }
}

#[test]
fn a_session_moves_between_workers_and_ends_on_any() {
    let live = LiveSessions::new(3, Duration::from_secs(1800));
    live.begin(0, at(0));
    live.refresh(1, at(0), at(70));
    live.refresh(2, at(70), at(140));
    assert_eq!(live.live(at(140)), 1);
    live.end(0, at(140), at(150));
    assert_eq!(live.live(at(150)), 0, "a worker that only takes away holds a negative share");
    live.begin(1, at(150));
    assert_eq!(live.live(at(150)), 1);
    assert_eq!(live.live(at(150 + 1900)), 0);
}

#[test]
fn a_worker_that_does_not_exist_counts_nothing() {
    let live = LiveSessions::new(2, Duration::from_secs(60));
    live.begin(3, at(0));
    live.begin(usize::MAX, at(0));
    assert_eq!(live.live(at(0)), 0);
}

#[test]
fn double_counts_of_parallel_refreshes_die_with_their_slot() {
    let live = LiveSessions::new(2, Duration::from_secs(60));
    live.begin(0, at(0));
    live.refresh(0, at(0), at(10));
    live.refresh(1, at(0), at(10));
    assert_eq!(live.live(at(10)), 1);
    let mut last = at(10);
    for t in (12..400).step_by(3) {
        live.refresh(0, last, at(t));
        last = at(t);
    }
    assert_eq!(live.live(at(400)), 1, "only the one that is still refreshed is left");
}

#[test]
fn sessions_are_counted_over_into_another_layout() {
    let (old, new) =
        (LiveSessions::new(3, Duration::from_secs(60)), LiveSessions::new(2, Duration::from_secs(600)));
    assert!(!old.is_laid_out_as(&new) && old.is_laid_out_as(&LiveSessions::new(3, Duration::from_secs(60))));
    for (worker, t, sessions) in [(0, 0, 5), (1, 100, 3), (2, 130, 4)] {
        (0..sessions).for_each(|_| old.begin(worker, at(t)));
    }
    old.refresh(0, at(100), at(135));
    new.count_over(&old, at(140));
    assert_eq!((old.live(at(140)), new.live(at(140))), (7, 7), "the five of the beginning have ended");
    new.end(1, at(130), at(150));
    assert_eq!((new.live(at(150)), new.live(at(650)), new.live(at(900))), (6, 6, 0));
}

#[test]
fn a_clock_set_back_does_not_stop_the_count() {
    let live = LiveSessions::new(1, Duration::from_secs(60));
    live.begin(0, at(1_000_000));
    live.begin(0, at(0));
    assert_eq!(live.live(at(0)), 1);
    live.refresh(0, at(0), at(5));
    assert_eq!(live.live(at(5)), 1);
    assert_eq!(live.live(at(200)), 0);
}

#[test]
fn a_pin_is_due_when_its_slot_is_past() {
    let slots = Slots::new(Duration::from_secs(1800));
    let slot = UnixSeconds(START / 60 * 60);
    assert!(!slots.is_due(slot, slot));
    assert!(!slots.is_due(slot, UnixSeconds(slot.0 + 59)));
    assert!(slots.is_due(slot, UnixSeconds(slot.0 + 60)));
    assert!(!slots.is_due(UnixSeconds(slot.0 + 60), slot), "a clock a little ahead is not chased");
    assert!(slots.is_due(UnixSeconds(slot.0 + 7200), slot), "a clock set back is");
}

#[test]
fn a_reader_beside_the_writer_sees_whole_cells() {
    let live = Arc::new(LiveSessions::new(1, Duration::from_secs(10)));
    let (now, done) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicBool::new(false)));
    let writer = std::thread::spawn({
        let (live, now, done) = (Arc::clone(&live), Arc::clone(&now), Arc::clone(&done));
        move || {
            for t in 0..20_000 {
                now.store(t, Relaxed);
                live.begin(0, at(t));
            }
            done.store(true, Relaxed);
        }
    });
    while !done.load(Relaxed) {
        // One begins per second and lives 10 s or a slot more; what is being written may be missed or doubled. Half
        // a word of another cell would be off by far more.
        assert!(live.live(at(now.load(Relaxed))) <= 50_000);
    }
    writer.join().unwrap();
    assert_eq!(live.live(at(19_999)), 11);
}

/// What the counters stand for: every session with its last write.
#[derive(Default)]
struct Oracle(HashMap<u8, u32>);

proptest! {
    #[test]
    fn counts_agree_with_a_table_of_sessions(
        idle in prop_oneof![Just(1_u32), Just(10), Just(45), Just(1800), Just(8 * 3600)],
        steps in prop::collection::vec((any::<u8>(), 0_u8..4, 0_usize..3, 0_u32..2000), 1..200),
    ) {
        let live = LiveSessions::new(3, Duration::from_secs(idle.into()));
        let slots = live.slots();
        let (mut oracle, mut now) = (Oracle::default(), 0);
        for (session, what, worker, wait) in steps {
            now += wait % (idle / 4 + 2) * u32::from(what % 2);
            let known = oracle.0.get(&session).copied().filter(|t| slots.is_live(at(*t), at(now)));
            match (known, what) {
                (None, _) => live.begin(worker, at(now)),
                (Some(last), 0 | 1) => live.refresh(worker, at(last), at(now)),
                (Some(last), _) => live.end(worker, at(last), at(now)),
            }
            if known.is_some() && what > 1 {
                oracle.0.remove(&session);
            } else {
                oracle.0.insert(session, now);
            }
            let expected = oracle.0.values().filter(|t| slots.is_live(at(**t), at(now))).count();
            prop_assert_eq!(live.live(at(now)) as usize, expected);
        }
    }
}
