use super::*;
use crate::bench::seen::{Class as Failure, Cookies, Done, Life};

fn record(session: u32, at: Micros, backend: u16, outcome: Outcome) -> Record {
    Record {
        session,
        kind: Kind::Read,
        outcome,
        backend: Some(backend),
        due: at,
        sent: at,
        done: at + 1,
        version: 0,
        expected: 0,
        is_other: false,
        is_retried: false,
        unsure: 0,
        cookies: Cookies::default(),
    }
}

fn seen(records: &[Record]) -> Seen {
    let mut seen = Seen { records: records.to_vec(), ..Seen::default() };
    let sessions: BTreeSet<u32> = records.iter().map(|r| r.session).collect();
    seen.lives =
        sessions.into_iter().map(|session| Life { session, born: 1, ended: 1_000_000_000 }).collect();
    seen
}

#[test]
fn moves_have_their_cause() {
    let s = 1_000_000;
    let ways = [10, 20, 30, 40, 50, 60]
        .map(|at| record(1, at * s, [0, 1, 1, 0, 2, 0][at as usize / 10 - 1], Outcome::Hit));
    let mut seen = seen(&ways);
    seen.world.set(15 * s, 0, Standing::Dead);
    seen.world.set(35 * s, 0, Standing::Up);
    seen.world.set(45 * s, 0, Standing::Draining);
    seen.world.set(55 * s, 0, Standing::Up);
    let tracked = Tracked::of(&seen, 3);
    let causes: Vec<Cause> = tracked.moves.iter().map(|m| m.cause).collect();
    assert_eq!(causes, [Cause::Forced, Cause::Failback, Cause::Policy, Cause::Failback]);
    assert_eq!(tracked.counts(0, 1000 * s).moves(), 4);
    let homes: Vec<Option<u16>> = [5, 10, 25, 45, 55, 70, 1000].map(|at| tracked.home(1, at * s)).to_vec();
    assert_eq!(homes, [None, Some(0), Some(1), Some(0), Some(2), Some(0), None]);
}

#[test]
fn a_move_that_nothing_forces_is_unforced() {
    let seen = seen(&[
        record(1, 10, 0, Outcome::Hit),
        record(1, 20, 1, Outcome::Hit),
        record(1, 30, 0, Outcome::Hit),
    ]);
    let counts = Tracked::of(&seen, 3).counts(0, 100);
    assert_eq!((counts.unforced, counts.moves()), (2, 2));
}

#[test]
fn losses_are_counted_for_each_session_that_lives_through() {
    let mut seen = seen(&[
        record(1, 10, 0, Outcome::Hit),
        record(1, 120, 1, Outcome::Unknown),
        record(2, 11, 1, Outcome::Hit),
        record(2, 121, 1, Outcome::Hit),
        record(3, 12, 0, Outcome::Hit),
        record(3, 122, 1, Outcome::Unknown),
        record(3, 130, 1, Outcome::Failed(Failure::Balancer(502))),
    ]);
    // It does not live through it.
    seen.lives[2].ended = 140;
    seen.world.set(100, 0, Standing::Dead);
    let label = "crash a".to_owned();
    let kind = "crash".to_owned();
    seen.world.done.push(Done { kind, target: Some(0), label, began: 100, ended: 101, coverage: None });
    let tracked = Tracked::of(&seen, 2);
    let events = events(&seen, &tracked, 5, 1000, 2);
    let [event] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!((event.live, event.losses.as_slice(), event.moves.as_slice()), (3, &[1, 0][..], &[1, 0][..]));
    assert_eq!((event.counts.lost, event.counts.forced, event.least), (2, 2, 1.0));
    assert_eq!(event.matrix, [[0, 2], [0, 0]]);
    assert!(event.detect.is_some_and(|at| (at - 30e-6).abs() < 1e-9), "{event:?}");
}

#[test]
fn versions_tell_what_is_stale_and_what_was_done_twice() {
    let with = |kind, version, expected, unsure| Record {
        kind,
        version,
        expected,
        unsure,
        ..record(1, 1, 0, Outcome::Hit)
    };
    for (record, is_stale, duplicates) in [
        (with(Kind::Read, 3, 3, 0), false, 0),
        (with(Kind::Read, 2, 3, 0), true, 0),
        (with(Kind::Write, 4, 3, 0), false, 0),
        (with(Kind::Write, 3, 3, 0), true, 0),
        (with(Kind::Write, 5, 3, 0), false, 1),
        (with(Kind::Write, 5, 3, 1), false, 0),
        (with(Kind::Login, 0, 3, 0), false, 0),
    ] {
        assert_eq!((record.is_stale(), record.duplicates()), (is_stale, duplicates), "{record:?}");
    }
}
