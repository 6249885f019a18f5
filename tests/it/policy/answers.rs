//! Redirects and fixed answers in the place of a pool.

use std::io::Write as _;

use super::is_counted;
use crate::harness::{backend, homing, open, read_reply};

const ROUTES: &str = "\n[[route]]\npool = \"app\"\n\
    [[route]]\npath = \"/moved\"\nredirect = { to = \"https://example.org{path}{query}\" }\n\
    [[route]]\npath = \"/short\"\nstrip_prefix = \"/short\"\nredirect = { to = \"{path}{query}\", status = 302 }\n\
    response_headers = { set = { \"cache-control\" = \"max-age=60\" }, add = { \"x-more\" = \"1\" } }\n\
    [[route]]\nhost = \"www.t.test\"\nredirect = { to = \"https://{host}/x{path}\", status = 301 }\n\
    [[route]]\npath = \"/ok\"\nrespond = { body = \"fine\\n\" }\n\
    [[route]]\npath = \"/json\"\nrespond = { status = 418, body = \"{}\", content_type = \"application/json\" }\n\
    response_headers = { remove = [\"x-request-id\"] }\n\
    [[route]]\npath = \"/empty\"\nrespond = { status = 204 }\n";

#[test]
fn clients_are_sent_where_the_route_says() {
    let a = backend("a");
    let homing = homing(&[&a]).with(ROUTES).run();
    for (host, target, status, place) in [
        ("t", "/moved/x?y=1", 308, "https://example.org/moved/x?y=1"),
        ("t", "/moved", 308, "https://example.org/moved"),
        ("t", "/moved/\"<x>", 308, "https://example.org/moved/%22%3Cx%3E"),
        ("t", "/short/a?b", 302, "/a?b"),
        ("t", "/short//evil.example/", 302, "/evil.example/"),
        ("t", "/short/\\evil.example", 302, "/evil.example"),
        ("t", "/short", 302, "/"),
        ("www.t.test:8080", "/a", 301, "https://www.t.test/x/a"),
    ] {
        let reply = homing.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        assert_eq!((reply.status, reply.field("location").as_deref()), (status, Some(place)), "{target}");
        let cache = if status == 302 { "max-age=60" } else { "no-store" };
        assert_eq!(reply.field("cache-control").as_deref(), Some(cache));
        assert_eq!(reply.fields("x-more").len(), usize::from(status == 302));
    }
    assert!(a.requests().is_empty());
    is_counted(&homing, "redirect", 8);
    // One that would need a host and has none.
    let reply = homing.send("GET http://www.t.test/a HTTP/1.0\r\n\r\n");
    assert_eq!(reply.field("location").as_deref(), Some("https://www.t.test/x/a"));
}

#[test]
fn a_fixed_answer_is_given_on_a_connection_that_goes_on() {
    let a = backend("a");
    let homing = homing(&[&a]).with(ROUTES).run();
    let (mut stream, mut held) = (open(homing.address), Vec::new());
    let mut ask = |method: &str, path: &str| {
        stream.write_all(format!("{method} {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
        read_reply(&mut stream, &mut held, method != "HEAD")
    };
    let fine = ask("GET", "/ok");
    assert_eq!((fine.status, fine.text().as_str()), (200, "fine\n"));
    assert_eq!(fine.field("content-type").as_deref(), Some("text/plain; charset=utf-8"));
    assert!(fine.field("x-request-id").is_some() && fine.field("date").is_some());
    let head = ask("HEAD", "/ok");
    assert_eq!((head.status, head.field("content-length").as_deref()), (200, Some("5")));
    let json = ask("GET", "/json");
    assert_eq!((json.status, json.text().as_str()), (418, "{}"));
    assert_eq!(
        (json.field("content-type").as_deref(), json.field("x-request-id")),
        (Some("application/json"), None)
    );
    let empty = ask("DELETE", "/empty");
    assert_eq!((empty.status, empty.field("content-length"), empty.field("content-type")), (204, None, None));
    assert_eq!(ask("GET", "/").served_by(), "a");
    is_counted(&homing, "respond", 4);
}

/// What is still to come of a request would be taken for the next one.
#[test]
fn a_request_with_a_body_ends_its_connection() {
    let a = backend("a");
    let homing = homing(&[&a]).with(ROUTES).run();
    let reply = homing
        .send("POST /ok HTTP/1.1\r\nHost: t\r\nContent-Length: 30\r\n\r\nGET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((reply.status, reply.field("connection").as_deref()), (200, Some("close")));
    assert!(a.requests().is_empty());
}

#[test]
fn no_pool_is_needed_where_every_route_answers() {
    let text = "workers = 1\n[admin]\nlisten = \"127.0.0.1:0\"\n[access_log]\nformat = \"off\"\n\
                [[listener]]\nlisten = \"127.0.0.1:0\"\n[[route]]\nrespond = { status = 503, body = \"later\" }\n";
    let homing = homing(&[]).run_edited(|_| text.to_owned());
    let reply = homing.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((reply.status, reply.text().as_str()), (503, "later"));
}
