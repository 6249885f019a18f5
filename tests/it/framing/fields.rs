//! Fields: which go on as they are, which stay between the client and us, and which nobody may take away.

use super::{BOTH, Sent, passes, without_ours};
use crate::harness::{Reply, backend, homing};

/// Fields sent and seen, in a GET; each line with its end.
pub(super) const PASS: &[(&str, &str)] = &[
    // As they are, in their order, but for the blanks around a value.
    ("Empty:\r\n", "Empty: \r\n"),
    ("Empty:  \t \r\n", "Empty: \r\n"),
    ("X:y\r\n", "X: y\r\n"),
    ("X:\t y z\t\r\n", "X: y z\r\n"),
    ("X: y\tz\r\n", "X: y\tz\r\n"),
    ("X: a:b: c\r\n", "X: a:b: c\r\n"),
    ("X: 1\r\nx: 2\r\nX: 1\r\n", "X: 1\r\nx: 2\r\nX: 1\r\n"),
    ("!#$%&'*+-.^`|~9: y\r\n", "!#$%&'*+-.^`|~9: y\r\n"),
    ("X: \u{e9}\u{20ac}\r\n", "X: \u{e9}\u{20ac}\r\n"),
    ("X: \"unclosed\r\n", "X: \"unclosed\r\n"),
    (
        "Accept: a\r\nAuthorization: b\r\nRange: bytes=0-1\r\n",
        "Accept: a\r\nAuthorization: b\r\nRange: bytes=0-1\r\n",
    ),
    ("User-Agent: u\r\nReferer: r\r\nDate: d\r\n", "User-Agent: u\r\nReferer: r\r\nDate: d\r\n"),
    ("Host-X: b\r\nContent-Length-X: 5\r\n", "Host-X: b\r\nContent-Length-X: 5\r\n"),
    ("Content-Encoding: gzip\r\nContent-Type: a/b\r\n", "Content-Encoding: gzip\r\nContent-Type: a/b\r\n"),
    ("x.y: 1\r\nsec-ch-ua.platform: 2\r\n", "x.y: 1\r\nsec-ch-ua.platform: 2\r\n"),
    // Between the client and us.
    ("Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n", ""),
    ("Connection:\r\n", ""),
    ("Connection: ,, ,\r\n", ""),
    ("Proxy-Connection: keep-alive\r\n", ""),
    ("Proxy-Authorization: Basic x\r\n", ""),
    ("HTTP2-Settings: x\r\n", ""),
    ("Connection: HTTP2-Settings, Upgrade\r\nHTTP2-Settings: x\r\nUpgrade: h2c\r\n", ""),
    ("TE: gzip\r\n", ""),
    ("TE:\r\n", ""),
    ("TE: trailers\r\n", "Connection: TE\r\nTE: trailers\r\n"),
    ("TE: gzip;q=0.5, Trailers\r\n", "Connection: TE\r\nTE: trailers\r\n"),
    ("TE: gzip\r\nTE: trailers\r\n", "Connection: TE\r\nTE: trailers\r\n"),
    ("Connection: TE\r\nTE: trailers\r\n", "Connection: TE\r\nTE: trailers\r\n"),
    ("TE: trailersx\r\n", ""),
    ("Trailer: X-T\r\n", ""),
    ("TE: trailers\r\nTrailer: X-T\r\n", "Connection: TE\r\nTE: trailers\r\n"),
    // What `Connection` names.
    ("Connection: X-Own\r\nX-Own: 1\r\nx-own: 2\r\nY: 3\r\n", "Y: 3\r\n"),
    ("X-Own: 1\r\nConnection: keep-alive\r\nConnection: y , x-OWN\r\n", ""),
    ("Connection: close, X-Own\r\nX-Own: 1\r\n", ""),
    ("Connection:\tX-Own\t,\tX-Two\r\nX-Own: 1\r\nX-Two: 2\r\n", ""),
    ("Connection: X-Ow\r\nX-Own: 1\r\n", "X-Own: 1\r\n"),
    ("Connection: \"X-Own\"\r\nX-Own: 1\r\n", "X-Own: 1\r\n"),
    ("Connection: X-Own;q=1\r\nX-Own: 1\r\n", "X-Own: 1\r\n"),
    ("Connection: X-Own X-Two\r\nX-Own: 1\r\nX-Two: 2\r\n", "X-Own: 1\r\nX-Two: 2\r\n"),
    ("Connection: User-Agent, Range\r\nUser-Agent: u\r\nRange: bytes=0-1\r\n", ""),
    // What it may not name.
    ("Connection: Host\r\n", ""),
    ("Connection: Cookie\r\nCookie: c=1\r\n", "Cookie: c=1\r\n"),
    ("Connection: authorization\r\nAuthorization: x\r\n", "Authorization: x\r\n"),
    ("Connection: Cache-Control\r\nCache-Control: no-store\r\n", "Cache-Control: no-store\r\n"),
    ("Connection: X-Forwarded-For, X-Real-IP, X-Forwarded-Proto, X-Forwarded-Port\r\n", ""),
    ("Connection: X-Forwarded-Host, Forwarded, X-Request-Id\r\n", ""),
    ("Connection: Via\r\nVia: 1.0 b\r\n", "Via: 1.0 b\r\n"),
    ("Connection: X-Homing-Affinity\r\nX-Homing-Affinity: new\r\n", ""),
    ("Connection: close, TE, Transfer-Encoding, Content-Length\r\n", ""),
    // What only a proxy may say.
    ("X-Forwarded-For: 1.2.3.4\r\nX-Real-IP: 1.2.3.4\r\nX-Forwarded-Proto: https\r\n", ""),
    ("x-forwarded-for: 127.0.0.1\r\nX-FORWARDED-FOR:\r\n", ""),
    ("X-Forwarded-Host: b\r\nX-Forwarded-Port: 1\r\nX-Forwarded-Server: b\r\n", ""),
    ("X-Forwarded-Prefix: /x\r\nX-Forwarded-Ssl: on\r\nX-Forwarded-Tls-Client-Cert: c\r\n", ""),
    ("Forwarded: for=1.2.3.4\r\n", ""),
    ("X-Homing-Affinity: new\r\n", ""),
    // Other names for it, and for what frames a message.
    ("X_Forwarded_For: 1\r\nx-forwarded_for: 1\r\nX_Forwarded-For: 1\r\n", ""),
    ("X.Forwarded.For: 1\r\nx.forwarded-for: 1\r\nX_Forwarded.For: 1\r\n", ""),
    ("X_Real_IP: 1\r\nX.Real.IP: 1\r\nx-real_ip: 1\r\nX.Real_IP: 1\r\n", ""),
    ("X.Forwarded.Proto: https\r\nX.Forwarded-Prefix: /x\r\n", ""),
    ("X.Request.Id: 1\r\nX_Request_Id: 1\r\n", ""),
    ("Content_Length: 9\r\nTransfer_Encoding: chunked\r\nContent.Length: 9\r\n", ""),
    ("X.Homing.Affinity: 1\r\n", ""),
    ("a_b: 1\r\n_: 2\r\nX: 3\r\n", "X: 3\r\n"),
    // Upgrades: a WebSocket with an empty GET, and no other.
    (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n",
        "Sec-WebSocket-Key: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    ),
    ("Connection: x, UPGRADE\r\nUpgrade: WebSocket\r\n", "Connection: Upgrade\r\nUpgrade: websocket\r\n"),
    (
        "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
        "Content-Length: 0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n",
    ),
    (
        "Connection: Upgrade, TE\r\nUpgrade: websocket\r\nTE: trailers\r\n",
        "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    ),
    ("Upgrade: websocket\r\n", ""),
    ("Connection: Upgrade\r\n", ""),
    ("Connection: Upgrade\r\nUpgrade: h2c\r\n", ""),
    ("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", ""),
    ("Connection: Upgrade\r\nUpgrade: websocket/13\r\n", ""),
    ("Connection: \"Upgrade\"\r\nUpgrade: websocket\r\n", ""),
    // Expectations and hops.
    ("Expect: 100-continue\r\n", "Expect: 100-continue\r\n"),
    ("Expect: 100-Continue\r\n", "Expect: 100-Continue\r\n"),
    ("Max-Forwards: 0\r\n", "Max-Forwards: 0\r\n"),
    ("Via: 1.0 fred, 1.1 p.example\r\n", "Via: 1.0 fred, 1.1 p.example\r\n"),
    ("Via: 1.1 homing\r\nVia: homing-00000000\r\n", "Via: 1.1 homing\r\nVia: homing-00000000\r\n"),
];

/// `X-Forwarded-*` of a trusted proxy: fields sent, and lines that are then seen, once and alone of their name.
pub(super) const TRUSTED: &[(&str, &[&str])] = &[
    ("", &["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http", "X-Forwarded-Host: a"]),
    ("X-Forwarded-For: 192.0.2.1\r\n", &["X-Forwarded-For: 192.0.2.1, 127.0.0.1"]),
    (
        "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 192.0.2.2\r\n",
        &["X-Forwarded-For: 192.0.2.1, 192.0.2.2, 127.0.0.1"],
    ),
    ("X-Forwarded-For:\r\n", &["X-Forwarded-For: 127.0.0.1"]),
    (
        "Connection: X-Forwarded-For, X-Forwarded-Proto\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n",
        &["X-Forwarded-For: 192.0.2.1, 127.0.0.1", "X-Forwarded-Proto: https"],
    ),
    (
        "X_Forwarded_For: 192.0.2.1\r\nX.Forwarded.Proto: https\r\n",
        &["X-Forwarded-For: 127.0.0.1", "X-Forwarded-Proto: http"],
    ),
    ("X-Forwarded-Host: b\r\nX-Forwarded-Prefix: /x\r\n", &["X-Forwarded-Host: b", "X-Forwarded-Prefix: /x"]),
];

/// `Max-Forwards` of an OPTIONS, and what is seen of it.
const HOPS: &[(&str, &str)] = &[
    ("Max-Forwards: 5\r\n", "Max-Forwards: 4\r\n"),
    ("Max-Forwards: 1\r\n", "Max-Forwards: 0\r\n"),
    ("Max-Forwards: 99999999999999999999\r\n", "Max-Forwards: 18446744073709551614\r\n"),
    ("Max-Forwards: x\r\n", ""),
    ("Max-Forwards: -1\r\n", ""),
    ("Max-Forwards: +0\r\n", ""),
    ("Max-Forwards:\r\n", ""),
    ("Max-Forwards: 1, 2\r\n", ""),
];

#[test]
fn fields_of_the_connection_stay_there_and_others_pass() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let head = "GET / HTTP/1.1\r\nHost: a\r\n";
    for (sent, seen) in PASS {
        for how in BOTH {
            passes(&homing, &a, &format!("{head}{sent}\r\n"), &format!("{head}{seen}\r\n"), how);
        }
    }
}

#[test]
fn a_trusted_proxy_is_continued() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("trusted_proxies = [\"127.0.0.0/8\"]\n").run();
    for (sent, lines) in TRUSTED {
        homing.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{sent}\r\n"));
        for line in *lines {
            let name = line.split(':').next().unwrap().to_ascii_lowercase();
            let is = |l: &&str| l.split(':').next().unwrap().to_ascii_lowercase() == name;
            let seen: Vec<String> = a.last().lines().filter(is).map(str::to_owned).collect();
            assert_eq!(seen, [*line], "{sent:?}");
        }
        assert!(!a.last().contains('_') && !a.last().contains(".Forwarded"), "{}", a.last());
    }
}

#[test]
fn max_forwards_counts_down_for_options() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let head = "OPTIONS / HTTP/1.1\r\nHost: a\r\n";
    for (sent, seen) in HOPS {
        passes(&homing, &a, &format!("{head}{sent}\r\n"), &format!("{head}{seen}\r\n"), Sent::Whole);
    }
}

#[test]
fn homing_answers_for_itself_where_no_further_hop_is_allowed() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (target, hops) in [("*", "0"), ("/", "00"), ("http://b", "0"), ("/", "5\r\nMax-Forwards: 0")] {
        let request = format!("OPTIONS {target} HTTP/1.1\r\nHost: a\r\nMax-Forwards: {hops}\r\n\r\n");
        let reply: Reply = homing.send(&request);
        assert_eq!((reply.status, reply.body.len()), (200, 0), "{request:?}");
        assert_eq!(reply.field("content-length").as_deref(), Some("0"), "{}", reply.head);
        assert!(reply.field("allow").is_some_and(|a| a.contains("OPTIONS")), "{}", reply.head);
        assert!(a.requests().is_empty(), "{request:?} reached the backend");
    }
}

#[test]
fn a_request_that_was_here_before_is_a_loop() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    homing.send("GET / HTTP/1.0\r\n\r\n");
    let via = a.last().lines().find_map(|l| l.strip_prefix("Via: ").map(str::to_owned)).unwrap();
    let (received, name) = via.split_once(' ').unwrap();
    assert_eq!(received, "1.0");
    for value in [via.clone(), format!("1.0 other, {via}"), format!("1.1 {name} (a comment)")] {
        for line in ["", "Connection: Via\r\n"] {
            let reply = homing.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}Via: {value}\r\n\r\n"));
            assert_eq!((reply.status, reply.text().contains("(loop)")), (508, true), "{value}");
        }
    }
    assert_eq!(homing.send("GET / HTTP/1.1\r\nHost: a\r\nVia: 1.1 homing\r\n\r\n").status, 200);
    assert!(without_ours(&a.last().replacen("Via: 1.1 homing\r\n", "", 1)).starts_with("GET / "));
}

/// Rules of a route, and lines that are seen, once and alone of their name; a name alone is not seen.
const RULES: &[(&str, &[&str])] = &[
    ("set = { host = \"b:80\" }", &["Host: b:80", "X-Forwarded-Host: a"]),
    ("set = { x-forwarded-proto = \"https\" }", &["x-forwarded-proto: https", "X-Forwarded-For: 127.0.0.1"]),
    ("set = { X-Real-IP = \"1\" }, remove = [\"x-forwarded-port\"]", &["x-real-ip: 1", "X-Forwarded-Port"]),
    ("remove = [\"via\", \"X-Forwarded-For\"]", &["Via", "X-Forwarded-For", "X-Forwarded-Proto: http"]),
    ("set = { x-user = \"1\" }", &["x-user: 1"]),
    ("set = { x-request-id = \"1\" }", &["x-request-id: 1"]),
    ("remove = [\"x-request-id\"]", &["X-Request-Id"]),
];

#[test]
fn what_a_route_sets_stands_once_and_what_it_removes_not_at_all() {
    let a = backend("a");
    for (rules, lines) in RULES {
        let route = format!("\n[[route]]\npool = \"app\"\nrequest_headers = {{ {rules} }}\n");
        let homing = homing(&[&a]).with(&route).run();
        homing.send("GET / HTTP/1.1\r\nHost: a\r\nX-User: 2\r\nx-user: 3\r\nX_User: 4\r\nVia: 1.1 b\r\n\r\n");
        for line in *lines {
            let name = line.split(':').next().unwrap();
            let seen = a.last();
            let seen = seen.lines().filter(|l| l.split(':').next().unwrap().eq_ignore_ascii_case(name));
            let wanted: &[&str] = if line.contains(':') { &[line] } else { &[] };
            assert_eq!(seen.collect::<Vec<_>>(), wanted, "{rules}");
        }
    }
}
