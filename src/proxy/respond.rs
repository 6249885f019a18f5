//! Heads for clients: a backend's, made fit to pass on, and homing's own answers.
//!
//! Every answer that homing makes itself has one stable reason word: in its body, in the log and in the metrics.

use super::grpc;
use super::request::{Refusal, Request};
use super::rewrite::write_field;
use crate::affinity::Why;
use crate::affinity::caching::make_private;
use crate::affinity::cookie::Theirs;
use crate::affinity::set_cookie::SetCookie;
use crate::affinity::settle::Settled;
use crate::base::time::UnixSeconds;
use crate::message::field::Name;
use crate::message::framing::{ConnectionOptions, Framing, is_nominated};
use crate::message::head::{Fault, Field, ResponseHead, Version};
use crate::route::HeaderRules;
use crate::telemetry::reasons::Rejection;

/// An answer that homing makes itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Own {
    /// The status code.
    pub status: u16,
    /// The stable word for the reason.
    pub reason: &'static str,
    /// The reason for people; an answer without it has no body.
    pub text: &'static str,
}

/// Whom an answer of our own is for.
#[derive(Clone, Copy, Debug)]
pub struct Recipient<'a> {
    /// The version of its request.
    pub version: Version,
    /// Whether its connection stays open.
    pub keep: bool,
    /// It asked with HEAD: no body.
    pub is_head: bool,
    /// Its request is a call of gRPC.
    pub is_grpc: bool,
    /// What its request is called; empty where that is not told.
    pub id: &'a [u8],
    /// Where it is sent on to.
    pub location: Option<&'a str>,
    /// After how many seconds it may ask again; of a 503 without it, 5.
    pub retry_after: Option<u64>,
    /// The present date.
    pub date: &'a [u8],
}

/// What goes into a backend's head on its way to the client.
#[derive(Debug)]
pub struct Passing<'a> {
    /// The request that it answers.
    pub request: &'a Request,
    /// The route's changes.
    pub rules: &'a HeaderRules,
    /// How the body will be framed for the client.
    pub framing: Framing,
    /// What was said of the length, for answers without their body.
    pub length: Option<u64>,
    /// Whether the client's connection stays open.
    pub keep: bool,
    /// What the client is told of its session.
    pub settled: &'a Settled,
    /// What the request is called; empty where that is not told.
    pub id: &'a [u8],
    /// The reason for the choice, where the listener wants it told.
    pub affinity: Option<&'static str>,
    /// The present date, for an answer without one.
    pub date: &'a [u8],
    /// The time.
    pub now: UnixSeconds,
    /// The token of the protocol that is switched to.
    pub upgrade: bool,
}

impl Passing<'_> {
    /// Appends the head as the client will see it. `names` are those of its fields, in their order.
    pub fn write(
        &self,
        head: &ResponseHead<'_, '_>,
        names: &[Name],
        options: ConnectionOptions,
        out: &mut Vec<u8>,
    ) {
        write_status(out, head.status, head.reason);
        let pins = self.request.pool.pool.affinity.as_ref().and_then(|a| a.header());
        let mut has_date = self.rules.set.iter().any(|(name, _)| name == "date");
        let has_rules = !self.rules.remove.is_empty() || !self.rules.set.is_empty();
        for (f, &name) in head.fields.iter().zip(names) {
            match name {
                Name::Connection
                | Name::KeepAlive
                | Name::ProxyConnection
                | Name::Te
                | Name::TransferEncoding
                | Name::ContentLength
                | Name::Upgrade
                | Name::Http2Settings
                | Name::HomingAffinity
                | Name::HomingSession => continue,
                Name::Trailer if self.framing != Framing::Chunked || !self.request.trailers => continue,
                Name::RequestId if !self.id.is_empty() => continue,
                Name::CacheControl if self.settled.private => continue,
                Name::SetCookie if self.replaces(f, out) => continue,
                Name::Other if pins.is_some_and(|header| header.is_ours(f.name)) => continue,
                _ => {}
            }
            if options.nominates && !name.resists_nomination() && is_nominated(head.fields, f.name) {
                continue;
            }
            has_date |= name == Name::Date;
            if has_rules && self.is_ruled(f.name) {
                continue;
            }
            write_field(out, f.name, f.value);
        }
        self.write_framing(head.status, out);
        if !has_date {
            out.extend_from_slice(b"Date: ");
            out.extend_from_slice(self.date);
            out.extend_from_slice(b"\r\n");
        }
        if self.settled.private {
            let lines = head.fields.iter().zip(names).filter(|(_, n)| **n == Name::CacheControl);
            out.extend_from_slice(b"Cache-Control: ");
            make_private(lines.map(|(f, _)| f.value), out);
            out.extend_from_slice(b"\r\n");
        }
        if let Some(pin) = &self.settled.set_cookie {
            write_field(out, "Set-Cookie", pin);
        }
        if let Some((header, pin)) = pins.zip(self.settled.header.as_ref()) {
            write_field(out, header.name(), pin);
        }
        if !self.id.is_empty() && !self.is_ruled(b"x-request-id") {
            write_field(out, "X-Request-Id", self.id);
        }
        if let Some(why) = self.affinity {
            write_field(out, "X-Homing-Affinity", why.as_bytes());
        }
        for (name, value) in self.rules.set.iter().chain(&self.rules.add) {
            write_field(out, name, value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }

    /// Whether a `Set-Cookie` of the application's is of our name and was left out, or written with the pin in it.
    fn replaces(&self, f: &Field<'_>, out: &mut Vec<u8>) -> bool {
        let Some(cookie) = self.request.pool.pool.affinity.as_ref().and_then(|a| a.cookie()) else {
            return false;
        };
        if !cookie.is_own_set_cookie(f.value) {
            return false;
        }
        let Some(theirs) = SetCookie::parse(f.value) else { return false };
        match (cookie.fate_of(&theirs, self.now), &self.settled.pin) {
            (Theirs::Kept, _) | (Theirs::Pinned, None) => false,
            (Theirs::Dropped, _) => {
                self.collided(cookie.name());
                true
            }
            (Theirs::Pinned, Some(pin)) => {
                if !self.is_ruled(f.name) {
                    out.extend_from_slice(b"Set-Cookie: ");
                    cookie.set_theirs(&theirs, pin, out);
                    out.extend_from_slice(b"\r\n");
                }
                true
            }
        }
    }

    /// The application's own cookie of our name was left out: it would unseat the session.
    fn collided(&self, cookie: &str) {
        let pool = &self.request.pool;
        if !pool.collided.replace(true) {
            let pool = &*pool.pool.name;
            tracing::warn!(
                pool,
                cookie,
                "the application sets a cookie of this name, which is left out: rename one"
            );
        }
    }

    /// Whether the route removes or sets this field.
    fn is_ruled(&self, name: &[u8]) -> bool {
        let is = |n: &String| n.as_bytes().eq_ignore_ascii_case(name);
        self.rules.remove.iter().any(is) || self.rules.set.iter().any(|(n, _)| is(n))
    }

    fn write_framing(&self, status: u16, out: &mut Vec<u8>) {
        if self.upgrade {
            out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n");
            return;
        }
        match self.framing {
            Framing::Length(n) => write_length(out, n),
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::None if self.request.to_head || status == 304 => {
                if let Some(n) = self.length {
                    write_length(out, n);
                }
            }
            Framing::None if !matches!(status, 100..=199 | 204) => write_length(out, 0),
            Framing::None | Framing::UntilClose => {}
        }
        write_connection(out, self.request.version, self.keep);
    }
}

pub(super) fn write_length(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(b"Content-Length: ");
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
    out.extend_from_slice(b"\r\n");
}

pub(super) fn write_connection(out: &mut Vec<u8>, version: Version, keep: bool) {
    match (version, keep) {
        (_, false) => out.extend_from_slice(b"Connection: close\r\n"),
        (Version::Http10, true) => out.extend_from_slice(b"Connection: keep-alive\r\n"),
        (Version::Http11, true) => {}
    }
}

/// Appends a status line.
pub fn write_status(out: &mut Vec<u8>, status: u16, reason: &[u8]) {
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(itoa::Buffer::new().format(status).as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason);
    out.extend_from_slice(b"\r\n");
}

impl Own {
    /// The whole answer.
    pub fn write(&self, out: &mut Vec<u8>, to: &Recipient<'_>) {
        if to.is_grpc {
            return self.write_grpc(out, to);
        }
        let status = http::StatusCode::from_u16(self.status).unwrap_or(http::StatusCode::BAD_GATEWAY);
        let phrase = status.canonical_reason().unwrap_or_default();
        let body = match self.text {
            "" => String::new(),
            text => format!("{} {phrase}: {text} ({})\n", self.status, self.reason),
        };
        write_status(out, self.status, phrase.as_bytes());
        if !body.is_empty() {
            out.extend_from_slice(b"Content-Type: text/plain; charset=utf-8\r\n");
        }
        out.extend_from_slice(b"Cache-Control: no-store\r\n");
        write_length(out, body.len() as u64);
        if self.status == 405 || *self == LAST_HOP {
            out.extend_from_slice(b"Allow: GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS\r\n");
        }
        if let Some(seconds) = to.retry_after.or((self.status == 503).then_some(5)) {
            write_field(out, "Retry-After", itoa::Buffer::new().format(seconds).as_bytes());
        }
        if let Some(location) = to.location {
            write_field(out, "Location", location.as_bytes());
        }
        write_field(out, "Date", to.date);
        if !to.id.is_empty() {
            write_field(out, "X-Request-Id", to.id);
        }
        write_connection(out, to.version, to.keep);
        out.extend_from_slice(b"\r\n");
        if !to.is_head {
            out.extend_from_slice(body.as_bytes());
        }
    }
}

impl Own {
    /// The whole answer to a call of gRPC: trailers alone, which stand in the head. A library that looks at the status
    /// of HTTP would have to guess what this says.
    fn write_grpc(&self, out: &mut Vec<u8>, to: &Recipient<'_>) {
        write_status(out, 200, b"OK");
        out.extend_from_slice(b"Content-Type: application/grpc\r\nGrpc-Status: ");
        out.extend_from_slice(itoa::Buffer::new().format(grpc::status_of(self.status)).as_bytes());
        out.extend_from_slice(b"\r\nGrpc-Message: ");
        grpc::write_message(self.text, out);
        for part in [" (", self.reason, ")\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
        write_length(out, 0);
        write_field(out, "Date", to.date);
        if !to.id.is_empty() {
            write_field(out, "X-Request-Id", to.id);
        }
        write_connection(out, to.version, to.keep);
        out.extend_from_slice(b"\r\n");
    }
}

const fn own(status: u16, reason: &'static str, text: &'static str) -> Own {
    Own { status, reason, text }
}

/// The request's head, or its body, did not come in time.
pub const TOO_SLOW: Own = own(408, "request_timeout", "the request did not come in time");
/// No backend of the pool can be used.
pub const NO_BACKEND: Own = own(503, "no_backend", "no backend can be used");
/// Every backend of the pool has as many requests as it may.
pub const FULL: Own = own(503, "full", "every backend is full");
/// The session's backend cannot be used for this reason, and its pool is strict.
#[must_use]
pub const fn lost_home(why: Why, status: u16) -> Own {
    match why {
        Why::Removed => own(status, "home_removed", "this session's server is gone"),
        Why::Maint => own(status, "home_maint", "this session's server is in maintenance"),
        Why::Drained => own(status, "home_drained", "this session's server was taken out of service"),
        Why::Full => own(status, "home_full", "this session's server is full"),
        Why::Unreachable => own(status, "home_unreachable", "this session's server cannot be reached"),
        _ => own(status, "home_down", "this session's server is down"),
    }
}

/// Something homing itself needs has run out.
pub const EXHAUSTED: Own = own(503, "exhausted", "out of descriptors or ports");
/// The backend did not accept a connection.
pub const UNREACHABLE: Own = own(502, "backend_connect", "no backend accepted the connection");
/// No TLS session could be made with a backend.
pub const NO_TLS: Own = own(502, "backend_tls", "no TLS session with the backend");
/// A backend takes connections of HTTP/2, and no requests on them.
pub const NO_STREAMS: Own = own(504, "backend_streams", "the backend allows no streams of HTTP/2");
/// The request is one that HTTP/1.1 alone can say, as one with a `<` in its target.
pub const UNSENDABLE: Own = own(400, "http2", "the request cannot be sent on by HTTP/2");
/// The backend closed before it answered.
pub const CLOSED: Own = own(502, "backend_closed", "the backend closed before it answered");
/// The backend's answer is not HTTP.
pub const BAD_ANSWER: Own = own(502, "backend_answer", "the backend's answer is malformed");
/// The backend took a WebSocket's handshake for any request.
pub const NO_WEB_SOCKET: Own = own(502, "no_websocket", "the backend does not open a WebSocket here");
/// The backend did not answer in time.
pub const NO_ANSWER: Own = own(504, "backend_timeout", "the backend did not answer in time");
/// The chunked coding of the request's body is broken.
pub const BAD_BODY: Own = own(400, "chunked", "the body's chunked coding is malformed");

/// A request came in the clear to a listener with TLS.
pub const PLAIN_HTTP: Own = own(400, "plain_http", "this port speaks TLS: ask by https://");
/// The request's body is larger than its route takes.
pub const BODY_LENGTH: Own = own(413, "body_length", "the request's body is too large");
/// The client's address may not come in here.
pub const DENIED: Own = own(403, "denied", "this address is not served here");
/// Requests come more often than they may.
pub const RATE_LIMIT: Own = own(429, "rate_limit", "requests come too often");
/// It is asked for again over TLS; 301 or 308, by its method.
pub const TO_HTTPS: Own = own(308, "https_redirect", "this is served over TLS");
/// A route sends the client elsewhere; the status is the route's.
pub const REDIRECT: Own = own(308, "redirect", "");
/// A route has an answer of its own; the status is the route's.
pub const RESPOND: Own = own(200, "respond", "");

/// What HTTP/2 brought is no request. (RFC 9113 section 8.1.1)
pub const MALFORMED: Own = own(400, "malformed", "the request is malformed");
/// CONNECT with a protocol is for WebSockets alone. (RFC 8441 section 4)
pub const PROTOCOL: Own = own(501, "connect_protocol", "the only protocol served by CONNECT is websocket");
/// A head that there is no room for.
pub const HEAD_TOO_LONG: Own = of_fault(Fault::HeadTooLong);

/// What homing can do itself, for who asks with `OPTIONS` and `Max-Forwards: 0`. (RFC 9110 section 7.6.2)
pub const LAST_HOP: Own = own(200, "max_forwards", "");

/// The reasons with which requests are answered before a pool is found.
pub const REFUSALS: &[&str] = &[
    "max_forwards",
    "no_route",
    "plain_http",
    "https_redirect",
    "request_timeout",
    "request_line",
    "version",
    "target",
    "target_length",
    "field",
    "line_end",
    "head_length",
    "field_length",
    "field_count",
    "host",
    "content_length",
    "length_and_coding",
    "coding_in_1_0",
    "transfer_coding",
    "unframed_coding",
    "connect",
    "trace",
    "expectation",
    "underscore",
    "loop",
    "denied",
    "rate_limit",
    "body_length",
    "redirect",
    "respond",
    "malformed",
    "connect_protocol",
    "pseudo_field",
    "pseudo_value",
    "connection_field",
    "length_mismatch",
    "own_parent",
    "stream_limit",
];

impl Refusal {
    /// The answer for it.
    #[must_use]
    pub const fn answer(&self) -> Own {
        match self {
            Self::Turned(turned) => turned.own,
            Self::LastHop => LAST_HOP,
            Self::NoRoute => own(404, "no_route", "no route is for this host and path"),
            Self::Fault(fault) => of_fault(*fault),
        }
    }
}

/// The last word to a connection that is turned away, if there is one.
#[must_use]
pub const fn of_rejection(why: Rejection) -> Option<Own> {
    let text = match why {
        Rejection::ListenerFull => "this listener has as many connections as it may",
        Rejection::ProcessFull => "there are as many connections as there may be",
        Rejection::AddressFull => "this address has as many connections as it may",
        Rejection::ProxyHeader => return None,
    };
    Some(own(503, why.as_str(), text))
}

const fn of_fault(fault: Fault) -> Own {
    match fault {
        Fault::StartLine => own(400, "request_line", "the request line is malformed"),
        Fault::Version => own(505, "version", "only HTTP/1.0 and HTTP/1.1 are served here"),
        Fault::Target => own(400, "target", "the request target is malformed"),
        Fault::TargetTooLong => own(414, "target_length", "the request target is too long"),
        Fault::Field => own(400, "field", "a header field is malformed"),
        Fault::LineEnd => own(400, "line_end", "a line does not end in CRLF"),
        Fault::HeadTooLong => own(431, "head_length", "the request's head is too long"),
        Fault::FieldTooLong => own(431, "field_length", "a header field is too long"),
        Fault::TooManyFields => own(431, "field_count", "too many header fields"),
        Fault::Host => own(400, "host", "exactly one valid Host field is needed"),
        Fault::ContentLength => own(400, "content_length", "Content-Length is not one number"),
        Fault::LengthAndCoding => own(400, "length_and_coding", "Content-Length beside Transfer-Encoding"),
        Fault::CodingInHttp10 => own(400, "coding_in_1_0", "Transfer-Encoding in HTTP/1.0"),
        Fault::TransferCoding => own(501, "transfer_coding", "the only transfer coding served is chunked"),
        Fault::UnframedCoding => own(400, "unframed_coding", "the last transfer coding is not chunked"),
        Fault::Connect => own(405, "connect", "CONNECT is not served"),
        Fault::Trace => own(405, "trace", "TRACE is not served"),
        Fault::Expectation => own(417, "expectation", "the only expectation served is 100-continue"),
        Fault::Underscore => own(400, "underscore", "a header field's name has an underscore"),
        Fault::Loop => own(508, "loop", "the request came through this homing before"),
    }
}
