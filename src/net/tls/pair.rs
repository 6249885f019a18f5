//! A certificate with its chain and its key, from PEM.

use std::fmt;
use std::sync::Arc;

use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, InconsistentKeys};
use x509_cert::Certificate;
use x509_cert::der::{Decode as _, Encode as _};
use x509_cert::ext::pkix::SubjectAltName;
use x509_cert::ext::pkix::name::GeneralName;

use super::subject;
use crate::base::time::UnixSeconds;

/// A certificate that can be shown, and what is known of it.
#[derive(Clone)]
pub struct Pair {
    /// What is shown, and signed with.
    pub(super) certified: Arc<CertifiedKey>,
    /// The DNS names that it is for, in lower case; of one with a wildcard the `*.` is its beginning.
    pub names: Vec<Box<str>>,
    /// From when on nobody believes it.
    pub not_after: UnixSeconds,
}

/// Which of the two files is wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongPair {
    /// The file.
    pub file: PairFile,
    /// What it must be: the rest of a sentence.
    pub must: String,
}

/// One of the two files of a pair.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PairFile {
    /// The certificate's.
    Certificate,
    /// The key's.
    Key,
}

impl Pair {
    /// Reads both.
    ///
    /// # Errors
    /// One of them is not what it must be, or they do not belong together.
    pub fn parse(certificate: &str, key: &str, provider: &CryptoProvider) -> Result<Self, WrongPair> {
        let wrong = |file, must: String| WrongPair { file, must };
        let of_certificate = |must: String| wrong(PairFile::Certificate, must);
        let chain = certificates(certificate).map_err(of_certificate)?;
        let (names, not_after) = chain
            .first()
            .map_or_else(
                || Err("has no certificate".to_owned()),
                |leaf| read(leaf).map_err(|e| format!("holds a certificate that cannot be read: {e}")),
            )
            .map_err(of_certificate)?;
        let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
            wrong(
                PairFile::Key,
                "has no private key: must be PEM with BEGIN PRIVATE KEY (PKCS#8), BEGIN EC PRIVATE KEY (SEC1) or BEGIN \
                 RSA PRIVATE KEY (PKCS#1), not encrypted"
                    .to_owned(),
            )
        })?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => wrong(
                PairFile::Key,
                "does not match the certificate: it is the key of another one".to_owned(),
            ),
            Error::InvalidCertificate(e) => {
                of_certificate(format!("holds a certificate that cannot be used: {e:?}"))
            }
            error => wrong(PairFile::Key, format!("holds a key that cannot be used: {error}")),
        })?;
        Ok(Self { certified: Arc::new(certified), names, not_after })
    }

    /// What it is called: its first name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.names.first().map_or("", |name| &**name)
    }
}

impl fmt::Debug for Pair {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pair")
            .field("names", &self.names)
            .field("not_after", &self.not_after)
            .finish_non_exhaustive()
    }
}

/// Every certificate of a PEM text, one at least.
///
/// # Errors
/// What the text must be: the rest of a sentence.
pub fn certificates(text: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let mut list = Vec::new();
    for certificate in CertificateDer::pem_slice_iter(text.as_bytes()) {
        list.push(certificate.map_err(|e| of_pem(&e))?);
    }
    if list.is_empty() {
        return Err("has no certificate: must be PEM, with BEGIN CERTIFICATE".to_owned());
    }
    Ok(list)
}

fn of_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "is not whole: its last section has no END line".to_owned(),
        pem::Error::IllegalSectionStart { .. } => "has a BEGIN line without the dashes at its end".to_owned(),
        pem::Error::Base64Decode(_) => "has a section that is not base64".to_owned(),
        other => format!("is not whole: {other}"),
    }
}

/// Names and end of a certificate.
fn read(leaf: &CertificateDer<'_>) -> Result<(Vec<Box<str>>, UnixSeconds), String> {
    let parsed = Certificate::from_der(leaf).map_err(|e| e.to_string())?;
    let end = parsed.tbs_certificate.validity.not_after.to_unix_duration().as_secs();
    let mut names = Vec::new();
    let of_hosts = parsed.tbs_certificate.get::<SubjectAltName>().map_err(|e| e.to_string())?;
    for name in of_hosts.iter().flat_map(|(_, list)| &list.0) {
        match name {
            GeneralName::DnsName(name) => names.push(name.as_str().to_ascii_lowercase().into()),
            GeneralName::IpAddress(bytes) => names.extend(ip(bytes.as_bytes())),
            _ => {}
        }
    }
    if names.is_empty() {
        let der = parsed.tbs_certificate.subject.to_der().map_err(|e| e.to_string())?;
        names.push(subject::of_name(&der)?.into());
    }
    Ok((names, UnixSeconds(u32::try_from(end).unwrap_or(u32::MAX))))
}

fn ip(bytes: &[u8]) -> Option<Box<str>> {
    let v4 = || Some(std::net::IpAddr::from(<[u8; 4]>::try_from(bytes).ok()?));
    let v6 = || Some(std::net::IpAddr::from(<[u8; 16]>::try_from(bytes).ok()?));
    v4().or_else(v6).map(|ip| ip.to_string().into())
}
