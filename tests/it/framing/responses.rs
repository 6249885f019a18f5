//! Answers that pass: byte for byte, but for what is between the backend and us.

use super::{Sent, all, joined};
use crate::harness::{Backend, Does, Homing, backend, homing, until};

/// What the backend does behind its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Keeps the connection, and homing may.
    Keep,
    /// Keeps it, and homing must not.
    Lose,
    /// Closes it.
    Close,
}

use Then::{Close, Keep, Lose};

/// (request line and fields, answer, what the backend does then, head and body that the client gets): without the
/// `Date` that homing adds, and without `Connection: close`, which every one of these requests asks for.
pub(super) const PASS: &[(&str, &str, Then, &str)] = &[
    // Status lines.
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    ("GET", "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Keep, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n", Keep, "HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"),
    (
        "GET",
        "HTTP/1.1 299 Odd: (Reason)\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 299 Odd: (Reason)\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 500 \u{e9}\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 500 \r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 999 x\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        Lose,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    // Fields, and those between the backend and us.
    (
        "GET",
        "HTTP/1.1 200 OK\r\nX:\ty \r\nx: \"z\r\nEmpty:\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nX: y\r\nx: \"z\r\nEmpty: \r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\na_b: 1\r\nx.y: 2\r\nX: \u{e9}\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\na_b: 1\r\nx.y: 2\r\nX: \u{e9}\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: timeout=5\r\nX-Hop: 1\r\nx-hop: 2\r\nY: 3\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nY: 3\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        Lose,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nProxy-Connection: close\r\nTE: x\r\nHTTP2-Settings: x\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: Set-Cookie, Cache-Control\r\nSet-Cookie: a=1\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nSet-Cookie: a=1\r\nCache-Control: no-store\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nhi",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nX-Homing-Affinity: forged\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: Date\r\nDate: d\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    // Lengths.
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 002\r\n\r\nhi",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length:\t2\r\n\r\nhi",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length-X: 0\r\nContent-Length: 2\r\n\r\nhi",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length-X: 0\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\n\r\nhi",
        Close,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.0 200 OK\r\n\r\nhi",
        Close,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nhi",
        Close,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        Close,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n13\r\nHTTP/1.1 200 OK\r\n\r\n\r\n0\r\n\r\n",
    ),
    // The chunked coding, made anew.
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n002;x=\"y\"\r\nhi\r\n00;z\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nConnection: Transfer-Encoding\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
    (
        "1.0",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\nX-T: 1\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\n\r\nhi!",
    ),
    ("1.0", "HTTP/1.1 200 OK\r\n\r\nhi", Close, "HTTP/1.1 200 OK\r\n\r\nhi"),
    (
        "1.0",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    // Trailers.
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    (
        "TE",
        "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T:1\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T:1\r\n\r\n",
    ),
    (
        "TE",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nSet-Cookie: srv=1\r\nContent-Length: 9\r\nLocation: /\r\nX-T: 1\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-T: 1\r\n\r\n",
    ),
    (
        "TE",
        "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nContent-Length: 2\r\n\r\nhi",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    // Without a body, whatever is said of one.
    (
        "HEAD",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
    ),
    ("HEAD", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", Keep, "HTTP/1.1 200 OK\r\n\r\n"),
    ("HEAD", "HTTP/1.1 200 OK\r\n\r\n", Keep, "HTTP/1.1 200 OK\r\n\r\n"),
    (
        "HEAD",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        Lose,
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n",
    ),
    ("GET", "HTTP/1.1 204 No Content\r\n\r\n", Keep, "HTTP/1.1 204 No Content\r\n\r\n"),
    (
        "GET",
        "HTTP/1.1 204 No Content\r\nContent-Length: 4\r\n\r\nevil",
        Lose,
        "HTTP/1.1 204 No Content\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Lose,
        "HTTP/1.1 204 No Content\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        Lose,
        "HTTP/1.1 204 No Content\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nContent-Length: 4\r\n\r\n",
        Keep,
        "HTTP/1.1 304 Not Modified\r\nETag: \"e\"\r\nContent-Length: 4\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\nevil",
        Lose,
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 4\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n",
        Keep,
        "HTTP/1.1 304 Not Modified\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n",
    ),
    // Bytes behind an answer belong to nobody.
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
        Lose,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi\r\n",
        Lose,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        Lose,
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
    ),
    (
        "GET",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        Lose,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    ),
    // Informational ones.
    (
        "GET",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X\r\nX: 1\r\nContent-Length: 4\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
    (
        "GET",
        "HTTP/1.1 102 P\r\nTransfer-Encoding: chunked\r\nSet-Cookie: a=1\r\n\r\nHTTP/1.1 199 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
        Keep,
        "HTTP/1.1 102 P\r\n\r\nHTTP/1.1 199 x\r\n\r\nHTTP/1.1 204 x\r\n\r\n",
    ),
    (
        "1.0",
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        Keep,
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
    ),
];

/// `Set-Cookie` lines of an application behind a pool whose cookie is `srv`, and those that are seen besides the pin.
pub(super) const COOKIES: &[(&[&str], &[&str])] = &[
    (&["a=1; Path=/", "b=2"], &["a=1; Path=/", "b=2"]),
    (&["srv=1"], &[]),
    (&["srv=1; Path=/; HttpOnly", "a=1"], &["a=1"]),
    (&[" srv = 1"], &[]),
    (&["srv="], &[]),
    (&["a=1", "srv=1", "srv=2; Max-Age=0", "b=2"], &["a=1", "b=2"]),
    (&["SRV=1", "srv2=1", "xsrv=1"], &["SRV=1", "srv2=1", "xsrv=1"]),
    (&["a=srv=1"], &["a=srv=1"]),
    (&["a=1; srv=2"], &["a=1; srv=2"]),
    (&["srv", ""], &["srv", ""]),
];

/// Answers to a request for a WebSocket: what they are, and what is seen of them.
pub(super) const SWITCHES: &[(&str, &str)] = &[
    (
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    (
        "HTTP/1.1 101 x\r\nupgrade: WebSocket\r\nSec-WebSocket-Accept: k\r\n\r\n\0early",
        "HTTP/1.1 101 x\r\nSec-WebSocket-Accept: k\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\0early",
    ),
    (
        "HTTP/1.1 101 x\r\nConnection: Upgrade, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: 5\r\nUpgrade: websocket\r\n\
         HTTP2-Settings: x\r\nY: 2\r\n\r\n",
        "HTTP/1.1 101 x\r\nY: 2\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
    (
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nHTTP/1.1 200 OK\r\n\r\n",
    ),
    (
        "HTTP/1.1 101 x\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "HTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n0\r\n\r\n",
    ),
    (
        "HTTP/1.1 103 x\r\nUpgrade: websocket\r\nX: 1\r\n\r\nHTTP/1.1 101 x\r\nUpgrade: websocket\r\n\r\n",
        "HTTP/1.1 103 x\r\nX: 1\r\n\r\nHTTP/1.1 101 x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    ),
];

/// The request of a table's first word.
pub(super) fn request(word: &str) -> String {
    match word {
        "1.0" => "GET / HTTP/1.0\r\nHost: a\r\n\r\n".to_owned(),
        "TE" => "GET / HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nConnection: close\r\n\r\n".to_owned(),
        "WS" => {
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, Upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned()
        }
        method => format!("{method} / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"),
    }
}

/// All that comes back, without the lines that homing adds to the last head: the date, and that it closes.
fn answered(homing: &Homing, word: &str) -> (String, bool) {
    let (came, is_reset) = all(homing.address, request(word).as_bytes());
    let mut text = String::from_utf8(came).unwrap();
    for ours in ["Date: ", "Connection: close\r\n", "X-Request-Id: ", "X-Homing-Affinity: balanced\r\n"] {
        assert_eq!(text.matches(ours).count(), 1, "{ours:?} in {text:?}");
        let at = text.find(ours).unwrap();
        let end = at + text[at..].find("\r\n").unwrap() + 2;
        text.replace_range(at..end, "");
    }
    (text, is_reset)
}

pub(super) fn does(backend: &Backend, answer: &str, then: Then, how: Sent) {
    let bytes = answer.as_bytes().to_vec();
    backend.does(match (then, how) {
        (Close, _) => Does::BytesThenClose(bytes),
        (_, Sent::Whole) => Does::Bytes(bytes),
        (_, Sent::ByteByByte) => Does::ByteByByte(bytes),
    });
}

#[test]
fn answers_pass_byte_for_byte_and_end_where_they_say() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (word, answer, then, seen) in PASS {
        // Bytes behind an answer that come later than a request was sent are taken for its answer: by anybody.
        if *then == Keep {
            does(&a, answer, *then, Sent::ByteByByte);
            let (found, is_reset) = answered(&homing, word);
            assert_eq!((joined(&found), is_reset), (joined(seen), false), "{word} {answer:?}");
        }
        does(&a, answer, *then, Sent::Whole);
        let ended = a.ended();
        let (found, is_reset) = answered(&homing, word);
        assert_eq!((found.as_str(), is_reset), (*seen, false), "{word} {answer:?}");
        if *then != Keep {
            until(|| a.ended() > ended);
        }
        // What came behind an answer is nobody's.
        a.does(Does::Answer);
        let (next, _) = answered(&homing, "GET");
        assert_eq!(next, "HTTP/1.1 200 OK\r\nX-Backend: a\r\nContent-Length: 1\r\n\r\na", "after {answer:?}");
    }
}

#[test]
fn a_switch_that_was_asked_for_has_the_fields_of_a_switch_and_no_length() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (answer, seen) in SWITCHES {
        a.does(Does::BytesThenClose(answer.as_bytes().to_vec()));
        let mut stream = super::send(homing.address, request("WS").as_bytes(), Sent::Whole);
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut came = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut came).unwrap();
        let text = String::from_utf8(came).unwrap();
        let ours = ["Date: ", "X-Request-Id: ", "X-Homing-Affinity: "];
        let is_ours = |line: &&str| ours.iter().any(|name| line.starts_with(name));
        let kept: String = text.split_inclusive("\r\n").filter(|line| !is_ours(line)).collect();
        assert_eq!(kept, *seen, "{answer:?}");
    }
}

#[test]
fn an_application_does_not_set_our_cookie() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    for (sent, seen) in COOKIES {
        let lines: String = sent.iter().map(|value| format!("Set-Cookie: {value}\r\n")).collect();
        a.answers(format!("HTTP/1.1 200 OK\r\n{lines}Content-Length: 0\r\n\r\n"));
        let reply = homing.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
        let mut found = reply.fields("set-cookie");
        assert!(found.pop().is_some_and(|pin| pin.starts_with("srv=")), "{sent:?}: {}", reply.head);
        assert_eq!(found, *seen, "{sent:?}");
    }
}
