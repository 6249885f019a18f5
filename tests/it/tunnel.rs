//! WebSockets: a tunnel after a 101 that was asked for, and only then.

use std::io::{Read as _, Write as _};

use crate::harness::{Does, backend, homing, open, read_reply, until};

const ASK: &str =
    "GET /ws HTTP/1.1\r\nHost: t\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";

#[test]
fn bytes_pass_both_ways_early_ones_included() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    a.does(Does::Echo(b"early"));
    let mut stream = open(homing.address);
    stream.write_all(&[ASK.as_bytes(), b"first"].concat()).unwrap();
    let mut held = Vec::new();
    let reply = read_reply(&mut stream, &mut held, true);
    assert_eq!(reply.status, 101);
    assert_eq!(reply.field("upgrade").as_deref(), Some("websocket"));
    assert!(reply.field("set-cookie").is_some(), "a socket's session is pinned as any other");
    stream.write_all(b" second").unwrap();
    while held.len() < b"earlyfirst second".len() {
        let mut piece = [0; 64];
        let n = stream.read(&mut piece).unwrap();
        assert!(n > 0, "ended after {held:?}");
        held.extend_from_slice(&piece[..n]);
    }
    assert_eq!(held, b"earlyfirst second");
    assert!(a.last().contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"));
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    drop(stream);
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":0"));
}

#[test]
fn a_101_that_nobody_asked_for_is_a_502() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.does(Does::Echo(b""));
    for request in [
        "GET / HTTP/1.1\r\nHost: t\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nUpgrade: websocket\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n",
        "GET / HTTP/1.0\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 1\r\n\r\nx",
    ] {
        let reply = homing.send(request);
        assert_eq!(reply.status, 502, "{request:?}");
        assert!(!a.last().to_lowercase().contains("upgrade"), "{}", a.last());
    }
}

#[test]
fn an_upgrade_that_is_declined_is_an_ordinary_answer() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    assert_eq!(homing.send(ASK).text(), "a");
}

#[test]
fn a_tunnel_that_is_blocked_ends_with_the_time_for_writing() {
    let stuck = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let pool = format!("backends = [\"{}\"]", stuck.local_addr().unwrap());
    let timeouts = "\n[pool.timeouts]\nwrite = \"200ms\"\ntunnel = \"1h\"\n";
    let homing = homing(&[]).pool(&pool).with(timeouts).run();
    let mut stream = open(homing.address);
    stream.write_all(ASK.as_bytes()).unwrap();
    let (mut backend, _) = stuck.accept().unwrap();
    backend
        .write_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    assert_eq!(read_reply(&mut stream, &mut Vec::new(), true).status, 101);
    // The backend reads nothing more, so that the client's bytes fill everything up to its own socket.
    stream.set_nonblocking(true).unwrap();
    let flood = vec![b'x'; 64 * 1024];
    until(|| stream.write(&flood).is_err_and(|e| e.kind() != std::io::ErrorKind::WouldBlock));
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":0"));
}
