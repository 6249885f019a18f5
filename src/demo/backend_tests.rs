//! One backend over real TCP, asked by a client that knows nothing but bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};

use crate::demo::{Algorithm, Audience, Cost, Demo, Keys, Options, Place, start};

struct Answer {
    head: String,
    body: String,
}

impl Answer {
    fn status(&self) -> u16 {
        self.head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap()
    }

    fn header(&self, name: &str) -> Option<&str> {
        self.head
            .lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| *key == name)
            .map(|(_, v)| v)
    }

    /// The cookie as a browser would send it back.
    fn cookie(&self) -> String {
        self.header("set-cookie").and_then(|cookie| cookie.split(';').next()).unwrap().to_owned()
    }

    /// All of them.
    fn cookies(&self) -> String {
        let lines = self.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
        lines.map(|cookie| cookie.split(';').next().unwrap()).collect::<Vec<_>>().join("; ")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    stream
}

fn ask(address: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
    let mut stream = connect(address);
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n");
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    request += &format!("content-length: {}\r\n\r\n{body}", body.len());
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8(bytes).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    Answer { head: head.to_owned(), body: body.to_owned() }
}

fn get(address: SocketAddr, path: &str, cookie: &str) -> Answer {
    ask(address, "GET", path, &[("cookie", cookie)], "")
}

fn post(address: SocketAddr, path: &str, cookie: &str, body: &str) -> Answer {
    ask(address, "POST", path, &[("cookie", cookie)], body)
}

fn log_in(address: SocketAddr, name: &str, cookie: &str) -> Answer {
    post(address, "/api/login", cookie, &json!({ "user": name, "password": "demo" }).to_string())
}

fn session(address: SocketAddr, cookie: &str) -> Value {
    get(address, "/api/me", cookie).json()["session"].take()
}

fn options() -> Options {
    Options { open_registration: true, cost: Cost::Low, ..Options::named("shop") }
}

/// Two backends, and where they are.
fn two(options: &Options) -> (Demo, SocketAddr, SocketAddr) {
    let demo = start(&["a", "b"], options, Audience::Directs).unwrap();
    let (a, b) = (demo.addresses()[0].1, demo.addresses()[1].1);
    (demo, a, b)
}

#[test]
fn a_login_is_remembered_and_its_version_grows() {
    let (_demo, a, _) = two(&options());
    let answer = log_in(a, "Ada L.", "");
    assert_eq!(
        answer.header("set-cookie").unwrap(),
        format!("{}; Path=/; HttpOnly; SameSite=Lax", answer.cookie())
    );
    let told = answer.json();
    assert_eq!((answer.status(), &told["session"], &told["version"]), (200, &"new".into(), &0.into()));
    assert_eq!((&told["created_by"], told["boot"].as_str().unwrap().len()), (&"a".into(), 16));
    let cookie = answer.cookie();
    for version in 1..=3 {
        let told = post(a, "/api/cart", &cookie, r#"{"item": "tea"}"#).json();
        assert_eq!((&told["version"], told["cart"].as_array().unwrap().len()), (&version.into(), version));
        let told = get(a, "/api/me", &cookie).json();
        assert_eq!(
            (&told["backend"], &told["user"], &told["session"], &told["version"]),
            (&"a".into(), &"Ada L.".into(), &"hit".into(), &version.into())
        );
    }
    let told = post(a, "/api/cart", &cookie, r#"{"item": "tea", "seen": 4}"#).json();
    assert_eq!(told["stale"], true, "the client had seen a later one");
}

#[test]
fn an_id_changes_at_login_and_the_one_before_is_worth_nothing() {
    let (_demo, a, _) = two(&options());
    let planted = format!("session={}", "A".repeat(22));
    let first = log_in(a, "ada", &planted).cookie();
    assert_ne!(first, planted);
    assert_eq!(session(a, &planted), "unknown");

    let second = log_in(a, "ada", &first).cookie();
    assert_ne!(second, first);
    assert_eq!(session(a, &first), "revoked");
    assert_eq!(session(a, &second), "hit");
}

#[test]
fn where_ids_are_adopted_a_loss_is_seen_and_the_old_copy_comes_back() {
    let (_demo, a, b) = two(&Options { adopts_ids: true, ..options() });
    let cookie = log_in(a, "ada", "").cookie();
    let first = post(a, "/api/cart", &cookie, r#"{"item": "tea"}"#).json();
    assert_eq!(session(b, &cookie), "unknown", "a loss is no hit");
    assert_eq!(session(b, &cookie), "unknown", "nor is one made by asking");
    assert_eq!(
        log_in(b, "ada", &cookie).cookie(),
        cookie,
        "the login goes on under the id that it was shown"
    );
    let second = post(b, "/api/cart", &cookie, r#"{"item": "milk"}"#).json();
    assert!(second["begun"].as_u64() >= first["begun"].as_u64());
    let old = get(a, "/api/me", &cookie).json();
    assert_eq!(
        (&old["session"], &old["cart"], &old["begun"]),
        (&"hit".into(), &json!(["tea"]), &first["begun"])
    );
    let planted = format!("session={}", "A".repeat(22));
    assert_eq!(log_in(a, "eve", &planted).cookie(), planted);
}

#[test]
fn an_unknown_id_is_reported_and_not_made_anew() {
    let (_demo, a, b) = two(&options());
    let cookie = log_in(a, "ada", "").cookie();
    for _ in 0..2 {
        for answer in [get(b, "/api/me", &cookie), post(b, "/api/cart", &cookie, r#"{"item": "tea"}"#)] {
            assert_eq!((answer.status(), answer.header("set-cookie")), (401, None));
            assert_eq!(
                (&answer.json()["session"], &answer.json()["user"]),
                (&"unknown".into(), &Value::Null)
            );
        }
    }
    assert_eq!(session(a, &cookie), "hit");
    assert_eq!(session(b, "other=1"), "none");
    assert_eq!(session(a, "session=<script>"), "unknown");
    assert_eq!(get(b, "/stats", "").json()["misses"], 4);
}

#[test]
fn a_logout_ends_one_session_and_a_logout_everywhere_all() {
    let (_demo, a, _) = two(&options());
    let [first, second, third] = ["ada", "ada", "ada"].map(|user| log_in(a, user, "").cookie());
    let other = log_in(a, "bob", "").cookie();
    let answer = post(a, "/api/logout", &first, "");
    assert_eq!((answer.status(), answer.cookie().as_str()), (204, "session="));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!((session(a, &first), session(a, &second)), ("revoked".into(), "hit".into()));
    assert_eq!(post(a, "/api/logout-everywhere", &first, "").status(), 401, "only who is logged in may");
    assert_eq!(post(a, "/api/logout-everywhere", &second, "").status(), 204);
    assert_eq!((session(a, &second), session(a, &third)), ("revoked".into(), "revoked".into()));
    assert_eq!(session(a, &other), "hit");
    assert_eq!(post(a, "/api/logout", "", "").status(), 204);
}

#[test]
fn a_password_is_asked_for() {
    let demo = start(&["a", "b"], &Options { cost: Cost::Low, ..Options::named("shop") }, Audience::Watches);
    let demo = demo.unwrap();
    let (a, b) = (demo.addresses()[0].1, demo.addresses()[1].1);
    let ada = r#"{"user": "ada", "password": "tea for two"}"#;
    assert_eq!(post(a, "/api/login", "", ada).status(), 401, "nobody is there yet");
    assert_eq!(log_in(a, "bob", "").status(), 401, "registration is not open");
    assert_eq!(post(a, "/api/register", "", ada).status(), 201);
    assert_eq!(post(b, "/api/register", "", ada).status(), 409, "accounts are the shop's, not a backend's");
    assert_eq!(post(b, "/api/login", "", ada).status(), 200);
    let wrong = post(a, "/api/login", "", r#"{"user": "ada", "password": "tea for one"}"#);
    assert_eq!((wrong.status(), wrong.header("set-cookie")), (401, None));
    for body in [
        r#"{"user": "ada"}"#,
        r#"{"user": "", "password": "x"}"#,
        r#"{"user": "a\nb", "password": "x"}"#,
        "[]",
    ] {
        assert_eq!(post(a, "/api/register", "", body).status(), 400, "{body}");
    }
}

#[test]
fn tokens_are_good_at_every_backend_and_forged_ones_at_none() {
    for algorithm in [Algorithm::Hs256, Algorithm::Es256] {
        let keys = Some(Keys::generate(algorithm).unwrap().into());
        let (_demo, a, b) = two(&Options { sessions: Place::Jwt(algorithm), keys, ..options() });
        let answer = log_in(a, "ada", "");
        let cookies = answer.cookies();
        assert_eq!(session(b, &cookies), "hit");
        let token = cookies.split("; ").next().unwrap().strip_prefix("token=").unwrap();
        let [header, payload, signature] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let none = "eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0";
        let refresh = cookies.split("; refresh=").nth(1).unwrap();
        for forged in [
            format!("{none}.{payload}."),
            format!("{none}.{payload}.{signature}"),
            format!("{header}.{payload}."),
            format!("{header}.{payload}x.{signature}"),
            format!("{payload}.{signature}"),
            // A refresh token is no access token.
            refresh.to_owned(),
        ] {
            assert_eq!(session(a, &format!("token={forged}")), "unknown", "{forged}");
        }
        let changed = post(b, "/api/cart", &cookies, r#"{"item": "tea"}"#);
        assert_eq!((&changed.json()["version"], session(a, &changed.cookie())), (&1.into(), "hit".into()));
        assert!(changed.cookie().len() < 4096);
        // The state is in the access token, so that a refresh needs both, of one session.
        let both = format!("{}; refresh={refresh}", changed.cookie());
        let fresh = post(a, "/api/refresh", &both, "");
        assert_eq!((&fresh.json()["session"], &fresh.json()["version"]), (&"refreshed".into(), &1.into()));
        assert_eq!(post(a, "/api/refresh", &format!("refresh={refresh}"), "").json()["session"], "unknown");
        let strange = format!("{}; refresh={refresh}", log_in(a, "bob", "").cookie());
        assert_eq!(post(a, "/api/refresh", &strange, "").json()["session"], "unknown");
        let goodbye = post(a, "/api/logout", &both, "");
        assert_eq!(goodbye.header("x-revocation"), Some("when the token expires"));
    }
}

/// Browsers keep 4096 bytes of a cookie's name and value.
#[test]
fn the_largest_cart_fits_into_a_cookie() {
    let (algorithm, long) = (Algorithm::Rs256, "\u{1f375}".repeat(40));
    let keys = Some(Keys::generate(algorithm).unwrap().into());
    let (_demo, a, _) = two(&Options { sessions: Place::Jwt(algorithm), keys, ..options() });
    let mut cookie = log_in(a, &long, "").cookie();
    for version in 1..=15 {
        let answer = post(a, "/api/cart", &cookie, &json!({ "item": long }).to_string());
        assert_eq!(answer.json()["version"], version);
        cookie = answer.cookie();
        assert!(cookie.len() < 4096, "{}", cookie.len());
    }
    assert_eq!(get(a, "/api/me", &cookie).json()["cart"].as_array().unwrap().len(), 10);
}

#[test]
fn a_cookie_can_be_kept_to_tls() {
    let (_demo, a, _) = two(&Options { secure: true, ..options() });
    let answer = log_in(a, "ada", "");
    assert!(answer.header("set-cookie").unwrap().ends_with("; Path=/; HttpOnly; SameSite=Lax; Secure"));
    assert!(answer.cookie().starts_with("__Host-session="));
    assert_eq!(session(a, &answer.cookie()), "hit");
    assert_eq!(session(a, answer.cookie().trim_start_matches("__Host-")), "none");
}

#[test]
fn a_page_of_another_site_logs_nobody_in() {
    let (_demo, a, _) = two(&options());
    let body = r#"{"user": "ada", "password": "demo"}"#;
    for (site, expected) in [("cross-site", 403), ("same-site", 403), ("same-origin", 200), ("none", 200)] {
        assert_eq!(
            ask(a, "POST", "/api/login", &[("sec-fetch-site", site)], body).status(),
            expected,
            "{site}"
        );
    }
}

#[test]
fn nothing_a_visitor_sends_is_in_the_page() {
    let (_demo, a, _) = two(&options());
    let cookie = log_in(a, "<b>\"'&{{nonce}}", "").cookie();
    let page = ask(a, "GET", "/?q=%3Ci%3E", &[("cookie", &cookie), ("accept-language", "ko<u>")], "").body;
    assert!(!page.contains("<b>\"") && !page.contains("%3Ci") && !page.contains("<u>"));
    assert!(page.contains(r#"data-backend="a""#) && !page.contains("{{"), "{page}");
}

#[test]
fn the_page_speaks_two_languages_and_says_the_same_in_both() {
    let (_demo, a, _) = two(&options());
    let page = |wish| ask(a, "GET", "/", &[("accept-language", wish)], "").body;
    assert!(page("ko-KR,ko;q=0.9").contains(r#"<html lang="ko""#));
    assert!(page("de, en;q=0.5").contains(r#"<html lang="en""#));
    let text = page("en");
    let keys = |begins: &str, ends: &str| -> Vec<String> {
        let part = text.split(begins).nth(1).unwrap().split(ends).next().unwrap();
        let words = part.split(['\n', ' ']).filter_map(|w| w.strip_suffix(':'));
        words
            .filter(|w| w.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'))
            .map(str::to_owned)
            .collect()
    };
    let (en, ko) = (keys("\n  en: {", "\n  ko: {"), keys("\n  ko: {", "\n};"));
    let only = |a: &[String], b: &[String]| -> Vec<String> {
        a.iter().filter(|key| key.len() > 1 && !b.contains(key)).cloned().collect()
    };
    assert!(ko.len() > 60, "{ko:?}");
    // A word before a colon in a sentence looks like a key too.
    assert_eq!(only(&ko, &en), Vec::<String>::new());
}

#[test]
fn a_body_has_a_limit() {
    let (_demo, a, _) = two(&options());
    assert_eq!(log_in(a, &"x".repeat(4096), "").status(), 413);
    assert_eq!(log_in(a, &"x".repeat(41), "").status(), 400);
    assert_eq!(log_in(a, &"x".repeat(40), "").status(), 200);
}

#[test]
fn every_answer_names_its_backend_and_is_not_stored() {
    let (_demo, _, b) = two(&options());
    let check = |method: &str, path: &str, expected: u16| {
        let answer = ask(b, method, path, &[], "");
        assert_eq!(answer.status(), expected, "{method} {path}");
        assert_eq!(answer.header("x-backend"), Some("b"), "{method} {path}");
        assert_eq!(answer.header("cache-control"), Some("no-store"), "{method} {path}");
    };
    check("GET", "/", 200);
    check("HEAD", "/", 200);
    check("HEAD", "/events", 200);
    check("GET", "/healthz", 200);
    check("GET", "/stats", 200);
    check("GET", "/slow?ms=1", 200);
    check("GET", "/slow?ms=soon", 400);
    check("GET", "/api/me", 401);
    check("POST", "/api/refresh", 404);
    check("POST", "/api/logout", 204);
    check("POST", "/healthz", 405);
    check("GET", "/api/login", 405);
    check("GET", "/elsewhere", 404);
}

#[test]
fn a_backend_is_killed_and_revived_and_has_forgotten() {
    let (_demo, a, b) = two(&options());
    let order = |at, name: &str, alive: bool| {
        let body = json!({ "backend": name, "alive": alive }).to_string();
        ask(at, "POST", "/demo/stage", &[], &body).status()
    };
    let cookie = log_in(a, "ada", "").cookie();
    let boot = get(a, "/api/me", &cookie).json()["boot"].take();
    let alive = |at| -> Vec<bool> {
        let told = get(at, "/demo/stage", "").json();
        told["backends"].as_array().unwrap().iter().map(|actor| actor["alive"].as_bool().unwrap()).collect()
    };
    assert_eq!(alive(b), [true, true]);
    assert_eq!(order(b, "x", false), 409);
    // It answers the order that ends it.
    assert_eq!(order(a, "a", false), 202);
    until(|| TcpStream::connect(a).is_err() && alive(b) == [false, true]);
    assert_eq!(order(b, "b", false), 409, "the last one stays");
    assert_eq!(order(b, "a", true), 202);
    until(|| alive(b) == [true, true]);
    let told = get(a, "/api/me", &cookie).json();
    assert_eq!(told["session"], "unknown");
    assert_ne!(told["boot"], boot);

    let watched = start(&["a"], &options(), Audience::Watches).unwrap();
    assert_eq!(get(watched.addresses()[0].1, "/demo/stage", "").status(), 404);
}

#[test]
fn events_stream_and_end_with_the_demo() {
    let (demo, a, _) = two(&options());
    let mut stream = connect(a);
    write!(stream, "GET /events HTTP/1.1\r\nhost: demo\r\n\r\n").unwrap();
    let mut text = String::new();
    while !text.contains("\n\n") {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "{text}");
        text += std::str::from_utf8(&chunk[..read]).unwrap();
    }
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("id: 1\ndata: {"), "{text}");
    assert!(text.contains(r#""backend":"a""#), "{text}");

    drop(demo);
    let ended = stream.read_to_end(&mut Vec::new());
    assert!(
        !ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "cut off or reset, but not waiting"
    );
    assert!(TcpStream::connect(a).is_err(), "the port is closed");
}

fn until(mut condition: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !condition() {
        assert!(began.elapsed() < Duration::from_secs(10), "not within 10 s");
        std::thread::yield_now();
    }
}
