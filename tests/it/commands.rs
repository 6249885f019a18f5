//! The commands that talk to a running homing, as somebody types them.

use std::io::Write as _;
use std::process::{Command, Output, Stdio};

use super::harness::{Backend, Client, Does, Process, backend, homing, open, until};

/// Runs the program with these words, asking `homing`.
fn ask(homing: &Process, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    command.args(words).args(["--admin", &homing.admin.to_string()]);
    command.stdin(Stdio::null()).output().unwrap()
}

fn says(homing: &Process, words: &[&str], code: i32) -> String {
    let output = ask(homing, words);
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    assert_eq!(output.status.code(), Some(code), "{words:?}: {text}");
    text
}

fn started(backends: &[&Backend]) -> Process {
    let health = "\n[pool.health]\npath = \"/\"\ninterval = \"100ms\"\n";
    homing(backends).with("\n[pool.affinity]\nmode = \"cookie\"\nidle = \"1s\"\n").with(health).spawn()
}

#[test]
fn a_backend_drains_until_nobody_is_on_it() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = started(&[&a, &b]);
    let mut client = Client::new(homing.address);
    let home = client.get("/").served_by();

    let text = says(&homing, &["drain", &home, "--mode", "keep"], 0);
    assert!(text.starts_with(&format!("app/{home}: drain, mode keep; ")), "{text}");
    assert_eq!(client.get("/").served_by(), home, "a session stays while its backend drains");
    let text = says(&homing, &["status"], 0);
    assert!(text.contains("drain*") && text.contains("* set at run time"), "{text}");

    let text = says(&homing, &["drain", &format!("app/{home}"), "--wait"], 0);
    assert!(text.contains(&format!("app/{home} can be stopped: nobody loses anything\n")), "{text}");
    let text = says(&homing, &["ready", &home, "--as-configured", "--when-up", "--timeout", "10s"], 0);
    assert!(text.starts_with(&format!("app/{home}: ready; checks say up; ")), "{text}");
    assert!(!says(&homing, &["status"], 0).contains('*'));
}

#[test]
fn a_wait_that_takes_too_long_leaves_the_drain() {
    let a = backend("a");
    let homing = started(&[&a]);
    a.does(Does::Serve);
    let mut tunnel = open(homing.address);
    tunnel
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n")
        .unwrap();
    until(|| says(&homing, &["status", "--json"], 0).contains("\"tunnels\":1"));
    let text = says(&homing, &["drain", "app/a", "--wait", "--timeout", "100ms"], 1);
    assert!(text.contains("1 tunnel left"), "{text}");
    assert!(text.contains("app/a is not safe to stop yet; it goes on draining\n"), "{text}");
    drop(tunnel);
    says(&homing, &["drain", "app/a", "--wait"], 0);
}

#[test]
fn who_is_not_up_is_not_made_ready() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = started(&[&a, &b]);
    says(&homing, &["drain", "app/a"], 0);
    a.crash();
    until(|| says(&homing, &["status", "--json"], 0).contains("\"health\":\"down\""));
    let text = says(&homing, &["ready", "app/a", "--when-up", "--timeout", "100ms"], 1);
    assert!(text.contains("app/a is not up"), "{text}");
    assert!(says(&homing, &["status", "--json"], 0).contains("\"admin\":\"drain\""));
}

#[test]
fn what_is_wrong_is_said_with_what_there_is() {
    let (a, b) = (backend("a"), backend("b"));
    let mut homing = started(&[&a, &b]);
    for (words, code, expected) in [
        (&["drain", "app/x"][..], 1, "no backend \"x\" in pool \"app\"; there are: a, b"),
        (&["maint", "ap/a"], 1, "no pool \"ap\"; there are: app"),
        (&["status", "ap"], 2, "no pool ap; there are: app"),
        (&["sessions"], 1, "keeps no table"),
        (&["drain", "app/a", "--mode", "now", "--deadline", "1m"], 2, "--mode now has no --deadline"),
    ] {
        let text = says(&homing, words, code);
        assert!(text.contains(expected), "{words:?}: {text}");
    }
    assert_eq!(says(&homing, &["status", "app", "--names"], 0), "a\nb\n");
    homing.kill();
    let text = says(&homing, &["status"], 3);
    assert!(text.contains(&format!("connect to homing at {}", homing.admin)), "{text}");
}
