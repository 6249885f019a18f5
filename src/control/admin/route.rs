//! Paths to what is asked for.

use http::Method;

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Route {
    Page,
    Healthy,
    Ready,
    Metrics,
    Pools,
    State,
    Events,
    OpenApi,
    Reload,
    Backend(Place),
    SafeToStop(Place),
    SetState(Place),
    SetWeight(Place),
    Sessions(String),
    FindSession(String),
    MoveSession(String),
    EndSession(String),
}

/// A backend of a pool.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) pool: String,
    pub(super) backend: String,
}

/// Why there is nothing at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoRoute {
    Unknown,
    /// A `%` without two hex digits behind it, or bytes that are not UTF-8.
    Encoding,
}

impl Route {
    /// What is at this path, without its query.
    pub(super) fn of(path: &str) -> Result<Self, NoRoute> {
        match path {
            "/" => return Ok(Self::Page),
            "/healthz" => return Ok(Self::Healthy),
            "/readyz" => return Ok(Self::Ready),
            "/metrics" => return Ok(Self::Metrics),
            _ => {}
        }
        let rest = path.strip_prefix("/api/v1/").ok_or(NoRoute::Unknown)?;
        let parts = rest.split('/').map(decode).collect::<Option<Vec<_>>>().ok_or(NoRoute::Encoding)?;
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        let place = |pool: &str, backend: &str| Place { pool: pool.to_owned(), backend: backend.to_owned() };
        Ok(match *parts.as_slice() {
            ["pools"] => Self::Pools,
            ["state"] => Self::State,
            ["events"] => Self::Events,
            ["openapi.json"] => Self::OpenApi,
            ["reload"] => Self::Reload,
            ["pools", p, "backends", b] => Self::Backend(place(p, b)),
            ["pools", p, "backends", b, "safe-to-stop"] => Self::SafeToStop(place(p, b)),
            ["pools", p, "backends", b, "state"] => Self::SetState(place(p, b)),
            ["pools", p, "backends", b, "weight"] => Self::SetWeight(place(p, b)),
            ["pools", p, "sessions"] => Self::Sessions(p.to_owned()),
            ["pools", p, "sessions", "find"] => Self::FindSession(p.to_owned()),
            ["pools", p, "sessions", "move"] => Self::MoveSession(p.to_owned()),
            ["pools", p, "sessions", "end"] => Self::EndSession(p.to_owned()),
            _ => return Err(NoRoute::Unknown),
        })
    }

    /// Whether it is asked for by POST.
    pub(super) const fn is_change(&self) -> bool {
        matches!(
            self,
            Self::Reload
                | Self::SetState(_)
                | Self::SetWeight(_)
                | Self::FindSession(_)
                | Self::MoveSession(_)
                | Self::EndSession(_)
        )
    }

    /// Whether everybody may have it: it says nothing that has to be kept, and those who ask for it have no token.
    pub(super) const fn is_public(&self) -> bool {
        matches!(self, Self::Page | Self::Healthy | Self::Ready | Self::OpenApi)
    }

    /// The methods that it takes.
    pub(super) const fn allows(&self) -> &'static str {
        if self.is_change() { "POST" } else { "GET, HEAD" }
    }

    /// Whether it takes this one.
    pub(super) fn takes(&self, method: &Method) -> bool {
        self.allows().split(", ").any(|allowed| allowed == method.as_str())
    }
}

/// Text that stands percent-encoded (RFC 3986 section 2.1); `None` if it does not.
pub(in crate::control) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16).and_then(|d| u8::try_from(d).ok());
                digit()? << 4 | digit()?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).ok()
}

/// The value of a key of the query, decoded; a key without a value has an empty one.
pub(super) fn query(query: Option<&str>, key: &str) -> Option<String> {
    let pairs = query?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    pairs.filter(|(name, _)| decode(name).as_deref() == Some(key)).find_map(|(_, value)| decode(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_stand_percent_encoded() {
        for (path, expected) in [
            ("/api/v1/pools/app/backends/127.0.0.1:9001", Ok(("app", "127.0.0.1:9001"))),
            ("/api/v1/pools/app/backends/127.0.0.1%3A9001", Ok(("app", "127.0.0.1:9001"))),
            ("/api/v1/pools/a%2fb/backends/unix%3A%2Frun%2Fx.sock", Ok(("a/b", "unix:/run/x.sock"))),
            ("/api/v1/pools/caf%C3%A9/backends/%25", Ok(("café", "%"))),
            ("/api/v1/pools/app/backends/%", Err(NoRoute::Encoding)),
            ("/api/v1/pools/app/backends/%2", Err(NoRoute::Encoding)),
            ("/api/v1/pools/app/backends/%+1", Err(NoRoute::Encoding)),
            ("/api/v1/pools/app/backends/%FF", Err(NoRoute::Encoding)),
            ("/api/v1/pools/app/backends/unix:/run/x", Err(NoRoute::Unknown)),
            ("/api/v1/pools/app/backends", Err(NoRoute::Unknown)),
            ("/api/v2/pools", Err(NoRoute::Unknown)),
        ] {
            let place = |(pool, backend): (&str, &str)| {
                Route::Backend(Place { pool: pool.to_owned(), backend: backend.to_owned() })
            };
            assert_eq!(Route::of(path), expected.map(place), "{path}");
        }
    }

    #[test]
    fn keys_of_a_query() {
        let q = Some("dry_run=1&backend=a%3A1&flag&backend=later");
        assert_eq!(query(q, "dry_run").as_deref(), Some("1"));
        assert_eq!(query(q, "backend").as_deref(), Some("a:1"));
        assert_eq!(query(q, "flag").as_deref(), Some(""));
        assert_eq!((query(q, "none"), query(None, "dry_run")), (None, None));
    }
}
