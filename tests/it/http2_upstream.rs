//! HTTP/2 to backends: what clients see of it, and of backends that refuse, go away, reset, stall and die.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use bytes::Bytes;
use h2::Reason;
use socket2::{Domain, Socket, Type};

use crate::harness::fronts::{Authority, Front};
use crate::harness::h2::{END_HEADERS, END_STREAM, Event, HEADERS, PREFACE, Raw, frame, settings};
use crate::harness::http2::Http2;
use crate::harness::http2_backend::Http2Backend;
use crate::harness::{Homing, LIMIT, Reply, backend, exchange, get, homing, open, read_reply, until};

/// A homing whose backends are at these addresses and speak HTTP/2, with these keys of the pool.
fn to(addresses: &[SocketAddr], pool: &str) -> Homing {
    let list: Vec<String> = addresses.iter().map(|a| format!("\"{a}\"")).collect();
    let pool = format!("backends = [{}]\nprotocol = \"h2c\"\n{pool}\n", list.join(", "));
    homing(&[]).listener("h2c = true\n").pool(&pool).run()
}

fn post(homing: &Homing, path: &str, body: &[u8]) -> Reply {
    post_to(homing.address, path, body)
}

fn post_to(address: SocketAddr, path: &str, body: &[u8]) -> Reply {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: t\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
    exchange(address, &[head.as_bytes(), body].concat())
}

/// Everything that comes until the end.
fn raw(homing: &Homing, bytes: &[u8]) -> String {
    let mut stream = open(homing.address);
    stream.write_all(bytes).unwrap();
    let mut all = Vec::new();
    let _ = stream.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

#[test]
fn requests_become_streams_and_answers_come_back_as_they_were() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let reply = get(homing.address, "/some/path?x=1");
    assert_eq!((reply.status, reply.text().as_str()), (200, "a GET /some/path 0"));
    assert_eq!(reply.field("content-length").as_deref(), Some("18"));
    let head = a.take_heads().remove(0);
    assert_eq!(head.uri(), "http://test/some/path?x=1");
    let names: Vec<&str> = head.headers().keys().map(|n| n.as_str()).collect();
    for gone in ["connection", "host", "transfer-encoding", "keep-alive", "upgrade"] {
        assert!(!names.contains(&gone), "{names:?}");
    }
    assert!(names.contains(&"x-forwarded-for") && names.contains(&"via"), "{names:?}");
    assert_eq!(post(&homing, "/x", b"hello").text(), "a POST /x 5");
    let chunked = b"POST /y HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n\
                    3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    assert_eq!(exchange(homing.address, chunked).text(), "a POST /y 5");
    assert_eq!(a.last_body().0, b"abcde");
    let reply = exchange(homing.address, b"HEAD /z HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert_eq!((reply.status, reply.field("content-length").as_deref()), (200, Some("11")));
    assert_eq!(get(homing.address, "/empty").status, 204);
}

#[test]
fn streams_share_a_connection_and_many_are_at_work_at_once() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "[pool.timeouts]\nidle = \"1m\"");
    for _ in 0..20 {
        assert_eq!(get(homing.address, "/").status, 200);
    }
    assert!(a.connections().0 <= 2, "one for each worker: {:?}", a.connections());
    let before = a.asked();
    let clients: Vec<_> = (0..50)
        .map(|_| {
            let mut client = open(homing.address);
            client.write_all(b"GET /hold HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
            client
        })
        .collect();
    until(|| a.asked() == before + 50);
    assert!(a.connections().0 <= 4, "{:?}", a.connections());
    a.lets_go();
    for mut client in clients {
        assert_eq!(read_reply(&mut client, &mut Vec::new(), true).text(), "a");
    }
}

/// Their answers share connections with those of others, and so does what waits of them.
#[test]
fn clients_that_do_not_read_leave_the_others_room() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let stalled: Vec<TcpStream> = (0..80)
        .map(|_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_recv_buffer_size(8 * 1024).unwrap();
            socket.connect(&homing.address.into()).unwrap();
            let mut stream = TcpStream::from(socket);
            stream.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
            stream
        })
        .collect();
    until(|| a.asked() == stalled.len());
    for n in 0..200 {
        assert_eq!(get(homing.address, "/x").text(), "a GET /x 0", "request {n}");
    }
    assert!(a.connections().0 <= 4, "they share connections: {:?}", a.connections());
}

#[test]
fn a_peer_that_allows_few_streams_gets_more_connections() {
    let a = Http2Backend::with("a", |b| {
        b.max_concurrent_streams(2);
    });
    let homing = to(&[a.address], "[pool.timeouts]\nidle = \"200ms\"");
    let clients: Vec<_> = (0..12)
        .map(|_| {
            let mut client = open(homing.address);
            client.write_all(b"GET /hold HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
            client
        })
        .collect();
    until(|| a.asked() == 12);
    assert!(a.connections().0 >= 6, "{:?}", a.connections());
    a.lets_go();
    for mut client in clients {
        assert_eq!(read_reply(&mut client, &mut Vec::new(), true).status, 200);
    }
    let (opened, _) = a.connections();
    // The pool's idle time is over for all of them.
    until(|| a.connections().1 >= opened);
}

#[test]
fn trailers_and_informational_answers_pass() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let chunked = "POST /echo HTTP/1.1\r\nHost: t\r\nTE: trailers\r\nConnection: TE, close\r\n\
                   Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 7\r\n\r\n";
    let text = raw(&homing, chunked.as_bytes());
    assert!(text.contains("3\r\nabc\r\n0\r\n") && text.contains("x-sum: 7\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n") && text.contains("grpc-status: 0\r\n"), "{text}");
    assert_eq!(a.take_heads()[0].headers()["te"], "trailers");
    assert_eq!(a.last_body().1["x-sum"], "7");
    let text = raw(&homing, b"GET /informed HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
    assert!(
        text.starts_with("HTTP/1.1 103 ") && text.contains("HTTP/1.1 200 ") && text.contains("late"),
        "{text}"
    );
}

#[test]
fn large_bodies_go_both_ways_and_one_that_is_not_read_holds_up_no_other() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let reply = get(homing.address, "/large");
    assert_eq!((reply.status, reply.body.len(), reply.is_cut), (200, 4 << 20, false));
    let body = vec![b'x'; 3 << 20];
    assert_eq!(post(&homing, "/", &body).text(), format!("a POST / {}", 3 << 20));
    let slow: Vec<_> = (0..8)
        .map(|_| {
            let mut client = open(homing.address);
            client.write_all(b"GET /large HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
            client
        })
        .collect();
    until(|| a.asked() >= 10);
    for _ in 0..20 {
        assert_eq!(get(homing.address, "/").status, 200);
    }
    drop(slow);
}

#[test]
fn a_stream_that_is_refused_goes_again_whatever_its_method() {
    let (a, b) = (Http2Backend::new("a"), Http2Backend::new("b"));
    let homing = to(&[a.address], "");
    // Of one connection all requests are of one worker.
    let mut client = open(homing.address);
    for _ in 0..5 {
        client.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1\r\n\r\nx").unwrap();
        let reply = read_reply(&mut client, &mut Vec::new(), true);
        assert_eq!(reply.status, 200, "{}", reply.head);
        a.refuses(1);
    }
    a.refuses(0);
    let homing = to(&[a.address, b.address], "max_fails = 0");
    a.refuses(1000);
    for _ in 0..6 {
        assert_eq!(post(&homing, "/", b"x").text(), "b POST / 1");
    }
}

/// Of calls of gRPC no length is known, and all of them are POST.
#[test]
fn a_body_without_a_length_goes_again_as_long_as_it_is_short() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let mut client = Http2::connect(homing.address);
    let mut ask = |pieces: &[usize]| {
        let mut asked = client.ask(client.request("POST", "/"), false).unwrap();
        for n in pieces {
            asked.body.send_data(Bytes::from(vec![b'x'; *n]), false).unwrap();
        }
        asked.body.send_data(Bytes::new(), true).unwrap();
        let answered = client.read(asked).unwrap();
        (answered.head.status().as_u16(), String::from_utf8(answered.body).unwrap())
    };
    assert_eq!(ask(&[]), (200, "a POST / 0".to_owned()));
    for pieces in [&[][..], &[1], &[5, 10], &[1000, 2000, 3000], &[14_000]] {
        a.refuses(1);
        assert_eq!(ask(pieces), (200, format!("a POST / {}", pieces.iter().sum::<usize>())));
        assert_eq!(a.last_body().0, vec![b'x'; pieces.iter().sum()]);
    }
    a.refuses(0);
    assert_eq!(ask(&[10, 40_000, 10]), (200, "a POST / 40020".to_owned()));
}

#[test]
fn a_backend_that_refuses_everything_is_not_asked_without_end() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "max_fails = 0");
    a.refuses(1_000_000);
    for _ in 0..3 {
        let reply = post(&homing, "/", b"x");
        assert_eq!(reply.status, 502, "{}", reply.head);
    }
    assert!(a.connections().0 <= 8, "{:?}", a.connections());
}

#[test]
fn a_backend_that_goes_away_under_load_costs_no_request() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "max_fails = 0");
    let address = homing.address;
    let stopped = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let clients: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let mut served = 0;
                    while !stopped.load(std::sync::atomic::Ordering::Relaxed) {
                        let reply = post_to(address, "/", b"hello");
                        assert_eq!(reply.status, 200, "{}{}", reply.head, reply.text());
                        served += 1;
                    }
                    served
                })
            })
            .collect();
        for round in 1..=20 {
            let before = a.asked();
            until(|| a.asked() > before + 5);
            a.goes_away();
            until(|| a.connections().1 >= round || a.connections().0 > round);
        }
        stopped.store(true, std::sync::atomic::Ordering::Relaxed);
        let served: usize = clients.into_iter().map(|c| c.join().unwrap()).sum();
        assert!(served > 100, "{served}");
    });
    assert!(a.connections().0 > 10, "{:?}", a.connections());
}

#[test]
fn what_was_asked_before_it_goes_away_is_answered() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let mut client = open(homing.address);
    client
        .write_all(b"POST /hold HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        .unwrap();
    until(|| a.asked() == 1);
    a.goes_away();
    for _ in 0..4 {
        assert_eq!(get(homing.address, "/").status, 200);
    }
    a.lets_go();
    assert_eq!(read_reply(&mut client, &mut Vec::new(), true).text(), "a");
}

#[test]
fn a_stream_that_is_reset_is_a_backend_that_closed() {
    let (a, b) = (Http2Backend::new("a"), Http2Backend::new("b"));
    let homing = to(&[a.address], "max_fails = 0");
    let reply = post(&homing, "/reset", b"x");
    assert!(reply.status == 502 && reply.text().contains("backend_closed"), "{}{}", reply.head, reply.text());
    assert_eq!(a.asked(), 1, "a POST is not sent twice");
    assert_eq!(get(homing.address, "/reset").status, 502);
    let before = a.asked();
    let mut client = open(homing.address);
    client.write_all(b"GET /cut HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    until(|| a.asked() > before);
    let mut all = vec![0; 15];
    client.read_exact(&mut all).unwrap();
    a.lets_go();
    let mut rest = Vec::new();
    let end = client.read_to_end(&mut rest);
    assert!(
        end.is_err() || !String::from_utf8_lossy(&rest).contains("0\r\n\r\n"),
        "a cut answer looks whole"
    );
    drop(b);
}

#[test]
fn a_backend_that_never_answers_is_given_up_and_told_so() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "max_fails = 0\n[pool.timeouts]\nfirst_byte = \"200ms\"\nread = \"200ms\"");
    assert_eq!(post(&homing, "/hold", b"x").status, 504);
    until(|| a.resets() == [Reason::CANCEL]);
    let text = raw(&homing, b"GET /stall HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(text.starts_with("HTTP/1.1 200 ") && !text.contains("0\r\n\r\n"), "{text}");
    until(|| a.resets() == [Reason::CANCEL; 2]);
    assert_eq!(post(&homing, "/", b"x").status, 200, "others go on");
}

#[test]
fn a_client_that_leaves_takes_its_stream_with_it() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let mut client = open(homing.address);
    client.write_all(b"GET /hold HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    until(|| a.asked() == 1);
    drop(client);
    until(|| a.resets() == [Reason::CANCEL]);
}

#[test]
fn a_backend_that_dies_is_passed_over_and_its_streams_are_over() {
    let (mut a, b) = (Http2Backend::new("a"), Http2Backend::new("b"));
    let homing = to(&[a.address, b.address], "");
    for _ in 0..4 {
        assert_eq!(post(&homing, "/", b"x").status, 200);
    }
    let mut client = open(homing.address);
    let mut is_at_a = false;
    while !is_at_a {
        client = open(homing.address);
        let before = a.asked();
        let elsewhere = b.asked();
        client
            .write_all(b"POST /hold HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            .unwrap();
        until(|| a.asked() > before || b.asked() > elsewhere);
        is_at_a = a.asked() > before;
    }
    a.dies();
    assert_eq!(read_reply(&mut client, &mut Vec::new(), true).status, 502);
    for _ in 0..6 {
        assert_eq!(post(&homing, "/", b"x").text(), "b POST / 1");
    }
}

#[test]
fn a_backend_that_speaks_something_else_is_refused_in_time() {
    let plain = backend("plain");
    plain.answers("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    let homing = to(&[plain.address], "max_fails = 0");
    assert_eq!(post(&homing, "/", b"x").status, 502);
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let pool = "max_fails = 0\n[pool.timeouts]\nconnect = \"200ms\"";
    let homing = to(&[silent.local_addr().unwrap()], pool);
    assert_eq!(post(&homing, "/", b"x").status, 504);
}

#[test]
fn the_log_says_what_a_backend_does_not_speak() {
    let a = backend("a");
    let homing = homing(&[]).pool(&format!("backends = [\"{}\"]\nprotocol = \"h2c\"\n", a.address)).spawn();
    assert_eq!(get(homing.address, "/").status, 502);
    homing.until_said("no HTTP/2 connection: ");
}

#[test]
fn over_tls_a_backend_must_agree_to_http2() {
    let (a, plain, authority) = (Http2Backend::new("a"), backend("plain"), Authority::new());
    let issued = authority.issue(&["127.0.0.1"]);
    let server = |alpn: &[&str]| authority.server(&issued, alpn, false);
    let agrees = Front::new(server(&["h2", "http/1.1"]), a.address);
    let silent = Front::new(server(&[]), plain.address);
    let refuses = Front::new(server(&["http/1.1"]), plain.address);
    let pool = format!("protocol = \"h2\"\ntls = {{ ca = {:?} }}", authority.ca());
    for (front, status) in [(&agrees, 200), (&silent, 502), (&refuses, 502)] {
        let pool = format!("backends = [\"{}\"]\n{pool}", front.address);
        let homing = homing(&[]).pool(&pool).run();
        assert_eq!(post(&homing, "/", b"x").status, status);
    }
    assert_eq!(a.take_heads()[0].uri().scheme_str(), Some("https"));
    assert!(plain.requests().is_empty());
}

#[test]
fn what_http2_cannot_say_is_the_clients_fault_and_no_backends() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    for _ in 0..3 {
        let reply = exchange(homing.address, b"GET /a<b HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n");
        assert_eq!(reply.status, 400, "{}", reply.head);
    }
    assert_eq!(get(homing.address, "/").status, 200, "it was not ejected");
    assert_eq!(a.asked(), 1);
}

#[test]
fn http2_goes_through_from_end_to_end() {
    let a = Http2Backend::new("a");
    let homing = to(&[a.address], "");
    let mut client = Http2::connect(homing.address);
    assert_eq!(client.get("/").body, b"a GET / 0");
    let mut request = client.request("POST", "/echo");
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let mut asked = client.ask(request, false).unwrap();
    asked.body.send_data(Bytes::from_static(b"hello"), false).unwrap();
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", "7".parse().unwrap());
    asked.body.send_trailers(trailers).unwrap();
    let answered = client.read(asked).unwrap();
    assert_eq!(
        (answered.body.as_slice(), &answered.trailers["x-sum"]),
        (&b"hello"[..], &"7".parse().unwrap())
    );
    assert_eq!(answered.trailers["grpc-status"], "0");
    for _ in 0..3 {
        assert_eq!(client.get("/large").body.len(), 4 << 20);
    }
}

#[test]
fn checks_speak_http2_too() {
    let (a, plain) = (Http2Backend::new("a"), backend("plain"));
    let pool =
        "[pool.health]\npath = \"/health\"\nbody = \"GET /health\"\ninterval = \"20ms\"\nrise = 1\nfall = 1";
    let homing = to(&[a.address, plain.address], pool);
    homing.until("/api/v1/pools", |text| {
        text.contains("\"health\":\"up\"") && text.contains("\"health\":\"down\"")
    });
    assert_eq!(post(&homing, "/", b"x").text(), "a POST / 1");
}

/// What a backend may say for a while, as it begins or ends. (RFC 9113 section 6.5.2)
#[test]
fn a_backend_that_allows_no_streams_is_waited_for_and_told_of() {
    let a = Http2Backend::with("a", |settings| {
        settings.max_concurrent_streams(0);
    });
    let pool =
        format!("backends = [\"{}\"]\nprotocol = \"h2c\"\n[pool.timeouts]\nconnect = \"300ms\"\n", a.address);
    let process = homing(&[]).pool(&pool).spawn();
    let reply = get(process.address, "/");
    assert_eq!(reply.status, 504);
    assert!(reply.text().contains("(backend_streams)"), "{}", reply.text());
    process.until_said("it allows no streams (SETTINGS_MAX_CONCURRENT_STREAMS is 0)");
    let errors = |reason| {
        let labels = format!("{{pool=\"app\",backend=\"{}\",reason=\"{reason}\"}}", a.address);
        process.metric(&format!("homing_upstream_errors_total{labels}"))
    };
    assert_eq!((errors("no_streams"), errors("connect_timeout")), (Some(1.0), Some(0.0)));
    assert_eq!(a.asked(), 0);
}

#[test]
fn a_backend_that_allows_streams_after_all_is_asked() {
    const MAX_CONCURRENT_STREAMS: u16 = 3;
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let homing = to(&[listener.local_addr().unwrap()], "");
    let allows = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream.read_exact(&mut [0; PREFACE.len()]).unwrap();
        let mut peer = Raw::on(stream);
        peer.send(&settings(&[(MAX_CONCURRENT_STREAMS, 0)]));
        assert!(peer.until(|event| *event == Event::SettingsAck));
        assert!(!peer.events().iter().any(|event| matches!(event, Event::Status(..))), "{:?}", peer.events());
        peer.send(&settings(&[(MAX_CONCURRENT_STREAMS, 1)]));
        assert!(peer.until(|event| matches!(event, Event::Status(1, _))), "{:?}", peer.events());
        peer.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x88]));
        peer // Which stays open.
    });
    assert_eq!(get(homing.address, "/").status, 200);
    drop(allows.join().unwrap());
}

/// One that says nothing at all is late, and no more is known of it.
#[test]
fn a_backend_that_says_nothing_is_late() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let homing = to(&[silent.local_addr().unwrap()], "[pool.timeouts]\nconnect = \"300ms\"");
    let reply = get(homing.address, "/");
    assert_eq!(reply.status, 504);
    assert!(reply.text().contains("(backend_timeout)"), "{}", reply.text());
}
