//! How the backends of a pool are spoken to: the protocol, and whether it is encrypted.

use crate::backend::BackendIx;
use crate::net::tls::client::Connector;

/// What is spoken with backends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    H1,
    /// HTTP/2 over TLS.
    H2,
    /// HTTP/2 without TLS, known to be spoken. (RFC 9113 section 3.3)
    H2c,
}

/// How the backends of a pool are spoken to.
#[derive(Debug, Default)]
pub struct Transport {
    /// What is spoken.
    pub protocol: Protocol,
    /// How each member is shaken hands with, in their order; nothing where nothing is encrypted.
    pub connectors: Option<Box<[Connector]>>,
    /// What tells it from others: connections that one has made are not for another.
    pub digest: u64,
}

impl Protocol {
    /// Whether it is HTTP/2.
    #[must_use]
    pub const fn is_http2(self) -> bool {
        match self {
            Self::H1 => false,
            Self::H2 | Self::H2c => true,
        }
    }
}

impl Transport {
    /// How this member is shaken hands with.
    #[must_use]
    pub fn connector(&self, member: BackendIx) -> Option<&Connector> {
        self.connectors.as_ref()?.get(member.index())
    }
}
