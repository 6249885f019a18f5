//! Connections that have served enough.

use std::io::Write as _;

use crate::harness::{Does, Reply, backend, homing, open, read_reply, until};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: t\r\n\r\n";

fn is_last(reply: &Reply) -> bool {
    reply.field("connection").as_deref() == Some("close")
}

#[test]
fn the_last_of_so_many_requests_is_told_so() {
    let a = backend("a");
    let route = "\n[[route]]\npool = \"app\"\n[[route]]\npath = \"/ok\"\nrespond = { body = \"fine\" }\n";
    let homing = homing(&[&a]).listener("max_requests_per_connection = 3\n").with(route).run();
    for path in ["/", "/ok"] {
        let mut stream = open(homing.address);
        let asked = [false, false, true].map(|_| {
            stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: t\r\n\r\n").as_bytes()).unwrap();
            is_last(&read_reply(&mut stream, &mut Vec::new(), true))
        });
        assert_eq!(asked, [false, false, true], "{path}");
        let end = read_reply(&mut stream, &mut Vec::new(), true);
        assert!(end.is_cut && end.head.is_empty(), "it goes on");
    }
    assert_eq!(a.opened(), 1, "a backend's connection has nothing to do with it");
}

#[test]
fn an_old_connection_ends_with_its_next_answer() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("max_connection_age = \"100ms\"\n").run();
    let mut stream = open(homing.address);
    let mut served = 0;
    until(|| {
        stream.write_all(GET).unwrap();
        let reply = read_reply(&mut stream, &mut Vec::new(), true);
        assert_eq!(reply.served_by(), "a");
        served += 1;
        is_last(&reply)
    });
    let end = read_reply(&mut stream, &mut Vec::new(), true);
    assert!(end.is_cut && end.head.is_empty(), "it goes on after {served}");
    // What is in flight is not cut by it.
    a.does(Does::Drip(std::time::Duration::from_millis(3)));
    let reply = homing.send(GET);
    assert!(reply.served_by() == "a" && !reply.is_cut);
}
