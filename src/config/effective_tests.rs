//! What is printed is what is in effect: read again it makes the same plan.

use std::sync::Arc;

use super::super::shipped_tests::with_examples;
use super::super::tests::{KEY, LISTENER, SHIPPED, folder, key_file};
use super::super::{Environment, Sources, Variables};
use super::*;
use crate::affinity::seal::SealKeys;
use crate::affinity::table::Seeds;
use crate::snapshot::Plan;
use crate::snapshot::carried::Carried;
use crate::strategy::Registry;

fn environment() -> Environment {
    let variables: Variables = [("HOST", "10.0.0.7"), ("TOKEN", "hunter2")]
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into_iter()
        .collect();
    let keys = Arc::new(SealKeys::parse(KEY).unwrap());
    Environment { cores: 4, boot: 7, keys, seeds: Seeds::new([7; 16]), variables }
}

/// What is printed of a text that stands in `folder`, and its plan.
fn printed(text: &str, folder: &Path) -> (String, Plan) {
    let sources = Sources::text(text, &folder.join("config.toml"));
    let (registry, environment) = (Registry::built_in(), environment());
    let plan = sources.build(&registry, &environment, &Carried::default());
    let plan = plan.unwrap_or_else(|e| panic!("{text}\n{e}")).plan;
    (sources.print(&registry, &environment).unwrap().0, plan)
}

/// Everything that two plans may differ in.
fn said(plan: &Plan) -> String {
    let pools: Vec<_> = plan.pools.iter().map(|p| (&p.name, p.digest, &p.settings)).collect();
    format!("{:#?}\n{:#?}\n{pools:#?}\n{:#?}", plan.settings, plan.listeners, plan.routes.as_slice())
}

fn without_comments(text: &str) -> String {
    let cut = |line: &str| line.rsplit_once(" # ").map_or(line, |(key, _)| key).trim_end().to_owned();
    text.lines().map(cut).collect::<Vec<_>>().join("\n")
}

fn check_that_it_says_the_same(text: &str, folder: &Path) {
    let (first, plan) = printed(text, folder);
    let (second, again) = printed(&first, folder);
    assert_eq!(said(&again), said(&plan), "{text}\n{first}");
    let [first, second] = [&first, &second].map(|t| {
        let mut lines: Vec<_> = without_comments(t).lines().map(str::to_owned).collect();
        lines.sort();
        lines
    });
    assert_eq!(second, first);
}

const MUCH: &str = r#"
include = ["pools/*.toml"]
workers = 3
[admin]
[[listener]]
listen = ":8080"
limits.head = "1KiB"
trusted_proxies = ["10.0.0.0/8",
  "::1"]
[[listener]]
name = "second"
listen = "unix:/run/x.sock"
[[route]]
pool = "app"
host = "*.example.com"
request_headers = { set = { "x-a" = "1 # $$", "x-token" = "Bearer ${TOKEN}" }, remove = ["x-b"] }
[[pool]]
name = "app"
fail_timeout = "0m20s"
fail_statuses = [500, "502-504"]
queue.size = 0x10
strategy = "maglev"
backends = [
  "${HOST}:1",
  { name = "b", address = "127.0.0.1:2",
    weight = 3, max_fails = 7 },
]
[pool.affinity]
mode = "cookie"
on_lost = { wait = "5s" }
secret = { file = "cookie.key" }
[pool.health]
interval = "3s"
"#;

#[test]
fn what_is_printed_says_the_same() {
    let folder = folder();
    check_that_it_says_the_same(MUCH, folder.path());
    check_that_it_says_the_same(SHIPPED, folder.path());
    check_that_it_says_the_same(&with_examples(), folder.path());
    for kind in Registry::built_in().iter() {
        let pool = format!("[[pool]]\nname = \"app\"\nbackends = [\"a:1\"]\nstrategy = \"{}\"\n", kind.name);
        check_that_it_says_the_same(&format!("{LISTENER}{pool}"), folder.path());
    }
}

#[test]
fn each_line_says_where_it_came_from() {
    let (text, _) = printed(MUCH, folder().path());
    let check = |key: &str, from: &str| {
        let is = |line: &&str| line.trim_start().starts_with(key);
        let line = text.lines().find(is).unwrap_or_else(|| panic!("no {key} in\n{text}"));
        assert_eq!(line.rsplit_once(" # ").map(|(_, from)| from), Some(from), "{line}");
    };
    check("workers = 3", "config.toml:3");
    check("listen = \"127.0.0.1:9900\"", "default");
    check("head = \"1KiB\"", "config.toml:7");
    check("field = \"1KiB\"", "default");
    check("trusted_proxies = [\"10.0.0.0/8\", \"::1\"]", "config.toml:8");
    check("fail_timeout = \"20s\"", "config.toml:19");
    check("queue = { size = 16, timeout = \"5s\" }", "config.toml:21, default");
    check("strategy = { kind = \"maglev\", ", "config.toml:22, default");
    check("backends = [", "config.toml:23");
    check(
        "{ address = \"10.0.0.7:1\", name = \"10.0.0.7:1\", ",
        "config.toml:24 as \"${HOST}:1\", default, as the section",
    );
    check(
        "{ address = \"127.0.0.1:2\", name = \"b\", weight = 3, ",
        "config.toml:25, config.toml:26, default, as the section",
    );
    check("secret = { file = \"cookie.key\" }", "config.toml:31");
    check("name = \"more\"", "pools/more.toml:2");
    for line in text.lines().filter(|l| !l.is_empty() && !l.starts_with(['[', ']'])) {
        assert!(line.contains(" # "), "{line}");
    }
}

#[test]
fn tokens_are_not_printed_and_keys_are_not_known() {
    let folder = folder();
    key_file(folder.path(), KEY, 0o600);
    let (text, plan) = printed(MUCH, folder.path());
    assert_eq!(plan.routes.as_slice()[0].request_headers.set[1].1, "Bearer hunter2");
    assert!(
        text.contains("x-token = \"Bearer ${TOKEN}\"") && !text.contains("hunter2") && !text.contains(KEY)
    );
}

/// A default that no typed read noted would be missing here.
#[test]
fn no_default_is_missing() {
    let folder = folder();
    let (text, _) = printed(&with_examples(), folder.path());
    let printed = without_comments(&text);
    for (section, key) in super::super::shipped_tests::defaults_shown() {
        let is_there = printed
            .split("\n\n")
            .filter(|part| part.starts_with(section.as_str()) || section.is_empty())
            .any(|part| part.lines().any(|line| line.starts_with(&format!("{key} = "))));
        assert!(is_there, "{section} {key}");
    }
}
