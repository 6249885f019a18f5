//! The whole file: its sections in order, and the checks across them.

use std::ops::Range;
use std::sync::Arc;

use super::listener::{self, ListenerRead};
use super::named::{Name, check_unique};
use super::pool::{self, PoolRead};
use super::reader::{Table, Title};
use super::route::{self, RouteRead};
use super::{Scope, defaults, lint};
use crate::net::listen::ListenAddress;
use crate::route::{HostPattern, Route, Routes};
use crate::snapshot::{Plan, Shutdown};

/// Reads the file's tables. The plan is complete only if nothing was reported as an error.
pub(super) fn plan(root: Table<'_>, scope: &mut Scope<'_>) -> Plan {
    let cores = u32::try_from(scope.environment.cores).unwrap_or(1).clamp(1, defaults::MAX_WORKERS);
    let workers = root.integer("workers", 1..=defaults::MAX_WORKERS, cores) as usize;
    scope.workers = scope.carried.workers.unwrap_or(workers);
    let scope = &*scope;
    root.skip("include");
    let max_connections = root.get("max_connections").and_then(|item| item.integer(&(1..=u32::MAX)));
    let admin = root.table("admin", Title::Section("admin")).map(|t| listener::admin(t, scope));
    let access_log = listener::access_log(root.section("access_log", Title::Section("access_log")), scope);
    let shutdown = listener::shutdown(root.section("shutdown", Title::Section("shutdown")));
    let listeners: Vec<_> = root.tables("listener").into_iter().map(|t| listener::read(t, scope)).collect();
    let pools: Vec<_> = root.tables("pool").into_iter().map(|t| pool::read(t, scope)).collect();
    let names = |list: Vec<&Name>| list.into_iter().cloned().collect::<Vec<_>>();
    let listener_names = names(listeners.iter().map(|l| &l.name).collect());
    let pool_names = names(pools.iter().map(|p| &p.name).collect());
    let routes: Vec<_> =
        root.tables("route").into_iter().map(|t| route::read(t, &listener_names, &pool_names)).collect();
    let settings = scope.report.record.settings(root.node(), &["include", "listener", "pool", "route"]);
    root.finish();

    check_unique(scope.report, "listener", listener_names.iter());
    check_unique(scope.report, "pool", pool_names.iter());
    let at = admin.as_ref().map(|(admin, span)| (admin.listen.clone(), span.clone()));
    check_listeners(&listeners, at.as_ref(), scope);
    check_pools(&pools, shutdown, scope);
    check_routes(&routes, &listeners, &pools, scope);
    lint::check(&listeners, &routes, &pools, scope);

    let mut list: Vec<_> = routes.into_iter().filter_map(|r| r.route).collect();
    if list.is_empty() {
        list.push(Route { path: "/".to_owned(), ..Route::default() });
    }
    Plan {
        workers,
        max_connections,
        admin: admin.map(|(admin, _)| admin),
        access_log,
        listeners: listeners
            .into_iter()
            .filter_map(|l| l.listener)
            .map(|l| scope.carried.listener(&l).cloned().unwrap_or_else(|| Arc::new(l)))
            .collect(),
        routes: Routes::new(list),
        pools: pools.into_iter().filter_map(|p| p.pool).collect(),
        shutdown,
        settings,
    }
}

fn check_listeners(
    listeners: &[ListenerRead],
    admin: Option<&(ListenAddress, Range<usize>)>,
    scope: &Scope<'_>,
) {
    if listeners.is_empty() {
        let message = "no [[listener]]: nobody could come in";
        scope.report.error_with_help(0..0, message, "add [[listener]] with listen = \":8080\"");
    }
    let mut taken: Vec<&(ListenAddress, Range<usize>)> = Vec::new();
    for listen in listeners.iter().filter_map(|l| l.listen.as_ref()).chain(admin) {
        if let Some((_, first)) = taken.iter().find(|(other, _)| collide(other, &listen.0)) {
            let place = scope.report.place_of(first.start, listen.1.start);
            scope.report.error(listen.1.clone(), format!("{} is taken already, {place}", listen.0));
        }
        taken.push(listen);
    }
}

/// Whether both want the same socket. A wildcard beside an address of its own is left to the system.
fn collide(a: &ListenAddress, b: &ListenAddress) -> bool {
    match (a, b) {
        (ListenAddress::Unix(a), ListenAddress::Unix(b)) => a == b,
        (
            ListenAddress::Tcp { address: a, both_families: both_a },
            ListenAddress::Tcp { address: b, both_families: both_b },
        ) => {
            let wild = |ip: std::net::IpAddr| ip.is_unspecified();
            let families = *both_a && wild(b.ip()) || *both_b && wild(a.ip());
            a.port() != 0 && a.port() == b.port() && (a.ip() == b.ip() || families)
        }
        (ListenAddress::Unix(_), ListenAddress::Tcp { .. })
        | (ListenAddress::Tcp { .. }, ListenAddress::Unix(_)) => false,
    }
}

fn check_pools(pools: &[PoolRead], shutdown: Shutdown, scope: &Scope<'_>) {
    if pools.is_empty() {
        let message = "no [[pool]]: nobody could answer";
        let help = "add [[pool]] with name = \"app\" and backends = [\"127.0.0.1:9001\"]";
        scope.report.error_with_help(0..0, message, help);
    }
    for read in pools {
        let Some(pool) = &read.pool else { continue };
        if let Some((span, _)) = &read.affinity
            && pool.members.len() == 1
        {
            let message =
                format!("pool {:?} has affinity and one backend: there is nothing to choose", pool.name);
            scope.report.warning(span.clone(), message, "add backends, or leave [pool.affinity] out");
        }
        if let Some(check) = pool.check.as_ref().filter(|c| c.interval > shutdown.notice) {
            let message = format!(
                "checks every {} are rarer than the shutdown's notice of {}: a check may miss that a backend leaves",
                crate::base::units::Span(check.interval),
                crate::base::units::Span(shutdown.notice)
            );
            scope.report.warning(read.health_span.clone(), message, "a shorter interval or a longer notice");
        }
    }
}

fn check_routes(routes: &[RouteRead], listeners: &[ListenerRead], pools: &[PoolRead], scope: &Scope<'_>) {
    if routes.is_empty() {
        if let [first, second, ..] = pools {
            let name = |p: &PoolRead| p.name.text.clone().unwrap_or_default();
            let message = format!(
                "{} pools and no [[route]]: nothing says what is for {:?} and what for {:?}",
                pools.len(),
                name(first),
                name(second)
            );
            let help = format!("add [[route]] with pool = {:?} and a host or a path", name(second));
            scope.report.error_with_help(second.span.clone(), message, help);
        }
        return;
    }
    let known: Vec<_> = routes.iter().filter_map(|r| Some((r.route.as_ref()?, &r.span))).collect();
    if known.len() == routes.len() {
        warn_of_unused(&known, listeners, pools, scope);
    }
    for (i, (route, span)) in known.iter().enumerate() {
        let same = |r: &Route| (r.listener, &r.host, &r.path) == (route.listener, &route.host, &route.path);
        if let Some((_, first)) = known[..i].iter().find(|(r, _)| same(r)) {
            let place = scope.report.place_of(first.start, span.start);
            let message =
                format!("this route is never used: the one {place} has the same listener, host and path");
            scope.report.warning((*span).clone(), message, "remove one of them");
        }
    }
    warn_of_shared_cookies(&known, pools, scope);
}

fn warn_of_unused(
    routes: &[(&Route, &Range<usize>)],
    listeners: &[ListenerRead],
    pools: &[PoolRead],
    scope: &Scope<'_>,
) {
    for pool in pools {
        let is_used = routes.iter().any(|(r, _)| pools[r.pool].name.text == pool.name.text);
        if let Some(name) = pool.name.text.as_ref().filter(|_| !is_used) {
            let message = format!("pool {name:?} is not used: no [[route]] names it");
            scope.report.warning(pool.name.span.clone(), message, "add a [[route]], or remove the pool");
        }
    }
    for (i, listener) in listeners.iter().enumerate() {
        let name = listener.name.text.as_ref();
        if let Some(name) = name.filter(|_| !routes.iter().any(|(r, _)| r.listener.is_none_or(|l| l == i))) {
            let message =
                format!("listener {name:?} has no [[route]]: every request there is answered with 404");
            scope.report.warning(listener.span.clone(), message, "add a [[route]] for it, or remove it");
        }
    }
}

/// Pins are bound to their pool: two pools with one cookie on one host would overwrite each other's.
fn warn_of_shared_cookies(routes: &[(&Route, &Range<usize>)], pools: &[PoolRead], scope: &Scope<'_>) {
    let cookie = |route: &Route| {
        let read = pools.get(route.pool)?;
        let cookie = read.pool.as_ref()?.affinity.as_ref()?.cookie()?;
        let (span, path) = read.affinity.as_ref()?;
        Some((cookie.name(), path, span))
    };
    let mut warned = vec![false; pools.len()];
    for (i, (route, _)) in routes.iter().enumerate() {
        let Some((name, path, span)) = cookie(route) else { continue };
        let rival = routes[..i].iter().find(|(other, _)| {
            other.pool != route.pool
                && meet(other, route)
                && cookie(other).is_some_and(|(n, p, _)| n == name && p == path)
        });
        if let Some((other, _)) = rival
            && !std::mem::replace(&mut warned[route.pool], true)
        {
            let of = |i: usize| pools[i].name.text.clone().unwrap_or_default();
            let message = format!(
                "pools {:?} and {:?} share the cookie {name:?} on one host: each overwrites the other's pins",
                of(other.pool),
                of(route.pool)
            );
            scope.report.warning(span.clone(), message, "give one of them another name in [pool.affinity]");
        }
    }
}

/// Whether one host may reach both.
fn meet(a: &Route, b: &Route) -> bool {
    let listeners = a.listener.is_none() || b.listener.is_none() || a.listener == b.listener;
    let hosts = a.host == b.host
        || matches!((&a.host, &b.host), (HostPattern::Any, _) | (_, HostPattern::Any)) && a.path != b.path;
    listeners && hosts
}
