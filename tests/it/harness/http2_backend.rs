//! A backend of HTTP/2 that does what a request's path asks for, on a runtime of its own.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;

use super::http2::read_body;

/// A running backend.
pub(crate) struct Http2Backend {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    name: &'static str,
    settings: Builder,
    /// Heads that were received, in order.
    heads: Mutex<Vec<Request<()>>>,
    bodies: Mutex<Vec<(Vec<u8>, HeaderMap)>>,
    /// Why streams were reset by who had opened them.
    resets: Mutex<Vec<Reason>>,
    /// Streams that are to be refused.
    refuses: AtomicUsize,
    opened: AtomicUsize,
    ended: AtomicUsize,
    goes_away: Notify,
    /// Ends those connections that hold.
    lets_go: Notify,
}

impl Http2Backend {
    pub(crate) fn new(name: &'static str) -> Self {
        Self::with(name, |_| ())
    }

    /// With other settings than the library's.
    pub(crate) fn with(name: &'static str, settings: impl FnOnce(&mut Builder)) -> Self {
        let mut builder = Builder::new();
        settings(&mut builder);
        let shared = Arc::new(Shared { name, settings: builder, ..Shared::default() });
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let all = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                stream.set_nodelay(true).unwrap();
                all.opened.fetch_add(1, SeqCst);
                tokio::runtime::Handle::current().spawn(serve(Arc::clone(&all), stream));
            }
        });
        Self { address, shared, runtime: Some(runtime) }
    }

    /// Heads that were received, and forgets them.
    pub(crate) fn take_heads(&self) -> Vec<Request<()>> {
        std::mem::take(&mut self.shared.heads.lock())
    }

    /// How many requests came.
    pub(crate) fn asked(&self) -> usize {
        self.shared.heads.lock().len()
    }

    /// The last body that was read to its end, and its trailers.
    pub(crate) fn last_body(&self) -> (Vec<u8>, HeaderMap) {
        self.shared.bodies.lock().last().cloned().unwrap_or_default()
    }

    pub(crate) fn resets(&self) -> Vec<Reason> {
        self.shared.resets.lock().clone()
    }

    /// Connections that it accepted, and those that ended.
    pub(crate) fn connections(&self) -> (usize, usize) {
        (self.shared.opened.load(SeqCst), self.shared.ended.load(SeqCst))
    }

    /// Refuses so many streams from now on.
    pub(crate) fn refuses(&self, streams: usize) {
        self.shared.refuses.store(streams, SeqCst);
    }

    /// Tells every connection that it will take no more streams.
    pub(crate) fn goes_away(&self) {
        self.shared.goes_away.notify_waiters();
    }

    /// Answers those whom it let wait.
    pub(crate) fn lets_go(&self) {
        self.shared.lets_go.notify_waiters();
    }

    /// Dies with all its connections.
    pub(crate) fn dies(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Http2Backend {
    fn drop(&mut self) {
        self.dies();
    }
}

async fn serve(shared: Arc<Shared>, stream: TcpStream) {
    let Ok(mut connection) = shared.settings.handshake::<_, Bytes>(stream).await else { return };
    let mut is_going = false;
    loop {
        let accepted = tokio::select! {
            accepted = connection.accept() => accepted,
            () = shared.goes_away.notified(), if !is_going => {
                is_going = true;
                connection.graceful_shutdown();
                continue;
            }
        };
        let Some(Ok((request, mut respond))) = accepted else { break };
        let refuses = shared.refuses.fetch_update(SeqCst, SeqCst, |n| n.checked_sub(1)).is_ok();
        if refuses {
            respond.send_reset(Reason::REFUSED_STREAM);
            continue;
        }
        let shared = Arc::clone(&shared);
        tokio::runtime::Handle::current().spawn(async move {
            // Whoever left needs no answer.
            let _ = shared.act(request, respond).await;
        });
    }
    shared.ended.fetch_add(1, SeqCst);
}

impl Shared {
    async fn act(
        self: Arc<Self>,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
    ) -> Result<(), h2::Error> {
        let (head, mut body) = request.into_parts();
        let path = head.uri.path().to_owned();
        let method = head.method.clone();
        let lets_go = self.lets_go.notified(); // From here on, though it is waited for later.
        self.heads.lock().push(Request::from_parts(head, ()));
        let answer = Response::builder().header("x-backend", self.name);
        match path.as_str() {
            "/reset" => respond.send_reset(Reason::INTERNAL_ERROR),
            "/cut" => {
                let mut stream = respond.send_response(answer.body(()).unwrap(), false)?;
                stream.send_data(Bytes::from_static(b"part"), false)?;
                lets_go.await;
                stream.send_reset(Reason::INTERNAL_ERROR);
            }
            "/hold" => {
                tokio::select! {
                    reset = std::future::poll_fn(|cx| respond.poll_reset(cx)) => self.resets.lock().push(reset?),
                    () = lets_go => {
                        let mut stream = respond.send_response(answer.body(()).unwrap(), false)?;
                        stream.send_data(Bytes::from(self.name), true)?;
                    }
                }
            }
            "/stall" => {
                let mut stream = respond.send_response(answer.body(()).unwrap(), false)?;
                stream.send_data(Bytes::from_static(b"part"), false)?;
                let reset = std::future::poll_fn(|cx| stream.poll_reset(cx)).await?;
                self.resets.lock().push(reset);
            }
            "/empty" => drop(respond.send_response(answer.status(204).body(()).unwrap(), true)?),
            "/trailers-only" => {
                let answer = answer.header("grpc-status", "5").header("content-type", "application/grpc");
                respond.send_response(answer.body(()).unwrap(), true)?;
            }
            "/informed" => {
                let hint = Response::builder().status(103).header("link", "</a>").body(()).unwrap();
                respond.send_informational(hint)?;
                respond.send_response(answer.body(()).unwrap(), false)?.send_data("late".into(), true)?;
            }
            "/large" => {
                let mut stream = respond.send_response(answer.body(()).unwrap(), false)?;
                for _ in 0..256 {
                    send(&mut stream, Bytes::from(vec![b'x'; 16 * 1024])).await?;
                }
                stream.send_data(Bytes::new(), true)?;
            }
            "/echo" => {
                let kind = "content-type";
                let answer = answer.header(kind, "application/grpc").body(()).unwrap();
                let mut stream = respond.send_response(answer, false)?;
                let mut all = Vec::new();
                while let Some(piece) = body.data().await {
                    let piece = piece?;
                    body.flow_control().release_capacity(piece.len())?;
                    all.extend_from_slice(&piece);
                    send(&mut stream, piece).await?;
                }
                let mut trailers = body.trailers().await?.unwrap_or_default();
                self.bodies.lock().push((all, trailers.clone()));
                trailers.insert("grpc-status", HeaderValue::from_static("0"));
                stream.send_trailers(trailers)?;
            }
            _ => {
                let (all, trailers) = read_body(&mut body).await?;
                let text = format!("{} {method} {path} {}", self.name, all.len());
                self.bodies.lock().push((all, trailers));
                let answer = answer.header("content-length", text.len()).body(()).unwrap();
                if method == "HEAD" {
                    respond.send_response(answer, true)?;
                } else {
                    respond.send_response(answer, false)?.send_data(text.into(), true)?;
                }
            }
        }
        Ok(())
    }
}

/// Sends a piece as there is room for it.
async fn send(stream: &mut SendStream<Bytes>, mut piece: Bytes) -> Result<(), h2::Error> {
    while !piece.is_empty() {
        stream.reserve_capacity(piece.len());
        let room = loop {
            match std::future::poll_fn(|cx| stream.poll_capacity(cx)).await {
                Some(Ok(0)) => {}
                Some(room) => break room?,
                None => return Err(Reason::CANCEL.into()),
            }
        };
        stream.send_data(piece.split_to(room.min(piece.len())), false)?;
    }
    Ok(())
}
