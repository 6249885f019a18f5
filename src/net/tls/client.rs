//! TLS to backends: whom they must prove to be, who we are, and the handshake.
//!
//! Each backend has its own session cache: one that resumes with another's ticket shakes hands in full, and takes a
//! place in the cache. Bytes that are not TLS end a handshake, and none of them becomes an answer. (CVE-2026-1642)

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::client::TlsStream;

use super::provider;

/// Sessions that may be resumed, per backend.
const SESSIONS: usize = 32;

/// The protocol that HTTP/2 goes by in the handshake (RFC 9113 section 3.2).
const H2: &[u8] = b"h2";

/// What is shown to a backend that asks who we are: the certificate with those that lead to its issuer, and the key.
pub type Identity = (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>);

/// How the backends of a pool are shaken hands with.
#[derive(Clone, Debug)]
pub struct Settings(ClientConfig);

/// How one backend is.
#[derive(Clone)]
pub struct Connector {
    config: Arc<ClientConfig>,
    name: ServerName<'static>,
}

impl Settings {
    /// Backends prove who they are by a certificate that one of `roots` leads to; without roots they need not.
    ///
    /// # Errors
    /// The key is not the certificate's, or of no known kind.
    pub fn new(roots: Option<Arc<RootCertStore>>, identity: Option<Identity>) -> Result<Self, rustls::Error> {
        let provider = provider();
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions()?;
        let builder = match roots {
            Some(roots) => builder.with_root_certificates(roots),
            None => builder.dangerous().with_custom_certificate_verifier(Arc::new(Anybody(provider))),
        };
        Ok(Self(match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        }))
    }

    /// The same with HTTP/2, which a backend must agree to.
    #[must_use]
    pub fn with_http2(mut self) -> Self {
        self.0.alpn_protocols = vec![H2.to_vec()];
        self
    }

    /// For a backend of this name, with a session cache of its own.
    #[must_use]
    pub fn connector(&self, name: ServerName<'static>) -> Connector {
        let mut config = self.0.clone();
        config.resumption = Resumption::in_memory_sessions(SESSIONS);
        Connector { config: Arc::new(config), name }
    }
}

impl Connector {
    /// Shakes hands over a new connection. The caller sets the deadline by dropping the future.
    ///
    /// # Errors
    /// The backend is not who it should be, does not speak TLS, or does not agree to HTTP/2 where it must.
    pub async fn handshake<S: AsyncRead + AsyncWrite + Unpin>(&self, stream: S) -> io::Result<TlsStream<S>> {
        let connector = tokio_rustls::TlsConnector::from(Arc::clone(&self.config));
        let tls = connector.connect(self.name.clone(), stream).await?;
        if !self.config.alpn_protocols.is_empty() && tls.get_ref().1.alpn_protocol() != Some(H2) {
            let message = "the backend does not agree to HTTP/2";
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        Ok(tls)
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connector").field("name", &self.name).finish_non_exhaustive()
    }
}

/// The name that a backend's certificate must be for: a host name, or an IP address.
#[must_use]
pub fn name(text: &str) -> Option<ServerName<'static>> {
    match text.parse::<IpAddr>() {
        Ok(ip) => Some(ServerName::IpAddress(ip.into())),
        Err(_) => ServerName::try_from(text.to_owned()).ok(),
    }
}

/// Believes that everybody is who they say, as long as they have the key of the certificate that they show.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, dss, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
