//! The admin listener's API: who may, what it does, what it says to what is wrong.

use std::io::Read as _;
use std::io::Write as _;

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::harness::websocket::{Peer, TEXT, connect};
use crate::harness::{
    Backend, Client, Does, Homing, Reply, backend, client_at, exchange, get, homing, open, post, until,
};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
const AT_A: &str = "/api/v1/pools/app/backends/a";

/// A homing with a token over `a` and `b`, and the folder of its file.
fn with_token(backends: &[&Backend]) -> (Homing, tempfile::TempDir) {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("admin.token");
    std::fs::write(&file, format!("{TOKEN}\n")).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let key = format!("[admin]\ntoken = {{ file = {:?} }}\n", file.display().to_string());
    (homing(backends).cookie().run_edited(|text| text.replacen("[admin]\n", &key, 1)), folder)
}

/// A request to the admin listener with these fields, each with its line's end, and this body.
fn ask(homing: &Homing, line: &str, fields: &str, body: &str) -> Reply {
    let length = if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
    exchange(homing.admin, format!("{line} HTTP/1.1\r\n{fields}{length}\r\n{body}").as_bytes())
}

#[test]
fn who_may_read_and_who_may_change() {
    let (a, b) = (backend("a"), backend("b"));
    let open = homing(&[&a, &b]).run();
    let (closed, _folder) = with_token(&[&a, &b]);
    let (read, change) = ("GET /api/v1/state", "POST /api/v1/pools/app/backends/a/weight");
    // A proxy speaks for somebody: it is not this machine that asks.
    let here = |homing: &Homing| format!("Host: {}\r\n", homing.admin);
    let there = "Host: localhost\r\nX-Forwarded-For: 192.0.2.1\r\n".to_owned();
    let (marked, right) = ("X-Homing: 1\r\n", format!("Authorization: Bearer {TOKEN}\r\n"));
    let wrong = format!("Authorization: Bearer {}\r\n", TOKEN.replace('0', "1"));
    for (homing, line, fields, status, reason) in [
        (&open, read, here(&open), 200, ""),
        (&open, read, there.clone(), 200, ""),
        (&open, change, here(&open), 403, "not_marked"),
        (&open, change, there.clone() + marked, 403, "not_local"),
        (&open, change, "Host: evil.example\r\n".to_owned() + marked, 403, "not_local"),
        // Marked, from here, to here: what is wrong is that it has no body.
        (&open, change, here(&open) + marked, 400, "wrong"),
        (&closed, read, here(&closed), 200, ""),
        (&closed, read, there.clone(), 401, "token_missing"),
        (&closed, read, there.clone() + &wrong, 401, "token_wrong"),
        (&closed, read, there.clone() + &right, 200, ""),
        (&closed, change, here(&closed) + marked, 400, "wrong"),
        (&closed, change, there.clone() + marked, 401, "token_missing"),
        (&closed, change, there.clone() + marked + &wrong, 401, "token_wrong"),
        (&closed, change, there.clone() + &right, 403, "not_marked"),
        (&closed, change, there.clone() + marked + &right, 400, "wrong"),
        (&closed, change, "Host: evil.example\r\n".to_owned() + marked + &right, 400, "wrong"),
    ] {
        let reply = ask(homing, line, &fields, "");
        assert_eq!(reply.status, status, "{line} {fields}");
        assert_eq!(reply.json()["reason"].as_str().unwrap_or_default(), reason, "{line} {fields}");
        assert_eq!(reply.field("www-authenticate").is_some(), status == 401);
        assert!(reply.fields("access-control-allow-origin").is_empty());
    }
    // Load balancers and browsers carry no token; and say nothing that has to be kept.
    for path in ["/", "/healthz", "/readyz", "/api/v1/openapi.json"] {
        assert_eq!(ask(&closed, &format!("GET {path}"), &there, "").status, 200, "{path}");
    }
    assert_eq!(ask(&closed, "GET /metrics", &there, "").status, 401);
}

#[test]
fn other_methods_are_refused_with_those_that_are_allowed() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (line, allowed) in [
        ("OPTIONS /api/v1/state", "GET, HEAD"),
        ("OPTIONS /api/v1/reload", "POST"),
        ("POST /api/v1/pools", "GET, HEAD"),
        ("DELETE /", "GET, HEAD"),
        ("GET /api/v1/pools/app/backends/a/state", "POST"),
        ("PUT /api/v1/pools/app/sessions/end", "POST"),
    ] {
        let reply =
            ask(&homing, line, "Host: localhost\r\nX-Homing: 1\r\nOrigin: http://evil.example\r\n", "");
        assert_eq!((reply.status, reply.field("allow").as_deref()), (405, Some(allowed)), "{line}");
    }
}

#[test]
fn what_is_wrong_with_a_body_is_said() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (path, body, status, said) in [
        ("state", "", 400, "the body is empty: send JSON, as in {\"state\": \"drain\""),
        ("state", "state=drain", 400, "the body is not JSON: expected value at line 1 column 1"),
        ("state", "{\"state\": \"dran\"}", 400, "must be one of ready, drain, maint, configured"),
        ("state", "{\"state\": \"drain\", \"deadline\": \"10\"}", 400, "needs a unit, as in \"10s\""),
        (
            "state",
            "{\"state\": \"drain\", \"until\": \"10m\"}",
            400,
            "unknown key \"until\"; there are: state, mode",
        ),
        ("weight", "{\"weight\": 70000}", 400, "must be a whole number from 0 to 65535"),
        ("weight", &"x".repeat(16 * 1024 + 1), 413, "the body is larger than 16384 bytes"),
    ] {
        let reply = homing.post(&format!("{AT_A}/{path}"), body);
        let error = reply.json()["error"].as_str().unwrap().to_owned();
        assert!(reply.status == status && error.contains(said), "{body:.40}: {} {error}", reply.status);
    }
    for (path, said) in [
        ("/api/v1/pools/app/backends/x/state", "no backend \"x\" in pool \"app\"; there are: a"),
        ("/api/v1/pools/x/backends/a/state", "no pool \"x\"; there are: app"),
        ("/api/v1/pools/app/sessions/end", "keeps no table of its sessions"),
    ] {
        let body = if path.ends_with("end") { "{\"id\": \"1\"}" } else { "{\"state\": \"ready\"}" };
        let reply = homing.post(path, body);
        assert_eq!(reply.status, 404, "{path}");
        assert!(reply.json()["error"].as_str().unwrap().contains(said), "{path}: {}", reply.text());
    }
}

#[test]
fn a_drain_goes_on_until_it_is_safe_to_stop() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let mut client = client_at(&homing, "a");
    let safe = || get(homing.admin, &format!("{AT_A}/safe-to-stop"));

    let before = safe();
    assert_eq!((before.status, &before.json()["closed"]), (409, &json!(false)));
    assert_eq!(before.json()["why"], "it takes new sessions: drain it first");

    let drain = r#"{"state": "drain", "deadline": "10m"}"#;
    let told = homing.post(&format!("{AT_A}/state"), drain);
    assert_eq!(told.status, 200);
    let told = told.json();
    assert_eq!(
        (&told["admin"], &told["state"], &told["drain"]["mode"]),
        (&json!("drain"), &json!("drain"), &json!("keep"))
    );
    assert_eq!(told["overrides"]["state"]["value"], "drain");
    let (since, deadline) =
        (told["drain"]["since"].as_u64().unwrap(), told["drain"]["deadline"].as_u64().unwrap());
    assert_eq!(deadline - since, 600);
    assert_eq!(client.get("/").served_by(), "a", "who is there stays");
    let meanwhile = safe();
    assert_eq!((meanwhile.status, &meanwhile.json()["closed"]), (409, &json!(true)));
    assert_eq!(
        (&meanwhile.json()["sessions"], &meanwhile.json()["deadline"]),
        (&told["sessions"], &json!(deadline))
    );

    assert_eq!(homing.post(&format!("{AT_A}/state"), r#"{"state": "drain", "mode": "now"}"#).status, 200);
    assert_eq!(client.get("/").served_by(), "b", "who is there moves");
    let now = safe();
    assert_eq!((now.status, &now.json()["safe"]), (200, &json!(true)), "{}", now.text());

    assert_eq!(homing.post(&format!("{AT_A}/state"), r#"{"state": "ready"}"#).json()["state"], "unknown");
    assert_eq!(homing.post(&format!("{AT_A}/state"), r#"{"state": "maint"}"#).json()["state"], "maint");
    assert_eq!(
        homing.post(&format!("{AT_A}/state"), r#"{"state": "configured"}"#).json()["overrides"]["state"],
        Value::Null
    );
    let events = homing.told("/api/v1/state")["events"].clone();
    let texts: Vec<_> = events.as_array().unwrap().iter().filter_map(|e| e["text"].as_str()).collect();
    assert!(texts.contains(&"backend app/a: drain (keep, at most 10m)"), "{texts:?}");
}

#[test]
fn a_drain_keeps_its_sessions_and_sockets_until_its_deadline_and_none_of_them_after_it() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie_with_key().spawn();
    [&a, &b].iter().for_each(|backend| backend.does(Does::Serve));
    // Of each backend a session, and a WebSocket of that session.
    let [(mut client, mut socket), (mut neighbour, mut its_socket)] = ["a", "b"].map(|home| {
        let mut client = Client::new(homing.address);
        while client.get("/").served_by() != home {
            client = Client::new(homing.address);
        }
        let pin = format!("Cookie: srv={}\r\n", client.cookie("srv").unwrap());
        (client, connect(homing.address, "/", &pin))
    });
    let found = |client: &mut Client| {
        let reply = client.get("/");
        (reply.served_by(), reply.why())
    };
    let is = |home: &str, why: &str| (home.to_owned(), why.to_owned());
    let echoes = |socket: &mut Peer| {
        socket.send(TEXT, b"still here?");
        let frame = socket.receive().expect("ended without a word");
        assert_eq!((frame.first, frame.payload.as_slice()), (TEXT, &b"still here?"[..]));
    };
    let drain = |deadline: &str| {
        let body = format!(r#"{{"state": "drain", "deadline": "{deadline}"}}"#);
        let told = post(homing.admin, &format!("{AT_A}/state"), &body);
        assert_eq!(told.status, 200, "{}", told.text());
        told.json()["drain"]["deadline"].as_u64().unwrap()
    };
    // A deadline is no reason to go while it is far.
    drain("10m");
    assert_eq!(found(&mut client), is("a", "pinned"));
    echoes(&mut socket);

    let deadline = drain("1s");
    let mut last = is("", "");
    until(|| {
        last = found(&mut client);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        assert!(now >= deadline || last == is("a", "pinned"), "{last:?}, and it is not over");
        last != is("a", "pinned")
    });
    assert_eq!(last, is("b", "drained"));
    let frame = socket.receive().expect("ended without a word");
    assert!(frame.closes_with(1001), "{frame:?}");

    assert_eq!(found(&mut client), is("b", "pinned"), "it moves once");
    assert_eq!(found(&mut neighbour), is("b", "pinned"));
    echoes(&mut its_socket);
}

#[test]
fn what_is_in_flight_is_waited_for() {
    let a = backend("a");
    a.does(Does::Hold);
    let homing = homing(&[&a]).run();
    let mut held = open(homing.address);
    held.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    homing.until(AT_A, |text| text.contains("\"in_flight\":1"));
    assert_eq!(homing.post(&format!("{AT_A}/state"), r#"{"state": "drain"}"#).status, 200);
    let safe = get(homing.admin, &format!("{AT_A}/safe-to-stop"));
    assert_eq!((safe.status, &safe.json()["why"]), (409, &json!("1 request")));
    a.does(Does::Answer);
    homing.until(&format!("{AT_A}/safe-to-stop"), |text| text.contains("\"safe\":true"));
}

#[test]
fn a_session_is_found_listed_moved_and_ended() {
    let (a, b) = (backend("a"), backend("b"));
    let learn = "\n[pool.affinity]\nmode = \"learn\"\ncreate = [\"cookie:sid\"]\nlookup = [\"cookie:sid\"]\n";
    let homing = homing(&[&a, &b]).with(learn).run();
    for (backend, id) in [(&a, "of-a"), (&b, "of-b")] {
        backend.answers(format!(
            "HTTP/1.1 200 OK\r\nX-Backend: {}\r\nSet-Cookie: sid={id}\r\nContent-Length: 0\r\n\r\n",
            backend.name
        ));
    }
    let mut client = client_at(&homing, "a");
    let sessions = |rest: &str| format!("/api/v1/pools/app/sessions{rest}");
    let sessions_of_a = || homing.told(AT_A)["sessions"].as_u64().unwrap();

    let found = homing.post(&sessions("/find"), r#"{"id": "of-a"}"#).json();
    assert_eq!(found["backend"], "a", "{found}");
    let name = found["name"].as_str().unwrap();
    assert!(!name.contains("of-a"), "a name tells no id");
    let listed = homing.told(&sessions("?backend=a"));
    assert_eq!((&listed["sessions"][0]["name"], &listed["sessions"][1]), (&json!(name), &Value::Null));
    assert_eq!(sessions_of_a(), 1);

    [&a, &b].iter().for_each(|backend| backend.does(Does::Answer));
    let moved = homing.post(&sessions("/move"), &format!(r#"{{"name": {name:?}, "to": "b"}}"#));
    assert_eq!((moved.status, &moved.json()["backend"]), (200, &json!("b")));
    assert_eq!((client.get("/").served_by().as_str(), sessions_of_a()), ("b", 0));

    assert_eq!(homing.post(&sessions("/end"), r#"{"id": "of-a"}"#).status, 200);
    assert_eq!(homing.post(&sessions("/find"), r#"{"id": "of-a"}"#).status, 404);
    let events = homing.told("/api/v1/state")["events"].to_string();
    assert!(events.contains(&format!("session {name} of pool app: moved from a to b")), "{events}");
    assert!(!events.contains("of-a"), "ids are secrets: {events}");
}

#[test]
fn safe_to_stop_asks_the_other_nodes_too() {
    let (a, b) = (backend("a"), backend("b"));
    let (other, _folder) = with_token(&[&a, &b]);
    let token =
        format!("token = {{ file = {:?} }}\n", _folder.path().join("admin.token").display().to_string());
    let peers = |list: &str| format!("[admin]\npeers = [{list}]\n{token}");
    let url = format!("http://{}", other.admin);
    let setup = || homing(&[&a, &b]).cookie();
    let one = setup().run_edited(|t| t.replacen("[admin]\n", &peers(&format!("{url:?}")), 1));
    let path = format!("{AT_A}/safe-to-stop");
    let drain = r#"{"state": "drain"}"#;

    let client = client_at(&other, "a");
    drop(client);
    assert_eq!(one.post(&format!("{AT_A}/state"), drain).status, 200);
    let told = get(one.admin, &path);
    assert_eq!(told.status, 409, "nothing is left here, but the other node sends sessions there");
    let told = told.json();
    assert_eq!((&told["nodes"][0]["safe"], &told["nodes"][1]["safe"]), (&json!(true), &json!(false)));
    assert_eq!((&told["nodes"][1]["node"], &told["sessions"]), (&json!(url), &told["nodes"][1]["sessions"]));
    assert!(told["sessions"].as_u64().unwrap() > 0 && told["why"].as_str().unwrap().contains(&url), "{told}");
    assert_eq!(get(one.admin, &format!("{path}?scope=node")).status, 200, "this node alone is asked");

    assert_eq!(other.post(&format!("{AT_A}/state"), r#"{"state": "drain", "mode": "now"}"#).status, 200);
    one.until(&path, |text| text.contains("\"safe\":true"));

    drop(other);
    let gone = get(one.admin, &path);
    assert_eq!(gone.status, 409, "a node that does not answer may be sending sessions there");
    let error = gone.json()["nodes"][1]["error"].as_str().unwrap().to_owned();
    assert!(
        error.starts_with("connect: ") && gone.json()["why"].as_str().unwrap().starts_with(&url),
        "{error}"
    );
}

#[test]
fn a_peer_is_shown_the_token_and_must_know_the_backend() {
    let peer = backend("peer");
    peer.answers("HTTP/1.1 404 Not Found\r\nContent-Length: 40\r\n\r\n{\"error\":\"no pool app\",\"reason\":\"unknown\"");
    let a = backend("a");
    let (folder, url) = (tempfile::tempdir().unwrap(), format!("http://{}", peer.address));
    let file = folder.path().join("t");
    std::fs::write(&file, TOKEN).unwrap();
    let keys = format!("[admin]\npeers = [{url:?}]\ntoken = {{ file = {:?} }}\n", file.display().to_string());
    let homing = homing(&[&a]).run_edited(|text| text.replacen("[admin]\n", &keys, 1));
    assert_eq!(homing.post(&format!("{AT_A}/state"), r#"{"state": "drain"}"#).status, 200);
    let told = get(homing.admin, &format!("{AT_A}/safe-to-stop"));
    assert_eq!(told.status, 409);
    assert!(told.json()["nodes"][1]["error"].as_str().unwrap().starts_with("status 404"), "{}", told.text());
    let asked = peer.last();
    assert!(asked.starts_with(&format!("GET {AT_A}/safe-to-stop?scope=node HTTP/1.1\r\n")), "{asked}");
    assert!(asked.contains(&format!("uthorization: Bearer {TOKEN}\r\n")), "{asked}");
}

#[test]
fn events_are_told_to_who_listens() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).run();
    let mut stream = open(homing.admin);
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut read = String::new();
    let mut until_read = |text: &str| {
        while !read.contains(text) {
            let mut piece = [0; 8192];
            let n = stream.read(&mut piece).unwrap();
            assert!(n > 0, "{text} did not come:\n{read}");
            read.push_str(&String::from_utf8_lossy(&piece[..n]));
        }
    };
    until_read("event: state\ndata: {");
    assert_eq!(homing.post(&format!("{AT_A}/state"), r#"{"state": "maint"}"#).status, 200);
    until_read("event: event\nid: ");
    until_read("backend app/a: maint");
    until_read("\"state\":\"maint\"");
}

#[test]
fn the_state_counts_requests_and_how_fast_they_were() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let mut client = homing.client();
    let pool = || homing.told("/api/v1/state")["pools"][0].clone();
    assert_eq!((&pool()["p50_ms"], &pool()["requests_total"]), (&Value::Null, &json!(0)));
    (0..5).for_each(|_| assert_eq!(client.get("/").status, 200));
    homing.until("/api/v1/state", |text| text.contains("\"requests_total\":5"));
    let pool = pool();
    assert!(pool["rps"].as_f64().unwrap() > 0.0, "{pool}");
    assert!(pool["p50_ms"].as_f64().unwrap() <= pool["p99_ms"].as_f64().unwrap(), "{pool}");
    let affinity = &pool["affinity"];
    assert_eq!(
        (&affinity["results"]["new"], &affinity["results"]["hit"]),
        (&json!(1), &json!(4)),
        "{affinity}"
    );
    assert_eq!((&affinity["reasons"]["pinned"], &affinity["mode"]), (&json!(4), &json!("cookie")));
}
