//! A client of HTTP/2 on a runtime of its own: one connection, and requests as the test wants them.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::LIMIT;

/// One connection.
pub(crate) struct Http2 {
    runtime: Runtime,
    send: SendRequest<Bytes>,
    /// How the connection ended.
    over: tokio::task::JoinHandle<Result<(), h2::Error>>,
    /// Cookies, each sent as a field of its own.
    pub(crate) crumbs: Vec<String>,
}

/// A request whose body may still be sent.
pub(crate) struct Asked {
    pub(crate) reply: ResponseFuture,
    pub(crate) body: SendStream<Bytes>,
}

/// A whole answer.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) head: Response<()>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: HeaderMap,
}

impl Answered {
    /// The value of a field, or nothing.
    pub(crate) fn field(&self, name: &str) -> &str {
        self.head.headers().get(name).map_or("", |v| v.to_str().unwrap())
    }
}

impl Http2 {
    /// Connects, by prior knowledge.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::connect_with(address, &h2::client::Builder::new())
    }

    /// The same with settings of its own.
    pub(crate) fn connect_with(address: SocketAddr, settings: &h2::client::Builder) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (send, over) = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            let (send, connection) = settings.handshake(stream).await.unwrap();
            let over = tokio::spawn(connection);
            (send.ready().await.unwrap(), over)
        });
        Self { runtime, send, over, crumbs: Vec::new() }
    }

    /// Runs something within the limit.
    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { timeout(LIMIT, what).await.expect("it did not come about") })
    }

    /// A request for `path`, to be changed at will.
    pub(crate) fn request(&self, method: &str, path: &str) -> Request<()> {
        let mut request = Request::builder().method(method).uri(format!("http://test{path}"));
        for crumb in &self.crumbs {
            request = request.header("cookie", crumb);
        }
        request.body(()).unwrap()
    }

    /// Opens a stream; `ends` says that there is no body.
    pub(crate) fn ask(&mut self, request: Request<()>, ends: bool) -> Result<Asked, h2::Error> {
        let send = self.wait(self.send.clone().ready())?;
        self.send = send;
        let (reply, body) = self.send.send_request(request, ends)?;
        Ok(Asked { reply, body })
    }

    /// Sends a request without a body and reads its answer, whole.
    pub(crate) fn send(&mut self, request: Request<()>) -> Result<Answered, h2::Error> {
        let asked = self.ask(request, true)?;
        self.read(asked)
    }

    /// Sends `GET path`, and keeps the cookies of the answer.
    pub(crate) fn get(&mut self, path: &str) -> Answered {
        let answered = self.send(self.request("GET", path)).unwrap();
        for set in answered.head.headers().get_all("set-cookie") {
            let pair = set.to_str().unwrap().split(';').next().unwrap().to_owned();
            let name = pair.split('=').next().unwrap().to_owned() + "=";
            self.crumbs.retain(|c| !c.starts_with(&name));
            self.crumbs.push(pair);
        }
        answered
    }

    /// Reads an answer, whole.
    pub(crate) fn read(&self, asked: Asked) -> Result<Answered, h2::Error> {
        self.wait(async {
            let (head, mut stream) = asked.reply.await?.into_parts();
            let (body, trailers) = read_body(&mut stream).await?;
            Ok(Answered { head: Response::from_parts(head, ()), body, trailers })
        })
    }

    /// Waits until the connection has ended, which this client does nothing for, and says how.
    pub(crate) fn ended_by_peer(self) -> Result<(), h2::Error> {
        let Self { runtime, send, over, .. } = self;
        let ended = runtime.block_on(async { timeout(LIMIT, over).await.expect("it does not end").unwrap() });
        drop(send);
        ended
    }
}

/// Reads a body and its trailers.
pub(crate) async fn read_body(stream: &mut RecvStream) -> Result<(Vec<u8>, HeaderMap), h2::Error> {
    let mut body = Vec::new();
    while let Some(piece) = stream.data().await {
        let piece = piece?;
        stream.flow_control().release_capacity(piece.len())?;
        body.extend_from_slice(&piece);
    }
    Ok((body, stream.trailers().await?.unwrap_or_default()))
}
