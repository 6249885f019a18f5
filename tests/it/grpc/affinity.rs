//! Who calls again is answered by the same backend.

use std::collections::BTreeSet;

use tonic::metadata::MetadataMap;

use crate::harness::grpc::{Grpc, GrpcBackend, before, with};
use crate::harness::{Process, until};

#[test]
fn a_strategy_places_by_metadata() {
    let [a, b, c] = ["a", "b", "c"].map(GrpcBackend::new);
    for kind in ["rendezvous", "hash", "maglev"] {
        let strategy = format!("strategy = {{ kind = \"{kind}\", key = \"header:x-user\" }}");
        let homing = before(&[&a, &b, &c], &strategy, "").run();
        let clients = [Grpc::connect(homing.address), Grpc::connect(homing.address)];
        let mut homes = BTreeSet::new();
        for user in 0..30 {
            let user = format!("user-{user}");
            let whose = |client: &Grpc| client.whose(with("x", &[("x-user", &user)]));
            let home = whose(&clients[0]);
            assert!((0..4).all(|n| whose(&clients[n % 2]) == home), "{kind} {user}");
            homes.insert(home);
        }
        assert_eq!(homes.len(), 3, "{kind}");
    }
}

/// What a client was told, and what it says with its next calls.
struct Session {
    home: String,
    pin: (&'static str, String),
}

impl Session {
    fn begin(client: &Grpc, pin_of: impl Fn(&MetadataMap) -> Option<(&'static str, String)>) -> Self {
        let response = client.say(with("x", &[])).unwrap();
        let pin = pin_of(response.metadata()).expect("no pin");
        Self { home: response.into_inner().text, pin }
    }

    fn call(&self, client: &Grpc) -> (String, MetadataMap) {
        let response = client.say(with("x", &[(self.pin.0, &self.pin.1)])).unwrap();
        let metadata = response.metadata().clone();
        (response.into_inner().text, metadata)
    }

    fn is_at_home(&self, client: &Grpc) -> bool {
        self.call(client).0 == self.home
    }
}

fn by_header(metadata: &MetadataMap) -> Option<(&'static str, String)> {
    Some(("x-homing-session", metadata.get("x-homing-session")?.to_str().unwrap().to_owned()))
}

fn by_cookie(metadata: &MetadataMap) -> Option<(&'static str, String)> {
    let set = metadata.get("set-cookie")?.to_str().unwrap();
    Some(("cookie", format!("a=b; {}", set.split(';').next().unwrap())))
}

/// The configuration with one more backend.
fn with_one_more(homing: &Process, backend: &GrpcBackend) -> String {
    let entry = format!("backends = [{{ name = \"{}\", address = \"{}\" }}, ", backend.name, backend.address);
    homing.config().replacen("backends = [", &entry, 1)
}

#[test]
fn a_pin_holds_while_others_join_and_die() {
    for (affinity, pin_of) in [
        ("mode = \"header\"\n", by_header as fn(&MetadataMap) -> _),
        ("mode = \"cookie\"\nname = \"srv\"\n", by_cookie),
    ] {
        let [mut a, b, c, d] = ["a", "b", "c", "d"].map(GrpcBackend::new);
        let affinity = format!("[pool.affinity]\n{affinity}");
        let homing = before(&[&a, &b, &c], "", &affinity).spawn();
        let clients = [Grpc::connect(homing.address), Grpc::connect(homing.address)];
        let sessions: Vec<_> = (0..30).map(|n| Session::begin(&clients[n % 2], pin_of)).collect();
        let homes: BTreeSet<_> = sessions.iter().map(|s| s.home.as_str()).collect();
        assert_eq!(homes.len(), 3);
        let all_are_at_home = |but: &str| {
            let clients = clients.iter().cycle();
            sessions.iter().filter(|s| s.home != but).zip(clients).all(|(s, client)| s.is_at_home(client))
        };
        assert!(all_are_at_home("") && all_are_at_home(""));
        assert_eq!(homing.reload(&with_one_more(&homing, &d)).0, 1);
        until(|| clients[0].whose(with("x", &[])) == "d");
        assert!(all_are_at_home("") && all_are_at_home(""));
        a.dies();
        assert!(all_are_at_home("a") && all_are_at_home("a"));
        // Who was there moves once, and is told of it.
        for session in sessions.iter().filter(|s| s.home == "a") {
            let (home, metadata) = session.call(&clients[0]);
            let moved = Session { home, pin: pin_of(&metadata).expect("no new pin") };
            assert!(moved.home != "a" && clients.iter().all(|client| moved.is_at_home(client)));
        }
        assert!(all_are_at_home("a"));
        // The pin is between homing and the client.
        let seen = d.metadata();
        assert!(!seen.contains_key("x-homing-session"), "{seen:?}");
        assert!(seen.get("cookie").is_none_or(|c| c == "a=b"), "{seen:?}");
    }
}
