//! TLS before a backend: a certificate authority of the test's own, and a front that shakes hands and passes on what is
//! inside.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    date_time_ymd,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{HandshakeKind, RootCertStore, ServerConfig};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// Who issues certificates, and where the test's files are.
pub(crate) struct Authority {
    folder: tempfile::TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate and its key.
pub(crate) struct Issued {
    pub(crate) certificate: PathBuf,
    pub(crate) key: PathBuf,
    chain: Vec<CertificateDer<'static>>,
    secret: PrivateKeyDer<'static>,
}

/// A handshake that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shaken {
    /// The name that was asked for.
    pub(crate) name: Option<String>,
    pub(crate) is_resumed: bool,
    pub(crate) shows_certificate: bool,
}

/// A front on a runtime of its own.
pub(crate) struct Front {
    pub(crate) address: SocketAddr,
    shaken: Arc<Mutex<Vec<Shaken>>>,
    _runtime: Runtime,
}

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("ca.pem"), issuer.as_ref().pem()).unwrap();
        Self { folder, issuer }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file with its certificate.
    pub(crate) fn ca(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// A certificate for a server of these names or addresses.
    pub(crate) fn issue(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |_| ())
    }

    /// One that ran out long ago.
    pub(crate) fn expired(&self, names: &[&str]) -> Issued {
        self.issue_with(names, |params| {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        })
    }

    fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Issued {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        let name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        change(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let [to, secret] = ["pem", "key"].map(|kind| self.folder.path().join(format!("{name}.{kind}")));
        std::fs::write(&to, certificate.pem()).unwrap();
        std::fs::write(&secret, key.serialize_pem()).unwrap();
        private(&secret);
        Issued {
            certificate: to,
            key: secret,
            chain: vec![certificate.der().clone()],
            secret: PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        }
    }

    /// What a server shows this certificate with, by these protocols.
    pub(crate) fn server(&self, issued: &Issued, alpn: &[&str], asks_clients: bool) -> ServerConfig {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = if asks_clients {
            let mut roots = RootCertStore::empty();
            roots.add(self.issuer.as_ref().der().clone()).unwrap();
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        } else {
            builder.with_no_client_auth()
        };
        let mut config = builder.with_single_cert(issued.chain.clone(), issued.secret.clone_key()).unwrap();
        config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
        config
    }
}

/// Only its owner may read it.
fn private(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).unwrap();
}

impl Front {
    /// Shakes hands as `config` says and passes on to `target`.
    pub(crate) fn new(config: ServerConfig, target: SocketAddr) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let (acceptor, shaken) = (TlsAcceptor::from(Arc::new(config)), Arc::new(Mutex::new(Vec::new())));
        let told = Arc::clone(&shaken);
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (acceptor, told) = (acceptor.clone(), Arc::clone(&told));
                tokio::runtime::Handle::current().spawn(async move {
                    let Ok(mut tls) = acceptor.accept(stream).await else { return };
                    let session = tls.get_ref().1;
                    told.lock().push(Shaken {
                        name: session.server_name().map(str::to_owned),
                        is_resumed: session.handshake_kind() == Some(HandshakeKind::Resumed),
                        shows_certificate: session.peer_certificates().is_some(),
                    });
                    let Ok(mut inner) = TcpStream::connect(target).await else { return };
                    let _ = copy_bidirectional(&mut tls, &mut inner).await;
                });
            }
        });
        Self { address, shaken, _runtime: runtime }
    }

    /// The handshakes that came to their end.
    pub(crate) fn shaken(&self) -> Vec<Shaken> {
        self.shaken.lock().clone()
    }
}
