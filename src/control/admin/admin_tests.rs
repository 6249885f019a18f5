use crate::net::listen::ListenAddress;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::super::state::State;
use super::super::testing;
use super::*;
use crate::backend::BackendIx;
use crate::base::address::Address;
use crate::snapshot::phases::Phase;
use crate::snapshot::reports::{Outcome, Report};

/// A view of a pool of two, of which the second is ejected, and its phases.
fn view() -> (Arc<View>, Arc<Phases>) {
    let nowhere = || Address::Socket(([127, 0, 0, 1], 1).into());
    let backends = vec![testing::backend("a", nowhere()), testing::backend("b", nowhere())];
    let (published, metrics) = testing::published(testing::plan(backends, None));
    let board = Arc::new(Board::default());
    let mut state = State::new(Arc::clone(&published), Arc::clone(&metrics), Arc::clone(&board));
    let failed = Report { epoch: 0, pool: 0, backend: BackendIx(1), outcome: Outcome::Failed };
    (0..2).for_each(|_| state.reported(failed, Duration::ZERO));
    assert!(published.load().plan.pools[0].members.get(BackendIx(0)).load.enter(0));
    let phases = Arc::new(Phases::new());
    let reports_dropped = Arc::new(AtomicU64::new(6));
    let (desk, _) = mpsc::channel(1);
    let phases_too = Arc::clone(&phases);
    (Arc::new(View::new(published, metrics, phases_too, board, reports_dropped, desk)), phases)
}

/// Serves the view while the set lives.
fn serving(view: Arc<View>) -> (std::net::SocketAddr, JoinSet<()>) {
    let address = ListenAddress::Tcp { address: ([127, 0, 0, 1], 0).into(), both_families: false };
    let socket = AdminSocket::new(address.claim().unwrap()).unwrap();
    let AdminSocket::Tcp(listener) = &socket else { panic!("not TCP") };
    let address = listener.local_addr().unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(socket, view));
    (address, tasks)
}

async fn ask<S: AsyncRead + AsyncWrite + Unpin>(mut stream: S, line: &str) -> (u16, String, String) {
    stream.write_all(format!("{line} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    (head[9..12].parse().unwrap(), head.to_lowercase(), body.to_owned())
}

#[tokio::test]
async fn every_path_answers() {
    let (view, _) = view();
    let (address, _tasks) = serving(view);
    let table = [
        ("GET /healthz", 200, "text/plain", "ok\n"),
        ("HEAD /healthz", 200, "content-length: 3", ""),
        ("GET /readyz", 503, "text/plain", "starting\n"),
        ("GET /", 200, "content-security-policy: default-src 'none'", "/api/v1"),
        ("GET /api/v1/openapi.json", 200, "application/json", "\"openapi\": \"3.1.0\""),
        (
            "GET /metrics",
            200,
            "text/plain; version=0.0.4",
            "homing_backend_state{pool=\"app\",backend=\"b\",state=\"ejected\"} 1\n",
        ),
        ("GET /metrics?x", 200, "no-store", "homing_reports_dropped_total 6\n"),
        ("GET /metrics", 200, "text/plain", "homing_requests_in_flight{pool=\"app\"} 1\n"),
        ("GET /nothing", 404, "application/json", "/nothing: nothing here"),
        ("GET /api/v1/pools/a%2", 400, "application/json", "\"reason\":\"wrong\""),
        ("POST /healthz", 405, "allow: get, head", "POST: only GET, HEAD"),
        ("OPTIONS /api/v1/state", 405, "allow: get, head", "\"reason\":\"method\""),
        ("GET /api/v1/reload", 405, "allow: post", "GET: only POST"),
    ];
    for (line, status, in_head, in_body) in table {
        let (got, head, body) = ask(TcpStream::connect(address).await.unwrap(), line).await;
        assert_eq!(got, status, "{line}");
        assert!(head.contains(in_head) && body.contains(in_body), "{line}:\n{head}\n{body}");
    }
}

#[tokio::test]
async fn ready_only_while_serving() {
    let (view, phases) = view();
    let (address, _tasks) = serving(view);
    for (phase, status, text) in [
        (Phase::Serving, 200, "ready\n"),
        (Phase::Notice, 503, "stopping\n"),
        (Phase::Cut, 503, "stopping\n"),
    ] {
        phases.advance(phase);
        let (got, _, body) = ask(TcpStream::connect(address).await.unwrap(), "GET /readyz").await;
        assert_eq!((got, &*body), (status, text));
    }
}

#[test]
fn pools_are_told_as_json() {
    let (view, _) = view();
    let told = view.figures().pools(Phase::Starting);
    assert_eq!(view.state()["pools"][0]["backends"], told["pools"][0]["backends"]);
    assert_eq!(told["phase"], "starting");
    let pool = &told["pools"][0];
    assert_eq!((&pool["name"], &pool["strategy"]), (&json!("app"), &json!("round_robin")));
    assert_eq!(
        pool["backends"][1],
        json!({
            "id": "b", "address": "127.0.0.1:1", "weight": 1, "backup": false, "admin": "ready", "health": "unknown",
            "ejected": true, "state": "ejected", "in_flight": 0, "waiting": 0, "sessions": 0, "last_check": null,
            "leaving": false, "tunnels": 0, "requests_total": 0, "errors_total": 0, "share": 0.0, "fair_share": 0.0,
            "drain": null, "overrides": { "state": null, "weight": null },
        })
    );
    assert_eq!(pool["backends"][0]["in_flight"], 1);
}

#[tokio::test]
async fn a_dead_unix_socket_is_replaced_and_a_live_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let address = ListenAddress::Unix(dir.path().join("admin.sock"));
    drop(AdminSocket::new(address.claim().unwrap()).unwrap());
    let socket = AdminSocket::new(address.claim().unwrap()).unwrap();
    assert_eq!(address.claim().unwrap_err().kind(), io::ErrorKind::AddrInUse);
    let (view, _) = view();
    let mut tasks = JoinSet::new();
    tasks.spawn(serve(socket, view));
    let stream = UnixStream::connect(dir.path().join("admin.sock")).await.unwrap();
    assert_eq!(ask(stream, "GET /healthz").await.0, 200);
}

#[tokio::test(start_paused = true)]
async fn a_silent_connection_is_closed() {
    let (mut client, server) = tokio::io::duplex(1024);
    let (view, _) = view();
    let (served, read) = tokio::join!(connection(server, Origin::Unix, &view), client.read_u8());
    assert!(served.is_err() && read.is_err());
}

/// A listener's stream of events, with what was read of it.
async fn listening(address: std::net::SocketAddr) -> (TcpStream, String) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut read = String::new();
    until_read(&mut stream, &mut read, "\r\n\r\n").await;
    (stream, read)
}

async fn until_read(stream: &mut TcpStream, read: &mut String, text: &str) {
    while !read.contains(text) {
        let mut piece = [0; 4096];
        let n = stream.read(&mut piece).await.unwrap();
        assert!(n > 0, "{text} did not come:\n{read}");
        read.push_str(&String::from_utf8_lossy(&piece[..n]));
    }
}

#[tokio::test]
async fn events_come_with_the_state_at_once_and_again_when_something_happens() {
    let (view, _) = view();
    let (address, _tasks) = serving(Arc::clone(&view));
    let (mut stream, mut read) = listening(address).await;
    assert!(read.starts_with("HTTP/1.1 200") && read.contains("text/event-stream"), "{read}");
    until_read(&mut stream, &mut read, "event: state\ndata: {").await;
    view.board.event(super::super::board::Level::Warning, "the sky falls".to_owned());
    until_read(&mut stream, &mut read, "event: event\nid: ").await;
    until_read(&mut stream, &mut read, "the sky falls").await;
    let told = read.find("the sky falls").unwrap();
    read.drain(..told);
    until_read(&mut stream, &mut read, "event: state\n").await;
}

#[tokio::test]
async fn only_so_many_may_listen_and_a_place_is_free_when_one_leaves() {
    let (view, _) = view();
    let (address, _tasks) = serving(Arc::clone(&view));
    let mut all = Vec::new();
    for _ in 0..16 {
        all.push(listening(address).await);
    }
    assert!(all.iter().all(|(_, read)| read.starts_with("HTTP/1.1 200")));
    let (_, refused) = listening(address).await;
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    // They take no place from who asks for something else.
    assert_eq!(ask(TcpStream::connect(address).await.unwrap(), "GET /healthz").await.0, 200);
    all.pop();
    let limit = Instant::now() + Duration::from_secs(10);
    while !listening(address).await.1.starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < limit, "the place stays taken");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn one_who_listens_is_kept_for_an_hour_and_no_longer() {
    let (mut client, server) = tokio::io::duplex(1 << 20);
    let (view, _) = view();
    client.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let began = Instant::now();
    connection(server, Origin::Unix, &view).await.unwrap();
    assert_eq!(began.elapsed(), CONNECTION + LISTENING);
}

#[tokio::test(start_paused = true)]
async fn one_who_does_not_read_is_hung_up_on() {
    let (mut client, server) = tokio::io::duplex(64);
    let (view, _) = view();
    client.write_all(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let began = Instant::now();
    tokio::select! {
        served = connection(server, Origin::Unix, &view) => served.unwrap(),
        () = events::tell(&view) => {}
    }
    assert!(began.elapsed() < CONNECTION, "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_is_read_whole_or_refused() {
    let (view, _) = view();
    let (address, _tasks) = serving(view);
    let send = |length: usize| async move {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = "POST /api/v1/pools/app/backends/a/state HTTP/1.1\r\nHost: localhost\r\nX-Homing: 1\r\n";
        let body = " ".repeat(length);
        stream.write_all(format!("{head}Content-Length: {length}\r\n\r\n{body}").as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer[9..12].to_owned()
    };
    assert_eq!((send(16 * 1024).await, send(16 * 1024 + 1).await), ("400".to_owned(), "413".to_owned()));
}
