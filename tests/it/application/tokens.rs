//! Sessions in signed tokens, with and without a list of those that are not good any more.

use homing::demo::{Server, Software};

use super::{Node, Person as _, node, store};
use crate::harness::until;

/// Two backends of one key, with a deny-list, and the store that this is in.
fn denied(rest: &str) -> (Node, Node, Server) {
    let (server, _) = store(Software::Redis);
    let files = tempfile::tempdir().unwrap();
    let key = files.path().join("key");
    let words = format!(
        "--sessions jwt --key-file {} --deny-list redis://{} {rest}",
        key.display(),
        server.address()
    );
    (node("a", &words), node("b", &words), server)
}

#[test]
fn without_a_list_a_copied_token_outlives_the_logout_and_says_so() {
    let a = node("a", "--sessions jwt");
    let mut client = a.client();
    client.log_in("ada");
    let mut copy = client.at(a.address);
    let reply = client.post("/api/logout", "");
    assert_eq!((reply.status, reply.field("x-revocation").as_deref()), (204, Some("when the token expires")));
    assert_eq!((client.session().as_str(), copy.session().as_str()), ("none", "hit"));
    assert_eq!(a.stat("store_trips"), 0);
}

#[test]
fn with_a_list_a_logout_is_one_everywhere_and_at_once() {
    let (a, b, _server) = denied("");
    let mut client = a.client();
    client.log_in("ada");
    let mut old = client.at(b.address);
    client.post("/api/cart", r#"{"item": "tea"}"#);
    let mut copy = client.at(b.address);
    assert_eq!((copy.session().as_str(), b.stat("store_trips")), ("hit", 1));
    let reply = client.post("/api/logout", "");
    assert_eq!(reply.field("x-revocation").as_deref(), Some("now"));
    // Every token of the session, the one from before the change too.
    assert_eq!((copy.session().as_str(), old.session().as_str()), ("revoked", "revoked"));
    assert_eq!(copy.post("/api/refresh", "").json()["session"], "revoked");

    let mut others = [a.client(), b.client()];
    others.iter_mut().for_each(|other| drop(other.log_in("ada")));
    let mut bob = b.client();
    bob.log_in("bob");
    assert_eq!(others[0].at(b.address).post("/api/logout-everywhere", "").status, 204);
    others.iter_mut().for_each(|other| assert_eq!(other.session(), "revoked"));
    assert_eq!(bob.session(), "hit");
    others[0].log_in("ada");
    assert_eq!(others[0].session(), "hit", "who logs in afterwards is in");
}

#[test]
fn a_refresh_token_is_good_once_and_a_second_use_ends_the_session() {
    let (a, b, _server) = denied("--access 1s");
    let mut client = a.client();
    client.log_in("ada");
    client.post("/api/cart", r#"{"item": "tea"}"#);
    let mut thief = client.at(b.address);
    until(|| client.session() == "expired");
    let told = client.post("/api/refresh", "").json();
    assert_eq!((&told["session"], &told["version"]), (&"refreshed".into(), &1.into()));
    assert_eq!(client.session(), "hit");
    assert_eq!(thief.post("/api/refresh", "").json()["session"], "revoked");
    assert_eq!(client.post("/api/refresh", "").json()["session"], "revoked", "nobody knows who is the thief");
}

#[test]
fn a_list_that_is_away_lets_nobody_in() {
    let (a, _b, mut server) = denied("");
    let mut client = a.client();
    client.log_in("ada");
    server.end();
    assert_eq!(client.get("/api/me").status, 503);
}

#[test]
fn a_token_of_another_key_is_unknown() {
    let (a, b) = (node("a", "--sessions jwt"), node("b", "--sessions jwt"));
    let mut client = a.client();
    client.log_in("ada");
    assert_eq!(client.at(b.address).session(), "unknown");
    assert_eq!(b.stat("misses"), 1);
}
