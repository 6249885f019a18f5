//! A WebSocket library at both ends (tungstenite): over HTTP/1.1, over TLS, and carried by streams of HTTP/2.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use h2::ext::Protocol;
use http::{HeaderMap, Request};
use parking_lot::Mutex;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::runtime::Runtime;
use tungstenite::handshake::server;
use tungstenite::protocol::frame::coding::{CloseCode, Data, OpCode};
use tungstenite::protocol::frame::{CloseFrame, Frame};
use tungstenite::protocol::{Message, Role, WebSocket};

use super::Both;
use crate::harness::{LIMIT, homing, until};

const WAYS: [Way; 4] = [Way::Plain, Way::Tls, Way::H2c, Way::H2];

/// How a socket comes to homing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Plain,
    Tls,
    /// By extended CONNECT (RFC 8441), without TLS.
    H2c,
    /// The same, with TLS.
    H2,
}

/// A backend that says everything again, and remembers how its sockets ended.
struct Echo {
    name: &'static str,
    address: SocketAddr,
    closes: Arc<Mutex<Vec<Option<CloseFrame>>>>,
}

trait Transport: Read + Write + Send {}

impl<T: Read + Write + Send> Transport for T {}

/// A client's end.
struct Socket {
    socket: WebSocket<Box<dyn Transport>>,
    /// What homing answered.
    fields: HeaderMap,
    /// Whether its stream was reset, and not ended.
    broke: Arc<AtomicBool>,
    /// What carries it, if it is a stream of HTTP/2.
    _runtime: Option<Runtime>,
}

impl Echo {
    fn new(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (address, closes) = (listener.local_addr().unwrap(), Arc::default());
        let told = Arc::clone(&closes);
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let told = Arc::clone(&told);
                std::thread::spawn(move || serve(name, stream, &told));
            }
        });
        Self { name, address, closes }
    }

    fn last_close(&self) -> Option<CloseFrame> {
        until(|| !self.closes.lock().is_empty());
        self.closes.lock().pop().unwrap()
    }
}

fn serve(name: &'static str, stream: TcpStream, closes: &Mutex<Vec<Option<CloseFrame>>>) {
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    #[allow(clippy::result_large_err, reason = "the library's")]
    let answer = |request: &server::Request, mut response: server::Response| {
        response.headers_mut().insert("x-backend", name.parse().unwrap());
        if request.headers().get("sec-websocket-protocol").is_some_and(|p| p == "chat, superchat") {
            response.headers_mut().insert("sec-websocket-protocol", "superchat".parse().unwrap());
        }
        Ok(response)
    };
    let Ok(mut socket) = tungstenite::accept_hdr(stream, answer) else { return };
    while let Ok(message) = socket.read() {
        match message {
            Message::Text(text) if text.starts_with("close ") => {
                let (_, code) = text.split_once(' ').unwrap();
                let code = CloseCode::from(code.parse::<u16>().unwrap());
                socket.close(Some(CloseFrame { code, reason: "asked to".into() })).unwrap();
            }
            Message::Text(_) | Message::Binary(_) => {
                if socket.send(message).is_err() {
                    return;
                }
            }
            Message::Close(frame) => closes.lock().push(frame),
            Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
    }
}

fn before(backends: &[&Echo]) -> Both {
    let list: Vec<String> = backends
        .iter()
        .map(|b| format!("{{ name = \"{}\", address = \"{}\" }}", b.name, b.address))
        .collect();
    Both::of(homing(&[]).pool(&format!("backends = [{}]", list.join(", "))).cookie())
}

/// A client of TLS that offers this.
fn tls(both: &Both, alpn: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(both.authority.ca()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    Arc::new(config)
}

impl Socket {
    /// Opens one with these fields more.
    fn open(both: &Both, way: Way, fields: &[(&str, &str)]) -> Self {
        let address =
            if matches!(way, Way::Tls | Way::H2) { both.homing.other("tls") } else { both.homing.address };
        let name = || ServerName::try_from("localhost").unwrap();
        match way {
            Way::Plain => Self::upgrade(connect(address), fields),
            Way::Tls => {
                let session = ClientConnection::new(tls(both, b"http/1.1"), name()).unwrap();
                Self::upgrade(StreamOwned::new(session, connect(address)), fields)
            }
            Way::H2c | Way::H2 => {
                let runtime = tokio::runtime::Builder::new_multi_thread()
                    .worker_threads(1)
                    .enable_all()
                    .build()
                    .unwrap();
                let (ours, its) = UnixStream::pair().unwrap();
                ours.set_read_timeout(Some(LIMIT)).unwrap();
                its.set_nonblocking(true).unwrap();
                let broke = Arc::new(AtomicBool::new(false));
                let told = Arc::clone(&broke);
                let connector = tokio_rustls::TlsConnector::from(tls(both, b"h2"));
                let carried = async {
                    let its = tokio::net::UnixStream::from_std(its).unwrap();
                    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
                    match way {
                        Way::H2 => {
                            carry(connector.connect(name(), stream).await.unwrap(), fields, its, told).await
                        }
                        _ => carry(stream, fields, its, told).await,
                    }
                };
                let fields = runtime.block_on(async { tokio::time::timeout(LIMIT, carried).await.unwrap() });
                let socket =
                    WebSocket::from_raw_socket(Box::new(ours) as Box<dyn Transport>, Role::Client, None);
                Self { socket, fields, broke, _runtime: Some(runtime) }
            }
        }
    }

    fn upgrade(stream: impl Transport + 'static, fields: &[(&str, &str)]) -> Self {
        use tungstenite::client::IntoClientRequest as _;
        let mut request = "ws://localhost/ws".into_client_request().unwrap();
        for (name, value) in fields {
            request.headers_mut().insert(http::HeaderName::try_from(*name).unwrap(), value.parse().unwrap());
        }
        let stream: Box<dyn Transport> = Box::new(stream);
        let Ok((socket, response)) = tungstenite::client(request, stream) else { panic!("no handshake") };
        Self { socket, fields: response.headers().clone(), broke: Arc::default(), _runtime: None }
    }

    fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(|value| value.to_str().unwrap())
    }

    /// The pair of the pin that was set.
    fn pin(&self) -> Option<String> {
        self.field("set-cookie").map(|set| set.split(';').next().unwrap().to_owned())
    }

    fn say(&mut self, message: Message) {
        self.socket.send(message).unwrap();
    }

    fn hear(&mut self) -> Message {
        self.socket.read().unwrap()
    }

    fn echoes(&mut self, message: &Message) {
        self.say(message.clone());
        assert!(self.hear() == *message);
    }

    /// Reads a Close, answers it, and reads to the end of the connection.
    fn hears_close(&mut self, code: u16) {
        let Message::Close(Some(frame)) = self.hear() else { panic!("no Close with a status") };
        assert_eq!(u16::from(frame.code), code);
        let end = self.socket.read();
        assert!(matches!(end, Err(tungstenite::Error::ConnectionClosed)), "{end:?}");
        assert!(!self.broke.load(Ordering::SeqCst), "its stream was reset");
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    stream
}

/// Opens a stream for a WebSocket on a connection of its own, and has it carry what goes through `its`; what was
/// answered.
async fn carry<S>(
    stream: S,
    fields: &[(&str, &str)],
    its: tokio::net::UnixStream,
    broke: Arc<AtomicBool>,
) -> HeaderMap
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::runtime::Handle::current().spawn(connection);
    while !send.is_extended_connect_protocol_enabled() {
        tokio::task::yield_now().await;
    }
    let mut request = Request::connect("https://localhost/ws").header("sec-websocket-version", "13");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let mut request = request.body(()).unwrap();
    request.extensions_mut().insert(Protocol::from_static("websocket"));
    let (response, mut up) = send.send_request(request, false).unwrap();
    let (head, mut down) = response.await.unwrap().into_parts();
    assert_eq!(head.status, 200);
    let (mut from, mut to) = its.into_split();
    tokio::runtime::Handle::current().spawn(async move {
        let mut piece = vec![0; 16 * 1024];
        while let Ok(n @ 1..) = from.read(&mut piece).await {
            if up.send_data(Bytes::copy_from_slice(&piece[..n]), false).is_err() {
                return;
            }
        }
        let _ = up.send_data(Bytes::new(), true);
    });
    tokio::runtime::Handle::current().spawn(async move {
        let _send = send;
        while let Some(piece) = down.data().await {
            let Ok(piece) = piece else {
                broke.store(true, Ordering::SeqCst);
                return;
            };
            let _ = down.flow_control().release_capacity(piece.len());
            if to.write_all(&piece).await.is_err() {
                return;
            }
        }
    });
    head.headers
}

#[test]
fn messages_of_every_kind_and_size_pass_by_every_way() {
    let a = Echo::new("a");
    let both = before(&[&a]);
    let large = "x".repeat(1 << 20);
    for way in WAYS {
        let mut socket = Socket::open(&both, way, &[]);
        assert_eq!(socket.field("x-backend"), Some("a"), "{way:?}");
        socket.echoes(&Message::text("grüße ✓"));
        socket.echoes(&Message::text(""));
        socket.echoes(&Message::binary(vec![0, 255, 1]));
        socket.say(Message::Ping(Bytes::from_static(b"there?")));
        assert_eq!(socket.hear(), Message::Pong(Bytes::from_static(b"there?")), "{way:?}");
        socket.say(Message::Pong(Bytes::new()));
        socket.echoes(&Message::text(large.as_str()));
        socket.echoes(&Message::binary((0..1 << 20).map(|n: u32| n as u8).collect::<Vec<u8>>()));
        for length in [125, 126, 127, 65_535, 65_536] {
            socket.echoes(&Message::binary(vec![7; length]));
        }
        // Many on the way at once.
        (0..300).for_each(|n| socket.say(Message::text(n.to_string())));
        (0..300).for_each(|n| assert_eq!(socket.hear(), Message::text(n.to_string()), "{way:?}"));
    }
}

#[test]
fn messages_in_fragments_pass_by_every_way_with_a_ping_between_them() {
    let a = Echo::new("a");
    let both = before(&[&a]);
    for way in WAYS {
        let mut socket = Socket::open(&both, way, &[]);
        let part = |text: &str, of, is_last| {
            Message::Frame(Frame::message(Bytes::copy_from_slice(text.as_bytes()), OpCode::Data(of), is_last))
        };
        let long = "y".repeat(100_000);
        socket.say(part("first ", Data::Text, false));
        socket.say(part(&long, Data::Continue, false));
        socket.say(Message::Ping(Bytes::from_static(b"between")));
        assert_eq!(socket.hear(), Message::Pong(Bytes::from_static(b"between")), "{way:?}");
        socket.say(part(" last", Data::Continue, true));
        assert!(socket.hear() == Message::text(format!("first {long} last")), "{way:?}");
    }
}

#[test]
fn either_end_closes_with_a_status_and_the_other_is_told() {
    let a = Echo::new("a");
    let both = before(&[&a]);
    for way in WAYS {
        for code in [1000, 1001, 1008, 3000, 4999] {
            let mut socket = Socket::open(&both, way, &[]);
            socket.echoes(&Message::text("hello"));
            let frame = CloseFrame { code: CloseCode::from(code), reason: "bye".into() };
            socket.socket.close(Some(frame.clone())).unwrap();
            socket.hears_close(code);
            assert_eq!(a.last_close(), Some(frame), "{way:?}");

            let mut socket = Socket::open(&both, way, &[]);
            socket.say(Message::text(format!("close {code}")));
            socket.hears_close(code);
            assert_eq!(a.last_close().map(|frame| u16::from(frame.code)), Some(code), "{way:?}");
        }
    }
    both.homing.until("/api/v1/pools", |text| text.contains("\"tunnels\":0"));
}

#[test]
fn protocols_of_the_application_are_agreed_on_through_homing() {
    let a = Echo::new("a");
    let both = before(&[&a]);
    for way in WAYS {
        let mut socket = Socket::open(&both, way, &[("sec-websocket-protocol", "chat, superchat")]);
        assert_eq!(socket.field("sec-websocket-protocol"), Some("superchat"), "{way:?}");
        socket.echoes(&Message::text("hello"));
    }
}

#[test]
fn a_socket_comes_to_the_backend_of_its_session_by_every_way() {
    let [a, b, c] = ["a", "b", "c"].map(Echo::new);
    let both = before(&[&a, &b, &c]);
    for first in WAYS {
        let begun = Socket::open(&both, first, &[]);
        let (home, pin) = (begun.field("x-backend").unwrap(), begun.pin().unwrap());
        for way in WAYS.iter().cycle().take(8) {
            let mut again = Socket::open(&both, *way, &[("cookie", &pin)]);
            assert_eq!(
                (again.field("x-backend"), again.pin()),
                (Some(home), None),
                "{way:?} after {first:?}"
            );
            again.echoes(&Message::text("hello"));
        }
    }
}

#[test]
fn new_sockets_are_spread_while_others_of_the_same_client_are_open() {
    let [a, b] = ["a", "b"].map(Echo::new);
    let both = before(&[&a, &b]);
    let sockets: Vec<Socket> =
        WAYS.iter().cycle().take(16).map(|way| Socket::open(&both, *way, &[])).collect();
    let at_a = sockets.iter().filter(|socket| socket.field("x-backend") == Some("a")).count();
    assert!((4..=12).contains(&at_a), "{at_a} of {}", sockets.len());
}

#[test]
fn at_the_deadline_of_a_drain_its_sockets_close_with_1001_and_no_others() {
    let [a, b] = ["a", "b"].map(Echo::new);
    let both = before(&[&a, &b]);
    let at = |home: &str, way| {
        let found =
            (0..100).map(|_| Socket::open(&both, way, &[])).find(|s| s.field("x-backend") == Some(home));
        found.unwrap_or_else(|| panic!("no new session goes to {home}"))
    };
    let mut leaving = WAYS.map(|way| at("a", way));
    let mut staying = WAYS.map(|way| at("b", way));
    for socket in leaving.iter_mut().chain(&mut staying) {
        socket.echoes(&Message::text("hello"));
    }
    let state = "/api/v1/pools/app/backends/a/state";
    assert_eq!(both.homing.post(state, r#"{"state": "drain", "deadline": "1s"}"#).status, 200);
    for (socket, way) in leaving.iter_mut().zip(WAYS) {
        let pin = socket.pin().unwrap();
        socket.hears_close(1001);
        let moved = Socket::open(&both, way, &[("cookie", &pin)]);
        assert_eq!(moved.field("x-backend"), Some("b"), "{way:?}");
    }
    for socket in &mut staying {
        socket.echoes(&Message::text("still here"));
    }
    until(|| a.closes.lock().len() >= WAYS.len());
    let told: Vec<_> = a.closes.lock().drain(..).flatten().map(|frame| u16::from(frame.code)).collect();
    assert!(told.len() >= WAYS.len() && told.iter().all(|code| *code == 1001), "{told:?}");
    assert!(b.closes.lock().is_empty());
}
