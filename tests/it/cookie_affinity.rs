//! A client that has found a backend keeps finding it.

use std::collections::BTreeSet;
use std::io::Write as _;

use homing::config::Environment;

use crate::harness::{Does, backend, homing, open, read_reply, until};

#[test]
fn a_pinned_client_stays_and_is_told_once() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let mut client = homing.client();
    let first = client.get("/");
    assert_eq!(first.why(), "new");
    assert!(first.field("set-cookie").unwrap().ends_with("; Path=/; HttpOnly; SameSite=Lax"));
    for _ in 0..6 {
        let next = client.get("/");
        assert_eq!((next.served_by(), next.why()), (first.served_by(), "pinned".to_owned()));
        assert_eq!(next.field("set-cookie"), None, "a pin that is the same is not sent again");
    }
}

#[test]
fn new_clients_are_spread() {
    let backends = [backend("a"), backend("b"), backend("c")];
    let homing = homing(&[&backends[0], &backends[1], &backends[2]]).cookie().run();
    let homes: BTreeSet<String> = (0..24).map(|_| homing.client().get("/").served_by()).collect();
    assert_eq!(homes.len(), 3, "one address's visits, one after the other, are spread");
}

#[test]
fn what_is_not_our_pin_chooses_nothing() {
    let (a, b) = (backend("a"), backend("b"));
    let ours = homing(&[&a, &b]).cookie().run();
    let stranger = homing(&[&a, &b]).cookie().run();
    let mut client = ours.client();
    client.get("/");
    let pin = client.cookie("srv").unwrap();
    let mut forged = pin.clone().into_bytes();
    let last = forged.len() - 5;
    forged[last] = if forged[last] == b'A' { b'B' } else { b'A' };
    let foreign = {
        let mut client = stranger.client();
        client.get("/");
        client.cookie("srv").unwrap()
    };
    let forged = String::from_utf8(forged).unwrap();
    for value in [forged.as_str(), &pin[..pin.len() - 1], "", "a", "0", &foreign, &pin.to_lowercase()] {
        let mut client = ours.client();
        client.set("srv", value);
        let reply = client.get("/");
        assert_eq!((reply.status, reply.why().as_str()), (200, "invalid"), "{value:?}");
        assert!(reply.field("set-cookie").is_some(), "{value:?} is replaced");
    }
}

#[test]
fn the_first_valid_value_wins_over_tossed_ones() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let mut client = homing.client();
    let home = client.get("/").served_by();
    let pin = client.cookie("srv").unwrap();
    for line in [
        format!("srv=junk; srv={pin}"),
        format!("srv={pin}; srv=junk"),
        format!("x=\"unclosed; srv={pin}"),
        format!("srv=junk\r\nCookie: a=b; srv={pin}"),
        format!("SRV=junk;srv={pin}"),
    ] {
        let reply = homing.send(format!("GET / HTTP/1.1\r\nHost: t\r\nCookie: {line}\r\n\r\n"));
        assert_eq!((reply.served_by(), reply.why()), (home.clone(), "pinned".to_owned()), "{line}");
    }
}

#[test]
fn the_backend_does_not_see_the_pin_and_sees_its_neighbours_as_they_were() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    let mut client = homing.client();
    client.get("/");
    let pin = client.cookie("srv").unwrap();
    for (sent, seen) in [
        (format!("srv={pin}"), None),
        (format!("x=1; srv={pin}; y=\"2;  z=3"), Some("x=1; y=\"2;  z=3")),
        (format!("srv={pin}; x=1"), Some("x=1")),
        ("x=1;y=2 ;  z".to_owned(), Some("x=1;y=2 ;  z")),
    ] {
        homing.send(format!("GET / HTTP/1.1\r\nHost: t\r\nCookie: {sent}\r\n\r\n"));
        let head = a.last();
        let line = head.lines().find_map(|l| l.strip_prefix("Cookie: "));
        assert_eq!(line, seen, "sent {sent:?}");
    }
}

#[test]
fn an_answer_that_caches_may_store_becomes_private_with_a_pin() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    for (sent, seen) in [
        ("", Some("private")),
        ("Cache-Control: public, max-age=60, s-maxage=90\r\n", Some("max-age=60, private")),
        ("Cache-Control: no-store\r\n", Some("no-store")),
        ("Cache-Control: private, max-age=1\r\n", Some("private, max-age=1")),
    ] {
        a.answers(format!("HTTP/1.1 200 OK\r\n{sent}Content-Length: 0\r\n\r\n"));
        let reply = homing.client().get("/");
        assert_eq!(reply.field("cache-control").as_deref(), seen, "{sent:?}");
        assert!(reply.field("set-cookie").is_some());
    }
    a.answers("HTTP/1.1 200 OK\r\nCache-Control: public\r\nContent-Length: 0\r\n\r\n");
    let mut client = homing.client();
    client.get("/");
    let reply = client.get("/");
    assert_eq!(reply.field("cache-control").as_deref(), Some("public"), "without a pin nothing changes");
}

#[test]
fn an_application_cannot_unseat_the_pin() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    a.answers("HTTP/1.1 200 OK\r\nSet-Cookie: srv=app\r\nSet-Cookie: own=1\r\nContent-Length: 0\r\n\r\n");
    let reply = homing.client().get("/");
    let cookies = reply.fields("set-cookie");
    assert_eq!(cookies.len(), 2, "{cookies:?}");
    assert_eq!(cookies[0], "own=1");
    assert!(cookies[1].starts_with("srv=A"), "{cookies:?}");
}

#[test]
fn parallel_first_requests_of_one_client_land_together() {
    let backends = [backend("a"), backend("b"), backend("c")];
    let homing = homing(&[&backends[0], &backends[1], &backends[2]]).cookie().run();
    backends.iter().for_each(|b| b.does(Does::Hold));
    let mut open: Vec<_> = (0..6)
        .map(|i| {
            let mut stream = open(homing.address);
            let agent = if i < 5 { "one" } else { "another" };
            let request = format!("GET / HTTP/1.1\r\nHost: t\r\nUser-Agent: {agent}\r\n\r\n");
            stream.write_all(request.as_bytes()).unwrap();
            until(|| backends.iter().map(|b| b.requests().len()).sum::<usize>() > i);
            stream
        })
        .collect();
    backends.iter().for_each(|b| b.does(Does::Answer));
    let replies: Vec<_> = open.iter_mut().map(|s| read_reply(s, &mut Vec::new(), true)).collect();
    let homes: BTreeSet<String> = replies[..5].iter().map(|r| r.served_by()).collect();
    assert_eq!(homes.len(), 1, "{homes:?}");
    assert_eq!(replies[4].why(), "followed");
    assert_eq!(replies[5].why(), "new", "another client makes its own choice");
}

#[test]
fn nodes_with_one_secret_serve_each_others_clients() {
    let backends = [backend("a"), backend("b"), backend("c")];
    let environment = Environment::detect().unwrap();
    let [one, two] =
        [(); 2].map(|()| homing(&[&backends[0], &backends[1], &backends[2]]).cookie().run_with(&environment));
    for _ in 0..6 {
        let mut client = one.client();
        let home = client.get("/").served_by();
        let reply = client.at(two.address).get("/");
        assert_eq!((reply.served_by(), reply.why()), (home, "pinned".to_owned()));
    }
}

#[test]
fn a_pin_is_of_its_pool_alone() {
    let (a, b) = (backend("a"), backend("b"));
    let other = format!(
        "\n[[pool]]\nname = \"other\"\nbackends = [\"{}\", \"{}\"]\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\n\
         [[route]]\npool = \"app\"\n[[route]]\npath = \"/other\"\npool = \"other\"\n",
        a.address, b.address
    );
    let homing = homing(&[&a, &b]).cookie().with(&other).run();
    let mut client = homing.client();
    client.get("/");
    assert_eq!(client.get("/").why(), "pinned");
    assert_eq!(client.get("/other").why(), "invalid");
}

#[test]
fn adding_a_backend_or_reordering_the_list_moves_no_pin() {
    let backends = [backend("a"), backend("b"), backend("c"), backend("d")];
    let environment = Environment::detect().unwrap();
    let before = homing(&[&backends[0], &backends[1], &backends[2]]).cookie().run_with(&environment);
    let after =
        homing(&[&backends[3], &backends[2], &backends[0], &backends[1]]).cookie().run_with(&environment);
    for _ in 0..9 {
        let mut client = before.client();
        let home = client.get("/").served_by();
        let reply = client.at(after.address).get("/");
        assert_eq!((reply.served_by(), reply.why()), (home, "pinned".to_owned()));
    }
}

#[test]
fn a_backend_that_drains_or_weighs_nothing_keeps_its_sessions_and_gets_no_new_ones() {
    let (a, b) = (backend("a"), backend("b"));
    let environment = Environment::detect().unwrap();
    let before = homing(&[&a, &b]).cookie().run_with(&environment);
    let mut clients: Vec<_> = (0..6).map(|_| before.client()).collect();
    let homes: Vec<String> = clients.iter_mut().map(|c| c.get("/").served_by()).collect();
    for (key, serves) in [("state = \"drain\"", true), ("weight = 0", true), ("state = \"maint\"", false)] {
        let list = format!(
            "backends = [{{ name = \"a\", address = \"{}\", {key} }}, {{ name = \"b\", address = \"{}\" }}]",
            a.address, b.address
        );
        let after = homing(&[]).pool(&list).cookie().run_with(&environment);
        for (client, home) in clients.iter().zip(&homes) {
            let reply = client.at(after.address).get("/");
            let expected = if serves { home.as_str() } else { "b" };
            assert_eq!(reply.served_by(), expected, "{key}");
            let why = if serves || home == "b" { "pinned" } else { "maint" };
            assert_eq!(reply.why(), why, "{key}");
        }
        let news: Vec<String> = (0..4).map(|_| after.client().get("/").served_by()).collect();
        assert!(news.iter().all(|n| n == "b"), "{key}: {news:?}");
    }
}

#[test]
fn backups_take_new_sessions_only_without_a_primary_and_keep_what_they_have() {
    let (mut a, b) = (backend("a"), backend("b"));
    let list = format!(
        "backends = [{{ name = \"a\", address = \"{}\" }}, {{ name = \"b\", address = \"{}\", backup = true }}]",
        a.address, b.address
    );
    let homing = homing(&[]).pool(&list).cookie().run();
    assert_eq!(homing.client().get("/").served_by(), "a");
    a.crash();
    let mut client = homing.client();
    assert_eq!(client.get("/").served_by(), "b");
    a.revive();
    assert_eq!((client.get("/").served_by(), client.get("/").why()), ("b".to_owned(), "pinned".to_owned()));
}
