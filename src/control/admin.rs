//! The admin listener: is it alive, is it ready, how much, and who is where. It reads and changes nothing.
//!
//! | path | answers |
//! |---|---|
//! | `/healthz` | 200 while the process answers |
//! | `/readyz` | 200 while clients are welcome, 503 before and after |
//! | `/metrics` | Prometheus' text |
//! | `/api/v1/pools` | pools and backends as JSON |
//!
//! It has no authentication yet: it belongs on loopback or a Unix socket.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, StatusCode, header};
use http_body_util::Full;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::board::Board;
use super::figures::Figures;
use super::owner::Ask;
use crate::net::listen::Claim;
use crate::snapshot::phases::{Phase, Phases};
use crate::snapshot::published::Published;
use crate::telemetry::exposition;
use crate::telemetry::metrics::Metrics;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// For a head to come in.
const HEAD: Duration = Duration::from_secs(10);
/// For a connection in all: each carries one request.
const CONNECTION: Duration = Duration::from_secs(30);
/// After an error of accepting, out of descriptors say.
const REST: Duration = Duration::from_millis(100);

/// A bound socket, not yet of any runtime.
#[derive(Debug)]
pub enum AdminSocket {
    /// TCP.
    Tcp(std::net::TcpListener),
    /// A Unix socket.
    Unix(std::os::unix::net::UnixListener),
}

/// What can be seen through the admin listener, and the desk at which wishes are handed in.
#[derive(Debug)]
pub(super) struct View {
    pub(super) published: Arc<Published>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) phases: Arc<Phases>,
    pub(super) board: Arc<Board>,
    pub(super) reports_dropped: Arc<AtomicU64>,
    pub(super) desk: mpsc::Sender<Ask>,
}

type Answer = Response<Full<Bytes>>;

impl AdminSocket {
    /// Listens on an address that was claimed.
    ///
    /// # Errors
    /// It cannot be listened on.
    pub fn new(claim: Claim) -> io::Result<Self> {
        let is_tcp = claim.address().is_some();
        let socket = claim.into_socket()?;
        Ok(if is_tcp {
            Self::Tcp(socket.into())
        } else {
            Self::Unix(std::os::fd::OwnedFd::from(socket).into())
        })
    }
}

/// Serves until it is dropped.
pub(super) async fn serve(socket: AdminSocket, view: Arc<View>) {
    let served = match socket {
        AdminSocket::Tcp(listener) => match TcpListener::from_std(listener) {
            Ok(listener) => accept(|| async { Ok(listener.accept().await?.0) }, &view).await,
            Err(e) => Err(e),
        },
        AdminSocket::Unix(listener) => match UnixListener::from_std(listener) {
            Ok(listener) => accept(|| async { Ok(listener.accept().await?.0) }, &view).await,
            Err(e) => Err(e),
        },
    };
    if let Err(e) = served {
        tracing::error!("admin listener: {e}");
    }
}

async fn accept<S, F>(next: impl Fn() -> F, view: &Arc<View>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = io::Result<S>>,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        while connections.try_join_next().is_some() {}
        match next().await {
            Ok(stream) => {
                let view = Arc::clone(view);
                connections.spawn(async move {
                    let _place = place;
                    let served = tokio::time::timeout(CONNECTION, connection(stream, &view)).await;
                    if let Ok(Err(e)) = served {
                        tracing::debug!("admin connection: {e}");
                    }
                });
            }
            Err(e) => {
                tracing::warn!("accept an admin connection: {e}");
                tokio::time::sleep(REST).await;
            }
        }
    }
}

async fn connection<S>(stream: S, view: &View) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request: Request<_>| async move {
                Ok::<_, Infallible>(view.answer(request.method(), request.uri().path()))
            }),
        )
        .await
}

impl View {
    fn figures(&self) -> Figures<'_> {
        Figures::now(&self.published, &self.board, &self.metrics, &self.reports_dropped)
    }

    fn answer(&self, method: &Method, path: &str) -> Answer {
        const TEXT: &str = "text/plain; charset=utf-8";
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut answer =
                page(StatusCode::METHOD_NOT_ALLOWED, TEXT, format!("{method}: only GET and HEAD\n"));
            answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            return answer;
        }
        match path {
            "/" => page(StatusCode::OK, "text/html; charset=utf-8", INDEX),
            "/healthz" => page(StatusCode::OK, TEXT, "ok\n"),
            "/readyz" => match self.phases.now() {
                Phase::Serving => page(StatusCode::OK, TEXT, "ready\n"),
                Phase::Starting => page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "starting\n"),
                Phase::Notice | Phase::Drain | Phase::Cut => {
                    page(StatusCode::SERVICE_UNAVAILABLE, TEXT, "stopping\n")
                }
            },
            "/metrics" => {
                page(StatusCode::OK, exposition::CONTENT_TYPE, self.metrics.render(&self.figures()))
            }
            "/api/v1/pools" => page(
                StatusCode::OK,
                "application/json",
                self.figures().pools(self.phases.now()).to_string() + "\n",
            ),
            _ => page(StatusCode::NOT_FOUND, TEXT, format!("{path}: nothing here; / lists what there is\n")),
        }
    }
}

fn page(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}

const INDEX: &str = "<!doctype html><title>homing</title><h1>homing</h1><ul>
<li><a href=\"/healthz\">/healthz</a>: the process answers
<li><a href=\"/readyz\">/readyz</a>: clients are welcome
<li><a href=\"/metrics\">/metrics</a>: figures for Prometheus
<li><a href=\"/api/v1/pools\">/api/v1/pools</a>: pools and backends, as JSON
</ul>
";

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
