//! One line of the access log, formatted by hand: JSON, or nginx's combined format.
//!
//! Written once per request, so it avoids `write!`; how the pieces come together is in `line_sink.rs`. Cookies
//! and tokens have no field here, and so cannot be logged.

use super::access_log::Format;
use super::line_sink::{Combined, Json, Scratch, Sink};
use crate::base::time::civil;

/// What is logged of one request. Text that clients send may be any bytes; it is escaped. Addresses, the version and
/// the words of ours are not looked at: they need no escape.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// When the request began: milliseconds since 1970.
    pub ts_ms: u64,
    /// The request's id.
    pub id: &'a [u8],
    /// Who asked, after trusted proxies were believed. Empty for a Unix socket.
    pub client_ip: &'a [u8],
    /// Who connected. Empty for a Unix socket.
    pub peer_ip: &'a [u8],
    /// Where it came in.
    pub listener: &'a str,
    /// `GET`
    pub method: &'a [u8],
    /// The host asked for.
    pub host: &'a [u8],
    /// The target's path.
    pub path: &'a [u8],
    /// The target's query, without the question mark.
    pub query: Option<&'a [u8]>,
    /// `HTTP/1.1`
    pub proto: &'a str,
    /// The version of TLS, if the client came by it.
    pub tls: Option<&'a str>,
    /// The name that it asked for in its handshake.
    pub sni: Option<&'a [u8]>,
    /// The status sent, or what a stream that was reset for its client's error would have had; 0 if there is none.
    pub status: u16,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the response's body.
    pub bytes_out: u64,
    /// Head read to response sent, microseconds.
    pub dur: u64,
    /// The route: its host and path as configured.
    pub route: Option<&'a str>,
    /// The pool.
    pub pool: Option<&'a str>,
    /// The id of the backend that answered, or failed last.
    pub backend: Option<&'a str>,
    /// Its address.
    pub backend_addr: Option<&'a str>,
    /// Backends tried.
    pub tries: u8,
    /// How long it waited for a full or lost backend, microseconds; `None` if it did not.
    pub t_wait: Option<u64>,
    /// How long connecting took, microseconds; `None` if no connection was made.
    pub t_connect: Option<u64>,
    /// Request begun to response head, microseconds.
    pub t_first_byte: Option<u64>,
    /// Whether a kept connection was used.
    pub conn_reused: bool,
    /// What became of the session: `hit`, `new`, `moved`, ..
    pub affinity: &'a str,
    /// And why.
    pub reason: &'a str,
    /// Who ended the request, and where: `ok`, `client.body`, `backend.head`, ..
    pub end: &'a str,
    /// The `User-Agent` field.
    pub ua: Option<&'a [u8]>,
    /// The `Referer` field.
    pub referer: Option<&'a [u8]>,
}

/// Formats lines; keeps the text of the present second.
#[derive(Debug)]
pub(super) struct Formatter {
    format: Format,
    /// Which second `stamp` says; none at first.
    second: u64,
    /// `2026-11-23T10:20:30` or `23/Nov/2026:10:20:30 +0000`, by the format.
    stamp: Vec<u8>,
    scratch: Scratch,
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

impl Formatter {
    pub(super) fn new(format: Format) -> Self {
        Self { format, second: u64::MAX, stamp: Vec::new(), scratch: Scratch::new() }
    }

    /// Appends the entry's line.
    pub(super) fn line(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        self.at(entry.ts_ms);
        let stamp = &self.stamp;
        let quick = self.scratch.line(|line| match self.format {
            Format::Json => json(stamp, entry, line),
            Format::Combined => combined(stamp, entry, line),
        });
        match (quick, self.format) {
            (Some(line), _) => out.extend_from_slice(line),
            (None, Format::Json) => json(stamp, entry, &mut Json(out)),
            (None, Format::Combined) => combined(stamp, entry, &mut Combined(out)),
        }
    }

    /// Appends a line that says how many lines are missing here.
    pub(super) fn dropped(&mut self, lines: u64, now_ms: u64, out: &mut Vec<u8>) {
        self.at(now_ms);
        match self.format {
            Format::Json => {
                let mut out = Json(out);
                json_stamp(&self.stamp, now_ms, &mut out);
                out.fixed(b"\",\"dropped\":");
                out.number(lines);
                out.fixed(b"}\n");
            }
            Format::Combined => {
                let mut out = Combined(out);
                out.text(b"- - - [", &self.stamp);
                out.fixed(b"] \"-\" 0 0 \"-\" \"homing dropped ");
                out.number(lines);
                out.fixed(b" lines\"\n");
            }
        }
    }

    /// Makes `stamp` say the second in which `ts_ms` lies.
    fn at(&mut self, ts_ms: u64) {
        let second = ts_ms / 1000;
        if second == self.second {
            return;
        }
        self.second = second;
        let (year, month, day) = civil(second / 86_400);
        let clock = second % 86_400;
        let mut hms = [clock / 3600, clock / 60 % 60, clock % 60].map(two_digits);
        let stamp = &mut self.stamp;
        stamp.clear();
        match self.format {
            Format::Json => {
                stamp.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
                for part in [b"-", &two_digits(month)[..], b"-", &two_digits(day), b"T"] {
                    stamp.extend_from_slice(part);
                }
                stamp.extend_from_slice(&hms.as_flattened_mut()[..2]);
                for part in &hms[1..] {
                    stamp.push(b':');
                    stamp.extend_from_slice(part);
                }
            }
            Format::Combined => {
                let month = MONTHS.get(month as usize - 1).copied().unwrap_or(b"Jan");
                for part in [&two_digits(day)[..], b"/", month, b"/"] {
                    stamp.extend_from_slice(part);
                }
                stamp.extend_from_slice(itoa::Buffer::new().format(year).as_bytes());
                for part in &hms {
                    stamp.push(b':');
                    stamp.extend_from_slice(part);
                }
                stamp.extend_from_slice(b" +0000");
            }
        }
    }
}

fn json(stamp: &[u8], e: &Entry<'_>, out: &mut impl Sink) {
    json_stamp(stamp, e.ts_ms, out);
    out.text(b"\",\"id\":\"", e.id);
    out.word(b"\",\"client_ip\":\"", e.client_ip);
    out.word(b"\",\"peer_ip\":\"", e.peer_ip);
    out.text(b"\",\"listener\":\"", e.listener.as_bytes());
    out.text(b"\",\"method\":\"", e.method);
    out.text(b"\",\"host\":\"", e.host);
    out.text(b"\",\"path\":\"", e.path);
    optional(out, b"\",\"query\":\"", e.query);
    out.word(b"\",\"proto\":\"", e.proto.as_bytes());
    if let Some(version) = e.tls {
        out.word(b"\",\"tls\":\"", version.as_bytes());
        optional(out, b"\",\"sni\":\"", e.sni);
    }
    // Every piece above leaves its closing quote to the next one, and so do those from "affinity" on.
    out.fixed(b"\",\"status\":");
    out.number(u64::from(e.status));
    out.fixed(b",\"bytes_in\":");
    out.number(e.bytes_in);
    out.fixed(b",\"bytes_out\":");
    out.number(e.bytes_out);
    out.fixed(b",\"dur_ms\":");
    millis(out, e.dur);
    if let Some(backend) = e.backend {
        out.fixed(b",\"tries\":");
        out.number(u64::from(e.tries));
        if let Some(micros) = e.t_wait {
            out.fixed(b",\"t_wait_ms\":");
            millis(out, micros);
        }
        if let Some(micros) = e.t_connect {
            out.fixed(b",\"t_connect_ms\":");
            millis(out, micros);
        }
        if let Some(micros) = e.t_first_byte {
            out.fixed(b",\"t_first_byte_ms\":");
            millis(out, micros);
        }
        if e.conn_reused {
            out.text(b",\"conn_reused\":true,\"backend\":\"", backend.as_bytes());
        } else {
            out.text(b",\"conn_reused\":false,\"backend\":\"", backend.as_bytes());
        }
        optional(out, b"\",\"backend_addr\":\"", e.backend_addr.map(str::as_bytes));
        out.fixed(b"\"");
    }
    out.word(b",\"affinity\":\"", e.affinity.as_bytes());
    out.word(b"\",\"affinity_reason\":\"", e.reason.as_bytes());
    out.word(b"\",\"end\":\"", e.end.as_bytes());
    optional(out, b"\",\"route\":\"", e.route.map(str::as_bytes));
    optional(out, b"\",\"pool\":\"", e.pool.map(str::as_bytes));
    optional(out, b"\",\"ua\":\"", e.ua);
    optional(out, b"\",\"referer\":\"", e.referer);
    out.fixed(b"\"}\n");
}

/// Without the closing quote.
fn json_stamp(stamp: &[u8], ts_ms: u64, out: &mut impl Sink) {
    out.word(b"{\"ts\":\"", stamp);
    let [a, b, c] = three_digits(ts_ms % 1000);
    out.fixed(&[b'.', a, b, c, b'Z']);
}

/// `$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
fn combined(stamp: &[u8], e: &Entry<'_>, out: &mut impl Sink) {
    out.text(b"", if e.client_ip.is_empty() { b"unix:" } else { e.client_ip });
    out.text(b" - - [", stamp);
    out.text(b"] \"", e.method);
    out.text(b" ", e.path);
    optional(out, b"?", e.query);
    out.text(b" ", e.proto.as_bytes());
    out.fixed(b"\" ");
    out.number(u64::from(e.status));
    out.fixed(b" ");
    out.number(e.bytes_out);
    out.text(b" \"", or_dash(e.referer));
    out.text(b"\" \"", or_dash(e.ua));
    out.fixed(b"\"\n");
}

const fn two_digits(n: u64) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

const fn three_digits(n: u64) -> [u8; 3] {
    [b'0' + (n / 100 % 10) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

fn or_dash(value: Option<&[u8]>) -> &[u8] {
    value.filter(|v| !v.is_empty()).unwrap_or(b"-")
}

#[inline]
fn optional<const N: usize>(out: &mut impl Sink, key: &[u8; N], value: Option<&[u8]>) {
    if let Some(value) = value {
        out.text(key, value);
    }
}

/// Microseconds as milliseconds with three decimals.
#[inline]
fn millis(out: &mut impl Sink, micros: u64) {
    out.number(micros / 1000);
    let [a, b, c] = three_digits(micros % 1000);
    out.fixed(&[b'.', a, b, c]);
}

#[cfg(test)]
#[path = "access_line_tests.rs"]
mod tests;
