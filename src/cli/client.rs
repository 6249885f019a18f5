//! A client of a running homing: one request, one connection, one answer, all of it within a time and a size.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, StatusCode, header};
use http_body_util::{BodyExt as _, Full, LengthLimitError, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};

use super::table::clean_lines;
use crate::base::address::Address;
use crate::base::units::{ByteSize, Span};
use crate::net::listen::ListenAddress;

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(2);
/// For the whole answer, from then on.
const ANSWER: Duration = Duration::from_secs(30);
/// The largest answer, in bytes.
const LARGEST: usize = 64 << 20;
/// The field without which homing changes nothing.
const MARK: &str = "x-homing";

/// Whom to ask, and as whom.
#[derive(Debug)]
pub(super) struct Client {
    target: Target,
    token: Option<Token>,
    connect: Duration,
    answer: Duration,
}

/// Where a homing's admin listener is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target(Address);

/// What is sent as `Authorization: Bearer`.
pub(super) struct Token(HeaderValue);

/// What homing answered.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Value,
}

/// Why a command was not done.
#[derive(Debug, Error)]
pub(super) enum Failed {
    /// It makes no sense as it stands.
    #[error("{0}")]
    Usage(String),
    /// homing does not want to.
    #[error("{}", .0.text())]
    Refused(Answer),
    /// Nobody is there.
    #[error("connect to homing at {target}")]
    Unreachable { target: Target, source: io::Error },
    /// Somebody is there and says nothing, or stops in the middle.
    #[error("ask homing at {target}")]
    Broken { target: Target, source: io::Error },
    /// Somebody else is there.
    #[error(
        "{target} does not answer as this homing's admin listener ({status}): is it another, or an older one?"
    )]
    Stranger { target: Target, status: StatusCode },
}

impl Client {
    pub(super) const fn new(target: Target, token: Option<Token>) -> Self {
        Self { target, token, connect: CONNECT, answer: ANSWER }
    }

    /// Asks. The answer may be that it is refused.
    ///
    /// # Errors
    /// There is no answer, or it is not homing's.
    pub(super) async fn get(&self, path: &str) -> Result<Answer, Failed> {
        self.send(Method::GET, path, Bytes::new()).await
    }

    /// Wants something done. The answer may be that it is refused.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failed> {
        self.send(Method::POST, path, body.to_string().into()).await
    }

    async fn send(&self, method: Method, path: &str, body: Bytes) -> Result<Answer, Failed> {
        let broken = |source| Failed::Broken { target: self.target.clone(), source };
        let request = self.request(method, path, body).map_err(|e| broken(io::Error::other(e)))?;
        let unreachable = |source| Failed::Unreachable { target: self.target.clone(), source };
        let within = self.connect;
        let stream = match &self.target.0 {
            Address::Unix(path) => {
                let stream = timely(within, UnixStream::connect(path)).await.map_err(unreachable)?;
                return self.exchange(stream, request).await;
            }
            Address::Socket(address) => timely(within, TcpStream::connect(address)).await,
            Address::Name { host, port } => timely(within, TcpStream::connect((&**host, *port))).await,
        };
        self.exchange(stream.map_err(unreachable)?, request).await
    }

    fn request(&self, method: Method, path: &str, body: Bytes) -> http::Result<Request<Full<Bytes>>> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, self.target.authority())
            .header(header::CONNECTION, "close")
            .header(header::ACCEPT, "application/json")
            .header(MARK, "1");
        if !body.is_empty() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(Token(token)) = &self.token {
            request = request.header(header::AUTHORIZATION, token);
        }
        request.body(Full::new(body))
    }

    async fn exchange<S>(&self, stream: S, request: Request<Full<Bytes>>) -> Result<Answer, Failed>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let exchanged = timely(self.answer, exchange(stream, request)).await;
        let (status, body) =
            exchanged.map_err(|source| Failed::Broken { target: self.target.clone(), source })?;
        let stranger = |_| Failed::Stranger { target: self.target.clone(), status };
        Ok(Answer { status, body: serde_json::from_slice(&body).map_err(stranger)? })
    }
}

async fn exchange<S>(stream: S, request: Request<Full<Bytes>>) -> io::Result<(StatusCode, Bytes)>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let mut connection = std::pin::pin!(connection);
    let mut answer = std::pin::pin!(async {
        let (head, body) = sender.send_request(request).await.map_err(io::Error::other)?.into_parts();
        match Limited::new(body, LARGEST).collect().await {
            Ok(body) => Ok((head.status, body.to_bytes())),
            Err(e) if e.is::<LengthLimitError>() => {
                let text = format!("its answer is larger than {}", ByteSize(LARGEST as u64));
                Err(io::Error::other(text))
            }
            Err(e) => Err(io::Error::other(e)),
        }
    });
    tokio::select! {
        answer = &mut answer => answer,
        // All has come in. What is wrong with the connection, the answer tells as well.
        _ = &mut connection => answer.await,
    }
}

async fn timely<T>(within: Duration, future: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    tokio::time::timeout(within, future).await.unwrap_or_else(|_| {
        let text = format!("nothing came of it within {}", Span(within));
        Err(io::Error::new(io::ErrorKind::TimedOut, text))
    })
}

impl Target {
    /// Reads `127.0.0.1:9900`, `localhost:9900`, `:9900`, `http://127.0.0.1:9900` or `unix:/run/homing.sock`.
    ///
    /// # Errors
    /// What it must be, as the rest of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        if text.starts_with("https://") {
            return Err("must begin with http://: admin listeners speak no TLS".to_owned());
        }
        let rest = text.strip_prefix("http://").map_or(text, |rest| rest.trim_end_matches('/'));
        let address = match rest.strip_prefix(':') {
            Some(port) => Address::parse(&format!("127.0.0.1:{port}")),
            None => Address::parse(rest),
        };
        let is_sent =
            |a: &Address| matches!(a, Address::Unix(_)) || HeaderValue::try_from(a.to_string()).is_ok();
        address.filter(is_sent).map(Self).ok_or_else(|| {
            "must be an admin address, as in 127.0.0.1:9900, http://10.0.0.2:9900 or unix:/run/homing.sock".to_owned()
        })
    }

    /// Where one connects to what listens there; `None` if its port is any free one.
    pub(super) fn of(listen: &ListenAddress) -> Option<Self> {
        let address = match listen {
            ListenAddress::Unix(path) => return Some(Self(Address::Unix(path.clone()))),
            ListenAddress::Tcp { address, .. } if address.port() == 0 => return None,
            ListenAddress::Tcp { address, .. } => *address,
        };
        let ip = match address.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Some(Self(Address::Socket(SocketAddr::new(ip, address.port()))))
    }

    /// What stands in `Host`.
    fn authority(&self) -> String {
        if matches!(self.0, Address::Unix(_)) { "localhost".to_owned() } else { self.0.to_string() }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Token {
    /// The token of a file's text.
    ///
    /// # Errors
    /// What it must be, as the rest of a sentence.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let token = text.trim();
        let mut value = HeaderValue::try_from(format!("Bearer {token}"))
            .ok()
            .filter(|_| !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic()))
            .ok_or("must hold one token of visible characters")?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Answer {
    /// What it says, if it is not a refusal.
    ///
    /// # Errors
    /// It is one.
    pub(super) fn accepted(self) -> Result<Value, Failed> {
        if self.status.is_success() { Ok(self.body) } else { Err(Failed::Refused(self)) }
    }

    /// The refusal in words.
    fn text(&self) -> String {
        let text = self.body.get("error").and_then(Value::as_str);
        text.map_or_else(|| format!("homing answers {}", self.status), |text| clean_lines(text.trim_end()))
    }
}

impl Failed {
    /// What the program ends with: 1 it is refused, 2 the command is wrong, 3 homing cannot be reached.
    pub(super) const fn code(&self) -> u8 {
        match self {
            Self::Refused(_) => 1,
            Self::Usage(_) => 2,
            Self::Unreachable { .. } | Self::Broken { .. } | Self::Stranger { .. } => 3,
        }
    }

    /// What can be done about it, where it does not say so itself.
    pub(super) fn help(&self) -> Option<&'static str> {
        match self {
            Self::Usage(_) | Self::Broken { .. } => None,
            Self::Unreachable { .. } => Some(
                "is it running there, with [admin] in its configuration? -c FILE or --admin ADDRESS says where",
            ),
            Self::Stranger { .. } => Some("another program listens there, or an older homing"),
            Self::Refused(answer) => match (answer.status, answer.body.get("reason")?.as_str()?) {
                (StatusCode::UNAUTHORIZED, "token_wrong") => {
                    Some("--token-file must name the file that [admin] token of that homing names")
                }
                (StatusCode::UNAUTHORIZED, _) => Some("--token-file FILE, with the token of [admin] token"),
                (StatusCode::METHOD_NOT_ALLOWED, _) => Some("an older homing runs there: restart it"),
                _ => None,
            },
        }
    }
}

#[cfg(test)]
#[path = "client_tests.rs"]
mod tests;
