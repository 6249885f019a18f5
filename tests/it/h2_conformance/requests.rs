//! Requests as HTTP/2 writes them (RFC 9113 section 8).

use super::*;

#[test]
fn requests() {
    const METHOD: (&str, &str) = (":method", "GET");
    const SCHEME: (&str, &str) = (":scheme", "http");
    const PATH: (&str, &str) = (":path", "/");
    const HOST: (&str, &str) = (":authority", "test");
    let of = |what, fields: &[(&str, &str)]| {
        let head = frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields));
        case("8", what, &[&head], Right::Malformed)
    };
    let with = |what, name: &str, value: &str| of(what, &[METHOD, SCHEME, PATH, HOST, (name, value)]);
    holds(&[
        of("an upper-case name", &[METHOD, SCHEME, PATH, HOST, ("X-Test", "a")]),
        with("a name with a blank", "x y", "a"),
        with("a name with a colon", "x:y", "a"),
        with("an empty name", "", "a"),
        with("a value with a line's end", "x", "a\r\nb: c"),
        with("a value with NUL", "x", "a\0b"),
        with("a value that begins with a blank", "x", " a"),
        with("a value that ends with a tab", "x", "a\t"),
        with("an unknown pseudo-field", ":test", "a"),
        of("a pseudo-field of answers", &[METHOD, SCHEME, PATH, HOST, (":status", "200")]),
        of("a pseudo-field behind a field", &[METHOD, SCHEME, HOST, ("x", "y"), PATH]),
        of("no :method", &[SCHEME, PATH, HOST]),
        of("no :scheme", &[METHOD, PATH, HOST]),
        of("no :path", &[METHOD, SCHEME, HOST]),
        of("an empty :path", &[METHOD, SCHEME, (":path", ""), HOST]),
        of("a :path that does not begin with a slash", &[METHOD, SCHEME, (":path", "test"), HOST]),
        of("a :path with a blank", &[METHOD, SCHEME, (":path", "/a b"), HOST]),
        of("two :method", &[METHOD, METHOD, SCHEME, PATH, HOST]),
        of("two :scheme", &[METHOD, SCHEME, SCHEME, PATH, HOST]),
        of("two :path", &[METHOD, SCHEME, PATH, PATH, HOST]),
        of("two :authority", &[METHOD, SCHEME, PATH, HOST, HOST]),
        with("a host that is another", "host", "other"),
        case(
            "8.3.1",
            "a host in the place of the authority",
            &[&frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &block(&[METHOD, SCHEME, PATH, ("host", "test")]),
            )],
            Right::Answers(1),
        ),
        of("neither an authority nor a host", &[METHOD, SCHEME, PATH]),
        of("two hosts and no authority", &[METHOD, SCHEME, PATH, ("host", "test"), ("host", "test")]),
        of("an authority with user information", &[METHOD, SCHEME, PATH, (":authority", "a@test")]),
        with("connection", "connection", "keep-alive"),
        with("keep-alive", "keep-alive", "1"),
        with("proxy-connection", "proxy-connection", "keep-alive"),
        with("transfer-encoding", "transfer-encoding", "chunked"),
        with("upgrade", "upgrade", "websocket"),
        with("te other than trailers", "te", "trailers, deflate"),
    ]);
}

#[test]
fn bodies_and_trailers() {
    let body = |what, length: &str, pieces: &[&str], right| {
        let head = [&*request("POST", "/"), &*field("content-length", length)].concat();
        let mut says = frame(HEADERS, END_HEADERS, 1, &head);
        for (n, piece) in pieces.iter().enumerate() {
            let flags = if n + 1 == pieces.len() { END_STREAM } else { 0 };
            says.extend(frame(DATA, flags, 1, piece.as_bytes()));
        }
        case("8.1.1", what, &[&says], right)
    };
    let trailers = |what, fields: &[(&str, &str)], right| {
        let says = [
            post(1, "/"),
            frame(DATA, 0, 1, b"x"),
            frame(HEADERS, END_STREAM | END_HEADERS, 1, &block(fields)),
        ];
        case("8.1", what, &[&says.concat()], right)
    };
    holds(&[
        body("less body than was said", "3", &["x"], Right::Malformed),
        body("more body than was said", "1", &["xy"], Right::Malformed),
        body("less in several pieces", "9", &["x", "yz"], Right::Malformed),
        body("as much as was said", "3", &["x", "yz"], Right::Answers(1)),
        body("a length that is no number", "3, 3", &["xyz"], Right::Malformed),
        trailers("trailers with a pseudo-field", &[(":method", "GET")], Right::Malformed),
        trailers("trailers", &[("x", "y")], Right::Answers(1)),
        case(
            "8.1",
            "trailers with a pseudo-field that do not end it",
            &[&post(1, "/"), &frame(HEADERS, END_HEADERS, 1, &field(":method", "POST"))],
            Right::Malformed,
        ),
        case(
            "8.1",
            "an answer to HEAD ends with its head",
            &[&frame(HEADERS, END_STREAM | END_HEADERS, 1, &request("HEAD", "/"))],
            Right::Sees(Event::End(1)),
        ),
        case(
            "8.2.3",
            "a cookie in crumbs",
            &[&frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&*request("GET", "/"), &*field("cookie", "a=b"), &*field("cookie", "c=d")].concat(),
            )],
            Right::Answers(1),
        ),
        case(
            "8.2",
            "te: trailers",
            &[&frame(
                HEADERS,
                END_STREAM | END_HEADERS,
                1,
                &[&*request("GET", "/"), &*field("te", "trailers")].concat(),
            )],
            Right::Answers(1),
        ),
    ]);
}
