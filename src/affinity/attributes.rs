//! The attributes of the cookie that carries a pin, checked against what browsers accept.
//!
//! A browser drops a cookie whose attributes contradict each other without a word, and stickiness with it; such a
//! setting is refused here instead. Rules: [RFC 6265bis][1], and [CHIPS][2] for `Partitioned`.
//!
//! [1]: https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis
//! [2]: https://datatracker.ietf.org/doc/html/draft-cutler-httpbis-partitioned-cookies

use std::time::Duration;

use thiserror::Error;

use super::pairs::is_token;

/// Longest name and longest value of an attribute that browsers read, in bytes.
const LONGEST: usize = 1024;

/// Everything that follows the cookie's value. Defaults to `Path=/; HttpOnly; SameSite=Lax`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Where the cookie is sent; starts with `/`.
    pub path: String,
    /// The domain whose hosts share the cookie; none: the host that set it, alone.
    pub domain: Option<String>,
    /// How long the browser keeps it, at least 1 s; none: until the browser is closed.
    pub max_age: Option<Duration>,
    /// Sent over TLS only.
    pub secure: Secure,
    /// Hidden from scripts.
    pub http_only: bool,
    /// Whether requests that other sites start carry it; none: the attribute is left out.
    pub same_site: Option<SameSite>,
    /// Kept apart for each site that embeds this one.
    pub partitioned: bool,
    /// What the browser drops last when it has too many.
    pub priority: Option<Priority>,
}

/// Whether a cookie is sent over TLS only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Secure {
    /// One that is set over TLS is.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The `SameSite` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SameSite {
    /// Never on a request that another site started.
    Strict,
    /// On such a request only when it is a navigation.
    Lax,
    /// Always; needs `Secure`.
    None,
}

/// The `Priority` attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Priority {
    /// Dropped first.
    Low,
    /// As without the attribute.
    Medium,
    /// Dropped last.
    High,
}

/// A setting that no browser would accept.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CookieError {
    /// The name is no token.
    #[error("cookie name {0:?}: must be 1 to 1024 letters, digits or !#$%&'*+-.^_`|~")]
    Name(String),
    /// The name's prefix asks for an attribute.
    #[error("cookie name {name:?}: the prefix {prefix} needs {needs}")]
    Prefix {
        /// The cookie's name.
        name: String,
        /// Its prefix.
        prefix: &'static str,
        /// What the prefix needs.
        needs: &'static str,
    },
    /// The path is none.
    #[error("path {0:?}: must start with \"/\" and hold printable ASCII without \";\", 1024 bytes at most")]
    Path(String),
    /// The domain is none.
    #[error("domain {0:?}: must be a host name such as example.com")]
    Domain(String),
    /// The maximum age would delete the cookie.
    #[error(
        "max_age below 1 s: would delete the cookie at once; leave it out for a cookie of the browser's session"
    )]
    MaxAge,
    /// An attribute asks for `Secure`.
    #[error("{0} without secure: browsers drop the cookie; set secure = true")]
    NeedsSecure(&'static str),
    /// The idle time is too short.
    #[error("idle below 1 s: must be at least 1 s")]
    Idle,
    /// The lifetime is too short.
    #[error("lifetime below 1 s: must be at least 1 s; leave it out for none")]
    Lifetime,
}

/// Prefixes of names that browsers tie to attributes, the longer first.
const PREFIXES: [&str; 4] = ["__Host-Http-", "__Host-", "__Secure-", "__Http-"];

impl Attributes {
    /// Checks the attributes with each other and with the cookie's name.
    ///
    /// # Errors
    /// The first thing for which a browser would drop the cookie.
    pub fn check(&self, name: &str) -> Result<(), CookieError> {
        if !is_token(name) || name.len() > LONGEST {
            return Err(CookieError::Name(name.into()));
        }
        let printable =
            |text: &str| text.len() <= LONGEST && text.bytes().all(|b| matches!(b, b' '..=b'~' if b != b';'));
        if !self.path.starts_with('/') || !printable(&self.path) {
            return Err(CookieError::Path(self.path.clone()));
        }
        if let Some(domain) = self.domain.as_ref().filter(|d| !is_domain(d)) {
            return Err(CookieError::Domain(domain.clone()));
        }
        if self.max_age.is_some_and(|age| age.as_secs() == 0) {
            return Err(CookieError::MaxAge);
        }
        match (self.secure == Secure::Always, self.same_site, self.partitioned) {
            (false, Some(SameSite::None), _) => Err(CookieError::NeedsSecure("same_site = \"None\"")),
            (false, _, true) => Err(CookieError::NeedsSecure("partitioned")),
            _ => self.check_prefix(name),
        }
    }

    /// Appends `; Path=..` and all that follows, but what depends on the connection.
    pub fn write(&self, out: &mut Vec<u8>) {
        let mut attribute = |name: &str, value: &str| {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(name.as_bytes());
            out.extend_from_slice(value.as_bytes());
        };
        attribute("Path=", &self.path);
        if let Some(domain) = &self.domain {
            attribute("Domain=", domain);
        }
        if let Some(age) = self.max_age {
            attribute("Max-Age=", itoa::Buffer::new().format(age.as_secs()));
        }
        if self.secure == Secure::Always {
            attribute("Secure", "");
        }
        if self.http_only {
            attribute("HttpOnly", "");
        }
        if let Some(same_site) = self.same_site {
            attribute("SameSite=", same_site.as_str());
        }
        if self.partitioned {
            attribute("Partitioned", "");
        }
        if let Some(priority) = self.priority {
            attribute("Priority=", priority.as_str());
        }
    }

    /// Browsers compare prefixes without regard to case.
    fn check_prefix(&self, name: &str) -> Result<(), CookieError> {
        let starts = |prefix: &&str| name.get(..prefix.len()).is_some_and(|n| n.eq_ignore_ascii_case(prefix));
        let Some(prefix) = PREFIXES.into_iter().find(starts) else { return Ok(()) };
        let (is_host, is_http) = (prefix.starts_with("__Host-"), prefix.ends_with("Http-"));
        let needs = if self.secure != Secure::Always {
            "secure = true"
        } else if is_host && self.path != "/" {
            "path = \"/\""
        } else if is_host && self.domain.is_some() {
            "no domain"
        } else if is_http && !self.http_only {
            "http_only = true"
        } else {
            return Ok(());
        };
        Err(CookieError::Prefix { name: name.into(), prefix, needs })
    }
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            path: "/".into(),
            domain: None,
            max_age: None,
            secure: Secure::Auto,
            http_only: true,
            same_site: Some(SameSite::Lax),
            partitioned: false,
            priority: None,
        }
    }
}

impl SameSite {
    /// Reads `Strict`, `Lax` or `None`, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Strict, Self::Lax, Self::None].into_iter().find(|s| s.as_str().eq_ignore_ascii_case(text))
    }

    /// The attribute's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "Strict",
            Self::Lax => "Lax",
            Self::None => "None",
        }
    }
}

impl Priority {
    /// Reads `Low`, `Medium` or `High`, in any case.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Low, Self::Medium, Self::High].into_iter().find(|p| p.as_str().eq_ignore_ascii_case(text))
    }

    /// The attribute's value.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Low => "Low",
            Self::Medium => "Medium",
            Self::High => "High",
        }
    }
}

/// A host name, or one with the leading dot that old servers write.
fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    text.len() <= 254 && text.strip_prefix('.').unwrap_or(text).split('.').all(is_label)
}

#[cfg(test)]
#[path = "attributes_tests.rs"]
mod tests;
