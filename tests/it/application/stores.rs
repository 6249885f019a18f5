//! Sessions in the memory of a backend, and in a store that all of them ask.

use std::collections::BTreeSet;

use homing::demo::Software;
use rustix::process::Signal;

use super::{Person as _, node, signal, store};
use crate::harness::{Client, get, until};

const TEA: &str = r#"{"item": "tea"}"#;

#[test]
fn a_session_is_found_at_every_backend_where_it_is_shared_and_at_its_own_where_it_is_not() {
    let (_redis, redis) = store(Software::Redis);
    let (_memcached, memcached) = store(Software::Memcached);
    let files = tempfile::tempdir().unwrap();
    let jwt = format!("--sessions jwt:es256 --key-file {}", files.path().join("key.pem").display());
    for (words, is_shared) in
        [("--sessions memory", false), (&*redis, true), (&*memcached, true), (&*jwt, true)]
    {
        let (a, b) = (node("a", words), node("b", words));
        let mut client = a.client();
        // A planted id is worth nothing, before and after.
        client.set("session", &"A".repeat(22));
        let told = client.log_in("ada \u{b2e4}");
        assert_eq!((&told["backend"], &told["version"]), (&"a".into(), &0.into()), "{words}");
        let mut planted = b.client();
        planted.set("session", &"A".repeat(22));
        assert_ne!(planted.session(), "hit", "{words}");

        let mut elsewhere = client.at(b.address);
        let reply = elsewhere.post("/api/cart", TEA);
        if is_shared {
            let told = reply.json();
            assert_eq!((&told["backend"], &told["created_by"]), (&"b".into(), &"a".into()), "{words}");
            assert_eq!((&told["version"], &told["user"]), (&1.into(), &"ada \u{b2e4}".into()), "{words}");
            let back = elsewhere.at(a.address).get("/api/me").json();
            assert_eq!((&back["version"], &back["cart"][0]), (&1.into(), &"tea".into()), "{words}");
        } else {
            assert_eq!((reply.status, &reply.json()["session"]), (401, &"unknown".into()));
            assert_eq!(reply.fields("set-cookie"), [""; 0], "nothing is made anew");
            assert_eq!(b.stat("misses"), 2, "the planted one, and this");
            assert_eq!(client.session(), "hit");
        }
    }
}

#[test]
fn a_login_replaces_the_session_that_was_shown() {
    for software in [Software::Redis, Software::Memcached] {
        let (_store, words) = store(software);
        let (a, b) = (node("a", &words), node("b", &words));
        let mut client = a.client();
        client.log_in("ada");
        let mut before = client.at(b.address);
        client.log_in("ada");
        assert_ne!(client.cookie("session"), before.cookie("session"));
        assert_eq!((client.session().as_str(), before.session().as_str()), ("hit", "revoked"));
    }
}

#[test]
fn a_store_that_was_restarted_has_lost_its_sessions_and_a_store_that_is_away_has_not() {
    for software in [Software::Redis, Software::Memcached] {
        let (mut server, words) = store(software);
        let a = node("a", &words);
        let mut client = a.client();
        client.log_in("ada");

        server.end();
        let reply = client.get("/api/me");
        assert_eq!(reply.status, 503, "{}", reply.text());
        assert!(
            ["connect", "closed"].contains(&reply.json()["reason"].as_str().unwrap()),
            "{}",
            reply.text()
        );
        assert_eq!((a.stat("unavailable"), a.stat("misses")), (1, 0), "nobody can say that it is lost");

        server.restart().unwrap();
        until(|| client.get("/api/me").status != 503);
        assert_eq!(client.session(), "unknown");
        assert!(a.stat("misses") > 0);
        client.log_in("ada");
        assert_eq!(client.session(), "hit");
    }
}

#[test]
fn a_store_that_hangs_is_waited_for_so_long_and_then_goes_on() {
    let (server, words) = store(Software::Redis);
    let a = node("a", &words);
    let mut client = a.client();
    client.log_in("ada");
    signal(&server, Signal::STOP);
    let reply = client.get("/api/me");
    assert_eq!((reply.status, &reply.json()["reason"]), (503, &"timeout".into()));
    signal(&server, Signal::CONT);
    until(|| client.get("/api/me").status == 200);
}

#[test]
fn versions_only_grow_and_no_write_is_lost_however_many_come_at_once() {
    const WRITERS: usize = 6;
    const WRITES: usize = 20;
    for software in [Some(Software::Redis), Some(Software::Memcached), None] {
        let started = software.map(store);
        let words = started.as_ref().map_or("--sessions memory", |(_, words)| words);
        let nodes = [node("a", words), node("b", words)];
        let mut client = nodes[0].client();
        client.log_in("ada");
        let versions = std::thread::scope(|scope| {
            let writers: Vec<_> = (0..WRITERS)
                .map(|n| {
                    // Memory is one backend's.
                    let at = if software.is_some() { n % 2 } else { 0 };
                    let mut writer: Client = client.at(nodes[at].address);
                    scope.spawn(move || {
                        (0..WRITES)
                            .map(|_| writer.post("/api/cart", TEA).json()["version"].as_u64().unwrap())
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            writers.into_iter().map(|writer| writer.join().unwrap()).collect::<Vec<_>>()
        });
        assert!(versions.iter().all(|of_one| of_one.is_sorted_by(|a, b| a < b)), "{software:?}");
        let all: BTreeSet<u64> = versions.into_iter().flatten().collect();
        let expected = (WRITERS * WRITES) as u64;
        assert_eq!(all, (1..=expected).collect(), "{software:?}: each is acknowledged once");
        assert_eq!(client.get("/api/me").json()["version"], expected);
    }
}

#[test]
fn a_logout_everywhere_ends_every_session_of_the_user_and_no_other() {
    for software in [Software::Redis, Software::Memcached] {
        let (_store, words) = store(software);
        let (a, b) = (node("a", &words), node("b", &words));
        let mut clients = [a.client(), b.client(), a.client()];
        clients.iter_mut().for_each(|client| drop(client.log_in("ada l")));
        let mut bob = b.client();
        bob.log_in("ada");
        assert_eq!(clients[0].at(b.address).post("/api/logout-everywhere", "").status, 204);
        for client in &mut clients {
            assert_eq!(client.session(), "revoked", "{software:?}");
            assert_eq!(client.post("/api/cart", TEA).json()["session"], "revoked");
        }
        assert_eq!(bob.session(), "hit");
        assert_eq!((a.stat("misses"), b.stat("misses")), (0, 0), "what was ended is not lost");
    }
}

#[test]
fn a_look_is_one_round_trip_and_keeps_the_session_from_idling_out() {
    for software in [Software::Redis, Software::Memcached] {
        let (_store, words) = store(software);
        let a = node("a", &format!("{words} --idle 1s --lifetime 4s"));
        let mut client = a.client();
        client.log_in("ada");
        let before = a.stat("store_trips");
        let (mut looks, mut last) = (0, String::new());
        until(|| {
            looks += 1;
            last = client.session();
            last != "hit"
        });
        assert_eq!(a.stat("store_trips") - before, looks, "{software:?}");
        assert_eq!(last, "expired", "it is the lifetime that ended it, {software:?}");
    }
}

#[test]
fn accounts_are_shared_where_sessions_are() {
    for software in [Software::Redis, Software::Memcached] {
        let (_store, words) = store(software);
        let (a, b) = (node("a", &words), node("b", &words));
        let ada = r#"{"user": "Ada Lovelace", "password": "a longer one"}"#;
        assert_eq!(a.client().post("/api/register", ada).status, 201);
        assert_eq!(b.client().post("/api/register", ada).status, 409);
        assert_eq!(b.client().post("/api/login", ada).status, 200);
        assert_eq!(b.client().post("/api/login", &ada.replace("longer", "shorter")).status, 401);
    }
}

#[test]
fn a_backend_that_is_asked_to_end_answers_what_is_under_way() {
    let mut a = node("a", "--sessions memory");
    let address = a.address;
    let slow = std::thread::spawn(move || get(address, "/slow?ms=600"));
    until(|| {
        std::fs::read_to_string(format!("/proc/{}/net/tcp", a.child.id())).is_ok_and(|tcp| {
            let port = format!(":{:04X} ", address.port());
            tcp.lines().filter(|line| line.contains(&port) && line.contains(" 01 ")).count() >= 1
        })
    });
    let pid = rustix::process::Pid::from_child(&a.child);
    // The connection is there; its request comes with it.
    crate::harness::pause(std::time::Duration::from_millis(100));
    rustix::process::kill_process(pid, Signal::TERM).unwrap();
    let reply = slow.join().unwrap();
    assert_eq!((reply.status, reply.is_cut), (200, false));
    until(|| a.child.try_wait().unwrap().is_some_and(|status| status.success()));
}
