//! What homing vouches for about a client: who it is, and by which door it came in.
//!
//! `X-Forwarded-*` and `X-Real-IP` are written once per connection. A trusted proxy's own account is kept and
//! continued instead, so that the backend sees the whole chain. `Forwarded` (RFC 7239) is the same in one field, where
//! it is asked for.

use std::net::IpAddr;
use std::rc::Rc;

use super::request::Place;
use super::rewrite::{Writer, write_field};
use crate::base::ip_text::IpText;
use crate::message::field::{Name, is_token_byte};

/// The scheme by which clients come in, and what stands behind it.
const PROTO: &[u8] = b"X-Forwarded-Proto: http";
/// Who a peer without an address is.
const UNIX: &[u8] = b"unix:";
/// What the address stands behind, twice.
const FOR: &[u8] = b"X-Forwarded-For: ";
const REAL: &[u8] = b"X-Real-IP: ";

/// The fields that say who a peer is, as an untrusted one's request carries them. One allocation per connection.
#[derive(Clone, Debug)]
pub struct Vouched {
    lines: Rc<[u8]>,
    /// Whether it came in by TLS.
    is_secure: bool,
}

impl Vouched {
    /// For a peer, or for one without an address, and the port that it came to.
    #[must_use]
    pub fn new(peer: Option<IpAddr>, port: Option<u16>) -> Self {
        let mut out = Vec::with_capacity(160);
        let text = peer.map(IpText::of);
        let who = text.as_ref().map_or(UNIX, IpText::as_bytes);
        for part in [FOR, who, b"\r\n", REAL, who, b"\r\n", PROTO, b"\r\n"] {
            out.extend_from_slice(part);
        }
        if let Some(port) = port {
            write_field(&mut out, "X-Forwarded-Port", itoa::Buffer::new().format(port).as_bytes());
        }
        Self { lines: out.into(), is_secure: false }
    }

    /// The same of one that came in by TLS.
    #[must_use]
    pub fn over_tls(&self) -> Self {
        if self.is_secure {
            return self.clone();
        }
        let (before, port) = self.lines.split_at(self.lines.len() - self.port_line().len());
        let before = before.strip_suffix(b"\r\n").unwrap_or(before);
        Self { lines: [before, b"s\r\n", port].concat().into(), is_secure: true }
    }

    /// The peer's address as text, once written; nothing if it has none.
    pub(super) fn address(&self) -> &[u8] {
        Some(self.who()).filter(|who| *who != UNIX).unwrap_or_default()
    }

    /// Every line.
    fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// The line of the scheme.
    const fn proto_line(&self) -> &'static [u8] {
        if self.is_secure { b"X-Forwarded-Proto: https\r\n" } else { b"X-Forwarded-Proto: http\r\n" }
    }

    /// The peer's address as text, `unix:` if it has none.
    fn who(&self) -> &[u8] {
        let rest = self.lines.get(FOR.len()..).unwrap_or_default();
        rest.get(..memchr::memchr(b'\r', rest).unwrap_or(0)).unwrap_or_default()
    }

    /// The line of the port, if there is one.
    fn port_line(&self) -> &[u8] {
        let before = FOR.len() + REAL.len() + 2 * (self.who().len() + 2) + self.proto_line().len();
        self.lines.get(before..).unwrap_or_default()
    }
}

impl Writer<'_, '_> {
    /// What homing vouches for about the client. A trusted proxy's own account is kept and continued.
    pub(super) fn write_client(&self, place: &Place<'_>, client: Option<IpAddr>, out: &mut Vec<u8>) {
        if self.is_trusted {
            self.continue_account(place, out);
            if let Some(ip) = client {
                out.extend_from_slice(REAL);
                out.extend_from_slice(IpText::of(ip).as_bytes());
                out.extend_from_slice(b"\r\n");
            }
        } else {
            out.extend_from_slice(self.asker.vouched.lines());
            write_host(place, out);
        }
        if self.asker.listener.forwarded {
            self.write_forwarded(place, out);
        }
        if let Some(tls) = self.asker.tls {
            out.extend_from_slice(&tls.lines);
        }
    }

    /// One element for this hop, behind those that a trusted proxy has told. (RFC 7239 section 4)
    fn write_forwarded(&self, place: &Place<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(b"Forwarded: ");
        let lines = self.head.fields.iter().zip(&self.fields.names);
        let told = lines.filter(|(f, n)| self.is_trusted && **n == Name::Forwarded && !f.value.is_empty());
        for (f, _) in told {
            out.extend_from_slice(f.value);
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(b"for=");
        match self.asker.vouched.who() {
            UNIX => out.extend_from_slice(b"unknown"),
            v6 if v6.contains(&b':') => {
                [b"\"[", v6, b"]\""].into_iter().for_each(|part| out.extend_from_slice(part))
            }
            v4 => out.extend_from_slice(v4),
        }
        let host = place.host.as_bytes();
        if !host.is_empty() {
            // A valid host has neither a quote nor a backslash.
            let quote: &[u8] = if host.iter().all(|b| is_token_byte(*b)) { b"" } else { b"\"" };
            [b";host=", quote, host, quote].into_iter().for_each(|part| out.extend_from_slice(part));
        }
        let proto: &[u8] =
            if self.asker.vouched.is_secure { b";proto=https\r\n" } else { b";proto=http\r\n" };
        out.extend_from_slice(proto);
    }

    fn continue_account(&self, place: &Place<'_>, out: &mut Vec<u8>) {
        let (mut proto, mut host, mut port) = (false, false, false);
        out.extend_from_slice(FOR);
        for (f, name) in self.head.fields.iter().zip(&self.fields.names) {
            match name {
                Name::ForwardedFor if !f.value.is_empty() => {
                    out.extend_from_slice(f.value);
                    out.extend_from_slice(b", ");
                }
                Name::ForwardedOther => {
                    proto |= f.name.eq_ignore_ascii_case(b"x-forwarded-proto");
                    host |= f.name.eq_ignore_ascii_case(b"x-forwarded-host");
                    port |= f.name.eq_ignore_ascii_case(b"x-forwarded-port");
                }
                _ => {}
            }
        }
        out.extend_from_slice(self.asker.vouched.who());
        out.extend_from_slice(b"\r\n");
        if !proto {
            out.extend_from_slice(self.asker.vouched.proto_line());
        }
        if !host {
            write_host(place, out);
        }
        if !port {
            out.extend_from_slice(self.asker.vouched.port_line());
        }
    }
}

fn write_host(place: &Place<'_>, out: &mut Vec<u8>) {
    if !place.host.is_empty() {
        write_field(out, "X-Forwarded-Host", place.host.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_parts_are_found_again() {
        let table = [
            (Some("192.0.2.7"), Some(8080), "192.0.2.7", "X-Forwarded-Port: 8080\r\n"),
            (Some("2001:db8::7"), Some(1), "2001:db8::7", "X-Forwarded-Port: 1\r\n"),
            (Some("192.0.2.7"), None, "192.0.2.7", ""),
            (None, None, "unix:", ""),
        ];
        for (peer, port, who, line) in table {
            let vouched = Vouched::new(peer.map(|p| p.parse().unwrap()), port);
            assert_eq!((vouched.who(), vouched.port_line()), (who.as_bytes(), line.as_bytes()));
            let whole =
                format!("X-Forwarded-For: {who}\r\nX-Real-IP: {who}\r\nX-Forwarded-Proto: http\r\n{line}");
            assert_eq!(vouched.lines(), whole.as_bytes());
            let secure = vouched.over_tls().over_tls();
            assert_eq!((secure.who(), secure.port_line()), (who.as_bytes(), line.as_bytes()));
            assert_eq!(secure.lines(), whole.replace("Proto: http", "Proto: https").as_bytes());
        }
    }
}
