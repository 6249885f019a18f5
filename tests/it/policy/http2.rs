//! The same over HTTP/2: each stream is asked for itself, and the connection goes on.

use bytes::Bytes;

use crate::harness::h2::{Event, Raw, get};
use crate::harness::http2::Http2;
use crate::harness::{Does, backend, homing};

const ROUTES: &str = "\n[[route]]\npool = \"app\"\n[[route]]\npath = \"/in\"\npool = \"app\"\nallow = [\"10.0.0.0/8\"]\n\
                      [[route]]\npath = \"/few\"\npool = \"app\"\nrate_limit = { rate = \"2/h\", burst = 1 }\n\
                      [[route]]\npath = \"/api\"\npool = \"app\"\nstrip_prefix = \"/api\"\n\
                      [[route]]\npath = \"/old\"\nredirect = { to = \"https://example.org{path}{query}\" }\n\
                      [[route]]\npath = \"/ping\"\nrespond = { body = \"pong\" }\n";

#[test]
fn streams_are_turned_away_redirected_and_answered_one_by_one() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("h2c = true\n").with(ROUTES).run();
    let mut client = Http2::connect(homing.address);
    let table = [
        ("/in", 403),
        ("/few", 200),
        ("/few", 429),
        ("/api/x?y", 200),
        ("/old/x?y", 308),
        ("/ping", 200),
        ("/", 200),
    ];
    for (path, status) in table {
        let reply = client.get(path);
        assert_eq!(reply.head.status(), status, "{path}");
        match path {
            "/old/x?y" => assert_eq!(reply.field("location"), "https://example.org/old/x?y"),
            "/ping" => assert_eq!(reply.body, b"pong"),
            "/api/x?y" => assert!(a.last().starts_with("GET /x?y HTTP/1.1\r\n"), "{}", a.last()),
            _ => assert_eq!(reply.field("retry-after").is_empty(), status != 429),
        }
    }
    assert_eq!(a.requests().len(), 3);
}

#[test]
fn a_body_that_is_too_large_is_refused_and_its_backend_sees_no_end_of_it() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("h2c = true\nmax_body = \"10B\"\n").run();
    let mut client = Http2::connect(homing.address);
    for length in [Some("11"), None] {
        let mut request = client.request("POST", "/");
        if let Some(length) = length {
            request.headers_mut().insert("content-length", length.parse().unwrap());
        }
        let mut asked = client.ask(request, false).unwrap();
        asked.body.send_data(Bytes::from_static(b"hello world"), false).unwrap();
        assert_eq!(client.read(asked).unwrap().head.status(), 413, "{length:?}");
    }
    assert!(a.requests().is_empty());
    assert_eq!(client.get("/").field("x-backend"), "a");
}

#[test]
fn a_connection_that_has_served_enough_is_told_by_a_goaway() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("h2c = true\nmax_requests_per_connection = 3\n").run();
    let mut client = Http2::connect(homing.address);
    for _ in 0..3 {
        assert_eq!(client.get("/").field("x-backend"), "a");
    }
    assert!(client.ended_by_peer().is_ok());
}

#[test]
fn an_old_connection_is_told_though_its_streams_are_silent() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("h2c = true\nmax_connection_age = \"1s\"\n").run();
    a.does(Does::Hold);
    let mut client = Raw::begin(homing.address, &[]);
    assert!(client.send(&get(1, "/")));
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    assert!(client.until(|event| *event == Event::GoAway(0)), "while nothing happens");
    a.does(Does::Answer);
    assert!(client.until(|event| *event == Event::Status(1, 200)), "what is in flight ends");
}
