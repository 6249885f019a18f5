//! The bytes that hash strategies place by: the first source present in the request wins.
//!
//! What nginx also has is the same bytes as nginx's variable, so that `hash` here places as there: `client_ip` is
//! `$remote_addr`, `query:NAME` is `$arg_NAME`. Elsewhere: a header's first line counts alone, and a cookie's name is
//! compared byte for byte (`$http_NAME` joins lines, `$cookie_NAME` ignores case).

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::pairs::{is_token, values};
use crate::base::ip_text::IpText;

/// One place in the request where a key may be. A value that is empty is not present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeySource {
    /// The client's address as text; for a client on a Unix socket `unix:`.
    ClientIp,
    /// A header's first line; the name is in lower case.
    Header(Box<str>),
    /// The first cookie of this name.
    Cookie(Box<str>),
    /// The first query argument of this name as it is written; the name's case does not matter.
    Query(Box<str>),
    /// The path as it is written, without the query.
    Path,
    /// The host that is asked for.
    Host,
    /// The subject of the client's certificate, as RFC 4514 writes it.
    TlsSubject,
}

/// Where a pool looks for the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPlan {
    /// The first one present wins.
    pub sources: Vec<KeySource>,
    /// Bits of an IPv4 address that count, 0 to 32.
    pub v4_prefix: u8,
    /// Bits of an IPv6 address that count, 0 to 128.
    pub v6_prefix: u8,
}

/// What a key may be taken from.
pub trait KeyFacts {
    /// Who asks, with mapped IPv4 addresses as IPv4; `None` for a client on a Unix socket.
    fn client(&self) -> Option<IpAddr>;
    /// The first line of the header of this name, which is given in lower case.
    fn header(&self, name: &str) -> Option<&[u8]>;
    /// Every `Cookie` line.
    fn cookies(&self) -> impl Iterator<Item = &[u8]>;
    /// Whether there is a `Cookie` line.
    fn has_cookies(&self) -> bool {
        self.cookies().next().is_some()
    }
    /// The `Cookie` line, if there is exactly one.
    fn only_cookie_line(&self) -> Option<&[u8]> {
        let mut lines = self.cookies();
        lines.next().filter(|_| lines.next().is_none())
    }
    /// What follows the `?`, if there is one.
    fn query(&self) -> Option<&[u8]>;
    /// The path as it is written.
    fn path(&self) -> &[u8];
    /// The host in lower case, without port.
    fn host(&self) -> Option<&[u8]>;
    /// The subject of the client's certificate, if it showed one.
    fn tls_subject(&self) -> Option<&[u8]> {
        None
    }
}

impl KeySource {
    /// Reads a source as the configuration writes it.
    ///
    /// # Errors
    /// What is there and what would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').map_or((text, None), |(kind, name)| (kind, Some(name)));
        match (kind, name) {
            ("client_ip", None) => Ok(Self::ClientIp),
            ("path", None) => Ok(Self::Path),
            ("host", None) => Ok(Self::Host),
            ("tls_subject", None) => Ok(Self::TlsSubject),
            ("client_ip" | "path" | "host" | "tls_subject", Some(_)) => {
                Err(format!("key {text:?}: must be {kind:?}, without a name"))
            }
            ("header" | "cookie" | "query", None) => {
                Err(format!("key {text:?}: must have a name, such as \"{kind}:{}\"", example(kind)))
            }
            ("header", Some(name)) if is_token(name) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            ("cookie", Some(name)) if is_token(name) => Ok(Self::Cookie(name.into())),
            ("query", Some(name)) if is_argument(name) => Ok(Self::Query(name.into())),
            ("header" | "cookie", Some(name)) => {
                Err(format!("key {text:?}: {kind} name {name:?} must be letters, digits or !#$%&'*+-.^_`|~"))
            }
            ("query", Some(name)) => Err(format!(
                "key {text:?}: query name {name:?} must be printable ASCII without &, =, # and blanks"
            )),
            _ => Err(format!(
                "key {text:?}: must be client_ip, header:NAME, cookie:NAME, query:NAME, path, host or tls_subject"
            )),
        }
    }

    /// The source as the configuration writes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::ClientIp => "client_ip".into(),
            Self::Header(name) => format!("header:{name}"),
            Self::Cookie(name) => format!("cookie:{name}"),
            Self::Query(name) => format!("query:{name}"),
            Self::Path => "path".into(),
            Self::Host => "host".into(),
            Self::TlsSubject => "tls_subject".into(),
        }
    }
}

impl KeyPlan {
    /// The client's whole address.
    #[must_use]
    pub fn client_ip() -> Self {
        Self { sources: vec![KeySource::ClientIp], v4_prefix: 32, v6_prefix: 128 }
    }

    /// The key of a request: the bytes of the first source present, where they are; an address is written down.
    #[must_use]
    pub fn find<'a, F: KeyFacts>(&self, facts: &'a F) -> Option<Cow<'a, [u8]>> {
        self.find_at(facts).map(|(_, key)| key)
    }

    /// The key that a client's address is.
    #[must_use]
    pub fn of_client(&self, client: IpAddr) -> Vec<u8> {
        self.client(Some(client))
    }

    /// The same, with the place of the source that it is from.
    #[must_use]
    pub fn find_at<'a, F: KeyFacts>(&self, facts: &'a F) -> Option<(usize, Cow<'a, [u8]>)> {
        for (place, source) in self.sources.iter().enumerate() {
            let found = match source {
                KeySource::ClientIp => return Some((place, Cow::Owned(self.client(facts.client())))),
                KeySource::Header(name) => facts.header(name),
                KeySource::Cookie(name) => facts.cookies().flat_map(|l| values(l, name.as_bytes())).next(),
                KeySource::Query(name) => facts.query().and_then(|query| argument(query, name.as_bytes())),
                KeySource::Path => Some(facts.path()),
                KeySource::Host => facts.host(),
                KeySource::TlsSubject => facts.tls_subject(),
            };
            if let Some(key) = found.filter(|key| !key.is_empty()) {
                return Some((place, Cow::Borrowed(key)));
            }
        }
        None
    }

    fn client(&self, client: Option<IpAddr>) -> Vec<u8> {
        match client.map(|ip| ip.to_canonical()) {
            None => b"unix:".to_vec(),
            Some(IpAddr::V4(ip)) => {
                let mask = u32::MAX.checked_shl(32_u32.saturating_sub(self.v4_prefix.into())).unwrap_or(0);
                IpText::of_v4(Ipv4Addr::from_bits(ip.to_bits() & mask)).as_bytes().to_vec()
            }
            Some(IpAddr::V6(ip)) => {
                let mask = u128::MAX.checked_shl(128_u32.saturating_sub(self.v6_prefix.into())).unwrap_or(0);
                v6(Ipv6Addr::from_bits(ip.to_bits() & mask))
            }
        }
    }
}

/// The first argument of this name. (nginx: `$arg_NAME`, `ngx_http_arg`)
pub(super) fn argument<'q>(query: &'q [u8], name: &[u8]) -> Option<&'q [u8]> {
    query.split(|b| *b == b'&').find_map(|argument| {
        let (start, rest) = argument.split_at_checked(name.len())?;
        rest.strip_prefix(b"=").filter(|_| start.eq_ignore_ascii_case(name))
    })
}

pub(super) fn is_argument(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && !b"&=#".contains(&b))
}

fn example(kind: &str) -> &'static str {
    match kind {
        "header" => "x-session-id",
        "cookie" => "JSESSIONID",
        _ => "session",
    }
}

/// The text of [RFC 5952](https://www.rfc-editor.org/rfc/rfc5952), except that nginx writes the last four bytes of the
/// long-forgotten IPv4-compatible addresses as IPv4. (nginx: `ngx_inet6_ntop`)
fn v6(ip: Ipv6Addr) -> Vec<u8> {
    let [zeros @ .., high, low] = ip.segments();
    let [third, fourth] = low.to_be_bytes();
    if zeros == [0; 6] && (high != 0 || (third != 0 && fourth != 1)) {
        let [first, second] = high.to_be_bytes();
        let rest = IpText::of_v4(Ipv4Addr::new(first, second, third, fourth));
        return [b"::", rest.as_bytes()].concat();
    }
    IpText::of(ip.into()).as_bytes().to_vec()
}

#[cfg(test)]
#[path = "key_tests.rs"]
mod tests;
