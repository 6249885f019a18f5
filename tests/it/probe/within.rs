//! `--within` bounds everything: a backend that is silent, a hook that hangs.

use std::time::{Duration, Instant};

use super::{ask, at, finding, told};
use crate::harness::{backend, homing};

/// What a busy machine may take longer.
const SLACK: Duration = Duration::from_secs(20);

#[test]
fn a_hook_that_hangs_is_ended_and_told() {
    let (a, b, c) = (backend("a"), backend("b"), backend("c"));
    let homing = homing(&[&a, &b, &c]).cookie().run();
    let folder = tempfile::tempdir().unwrap();
    let (pid, revived) = (folder.path().join("pid"), folder.path().join("revived"));
    // The shell waits for a process of its own, which is ended with it.
    let kill = format!("sleep 600 & echo $! > {}; wait", pid.display());
    let revive = format!("echo $HOMING_BACKEND > {}", revived.display());
    let began = Instant::now();
    let words = ["--kill-hook", &kill, "--revive-hook", &revive, "--within", "6s"];
    let probe = told(&at(homing.address, "/"), &words);
    assert!(began.elapsed() < Duration::from_secs(6) + SLACK);
    let (mark, why) = finding(&probe, "T11", "");
    assert!(mark == "left_out" && why.contains("not done within") && why.contains("was ended"), "{probe:#}");
    assert!(why.contains("the revive hook was run"), "{probe:#}");
    assert!(std::fs::read_to_string(revived).is_ok_and(|name| ["a\n", "b\n", "c\n"].contains(&&*name)));
    let id = std::fs::read_to_string(pid).unwrap();
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", id.trim())).unwrap_or_default();
    assert!(stat.is_empty() || stat.contains(") Z "), "it still runs: {stat}");
    assert_eq!(probe["kind"], "lb_cookie", "what was seen before stays: {probe:#}");
    assert_eq!(finding(&probe, "T3", "new connection").0, "good");
}

#[test]
fn a_hook_that_does_not_exist_is_told() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).cookie().run();
    let probe = told(&at(homing.address, "/"), &["--reload-hook", "no-such-command"]);
    let (mark, why) = finding(&probe, "T15", "");
    assert!(mark == "left_out" && why.contains("the shell does not find it"), "{probe:#}");
}

#[test]
fn who_never_answers_is_given_up_in_time() {
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let ran = ask(&[&at(silent.local_addr().unwrap(), "/"), "--within", "1s"]);
    assert!(began.elapsed() < Duration::from_secs(1) + SLACK);
    assert_eq!(ran.status.code(), Some(1), "{ran:?}");
    assert!(ran.err.contains("no answer at"), "{ran:?}");
}
