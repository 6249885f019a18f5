//! The admin listener: the page, and the API behind it; answers questions and takes wishes.
//!
//! `route` says what is asked for, `auth` whether it may be, `api` does it, with `wishes` reading bodies, `peers` asking
//! other nodes, `sessions` the table, `events` telling those who listen, `reply` the form of answers. This file
//! accepts connections; each carries one request.

mod api;
mod auth;
mod events;
mod peers;
mod reply;
pub(super) mod route;
mod sessions;
mod wishes;

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::api::Caller;
use self::auth::Origin;
use self::events::Hub;
use self::reply::Content;
use super::board::Board;
use super::owner::Ask;
use super::recent::Recent;
use crate::net::listen::Claim;
use crate::snapshot::phases::Phases;
use crate::snapshot::published::Published;
use crate::telemetry::metrics::Metrics;

/// Connections at once; more wait in the kernel's queue.
const CONNECTIONS: usize = 64;
/// For a head to come in.
const HEAD: Duration = Duration::from_secs(10);
/// For a connection in all: each carries one request.
const CONNECTION: Duration = Duration::from_secs(30);
/// For one over which events are told.
const LISTENING: Duration = Duration::from_secs(60 * 60);
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
    published: Arc<Published>,
    metrics: Arc<Metrics>,
    phases: Arc<Phases>,
    board: Arc<Board>,
    reports_dropped: Arc<AtomicU64>,
    desk: mpsc::Sender<Ask>,
    started: Instant,
    recent: Recent,
    hub: Hub,
}

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
    let serve = async {
        match socket {
            AdminSocket::Tcp(listener) => {
                let listener = TcpListener::from_std(listener)?;
                let next = || async {
                    let (stream, from) = listener.accept().await?;
                    Ok((stream, Origin::Tcp(from)))
                };
                accept(next, &view).await
            }
            AdminSocket::Unix(listener) => {
                let listener = UnixListener::from_std(listener)?;
                accept(|| async { Ok((listener.accept().await?.0, Origin::Unix)) }, &view).await
            }
        }
    };
    let served: io::Result<()> = tokio::select! {
        served = serve => served,
        () = events::tell(&view) => Ok(()),
        () = events::sample(&view) => Ok(()),
    };
    if let Err(e) = served {
        tracing::error!("admin listener: {e}");
    }
}

async fn accept<S, F>(next: impl Fn() -> F, view: &Arc<View>) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    F: Future<Output = io::Result<(S, Origin)>>,
{
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
        while connections.try_join_next().is_some() {}
        match next().await {
            Ok((stream, origin)) => {
                let view = Arc::clone(view);
                connections.spawn(async move {
                    let _place = place;
                    if let Err(e) = connection(stream, origin, &view).await {
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

/// Serves one request. Ends after its time, and when it is hung up.
async fn connection<S>(stream: S, origin: Origin, view: &View) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (caller, listens) = (Caller { origin, hang_up: Arc::default() }, AtomicBool::new(false));
    let (caller, listens) = (&caller, &listens);
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(
            TokioIo::new(stream),
            service_fn(|request| async move {
                let answer = view.answer(request, caller).await;
                listens.store(matches!(answer.body(), Content::Events(_)), Ordering::Relaxed);
                Ok::<_, Infallible>(answer)
            }),
        );
    let late = async {
        tokio::time::sleep(CONNECTION).await;
        if listens.load(Ordering::Relaxed) {
            tokio::time::sleep(LISTENING).await;
        }
    };
    tokio::select! {
        served = served => served,
        () = late => Ok(()),
        () = caller.hang_up.notified() => Ok(()),
    }
}

impl View {
    /// What can be seen, from now on.
    pub(super) fn new(
        published: Arc<Published>,
        metrics: Arc<Metrics>,
        phases: Arc<Phases>,
        board: Arc<Board>,
        reports_dropped: Arc<AtomicU64>,
        desk: mpsc::Sender<Ask>,
    ) -> Self {
        let started = Instant::now();
        let (recent, hub) = (Recent::new(started), Hub::default());
        Self { published, metrics, phases, board, reports_dropped, desk, started, recent, hub }
    }
}

#[cfg(test)]
#[path = "admin_tests.rs"]
mod tests;
