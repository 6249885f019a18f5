//! The rows: what is counted, with which configuration, under which load.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use super::load::{Brings, Wire, Work};

/// What is counted.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// User-space instructions, by callgrind.
    Instructions,
    /// System calls, by strace.
    Calls,
}

/// One line of the table and of the budget.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    pub(crate) unit: Unit,
    pub(crate) work: Work,
    /// Requests on each connection in the shorter run.
    pub(crate) rounds: usize,
    placing: Placing,
    is_logged: bool,
}

/// How a request finds its backend.
#[derive(Clone, Copy)]
enum Placing {
    /// By a hash of the client's address.
    Hash,
    /// In turn.
    Turn,
    /// In turn, and by `[pool.affinity]` with these keys from then on.
    Affinity(&'static str),
}

/// By homing's own cookie.
const COOKIE: Placing = Placing::Affinity("mode = \"cookie\"\nname = \"srv\"");

/// A request that is answered with 200 B, without a cookie.
const PLAIN: Row = Row {
    name: "hash",
    about: "keep-alive, 200 B answers, hash of the client's address",
    unit: Unit::Instructions,
    work: Work { answer: 200, ..Work::GET },
    rounds: 40,
    placing: Placing::Hash,
    is_logged: false,
};

/// All rows, in the order of the table.
pub(crate) const ROWS: [Row; 15] = [
    PLAIN,
    Row {
        name: "cookie",
        about: "the same, an affinity cookie presented",
        work: Work { brings: Brings::Cookie, ..PLAIN.work },
        placing: COOKIE,
        ..PLAIN
    },
    Row { name: "first", about: "a first visit: a cookie set on each answer", placing: COOKIE, ..PLAIN },
    Row {
        name: "robin",
        about: "as hash, in turn, with a cookie that homing does not look at",
        work: Work { brings: Brings::Route, ..PLAIN.work },
        placing: Placing::Turn,
        ..PLAIN
    },
    Row {
        name: "header",
        about: "as robin, a pin in a header",
        work: Work { brings: Brings::Header, ..PLAIN.work },
        placing: Placing::Affinity("mode = \"header\""),
        ..PLAIN
    },
    Row {
        name: "learn",
        about: "as robin, the application's own cookie, learned",
        work: Work { brings: Brings::Cookie, makes_ids: true, ..PLAIN.work },
        placing: Placing::Affinity("mode = \"learn\"\ncreate = \"cookie:JSESSIONID\""),
        ..PLAIN
    },
    Row {
        name: "route",
        about: "as robin, a cookie that ends in its backend's route",
        work: Work { brings: Brings::Route, ..PLAIN.work },
        placing: Placing::Affinity("preset = \"tomcat\""),
        ..PLAIN
    },
    Row {
        name: "close",
        about: "a connection per request",
        work: Work { is_closing: true, ..PLAIN.work },
        rounds: 60,
        ..PLAIN
    },
    Row { name: "16k", about: "16 KiB answers", work: Work { answer: 16 * 1024, ..PLAIN.work }, ..PLAIN },
    Row {
        name: "ws",
        about: "a WebSocket tunnel, echo of 1,000 B",
        work: Work { answer: 1000, is_tunnel: true, ..PLAIN.work },
        rounds: 120,
        ..PLAIN
    },
    Row {
        name: "tls_h1",
        about: "as hash, over TLS 1.3",
        work: Work { wire: Wire::Tls, ..PLAIN.work },
        ..PLAIN
    },
    Row {
        name: "tls_handshake",
        about: "a TLS 1.3 connection per request, full handshake",
        work: Work { wire: Wire::Tls, is_closing: true, ..PLAIN.work },
        rounds: 8,
        ..PLAIN
    },
    Row {
        name: "h2c",
        about: "HTTP/2 in the clear, 32 streams on one connection",
        work: Work { wire: Wire::H2c, ..PLAIN.work },
        ..PLAIN
    },
    Row { name: "log", about: "as hash, with the JSON access log", is_logged: true, ..PLAIN },
    Row { name: "calls", about: "system calls of hash", unit: Unit::Calls, rounds: 100, ..PLAIN },
];

impl Unit {
    /// A count as the table shows it: `14,512` or `4.13`.
    pub(crate) fn show(self, count: f64) -> String {
        match self {
            Self::Calls => format!("{count:.2}"),
            Self::Instructions => {
                let digits = format!("{count:.0}");
                let mut out = String::new();
                for (i, digit) in digits.chars().enumerate() {
                    if i > 0 && (digits.len() - i).is_multiple_of(3) {
                        out.push(',');
                    }
                    out.push(digit);
                }
                out
            }
        }
    }
}

impl Row {
    /// As shipped by default, but for one worker and the log.
    pub(crate) fn config(&self, backends: &[SocketAddr], folder: &Path) -> String {
        let mut out = "workers = 1\n[shutdown]\nnotice = \"1ms\"\ndrain = \"5s\"\n[access_log]\n".to_owned();
        let log = if self.is_logged { "path = \"/dev/null\"" } else { "format = \"off\"" };
        let strategy = match self.placing {
            Placing::Hash => "{ kind = \"hash\", key = \"client_ip\", consistent = true }",
            Placing::Turn | Placing::Affinity(_) => "\"round_robin\"",
        };
        let backend = |(n, address)| format!("{{ address = \"{address}\", route = \"node{n}\" }}");
        let (folder, tls) = (folder.display(), "tls = { certificate =");
        let wire = match self.work.wire {
            Wire::Plain => String::new(),
            Wire::Tls => format!("{tls} \"{folder}/certificate.pem\", key = \"{folder}/key.pem\" }}\n"),
            Wire::H2c => "h2c = true\n".to_owned(),
        };
        let backends: Vec<_> = backends.iter().enumerate().map(backend).collect();
        // Writing to memory does not fail.
        let _ = write!(
            out,
            "{log}\n[[listener]]\nlisten = \"127.0.0.1:0\"\n{wire}[[pool]]\nname = \"app\"\nstrategy = {strategy}\n\
             backends = [{}]\n",
            backends.join(", ")
        );
        if let Placing::Affinity(keys) = self.placing {
            // Sessions are written once in 30 minutes: in a slow run none is written twice.
            let _ = writeln!(out, "[pool.affinity]\n{keys}\nidle = \"30d\"");
        }
        out
    }
}
