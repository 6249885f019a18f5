//! A session whose backend cannot be used: it moves, waits or is refused, as its pool says; and who counts as usable.

use std::net::TcpStream;

use socket2::{Domain, Socket, Type};

use crate::harness::{Backend, Client, Does, Homing, Setup, backend, client_at, get, homing, until};

const FAST_CHECKS: &str = "\n[pool.health]\npath = \"/ok\"\ninterval = \"20ms\"\ntimeout = \"2s\"\nrise = 1\nfall = 1\njitter = 0\n";

/// Two backends, and a homing whose affinity has these keys too.
fn two(affinity: &str) -> (Backend, Backend, Homing) {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().with(affinity).run();
    (a, b, homing)
}

#[test]
fn a_strict_pool_refuses_with_its_reason_until_its_backend_is_back() {
    let (mut a, b, homing) = two("on_lost = \"strict\"\n");
    let mut client = client_at(&homing, "a");
    a.crash();
    let before = b.requests().len();
    for _ in 0..2 {
        let reply = client.get("/");
        assert_eq!((reply.status, reply.field("set-cookie")), (503, None));
        assert!(reply.text().contains("(home_unreachable)"), "{}", reply.text());
    }
    assert_eq!(b.requests().len(), before, "nobody else is asked");
    a.revive();
    assert_eq!((client.get("/").served_by(), client.get("/").why()), ("a".to_owned(), "pinned".to_owned()));
    let metrics = get(homing.admin, "/metrics").text();
    assert!(metrics.contains("result=\"broken\",reason=\"strict\"} 2"), "{metrics}");
}

#[test]
fn a_strict_pool_names_what_checks_found() {
    let (a, _b, homing) = {
        let (a, b) = (backend("a"), backend("b"));
        let homing = homing(&[&a, &b]).cookie().with("on_lost = \"strict\"\n").with(FAST_CHECKS).run();
        (a, b, homing)
    };
    let mut client = client_at(&homing, "a");
    a.answers("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"down\""));
    let reply = client.get("/");
    assert!(reply.status == 503 && reply.text().contains("(home_down)"), "{}", reply.text());
}

#[test]
fn a_request_waits_for_its_backend_to_come_back() {
    let (mut a, b, homing) = two("on_lost = { wait = \"8s\" }\n");
    let mut client = client_at(&homing, "a");
    a.crash();
    let before = b.requests().len();
    let waiting = std::thread::spawn(move || client.request("POST", "/"));
    homing.until("/metrics", |text| {
        let refused = "homing_upstream_errors_total{pool=\"app\",backend=\"a\",reason=\"connect_refused\"} ";
        text.lines().any(|l| l.strip_prefix(refused).is_some_and(|n| n != "0"))
    });
    a.revive();
    let reply = waiting.join().unwrap();
    assert_eq!((reply.status, reply.served_by(), reply.why()), (200, "a".to_owned(), "pinned".to_owned()));
    assert_eq!(b.requests().len(), before);
}

#[test]
fn when_it_has_waited_long_enough_a_session_moves() {
    let (mut a, _b, homing) = two("on_lost = { wait = \"300ms\" }\n");
    let mut client = client_at(&homing, "a");
    a.crash();
    let reply = client.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), "unreachable".to_owned()));
    assert!(reply.field("set-cookie").is_some());
    a.revive();
    assert_eq!(client.get("/").served_by(), "b", "it does not return by itself");
}

#[test]
fn who_waits_for_a_backend_that_is_down_is_served_when_checks_open_it() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().with("on_lost = { wait = \"8s\" }\n").with(FAST_CHECKS).run();
    let mut client = client_at(&homing, "a");
    a.answers("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"down\""));
    let waiting = std::thread::spawn(move || client.get("/"));
    homing.until("/metrics", |text| text.contains("homing_connections{listener=\"web\"} 1"));
    a.does(Does::Answer);
    let reply = waiting.join().unwrap();
    assert_eq!((reply.served_by(), reply.why()), ("a".to_owned(), "pinned".to_owned()));
}

/// A listener that completes no further handshake: its queue is full.
fn deaf() -> (Socket, std::net::SocketAddr, Vec<TcpStream>) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<std::net::SocketAddr>().unwrap().into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let limit = std::time::Duration::from_millis(100);
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, limit) {
        held.push(stream);
        assert!(held.len() < 16, "its queue never fills");
    }
    (socket, address, held)
}

/// How many connections to `backend` timed out.
fn timeouts(homing: &Homing, backend: &str) -> String {
    let name = format!(
        "homing_upstream_errors_total{{pool=\"app\",backend=\"{backend}\",reason=\"connect_timeout\"}} "
    );
    let text = get(homing.admin, "/metrics").text();
    text.lines().find_map(|l| l.strip_prefix(&name)).unwrap().to_owned()
}

#[test]
fn a_connect_timeout_is_tried_once_more_at_home_and_once_elsewhere() {
    let b = backend("b");
    let (_socket, address, _held) = deaf();
    let backends = format!(
        "backends = [{{ name = \"deaf\", address = \"{address}\", max_fails = 0 }}, {{ name = \"b\", address = \"{}\" }}]",
        b.address
    );
    let keys = homing::config::Environment::detect().unwrap();
    let timeouts_of = "\n[pool.timeouts]\nconnect = \"100ms\"\n";
    let node = homing(&[]).pool(&backends).cookie().with(timeouts_of).run_with(&keys);
    // Another node, for which the name leads to a backend that answers, gave this session its home.
    let good = backend("deaf");
    let other = homing(&[&good]).cookie().run_with(&keys);
    let mut client = other.client();
    client.get("/");
    let mut client = client.at(node.address);
    let reply = client.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), "unreachable".to_owned()));
    assert_eq!(timeouts(&node, "deaf"), "2", "a session's home has a second chance");
    let before: u32 = timeouts(&node, "deaf").parse().unwrap();
    until(|| get(node.address, "/").served_by() == "b" && timeouts(&node, "deaf") != before.to_string());
    assert_eq!(timeouts(&node, "deaf"), "3", "without a session there is no home to try again");
}

#[test]
fn a_reset_before_the_answer_is_tried_once_more_at_home() {
    let (a, b, homing) = two("");
    let mut client = client_at(&homing, "a");
    a.does(Does::CloseThenAnswer(1));
    let reply = client.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("a".to_owned(), "pinned".to_owned()));
    a.does(Does::Close);
    let (before, others) = (a.requests().len(), b.requests().len());
    let reply = client.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), "unreachable".to_owned()));
    assert_eq!((a.requests().len() - before, b.requests().len() - others), (2, 1));
}

#[test]
fn half_a_head_is_no_answer() {
    let (a, _b, homing) = two("");
    let mut client = client_at(&homing, "a");
    a.does(Does::BytesThenClose(b"HTTP/1.1 200 OK\r\nContent-Le".to_vec()));
    assert_eq!(client.get("/").served_by(), "b");
    let mut client = client_at(&homing, "b");
    let reply = client.request("POST", "/");
    assert_eq!(reply.status, 200);
}

#[test]
fn after_an_informational_answer_was_passed_on_nothing_is_sent_again() {
    let (a, b, homing) = two("");
    let mut client = client_at(&homing, "a");
    let others = b.requests().len();
    a.does(Does::BytesThenClose(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".to_vec()));
    let bytes = client.bytes("GET", "/");
    let mut stream = crate::harness::open(homing.address);
    std::io::Write::write_all(&mut stream, bytes.as_bytes()).unwrap();
    let mut held = Vec::new();
    let statuses = [0; 2].map(|_| crate::harness::read_reply(&mut stream, &mut held, true).status);
    assert_eq!((statuses, b.requests().len()), ([103, 502], others));
    a.does(Does::Answer);
    assert_eq!(client.get("/").served_by(), "a");
}

#[test]
fn retries_have_a_budget() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).pool("max_fails = 0\n").run();
    [&a, &b].iter().for_each(|x| x.does(Does::Close));
    let mut stream = Client::new(homing.address);
    until(|| {
        assert_eq!(stream.get("/").status, 502);
        get(homing.admin, "/metrics").text().lines().any(|l| {
            l.strip_prefix("homing_upstream_retries_denied_total{pool=\"app\"} ").is_some_and(|n| n != "0")
        })
    });
    let sent = a.requests().len() + b.requests().len();
    for _ in 0..20 {
        stream.get("/");
    }
    let more = a.requests().len() + b.requests().len() - sent;
    // Two workers, and ten retries a second that each may always make.
    assert!((20..60).contains(&more), "{more} for 20 requests");
}

#[test]
fn a_status_counts_as_a_failure_if_it_is_listed_and_is_passed_on() {
    let listed = |statuses: &str| {
        let (a, b) = (backend("a"), backend("b"));
        let homing = homing(&[&a, &b]).pool(statuses).cookie().run();
        a.answers("HTTP/1.1 500 No\r\nX-Backend: a\r\nContent-Length: 0\r\n\r\n");
        let mut client = client_at(&homing, "a");
        let reply = client.get("/");
        assert_eq!(
            (reply.status, reply.served_by(), reply.why()),
            (500, "a".to_owned(), "pinned".to_owned())
        );
        (a, b, homing)
    };
    let (_a, _b, homing) = listed("fail_statuses = [500, \"502-504\"]\n");
    homing.until("/api/v1/pools", |text| text.contains("\"ejected\":true"));
    homing.until("/metrics", |text| text.contains("backend=\"a\",reason=\"status\"} 2"));
    let (_a, _b, homing) = listed("fail_statuses = [503]\n");
    assert!(get(homing.admin, "/metrics").text().contains("backend=\"a\",reason=\"status\"} 0"));
}

fn checked(pool: &str, more: &str) -> (Backend, Backend, Setup) {
    let (a, b) = (backend("a"), backend("b"));
    let setup = homing(&[&a, &b]).pool(pool).cookie().with(FAST_CHECKS).with(more);
    (a, b, setup)
}

const DOWN: &str = "HTTP/1.1 500 No\r\nX-Backend: a\r\nContent-Length: 0\r\n\r\n";

#[test]
fn when_checks_close_everybody_it_is_a_503_or_panic_as_the_pool_says() {
    for (panic, status) in [("refuse", 503), ("serve", 500)] {
        let (a, b, setup) = checked(&format!("panic = \"{panic}\"\n"), "");
        let homing = setup.run();
        let mut client = client_at(&homing, "a");
        [&a, &b].iter().for_each(|x| x.answers(DOWN));
        homing.until("/api/v1/pools", |text| text.matches("\"health\":\"down\"").count() == 2);
        let reply = client.get("/");
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(reply.why(), if panic == "serve" { "pinned" } else { "" });
        let told = get(homing.admin, "/api/v1/pools").text();
        assert_eq!(told.contains("\"panic\":true"), panic == "serve", "{told}");
    }
}

#[test]
fn a_health_answer_drains_and_opens_again() {
    let (a, _b, setup) = checked("", "drain = 404\n");
    let homing = setup.run();
    let mut pinned = client_at(&homing, "a");
    a.answers("HTTP/1.1 404 Leaving\r\nX-Backend: a\r\nContent-Length: 0\r\n\r\n");
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"drain\""));
    let reply = pinned.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("a".to_owned(), "pinned".to_owned()));
    let news: Vec<String> = (0..6).map(|_| homing.client().get("/").served_by()).collect();
    assert!(news.iter().all(|n| n == "b"), "{news:?}");
    a.does(Does::Answer);
    homing.until("/api/v1/pools", |text| !text.contains("\"health\":\"drain\""));
    let news: Vec<String> = (0..6).map(|_| homing.client().get("/").served_by()).collect();
    assert!(news.contains(&"a".to_owned()), "{news:?}");
}

#[test]
fn who_comes_back_starts_slowly_with_new_sessions_only() {
    let (a, _b, setup) = checked("slow_start = \"1h\"\n", "");
    let homing = setup.run();
    let mut pinned = client_at(&homing, "a");
    a.answers(DOWN);
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"down\""));
    a.does(Does::Answer);
    homing.until("/api/v1/pools", |text| !text.contains("\"health\":\"down\""));
    let news: Vec<String> = (0..20).map(|_| homing.client().get("/").served_by()).collect();
    let to_a = news.iter().filter(|n| *n == "a").count();
    assert!(to_a <= 3, "{to_a} of 20 in the first seconds of an hour");
    assert_eq!(pinned.get("/").why(), "pinned", "its own sessions are served at once");
}
