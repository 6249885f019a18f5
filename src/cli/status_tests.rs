use serde_json::json;

use super::*;

fn backend(id: &str) -> Value {
    json!({
        "id": id, "address": "127.0.0.1:9001", "weight": 1, "backup": false, "leaving": false, "admin": "ready",
        "health": "up", "ejected": false, "state": "up", "in_flight": 3, "tunnels": 1, "waiting": 0, "sessions": 400,
        "share": 0.4, "fair_share": 0.5, "requests_total": 1000, "errors_total": 2,
        "last_check": { "result": "good", "text": "200 OK", "at": 998 }, "drain": null,
        "overrides": { "state": null, "weight": null },
    })
}

fn state() -> Value {
    let mut drains = backend("unix:/run/b.sock");
    drains["state"] = json!("drain");
    drains["fair_share"] = json!(0.0);
    drains["last_check"] = Value::Null;
    drains["overrides"] = json!({
        "state": { "value": "drain", "covers": "ready", "since": 900 },
        "weight": { "value": 3, "covers": 1, "since": 900 },
    });
    drains["weight"] = json!(3);
    drains["drain"] = json!({
        "mode": "keep", "because": "operator", "since": 900, "deadline": 1552, "is_over": false, "began_with": 600,
        "sessions": 400, "requests": 2, "tunnels": 1, "longest_idle_s": 60, "expected_end": 1200,
    });
    json!({
        "phase": "serving", "version": "0.2.0", "uptime_s": 12_059, "now": 1000,
        "process": { "connections": 12 },
        "config": {
            "source": "config.toml", "hash": "4f1c", "loaded": 400, "warnings": ["x"],
            "last_reload": { "at": 940, "ok": false, "text": "config.toml:3:1: error: y\nmore" },
        },
        "tls": [{
            "listener": ":443", "errors": ["c.pem has no certificate"],
            "certificates": [
                { "name": "example.com", "not_after": 1000 + 86_400 * 40 },
                { "name": "www.test", "not_after": 999 },
            ],
        }],
        "pools": [{
            "name": "app", "strategy": "least_conn", "panic": false, "sessions": 800, "requests_total": 2000,
            "errors_total": 4, "rps": 120.4, "p50_ms": 3.25, "p99_ms": null, "skew": null,
            "affinity": { "mode": "cookie", "results": { "hit": 1900, "new": 100, "moved": 0 }, "reasons": {} },
            "table": { "entries": 800, "bytes": 98_304, "evicted_live": 0 },
            "backends": [backend("a"), drains],
        }],
    })
}

#[test]
fn all_of_it_is_on_one_screen() {
    let expected = "\
homing 0.2.0: serving for 3h20m, 12 connections
configuration config.toml (4f1c), in force since 10m ago, 1 warning
last reload 1m ago: refused; config.toml:3:1: error: y
TLS on :443: example.com ends in 40d, www.test ended
  c.pem has no certificate; what was there before stays in force

pool app: least_conn, affinity cookie; 800 sessions, 120 requests/s, p50 3.2 ms, p99 -; 4 errors of 2000 requests
  affinity so far: hit 1900, new 100
  table: 800 sessions in 96KiB, 0 evicted while live
  BACKEND           STATE   WEIGHT  SESSIONS  SHARE  FAIR  IN FLIGHT  TUNNELS  QUEUE  ERRORS  LAST CHECK
  a                 up           1       400    40%   50%          3        1      0       2  200 OK, 2s ago
  unix:/run/b.sock  drain*      3*       400    40%    0%          3        1      0       2  -
  unix:/run/b.sock drains (keep, wanted by an operator): 400 of 600 sessions, 2 requests and 1 tunnel left; 9m12s to \
                    the deadline; expected end in 3m20s

* set at run time, in place of what the configuration says
";
    assert_eq!(in_words(&state(), Paint::Plain), expected);
}

#[test]
fn what_is_not_set_at_run_time_has_no_star() {
    let mut state = state();
    state["pools"][0]["backends"] = json!([backend("a")]);
    let text = in_words(&state, Paint::Plain);
    assert!(!text.contains('*'), "{text}");
}

#[test]
fn what_needs_a_look_is_said_and_coloured() {
    let mut state = state();
    state["pools"][0]["panic"] = json!(true);
    state["pools"][0]["skew"] = json!({ "share": 0.43, "key": "10.0.*", "cause": "a proxy in front" });
    state["pools"][0]["backends"][0]["state"] = json!("down");
    state["pools"][0]["backends"][0]["last_check"] =
        json!({ "result": "bad", "text": "5\x1b[2J00", "at": 998 });
    let text = in_words(&state, Paint::Coloured);
    for expected in [
        "\x1b[31mchecks have closed every backend",
        "one key has 43% of the requests: 10.0.* (a proxy in front)",
        "\x1b[31mdown\x1b[0m",
        "\x1b[31m5\u{fffd}[2J00, 2s ago\x1b[0m",
        "\x1b[32mserving\x1b[0m",
        "\x1b[31mrefused\x1b[0m",
    ] {
        assert!(text.contains(expected), "{expected:?} in {text:?}");
    }
}

#[test]
fn a_refused_reload_is_told_by_its_first_error() {
    let mut state = state();
    let text = "c.toml:20:1: warning: rare checks\n  20 | [x]\nc.toml:24:1: error: unknown key\n";
    state["config"]["last_reload"] = json!({ "at": 990, "ok": false, "text": text });
    let told = in_words(&state, Paint::Plain);
    assert!(told.contains("refused; c.toml:24:1: error: unknown key\n"), "{told}");
}

#[test]
fn an_answer_without_anything_is_survived() {
    assert!(in_words(&json!({}), Paint::Plain).starts_with("homing "));
    assert!(in_words(&json!({ "pools": [{ "backends": [{}] }] }), Paint::Plain).contains("BACKEND"));
}

#[test]
fn scripts_are_given_the_backends_that_are_there() {
    let mut state = state();
    state["pools"].as_array_mut().unwrap().push(json!({ "name": "api", "backends": [backend("z")] }));
    let failed = keep_only(&mut state, "ap").unwrap_err();
    assert_eq!(failed.to_string(), "no pool ap; there are: app, api");
    keep_only(&mut state, "app").unwrap();
    assert_eq!(names(&state), "a\nunix:/run/b.sock\n");
    state["pools"][0]["backends"][0]["admin"] = json!("maint");
    state["pools"][0]["backends"][1]["leaving"] = json!(true);
    assert_eq!(names(&state), "");
}
