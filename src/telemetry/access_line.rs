//! One line of the access log, formatted by hand: JSON, or nginx's combined format.
//!
//! Written once per request, so it avoids `write!`: fixed pieces are copied, numbers go through `itoa`, and text
//! that needs no escape, which is nearly all, is checked 16 bytes at a time and copied whole. Cookies and tokens have
//! no field here, and so cannot be logged.

use super::access_log::Format;

/// What is logged of one request. Text that clients send may be any bytes; it is escaped.
#[derive(Clone, Copy, Debug, Default)]
pub struct Entry<'a> {
    /// When the request began: milliseconds since 1970.
    pub ts_ms: u64,
    /// The request's id.
    pub id: &'a str,
    /// Who asked, after trusted proxies were believed. Empty for a Unix socket.
    pub client_ip: &'a str,
    /// Who connected. Empty for a Unix socket.
    pub peer_ip: &'a str,
    /// Where it came in.
    pub listener: &'a str,
    /// `GET`
    pub method: &'a str,
    /// The host asked for.
    pub host: &'a [u8],
    /// The target's path.
    pub path: &'a [u8],
    /// The target's query, without the question mark.
    pub query: Option<&'a [u8]>,
    /// `HTTP/1.1`
    pub proto: &'a str,
    /// The status sent; 0 if none was.
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
}

const MONTHS: [&[u8]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];
const HEX: &[u8; 16] = b"0123456789abcdef";
const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";

impl Formatter {
    pub(super) const fn new(format: Format) -> Self {
        Self { format, second: u64::MAX, stamp: Vec::new() }
    }

    /// Appends the entry's line.
    pub(super) fn line(&mut self, entry: &Entry<'_>, out: &mut Vec<u8>) {
        self.at(entry.ts_ms);
        match self.format {
            Format::Json => self.json(entry, out),
            Format::Combined => self.combined(entry, out),
        }
    }

    /// Appends a line that says how many lines are missing here.
    pub(super) fn dropped(&mut self, lines: u64, now_ms: u64, out: &mut Vec<u8>) {
        self.at(now_ms);
        match self.format {
            Format::Json => {
                self.json_stamp(now_ms, out);
                out.extend_from_slice(b",\"dropped\":");
                number(out, lines);
                out.extend_from_slice(b"}\n");
            }
            Format::Combined => {
                out.extend_from_slice(b"- - - [");
                out.extend_from_slice(&self.stamp);
                out.extend_from_slice(b"] \"-\" 0 0 \"-\" \"homing dropped ");
                number(out, lines);
                out.extend_from_slice(b" lines\"\n");
            }
        }
    }

    fn json_stamp(&self, ts_ms: u64, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"ts\":\"");
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(&[b'.']);
        out.extend_from_slice(&three_digits(ts_ms % 1000));
        out.extend_from_slice(b"Z\"");
    }

    fn json(&self, e: &Entry<'_>, out: &mut Vec<u8>) {
        self.json_stamp(e.ts_ms, out);
        text(out, b",\"id\":\"", e.id.as_bytes());
        text(out, b",\"client_ip\":\"", e.client_ip.as_bytes());
        text(out, b",\"peer_ip\":\"", e.peer_ip.as_bytes());
        text(out, b",\"listener\":\"", e.listener.as_bytes());
        text(out, b",\"method\":\"", e.method.as_bytes());
        text(out, b",\"host\":\"", e.host);
        text(out, b",\"path\":\"", e.path);
        optional(out, b",\"query\":\"", e.query);
        text(out, b",\"proto\":\"", e.proto.as_bytes());
        field(out, b",\"status\":", u64::from(e.status));
        field(out, b",\"bytes_in\":", e.bytes_in);
        field(out, b",\"bytes_out\":", e.bytes_out);
        millis(out, b",\"dur_ms\":", e.dur);
        optional(out, b",\"route\":\"", e.route.map(str::as_bytes));
        optional(out, b",\"pool\":\"", e.pool.map(str::as_bytes));
        if let Some(backend) = e.backend {
            text(out, b",\"backend\":\"", backend.as_bytes());
            optional(out, b",\"backend_addr\":\"", e.backend_addr.map(str::as_bytes));
            field(out, b",\"tries\":", u64::from(e.tries));
            if let Some(micros) = e.t_connect {
                millis(out, b",\"t_connect_ms\":", micros);
            }
            if let Some(micros) = e.t_first_byte {
                millis(out, b",\"t_first_byte_ms\":", micros);
            }
            let reused: &[u8] =
                if e.conn_reused { b",\"conn_reused\":true" } else { b",\"conn_reused\":false" };
            out.extend_from_slice(reused);
        }
        text(out, b",\"affinity\":\"", e.affinity.as_bytes());
        text(out, b",\"affinity_reason\":\"", e.reason.as_bytes());
        text(out, b",\"end\":\"", e.end.as_bytes());
        optional(out, b",\"ua\":\"", e.ua);
        optional(out, b",\"referer\":\"", e.referer);
        out.extend_from_slice(b"}\n");
    }

    /// `$remote_addr - - [$time_local] "$request" $status $body_bytes_sent "$http_referer" "$http_user_agent"`
    fn combined(&self, e: &Entry<'_>, out: &mut Vec<u8>) {
        let client: &[u8] = if e.client_ip.is_empty() { b"unix:" } else { e.client_ip.as_bytes() };
        out.extend_from_slice(client);
        out.extend_from_slice(b" - - [");
        out.extend_from_slice(&self.stamp);
        out.extend_from_slice(b"] \"");
        nginx_escaped(out, e.method.as_bytes());
        out.push(b' ');
        nginx_escaped(out, e.path);
        if let Some(query) = e.query {
            out.push(b'?');
            nginx_escaped(out, query);
        }
        out.push(b' ');
        nginx_escaped(out, e.proto.as_bytes());
        field(out, b"\" ", u64::from(e.status));
        field(out, b" ", e.bytes_out);
        for value in [e.referer, e.ua] {
            out.extend_from_slice(b" \"");
            nginx_escaped(out, value.filter(|v| !v.is_empty()).unwrap_or(b"-"));
            out.push(b'"');
        }
        out.push(b'\n');
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
                number(stamp, year);
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
                number(stamp, year);
                for part in &hms {
                    stamp.push(b':');
                    stamp.extend_from_slice(part);
                }
                stamp.extend_from_slice(b" +0000");
            }
        }
    }
}

/// Year, month 1 to 12 and day 1 to 31 of a day since 1970, Gregorian.
/// (Hinnant: `civil_from_days`, <https://howardhinnant.github.io/date_algorithms.html>)
const fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, doe) = (z / 146_097, z % 146_097);
    let yoe = (doe - doe / 1460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let (day, month) = (doy - (153 * mp + 2) / 5 + 1, if mp < 10 { mp + 3 } else { mp - 9 });
    (yoe + era * 400 + (month <= 2) as u64, month, day)
}

const fn two_digits(n: u64) -> [u8; 2] {
    [b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

const fn three_digits(n: u64) -> [u8; 3] {
    [b'0' + (n / 100 % 10) as u8, b'0' + (n / 10 % 10) as u8, b'0' + (n % 10) as u8]
}

fn number(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

fn field(out: &mut Vec<u8>, key: &[u8], n: u64) {
    out.extend_from_slice(key);
    number(out, n);
}

/// Microseconds as milliseconds with three decimals.
fn millis(out: &mut Vec<u8>, key: &[u8], micros: u64) {
    field(out, key, micros / 1000);
    out.push(b'.');
    out.extend_from_slice(&three_digits(micros % 1000));
}

fn optional(out: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    if let Some(value) = value {
        text(out, key, value);
    }
}

/// `key`, which ends in an opening quote; the value; the closing quote.
fn text(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    out.extend_from_slice(key);
    if is_clean(value) {
        out.extend_from_slice(value);
    } else {
        json_escaped(out, value);
    }
    out.push(b'"');
}

/// Whether JSON needs no escape in it: printable ASCII without quote and backslash (and DEL, which JSON allows).
fn is_clean(value: &[u8]) -> bool {
    /// Without branches, so that the compiler may use vectors.
    fn all<const N: usize>(bytes: &[u8; N]) -> bool {
        bytes.iter().fold(true, |clean, &b| clean & is_clean_byte(b))
    }
    let (chunks, rest) = value.as_chunks::<16>();
    if !chunks.iter().all(all) {
        return false;
    }
    // The last bytes once more with some before them, rather than one by one.
    match (value.last_chunk::<16>(), value.last_chunk::<8>(), value.first_chunk::<8>()) {
        (Some(last), ..) => all(last),
        (None, Some(last), Some(first)) => all(last) & all(first),
        (None, ..) => rest.iter().all(|&b| is_clean_byte(b)),
    }
}

const fn is_clean_byte(b: u8) -> bool {
    (b >= 0x20) & (b < 0x80) & (b != b'"') & (b != b'\\')
}

/// Valid UTF-8 stays as it is; what is not becomes U+FFFD, one per broken sequence.
fn json_escaped(out: &mut Vec<u8>, value: &[u8]) {
    for chunk in value.utf8_chunks() {
        for &b in chunk.valid().as_bytes() {
            match b {
                b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
                b'\n' => out.extend_from_slice(b"\\n"),
                b'\r' => out.extend_from_slice(b"\\r"),
                b'\t' => out.extend_from_slice(b"\\t"),
                0..0x20 => {
                    out.extend_from_slice(b"\\u00");
                    out.extend_from_slice(&hex(HEX, b));
                }
                _ => out.push(b),
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{fffd}".as_bytes());
        }
    }
}

/// As nginx's `log_format` escapes by default: quote, backslash and all that is not printable ASCII as `\xXX`.
/// (nginx: `ngx_http_log_escape`)
fn nginx_escaped(out: &mut Vec<u8>, value: &[u8]) {
    for &b in value {
        if is_clean_byte(b) && b != 0x7f {
            out.push(b);
        } else {
            out.extend_from_slice(b"\\x");
            out.extend_from_slice(&hex(HEX_UPPER, b));
        }
    }
}

fn hex(digits: &[u8; 16], b: u8) -> [u8; 2] {
    [digits[usize::from(b >> 4)], digits[usize::from(b & 15)]]
}

#[cfg(test)]
#[path = "access_line_tests.rs"]
mod tests;
