//! What crosses between the planes: one immutable snapshot one way, reports the other.

pub mod admin;
pub mod carried;
pub mod difference;
pub mod phases;
pub mod placement;
pub mod published;
pub mod reports;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use self::admin::Admin;
use crate::base::cidr::PrefixSet;
use crate::base::settings::Settings;
use crate::message::field::Underscores;
use crate::net::descriptors;
use crate::net::listen::{Bound, ListenAddress};
use crate::pool::Pool;
use crate::pool::standing::Standing;
use crate::route::Routes;

/// All that is true at one moment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the configuration said; shared by all snapshots made from it.
    pub plan: Arc<Plan>,
    /// Grows with every plan; tells one from the next.
    pub epoch: u64,
    /// One per pool, in the plan's order.
    pub standings: Vec<Arc<Standing>>,
    /// The listeners' sockets, in the plan's order.
    pub bound: Vec<Arc<Bound>>,
    /// Connections that may be open, over all workers.
    pub max_open: u32,
}

/// The configuration, parsed into types that cannot be wrong.
#[derive(Debug)]
pub struct Plan {
    /// Threads of the data plane, at least 1.
    pub workers: usize,
    /// Connections at once on all listeners; `None` is as many as the descriptors allow.
    pub max_connections: Option<u32>,
    /// The admin listener, if there is one.
    pub admin: Option<Admin>,
    /// The access log.
    pub access_log: AccessLog,
    /// Where clients come in.
    pub listeners: Vec<Arc<Listener>>,
    /// Which pool is whose.
    pub routes: Routes,
    /// Who serves.
    pub pools: Vec<Arc<Pool>>,
    /// How homing stops.
    pub shutdown: Shutdown,
    /// What stands outside of listeners, routes and pools, as it is in effect.
    pub settings: Settings,
}

/// An address that we accept on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Its name in configuration, logs and metrics.
    pub name: Arc<str>,
    /// Where it listens.
    pub listen: ListenAddress,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: PrefixSet,
    /// Whether connections begin with a PROXY header; then only trusted proxies and Unix sockets may connect.
    pub proxy_protocol: bool,
    /// Whether requests carry `Forwarded` (RFC 7239) beside `X-Forwarded-*`.
    pub forwarded: bool,
    /// Whether every request has an `X-Request-Id`, told to the backend and to the client.
    pub request_id: bool,
    /// Bounds on what a client may send.
    pub limits: Limits,
    /// How long a client may take.
    pub timeouts: ClientTimeouts,
    /// What the end of a client's sending side means while its request is in flight.
    pub half_close: HalfClose,
    /// Whether a bare LF ends a line of a request's head, as CRLF does. What goes on has CRLF.
    pub bare_lf: bool,
    /// What becomes of fields whose name has an underscore.
    pub underscores: Underscores,
    /// Whether HTTP/2 is offered to clients that come by TLS. (RFC 9113 section 3.3)
    pub http2: bool,
    /// Whether a client without TLS may begin with HTTP/2, by prior knowledge. (RFC 9113 section 3.3)
    pub h2c: bool,
    /// Whether answers carry `X-Homing-Affinity` with the reason for the choice.
    pub affinity_header: bool,
    /// Connections at once on this listener; 0 is no limit of its own.
    pub max_connections: u32,
    /// Connections at once of one client address (IPv6: of one /64) on this listener; 0 is no limit.
    pub max_connections_per_address: u32,
    /// Its section of the configuration as it is in effect.
    pub settings: Settings,
}

/// Bounds on what a client may send, and a backend may answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// A request head in all, bytes. Default 32 KiB; 431 beyond it.
    pub head: usize,
    /// One field, name and value, bytes. Default 16 KiB; 431 beyond it.
    pub field: usize,
    /// Fields in a head. Default 100; 431 beyond it.
    pub fields: usize,
    /// The least bytes per second of a request's body, after ten seconds; 0 is no bound. Default 240; 408 below it.
    pub body_rate: u32,
    /// The request target, bytes. Default 8 KiB; 414 beyond it.
    pub target: usize,
}

/// How long a client may take. Every one is above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientTimeouts {
    /// The whole PROXY header, from accept. Default 5 s.
    pub proxy_header: Duration,
    /// The whole head, from its first byte (from accept for the first). Default 10 s; 408.
    pub head: Duration,
    /// Between two reads of a body. Default 30 s.
    pub body: Duration,
    /// Without progress in writing a response. Default 30 s.
    pub write: Duration,
    /// Between two requests. Default 60 s.
    pub idle: Duration,
}

/// What the end of a client's sending side (FIN) means while its request is in flight.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HalfClose {
    /// Gone, unless the request said `Connection: close` or was HTTP/1.0: then the answer is still delivered.
    #[default]
    Auto,
    /// Always gone.
    Never,
    /// Never gone: the answer is always delivered.
    Always,
}

/// Where and how accesses are logged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccessLog {
    /// The form of a line.
    pub format: LogFormat,
    /// The file; standard output if `None`.
    pub path: Option<PathBuf>,
}

/// The form of an access log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// One JSON object.
    #[default]
    Json,
    /// nginx's and Apache's combined format.
    Combined,
    /// No access log.
    Off,
}

/// How homing stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shutdown {
    /// Readiness is off and everything is still served. Default 5 s.
    pub notice: Duration,
    /// Listeners are closed and requests in flight may end. Default 30 s.
    pub drain: Duration,
}

impl Plan {
    /// Connections that may be open with so many descriptors: what is configured, if there are descriptors for it.
    ///
    /// # Errors
    /// They do not suffice; what would.
    pub fn max_open(&self, descriptors: u64) -> Result<u32, String> {
        let fit = descriptors::connections(descriptors);
        let own = self.max_connections.map(|n| (n, String::new()));
        let of_listeners =
            self.listeners.iter().map(|l| (l.max_connections, format!(" of listener \"{}\"", l.name)));
        match own.into_iter().chain(of_listeners).find(|(n, _)| *n > fit) {
            None => Ok(self.max_connections.unwrap_or(fit)),
            Some((n, whose)) => {
                let needed = descriptors::needed(n);
                Err(format!(
                    "max_connections = {n}{whose} needs {needed} descriptors and this process may have {descriptors}; \
                     allow more (ulimit -n {needed}, or LimitNOFILE={needed} in a systemd unit), or set at most {fit}"
                ))
            }
        }
    }
}

impl Snapshot {
    /// The first snapshot of a plan: no verdicts yet, and no sockets.
    #[must_use]
    pub fn new(plan: Arc<Plan>) -> Self {
        let standings = plan.pools.iter().map(|p| Arc::new(Standing::initial(&p.members))).collect();
        Self { plan, epoch: 0, standings, bound: Vec::new(), max_open: u32::MAX }
    }
}
