//! Backends that die, are sick, go away, are drained; what homing answers itself; and its own end.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use homing::snapshot::phases::Phase;
use tokio::sync::mpsc::Sender;
use tokio::task::JoinHandle;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};

use crate::harness::grpc::{Conversation, Grpc, GrpcBackend, Word, before, with, word};
use crate::harness::{Homing, bound, homing, until};

#[test]
fn a_backend_that_dies_in_the_middle_is_unavailable() {
    let mut a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let held = client.spawn(client.saying(with("hold", &[])));
    let mut words = client.list(Request::new(Word { count: 3, ..word("hold") })).unwrap().into_inner();
    for _ in 0..3 {
        client.next(&mut words).unwrap().unwrap();
    }
    let (talk, mut heard) = begin(&client);
    until(|| a.open() == 3);
    a.dies();
    for words in [&mut words, &mut heard] {
        let status = client.next(words).unwrap_err();
        assert_eq!(status.code(), Code::Unavailable, "{status:?}");
        assert!(status.message().contains("backend.body"), "{status:?}");
    }
    let status = client.wait(held).unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let status = client.say(with("x", &[])).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    drop(talk);
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":0"));
}

#[test]
fn one_that_stalls_is_given_up_and_told_so() {
    let a = GrpcBackend::new("a");
    let timeouts = "[pool.timeouts]\nfirst_byte = \"200ms\"\nread = \"200ms\"\n";
    let homing = before(&[&a], "max_fails = 0", timeouts).run();
    let client = Grpc::connect(homing.address);
    let mut words = client.list(Request::new(Word { count: 2, ..word("hold") })).unwrap().into_inner();
    for n in 0..2 {
        assert_eq!(client.next(&mut words).unwrap().unwrap().count, n);
    }
    let status = client.next(&mut words).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let status = client.say(with("hold", &[])).unwrap_err();
    assert!(status.code() == Code::Unavailable && status.message().contains("timeout"), "{status:?}");
    until(|| a.cancelled() == 2 && a.open() == 0);
    assert_eq!(client.whose(with("x", &[])), "a");
}

/// What came of a message is none, and the status is the one of homing all the same.
#[test]
fn one_that_dies_in_the_middle_of_a_message_is_too() {
    let mut a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let load = vec![7; 8_000_000];
    let mut words = client.list(Request::new(Word { count: 1, load, ..word("") })).unwrap().into_inner();
    a.dies();
    // It waits until the client reads on.
    let status = client.next(&mut words).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
}

/// A conversation that has begun, and whose answers are heard.
fn begin(client: &Grpc) -> (Sender<Word>, Streaming<Word>) {
    let Conversation { out, answer, .. } = client.chat(MetadataMap::new());
    client.wait(out.send(word("1"))).unwrap();
    let mut heard = client.wait(answer).unwrap().unwrap().into_inner();
    client.next(&mut heard).unwrap().unwrap();
    (out, heard)
}

#[test]
fn what_homing_answers_itself_is_a_status_with_a_message() {
    let nobody = bound("127.0.0.1:0".parse().unwrap());
    let address = nobody.local_addr().unwrap().as_socket().unwrap();
    let pool = format!("protocol = \"h2c\"\nbackends = [\"{address}\"]\n");
    let routes = "[[route]]\npath = \"/test.Talk/Say\"\npool = \"app\"\n\
                  [[route]]\npath = \"/test.Talk/Sum\"\npool = \"app\"\ndeny = [\"127.0.0.0/8\"]\n";
    let homing = homing(&[]).listener("h2c = true\n").pool(&pool).with(routes).run();
    let client = Grpc::connect(homing.address);
    let table = [
        ("/test.Talk/Say", Code::Unavailable, "backend_connect"),
        ("/test.Talk/Sum", Code::PermissionDenied, "denied"),
        ("/test.Talk/List", Code::Unimplemented, "no_route"),
    ];
    for (path, code, reason) in table {
        let status = client.call(path, word("x")).unwrap_err();
        assert_eq!(status.code(), code, "{status:?}");
        assert!(status.message().contains(reason), "{status:?}");
    }
    // Of streams too.
    let status = client.chat(MetadataMap::new());
    let status = client.wait(status.answer).unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented, "{status:?}");
}

#[test]
fn a_backend_says_by_itself_whether_it_serves() {
    let [a, b] = ["a", "b"].map(GrpcBackend::new);
    for grpc in ["true", "\"test.Talk\""] {
        let health = format!(
            "[pool.health]\ngrpc = {grpc}\ninterval = \"20ms\"\nrise = 1\nfall = 1\nfall_pinned = 1\n"
        );
        let homing = before(&[&a, &b], "", &health).run();
        let client = Grpc::connect(homing.address);
        let health = |n: usize| homing.told("/api/v1/pools")["pools"][0]["backends"][n].clone();
        until(|| health(0)["health"] == "up" && health(1)["health"] == "up");
        a.is_sick(true);
        until(|| health(0)["health"] == "down");
        assert!(health(0).to_string().contains("NOT_SERVING"), "{}", health(0));
        assert!((0..6).all(|_| client.whose(with("x", &[])) == "b"));
        a.is_sick(false);
        until(|| health(0)["health"] == "up");
        until(|| client.whose(with("x", &[])) == "a");
    }
    let health = "[pool.health]\ngrpc = \"test.Other\"\ninterval = \"20ms\"\nfall = 1\n";
    let homing = before(&[&a], "", health).run();
    homing.until("/api/v1/pools", |text| text.contains("unknown service") && text.contains("\"down\""));
    let status = Grpc::connect(homing.address).say(with("x", &[])).unwrap_err();
    assert!(status.code() == Code::Unavailable && status.message().contains("no_backend"), "{status:?}");
}

fn set(homing: &Homing, backend: &str, state: &str) {
    let path = format!("/api/v1/pools/app/backends/{backend}/state");
    let reply = homing.post(&path, &format!("{{\"state\": \"{state}\"}}"));
    assert_eq!(reply.status, 200, "{}", reply.text());
}

#[test]
fn a_drain_lets_streams_go_on_and_sends_calls_elsewhere() {
    let [a, b] = ["a", "b"].map(GrpcBackend::new);
    let homing = before(&[&a, &b], "", "").run();
    let client = Grpc::connect(homing.address);
    let (talk, mut heard) = std::iter::repeat_with(|| begin(&client)).find(|_| a.open() == 1).unwrap();
    set(&homing, "a", "drain");
    until(|| client.whose(with("x", &[])) == "b");
    let before = a.calls();
    for n in 0..20 {
        assert_eq!(client.whose(with("x", &[])), "b");
        client.wait(talk.send(Word { count: n, ..word("") })).unwrap();
        let word = client.next(&mut heard).unwrap().unwrap();
        assert_eq!((word.text.as_str(), word.count), ("a", n));
    }
    assert_eq!(a.calls(), before);
    let safe = || homing.told("/api/v1/pools/app/backends/a/safe-to-stop")["safe"] == true;
    assert!(!safe());
    drop(talk);
    assert_eq!(client.next(&mut heard).unwrap(), None);
    until(safe);
    set(&homing, "a", "ready");
    until(|| client.whose(with("x", &[])) == "a");
}

/// Calls without end, until it is dropped.
struct Load {
    client: Grpc,
    is_over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Result<(), Status>>>,
}

impl Load {
    fn new(homing: &Homing) -> Self {
        let client = Grpc::connect(homing.address);
        let (is_over, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let caller = |n: usize| {
            let (is_over, served) = (Arc::clone(&is_over), Arc::clone(&served));
            let again = client.again();
            let load = vec![1; n * 1000];
            client.spawn(async move {
                while !is_over.load(SeqCst) {
                    let said = Word { load: load.clone(), ..word("x") };
                    let answer = again.saying(Request::new(said)).await?.into_inner();
                    assert_eq!(answer.load.len(), load.len());
                    served.fetch_add(1, SeqCst);
                }
                Ok(())
            })
        };
        let callers = (0..8).map(caller).collect();
        Self { client, is_over, served, callers }
    }

    /// Waits until this comes about, while all are served.
    fn until(&self, mut condition: impl FnMut() -> bool) {
        until(|| condition() || self.callers.iter().any(JoinHandle::is_finished));
    }

    /// How many were served, and no other.
    fn ends(self) -> usize {
        self.is_over.store(true, SeqCst);
        for caller in self.callers {
            self.client.wait(caller).unwrap().unwrap();
        }
        self.served.load(SeqCst)
    }
}

#[test]
fn a_backend_that_stops_loses_no_call() {
    let [mut a, b] = ["a", "b"].map(GrpcBackend::new);
    let homing = before(&[&a, &b], "", "").run();
    let load = Load::new(&homing);
    load.until(|| a.calls() > 50 && b.calls() > 50);
    a.stops();
    load.until(|| a.has_stopped());
    let before = b.calls();
    load.until(|| b.calls() > before + 50);
    assert!(load.ends() > 150);
}

#[test]
fn connections_that_are_ended_again_and_again_lose_no_call() {
    let a = GrpcBackend::with("a", |server| server.max_connection_age(Duration::from_millis(100)));
    let homing = before(&[&a], "", "").run();
    let load = Load::new(&homing);
    load.until(|| a.connections() > 12);
    assert!(load.ends() > 30);
}

#[test]
fn a_stop_lets_streams_end() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let (talk, mut heard) = begin(&client);
    let mut words = client.list(Request::new(Word { count: 1, ..word("hold") })).unwrap().into_inner();
    client.next(&mut words).unwrap().unwrap();
    let address = homing.address;
    homing.phases().advance(Phase::Drain);
    until(|| std::net::TcpStream::connect(address).is_err());
    for n in 0..5 {
        client.wait(talk.send(Word { count: n, ..word("") })).unwrap();
        assert_eq!(client.next(&mut heard).unwrap().unwrap().count, n);
    }
    a.lets_go();
    assert_eq!(client.next(&mut words).unwrap().unwrap().count, 1);
    assert_eq!(client.next(&mut words).unwrap(), None);
    drop(talk);
    assert_eq!(client.next(&mut heard).unwrap(), None);
    homing.join();
}
