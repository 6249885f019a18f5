//! `homing bench probe`: what it says of homing, nginx and HAProxy in every way that they keep clients.

mod login;
mod programs;
mod telling;
mod within;

use std::net::SocketAddr;

use serde_json::Value;

use self::programs::{Ports, application, haproxy, nginx, nginx_frame, upstream};
use crate::harness::program::{Ran, run};
use crate::harness::{Homing, Setup, backend, homing};

/// Runs the probe with these words.
fn ask(words: &[&str]) -> Ran {
    let words: Vec<&str> = ["bench", "probe"].iter().chain(words).copied().collect();
    run(env!("CARGO_BIN_EXE_homing"), &words, "")
}

/// What it says of this URL, as the `probe` of its result.
fn told(url: &str, words: &[&str]) -> Value {
    let ran = ask(&[&[url, "--json", "-"], words].concat());
    let result: Value = serde_json::from_str(&ran.out_text())
        .unwrap_or_else(|e| panic!("{e}: {} {}", ran.out_text(), ran.err));
    assert_eq!((&result["schema"], &result["source"]), (&"homing.bench/1".into(), &"bench".into()));
    let is_told = result["probe"]["kind"] != "unknown";
    assert_eq!(ran.status.code(), Some(i32::from(!is_told)), "{result:#}");
    result["probe"].clone()
}

fn at(address: SocketAddr, path: &str) -> String {
    format!("http://{address}{path}")
}

fn port(ports: &Ports, at: usize, path: &str) -> String {
    format!("http://127.0.0.1:{}{path}", ports.get(at))
}

/// It is told so, and chance had less than this to do with it.
fn check(url: &str, words: &[&str], kind: &str) -> Value {
    let probe = told(url, words);
    assert_eq!(probe["kind"], kind, "{url}: {probe:#}");
    assert!(probe["certainty"].as_f64().unwrap() > 1.0 - 1e-4, "{probe:#}");
    assert_eq!(probe["backends"].as_array().unwrap().len(), 3, "{probe:#}");
    probe
}

/// What a finding says: its mark and its verdict, of the first that asks for this.
fn finding<'p>(probe: &'p Value, id: &str, asked: &str) -> (&'p str, &'p str) {
    let mut findings = probe["findings"].as_array().unwrap().iter();
    let found = findings.find(|f| f["id"] == id && f["asked"].as_str().unwrap().contains(asked));
    let found = found.unwrap_or_else(|| panic!("{id} {asked}: {probe:#}"));
    (found["mark"].as_str().unwrap(), found["verdict"].as_str().unwrap())
}

fn details(probe: &Value) -> String {
    probe["details"].to_string()
}

/// A homing over nginx's applications.
fn over(ports: &Ports, pool: &str, rest: &str) -> Homing {
    setup(ports, pool, rest).run()
}

fn setup(ports: &Ports, pool: &str, rest: &str) -> Setup {
    let backends: Vec<String> = (0..3)
        .map(|i| format!("{{ name = \"{}\", address = \"127.0.0.1:{}\" }}", programs::NAMES[i], ports.get(i)))
        .collect();
    homing(&[]).pool(&format!("{pool}\nbackends = [{}]\n", backends.join(", "))).with(rest)
}

#[test]
fn homings_ways_to_keep_clients_are_told() {
    let (a, b, c) = (backend("a"), backend("b"), backend("c"));
    let of = |pool: &str| homing(&[&a, &b, &c]).pool(pool);
    let cookie = of("strategy = \"round_robin\"").cookie().run();
    let probe = check(&at(cookie.address, "/"), &[], "lb_cookie");
    assert!(details(&probe).contains("homing's sealed pin"), "{probe:#}");
    assert_eq!(finding(&probe, "T10", "one letter changed").0, "good", "{probe:#}");
    assert_eq!(finding(&probe, "T10", "8 KiB").0, "good");
    assert_eq!(finding(&probe, "T16", "").0, "good", "{probe:#}");

    let both = of("strategy = \"ip_hash\"").cookie().run();
    check(&at(both.address, "/"), &[], "mixed");
    for (pool, kind, detail) in [
        ("strategy = \"ip_hash\"", "source_24", "ip_hash"),
        ("strategy = { kind = \"rendezvous\", key = \"header:x-user-id\" }", "header_hash", ""),
        ("strategy = { kind = \"maglev\", key = \"client_ip\" }", "source_ip", ""),
        ("strategy = \"round_robin\"", "none", ""),
        ("strategy = \"least_conn\"", "none", ""),
        ("strategy = \"random\"", "none", ""),
    ] {
        let homing = of(pool).run();
        let probe = check(&at(homing.address, "/"), &[], kind);
        assert!(details(&probe).contains(detail), "{pool}: {probe:#}");
    }
}

#[test]
fn a_table_and_a_hash_of_the_applications_cookie_are_told_apart() {
    let ports = Ports::new(3);
    let _nginx = nginx(&ports, "");
    let learn = over(
        &ports,
        "strategy = \"round_robin\"",
        "\n[pool.affinity]\nmode = \"learn\"\ncreate = [\"cookie:sid\"]\n",
    );
    check(&at(learn.address, "/app"), &[], "app_cookie_table");
    let hash = over(&ports, "strategy = { kind = \"rendezvous\", key = \"cookie:sid\" }", "");
    let probe = check(&at(hash.address, "/app"), &[], "app_cookie_hash");
    assert!(details(&probe).contains("left the backend that made their session at once"), "{probe:#}");
    // Where the page sets no cookie, usual names are tried.
    check(&at(hash.address, "/"), &[], "app_cookie_hash");
}

#[test]
fn nginxs_ways_are_told() {
    let ports = Ports::new(9);
    let methods = [
        "ip_hash;",
        "hash $cookie_sid consistent;",
        "",
        "hash $cookie_shop;",
        "hash $request_uri;",
        "hash $remote_addr;",
    ];
    let more: String = methods.iter().enumerate().map(|(i, m)| upstream(&ports, 3 + i, m)).collect();
    let _nginx = nginx(&ports, &more);
    let probe = check(&port(&ports, 3, "/"), &[], "source_24");
    assert!(details(&probe).contains("ip_hash does, by its formula"), "{probe:#}");
    check(&port(&ports, 3, "/"), &["--client-header", "X-Forwarded-For"], "source_24");
    check(&port(&ports, 4, "/app"), &[], "app_cookie_hash");
    let probe = check(&port(&ports, 5, "/"), &[], "none");
    assert!(probe["sentence"].as_str().unwrap().contains("in turn"), "{probe:#}");
    check(&port(&ports, 6, "/"), &[], "none");
    let probe = check(&port(&ports, 6, "/"), &["--try-cookie", "shop"], "app_cookie_hash");
    assert!(details(&probe).contains("modulo: nginx's `hash`"), "{probe:#}");
    check(&port(&ports, 7, "/"), &[], "url_hash");
    let probe = check(&port(&ports, 8, "/"), &[], "source_ip");
    assert!(details(&probe).contains("modulo: nginx's `hash`"), "{probe:#}");
}

#[test]
fn haproxys_ways_are_told() {
    let ports = Ports::new(8);
    let _nginx = nginx(&ports, "");
    let backends = [
        "balance roundrobin\ncookie SRV insert indirect nocache",
        "balance source\nhash-type consistent",
        "balance roundrobin\nstick-table type string len 64 size 100k\nstick on req.cook(sid)\nstick store-response res.cook(sid)",
        "balance roundrobin\ncookie SRV insert indirect nocache dynamic\ndynamic-cookie-key key",
        "mode tcp\nbalance roundrobin",
    ];
    let _haproxy = haproxy(&ports, 3, &backends);
    let probe = check(&port(&ports, 3, "/"), &[], "lb_cookie");
    let (mark, verdict) = finding(&probe, "T16", "SRV");
    assert!(
        mark == "bad" && verdict.contains("no HttpOnly") && verdict.contains("it names a backend: "),
        "{probe:#}"
    );
    check(&port(&ports, 4, "/"), &[], "source_ip");
    check(&port(&ports, 5, "/app"), &[], "app_cookie_table");
    let probe = check(&port(&ports, 6, "/"), &[], "lb_cookie");
    assert!(details(&probe).contains("dynamic (HAProxy cookie)"), "{probe:#}");
    check(&port(&ports, 7, "/"), &[], "connection");
}

#[test]
fn what_cannot_be_told_is_said_so() {
    let a = backend("a");
    let alone = homing(&[&a]).run();
    let probe = told(&at(alone.address, "/"), &[]);
    assert_eq!(probe["kind"], "unknown");
    assert!(probe["sentence"].as_str().unwrap().contains("there is only one"), "{probe:#}");
    let probe = told(&at(alone.address, "/"), &["--identify", "header:X-Nothing"]);
    assert!(probe["sentence"].as_str().unwrap().contains("cannot be told apart"), "{probe:#}");

    let (b, c) = (backend("b"), backend("c"));
    let homing = homing(&[&a, &b, &c]).cookie().run();
    let ran = ask(&[&at(homing.address, "/"), "--within", "30s"]);
    assert!(
        ran.text().starts_with("Clients are kept with one of 3 backends by the balancer's own cookie srv."),
        "{ran:?}"
    );
    for (words, code, expected) in [
        (vec!["ftp://x"], 2, "must begin with http:// or https://"),
        (vec!["http://u:p@127.0.0.1/"], 2, "no user and no password"),
        (vec!["http://127.0.0.1:1/", "--within", "5s"], 1, "no answer at 127.0.0.1:1"),
        (vec!["http://127.0.0.1/", "--within", "5ms"], 2, "--within"),
    ] {
        let ran = ask(&words);
        assert_eq!(ran.status.code(), Some(code), "{words:?}: {ran:?}");
        assert!(ran.err.contains(expected), "{words:?}: {ran:?}");
    }
}

#[test]
fn tls_is_probed_by_whom_the_person_trusts() {
    let authority = crate::harness::fronts::Authority::new();
    let issued = authority.issue(&["127.0.0.1"]);
    let (a, b, c) = (backend("a"), backend("b"), backend("c"));
    let listener = format!("tls = {{ certificate = {:?}, key = {:?} }}\n", issued.certificate, issued.key);
    let homing = homing(&[&a, &b, &c]).listener(&listener).cookie().run();
    let url = format!("https://{}/", homing.address);
    let ca = authority.folder().join("ca.pem");
    let probe = check(&url, &["--ca", ca.to_str().unwrap()], "lb_cookie");
    assert_eq!(finding(&probe, "T16", "srv").0, "good", "the cookie is Secure: {probe:#}");
    check(&url, &["--insecure"], "lb_cookie");
    let ran = ask(&[&url]);
    assert_ne!(ran.status.code(), Some(0), "nobody's authority issued it");
}

#[test]
fn hooks_tell_what_ends_returns_drains_and_reloads_do() {
    let ports = Ports::new(3);
    let folder = tempfile::tempdir().unwrap();
    let apps: Vec<App> =
        (0..3).map(|i| App::start(folder.path(), programs::NAMES[i], ports.get(i))).collect();
    let health = "\n[pool.health]\npath = \"/\"\ninterval = \"50ms\"\n";
    for (pool, affinity, kind, drain) in [
        ("strategy = \"round_robin\"", "\n[pool.affinity]\nmode = \"cookie\"\n", "lb_cookie", "good"),
        ("strategy = { kind = \"maglev\", key = \"header:x-user-id\" }", "", "header_hash", "bad"),
    ] {
        let homing = setup(&ports, pool, &format!("{affinity}{health}")).spawn();
        let program = env!("CARGO_BIN_EXE_homing");
        let (at, own) = (folder.path().display(), homing.admin);
        let kill = format!("kill -KILL $(cat {at}/$HOMING_BACKEND.pid); rm {at}/$HOMING_BACKEND.pid");
        let revive = format!(
            "[ -e {at}/$HOMING_BACKEND.pid ] || /usr/sbin/nginx -c {at}/$HOMING_BACKEND.conf; \
             {program} ready $HOMING_BACKEND --as-configured --admin {own}"
        );
        let drains = format!("{program} drain $HOMING_BACKEND --mode keep --admin {own}");
        let reload = format!("{program} reload --admin {own}");
        let words = [
            "--kill-hook",
            &kill,
            "--revive-hook",
            &revive,
            "--drain-hook",
            &drains,
            "--reload-hook",
            &reload,
        ];
        let probe = check(&format!("http://{}/", homing.address), &words, kind);
        assert_eq!(finding(&probe, "T15", ""), ("good", "nobody moves and nothing fails"), "{probe:#}");
        assert_eq!(finding(&probe, "T13", "").0, drain, "{probe:#}");
        assert_eq!(
            finding(&probe, "T11", ""),
            ("good", "its clients move without an error, nobody else moves"),
            "{probe:#}"
        );
        let returned = finding(&probe, "T12", "").1;
        let expected = if drain == "good" { "nobody is moved a second time" } else { "all return" };
        assert!(returned.starts_with(expected), "{probe:#}");
        assert_eq!(
            details(&probe).contains("keys of the backends that stayed moved: consistent"),
            drain == "bad"
        );
    }
    drop(apps);
}

/// An application as a process of its own that a shell can kill and start: known by its file of a process id.
struct App {
    pid: std::path::PathBuf,
}

impl App {
    fn start(folder: &std::path::Path, name: &str, port: u16) -> Self {
        let own = folder.join(format!("{name}-files"));
        std::fs::create_dir(&own).unwrap();
        let pid = folder.join(format!("{name}.pid"));
        let frame = nginx_frame(&own).replace(&format!("{}/pid", own.display()), &pid.display().to_string());
        let config = folder.join(format!("{name}.conf"));
        std::fs::write(&config, format!("master_process off;\n{frame}{}}}", application(name, port)))
            .unwrap();
        run("/usr/sbin/nginx", &["-c", config.to_str().unwrap()], "").text();
        crate::harness::until(|| std::fs::read_to_string(&pid).is_ok_and(|p| !p.is_empty()));
        Self { pid }
    }
}

impl Drop for App {
    fn drop(&mut self) {
        let text = std::fs::read_to_string(&self.pid).unwrap_or_default();
        let pid = text.trim().parse().ok().and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        }
    }
}
