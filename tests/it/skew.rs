//! One key above its share is told of, with what is likely behind it.

use std::io::Write as _;

use crate::harness::{Homing, backend, homing, open, read_reply};

const BY_ADDRESS: &str = "strategy = { kind = \"hash\", key = \"client_ip\" }\n";

/// Sends so many requests on one connection; each is said to be for the address that `of` gives its number.
fn send(homing: &Homing, n: u32, of: impl Fn(u32) -> String) {
    let (mut stream, mut held) = (open(homing.address), Vec::new());
    let request = |i| format!("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {}\r\n\r\n", of(i));
    for some in (0..n).collect::<Vec<_>>().chunks(100) {
        let requests: String = some.iter().copied().map(request).collect();
        stream.write_all(requests.as_bytes()).unwrap();
        some.iter().for_each(|_| assert_eq!(read_reply(&mut stream, &mut held, true).status, 200));
    }
}

fn nine_of_ten(i: u32) -> String {
    if i.is_multiple_of(10) { format!("198.51.{}.7", i / 10 % 200) } else { "203.0.113.9".to_owned() }
}

#[test]
fn an_address_behind_nine_of_ten_requests_is_told_of_and_a_spread_is_not() {
    let (a, b) = (backend("a"), backend("b"));
    for strategy in [BY_ADDRESS, "strategy = \"ip_hash\"\n"] {
        let homing = homing(&[&a, &b]).pool(strategy).listener("trusted_proxies = [\"127.0.0.0/8\"]\n").run();
        send(&homing, 2_000, |i| format!("198.51.{}.7", i % 200));
        homing.until("/api/v1/pools", |text| text.contains("\"skew\":null"));
        send(&homing, 8_000, nine_of_ten);
        homing.until("/api/v1/pools", |text| {
            text.contains("\"key\":\"203.0.113.0/24\"")
                && text.contains("NAT")
                && text.contains("\"share\":0.")
        });
    }
}

#[test]
fn a_proxy_that_is_not_trusted_is_the_likely_cause() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).pool(BY_ADDRESS).run();
    send(&homing, 2_000, |i| format!("198.51.{}.7", i % 200));
    homing.until("/api/v1/pools", |text| {
        text.contains("\"key\":\"127.0.0.0/24\"") && text.contains("trusted_proxies: if it is your proxy")
    });
}

#[test]
fn a_shared_value_is_the_likely_cause_and_is_not_shown() {
    let (a, b) = (backend("a"), backend("b"));
    let key = "strategy = { kind = \"rendezvous\", key = [\"query:sid\", \"header:x-forwarded-for\"] }\n";
    let homing = homing(&[&a, &b]).pool(key).run();
    send(&homing, 2_000, |_| "shared-secret".to_owned());
    homing.until("/api/v1/pools", |text| {
        assert!(!text.contains("shared-secret"));
        text.contains("\"key\":\"#") && text.contains("the same header:x-forwarded-for")
    });
}
