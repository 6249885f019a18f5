//! curl, Python's ssl and a client of our own: requests, bodies, tunnels and ends.

use std::io::{Read as _, Write as _};

use super::*;
use crate::harness::{Does, backend, homing, pause, until};
use homing::snapshot::phases::Phase;

#[test]
fn curl_is_served_by_every_version_and_protocol() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let url = format!("https://localhost:{}/", homing.address.port());
    let ca = files.path("ca.pem");
    for (version, more) in
        [("1.2", "--http1.1"), ("1.2", "--http2"), ("1.3", "--http1.1"), ("1.3", "--http2")]
    {
        let (least, most) = (format!("--tlsv{version}"), version);
        let told = "%{http_version} %{ssl_verify_result} %{http_code}";
        let arguments = [
            "-sS",
            &least,
            "--tls-max",
            most,
            more,
            "--cacert",
            text(&ca),
            "-o",
            "/dev/null",
            "-w",
            told,
            &url,
        ];
        let protocol = if more == "--http2" { "2" } else { "1.1" };
        assert_eq!(said(&run("curl", &arguments, "")), format!("{protocol} 0 200"), "{version} {more}");
        assert!(a.last().contains("X-Forwarded-Proto: https\r\n"), "{}", a.last());
        assert!(a.last().contains(&format!("X-Forwarded-Port: {}\r\n", homing.address.port())));
    }
}

#[test]
fn http2_is_offered_where_it_is_wanted() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).listener("http2 = false\nforwarded = true\n").run();
    let url = format!("https://localhost:{}/", homing.address.port());
    let ca = files.path("ca.pem");
    let arguments =
        ["-sS", "--http2", "--cacert", text(&ca), "-o", "/dev/null", "-w", "%{http_version}", &url];
    assert_eq!(said(&run("curl", &arguments, "")), "1.1");
    assert!(a.last().contains(";proto=https\r\n"), "{}", a.last());
}

#[test]
fn an_old_client_is_refused_where_it_is_too_old() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).listener("tls_min = \"1.3\"\n").run();
    let old = files.client_with(&[&rustls::version::TLS12], None);
    assert!(connect(&homing, "localhost", &old).write_all(GET.as_bytes()).is_err());
    ended(&homing, "", "incompatible", 1);
    assert_eq!(ask(&homing, &files.client(), GET).status, 200);
    ended(&homing, "1.3", "ok", 1);
}

#[test]
fn python_keeps_a_connection() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let script = "import http.client, ssl, sys\n\
        c = http.client.HTTPSConnection('localhost', int(sys.argv[1]), context=ssl.create_default_context(cafile=sys.argv[2]), timeout=10)\n\
        for n in range(3):\n c.request('POST', '/', body=b'x' * n)\n r = c.getresponse()\n s = s if n else c.sock.fileno()\n\
        \x20assert c.sock.fileno() == s\n print(r.status, r.read().decode())\n";
    let (port, ca) = (homing.address.port().to_string(), files.path("ca.pem"));
    let output = run("python3", &["-c", script, &port, text(&ca)], "");
    assert_eq!(said(&output), "200 a\n200 a\n200 a\n");
    ended(&homing, "1.3", "ok", 1);
}

#[test]
fn requests_may_come_together() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let mut stream = connect(&homing, "localhost", &files.client());
    stream.write_all(GET.repeat(20).as_bytes()).unwrap();
    let mut held = Vec::new();
    for _ in 0..20 {
        assert_eq!(read_reply(&mut stream, &mut held, true).status, 200);
    }
    assert_eq!(a.requests().len(), 20);
}

#[test]
fn large_bodies_go_both_ways_and_wait_for_a_slow_reader() {
    const LENGTH: usize = 4 << 20;
    let (a, files) = (backend("a"), Files::new());
    a.does(Does::Serve);
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let mut stream = connect(&homing, "localhost", &files.client());
    stream.write_all(format!("GET /large/{LENGTH} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes()).unwrap();
    // Both sockets are full by now, and the rest waits.
    pause(std::time::Duration::from_millis(200));
    let reply = read_reply(&mut stream, &mut Vec::new(), true);
    assert!(!reply.is_cut && reply.body.len() == LENGTH && reply.body.iter().all(|b| *b == b'x'));
    let body: Vec<u8> = (0..LENGTH).map(|n| (n % 251) as u8).collect();
    let head = format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: {LENGTH}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&body).unwrap();
    assert_eq!(read_reply(&mut stream, &mut Vec::new(), true).status, 200);
    until(|| a.requests().last().is_some_and(|request| request.ends_with(&body[LENGTH - 1000..])));
}

#[test]
fn a_tunnel_goes_through() {
    let (a, files) = (backend("a"), Files::new());
    a.does(Does::Serve);
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let mut stream = connect(&homing, "localhost", &files.client());
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    stream.write_all(format!("GET /ws HTTP/1.1\r\nHost: localhost\r\n{upgrade}").as_bytes()).unwrap();
    assert_eq!(read_reply(&mut stream, &mut Vec::new(), true).status, 101);
    for size in [1, 100, 40_000] {
        let sent = vec![b'm'; size];
        stream.write_all(&sent).unwrap();
        let mut back = vec![0; size];
        stream.read_exact(&mut back).unwrap();
        assert!(back == sent);
    }
}

#[test]
fn an_answer_that_breaks_off_is_not_ended_in_order() {
    let (a, files) = (backend("a"), Files::new());
    a.does(Does::BytesThenReset(
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n".to_vec(),
    ));
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let mut stream = connect(&homing, "localhost", &files.client());
    stream.write_all(GET.as_bytes()).unwrap();
    let mut all = Vec::new();
    assert!(stream.read_to_end(&mut all).is_err(), "{}", String::from_utf8_lossy(&all));
}

#[test]
fn a_stop_lets_requests_end_and_says_goodbye() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let client = files.client();
    let mut idle = connect(&homing, "localhost", &client);
    assert_eq!(ask_on(&mut idle, GET).status, 200);
    a.does(Does::Hold);
    let mut busy = connect(&homing, "localhost", &client);
    busy.write_all(GET.as_bytes()).unwrap();
    until(|| a.requests().len() == 2);
    homing.phases().advance(Phase::Drain);
    // The end of the session, not only of the connection.
    assert_eq!(idle.read_to_end(&mut Vec::new()).unwrap(), 0);
    a.does(Does::Answer);
    let reply = read_reply(&mut busy, &mut Vec::new(), true);
    assert_eq!((reply.status, reply.field("connection").as_deref()), (200, Some("close")));
    assert_eq!(busy.read_to_end(&mut Vec::new()).unwrap(), 0);
    homing.join();
}

#[test]
fn a_unix_socket_may_have_tls() {
    let (a, files) = (backend("a"), Files::new());
    let path = files.path("homing.sock");
    let second =
        format!("[[listener]]\nname = \"unix\"\nlisten = \"unix:{}\"\n{}", path.display(), files.tls());
    let _homing = homing(&[&a]).with(&second).run();
    let ca = files.path("ca.pem");
    let arguments = ["-sS", "--cacert", text(&ca), "--unix-socket", text(&path), "https://localhost/"];
    assert_eq!(said(&run("curl", &arguments, "")), "a");
    assert!(a.last().contains("X-Forwarded-Proto: https\r\n"));
}

#[test]
fn the_log_tells_version_and_name() {
    let (a, files) = (backend("a"), Files::new());
    let path = files.path("access.log");
    let on = format!("format = \"json\"\npath = {path:?}");
    let homing = homing(&[&a]).listener(&files.tls()).run_edited(|t| t.replace("format = \"off\"", &on));
    ask(&homing, &files.client(), GET);
    until(|| {
        std::fs::read_to_string(&path).is_ok_and(|log| log.contains("\"tls\":\"1.3\",\"sni\":\"localhost\","))
    });
}

#[test]
fn the_cookie_is_secure_where_the_client_came_by_tls() {
    let (a, b, files) = (backend("a"), backend("b"), Files::new());
    let plain =
        "[[listener]]\nname = \"plain\"\nlisten = \"127.0.0.1:0\"\ntrusted_proxies = [\"127.0.0.1\"]\n";
    let homing = homing(&[&a, &b]).listener(&files.tls()).cookie().with(plain).run();
    let cookie = |reply: &Reply| reply.field("set-cookie").unwrap();
    assert!(cookie(&ask(&homing, &files.client(), GET)).ends_with("; Secure"));
    let plain = homing.other("plain");
    assert!(!cookie(&crate::harness::get(plain, "/")).contains("Secure"));
    let told = "GET / HTTP/1.1\r\nHost: t\r\nX-Forwarded-Proto: https\r\n\r\n";
    assert!(cookie(&crate::harness::exchange(plain, told.as_bytes())).ends_with("; Secure"));
}
