//! The session persistence that Kubernetes' Gateway API asks for, by the conformance tests of
//! [GEP-1619](https://gateway-api.sigs.k8s.io/geps/gep-1619/), against homing's cookie.
//!
//! Its words for ours: a route rule with session persistence is a route to a pool with affinity; weighted backend
//! references are weights; `lifetimeType: Session` is a cookie without `max_age`, `Permanent` is one with it;
//! `absoluteTimeout` is `lifetime`, `idleTimeout` is `idle`. The tests ask for a cookie and leave its content open.

use std::collections::BTreeMap;

use crate::harness::{Homing, Setup, backend, homing};

/// Requests after which a session counts as kept. (GEP-1619: at least 50)
const REQUESTS: usize = 50;

/// The attributes of the cookie that begins a session, in lower case.
fn attributes(homing: &Homing, path: &str) -> Vec<String> {
    let written = homing.client().get(path).field("set-cookie").unwrap();
    written.split(';').skip(1).map(|a| a.trim().to_ascii_lowercase()).collect()
}

/// Attributes that give the cookie an end of its own.
fn is_end(attribute: &str) -> bool {
    attribute.starts_with("max-age=") || attribute.starts_with("expires=")
}

/// Cookie affinity with further keys.
fn persistent(setup: Setup, keys: &str) -> Setup {
    setup.cookie().with(keys)
}

#[test]
fn every_request_of_a_session_reaches_one_backend() {
    let backends = [backend("a"), backend("b"), backend("c")];
    let homing = homing(&[&backends[0], &backends[1], &backends[2]]).cookie().run();
    for _ in 0..3 {
        let mut client = homing.client();
        let home = client.get("/").served_by();
        let pin = client.cookie("srv");
        for n in 0..REQUESTS {
            let reply = client.get("/");
            assert_eq!((reply.status, reply.served_by()), (200, home.clone()), "request {n}");
        }
        assert_eq!(client.cookie("srv"), pin, "one session has one pin");
    }
}

#[test]
fn a_session_cookie_ends_with_the_browser() {
    let (a, b) = (backend("a"), backend("b"));
    // Bounds that the proxy enforces are not to show in the cookie.
    let homing = persistent(homing(&[&a, &b]), "idle = \"10m\"\nlifetime = \"8h\"\n").run();
    let found = attributes(&homing, "/");
    assert!(!found.iter().any(|a| is_end(a)), "{found:?}");
}

#[test]
fn a_permanent_cookie_outlives_the_browser_for_its_lifetime() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = persistent(homing(&[&a, &b]), "lifetime = \"1h\"\nmax_age = \"1h\"\n").run();
    let ends: Vec<_> = attributes(&homing, "/").into_iter().filter(|a| is_end(a)).collect();
    assert_eq!(ends, ["max-age=3600"]);
}

#[test]
fn a_split_by_weight_places_sessions_and_never_moves_them() {
    let (a, b) = (backend("a"), backend("b"));
    let weighted = |text: &str, weights: [u16; 2]| {
        [&a, &b].iter().zip(weights).fold(text.to_owned(), |text, (backend, weight)| {
            let plain = format!("address = \"{}\"", backend.address);
            text.replace(&plain, &format!("{plain}, weight = {weight}"))
        })
    };
    let environment = homing::config::Environment::detect().unwrap();
    let setup = homing(&[&a, &b]).cookie();
    // One worker: several count the split on their own, and only over many sessions it is exact.
    let split = setup
        .run_edited_with(&environment, |text| weighted(text, [70, 30]).replace("workers = 2", "workers = 1"));
    let mut clients = Vec::new();
    let mut sessions = BTreeMap::new();
    for _ in 0..100 {
        let mut client = split.client();
        let home = client.get("/").served_by();
        *sessions.entry(home.clone()).or_insert(0) += 1;
        clients.push((client, home));
    }
    assert_eq!((sessions["a"], sessions["b"]), (70, 30), "new sessions follow the split");
    for (client, home) in &mut clients {
        for _ in 0..3 {
            assert_eq!(client.get("/").served_by(), *home, "a session does not");
        }
    }
    // "Even weight 0": the split is all b's now, and a keeps what it has.
    let moved = setup.run_edited_with(&environment, |text| weighted(text, [0, 100]));
    for (client, home) in &clients {
        let reply = client.at(moved.address).get("/");
        assert_eq!((reply.served_by(), reply.why()), (home.clone(), "pinned".to_owned()));
    }
    for _ in 0..10 {
        assert_eq!(moved.client().get("/").served_by(), "b");
    }
}

#[test]
fn rules_do_not_share_sessions() {
    let (a, b) = (backend("a"), backend("b"));
    let pool = |name: &str, path: &str| {
        format!(
            "\n[[pool]]\nname = \"{name}\"\nbackends = [\"{}\", \"{}\"]\n[pool.affinity]\nmode = \"cookie\"\n\
             name = \"srv\"\npath = \"{path}\"\n",
            a.address, b.address
        )
    };
    let routes = "[[route]]\npool = \"app\"\n[[route]]\npath = \"/one\"\npool = \"one\"\n\
                  [[route]]\npath = \"/two\"\npool = \"two\"\n";
    let rest = format!("{}{}{routes}", pool("one", "/one"), pool("two", "/two"));
    let homing = homing(&[&a, &b]).with(&rest).run();
    for path in ["/one", "/two"] {
        assert!(attributes(&homing, path).contains(&format!("path={path}")), "a rule's path is its cookie's");
    }
    // A browser would not send one rule's cookie to the other; a client that does begins a session there.
    let mut client = homing.client();
    client.get("/one");
    assert_eq!(client.get("/one").why(), "pinned");
    assert_eq!(client.get("/two").why(), "invalid");
    assert_eq!(client.get("/two").why(), "pinned");
    let other = homing.client().get("/");
    assert_eq!(
        (other.why().as_str(), other.field("set-cookie")),
        ("balanced", None),
        "a rule without sessions"
    );
}
