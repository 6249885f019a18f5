use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::super::testing;
use super::*;

/// `GET /health`, 200 to 399.
/// An answer with this `X-Homing-State`.
fn said(state: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nX-Homing-State: {state}\r\nContent-Length: 0\r\n\r\n")
}

fn get() -> HttpProbe {
    HttpProbe {
        method: "GET".into(),
        path: "/health".into(),
        host: None,
        headers: Vec::new(),
        expect: vec![(200, 399)],
        drain: vec![(404, 404)],
        body: None,
    }
}

async fn read_head<S: AsyncRead + Unpin>(stream: &mut S) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

/// A server that answers one connection with `answer` and keeps it open while the set is; what it was asked.
async fn answering(answer: Vec<u8>) -> (SocketAddr, JoinSet<()>, oneshot::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (told, asked) = oneshot::channel();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        told.send(read_head(&mut stream).await).unwrap();
        // The probe may have gone by now.
        let _ = stream.write_all(&answer).await;
        let _ = stream.read_u8().await;
    });
    (address, server, asked)
}

async fn judge_answer(answer: impl Into<Vec<u8>>, http: HttpProbe) -> Result<Good, Bad> {
    let (address, _server, _asked) = answering(answer.into()).await;
    probe(
        &testing::backend("a", Address::Socket(address)),
        &testing::check(Probe::Http(http)),
        &Way::default(),
    )
    .await
}

fn text(result: Result<Good, Bad>) -> String {
    match result {
        Ok(good) => format!("good: {good}"),
        Err(bad) => format!("bad: {bad}"),
    }
}

async fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap()
}

#[tokio::test]
async fn tcp_probes_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let _unix = UnixListener::bind(&path).unwrap();
    let table = [
        (Address::Socket(listener.local_addr().unwrap()), "good: connected"),
        (Address::Name { host: "localhost".into(), port }, "good: connected"),
        (Address::Unix(path), "good: connected"),
        (Address::Socket(closed_port().await), "bad: connect refused"),
        (
            Address::Name { host: "localhost".into(), port: closed_port().await.port() },
            "bad: connect refused",
        ),
        (Address::Name { host: "no such host".into(), port }, "bad: no address for no such host"),
    ];
    for (address, expected) in table {
        let result =
            probe(&testing::backend("a", address.clone()), &testing::check(Probe::Tcp), &Way::default())
                .await;
        assert_eq!(text(result), expected, "{address}");
    }
}

#[tokio::test]
async fn http_probes_judge_status_and_body() {
    let containing = |text: &str| HttpProbe { body: Some(text.into()), ..get() };
    let ok = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    let padded = |before: usize| ok(&format!("{}ready", "x".repeat(before)));
    let table = [
        (ok(""), get(), "good: status 200"),
        ("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".into(), get(), "good: status 302"),
        ("HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n".into(), get(), "bad: status 503 Service Unavailable"),
        ("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n".into(), get(), "good: status 404, drain"),
        (said("drain"), get(), "good: status 200, drain"),
        (said("ready, weight=3"), get(), "good: status 200"),
        (said("maint"), get(), "bad: asks for maintenance"),
        (ok(""), HttpProbe { expect: vec![(204, 204), (300, 301)], ..get() }, "bad: status 200 OK"),
        (ok("all ready"), containing("ready"), "good: status 200"),
        (ok("rea"), containing("ready"), "bad: body does not have the expected text"),
        (padded(SEARCHED - 5), containing("ready"), "good: status 200"),
        (padded(SEARCHED - 4), containing("ready"), "bad: body does not have the expected text"),
        (
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nrea\r\n2\r\ndy\r\n0\r\n\r\n".into(),
            containing("ready"),
            "good: status 200",
        ),
        // Never ends, but what is looked for is there.
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nready".into(),
            containing("ready"),
            "good: status 200",
        ),
    ];
    for (answer, http, expected) in table {
        assert_eq!(text(judge_answer(answer, http).await), expected);
    }
    assert!(text(judge_answer("SSH-2.0-x\r\n\r\n", get()).await).starts_with("bad: broken answer: "));
}

#[tokio::test]
async fn an_http_probe_says_what_was_configured() {
    let (address, _server, asked) = answering(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n".to_vec()).await;
    let fields = vec![("x-check".to_owned(), "1".to_owned()), ("user-agent".to_owned(), "me".to_owned())];
    let custom = HttpProbe {
        method: "OPTIONS".into(),
        path: "/h?x=1".into(),
        host: Some("app.test".into()),
        headers: fields,
        ..get()
    };
    let check = testing::check(Probe::Http(custom));
    probe(&testing::backend("a", Address::Socket(address)), &check, &Way::default()).await.unwrap();
    assert_eq!(
        asked.await.unwrap(),
        "OPTIONS /h?x=1 HTTP/1.1\r\nhost: app.test\r\nconnection: close\r\nuser-agent: me\r\nx-check: 1\r\n\r\n"
    );
}

#[tokio::test(start_paused = true)]
async fn silence_is_bad_when_the_time_is_up() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let backend = testing::backend("a", Address::Socket(silent.local_addr().unwrap()));
    let start = Instant::now();
    let result = probe(&backend, &testing::check(Probe::Http(get())), &Way::default()).await;
    assert_eq!((&*text(result), start.elapsed()), ("bad: no answer within 1s", Duration::from_secs(1)));
}

#[tokio::test(start_paused = true)]
async fn the_first_probe_is_at_once_and_the_next_after_the_interval() {
    let address = Address::Socket(closed_port().await);
    let plan = testing::plan(vec![testing::backend("a", address)], Some(testing::check(Probe::Tcp)));
    let (sender, mut probed) = mpsc::channel(1);
    let start = Instant::now();
    let mut checkers = Checkers::new(sender);
    checkers.follow(&plan);
    for seconds in [0, 2, 4] {
        let verdict = probed.recv().await.unwrap();
        assert!(verdict.result.is_err());
        assert_eq!(start.elapsed().as_secs(), seconds);
        checkers.follow(&plan); // The same plan again disturbs nobody.
    }
    checkers.follow(&testing::plan(vec![], None));
    assert!(checkers.tasks.join_next().await.unwrap().unwrap_err().is_cancelled());
}

#[test]
fn jitter_varies_the_interval_both_ways() {
    let ten = Duration::from_secs(10);
    assert_eq!(varied(ten, 0, 0.3), ten);
    assert_eq!(varied(ten, 10, 0.0), Duration::from_secs(9));
    assert_eq!(varied(ten, 10, 1.0), Duration::from_secs(11));
}
