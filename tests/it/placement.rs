//! Placement over the wire: the same on every node, and as nginx places.

use std::io::Write as _;

use crate::harness::{Homing, backend, homing, open, read_reply};

/// Who serves a client at `ip`, as a trusted proxy tells it.
fn home(homing: &Homing, ip: &str) -> String {
    let request = format!("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {ip}\r\n\r\n");
    homing.send(request).served_by()
}

const TRUST: &str = "trusted_proxies = [\"127.0.0.0/8\"]\n";

#[test]
fn ip_hash_places_as_nginx_does() {
    let backends = [backend("a"), backend("b"), backend("c")];
    let setup =
        homing(&[&backends[0], &backends[1], &backends[2]]).listener(TRUST).pool("strategy = \"ip_hash\"");
    let homing = setup.run();
    // Three equal servers, as nginx 1.22.1 places them.
    for (ip, place) in [
        ("1.2.3.4", "b"),
        ("1.2.3.250", "b"),
        ("10.0.0.1", "a"),
        ("192.168.1.1", "b"),
        ("192.168.2.1", "c"),
        ("203.0.113.7", "a"),
        ("8.8.8.8", "c"),
        ("2001:db8::1", "c"),
        ("2001:db8::2", "a"),
        ("::ffff:8.8.8.8", "c"),
    ] {
        assert_eq!(home(&homing, ip), place, "{ip}");
    }
}

#[test]
fn nodes_agree_on_every_placement() {
    let backends = [backend("a"), backend("b"), backend("c")];
    for strategy in ["ip_hash", "rendezvous", "maglev", "hash"] {
        let setup = |order: [usize; 3]| {
            let pool = format!("strategy = \"{strategy}\"");
            homing(&order.map(|i| &backends[i])).listener(TRUST).pool(&pool).run()
        };
        let (one, two) = (setup([0, 1, 2]), setup([0, 1, 2]));
        let positional = strategy == "ip_hash" || strategy == "hash";
        let reordered = if positional { setup([0, 1, 2]) } else { setup([2, 0, 1]) };
        for n in 0..12 {
            let ip = format!("198.51.{n}.9");
            let place = home(&one, &ip);
            assert_eq!(place, home(&two, &ip), "{strategy} {ip}");
            assert_eq!(place, home(&reordered, &ip), "{strategy} {ip}, list reordered");
        }
    }
}

#[test]
fn x_forwarded_for_is_believed_from_trusted_peers_only_and_from_the_right() {
    let a = backend("a");
    let untrusted = homing(&[&a]).run();
    let trusted = homing(&[&a]).listener("trusted_proxies = [\"127.0.0.0/8\", \"10.0.0.0/8\"]\n").run();
    let seen = |homing: &Homing, sent: &str| {
        homing.send(format!("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {sent}\r\n\r\n"));
        let head = a.last();
        head.lines().find_map(|l| l.strip_prefix("X-Forwarded-For: ")).unwrap().to_owned()
    };
    assert_eq!(seen(&untrusted, "1.2.3.4"), "127.0.0.1");
    assert_eq!(seen(&trusted, "1.2.3.4, 10.0.0.1"), "1.2.3.4, 10.0.0.1, 127.0.0.1");
}

#[test]
fn requests_on_one_connection_are_each_placed() {
    let backends = [backend("a"), backend("b"), backend("c")];
    let homing = homing(&[&backends[0], &backends[1], &backends[2]]).run();
    let mut stream = open(homing.address);
    let mut held = Vec::new();
    let served: Vec<String> = (0..3)
        .map(|_| {
            stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
            read_reply(&mut stream, &mut held, true).served_by()
        })
        .collect();
    assert_eq!(served, ["a", "b", "c"], "round robin is exact in one worker");
}
