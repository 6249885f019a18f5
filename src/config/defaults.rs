//! Every default and bound of the configuration, once, with its unit and where it comes from.
//!
//! `config.toml` shows the defaults, commented; a test compares. Peers' figures: nginx 1.31, HAProxy 3.2, Envoy's edge
//! guide.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::time::Duration;

use crate::affinity::table::Bounds;
use crate::pool::Timeouts;
use crate::pool::policy::Queue;
use crate::snapshot::{ClientTimeouts, Limits, Shutdown};

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Longest duration that may be set: sums of two never overflow a clock.
pub(super) const LONGEST: Duration = seconds(365 * 24 * 60 * 60);

/// Most threads of the data plane.
pub(super) const MAX_WORKERS: u32 = 1024;

/// Where `[admin]` listens: this machine alone may ask.
pub(super) const ADMIN: SocketAddr = SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, 9900));

/// Most nodes that one asks whether a backend can be stopped.
pub(super) const MOST_PEERS: usize = 32;

/// Bounds on a request. (431 and 414 beyond; nginx 4 x 8 KiB, HAProxy 16 KiB, Envoy 60 KiB)
/// 240 bytes a second are httpd's scale for a body's least rate (500 there).
pub(super) const LIMITS: Limits =
    Limits { head: 32 << 10, field: 16 << 10, fields: 100, body_rate: 240, target: 8 << 10 };
/// Least size of a head, a field or a target: below it browsers' requests do not fit.
pub(super) const LEAST_SIZE: usize = 256;
/// Largest head: it must fit a connection's buffer of 64 KiB together with what is written before the body.
pub(super) const LARGEST_HEAD: usize = 60 << 10;
/// Most fields of a head: what a request has room for while it is read. (HAProxy: 101, nginx: 1000)
pub(super) const MOST_FIELDS: u32 = crate::message::head::MAX_FIELDS as u32;
/// Whether a bare LF ends a line. (nginx and Apache before 2.4.25: yes; RFC 9112 section 2.2 leaves it open)
pub(super) const BARE_LF: bool = false;
/// Whether HTTP/2 is offered over TLS. (Caddy, Traefik, Envoy: yes; nginx since 1.25.1: `http2 on`)
pub(super) const HTTP2: bool = true;
/// Whether HTTP/2 is served without TLS. (Traefik, Caddy: on request)
pub(super) const H2C: bool = false;

/// How long clients may take. (nginx: 60 s between reads; Envoy's edge guide: 10 s for the head)
/// A PROXY header is the proxy's own, in one packet: it is late long before a client's head is.
pub(super) const CLIENT: ClientTimeouts = ClientTimeouts {
    proxy_header: seconds(5),
    tls_handshake: seconds(5),
    head: seconds(10),
    body: seconds(30),
    write: seconds(30),
    idle: seconds(60),
};

/// Largest bound on a request's body that can be set. (nginx: client_max_body_size, 1 MiB unless set; here off)
pub(super) const LARGEST_BODY: usize = 1 << 40;
/// Keys whose rate is known at once: 1.1 MiB for each limit. (nginx: as many as a zone's bytes hold)
pub(super) const RATE_ENTRIES: u32 = 65_536;
/// Bounds on them: the most are 280 MiB.
pub(super) const RATE_ENTRIES_BOUNDS: std::ops::RangeInclusive<u32> = 1024..=1 << 24;
/// Bits of an IPv6 address that have one rate: an IPv6 client has a whole /64. (RFC 4291 section 2.5.1)
pub(super) const RATE_V6_PREFIX: u8 = 64;
/// What a redirect answers with: the method stays. It is not to be stored unless the route says so.
pub(super) const REDIRECT: u16 = 308;
/// What a fixed answer answers with, and what it is.
pub(super) const RESPOND: u16 = 200;
pub(super) const RESPOND_TYPE: &str = "text/plain; charset=utf-8";
/// Requests on one connection; 0 is no limit. (nginx: keepalive_requests 1000)
pub(super) const MAX_REQUESTS: u32 = 0;
/// How old a connection becomes; 0 is no limit. (nginx: keepalive_time 1 h; Envoy: max_connection_duration, off)
pub(super) const MAX_AGE: Duration = Duration::ZERO;

/// Whether requests carry `Forwarded`. Applications that read both believe one of them.
pub(super) const FORWARDED: bool = false;
/// Whether requests and answers carry `X-Request-Id`. (Envoy: yes; nginx and HAProxy: as configured)
pub(super) const REQUEST_ID: bool = true;

/// Where `https_redirect` sends to: the port that is not written.
pub(super) const HTTPS_PORT: u32 = 443;

/// How long backends may take. (nginx: 60 s each; `idle` stays below the 5 s after which Node.js and others close)
pub(super) const BACKEND: Timeouts = Timeouts {
    connect: seconds(2),
    first_byte: seconds(60),
    read: seconds(60),
    write: seconds(30),
    idle: seconds(4),
    tunnel: seconds(60 * 60),
    max_idle: 256,
};
/// Most idle connections kept per backend and worker.
pub(super) const MOST_IDLE: u32 = 65_535;
/// From here on an idle connection may be closed by the backend just as a request is sent on it. (Node.js: 5 s)
pub(super) const RISKY_IDLE: Duration = seconds(5);

/// The strategy. (nginx's default)
pub(super) const STRATEGY: &str = "round_robin";
/// Bits of an IPv4 client address that are the key: all.
pub(super) const V4_PREFIX: u8 = 32;
/// Bits of an IPv6 client address that are the key: all.
pub(super) const V6_PREFIX: u8 = 128;

/// A backend's share of new sessions. (nginx: weight)
pub(super) const WEIGHT: u16 = 1;
/// Requests at once on a backend; 0 is no limit. (nginx: max_conns)
pub(super) const MAX_CONNS: u32 = 0;
/// Failures that close a backend to new sessions. (nginx: max_fails)
pub(super) const MAX_FAILS: u32 = 1;
/// Within which time, and for how long. (nginx: fail_timeout)
pub(super) const FAIL_TIMEOUT: Duration = seconds(10);
/// How long the share of a backend that came back grows: it is given it at once. (nginx: slow_start)
pub(super) const SLOW_START: Duration = Duration::ZERO;
/// How long a backend that is gone from the list still serves its sessions: as long as those are kept by default.
pub(super) const LEAVE: Duration = seconds(30 * 60);
/// The share of a pool's requests above which one key is warned of: then it alone fills a backend.
pub(super) const SKEW: f64 = 0.5;
/// How much more than its share of the requests in flight a member may have: as much as comes.
/// (HAProxy: hash-balance-factor, off there; "reasonable values are between 125 and 200" percent)
pub(super) const MAX_LOAD: u32 = 0;
/// Highest bound on that: above it nothing is bounded.
pub(super) const MOST_LOAD: f64 = 1000.0;
/// How requests wait for a full backend. (HAProxy: maxqueue, off there; timeout queue)
pub(super) const QUEUE: Queue = Queue { size: 100, timeout: seconds(5) };
/// Most requests that may wait for one backend: each is a client's connection.
pub(super) const LONGEST_QUEUE: u32 = 1_000_000;
/// Most backends of a pool: a place is 16 bits.
pub(super) const MOST_BACKENDS: usize = 65_535;
/// Longest name of a backend, in bytes: what fits a sealed pin.
pub(super) const LONGEST_ID: usize = crate::affinity::seal::MAX_ID;

/// The cookie's name. (as in nginx's and HAProxy's manuals)
pub(super) const COOKIE: &str = "srv";
/// The header that carries pins.
pub(super) const HEADER: &str = "x-homing-session";
/// The status that tells a client to begin a new session. (MCP: a session that is not there)
pub(super) const BEGIN_ANEW: u16 = 404;
/// Behind what a route begins in an application's value. (Tomcat: jvmRoute)
pub(super) const SEPARATORS: &str = ".";
/// How large a table of sessions may grow: a million of them, with room to spare. (HAProxy: size, no default)
pub(super) const TABLE: Bounds = Bounds { entries: 1_000_000, bytes: 150 << 20 };
/// From one copy of the table on disk to the next.
pub(super) const TABLE_INTERVAL: Duration = seconds(60);
/// Longest route, in bytes.
pub(super) const LONGEST_ROUTE: usize = 128;
/// How long a session lasts without a request. (HAProxy: maxidle, off there)
pub(super) const IDLE: Duration = seconds(30 * 60);
/// How long a session whose backend is lost waits for it, where that is wanted and no time is said.
pub(super) const WAIT: Duration = seconds(5);
/// What a session is refused with whose backend is lost. (Envoy: stateful session, strict)
pub(super) const STRICT: u16 = 503;
/// The pause after which a session goes back to its first home, where that is wanted.
pub(super) const RETURN_AFTER: Duration = seconds(5 * 60);

/// Between two probes. (HAProxy: inter 2s)
pub(super) const INTERVAL: Duration = seconds(2);
/// For one probe. A backend that needs longer for a check is not well.
pub(super) const PROBE_TIMEOUT: Duration = seconds(1);
/// Good probes in a row that turn a backend up. (HAProxy: rise 2)
pub(super) const RISE: u32 = 2;
/// Bad probes in a row that turn a backend down. (HAProxy: fall 3)
pub(super) const FALL: u32 = 3;
/// Percent by which the interval varies. (HAProxy: spread-checks, off there)
pub(super) const JITTER: u32 = 10;
/// What a probe sends.
pub(super) const METHOD: &str = "GET";
/// Statuses that count as good. (HAProxy: 2xx and 3xx)
pub(super) const EXPECT: (u16, u16) = (200, 399);

/// How homing stops. (HAProxy: grace; nginx: worker_shutdown_timeout)
pub(super) const SHUTDOWN: Shutdown = Shutdown { notice: seconds(5), drain: seconds(30) };
