//! Many calls at once, over few connections; and calls over TLS, from end to end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::Uri;
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::Request;
use tonic::codegen::{BoxFuture, Service};
use tonic::transport::Endpoint;

use crate::harness::fronts::{Authority, Front};
use crate::harness::grpc::{Grpc, GrpcBackend, Word, before, with, word};
use crate::harness::{homing, until};

#[test]
fn calls_of_one_connection_go_to_all_backends_over_several_connections_each() {
    let [a, b] = ["a", "b"].map(|n| GrpcBackend::with(n, |server| server.max_concurrent_streams(10)));
    let homing = before(&[&a, &b], "", "").run();
    let client = Grpc::connect(homing.address);
    let held: Vec<_> = (0..100).map(|_| client.spawn(client.saying(with("hold", &[])))).collect();
    until(|| a.open() + b.open() == 100);
    assert_eq!((a.open(), b.open()), (50, 50));
    for backend in [&a, &b] {
        assert!((5..=10).contains(&backend.connections()), "{}", backend.connections());
        backend.lets_go();
    }
    let mut by = BTreeMap::new();
    for held in held {
        *by.entry(client.wait(held).unwrap().unwrap().into_inner().text).or_insert(0) += 1;
    }
    assert_eq!(by, BTreeMap::from([("a".to_owned(), 50), ("b".to_owned(), 50)]));
}

/// More than the listener lets a connection have at once: the rest wait at the client.
#[test]
fn three_hundred_calls_at_once_are_all_answered() {
    let backends = ["a", "b", "c"].map(GrpcBackend::new);
    let homing = before(&[&backends[0], &backends[1], &backends[2]], "", "").run();
    let client = Grpc::connect(homing.address);
    let load = vec![1; 20_000];
    let said = |n| Request::new(Word { count: n, load: load.clone(), ..word("x") });
    let calls: Vec<_> = (0..300).map(|n| (n, client.spawn(client.saying(said(n))))).collect();
    for (n, call) in calls {
        let answer = client.wait(call).unwrap().unwrap().into_inner();
        assert!(answer.count == n && answer.load == load);
    }
    assert!(backends.iter().all(|b| b.calls() == 100));
}

/// Dials with TLS.
#[derive(Clone)]
struct Dial {
    connector: TlsConnector,
    address: SocketAddr,
}

impl Service<Uri> for Dial {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = std::io::Error;
    type Future = BoxFuture<Self::Response, std::io::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { connector, address } = self.clone();
        Box::pin(async move {
            let stream = TcpStream::connect(address).await?;
            let stream = connector.connect(ServerName::try_from("localhost").unwrap(), stream).await?;
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            Ok(TokioIo::new(stream))
        })
    }
}

fn connect_by_tls(address: SocketAddr, authority: &Authority) -> Grpc {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority.ca()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let mut config = builder.unwrap().with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let dial = Dial { connector: TlsConnector::from(Arc::new(config)), address };
    Grpc::new(|| async move {
        let endpoint = Endpoint::from_static("https://localhost");
        endpoint.connect_with_connector(dial).await.unwrap()
    })
}

#[test]
fn over_tls_on_both_sides() {
    let (a, authority) = (GrpcBackend::new("a"), Authority::new());
    let [outside, inside] = [authority.issue(&["localhost"]), authority.issue(&["app.internal"])];
    let front = Front::new(authority.server(&inside, &["h2"], false), a.address);
    let tls = format!("tls = {{ certificate = {:?}, key = {:?} }}\n", outside.certificate, outside.key);
    let pool = format!(
        "backends = [\"{}\"]\nprotocol = \"h2\"\ntls = {{ ca = {:?}, name = \"app.internal\" }}\n",
        front.address,
        authority.ca()
    );
    let health = "[pool.health]\ngrpc = true\ninterval = \"20ms\"\n";
    let homing = homing(&[]).listener(&tls).pool(&pool).with(health).run();
    let client = connect_by_tls(homing.address, &authority);
    assert_eq!(client.whose(with("x", &[])), "a");
    let load = vec![9; 200_000];
    let mut words = client.list(Request::new(Word { count: 4, load, ..word("") })).unwrap().into_inner();
    for n in 0..4 {
        let word = client.next(&mut words).unwrap().unwrap();
        assert_eq!((word.count, word.load.len()), (n, 200_000));
    }
    assert_eq!(client.next(&mut words).unwrap(), None);
    homing.until("/api/v1/pools", |text| text.contains("\"health\":\"up\""));
}
