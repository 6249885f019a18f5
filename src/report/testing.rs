//! Results for tests, made by code; `tests/it` takes this file too.

use serde_json::{Value, json};

/// What would be markup, a formula or a command if it were taken for such.
pub(crate) const ODD: &str = "<script>alert(1)</script>\"'&|=\u{1b}[2J\u{202e}";

/// Four combinations under a rolling restart, everything there that can be.
pub(crate) fn result() -> Value {
    let ways = [
        ("homing", "round_robin", "cookie", "memory", 1.59, 1.583_333, 0.0, 0, 4.2),
        ("homing", "round_robin", "cookie", "redis", 0.0, 0.0, 0.0, 0, 4.6),
        ("nginx", "ip_hash", "ip_hash", "memory", 2.348, 2.333_333, 1.695, 17, 4.1),
        ("homing", "round_robin", "cookie", "jwt", 0.0, 0.0, 0.0, 0, 4.3),
    ];
    let combinations: Vec<Value> = ways
        .iter()
        .map(|(balancer, strategy, affinity, sessions, lost, theory, stale, unforced, p99)| {
            json!({
                "id": format!("{balancer}/{affinity}/{sessions}"), "balancer": balancer, "strategy": strategy,
                "affinity": affinity, "sessions": sessions, "backends": ["a", "b", "c"],
                "metrics": metrics(sessions, (*lost, *theory), *stale, *unforced, *p99),
                "events": (0..3).map(|i| event(i, *lost, *stale, *unforced)).collect::<Vec<_>>(),
                "series": series(*lost, *stale), "latency": latency(*p99), "doubts": [],
            })
        })
        .collect();
    json!({
        "schema": "homing.bench/1", "source": "bench", "command": "homing bench --events roll", "seed": 7,
        "made": 1_795_441_860, "host": { "cpu": "a processor", "cores": 2, "kernel": "6.1" },
        "versions": { "homing": "0.1.0", "nginx": "1.22.1" },
        "workload": { "users": 600, "n": 3, "profile": "web", "think_s": 7, "duration_s": 90, "time_scale": 20,
                      "n_eff": 58.2, "predicted_cv": 0.185 },
        "combinations": combinations,
        "checks": [
            { "id": "B3", "what": "rolling restart, cookie", "expected": 1.583_333, "measured": 1.59, "sigma": 0.02,
              "z": 0.33, "tolerance": "4σ", "pass": true },
            { "id": "A5", "what": "rendezvous moves nobody else", "expected": 0, "measured": 0, "tolerance": "exact", "pass": true },
            { "id": "B12", "what": "address changes", "expected": 0.667, "measured": 0.9, "z": 7.5, "tolerance": "4σ", "pass": false },
        ],
        "probe": { "url": "http://127.0.0.1:8080/", "kind": "lb_cookie", "certainty": 0.999, "findings": [
            { "id": "T3", "asked": "same jar, new connection", "seen": "14 of 14 to a", "verdict": "stays", "error_probability": 4.2e-7 },
            { "id": "T9", "asked": "cookie taken away once", "seen": "9 of 14 elsewhere", "verdict": "moves", "error_probability": 0.01 },
        ]},
        "doubts": [],
    })
}

/// The same with names that nobody should believe, wherever there is a text.
pub(crate) fn hostile() -> Value {
    fn spoil(value: &mut Value) {
        match value {
            Value::String(text) => *text = format!("{text}{ODD}"),
            Value::Array(all) => all.iter_mut().for_each(spoil),
            Value::Object(all) => {
                all.values_mut().for_each(spoil);
                for key in ["live", "requests"] {
                    if let Some(Value::Object(named)) = all.get_mut(key) {
                        *named = std::mem::take(named)
                            .into_iter()
                            .map(|(k, v)| (format!("{k}{ODD}"), v))
                            .collect();
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }
    let mut result = result();
    spoil(&mut result);
    result["source"] = json!("bench");
    result["schema"] = json!("homing.bench/1");
    result["doubts"] = json!([format!("too late {ODD}")]);
    result["versions"][ODD] = json!(ODD);
    result["combinations"][0]["metrics"][ODD] = json!({ "value": 1, "theory": 1, "z": 0, "unit": ODD });
    result["combinations"][0]["latency"][ODD] = json!({ "n": 1, "p50": 1, "p99": 2 });
    result
}

fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

fn metrics(sessions: &str, (lost, theory): (f64, f64), stale: f64, unforced: u32, p99: f64) -> Value {
    let (trips, store, application, bytes, revoked) = match sessions {
        "redis" => (1.0, 9.1, 61.0, 96.0, 0.004),
        "jwt" => (0.0, 0.0, 44.0, 402.0, 148.0),
        _ => (0.0, 0.0, 38.0, 96.0, 0.003),
    };
    let around = |value: f64, half: f64, n: u32, unit: &str| json!({ "value": value, "low": rounded((value - half).max(0.0)), "high": rounded(value + half), "n": n, "unit": unit });
    let mut metrics = json!({
        "lost": { "value": (lost * 600.0).round(), "n": 600, "unit": "count" },
        "stale_per_live": { "value": stale, "n": 600, "unit": "per session" },
        "duplicates": { "value": 0, "n": 4000, "unit": "count" },
        "unforced_moves": { "value": unforced, "n": 12_000, "unit": "count" },
        "forced_moves": { "value": 950, "n": 12_000, "unit": "count" },
        "disruption": around(1.0 + f64::from(unforced) / 950.0, 0.01, 950, "share"),
        "peak_to_average": around(1.875, 0.03, 3, "share"), "cv": around(0.78, 0.02, 3, "share"),
        "errors": { "value": 2, "n": 12_000, "unit": "count" }, "recover_s": { "value": 1.2, "n": 3, "unit": "s" },
        "p50_ms": around(0.9, 0.05, 12_000, "ms"), "p99_ms": around(p99, 0.2, 12_000, "ms"),
        "trips_per_request": { "value": trips, "theory": trips, "n": 12_000, "unit": "count" },
        "cpu_us_balancer": around(21.0, 0.4, 12_000, "us"),
        "cpu_us_application": around(application, 0.9, 12_000, "us"),
        "cookie_bytes": { "value": bytes, "n": 12_000, "unit": "bytes" },
        "revocation_s": around(revoked, revoked / 10.0, 60, "s"),
        "requests": { "value": 12_000, "n": 12_000, "unit": "count" },
    });
    metrics["lost_per_live"] = if lost > 0.0 {
        around(lost, 0.04, 600, "per session")
    } else {
        json!({ "value": 0, "n": 600, "unit": "per session" })
    };
    metrics["lost_per_live"]["theory"] = json!(theory);
    metrics["lost_per_live"]["z"] = json!((lost - theory) / 0.02);
    if store > 0.0 {
        metrics["cpu_us_store"] = around(store, 0.3, 12_000, "us");
    }
    metrics
}

fn event(i: u32, lost: f64, stale: f64, unforced: u32) -> Value {
    let target = ["a", "b", "c"][i as usize % 3];
    let each = |per_live: f64| (per_live * 200.0).round();
    let mut counts = vec![vec![190_u32, 0, 0], vec![0, 205, 0], vec![0, 0, 205]];
    for to in (0..3).filter(|to| *to != i as usize % 3) {
        counts[i as usize % 3][to] = 90 + i;
    }
    json!({
        "t": 20.0 + 20.0 * f64::from(i), "kind": "roll", "target": target, "label": format!("roll {target}"), "live": 600,
        "lost": each(lost), "stale": each(stale), "duplicates": 0, "forced": 190, "policy": 0, "unforced": unforced / 3,
        "least": 190, "disruption": 1.0, "detect_s": 0.4, "recover_s": 1.2,
        "matrix": { "names": ["a", "b", "c"], "counts": counts },
    })
}

fn series(lost: f64, stale: f64) -> Value {
    let t: Vec<f64> = (0..90).map(f64::from).collect();
    let near = |t: f64, at: f64| if (0.0..4.0).contains(&(t - at)) { 1.0 } else { 0.0 };
    let burst = |per: f64| -> Vec<f64> {
        t.iter()
            .map(|t| [20.0, 40.0, 60.0].iter().map(|at| near(*t, *at) * (per * 50.0).round()).sum())
            .collect()
    };
    // As the bands of a rolling restart go: out, and back only with new sessions.
    let band = |own: usize| -> Vec<f64> {
        t.iter()
            .map(|t| match (own, *t) {
                (0, t) if t < 20.0 => 200.0,
                (0, t) if t < 40.0 => 0.0,
                (0, t) if t < 60.0 => 150.0,
                (0, _) => 375.0,
                (1, t) if t < 20.0 => 200.0,
                (1, t) if t < 40.0 => 300.0,
                (1, t) if t < 60.0 => 0.0,
                (1, _) => 225.0,
                (_, t) if t < 20.0 => 200.0,
                (_, t) if t < 40.0 => 300.0,
                (_, t) if t < 60.0 => 450.0,
                _ => 0.0,
            })
            .collect()
    };
    let errors: Vec<f64> = t.iter().map(|t| near(*t, 20.0)).collect();
    json!({
        "t": t, "live": { "a": band(0), "b": band(1), "c": band(2) }, "requests": { "a": band(0), "b": band(1), "c": band(2) },
        "lost": burst(lost), "stale": burst(stale), "errors": errors,
    })
}

fn latency(p99: f64) -> Value {
    let class = |n: u32, times: f64| {
        let at = |q: f64| 0.3 * times + p99 * times * (-(1.0 - q).ln() / 4.6);
        let cdf: Vec<[f64; 2]> =
            (0..60).map(|i| f64::from(i) / 60.0).map(|q| [at(q), q]).chain([[at(0.999), 1.0]]).collect();
        json!({ "n": n, "p50": at(0.5), "p90": at(0.9), "p99": at(0.99), "p999": at(0.999), "max": at(0.9999), "cdf": cdf })
    };
    json!({ "all": class(12_000, 1.0), "owner_hit": class(10_400, 0.9), "moved": class(950, 1.6), "first": class(600, 2.4) })
}
