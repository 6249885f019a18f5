//! Host and path rules that name a pool: the most specific wins, file order breaks ties.
//!
//! Beside it what a route does before a pool is asked: [`access`] says who may come in, [`rate`] how often, [`path`]
//! changes paths, and a [`reply`] stands in for a pool.
//!
//! An exact host beats a wildcard, a longer wildcard beats a shorter one, a longer path beats a shorter one; the
//! host is decided before the path. Routes that name a listener beat those that do not only by being for it.

pub mod access;
pub mod path;
pub mod rate;
pub mod reply;

use std::borrow::Cow;

use ahash::AHashMap;

use self::path::PathChange;
use self::reply::{Redirect, Respond};
use crate::base::settings::Settings;

/// One rule.
#[derive(Clone, Debug, Default)]
pub struct Route {
    /// The listener it is for, by place in the snapshot; `None` is every listener.
    pub listener: Option<usize>,
    /// Which hosts.
    pub host: HostPattern,
    /// The path prefix, on segment borders: `/api` matches `/api`, `/api/x` and `/api;x`, not `/apix`. `/` is every path.
    pub path: String,
    /// Where its requests go.
    pub to: Destination,
    /// What is changed of the path, for a backend or a redirect.
    pub path_change: Option<PathChange>,
    /// Changes to the request's fields.
    pub request_headers: HeaderRules,
    /// Changes to the response's fields.
    pub response_headers: HeaderRules,
    /// Its other keys, as they are in effect.
    pub settings: Settings,
}

/// Where a route's requests go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Destination {
    /// To a pool, by place in the snapshot.
    Pool(usize),
    /// Elsewhere: homing says where.
    Redirect(Redirect),
    /// Nowhere: homing answers.
    Respond(Respond),
}

impl Default for Destination {
    fn default() -> Self {
        Self::Pool(0)
    }
}

impl Route {
    /// The pool, by place in the snapshot, if it has one.
    #[must_use]
    pub const fn pool(&self) -> Option<usize> {
        match self.to {
            Destination::Pool(ix) => Some(ix),
            Destination::Redirect(_) | Destination::Respond(_) => None,
        }
    }
}

/// Which hosts a route is for. Names are lower case, without a port.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum HostPattern {
    /// Every host.
    #[default]
    Any,
    /// This host.
    Exact(String),
    /// Every host under this suffix, which is written without the star: `.example.com`.
    Under(String),
}

/// Changes to fields: first those of `remove` go, then those of `set` replace, then those of `add` join.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderRules {
    /// Names, lower case.
    pub remove: Vec<String>,
    /// (name in lower case, value)
    pub set: Vec<(String, String)>,
    /// (name in lower case, value)
    pub add: Vec<(String, String)>,
}

/// All routes, indexed.
#[derive(Debug, Default)]
pub struct Routes {
    routes: Vec<Route>,
    exact: AHashMap<String, Vec<usize>>,
    under: AHashMap<String, Vec<usize>>,
    any: Vec<usize>,
    /// Their paths as requests' are read; nothing where all routes are for every path.
    paths: Vec<String>,
}

impl std::fmt::Display for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.host {
            HostPattern::Any => write!(f, "*{}", self.path),
            HostPattern::Exact(host) => write!(f, "{host}{}", self.path),
            HostPattern::Under(suffix) => write!(f, "*{suffix}{}", self.path),
        }
    }
}

impl HeaderRules {
    /// Whether there is nothing to do.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.remove.is_empty() && self.set.is_empty() && self.add.is_empty()
    }
}

impl Routes {
    /// Indexes the routes; their order is the file's.
    #[must_use]
    pub fn new(routes: Vec<Route>) -> Self {
        let mut this = Self::default();
        for (i, route) in routes.iter().enumerate() {
            match &route.host {
                HostPattern::Any => this.any.push(i),
                HostPattern::Exact(host) => this.exact.entry(host.clone()).or_default().push(i),
                HostPattern::Under(suffix) => this.under.entry(suffix.clone()).or_default().push(i),
            }
        }
        // Longest path first; the sort is stable, so file order breaks ties.
        let by_path = |list: &mut Vec<usize>| list.sort_by_key(|&i| usize::MAX - routes[i].path.len());
        this.exact.values_mut().chain(this.under.values_mut()).for_each(by_path);
        by_path(&mut this.any);
        if routes.iter().any(|route| route.path != "/") {
            this.paths = routes.iter().map(|route| path::as_read(&route.path).into_owned()).collect();
        }
        this.routes = routes;
        this
    }

    /// The route, with its place, for a request on `listener` to `host` (without port, any case) and `path` (without query).
    #[must_use]
    pub fn find(&self, listener: usize, host: &str, path: &str) -> Option<(usize, &Route)> {
        let path = if self.paths.is_empty() { Cow::Borrowed(path) } else { path::as_read(path) };
        let suits = |i: usize| self.paths.get(i).is_none_or(|prefix| is_under(&path, prefix));
        let first = |list: &[usize]| {
            list.iter()
                .map(|&i| (i, &self.routes[i]))
                .find(|(i, r)| r.listener.is_none_or(|l| l == listener) && suits(*i))
        };
        if !self.exact.is_empty() || !self.under.is_empty() {
            let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
            if let Some(found) = self.exact.get(host.as_str()).and_then(|l| first(l)) {
                return Some(found);
            }
            if !self.under.is_empty() {
                for (dot, _) in host.match_indices('.') {
                    if let Some(found) = self.under.get(&host[dot..]).and_then(|l| first(l)) {
                        return Some(found);
                    }
                }
            }
        }
        first(&self.any)
    }

    /// The routes in file order.
    #[must_use]
    pub fn as_slice(&self) -> &[Route] {
        &self.routes
    }
}

fn is_under(path: &str, prefix: &str) -> bool {
    match path.strip_prefix(prefix) {
        None => false,
        Some(rest) => matches!(rest.as_bytes().first(), None | Some(b'/' | b';')) || prefix.ends_with('/'),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(host: HostPattern, path: &str, pool: usize) -> Route {
        Route { host, path: path.to_owned(), to: Destination::Pool(pool), ..Route::default() }
    }

    fn exact(host: &str) -> HostPattern {
        HostPattern::Exact(host.to_owned())
    }

    #[test]
    fn the_most_specific_wins() {
        let routes = Routes::new(vec![
            route(HostPattern::Any, "/", 0),
            route(HostPattern::Under(".example.com".to_owned()), "/", 1),
            route(HostPattern::Under(".shop.example.com".to_owned()), "/", 2),
            route(exact("a.example.com"), "/", 3),
            route(exact("a.example.com"), "/api", 4),
            route(exact("a.example.com"), "/api", 5),
            Route { listener: Some(1), ..route(exact("only.example.org"), "/", 6) },
        ]);
        let table = [
            (0, "nobody.org", "/", 0),
            (0, "b.example.com", "/", 1),
            (0, "x.shop.example.com", "/", 2),
            (0, "example.com", "/", 0),
            (0, "A.Example.com", "/", 3),
            (0, "a.example.com.", "/", 3),
            (0, "a.example.com", "/api", 4),
            (0, "a.example.com", "/api/x", 4),
            (0, "a.example.com", "/apix", 3),
            (0, "a.example.com", "/api;jsessionid=1", 4),
            (0, "only.example.org", "/", 0),
            (1, "only.example.org", "/", 6),
        ];
        for (listener, host, path, pool) in table {
            assert_eq!(
                routes.find(listener, host, path).and_then(|(_, r)| r.pool()),
                Some(pool),
                "{host}{path}"
            );
        }
    }

    #[test]
    fn a_route_has_every_path_that_is_read_as_its_own() {
        let paths = ["/", "/admin", "/a%20b", "/x/"];
        let routes = paths.iter().enumerate().map(|(n, path)| route(HostPattern::Any, path, n));
        let routes = Routes::new(routes.collect());
        for (path, pool) in [
            ("/admin", 1),
            ("/%61dmin/x", 1),
            ("//admin", 1),
            ("/x/../admin", 1),
            ("/admin/../x/y", 3),
            ("/admin%2f..", 0),
            ("/a%20b", 2),
            ("/%61%20b/", 2),
            ("/x", 0),
            ("/x//", 3),
        ] {
            assert_eq!(routes.find(0, "a", path).and_then(|(_, r)| r.pool()), Some(pool), "{path}");
        }
    }

    #[test]
    fn no_route_is_no_pool() {
        let routes = Routes::new(vec![route(exact("a"), "/", 0)]);
        assert!(routes.find(0, "b", "/").is_none());
    }
}
