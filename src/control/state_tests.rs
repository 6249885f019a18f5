use super::super::checker::{Bad, Good};
use super::super::testing;
use super::*;
use crate::base::address::Address;
use crate::health::Probe;

const fn s(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// A pool of backends `a`, `b`, .. that are backups where the text has a capital letter.
fn pool(text: &str) -> (State, Arc<Published>) {
    let nowhere = || Address::Socket(([127, 0, 0, 1], 1).into());
    let backends = text.chars().map(|c| crate::backend::Backend {
        backup: c.is_uppercase(),
        ..testing::backend(&c.to_lowercase().to_string(), nowhere())
    });
    let (published, metrics) =
        testing::published(testing::plan(backends.collect(), Some(testing::check(Probe::Tcp))));
    (State::new(Arc::clone(&published), metrics, Arc::default()), published)
}

/// Who is open now, by letter.
fn open(published: &Published) -> String {
    let snapshot = published.load();
    let members = snapshot.plan.pools[0].members.iter();
    members
        .filter(|(ix, _)| snapshot.standings[0].open.contains(*ix))
        .map(|(_, b)| b.id.to_string())
        .collect()
}

fn probe(state: &mut State, backend: u16, is_good: bool) {
    let result = if is_good { Ok(Good::Connected) } else { Err(Bad::Body) };
    let backend = char::from(b'a' + u8::try_from(backend).unwrap()).to_string();
    state.probed(Probed { pool: "app".into(), backend: (&*backend).into(), result });
}

fn report(state: &mut State, backend: u16, outcome: Outcome, now: Duration) {
    state.reported(Report { epoch: 0, pool: 0, backend: BackendIx(backend), outcome }, now);
}

fn fail_twice(state: &mut State, backend: u16, now: Duration) {
    report(state, backend, Outcome::Failed, now);
    report(state, backend, Outcome::Failed, now);
}

#[test]
fn a_verdict_is_published_once() {
    let (mut state, published) = pool("ab");
    let first = published.generation();
    (0..2).for_each(|_| probe(&mut state, 0, false));
    assert_eq!(published.generation(), first);
    (0..5).for_each(|_| probe(&mut state, 0, false));
    assert_eq!((published.generation(), &*open(&published)), (first + 1, "b"));
    (0..5).for_each(|_| probe(&mut state, 0, true));
    assert_eq!((published.generation(), &*open(&published)), (first + 2, "ab"));
}

#[test]
fn the_last_check_is_kept_with_its_text() {
    let (mut state, _) = pool("a");
    let last = |state: &State| state.board.told().of(&"app".into(), &"a".into()).check;
    assert_eq!(last(&state), None);
    probe(&mut state, 0, false);
    let last = last(&state).unwrap();
    assert_eq!((last.is_good, &*last.text), (false, "body does not have the expected text"));
}

#[test]
fn failed_requests_eject_and_time_opens_again() {
    let (mut state, published) = pool("ab");
    assert_eq!(state.next_due(), None);
    fail_twice(&mut state, 1, s(5));
    assert_eq!((&*open(&published), state.next_due()), ("a", Some(s(15))));
    assert_eq!(published.load().standings[0].serving.len(), 2);
    state.tick(s(14));
    assert_eq!(open(&published), "a");
    state.tick(s(15));
    assert_eq!((&*open(&published), state.next_due()), ("ab", None));
}

#[test]
fn on_trial_one_failure_closes_again_unless_it_answered_first() {
    for (answers, expected) in [(false, "a"), (true, "ab")] {
        let (mut state, published) = pool("ab");
        fail_twice(&mut state, 1, s(0));
        state.tick(s(10));
        if answers {
            report(&mut state, 1, Outcome::Answered, s(11));
        }
        report(&mut state, 1, Outcome::Failed, s(12));
        assert_eq!(open(&published), expected);
    }
}

#[test]
fn the_last_open_backend_is_never_ejected() {
    let (mut state, published) = pool("abC");
    fail_twice(&mut state, 0, s(0));
    fail_twice(&mut state, 1, s(0));
    assert_eq!(open(&published), "c");
    (0..10).for_each(|_| fail_twice(&mut state, 2, s(1)));
    assert_eq!(open(&published), "c");
}

#[test]
fn when_checks_close_the_last_open_one_the_ejected_are_opened() {
    let (mut state, published) = pool("ab");
    fail_twice(&mut state, 0, s(0));
    assert_eq!(open(&published), "b");
    (0..3).for_each(|_| probe(&mut state, 1, false));
    assert_eq!((&*open(&published), state.next_due()), ("a", None));
}

#[test]
fn coming_back_from_down_forgets_old_failures() {
    let (mut state, published) = pool("ab");
    report(&mut state, 0, Outcome::Failed, s(0));
    (0..3).for_each(|_| probe(&mut state, 0, false));
    (0..2).for_each(|_| probe(&mut state, 0, true));
    report(&mut state, 0, Outcome::Failed, s(1));
    assert_eq!(open(&published), "ab");
}

#[test]
fn places_that_are_not_there_are_ignored() {
    let (mut state, published) = pool("a");
    let first = published.generation();
    probe(&mut state, 7, false);
    report(&mut state, 7, Outcome::Failed, s(0));
    state.reported(Report { epoch: 0, pool: 7, backend: BackendIx(0), outcome: Outcome::Failed }, s(0));
    assert_eq!(published.generation(), first);
}
