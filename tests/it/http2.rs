//! HTTP/2 in: the same homing behind another framing. (RFC 9113, RFC 8441)

use bytes::Bytes;
use h2::Reason;
use h2::ext::Protocol;
use http::{HeaderMap, Method};

use crate::harness::http2::{Asked, Http2, read_body};
use crate::harness::{Backend, Does, Homing, Setup, backend, homing, until};

fn h2c(backends: &[&Backend]) -> Setup {
    homing(backends).listener("h2c = true\n")
}

fn reason(error: &h2::Error) -> Reason {
    error.reason().unwrap_or_else(|| panic!("{error} has no reason"))
}

fn home(client: &mut Http2) -> String {
    client.get("/").field("x-backend").to_owned()
}

#[test]
fn a_session_keeps_its_backend_whatever_its_version_and_connection() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = h2c(&[&a, &b]).cookie().run();
    for _ in 0..4 {
        let mut client = Http2::connect(homing.address);
        let first = home(&mut client);
        assert_eq!([home(&mut client), home(&mut client)], [first.clone(), first.clone()]);
        let mut again = Http2::connect(homing.address);
        again.crumbs = client.crumbs.clone();
        assert_eq!(home(&mut again), first);
        let mut old = homing.client();
        old.set("srv", client.crumbs[0].strip_prefix("srv=").unwrap());
        assert_eq!(old.get("/").served_by(), first);
    }
}

#[test]
fn crumbs_of_cookies_are_joined_before_the_pin_is_looked_for_and_taken_out() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = h2c(&[&a, &b]).cookie().run();
    let mut client = Http2::connect(homing.address);
    let first = home(&mut client);
    let pin = client.crumbs[0].clone();
    client.crumbs = vec!["x=1".to_owned(), pin.clone(), "y=2; z=3".to_owned()];
    for _ in 0..6 {
        assert_eq!(home(&mut client), first);
    }
    let sent = if first == "a" { a.last() } else { b.last() };
    assert!(sent.contains("cookie: x=1; y=2; z=3\r\n"), "{sent}");
    client.crumbs = vec![pin];
    assert_eq!(home(&mut client), first);
    let sent = if first == "a" { a.last() } else { b.last() };
    assert!(!sent.to_ascii_lowercase().contains("cookie"), "{sent}");
}

#[test]
fn streams_side_by_side_each_reach_the_home_of_their_own_session() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = h2c(&[&a, &b]).cookie().run();
    let sessions: Vec<(String, Vec<String>)> = (0..10)
        .map(|_| {
            let mut client = Http2::connect(homing.address);
            (home(&mut client), client.crumbs)
        })
        .collect();
    assert!(["a", "b"].iter().all(|name| sessions.iter().any(|(home, _)| home == name)));
    let mut client = Http2::connect(homing.address);
    for _ in 0..5 {
        let asked: Vec<Asked> = sessions
            .iter()
            .map(|(_, crumbs)| {
                client.crumbs = crumbs.clone();
                client.ask(client.request("GET", "/"), true).unwrap()
            })
            .collect();
        for ((home, _), asked) in sessions.iter().zip(asked) {
            assert_eq!(client.read(asked).unwrap().field("x-backend"), home);
        }
    }
}

#[test]
fn the_backend_sees_a_request_of_http_1_1_and_is_told_how_it_came() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    let mut request = client.request("GET", "/x/y?z=%20");
    request.headers_mut().insert("x-forwarded-for", "192.0.2.1".parse().unwrap());
    request.headers_mut().insert("x-homing-session", "forged".parse().unwrap());
    let answered = client.send(request).unwrap();
    assert_eq!((answered.head.status().as_u16(), &answered.body[..]), (200, &b"a"[..]));
    let sent = a.last();
    assert!(sent.starts_with("GET /x/y?z=%20 HTTP/1.1\r\nHost: test\r\n"), "{sent}");
    assert!(sent.contains("X-Forwarded-For: 127.0.0.1\r\n") && !sent.contains("192.0.2.1"), "{sent}");
    assert!(sent.contains("Via: 2.0 homing-"), "{sent}");
}

#[test]
fn bodies_pass_both_ways_with_a_length_and_without() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    let body: Vec<u8> = (0..300_000_u32).map(|n| n as u8).collect();
    a.answers([b"HTTP/1.1 200 OK\r\nContent-Length: 300000\r\n\r\n", &body[..]].concat());
    for has_length in [true, false] {
        let mut request = client.request("POST", "/");
        if has_length {
            request.headers_mut().insert("content-length", "300000".parse().unwrap());
        }
        let mut asked = client.ask(request, false).unwrap();
        asked.body.send_data(Bytes::copy_from_slice(&body), true).unwrap();
        assert_eq!(client.read(asked).unwrap().body, body);
        let sent = a.requests().pop().unwrap();
        let head = sent.windows(4).position(|w| w == b"\r\n\r\n").unwrap() + 4;
        if has_length {
            assert_eq!(&sent[head..], &body[..]);
        } else {
            assert!(String::from_utf8_lossy(&sent[..head]).contains("Transfer-Encoding: chunked"));
            assert_eq!(decode(&sent[head..]), body);
        }
    }
    a.does(Does::Serve);
    assert_eq!(client.get("/chunks/1000").body, [b'x'; 1000]);
    assert_eq!(client.get("/large/3000000").body.len(), 3_000_000);
}

/// The data of a chunked body.
fn decode(mut body: &[u8]) -> Vec<u8> {
    let mut data = Vec::new();
    loop {
        let line = body.windows(2).position(|w| w == b"\r\n").unwrap();
        let n = usize::from_str_radix(std::str::from_utf8(&body[..line]).unwrap(), 16).unwrap();
        if n == 0 {
            return data;
        }
        data.extend_from_slice(&body[line + 2..line + 2 + n]);
        body = &body[line + 2 + n + 2..];
    }
}

#[test]
fn trailers_pass_both_ways_for_who_asks() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    a.answers(
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 6\r\nvary: no\r\n\r\n",
    );
    let mut request = client.request("POST", "/");
    request.headers_mut().insert("te", "trailers".parse().unwrap());
    let mut asked = client.ask(request, false).unwrap();
    asked.body.send_data(Bytes::from_static(b"data"), false).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("x-check", "1".parse().unwrap());
    asked.body.send_trailers(trailers).unwrap();
    let answered = client.read(asked).unwrap();
    assert_eq!((&answered.body[..], answered.trailers.len()), (&b"abc"[..], 1));
    assert_eq!(answered.trailers["x-sum"], "6");
    assert!(a.last().ends_with("0\r\nx-check: 1\r\n\r\n"), "{}", a.last());
    assert!(client.get("/").trailers.is_empty());
}

#[test]
fn informational_answers_pass_and_a_body_waits_for_its_100() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    a.answers("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    let mut asked = client.ask(client.request("GET", "/"), true).unwrap();
    let hints = client.wait(std::future::poll_fn(|cx| asked.reply.poll_informational(cx))).unwrap().unwrap();
    assert_eq!((hints.status().as_u16(), hints.headers()["link"].as_bytes()), (103, &b"</x>"[..]));
    assert_eq!(client.read(asked).unwrap().body, b"ok");
}

#[test]
fn answers_without_a_body_end_with_their_head() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    for (method, answer, length) in [
        ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "5"),
        ("GET", "HTTP/1.1 204 No Content\r\n\r\n", ""),
        ("GET", "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "5"),
        ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "0"),
    ] {
        a.answers(answer);
        let asked = client.ask(client.request(method, "/"), true).unwrap();
        let response = client.wait(asked.reply).unwrap();
        assert!(response.body().is_end_stream(), "{method} {answer}");
        let told = response.headers().get("content-length").map_or("", |v| v.to_str().unwrap());
        assert_eq!(told, length, "{method} {answer}");
    }
}

#[test]
fn an_answer_that_breaks_off_is_reset_and_never_ended() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    let large = [b'x'; 50_000];
    for head in ["Content-Length: 100000\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\nffff\r\n"] {
        a.does(Does::BytesThenClose([b"HTTP/1.1 200 OK\r\n", head.as_bytes(), &large].concat()));
        let error = client.send(client.request("GET", "/")).unwrap_err();
        assert_eq!(reason(&error), Reason::INTERNAL_ERROR, "{head}");
    }
    a.does(Does::Answer);
    assert_eq!(home(&mut client), "a", "its neighbours go on");
}

#[test]
fn a_client_that_gives_up_a_stream_frees_its_backend_and_keeps_its_connection() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    a.does(Does::Hold);
    let mut asked = client.ask(client.request("GET", "/"), true).unwrap();
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    asked.body.send_reset(Reason::CANCEL);
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":0"));
    a.does(Does::Answer);
    assert_eq!(home(&mut client), "a");
}

#[test]
fn an_answer_may_come_before_its_request_has_ended() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    let mut request = client.request("POST", "/");
    request.headers_mut().insert("max-forwards", "0".parse().unwrap());
    *request.method_mut() = Method::OPTIONS;
    let mut asked = client.ask(request, false).unwrap();
    asked.body.send_data(Bytes::from_static(b"the first part"), false).unwrap();
    let Asked { reply, mut body } = asked;
    let (head, _) = client.wait(reply).unwrap().into_parts();
    assert_eq!(head.status, 200);
    let reset = client.wait(std::future::poll_fn(|cx| body.poll_reset(cx))).unwrap();
    assert_eq!(reset, Reason::NO_ERROR, "nothing went wrong (RFC 9113 section 8.1)");
    assert_eq!(home(&mut client), "a");
}

#[test]
fn a_web_socket_is_opened_by_extended_connect() {
    let a = backend("a");
    a.does(Does::Serve);
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    // The client may send it only once it has seen our settings, which came with an answer.
    client.get("/");
    let mut request = client.request("CONNECT", "/ws");
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    request.headers_mut().insert("sec-websocket-version", "13".parse().unwrap());
    let Asked { reply, mut body } = client.ask(request, false).unwrap();
    let mut response = client.wait(reply).unwrap();
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("sec-websocket-accept"));
    let sent = a.last();
    assert!(sent.starts_with("GET /ws HTTP/1.1\r\n") && sent.contains("Upgrade: websocket\r\n"), "{sent}");
    let key = sent
        .lines()
        .find_map(|l| l.to_ascii_lowercase().starts_with("sec-websocket-key: ").then(|| l[19..].to_owned()));
    assert_eq!(key.unwrap().len(), 24);
    for word in ["hello", "again"] {
        body.send_data(Bytes::from_static(word.as_bytes()), false).unwrap();
        let mut heard = Vec::new();
        while heard.len() < word.len() {
            heard.extend_from_slice(&client.wait(response.body_mut().data()).unwrap().unwrap());
        }
        assert_eq!(heard, word.as_bytes());
    }
    homing.until("/api/v1/pools", |text| text.contains("\"tunnels\":1"));
    body.send_data(Bytes::new(), true).unwrap();
    let (rest, _) = client.wait(read_body(response.body_mut())).unwrap();
    assert!(rest.is_empty());
    homing.until("/api/v1/pools", |text| text.contains("\"tunnels\":0"));
}

#[test]
fn what_opens_no_web_socket_is_no_success_and_no_failure_of_the_backend() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    client.get("/");
    for (answer, status, says) in [
        (None, 502, "no_websocket"),
        (Some("403 No"), 403, ""),
        (Some("204 No Content"), 502, "no_websocket"),
    ] {
        if let Some(line) = answer {
            a.answers(format!("HTTP/1.1 {line}\r\nContent-Length: 0\r\n\r\n").into_bytes());
        }
        let mut request = client.request("CONNECT", "/page");
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        let Asked { reply, body: _body } = client.ask(request, false).unwrap();
        let response = client.wait(reply).unwrap();
        assert_eq!(response.status(), status, "{answer:?}");
        let (text, _) = client.wait(read_body(&mut response.into_body())).unwrap();
        assert!(String::from_utf8(text).unwrap().contains(says), "{answer:?}");
    }
    a.does(Does::Answer);
    assert_eq!(home(&mut client), "a", "it was not taken out for that");
}

#[test]
fn a_web_socket_is_closed_with_1001_when_its_backend_is_cut() {
    let a = backend("a");
    a.does(Does::Serve);
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    client.get("/");
    let mut request = client.request("CONNECT", "/ws");
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let Asked { reply, body: _body } = client.ask(request, false).unwrap();
    let mut response = client.wait(reply).unwrap();
    homing.until("/api/v1/pools", |text| text.contains("\"tunnels\":1"));
    homing.cut(0);
    let close = client.wait(response.body_mut().data()).unwrap().unwrap();
    assert_eq!(&close[..], [0x88, 2, 0x03, 0xe9], "a Close with 1001");
}

#[test]
fn what_is_no_request_is_refused_and_its_neighbours_go_on() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    type Edit = fn(&mut http::Request<()>);
    let table: [(&str, u16, Edit); 7] = [
        ("another host", 400, |r| {
            r.headers_mut().insert("host", "other".parse().unwrap());
        }),
        ("two hosts", 400, |r| {
            r.headers_mut().append("host", "test".parse().unwrap());
            r.headers_mut().append("host", "test".parse().unwrap());
        }),
        ("blanks around a value", 400, |r| {
            r.headers_mut().insert("x", " y".parse().unwrap());
        }),
        ("another scheme", 400, |r| *r.uri_mut() = "ftp://test/".parse().unwrap()),
        ("an account", 400, |r| *r.uri_mut() = "http://me@test/".parse().unwrap()),
        ("CONNECT", 405, |r| {
            *r.method_mut() = Method::CONNECT;
            *r.uri_mut() = "test:80".parse().unwrap();
        }),
        ("another protocol", 501, |r| {
            *r.method_mut() = Method::CONNECT;
            r.extensions_mut().insert(Protocol::from_static("connect-udp"));
        }),
    ];
    client.get("/");
    let before = a.requests().len();
    for (what, status, edit) in table {
        let mut request = client.request("GET", "/");
        edit(&mut request);
        assert_eq!(client.send(request).unwrap().head.status(), status, "{what}");
    }
    assert_eq!(a.requests().len(), before, "nothing of it reached the backend");
    assert_eq!(home(&mut client), "a");
}

#[test]
fn a_head_that_is_too_long_is_refused_alone() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    let mut request = client.request("GET", "/");
    for n in 0..6 {
        request.headers_mut().insert(
            http::HeaderName::from_bytes(format!("x-{n}").as_bytes()).unwrap(),
            "y".repeat(6000).parse().unwrap(),
        );
    }
    assert_eq!(client.send(request).unwrap().head.status(), 431);
    assert_eq!(home(&mut client), "a");
}

#[test]
fn http_1_1_and_2_come_in_by_one_door() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    assert_eq!(homing.client().get("/").status, 200);
    assert_eq!(homing.send("P / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200, "it begins like the preface");
    assert_eq!(homing.send("PRI / HTTP/1.1\r\nHost: t\r\n\r\n").status, 200);
    let plain = self::homing(&[&a]).run();
    assert_eq!(plain.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").status, 505, "without h2c there is none");
}

#[test]
fn a_stop_lets_what_is_in_flight_end_and_says_so_to_the_client() {
    let a = backend("a");
    let homing = h2c(&[&a]).run();
    let mut client = Http2::connect(homing.address);
    a.does(Does::Hold);
    let asked = client.ask(client.request("GET", "/"), true).unwrap();
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    stop(&homing);
    until(|| std::net::TcpStream::connect(homing.address).is_err());
    a.does(Does::Answer);
    assert_eq!(client.read(asked).unwrap().head.status(), 200);
    assert!(client.ended_by_peer().is_ok(), "by a GOAWAY without an error");
    homing.join();
}

fn stop(homing: &Homing) {
    homing.phases().advance(homing::snapshot::phases::Phase::Drain);
}

#[test]
fn an_idle_connection_is_told_that_it_ends() {
    let a = backend("a");
    let homing = h2c(&[&a])
        .with("")
        .run_edited(|text| text.replace("h2c = true\n", "h2c = true\n[listener.timeouts]\nidle = \"1s\"\n"));
    let mut client = Http2::connect(homing.address);
    assert_eq!(home(&mut client), "a");
    assert!(client.ended_by_peer().is_ok());
}
