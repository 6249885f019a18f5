//! One request and its answer, over a new connection or a kept one, each within its time.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, header};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpSocket;

use super::target::{Target, Vary};
use crate::net::tls::client::Connector;

/// The longest body that is read, in bytes.
const LARGEST: usize = 256 << 10;

/// Whom to ask, and how.
pub(super) struct Asker {
    pub(super) target: Target,
    pub(super) address: SocketAddr,
    pub(super) tls: Option<Connector>,
    pub(super) vary: Vary,
    /// Fields of every request.
    pub(super) fields: Vec<(String, String)>,
    /// For one answer, connecting included.
    pub(super) each: Duration,
}

/// One request.
#[derive(Clone, Debug)]
pub(super) struct Ask {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) fields: Vec<(String, String)>,
    pub(super) cookies: String,
    pub(super) source: Option<Ipv4Addr>,
    pub(super) body: String,
}

/// What came back.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// A connection that is kept.
pub(super) struct Line(SendRequest<Full<Bytes>>);

impl Ask {
    /// Without anything.
    pub(super) const fn get(path: String, source: Option<Ipv4Addr>) -> Self {
        Self {
            method: Method::GET,
            path,
            fields: Vec::new(),
            cookies: String::new(),
            source,
            body: String::new(),
        }
    }
}

impl Asker {
    /// Asks over a new connection, which ends with the answer.
    ///
    /// # Errors
    /// There is none in time.
    pub(super) async fn once(&self, ask: &Ask) -> io::Result<Answer> {
        self.timely(async {
            let mut line = self.connect(ask.source).await?;
            self.send(&mut line, ask, true).await
        })
        .await
    }

    /// Asks over this connection, or over a new one that is kept.
    ///
    /// # Errors
    /// As [`Self::once`]; the connection is then no more, nor when it was closed behind the answer.
    pub(super) async fn over(&self, line: &mut Option<Line>, ask: &Ask) -> io::Result<Answer> {
        self.timely(async {
            let mut kept = match line.take() {
                Some(kept) => kept,
                None => self.connect(ask.source).await?,
            };
            let answer = self.send(&mut kept, ask, false).await?;
            let closes = answer.headers.get(header::CONNECTION).is_some_and(|v| v.as_bytes() == b"close");
            if !closes && kept.0.ready().await.is_ok() {
                *line = Some(kept);
            }
            Ok(answer)
        })
        .await
    }

    async fn timely<T>(&self, work: impl Future<Output = io::Result<T>>) -> io::Result<T> {
        tokio::time::timeout(self.each, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
    }

    async fn connect(&self, source: Option<Ipv4Addr>) -> io::Result<Line> {
        let socket = if self.address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        if let (Vary::Bind, Some(ip)) = (&self.vary, source) {
            socket.bind(SocketAddr::new(IpAddr::V4(ip), 0))?;
        }
        let tcp = socket.connect(self.address).await?;
        tcp.set_nodelay(true)?;
        match &self.tls {
            Some(connector) => shake(connector.handshake(tcp).await?).await,
            None => shake(tcp).await,
        }
    }

    async fn send(&self, line: &mut Line, ask: &Ask, closes: bool) -> io::Result<Answer> {
        let mut request = Request::builder().method(&ask.method).uri(&ask.path);
        request = request.header(header::HOST, self.target.authority());
        request = request.header(header::USER_AGENT, concat!("homing-probe/", env!("CARGO_PKG_VERSION")));
        if !ask.fields.iter().any(|(name, _)| name.eq_ignore_ascii_case("accept")) {
            request = request.header(header::ACCEPT, "application/json, text/html;q=0.9, */*;q=0.8");
        }
        if closes {
            request = request.header(header::CONNECTION, "close");
        }
        if !ask.body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if !ask.cookies.is_empty() {
            request = request.header(header::COOKIE, &ask.cookies);
        }
        if let (Vary::Claim(field), Some(ip)) = (&self.vary, ask.source) {
            request = request.header(field, ip.to_string());
        }
        for (name, value) in self.fields.iter().chain(&ask.fields) {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(ask.body.clone()))).map_err(io::Error::other)?;
        let response = line.0.send_request(request).await.map_err(io::Error::other)?;
        let (head, body) = response.into_parts();
        let is_endless = head
            .headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|t| t.as_bytes().starts_with(b"text/event-stream"));
        let body = if is_endless || head.status.is_informational() {
            Bytes::new()
        } else {
            Limited::new(body, LARGEST).collect().await.map_err(io::Error::other)?.to_bytes()
        };
        Ok(Answer { status: head.status.as_u16(), headers: head.headers, body })
    }
}

async fn shake<S: AsyncRead + AsyncWrite + Unpin + 'static>(stream: S) -> io::Result<Line> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    // It ends with its sender. How is no news: what matters is the answer.
    tokio::task::spawn_local(async move { drop(connection.await) });
    Ok(Line(sender))
}
