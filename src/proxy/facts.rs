//! Who the client is, by what is believed of it; and the facts of a request that keys are made of.

use std::net::IpAddr;

use super::handshake::Secured;
use super::request::{Asker, Fields};
use crate::affinity::key::KeyFacts;
use crate::message::field::Name;
use crate::message::head::RequestHead;
use crate::message::host;

/// What is known of a request before its pool is asked.
pub(super) struct Facts<'a, 'b> {
    pub(super) head: &'a RequestHead<'a, 'b>,
    pub(super) fields: &'a Fields<'b>,
    pub(super) client: Option<IpAddr>,
    pub(super) host: &'a str,
    pub(super) target: &'a str,
    pub(super) tls: Option<&'a Secured>,
}

impl Facts<'_, '_> {
    /// The host that is asked for, without its port.
    pub(super) fn name(&self) -> &str {
        host::without_port(self.host)
    }
}

impl KeyFacts for Facts<'_, '_> {
    fn client(&self) -> Option<IpAddr> {
        self.client
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        self.head.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name.as_bytes())).map(|f| f.value)
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        let lines = self.head.fields.iter().zip(&self.fields.names);
        lines.filter(|(_, n)| **n == Name::Cookie).map(|(f, _)| f.value)
    }

    fn only_cookie_line(&self) -> Option<&[u8]> {
        self.fields.cookie
    }

    fn has_cookies(&self) -> bool {
        self.fields.cookies > 0
    }

    fn query(&self) -> Option<&[u8]> {
        self.target.split_once('?').map(|(_, query)| query.as_bytes())
    }

    fn path(&self) -> &[u8] {
        self.target.split('?').next().unwrap_or_default().as_bytes()
    }

    fn host(&self) -> Option<&[u8]> {
        Some(host::without_port(self.host).as_bytes()).filter(|h| !h.is_empty())
    }

    fn tls_subject(&self) -> Option<&[u8]> {
        Some(self.tls?.subject.as_ref()?.as_bytes())
    }
}

/// Whether the proxy that tells of the client says that it came by https: the first of what several have told.
pub(super) fn tells_https(head: &RequestHead<'_, '_>, fields: &Fields<'_>) -> bool {
    let mut told = head.fields.iter().zip(&fields.names).filter(|(_, n)| **n == Name::ForwardedOther);
    let proto = told.find(|(f, _)| f.name.eq_ignore_ascii_case(b"x-forwarded-proto"));
    let first = proto.and_then(|(f, _)| f.value.split(|&b| b == b',').next());
    first.is_some_and(|first| first.trim_ascii().eq_ignore_ascii_case(b"https"))
}

/// The client as the trusted proxies tell it: from the right, the first address that is not a trusted proxy's. An
/// entry that is no address ends the walk at the last one that was.
pub(super) fn claimed_client(
    head: &RequestHead<'_, '_>,
    fields: &Fields<'_>,
    asker: &Asker<'_>,
) -> Option<IpAddr> {
    let mut client = asker.peer;
    let lines = head.fields.iter().zip(&fields.names).rev().filter(|(_, n)| **n == Name::ForwardedFor);
    for entry in lines.flat_map(|(f, _)| f.value.rsplit(|&b| b == b',')) {
        let Some(ip) = parse_forwarded(entry.trim_ascii()) else { return client };
        client = Some(ip);
        if !asker.listener.trusted_proxies.contains(ip) {
            return client;
        }
    }
    client
}

/// An address as `X-Forwarded-For` has it: bare, or with a port, or in brackets.
#[must_use]
pub fn parse_forwarded(entry: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(entry).ok()?;
    let text = text.trim_matches('"');
    let ip = text
        .parse::<IpAddr>()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|a| a.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())?;
    Some(ip.to_canonical())
}
