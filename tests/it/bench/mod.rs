//! `homing bench` as somebody types it: small runs on real processes.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::harness::until;

mod live;

/// Users think a fifth of a second on average, and three fifths at most.
const SMALL: [&str; 12] = [
    "--users",
    "60",
    "--think",
    "4s",
    "--time-scale",
    "20",
    "--settle",
    "500ms",
    "--duration",
    "1s",
    "--revocations",
    "0",
];

fn bench(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    command.arg("bench").stdin(Stdio::null());
    for pair in SMALL.chunks(2).filter(|pair| !words.contains(&pair[0])) {
        command.args(pair);
    }
    command.args(words);
    command
}

fn text_of(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

fn number(of: &Value, path: &str) -> f64 {
    of.pointer(path).and_then(Value::as_f64).unwrap_or_else(|| panic!("{path} in {of:#}"))
}

#[test]
fn what_is_lost_in_a_crash_and_in_a_roll_is_what_closed_forms_say() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (json, csv, md) = (file("r.json"), file("r.csv"), file("r.md"));
    let mut command = bench(&["--session", "memory", "--strategy", "cookie", "--seed", "3"]);
    command.args(["--events", "crash b@500ms, return b@2s, roll downtime=500ms@4s"]);
    command.args(["--json", &json, "--csv", &csv, "--md", &md]);
    command.args(["--fail-if", "unforced_moves>0", "--fail-if", "lost_per_live>0"]);
    let output = command.output().unwrap();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(1), "sessions were lost: {text}");
    assert!(text.contains("failed: homing/cookie/memory: lost_per_live is "), "{text}");
    assert!(!text.contains("failed: homing/cookie/memory: unforced_moves"), "{text}");

    let result: Value = serde_json::from_str(&std::fs::read_to_string(&json).unwrap()).unwrap();
    assert_eq!(result["schema"], "homing.bench/1");
    assert_eq!((number(&result, "/seed"), number(&result, "/workload/users")), (3.0, 60.0));
    let checks = result["checks"].as_array().unwrap();
    assert_eq!(checks.len(), 4, "lost and moved, of the crash with its return and of the roll: {checks:#?}");
    assert!(checks.iter().all(|check| check["pass"] == true), "{checks:#?}");
    let combination = &result["combinations"][0];
    assert_eq!(combination["id"], "homing/cookie/memory");
    for metric in
        ["requests", "sessions", "p99_ms", "cpu_us_balancer", "cpu_us_application", "cookie_bytes", "cv"]
    {
        assert!(number(combination, &format!("/metrics/{metric}/value")) > 0.0, "{metric}");
    }
    let per_live = &combination["metrics"]["lost_per_live"];
    assert!(number(per_live, "/low") <= number(per_live, "/value"), "{per_live}");
    assert_eq!(number(per_live, "/n"), 60.0);
    let kinds: Vec<&str> =
        combination["events"].as_array().unwrap().iter().map(|e| e["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["crash", "crash_return", "restart", "roll"]);
    let windows = combination["series"]["t"].as_array().unwrap().len();
    for series in ["/series/lost", "/series/errors", "/series/live/a", "/series/requests/c"] {
        assert_eq!(
            combination.pointer(series).and_then(Value::as_array).map(Vec::len),
            Some(windows),
            "{series}"
        );
    }
    let crash = &combination["events"][0];
    let moved: f64 = (0..9).map(|i| number(crash, &format!("/matrix/counts/{}/{}", i / 3, i % 3))).sum();
    assert_eq!(moved, number(crash, "/forced"));
    let csv = std::fs::read_to_string(&csv).unwrap();
    let is_lost =
        |line: &str| line.starts_with("homing/cookie/memory,") && line.contains(",run,,lost_per_live,");
    assert!(csv.lines().any(is_lost), "{csv}");
    let md = std::fs::read_to_string(&md).unwrap();
    assert!(md.contains("| homing/cookie/memory | "), "{md}");
}

#[test]
fn nobody_in_a_token_loses_a_login_and_the_exit_code_says_so() {
    let output = bench(&["--session", "jwt", "--strategy", "rr", "--events", "crash c@300ms"])
        .args(["--fail-if", "lost>0", "--fail-if", "jwt:stale>0"])
        .output()
        .unwrap();
    let text = text_of(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    assert!(text.contains("Every session was kept by homing/round_robin/jwt."), "{text}");
}

#[test]
fn what_is_missing_or_wrong_is_said_before_anything_is_done() {
    let missing = bench(&["--peer", "nginx:ip_hash", "--session", "memory"])
        .env("PATH", "/nonexistent/bin")
        .output()
        .unwrap();
    let said = text_of(&missing);
    assert_eq!(missing.status.code(), Some(2), "{said}");
    assert!(said.contains("nginx is not installed") && said.contains("apt-get install nginx"), "{said}");
    for (words, expected) in [
        (&["--events", "explode b@1s"][..], "no such event"),
        (&["--events", "roll@1s, crash z@2s"], "event \"crash z@2s\": no backend \"z\": there are a, b, c"),
        (&["--events", "return b@2s"], "b runs at that time"),
        (&["--events", "lb_loss@1s"], "--replicas 2"),
        (&["--events", "store_restart@1s", "--session", "redis,jwt"], "sessions in jwt have no store"),
        (
            &[
                "--url",
                "http://127.0.0.1:9",
                "--backends",
                "127.0.0.1:1,127.0.0.1:2",
                "--events",
                "drain b@1s",
            ],
            "is not ours: tell it by exec",
        ),
        (&["--session", "redis+deny"], "must be one of memory"),
        (&["--check", "B3,B99"], "--check B99: must be one of B1, B2"),
        (&["--strategy", "best"], "no such strategy"),
        (&["--session", "paper"], "must be one of memory"),
        (&["--fail-if", "lost"], "no comparison"),
        (&["--url", "http://127.0.0.1:9", "--backends", "9001..9003"], "must be as 127.0.0.1:9001..9003"),
    ] {
        let output = bench(words).output().unwrap();
        let said = text_of(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {said}");
        assert!(said.contains(expected), "{words:?}: {said}");
    }
}

#[test]
fn a_script_is_gone_through_before_anything_is_started() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("s.toml");
    let file = file.to_str().unwrap();
    for (second, place) in [("target = \"z\"", ":8:10: no backend \"z\""), ("much = 1", ":5:1: crash: ")] {
        let text =
            format!("[[at]]\nt = \"1s\"\ndo = \"roll\"\n\n[[at]]\nt = \"2s\"\ndo = \"crash\"\n{second}\n");
        std::fs::write(file, text).unwrap();
        let output = bench(&["--script", file]).output().unwrap();
        let said = text_of(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{file}{place}")) && !said.contains("starting"), "{said}");
    }
}

/// The processes that a process started.
fn children(parent: u32) -> BTreeSet<u32> {
    let mut children = BTreeSet::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|n| n.parse::<u32>().ok()) else { continue };
        let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
        let of = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)?.parse().ok());
        if of == Some(parent) {
            children.insert(process);
        }
    }
    children
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn who_breaks_it_off_leaves_no_process_behind() {
    let mut command = bench(&["--session", "memory", "--strategy", "cookie", "--events", "crash b@60s"]);
    let mut child = Ended(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let mut lines = BufReader::new(child.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    assert!(lines.any(|line| line.contains(": steady")), "it never began");
    let started = children(child.0.id());
    assert_eq!(started.len(), 4, "three backends and homing: {started:?}");
    kill_process(Pid::from_child(&child.0), Signal::INT).unwrap();
    assert_eq!(child.0.wait().unwrap().code(), Some(130));
    assert!(lines.any(|line| line.contains("interrupted: everything that was started has been ended")));
    until(|| started.iter().all(|process| !std::path::Path::new(&format!("/proc/{process}")).exists()));
}
