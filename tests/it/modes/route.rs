//! The application's value names its backend.

use super::{all_answer, finds, send, sticky, until_live, without_ejection};
use crate::harness::{Backend, Setup, backend, homing};

const ROUTE: &str = "mode = \"route\"\nlookup = [\"cookie:JSESSIONID\", \"path_param:jsessionid\", \"query:jsessionid\", \
                     \"header:x-route\"]\n";

/// `a` is `node1`, `b` goes by its name.
fn routed(a: &Backend, b: &Backend, more: &str) -> Setup {
    let a = format!("{{ name = \"a\", address = \"{}\", route = \"node1\" }}", a.address);
    let b = format!("{{ name = \"b\", address = \"{}\" }}", b.address);
    homing(&[]).pool(&format!("backends = [{a}, {b}]\n")).with(&format!("\n[pool.affinity]\n{ROUTE}{more}"))
}

#[test]
fn a_value_names_its_backend_from_every_carrier() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = routed(&a, &b, "").run();
    for (route, home) in [("node1", "a"), ("b", "b")] {
        for value in [format!("0123ABCD.{route}"), route.to_owned(), format!("x.y.{route}")] {
            finds(&homing, home, "/", &format!("Cookie: JSESSIONID={value}\r\n"));
            finds(&homing, home, &format!("/app;jsessionid={value}?x=1"), "");
            finds(&homing, home, &format!("/app?jsessionid={value}"), "");
            finds(&homing, home, "/", &format!("X-Route: {value}\r\n"));
        }
    }
    let reply = send(&homing, "GET", "/", "Cookie: JSESSIONID=1.b\r\n");
    assert_eq!(reply.field("set-cookie"), None, "the cookie is the application's");
    assert!(b.last().contains("JSESSIONID=1.b\r\n"));
}

#[test]
fn the_separators_are_those_of_the_configuration() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = routed(&a, &b, "separators = \".!:\"\n").run();
    for separator in [".", "!", ":"] {
        finds(&homing, "a", "/", &format!("Cookie: JSESSIONID=1{separator}node1\r\n"));
    }
    let reply = send(&homing, "GET", "/", "Cookie: JSESSIONID=1-node1\r\n");
    assert_eq!(reply.why(), "removed");
}

#[test]
fn a_route_that_nobody_has_is_placed_once_and_kept_there() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = routed(&a, &b, "").run();
    for n in 0..6 {
        let value = format!("Cookie: JSESSIONID={n}.gone\r\n");
        let first = send(&homing, "GET", "/", &value);
        assert_eq!(first.why(), "removed");
        finds(&homing, &first.served_by(), "/", &value);
    }
}

#[test]
fn live_sessions_are_counted_by_their_values() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = routed(&a, &b, "").run();
    for _ in 0..3 {
        for n in 0..5 {
            send(&homing, "GET", "/", &format!("Cookie: JSESSIONID={n}.node1\r\n"));
        }
        send(&homing, "GET", "/", "Cookie: JSESSIONID=1.b\r\n");
        send(&homing, "GET", "/", "");
    }
    until_live(&homing, &[5, 1]);
}

#[test]
fn a_session_whose_backend_is_lost_moves_once_though_its_value_says_the_same() {
    for (keys, back) in [("", "b"), ("return_home = \"now\"\n", "a")] {
        let (mut a, b) = (backend("a"), backend("b"));
        let homing = without_ejection(&[&a, &b], &format!("{ROUTE}{keys}")).run();
        let value = "Cookie: JSESSIONID=1.a\r\n";
        finds(&homing, "a", "/", value);
        a.crash();
        let moved = send(&homing, "GET", "/", value);
        assert_eq!((moved.served_by().as_str(), moved.why().as_str()), ("b", "unreachable"));
        until_live(&homing, &[0, 1]);
        if back == "b" {
            finds(&homing, "b", "/", value);
        }
        a.revive();
        if back == "a" {
            assert_eq!(send(&homing, "GET", "/", value).why(), "returned");
        }
        finds(&homing, back, "/", value);
        until_live(&homing, if back == "a" { &[1, 0] } else { &[0, 1] });
    }
}

#[test]
fn a_value_that_is_a_route_alone_names_its_backend_whoever_moved() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = without_ejection(&[&a, &b], ROUTE).run();
    for value in ["Cookie: JSESSIONID=a\r\n", "Cookie: JSESSIONID=.a\r\n"] {
        finds(&homing, "a", "/", value);
        a.crash();
        assert_eq!(send(&homing, "GET", "/", value).served_by(), "b");
        a.revive();
        finds(&homing, "a", "/", value);
    }
}

#[test]
fn a_route_beside_a_learned_id_is_one_list() {
    let (a, b) = (backend("a"), backend("b"));
    let affinity = "mode = [\"route\", \"learn\"]\ncreate = \"cookie:sid\"\nlookup = \"cookie:sid\"";
    let homing = sticky(&[&a, &b], affinity).run();
    all_answer(&[&a, &b], "Set-Cookie: sid=plain\r\n", "");
    let home = send(&homing, "GET", "/", "").served_by();
    all_answer(&[&a, &b], "", "");
    finds(&homing, &home, "/", "Cookie: sid=plain\r\n");
    finds(&homing, "a", "/", "Cookie: sid=x.a\r\n");
    finds(&homing, "b", "/", "Cookie: sid=x.b\r\n");
}
