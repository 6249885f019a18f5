//! One backend: its name, its sessions, and the loop that accepts its connections.

use std::cell::Cell;
use std::convert::Infallible;
use std::fmt;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinSet, LocalSet};

use super::accounts::Accounts;
use super::faults::Faults;
use super::jwt::KeyError;
use super::options::Options;
use super::password::Hasher;
use super::routes;
use super::sessions::Sessions;
use super::stage::Stage;

/// Connections that one backend holds at a time. More wait in the kernel's queue.
const CONNECTIONS: usize = 16_384;

/// Time for a request's head, and time that a kept connection may idle. Longer than the 60 s that proxies usually
/// keep one, so that it is the proxy that closes and no request meets a closing connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);

/// Bytes of a request's head.
const HEAD_LIMIT: usize = 64 * 1024;

/// Pause after an `accept` that failed, which it does while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// For requests under way when a backend ends politely.
const GRACE: Duration = Duration::from_secs(5);

/// Hues, in degrees, that people tell apart in both colour schemes, none of them an alarming red.
const HUES: [u16; 6] = [255, 150, 310, 55, 200, 350];

/// What one backend is and remembers.
pub(super) struct Backend {
    pub(super) options: Options,
    /// The name as `X-Backend` carries it.
    pub(super) header: HeaderValue,
    /// The backend's colour on the page, in degrees. Neighbours in the alphabet differ.
    pub(super) hue: u16,
    /// What tells this run of it from the one before: 16 hex digits.
    pub(super) boot: String,
    pub(super) sessions: Sessions,
    pub(super) accounts: Accounts,
    pub(super) hasher: Hasher,
    pub(super) counts: Counts,
    pub(super) faults: Cell<Faults>,
    /// The demo that it stands in, where it may be killed and revived.
    pub(super) stage: Option<Rc<Stage>>,
}

/// What was counted since the start.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) requests: Cell<u64>,
    /// Credentials that were known.
    pub(super) hits: Cell<u64>,
    /// Credentials that were shown and not known: lost sessions.
    pub(super) misses: Cell<u64>,
    pub(super) logins: Cell<u64>,
    /// Answers of 503: a store, or too many at once.
    pub(super) unavailable: Cell<u64>,
}

/// Adds one.
pub(super) fn count(cell: &Cell<u64>) {
    cell.set(cell.get().wrapping_add(1));
}

/// Why a backend did not begin.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no key for its tokens.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    NoRandomness,
}

/// How a backend ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Requests under way are answered first, within 5 s.
    Polite,
    /// As a crash does.
    Abrupt,
}

/// Serves one backend on `listener` until `stop` completes, then answers what is under way, within 5 s, and ends.
///
/// Sessions in memory live and die with this call. Dropping the future ends it at once. It stays on its thread: it is
/// not `Send`.
///
/// # Errors
///
/// When there is no key or no randomness to begin with.
pub async fn serve(listener: TcpListener, options: Options, stop: impl Future) -> Result<(), StartError> {
    LocalSet::new().run_until(run(&listener, options, None, stop, End::Polite)).await
}

/// The same in a local set that is there already.
pub(super) async fn run(
    listener: &TcpListener,
    options: Options,
    stage: Option<Rc<Stage>>,
    stop: impl Future,
    end: End,
) -> Result<(), StartError> {
    let backend = Rc::new(Backend::new(options, stage)?);
    if let Some(stage) = &backend.stage {
        stage.began(&backend.options.name, &backend.boot);
    }
    accept(listener, &backend, stop, end).await;
    Ok(())
}

impl Backend {
    fn new(options: Options, stage: Option<Rc<Stage>>) -> Result<Self, StartError> {
        let mut boot = [0; 8];
        getrandom::fill(&mut boot).map_err(|_| StartError::NoRandomness)?;
        let sessions = Sessions::new(&options)?;
        let accounts = match (sessions.redis(), sessions.memcached()) {
            (Some(link), _) => Accounts::Redis(link),
            (_, Some(link)) => Accounts::Memcached(link),
            _ => Accounts::Local(options.accounts.clone().unwrap_or_default()),
        };
        let header = HeaderValue::from_bytes(options.name.as_bytes());
        Ok(Self {
            header: header.unwrap_or(HeaderValue::from_static("unnamed")),
            hue: hue(&options.name),
            boot: format!("{:016x}", u64::from_ne_bytes(boot)),
            hasher: Hasher::new(options.cost),
            counts: Counts::default(),
            sessions,
            accounts,
            faults: Cell::default(),
            stage,
            options,
        })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.options.name
    }
}

/// A backend's colour, in degrees.
pub(super) fn hue(name: &str) -> u16 {
    HUES[name.bytes().map(usize::from).sum::<usize>() % HUES.len()]
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("name", &self.options.name).finish_non_exhaustive()
    }
}

async fn accept(listener: &TcpListener, backend: &Rc<Backend>, stop: impl Future, end: End) {
    let mut stop = pin!(stop);
    let mut connections = JoinSet::new();
    let closes = watch::Sender::new(false);
    loop {
        tokio::select! {
            _ = &mut stop => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn_local(converse(stream, Rc::clone(backend), closes.subscribe()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
    if end == End::Polite {
        closes.send_replace(true);
        let all = async { while connections.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(GRACE, all).await;
    }
}

/// One connection, to its end. How it ended is the peer's business: a demo keeps no log.
async fn converse(stream: TcpStream, backend: Rc<Backend>, mut closes: watch::Receiver<bool>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let backend = Rc::clone(&backend);
        async move { Ok::<_, Infallible>(routes::answer(&backend, request).await) }
    });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_LIMIT)
            .serve_connection(TokioIo::new(stream), service)
    );
    tokio::select! {
        _ = &mut connection => return,
        _ = closes.wait_for(|closes| *closes) => {}
    }
    connection.as_mut().graceful_shutdown();
    let _ = connection.await;
}

#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
