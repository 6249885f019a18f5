//! One backend: its name, its sessions, and the loop that accepts its connections.

use std::cell::RefCell;
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
use tokio::task::{JoinSet, LocalSet};

use super::routes;
use super::sessions::Sessions;

/// Connections that one backend holds at a time. More wait in the kernel's queue.
const CONNECTIONS: usize = 1024;

/// Time for a request's head, and time that a kept connection may idle. Longer than the 60 s that proxies usually
/// keep one, so that it is the proxy that closes and no request meets a closing connection.
const HEAD_TIMEOUT: Duration = Duration::from_secs(90);

/// Bytes of a request's head.
const HEAD_LIMIT: usize = 64 * 1024;

/// Pause after an `accept` that failed, which it does while descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Hues, in degrees, that people tell apart in both colour schemes, none of them an alarming red.
const HUES: [u16; 6] = [255, 150, 310, 55, 200, 350];

/// What one backend is and remembers.
pub(super) struct Backend {
    pub(super) name: Arc<str>,
    /// The name as `X-Backend` carries it.
    pub(super) header: HeaderValue,
    /// The backend's colour on the page, in degrees. Neighbours in the alphabet differ.
    pub(super) hue: u16,
    pub(super) sessions: RefCell<Sessions>,
}

/// Serves one demo backend on `listener` until `stop` completes, then drops every connection at once.
///
/// The sessions live and die with this call. A `name` that cannot stand in a header is called `unnamed` there.
/// Dropping the future is as good as stopping it. It stays on its thread: it is not `Send`.
pub async fn serve(listener: TcpListener, name: Arc<str>, stop: impl Future) {
    let backend = Rc::new(Backend::new(name));
    LocalSet::new().run_until(accept(&listener, &backend, stop)).await;
}

impl Backend {
    fn new(name: Arc<str>) -> Self {
        let header = HeaderValue::from_bytes(name.as_bytes());
        Self {
            header: header.unwrap_or(HeaderValue::from_static("unnamed")),
            hue: HUES[name.bytes().map(usize::from).sum::<usize>() % HUES.len()],
            sessions: RefCell::new(Sessions::default()),
            name,
        }
    }
}

impl fmt::Debug for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Backend").field("name", &self.name).finish_non_exhaustive()
    }
}

async fn accept(listener: &TcpListener, backend: &Rc<Backend>, stop: impl Future) {
    let mut stop = pin!(stop);
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stop => return,
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => {
                    connections.spawn_local(converse(stream, Rc::clone(backend)));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
        }
    }
}

/// One connection, to its end. How it ended is the peer's business: a demo keeps no log.
async fn converse(stream: TcpStream, backend: Rc<Backend>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let backend = Rc::clone(&backend);
        async move { Ok::<_, Infallible>(routes::answer(&backend, request).await) }
    });
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_LIMIT)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

#[cfg(test)]
#[path = "backend_tests.rs"]
mod tests;
