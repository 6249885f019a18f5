use std::sync::Arc;

use super::*;
use crate::affinity::key::KeyPlan;
use crate::backend::Backend;
use crate::backend::availability::{Availability, Health};
use crate::backend::members::Members;
use crate::base::options::Options;
use crate::base::time::UnixSeconds;
use crate::pool::Timeouts;
use crate::pool::policy::{Panic, Policy};
use crate::pool::standing::Ramp;
use crate::strategy::{Kind, rendezvous, round_robin};

const NOW: UnixSeconds = UnixSeconds(1000);
const SECOND: std::time::Duration = std::time::Duration::from_secs(1);

/// Three backends, `a`, `b` and `c`, that serve one request at a time.
fn pool(kind: &'static Kind, on_lost: OnLost) -> Pool {
    let backend = |id| Arc::new(Backend { max_conns: 1, ..Backend::at("x:1").unwrap().named(id) });
    let members = Members::new(["a", "b", "c"].map(backend).to_vec());
    let timeouts = Timeouts {
        connect: SECOND,
        first_byte: SECOND,
        read: SECOND,
        write: SECOND,
        idle: SECOND,
        tunnel: SECOND,
        max_idle: 1,
    };
    Pool {
        name: "app".into(),
        kind,
        primary: (kind.build)(&mut Options::none(), members.primaries()),
        backup: None,
        key: KeyPlan::client_ip(),
        affinity: None,
        table_file: None,
        check: None,
        policy: Policy { on_lost, ..Policy::default() },
        timeouts,
        members,
    }
}

fn standing(pool: &Pool, down: &[u16]) -> Standing {
    let states = pool.members.iter().map(|(ix, _)| {
        let health = if down.contains(&ix.0) { Health::Down } else { Health::Up };
        Availability { health, ..Availability::default() }
    });
    Standing::new(&pool.members, states.collect(), Panic::Refuse)
}

fn decide(
    pool: &Pool,
    standing: &Standing,
    session: Session,
    tried: &[u16],
    patience: Patience,
    hash: u64,
) -> Decision {
    let tried = tried.iter().map(|ix| BackendIx(*ix)).collect();
    let ask = Question { pool, standing, session: Some(&session), tried: &tried, follow: None, patience };
    let facts = RequestFacts { client: None, key: None, hash, attempt: 0, now: NOW };
    Pickers::new(pool, 1).choose(&ask, &facts)
}

fn pinned(to: u16) -> Session {
    Session { pin: Pin::To(BackendIx(to)), ..Session::begin(7, NOW) }
}

/// `on_lost`, members down, tried and full, patience, and the decision's text as it begins.
type Row = (OnLost, &'static [u16], &'static [u16], &'static [u16], Patience, &'static str);

/// `go pinned a`, `queue pinned a`, `await down a`, `refuse down`, `nobody`.
fn text(pool: &Pool, decision: Decision) -> String {
    let of = |word: &str, c: Choice| format!("{word} {} {}", c.why.as_str(), pool.members.get(c.backend).id);
    match decision {
        Decision::Go(choice) => of("go", choice),
        Decision::Queue(choice) => of("queue", choice),
        Decision::Await(choice) => of("await", choice),
        Decision::Refuse(why) => format!("refuse {}", why.as_str()),
        Decision::Nobody => "nobody".to_owned(),
    }
}

const ALL: Patience = Patience { room: true, home: true };

#[test]
fn a_lost_home_is_waited_for_refused_or_left_as_the_pool_says() {
    let (rebind, strict, wait) = (OnLost::Rebind, OnLost::Strict, OnLost::Wait(SECOND));
    let (no_room, no_home) = (Patience { room: false, ..ALL }, Patience { home: false, ..ALL });
    let table: [Row; 19] = [
        (rebind, &[], &[], &[], ALL, "go pinned a"),
        (strict, &[], &[], &[], ALL, "go pinned a"),
        (wait, &[], &[], &[], ALL, "go pinned a"),
        (rebind, &[0], &[], &[], ALL, "go down"),
        (strict, &[0], &[], &[], ALL, "refuse down"),
        (wait, &[0], &[], &[], ALL, "await down a"),
        (wait, &[0], &[], &[], no_home, "go down"),
        (rebind, &[], &[0], &[], ALL, "go unreachable"),
        (strict, &[], &[0], &[], ALL, "refuse unreachable"),
        (wait, &[], &[0], &[], ALL, "await unreachable a"),
        (rebind, &[], &[], &[0], ALL, "queue pinned a"),
        (rebind, &[], &[], &[0], no_room, "go full"),
        (strict, &[], &[], &[0], no_room, "refuse full"),
        (wait, &[], &[], &[0], no_room, "go full"),
        (rebind, &[0], &[], &[1, 2], ALL, "queue down"),
        (rebind, &[0], &[], &[1, 2], no_room, "nobody"),
        (rebind, &[], &[0], &[1, 2], ALL, "queue unreachable"),
        (rebind, &[0, 1, 2], &[], &[], ALL, "nobody"),
        (wait, &[0, 1, 2], &[], &[], no_home, "nobody"),
    ];
    for (on_lost, down, tried, full, patience, expected) in table {
        let pool = pool(&round_robin::KIND, on_lost);
        for ix in full {
            assert!(pool.members.get(BackendIx(*ix)).load.enter(1));
        }
        let decision = decide(&pool, &standing(&pool, down), pinned(0), tried, patience, 0);
        let said = text(&pool, decision);
        assert!(said.starts_with(expected), "{on_lost:?} {down:?} {tried:?} {full:?}: {said}");
        let moved = decision.choice().filter(|c| c.why != Why::Pinned);
        assert!(moved.is_none_or(|c| c.backend != BackendIx(0)), "{said}");
    }
}

#[test]
fn a_new_session_waits_only_where_all_are_full() {
    let pool = pool(&round_robin::KIND, OnLost::Rebind);
    let open = standing(&pool, &[]);
    let new = |patience| text(&pool, decide(&pool, &open, Session::begin(7, NOW), &[], patience, 0));
    let fill = |ix| assert!(pool.members.get(BackendIx(ix)).load.enter(1));
    (0..2).for_each(fill);
    assert_eq!(new(ALL), "go new c");
    fill(2);
    assert!(new(ALL).starts_with("queue new"), "{}", new(ALL));
    assert_eq!(new(Patience::NONE), "nobody");
}

#[test]
fn a_slow_start_keeps_new_sessions_away_and_nobody_else() {
    let pool = pool(&rendezvous::KIND, OnLost::Rebind);
    let ramp = Ramp { backend: BackendIx(0), since: NOW, seconds: 100_000 };
    let cold = Standing { ramps: vec![ramp], ..standing(&pool, &[]) };
    let warm = standing(&pool, &[]);
    let hashes: Vec<u64> = (0..300_u64).map(|n| hash64(&n.to_be_bytes())).collect();
    let new = |standing: &Standing, hash| {
        decide(&pool, standing, Session::begin(7, NOW), &[], ALL, hash).choice().unwrap().backend
    };
    assert!(hashes.iter().filter(|h| new(&cold, **h) == BackendIx(0)).count() < 5);
    let others = hashes.iter().filter(|h| new(&warm, **h) != BackendIx(0));
    assert!(others.clone().count() > 150);
    assert!(others.into_iter().all(|h| new(&cold, *h) == new(&warm, *h)), "only its own keys are elsewhere");
    assert_eq!(text(&pool, decide(&pool, &cold, pinned(0), &[], ALL, 0)), "go pinned a");
    let lost = Session { lost: 3, ..Session::void(Why::Removed, 7, NOW) };
    let moved = |s: &Standing, key| decide(&pool, s, Session { key, ..lost }, &[], ALL, 0);
    assert!(
        hashes.iter().all(|key| moved(&cold, *key) == moved(&warm, *key)),
        "lost sessions go where they go"
    );
    let alone = Standing { ramps: vec![ramp], ..standing(&pool, &[1, 2]) };
    assert_eq!(new(&alone, 1), BackendIx(0), "there is nobody else");
}
