use super::super::tests::{ok, said};

const OPEN: &str = "[[listener]]\nlisten = \":8080\"\n";
const LOCAL: &str = "[[listener]]\nlisten = \"127.0.0.1:8080\"\n";
const BACKENDS: &str = "backends = [\"127.0.0.1:9001\", \"127.0.0.1:9002\"]\n";

fn pool(keys: &str) -> String {
    format!("[[pool]]\nname = \"app\"\n{BACKENDS}{keys}")
}

/// The codes of all warnings of a file that is accepted, but for the missing secret's.
#[track_caller]
fn check(text: &str, expected: &[&str]) {
    ok(text);
    let said = said(text);
    let coded = said.iter().filter(|s| !s.contains("without a secret"));
    let codes: Vec<_> = coded.map(|s| s.rsplit('(').next().unwrap().trim_end_matches(')')).collect();
    assert_eq!(codes, expected, "{text}\n{said:#?}");
}

#[test]
fn client_addresses_that_are_all_the_same() {
    let by_key = |key: &str| pool(&format!("strategy = {{ kind = \"hash\", key = {key} }}\n"));
    let by_address = pool("strategy = \"ip_hash\"\n");
    check(&format!("{LOCAL}{by_address}"), &["W001"]);
    check(&format!("{LOCAL}{}", by_key("\"client_ip\"")), &["W001"]);
    check(&format!("{}{by_address}", LOCAL.replace("127.0.0.1:8080", "[::1]:80")), &["W001"]);
    check(&format!("{}{by_address}", LOCAL.replace("127.0.0.1:8080", "unix:/run/h")), &["W001"]);
    check(&format!("{OPEN}{by_address}"), &[]);
    check(&format!("{LOCAL}trusted_proxies = [\"127.0.0.1\"]\n{by_address}"), &[]);
    check(&format!("{LOCAL}trusted_proxies = [\"127.0.0.1\"]\nproxy_protocol = true\n{by_address}"), &[]);
    check(&format!("{LOCAL}{}", by_key("[\"cookie:sid\", \"client_ip\"]")), &[]);
    check(&format!("{LOCAL}{}", pool("")), &[]);
    let other = "[[listener]]\nname = \"in\"\nlisten = \"127.0.0.1:81\"\n";
    let route =
        "[[route]]\npool = \"app\"\nlistener = \":8080\"\n[[route]]\npool = \"b\"\nlistener = \"in\"\n";
    let second = "[[pool]]\nname = \"b\"\nbackends = [\"127.0.0.1:9003\"]\n";
    check(&format!("{OPEN}{other}{by_address}{second}{route}"), &[]);
}

#[test]
fn keys_that_do_not_tell_clients_apart() {
    let with = |strategy: &str| format!("{OPEN}{}", pool(&format!("strategy = {{ {strategy} }}\n")));
    check(&with("kind = \"hash\", key = [\"client_ip\", \"cookie:sid\"]"), &["W002"]);
    check(&with("kind = \"maglev\", key = [\"cookie:sid\", \"path\", \"client_ip\"]"), &["W002"]);
    check(&with("kind = \"hash\", key = [\"host\", \"cookie:sid\"]"), &[]);
    check(&with("kind = \"hash\", key = \"client_ip\", v4_prefix = 0"), &["W003"]);
    check(&with("kind = \"hash\", key = \"client_ip\", v4_prefix = 0, v6_prefix = 0"), &["W003", "W003"]);
    check(&with("kind = \"hash\", key = \"cookie:sid\", v4_prefix = 0"), &[]);
    let cookie = "[pool.affinity]\nmode = \"cookie\"\nname = \"sid\"\n";
    check(&format!("{}{cookie}", with("kind = \"hash\", key = \"cookie:sid\"")), &["W005"]);
    check(&format!("{}{cookie}", with("kind = \"hash\", key = \"cookie:app\"")), &[]);
}

#[test]
fn cookies_that_do_not_come_back() {
    let cookie = |keys: &str| format!("{OPEN}{}[pool.affinity]\nmode = \"cookie\"\n{keys}\n", pool(""));
    let route = |path: &str| format!("[[route]]\npool = \"app\"\npath = \"{path}\"\n");
    check(&cookie("path = \"/shop\""), &["W004"]);
    for (path, prefix, codes) in [
        ("/shop", "/", &["W004"][..]),
        ("/shop", "/shops", &["W004"]),
        ("/shop/", "/shop", &["W004"]),
        ("/shop", "/shop", &[]),
        ("/shop", "/shop/cart", &[]),
        ("/shop/", "/shop/cart", &[]),
        ("/", "/shop", &[]),
    ] {
        check(&format!("{}{}", cookie(&format!("path = \"{path}\"")), route(prefix)), codes);
    }
    check(&cookie("idle = \"59s\""), &["W008"]);
    check(&cookie("idle = \"1m\""), &[]);
    check(&format!("{OPEN}{}[pool.affinity]\nidle = \"9s\"\n", pool("")), &[]);
}

#[test]
fn backends_that_nobody_finds() {
    let with = |a: &str, b: &str| {
        let backend = |n, keys| format!("{{ address = \"127.0.0.1:900{n}\"{keys} }}");
        let list = format!("backends = [{}, {}]\n", backend(1, a), backend(2, b));
        format!("{OPEN}[[pool]]\nname = \"app\"\n{list}")
    };
    check(&with(", weight = 0", ", weight = 0"), &["W006"]);
    check(&with(", weight = 0", ", state = \"drain\""), &["W006"]);
    check(&with(", state = \"maint\"", ", weight = 0, backup = true"), &["W006"]);
    check(&with(", weight = 0", ""), &[]);
    check(&with(", weight = 0", ", backup = true"), &[]);
}

#[test]
fn one_list_in_two_orders() {
    let with = |strategy: &str, list: &str| {
        let two = "[[route]]\npool = \"app\"\n[[route]]\npath = \"/b\"\npool = \"b\"\n";
        let first = pool(&format!("strategy = {strategy}\n"));
        format!("{OPEN}{first}[[pool]]\nname = \"b\"\nbackends = [{list}]\nstrategy = {strategy}\n{two}")
    };
    let turned = "\"127.0.0.1:9002\", \"127.0.0.1:9001\"";
    check(&with("\"ip_hash\"", turned), &["W007"]);
    check(&with("\"ip_hash\"", "\"127.0.0.1:9001\", \"127.0.0.1:9002\""), &[]);
    check(&with("\"ip_hash\"", "\"127.0.0.1:9002\", \"127.0.0.1:9003\""), &[]);
    check(&with("\"rendezvous\"", turned), &[]);
}

#[test]
fn routes_that_no_value_names() {
    let with = |backends: &str, affinity: &str| {
        format!("{OPEN}[[pool]]\nname = \"app\"\nbackends = [{backends}]\n[pool.affinity]\n{affinity}\n")
    };
    let plain = "\"127.0.0.1:9001\", \"127.0.0.1:9002\"";
    check(&with(plain, "preset = \"tomcat\""), &["W009"]);
    check(&with(plain, "mode = [\"learn\", \"route\"]\ncreate = \"cookie:sid\""), &["W009"]);
    check(&with(plain, "preset = \"php\""), &[]);
    for key in ["route", "name"] {
        let named = format!("\"127.0.0.1:9001\", {{ address = \"127.0.0.1:9002\", {key} = \"node2\" }}");
        check(&with(&named, "preset = \"tomcat\""), &[]);
    }
}
