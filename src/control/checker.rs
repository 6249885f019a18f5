//! Active checks: a task per backend that probes it and tells the owner of the state what came of it.
//!
//! The first probe of every backend is sent at once, so that the first verdicts come within one timeout. Later ones
//! are `interval` apart, from the end of one to the start of the next, varied by `jitter`. Everything that a probe
//! waits for, name resolution included, is within its `timeout`. A probe has a connection of its own.

use std::fmt;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderName, HeaderValue, response};
use http_body_util::{BodyExt, Empty};
use hyper::body::Body;
use hyper::client::conn::http1;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};

use super::probe_http2;
use crate::backend::availability::AdminState;
use crate::backend::{Backend, BackendId};
use crate::base::address::Address;
use crate::health::asked::Asked;
use crate::health::{Check, HttpProbe, Probe};
use crate::net::tls::client::Connector;
use crate::pool::transport::Protocol;
use crate::snapshot::Plan;

/// A body is searched this far, bytes.
const SEARCHED: usize = 64 * 1024;
/// The field by which a backend asks for a state and a weight.
const STATE: &str = "x-homing-state";
const USER_AGENT: &str = concat!("homing/", env!("CARGO_PKG_VERSION"), " (check)");

/// What came of one probe.
#[derive(Debug)]
pub struct Probed {
    /// The pool's name.
    pub pool: Arc<str>,
    /// The backend.
    pub backend: BackendId,
    /// What was good about it, or bad.
    pub result: Result<Good, Bad>,
}

/// A probe that was answered as expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Good {
    /// The connection was accepted.
    Connected,
    /// gRPC's health service says that it serves.
    Serving,
    /// The answer had this status, and asked for this weight.
    Answered(StatusCode, Option<u16>),
    /// The same; by its status or its words it asks for no new sessions.
    Drain(StatusCode, Option<u16>),
}

/// Why a probe failed. The text is whole: it is shown to people as it is.
#[derive(Debug, thiserror::Error)]
pub enum Bad {
    /// No connection.
    #[error("{}", Connecting(.0))]
    Connect(io::Error),
    /// The host name has no address.
    #[error("no address for {0}")]
    NoAddress(String),
    /// No TLS session.
    #[error("TLS: {0}")]
    Tls(io::Error),
    /// HTTP/2 is not spoken, or the answer broke off.
    #[error("broken answer: {0}")]
    Http2(h2::Error),
    /// What gRPC's health service says of the service, or of the call.
    #[error("{0}")]
    Grpc(String),
    /// Not everything happened in time.
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    /// The answer is not HTTP, or broke off.
    #[error("broken answer: {0}")]
    Broken(hyper::Error),
    /// The probe itself is not valid HTTP.
    #[error("probe not sent: {0}")]
    Probe(http::Error),
    /// A status that is not expected.
    #[error("status {0}")]
    Status(StatusCode),
    /// The backend says that it is in maintenance.
    #[error("asks for maintenance")]
    Maint,
    /// The text is not in the body.
    #[error("body does not have the expected text")]
    Body,
}

impl From<hyper::Error> for Bad {
    fn from(error: hyper::Error) -> Self {
        Self::Broken(error)
    }
}

impl From<h2::Error> for Bad {
    fn from(error: h2::Error) -> Self {
        Self::Http2(error)
    }
}

/// An error of connecting, in the words of an operator.
struct Connecting<'a>(&'a io::Error);

pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The tasks, one for each backend of each pool that has checks.
#[derive(Debug)]
pub(super) struct Checkers {
    probed: mpsc::Sender<Probed>,
    tasks: JoinSet<()>,
    running: Vec<Running>,
}

#[derive(Debug)]
struct Running {
    pool: Arc<str>,
    backend: BackendId,
    address: Address,
    check: Arc<Check>,
    /// See [`Transport::digest`].
    transport: u64,
    task: AbortHandle,
}

/// How a backend is spoken to.
#[derive(Clone, Debug, Default)]
struct Way {
    protocol: Protocol,
    connector: Option<Connector>,
}

impl Checkers {
    pub(super) fn new(probed: mpsc::Sender<Probed>) -> Self {
        Self { probed, tasks: JoinSet::new(), running: Vec::new() }
    }

    /// Probes whom `plan` wants probed: tasks of backends that are probed as before go on.
    pub(super) fn follow(&mut self, plan: &Plan) {
        let mut before = std::mem::take(&mut self.running);
        for pool in &plan.pools {
            let Some(check) = &pool.check else { continue };
            let mut shared = None;
            for (ix, backend) in pool.members.iter() {
                let same = |r: &Running| {
                    r.pool == pool.name
                        && r.backend == backend.id
                        && r.address == backend.address
                        && *r.check == *check
                        && r.transport == pool.transport.digest
                };
                if let Some(at) = before.iter().position(same) {
                    self.running.push(before.swap_remove(at));
                    continue;
                }
                let check = Arc::clone(shared.get_or_insert_with(|| Arc::new(check.clone())));
                let (name, probed) = (Arc::clone(&pool.name), self.probed.clone());
                let (protocol, connector) = (pool.transport.protocol, pool.transport.connector(ix).cloned());
                let way = Way { protocol, connector };
                let probing = keep_probing(name, Arc::clone(backend), Arc::clone(&check), way, probed);
                let task = self.tasks.spawn(probing);
                self.running.push(Running {
                    pool: Arc::clone(&pool.name),
                    backend: backend.id.clone(),
                    address: backend.address.clone(),
                    check,
                    transport: pool.transport.digest,
                    task,
                });
            }
        }
        before.into_iter().for_each(|gone| gone.task.abort());
        while self.tasks.try_join_next().is_some() {}
    }
}

async fn keep_probing(
    pool: Arc<str>,
    backend: Arc<Backend>,
    check: Arc<Check>,
    way: Way,
    probed: mpsc::Sender<Probed>,
) {
    loop {
        let result = probe(&backend, &check, &way).await;
        let (pool, id) = (Arc::clone(&pool), backend.id.clone());
        if probed.send(Probed { pool, backend: id, result }).await.is_err() {
            return;
        }
        tokio::time::sleep(varied(check.interval, check.jitter, fastrand::f64())).await;
    }
}

/// `interval` plus or minus up to `jitter` percent of it, by a number from 0 to 1.
fn varied(interval: Duration, jitter: u32, random: f64) -> Duration {
    let share = f64::from(jitter.min(100)) / 100.0;
    interval.mul_f64(1.0 + share * (2.0 * random - 1.0))
}

/// Probes a backend once.
async fn probe(backend: &Backend, check: &Check, way: &Way) -> Result<Good, Bad> {
    let address = &backend.address;
    let is_secure = way.connector.is_some();
    let once = async {
        let mut stream = connect(address).await?;
        if let Some(connector) = &way.connector {
            stream = Box::new(connector.handshake(stream).await.map_err(Bad::Tls)?);
        }
        match &check.probe {
            Probe::Tcp => Ok(Good::Connected),
            Probe::Http(http) if way.protocol.is_http2() => {
                let request = request(http, address, ())?;
                let answer = probe_http2::ask(stream, request, is_secure, None).await?;
                let (parts, body) = answer.into_parts();
                judge(&parts, http, probe_http2::Body::new(body)).await
            }
            Probe::Http(http) => ask(stream, http, address).await,
            Probe::Grpc(service) => {
                probe_http2::check(stream, &host_of(None, address), service, is_secure).await
            }
        }
    };
    tokio::time::timeout(check.timeout, once).await.unwrap_or(Err(Bad::Timeout(check.timeout)))
}

async fn connect(address: &Address) -> Result<Box<dyn Stream>, Bad> {
    match address {
        Address::Socket(address) => Ok(Box::new(TcpStream::connect(address).await.map_err(Bad::Connect)?)),
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await.map_err(Bad::Connect)?)),
        Address::Name { host, port } => {
            let mut error = Bad::NoAddress(host.to_string());
            let addresses = tokio::net::lookup_host((&**host, *port)).await;
            for address in addresses.map_err(|_| Bad::NoAddress(host.to_string()))? {
                match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(Box::new(stream)),
                    Err(e) => error = Bad::Connect(e),
                }
            }
            Err(error)
        }
    }
}

/// Sends the request on a fresh connection and judges the answer.
async fn ask(stream: Box<dyn Stream>, probe: &HttpProbe, address: &Address) -> Result<Good, Bad> {
    let request = request(probe, address, Empty::<Bytes>::new())?;
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(SEARCHED)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(Bad::Broken)?;
    let judged = async move {
        let (parts, body) = sender.send_request(request).await.map_err(Bad::Broken)?.into_parts();
        judge(&parts, probe, body).await
    };
    let (mut connection, mut judged) = (pin!(connection), pin!(judged));
    // The connection may end first, with the rest of the answer read already.
    tokio::select! {
        verdict = &mut judged => return verdict,
        _ = &mut connection => {}
    }
    judged.await
}

/// What a probe gives as host.
fn host_of(given: Option<&String>, address: &Address) -> String {
    match (given, address) {
        (Some(host), _) => host.clone(),
        (None, Address::Unix(_)) => "localhost".to_owned(),
        (None, address) => address.to_string(),
    }
}

fn request<B>(probe: &HttpProbe, address: &Address, body: B) -> Result<Request<B>, Bad> {
    let host = host_of(probe.host.as_ref(), address);
    let mut request =
        Request::builder().method(probe.method.as_str()).uri(&probe.path).body(body).map_err(Bad::Probe)?;
    let fields = [("host", &*host), ("connection", "close"), ("user-agent", USER_AGENT)];
    let given = probe.headers.iter().map(|(name, value)| (&**name, &**value));
    for (name, value) in fields.into_iter().chain(given) {
        let name = HeaderName::try_from(name).map_err(|e| Bad::Probe(e.into()))?;
        request.headers_mut().insert(name, HeaderValue::try_from(value).map_err(|e| Bad::Probe(e.into()))?);
    }
    Ok(request)
}

async fn judge<B>(answer: &response::Parts, probe: &HttpProbe, body: B) -> Result<Good, Bad>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Bad>,
{
    let status = answer.status;
    let asked = answer.headers.get(STATE).and_then(|value| value.to_str().ok());
    let asked = asked.map(Asked::parse).unwrap_or_default();
    if asked.state == Some(AdminState::Maint) {
        return Err(Bad::Maint);
    }
    if probe.drain.iter().any(|&(from, to)| (from..=to).contains(&status.as_u16())) {
        return Ok(Good::Drain(status, asked.weight));
    }
    let good = if asked.state == Some(AdminState::Drain) { Good::Drain } else { Good::Answered };
    if !probe.expect.iter().any(|&(from, to)| (from..=to).contains(&status.as_u16())) {
        return Err(Bad::Status(status));
    }
    match &probe.body {
        None => Ok(good(status, asked.weight)),
        Some(text) if has(body, text.as_bytes()).await? => Ok(good(status, asked.weight)),
        Some(_) => Err(Bad::Body),
    }
}

/// Whether the first 64 KiB contain `text`. Reads no further than it must.
async fn has<B>(mut body: B, text: &[u8]) -> Result<bool, Bad>
where
    B: Body<Data = Bytes> + Unpin,
    B::Error: Into<Bad>,
{
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(Into::into)?.into_data() else { continue };
        let from = read.len().saturating_sub(text.len());
        let room = SEARCHED - read.len();
        read.extend_from_slice(data.get(..room).unwrap_or(&data));
        if memchr::memmem::find(read.get(from..).unwrap_or_default(), text).is_some() {
            return Ok(true);
        }
        if read.len() >= SEARCHED {
            break;
        }
    }
    Ok(text.is_empty())
}

impl fmt::Display for Good {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected => f.write_str("connected"),
            Self::Serving => f.write_str("serving"),
            Self::Answered(status, _) => write!(f, "status {}", status.as_u16()),
            Self::Drain(status, _) => write!(f, "status {}, drain", status.as_u16()),
        }
    }
}

impl fmt::Display for Connecting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind() {
            io::ErrorKind::ConnectionRefused => f.write_str("connect refused"),
            io::ErrorKind::TimedOut => f.write_str("connect timed out"),
            _ => write!(f, "connect: {}", self.0),
        }
    }
}

#[cfg(test)]
#[path = "checker_tests.rs"]
mod tests;
