//! What `homing diff` says of two configurations: what changes, and whose sessions and keys move.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use homing::affinity::seal::SealKeys;
use homing::base::time::UnixSeconds;
use homing::config::{Environment, Sources};
use homing::snapshot::Plan;
use homing::snapshot::carried::Carried;
use homing::snapshot::difference::{Difference, What};
use homing::snapshot::placement::Placement;
use homing::strategy::Registry;

const NOW: UnixSeconds = UnixSeconds(1_800_000_000);

/// A plan of one pool of these backends and keys.
fn plan(backends: &str, keys: &str) -> Plan {
    plan_after(backends, keys, Carried::default())
}

fn plan_after(backends: &str, keys: &str, carried: Carried<'_>) -> Plan {
    let backends: Vec<_> = backends.split_whitespace().map(backend).collect();
    let text = format!(
        "[[listener]]\nlisten = \":80\"\n[[pool]]\nname = \"app\"\nbackends = [{}]\n{keys}\n",
        backends.join(", ")
    );
    build(&text, carried)
}

/// `b` is at 127.0.0.1:98.
fn backend(name: &str) -> String {
    format!("{{ name = {name:?}, address = \"127.0.0.1:{}\" }}", u32::from(name.as_bytes()[0]))
}

fn build(text: &str, carried: Carried<'_>) -> Plan {
    let keys = Arc::new(SealKeys::parse(&"ab".repeat(32)).unwrap());
    let environment = Environment { cores: 1, boot: 1, keys, ..Environment::detect().unwrap() };
    let carried = Carried { workers: Some(1), now: NOW, ..carried };
    let loaded =
        Sources::text(text, Path::new("t.toml")).build(&Registry::built_in(), &environment, &carried);
    loaded.unwrap_or_else(|e| panic!("{e}")).plan
}

fn between(old: &Plan, new: &Plan) -> Difference {
    Difference::between(old, new, &|_, backend| backend.sessions.live(NOW))
}

fn said(old: &str, new: &str) -> Vec<String> {
    let none = Carried::default;
    between(&build(old, none()), &build(new, none())).to_text().lines().map(str::to_owned).collect()
}

fn placement(old: &Plan, new: &Plan) -> Placement {
    between(old, new).pools[0].placement.clone().unwrap()
}

/// Percent of the keys that move.
fn moved(old: &Plan, new: &Plan) -> f64 {
    let placement = placement(old, new);
    f64::from(placement.moved) / f64::from(placement.samples) * 100.0
}

fn check_about(is: f64, expected: f64) {
    assert!((is - expected).abs() < 2.0, "{is} %, not about {expected} %");
}

mod what_changes {
    use super::*;

    const BASE: &str = "workers = 2\n[[listener]]\nname = \"web\"\nlisten = \":80\"\n[[pool]]\nname = \"app\"\n\
                        backends = [\"a:1\", \"b:1\"]\n[[pool]]\nname = \"old\"\nbackends = [\"a:1\"]\n\
                        [[route]]\npool = \"app\"\n[[route]]\nhost = \"a.com\"\npool = \"old\"\n\
                        request_headers.set.x = \"1\"\n";

    #[test]
    fn nothing_where_nothing_does() {
        let spelt =
            BASE.replace("\"b:1\"]", "{ address = \"b:1\", weight = 1 }]\nstrategy = \"round_robin\"");
        assert_eq!(said(BASE, &format!("# a comment\n{spelt}")), ["nothing changes"]);
        let plan = plan("a b", "");
        let json = between(&plan, &plan).to_json();
        assert_eq!((&json["changes"], json["pools"].as_array().map(Vec::len)), (&false.into(), Some(0)));
    }

    #[test]
    fn each_kind_of_thing_is_named() {
        let check = |from: &str, to: &str, expected: &[&str]| {
            assert!(BASE.contains(from));
            assert_eq!(said(BASE, &BASE.replace(from, to)), expected, "{from} -> {to}");
        };
        check("workers = 2", "workers = 3", &["~ workers 2 -> 3 (needs a restart)"]);
        check("workers = 2", "workers = 2\nshutdown.drain = \"1m\"", &["~ shutdown.drain \"30s\" -> \"1m\""]);
        check(
            "workers = 2",
            "workers = 2\n[admin]",
            &["~ admin.listen = \"127.0.0.1:9900\", which was not set (needs a restart)"],
        );
        check(
            "listen = \":80\"",
            "listen = \":80\"\nlimits.fields = 9",
            &["~ listener \"web\": limits.fields 100 -> 9"],
        );
        check("name = \"web\"", "name = \"www\"", &["+ listener \"www\"", "- listener \"web\""]);
        check("host = \"a.com\"", "host = \"b.com\"", &["+ route \"b.com/\"", "- route \"a.com/\""]);
        check("set.x = \"1\"", "set.x = \"2\"", &["~ route \"a.com/\": request_headers"]);
        check(
            "host = \"a.com\"",
            "host = \"a.com\"\nmax_body = \"1MiB\"",
            &["~ route \"a.com/\": max_body = \"1MiB\", which was not set"],
        );
        check("pool = \"old\"", "pool = \"app\"", &["~ route \"a.com/\": pool \"old\" -> \"app\""]);
        check(
            "\"b:1\"",
            "{ address = \"b:1\", weight = 2, fail_timeout = \"1m\" }",
            &["~ pool \"app\"", "    ~ backend \"b:1\": weight 1 -> 2, fail_timeout \"10s\" -> \"1m\""],
        );
        check(
            "\"a:1\", \"b:1\"",
            "\"c:1\", \"a:1\"",
            &["~ pool \"app\"", "    + backend \"c:1\"", "    - backend \"b:1\""],
        );
        check("\"a:1\", \"b:1\"", "\"b:1\", \"a:1\"", &["~ pool \"app\": the order of its backends"]);
        check(
            "name = \"app\"",
            "name = \"app\"\ntimeouts.read = \"1s\"",
            &["~ pool \"app\": timeouts.read \"1m\" -> \"1s\""],
        );
        let both = BASE.replace("\"old\"", "\"new\"");
        assert_eq!(
            said(BASE, &both),
            ["~ route \"a.com/\": pool \"old\" -> \"new\"", "+ pool \"new\"", "- pool \"old\""]
        );
    }

    #[test]
    fn values_of_fields_are_not_shown() {
        let with = |token: &str| {
            format!(
                "{BASE}response_headers.add.x = \"{token}\"\n[[pool]]\nname = \"c\"\nbackends = [\"c:1\"]\n[pool.health]\n\
                     path = \"/\"\nheaders = {{ authorization = \"{token}\" }}\n"
            )
        };
        let said = said(&with("hunter1"), &with("hunter2"));
        assert_eq!(
            said,
            ["~ route \"a.com/\": response_headers", "~ pool \"c\": health.headers.authorization"]
        );
    }
}

mod who_moves {
    use super::*;

    #[test]
    fn one_more_backend_takes_its_share_of_the_keys_and_no_other_moves() {
        let keys = "strategy = \"rendezvous\"";
        let (old, new) = (plan("a b c d", keys), plan("a b c d e", keys));
        let placement = placement(&old, &new);
        check_about(moved(&old, &new), 20.0);
        let new_one = placement.backends.last().unwrap();
        assert_eq!((new_one.backend.as_str(), new_one.before, new_one.after), ("e", 0, placement.moved));
        assert!(placement.backends[..4].iter().all(|s| s.before - s.moved == s.after));
        assert!(between(&old, &new).warnings().is_empty());
    }

    #[test]
    fn the_samples_are_the_same_every_time() {
        let (old, new) = (plan("a b c", "strategy = \"maglev\""), plan("a b", "strategy = \"maglev\""));
        assert_eq!(placement(&old, &new), placement(&old, &new));
    }

    #[test]
    fn a_new_order_moves_keys_where_places_count_and_says_how_many() {
        for (strategy, is_positional) in [
            ("\"ip_hash\"", true),
            ("\"hash\"", true),
            ("{ kind = \"hash\", consistent = true }", false),
            ("\"rendezvous\"", false),
        ] {
            let keys = format!("strategy = {strategy}");
            let difference = between(&plan("a b c", &keys), &plan("b c a", &keys));
            let placement = difference.pools[0].placement.as_ref().unwrap();
            assert_eq!(placement.moved > 0, is_positional, "{strategy}");
            let warnings = difference.warnings();
            assert_eq!(warnings.len(), usize::from(is_positional), "{strategy}: {warnings:?}");
            if is_positional {
                let kind = if strategy.contains("ip_hash") { "ip_hash" } else { "hash" };
                let begin = format!("pool \"app\": the order changed under {kind}: 100 % of keys move");
                assert_eq!(warnings[0], begin, "nobody stays where all places are shifted");
                assert!(difference.to_text().ends_with(&format!("warning: {}\n", warnings[0])));
            }
        }
    }

    #[test]
    fn another_key_moves_as_good_as_all() {
        let with =
            |key: &str| plan("a b c d", &format!("strategy = {{ kind = \"rendezvous\", key = \"{key}\" }}"));
        check_about(moved(&with("client_ip"), &with("header:x-user")), 75.0);
        check_about(moved(&with("cookie:a"), &with("cookie:b")), 75.0);
    }

    #[test]
    fn strategies_that_place_by_nothing_move_nothing() {
        let difference = between(&plan("a b", ""), &plan("b", ""));
        assert!(difference.pools[0].placement.is_none() && !difference.to_text().contains('%'));
    }

    #[test]
    fn pins_stay_but_those_of_backends_that_go() {
        let cookie = "strategy = \"ip_hash\"\n[pool.affinity]\nmode = \"cookie\"";
        let old = plan("a b c", cookie);
        let begin = |id: &str, n: u32| {
            let members = &old.pools[0].members;
            (0..n).for_each(|_| members.get(members.find(id).unwrap()).sessions.begin(0, NOW));
        };
        begin("a", 5);
        begin("b", 7);
        let mut carried = Carried { previous: Some(&old), ..Carried::default() };
        carried.let_leave("app", "b");
        let new = plan_after("c a", cookie, carried);
        assert_eq!(new.pools[0].members.len(), 3, "b leaves in peace");
        let difference = between(&old, &new);
        let pool = &difference.pools[0];
        assert!(pool.has_pins);
        assert_eq!(pool.sessions_moved, 7);
        let removed: Vec<_> =
            pool.backends.iter().map(|(b, live)| (b.name.as_str(), &b.what, *live)).collect();
        assert_eq!(removed, [("b", &What::Removed, 7)]);
        let text = difference.to_text();
        assert!(text.contains("- backend \"b\" (7 live sessions)"), "{text}");
        assert!(text.contains("sessions that move: 7, those of backends that go"), "{text}");
        assert!(text.contains("keys of new sessions that move: "), "{text}");

        let gone = plan_after("c a", cookie, Carried { previous: Some(&new), ..Carried::default() });
        assert!(between(&new, &gone).is_empty(), "that it has left is no change of the configuration");
    }
}

/// The program's answer: its exit code and what it printed.
fn homing(args: &[&str], folder: &Path) -> (Option<i32>, String) {
    let run = Command::new(env!("CARGO_BIN_EXE_homing")).args(args).current_dir(folder).output().unwrap();
    (run.status.code(), String::from_utf8(run.stdout).unwrap())
}

#[test]
fn the_program_tells_by_its_exit_code_whether_something_changes() {
    let folder = tempfile::tempdir().unwrap();
    let base = "[[listener]]\nlisten = \":80\"\n[[pool]]\nname = \"app\"\nbackends = [\"a:1\"]\n";
    for (name, text) in [
        ("a.toml", format!("workers = 1\n{base}")),
        ("b.toml", format!("workers = 2\n{base}")),
        ("wrong.toml", "workers = 0".to_owned()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let diff = |args: &[&str]| homing(&[&["diff"], args].concat(), folder.path());
    assert_eq!(diff(&["a.toml", "a.toml"]), (Some(0), "nothing changes\n".to_owned()));
    assert_eq!(diff(&["a.toml", "b.toml"]), (Some(1), "~ workers 1 -> 2 (needs a restart)\n".to_owned()));
    assert_eq!(diff(&["a.toml", "wrong.toml"]), (Some(2), String::new()));
    assert_eq!(diff(&["wrong.toml", "a.toml"]), (Some(2), String::new()));
    let (code, json) = diff(&["--json", "a.toml", "b.toml"]);
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json["restart"][0]), (Some(1), &"workers".into()));
}

#[test]
fn what_the_program_prints_is_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let text = "[[listener]]\nlisten = \":80\"\n[[pool]]\nname = \"app\"\nbackends = [\"${HOMING_TEST_HOST:-a}:1\"]\n";
    std::fs::write(folder.path().join("config.toml"), text).unwrap();
    let (code, printed) = homing(&["print"], folder.path());
    assert!(
        code == Some(0) && printed.contains("# config.toml:5 as \"${HOMING_TEST_HOST:-a}:1\", default"),
        "{printed}"
    );
    std::fs::write(folder.path().join("printed.toml"), printed).unwrap();
    let (code, said) = homing(&["diff", "config.toml", "printed.toml"], folder.path());
    assert_eq!((code, said.as_str()), (Some(0), "nothing changes\n"));
    std::fs::write(folder.path().join("config.toml"), "x = 1").unwrap();
    assert_eq!(homing(&["print"], folder.path()), (Some(1), String::new()));
}
