//! A login through the balancer: the shop by itself, with sessions in memory, in Redis and in signed tokens.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};

use homing::demo::{Server, Software};

use super::{at, finding, told};
use crate::harness::{Homing, homing};

const LOGIN: &str = r#"{"user": "u", "password": "demo"}"#;

/// The shop's backends, as processes of their own. They are killed on drop.
struct Shop(Vec<(String, String, Child)>);

impl Shop {
    /// Three of them, with these words besides, separated by blanks.
    fn open(words: &str) -> Self {
        let start = |name: &str| {
            let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
            command.args(["backend", "--listen", ":0", "--open-registration", "--password-cost", "low"]);
            command.args(["--name", name]).args(words.split_whitespace());
            let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
            let mut line = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
            let address = line.split("http://").nth(1).and_then(|l| l.split('/').next());
            let address = address.unwrap_or_else(|| panic!("{line:?}")).to_owned();
            (name.to_owned(), address, child)
        };
        Self(["a", "b", "c"].map(start).into())
    }

    /// A homing in front of them, in turn.
    fn behind(&self, rest: &str) -> Homing {
        let list: Vec<String> = self
            .0
            .iter()
            .map(|(name, address, _)| format!("{{ name = \"{name}\", address = \"{address}\" }}"))
            .collect();
        let pool = format!("strategy = \"round_robin\"\nbackends = [{}]\n", list.join(", "));
        homing(&[]).pool(&pool).with(rest).run()
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        for (.., child) in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[test]
fn a_login_in_memory_lasts_where_its_client_is_kept() {
    let shop = Shop::open("--sessions memory");
    let sticky = shop.behind("\n[pool.affinity]\nmode = \"cookie\"\n");
    let probe = told(&at(sticky.address, "/"), &["--login", LOGIN]);
    assert_eq!(probe["kind"], "lb_cookie", "{probe:#}");
    assert_eq!(finding(&probe, "T3b", ""), ("good", "it lasts, at the backend where its client is kept"));
    assert_eq!(finding(&probe, "T17", ""), ("good", "a new id is made at each login"), "{probe:#}");
    assert_eq!(finding(&probe, "T18", ""), ("good", "refused"), "{probe:#}");
    assert_eq!(finding(&probe, "T19", ""), ("good", "refused"), "{probe:#}");
    let whose = finding(&probe, "T16", "Set-Cookie of session says: the application's");
    assert_eq!(whose.0, "good", "{probe:#}");

    let lost = shop.behind("");
    let probe = told(&at(lost.address, "/"), &["--login", LOGIN]);
    assert_eq!(probe["kind"], "none", "{probe:#}");
    assert!(probe["sentence"].as_str().unwrap().contains("a login does not last: "), "{probe:#}");
    assert_eq!(finding(&probe, "T3b", "").0, "bad");
    assert_eq!(finding(&probe, "T3", "new connection").0, "bad");
    for id in ["T18", "T19"] {
        assert_eq!(finding(&probe, id, "").0, "left_out", "a refusal says nothing: {probe:#}");
    }
}

#[test]
fn sessions_that_backends_share_last_without_affinity() {
    let redis = Server::start(Software::Redis).unwrap_or_else(|e| panic!("{e}; `make setup` installs it"));
    let shop = Shop::open(&format!("--sessions {} --secure", redis.place()));
    let homing = shop.behind("");
    let probe = told(&at(homing.address, "/"), &["--login", LOGIN]);
    assert_eq!(probe["kind"], "none", "{probe:#}");
    assert!(probe["sentence"].as_str().unwrap().contains("the backends share their sessions"), "{probe:#}");
    assert_eq!(finding(&probe, "T3b", "").1, "it lasts at every backend: they share their sessions");
    assert_eq!(finding(&probe, "T3", "new connection").0, "note", "nothing is lost by it: {probe:#}");
    for id in ["T17", "T18", "T19"] {
        assert_eq!(finding(&probe, id, "").0, "good", "{probe:#}");
    }
}

#[test]
fn signed_tokens_last_and_outlive_a_logout_but_for_a_deny_list() {
    let redis = Server::start(Software::Redis).unwrap_or_else(|e| panic!("{e}; `make setup` installs it"));
    let folder = tempfile::tempdir().unwrap();
    let key = |name: &str| folder.path().join(name).display().to_string();
    let place = redis.place().to_string();
    for (words, algorithm, ends, says) in [
        (
            format!("--sessions jwt --key-file {}", key("hs")),
            "HS256",
            "bad",
            "until the token expires, 300 s after",
        ),
        (
            format!("--sessions jwt:es256 --key-file {} --deny-list {place}", key("es")),
            "ES256",
            "good",
            "refused",
        ),
    ] {
        let shop = Shop::open(&words);
        let homing = shop.behind("");
        let probe = told(&at(homing.address, "/"), &["--login", LOGIN]);
        assert!(probe["sentence"].as_str().unwrap().contains("can verify its signed token"), "{probe:#}");
        assert_eq!(finding(&probe, "T17", ""), ("good", "each login signs new tokens"), "{probe:#}");
        let (mark, verdict) = finding(&probe, "T18", "");
        assert!(mark == ends && verdict.contains(says), "{probe:#}");
        assert_eq!(finding(&probe, "T19", ""), ("good", "refused"), "{probe:#}");
        let tokens = probe["findings"].to_string();
        assert!(tokens.contains("alg none: 401") && tokens.contains("refresh token in its place: 401"));
        assert!(tokens.contains(&format!("form: a signed token, {algorithm}")), "{probe:#}");
    }
}

#[test]
fn who_cannot_log_in_is_told_why() {
    let shop = Shop::open("--sessions memory");
    let homing = shop.behind("");
    let probe = told(&at(homing.address, "/"), &["--login", r#"{"user": "u", "password": "wrong"}"#]);
    let (mark, verdict) = finding(&probe, "T17", "");
    assert!(mark == "left_out" && verdict.contains("401"), "{probe:#}");
}
