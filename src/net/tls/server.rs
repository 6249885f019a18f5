//! One listener's TLS: what it was told, what is in force, and its files, which are read again when they change.
//!
//! A handshake takes [`ServerTls::live`] once and keeps it. The control plane calls [`ServerTls::refresh`] every few
//! seconds: what changed and is sound takes the place of what was there, all of it at once; what is not is told of, and
//! the last good one stays.

use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use rustls::pki_types::CertificateDer;
use rustls::server::{ServerSessionMemoryCache, StoresServerSessions, WebPkiClientVerifier};
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion, version};
use sha2::{Digest as _, Sha256};

use super::names::{Certificates, UnknownName};
use super::pair::{Pair, PairFile, WrongPair, certificates};
use super::provider;
use super::tickets::{TicketKey, Tickets};
use crate::base::time::UnixSeconds;

/// Sessions by id (TLS 1.2) that are remembered for clients that take no tickets, per listener.
const SESSIONS: usize = 2048;
/// Largest file that is read, bytes.
const LARGEST: u64 = 8 << 20;

/// What a listener's TLS is told to be. Names of files, not what is in them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The certificates, the default first.
    pub certificates: Vec<PairPaths>,
    /// The oldest version that is spoken.
    pub least: Least,
    /// What a client is shown that asks for another name.
    pub unknown_name: UnknownName,
    /// Whether HTTP/2 is offered.
    pub http2: bool,
    /// Whether clients show certificates.
    pub clients: Option<ClientCertificates>,
    /// Where the keys of tickets are; without it they are random.
    pub ticket_keys: Option<PathBuf>,
}

/// Where a certificate and its key are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PairPaths {
    /// The certificate and its chain.
    pub certificate: PathBuf,
    /// Its key.
    pub key: PathBuf,
}

/// The oldest version of TLS that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Least {
    /// TLS 1.2.
    #[default]
    Tls12,
    /// TLS 1.3, alone.
    Tls13,
}

/// Which clients show a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCertificates {
    /// Who signs them.
    pub ca: PathBuf,
    /// Whether all must show one.
    pub mode: ClientMode,
}

/// Whether clients must show a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientMode {
    /// Nobody comes in without.
    Required,
    /// Who has none comes in as well; who shows one must show a good one.
    Optional,
}

/// What the files held.
#[derive(Clone, Debug)]
pub struct Contents {
    /// As [`Settings::certificates`].
    pub pairs: Vec<Pair>,
    /// The certificates that sign clients'.
    pub ca: Option<Vec<CertificateDer<'static>>>,
    /// The keys of tickets.
    pub ticket_keys: Option<Vec<TicketKey>>,
}

/// A listener's TLS.
pub struct ServerTls {
    listener: Box<str>,
    /// What it was told.
    pub settings: Settings,
    live: ArcSwap<Live>,
    watched: Mutex<Watched>,
}

/// What is in force.
#[derive(Debug)]
pub struct Live {
    /// As the library has it.
    pub config: Arc<ServerConfig>,
    /// What is shown.
    pub certificates: Arc<Certificates>,
    tickets: Arc<Tickets>,
    /// The signers of clients' certificates, as one.
    signers: [u8; 32],
}

/// The files as they were seen last.
#[derive(Debug)]
struct Watched {
    contents: Contents,
    files: Vec<Seen>,
    /// What is wrong with them now.
    wrong: Vec<String>,
}

/// A file as it was seen last: not at all, at first.
type Seen = Option<Stamp>;

/// What changes when a file does.
type Stamp = (u64, u64, i64, i64, i64, i64);

/// What a look at the files came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Refreshed {
    /// What is in force now and was not: a sentence each.
    pub changed: Vec<String>,
    /// What is wrong now and was not, or is wrong in another way.
    pub failed: Vec<String>,
}

impl Settings {
    /// Reads a pair as the configuration names it.
    ///
    /// # Errors
    /// Which file is wrong, and what it must be.
    pub fn read_pair(paths: &PairPaths) -> Result<Pair, WrongPair> {
        let text = |path: &Path, file| {
            read(path).map_err(|e| WrongPair { file, must: format!("cannot be read: {e}") })
        };
        let certificate = text(&paths.certificate, PairFile::Certificate)?;
        let key = text(&paths.key, PairFile::Key)?;
        Pair::parse(&certificate, &key, &provider())
    }
}

impl ServerTls {
    /// Puts together what was told and what the files held.
    ///
    /// # Errors
    /// What the library does not accept of it.
    pub fn new(listener: &str, settings: Settings, contents: Contents) -> Result<Self, String> {
        let live = Live::new(listener, &settings, &contents, None)?;
        let files = vec![None; settings.paths().count()];
        let watched = Mutex::new(Watched { contents, files, wrong: Vec::new() });
        Ok(Self { listener: listener.into(), settings, live: ArcSwap::from_pointee(live), watched })
    }

    /// What is in force.
    #[must_use]
    pub fn live(&self) -> Arc<Live> {
        self.live.load_full()
    }

    /// What is wrong with the files now: what they held before is in force.
    #[must_use]
    pub fn wrong(&self) -> Vec<String> {
        self.watched.lock().wrong.clone()
    }

    /// The certificates in force: what each is called, and its end.
    #[must_use]
    pub fn certificates(&self) -> Vec<(String, UnixSeconds)> {
        self.live().certificates.pairs.iter().map(|pair| (pair.name().to_owned(), pair.not_after)).collect()
    }

    /// Looks whether files have changed, and takes what is sound. Reads files: for the control plane.
    pub fn refresh(&self) -> Refreshed {
        let mut refreshed = Refreshed::default();
        let mut watched = self.watched.lock();
        self.live.load().tickets.rotate();
        let stamps: Vec<Seen> = self.settings.paths().map(stamp).collect();
        if stamps == watched.files && watched.wrong.is_empty() {
            return refreshed;
        }
        let mut contents = watched.contents.clone();
        let (mut wrong, mut changed) = (Vec::new(), Vec::new());
        for (pair, paths) in contents.pairs.iter_mut().zip(&self.settings.certificates) {
            match Settings::read_pair(paths) {
                Ok(new) if new.certified.cert == pair.certified.cert => {}
                Ok(new) => {
                    changed.push(format!(
                        "certificate {} until {}",
                        paths.certificate.display(),
                        new.not_after
                    ));
                    *pair = new;
                }
                Err(WrongPair { file, must }) => wrong.push(format!("{} {must}", paths.of(file).display())),
            }
        }
        if let (Some(clients), Some(ca)) = (&self.settings.clients, &mut contents.ca) {
            take(&clients.ca, ca, certificates, "certificates that sign clients'", &mut changed, &mut wrong);
        }
        if let (Some(path), Some(keys)) = (&self.settings.ticket_keys, &mut contents.ticket_keys) {
            take(path, keys, TicketKey::parse_all, "keys of tickets", &mut changed, &mut wrong);
        }
        if !changed.is_empty() {
            let old = self.live();
            match Live::new(&self.listener, &self.settings, &contents, Some(&old)) {
                Ok(live) => {
                    self.live.store(Arc::new(live));
                    watched.contents = contents;
                    refreshed.changed = changed;
                }
                Err(must) => wrong.push(must),
            }
        }
        watched.files = stamps;
        if watched.wrong != wrong {
            refreshed.failed.clone_from(&wrong);
            watched.wrong = wrong;
        }
        refreshed
    }
}

/// Reads a file again, and takes what it says if that is sound and another thing.
fn take<T: PartialEq>(
    path: &Path,
    held: &mut T,
    parse: impl FnOnce(&str) -> Result<T, String>,
    what: &str,
    changed: &mut Vec<String>,
    wrong: &mut Vec<String>,
) {
    let parsed = read(path).map_err(|e| format!("cannot be read: {e}")).and_then(|text| parse(&text));
    match parsed {
        Ok(new) if new == *held => {}
        Ok(new) => {
            changed.push(format!("{what} of {}", path.display()));
            *held = new;
        }
        Err(must) => wrong.push(format!("{} {must}", path.display())),
    }
}

impl Settings {
    /// Every file.
    fn paths(&self) -> impl Iterator<Item = &Path> {
        let pairs = self.certificates.iter().flat_map(|pair| [&*pair.certificate, &*pair.key]);
        pairs.chain(self.clients.iter().map(|c| &*c.ca)).chain(self.ticket_keys.as_deref())
    }
}

impl PairPaths {
    /// The path of one of the two.
    #[must_use]
    pub fn of(&self, file: PairFile) -> &Path {
        match file {
            PairFile::Certificate => &self.certificate,
            PairFile::Key => &self.key,
        }
    }
}

impl Live {
    /// Takes over from `old` what sessions are resumed by, where that may be.
    fn new(
        listener: &str,
        settings: &Settings,
        contents: &Contents,
        old: Option<&Self>,
    ) -> Result<Self, String> {
        let provider = provider();
        let random = provider.secure_random;
        let versions: &[&SupportedProtocolVersion] = match settings.least {
            Least::Tls12 => &[&version::TLS13, &version::TLS12],
            Least::Tls13 => &[&version::TLS13],
        };
        let signers = signers(contents.ca.as_deref());
        let mode = settings.clients.as_ref().map(|clients| clients.mode);
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(versions)
            .map_err(|e| e.to_string())?;
        let builder = match (contents.ca.as_deref(), mode) {
            (Some(ca), Some(mode)) => {
                let mut roots = RootCertStore::empty();
                for certificate in ca {
                    roots
                        .add(certificate.clone())
                        .map_err(|e| format!("holds a certificate that cannot sign: {e}"))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
                let verifier = match mode {
                    ClientMode::Required => verifier,
                    ClientMode::Optional => verifier.allow_unauthenticated(),
                };
                builder.with_client_cert_verifier(verifier.build().map_err(|e| e.to_string())?)
            }
            _ => builder.with_no_client_auth(),
        };
        let certificates = Arc::new(Certificates::new(contents.pairs.clone()));
        let mut config = builder.with_cert_resolver(Arc::clone(&certificates) as _);
        config.alpn_protocols = alpn(settings.http2);
        let same = old.filter(|old| old.signers == signers);
        config.session_storage = match same {
            Some(old) => Arc::clone(&old.config.session_storage),
            None => ServerSessionMemoryCache::new(SESSIONS) as Arc<dyn StoresServerSessions>,
        };
        let keys = contents.ticket_keys.as_deref();
        let tickets = match (same, keys) {
            (Some(old), Some(keys)) => {
                old.tickets.replace(keys);
                Arc::clone(&old.tickets)
            }
            (Some(old), None) => Arc::clone(&old.tickets),
            (None, keys) => Arc::new(Tickets::new(keys, &context(listener, mode, &signers), random)?),
        };
        config.ticketer = Arc::clone(&tickets) as _;
        Ok(Self { config: Arc::new(config), certificates, tickets, signers })
    }
}

/// What sets a listener's tickets apart: its name and whose certificates it asks for. Its own certificates are no part
/// of it: they are renewed.
fn context(listener: &str, mode: Option<ClientMode>, signers: &[u8; 32]) -> Vec<u8> {
    let mode = match mode {
        None => 0,
        Some(ClientMode::Optional) => 1,
        Some(ClientMode::Required) => 2,
    };
    [listener.as_bytes(), &[0, mode], signers].concat()
}

fn signers(ca: Option<&[CertificateDer<'static>]>) -> [u8; 32] {
    let mut hash = Sha256::new();
    for certificate in ca.unwrap_or_default() {
        hash.update((certificate.len() as u64).to_be_bytes());
        hash.update(certificate);
    }
    hash.finalize().into()
}

/// What may be spoken over it, best first.
fn alpn(http2: bool) -> Vec<Vec<u8>> {
    let h2 = http2.then(|| b"h2".to_vec());
    h2.into_iter().chain([b"http/1.1".to_vec(), b"http/1.0".to_vec()]).collect()
}

fn stamp(path: &Path) -> Seen {
    let it = std::fs::metadata(path).ok()?;
    Some((it.ino(), it.len(), it.mtime(), it.mtime_nsec(), it.ctime(), it.ctime_nsec()))
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, "it is not a file"));
    }
    file.take(LARGEST).read_to_string(&mut text)?;
    Ok(text)
}

impl PartialEq for ServerTls {
    /// Told the same: what the files hold comes and goes by itself.
    fn eq(&self, other: &Self) -> bool {
        self.listener == other.listener && self.settings == other.settings
    }
}

impl Eq for ServerTls {}

impl fmt::Debug for ServerTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerTls")
            .field("listener", &self.listener)
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
