//! What one backend is told: where its sessions live, how long, and how dear a password is.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use super::accounts::Shared;
use super::jwt::{Algorithm, Keys};
use super::password::Cost;

/// Where the sessions of a backend live. As text: `memory`, `redis://HOST:PORT`, `redis+unix:///path`,
/// `memcached://HOST:PORT`, `memcached+unix:///path`, `jwt`, `jwt:es256`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In this process: they end with it, and no other backend knows them.
    Memory,
    /// In a Redis that every backend asks.
    Redis(Endpoint),
    /// In a Memcached that every backend asks.
    Memcached(Endpoint),
    /// In the client's cookie, signed.
    Jwt(Algorithm),
}

/// Where a store listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `host:port`
    Tcp(String),
    /// A Unix socket.
    Unix(PathBuf),
}

/// A text that names no [`Place`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlaceError {
    /// It begins with none of the words.
    #[error(
        "must be memory, redis://HOST:PORT, redis+unix:///PATH, memcached://HOST:PORT, memcached+unix:///PATH \
         or jwt[:hs256|rs256|es256|eddsa]"
    )]
    Kind,
    /// Something is missing after the scheme, or too much is there.
    #[error("after :// comes HOST:PORT and nothing else; after +unix:// an absolute path")]
    Endpoint,
}

/// All that one backend is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// What it calls itself. One that cannot stand in a header is `unnamed` there.
    pub name: Arc<str>,
    /// Where its sessions live.
    pub sessions: Place,
    /// A Redis in which revoked tokens are named; asked once a request. For [`Place::Jwt`].
    pub deny_list: Option<Endpoint>,
    /// What tokens are signed with; without it, a key of this process alone. For [`Place::Jwt`].
    pub keys: Option<Arc<Keys>>,
    /// A session that nobody visits for so long is over. Default 30 min (OWASP: 15 to 30 min for low risk).
    pub idle: Duration,
    /// And any session after so long. Default 8 h (OWASP: 4 to 8 h).
    pub lifetime: Duration,
    /// How long an access token is good. Default 5 min.
    pub access: Duration,
    /// Cookies are `Secure` and have the prefix `__Host-`.
    pub secure: bool,
    /// A login keeps the id that the client shows, instead of a new one: what PHP does without strict mode and a new id at
    /// login. Whoever planted the id has the session too, and a backend that the client comes back to still has the old copy
    /// under it. For [`Place::Memory`], to show just that.
    pub adopts_ids: bool,
    /// Who logs in with the password `demo` is registered then and there.
    pub open_registration: bool,
    /// `POST /faults` makes answers late or errors, for who is on this machine.
    pub takes_faults: bool,
    /// What hashing a password costs.
    pub cost: Cost,
    /// Accounts that several backends of one process share, where no store keeps them. Without it, its own.
    pub accounts: Option<Shared>,
}

impl Options {
    /// A backend of this name, everything else by default.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            sessions: Place::Memory,
            deny_list: None,
            keys: None,
            idle: Duration::from_secs(30 * 60),
            lifetime: Duration::from_secs(8 * 3600),
            access: Duration::from_secs(5 * 60),
            secure: false,
            adopts_ids: false,
            open_registration: false,
            takes_faults: false,
            cost: Cost::Owasp,
            accounts: None,
        }
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        if let Some((scheme, _)) = text.split_once("://") {
            let endpoint = Endpoint::from_str(text)?;
            return match scheme.trim_end_matches("+unix") {
                "redis" => Ok(Self::Redis(endpoint)),
                "memcached" => Ok(Self::Memcached(endpoint)),
                _ => Err(PlaceError::Kind),
            };
        }
        match text.split_once(':') {
            None if text == "memory" => Ok(Self::Memory),
            None if text == "jwt" => Ok(Self::Jwt(Algorithm::Hs256)),
            Some(("jwt", algorithm)) => Algorithm::named(algorithm).map(Self::Jwt).ok_or(PlaceError::Kind),
            _ => Err(PlaceError::Kind),
        }
    }
}

impl FromStr for Endpoint {
    type Err = PlaceError;

    /// Reads what follows the scheme of a URL, whichever scheme that is.
    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let (scheme, rest) = text.split_once("://").ok_or(PlaceError::Endpoint)?;
        if scheme.ends_with("+unix") {
            let is_path = rest.len() > 1 && rest.starts_with('/');
            return if is_path { Ok(Self::Unix(rest.into())) } else { Err(PlaceError::Endpoint) };
        }
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = rest.rsplit_once(':').ok_or(PlaceError::Endpoint)?;
        let is_plain = !host.is_empty() && !rest.contains(['/', '@', '?', '#']);
        if is_plain && port.parse::<u16>().is_ok_and(|port| port != 0) {
            Ok(Self::Tcp(rest.to_owned()))
        } else {
            Err(PlaceError::Endpoint)
        }
    }
}

impl Place {
    /// The first word of its text: `memory`, `redis`, `memcached` or `jwt`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::Redis(_) => "redis",
            Self::Memcached(_) => "memcached",
            Self::Jwt(_) => "jwt",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Redis(Endpoint::Tcp(at)) => write!(f, "redis://{at}"),
            Self::Redis(Endpoint::Unix(at)) => write!(f, "redis+unix://{}", at.display()),
            Self::Memcached(Endpoint::Tcp(at)) => write!(f, "memcached://{at}"),
            Self::Memcached(Endpoint::Unix(at)) => write!(f, "memcached+unix://{}", at.display()),
            Self::Jwt(algorithm) => write!(f, "jwt:{}", algorithm.name().to_ascii_lowercase()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_as_it_is_written() {
        for text in [
            "memory",
            "redis://127.0.0.1:6379",
            "redis://[::1]:6379",
            "redis+unix:///run/redis.sock",
            "memcached://cache:11211",
            "memcached+unix:///run/m.sock",
            "jwt:hs256",
            "jwt:rs256",
            "jwt:es256",
            "jwt:eddsa",
        ] {
            assert_eq!(text.parse::<Place>().map(|p| p.to_string()).as_deref(), Ok(text));
        }
        assert_eq!("jwt".parse(), Ok(Place::Jwt(Algorithm::Hs256)));
        for text in [
            "",
            "Memory",
            "memory:1",
            "jwt:none",
            "jwt:",
            "redis",
            "redis://",
            "redis://h",
            "redis://h:0",
            "redis://u:p@h:1",
            "redis://h:1/2",
            "redis+unix://run",
            "http://h:1",
            "jwt://h:1",
        ] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
    }
}
