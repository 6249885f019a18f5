//! Routes with a policy: what is read, what is refused and where, what a reload keeps.

use std::sync::Arc;

use super::super::tests::{LISTENER, POOL, environment, ok, said};
use super::super::{Loaded, Sources};
use crate::route::Destination;
use crate::snapshot::Plan;
use crate::snapshot::carried::Carried;
use crate::strategy::Registry;

/// What is said of a route that stands on line 8 of a file.
fn about(route: &str) -> Vec<String> {
    let before = format!("{LISTENER}{POOL}");
    let blank = "\n".repeat(6 - before.lines().count());
    said(&format!("{before}{blank}[[route]]\n{route}\n"))
}

#[test]
fn a_route_has_one_of_pool_redirect_and_respond() {
    let table = [
        ("path = \"/\"", "7:1: error: [[route]] has no pool"),
        ("pool = \"app\"\nredirect = { to = \"/x\" }", "9:12: error: redirect beside pool"),
        ("respond = {}\npool = \"app\"", "8:11: error: respond beside pool"),
        ("redirect = { to = \"/x\" }\nrespond = {}", "9:11: error: respond beside redirect"),
        ("redirect = {}", "8:12: error: redirect has no to"),
        ("redirect = \"/x\"", "8:12: error: redirect = \"/x\": must be a table"),
        ("redirect = { to = \"example.org\" }", "8:19: error: to = \"example.org\": must begin with"),
        ("redirect = { to = \"/x\", status = 200 }", "8:34: error: status = 200: must be 301, 302"),
        ("respond = { status = 100 }", "8:22: error: status = 100: must be a status between 200 and 599"),
        ("respond = { status = 204, body = \"x\" }", "8:34: error: body = \"x\": an answer 204 has no body"),
        ("respond = { content_type = \"a\\r\\nb\" }", "8:28: error: content_type"),
        ("respond = { text = \"x\" }", "8:13: error: unknown key \"text\" in respond"),
        ("respond = {}\nstrip_prefix = \"/a\"", "9:16: error: strip_prefix beside respond"),
        (
            "respond = {}\nrequest_headers = { remove = [\"x\"] }",
            "9:19: error: request_headers beside respond",
        ),
    ];
    for (route, expected) in table {
        let said = about(route);
        assert!(said.iter().any(|s| s.starts_with(expected)), "{route}\n{said:#?}");
    }
    let body = "x".repeat(crate::route::reply::LARGEST_BODY + 1);
    assert!(
        about(&format!("respond = {{ body = \"{body}\" }}"))
            .iter()
            .any(|s| s.contains("must be at most 64KiB"))
    );
    assert!(
        about("redirect = { to = \"/x\" }").iter().all(|s| s.contains("warning: pool \"app\" is not used"))
    );
}

#[test]
fn what_a_route_asks_is_checked_where_it_stands() {
    let table = [
        ("strip_prefix = \"api\"", "9:16: error: strip_prefix = \"api\": must start with \"/\""),
        ("strip_prefix = \"/\"", "9:16: error: strip_prefix = \"/\": must not end in \"/\""),
        ("strip_prefix = \"/a/\"", "9:16: error: strip_prefix = \"/a/\": must not end in"),
        ("strip_prefix = \"/a//b\"", "9:16: error: strip_prefix = \"/a//b\": must be plain segments"),
        ("add_prefix = \"/../b\"", "9:14: error: add_prefix = \"/../b\": must be plain segments"),
        (
            "path = \"/x\"\nstrip_prefix = \"/a\"",
            "10:16: error: strip_prefix = \"/a\": no path of this route",
        ),
        (
            "path = \"/ab\"\nstrip_prefix = \"/a\"",
            "10:16: error: strip_prefix = \"/a\": no path of this route",
        ),
        ("allow = [\"10.0.0.1/8\"]", "9:10: error: \"10.0.0.1/8\": has bits set"),
        ("deny = \"10.0.0.1\"", "9:8: error: deny = \"10.0.0.1\": must be a list of prefixes"),
        ("max_body = 10", "9:12: error: max_body = 10: needs a unit"),
        ("rate_limit = { burst = 3 }", "9:14: error: rate_limit has no rate"),
        (
            "rate_limit = { rate = \"10\" }",
            "9:23: error: rate = \"10\": must be a number for each s, m, h or d",
        ),
        (
            "rate_limit = { rate = \"1/s\", burst = 0 }",
            "9:38: error: burst = 0: must be a whole number between 1",
        ),
        (
            "rate_limit = { rate = \"1/d\", burst = 400 }",
            "9:23: error: rate = \"1/d\": a burst of 400 takes more",
        ),
        (
            "rate_limit = { rate = \"1/s\", key = \"ip\" }",
            "9:36: error: key \"ip\": must be client_ip, header:NAME",
        ),
        ("rate_limit = { rate = \"1/s\", key = [] }", "9:36: error: key = [..]: must name a key"),
        (
            "rate_limit = { rate = \"1/s\", key = [\"path\", \"pin\"] }",
            "9:45: error: \"pin\": must stand first",
        ),
        (
            "rate_limit = { rate = \"1/s\", key = \"pin\" }",
            "9:36: error: key = \"pin\": this route has no sessions",
        ),
        (
            "rate_limit = { rate = \"1/s\", entries = 5 }",
            "9:40: error: entries = 5: must be a whole number between 1024",
        ),
    ];
    for (keys, expected) in table {
        let said = about(&format!("pool = \"app\"\n{keys}"));
        assert!(said.len() == 1 && said[0].starts_with(expected), "{keys}\n{said:#?}");
    }
    for keys in [
        "path = \"/a/b\"\nstrip_prefix = \"/a\"",
        "path = \"/a\"\nstrip_prefix = \"/a/b\"",
        "path = \"/a/\"\nstrip_prefix = \"/a\"",
    ] {
        assert!(about(&format!("pool = \"app\"\n{keys}")).is_empty(), "{keys}");
    }
}

#[test]
fn sessions_are_no_key_of_a_listener() {
    let said = said(&format!("{LISTENER}rate_limit = {{ rate = \"1/s\", key = \"pin\" }}\n{POOL}"));
    assert!(said[0].contains("sessions are a pool's"), "{said:?}");
}

#[test]
fn without_a_pool_all_routes_must_answer() {
    let alone = format!("{LISTENER}[[route]]\nrespond = {{}}\n");
    let plan = ok(&alone).plan;
    assert!(matches!(plan.routes.as_slice()[0].to, Destination::Respond(_)) && plan.pools.is_empty());
    assert!(said(LISTENER)[0].contains("no [[pool]]"));
}

fn after(text: &str, previous: Option<&Plan>) -> Plan {
    let (sources, registry) = (Sources::text(text, "x.toml".as_ref()), Registry::built_in());
    let carried = Carried { previous, ..Carried::default() };
    let Loaded { plan, .. } =
        sources.build(&registry, &environment(), &carried).unwrap_or_else(|e| panic!("{e}"));
    plan
}

#[test]
fn budgets_stay_with_their_listener_and_route_while_their_terms_do() {
    let text = format!(
        "{LISTENER}rate_limit = {{ rate = \"1/s\" }}\n{POOL}[[route]]\npath = \"/a\"\npool = \"app\"\n\
         [[route]]\npath = \"/b\"\npool = \"app\"\nrate_limit = {{ rate = \"2/s\", burst = 3 }}\n"
    );
    let gate_of = |plan: &Plan, path: &str| {
        let ix = plan.routes.as_slice().iter().position(|r| r.path == path).unwrap();
        Arc::clone(&plan.guards[ix].as_ref().unwrap().limit.as_ref().unwrap().gate)
    };
    let gate =
        |plan: &Plan| Arc::clone(&plan.listeners[0].guard.as_ref().unwrap().limit.as_ref().unwrap().gate);
    let first = after(&text, None);
    let moved = text.replace("path = \"/a\"", "path = \"/c\"\nmax_body = \"1B\"");
    let moved =
        moved.replace("rate_limit = { rate = \"1/s\" }", "rate_limit = { rate = \"1/s\" }\nbare_lf = true");
    let second = after(&moved, Some(&first));
    assert!(
        Arc::ptr_eq(&gate_of(&first, "/b"), &gate_of(&second, "/b"))
            && Arc::ptr_eq(&gate(&first), &gate(&second))
    );
    for (from, to) in [("burst = 3", "burst = 4"), ("\"2/s\"", "\"2/s\", key = \"path\""), ("/b", "/d")] {
        let third = after(&text.replace(from, to), Some(&first));
        let path = if to == "/d" { "/d" } else { "/b" };
        assert!(!Arc::ptr_eq(&gate_of(&first, "/b"), &gate_of(&third, path)), "{to}");
    }
}
