//! `examples/rolling-deploy.sh` against the program itself, under load.
//!
//! Each backend is an application that keeps its sessions in memory: a restart forgets them. Users log in, work for a
//! while, and leave. A session is lost if somebody who has not left is served by an application that does not know him.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::harness::{Backend, Client, Process, backend, get, homing, pause, until};

/// People who work at once.
const USERS: usize = 8;
/// Requests of one, from login to leaving.
const VISITS: usize = 40;
/// Between two of them: far shorter than a session lives without one.
const PACE: Duration = Duration::from_millis(20);
/// What the test's restart command does: asks the test, and waits for it.
const RESTART: &str = r#"touch "$DIR/$1.asked"; n=0
until [ -e "$DIR/$1.done" ]; do n=$((n + 1)); [ $n -lt 200 ] || exit 1; sleep 0.05; done"#;

/// A backend that knows who has logged in.
struct Application {
    name: &'static str,
    backend: Mutex<Backend>,
    users: Mutex<HashSet<String>>,
}

/// What the users met.
#[derive(Default)]
struct Met {
    requests: AtomicU32,
    failed: AtomicU32,
    lost: AtomicU32,
}

impl Application {
    fn new(name: &'static str) -> Self {
        Self { name, backend: Mutex::new(backend(name)), users: Mutex::default() }
    }

    /// Restarts it if the script wants it.
    fn follow(&self, folder: &Path) {
        let [asked, done] = ["asked", "done"].map(|what| folder.join(format!("{}.{what}", self.name)));
        if asked.exists() && !done.exists() {
            let mut backend = self.backend.lock();
            backend.crash();
            self.users.lock().clear();
            backend.revive();
            std::fs::write(done, "").unwrap();
        }
    }
}

/// One user after the other, until it is over.
fn work(number: usize, address: SocketAddr, applications: &[Application], met: &Met, is_over: &AtomicBool) {
    for visitor in 0.. {
        let (user, mut client) = (format!("{number}-{visitor}"), Client::new(address));
        for visit in 0..VISITS {
            let reply = client.get("/");
            met.requests.fetch_add(1, Ordering::Relaxed);
            if reply.status == 200 {
                let home = reply.served_by();
                let home = applications.iter().find(|a| a.name == home).unwrap();
                let is_new_there = home.users.lock().insert(user.clone());
                if visit > 0 && is_new_there {
                    met.lost.fetch_add(1, Ordering::Relaxed);
                }
            } else {
                met.failed.fetch_add(1, Ordering::Relaxed);
            }
            pause(PACE);
        }
        if is_over.load(Ordering::Relaxed) {
            return;
        }
    }
}

fn started(applications: &[Application]) -> Process {
    let backends: Vec<_> = applications.iter().map(|a| a.backend.lock()).collect();
    let backends: Vec<&Backend> = backends.iter().map(|b| &**b).collect();
    let affinity = "\n[pool.affinity]\nmode = \"cookie\"\nidle = \"2s\"\n";
    homing(&backends).with(affinity).with("\n[pool.health]\npath = \"/\"\ninterval = \"100ms\"\n").spawn()
}

/// The script with these words, so that it ends by itself whatever happens.
fn script(homing: &Process, folder: &Path, restart: &str, words: &[&str]) -> Command {
    let mut command = Command::new("sh");
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/rolling-deploy.sh"));
    command.args(["-a", &homing.admin.to_string(), "-t", "40s", "-u", "10s"]).args(words);
    command.env("HOMING", env!("CARGO_BIN_EXE_homing")).env("DIR", folder).env("RESTART", restart);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn text(output: Output) -> String {
    [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat()
}

#[test]
fn every_backend_is_deployed_to_and_nobody_notices() {
    let applications = ["a", "b", "c"].map(Application::new);
    let homing = started(&applications);
    let (met, is_over, folder) = (Met::default(), AtomicBool::default(), tempfile::tempdir().unwrap());
    let output = std::thread::scope(|scope| {
        for number in 0..USERS {
            let (applications, met, is_over) = (&applications, &met, &is_over);
            scope.spawn(move || work(number, homing.address, applications, met, is_over));
        }
        until(|| applications.iter().all(|a| !a.users.lock().is_empty()));
        let mut roll = script(&homing, folder.path(), RESTART, &["-d", "none", "app"]).spawn().unwrap();
        while roll.try_wait().unwrap().is_none() {
            applications.iter().for_each(|a| a.follow(folder.path()));
            pause(Duration::from_millis(10));
        }
        is_over.store(true, Ordering::Relaxed);
        roll.wait_with_output().unwrap()
    });
    let (is_done, text) = (output.status.success(), text(output));
    assert!(is_done && text.contains("rolling-deploy: done"), "{text}");
    for application in &applications {
        assert!(folder.path().join(format!("{}.done", application.name)).exists(), "{text}");
    }
    let count = |of: &AtomicU32| of.load(Ordering::Relaxed);
    assert_eq!((count(&met.failed), count(&met.lost)), (0, 0), "of {}\n{text}", count(&met.requests));
    assert!(count(&met.requests) > 100);
    let pools = get(homing.admin, "/api/v1/pools").text();
    assert_eq!(pools.matches("\"admin\":\"ready\"").count(), 3, "{pools}");
}

#[test]
fn a_failure_stops_the_roll_and_says_how_to_go_on() {
    let applications = ["a", "b", "c"].map(Application::new);
    let homing = started(&applications);
    let folder = tempfile::tempdir().unwrap();
    let fails_at_b = r#"echo "$1" >>"$DIR/restarts"; [ "$1" != b ]"#;
    let restarts = || std::fs::read_to_string(folder.path().join("restarts")).unwrap();
    let output = script(&homing, folder.path(), fails_at_b, &["app"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let stopped = text(output);
    for expected in ["stopped at b: the restart command failed", "-f 'b'", "ready 'app/b' --as-configured"] {
        assert!(stopped.contains(expected), "{expected} in {stopped}");
    }
    assert_eq!(restarts(), "a\nb\n");
    let pools = get(homing.admin, "/api/v1/pools").text();
    assert_eq!(pools.matches("\"admin\":\"drain\"").count(), 1, "{pools}");

    let goes_on = r#"echo "$1" >>"$DIR/restarts""#;
    let output = script(&homing, folder.path(), goes_on, &["-f", "b", "app"]).output().unwrap();
    let (is_done, text) = (output.status.success(), text(output));
    assert!(is_done, "{text}");
    assert_eq!(restarts(), "a\nb\nb\nc\n", "it goes on with the one at which it stopped");
}

#[test]
fn what_is_wrong_with_the_command_is_said_before_anything_is_done() {
    let applications = ["a", "b"].map(Application::new);
    let homing = started(&applications);
    let folder = tempfile::tempdir().unwrap();
    for (restart, words, code, expected) in [
        ("", &["-h"][..], 0, "RESTART-COMMAND"),
        ("", &[], 2, "RESTART-COMMAND"),
        ("", &["app"], 2, "how is a backend restarted?"),
        ("true", &["-x", "app"], 2, "RESTART-COMMAND"),
        ("true", &["ap"], 2, "no pool ap; there are: app"),
        ("true", &["-f", "c", "app"], 2, "-f c: no backend of app; there are: a b"),
        ("false", &["-n", "app"], 0, "would drain a (deadline: 10m)"),
    ] {
        let output = script(&homing, folder.path(), restart, words).output().unwrap();
        let (status, text) = (output.status.code(), text(output));
        assert_eq!(status, Some(code), "{words:?}: {text}");
        assert!(text.contains(expected), "{words:?}: {text}");
    }
    let pools = get(homing.admin, "/api/v1/pools").text();
    assert_eq!(pools.matches("\"admin\":\"ready\"").count(), 2, "{pools}");
}
