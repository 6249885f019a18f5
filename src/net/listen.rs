//! Addresses that we accept on, and the sockets for them.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;

/// Where a listener listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An IP address and port. `:8080` is written as `[::]:8080` with `both_families`.
    Tcp {
        /// The address.
        address: SocketAddr,
        /// Whether an IPv6 wildcard socket also takes IPv4 clients.
        both_families: bool,
    },
    /// A Unix socket's path.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { address, both_families: true } => write!(f, ":{}", address.port()),
            Self::Tcp { address, both_families: false } => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}
