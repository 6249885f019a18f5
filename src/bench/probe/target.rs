//! Whom to ask: the URL, where that is, and from which addresses one can come.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use thiserror::Error;

/// An `http://` or `https://` URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Whether it is `https://`.
    pub is_tls: bool,
    /// A host name, or an address without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The path with its query.
    pub path: String,
}

/// Why a probe did not take place.
#[derive(Debug, Error)]
pub enum Wrong {
    /// It makes no sense as it is asked for.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers.
    #[error("{0}")]
    Unreachable(String),
}

/// How a client can have several addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Vary {
    /// It binds an address of 127.0.0.0/8.
    Bind,
    /// It claims one in this header field, which the balancer trusts.
    Claim(String),
    /// It cannot.
    Never,
}

impl Target {
    /// Reads a URL.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(url: &str) -> Result<Self, Wrong> {
        let wrong = |why: &str| Wrong::Usage(format!("{url}: {why}"));
        let (is_tls, rest) = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
            (Some(rest), _) => (false, rest),
            (_, Some(rest)) => (true, rest),
            _ => return Err(wrong("must begin with http:// or https://")),
        };
        let rest = rest.split('#').next().unwrap_or_default();
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err(wrong("must hold no user and no password; --header can carry what authorises"));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, port.parse().map_err(|_| wrong("the port must be a number up to 65535"))?)
            }
            _ => (authority, if is_tls { 443 } else { 80 }),
        };
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).to_owned();
        if host.is_empty() || !path.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(wrong("must be a URL, as in https://shop.example/"));
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        Ok(Self { is_tls, host, port, path })
    }

    /// What stands in `Host`.
    #[must_use]
    pub fn authority(&self) -> String {
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        let usual = if self.is_tls { 443 } else { 80 };
        if self.port == usual { host } else { format!("{host}:{}", self.port) }
    }

    /// The address to connect to: of several, an IPv4 one.
    ///
    /// # Errors
    /// There is none.
    pub async fn resolve(&self) -> Result<SocketAddr, Wrong> {
        let found = tokio::net::lookup_host((self.host.as_str(), self.port)).await;
        let all: Vec<SocketAddr> =
            found.map_err(|e| Wrong::Unreachable(format!("resolve {}: {e}", self.host)))?.collect();
        let found = all.iter().find(|a| a.is_ipv4()).or_else(|| all.first());
        found.copied().ok_or_else(|| Wrong::Unreachable(format!("resolve {}: it has no address", self.host)))
    }
}

impl Vary {
    /// How a client of `target` can, given the header field that its balancer trusts.
    #[must_use]
    pub fn of(target: SocketAddr, claim: Option<&str>) -> Self {
        match claim {
            Some(field) => Self::Claim(field.to_owned()),
            None if matches!(target.ip(), IpAddr::V4(ip) if ip.is_loopback()) => Self::Bind,
            None => Self::Never,
        }
    }

    /// An address drawn at random, in a prefix that `like` shares in so many octets.
    pub fn draw(&self, random: &mut fastrand::Rng, like: Option<(Ipv4Addr, usize)>) -> Option<Ipv4Addr> {
        let mut octets = match self {
            Self::Bind => [127, random.u8(1..=254), random.u8(..), random.u8(1..=254)],
            // 198.18.0.0/15 belongs to nobody: it is for benchmarks. (RFC 2544)
            Self::Claim(_) => [198, random.u8(18..=19), random.u8(..), random.u8(1..=254)],
            Self::Never => return None,
        };
        if let Some((like, same)) = like {
            octets.iter_mut().zip(like.octets()).take(same).for_each(|(octet, same)| *octet = same);
        }
        Some(octets.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_taken_apart() {
        for (url, expected) in [
            ("http://a", Some((false, "a", 80, "/", "a"))),
            ("https://a.b:8443/x?y=1#z", Some((true, "a.b", 8443, "/x?y=1", "a.b:8443"))),
            ("http://[::1]:8080/", Some((false, "::1", 8080, "/", "[::1]:8080"))),
            ("http://[::1]", Some((false, "::1", 80, "/", "[::1]"))),
            ("https://a?x", Some((true, "a", 443, "/?x", "a"))),
            ("http://a:80/", Some((false, "a", 80, "/", "a"))),
            ("a:80", None),
            ("ftp://a", None),
            ("http://", None),
            ("http://a:x", None),
            ("http://u:p@a/", None),
            ("http://a/ b", None),
        ] {
            let read = Target::parse(url).ok();
            let read = read.as_ref().map(|t| (t.is_tls, &*t.host, t.port, &*t.path, t.authority()));
            let expected = expected.map(|(tls, host, port, path, a)| (tls, host, port, path, a.to_owned()));
            assert_eq!(read, expected, "{url}");
        }
    }

    #[test]
    fn addresses_are_drawn_in_the_prefix_that_is_asked_for() {
        let mut random = fastrand::Rng::with_seed(1);
        let loopback: SocketAddr = "127.0.0.1:80".parse().unwrap();
        let bind = Vary::of(loopback, None);
        let like = bind.draw(&mut random, None).unwrap();
        for same in [2, 3] {
            let octets = bind.draw(&mut random, Some((like, same))).unwrap().octets();
            assert_eq!(octets[..same], like.octets()[..same]);
        }
        assert!(like.is_loopback());
        assert_eq!(Vary::of("192.0.2.1:80".parse().unwrap(), None).draw(&mut random, None), None);
        let claimed = Vary::of("192.0.2.1:80".parse().unwrap(), Some("X-Forwarded-For"));
        assert_eq!(claimed.draw(&mut random, None).unwrap().octets()[0], 198);
    }
}
