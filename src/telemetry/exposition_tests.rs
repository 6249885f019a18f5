use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::base::time::UnixSeconds;
use crate::telemetry::metrics::{Layout, Names, PoolNames};

/// These pools, and a second backend that drains.
struct Fixed(&'static [(&'static str, &'static [&'static str])]);

const APP: Fixed = Fixed(&[("app", &["a", "b\"\\\n"])]);

impl Live for Fixed {
    fn names(&self) -> Names {
        let pools = self.0.iter().map(|(name, backends)| PoolNames {
            name: (*name).into(),
            backends: backends.iter().map(|id| (*id).into()).collect(),
        });
        Names { listeners: vec!["web".into()], pools: pools.collect() }
    }

    fn table(&self, pool: usize) -> Option<TableLive> {
        (pool == 0).then_some(TableLive { entries: 11, bytes: 1_500, evicted_live: 2, evicted_expired: 3 })
    }

    fn backend(&self, _: usize, backend: usize) -> BackendLive {
        let state = if backend == 0 { BackendState::Up } else { BackendState::Ejected };
        let drain = DrainLive { sessions: 7, started: UnixSeconds(100), deadline: Some(UnixSeconds(700)) };
        BackendLive {
            state,
            weight: 5,
            in_flight: 3,
            tunnels: 1,
            waiting: 2,
            sessions: 7,
            drain: (backend == 1).then_some(drain),
        }
    }

    fn reports_dropped(&self) -> u64 {
        4
    }
}

fn metrics() -> Metrics {
    Metrics::new(Layout {
        workers: 2,
        affinity: &[("hit", "pinned"), ("moved", "down")],
        refusals: &["bad_head", "no_route"],
    })
}

/// Homing's own lines; those of the process change by themselves.
fn lines(metrics: &Metrics, live: &Fixed) -> Vec<String> {
    metrics.render(live).lines().filter(|l| l.starts_with("homing_")).map(str::to_owned).collect()
}

fn has(metrics: &Metrics, line: &str) {
    let text = metrics.render(&APP);
    assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
}

#[test]
fn workers_are_added_up() {
    let metrics = metrics();
    for worker in 0..2 {
        let (shard, web) = (metrics.shard(worker), metrics.listener(worker, "web"));
        web.opened();
        web.opened();
        web.rejected(Rejection::ProcessFull);
        web.abused(Abuse::Ping);
        web.reset(H2Error::RefusedStream);
        web.broken(H2Error::Compression);
        let pool = metrics.pool(worker, "app", ["a"]);
        pool.finished(204, 1_500, 10, 20);
        pool.finished(502, 70_000_000, 1, 2);
        pool.finished(99, 0, 0, 0);
        pool.affinity(1);
        pool.retried();
        pool.replayed();
        let backend = pool.backend(0);
        backend.sent(false);
        backend.sent(true);
        backend.idle(2);
        backend.failed(UpstreamError::HeadTimeout);
        shard.refused(1);
        shard.panicked();
    }
    metrics.listener(1, "web").closed();
    metrics.pool(1, "app", ["a"]).backend(0).idle(1);
    for line in [
        "homing_connections{listener=\"web\"} 3",
        "homing_connections_total{listener=\"web\"} 4",
        "homing_connections_rejected_total{listener=\"web\",reason=\"process_full\"} 2",
        "homing_connections_rejected_total{listener=\"web\",reason=\"listener_full\"} 0",
        "homing_h2_abuse_total{listener=\"web\",kind=\"ping\"} 2",
        "homing_h2_abuse_total{listener=\"web\",kind=\"zero_window\"} 0",
        "homing_h2_stream_errors_total{listener=\"web\",code=\"refused_stream\"} 2",
        "homing_h2_stream_errors_total{listener=\"web\",code=\"compression_error\"} 0",
        "homing_h2_connection_errors_total{listener=\"web\",code=\"compression_error\"} 2",
        "homing_requests_total{pool=\"app\",code=\"2xx\"} 2",
        "homing_requests_total{pool=\"app\",code=\"5xx\"} 2",
        "homing_requests_total{pool=\"app\",code=\"1xx\"} 0",
        "homing_request_duration_seconds_bucket{pool=\"app\",le=\"0.001\"} 2",
        "homing_request_duration_seconds_bucket{pool=\"app\",le=\"0.0025\"} 4",
        "homing_request_duration_seconds_bucket{pool=\"app\",le=\"60\"} 4",
        "homing_request_duration_seconds_bucket{pool=\"app\",le=\"+Inf\"} 6",
        "homing_request_duration_seconds_sum{pool=\"app\"} 140.003000",
        "homing_request_duration_seconds_count{pool=\"app\"} 6",
        "homing_request_bytes_total{pool=\"app\"} 22",
        "homing_response_bytes_total{pool=\"app\"} 44",
        "homing_upstream_retries_total{pool=\"app\"} 2",
        "homing_upstream_replays_total{pool=\"app\"} 2",
        "homing_affinity_total{pool=\"app\",result=\"moved\",reason=\"down\"} 2",
        "homing_affinity_total{pool=\"app\",result=\"hit\",reason=\"pinned\"} 0",
        "homing_upstream_requests_total{pool=\"app\",backend=\"a\"} 4",
        "homing_upstream_connects_total{pool=\"app\",backend=\"a\"} 2",
        "homing_upstream_reuses_total{pool=\"app\",backend=\"a\"} 2",
        "homing_upstream_connections_idle{pool=\"app\",backend=\"a\"} 3",
        "homing_upstream_errors_total{pool=\"app\",backend=\"a\",reason=\"head_timeout\"} 2",
        "homing_refusals_total{reason=\"no_route\"} 2",
        "homing_panics_total 2",
    ] {
        has(&metrics, line);
    }
}

#[test]
fn live_figures_come_from_their_owner() {
    let metrics = metrics();
    metrics.log_dropped().fetch_add(9, Relaxed);
    metrics.checked("app", "a", true);
    metrics.checked("app", "a", false);
    metrics.checked("app", "a", false);
    metrics.state_changed("app", "a");
    metrics.snapshot_ended("app", SnapshotEnd::Written);
    for line in [
        "homing_requests_in_flight{pool=\"app\"} 6",
        "homing_backend_state{pool=\"app\",backend=\"a\",state=\"up\"} 1",
        "homing_backend_state{pool=\"app\",backend=\"a\",state=\"ejected\"} 0",
        "homing_backend_weight{pool=\"app\",backend=\"a\"} 5",
        "homing_sessions{pool=\"app\",backend=\"a\"} 7",
        "homing_check_total{pool=\"app\",backend=\"a\",result=\"good\"} 1",
        "homing_check_total{pool=\"app\",backend=\"a\",result=\"bad\"} 2",
        "homing_backend_state_changes_total{pool=\"app\",backend=\"a\"} 1",
        "homing_tunnels{pool=\"app\",backend=\"a\"} 1",
        "homing_session_table_entries{pool=\"app\"} 11",
        "homing_session_table_bytes{pool=\"app\"} 1500",
        "homing_session_evictions_total{pool=\"app\",reason=\"live\"} 2",
        "homing_session_evictions_total{pool=\"app\",reason=\"expired\"} 3",
        "homing_session_snapshots_total{pool=\"app\",result=\"written\"} 1",
        "homing_session_snapshots_total{pool=\"app\",result=\"corrupt\"} 0",
        "homing_log_dropped_total 9",
        "homing_reports_dropped_total 4",
    ] {
        has(&metrics, line);
    }
}

#[test]
fn labels_are_escaped() {
    has(&metrics(), r#"homing_sessions{pool="app",backend="b\"\\\n"} 7"#);
}

#[test]
fn every_family_is_announced_once_before_its_samples() {
    let text = metrics().render(&APP);
    let mut announced: Vec<&str> = Vec::new();
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# TYPE ") {
            let name = rest.split(' ').next().unwrap();
            assert!(!announced.contains(&name), "{name} twice");
            announced.push(name);
        } else if !line.starts_with('#') {
            let current = announced.last().unwrap();
            assert!(line.starts_with(current), "{line} under {current}");
        }
    }
    assert!(announced.len() > 25 && text.ends_with('\n'));
}

#[test]
fn the_order_and_the_names_are_those_of_the_present_plan() {
    let metrics = metrics();
    metrics.pool(0, "app", ["a", "b"]).backend(1).sent(false);
    metrics.pool(0, "gone", ["x"]).backend(0).sent(false);
    let requests = |live: &Fixed| {
        lines(&metrics, live)
            .into_iter()
            .filter(|l| l.contains("upstream_requests_total"))
            .collect::<Vec<_>>()
    };
    let b = "homing_upstream_requests_total{pool=\"app\",backend=\"b\"} 1";
    let a = "homing_upstream_requests_total{pool=\"app\",backend=\"a\"} 0";
    let new = "homing_upstream_requests_total{pool=\"new\",backend=\"n\"} 0";
    assert_eq!(requests(&Fixed(&[("app", &["a", "b"])])), [a, b]);
    assert_eq!(requests(&Fixed(&[("new", &["n"]), ("app", &["b", "a"])])), [new, b, a]);
}

#[test]
fn only_a_drain_and_a_table_that_are_there_are_told() {
    let two = Fixed(&[("app", &["a", "b"]), ("api", &["c"])]);
    let lines = lines(&metrics(), &two);
    let of = |family: &str| lines.iter().filter(|l| l.starts_with(family)).cloned().collect::<Vec<_>>();
    for (family, expected) in [
        ("homing_drain_sessions_remaining{", "homing_drain_sessions_remaining{pool=\"app\",backend=\"b\"} 7"),
        (
            "homing_drain_started_timestamp_seconds{",
            "homing_drain_started_timestamp_seconds{pool=\"app\",backend=\"b\"} 100",
        ),
        (
            "homing_drain_deadline_timestamp_seconds{",
            "homing_drain_deadline_timestamp_seconds{pool=\"app\",backend=\"b\"} 700",
        ),
        ("homing_session_table_entries{", "homing_session_table_entries{pool=\"app\"} 11"),
    ] {
        assert_eq!(of(family), [expected]);
    }
}

#[test]
fn the_configuration_in_force_and_the_last_reload_are_told() {
    let metrics = metrics();
    let check = |expected: &[&str]| {
        let lines = lines(&metrics, &APP).into_iter().filter(|l| l.starts_with("homing_config_"));
        assert_eq!(lines.collect::<Vec<_>>(), expected);
    };
    metrics.config_loaded("c0ffee", UnixSeconds(10));
    metrics.config_refused(UnixSeconds(20));
    check(&[
        "homing_config_info{hash=\"c0ffee\"} 1",
        "homing_config_reloads_total{result=\"ok\"} 0",
        "homing_config_reloads_total{result=\"refused\"} 1",
        "homing_config_last_reload_timestamp_seconds 20",
        "homing_config_last_reload_success 0",
    ]);
    metrics.config_reloaded("decaf", UnixSeconds(30));
    check(&[
        "homing_config_info{hash=\"decaf\"} 1",
        "homing_config_reloads_total{result=\"ok\"} 1",
        "homing_config_reloads_total{result=\"refused\"} 1",
        "homing_config_last_reload_timestamp_seconds 30",
        "homing_config_last_reload_success 1",
    ]);
}
