//! Configurations that look sticky and are not: accepted, and warned of.
//!
//! Only what is certain from the file alone is said here; what depends on who comes is the business of
//! [`crate::affinity::skew`]. Every message ends with its code, which stays.
//!
//! | code | what |
//! |---|---|
//! | W001 | a pool places by client address, and its listener sees one address |
//! | W002 | a key that is never looked at, behind one that is always there |
//! | W003 | a prefix of 0 bits: all addresses are one key |
//! | W004 | a cookie whose path does not cover a route |
//! | W005 | a strategy's key is the pin's own cookie |
//! | W006 | nobody takes new sessions |
//! | W007 | `ip_hash` over the same backends in another order: a client's backend differs from pool to pool |
//! | W008 | a session that is idle for less than a minute is over |
//! | W009 | values are to name backends, and no backend was given a name or a route |
//! | W010 | a cookie that is set over TLS is sent in the clear too |

use std::net::IpAddr;
use std::time::Duration;

use super::Scope;
use super::listener::ListenerRead;
use super::pool::PoolRead;
use super::route::RouteRead;
use crate::affinity::attributes::Secure;
use crate::affinity::carriers::Mode;
use crate::affinity::cookie::Style;
use crate::affinity::key::KeySource;
use crate::backend::availability::AdminState;
use crate::base::units::Span;
use crate::net::listen::ListenAddress;
use crate::pool::Pool;
use crate::route::Route;
use crate::snapshot::Listener;
use crate::strategy::Needs;

/// Whoever reads a page for as long must not be somebody else afterwards.
const LEAST_IDLE: Duration = Duration::from_secs(60);

/// Warns of everything above.
pub(super) fn check(listeners: &[ListenerRead], routes: &[RouteRead], pools: &[PoolRead], scope: &Scope<'_>) {
    let whole = Route { path: "/".to_owned(), ..Route::default() };
    let known: Vec<_> = match routes {
        [] => vec![&whole],
        routes => routes.iter().filter_map(|r| r.route.as_ref()).collect(),
    };
    for (i, read) in pools.iter().enumerate() {
        let Some(pool) = &read.pool else { continue };
        let its: Vec<_> = known.iter().copied().filter(|r| r.pool == i).collect();
        let lint = Lint { read, pool, scope };
        lint.nobody_is_open();
        lint.keys();
        lint.cookie(&its);
        lint.routes();
        let sees = |l: usize| its.iter().any(|r| r.listener.is_none_or(|of| of == l));
        let seen =
            listeners.iter().enumerate().filter(|(l, _)| sees(*l)).filter_map(|(_, l)| l.listener.as_ref());
        seen.for_each(|listener| {
            lint.one_address(listener);
            lint.secure(listener);
        });
        pools[..i].iter().filter_map(|p| p.pool.as_ref()).for_each(|other| lint.order(other));
    }
}

/// One pool under inspection.
struct Lint<'a> {
    read: &'a PoolRead,
    pool: &'a Pool,
    scope: &'a Scope<'a>,
}

impl Lint<'_> {
    fn warn(&self, code: &str, message: &str, help: &str) {
        let message = format!("pool {:?}: {message} ({code})", self.pool.name);
        self.scope.report.warning(self.read.name.span.clone(), message, help);
    }

    fn places_by_address(&self) -> bool {
        match self.pool.kind.needs {
            Needs::Nothing => false,
            Needs::Address => true,
            Needs::Key => self.pool.key.sources.first() == Some(&KeySource::ClientIp),
        }
    }

    /// What comes by loopback or a Unix socket comes from this machine: from a proxy here, or from one's own tests.
    fn one_address(&self, listener: &Listener) {
        let is_local = match &listener.listen {
            ListenAddress::Unix(_) => true,
            ListenAddress::Tcp { address, .. } => is_loopback(address.ip()),
        };
        let is_told = listener.proxy_protocol || !listener.trusted_proxies.is_empty();
        if is_local && !is_told && self.places_by_address() && self.pool.members.len() > 1 {
            let message = format!(
                "it places by client address, and whoever comes to {} comes from this machine: all go to one backend",
                listener.listen
            );
            let help = "name the proxy before it in trusted_proxies, or use proxy_protocol, another key, or cookie affinity";
            self.warn("W001", &message, help);
        }
    }

    fn secure(&self, listener: &Listener) {
        let cookie = self.pool.affinity.as_ref().and_then(|a| a.cookie());
        let is_ours = cookie.filter(|c| c.style() == Style::Insert && c.secure() == Secure::Never);
        if let Some(cookie) = is_ours.filter(|_| listener.tls.is_some()) {
            let message = format!(
                "listener {:?} has TLS, and its cookie {:?} has secure = false: it is sent in the clear as well",
                listener.name,
                cookie.name()
            );
            self.warn(
                "W010",
                &message,
                "secure = \"auto\", the default: set over TLS, it is sent over TLS alone",
            );
        }
    }

    fn keys(&self) {
        if self.pool.kind.needs != Needs::Key {
            return;
        }
        let key = &self.pool.key;
        let always = |s: &KeySource| matches!(s, KeySource::ClientIp | KeySource::Path);
        if let Some(at) = key.sources.iter().position(always)
            && let (Some(first), Some(next)) = (key.sources.get(at), key.sources.get(at + 1))
        {
            let (first, next) = (first.to_text(), next.to_text());
            let message = format!("key {next:?} is never looked at: {first:?} before it is always there");
            self.warn("W002", &message, "put it first: the first one present wins");
        }
        let counts = key.sources.contains(&KeySource::ClientIp);
        for (name, bits) in [("v4_prefix", key.v4_prefix), ("v6_prefix", key.v6_prefix)] {
            if counts && bits == 0 {
                let message = format!("{name} = 0 makes one key of all addresses: all go to one backend");
                self.warn("W003", &message, "24 to 32 for IPv4, 48 to 64 for IPv6");
            }
        }
        let Some(cookie) = self.pool.affinity.as_ref().and_then(|a| a.cookie()) else { return };
        if key.sources.iter().any(|s| matches!(s, KeySource::Cookie(name) if **name == *cookie.name())) {
            let message = format!(
                "its key is the cookie {:?}, which is the pin itself: new sessions have none, and its value changes",
                cookie.name()
            );
            self.warn("W005", &message, "a cookie of the application, or another name in [pool.affinity]");
        }
    }

    fn cookie(&self, routes: &[&Route]) {
        let (Some((_, path)), Some(affinity)) = (&self.read.affinity, &self.pool.affinity) else { return };
        // A cookie of the application's has the path that the application gives it.
        let is_ours = affinity.cookie().is_some_and(|c| c.style() == Style::Insert);
        if is_ours && let Some(route) = routes.iter().find(|r| !covers(path, &r.path)) {
            let message = format!(
                "its cookie has the path {path:?}, and requests for {:?} do not carry it: each is a new session",
                route.path
            );
            self.warn("W004", &message, "path = \"/\" in [pool.affinity]");
        }
        if self.read.idle < LEAST_IDLE {
            let message = format!("a session is over after {} without a request", Span(self.read.idle));
            self.warn("W008", &message, "at least as long as a user reads one page: idle = \"30m\"");
        }
    }

    /// An application's `id.node1` names nobody whose route is its address.
    fn routes(&self) {
        let Some(affinity) = &self.pool.affinity else { return };
        let mut members = self.pool.members.iter().map(|(_, b)| b);
        let is_routed = affinity.modes().contains(&Mode::Route) && !affinity.lookup().is_empty();
        let is_routed = is_routed && self.pool.members.len() > 1;
        if is_routed && members.all(|b| *b.route() == *b.address_text) {
            let message =
                "values are to name its backends, and each backend's route is its address: no value has that";
            let help = "give each the name that its application writes: { address = \"10.0.0.1:8080\", route = \"node1\" }";
            self.warn("W009", message, help);
        }
    }

    fn nobody_is_open(&self) {
        let mut members = self.pool.members.iter().map(|(_, b)| b);
        if !self.pool.members.is_empty() && !members.any(|b| b.weight > 0 && b.admin == AdminState::Ready) {
            let message =
                "every backend has weight 0, or drain or maint as its state: no new session finds one";
            self.warn("W006", message, "weight = 1 and state = \"ready\" on one of them");
        }
    }

    fn order(&self, other: &Pool) {
        let by_order = |p: &Pool| p.kind.name == "ip_hash";
        let list = |p: &Pool| p.members.iter().map(|(_, b)| b.address_text.clone()).collect::<Vec<_>>();
        if !by_order(self.pool) || !by_order(other) {
            return;
        }
        let (own, its) = (list(self.pool), list(other));
        let sorted = |list: &[_]| {
            let mut list = list.to_vec();
            list.sort_unstable();
            list
        };
        if own != its && sorted(&own) == sorted(&its) {
            let message = format!(
                "it has the backends of pool {:?} in another order, and ip_hash places by order: a client's backends differ",
                other.name
            );
            self.warn("W007", &message, "the same order, or rendezvous, which places by name");
        }
    }
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// Whether a cookie of this path comes with every request below `prefix` (RFC 6265 section 5.1.4).
fn covers(path: &str, prefix: &str) -> bool {
    prefix
        .strip_prefix(path)
        .is_some_and(|rest| path.ends_with('/') || rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
