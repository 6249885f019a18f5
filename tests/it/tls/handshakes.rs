//! Who does not speak TLS, or stops half-way; what stands before a handshake; and the way from http to https.

use std::io::{Read as _, Write as _};

use super::*;
use crate::harness::{backend, exchange, homing, open};

/// A client's hello, as bytes.
fn hello(files: &Files) -> Vec<u8> {
    let name = ServerName::try_from("localhost").unwrap();
    let mut client = ClientConnection::new(files.client(), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    bytes
}

#[test]
fn plain_http_is_told_so() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let reply = homing.send(GET);
    assert_eq!(reply.status, 400);
    assert!(reply.text().contains("this port speaks TLS"), "{}", reply.text());
    ended(&homing, "", "not_tls", 1);
    homing.until("/metrics", |text| text.contains("{reason=\"plain_http\"} 1\n"));
    // Who speaks something else is closed without a word.
    let mut other = open(homing.address);
    other.write_all(&[0x80, 0x2e, 1, 3]).unwrap();
    assert_eq!(other.read(&mut [0; 16]).unwrap_or(0), 0);
    ended(&homing, "", "not_tls", 2);
    assert!(a.requests().is_empty());
}

#[test]
fn a_hello_that_stops_half_way_ends_in_time_and_gives_its_place_back() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a])
        .listener(&files.tls())
        .listener("max_connections = 3\n[listener.timeouts]\ntls_handshake = \"300ms\"\n")
        .run();
    let hello = hello(&files);
    let mut half = open(homing.address);
    half.write_all(&hello[..hello.len() / 2]).unwrap();
    let mut whole = open(homing.address);
    whole.write_all(&hello).unwrap();
    let mut silent = open(homing.address);
    for stream in [&mut half, &mut whole, &mut silent] {
        // What homing has said by then, and its end.
        let _ = stream.read_to_end(&mut Vec::new());
    }
    ended(&homing, "", "timeout", 3);
    assert_eq!(ask(&homing, &files.client(), GET).status, 200);
    // Who closes on the way is another matter; who connects and closes is none.
    open(homing.address).write_all(&hello[..9]).unwrap();
    ended(&homing, "", "closed", 1);
}

#[test]
fn a_hello_may_come_byte_by_byte() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let mut client =
        ClientConnection::new(files.client(), ServerName::try_from("localhost").unwrap()).unwrap();
    let mut socket = open(homing.address);
    socket.set_nodelay(true).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    for byte in bytes {
        socket.write_all(&[byte]).unwrap();
    }
    assert_eq!(ask_on(&mut StreamOwned::new(client, socket), GET).status, 200);
}

#[test]
fn nonsense_in_a_record_is_malformed() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let mut stream = open(homing.address);
    stream.write_all(&[22, 3, 1, 0, 5, 77, 0, 0, 1, 0]).unwrap();
    let mut word = Vec::new();
    let _ = stream.read_to_end(&mut word);
    assert_eq!(word.first(), Some(&21), "an alert: {word:?}");
    ended(&homing, "", "malformed", 1);
}

#[test]
fn a_proxy_header_stands_before_the_handshake() {
    let (a, files) = (backend("a"), Files::new());
    let on = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let homing = homing(&[&a]).listener(&files.tls()).listener(on).run();
    let header = b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n";
    // In one piece with the hello, and on its own.
    for together in [true, false] {
        let mut client =
            ClientConnection::new(files.client(), ServerName::try_from("localhost").unwrap()).unwrap();
        let mut socket = open(homing.address);
        let mut first = header.to_vec();
        if together {
            client.write_tls(&mut first).unwrap();
        }
        socket.write_all(&first).unwrap();
        assert_eq!(ask_on(&mut StreamOwned::new(client, socket), GET).status, 200);
        for line in ["X-Forwarded-For: 192.0.2.7", "X-Forwarded-Proto: https", "X-Forwarded-Port: 443"] {
            assert!(a.last().contains(&format!("{line}\r\n")), "{line} in {}", a.last());
        }
    }
}

#[test]
fn a_listener_may_send_everybody_on_to_https() {
    let a = backend("a");
    let homing = homing(&[&a])
        .listener("https_redirect = true\ntrusted_proxies = [\"127.0.0.1\"]\n")
        .with(
            "[[route]]\npool = \"app\"\n[[route]]\npath = \"/.well-known/acme-challenge/\"\npool = \"app\"\n",
        )
        .run();
    let table = [
        ("GET /a?b=c HTTP/1.1\r\nHost: shop.test:8080\r\n", 301, Some("https://shop.test/a?b=c")),
        ("HEAD / HTTP/1.1\r\nHost: [::1]:80\r\n", 301, Some("https://[::1]/")),
        ("POST /x HTTP/1.1\r\nContent-Length: 0\r\nHost: shop.test\r\n", 308, Some("https://shop.test/x")),
        ("GET http://shop.test/y HTTP/1.1\r\nHost: shop.test\r\n", 301, Some("https://shop.test/y")),
        ("GET / HTTP/1.0\r\n", 400, None),
        ("GET / HTTP/1.1\r\n", 400, None),
        ("GET / HTTP/1.1\r\nHost: a b\r\n", 400, None),
        ("GET /.well-known/acme-challenge/token HTTP/1.1\r\nHost: shop.test\r\n", 200, None),
        // A proxy that ends TLS has done it already.
        ("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-Proto: https\r\n", 200, None),
        ("GET / HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-Proto: http\r\n", 301, Some("https://shop.test/")),
    ];
    for (request, status, to) in table {
        let reply = homing.send(format!("{request}\r\n"));
        assert_eq!((reply.status, reply.field("location").as_deref()), (status, to), "{request}");
    }
    let ported = crate::harness::homing(&[&a]).listener("https_redirect = true\nhttps_port = 8443\n").run();
    let reply = exchange(ported.address, b"GET / HTTP/1.1\r\nHost: shop.test\r\n\r\n");
    assert_eq!(reply.field("location").unwrap(), "https://shop.test:8443/");
}
