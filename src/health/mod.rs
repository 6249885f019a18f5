//! Verdicts from checks and from real requests: pure counting, no sockets and no clock.
//!
//! [`streak`] turns probe results into up and down; [`outlier`] turns failures of real requests into ejections;
//! [`asked`] is what a backend asks for in its answer to a probe.
//! Who probes is [`crate::control`].

pub mod asked;
pub mod outlier;
pub mod streak;

use std::time::Duration;

/// How a pool's backends are probed.
#[derive(Clone, Debug, PartialEq)]
pub struct Check {
    /// What is sent and what must come back.
    pub probe: Probe,
    /// From the end of one probe to the start of the next, give or take `jitter`.
    pub interval: Duration,
    /// The longest a probe may take, connect to verdict.
    pub timeout: Duration,
    /// Good probes in a row that turn it up.
    pub rise: u32,
    /// Bad probes in a row that close it to new sessions.
    pub fall: u32,
    /// Bad probes in a row that close it to its own as well; no less than `fall`.
    pub fall_pinned: u32,
    /// The share of `interval`, in percent, by which each wait is varied so that probes do not march in step.
    pub jitter: u32,
}

/// What a probe sends and expects.
#[derive(Clone, Debug, PartialEq)]
pub enum Probe {
    /// The connection is accepted.
    Tcp,
    /// An HTTP/1.1 request is answered as expected.
    Http(HttpProbe),
    /// gRPC's health service (`grpc.health.v1.Health/Check`) says that this service serves; of no name, the server.
    Grpc(String),
}

/// An HTTP probe.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpProbe {
    /// Default `GET`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The Host field; the backend's address if absent.
    pub host: Option<String>,
    /// Further fields.
    pub headers: Vec<(String, String)>,
    /// Statuses that count as good, as inclusive ranges. Default 200 to 399.
    pub expect: Vec<(u16, u16)>,
    /// Statuses by which a backend asks for no new sessions, as inclusive ranges; they count as good. Default none.
    /// (HAProxy: http-check disable-on-404)
    pub drain: Vec<(u16, u16)>,
    /// Text that the first 64 KiB of the body must contain.
    pub body: Option<String>,
}
