use std::cell::RefCell;
use std::convert::Infallible;
use std::future::pending;

use http::{HeaderMap, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1 as server;
use hyper::service::service_fn;
use serde_json::json;
use tokio::net::{TcpListener, UnixListener};

use super::*;
use crate::cli::admin::{Named, Place, only_pool};

/// A request as the fake saw it.
#[derive(Clone, Debug)]
struct Seen {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: String,
}

/// What the fake does.
#[derive(Clone)]
enum Does {
    Answer(u16, String),
    /// Nothing, ever.
    Nothing,
}

/// Answers a connection's request as homing would.
async fn fake<S>(stream: S, does: impl Fn(&Seen) -> Does, seen: &RefCell<Vec<Seen>>)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (does, seen) = (&does, &seen);
    let service = service_fn(|request: Request<Incoming>| async move {
        let (head, body) = request.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        let path = head.uri.to_string();
        let request = Seen { method: head.method, path, headers: head.headers, body };
        let does = does(&request);
        seen.borrow_mut().push(request);
        let Does::Answer(status, body) = does else { return pending().await };
        let answer = Response::builder().status(status).body(Full::new(Bytes::from(body))).unwrap();
        Ok::<_, Infallible>(answer)
    });
    let _ = server::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// Runs `test` with a client of a fake homing; returns what it came to and what the fake saw.
async fn with_fake<T>(does: impl Fn(&Seen) -> Does, test: impl AsyncFnOnce(Client) -> T) -> (T, Vec<Seen>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let seen = RefCell::default();
    let client = Client::new(Target(Address::Socket(listener.local_addr().unwrap())), None);
    let serve = async {
        loop {
            fake(listener.accept().await.unwrap().0, &does, &seen).await;
        }
    };
    let done = tokio::select! {
        done = test(client) => done,
        () = serve => unreachable!(),
    };
    (done, seen.into_inner())
}

fn always(status: u16, body: &Value) -> impl Fn(&Seen) -> Does {
    move |_| Does::Answer(status, body.to_string())
}

fn refusal(status: u16, error: &str, reason: &str) -> impl Fn(&Seen) -> Does {
    let body = json!({ "error": error, "reason": reason }).to_string();
    move |_| Does::Answer(status, body.clone())
}

fn in_full(failed: &Failed) -> String {
    let source = std::error::Error::source(failed).map_or_else(String::new, |source| format!(": {source}"));
    format!("{failed}{source}")
}

#[tokio::test]
async fn a_change_is_marked_and_says_for_whom_it_is() {
    let (answer, seen) = with_fake(always(200, &json!({ "id": "a" })), async |mut client| {
        client.token = Some(Token::parse("sesame-sesame-sesame\n").unwrap());
        let named = Named { pool: "app".to_owned(), backend: "unix:/run/a".to_owned() };
        client.post(&named.path("/state"), &json!({ "state": "maint" })).await
    })
    .await;
    assert_eq!(answer.unwrap().accepted().unwrap(), json!({ "id": "a" }));
    let [request] = seen.as_slice() else { panic!("{seen:?}") };
    assert_eq!((&request.method, request.body.as_str()), (&Method::POST, r#"{"state":"maint"}"#));
    assert_eq!(request.path, "/api/v1/pools/app/backends/unix%3A%2Frun%2Fa/state");
    let field = |name: &str| request.headers.get(name).unwrap().to_str().unwrap();
    assert_eq!((field("x-homing"), field("connection")), ("1", "close"));
    assert_eq!(field("authorization"), "Bearer sesame-sesame-sesame");
    assert!(field("host").starts_with("127.0.0.1:"), "without a loopback host nothing is changed");
}

#[tokio::test]
async fn a_refusal_is_told_as_it_is_with_a_remedy() {
    for (status, error, reason, expected) in [
        (400, "config.toml:3:1: error: x\nmore\n", "wrong", None),
        (401, "a token is needed", "token_missing", Some("--token-file FILE")),
        (401, "the token is another", "token_wrong", Some("--token-file must name")),
        (404, "no pool \"ap\"; there are: app, api", "unknown", None),
        (405, "POST: only GET and HEAD", "method", Some("an older homing")),
    ] {
        let ask = async |client: Client| client.get("/api/v1/state").await.unwrap().accepted();
        let (answer, _) = with_fake(refusal(status, error, reason), ask).await;
        let failed = answer.unwrap_err();
        assert_eq!(failed.code(), 1, "{failed}");
        assert_eq!(failed.to_string(), error.trim_end());
        match (failed.help(), expected) {
            (Some(help), Some(expected)) => assert!(help.starts_with(expected), "{help}"),
            (help, expected) => assert_eq!(help, expected),
        }
    }
}

#[tokio::test]
async fn who_does_not_answer_cannot_be_reached() {
    let slow = async |mut client: Client| {
        client.answer = Duration::from_millis(20);
        client.get("/api/v1/state").await
    };
    let failed = with_fake(|_| Does::Nothing, slow).await.0.unwrap_err();
    assert_eq!(failed.code(), 3);
    assert!(in_full(&failed).ends_with("nothing came of it within 20ms"), "{}", in_full(&failed));
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    drop(taken);
    let failed = Client::new(Target::parse(&address.to_string()).unwrap(), None).get("/").await.unwrap_err();
    assert_eq!(failed.code(), 3);
    assert_eq!(failed.to_string(), format!("connect to homing at {address}"));
    let nowhere = Target::parse("unix:/nowhere/homing.sock").unwrap();
    assert_eq!(Client::new(nowhere, None).get("/").await.unwrap_err().code(), 3);
}

#[tokio::test]
async fn another_server_is_not_taken_for_homing() {
    let page = |_: &Seen| Does::Answer(404, "<html>not found</html>".to_owned());
    let failed =
        with_fake(page, async |client: Client| client.get("/api/v1/state").await).await.0.unwrap_err();
    assert_eq!(failed.code(), 3);
    assert!(failed.to_string().contains("404 Not Found"), "{failed}");
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_kept() {
    let large = |_: &Seen| Does::Answer(200, " ".repeat(LARGEST + 1));
    let failed = with_fake(large, async |client: Client| client.get("/").await).await.0.unwrap_err();
    assert!(in_full(&failed).ends_with("its answer is larger than 64MiB"), "{}", in_full(&failed));
}

#[tokio::test]
async fn a_unix_socket_is_asked_as_localhost() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("admin.sock");
    let listener = UnixListener::bind(&path).unwrap();
    let seen = RefCell::default();
    let client = Client::new(Target::parse(&format!("unix:{}", path.display())).unwrap(), None);
    let serve = async {
        let stream = listener.accept().await.unwrap().0;
        fake(stream, always(200, &json!({})), &seen).await;
    };
    let (answer, ()) = tokio::join!(client.get("/api/v1/pools"), serve);
    assert_eq!(answer.unwrap().status, StatusCode::OK);
    assert_eq!(seen.borrow()[0].headers["host"], "localhost");
}

#[tokio::test]
async fn the_only_pool_need_not_be_named() {
    let pools = |names: &[&str]| json!({ "pools": names.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>() });
    let place = Place::parse("unix:/run/a").unwrap();
    let resolve = async |client: Client| place.resolve(&client).await;
    let (named, seen) = with_fake(always(200, &pools(&["app"])), resolve).await;
    assert_eq!(named.unwrap(), Named { pool: "app".to_owned(), backend: "unix:/run/a".to_owned() });
    assert_eq!(seen[0].path, "/api/v1/pools");
    let ask = async |client: Client| only_pool(&client, "POOL/a").await;
    let failed = with_fake(always(200, &pools(&["app", "api"])), ask).await.0.unwrap_err();
    assert_eq!(failed.code(), 2);
    assert_eq!(failed.to_string(), "which pool? say POOL/a; there are: app, api");
}

#[test]
fn addresses_are_read() {
    for (text, expected) in [
        ("127.0.0.1:9900", Some("127.0.0.1:9900")),
        (":9900", Some("127.0.0.1:9900")),
        ("[::1]:9900", Some("[::1]:9900")),
        ("http://10.0.0.2:9900/", Some("10.0.0.2:9900")),
        ("localhost:9900", Some("localhost:9900")),
        ("unix:/run/homing.sock", Some("unix:/run/homing.sock")),
        ("https://10.0.0.2:9900", None),
        ("10.0.0.2", None),
        ("http://10.0.0.2:9900/api", None),
        ("node\n:9900", None),
        ("", None),
    ] {
        assert_eq!(Target::parse(text).ok().map(|t| t.to_string()).as_deref(), expected, "{text}");
    }
}

#[test]
fn what_listens_everywhere_is_asked_here() {
    for (listen, expected) in [
        ("0.0.0.0:9900", Some("127.0.0.1:9900")),
        ("[::]:9900", Some("[::1]:9900")),
        ("10.0.0.2:9900", Some("10.0.0.2:9900")),
        ("127.0.0.1:0", None),
    ] {
        let listen = ListenAddress::Tcp { address: listen.parse().unwrap(), both_families: false };
        assert_eq!(Target::of(&listen).map(|t| t.to_string()).as_deref(), expected);
    }
}

#[test]
fn a_token_is_one_word_and_shows_nowhere() {
    assert!(Token::parse("a b").is_err());
    assert!(Token::parse(" \n").is_err());
    assert_eq!(format!("{:?}", Token::parse(" sesame \n").unwrap()), "***");
}
