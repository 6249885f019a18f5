//! The rows of the table: what is asked of the proxies, and the bar that homing is held to.

/// One row.
pub(crate) struct Row {
    /// How it is asked for.
    pub(crate) name: &'static str,
    /// One line for people.
    pub(crate) about: &'static str,
    /// How a proxy is to choose among the backends.
    pub(crate) choice: Choice,
    /// How many backends there are.
    pub(crate) backends: usize,
    /// How many workers each proxy has. Where it is two, proxies and load share both processors.
    pub(crate) workers: usize,
    /// What is spoken.
    pub(crate) wire: Wire,
    /// What the load generator is told, beside address and time.
    pub(crate) load: &'static [&'static str],
    /// What is compared.
    pub(crate) figure: Figure,
    /// The bar.
    pub(crate) bar: Bar,
}

/// How a proxy chooses.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Choice {
    /// By a consistent hash of the client's address.
    Address,
    /// By an affinity cookie that the client presents.
    Cookie,
    /// In turn; the answer sets an affinity cookie.
    FirstVisit,
}

/// What clients and backends speak.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// HTTP/1.1 with both.
    Plain,
    /// TLS with clients, who choose HTTP/1.1 or HTTP/2 by it; HTTP/1.1 with backends.
    Tls,
    /// HTTP/2 over TLS with clients, without it with backends.
    Grpc,
}

/// What a row compares.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Figure {
    /// User and system time of the proxy per answered request, in microseconds.
    CpuPerRequest,
    /// The 99th percentile of latency, in milliseconds.
    SlowestPercent,
    /// Growth of resident memory per held connection, in KB (1,000 bytes).
    GrowthPerConnection,
    /// Resident memory under load, in MiB.
    Memory,
}

/// What homing is held to. Ratios are homing's figure to the peer's.
#[derive(Clone, Copy)]
pub(crate) struct Bar {
    pub(crate) nginx: Option<f64>,
    pub(crate) haproxy: Option<f64>,
    /// Of homing's own figure, in the unit of the row.
    pub(crate) own: Option<f64>,
    /// Where the row would rather be, against nginx (or in homing's own figure where the bar is one).
    pub(crate) stretch: Option<f64>,
}

/// Connections that the row `idle` holds, where descriptors allow it.
pub(crate) const HELD: u64 = 9_000;

/// What the load is told where every handshake is to be a resumed one.
pub(crate) const RESUME: &str = "--resume";

/// The most rounds of a row of memory: each starts the proxies anew, and memory has no noise worth more.
pub(crate) const MEMORY_ROUNDS: u32 = 3;

const fn against(nginx: f64, haproxy: f64, stretch: f64) -> Bar {
    Bar { nginx: Some(nginx), haproxy: Some(haproxy), own: None, stretch: Some(stretch) }
}

const fn against_nginx(nginx: f64, stretch: f64) -> Bar {
    Bar { nginx: Some(nginx), haproxy: None, own: None, stretch: Some(stretch) }
}

const fn of_itself(own: f64, stretch: Option<f64>) -> Bar {
    Bar { nginx: None, haproxy: None, own: Some(own), stretch }
}

/// Every row. The bars are the project's own goals for its speed, as set before it was measured: what an upstream leg of
/// one's own was seen to give over nginx 1.22 and HAProxy 2.6, less the cost of a product's duties; for TLS and HTTP/2,
/// what rustls and that leg were seen to give. 1.0 is parity.
pub(crate) const ROWS: &[Row] = &[
    Row {
        name: "hash",
        about: "keep-alive, 200 B answers, 64 connections, hash of the client's address",
        load: &["--sources", "60"],
        bar: against(1.0, 1.0, 0.90),
        ..BASE
    },
    Row {
        name: "cookie",
        about: "the same, affinity cookie presented",
        choice: Choice::Cookie,
        bar: against(0.95, 0.95, 0.85),
        ..BASE
    },
    Row {
        name: "first",
        about: "the same, first visit: a cookie set on each answer",
        choice: Choice::FirstVisit,
        bar: against(0.95, 0.95, 0.85),
        ..BASE
    },
    Row {
        name: "close",
        about: "a connection per request",
        load: &["--sources", "60", "--connection-per-request"],
        bar: against(1.05, 1.0, 0.95),
        ..BASE
    },
    Row {
        name: "16k",
        about: "16 KiB answers",
        load: &["--sources", "60", "--answer", "16384"],
        bar: against(0.95, 0.85, 0.75),
        ..BASE
    },
    Row {
        name: "1m",
        about: "1 MiB answers, 16 connections",
        load: &["--sources", "60", "--answer", "1048576", "--connections", "16"],
        bar: against_nginx(0.75, 0.60),
        ..BASE
    },
    Row {
        name: "up1m",
        about: "1 MiB uploads, 16 connections",
        load: &["--sources", "60", "--upload", "1048576", "--connections", "16"],
        bar: against_nginx(0.50, 0.35),
        ..BASE
    },
    Row {
        name: "many",
        about: "256 connections of 100 addresses, 100 backends",
        backends: 100,
        load: &["--sources", "100", "--connections", "256"],
        bar: against(0.90, 0.90, 0.78),
        ..BASE
    },
    Row {
        name: "ws",
        about: "WebSocket, echo of messages of 1,000 B, 64 connections",
        load: &["--sources", "60", "--message", "1000"],
        bar: against(1.05, 1.05, 1.0),
        ..BASE
    },
    Row {
        name: "tls",
        about: "TLS 1.3, HTTP/1.1 keep-alive, 200 B answers, 64 connections",
        wire: Wire::Tls,
        load: &["--sources", "60", "--tls"],
        bar: against(0.85, 0.85, 0.70),
        ..BASE
    },
    Row {
        name: "h2",
        about: "TLS 1.3, HTTP/2, 8 connections of 32 streams, 200 B answers, backends by HTTP/1.1",
        wire: Wire::Tls,
        load: &["--sources", "60", "--tls", "--connections", "8", "--streams", "32"],
        bar: against(0.70, 0.70, 0.45),
        ..BASE
    },
    Row {
        name: "full",
        about: "a TLS 1.3 connection per request, full handshake",
        wire: Wire::Tls,
        load: &["--sources", "60", "--tls", "--connection-per-request"],
        bar: against(0.65, 0.65, 0.50),
        ..BASE
    },
    Row {
        name: "resumed",
        about: "a TLS 1.3 connection per request, resumed by the ticket of the one before",
        wire: Wire::Tls,
        load: &["--sources", "60", "--tls", "--connection-per-request", RESUME],
        bar: against(0.75, 0.75, 0.50),
        ..BASE
    },
    Row {
        name: "grpc",
        about: "unary gRPC, messages of 100 B, 8 connections of 32 streams over TLS 1.3, HTTP/2 to backends",
        wire: Wire::Grpc,
        load: &["--sources", "60", "--tls", "--connections", "8", "--streams", "32", "--grpc", "100"],
        ..BASE
    },
    Row {
        name: "two",
        about: "as hash, two workers on two processors, shared with the load",
        workers: 2,
        load: &["--sources", "60"],
        bar: against(1.0, 1.0, 0.90),
        ..BASE
    },
    Row {
        name: "idle",
        about: "9,000 idle keep-alive connections: growth of resident memory each",
        load: &["--sources", "60"],
        figure: Figure::GrowthPerConnection,
        bar: of_itself(3.0, Some(1.5)),
        ..BASE
    },
    Row {
        name: "rss",
        about: "resident memory under load of 64 connections",
        load: &["--sources", "60"],
        figure: Figure::Memory,
        bar: of_itself(12.0, None),
        ..BASE
    },
    Row {
        name: "rate",
        about: "4,000 requests/s whatever the answers do, 64 connections: p99 latency",
        load: &["--sources", "60", "--rate", "4000"],
        figure: Figure::SlowestPercent,
        bar: Bar { nginx: Some(1.0), haproxy: None, own: None, stretch: None },
        ..BASE
    },
];

/// What rows have in common.
const BASE: Row = Row {
    name: "",
    about: "",
    choice: Choice::Address,
    backends: 3,
    workers: 1,
    wire: Wire::Plain,
    load: &[],
    figure: Figure::CpuPerRequest,
    bar: Bar { nginx: None, haproxy: None, own: None, stretch: None },
};

impl Row {
    /// How many rounds it has, of those asked for.
    pub(crate) fn rounds(&self, asked: u32) -> u32 {
        match self.figure {
            Figure::CpuPerRequest | Figure::SlowestPercent => asked,
            Figure::GrowthPerConnection | Figure::Memory => asked.min(MEMORY_ROUNDS),
        }
    }

    /// Whether each round has proxies of its own: memory remembers what went before.
    pub(crate) fn starts_anew(&self) -> bool {
        matches!(self.figure, Figure::GrowthPerConnection | Figure::Memory)
    }
}

impl Figure {
    /// What it is called in a table.
    pub(crate) fn unit(self) -> &'static str {
        match self {
            Self::CpuPerRequest => "us CPU/request",
            Self::SlowestPercent => "ms p99",
            Self::GrowthPerConnection => "KB/connection",
            Self::Memory => "MiB",
        }
    }
}
