//! TLS in: what clients of every kind see of it, and what becomes of those that do not speak it well.

mod certificates;
mod clients;
mod handshakes;
mod resumption;
mod who;

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, CertifiedIssuer, DnType, KeyPair};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion};

use crate::harness::program::{Input, Ran, run, run_with};
use crate::harness::{Homing, LIMIT, Reply, read_reply};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

/// A folder with who signs (`ca.pem`) and what was signed.
struct Files {
    folder: tempfile::TempDir,
    ca: CertifiedIssuer<'static, KeyPair>,
}

impl Files {
    /// With `web.pem` and `web.key` for localhost and 127.0.0.1.
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "test signer");
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let files = Self { folder: tempfile::tempdir().unwrap(), ca };
        files.write("ca.pem", &files.ca.pem());
        files.make("web", &["localhost", "127.0.0.1"]);
        files
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt as _;
        // Whole at every moment, as who renews certificates does it.
        let new = self.path(&format!("{name}.new"));
        std::fs::write(&new, text).unwrap();
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o600)).unwrap();
        std::fs::rename(new, self.path(name)).unwrap();
    }

    /// Makes `name.pem` and `name.key` for these names.
    fn make(&self, name: &str, names: &[&str]) {
        self.make_with(name, names, |_| {});
    }

    fn make_with(&self, name: &str, names: &[&str], change: impl FnOnce(&mut CertificateParams)) {
        let (certificate, key) = self.made(names, change);
        self.write(&format!("{name}.pem"), &certificate);
        self.write(&format!("{name}.key"), &key);
    }

    fn made(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "x");
        change(&mut params);
        (params.signed_by(&key, &self.ca).unwrap().pem(), key.serialize_pem())
    }

    /// `{ certificate = .., key = .. }`
    fn pair(&self, name: &str) -> String {
        let [certificate, key] = ["pem", "key"].map(|end| self.path(&format!("{name}.{end}")));
        format!("{{ certificate = {certificate:?}, key = {key:?} }}")
    }

    /// The listener's key for `web`.
    fn tls(&self) -> String {
        format!("tls = {}\n", self.pair("web"))
    }

    /// A client that believes our signer.
    fn client(&self) -> Arc<ClientConfig> {
        self.client_with(&[&rustls::version::TLS13, &rustls::version::TLS12], None)
    }

    fn client_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&str>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match certificate {
            None => builder.with_no_client_auth(),
            Some(name) => {
                let chain = CertificateDer::from_pem_file(self.path(&format!("{name}.pem"))).unwrap();
                let key = PrivateKeyDer::from_pem_file(self.path(&format!("{name}.key"))).unwrap();
                builder.with_client_auth_cert(vec![chain], key).unwrap()
            }
        })
    }
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// A connection that asks for this name; its handshake is made by the first byte that is read or written.
fn connect(homing: &Homing, name: &str, client: &Arc<ClientConfig>) -> Stream {
    over(crate::harness::open(homing.address), name, client)
}

fn over(socket: TcpStream, name: &str, client: &Arc<ClientConfig>) -> Stream {
    socket.set_write_timeout(Some(LIMIT)).unwrap();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    StreamOwned::new(ClientConnection::new(Arc::clone(client), name).unwrap(), socket)
}

/// One request on a connection of its own.
fn ask(homing: &Homing, client: &Arc<ClientConfig>, request: &str) -> Reply {
    ask_on(&mut connect(homing, "localhost", client), request)
}

fn ask_on(stream: &mut Stream, request: &str) -> Reply {
    use std::io::Write as _;
    stream.write_all(request.as_bytes()).unwrap();
    read_reply(stream, &mut Vec::new(), true)
}

fn said(ran: &Ran) -> String {
    ran.out_text() + &ran.err
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// Waits until this many handshakes ended so.
fn ended(homing: &Homing, version: &str, result: &str, n: usize) {
    let line = format!(
        "homing_tls_handshakes_total{{listener=\"web\",version=\"{version}\",result=\"{result}\"}} {n}\n"
    );
    homing.until("/metrics", |text| text.contains(&line));
}
