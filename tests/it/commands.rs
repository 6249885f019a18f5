//! The commands that talk to a running homing, as somebody types them.

use std::io::{BufRead as _, BufReader, Write as _};
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
    homing(backends).with("\n[pool.affinity]\nmode = \"cookie\"\nidle = \"3s\"\n").with(health).spawn()
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

#[test]
fn a_changed_file_comes_into_force_or_is_refused_with_its_mistakes() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = started(&[&a, &b]);
    let (path, text) = (homing.file("config.toml"), homing.config());
    std::fs::write(&path, text.replacen("name = \"b\"", "name = \"c\"", 1)).unwrap();
    let dry = says(&homing, &["reload", "--dry-run"], 0);
    assert!(dry.starts_with("not reloaded: a dry run\n") && dry.contains("+ backend \"c\""), "{dry}");
    assert!(says(&homing, &["status", "app", "--names"], 0).contains("b\n"));
    let done = says(&homing, &["reload"], 0);
    assert!(done.starts_with("reloaded, configuration ") && done.contains("+ backend \"c\""), "{done}");
    assert!(says(&homing, &["status", "app", "--names"], 0).contains("c\n"));

    std::fs::write(&path, text.replacen("[[pool]]", "[[pool]]\nstrategy = \"nonsense\"", 1)).unwrap();
    let refused = says(&homing, &["reload"], 1);
    assert!(refused.contains("nonsense"), "{refused}");
    let words = ["status", "-c", path.to_str().unwrap()];
    assert!(says(&homing, &words, 0).contains("refused"), "it is found by the file as it is now");
}

#[test]
fn a_weight_is_set_and_taken_back() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = started(&[&a, &b]);
    assert!(says(&homing, &["weight", "app/a", "5"], 0).contains("; weight 5 (configured: 1);"));
    assert!(says(&homing, &["status"], 0).contains("5*"));
    assert!(says(&homing, &["weight", "app/a", "default"], 0).contains("; weight 1;"));
}

#[test]
fn ctrl_c_ends_the_wait_and_not_the_drain() {
    let a = backend("a");
    let homing = started(&[&a]);
    Client::new(homing.address).get("/");
    let mut command = Command::new(env!("CARGO_BIN_EXE_homing"));
    command.args(["drain", "app/a", "--wait", "--admin", &homing.admin.to_string()]);
    let mut waits = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = BufReader::new(waits.stderr.take().unwrap()).lines();
    let first = said.next().unwrap().unwrap();
    assert!(first.starts_with("app/a: 1 session, "), "{first}");
    let pid = rustix::process::Pid::from_child(&waits);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let last = said.next().unwrap().unwrap();
    assert!(last.contains("app/a goes on draining"), "{last}");
    assert_eq!(waits.wait().unwrap().code(), Some(1));
    assert!(says(&homing, &["status"], 0).contains("drain*"));
}
