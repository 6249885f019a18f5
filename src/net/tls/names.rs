//! Which certificate is whose: by the name that a client asks for (SNI).

use std::sync::Arc;

use ahash::AHashMap;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

use super::pair::Pair;

/// What a client is shown that asks for a name that no certificate has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownName {
    /// The first certificate.
    #[default]
    Default,
    /// Nothing: the alert `unrecognized_name`.
    Reject,
}

/// A listener's certificates by name.
#[derive(Debug)]
pub struct Certificates {
    /// As they are listed: the first is the default.
    pub pairs: Vec<Pair>,
    /// By whole name.
    exact: AHashMap<Box<str>, usize>,
    /// By what follows the `*.` of a wildcard, which stands for one label.
    wild: AHashMap<Box<str>, usize>,
}

impl Certificates {
    /// Of two that are for one name the first is shown.
    #[must_use]
    pub fn new(pairs: Vec<Pair>) -> Self {
        let (mut exact, mut wild) = (AHashMap::new(), AHashMap::new());
        for (place, pair) in pairs.iter().enumerate() {
            for name in &pair.names {
                match name.strip_prefix("*.") {
                    Some(rest) => wild.entry(rest.into()).or_insert(place),
                    None => exact.entry(name.clone()).or_insert(place),
                };
            }
        }
        Self { pairs, exact, wild }
    }

    /// Whether one of them is for this name, which is in lower case.
    #[must_use]
    pub fn is_known(&self, name: &str) -> bool {
        self.find(name).is_some()
    }

    /// The one for this name: a whole name counts before a wildcard.
    fn find(&self, name: &str) -> Option<&Pair> {
        let place = self.exact.get(name).or_else(|| self.wild.get(name.split_once('.')?.1))?;
        self.pairs.get(*place)
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // The name is in lower case already.
        let pair = hello.server_name().and_then(|name| self.find(name)).or_else(|| self.pairs.first())?;
        Some(Arc::clone(&pair.certified))
    }
}
