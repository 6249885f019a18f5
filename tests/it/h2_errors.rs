//! What clients do wrong over HTTP/2, and what an operator finds of it: a line in the access log for each request, with
//! the words that it would have over HTTP/1.1; counters by reason and by code; and a word in the log for connections.

use std::path::PathBuf;

use tempfile::TempDir;

use crate::harness::h2::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Event,
    FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, HEADERS, LARGEST_WINDOW, PING, PROTOCOL_ERROR, REFUSED_STREAM, Raw,
    SETTINGS, STREAM_CLOSED, WITH_PRIORITY, block, field, frame, get, ping, post, request, window,
};
use crate::harness::{Backend, Does, Homing, backend, get as ask, homing, until};

/// A homing with an access log.
struct Logged {
    homing: Homing,
    backend: Backend,
    folder: TempDir,
}

impl Logged {
    fn new() -> Self {
        let backend = backend("a");
        backend.does(Does::Serve);
        let folder = tempfile::tempdir().unwrap();
        let access =
            format!("[access_log]\nformat = \"json\"\npath = {:?}\n", path(&folder).to_str().unwrap());
        let homing = homing(&[&backend])
            .listener("h2c = true\n")
            .run_edited(|t| t.replace("[access_log]\nformat = \"off\"\n", &access));
        Self { homing, backend, folder }
    }

    fn begin(&self) -> Raw {
        Raw::begin(self.homing.address, &[])
    }

    fn lines(&self) -> Vec<serde_json::Value> {
        let text = std::fs::read_to_string(path(&self.folder)).unwrap_or_default();
        // The last one may be on its way.
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The line of the request for this path, when it is there.
    fn line(&self, path: &str) -> serde_json::Value {
        let find = || self.lines().into_iter().find(|line| line["path"] == path);
        until(|| find().is_some());
        find().unwrap()
    }

    fn metric(&self, series: &str) -> u64 {
        let text = String::from_utf8(ask(self.homing.admin, "/metrics").body).unwrap();
        let value = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        value.unwrap_or_else(|| panic!("{series} is in no metrics")).parse().unwrap()
    }

    fn refused(&self, reason: &str) -> u64 {
        self.metric(&format!("homing_refusals_total{{reason=\"{reason}\"}}"))
    }

    fn of_streams(&self, code: &str) -> u64 {
        self.metric(&format!("homing_h2_stream_errors_total{{listener=\"web\",code=\"{code}\"}}"))
    }

    fn of_connections(&self, code: &str) -> u64 {
        self.metric(&format!("homing_h2_connection_errors_total{{listener=\"web\",code=\"{code}\"}}"))
    }

    fn answered(&self, class: &str) -> u64 {
        self.metric(&format!("homing_requests_total{{pool=\"app\",code=\"{class}\"}}"))
    }
}

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("access.log")
}

/// HEADERS of a request that ends with them.
fn headers(stream: u32, block: &[u8]) -> Vec<u8> {
    frame(HEADERS, END_STREAM | END_HEADERS, stream, block)
}

/// A GET with another field.
fn with(path: &str, name: &str, value: &str) -> Vec<u8> {
    [request("GET", path), field(name, value)].concat()
}

#[test]
fn a_malformed_request_has_a_line_with_its_reason() {
    let logged = Logged::new();
    let get = |path| [(":method", "GET"), (":scheme", "http"), (":path", path)];
    let cases: [(&str, &str, Vec<u8>); 13] = [
        ("pseudo_field", "/twice", with("/once", ":path", "/twice")),
        ("pseudo_field", "/unknown", with("/unknown", ":status", "200")),
        (
            "pseudo_field",
            "/behind",
            block(&[&get("/behind")[..], &[("a", "b"), (":authority", "t")]].concat()),
        ),
        ("pseudo_field", "/no-scheme", block(&[(":method", "GET"), (":path", "/no-scheme")])),
        ("pseudo_value", "/method", block(&[(":method", "G(T"), (":scheme", "http"), (":path", "/method")])),
        ("pseudo_value", "no-slash", block(&get("no-slash"))),
        ("field", "/capitals", with("/capitals", "Accept", "b")),
        ("field", "/line?ends", with("/line?ends", "a", "b\r\nc: d")),
        ("connection_field", "/connection", with("/connection", "connection", "close")),
        ("connection_field", "/coding", with("/coding", "transfer-encoding", "chunked")),
        ("connection_field", "/te", with("/te", "te", "gzip")),
        ("content_length", "/length", with("/length", "content-length", "x")),
        ("length_mismatch", "/none", with("/none", "content-length", "3")),
    ];
    for (reason, path, block) in &cases {
        let before = logged.refused(reason);
        let mut client = logged.begin();
        client.send(&headers(1, block));
        assert!(
            client.until(|event| *event == Event::Reset(1, PROTOCOL_ERROR)),
            "{path}: {:?}",
            client.events()
        );
        let line = logged.line(path.split('?').next().unwrap());
        let field = |name: &str| line[name].as_str().unwrap_or_default().to_owned();
        assert_eq!((field("end"), &line["status"]), ((*reason).to_owned(), &400.into()), "{line}");
        assert_eq!(
            [field("listener"), field("peer_ip"), field("client_ip")],
            ["web", "127.0.0.1", "127.0.0.1"]
        );
        assert_eq!((field("proto"), &line["bytes_out"]), ("HTTP/2.0".to_owned(), &0.into()), "{line}");
        assert_eq!(field("query"), path.split_once('?').map_or("", |(_, query)| query));
        assert!(field("id").len() >= 16 && !field("ts").is_empty(), "{line}");
        assert_eq!(logged.refused(reason), before + 1, "{path}");
        // The connection goes on.
        client.send(&ping(*b"are you?"));
        assert!(client.until(|event| *event == Event::Pong(*b"are you?")));
    }
    assert_eq!(logged.of_streams("protocol_error"), cases.len() as u64);
    assert!(logged.backend.requests().is_empty());
    assert_eq!(logged.lines().len(), cases.len(), "one line each");
}

#[test]
fn a_stream_that_depends_on_itself_has_a_line() {
    let logged = Logged::new();
    let mut client = logged.begin();
    let block = [&1_u32.to_be_bytes()[..], &[255], &request("GET", "/itself")].concat();
    client.send(&frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, 1, &block));
    assert!(client.until(|event| *event == Event::Reset(1, PROTOCOL_ERROR)));
    let line = logged.line("/itself");
    assert_eq!((&line["end"], &line["status"]), (&"own_parent".into(), &400.into()));
    assert_eq!(logged.refused("own_parent"), 1);
}

#[test]
fn a_stream_over_the_limit_has_a_line() {
    let logged = Logged::new();
    logged.backend.does(Does::Hold);
    let mut client = logged.begin();
    client.send(&(0..101).flat_map(|n| get(2 * n + 1, &format!("/{n}"))).collect::<Vec<u8>>());
    assert!(client.until(|event| *event == Event::Reset(201, REFUSED_STREAM)));
    let line = logged.line("/100");
    assert_eq!((&line["end"], &line["status"]), (&"stream_limit".into(), &503.into()), "{line}");
    assert_eq!((logged.refused("stream_limit"), logged.of_streams("refused_stream")), (1, 1));
}

/// What goes wrong on its way counts with its pool, as a body that is malformed over HTTP/1.1 does.
#[test]
fn a_request_that_goes_wrong_on_its_way_is_told_with_its_reason() {
    let logged = Logged::new();
    logged.backend.does(Does::Hold);
    let held = |path: &str, length: &str| {
        let head = [request("POST", path), field("content-length", length)].concat();
        frame(HEADERS, END_HEADERS, 1, &head)
    };
    let trailers = |block: &[u8], flags| frame(HEADERS, END_HEADERS | flags, 1, block);
    let cases: [(&str, &str, Vec<u8>, Vec<u8>); 6] = [
        ("length_mismatch", "/more", held("/more", "3"), frame(DATA, 0, 1, b"four")),
        ("length_mismatch", "/less", held("/less", "3"), frame(DATA, END_STREAM, 1, b"2")),
        ("length_mismatch", "/none", held("/none", "3"), trailers(&field("a", "b"), END_STREAM)),
        ("trailers", "/pseudo", post(1, "/pseudo"), trailers(&field(":path", "b"), END_STREAM)),
        ("trailers", "/unended", post(1, "/unended"), trailers(&field("a", "b"), 0)),
        ("flow_control", "/window", get(1, "/window"), window(1, LARGEST_WINDOW)),
    ];
    for (reason, path, head, says) in &cases {
        let code = if *reason == "flow_control" { FLOW_CONTROL_ERROR } else { PROTOCOL_ERROR };
        let mut client = logged.begin();
        client.send(head);
        logged.homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
        client.send(says);
        assert!(client.until(|event| *event == Event::Reset(1, code)), "{path}: {:?}", client.events());
        let line = logged.line(path);
        assert_eq!((&line["end"], &line["status"]), (&(*reason).into(), &400.into()), "{line}");
        assert_eq!(line["backend"], "a", "{line}");
    }
    assert_eq!(logged.answered("4xx"), cases.len() as u64);
    assert_eq!((logged.of_streams("protocol_error"), logged.of_streams("flow_control_error")), (5, 1));
}

#[test]
fn an_answer_that_breaks_off_for_its_client_says_so() {
    let logged = Logged::new();
    let mut client = logged.begin();
    client.send(&get(1, "/events"));
    assert!(client.until(|event| matches!(event, Event::Data(1, _))));
    client.send(&window(1, LARGEST_WINDOW));
    assert!(client.until(|event| *event == Event::Reset(1, FLOW_CONTROL_ERROR)));
    let line = logged.line("/events");
    assert_eq!((&line["end"], &line["status"]), (&"flow_control".into(), &200.into()), "{line}");
}

#[test]
fn a_tunnel_that_breaks_off_for_its_client_says_so() {
    let logged = Logged::new();
    let mut client = logged.begin();
    let opens = block(&[
        (":method", "CONNECT"),
        (":protocol", "websocket"),
        (":scheme", "http"),
        (":path", "/ws"),
        (":authority", "test"),
        ("sec-websocket-version", "13"),
    ]);
    client.send(&frame(HEADERS, END_HEADERS, 1, &opens));
    assert!(client.until(|event| *event == Event::Status(1, 200)), "{:?}", client.events());
    client.send(&window(1, LARGEST_WINDOW));
    assert!(client.until(|event| *event == Event::Reset(1, FLOW_CONTROL_ERROR)));
    assert_eq!(logged.line("/ws")["end"], "flow_control");
}

#[test]
fn connections_that_end_for_an_error_are_counted_by_its_code() {
    let logged = Logged::new();
    logged.backend.does(Does::Hold);
    let cases: [(&str, u32, Vec<u8>); 6] = [
        ("protocol_error", PROTOCOL_ERROR, frame(PING, 0, 1, &[0; 8])),
        ("protocol_error", PROTOCOL_ERROR, frame(CONTINUATION, END_HEADERS, 3, b"")),
        ("frame_size_error", FRAME_SIZE_ERROR, frame(SETTINGS, 0, 0, b"12345")),
        ("compression_error", COMPRESSION_ERROR, headers(3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff])),
        ("flow_control_error", FLOW_CONTROL_ERROR, window(0, LARGEST_WINDOW)),
        ("stream_closed", STREAM_CLOSED, frame(DATA, 0, 1, b"behind the end")),
    ];
    for (n, (name, code, says)) in cases.iter().enumerate() {
        let before = logged.of_connections(name);
        let mut client = logged.begin();
        let path = format!("/{n}");
        client.send(&get(1, &path));
        until(|| logged.backend.requests().len() == n + 1);
        client.send(says);
        assert_eq!(client.code(), Some(*code), "{name}");
        assert_eq!(logged.of_connections(name), before + 1, "{name}");
        // Who was served on it is told so; it asked for nothing wrong.
        let line = logged.line(&path);
        assert_eq!((&line["end"], &line["status"]), (&"client.connection".into(), &0.into()), "{line}");
    }
}

#[test]
fn a_flood_of_malformed_requests_leaves_no_more_lines_than_it_is_served_resets() {
    let logged = Logged::new();
    let mut client = logged.begin();
    let says = (0..2_000).flat_map(|n| headers(2 * n + 1, &with("/flood", "te", "gzip")));
    client.flood(&says.collect::<Vec<u8>>());
    assert_eq!(client.code(), Some(ENHANCE_YOUR_CALM));
    let resets = client.events().iter().filter(|event| matches!(event, Event::Reset(..))).count();
    until(|| logged.lines().len() >= 101);
    let lines = logged.lines().len();
    assert_eq!((lines, logged.refused("connection_field")), (101, 101), "{resets} resets");
}

#[test]
fn the_log_hears_of_connections_that_end_for_an_error_and_not_of_every_one() {
    let a = backend("a");
    let process = homing(&[&a]).listener("h2c = true\n").spawn();
    for n in 0..20 {
        let mut client = Raw::begin(process.address, &[]);
        client.send(&headers(1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]));
        assert_eq!(client.code(), Some(COMPRESSION_ERROR), "{n}");
    }
    let told = "peer=127.0.0.1";
    process
        .until_said("a connection ended for its client's compression_error, by a frame HEADERS of stream 1");
    process.until_said(told);
    assert!(process.said(told) <= 4, "a word each ten seconds and worker");
}
