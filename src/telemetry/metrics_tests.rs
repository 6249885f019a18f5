use super::*;
use crate::telemetry::reasons::{Rejection, UpstreamError};

fn metrics() -> Metrics {
    Metrics::new(Layout {
        workers: 2,
        affinity: &[("hit", "pinned"), ("moved", "down")],
        refusals: &["no_route"],
    })
}

fn names(listeners: &[&str], pools: &[(&str, &[&str])]) -> Names {
    let all = |names: &[&str]| names.iter().map(|name| Arc::from(*name)).collect();
    let pools =
        pools.iter().map(|(name, backends)| PoolNames { name: (*name).into(), backends: all(backends) });
    Names { listeners: all(listeners), pools: pools.collect() }
}

#[test]
fn what_stays_goes_on_counting_wherever_it_stands() {
    let metrics = metrics();
    let old = metrics.pool(0, "app", ["a", "b"]);
    old.backend(0).sent(false);
    old.finished(200, 1, 10, 0);
    let new = metrics.pool(0, "app", ["b", "c", "a"]);
    new.backend(2).sent(true);
    new.finished(200, 1, 10, 0);
    // An exchange that began before the reload still counts by the handle it has.
    old.backend(0).failed(UpstreamError::Send);
    let a = metrics.backend_totals("app", "a");
    assert_eq!((a.requests, a.connects, a.reuses, a.errors()), (2, 1, 1, 1));
    for other in ["b", "c"] {
        assert_eq!(metrics.backend_totals("app", other), BackendTotals::default(), "{other}");
    }
    let app = metrics.pool_totals("app");
    assert_eq!((app.requests(), app.bytes_in, app.duration.count()), (2, 20, 2));
}

#[test]
fn a_series_is_found_by_all_of_its_name() {
    let metrics = metrics();
    metrics.pool(0, "app", ["a"]).backend(0).sent(false);
    metrics.pool(0, "api", ["a"]).backend(0).sent(false);
    metrics.pool(1, "api", ["a"]).backend(0).sent(false);
    metrics.listener(0, "app").opened();
    let requests = |pool| metrics.backend_totals(pool, "a").requests;
    assert_eq!((requests("app"), requests("api")), (1, 2));
    assert_eq!((metrics.listener_totals("app").opened, metrics.listener_totals("api").opened), (1, 0));
}

#[test]
fn a_series_lives_while_a_plan_names_it() {
    let metrics = metrics();
    let both = names(&["web", "old"], &[("app", &["a", "b"]), ("gone", &["a"])]);
    let one = names(&["web"], &[("app", &["a"])]);
    let none = names(&[], &[]);
    let count = || {
        metrics.listener(1, "old").opened();
        metrics.pool(1, "app", ["a", "b"]).backend(1).sent(false);
        metrics.pool(1, "gone", ["a"]).finished(500, 1, 0, 0);
        metrics.checked("app", "b", true);
    };
    let seen = || {
        let b = metrics.backend_totals("app", "b");
        let (gone, old) = (metrics.pool_totals("gone"), metrics.listener_totals("old"));
        assert_eq!(b.requests, b.good_checks);
        (b.requests, gone.requests(), old.opened)
    };
    count();
    metrics.retain(&[&one, &both]);
    assert_eq!(seen(), (1, 1, 1), "the plan before names them");
    count();
    metrics.retain(&[&both, &one]);
    assert_eq!(seen(), (2, 2, 2), "they are back");
    let held = metrics.pool(0, "app", ["b"]);
    metrics.retain(&[&one, &one]);
    held.backend(0).sent(false);
    held.finished(200, 1, 0, 0);
    assert_eq!(seen(), (0, 0, 0), "nobody names them");
    assert_eq!(metrics.pool_totals("app").requests(), 1, "the pool itself stayed");
    count();
    assert_eq!(seen(), (1, 1, 1), "a new life begins at zero");
    metrics.retain(&[&none]);
    assert_eq!(seen(), (0, 0, 0));
}

#[test]
fn a_place_that_is_not_there_counts_nowhere() {
    let metrics = metrics();
    let pool = metrics.pool(0, "app", ["a"]);
    pool.backend(9).sent(false);
    pool.affinity(9);
    pool.finished(99, 0, 0, 0);
    metrics.shard(0).refused(9);
    assert_eq!(metrics.backend_totals("app", "a"), BackendTotals::default());
    let totals = metrics.pool_totals("app");
    assert_eq!((totals.affinity, totals.by_class), (vec![0, 0], [0; 5]));
    // One worker too many shares with an earlier one.
    metrics.listener(2, "web").rejected(Rejection::ProcessFull);
    metrics.listener(0, "web").rejected(Rejection::ProcessFull);
    assert_eq!(metrics.listener_totals("web").rejected, [0, 2, 0, 0]);
}

#[test]
fn asking_for_totals_makes_no_series() {
    let metrics = metrics();
    let _ = (metrics.pool_totals("x"), metrics.backend_totals("x", "y"), metrics.listener_totals("z"));
    let series = metrics.series.lock();
    assert!(series.pools.is_empty() && series.listeners.is_empty());
}

#[test]
fn a_refused_reload_keeps_what_is_in_force() {
    let metrics = metrics();
    assert_eq!(metrics.config(), ConfigFigures::default());
    metrics.config_loaded("one", UnixSeconds(10));
    metrics.config_reloaded("two", UnixSeconds(20));
    metrics.config_refused(UnixSeconds(30));
    let expected = ConfigFigures {
        hash: Some("two".into()),
        reloads: 1,
        refused: 1,
        last_at: UnixSeconds(30),
        last_refused: true,
    };
    assert_eq!(metrics.config(), expected);
    metrics.config_reloaded("three", UnixSeconds(40));
    let now = metrics.config();
    assert_eq!((now.hash.as_deref(), now.reloads, now.last_refused), (Some("three"), 2, false));
}
