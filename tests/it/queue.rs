//! A full backend: its own sessions wait for it, the longest wait is served first, and nobody waits for ever.

use crate::harness::{Backend, Client, Does, Homing, backend, client_at, get, homing, until};

/// Two backends of which `a` serves one request at a time.
fn full(queue: &str) -> (Backend, Backend, Homing) {
    let (a, b) = (backend("a"), backend("b"));
    let backends = format!(
        "{queue}backends = [{{ name = \"a\", address = \"{}\", max_conns = 1 }}, {{ name = \"b\", address = \"{}\" }}]",
        a.address, b.address
    );
    let homing = homing(&[]).pool(&backends).cookie().run();
    (a, b, homing)
}

/// Clients of `a`, the first of which has it for itself until `a` answers.
fn occupied(a: &Backend, homing: &Homing, clients: usize) -> Vec<Client> {
    let clients: Vec<Client> = (0..clients).map(|_| client_at(homing, "a")).collect();
    a.does(Does::Hold);
    clients
}

fn request(mut client: Client, path: &'static str) -> std::thread::JoinHandle<crate::harness::Reply> {
    std::thread::spawn(move || client.get(path))
}

fn until_waiting(homing: &Homing, n: usize) {
    homing.until("/metrics", |text| {
        text.contains(&format!("homing_requests_waiting{{pool=\"app\",backend=\"a\"}} {n}\n"))
    });
}

#[test]
fn a_full_home_is_waited_for_in_turn() {
    let (a, b, homing) = full("");
    let mut clients = occupied(&a, &homing, 6);
    let (came, others) = (a.requests().len(), b.requests().len());
    let mut waiting = vec![request(clients.remove(0), "/0")];
    until(|| a.requests().len() == came + 1);
    // Several workers accept; who waits longest must be served first on whichever it is.
    for (n, path) in ["/1", "/2", "/3", "/4", "/5"].into_iter().enumerate() {
        waiting.push(request(clients.remove(0), path));
        until_waiting(&homing, n + 1);
    }
    a.does(Does::Answer);
    for reply in waiting {
        let reply = reply.join().unwrap();
        assert_eq!((reply.served_by(), reply.why()), ("a".to_owned(), "pinned".to_owned()));
    }
    let order: Vec<String> = a.requests()[came..]
        .iter()
        .map(|r| String::from_utf8_lossy(r).split(' ').nth(1).unwrap().to_owned())
        .collect();
    assert_eq!(order, ["/0", "/1", "/2", "/3", "/4", "/5"]);
    assert_eq!(b.requests().len(), others);
    until_waiting(&homing, 0);
    assert!(get(homing.admin, "/metrics").text().contains("homing_requests_queued_total{pool=\"app\"} 5"));
}

#[test]
fn who_has_waited_long_enough_or_finds_the_queue_full_moves() {
    let (a, _b, homing) = full("queue = { size = 1, timeout = \"500ms\" }\n");
    let mut clients = occupied(&a, &homing, 3);
    let came = a.requests().len();
    let first = request(clients.remove(0), "/");
    until(|| a.requests().len() == came + 1);
    let second = request(clients.remove(0), "/");
    until_waiting(&homing, 1);
    let third = clients.remove(0).get("/");
    assert_eq!((third.served_by(), third.why()), ("b".to_owned(), "full".to_owned()), "the queue is full");
    let second = second.join().unwrap();
    assert_eq!((second.served_by(), second.why()), ("b".to_owned(), "full".to_owned()), "its time is over");
    a.does(Does::Answer);
    assert_eq!(first.join().unwrap().served_by(), "a");
}

#[test]
fn who_is_sent_again_to_its_home_keeps_its_place() {
    let (a, b, homing) = full("");
    let mut clients = occupied(&a, &homing, 3);
    let (came, others) = (a.requests().len(), b.requests().len());
    let mut post = clients.remove(0);
    let post = std::thread::spawn(move || post.request("POST", "/"));
    until(|| a.requests().len() == came + 1);
    let waiting = [1, 2].map(|n| {
        let waiting = request(clients.remove(0), "/");
        until_waiting(&homing, n);
        waiting
    });
    // The first that waited is broken off; its second try must not find the backend full of who came after it.
    a.does(Does::CloseThenAnswer(2));
    assert_eq!(post.join().unwrap().status, 502);
    for reply in waiting {
        let reply = reply.join().unwrap();
        assert_eq!((reply.served_by(), reply.why()), ("a".to_owned(), "pinned".to_owned()));
    }
    assert_eq!(b.requests().len(), others);
}

#[test]
fn who_goes_away_leaves_the_queue() {
    let (a, _b, homing) = full("");
    let mut clients = occupied(&a, &homing, 2);
    let came = a.requests().len();
    let first = request(clients.remove(0), "/first");
    until(|| a.requests().len() == came + 1);
    let mut stream = crate::harness::open(homing.address);
    let keeps = clients.remove(0).bytes("GET", "/gone").replace("Connection: close\r\n", "");
    std::io::Write::write_all(&mut stream, keeps.as_bytes()).unwrap();
    until_waiting(&homing, 1);
    drop(stream);
    until_waiting(&homing, 0);
    a.does(Does::Answer);
    assert_eq!(first.join().unwrap().status, 200);
    assert_eq!(a.requests().len(), came + 1);
}

#[test]
fn a_new_session_goes_where_there_is_room_and_waits_where_there_is_none() {
    let a = backend("a");
    let one = format!("backends = [{{ name = \"a\", address = \"{}\", max_conns = 1 }}]", a.address);
    let homing = homing(&[]).pool(&one).cookie().run();
    a.does(Does::Hold);
    let first = request(homing.client(), "/");
    until(|| a.requests().len() == 1);
    let second = request(homing.client(), "/");
    until_waiting(&homing, 1);
    a.does(Does::Answer);
    assert_eq!([first, second].map(|r| r.join().unwrap().status), [200, 200]);
}

#[test]
fn a_tunnel_has_a_place_until_it_ends() {
    let (a, _b, homing) = full("");
    let mut clients: Vec<Client> = (0..2).map(|_| client_at(&homing, "a")).collect();
    a.does(Does::Echo(b""));
    let mut tunnel = crate::harness::open(homing.address);
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n";
    let bytes = clients.remove(0).bytes("GET", "/").replace("Connection: close\r\n", upgrade);
    std::io::Write::write_all(&mut tunnel, bytes.as_bytes()).unwrap();
    let reply = crate::harness::read_reply(&mut tunnel, &mut Vec::new(), false);
    assert_eq!(reply.status, 101);
    a.does(Does::Answer);
    let waiting = request(clients.remove(0), "/");
    until_waiting(&homing, 1);
    drop(tunnel);
    assert_eq!(waiting.join().unwrap().served_by(), "a");
}
