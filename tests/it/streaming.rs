//! Bodies both ways: byte for byte, at once, and never whole when they were cut.

use std::io::{Read as _, Write as _};

use crate::harness::{Does, backend, client_at, homing, open, read_reply, until};

/// Bytes that no shift or repetition leaves alike.
fn pattern(n: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(n).collect()
}

#[test]
fn large_bodies_arrive_as_they_were_sent() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for n in [0, 1, 16_000, 70_000, 1_500_000] {
        let body = pattern(n);
        let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {n}\r\n\r\n");
        a.answers([head.as_bytes(), &body].concat());
        let upload = format!("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: {n}\r\n\r\n");
        let reply = homing.send([upload.as_bytes(), &body].concat());
        assert!(reply.body == body && !reply.is_cut, "{n} bytes down");
        assert!(a.requests().pop().unwrap().ends_with(&body), "{n} bytes up");
    }
}

#[test]
fn a_large_body_that_breaks_off_is_a_reset_for_who_reads_it_and_no_request_for_who_gets_it() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let half = pattern(1_000_000);
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 2000000\r\n\r\n";
    a.does(Does::BytesThenClose([head.as_bytes(), &half].concat()));
    let reply = homing.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(reply.is_cut && half.starts_with(&reply.body), "{} bytes", reply.body.len());
    let (before, ended) = (a.requests().len(), a.ended());
    let mut stream = open(homing.address);
    let head = "POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 2000000\r\n\r\n";
    stream.write_all(&[head.as_bytes(), &half].concat()).unwrap();
    drop(stream);
    until(|| a.ended() > ended);
    assert_eq!(a.requests().len(), before);
}

#[test]
fn many_large_bodies_at_once_do_not_mix() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let body = pattern(3_000_000);
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len());
    a.answers([head.as_bytes(), &body].concat());
    std::thread::scope(|scope| {
        for _ in 0..24 {
            scope.spawn(|| {
                let mut stream = open(homing.address);
                let mut held = Vec::new();
                for _ in 0..2 {
                    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
                    let reply = read_reply(&mut stream, &mut held, true);
                    assert!(reply.body == body && !reply.is_cut);
                }
            });
        }
    });
}

#[test]
fn chunked_bodies_are_coded_anew() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let body = pattern(200_000);
    let mut coded = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for piece in body.chunks(7_001) {
        coded.extend_from_slice(format!("{:X};ext=1\r\n", piece.len()).as_bytes());
        coded.extend_from_slice(piece);
        coded.extend_from_slice(b"\r\n");
    }
    coded.extend_from_slice(b"0\r\n\r\n");
    a.answers(&coded);
    let reply = homing.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert!(reply.body == body && !reply.is_cut);
    let old = homing.send("GET / HTTP/1.0\r\n\r\n");
    assert!(old.body == body, "to HTTP/1.0 the end is the connection's");
    assert_eq!(old.field("transfer-encoding"), None);
}

#[test]
fn an_answer_without_an_end_ends_with_its_connection() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.does(Does::BytesThenClose(b"HTTP/1.1 200 OK\r\n\r\nuntil the end".to_vec()));
    let reply = homing.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!((reply.text().as_str(), reply.is_cut), ("until the end", false));
}

#[test]
fn a_cut_answer_never_looks_whole() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for cut in [
        "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhel",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ] {
        a.does(Does::BytesThenClose(cut.as_bytes().to_vec()));
        let reply = homing.send("POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\n\r\n");
        assert!(reply.is_cut, "{cut:?} gave {reply:?}");
    }
}

#[test]
fn a_small_answer_that_is_cut_is_asked_for_again() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let [mut client, other] = [(); 2].map(|()| client_at(&homing, "a"));
    a.does(Does::BytesThenClose(
        b"HTTP/1.1 200 OK\r\nX-Backend: a\r\nContent-Length: 10\r\n\r\nhalf".to_vec(),
    ));
    let reply = client.get("/");
    assert_eq!((reply.status, reply.served_by(), reply.is_cut), (200, "b".to_owned(), false));
    drop(b);
    let reply = homing.send(other.bytes("GET", "/"));
    assert_eq!((reply.status, reply.is_cut), (502, false), "with nobody else it is an answer of our own");
}

#[test]
fn a_body_that_comes_too_slowly_is_a_408() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("timeouts = { body = \"100ms\" }\n").run();
    for framing in ["Content-Length: 10\r\n\r\nhalf", "Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let reply = homing.send(format!("POST / HTTP/1.1\r\nHost: t\r\n{framing}"));
        assert_eq!((reply.status, reply.field("connection").as_deref()), (408, Some("close")));
    }
}

#[test]
fn a_body_that_comes_a_byte_now_and_then_is_a_408_unless_that_is_allowed() {
    let a = backend("a");
    let drip = |address| {
        let mut stream = open(address);
        stream.set_read_timeout(Some(std::time::Duration::from_millis(100))).unwrap();
        stream.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 120\r\n\r\n").unwrap();
        // Each pause is far below what a pause may be; a body of 120 bytes takes 12 s and more.
        let mut seen = [0; 12];
        for _ in 0..120 {
            let _ = stream.write_all(b"x");
            if stream.read_exact(&mut seen).is_ok() {
                break;
            }
        }
        stream.set_read_timeout(Some(crate::harness::LIMIT)).unwrap();
        if seen == [0; 12] {
            stream.read_exact(&mut seen).unwrap();
        }
        String::from_utf8_lossy(&seen).into_owned()
    };
    let [kept, loose] = ["", "limits = { body_rate = 0 }\n"].map(|keys| homing(&[&a]).listener(keys).run());
    let (bounded, unbounded) = (kept.address, loose.address);
    let (late, whole) = std::thread::scope(|scope| {
        let late = scope.spawn(move || drip(bounded));
        let whole = drip(unbounded);
        (late.join().unwrap(), whole)
    });
    assert_eq!((late.as_str(), whole.as_str()), ("HTTP/1.1 408", "HTTP/1.1 200"));
}

#[test]
fn what_comes_bit_by_bit_is_passed_on_as_it_comes() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    let events = "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n8\r\ndata: 1\n\r\n";
    for (answer, end) in [(events, "data: 1\n\r\n"), ("Content-Length: 10\r\n\r\nhalf", "\r\n\r\nhalf")] {
        a.answers(format!("HTTP/1.1 200 OK\r\n{answer}"));
        let mut stream = open(homing.address);
        stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
        let mut seen = Vec::new();
        until(|| {
            let mut piece = [0; 1024];
            let n = stream.read(&mut piece).unwrap();
            seen.extend_from_slice(&piece[..n]);
            seen.ends_with(end.as_bytes())
        });
    }
}

#[test]
fn an_early_answer_reaches_the_client_while_it_still_sends() {
    let early = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = early.local_addr().unwrap();
    let thread = std::thread::spawn(move || {
        let (mut c, _) = early.accept().unwrap();
        let mut piece = [0; 4096];
        let _ = c.read(&mut piece).unwrap();
        c.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\nConnection: close\r\n\r\nbig")
            .unwrap();
    });
    let homing = homing(&[]).pool(&format!("backends = [\"{target}\"]")).run();
    let mut stream = open(homing.address);
    stream.write_all(b"POST / HTTP/1.1\r\nHost: t\r\nContent-Length: 1000000\r\n\r\nfirst").unwrap();
    let reply = read_reply(&mut stream, &mut Vec::new(), true);
    assert_eq!((reply.status, reply.text().as_str()), (413, "big"));
    assert_eq!(reply.field("connection").as_deref(), Some("close"));
    thread.join().unwrap();
}

#[test]
fn informational_answers_are_passed_on() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.answers(
        "HTTP/1.1 103 Early Hints\r\nLink: </x.css>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    );
    let mut stream = open(homing.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    let mut held = Vec::new();
    let hint = read_reply(&mut stream, &mut held, true);
    assert_eq!((hint.status, hint.field("link").as_deref()), (103, Some("</x.css>")));
    assert_eq!(read_reply(&mut stream, &mut held, true).text(), "ok");
    let old = homing.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(old.status, 200, "HTTP/1.0 knows no informational answers");
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.does(Does::Hold);
    let stream = open(homing.address);
    (&stream).write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    until(|| a.requests().len() == 1);
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    drop(stream);
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":0"));
}

#[test]
fn a_client_that_leaves_while_its_backend_is_dialled_takes_its_request_with_it() {
    let mut a = backend("a");
    a.vanish();
    let homing = homing(&[&a]).with("\n[pool.timeouts]\nconnect = \"60s\"\n").run();
    let stream = open(homing.address);
    (&stream).write_all(b"GET / HTTP/1.1\r\nHost: t\r\n\r\n").unwrap();
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    drop(stream);
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":0"));
}

#[test]
fn a_client_that_said_close_and_ended_its_side_still_gets_its_answer() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.does(Does::Hold);
    let mut stream = open(homing.address);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    until(|| a.requests().len() == 1);
    a.does(Does::Answer);
    assert_eq!(read_reply(&mut stream, &mut Vec::new(), true).text(), "a");
}

#[test]
fn a_head_that_does_not_come_is_a_408() {
    let a = backend("a");
    let homing = homing(&[&a]).with("").listener("timeouts = { head = \"100ms\" }\n").run();
    let reply = homing.send("GET / HTTP/1.1\r\nHost: t\r\n");
    assert_eq!(reply.status, 408);
    assert!(reply.text().contains("(request_timeout)"));
    assert!(a.requests().is_empty());
}

#[test]
fn a_backend_that_does_not_answer_is_a_504() {
    let a = backend("a");
    let homing = homing(&[&a]).with("\n[pool.timeouts]\nfirst_byte = \"100ms\"\n").run();
    a.does(Does::Hold);
    let reply = homing.send("GET / HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(reply.status, 504);
    assert!(reply.text().contains("(backend_timeout)"));
}

#[test]
fn trailers_reach_a_client_that_reads_them_and_no_other() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    a.answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nX-Sum: 1\r\nSet-Cookie: no\r\n\r\n");
    for (te, end) in [("TE: trailers\r\n", "1\r\nx\r\n0\r\nX-Sum: 1\r\n\r\n"), ("", "1\r\nx\r\n0\r\n\r\n")] {
        let mut stream = open(homing.address);
        let request = format!("GET / HTTP/1.1\r\nHost: t\r\n{te}Connection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).unwrap();
        assert_eq!(all.split_once("\r\n\r\n").unwrap().1, end, "{te:?}");
    }
}
