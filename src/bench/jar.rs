//! One user's cookies, kept as browsers keep them (RFC 6265bis): by name, domain and path; `Secure` ones for TLS alone or
//! for loopback, which browsers trust as well; `__Host-` and `__Secure-` only with what those names promise.

use std::time::{Duration, Instant};

/// Cookies that one jar holds at most; the oldest go first.
const MOST: usize = 64;

/// The cookies of one user at one origin.
#[derive(Debug, Default)]
pub(super) struct Jar {
    cookies: Vec<Cookie>,
}

#[derive(Debug)]
struct Cookie {
    name: String,
    value: String,
    path: String,
    domain: Option<String>,
    ends: Option<Instant>,
}

/// Where a jar is used.
#[derive(Clone, Copy, Debug)]
pub(super) struct Origin<'a> {
    /// The host, without its port.
    pub(super) host: &'a str,
    /// Whether what is sent there cannot be read on the way: by TLS, or because it is this machine.
    pub(super) is_trustworthy: bool,
}

impl Jar {
    /// Keeps, changes or forgets a cookie as a `Set-Cookie` says; false if it is not taken.
    pub(super) fn put(&mut self, line: &str, origin: Origin<'_>, request_path: &str, now: Instant) -> bool {
        let mut parts = line.split(';');
        let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { return false };
        let (name, value) = (name.trim(), value.trim());
        let (mut path, mut domain, mut ends, mut is_secure) = (None, None, None, false);
        for part in parts {
            let (key, value) = part.split_once('=').unwrap_or((part, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "path" if value.starts_with('/') => path = Some(value.to_owned()),
                "domain" if !value.is_empty() => {
                    domain = Some(value.trim_start_matches('.').to_ascii_lowercase());
                }
                "max-age" => {
                    if let Ok(seconds) = value.parse::<i64>() {
                        let life = Duration::from_secs(u64::try_from(seconds).unwrap_or(0));
                        ends = now.checked_add(life).or(ends);
                    }
                }
                // Of a date only whether it has passed matters: who takes a cookie back sets it to 1970.
                "expires" if ends.is_none() && is_past(value) => ends = Some(now),
                "secure" => is_secure = true,
                _ => {}
            }
        }
        let is_foreign = domain.as_deref().is_some_and(|domain| !is_within(origin.host, domain));
        let breaks_its_name = (name.starts_with("__Host-")
            && (!is_secure || domain.is_some() || path.as_deref() != Some("/")))
            || (name.starts_with("__Secure-") && !is_secure);
        if name.is_empty() || is_foreign || breaks_its_name || (is_secure && !origin.is_trustworthy) {
            return false;
        }
        let path = path.unwrap_or_else(|| default_path(request_path));
        self.cookies.retain(|c| !(c.name == name && c.path == path && c.domain == domain));
        if ends.is_none_or(|ends| ends > now) {
            if self.cookies.len() == MOST {
                self.cookies.remove(0);
            }
            self.cookies.push(Cookie { name: name.to_owned(), value: value.to_owned(), path, domain, ends });
        }
        true
    }

    /// What is sent as `Cookie` for a path; nothing if there is none.
    pub(super) fn line(&self, path: &str, now: Instant) -> Option<String> {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        let mut fit: Vec<&Cookie> = self
            .cookies
            .iter()
            .filter(|c| c.ends.is_none_or(|ends| ends > now) && path_matches(path, &c.path))
            .collect();
        fit.sort_by_key(|c| std::cmp::Reverse(c.path.len()));
        let pairs: Vec<String> = fit.iter().map(|c| format!("{}={}", c.name, c.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    /// Loses every cookie for which this holds, by name.
    pub(super) fn lose(&mut self, which: impl Fn(&str) -> bool) {
        self.cookies.retain(|c| !which(&c.name));
    }
}

fn is_past(date: &str) -> bool {
    httpdate::parse_http_date(date).is_ok_and(|date| date <= std::time::SystemTime::now())
}

fn is_within(host: &str, domain: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == domain || host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'))
}

fn default_path(request_path: &str) -> String {
    match request_path.rfind('/') {
        None | Some(0) => "/".to_owned(),
        Some(at) => request_path.get(..at).unwrap_or("/").to_owned(),
    }
}

fn path_matches(path: &str, of_cookie: &str) -> bool {
    path.strip_prefix(of_cookie)
        .is_some_and(|rest| rest.is_empty() || of_cookie.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: Origin<'_> = Origin { host: "shop.example", is_trustworthy: true };
    const PLAIN: Origin<'_> = Origin { host: "shop.example", is_trustworthy: false };

    #[test]
    fn cookies_are_taken_and_sent_as_browsers_do() {
        let now = Instant::now();
        for (line, origin, taken, path, sent) in [
            ("a=1", PLAIN, true, "/x/y", Some("a=1")),
            ("a=1; Path=/x", PLAIN, true, "/xy", None),
            ("a=1; Path=/x", PLAIN, true, "/x/y", Some("a=1")),
            ("a=1", PLAIN, true, "/", None),
            ("a=1; Path=/; Secure", PLAIN, false, "/", None),
            ("a=1; Path=/; Secure", HERE, true, "/", Some("a=1")),
            ("__Host-a=1; Path=/; Secure", HERE, true, "/", Some("__Host-a=1")),
            ("__Host-a=1; Path=/x; Secure", HERE, false, "/x", None),
            ("__Host-a=1; Path=/; Secure; Domain=shop.example", HERE, false, "/", None),
            ("__Host-a=1; Path=/", HERE, false, "/", None),
            ("a=1; Path=/; Domain=example", PLAIN, true, "/", Some("a=1")),
            ("a=1; Path=/; Domain=hop.example", PLAIN, false, "/", None),
            ("a=1; Path=/; Domain=other.example", PLAIN, false, "/", None),
            ("a=1; Path=/; Max-Age=0", PLAIN, true, "/", None),
            ("a=1; Path=/; Expires=Thu, 01 Jan 1970 00:00:00 GMT", PLAIN, true, "/", None),
            ("no pair", PLAIN, false, "/", None),
        ] {
            let mut jar = Jar::default();
            assert_eq!(jar.put(line, origin, "/x/login", now), taken, "{line}");
            assert_eq!(jar.line(path, now).as_deref(), sent, "{line} at {path}");
        }
    }

    #[test]
    fn a_cookie_is_replaced_taken_back_and_ends() {
        let (now, mut jar) = (Instant::now(), Jar::default());
        let put = |jar: &mut Jar, line: &str| jar.put(line, PLAIN, "/", now);
        put(&mut jar, "a=1; Path=/");
        put(&mut jar, "b=2; Path=/; Max-Age=10");
        put(&mut jar, "a=3; Path=/");
        assert_eq!(jar.line("/", now).as_deref(), Some("b=2; a=3"));
        assert_eq!(jar.line("/", now + Duration::from_secs(11)).as_deref(), Some("a=3"));
        put(&mut jar, "a=; Path=/; Max-Age=0");
        jar.lose(|name| name == "b");
        assert_eq!(jar.line("/", now), None);
    }
}
