//! `tls` of a listener, and what goes with it.

use std::path::PathBuf;
use std::sync::Arc;

use super::affinity::warn_of_readers;
use super::item::Item;
use super::reader::{Table, Title};
use super::record::Value;
use super::sources::File;
use super::{Scope, defaults};
use crate::base::time::UnixSeconds;
use crate::net::tls::names::UnknownName;
use crate::net::tls::pair::{Pair, PairFile, WrongPair, certificates};
use crate::net::tls::provider;
use crate::net::tls::server::{
    ClientCertificates, ClientMode, Contents, Least, PairPaths, ServerTls, Settings,
};
use crate::net::tls::tickets::TicketKey;

/// What makes a certificate to try things with.
const MAKE: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=localhost \
                    -addext subjectAltName=DNS:localhost -out cert.pem -keyout key.pem makes one to try with";

/// Reads a listener's TLS; `None` if it has none, or none that can be used.
pub(super) fn read(
    table: &Table<'_>,
    listener: &str,
    http2: bool,
    scope: &Scope<'_>,
) -> Option<Arc<ServerTls>> {
    let item = table.get("tls");
    let (mut paths, mut pairs) = (Vec::new(), Vec::new());
    let mut is_whole = true;
    for item in item.iter().flat_map(one_or_several) {
        match pair(&item, scope) {
            Some((path, pair)) => {
                warn_of_twins(&item, (&path, &pair), (&paths, &pairs), scope);
                paths.push(path);
                pairs.push(pair);
            }
            None => is_whole = false,
        }
    }
    let has_tls = item.is_some();
    let words = [("1.2", Least::Tls12), ("1.3", Least::Tls13)];
    let least = table.choice("tls_min", &words, Least::default());
    let words = [("default", UnknownName::Default), ("reject", UnknownName::Reject)];
    let unknown_name = table.choice("unknown_sni", &words, UnknownName::default());
    let clients = table.get("client_certificates");
    let keys = table.get("ticket_keys");
    if !has_tls {
        for item in [clients, keys].into_iter().flatten() {
            item.refuse_with_help(
                "needs tls: nothing is encrypted here",
                "add tls = { certificate = \"cert.pem\", key = \"key.pem\" }",
            );
        }
        return None;
    }
    let (clients, ca) = clients.and_then(|item| client_certificates(&item, scope)).unzip();
    let (ticket_keys, keys) = keys.and_then(|item| ticket_keys(&item, scope)).unzip();
    let settings = Settings { certificates: paths, least, unknown_name, http2, clients, ticket_keys };
    if !is_whole || settings.certificates.is_empty() {
        return None;
    }
    if let Some(same) = scope.carried.tls(listener, &settings) {
        return Some(Arc::clone(same));
    }
    let contents = Contents { pairs, ca, ticket_keys: keys };
    match ServerTls::new(listener, settings, contents) {
        Ok(tls) => Some(Arc::new(tls)),
        Err(must) => {
            if let Some(item) = item {
                item.refuse(must);
            }
            None
        }
    }
}

/// `https_redirect = true`, and where to.
pub(super) fn redirect(table: &Table<'_>, has_tls: bool) -> Option<u16> {
    let item = table.get("https_redirect");
    table.default("https_redirect", Value::plain(&false));
    let port = table.integer("https_port", 1..=u16::MAX.into(), defaults::HTTPS_PORT);
    let is_on = item.and_then(|item| item.boolean()).unwrap_or_default();
    if let Some(item) = item.filter(|_| is_on && has_tls) {
        item.refuse_with_help(
            "must stand at a listener without tls: who comes by this one is there already",
            "a [[listener]] of its own with listen = \":80\"",
        );
    }
    is_on.then(|| u16::try_from(port).unwrap_or_default())
}

/// A table, or the tables of a list.
fn one_or_several<'a>(item: &Item<'a>) -> Vec<Item<'a>> {
    if item.value.is_table() {
        return vec![*item];
    }
    let list = item.list("tables").unwrap_or_default();
    if list.is_empty() && item.value.is_array() {
        item.refuse("must name a certificate at least");
    }
    list
}

/// `{ certificate = "cert.pem", key = "key.pem" }`
fn pair(item: &Item<'_>, scope: &Scope<'_>) -> Option<(PairPaths, Pair)> {
    let table = item.table(Title::Inline("tls"))?;
    let certificate = table.required("certificate", "the file with the certificate and its chain, as PEM");
    let key = table.required("key", "the file with its private key, as PEM");
    table.finish();
    let (certificate, key) = (certificate?, key?);
    let shown = file(&certificate, scope);
    let secret = file(&key, scope);
    let ((path, shown), (key_path, secret)) = (shown?, secret?);
    warn_of_readers(&key, &key_path, secret.mode, "pass for this server", scope);
    match Pair::parse(&shown.text, &secret.text, &provider()) {
        Ok(pair) => {
            if pair.not_after <= UnixSeconds::now() {
                let message =
                    format!("{} has ended at {}: clients refuse it", path.display(), pair.not_after);
                scope.report.warning(certificate.span(), message, "a new one is taken up without a reload");
            }
            Some((PairPaths { certificate: path, key: key_path }, pair))
        }
        Err(WrongPair { file, must }) => {
            let (item, path) = match file {
                PairFile::Certificate => (certificate, path),
                PairFile::Key => (key, key_path),
            };
            item.refuse_with_help(format_args!("{} {must}", path.display()), MAKE);
            None
        }
    }
}

/// Of two certificates for one name the first is shown.
fn warn_of_twins(
    item: &Item<'_>,
    (path, pair): (&PairPaths, &Pair),
    (paths, before): (&[PairPaths], &[Pair]),
    scope: &Scope<'_>,
) {
    for name in &pair.names {
        let Some(at) = before.iter().position(|other| other.names.contains(name)) else { continue };
        let first = paths.get(at).map(|path| path.certificate.display().to_string()).unwrap_or_default();
        let message = format!(
            "{} is for {name}, as {first} is, which stands before it and is shown to who asks for that name",
            path.certificate.display()
        );
        scope.report.warning(item.span(), message, "take one of both out");
    }
}

/// `{ ca = "ca.pem", mode = "required" }`
fn client_certificates(
    item: &Item<'_>,
    scope: &Scope<'_>,
) -> Option<(ClientCertificates, Vec<rustls::pki_types::CertificateDer<'static>>)> {
    let table = item.table(Title::Inline("client_certificates"))?;
    let ca = table.required("ca", "the file with the certificates that sign clients', as PEM");
    let words = [("required", ClientMode::Required), ("optional", ClientMode::Optional)];
    let mode = table.choice("mode", &words, ClientMode::Required);
    table.finish();
    let ca = ca?;
    let (path, read) = file(&ca, scope)?;
    match certificates(&read.text) {
        Ok(list) => Some((ClientCertificates { ca: path, mode }, list)),
        Err(must) => {
            ca.refuse(format_args!("{} {must}", path.display()));
            None
        }
    }
}

fn ticket_keys(item: &Item<'_>, scope: &Scope<'_>) -> Option<(PathBuf, Vec<TicketKey>)> {
    let (path, read) = file(item, scope)?;
    warn_of_readers(item, &path, read.mode, "read what sessions were sealed with", scope);
    match TicketKey::parse_all(&read.text) {
        Ok(keys) => Some((path, keys)),
        Err(must) => {
            let help = format!("openssl rand -hex 32 > {0}; chmod 600 {0} makes one", path.display());
            item.refuse_with_help(format_args!("{} {must}", path.display()), help);
            None
        }
    }
}

/// A file that an item names.
fn file(item: &Item<'_>, scope: &Scope<'_>) -> Option<(PathBuf, Arc<File>)> {
    let path = item.parse(|text| scope.path(text))?;
    match scope.sources.file(&path) {
        Ok(read) => Some((path, read)),
        Err(error) => {
            item.refuse_with_help(
                format_args!("read {}: {error}", path.display()),
                "it is looked for relative to the folder of this file; what is there must be PEM",
            );
            None
        }
    }
}
