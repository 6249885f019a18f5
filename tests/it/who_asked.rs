//! Who asked, for what, and what the request is called: as homing tells it to backends, to clients and to its log.

use std::collections::BTreeSet;
use std::io::Write as _;

use crate::harness::{Backend, Does, Homing, Reply, backend, homing, until};

const TRUSTED: &str = "trusted_proxies = [\"127.0.0.1\", \"10.0.0.0/8\"]\n";

fn get(homing: &Homing, fields: &str) -> Reply {
    homing.send(format!("GET / HTTP/1.1\r\nHost: t:80\r\n{fields}Connection: close\r\n\r\n"))
}

/// The lines of the last request that begin so.
fn told(a: &Backend, start: &str) -> Vec<String> {
    a.last().lines().filter(|l| l.starts_with(start)).map(str::to_owned).collect()
}

#[test]
fn a_trusted_proxys_account_is_kept_and_an_untrusted_ones_replaced() {
    let a = backend("a");
    let (trusted, untrusted) = (homing(&[&a]).listener(TRUSTED).run(), homing(&[&a]).run());
    let all = "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
               X-Forwarded-Host: shop\r\nX-Forwarded-Port: 443\r\nX-Real-IP: 9.9.9.9\r\n";
    let theirs = ["X-Forwarded-Proto: https", "X-Forwarded-Host: shop", "X-Forwarded-Port: 443"];
    get(&trusted, all);
    assert_eq!(told(&a, "X-Forwarded-")[..3], theirs);
    assert_eq!(told(&a, "X-Forwarded-")[3..], ["X-Forwarded-For: 192.0.2.1, 10.0.0.1, 127.0.0.1"]);
    assert_eq!(told(&a, "X-Real-IP"), ["X-Real-IP: 192.0.2.1"]);

    let ours = |homing: &Homing, chain: &str| {
        let port = format!("X-Forwarded-Port: {}", homing.address.port());
        let rest = ["X-Forwarded-Host: t:80".to_owned(), "X-Forwarded-Proto: http".to_owned()];
        BTreeSet::from_iter([vec![format!("X-Forwarded-For: {chain}"), port], rest.to_vec()].concat())
    };
    let seen = || BTreeSet::from_iter(told(&a, "X-Forwarded-"));
    get(&trusted, "");
    assert_eq!(seen(), ours(&trusted, "127.0.0.1"));
    for fields in ["", all, &format!("{all}Connection: x-forwarded-for, x-forwarded-port\r\n")] {
        get(&untrusted, fields);
        assert_eq!(seen(), ours(&untrusted, "127.0.0.1"));
        assert_eq!(told(&a, "X-Real-IP"), ["X-Real-IP: 127.0.0.1"]);
    }
}

#[test]
fn the_client_is_the_first_from_the_right_that_is_not_trusted() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(TRUSTED).run();
    for (chain, client) in [
        ("192.0.2.1", "192.0.2.1"),
        ("9.9.9.9, 192.0.2.1", "192.0.2.1"),
        ("9.9.9.9, 192.0.2.1, 10.0.0.1", "192.0.2.1"),
        ("192.0.2.1:4711,10.0.0.1:80", "192.0.2.1"),
        ("[2001:db8::7]:4711, ::ffff:10.0.0.1", "2001:db8::7"),
        ("10.0.0.2, 10.0.0.1", "10.0.0.2"),
        ("192.0.2.1, unknown, 10.0.0.1", "10.0.0.1"),
        ("", "127.0.0.1"),
    ] {
        get(&homing, &format!("X-Forwarded-For: {chain}\r\n"));
        assert_eq!(told(&a, "X-Real-IP"), [format!("X-Real-IP: {client}")], "{chain:?}");
    }
}

#[test]
fn forwarded_is_written_where_it_is_asked_for() {
    let a = backend("a");
    let on = "forwarded = true\n";
    let ours = "for=127.0.0.1;host=\"t:80\";proto=http";
    let untrusted = homing(&[&a]).listener(on).run();
    get(&untrusted, "Forwarded: for=9.9.9.9\r\n");
    assert_eq!(told(&a, "Forwarded"), [format!("Forwarded: {ours}")]);

    let trusted = homing(&[&a]).listener(&format!("{on}{TRUSTED}")).run();
    get(
        &trusted,
        "Forwarded: for=9.9.9.9;proto=https, for=10.0.0.2\r\nForwarded:\r\nForwarded: for=10.0.0.3\r\n",
    );
    let chain = "for=9.9.9.9;proto=https, for=10.0.0.2, for=10.0.0.3";
    assert_eq!(told(&a, "Forwarded"), [format!("Forwarded: {chain}, {ours}")]);
    trusted.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(told(&a, "Forwarded"), ["Forwarded: for=127.0.0.1;proto=http"]);

    let proxied = homing(&[&a]).listener(&format!("{on}{TRUSTED}proxy_protocol = true\n")).run();
    proxied.send("PROXY TCP6 2001:db8::7 ::1 4711 80\r\nGET / HTTP/1.1\r\nHost: shop\r\n\r\n");
    assert_eq!(told(&a, "Forwarded"), ["Forwarded: for=\"[2001:db8::7]\";host=shop;proto=http"]);

    let off = homing(&[&a]).run();
    get(&off, "Forwarded: for=9.9.9.9\r\n");
    assert_eq!(told(&a, "Forwarded"), Vec::<String>::new());
}

#[test]
fn a_client_on_a_unix_socket_is_unknown_to_forwarded() {
    let a = backend("a");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("homing.sock");
    let second = "[[listener]]\nname = \"unix\"\nforwarded = true\nlisten = \"unix:";
    let _homing = homing(&[&a]).with(&format!("{second}{}\"\n", path.display())).run();
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    until(|| a.requests().len() == 1);
    assert_eq!(told(&a, "Forwarded"), ["Forwarded: for=unknown;host=t;proto=http"]);
}

/// What the backend and the client were told the request is called.
fn names(a: &Backend, reply: &Reply) -> (Vec<String>, Vec<String>) {
    let sent = told(a, "X-Request-Id").iter().map(|l| l["X-Request-Id: ".len()..].to_owned()).collect();
    (sent, reply.fields("x-request-id"))
}

#[test]
fn a_request_has_one_name_for_the_backend_the_client_and_the_log() {
    let a = backend("a");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let on = format!("format = \"json\"\npath = {path:?}");
    let homing = homing(&[&a]).run_edited(|text| text.replace("format = \"off\"", &on));
    a.answers("HTTP/1.1 200 OK\r\nX-Request-Id: of-the-backend\r\nContent-Length: 0\r\n\r\n");
    let mut seen = BTreeSet::new();
    for fields in ["", "X-Request-Id: of-the-client\r\n", "Connection: x-request-id\r\nX-Request-Id: 1\r\n"] {
        let (sent, answered) = names(&a, &get(&homing, fields));
        assert_eq!(sent, answered);
        assert!(sent[0].len() == 32 && sent[0].bytes().all(|b| b.is_ascii_hexdigit()), "{sent:?}");
        assert!(seen.insert(sent[0].clone()), "one name for two");
        let entry = format!("\"id\":\"{}\"", sent[0]);
        until(|| std::fs::read_to_string(&path).is_ok_and(|log| log.contains(&entry)));
    }
}

#[test]
fn the_log_tells_how_much_went_both_ways_whoever_answered() {
    let a = backend("a");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("access.log");
    let on = format!("format = \"json\"\npath = {path:?}");
    let homing = homing(&[&a]).run_edited(|text| text.replace("format = \"off\"", &on));
    let says = |parts: [&str; 2]| {
        until(|| {
            let log = std::fs::read_to_string(&path).unwrap_or_default();
            log.lines().any(|line| parts.iter().all(|part| line.contains(part)))
        });
    };
    let refused = homing.send("GET /refused HTTP/1.1\r\nHost: a b\r\n\r\n");
    let sent = refused.head.len() + refused.body.len();
    says(["\"path\":\"/refused\"", &format!("\"bytes_in\":0,\"bytes_out\":{sent},")]);
    a.does(Does::Close);
    let failed =
        homing.send("POST /failed HTTP/1.1\r\nHost: t\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc");
    let sent = failed.head.len() + failed.body.len();
    says(["\"path\":\"/failed\"", &format!("\"bytes_in\":3,\"bytes_out\":{sent},")]);
}

#[test]
fn a_trusted_proxys_name_is_kept_if_it_can_stand_anywhere() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(TRUSTED).run();
    let longest = "x".repeat(128);
    for name in ["7f3c/9", "a", longest.as_str()] {
        let (sent, answered) = names(&a, &get(&homing, &format!("X-Request-Id: {name}\r\n")));
        assert_eq!((sent, answered), (vec![name.to_owned()], vec![name.to_owned()]));
    }
    for name in ["", "a b", "\u{e9}", &format!("{longest}x")] {
        let (sent, answered) = names(&a, &get(&homing, &format!("X-Request-Id: {name}\r\n")));
        assert!(sent == answered && sent.len() == 1 && sent[0].len() == 32, "{name:?}: {sent:?}");
    }
}

#[test]
fn homings_own_answers_carry_the_name_too() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(TRUSTED).run();
    a.does(Does::Close);
    let reply =
        homing.send("POST / HTTP/1.1\r\nHost: t\r\nX-Request-Id: kept\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!((reply.status, names(&a, &reply).1), (502, vec!["kept".to_owned()]));
    let refused = homing.send("GET / HTTP/1.1\r\n\r\n");
    assert_eq!((refused.status, names(&a, &refused).1[0].len()), (400, 32));
}

#[test]
fn without_request_ids_nobody_is_told_one() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("request_id = false\n").run();
    a.answers("HTTP/1.1 200 OK\r\nX-Request-Id: of-the-backend\r\nContent-Length: 0\r\n\r\n");
    let reply = get(&homing, "X-Request-Id: of-the-client\r\n");
    assert_eq!(names(&a, &reply), (vec![], vec!["of-the-backend".to_owned()]));
    assert_eq!(names(&a, &homing.send("GET / HTTP/1.1\r\n\r\n")).1, Vec::<String>::new());
}

#[test]
fn a_route_may_say_otherwise_of_the_name_that_clients_are_told() {
    let a = backend("a");
    for (rules, told) in
        [("set = { x-request-id = \"1\" }", vec!["1"]), ("remove = [\"X-Request-Id\"]", vec![])]
    {
        let route = format!("\n[[route]]\npool = \"app\"\nresponse_headers = {{ {rules} }}\n");
        let homing = homing(&[&a]).with(&route).run();
        a.answers("HTTP/1.1 200 OK\r\nX-Request-Id: of-the-backend\r\nContent-Length: 0\r\n\r\n");
        let (sent, answered) = names(&a, &get(&homing, ""));
        assert_eq!((sent[0].len(), answered), (32, told.into_iter().map(str::to_owned).collect()), "{rules}");
    }
}
