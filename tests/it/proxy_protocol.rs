//! Behind a proxy that speaks the PROXY protocol: the client is who the header says, or there is no connection.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use crate::harness::{Backend, Homing, Reply, backend, homing, open, read_reply, until};

const GET: &str = "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 9.9.9.9\r\n\r\n";
const ON: &str = "proxy_protocol = true\ntrusted_proxies = [\"127.0.0.1\", \"198.51.100.0/24\"]\n";

/// A version 2 header.
fn v2(command: u8, kind: u8, block: &[u8]) -> Vec<u8> {
    let length = u16::try_from(block.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, kind][..], &length, block].concat()
}

/// A version 2 header of a TCP connection over IPv4, with a TLV.
fn v2_from(ip: [u8; 4]) -> Vec<u8> {
    v2(0x21, 0x11, &[&ip[..], &[10, 0, 0, 1, 0xdc, 4, 1, 0xbb, 4, 0, 1, 0]].concat())
}

fn ask(homing: &Homing, header: &[u8]) -> Reply {
    homing.send([header, GET.as_bytes()].concat())
}

/// The fields of the last request that say who asked.
fn told(a: &Backend) -> Vec<String> {
    let says = |l: &&str| l.starts_with("X-Forwarded-") && !l.contains("-Host") || l.starts_with("X-Real-IP");
    a.last().lines().filter(says).map(str::to_owned).collect()
}

/// Whether the connection ends without a byte.
fn is_dropped(stream: &mut TcpStream) -> bool {
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    all.is_empty()
}

fn rejected(homing: &Homing, n: usize) {
    let line = format!("homing_connections_rejected_total{{listener=\"web\",reason=\"proxy_header\"}} {n}\n");
    homing.until("/metrics", |text| text.contains(&line));
}

#[test]
fn the_header_says_who_the_client_is() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(ON).run();
    let v6 = [&[0x20, 1, 0xd, 0xb8][..], &[0; 11], &[7], &[0; 15], &[1, 0, 1, 0, 80]].concat();
    let mapped = [&[0; 10][..], &[255, 255, 192, 0, 2, 9], &[0; 15], &[1, 0, 1, 0, 81]].concat();
    let own = homing.address.port();
    let table: [(&[u8], &str, u16); 8] = [
        (b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n", "192.0.2.7", 443),
        (b"PROXY TCP6 2001:db8::7 ::1 56324 8443\r\n", "2001:db8::7", 8443),
        (&v2_from([192, 0, 2, 8]), "192.0.2.8", 443),
        (&v2(0x21, 0x21, &v6), "2001:db8::7", 80),
        (&v2(0x21, 0x21, &mapped), "192.0.2.9", 81),
        // What is about nobody else is about the proxy: a trusted peer, whose account is believed.
        (b"PROXY UNKNOWN\r\n", "9.9.9.9, 127.0.0.1", own),
        (&v2(0x20, 0, b""), "9.9.9.9, 127.0.0.1", own),
        (&v2(0x21, 0, b""), "9.9.9.9, 127.0.0.1", own),
    ];
    for (header, who, port) in table {
        assert_eq!(ask(&homing, header).status, 200, "{who}");
        let real = who.split(',').next().unwrap();
        let expected = [
            format!("X-Forwarded-For: {who}"),
            format!("X-Forwarded-Port: {port}"),
            "X-Forwarded-Proto: http".to_owned(),
            format!("X-Real-IP: {real}"),
        ];
        let mut told = told(&a);
        told.sort();
        assert_eq!(told, expected);
    }
}

#[test]
fn a_proxy_behind_the_proxy_is_believed_by_the_address_that_is_carried() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(ON).run();
    ask(&homing, b"PROXY TCP4 198.51.100.7 10.0.0.1 1 443\r\n");
    assert_eq!(told(&a)[0], "X-Forwarded-For: 9.9.9.9, 198.51.100.7");
    ask(&homing, b"PROXY TCP4 192.0.2.7 10.0.0.1 1 443\r\n");
    assert_eq!(told(&a)[0], "X-Forwarded-For: 192.0.2.7");
}

#[test]
fn a_header_may_come_byte_by_byte_and_counts_for_the_whole_connection() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(ON).run();
    for header in [b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\r\n".to_vec(), v2_from([192, 0, 2, 7])] {
        let mut stream = open(homing.address);
        stream.set_nodelay(true).unwrap();
        for byte in header.iter().chain(GET.as_bytes()) {
            stream.write_all(&[*byte]).unwrap();
        }
        let mut held = Vec::new();
        assert_eq!(read_reply(&mut stream, &mut held, true).status, 200);
        stream.write_all(GET.as_bytes()).unwrap();
        assert_eq!(read_reply(&mut stream, &mut held, true).status, 200);
        assert_eq!(told(&a)[0], "X-Forwarded-For: 192.0.2.7");
    }
    assert_eq!(a.requests().len(), 4);
}

#[test]
fn what_is_no_header_ends_the_connection_without_an_answer() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(ON).run();
    let wrong: [&[u8]; 7] = [
        b"",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 56324\r\n",
        b"PROXY TCP4 192.0.2.7 10.0.0.1 56324 443\n",
        &[&b"PROXY UNKNOWN "[..], &[b'x'; 92]].concat(),
        &v2(0x31, 0x11, &[0; 12]),
        &v2(0x21, 0x11, &[0; 11]),
        &v2(0x21, 0x11, &[0; 4097]),
    ];
    for (n, header) in wrong.iter().enumerate() {
        let mut stream = open(homing.address);
        let _ = stream.write_all(&[header, GET.as_bytes()].concat());
        assert!(is_dropped(&mut stream), "{header:?}");
        rejected(&homing, n + 1);
    }
    let mut cut = open(homing.address);
    cut.write_all(b"PROXY TCP4 192.0.2.7").unwrap();
    cut.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(is_dropped(&mut cut));
    rejected(&homing, wrong.len() + 1);
    assert!(a.requests().is_empty());
}

#[test]
fn a_header_that_is_late_ends_the_connection() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(ON).listener("[listener.timeouts]\nproxy_header = \"50ms\"\n").run();
    let mut streams = [open(homing.address), open(homing.address)];
    streams[1].write_all(b"PROXY TCP4 192.0.2.7 10.0.0.1 1 44").unwrap();
    assert!(streams.iter_mut().all(is_dropped));
    rejected(&homing, 2);
}

#[test]
fn a_peer_that_is_no_trusted_proxy_is_closed_at_once() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("proxy_protocol = true\ntrusted_proxies = [\"192.0.2.1\"]\n").run();
    let mut stream = open(homing.address);
    assert!(is_dropped(&mut stream), "before it has said anything");
    rejected(&homing, 1);
}

#[test]
fn a_header_is_not_read_where_none_is_expected() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("trusted_proxies = [\"127.0.0.1\"]\n").run();
    assert_eq!(ask(&homing, b"PROXY TCP4 192.0.2.7 10.0.0.1 1 443\r\n").status, 400);
    assert!(a.requests().is_empty());
}

#[test]
fn clients_are_placed_by_the_address_that_is_carried() {
    let (a, b, c) = (backend("a"), backend("b"), backend("c"));
    let plain = homing(&[&a, &b, &c])
        .pool("strategy = \"ip_hash\"")
        .listener("trusted_proxies = [\"127.0.0.1\"]\n")
        .run();
    let proxied = homing(&[&a, &b, &c]).pool("strategy = \"ip_hash\"").listener(ON).run();
    for n in 1..20 {
        let ip = [203, 0, n, 7];
        let told = format!("GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: 203.0.{n}.7\r\n\r\n");
        assert_eq!(ask(&proxied, &v2_from(ip)).served_by(), plain.send(told).served_by(), "{ip:?}");
    }
}

#[test]
fn the_access_log_names_the_client_that_is_carried() {
    let a = backend("a");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let off = "format = \"off\"";
    let on = format!("format = \"json\"\npath = {path:?}");
    let homing = homing(&[&a]).listener(ON).run_edited(|text| text.replace(off, &on));
    ask(&homing, b"PROXY TCP4 192.0.2.7 10.0.0.1 1 443\r\n");
    until(|| std::fs::read_to_string(&path).is_ok_and(|log| log.contains("\"client_ip\":\"192.0.2.7\"")));
}

#[test]
fn a_unix_socket_is_trusted() {
    let a = backend("a");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("homing.sock");
    let second = format!(
        "[[listener]]\nname = \"unix\"\nlisten = \"unix:{}\"\nproxy_protocol = true\n",
        path.display()
    );
    let _homing = homing(&[&a]).with(&second).run();
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(&[&v2_from([192, 0, 2, 7]), GET.as_bytes()].concat()).unwrap();
    until(|| a.requests().len() == 1);
    assert_eq!(told(&a)[0], "X-Forwarded-For: 192.0.2.7");
}
