//! Answers: what goes on byte for byte, what is a 502, and what must not look whole.

use super::{BOTH, Sent, all, joined};
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

/// (request, answer): what is a 502 and loses its connection.
pub(super) const REFUSED: &[(&str, &str)] = &[
    // Status lines.
    ("GET", "HTTP/1.1 OK\r\n\r\n"),
    ("GET", "HTTP/1.1\r\n\r\n"),
    ("GET", "HTTP/1.1 2 OK\r\n\r\n"),
    ("GET", "HTTP/1.1 20 OK\r\n\r\n"),
    ("GET", "HTTP/1.1 2000 OK\r\n\r\n"),
    ("GET", "HTTP/1.1 099 x\r\n\r\n"),
    ("GET", "HTTP/1.1 -200 x\r\n\r\n"),
    ("GET", "HTTP/1.1 +20 x\r\n\r\n"),
    ("GET", "HTTP/1.1 20x OK\r\n\r\n"),
    ("GET", "HTTP/1.1  200 OK\r\n\r\n"),
    ("GET", "HTTP/1.1\t200 OK\r\n\r\n"),
    ("GET", " HTTP/1.1 200 OK\r\n\r\n"),
    ("GET", "\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "http/1.1 200 OK\r\n\r\n"),
    ("GET", "HTP/1.1 200 OK\r\n\r\n"),
    ("GET", "HTTP/01.1 200 OK\r\n\r\n"),
    ("GET", "HTTP/1.01 200 OK\r\n\r\n"),
    ("GET", "HTTP/1.2 200 OK\r\n\r\n"),
    ("GET", "HTTP/2.0 200 OK\r\n\r\n"),
    ("GET", "HTTP/0.9 200 OK\r\n\r\n"),
    ("GET", "ICY 200 OK\r\n\r\n"),
    ("GET", "RTSP/1.0 200 OK\r\n\r\n"),
    ("GET", "<html>HTTP/0.9</html>\r\n\r\n"),
    ("GET", "\0\x01\x02\x03\r\n\r\n"),
    ("GET", "HTTP/1.1 200 O\0K\r\n\r\n"),
    ("GET", "HTTP/1.1 200 O\rK\r\n\r\n"),
    // Line ends and fields.
    ("GET", "HTTP/1.1 200 OK\nContent-Length: 0\n\n"),
    ("GET", "HTTP/1.1 200 OK\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\n"),
    ("GET", "HTTP/1.1 200 OK\rContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\rb\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\n X: a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX : a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX Y: a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\0\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX: a\x01\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nX\x01: a\r\nContent-Length: 0\r\n\r\n"),
    // Lengths and codings.
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"),
    ("HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    ("GET", "HTTP/1.1 304 x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1x\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nx"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunkedchunked\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\n0\r\n\r\n"),
    ("GET", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    ("1.0", "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
    // Switches and informational answers.
    ("GET", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ("GET", "HTTP/1.1 101 Switching Protocols\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("WS", "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"),
    ("WS", "HTTP/1.1 101 Switching Protocols\r\n\r\n"),
    ("WS", "HTTP/1.0 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
    ("GET", "HTTP/1.0 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 100 Continue\r\nX : y\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("GET", "HTTP/1.1 100 Continue\n\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ("1.0", "HTTP/1.1 103 x\r\nX\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
];

/// Answers whose body breaks off or whose coding is broken, and what of it may be seen. It never ends well.
pub(super) const CUT: &[(&str, &str)] = &[
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhi"),
    ("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhi", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX-T: 1\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi!\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\nhi\n0\n\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2 \r\nhi\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nhi\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;\r\nhi\r\n0\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n x\r\n\r\n", CHUNKED),
    ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\nX\r\n\r\n", CHUNKED),
];

const CHUNKED: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n";

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
fn request(word: &str) -> String {
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
    for ours in ["Date: ", "Connection: close\r\n", "X-Homing-Affinity: balanced\r\n"] {
        assert_eq!(text.matches(ours).count(), 1, "{ours:?} in {text:?}");
        let at = text.find(ours).unwrap();
        let end = at + text[at..].find("\r\n").unwrap() + 2;
        text.replace_range(at..end, "");
    }
    (text, is_reset)
}

fn does(backend: &Backend, answer: &str, then: Then, how: Sent) {
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
        let is_ours = |line: &&str| line.starts_with("Date: ") || line.starts_with("X-Homing-Affinity: ");
        let kept: String = text.split_inclusive("\r\n").filter(|line| !is_ours(line)).collect();
        assert_eq!(kept, *seen, "{answer:?}");
    }
}

#[test]
fn answers_that_lie_are_a_502_and_their_connection_is_not_used_again() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    for ((word, answer), how) in REFUSED.iter().flat_map(|row| BOTH.map(|how| (row, how))) {
        does(&a, answer, Lose, how);
        let ended = a.ended();
        let (came, is_reset) = all(homing.address, request(word).as_bytes());
        let text = String::from_utf8(came).unwrap();
        assert!(!is_reset, "{answer:?}");
        assert!(text.starts_with("HTTP/1.1 502 Bad Gateway\r\n"), "{answer:?}: {text}");
        assert!(*word == "HEAD" || text.ends_with("(backend_answer)\n"), "{answer:?}: {text}");
        assert!(text.contains("\r\nConnection: close\r\n"), "{answer:?}: {text}");
        until(|| a.ended() > ended);
    }
}

#[test]
fn an_answer_that_breaks_off_or_is_coded_wrongly_never_looks_whole() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    for (answer, most) in CUT {
        a.does(Does::BytesThenClose(answer.as_bytes().to_vec()));
        for word in ["GET", "TE"] {
            let (came, is_reset) = all(homing.address, request(word).as_bytes());
            assert!(is_reset, "{word} {answer:?} ended as if it were whole: {came:?}");
            // What the reset left to be read is the front of what may be seen.
            let head = format!("{}\r\nConnection", most.split_once("\r\n\r\n").unwrap().0);
            let text = String::from_utf8(came).unwrap();
            assert!(text.starts_with(&head) || head.starts_with(&text), "{word} {answer:?}: {text:?}");
            assert!(!text.ends_with("\r\n0\r\n\r\n"), "{word} {answer:?}: {text:?}");
        }
    }
}

#[test]
fn an_answer_to_http_1_0_that_breaks_off_is_a_reset() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    for (answer, _) in CUT {
        a.does(Does::BytesThenClose(answer.as_bytes().to_vec()));
        let (came, is_reset) = all(homing.address, request("1.0").as_bytes());
        assert!(is_reset, "{answer:?} ended as if it were whole: {came:?}");
    }
}

#[test]
fn informational_answers_have_a_bound() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    let last = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for (n, status) in [(16, "200 OK"), (17, "502 Bad Gateway")] {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(n);
        a.answers(format!("{early}{last}"));
        let (came, _) = all(homing.address, request("GET").as_bytes());
        let text = String::from_utf8(came).unwrap();
        assert_eq!(text.matches("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n").count(), 16, "{n}");
        assert_eq!(text.matches(&format!("HTTP/1.1 {status}\r\n")).count(), 1, "{n}: {text}");
        let (came, _) = all(homing.address, request("1.0").as_bytes());
        assert!(came.starts_with(format!("HTTP/1.1 {status}\r\n").as_bytes()), "{n}");
    }
}

#[test]
fn a_head_has_64_kib_and_a_hundred_fields() {
    let a = backend("a");
    let homing = homing(&[&a]).pool("max_fails = 0\n").run();
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n{fields}\r\n");
    let long = |total: usize| with(&format!("X: {}\r\n", "x".repeat(total - with("X: \r\n").len())));
    let many = |n: usize| with(&"X: y\r\n".repeat(n - 1));
    for (answer, status) in [
        (long(60_000), 200),
        (long(65_535), 200),
        (long(65_536), 200),
        (long(65_537), 502),
        (long(100_000), 502),
        (many(100), 200),
        (many(101), 502),
        (many(5_000), 502),
    ] {
        a.answers(&answer);
        let (came, _) = all(homing.address, request("GET").as_bytes());
        let line = format!("HTTP/1.1 {status} ");
        assert!(came.starts_with(line.as_bytes()), "{} bytes: no {line}", answer.len());
        assert_eq!(came.len() > answer.len(), status == 200, "{} bytes", answer.len());
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
