//! What the counters of all workers add up to, and what the control plane counted beside them.

use super::histogram::Totals;
use super::reasons::{Abuse, H2Error, HandshakeEnd, Rejection, SnapshotEnd, UpstreamError};
use crate::base::time::UnixSeconds;

/// The classes of status codes, as labels.
pub const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// One listener's figures since it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenerTotals {
    /// Connections accepted.
    pub opened: u64,
    /// And closed again.
    pub closed: u64,
    /// Connections turned away, in the order of [`Rejection::ALL`].
    pub rejected: [u64; Rejection::ALL.len()],
    /// TLS handshakes, in the order of [`HandshakeEnd::ALL`].
    pub handshakes: [u64; HandshakeEnd::ALL.len()],
    /// HTTP/2 connections and streams ended for what clients did, in the order of [`Abuse::ALL`].
    pub abused: [u64; Abuse::ALL.len()],
    /// HTTP/2 streams reset for an error of the client's, in the order of [`H2Error::ALL`].
    pub reset: [u64; H2Error::ALL.len()],
    /// And connections ended for one.
    pub broken: [u64; H2Error::ALL.len()],
    /// Its TLS, if it has any.
    pub tls: Option<TlsFigures>,
}

/// What the control plane knows of a listener's certificates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsFigures {
    /// What each certificate is called, and its end.
    pub certificates: Vec<(String, UnixSeconds)>,
    /// Files that changed and could not be used; what they held before is in force.
    pub failures: u64,
}

/// One pool's figures since it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PoolTotals {
    /// Requests ended, in the order of [`CLASSES`].
    pub by_class: [u64; CLASSES.len()],
    /// Bytes of request bodies.
    pub bytes_in: u64,
    /// Bytes of response bodies.
    pub bytes_out: u64,
    /// From a request's head to its response's end.
    pub duration: Totals,
    /// Requests tried again, elsewhere or once more at home.
    pub retries: u64,
    /// Requests sent again after a stale connection.
    pub replays: u64,
    /// Requests not tried again: the budget for that was used up.
    pub denied: u64,
    /// Requests that waited for a full backend.
    pub queued: u64,
    /// Requests by what became of their session, in the order of `Layout::affinity`.
    pub affinity: Vec<u64>,
    /// Snapshots of its session table, in the order of [`SnapshotEnd::ALL`].
    pub snapshots: [u64; SnapshotEnd::ALL.len()],
}

/// One backend's figures since it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BackendTotals {
    /// Requests sent; each try counts.
    pub requests: u64,
    /// Requests that it failed, in the order of [`UpstreamError::ALL`].
    pub errors: [u64; UpstreamError::ALL.len()],
    /// Connections made.
    pub connects: u64,
    /// Requests sent on a kept connection.
    pub reuses: u64,
    /// Kept connections idle now.
    pub idle: u64,
    /// Active checks that were good.
    pub good_checks: u64,
    /// And bad.
    pub bad_checks: u64,
    /// Changes of its availability.
    pub state_changes: u64,
}

impl PoolTotals {
    /// Requests ended, in all.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.by_class.iter().sum()
    }
}

impl BackendTotals {
    /// Requests that it failed, in all.
    #[must_use]
    pub fn errors(&self) -> u64 {
        self.errors.iter().sum()
    }
}
