//! Another configuration in place of the present one, over the wire: whole or not at all, and nobody notices.

use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;

use rustix::process::Signal;
use serde_json::Value;
use socket2::{Domain, Socket, Type};

use crate::harness::http2::Http2;
use crate::harness::{
    Backend, Client, Does, Process, Reply, backend, exchange, get, homing, open, read_reply, until,
};

/// What the admin listener says of this backend of the first pool.
fn told(homing: &Process, backend: &str) -> Option<Value> {
    let pools: Value = serde_json::from_slice(&get(homing.admin, "/api/v1/pools").body).unwrap();
    let backends = pools["pools"][0]["backends"].as_array().unwrap().clone();
    backends.into_iter().find(|b| b["id"] == backend)
}

/// The configuration without this backend.
fn without(text: &str, backend: &Backend) -> String {
    let entry = format!("{{ name = \"{}\", address = \"{}\" }}", backend.name, backend.address);
    let shorter = text.replace(&format!(", {entry}"), "").replace(&format!("{entry}, "), "");
    assert_ne!(shorter, text);
    shorter
}

/// The configuration with one more listener: the socket `more.sock` beside it.
fn with_listener(homing: &Process, text: &str) -> String {
    let path = homing.file("more.sock");
    let listener = format!("[[listener]]\nname = \"more\"\nlisten = \"unix:{}\"\n[[pool]]", path.display());
    text.replacen("[[pool]]", &listener, 1)
}

#[test]
fn what_is_wrong_is_refused_as_a_whole() {
    let a = backend("a");
    let homing = homing(&[&a]).spawn();
    let good = homing.config();
    let half_wrong = with_listener(&homing, &good);
    for wrong in [
        half_wrong.replace("name = \"app\"", "name = \"app\"\nstrategy = \"fastest\""),
        good.replace("127.0.0.1", "127.0.0.1:"),
        "\u{0}".to_owned(),
        half_wrong.replace("unix:", "unix:/no/such/folder"),
    ] {
        let before = homing.reload(&good);
        assert_eq!(homing.reload(&wrong), (before.0, before.1 + 1), "{wrong}");
        assert_eq!(homing.metric("homing_config_last_reload_success"), Some(0.0));
        assert!(!homing.file("more.sock").exists(), "half of it is in force");
        assert_eq!(Client::new(homing.address).get("/").served_by(), "a");
    }
    homing.until_said("config.toml:");
    homing.reload(&good);
    assert_eq!(homing.metric("homing_config_last_reload_success"), Some(1.0));
}

#[test]
fn listeners_come_and_go_and_who_is_inside_is_served() {
    let a = backend("a");
    let homing = homing(&[&a]).spawn();
    let one = homing.config();
    let two = with_listener(&homing, &one);
    homing.reload(&two);
    let path = homing.file("more.sock");
    until(|| UnixStream::connect(&path).is_ok());
    let mut inside = UnixStream::connect(&path).unwrap();
    inside.write_all(b"GET /1 HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut held = Vec::new();
    assert_eq!(read_reply(&mut inside, &mut held, true).status, 200);
    homing.reload(&one);
    assert!(!path.exists());
    // It is told that this was its last one.
    inside.write_all(b"GET /2 HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let last = read_reply(&mut inside, &mut held, true);
    assert_eq!((last.status, last.field("connection").as_deref()), (200, Some("close")));
    assert_eq!(get(homing.address, "/").status, 200);
    // And there again, at once.
    homing.reload(&two);
    until(|| UnixStream::connect(&path).is_ok());
}

#[test]
fn who_came_by_http2_is_told_at_once_that_the_listener_is_gone() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("h2c = true\n").spawn();
    let mut idle = Http2::connect(homing.address);
    assert_eq!(idle.get("/").field("x-backend"), "a");
    let (there, elsewhere) =
        (format!("{:?}", homing.address.to_string()), format!("\"unix:{}\"", homing.file("s").display()));
    let other = homing.config().replacen(&there, &elsewhere, 1);
    assert_ne!(other, homing.config());
    homing.reload(&other);
    assert!(idle.ended_by_peer().is_ok(), "by a GOAWAY without an error");
}

#[test]
fn what_stays_keeps_its_connections_counters_and_health() {
    let [a, b] = [backend("a"), backend("b")];
    let health = "\n[pool.health]\npath = \"/\"\ninterval = \"100ms\"\nfall = 1\n";
    let homing = homing(&[&a, &b]).with(health).spawn();
    b.does(Does::Bytes(b"HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n".to_vec()));
    until(|| {
        told(&homing, "b").unwrap()["health"] == "down" && told(&homing, "a").unwrap()["health"] == "up"
    });
    b.does(Does::Hold); // No further verdict of it comes while the test lasts.
    let mut stream = open(homing.address);
    let ask = |stream: &mut std::net::TcpStream| {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        read_reply(stream, &mut Vec::new(), true)
    };
    (0..5).for_each(|_| assert_eq!(ask(&mut stream).served_by(), "a"));
    let count = || homing.metric("homing_upstream_requests_total{pool=\"app\",backend=\"a\"}").unwrap();
    let connects = || homing.metric("homing_upstream_connects_total{pool=\"app\",backend=\"a\"}").unwrap();
    let (requests, connected) = (count(), connects());
    assert!(requests >= 5.0);
    // The pool changes, and its backends are the same.
    homing.reload(&homing.config().replace("name = \"app\"\n", "name = \"app\"\nmax_fails = 7\n"));
    assert_eq!(told(&homing, "b").unwrap()["health"], "down", "known to be down");
    assert_eq!(ask(&mut stream).served_by(), "a");
    assert_eq!((count(), connects()), (requests + 1.0, connected), "the kept connection was used");
}

#[test]
fn a_backend_that_is_taken_out_keeps_its_sessions_and_leaves_when_they_have_ended() {
    let [a, b] = [backend("a"), backend("b")];
    let affinity = "\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\nidle = \"3s\"\nsecret = { file = \"cookie.key\" }\n";
    let homing = homing(&[&a, &b]).with(affinity).spawn();
    let mut client = Client::new(homing.address);
    until(|| {
        client = Client::new(homing.address);
        client.get("/").served_by() == "b"
    });
    let whole = homing.config();
    homing.reload(&without(&whole, &b));
    let leaving = told(&homing, "b").unwrap();
    assert_eq!((&leaving["leaving"], &leaving["state"]), (&Value::Bool(true), &"drain".into()));
    for _ in 0..3 {
        let reply = client.get("/");
        assert_eq!(reply.served_by(), "b");
        assert!(["pinned", "refreshed"].contains(&&*reply.why()), "{}", reply.why());
        assert_eq!(Client::new(homing.address).get("/").served_by(), "a", "a new session");
    }
    until(|| told(&homing, "b").is_none());
    homing.until_said("backend app/b has left");
    homing.reload(&whole);
    until(|| Client::new(homing.address).get("/").served_by() == "b");
}

/// Asks the admin listener for a change.
fn change(homing: &Process, path: &str, body: &str) -> Reply {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nX-Homing: 1\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    );
    exchange(homing.admin, (head + body).as_bytes())
}

/// A client whose home is `b`.
fn client_of_b(homing: &Process) -> Client {
    let mut client = Client::new(homing.address);
    until(|| {
        client = Client::new(homing.address);
        client.get("/").served_by() == "b"
    });
    client
}

/// Sets the state of `b`; the status of the answer.
fn set_b(homing: &Process, body: &str) -> u16 {
    change(homing, "/api/v1/pools/app/backends/b/state", body).status
}

#[test]
fn what_is_in_maintenance_is_not_used_again_when_it_is_taken_out() {
    let [a, b] = [backend("a"), backend("b")];
    let homing = homing(&[&a, &b]).cookie_with_key().spawn();
    let mut client = client_of_b(&homing);
    assert_eq!(set_b(&homing, r#"{"state": "maint"}"#), 200);
    let before = b.requests().len();
    homing.reload(&without(&homing.config(), &b));
    let reply = client.get("/");
    assert_eq!((&*reply.served_by(), &*reply.why()), ("a", "removed"));
    assert_eq!(b.requests().len(), before);
}

#[test]
fn a_drain_goes_on_by_its_own_times_when_its_backend_is_taken_out() {
    let [a, b] = [backend("a"), backend("b")];
    let homing = homing(&[&a, &b]).cookie_with_key().spawn();
    let mut client = client_of_b(&homing);
    assert_eq!(set_b(&homing, r#"{"state": "drain", "mode": "idle", "idle": "7m", "deadline": "9m"}"#), 200);
    let drain = told(&homing, "b").unwrap()["drain"].clone();
    homing.reload(&without(&homing.config(), &b));
    let leaves = |expected: &Value| {
        let it = told(&homing, "b").unwrap();
        assert_eq!((&it["leaving"], &it["drain"]["because"]), (&true.into(), &"removed".into()));
        for key in ["mode", "idle_s", "since", "deadline", "began_with"] {
            assert_eq!(it["drain"][key], expected[key], "{key}");
        }
    };
    leaves(&drain);
    // Whatever else changes.
    homing.reload(&homing.config().replace("name = \"app\"\n", "name = \"app\"\nmax_fails = 7\n"));
    leaves(&drain);
    assert_eq!(client.get("/").served_by(), "b");
    // Nobody new is sent there any more; it can only be made to leave sooner.
    assert_eq!(set_b(&homing, r#"{"state": "ready"}"#), 409);
    assert_eq!(set_b(&homing, r#"{"state": "drain", "deadline": "1h"}"#), 200);
    assert_eq!(told(&homing, "b").unwrap()["drain"]["deadline"], drain["deadline"]);
    assert_eq!(set_b(&homing, r#"{"state": "drain", "mode": "now"}"#), 200);
    let reply = client.get("/");
    assert!(["drained", "removed"].contains(&&*reply.why()), "{}", reply.why());
    assert_eq!(reply.served_by(), "a");
    until(|| told(&homing, "b").is_none());
}

#[test]
fn a_listener_that_went_may_come_back_at_once() {
    let a = backend("a");
    let homing = homing(&[&a]).spawn();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let one = homing.config();
    let listener = format!("[[listener]]\nname = \"more\"\nlisten = \"{address}\"\n[[pool]]");
    let two = one.replacen("[[pool]]", &listener, 1);
    for text in [&two, &one, &two, &one, &two] {
        let before = homing.reloads();
        assert_eq!(homing.reload(text), (before.0 + 1, before.1));
    }
    assert_eq!(get(address, "/").status, 200);
}

#[test]
fn a_port_that_is_taken_is_refused_without_a_wait_and_later_too() {
    let a = backend("a");
    let homing = homing(&[&a]).spawn();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listener =
        format!("[[listener]]\nname = \"more\"\nlisten = \"{}\"\n[[pool]]", taken.local_addr().unwrap());
    std::fs::write(homing.file("config.toml"), homing.config().replacen("[[pool]]", &listener, 1)).unwrap();
    let began = std::time::Instant::now();
    for _ in 0..10 {
        assert_eq!(change(&homing, "/api/v1/reload", "").status, 400);
    }
    // Once they waited for 2 s each, and everything that the control plane does with them.
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn nothing_is_reloaded_any_more_while_homing_stops() {
    let a = backend("a");
    let homing = homing(&[&a]).spawn();
    a.does(Does::Hold);
    let mut stream = open(homing.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    until(|| a.requests().len() == 1);
    homing.signal(Signal::TERM);
    until(|| std::net::TcpStream::connect(homing.address).is_err());
    std::fs::write(homing.file("config.toml"), with_listener(&homing, &homing.config())).unwrap();
    assert_eq!(change(&homing, "/api/v1/reload", "").status, 409);
    assert!(!homing.file("more.sock").exists(), "clients would wait there for nobody");
    a.does(Does::Answer);
    assert_eq!(read_reply(&mut stream, &mut Vec::new(), true).status, 200);
}

/// Whether nobody but homing, whose sockets share their port, has this one on any address.
fn is_free(port: u16) -> bool {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_reuse_address(true).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&SocketAddr::from(([0, 0, 0, 0], port)).into()).is_ok() && socket.listen(1).is_ok()
}

#[test]
fn a_listener_may_go_over_to_another_address_of_its_port() {
    let a = backend("a");
    // Another test may listen on the same port of another address of loopback, which takes it from who wants all.
    let homing = (0..20).map(|_| homing(&[&a]).spawn()).find(|homing| is_free(homing.address.port()));
    let homing = homing.unwrap();
    let own = homing.config();
    let listen = format!("listen = \"{}\"", homing.address);
    let every = own.replacen(&listen, &format!("listen = \"0.0.0.0:{}\"", homing.address.port()), 1);
    assert_ne!(own, every);
    for text in [&every, &own, &every] {
        let before = homing.reloads();
        assert_eq!(homing.reload(text), (before.0 + 1, before.1));
        assert_eq!(get(homing.address, "/").status, 200);
    }
}

#[test]
fn without_time_to_leave_sessions_move_at_once_and_once() {
    let [a, b] = [backend("a"), backend("b")];
    let homing = homing(&[&a, &b]).pool("leave = \"0s\"\n").cookie_with_key().spawn();
    let mut client = Client::new(homing.address);
    until(|| {
        client = Client::new(homing.address);
        client.get("/").served_by() == "b"
    });
    let whole = homing.config();
    homing.reload(&without(&whole, &b));
    let reply = client.get("/");
    assert_eq!((&*reply.served_by(), &*reply.why()), ("a", "removed"));
    homing.reload(&whole);
    let reply = client.get("/");
    assert_eq!((&*reply.served_by(), &*reply.why()), ("a", "pinned"));
}

#[test]
fn learned_sessions_outlive_their_pool() {
    let [a, b] = [backend("a"), backend("b")];
    let learn = "\n[pool.affinity]\nmode = \"learn\"\ncreate = [\"cookie:sid\"]\ntable = { file = \"app.sessions\", interval = \"1h\" }\n";
    let homing = homing(&[&a, &b]).with(learn).spawn();
    for it in [&a, &b] {
        let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {}\r\nSet-Cookie: sid=of-{0}\r\n", it.name);
        it.does(Does::Bytes(format!("{head}Content-Length: 0\r\n\r\n").into_bytes()));
    }
    until(|| {
        Client::new(homing.address).get("/");
        ["a", "b"].iter().all(|name| told(&homing, name).unwrap()["sessions"] != 0)
    });
    let whole = homing.config();
    homing.reload(&whole.replace("name = \"app\"", "name = \"other\"").replace(learn, ""));
    homing.reload(&whole);
    for name in ["a", "b"] {
        let mut client = Client::new(homing.address);
        client.set("sid", &format!("of-{name}"));
        let reply = client.get("/");
        assert_eq!((&*reply.served_by(), &*reply.why()), (name, "pinned"));
    }
}

#[test]
fn a_pipe_among_the_files_does_not_stop_the_control_plane() {
    let a = backend("a");
    let mut homing = homing(&[&a]).spawn();
    let made = std::process::Command::new("mkfifo").arg(homing.file("more.toml")).status().unwrap();
    assert!(made.success());
    let before = homing.reloads();
    let text = format!("include = [\"more.toml\"]\n{}", homing.config());
    assert_eq!(homing.reload(&text), (before.0, before.1 + 1));
    homing.until_said("it is not a file");
    homing.signal(Signal::TERM);
    homing.ends();
}

#[test]
fn learned_sessions_outlive_the_program_and_a_broken_file_is_set_aside() {
    let [a, b] = [backend("a"), backend("b")];
    let learn = "\n[pool.affinity]\nmode = \"learn\"\ncreate = [\"cookie:sid\"]\ntable = { file = \"app.sessions\", interval = \"1s\" }\n";
    let mut homing = homing(&[&a, &b]).with(learn).spawn();
    for it in [&a, &b] {
        let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {}\r\nSet-Cookie: sid=of-{0}\r\n", it.name);
        it.does(Does::Bytes(format!("{head}Content-Length: 0\r\n\r\n").into_bytes()));
    }
    until(|| {
        ["a", "b"].iter().all(|name| told(&homing, name).unwrap()["sessions"] == 1) || {
            Client::new(homing.address).get("/");
            false
        }
    });
    let finds = |homing: &Process| {
        for name in ["a", "b"] {
            let mut client = Client::new(homing.address);
            client.set("sid", &format!("of-{name}"));
            let reply = client.get("/");
            assert_eq!((&*reply.served_by(), &*reply.why()), (name, "pinned"));
        }
    };
    finds(&homing);
    // At an orderly end everything is written down.
    homing.signal(Signal::TERM);
    homing.ends();
    homing.start_again();
    finds(&homing);
    assert_eq!(told(&homing, "a").unwrap()["sessions"], 1, "what was restored is counted");
    let snapshots = |homing: &Process, result: &str| {
        homing
            .metric(&format!("homing_session_snapshots_total{{pool=\"app\",result=\"{result}\"}}"))
            .unwrap_or(0.0)
    };
    assert_eq!(snapshots(&homing, "restored"), 1.0);
    // At any other, what was written down last.
    until(|| snapshots(&homing, "written") > 0.0);
    homing.kill();
    homing.start_again();
    finds(&homing);
    homing.kill();
    let path = homing.file("app.sessions");
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&path, bytes).unwrap();
    homing.start_again();
    assert_eq!(snapshots(&homing, "corrupt"), 1.0);
    let mut client = Client::new(homing.address);
    client.set("sid", "of-a");
    assert_eq!(client.get("/").why(), "unknown", "nothing of it is believed");
    let files = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let aside =
        files.filter(|f| f.as_ref().unwrap().file_name().to_string_lossy().contains("app.sessions.corrupt-"));
    assert_eq!(aside.count(), 1);
}

#[test]
fn a_backend_asks_for_a_drain_and_a_weight_by_its_checks() {
    let [a, b] = [backend("a"), backend("b")];
    let health = "\n[pool.health]\npath = \"/\"\ninterval = \"50ms\"\n";
    let homing = homing(&[&a, &b]).with(health).spawn();
    let says = |state: &str| {
        let head = format!(
            "HTTP/1.1 200 OK\r\nX-Backend: b\r\nX-Homing-State: {state}\r\nContent-Length: 0\r\n\r\n"
        );
        b.does(Does::Bytes(head.into_bytes()));
    };
    says("drain");
    until(|| told(&homing, "b").unwrap()["state"] == "drain");
    assert_eq!(told(&homing, "b").unwrap()["drain"]["because"], "health");
    says("ready, weight=7");
    until(|| told(&homing, "b").unwrap()["weight"] == 7 && told(&homing, "b").unwrap()["state"] == "up");
    assert_eq!(told(&homing, "b").unwrap()["overrides"]["weight"]["covers"], 1);
    // What the configuration says of it changes: the weight that it asks for stands in for the new one at its next check.
    let entry = format!("name = \"b\", address = \"{}\"", b.address);
    homing.reload(&homing.config().replace(&entry, &format!("{entry}, weight = 3")));
    until(|| told(&homing, "b").unwrap()["overrides"]["weight"]["covers"] == 3);
    b.does(Does::Answer);
    until(|| {
        told(&homing, "b").unwrap()["weight"] == 3
            && told(&homing, "b").unwrap()["overrides"]["weight"].is_null()
    });
    says("maint");
    until(|| told(&homing, "b").unwrap()["health"] == "down");
}

#[test]
fn what_an_operator_set_stays_until_the_configuration_says_something_else() {
    let [a, b] = [backend("a"), backend("b")];
    let homing = homing(&[&a, &b]).spawn();
    let whole = homing.config();
    let set = |what: &str, body: &str| {
        let path = format!("/api/v1/pools/app/backends/b/{what}");
        let fields = "Host: 127.0.0.1\r\nX-Homing: 1\r\nConnection: close\r\n";
        let length = body.len();
        let request = format!("POST {path} HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
        assert_eq!(exchange(homing.admin, request.as_bytes()).status, 200, "{what} {body}");
    };
    let b_is = || told(&homing, "b").unwrap();
    set("state", r#"{"state": "drain", "deadline": "1h"}"#);
    set("weight", r#"{"weight": 5}"#);
    let drain = b_is()["drain"].clone();
    assert_eq!((&b_is()["admin"], &b_is()["weight"]), (&"drain".into(), &5.into()));
    // Another pool than before, with the same backends.
    homing.reload(&whole.replace("name = \"app\"\n", "name = \"app\"\nmax_fails = 7\n"));
    assert_eq!((&b_is()["admin"], &b_is()["weight"]), (&"drain".into(), &5.into()));
    assert_eq!(b_is()["drain"]["deadline"], drain["deadline"], "it does not begin anew");
    let overrides = b_is()["overrides"].clone();
    assert_eq!((&overrides["state"]["covers"], &overrides["weight"]["covers"]), (&"ready".into(), &1.into()));
    // The file says something of the backend now.
    let entry = format!("name = \"b\", address = \"{}\"", b.address);
    homing.reload(&whole.replace(&entry, &format!("{entry}, weight = 2")));
    assert_eq!((&b_is()["admin"], &b_is()["weight"]), (&"drain".into(), &2.into()));
    homing.reload(&whole.replace(&entry, &format!("{entry}, state = \"maint\"")));
    assert_eq!((&b_is()["admin"], &b_is()["overrides"]["state"]), (&"maint".into(), &Value::Null));
    homing.until_said("gives way to the configuration");
}
