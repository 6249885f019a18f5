//! A crash moves only that backend's sessions, once; nothing is sent twice that must not be.

use std::io::Write;

use homing::config::Environment;

use crate::harness::{Backend, Client, Does, backend, client_at, get, homing, open, read_reply, until};

fn three() -> [Backend; 3] {
    [backend("a"), backend("b"), backend("c")]
}

#[test]
fn a_crash_moves_its_sessions_once_and_no_others() {
    let mut backends = three();
    let homing = homing(&[&backends[0], &backends[1], &backends[2]]).cookie().run();
    let mut clients: Vec<Client> = (0..30).map(|_| homing.client()).collect();
    let before: Vec<String> = clients.iter_mut().map(|c| c.get("/").served_by()).collect();
    backends[1].crash();
    let after: Vec<String> = clients.iter_mut().map(|c| c.get("/").served_by()).collect();
    for (was, is) in before.iter().zip(&after) {
        assert!(was == is && was != "b" || was == "b" && is != "b", "{was} -> {is}");
    }
    let spread = |name: &str| before.iter().zip(&after).filter(|(w, i)| *w == "b" && *i == name).count();
    assert!(spread("a") > 0 && spread("c") > 0, "the lost sessions are spread over the others");
    backends[1].revive();
    let later: Vec<String> = clients.iter_mut().map(|c| c.get("/").served_by()).collect();
    assert_eq!(after, later, "nobody returns by itself");
    let whys: Vec<String> = clients.iter_mut().map(|c| c.get("/").why()).collect();
    assert!(whys.iter().all(|w| w == "pinned"), "{whys:?}");
}

#[test]
fn every_node_makes_the_same_second_choice() {
    let mut backends = three();
    let environment = Environment::detect().unwrap();
    let [one, two] =
        [[0, 1, 2], [2, 0, 1]].map(|o| homing(&o.map(|i| &backends[i])).cookie().run_with(&environment));
    let mut clients: Vec<Client> = (0..8).map(|_| client_at(&one, "b")).collect();
    backends[1].crash();
    for client in &mut clients {
        let elsewhere = client.at(two.address).get("/").served_by();
        assert_eq!(client.get("/").served_by(), elsewhere);
    }
}

#[test]
fn a_refused_connection_is_served_elsewhere_at_once() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let mut client = client_at(&homing, "a");
    a.crash();
    let reply = client.request("POST", "/");
    assert_eq!(
        (reply.status, reply.served_by(), reply.why()),
        (200, "b".to_owned(), "unreachable".to_owned())
    );
    assert!(reply.field("set-cookie").is_some(), "the new pin goes with the answer");
    assert_eq!(client.get("/").why(), "pinned");
}

#[test]
fn nobody_there_is_a_503_or_502_with_its_reason_and_keeps_the_pin() {
    let mut a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    let mut client = client_at(&homing, "a");
    a.crash();
    let reply = client.get("/");
    assert_eq!(reply.status, 502, "{}", reply.text());
    assert!(reply.text().contains("(backend_connect)"), "{}", reply.text());
    assert_eq!(reply.field("set-cookie"), None);
    a.revive();
    assert_eq!(client.get("/").served_by(), "a");
}

#[test]
fn a_post_that_was_sent_is_never_sent_again() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).run();
    [&a, &b].iter().for_each(|x| x.does(Does::Close));
    let reply = homing.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains("(backend_closed)"), "{}", reply.text());
    assert_eq!(a.requests().len() + b.requests().len(), 1);
}

#[test]
fn a_get_whose_backend_breaks_before_it_answers_is_served_elsewhere() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let mut client = client_at(&homing, "a");
    a.does(Does::Close);
    let reply = client.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), "unreachable".to_owned()));
}

#[test]
fn a_small_put_whose_body_came_later_is_sent_again() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let client = client_at(&homing, "a");
    a.hang_up();
    let (opened, n) = (a.opened(), 1000);
    a.does(Does::Close);
    let head = client.bytes("PUT", "/").replace("\r\n\r\n", &format!("\r\nContent-Length: {n}\r\n\r\n"));
    let mut stream = open(homing.address);
    stream.write_all(head.as_bytes()).unwrap();
    until(|| a.opened() > opened);
    stream.write_all(&vec![b'x'; n]).unwrap();
    let reply = read_reply(&mut stream, &mut Vec::new(), true);
    assert_eq!((reply.status, reply.served_by()), (200, "b".to_owned()));
    assert!(b.requests().pop().unwrap().ends_with(&[b"\r\n\r\n", &*vec![b'x'; n]].concat()));
}

#[test]
fn a_kept_connection_that_ended_is_no_error() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    let mut client = homing.client();
    for method in ["GET", "POST", "POST", "GET"] {
        client.get("/");
        let ended = a.ended();
        a.hang_up();
        until(|| a.ended() > ended);
        let before = a.requests().len();
        assert_eq!(client.request(method, "/").status, 200, "{method}");
        assert_eq!(a.requests().len(), before + 1, "{method} is delivered once");
    }
}

#[test]
fn a_full_backend_is_passed_over_and_all_full_is_a_503() {
    let a = backend("a");
    let backends = format!("backends = [{{ address = \"{}\", max_conns = 1 }}]", a.address);
    let homing = homing(&[]).pool(&backends).pool("\nqueue = { size = 0 }").run();
    a.does(Does::Hold);
    let address = homing.address;
    let first = std::thread::spawn(move || crate::harness::get(address, "/"));
    until(|| a.requests().len() == 1);
    let second = homing.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(second.status, 503);
    assert!(second.text().contains("(full)"), "{}", second.text());
    a.does(Does::Answer);
    assert_eq!(first.join().unwrap().status, 200);
    // Its place is free again, if not in the very moment in which its answer arrives.
    until(|| homing.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n").status == 200);
}

#[test]
fn active_checks_close_and_open_a_backend() {
    let (a, b) = (backend("a"), backend("b"));
    let checks = "\n[pool.health]\npath = \"/ok\"\ninterval = \"20ms\"\ntimeout = \"2s\"\nrise = 1\nfall = 2\njitter = 0\n";
    let homing = homing(&[&a, &b]).cookie().with(checks).run();
    let mut client = client_at(&homing, "a");
    a.answers("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n");
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"down\""));
    let reply = client.get("/");
    assert_eq!((reply.served_by(), reply.why()), ("b".to_owned(), "down".to_owned()));
    a.does(Does::Answer);
    homing.until("/api/v1/pools", |text| !text.contains("\"health\":\"down\""));
    assert_eq!(client.get("/").served_by(), "b", "a session does not return by itself");
}

#[test]
fn failures_of_requests_close_a_backend_to_new_sessions_only() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let mut pinned = client_at(&homing, "a");
    a.does(Does::Close);
    // Each worker has its own turn, so it may take some new sessions until one meets the backend that fails.
    until(|| {
        homing.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
        get(homing.admin, "/api/v1/pools").text().contains("\"ejected\":true")
    });
    a.does(Does::Answer);
    let news: Vec<String> = (0..6).map(|_| homing.client().get("/").served_by()).collect();
    assert!(news.iter().all(|n| n == "b"), "{news:?}");
    assert_eq!(pinned.get("/").served_by(), "a", "pins are honoured");
}
