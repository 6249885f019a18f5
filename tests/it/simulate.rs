//! `homing simulate`: what it says, what it writes, and that it is right.

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn simulate(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_homing")).arg("simulate").args(args).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The result of a run that goes well.
fn json(args: &[&str]) -> Value {
    let out = simulate(&[args, &["--json", "-"]].concat());
    assert!(out.status.success(), "{}", text(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

fn metric(json: &Value, name: &str) -> f64 {
    json["combinations"][0]["metrics"][name]["value"].as_f64().unwrap()
}

#[test]
fn what_is_known_to_be_right_comes_out() {
    let out = simulate(&["--self-check"]);
    let told = text(&out.stdout);
    assert!(out.status.success() && told.contains(" 0 failed"), "{told}");
    for id in ["A1 ", "A10 ", "A20 ", "A24 ", "B1 ", "B5 ", "B8 ", "B11 ", "B18 "] {
        assert!(told.contains(id), "no {id} in {told}");
    }
    for id in ["A17 ", "B16 ", "B19 "] {
        let is_told = |line: &str| line.starts_with("left out ") && line.contains(id);
        assert!(told.lines().any(is_told), "{id} is not left out by name in {told}");
    }
}

#[test]
fn any_number_of_threads_gives_the_same_bytes() {
    // More sessions than a thread is given at once.
    let run = |threads| {
        let args =
            ["--users", "40000", "-n", "5", "--events", "crash b@1s+1s, ip_change 30%@3s, remove c@4s"];
        let ways = ["--strategy", "least_sessions,random,rendezvous,ip_hash", "--affinity", "cookie,none"];
        let out = simulate(
            &[&args[..], &ways, &["--profile", "mobile", "--threads", threads, "--json", "-"]].concat(),
        );
        assert!(out.status.success(), "{}", text(&out.stderr));
        out.stdout
    };
    assert_eq!(run("1"), run("8"));
}

#[test]
fn a_drained_roll_loses_nobody_and_a_plain_one_what_theory_says() {
    let ways = ["--users", "6000", "--strategy", "round_robin", "--theory", "--events"];
    let plain = json(&[&ways[..], &["roll@5s"]].concat());
    let lost = &plain["combinations"][0]["metrics"]["lost_per_live"];
    assert!((lost["theory"].as_f64().unwrap() - 19.0 / 12.0).abs() < 1e-5, "{lost}");
    assert!(lost["z"].as_f64().unwrap().abs() < 4.0, "{lost}");
    assert!(lost["low"].as_f64() < lost["value"].as_f64() && lost["value"].as_f64() < lost["high"].as_f64());
    assert!(metric(&plain, "peak_to_average") > 1.7 && metric(&plain, "unforced_moves") == 0.0);
    let drained = json(&[&ways[..], &["roll@5s drain=wait"]].concat());
    assert_eq!(metric(&drained, "lost"), 0.0);
    assert!(drained["combinations"][0]["events"][0]["live"].as_u64() > Some(5000));
}

#[test]
fn shared_stores_and_tokens_lose_nobody_until_the_store_does() {
    let args =
        ["--users", "500", "--strategy", "hash", "--sessions", "memory,redis,memcached,jwt", "--events"];
    let lost = |events: &str| {
        let json = json(&[&args[..], &[events]].concat());
        let all = json["combinations"].as_array().unwrap().iter();
        all.map(|c| c["metrics"]["lost"]["value"].as_f64().unwrap() > 0.0).collect::<Vec<_>>()
    };
    assert_eq!(lost("crash b@5s, roll@9s, reorder@60s"), [true, false, false, false]);
    assert_eq!(lost("store_restart@5s"), [false, true, true, false]);
}

#[test]
fn a_balancer_without_a_secret_forgets_its_cookies_when_it_starts_anew() {
    let args = ["--users", "500", "--strategy", "round_robin", "--events"];
    let lost = |events: &str| metric(&json(&[&args[..], &[events]].concat()), "lost");
    assert_eq!(lost("lb_restart@5s"), 0.0);
    assert_eq!(lost("lb_reload@5s"), 0.0);
    assert!(lost("lb_restart@5s secret=false") > 200.0);
}

#[test]
fn sessions_are_stale_only_where_an_application_goes_on_with_ids_it_does_not_know() {
    let args = ["--users", "500", "--strategy", "hash", "--events", "roll@5s by=list", "--application"];
    let stale = |application| metric(&json(&[&args[..], &[application]].concat()), "stale_per_live");
    assert_eq!(stale("strict"), 0.0);
    assert!((1.2..2.1).contains(&stale("adopting")));
}

#[test]
fn think_times_let_some_sessions_miss_a_short_restart() {
    let args = ["--users", "2000", "--strategy", "rendezvous", "--events", "roll@5s"];
    let moved = |more: &[&str]| {
        let json = json(&[&args[..], more].concat());
        metric(&json, "forced_moves") / json["combinations"][0]["events"][0]["live"].as_f64().unwrap()
    };
    assert!((0.99..1.05).contains(&moved(&[])));
    // 1 - exp(-5/7) of them ask while a backend is away for 5 s.
    assert!((0.4..0.65).contains(&moved(&["--think", "7s"])), "{}", moved(&["--think", "7s"]));
}

fn file(folder: &tempfile::TempDir, name: &str, text: &str) -> String {
    let path = folder.path().join(name);
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn a_script_of_bench_is_read_and_what_needs_a_live_run_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let script = "seed = 9\n[[at]]\nt = \"60s\"\ndo = \"crash\"\ntarget = \"b2\"\n[[at]]\nt = \"75s\"\ndo = \"restart\"\n\
                  target = \"b2\"\n[[at]]\nt = \"120s\"\ndo = \"roll\"\nbatch = 1\nsurge = 0\ndrain = \"20s\"\n[[at]]\n\
                  t = \"240s\"\ndo = \"exec\"\ncmd = \"./drain.sh b3\"\n";
    let json = json(&["--users", "300", "--script", &file(&folder, "faults.toml", script)]);
    let labels: Vec<_> =
        json["combinations"][0]["events"].as_array().unwrap().iter().map(|e| &e["label"]).collect();
    assert_eq!(labels, ["crash b2", "return b2", "roll drain 20s"]);
    assert_eq!(json["seed"], 9);
    assert!(json["doubts"].to_string().contains("exec is left out"), "{}", json["doubts"]);
}

#[test]
fn a_log_gives_its_clients() {
    let folder = tempfile::tempdir().unwrap();
    let line = |ip: &str, agent| {
        format!("{ip} - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1 \"-\" \"{agent}\"\n")
    };
    let mut log: String = (0..90).map(|i| line("203.0.113.7", i)).collect();
    log.extend((0..10).map(|i| line(&format!("198.51.{i}.1"), 0)));
    let log = file(&folder, "access.log", &log);
    let json = json(&["--replay", &log, "--strategy", "ip_hash", "--events", "crash b@5s"]);
    let w = &json["workload"];
    assert_eq!((w["users"].as_u64(), w["replay"]["addresses"].as_u64()), (Some(100), Some(11)));
    assert!((w["n_eff"].as_f64().unwrap() - 1.0 / (0.81 + 10.0 * 0.0001)).abs() < 1e-3, "{w}");
}

#[test]
fn sweeps_go_through_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("sweep.html");
    let json = json(&[
        "--html",
        page.to_str().unwrap(),
        "--users",
        "400",
        "--strategy",
        "round_robin,ip_hash",
        "--sweep",
        "n=2..4",
        "--sweep",
        "zipf=0,1.2",
    ]);
    let rows = json["sweep"].as_array().unwrap();
    let sets: Vec<_> =
        rows.iter().map(|r| (r["set"]["n"].as_f64().unwrap(), r["set"]["zipf"].as_f64().unwrap())).collect();
    assert_eq!(sets, [(2.0, 0.0), (2.0, 1.2), (3.0, 0.0), (3.0, 1.2), (4.0, 0.0), (4.0, 1.2)]);
    assert!(rows.iter().all(|r| r["combinations"].as_array().unwrap().len() == 2));
    assert!(rows[1]["workload"]["n_eff"].as_f64() < rows[0]["workload"]["n_eff"].as_f64());
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("id=\"sweep\"") && page.contains("homing/ip_hash/none/memory"), "{page}");
}

#[test]
fn tables_are_written_for_people_and_for_sheets() {
    let folder = tempfile::tempdir().unwrap();
    let (csv, md) = (folder.path().join("r.csv"), folder.path().join("r.md"));
    let (csv, md) = (csv.to_str().unwrap(), md.to_str().unwrap());
    let out = simulate(&["--users", "300", "--theory", "--events", "crash b@5s", "--csv", csv, "--md", md]);
    let told = text(&out.stdout);
    for part in
        ["300 users on 3 backends", "predicted CV", "THEORY LOST", "round_robin/cookie/memory", "crash b"]
    {
        assert!(told.contains(part), "no {part:?} in {told}");
    }
    assert!(told.find("predicted CV") < told.find("PEAK"), "what is to be expected comes first");
    assert!(text(&out.stderr).contains("bytes per session"));
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap();
    let (csv, md) = (read(csv), read(md));
    assert!(
        csv.starts_with("set,strategy,affinity,sessions,event,t,live,lost,stale,")
            && csv.lines().count() == 9
    );
    assert!(csv.lines().all(|line| line.split(',').count() == 17), "{csv}");
    assert!(md.starts_with("| set | strategy |") && md.lines().count() == 10);
}

#[test]
fn what_is_wrong_is_said_with_what_would_be_right() {
    let folder = tempfile::tempdir().unwrap();
    let script = file(&folder, "s.toml", "[[at]]\nt = \"60s\"\ndo = \"crush\"\n");
    let nobody = file(&folder, "a.log", "nothing\n");
    for (args, parts) in [
        (vec!["--events", "crash z@5s"], ["no backend \"z\"", "one of a, b, c"]),
        (vec!["--events", "crash b"], ["has no time", "crash b@60s"]),
        (vec!["--events", "crash@5s"], ["names no backend", "crash b@60s"]),
        (vec!["--events", "crash b@5"], ["t = \"5\"", "needs a unit"]),
        (vec!["--events", "rol@5s"], ["unknown event \"rol\"", "did you mean \"roll\"?"]),
        (vec!["--events", "roll@5s btach=2"], ["has no \"btach\"", "did you mean \"batch\"?"]),
        (vec!["--events", "add 70@5s"], ["target is wrong", "from 1 to 64"]),
        (vec!["--events", "add 60@5s, add 9@6s"], ["72 backends", "64 at most"]),
        (vec!["--events", "ip_change 130%@5s"], ["target is wrong", "from 0 to 1"]),
        (vec!["--script", &script], ["s.toml:1: unknown event \"crush\"", "did you mean \"crash\"?"]),
        (vec!["--replay", &nobody], ["no line has a client's address", "client_ip"]),
        (vec!["--strategy", "rendevous"], ["unknown strategy", "did you mean \"rendezvous\"?"]),
        (vec!["--affinity", "coookie"], ["unknown affinity", "cookie or none"]),
        (vec!["--sessions", "mysql"], ["unknown place for sessions", "memory, redis"]),
        (vec!["--profile", "wbe"], ["unknown profile", "corporate (30 %"]),
        (vec!["--sweep", "n=2..99"], ["--sweep n=2..99", "from 1 to 64"]),
        (vec!["--sweep", "zip=1"], ["--sweep zip=1", "one of n, users"]),
        (vec!["--cookieless", "3"], ["--cookieless 3", "from 0 to 1"]),
        (vec!["--key", "cookie"], ["--key \"cookie\"", "client_ip or user"]),
        (vec!["--users", "0"], ["nobody to simulate", "one user"]),
        (vec!["-n", "65"], ["64", "64 at most"]),
    ] {
        let out = simulate(&args);
        let said = text(&out.stderr);
        assert_eq!(out.status.code(), Some(1), "{args:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{args:?}: no {part:?} in {said}");
        }
    }
}
