//! One backend over real TCP, asked by a client that knows nothing but bytes.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use crate::demo::{Demo, start};

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
    let mut request = format!("{method} {path} HTTP/1.1\r\nhost: demo\r\nconnection: close\r\n");
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

fn log_in(address: SocketAddr, name: &str, cookie: &str) -> Answer {
    ask(address, "POST", "/login", &[("cookie", cookie)], &format!("name={name}&password=any"))
}

/// Two backends, and where they are.
fn two() -> (Demo, SocketAddr, SocketAddr) {
    let demo = start(&["a", "b"]).unwrap();
    let (a, b) = (demo.addresses()[0].1, demo.addresses()[1].1);
    (demo, a, b)
}

#[test]
fn a_login_is_remembered_and_its_counter_grows() {
    let (_demo, a, _) = two();
    let answer = log_in(a, "Ada+L%2e", "");
    assert_eq!((answer.status(), answer.header("location")), (303, Some("/")));
    assert_eq!(
        answer.header("set-cookie").unwrap(),
        format!("{}; Path=/; HttpOnly; SameSite=Lax", answer.cookie())
    );
    let cookie = answer.cookie();
    for counter in 1..=3 {
        let who = get(a, "/api/whoami", &cookie).json();
        assert_eq!(
            (&who["backend"], &who["user"], &who["session"]),
            (&"a".into(), &"Ada L.".into(), &"known".into())
        );
        assert_eq!(who["counter"], counter);
    }
    let page = get(a, "/", &cookie);
    assert!(page.body.contains("Hello, Ada L."), "{}", page.body);
    assert!(page.body.contains(r#"<strong id="counter">4</strong>"#), "{}", page.body);
}

#[test]
fn an_id_changes_at_login_and_the_one_before_is_worth_nothing() {
    let (_demo, a, _) = two();
    let planted = format!("demo_session={}", "5".repeat(32));
    let first = log_in(a, "ada", &planted).cookie();
    assert_ne!(first, planted);
    assert_eq!(get(a, "/api/whoami", &planted).json()["session"], "unknown");

    let second = log_in(a, "ada", &first).cookie();
    assert_ne!(second, first);
    assert_eq!(get(a, "/api/whoami", &first).json()["session"], "unknown");
    assert_eq!(get(a, "/api/whoami", &second).json()["session"], "known");
}

#[test]
fn an_unknown_id_is_reported_and_not_made_anew() {
    let (_demo, a, b) = two();
    let cookie = log_in(a, "ada", "").cookie();
    for path in ["/api/whoami", "/", "/api/whoami", "/"] {
        let answer = get(b, path, &cookie);
        assert_eq!((answer.status(), answer.header("set-cookie")), (200, None));
        if path == "/" {
            assert!(answer.body.contains("you were moved, and you are logged out"), "{}", answer.body);
            assert!(answer.body.contains(&cookie["demo_session=".len()..][..8]), "{}", answer.body);
        } else {
            assert_eq!(
                (&answer.json()["session"], &answer.json()["user"]),
                (&"unknown".into(), &Value::Null)
            );
        }
    }
    assert_eq!(get(a, "/api/whoami", &cookie).json()["session"], "known");
    assert_eq!(get(b, "/api/whoami", "other=1").json()["session"], "none");
}

#[test]
fn a_logout_ends_the_session_and_takes_the_cookie_back() {
    let (_demo, a, _) = two();
    let cookie = log_in(a, "ada", "").cookie();
    let answer = ask(a, "POST", "/logout", &[("cookie", &cookie)], "");
    assert_eq!((answer.status(), answer.cookie().as_str()), (303, "demo_session="));
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(get(a, "/api/whoami", &cookie).json()["session"], "unknown");
}

#[test]
fn nothing_a_visitor_sends_becomes_markup() {
    let (_demo, a, _) = two();
    let cookie = log_in(a, "%3Cb%3E%22%27%26{{nonce}}", "").cookie();
    let page = ask(a, "GET", "/", &[("cookie", &cookie), ("x-forwarded-for", "<i>")], "").body;
    assert!(page.contains("Hello, &lt;b&gt;&quot;&#39;&amp;{{nonce}}<"), "{page}");
    assert!(page.contains("<b>&lt;i&gt;</b>"), "{page}");
    let page = get(a, "/", "demo_session=<script>").body;
    assert!(page.contains("demo_session=&lt;script&gt;"), "{page}");
    assert!(!page.contains("<script>"), "{page}");
}

#[test]
fn a_form_has_a_limit_and_a_name() {
    let (_demo, a, _) = two();
    assert_eq!(log_in(a, &"x".repeat(4096), "").status(), 413);
    assert_eq!(log_in(a, &"x".repeat(4000), "").status(), 303);
    let nameless = log_in(a, "+%0a", "");
    assert_eq!((nameless.status(), nameless.header("set-cookie")), (400, None));
    assert!(nameless.body.contains("Please give a name"), "{}", nameless.body);
}

#[test]
fn every_answer_names_its_backend_and_is_not_stored() {
    let (_demo, _, b) = two();
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
    check("GET", "/slow?ms=1", 200);
    check("GET", "/slow?ms=soon", 400);
    check("POST", "/logout", 303);
    check("POST", "/healthz", 405);
    check("GET", "/login", 405);
    check("GET", "/elsewhere", 404);
}

#[test]
fn events_stream_and_end_with_the_demo() {
    let (demo, a, _) = two();
    let cookie = log_in(a, "ada", "").cookie();
    let mut stream = connect(a);
    write!(stream, "GET /events HTTP/1.1\r\nhost: demo\r\ncookie: {cookie}\r\n\r\n").unwrap();
    let mut text = String::new();
    while !text.contains("\n\n") {
        let mut chunk = [0; 1024];
        let read = stream.read(&mut chunk).unwrap();
        assert_ne!(read, 0, "{text}");
        text += std::str::from_utf8(&chunk[..read]).unwrap();
    }
    assert!(text.contains("content-type: text/event-stream"), "{text}");
    assert!(text.contains("id: 1\ndata: {"), "{text}");
    assert!(text.contains(r#""session":"known""#), "{text}");

    drop(demo);
    let ended = stream.read_to_end(&mut Vec::new());
    assert!(
        !ended.is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
        "cut off or reset, but not waiting"
    );
    assert!(TcpStream::connect(a).is_err(), "the port is closed");
}
