//! What comes out of a live run, beside the simulation and closed forms.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::{bench, number, text_of};

/// A run that goes well: its result, and what it said.
fn run(words: &[&str]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("r.json");
    let output = bench(words).arg("--json").arg(&file).output().unwrap();
    let said = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    (serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap(), said)
}

/// By its id.
fn combination<'a>(result: &'a Value, id: &str) -> &'a Value {
    let all = result["combinations"].as_array().unwrap();
    all.iter().find(|one| one["id"] == id).unwrap_or_else(|| panic!("{id} in {result:#}"))
}

/// Checks of a name; at least so many, and all of them hold.
fn hold(result: &Value, id: &str, least: usize) {
    let checks: Vec<&Value> = result["checks"].as_array().unwrap().iter().filter(|c| c["id"] == id).collect();
    assert!(checks.len() >= least && checks.iter().all(|c| c["pass"] == true), "{id}: {checks:#?}");
}

fn metric(combination: &Value, name: &str) -> f64 {
    number(combination, &format!("/metrics/{name}/value"))
}

/// B19 of the list.
#[test]
fn live_and_simulated_are_one_script_and_one_result() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/scripts/crash-and-roll.toml");
    let script = script.to_str().unwrap();
    let (live, _) = run(&["--script", script, "--session", "memory", "--strategy", "cookie,hrw"]);
    let words = ["simulate", "--script", script, "--users", "20000", "--json", "-"];
    let simulate = Command::new(env!("CARGO_BIN_EXE_homing"))
        .args(words)
        .args(["--strategy", "round_robin,rendezvous"])
        .output()
        .unwrap();
    assert!(simulate.status.success(), "{}", text_of(&simulate));
    let simulated: Value = serde_json::from_slice(&simulate.stdout).unwrap();
    for (of_live, of_simulated) in [
        ("homing/cookie/memory", "homing/round_robin/cookie/memory"),
        ("homing/rendezvous/memory", "homing/rendezvous/none/memory"),
    ] {
        let sides = [combination(&live, of_live), combination(&simulated, of_simulated)];
        let [(a, of_a), (b, of_b)] = sides.map(|side| {
            let of = |what: &str| number(side, &format!("/metrics/lost_per_live/{what}"));
            // The interval is 1.96 standard errors to each side.
            (of("value"), (of("high") - of("low")) / 3.92)
        });
        let sigma = of_a.hypot(of_b);
        assert!(a > 1.0 && (a - b).abs() < 4.0 * sigma, "{of_live}: live {a}, simulated {b}, sigma {sigma}");
        assert_eq!([metric(sides[0], "stale_per_live"), metric(sides[1], "stale_per_live")], [0.0, 0.0]);
    }
    hold(&live, "B3", 2);
    hold(&live, "B4", 2);
}

#[test]
fn where_ids_are_adopted_old_states_come_back_as_often_as_closed_forms_say() {
    let words =
        ["--session", "memory", "--strategy", "hash", "--events", "roll@300ms by=list downtime=300ms"];
    let (result, said) = run(&[&words[..], &["--application", "adopting"]].concat());
    let adopting = combination(&result, "homing/hash/memory");
    assert!(metric(adopting, "stale_per_live") > 1.0, "{said}");
    // Lost, moved and stale.
    hold(&result, "B5", 3);
    assert_eq!(result["workload"]["application"], "adopting");
}

#[test]
fn a_hash_of_the_address_that_a_header_tells_moves_who_changes_it() {
    let words = ["--session", "memory", "--strategy", "ip-hash,cookie", "--peer", "nginx:ip_hash"];
    let events = ["--client-address", "header", "--events", "ip_change@300ms, ip_change@2s far=0"];
    let (result, said) = run(&[&words[..], &events, &["--settle", "1500ms"]].concat());
    // Lost and moved, of two events, of three ways.
    hold(&result, "B12", 12);
    for id in ["homing/ip_hash/memory", "nginx/ip_hash/memory"] {
        assert!(metric(combination(&result, id), "lost") > 10.0, "{said}");
    }
    assert_eq!(metric(combination(&result, "homing/cookie/memory"), "lost"), 0.0, "{said}");
}

#[test]
fn a_weight_of_nothing_moves_nobody_and_no_new_session_comes() {
    let words = ["--session", "redis", "--strategy", "cookie", "--peer", "haproxy:cookie"];
    let events = ["--events", "weight b to=0@200ms, jar_clear@1s", "--settle", "1500ms"];
    let (result, said) = run(&[&words[..], &events].concat());
    for id in ["homing/cookie/redis", "haproxy/cookie/redis"] {
        let of = combination(&result, id);
        let events = of["events"].as_array().unwrap();
        let moves = |event: &Value| {
            ["forced", "policy", "failback", "unforced"]
                .iter()
                .map(|kind| event[kind].as_u64().unwrap())
                .sum::<u64>()
        };
        assert_eq!((events[0]["kind"].as_str(), moves(&events[0])), (Some("weight"), 0), "{id}: {said}");
        // Who has lost the cookies is a new session.
        let at_b: u64 = (0..3).map(|from| events[1]["matrix"]["counts"][from][1].as_u64().unwrap()).sum();
        assert!(moves(&events[1]) > 5 && at_b == 0, "{id}: {said}");
    }
}

#[test]
fn faults_of_a_backend_are_seen_and_end_and_revocation_is_as_fast_as_its_kind() {
    let events = "slow b delay=120ms@200ms, slow b delay=0ms@900ms, err c share=1@1s, err c share=0@1400ms, \
                  flap a period=600ms times=2@1600ms, revoke 50%@3s";
    let words =
        ["--session", "jwt,jwt+deny", "--strategy", "cookie", "--access", "20s", "--settle", "1500ms"];
    let (result, said) = run(&[&words[..], &["--events", events]].concat());
    for (id, is_refused) in [("homing/cookie/jwt", false), ("homing/cookie/jwt+deny", true)] {
        let of = combination(&result, id);
        assert!(number(of, "/errors/application_500") > 0.0, "{said}");
        assert!(number(of, "/latency/all/max") >= 120.0, "{said}");
        assert!(number(of, "/latency/retried/n") > 0.0, "who is away was asked, and then another: {said}");
        assert_eq!(metric(of, "lost"), 0.0, "{said}");
        let accepted = metric(of, "accepted_after_revocation");
        assert_eq!(accepted == 0.0, is_refused, "{id}: {accepted}: {said}");
        assert!(number(of, "/revocation/n") > 10.0, "{said}");
    }
}

#[test]
fn a_result_is_compared_with_an_older_one() {
    let folder = tempfile::tempdir().unwrap();
    let old = folder.path().join("old.json");
    let words = ["--session", "jwt", "--strategy", "cookie", "--duration", "500ms", "--events"];
    let (result, _) = run(&[&words[..], &["none"]].concat());
    std::fs::write(&old, result.to_string()).unwrap();
    let (_, said) = run(&[&words[..], &["err b share=1@100ms", "--compare", old.to_str().unwrap()]].concat());
    assert!(said.contains("homing/cookie/jwt") && said.contains("errors"), "{said}");
    let output =
        bench(&["--session", "jwt", "--strategy", "cookie", "--events", "none", "--compare", "/nowhere"])
            .output()
            .unwrap();
    assert_eq!(output.status.code(), Some(2), "{}", text_of(&output));
}
