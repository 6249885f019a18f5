//! Who may read and who may change.
//!
//! | from | reads | changes, with `X-Homing: 1` |
//! |---|---|---|
//! | this machine, asking for a loopback host | always | always |
//! | this machine, asking for another host | always | with the token |
//! | elsewhere | if there is no token, or with it | with the token |
//!
//! *This machine* is a loopback address or a Unix socket, and nobody whom a proxy speaks for. The header cannot be sent
//! by a form or an image of another site, nor by its scripts, for no CORS request is allowed (the [Fetch] standard); the
//! host keeps out sites whose name was made to resolve to loopback (DNS rebinding).
//!
//! [Fetch]: https://fetch.spec.whatwg.org/#cors-preflight-fetch

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use http::uri::Authority;
use http::{HeaderMap, HeaderName, StatusCode, Uri, header};

use crate::snapshot::admin::Token;

/// The field without which nothing is changed.
pub(super) const MARK: HeaderName = HeaderName::from_static("x-homing");

/// Where a connection comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Over TCP, from there.
    Tcp(SocketAddr),
    /// Over a Unix socket, whose permissions say who may connect.
    Unix,
}

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// To be told.
    Read,
    /// To have something done.
    Change,
}

/// Why somebody may not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Denied {
    /// A change without the header.
    NotMarked,
    /// Only this machine may, for there is no token.
    NotHere,
    /// The token is missing.
    NoToken,
    /// It is another.
    WrongToken,
}

/// Whether `access` is allowed; who it is, for the audit.
pub(super) fn admit(
    access: Access,
    origin: Origin,
    uri: &Uri,
    headers: &HeaderMap,
    token: Option<&Token>,
) -> Result<String, Denied> {
    let is_local = origin.is_local() && !is_forwarded(headers);
    match access {
        Access::Read if is_local || token.is_none() => return Ok(origin.to_string()),
        Access::Read => {}
        Access::Change if headers.get(MARK).is_none_or(|v| v != "1") => return Err(Denied::NotMarked),
        Access::Change if is_local && is_loopback(uri, headers) => return Ok(origin.to_string()),
        Access::Change => {}
    }
    let token = token.ok_or(Denied::NotHere)?;
    let given = bearer(headers).ok_or(Denied::NoToken)?;
    if token.is(given) { Ok(format!("{origin} with the token")) } else { Err(Denied::WrongToken) }
}

/// Whether a proxy speaks for somebody: its own address says nothing then.
fn is_forwarded(headers: &HeaderMap) -> bool {
    [header::FORWARDED, header::VIA, HeaderName::from_static("x-forwarded-for")]
        .iter()
        .any(|name| headers.contains_key(name))
}

/// Whether the host that is asked for is this machine under a name that nobody else can give it.
fn is_loopback(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    let Ok(host) = Authority::try_from(host.as_bytes()) else { return false };
    uri.authority().into_iter().chain([&host]).all(|authority| {
        let name = authority.host().trim_start_matches('[').trim_end_matches(']');
        let is_ip = name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback());
        !authority.as_str().contains('@') && (is_ip || name.eq_ignore_ascii_case("localhost"))
    })
}

/// The token of `Authorization: Bearer <token>` (RFC 6750 section 2.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut all = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

impl Origin {
    fn is_local(self) -> bool {
        match self {
            Self::Tcp(address) => address.ip().to_canonical().is_loopback(),
            Self::Unix => true,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "{address}"),
            Self::Unix => f.write_str("unix socket"),
        }
    }
}

impl Denied {
    pub(super) const fn status(self) -> StatusCode {
        match self {
            Self::NotMarked | Self::NotHere => StatusCode::FORBIDDEN,
            Self::NoToken | Self::WrongToken => StatusCode::UNAUTHORIZED,
        }
    }

    pub(super) const fn reason(self) -> &'static str {
        match self {
            Self::NotMarked => "not_marked",
            Self::NotHere => "not_local",
            Self::NoToken => "token_missing",
            Self::WrongToken => "token_wrong",
        }
    }

    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::NotMarked => "a change needs the header X-Homing: 1",
            Self::NotHere => {
                "without a token changes are taken only from this machine, asked for by a loopback Host; set [admin] \
                 token to change things from elsewhere"
            }
            Self::NoToken => "a token is needed: Authorization: Bearer <token>",
            Self::WrongToken => "the token is another",
        }
    }
}

#[cfg(test)]
#[path = "auth_tests.rs"]
mod tests;
