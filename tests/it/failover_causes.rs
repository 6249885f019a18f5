//! What becomes of a session for each cause of losing its backend: it moves, is lent, refused or sent elsewhere, as
//! `on_lost` says for that cause; whether it comes home again; and what the backend that gets it is told.

use std::thread::JoinHandle;
use std::time::Duration;

use homing::config::Environment;

use crate::harness::{Backend, Client, Does, Homing, Reply, backend, client_at, get, homing, pause, until};

const CAUSES: [&str; 4] = ["unreachable", "maint", "removed", "full"];
const DOWN: &str = "HTTP/1.1 500 No\r\nX-Backend: a\r\nContent-Length: 0\r\n\r\n";

/// A session whose home is `a`, and a node for which `a` is lost for some cause while `b` serves.
struct Lost {
    a: Backend,
    b: Backend,
    /// Where `a` serves as ever, but for a crash.
    well: Homing,
    ill: Homing,
    client: Client,
    /// Holds the only place on `a`.
    holder: Option<JoinHandle<Reply>>,
}

fn lost(cause: &str, remedy: &str) -> Lost {
    let (mut a, b) = (backend("a"), backend("b"));
    let keys = Environment::detect().unwrap();
    let on_lost =
        format!("on_lost = {{ down = {remedy}, drained = {remedy}, removed = {remedy}, full = {remedy} }}\n");
    let node = |backends: &str| {
        let pool = format!("max_fails = 0\nqueue = {{ size = 0 }}\nbackends = [{backends}]\n");
        homing(&[]).pool(&pool).cookie().with(&on_lost).run_with(&keys)
    };
    let of =
        |b: &Backend, more: &str| format!("{{ name = \"{}\", address = \"{}\"{more} }}", b.name, b.address);
    let well = node(&[of(&a, ""), of(&b, "")].join(", "));
    let ill = node(&match cause {
        "maint" => [of(&a, ", state = \"maint\""), of(&b, "")].join(", "),
        "full" => [of(&a, ", max_conns = 1"), of(&b, "")].join(", "),
        "removed" => of(&b, ""),
        _ => [of(&a, ""), of(&b, "")].join(", "),
    });
    let client = client_at(&well, "a").at(ill.address);
    let mut holder = None;
    match cause {
        "unreachable" => a.crash(),
        "full" => {
            let mut first = client_at(&ill, "a");
            let came = a.requests().len();
            a.does(Does::Hold);
            // Its last request may not have left its place yet.
            let held =
                move || std::iter::repeat_with(|| first.get("/")).find(|reply| reply.status == 200).unwrap();
            holder = Some(std::thread::spawn(held));
            until(|| a.requests().len() == came + 1);
        }
        _ => {}
    }
    Lost { a, b, well, ill, client, holder }
}

impl Lost {
    /// `a` serves again, for who asks the node where it is one.
    fn heal(&mut self, cause: &str) {
        match cause {
            "unreachable" => self.a.revive(),
            "full" => {
                self.a.does(Does::Answer);
                assert_eq!(self.holder.take().unwrap().join().unwrap().status, 200);
            }
            _ => self.client = self.client.at(self.well.address),
        }
    }

    fn metric(&self, result: &str, reason: &str) -> String {
        let name = format!("homing_affinity_total{{pool=\"app\",result=\"{result}\",reason=\"{reason}\"}} ");
        let text = get(self.ill.admin, "/metrics").text();
        text.lines().find_map(|l| l.strip_prefix(&name)).unwrap().to_owned()
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        self.a.does(Does::Answer);
    }
}

/// The field of this name in the last request that a backend got, each line of it.
fn told(backend: &Backend) -> Vec<String> {
    let last = backend.last();
    let head = last.split("\r\n\r\n").next().unwrap();
    let lines = head.lines().filter_map(|l| l.split_once(": "));
    lines.filter(|(n, _)| n.eq_ignore_ascii_case("homing-session")).map(|(_, v)| v.to_owned()).collect()
}

/// `from` is unknown where the backend is gone from the pool.
fn line(how: &str, cause: &str) -> Vec<String> {
    let from = if cause == "removed" { "" } else { "; from=a" };
    vec![format!("{how}{from}; reason={cause}")]
}

#[test]
fn a_session_moves_once_for_every_cause() {
    for cause in CAUSES {
        let mut lost = lost(cause, "\"rebind\"");
        let reply = lost.client.get("/");
        assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), cause.to_owned()), "{cause}");
        assert!(reply.field("set-cookie").is_some(), "{cause}");
        assert_eq!((told(&lost.b), reply.field("homing-session")), (line("moved", cause), None));
        assert_eq!(lost.client.get("/").why(), "pinned", "{cause}");
        assert!(told(&lost.b).is_empty(), "{cause}: it is told once");
        lost.heal(cause);
        assert_eq!(lost.client.get("/").served_by(), "b", "{cause}: it does not return by itself");
    }
}

#[test]
fn a_session_is_lent_for_every_cause_and_goes_home_again() {
    for cause in CAUSES {
        let mut lost = lost(cause, "\"borrow\"");
        for n in 1..=3 {
            let reply = lost.client.get("/");
            assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), cause.to_owned()), "{cause}");
            assert_eq!((reply.field("set-cookie"), reply.field("homing-session")), (None, None), "{cause}");
            assert_eq!(told(&lost.b), line("borrowed", cause));
            until(|| lost.metric("borrowed", cause) == n.to_string());
        }
        assert_eq!(lost.metric("moved", cause), "0");
        lost.heal(cause);
        until(|| lost.client.get("/").field("x-backend").as_deref() == Some("a"));
        assert_eq!(lost.client.get("/").why(), "pinned", "{cause}");
        assert!(told(&lost.a).is_empty(), "{cause}");
    }
}

#[test]
fn a_session_is_refused_for_every_cause_with_the_status_that_is_set() {
    for cause in CAUSES {
        for (remedy, status) in [("\"strict\"", 503), ("{ strict = 404 }", 404)] {
            let mut lost = lost(cause, remedy);
            let others = lost.b.requests().len();
            let reply = lost.client.get("/");
            assert_eq!((reply.status, reply.field("set-cookie")), (status, None), "{cause}");
            assert!(reply.text().contains(&format!("(home_{cause})")), "{cause}: {}", reply.text());
            assert_eq!(reply.field("retry-after").is_some(), status == 503);
            assert_eq!(lost.b.requests().len(), others, "{cause}: nobody else is asked");
            lost.heal(cause);
            until(|| lost.client.get("/").field("x-backend").as_deref() == Some("a"));
        }
    }
}

#[test]
fn a_session_is_sent_elsewhere_for_every_cause() {
    for cause in CAUSES {
        for to in ["/sorry?from=a", "https://example.com/sorry"] {
            let mut lost = lost(cause, &format!("{{ redirect = \"{to}\" }}"));
            let reply = lost.client.get("/");
            assert_eq!((reply.status, reply.field("location")), (302, Some(to.to_owned())), "{cause}");
            assert!(reply.field("set-cookie").is_none() && reply.text().contains(&format!("(home_{cause})")));
            until(|| lost.metric("broken", "strict") == "1");
        }
    }
}

#[test]
fn each_cause_goes_by_its_own() {
    let (mut a, b) = (backend("a"), backend("b"));
    let keys = Environment::detect().unwrap();
    let affinity = "on_lost = { down = { strict = 410 }, removed = \"borrow\" }\n";
    let both = homing(&[&a, &b]).cookie().with(affinity).run_with(&keys);
    let alone = homing(&[&b]).cookie().with(affinity).run_with(&keys);
    let mut client = client_at(&both, "a");
    let mut elsewhere = client.at(alone.address);
    let reply = elsewhere.get("/");
    assert_eq!((reply.served_by(), reply.field("set-cookie")), ("b".to_owned(), None));
    a.crash();
    assert_eq!(client.get("/").status, 410);
}

#[test]
fn what_is_said_for_all_leaves_the_sessions_of_a_removed_backend_free_to_move() {
    let (a, b) = (backend("a"), backend("b"));
    let keys = Environment::detect().unwrap();
    let node =
        |backends: &[&Backend]| homing(backends).cookie().with("on_lost = \"strict\"\n").run_with(&keys);
    let (both, alone) = (node(&[&a, &b]), node(&[&b]));
    let reply = client_at(&both, "a").at(alone.address).get("/");
    assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), "removed".to_owned()));
}

#[test]
fn a_strict_session_waits_in_the_queue_of_its_backend_first() {
    let (a, b) = (backend("a"), backend("b"));
    let pool = format!(
        "queue = {{ size = 1, timeout = \"8s\" }}\nbackends = [{{ name = \"a\", address = \"{}\", max_conns = 1 }}, \
         {{ name = \"b\", address = \"{}\" }}]",
        a.address, b.address
    );
    let homing = homing(&[]).pool(&pool).cookie().with("on_lost = { full = { strict = 429 } }\n").run();
    let mut clients: Vec<Client> = (0..3).map(|_| client_at(&homing, "a")).collect();
    let came = a.requests().len();
    a.does(Does::Hold);
    let ask = |mut client: Client| std::thread::spawn(move || client.get("/"));
    let first = ask(clients.remove(0));
    until(|| a.requests().len() == came + 1);
    let second = ask(clients.remove(0));
    homing.until("/metrics", |t| t.contains("homing_requests_waiting{pool=\"app\",backend=\"a\"} 1\n"));
    assert_eq!(clients.remove(0).get("/").status, 429, "the queue is full");
    a.does(Does::Answer);
    for reply in [first, second].map(|r| r.join().unwrap()) {
        assert_eq!((reply.status, reply.served_by()), (200, "a".to_owned()));
    }
}

/// Two backends and a session that moved from `a` to `b` while `a` was away.
fn moved(affinity: &str, pool: &str) -> (Backend, Backend, Homing, Client) {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).pool(pool).cookie().with(affinity).run();
    let mut client = client_at(&homing, "a");
    a.crash();
    assert_eq!(client.get("/").served_by(), "b");
    assert_eq!(client.get("/").why(), "pinned");
    a.revive();
    (a, b, homing, client)
}

#[test]
fn a_session_goes_home_at_once_if_its_pool_says_so() {
    let (a, _b, homing, mut client) = moved("return_home = \"now\"\n", "max_fails = 0\n");
    let reply = client.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("a".to_owned(), "returned".to_owned()));
    assert!(reply.field("set-cookie").is_some());
    assert_eq!(told(&a), ["moved; from=b; reason=returned"]);
    assert_eq!(client.get("/").why(), "pinned");
    assert!(told(&a).is_empty());
    let metrics = get(homing.admin, "/metrics").text();
    assert!(metrics.contains("result=\"moved\",reason=\"returned\"} 1\n"), "{metrics}");
}

#[test]
fn a_session_does_not_go_home_to_who_takes_no_new_ones() {
    let (_a, _b, homing, mut client) =
        moved("return_home = \"now\"\n", "max_fails = 1\nfail_timeout = \"1h\"\n");
    homing.until("/api/v1/pools", |text| text.contains("\"ejected\":true"));
    for _ in 0..5 {
        assert_eq!(client.get("/").served_by(), "b");
    }
}

#[test]
fn a_home_that_fails_again_costs_a_session_that_returns_nothing() {
    let (mut a, _b, _homing, mut client) = moved("return_home = \"now\"\n", "max_fails = 0\n");
    a.crash();
    for _ in 0..2 {
        let reply = client.get("/");
        assert_eq!(
            (reply.status, reply.served_by(), reply.why()),
            (200, "b".to_owned(), "pinned".to_owned())
        );
    }
    a.revive();
    assert_eq!(client.get("/").why(), "returned", "it was not forgotten");
}

#[test]
fn a_session_goes_home_after_a_pause_and_not_while_it_is_used() {
    // Slots of a second.
    let affinity = "idle = \"30s\"\nreturn_home = \"idle\"\nreturn_after = \"1s\"\n";
    let (_a, _b, _homing, mut client) = moved(affinity, "max_fails = 0\n");
    let mut renewed = 0;
    until(|| {
        let reply = client.get("/");
        assert_eq!(reply.served_by(), "b", "{}", reply.why());
        renewed += u32::from(reply.why() == "refreshed");
        renewed == 3
    });
    until(|| {
        pause(Duration::from_millis(2100));
        client.get("/").why() == "returned"
    });
    assert_eq!(client.get("/").served_by(), "a");
}

#[test]
fn a_backend_is_told_by_homing_alone() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).listener("underscores = \"pass\"\n").cookie().run();
    let mut client = client_at(&homing, "a");
    let forged = "Homing-Session: moved; from=b; reason=down\r\nhoming_session: x\r\nHoming.Session: y\r\n";
    a.answers("HTTP/1.1 200 OK\r\nX-Backend: a\r\nHoming-Session: x\r\nContent-Length: 0\r\n\r\n");
    let bytes = client.bytes("GET", "/").replace("\r\n\r\n", &format!("\r\n{forged}\r\n"));
    let reply = homing.send(&bytes);
    assert_eq!((reply.served_by(), reply.field("homing-session")), ("a".to_owned(), None));
    assert!(!a.last().to_ascii_lowercase().contains("session"), "{}", a.last());
    assert_eq!(client.get("/").served_by(), "a");
}

#[test]
fn whoever_is_tried_is_told_once_and_gets_the_body_too() {
    let (mut a, b, c) = (backend("a"), backend("b"), backend("c"));
    let homing = homing(&[&a, &b, &c]).pool("max_fails = 0\n").cookie().run();
    let mut client = client_at(&homing, "a");
    let second = {
        let mut twin = client.at(homing.address);
        a.crash();
        twin.get("/").served_by()
    };
    let (broken, left) = if second == "b" { (&b, &c) } else { (&c, &b) };
    broken.does(Does::Close);
    let bytes = client.bytes("PUT", "/").replace("\r\n\r\n", "\r\nContent-Length: 5\r\n\r\nhello");
    let reply = homing.send(&bytes);
    assert_eq!((reply.status, reply.served_by()), (200, left.name.to_owned()));
    for backend in [broken, left] {
        assert_eq!(told(backend), ["moved; from=a; reason=unreachable"]);
        assert!(backend.last().ends_with("\r\n\r\nhello"), "{}", backend.last());
    }
    client.learn(&reply);
    assert_eq!(client.get("/").served_by(), left.name);
}

#[test]
fn a_name_that_is_no_token_is_told_in_quotes_and_a_route_may_keep_it_to_itself() {
    for (route, expected) in [
        ("", true),
        ("\n[[route]]\npool = \"app\"\nrequest_headers = { remove = [\"homing-session\"] }\n", false),
    ] {
        let (mut a, b) = (backend("a"), backend("b"));
        let pool = format!("backends = [\"{}\", \"{}\"]", a.address, b.address);
        let homing = homing(&[]).pool(&pool).cookie().with(route).run();
        let mut client = client_at(&homing, "a");
        a.crash();
        assert_eq!(client.get("/").served_by(), "b");
        let line = format!("moved; from=\"{}\"; reason=unreachable", a.address);
        assert_eq!(told(&b), if expected { vec![line] } else { Vec::new() });
    }
}

#[test]
fn between_its_two_thresholds_a_backend_keeps_its_own() {
    let (a, b) = (backend("a"), backend("b"));
    let checks = |pinned| {
        format!(
            "\n[pool.health]\npath = \"/ok\"\ninterval = \"20ms\"\ntimeout = \"2s\"\nrise = 1\nfall = 1\n\
             fall_pinned = {pinned}\njitter = 0\n"
        )
    };
    let homing_of = |pinned| homing(&[&a, &b]).cookie().with(&checks(pinned)).run();
    let homing = homing_of(1000);
    let mut pinned = client_at(&homing, "a");
    a.answers(DOWN);
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"weak\""));
    homing.until("/metrics", |text| text.contains("backend=\"a\",state=\"weak\"} 1\n"));
    let reply = pinned.get("/");
    assert_eq!((reply.status, reply.served_by(), reply.why()), (500, "a".to_owned(), "pinned".to_owned()));
    let news: Vec<String> = (0..6).map(|_| homing.client().get("/").served_by()).collect();
    assert!(news.iter().all(|n| n == "b"), "{news:?}");
    a.does(Does::Answer);
    homing.until("/api/v1/pools", |text| !text.contains("\"health\":\"weak\""));
    let mut pinned = client_at(&homing, "a");
    assert_eq!(pinned.get("/").served_by(), "a");

    let homing = homing_of(3);
    let mut pinned = client_at(&homing, "a");
    a.answers(DOWN);
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"down\""));
    let reply = pinned.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), "down".to_owned()));
}

#[test]
fn a_key_that_many_ask_for_spills_over_at_its_bound_and_no_sooner() {
    for (max_load, expected) in [("", [8, 0]), ("max_load = 1.25\n", [5, 3]), ("max_load = 1\n", [4, 4])] {
        let (a, b) = (backend("a"), backend("b"));
        let strategy = "strategy = { kind = \"rendezvous\", key = \"header:x-user\" }\n";
        let homing = homing(&[&a, &b]).pool(strategy).pool(max_load).run();
        let bytes = "GET / HTTP/1.1\r\nHost: t\r\nX-User: ann\r\nConnection: close\r\n\r\n";
        let home = homing.send(bytes).served_by();
        let (home, other) = if home == "a" { (&a, &b) } else { (&b, &a) };
        homing.until("/metrics", |t| t.contains("homing_requests_in_flight{pool=\"app\"} 0\n"));
        [home, other].iter().for_each(|b| drop(b.take_requests()));
        [home, other].iter().for_each(|b| b.does(Does::Hold));
        let came = || [home, other].map(|b| b.requests().len());
        let address = homing.address;
        let waiting: Vec<_> = (1..=8)
            .map(|n| {
                let reply = std::thread::spawn(move || crate::harness::exchange(address, bytes.as_bytes()));
                until(|| came().iter().sum::<usize>() == n);
                reply
            })
            .collect();
        assert_eq!(came(), expected, "{max_load:?}");
        [home, other].iter().for_each(|b| b.does(Does::Answer));
        assert!(waiting.into_iter().all(|reply| reply.join().unwrap().status == 200));
        homing.until("/metrics", |t| t.contains("homing_requests_in_flight{pool=\"app\"} 0\n"));
        assert_eq!(homing.send(bytes).served_by(), home.name);
    }
}
