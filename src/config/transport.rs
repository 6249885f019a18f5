//! `protocol` and `tls` of a `[[pool]]`: how its backends are spoken to.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::pki_types::ServerName;

use super::Scope;
use super::item::Item;
use super::pem::PemFile;
use super::reader::{Table, Title};
use super::record::Value;
use crate::backend::Backend;
use crate::backend::members::Members;
use crate::base::address::Address;
use crate::base::hash::hash64;
use crate::net::tls::client::{self, Identity, Settings};
use crate::pool::Pool;
use crate::pool::transport::{Protocol, Transport};

/// As read, before the backends' handshakes are prepared.
pub(super) struct TransportRead {
    protocol: Protocol,
    tls: Option<Tls>,
    digest: u64,
}

struct Tls {
    roots: Roots,
    name: Option<ServerName<'static>>,
    identity: Option<Identity>,
    span: Range<usize>,
}

enum Roots {
    /// Those of the system.
    System,
    /// Those of a file.
    Of(Arc<RootCertStore>),
    /// Nobody must prove anything.
    None,
}

/// Reads `protocol` and `tls`.
pub(super) fn read(pool: &Table<'_>, scope: &Scope<'_>) -> TransportRead {
    let words = [("h1", Protocol::H1), ("h2", Protocol::H2), ("h2c", Protocol::H2c)];
    let protocol = pool.choice("protocol", &words, Protocol::default());
    let item = pool.get("tls");
    pool.default("tls", Value::plain("false"));
    let mut told = format!("{protocol:?}");
    let tls = item.and_then(|item| tls(&item, scope, &mut told));
    let span = pool.get("protocol").map_or_else(|| pool.span(), |item| item.span());
    match (protocol, item) {
        (Protocol::H2, None) => {
            let message = "protocol = \"h2\": goes over TLS, and the pool has no tls";
            scope.report.error_with_help(span, message, "tls = true, or protocol = \"h2c\" without TLS");
        }
        (Protocol::H2c, Some(item)) if tls.is_some() => {
            item.refuse_with_help("protocol = \"h2c\" goes without TLS", "protocol = \"h2\"");
        }
        (Protocol::H1 | Protocol::H2 | Protocol::H2c, _) => {}
    }
    if tls.is_some() {
        scope.report.record.hide(pool.node(), told.clone());
    }
    TransportRead { protocol, tls, digest: hash64(told.as_bytes()) }
}

/// `true`, or a table.
fn tls(item: &Item<'_>, scope: &Scope<'_>, told: &mut String) -> Option<Tls> {
    if !item.value.is_table() {
        let is_wanted = item.boolean()?;
        if is_wanted {
            told.push_str(" tls");
        }
        let tls = Tls { roots: Roots::System, name: None, identity: None, span: item.span() };
        return is_wanted.then_some(tls);
    }
    let table = item.table(Title::Inline("tls"))?;
    let ca = table.get("ca");
    let file = ca.and_then(|item| PemFile::read(&item, scope));
    let roots = ca.zip(file.as_ref()).and_then(|(item, file)| file.roots(&item, scope));
    let name = table.get("name").and_then(|item| item.parse(name).map(|name| (item, name)));
    let verify = table.bool("verify", true);
    if !verify && let Some(item) = table.get("verify") {
        let message = item.sentence(&"whoever answers at a backend's address is believed");
        table.report.warning(
            item.span(),
            message,
            "ca = \"ca.pem\", with the certificate that issues theirs",
        );
        if let Some(ca) = ca {
            ca.refuse("nothing is verified by it beside verify = false");
        }
    }
    told.push_str(&format!(" tls verify {verify}"));
    if let Some(file) = &file {
        told.push_str(&format!(" ca {:x}", file.hash));
    }
    if let Some((_, name)) = &name {
        told.push_str(&format!(" name {}", name.to_str()));
    }
    let identity = identity(&table, scope, told);
    let span = table.span();
    table.finish();
    let roots = match (verify, ca, roots) {
        (false, _, _) => Roots::None,
        (true, _, Some(roots)) => Roots::Of(Arc::new(roots)),
        (true, None, None) => Roots::System,
        (true, Some(_), None) => return None,
    };
    Some(Tls { roots, name: name.map(|(_, name)| name), identity, span })
}

/// `certificate` and `key`: who homing is, for backends that ask.
fn identity(table: &Table<'_>, scope: &Scope<'_>, told: &mut String) -> Option<Identity> {
    let (certificate, key) = (table.get("certificate"), table.get("key"));
    let (certificate, key) = match (certificate, key) {
        (Some(certificate), Some(key)) => (certificate, key),
        (Some(alone), None) => {
            alone.refuse("needs its key beside it, as in key = \"client.key\"");
            return None;
        }
        (None, Some(alone)) => {
            alone.refuse("needs its certificate beside it, as in certificate = \"client.pem\"");
            return None;
        }
        (None, None) => return None,
    };
    let [of_certificate, of_key] = [certificate, key].map(|item| PemFile::read(&item, scope));
    let chain = of_certificate.as_ref().and_then(|file| file.certificates(&certificate));
    let secret = of_key.as_ref().and_then(|file| file.key(&key, scope));
    for file in [&of_certificate, &of_key].into_iter().flatten() {
        told.push_str(&format!(" {:x}", file.hash));
    }
    let (chain, secret) = (chain?, secret?);
    // Told here, by the key's line, and not where the pool's backends are prepared.
    if let Err(error) = Settings::new(None, Some((chain.clone(), secret.clone_key()))) {
        key.refuse(format_args!("is no key of {}: {error}", certificate.value.as_str().unwrap_or_default()));
        return None;
    }
    Some((chain, secret))
}

fn name(text: &str) -> Result<ServerName<'static>, String> {
    client::name(text)
        .ok_or_else(|| "must be a host name or an IP address, as in \"app.internal\"".to_owned())
}

impl TransportRead {
    /// For these members. Those that `before` had, spoken to in the same way, go on with their session caches.
    pub(super) fn build(self, members: &Members, before: Option<&Pool>, scope: &Scope<'_>) -> Transport {
        let Self { protocol, tls, digest } = self;
        let before = before.filter(|pool| pool.transport.digest == digest);
        let kept = |backend: &Backend| {
            let pool = before?;
            let is_same = |b: &Backend| b.id == backend.id && b.address == backend.address;
            let (ix, _) = pool.members.iter().find(|(_, b)| is_same(b))?;
            pool.transport.connector(ix).cloned()
        };
        let connectors = tls.and_then(|tls| {
            let settings = OnceCell::new();
            let new = |backend: &Backend| {
                let settings = settings.get_or_init(|| tls.settings(protocol, scope)).as_ref()?;
                let name = tls.name.clone().or_else(|| name_of(&backend.address));
                if name.is_none() {
                    let message =
                        format!("tls: {} is no name that a certificate could be for", backend.address);
                    scope.report.error_with_help(
                        tls.span.clone(),
                        message,
                        "tls = { name = \"app.internal\" }",
                    );
                }
                Some(settings.connector(name?))
            };
            members.iter().map(|(_, backend)| kept(backend).or_else(|| new(backend))).collect()
        });
        Transport { protocol, connectors, digest }
    }

    /// What is spoken.
    pub(super) const fn protocol(&self) -> Protocol {
        self.protocol
    }
}

impl Tls {
    fn settings(&self, protocol: Protocol, scope: &Scope<'_>) -> Option<Settings> {
        let roots = match &self.roots {
            Roots::System => Some(scope.system_roots(&self.span)?),
            Roots::Of(roots) => Some(Arc::clone(roots)),
            Roots::None => None,
        };
        let identity = self.identity.as_ref().map(|(chain, key)| (chain.clone(), key.clone_key()));
        let settings = Settings::new(roots, identity);
        let settings =
            settings.map_err(|e| scope.report.error(self.span.clone(), format!("tls: {e}"))).ok()?;
        Some(if protocol.is_http2() { settings.with_http2() } else { settings })
    }
}

/// The name that a backend's certificate is for.
fn name_of(address: &Address) -> Option<ServerName<'static>> {
    match address {
        Address::Socket(address) => Some(ServerName::IpAddress(address.ip().into())),
        Address::Name { host, .. } => client::name(host),
        Address::Unix(_) => None,
    }
}
