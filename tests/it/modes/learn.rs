//! The application makes the id, and homing remembers which backend did.

use std::io::Write as _;

use homing::config::Environment;

use super::{all_answer, begin_everywhere, finds, send, sticky, until_live, without_ejection};
use crate::harness::{Client, Does, backend, open, read_reply, until};

const SERVLET: &str = "mode = \"learn\"\ncreate = [\"cookie:JSESSIONID\"]\nlookup = [\"cookie:JSESSIONID\", \
                       \"query:jsessionid\", \"path_param:jsessionid\", \"header:x-session\"]";
const HEADER: &str = "mode = \"learn\"\ncreate = [\"header:mcp-session-id\"]";
const JSON: &str = "mode = \"learn\"\ncreate = \"json:/sid\"\nlookup = \"query:sid\"";

#[test]
fn an_id_that_a_cookie_made_is_found_by_every_carrier() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], SERVLET).run();
    all_answer(&[&a, &b], "Set-Cookie: JSESSIONID=id-NAME; Path=/; HttpOnly\r\n", "");
    begin_everywhere(&homing, "GET", "/");
    all_answer(&[&a, &b], "", "");
    for home in ["a", "b"] {
        finds(&homing, home, "/", &format!("Cookie: x=1; JSESSIONID=id-{home}\r\n"));
        finds(&homing, home, &format!("/?jsessionid=id-{home}"), "");
        finds(&homing, home, &format!("/x;jsessionid=id-{home}?y=1"), "");
        finds(&homing, home, "/", &format!("X-Session: id-{home}\r\n"));
        // The first that is known counts, wherever it stands.
        finds(&homing, home, &format!("/?jsessionid=id-{home}"), "Cookie: JSESSIONID=other\r\n");
        finds(&homing, home, "/", &format!("Cookie: JSESSIONID=old; JSESSIONID=id-{home}\r\n"));
    }
    assert!(a.last().contains("JSESSIONID="), "the application sees its own cookie");
}

#[test]
fn an_answer_that_makes_an_id_goes_on_as_it_is() {
    let a = backend("a");
    let homing = sticky(&[&a], SERVLET).run();
    all_answer(&[&a], "Set-Cookie: JSESSIONID=id; Path=/\r\nCache-Control: public\r\n", "hello");
    let reply = send(&homing, "GET", "/", "");
    assert_eq!(reply.field("set-cookie").as_deref(), Some("JSESSIONID=id; Path=/"));
    assert_eq!((reply.field("cache-control").as_deref(), reply.text().as_str()), (Some("public"), "hello"));
}

#[test]
fn an_id_in_a_header_is_learned_and_a_delete_ends_it() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], HEADER).run();
    all_answer(&[&a, &b], "Mcp-Session-Id: id-NAME\r\n", "");
    begin_everywhere(&homing, "POST", "/mcp");
    all_answer(&[&a, &b], "", "");
    finds(&homing, "a", "/mcp", "mcp-session-id: id-a\r\n");
    finds(&homing, "b", "/mcp", "Mcp-Session-Id: id-b\r\n");

    let of_a = "Mcp-Session-Id: id-a\r\n";
    a.answers("HTTP/1.1 405 No\r\nX-Backend: a\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(send(&homing, "DELETE", "/mcp", of_a).status, 405);
    all_answer(&[&a, &b], "", "");
    finds(&homing, "a", "/mcp", of_a);
    assert_eq!(send(&homing, "DELETE", "/mcp", of_a).served_by(), "a");
    assert_eq!(send(&homing, "GET", "/mcp", of_a).why(), "unknown");
    finds(&homing, "b", "/mcp", "Mcp-Session-Id: id-b\r\n");
}

#[test]
fn an_id_in_a_body_is_learned_however_it_comes() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], JSON).run();
    let json = "0{\"sid\":\"NAME1\",\"upgrades\":[\"websocket\"]}";
    all_answer(&[&a, &b], "Content-Type: text/plain; charset=UTF-8\r\n", json);
    for method in ["GET", "POST"] {
        begin_everywhere(&homing, method, "/");
    }
    all_answer(&[&a, &b], "", "");
    for home in ["a", "b"] {
        finds(&homing, home, &format!("/?sid={home}1"), "");
    }

    let chunked = |name: &str| {
        let body =
            format!("4;x=y\r\n{{\"si\r\na\r\nd\":\"{name}2---\"\r\n1\r\n}}\r\n0\r\nX-Trailer: 1\r\n\r\n");
        format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\nTransfer-Encoding: chunked\r\n\r\n{body}")
            .into_bytes()
    };
    a.does(Does::ByteByByte(chunked("a")));
    b.does(Does::Bytes(chunked("b")));
    let reply = send(&homing, "POST", "/", "");
    assert_eq!(reply.text(), format!("{{\"sid\":\"{}2---\"}}", reply.served_by()));
    begin_everywhere(&homing, "POST", "/");
    all_answer(&[&a, &b], "", "");
    for home in ["a", "b"] {
        finds(&homing, home, &format!("/?sid={home}2---"), "");
    }
}

#[test]
fn a_body_that_is_no_small_json_goes_on_as_it_came() {
    let a = backend("a");
    let homing = sticky(&[&a], JSON).run();
    let large = format!("{{\"sid\":\"{}\"}}", "x".repeat(20_000));
    for (fields, body) in [
        ("Content-Type: application/json\r\n", large.as_str()),
        ("Content-Type: application/json\r\nContent-Encoding: gzip\r\n", "{\"sid\":\"1\"}"),
        ("Content-Type: text/html\r\n", "{\"sid\":\"1\"}"),
        ("Content-Type: application/json\r\n", "{\"sid\":"),
        ("Content-Type: application/json\r\n", "{\"sid\":\"\"}"),
    ] {
        all_answer(&[&a], fields, body);
        assert_eq!(send(&homing, "POST", "/", "").text(), body);
    }
    a.answers("HTTP/1.1 500 Oops\r\nX-Backend: a\r\nContent-Length: 11\r\n\r\n{\"sid\":\"1\"}");
    send(&homing, "POST", "/", "");
    all_answer(&[&a], "", "");
    assert_eq!(send(&homing, "GET", "/?sid=1", "").why(), "unknown");
}

#[test]
fn a_stream_is_not_held_for_an_id() {
    let a = backend("a");
    let homing = sticky(&[&a], JSON).run();
    a.does(Does::Serve);
    let mut stream = crate::harness::open(homing.address);
    std::io::Write::write_all(&mut stream, b"GET /events HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut piece = [0; 1024];
    let n = std::io::Read::read(&mut stream, &mut piece).unwrap();
    assert!(piece[..n].starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[test]
fn an_id_that_nobody_made_is_placed_alike_by_every_node_and_not_kept() {
    let (a, b) = (backend("a"), backend("b"));
    let nodes = [(); 2].map(|()| sticky(&[&a, &b], SERVLET).run_with(&Environment::detect().unwrap()));
    let mut homes = std::collections::BTreeSet::new();
    for n in 0..12 {
        let id = format!("Cookie: JSESSIONID=never-made-{n}\r\n");
        let replies: Vec<_> = (0..6).map(|i| send(&nodes[i % 2], "GET", "/", &id)).collect();
        assert!(replies.iter().all(|r| r.served_by() == replies[0].served_by() && r.why() == "unknown"));
        homes.insert(replies[0].served_by());
    }
    assert_eq!(homes.len(), 2, "ids are spread");
    until_live(&nodes[0], &[0, 0]);
}

#[test]
fn an_id_that_is_too_long_is_none() {
    let a = backend("a");
    let homing = sticky(&[&a], SERVLET).run();
    for (length, why) in [(256, "unknown"), (257, "new")] {
        let id = format!("Cookie: JSESSIONID={}\r\n", "x".repeat(length));
        assert_eq!(send(&homing, "GET", "/", &id).why(), why);
    }
}

#[test]
fn a_session_ends_when_the_application_deletes_its_cookie() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], SERVLET).run();
    for deletion in ["=; Path=/", "=x; Max-Age=0", "=x; Expires=Thu, 01 Jan 1970 00:00:00 GMT"] {
        all_answer(&[&a, &b], "Set-Cookie: JSESSIONID=id-NAME\r\n", "");
        let home = send(&homing, "GET", "/", "").served_by();
        let id = format!("Cookie: JSESSIONID=id-{home}\r\n");
        all_answer(&[&a, &b], "", "");
        finds(&homing, &home, "/", &id);
        until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
        all_answer(&[&a, &b], &format!("Set-Cookie: JSESSIONID{deletion}\r\n"), "");
        assert_eq!(send(&homing, "GET", "/", &id).why(), "pinned");
        all_answer(&[&a, &b], "", "");
        assert_eq!(send(&homing, "GET", "/", &id).why(), "unknown", "{deletion}");
        until_live(&homing, &[0, 0]);
    }
}

#[test]
fn a_session_whose_id_is_changed_stays_where_it_is_and_is_counted_once() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], SERVLET).run();
    all_answer(&[&a, &b], "Set-Cookie: JSESSIONID=old\r\n", "");
    let home = send(&homing, "GET", "/", "").served_by();
    all_answer(&[&a, &b], "Set-Cookie: JSESSIONID=new\r\n", "");
    assert_eq!(send(&homing, "POST", "/login", "Cookie: JSESSIONID=old\r\n").served_by(), home);
    all_answer(&[&a, &b], "", "");
    finds(&homing, &home, "/", "Cookie: JSESSIONID=new\r\n");
    finds(&homing, &home, "/late", "Cookie: JSESSIONID=old\r\n");
    until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
}

#[test]
fn a_session_whose_backend_is_lost_moves_once() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], SERVLET).run();
    all_answer(&[&a, &b], "Set-Cookie: JSESSIONID=id-NAME\r\n", "");
    begin_everywhere(&homing, "GET", "/");
    all_answer(&[&a, &b], "", "");
    let id = "Cookie: JSESSIONID=id-a\r\n";
    a.crash();
    let moved = send(&homing, "GET", "/", id);
    assert_eq!((moved.served_by().as_str(), moved.why().as_str()), ("b", "unreachable"));
    finds(&homing, "b", "/", id);
    a.revive();
    finds(&homing, "b", "/", id);
}

#[test]
fn without_an_id_there_is_no_session() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], SERVLET).run();
    for _ in 0..8 {
        let reply = send(&homing, "GET", "/", "");
        let why = reply.why().replace("followed", "new");
        assert_eq!((why.as_str(), reply.field("set-cookie")), ("new", None));
    }
    until_live(&homing, &[0, 0]);
}

#[test]
fn what_was_learned_outlives_a_change_of_the_pool() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], SERVLET).spawn();
    all_answer(&[&a, &b], "Set-Cookie: JSESSIONID=id\r\n", "");
    let mut client = Client::new(homing.address);
    let home = client.get("/").served_by();
    all_answer(&[&a, &b], "", "");
    for change in ["max_fails = 7", "strategy = \"random\"", "slow_start = \"3s\""] {
        homing.reload(&homing.config().replacen("name = \"app\"", &format!("name = \"app\"\n{change}"), 1));
        for _ in 0..3 {
            let reply = client.get("/");
            assert_eq!((reply.served_by(), reply.why().as_str()), (home.clone(), "pinned"), "{change}");
        }
    }
}

#[test]
fn a_session_that_is_lent_keeps_its_home_and_what_is_made_there_is_learned() {
    let (mut a, mut b) = (backend("a"), backend("b"));
    let homing = without_ejection(&[&a, &b], &format!("{SERVLET}\non_lost = \"borrow\"")).run();
    all_answer(&[&a, &b], "Set-Cookie: JSESSIONID=id-NAME\r\n", "");
    begin_everywhere(&homing, "GET", "/");
    all_answer(&[&a, &b], "", "");
    let id = "Cookie: JSESSIONID=id-a\r\n";
    a.crash();
    // The same id, set again, makes nothing.
    all_answer(&[&b], "Set-Cookie: JSESSIONID=id-a\r\n", "");
    let lent = send(&homing, "GET", "/", id);
    assert_eq!((lent.served_by().as_str(), lent.why().as_str()), ("b", "unreachable"));
    a.revive();
    finds(&homing, "a", "/", id);
    a.crash();
    // Another one is a session that only its maker knows.
    all_answer(&[&b], "Set-Cookie: JSESSIONID=made\r\n", "");
    assert_eq!(send(&homing, "GET", "/", id).served_by(), "b");
    all_answer(&[&b], "", "");
    finds(&homing, "b", "/", "Cookie: JSESSIONID=made\r\n");
    a.revive();
    finds(&homing, "b", "/", "Cookie: JSESSIONID=made\r\n");
    until_live(&homing, &[0, 2]);
    // And one that is deleted there is over.
    b.crash();
    let made = "Cookie: JSESSIONID=made\r\n";
    all_answer(&[&a], "Set-Cookie: JSESSIONID=; Max-Age=0\r\n", "");
    assert_eq!(send(&homing, "GET", "/", made).why(), "unreachable");
    all_answer(&[&a], "", "");
    assert_eq!(send(&homing, "GET", "/", made).why(), "unknown");
    until_live(&homing, &[0, 1]);
}

#[test]
fn clients_behind_one_address_begin_together_where_a_jar_is_what_they_share() {
    for (mode, expected) in [(HEADER, "new"), (JSON, "new"), (SERVLET, "followed")] {
        let (a, b) = (backend("a"), backend("b"));
        let homing = sticky(&[&a, &b], mode).run();
        [&a, &b].iter().for_each(|backend| backend.does(Does::Hold));
        let mut first = open(homing.address);
        first.write_all(b"GET /1 HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        until(|| a.requests().len() + b.requests().len() == 1);
        let mut second = open(homing.address);
        second.write_all(b"GET /2 HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        until(|| a.requests().len() + b.requests().len() == 2);
        [&a, &b].iter().for_each(|backend| backend.does(Does::Answer));
        let [first, second] = [first, second].map(|mut s| read_reply(&mut s, &mut Vec::new(), true).why());
        assert_eq!((first.as_str(), second.as_str()), ("new", expected), "{mode}");
    }
}
