//! TLS, as listeners speak it, and connections to backends: bytes come in encrypted and are read in the clear.
//!
//! [`server`] is one listener's TLS, and reads its files again when they change. [`pair`] is a certificate with its
//! key, [`names`] which of several is whose, [`tickets`] what sessions are resumed by, [`subject`] who a client's
//! certificate is of; [`client`] shakes hands with backends. [`session`] is a connection once its handshake is done.
//! What a handshake waits for, and for how long, is its caller's business.

pub mod client;
pub mod names;
pub mod pair;
pub mod server;
pub mod session;
pub mod subject;
pub mod tickets;

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, aws_lc_rs};

/// The one implementation of cryptography that is used.
#[must_use]
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}
