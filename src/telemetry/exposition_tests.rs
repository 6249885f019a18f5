use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::telemetry::metrics::{Layout, PoolNames};

struct Fixed;

impl Live for Fixed {
    fn backend(&self, _: usize, backend: usize) -> BackendLive {
        let state = if backend == 0 { BackendState::Up } else { BackendState::Ejected };
        BackendLive { state, weight: 5, in_flight: 3, waiting: 2, sessions: 7 }
    }

    fn reports_dropped(&self) -> u64 {
        4
    }
}

fn metrics() -> Metrics {
    let pool = PoolNames { name: "app".into(), backends: vec!["a".into(), "b\"\\\n".into()] };
    Metrics::new(Layout {
        workers: 2,
        listeners: vec!["web".into()],
        pools: vec![pool],
        affinity: &[("hit", "pinned"), ("moved", "down")],
        refusals: &["bad_head", "no_route"],
    })
}

fn has(metrics: &Metrics, line: &str) {
    let text = metrics.render(&Fixed);
    assert!(text.lines().any(|l| l == line), "no {line:?} in\n{text}");
}

#[test]
fn workers_are_added_up() {
    let metrics = metrics();
    for worker in 0..2 {
        let shard = metrics.shard(worker);
        shard.listener(0).opened();
        shard.listener(0).opened();
        shard.listener(0).rejected(Rejection::ProcessFull);
        let pool = shard.pool(0);
        pool.finished(204, 1_500, 10, 20);
        pool.finished(502, 70_000_000, 1, 2);
        pool.finished(99, 0, 0, 0);
        pool.affinity(1);
        pool.retried();
        pool.replayed();
        let backend = pool.backend(0);
        backend.sent();
        backend.connected();
        backend.reused();
        backend.idle(2);
        backend.failed(UpstreamError::HeadTimeout);
        shard.refused(1);
        shard.panicked();
    }
    metrics.shard(1).listener(0).closed();
    metrics.shard(1).pool(0).backend(0).idle(1);
    for line in [
        "homing_connections{listener=\"web\"} 3",
        "homing_connections_total{listener=\"web\"} 4",
        "homing_connections_rejected_total{listener=\"web\",reason=\"process_full\"} 2",
        "homing_connections_rejected_total{listener=\"web\",reason=\"listener_full\"} 0",
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
        "homing_upstream_requests_total{pool=\"app\",backend=\"a\"} 2",
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
    metrics.control().checked(0, 0, true);
    metrics.control().checked(0, 0, false);
    metrics.control().checked(0, 0, false);
    metrics.control().state_changed(0, 1);
    metrics.control().state_changed(5, 5);
    for line in [
        "homing_requests_in_flight{pool=\"app\"} 6",
        "homing_backend_state{pool=\"app\",backend=\"a\",state=\"up\"} 1",
        "homing_backend_state{pool=\"app\",backend=\"a\",state=\"ejected\"} 0",
        "homing_backend_weight{pool=\"app\",backend=\"a\"} 5",
        "homing_sessions{pool=\"app\",backend=\"a\"} 7",
        "homing_check_total{pool=\"app\",backend=\"a\",result=\"good\"} 1",
        "homing_check_total{pool=\"app\",backend=\"a\",result=\"bad\"} 2",
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
    let text = metrics().render(&Fixed);
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
fn a_place_that_is_not_there_counts_nowhere() {
    let metrics = metrics();
    let before = metrics
        .render(&Fixed)
        .lines()
        .filter(|l| l.starts_with("homing_"))
        .map(str::to_owned)
        .collect::<Vec<_>>();
    let shard: Arc<_> = metrics.shard(0);
    shard.listener(9).opened();
    shard.pool(9).finished(200, 1, 1, 1);
    shard.pool(9).affinity(0);
    shard.pool(0).backend(9).sent();
    shard.pool(0).affinity(9);
    shard.refused(9);
    let after = metrics.render(&Fixed);
    assert_eq!(before, after.lines().filter(|l| l.starts_with("homing_")).collect::<Vec<_>>());
}
