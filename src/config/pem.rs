//! PEM files that the configuration names: certificates, keys. What is wrong with one is told by its own line.

use std::ops::Range;
use std::path::PathBuf;

use rustls::pki_types::pem::{Error, SectionKind, SliceIter};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{CertificateError, RootCertStore};

use super::Scope;
use super::affinity::warn_of_readers;
use super::item::Item;
use crate::base::hash::hash64;

/// How a section begins.
const BEGIN: &str = "-----BEGIN";

/// A file that was read.
pub(super) struct PemFile {
    path: PathBuf,
    text: std::sync::Arc<str>,
    mode: u32,
    sections: Vec<Section>,
    /// What its text is told by.
    pub(super) hash: u64,
}

struct Section {
    kind: SectionKind,
    der: Vec<u8>,
    /// Its first line.
    span: Range<usize>,
}

impl PemFile {
    /// The file that `item` names; what is wrong with it is reported.
    pub(super) fn read(item: &Item<'_>, scope: &Scope<'_>) -> Option<Self> {
        let path = item.parse(|text| scope.path(text))?;
        let file = match scope.sources.file(&path) {
            Ok(file) => file,
            Err(error) => {
                let help = "a PEM file; its path is relative to the folder of this file";
                item.refuse_with_help(format_args!("read {}: {error}", path.display()), help);
                return None;
            }
        };
        let (text, mode) = (std::sync::Arc::clone(&file.text), file.mode);
        let hash = hash64(text.as_bytes());
        let mut read = Self { path, text, mode, sections: Vec::new(), hash };
        match sections(&read.text) {
            Ok(sections) => read.sections = sections,
            Err((span, error)) => {
                read.wrong(scope, span, &of_pem(&error));
                return None;
            }
        }
        if read.sections.is_empty() {
            item.refuse(format_args!("{} has no section that begins with {BEGIN}", read.path.display()));
            return None;
        }
        Some(read)
    }

    /// Its certificates, of which it must have one.
    pub(super) fn certificates(&self, item: &Item<'_>) -> Option<Vec<CertificateDer<'static>>> {
        let of_kind = self.sections.iter().filter(|s| s.kind == SectionKind::Certificate);
        let list: Vec<_> = of_kind.map(|s| CertificateDer::from(s.der.clone())).collect();
        if list.is_empty() {
            item.refuse(format_args!("{} has no certificate", self.path.display()));
            return None;
        }
        Some(list)
    }

    /// Its certificates as those that others must lead to.
    pub(super) fn roots(&self, item: &Item<'_>, scope: &Scope<'_>) -> Option<RootCertStore> {
        self.certificates(item)?;
        let mut roots = RootCertStore::empty();
        for section in self.sections.iter().filter(|s| s.kind == SectionKind::Certificate) {
            if let Err(error) = roots.add(CertificateDer::from(section.der.clone())) {
                self.wrong(scope, section.span.clone(), &of_certificate(&error));
                return None;
            }
        }
        Some(roots)
    }

    /// Its key, of which it must have one.
    pub(super) fn key(&self, item: &Item<'_>, scope: &Scope<'_>) -> Option<PrivateKeyDer<'static>> {
        warn_of_readers(item, &self.path, self.mode, "claim to be this homing", scope);
        let key = self.sections.iter().find_map(|s| match s.kind {
            SectionKind::PrivateKey => Some(PrivateKeyDer::Pkcs8(s.der.clone().into())),
            SectionKind::RsaPrivateKey => Some(PrivateKeyDer::Pkcs1(s.der.clone().into())),
            SectionKind::EcPrivateKey => Some(PrivateKeyDer::Sec1(s.der.clone().into())),
            _ => None,
        });
        if key.is_none() {
            let help = "a key without a password, as openssl genpkey makes them";
            item.refuse_with_help(format_args!("{} has no private key", self.path.display()), help);
        }
        key
    }

    fn wrong(&self, scope: &Scope<'_>, span: Range<usize>, message: &str) {
        let base = scope.report.add(&self.path, &self.text);
        scope.report.error(base + span.start..base + span.end, message);
    }
}

/// The sections of a text; or what is wrong with the one that begins there.
fn sections(text: &str) -> Result<Vec<Section>, (Range<usize>, Error)> {
    let mut iter = SliceIter::<(SectionKind, Vec<u8>)>::new(text.as_bytes());
    let mut sections = Vec::new();
    loop {
        let from = text.len() - iter.remainder().len();
        let Some(section) = iter.next() else { return Ok(sections) };
        let start = from + text.get(from..).and_then(|rest| rest.find(BEGIN)).unwrap_or_default();
        let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let span = start..start + line.len();
        match section {
            Ok((kind, der)) => sections.push(Section { kind, der, span }),
            Err(error) => return Err((span, error)),
        }
    }
}

fn of_pem(error: &Error) -> String {
    match error {
        Error::MissingSectionEnd { .. } => "the section that begins here has no end".to_owned(),
        Error::IllegalSectionStart { .. } => {
            "this begins no section: the dashes at its end are missing".to_owned()
        }
        Error::Base64Decode(_) => "the section that begins here is not base64".to_owned(),
        other => format!("the section that begins here: {other}"),
    }
}

fn of_certificate(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidCertificate(CertificateError::BadEncoding) => {
            "what begins here is no certificate".to_owned()
        }
        other => format!("the certificate that begins here: {other}"),
    }
}
