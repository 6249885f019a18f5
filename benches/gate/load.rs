//! Backends with one answer each, and clients that send the next request when they have the answer to the last.
//!
//! Everything is a task of one thread, and the number of requests is fixed: the program's work is the same in every
//! run, but for how many events it finds at once.

use std::cell::Cell;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context as _, ensure};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;
use tokio_rustls::TlsConnector;

use super::{identity, tls};

/// Clients at once, each with a connection.
pub(crate) const CONNECTIONS: usize = 64;
/// Addresses of 127.0.0.0/8 that they come from.
const SOURCES: usize = 60;
const BACKENDS: usize = 3;
/// Of HTTP/2, at once on its one connection.
const STREAMS: usize = 32;
/// Room for a head, and what comes with it.
const ROOM: usize = 64 * 1024;
/// Of a masked frame of more than 125 bytes (RFC 6455 section 5.2).
const FRAME_HEADER: usize = 8;
const ASK_UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
const UPGRADE: &[u8] =
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// What clients ask for.
#[derive(Clone, Copy)]
pub(crate) struct Work {
    /// Bytes of an answer, or of a message in a tunnel.
    pub(crate) answer: usize,
    /// What each request brings along that tells its session.
    pub(crate) brings: Brings,
    /// Whether backends make sessions of their own.
    pub(crate) makes_ids: bool,
    /// Whether each request has a connection of its own.
    pub(crate) is_closing: bool,
    /// Whether connections become tunnels, in which messages come back.
    pub(crate) is_tunnel: bool,
    pub(crate) wire: Wire,
}

/// What clients speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// HTTP/1.1.
    Plain,
    /// HTTP/1.1 over TLS.
    Tls,
    /// HTTP/2 without TLS, on one connection.
    H2c,
}

/// What a connection goes over.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<S: AsyncRead + AsyncWrite + Unpin> Stream for S {}

/// What tells a request's session.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Brings {
    /// Nothing.
    Nothing,
    /// The cookie that the first answer set: homing's, or the application's.
    Cookie,
    /// The header that the first answer had.
    Header,
    /// A cookie that names a backend.
    Route,
}

/// Who comes from where.
struct Visit {
    from: Ipv4Addr,
    to: SocketAddr,
    tls: Option<Arc<ClientConfig>>,
}

/// One end of a connection.
struct Peer {
    stream: Box<dyn Stream>,
    room: Vec<u8>,
}

/// What came: a head, and how much of its body came with it.
struct Head {
    text: String,
    beyond: usize,
}

impl Work {
    /// A request without anything.
    pub(crate) const GET: Self = Self {
        answer: 0,
        brings: Brings::Nothing,
        makes_ids: false,
        is_closing: false,
        is_tunnel: false,
        wire: Wire::Plain,
    };

    /// A request with this field line.
    fn request(self, field: &str) -> Vec<u8> {
        let connection = match self {
            Self { is_tunnel: true, .. } => ASK_UPGRADE,
            Self { is_closing: true, .. } => "Connection: close\r\n",
            _ => "",
        };
        format!(
            "GET /s/{} HTTP/1.1\r\nHost: localhost\r\nUser-Agent: gate\r\nAccept: */*\r\n{field}{connection}\r\n",
            self.answer
        )
        .into_bytes()
    }
}

/// Sockets of the backends, and where they are.
pub(crate) fn listeners(runtime: &Runtime) -> anyhow::Result<(Vec<TcpListener>, Vec<SocketAddr>)> {
    let bind = |_| runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
    let listeners = (0..BACKENDS).map(bind).collect::<Result<Vec<_>, _>>()?;
    let addresses = listeners.iter().map(TcpListener::local_addr).collect::<Result<_, _>>()?;
    Ok((listeners, addresses))
}

/// Sends so many requests on each connection; they all have to be answered as they should.
pub(crate) async fn drive(
    listeners: Vec<TcpListener>,
    to: SocketAddr,
    work: Work,
    rounds: usize,
) -> anyhow::Result<()> {
    let answer = format!(
        "HTTP/1.1 200 OK\r\nServer: gate\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{}",
        work.answer,
        "x".repeat(work.answer)
    );
    let answer: Rc<[u8]> = answer.into_bytes().into();
    let ids = work.makes_ids.then(Rc::<Cell<usize>>::default);
    for listener in listeners {
        tokio::task::spawn_local(backend(listener, Rc::clone(&answer), ids.clone()));
    }
    if work.wire == Wire::H2c {
        return streams(to, work, rounds * CONNECTIONS / STREAMS).await;
    }
    let tls = (work.wire == Wire::Tls).then(|| tls::client("http/1.1", false)).transpose()?;
    let mut clients = JoinSet::new();
    for number in 0..CONNECTIONS {
        let last = u8::try_from(1 + number % SOURCES)?;
        let visit = Visit { from: Ipv4Addr::new(127, 0, 0, last), to, tls: tls.clone() };
        clients.spawn_local(client(visit, number, work, rounds));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

/// Its connections end as they like.
async fn backend(listener: TcpListener, answer: Rc<[u8]>, ids: Option<Rc<Cell<usize>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::task::spawn_local(answers(stream, Rc::clone(&answer), ids.clone()));
    }
}

/// The id of an application's session: 32 letters.
fn id(number: usize) -> String {
    format!("{:032X}", (number as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Answers every head; requests have no body. Where there are `ids`, who has no cookie is given one of the
/// application's.
async fn answers(stream: TcpStream, answer: Rc<[u8]>, ids: Option<Rc<Cell<usize>>>) -> anyhow::Result<()> {
    let mut peer = Peer::new(stream)?;
    loop {
        let head = peer.head().await?;
        if head.text.to_ascii_lowercase().contains("\r\nupgrade:") {
            peer.stream.write_all(UPGRADE).await?;
            return peer.echo().await;
        }
        match &ids {
            Some(ids) if !head.text.contains("\r\nCookie: ") => {
                let field = format!("Set-Cookie: JSESSIONID={}; Path=/; HttpOnly\r\nServer:", id(ids.get()));
                ids.set(ids.get() + 1);
                let text = String::from_utf8_lossy(&answer).replacen("Server:", &field, 1);
                peer.stream.write_all(text.as_bytes()).await?;
            }
            _ => peer.stream.write_all(&answer).await?,
        }
    }
}

/// Sends so many requests on each stream of one connection.
async fn streams(to: SocketAddr, work: Work, rounds: usize) -> anyhow::Result<()> {
    let stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    let (asks, connection) = h2::client::handshake(stream).await?;
    tokio::task::spawn_local(connection);
    let mut clients = JoinSet::new();
    for _ in 0..STREAMS {
        clients.spawn_local(stream_after_stream(asks.clone(), work, rounds));
    }
    while let Some(ended) = clients.join_next().await {
        ended??;
    }
    Ok(())
}

async fn stream_after_stream(
    mut asks: h2::client::SendRequest<bytes::Bytes>,
    work: Work,
    rounds: usize,
) -> anyhow::Result<()> {
    for round in 0..rounds {
        let request = http::Request::get(format!("http://localhost/s/{}", work.answer))
            .header("user-agent", "gate")
            .header("accept", "*/*");
        asks = asks.ready().await?;
        let (answer, _) = asks.send_request(request.body(())?, true)?;
        let answer = answer.await?;
        ensure!(answer.status() == 200, "round {round}: {}", answer.status());
        let (mut body, mut came) = (answer.into_body(), 0);
        while let Some(data) = body.data().await {
            let length = data?.len();
            body.flow_control().release_capacity(length)?;
            came += length;
        }
        ensure!(came == work.answer, "round {round}: {came} bytes");
    }
    Ok(())
}

async fn client(visit: Visit, number: usize, work: Work, rounds: usize) -> anyhow::Result<()> {
    let mut peer = Peer::connect(&visit).await?;
    let mut request = work.request(&match work.brings {
        Brings::Route => format!("Cookie: JSESSIONID={}.node{}\r\n", id(number), number % BACKENDS),
        Brings::Nothing | Brings::Cookie | Brings::Header => String::new(),
    });
    if work.is_tunnel {
        peer.stream.write_all(&request).await?;
        let head = peer.head().await?;
        ensure!(head.text.starts_with("HTTP/1.1 101 "), "not a tunnel: {}", head.text);
        return peer.send_and_await(work.answer, rounds).await;
    }
    for round in 0..rounds {
        if work.is_closing && round > 0 {
            peer = Peer::connect(&visit).await?;
        }
        peer.stream.write_all(&request).await?;
        let head = peer.head().await?;
        ensure!(head.text.starts_with("HTTP/1.1 200 "), "round {round}: {}", head.text);
        peer.discard(work.answer.saturating_sub(head.beyond)).await?;
        let name = match work.brings {
            Brings::Cookie => "set-cookie",
            Brings::Header => "x-homing-session",
            Brings::Nothing | Brings::Route => continue,
        };
        let told = head.field(name);
        if round > 0 {
            ensure!(told.is_none(), "told again: {name}");
            continue;
        }
        let told = told.with_context(|| format!("no {name} in the first answer"))?;
        let told = told.split(';').next().unwrap_or_default();
        let name = if work.brings == Brings::Cookie { "Cookie" } else { name };
        request = work.request(&format!("{name}: {told}\r\n"));
    }
    Ok(())
}

impl Peer {
    fn new(stream: TcpStream) -> anyhow::Result<Self> {
        stream.set_nodelay(true)?;
        Ok(Self::over(Box::new(stream)))
    }

    fn over(stream: Box<dyn Stream>) -> Self {
        Self { stream, room: vec![0; ROOM] }
    }

    async fn connect(visit: &Visit) -> anyhow::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((visit.from, 0).into())?;
        let stream = socket.connect(visit.to).await?;
        let Some(tls) = &visit.tls else { return Self::new(stream) };
        stream.set_nodelay(true)?;
        let name = ServerName::try_from(identity::NAME)?;
        Ok(Self::over(Box::new(TlsConnector::from(Arc::clone(tls)).connect(name, stream).await?)))
    }

    /// A whole head.
    async fn head(&mut self) -> anyhow::Result<Head> {
        let mut len = 0;
        loop {
            let read = self.stream.read(self.room.get_mut(len..).unwrap_or_default()).await?;
            ensure!(read > 0, "closed within a head");
            len += read;
            let got = self.room.get(..len).unwrap_or_default();
            if let Some(at) = memchr::memmem::find(got, b"\r\n\r\n") {
                let (head, body) = got.split_at(at + 4);
                return Ok(Head { text: String::from_utf8(head.to_vec())?, beyond: body.len() });
            }
        }
    }

    async fn discard(&mut self, mut left: usize) -> anyhow::Result<()> {
        while left > 0 {
            let room = self.room.len().min(left);
            let read = self.stream.read(self.room.get_mut(..room).unwrap_or_default()).await?;
            ensure!(read > 0, "closed within a body");
            left -= read;
        }
        Ok(())
    }

    async fn echo(&mut self) -> anyhow::Result<()> {
        loop {
            let read = self.stream.read(&mut self.room).await?;
            ensure!(read > 0, "the end");
            self.stream.write_all(self.room.get(..read).unwrap_or_default()).await?;
        }
    }

    /// Messages of so many bytes, a frame each with its header and mask, one after the other.
    async fn send_and_await(&mut self, bytes: usize, rounds: usize) -> anyhow::Result<()> {
        let payload = u16::try_from(bytes.saturating_sub(FRAME_HEADER))?;
        let [high, low] = payload.to_be_bytes();
        let mut message = vec![0x82, 0x80 | 126, high, low];
        message.resize(bytes, b'x');
        for _ in 0..rounds {
            self.stream.write_all(&message).await?;
            self.discard(bytes).await?;
        }
        Ok(())
    }
}

impl Head {
    /// The value of the first field of this name.
    fn field(&self, name: &str) -> Option<&str> {
        let pairs = self.text.lines().filter_map(|line| line.split_once(": "));
        pairs.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value).next()
    }
}
