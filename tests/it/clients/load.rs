//! h2load and nghttp: many streams at once, on few connections, over TLS and without.

use std::collections::HashMap;

use super::{Both, text};
use crate::harness::program::{Input, Program, Ran, run, start};
use crate::harness::{LIMIT, backend, client_at, until};

const CONNECTIONS: usize = 8;
/// At once on each.
const STREAMS: usize = 32;

fn h2load(both: &Both, scheme: &str, requests: usize, more: &[&str]) -> Program {
    let [connections, streams, requests] = [CONNECTIONS, STREAMS, requests].map(|n| n.to_string());
    let url = both.url(scheme, "/");
    let limit = format!("{}s", LIMIT.as_secs());
    let load = ["-c", &connections, "-m", &streams, "-n", &requests, "-N", &limit, "-T", &limit];
    start("h2load", &[&load, more, &[&url]].concat(), "", Input::Ends)
}

/// What stands behind a word of the report: `requests: 3000 total, 3000 started, ..` tells `total` of `requests`.
fn counts(ran: &Ran, of: &str) -> HashMap<String, u64> {
    let text = ran.text();
    let line = text.lines().find_map(|l| l.strip_prefix(of)?.strip_prefix(": "));
    let parts = line.unwrap_or_else(|| panic!("no {of} in {text}")).split(", ");
    let pairs = parts.map(|part| part.split_once(' ').unwrap());
    pairs.map(|(n, what)| (what.to_owned(), n.parse().unwrap_or_default())).collect()
}

fn assert_all_served(ran: &Ran, n: usize) {
    let requests = counts(ran, "requests");
    let told = ["total", "started", "done", "succeeded"].map(|what| requests[what] as usize);
    assert_eq!(told, [n; 4], "{requests:?}");
    let wrong = ["failed", "errored", "timeout"].map(|what| requests[what]);
    assert_eq!(wrong, [0; 3], "{requests:?}");
    assert_eq!(counts(ran, "status codes")["2xx"] as usize, n);
}

#[test]
fn thousands_of_requests_on_many_streams_are_all_served() {
    const REQUESTS: usize = 3_000;
    let backends = ["a", "b"].map(backend);
    let both = Both::new(&backends.each_ref());
    for scheme in ["http", "https"] {
        let ran = h2load(&both, scheme, REQUESTS, &[]).end();
        assert_all_served(&ran, REQUESTS);
        if scheme == "https" {
            let text = ran.text();
            assert!(text.contains("TLS Protocol: TLSv1.3\n"), "{text}");
            assert!(text.contains("Application protocol: h2\n"), "{text}");
        }
        let served = backends.each_ref().map(|b| b.take_requests().len());
        assert_eq!(served[0] + served[1], REQUESTS);
        assert!(served.iter().all(|n| *n > REQUESTS / 3), "{served:?}");
    }
}

#[test]
fn uploads_on_many_streams_are_all_served() {
    const REQUESTS: usize = 400;
    let a = backend("a");
    let both = Both::new(&[&a]);
    let file = both.authority.folder().join("body");
    let sent: Vec<u8> = (0..100_000_u32).map(|n| n as u8).collect();
    std::fs::write(&file, &sent).unwrap();
    for scheme in ["http", "https"] {
        let ran = h2load(&both, scheme, REQUESTS, &["-d", text(&file)]).end();
        assert_all_served(&ran, REQUESTS);
        assert!(a.take_requests().iter().all(|request| request.ends_with(&sent)));
    }
}

#[test]
fn a_backend_that_is_killed_meanwhile_costs_no_session_of_another() {
    const REQUESTS: usize = 2_000;
    for scheme in ["http", "https"] {
        let mut backends = ["a", "b", "c"].map(backend);
        let both = Both::new(&backends.each_ref());
        let mut sessions = ["a", "b", "c"].map(|home| (home, client_at(&both.homing, home)));
        backends.iter().for_each(|b| drop(b.take_requests()));
        let loads = sessions.each_ref().map(|(home, client)| {
            let (pin, of) = (client.cookie("srv").unwrap(), format!("x-of: {home}"));
            h2load(&both, scheme, REQUESTS, &["-H", &format!("cookie: srv={pin}"), "-H", &of])
        });
        until(|| backends.iter().all(|b| b.requests().len() > 50));
        backends[1].crash();
        let [a, b, c] = loads.map(Program::end);
        assert_all_served(&a, REQUESTS);
        assert_all_served(&c, REQUESTS);
        let moved = counts(&b, "requests");
        assert_eq!(
            (moved["done"] as usize, moved["errored"], moved["timeout"]),
            (REQUESTS, 0, 0),
            "{moved:?}"
        );
        // What was under way may have failed, where retries are at their bound; everything else is served elsewhere.
        let served = counts(&b, "status codes")["2xx"] as usize;
        assert!(served >= REQUESTS - CONNECTIONS * STREAMS, "{served}");
        for (backend, home) in [(&backends[0], "a"), (&backends[2], "c")] {
            let of = |whose: &str| {
                let line = format!("x-of: {whose}\r\n");
                let is = |r: &&Vec<u8>| String::from_utf8_lossy(r).contains(&line);
                backend.requests().iter().filter(is).count()
            };
            let other = if home == "a" { "c" } else { "a" };
            assert_eq!((of(home), of(other)), (REQUESTS, 0), "{home}");
        }
        for (home, client) in &mut sessions {
            let served = client.get("/").served_by();
            assert_eq!(served == *home, *home != "b", "{home}: {served}");
        }
    }
}

fn nghttp(both: &Both, scheme: &str, path: &str, more: &[&str]) -> Ran {
    let url = both.url(scheme, path);
    run("nghttp", &[&["--no-verify-peer", "-t", "10"], more, &[&url]].concat(), "")
}

#[test]
fn nghttp_asks_often_on_one_connection_uploads_and_sends_a_trailer() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let file = both.authority.folder().join("body");
    let sent: Vec<u8> = (0..1_000_000_u32).map(|n| n as u8).collect();
    std::fs::write(&file, &sent).unwrap();
    let data = text(&file);
    for scheme in ["http", "https"] {
        let answers = nghttp(&both, scheme, "/", &["-m", "100"]).text();
        assert_eq!(answers, "a".repeat(100), "{scheme}");
        assert_eq!(a.take_requests().len(), 100, "{scheme}");

        assert_eq!(nghttp(&both, scheme, "/", &["-d", data]).text(), "a");
        let request = a.take_requests().pop().unwrap();
        assert!(request.starts_with(b"POST / ") && request.ends_with(&sent), "{scheme}");

        // (Behind a body of a known length HTTP/1.1 has no trailers.)
        let trailer = ["--no-content-length", "-d", data, "-H", "te: trailers", "--trailer", "x-sum: 6"];
        assert_eq!(nghttp(&both, scheme, "/", &trailer).text(), "a");
        let request = String::from_utf8_lossy(&a.take_requests().pop().unwrap()).into_owned();
        assert!(request.ends_with("\r\n0\r\nx-sum: 6\r\n\r\n"), "{scheme}");
    }
}

#[test]
fn nghttp_reads_statuses_and_trailers() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    for scheme in ["http", "https"] {
        for status in [200, 204, 206, 302, 304, 401, 404, 418, 500, 503] {
            let length = if matches!(status, 204 | 304) { "" } else { "Content-Length: 0\r\n" };
            a.answers(format!("HTTP/1.1 {status} x\r\n{length}\r\n"));
            let told = nghttp(&both, scheme, "/", &["-nv"]).text();
            assert!(told.contains(&format!(":status: {status}\n")), "{scheme}: {told}");
        }
        a.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\n\r\n");
        let told = nghttp(&both, scheme, "/", &["-nv", "-H", "te: trailers"]).text();
        assert!(told.contains("x-sum: 6\n"), "{scheme}: {told}");
    }
}
