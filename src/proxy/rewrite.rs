//! The head that a backend sees: the client's, without what is only between the client and us, and with what homing
//! vouches for behind it, where no field of the client's can remove or change it.

use std::ops::Range;

use super::request::{Asker, Fields, Place, Request};
use super::request_id;
use super::worker::Worker;
use crate::affinity::cookie::Stripped;
use crate::affinity::memory::{Cut, Memory};
use crate::message::field::{self, Name, Underscores};
use crate::message::framing::{Framing, is_nominated};
use crate::message::head::{Field, RequestHead, Version};
use crate::route::HeaderRules;

/// Writes the head for the backend.
pub(super) struct Writer<'a, 'b> {
    pub(super) worker: &'a Worker,
    pub(super) asker: &'a Asker<'a>,
    pub(super) head: &'a RequestHead<'a, 'b>,
    pub(super) fields: &'a Fields<'b>,
    pub(super) framing: Framing,
    pub(super) is_trusted: bool,
    pub(super) rules: &'a HeaderRules,
    /// What the connection remembers of its session.
    pub(super) memory: Option<&'a Memory>,
    /// The prefix that was taken off the path.
    pub(super) prefix: Option<&'a str>,
}

impl Writer<'_, '_> {
    pub(super) fn write(&self, request: &mut Request, place: &Place<'_>) {
        let mut out = std::mem::take(&mut request.head);
        out.reserve(1024);
        for part in [self.head.method, " ", place.target, " HTTP/1.1\r\nHost: "] {
            out.extend_from_slice(part.as_bytes());
        }
        let host = self.rules.set.iter().find(|(name, _)| name == "host");
        let host = host.map_or(place.host, |(_, value)| value.as_str());
        request.host = out.len()..out.len() + host.len();
        out.extend_from_slice(host.as_bytes());
        out.extend_from_slice(b"\r\n");
        let pins = request.pool.pool.affinity.as_ref().and_then(|a| a.header());
        for (f, name) in self.head.fields.iter().zip(&self.fields.names) {
            let start = out.len() + f.name.len() + 2;
            match name {
                Name::Other if pins.is_some_and(|header| header.is_ours(f.name)) => continue,
                _ if self.is_dropped(f, *name) => continue,
                Name::Cookie => self.write_cookie(f, request, &mut out),
                Name::MaxForwards if self.head.method == "OPTIONS" => {
                    // One that is no number tells nothing to anybody: it is left out.
                    let Some(n) = field::number(f.value) else { continue };
                    write_field(&mut out, f.name, n.saturating_sub(1).to_string().as_bytes());
                }
                Name::UserAgent => {
                    write_field(&mut out, f.name, f.value);
                    request.user_agent = start..start + f.value.len();
                }
                Name::Referer => {
                    write_field(&mut out, f.name, f.value);
                    request.referer = start..start + f.value.len();
                }
                _ => write_field(&mut out, f.name, f.value),
            }
        }
        self.write_framing(request, &mut out);
        let ours = out.len();
        self.write_client(place, request.client, &mut out);
        if let Some(prefix) = self.prefix {
            self.write_prefix(prefix, &mut out);
        }
        self.write_via(&mut out);
        self.drop_ruled(ours, &mut out);
        if self.asker.listener.request_id && !self.is_ruled(b"x-request-id") {
            request.id = self.write_id(&mut out);
        }
        let set = self.rules.set.iter().filter(|(name, _)| name != "host");
        for (name, value) in set.chain(&self.rules.add) {
            write_field(&mut out, name, value.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        request.head = out;
    }

    /// Whether a field does not reach the backend, or is written by us instead.
    fn is_dropped(&self, f: &Field<'_>, name: Name) -> bool {
        match name {
            Name::Host
            | Name::ContentLength
            | Name::TransferEncoding
            | Name::Connection
            | Name::KeepAlive
            | Name::ProxyConnection
            | Name::ProxyAuthorization
            | Name::Te
            | Name::Upgrade
            | Name::Http2Settings
            | Name::ForwardedFor
            | Name::RealIp
            | Name::HomingAffinity
            | Name::HomingSession => return true,
            Name::Forwarded if self.asker.listener.forwarded => return true,
            Name::RequestId if self.asker.listener.request_id => return true,
            Name::ClientCert => return !self.is_trusted || self.asker.asks_for_certificates(),
            Name::Expect => return !self.fields.expects,
            Name::ForwardedOther | Name::Forwarded | Name::RequestId if !self.is_trusted => {
                return true;
            }
            Name::ForwardedOther if self.prefix.is_some() && is_prefix(f) => return true,
            Name::Trailer if !self.fields.te_trailers || self.framing != Framing::Chunked => return true,
            Name::Other if field::is_alias(f.name) => return true,
            Name::Other if self.drops_underscores() && field::has_underscore(f.name) => return true,
            _ => {}
        }
        if self.fields.options.nominates
            && !name.resists_nomination()
            && is_nominated(self.head.fields, f.name)
        {
            return true;
        }
        self.is_ruled(f.name)
    }

    /// Whether the route removes or sets this field.
    fn is_ruled(&self, name: &[u8]) -> bool {
        let is = |n: &String| n.as_bytes().eq_ignore_ascii_case(name);
        self.rules.remove.iter().any(is) || self.rules.set.iter().any(|(n, _)| is(n))
    }

    /// Takes out the lines from `start` on that the route removes or sets: what we vouch for is no exception.
    fn drop_ruled(&self, start: usize, out: &mut Vec<u8>) {
        if self.rules.remove.is_empty() && self.rules.set.is_empty() {
            return;
        }
        let ours = out.split_off(start);
        for line in ours.split_inclusive(|&b| b == b'\n') {
            if !self.is_ruled(line.split(|&b| b == b':').next().unwrap_or_default()) {
                out.extend_from_slice(line);
            }
        }
    }

    /// Writes what the request is called, and says where.
    fn write_id(&self, out: &mut Vec<u8>) -> Range<usize> {
        let kept = self.fields.request_id.filter(|id| self.is_trusted && request_id::is_sane(id));
        write_field(out, "X-Request-Id", kept.unwrap_or(self.asker.id));
        let end = out.len() - 2;
        end - kept.map_or(self.asker.id.len(), <[u8]>::len)..end
    }

    fn drops_underscores(&self) -> bool {
        self.asker.listener.underscores != Underscores::Pass
    }

    fn write_cookie(&self, f: &Field<'_>, request: &Request, out: &mut Vec<u8>) {
        let Some(cookie) = request.pool.pool.affinity.as_ref().and_then(|a| a.cookie()) else {
            return write_field(out, f.name, f.value);
        };
        match self.memory.and_then(|memory| memory.cut(f.value)) {
            Some(Cut::Nothing) => return write_field(out, f.name, f.value),
            Some(Cut::Line) => return,
            Some(Cut::Out(from, to)) => {
                out.extend_from_slice(f.name);
                out.extend_from_slice(b": ");
                out.extend_from_slice(f.value.get(..from).unwrap_or_default());
                out.extend_from_slice(f.value.get(to..).unwrap_or_default());
                out.extend_from_slice(b"\r\n");
                return;
            }
            None => {}
        }
        let start = out.len();
        out.extend_from_slice(f.name);
        out.extend_from_slice(b": ");
        let value = out.len();
        let stripped = cookie.strip(f.value, out);
        if stripped == Stripped::Unchanged {
            out.extend_from_slice(f.value);
        }
        if let Some(memory) = self.memory {
            memory.was_cut(
                f.value,
                (stripped != Stripped::Empty).then(|| out.get(value..).unwrap_or_default()),
            );
        }
        match stripped {
            Stripped::Empty => out.truncate(start),
            Stripped::Unchanged | Stripped::Changed => out.extend_from_slice(b"\r\n"),
        }
    }

    fn write_framing(&self, request: &Request, out: &mut Vec<u8>) {
        match request.framing {
            Framing::Length(n) => {
                out.extend_from_slice(b"Content-Length: ");
                out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
            Framing::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
            Framing::None if self.fields.lengths.length() == Some(0) => {
                out.extend_from_slice(b"Content-Length: 0\r\n");
            }
            Framing::None | Framing::UntilClose => {}
        }
        match (request.upgrade, self.fields.te_trailers) {
            (true, _) => out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: websocket\r\n"),
            (false, true) => out.extend_from_slice(b"Connection: TE\r\nTE: trailers\r\n"),
            (false, false) => {}
        }
    }

    /// What was taken off the path, behind what a trusted proxy has taken off: applications put it before their links.
    fn write_prefix(&self, prefix: &str, out: &mut Vec<u8>) {
        let told = self.head.fields.iter().find(|f| self.is_trusted && is_prefix(f));
        let before = told.map_or(&b""[..], |f| f.value);
        let end = before.iter().rposition(|b| *b != b'/').map_or(0, |last| last + 1);
        out.extend_from_slice(b"X-Forwarded-Prefix: ");
        out.extend_from_slice(before.get(..end).unwrap_or_default());
        out.extend_from_slice(prefix.as_bytes());
        out.extend_from_slice(b"\r\n");
    }

    /// How the request came to us, for who looks for a loop. (RFC 9110 section 7.6.3)
    fn write_via(&self, out: &mut Vec<u8>) {
        let received = match (self.asker.is_http2, self.head.version) {
            (true, _) => "2.0",
            (false, Version::Http10) => "1.0",
            (false, Version::Http11) => "1.1",
        };
        for part in ["Via: ", received, " ", self.worker.pseudonym(), "\r\n"] {
            out.extend_from_slice(part.as_bytes());
        }
    }
}

fn is_prefix(f: &Field<'_>) -> bool {
    f.name.eq_ignore_ascii_case(b"x-forwarded-prefix")
}

/// Appends one field line.
pub(super) fn write_field(out: &mut Vec<u8>, name: impl AsRef<[u8]>, value: &[u8]) {
    out.extend_from_slice(name.as_ref());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
