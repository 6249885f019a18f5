//! Requests that reach nobody: refused with a status and a reason, and the connection closed behind them.

use std::fmt::Write as _;

use super::{BOTH, is_refused};
use crate::harness::{backend, get, homing};

/// (sent, status, reason).
pub(super) const REFUSED: &[(&str, u16, &str)] = &[
    // Hosts.
    ("GET / HTTP/1.1\r\n\r\n", 400, "host"),
    ("GET http://b/ HTTP/1.1\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a\r\nhost:\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost:\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.0\r\nHost:\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: :80\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a?b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a#b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a\\b\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: http://a\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a:x\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a:+80\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a:65536\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: a:80:80\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: %61\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: \u{e9}\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: 0x7f.1\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: 017700000001\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: 127.01.0.1\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: 1.2.3.256\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: [::1]a\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: [fe80::1%25eth0]\r\n\r\n", 400, "host"),
    ("GET / HTTP/1.1\r\nHost: [v1.a]\r\n\r\n", 400, "host"),
    ("GET http://b/ HTTP/1.1\r\nHost: a@c\r\n\r\n", 400, "host"),
    // Targets and methods.
    ("GET http://u@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http://u:p@b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http:// HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http:/x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http:x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http://b?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http://b,c/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http://b\\c/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http://b:80x/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http://%62/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET ftp://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET ws://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET http://b/#f HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("OPTIONS ** HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("OPTIONS *?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET ?x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET \\x HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n", 400, "target"),
    ("CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", 405, "connect"),
    ("CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "connect"),
    ("CONNECT a:80 HTTP/1.0\r\n\r\n", 405, "connect"),
    ("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", 405, "trace"),
    ("TRACE / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n", 405, "trace"),
    // Line ends.
    ("GET / HTTP/1.1\nHost: a\n\n", 400, "line_end"),
    ("GET / HTTP/1.1\nHost: a\r\n\r\n", 400, "line_end"),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", 400, "line_end"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\n", 400, "line_end"),
    ("GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n", 400, "line_end"),
    ("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "line_end"),
    ("\r\n\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "line_end"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\rz\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\rX: y\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\r: y\r\n\r\n", 400, "field"),
    // Field lines.
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\0z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\x01z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\x0bz\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\x7fz\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX:\r\n z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n \r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\n\tHost: a\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\n \r\nHost: a\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost\t: a\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX Y: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\0: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX[: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\"X\": z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX@Y: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\u{e9}: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\n: z\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\n:\r\n\r\n", 400, "field"),
    ("GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", 400, "field"),
    // Request lines.
    ("GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /\tHTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1.1 x\r\nHost: a\r\n\r\n", 400, "request_line"),
    (" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /\x0b HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1.1\rHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /\r/ HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("G@T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("G/T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("G\0T / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("\u{e9} / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET /\r\n", 400, "request_line"),
    ("GET / http/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/01.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/1,1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/ 1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / ICE/1.0\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400, "request_line"),
    ("GET / HTTP/0.9\r\n\r\n", 505, "version"),
    ("GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505, "version"),
    ("GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505, "version"),
    ("GET / HTTP/9.9\r\nHost: a\r\n\r\n", 505, "version"),
    ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, "version"),
];

#[test]
fn what_is_refused_reaches_nobody_and_closes() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (sent, status, reason) in REFUSED {
        for how in BOTH {
            is_refused(&homing, &a, sent, *status, reason, how);
        }
    }
    let metrics = get(homing.admin, "/metrics").text();
    let hosts = 2 * REFUSED.iter().filter(|(_, _, reason)| *reason == "host").count();
    let line = format!("homing_refusals_total{{reason=\"host\"}} {hosts}\n");
    assert!(metrics.contains(&line), "each refusal is counted:\n{metrics}");
}

#[test]
fn what_is_too_large_is_refused_with_its_own_status() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let long = |n: usize| "x".repeat(n);
    let many = |n: usize| {
        (0..n).fold(String::new(), |mut all, i| {
            let _ = write!(all, "X-{i}: y\r\n");
            all
        })
    };
    for (sent, status, reason) in [
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(8192)), 414, "target_length"),
        (format!("GET /{} HTTP/1.1\r\nHost: a\r\n\r\n", long(100_000)), 414, "target_length"),
        (format!("{} / HTTP/1.1\r\nHost: a\r\n\r\n", long(100_000)), 400, "request_line"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(16_384)), 431, "field_length"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", long(16_384)), 431, "field_length"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", long(100_000)), 431, "head_length"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}: y\r\n\r\n", long(100_000)), 431, "head_length"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", many(100)), 431, "field_count"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", many(1_000)), 431, "field_count"),
        (format!("GET / HTTP/1.1\r\nHost: a\r\n{}\r\n", many(10_000)), 431, "head_length"),
    ] {
        let reply = homing.send(&sent);
        assert_eq!((reply.status, reply.text().contains(reason)), (status, true), "{}", reply.text());
    }
    let fits = format!("GET /{} HTTP/1.1\r\nHost: a\r\nX: {}\r\n{}\r\n", long(8_191), long(16_383), many(98));
    assert_eq!(homing.send(fits).status, 200);
    assert_eq!(a.requests().len(), 1);
}
