//! gRPC, by tonic on both sides: a server that does as it is asked, on a runtime of its own, and a client.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::uri::PathAndQuery;
use parking_lot::Mutex;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::tokio_stream::StreamExt as _;
use tonic::codegen::tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::codegen::{BoxFuture, Service};
use tonic::metadata::MetadataMap;
use tonic::server::{
    ClientStreamingService, NamedService, ServerStreamingService, StreamingService, UnaryService,
};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{CancellationHandle, Code, Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;

use super::{LIMIT, Setup, homing};

/// What is said, both ways.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Word {
    /// What is wanted; in answers, whose they are.
    #[prost(string, tag = "1")]
    pub(crate) text: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) load: Vec<u8>,
    #[prost(uint32, tag = "3")]
    pub(crate) count: u32,
}

/// `HealthCheckRequest` of grpc.health.v1.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthQuestion {
    #[prost(string, tag = "1")]
    service: String,
}

/// `HealthCheckResponse`.
#[derive(Clone, PartialEq, prost::Message)]
struct HealthAnswer {
    #[prost(int32, tag = "1")]
    status: i32,
}

pub(crate) fn word(text: &str) -> Word {
    Word { text: text.to_owned(), ..Word::default() }
}

/// A request that asks for `text` with this metadata.
pub(crate) fn with(text: &str, metadata: &[(&'static str, &str)]) -> Request<Word> {
    let mut request = Request::new(word(text));
    for (name, value) in metadata {
        request.metadata_mut().insert(*name, value.parse().unwrap());
    }
    request
}

/// A homing without TLS over these, with keys of the pool and what follows it.
pub(crate) fn before(backends: &[&GrpcBackend], pool: &str, rest: &str) -> Setup {
    let list: Vec<_> = backends
        .iter()
        .map(|b| format!("{{ name = \"{}\", address = \"{}\" }}", b.name, b.address))
        .collect();
    let pool = format!("protocol = \"h2c\"\nbackends = [{}]\n{pool}\n", list.join(", "));
    homing(&[]).listener("h2c = true\n").pool(&pool).with(rest)
}

/// A running server.
pub(crate) struct GrpcBackend {
    pub(crate) name: &'static str,
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
    stops: Option<oneshot::Sender<()>>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct Shared {
    name: &'static str,
    /// Calls that came, those that are served, and those whose client left before their end.
    calls: AtomicUsize,
    open: AtomicUsize,
    cancelled: AtomicUsize,
    connections: AtomicUsize,
    has_stopped: AtomicBool,
    is_sick: AtomicBool,
    /// What the last call had.
    metadata: Mutex<MetadataMap>,
    lets_go: Notify,
}

impl GrpcBackend {
    pub(crate) fn new(name: &'static str) -> Self {
        Self::with(name, |server| server)
    }

    /// With other settings than the library's.
    pub(crate) fn with(name: &'static str, settings: impl FnOnce(Server) -> Server) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { name, ..Shared::default() });
        let (all, talk) = (Arc::clone(&shared), Talk(Arc::clone(&shared)));
        let (stops, stopped) = oneshot::channel::<()>();
        let mut server = settings(Server::builder());
        runtime.spawn(async move {
            let counts = Arc::clone(&all);
            let incoming = TcpListenerStream::new(listener).map(move |stream: std::io::Result<TcpStream>| {
                counts.connections.fetch_add(1, SeqCst);
                stream.inspect(|stream| stream.set_nodelay(true).unwrap())
            });
            let router = server.add_service(talk.clone()).add_service(Health(talk));
            let ended = router.serve_with_incoming_shutdown(incoming, async move {
                if stopped.await.is_err() {
                    std::future::pending::<()>().await;
                }
            });
            ended.await.unwrap();
            all.has_stopped.store(true, SeqCst);
        });
        Self { name, address, shared, stops: Some(stops), runtime: Some(runtime) }
    }

    pub(crate) fn calls(&self) -> usize {
        self.shared.calls.load(SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.shared.open.load(SeqCst)
    }

    pub(crate) fn cancelled(&self) -> usize {
        self.shared.cancelled.load(SeqCst)
    }

    pub(crate) fn connections(&self) -> usize {
        self.shared.connections.load(SeqCst)
    }

    /// What the last call had.
    pub(crate) fn metadata(&self) -> MetadataMap {
        self.shared.metadata.lock().clone()
    }

    /// Answers those whom it let wait.
    pub(crate) fn lets_go(&self) {
        self.shared.lets_go.notify_waiters();
    }

    /// What it says of itself to who checks it.
    pub(crate) fn is_sick(&self, is: bool) {
        self.shared.is_sick.store(is, SeqCst);
    }

    /// Takes no more calls and ends behind those that it has.
    pub(crate) fn stops(&mut self) {
        let _ = self.stops.take().unwrap().send(());
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.shared.has_stopped.load(SeqCst)
    }

    /// Dies with all its connections.
    pub(crate) fn dies(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for GrpcBackend {
    fn drop(&mut self) {
        self.dies();
    }
}

/// A call that is served; dropped before its end, its client has left.
struct Call {
    shared: Arc<Shared>,
    is_over: bool,
}

impl Call {
    fn new(shared: &Arc<Shared>, metadata: &MetadataMap) -> Self {
        shared.calls.fetch_add(1, SeqCst);
        shared.open.fetch_add(1, SeqCst);
        *shared.metadata.lock() = metadata.clone();
        Self { shared: Arc::clone(shared), is_over: false }
    }

    fn ends(mut self) {
        self.is_over = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, SeqCst);
        if !self.is_over {
            self.shared.cancelled.fetch_add(1, SeqCst);
        }
    }
}

/// The service: four methods, one of each kind.
#[derive(Clone)]
struct Talk(Arc<Shared>);

impl NamedService for Talk {
    const NAME: &'static str = "test.Talk";
}

impl Service<http::Request<Body>> for Talk {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let talk = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<Word, Word>::default();
            let mut grpc = tonic::server::Grpc::new(codec).max_decoding_message_size(usize::MAX);
            Ok(match request.uri().path() {
                "/test.Talk/Say" => grpc.unary(Say(talk.0), request).await,
                "/test.Talk/List" => grpc.server_streaming(List(talk.0), request).await,
                "/test.Talk/Sum" => grpc.client_streaming(Sum(talk.0), request).await,
                "/test.Talk/Chat" => grpc.streaming(Chat(talk.0), request).await,
                _ => Status::unimplemented("no such method").into_http(),
            })
        })
    }
}

/// Says a word back; `hold` waits, `fail` fails with everything that may be told of it.
struct Say(Arc<Shared>);

impl UnaryService<Word> for Say {
    type Response = Word;
    type Future = BoxFuture<Response<Word>, Status>;

    fn call(&mut self, request: Request<Word>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let lets_go = shared.lets_go.notified(); // From here on, though it is waited for later.
            let call = Call::new(&shared, request.metadata());
            match request.get_ref().text.as_str() {
                "hold" => lets_go.await,
                "fail" => {
                    call.ends();
                    return Err(failure(shared.name));
                }
                _ => {}
            }
            let (metadata, _, said) = request.into_parts();
            let mut response = Response::new(Word { text: shared.name.to_owned(), ..said });
            for name in ["x-echo", "x-utf"] {
                metadata.get_all(name).iter().for_each(|v| {
                    response.metadata_mut().append(name, v.clone());
                });
            }
            metadata.get_all_bin("x-echo-bin").iter().for_each(|v| {
                response.metadata_mut().append_bin("x-echo-bin", v.clone());
            });
            call.ends();
            Ok(response)
        })
    }
}

/// A failure with a message that must be coded, details and metadata.
fn failure(name: &str) -> Status {
    let mut metadata = MetadataMap::new();
    metadata.insert("x-why", name.parse().unwrap());
    metadata.insert_bin("x-why-bin", tonic::metadata::MetadataValue::from_bytes(&[0, 255, 10]));
    let details = Bytes::from_static(b"\x08\x09\x12\x05why\xff\x00");
    Status::with_details_and_metadata(Code::FailedPrecondition, "n\u{e4}h: 100 %", details, metadata)
}

type Stream = ReceiverStream<Result<Word, Status>>;

/// Says so many words; `fail` fails behind them, `hold` waits there and says one more.
struct List(Arc<Shared>);

impl ServerStreamingService<Word> for List {
    type Response = Word;
    type ResponseStream = Stream;
    type Future = BoxFuture<Response<Stream>, Status>;

    fn call(&mut self, request: Request<Word>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        let call = Call::new(&shared, request.metadata());
        let Word { text, load, count } = request.into_inner();
        let (out, words) = mpsc::channel(4);
        tokio::runtime::Handle::current().spawn(async move {
            let say = |count| Ok(Word { text: shared.name.to_owned(), load: load.clone(), count });
            for n in 0..count {
                if out.send(say(n)).await.is_err() {
                    return;
                }
            }
            if text == "fail" {
                let _ = out.send(Err(failure(shared.name))).await;
            }
            if text == "hold" {
                tokio::select! {
                    () = out.closed() => return,
                    () = shared.lets_go.notified() => {}
                }
                let _ = out.send(say(count)).await;
            }
            call.ends();
        });
        Box::pin(async move { Ok(Response::new(ReceiverStream::new(words))) })
    }
}

/// Says how many words came, and how much in them.
struct Sum(Arc<Shared>);

impl ClientStreamingService<Word> for Sum {
    type Response = Word;
    type Future = BoxFuture<Response<Word>, Status>;

    fn call(&mut self, request: Request<Streaming<Word>>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let call = Call::new(&shared, request.metadata());
            let mut words = request.into_inner();
            let (mut count, mut bytes) = (0, 0);
            while let Some(word) = words.message().await? {
                (count, bytes) = (count + 1, bytes + word.load.len());
            }
            call.ends();
            Ok(Response::new(Word { text: format!("{} {bytes}", shared.name), load: Vec::new(), count }))
        })
    }
}

/// Says each word back; `late` in the metadata lets the answer begin with the first one.
struct Chat(Arc<Shared>);

impl StreamingService<Word> for Chat {
    type Response = Word;
    type ResponseStream = Stream;
    type Future = BoxFuture<Response<Stream>, Status>;

    fn call(&mut self, request: Request<Streaming<Word>>) -> Self::Future {
        let shared = Arc::clone(&self.0);
        Box::pin(async move {
            let call = Call::new(&shared, request.metadata());
            let is_late = request.metadata().contains_key("x-late");
            let mut words = request.into_inner();
            let (out, answers) = mpsc::channel(4);
            let back = move |word: Word| Ok(Word { text: shared.name.to_owned(), ..word });
            if is_late {
                let Some(first) = words.message().await? else { return Err(Status::aborted("no word")) };
                let _ = out.send(back(first)).await;
            }
            tokio::runtime::Handle::current().spawn(async move {
                loop {
                    match words.message().await {
                        Ok(Some(word)) => {
                            if out.send(back(word)).await.is_err() {
                                return;
                            }
                        }
                        Ok(None) => return call.ends(),
                        Err(_) => return,
                    }
                }
            });
            Ok(Response::new(ReceiverStream::new(answers)))
        })
    }
}

/// grpc.health.v1, for the server and for `test.Talk`.
#[derive(Clone)]
struct Health(Talk);

impl NamedService for Health {
    const NAME: &'static str = "grpc.health.v1.Health";
}

impl Service<http::Request<Body>> for Health {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let health = self.clone();
        Box::pin(async move {
            let codec = ProstCodec::<HealthAnswer, HealthQuestion>::default();
            Ok(tonic::server::Grpc::new(codec).unary(Check(health), request).await)
        })
    }
}

struct Check(Health);

impl UnaryService<HealthQuestion> for Check {
    type Response = HealthAnswer;
    type Future = BoxFuture<Response<HealthAnswer>, Status>;

    fn call(&mut self, request: Request<HealthQuestion>) -> Self::Future {
        let is_sick = self.0.0.0.is_sick.load(SeqCst);
        Box::pin(async move {
            match request.into_inner().service.as_str() {
                "" | "test.Talk" => Ok(Response::new(HealthAnswer { status: 1 + i32::from(is_sick) })),
                _ => Err(Status::not_found("unknown service")),
            }
        })
    }
}

/// A client with one connection, on a runtime of its own.
pub(crate) struct Grpc {
    runtime: Runtime,
    channel: Channel,
}

/// What tasks make calls by.
pub(crate) struct Caller(Channel);

/// A conversation: what is said, and what is heard.
pub(crate) struct Conversation {
    pub(crate) out: mpsc::Sender<Word>,
    pub(crate) answer: JoinHandle<Result<Response<Streaming<Word>>, Status>>,
    pub(crate) gives_up: CancellationHandle,
}

impl Grpc {
    /// Connects without TLS.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        Self::new(|| async move {
            let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
            endpoint.connect().await.unwrap()
        })
    }

    /// Connects by what `dial` makes.
    pub(crate) fn new<F: Future<Output = Channel>>(dial: impl FnOnce() -> F) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let channel = runtime.block_on(async { timeout(LIMIT, dial()).await.unwrap() });
        Self { runtime, channel }
    }

    /// Another handle of the same connection.
    pub(crate) fn again(&self) -> Caller {
        Caller(self.channel.clone())
    }

    /// Runs something within the limit.
    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.runtime.block_on(async { timeout(LIMIT, what).await.expect("it did not come about") })
    }

    /// The same, of what goes on beside the test.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        what: impl Future<Output = T> + Send + 'static,
    ) -> JoinHandle<T> {
        self.runtime.spawn(what)
    }

    /// Makes a call that one word answers.
    pub(crate) fn say(&self, request: Request<Word>) -> Result<Response<Word>, Status> {
        self.wait(self.saying(request))
    }

    /// Which backend answers it.
    pub(crate) fn whose(&self, request: Request<Word>) -> String {
        self.say(request).unwrap().into_inner().text
    }

    /// The same, to be waited for.
    pub(crate) fn saying(
        &self,
        request: Request<Word>,
    ) -> impl Future<Output = Result<Response<Word>, Status>> + Send + use<> {
        self.again().saying(request)
    }

    /// Makes a call of another method.
    pub(crate) fn call(&self, path: &'static str, said: Word) -> Result<Response<Word>, Status> {
        self.wait(self.again().calling(path, Request::new(said)))
    }

    /// Makes a call that many words answer.
    pub(crate) fn list(&self, request: Request<Word>) -> Result<Response<Streaming<Word>>, Status> {
        let mut client = self.client();
        self.wait(async {
            client.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
            let path = PathAndQuery::from_static("/test.Talk/List");
            client.server_streaming(request, path, ProstCodec::<Word, Word>::default()).await
        })
    }

    /// Makes a call of many words.
    pub(crate) fn sum(&self, words: Vec<Word>) -> Result<Response<Word>, Status> {
        let mut client = self.client();
        self.wait(async {
            client.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
            let path = PathAndQuery::from_static("/test.Talk/Sum");
            let request = Request::new(tonic::codegen::tokio_stream::iter(words));
            client.client_streaming(request, path, ProstCodec::<Word, Word>::default()).await
        })
    }

    /// Begins a conversation.
    pub(crate) fn chat(&self, metadata: MetadataMap) -> Conversation {
        let mut client = self.client();
        let (out, words) = mpsc::channel(4);
        let mut request = Request::new(ReceiverStream::new(words));
        *request.metadata_mut() = metadata;
        let gives_up = request.cancellation_handle();
        let answer = self.spawn(async move {
            client.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
            let path = PathAndQuery::from_static("/test.Talk/Chat");
            client.streaming(request, path, ProstCodec::<Word, Word>::default()).await
        });
        Conversation { out, answer, gives_up }
    }

    /// The next word of a stream.
    pub(crate) fn next(&self, words: &mut Streaming<Word>) -> Result<Option<Word>, Status> {
        self.wait(words.message())
    }

    fn client(&self) -> tonic::client::Grpc<Channel> {
        client(&self.channel)
    }
}

impl Caller {
    /// Makes a call that one word answers.
    pub(crate) fn saying(
        &self,
        request: Request<Word>,
    ) -> impl Future<Output = Result<Response<Word>, Status>> + Send + use<> {
        self.calling("/test.Talk/Say", request)
    }

    fn calling(
        &self,
        path: &'static str,
        request: Request<Word>,
    ) -> impl Future<Output = Result<Response<Word>, Status>> + Send + use<> {
        let mut client = client(&self.0);
        async move {
            client.ready().await.map_err(|e| Status::unknown(e.to_string()))?;
            client.unary(request, PathAndQuery::from_static(path), ProstCodec::<Word, Word>::default()).await
        }
    }
}

fn client(channel: &Channel) -> tonic::client::Grpc<Channel> {
    tonic::client::Grpc::new(channel.clone()).max_decoding_message_size(usize::MAX)
}
