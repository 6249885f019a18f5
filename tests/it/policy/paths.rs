//! Prefixes that routes take off paths and put before them.

use super::{BEHIND, is_refused};
use crate::harness::{Backend, backend, homing};

const ROUTES: &str = "\n[[route]]\npool = \"app\"\n[[route]]\npath = \"/api\"\npool = \"app\"\nstrip_prefix = \"/api\"\n\
                      [[route]]\npath = \"/old\"\npool = \"app\"\nstrip_prefix = \"/old\"\nadd_prefix = \"/new/v2\"\n\
                      [[route]]\nhost = \"tenant.test\"\npool = \"app\"\nadd_prefix = \"/tenant\"\n";

/// The target of the last request, and the lines of its prefix.
fn seen(a: &Backend) -> (String, Vec<String>) {
    let text = a.last();
    let lines = text.lines().filter(|l| l.to_ascii_lowercase().starts_with("x-forwarded-prefix"));
    (text.split(' ').nth(1).unwrap().to_owned(), lines.map(str::to_owned).collect())
}

#[test]
fn a_backend_sees_the_path_that_its_route_makes_and_is_told_the_prefix() {
    let a = backend("a");
    let homing = homing(&[&a]).with(ROUTES).run();
    let told = |prefix: &str| vec![format!("X-Forwarded-Prefix: {prefix}")];
    for (host, target, path, prefix) in [
        ("t", "/api", "/", told("/api")),
        ("t", "/api/x/y?z=/api", "/x/y?z=/api", told("/api")),
        ("t", "/api?z", "/?z", told("/api")),
        ("t", "/api//evil.example/", "/evil.example/", told("/api")),
        ("t", "/api;v=1/x", "/;v=1/x", told("/api")),
        ("t", "/apix", "/apix", vec![]),
        ("t", "/old/x", "/new/v2/x", told("/old")),
        ("tenant.test", "/x?y", "/tenant/x?y", vec![]),
        ("tenant.test", "/", "/tenant/", vec![]),
    ] {
        for forged in [
            "",
            "X-Forwarded-Prefix: /forged\r\n",
            "X-Forwarded-Prefix: /f\r\nConnection: x-forwarded-prefix\r\n",
        ] {
            let reply = homing.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n{forged}\r\n"));
            assert_eq!(reply.status, 200, "{target}");
            assert_eq!(seen(&a), (path.to_owned(), prefix.clone()), "{host}{target}");
        }
    }
}

#[test]
fn a_trusted_proxys_prefix_stands_before_ours() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(BEHIND).with(ROUTES).run();
    for (target, prefix) in
        [("/api/x", "X-Forwarded-Prefix: /site/api"), ("/x", "X-Forwarded-Prefix: /site/")]
    {
        homing.send(format!("GET {target} HTTP/1.1\r\nHost: t\r\nX-Forwarded-Prefix: /site/\r\n\r\n"));
        assert_eq!(seen(&a).1, [prefix]);
    }
}

/// Who climbs could leave the prefix that is put before his path, or that his route is for.
#[test]
fn who_climbs_is_refused_where_paths_are_changed() {
    let a = backend("a");
    let homing = homing(&[&a]).with(ROUTES).run();
    for (host, target) in [
        ("tenant.test", "/../other"),
        ("tenant.test", "/%2e%2E/other"),
        ("tenant.test", "/x/..%2f..%2fother"),
        ("tenant.test", "/x\\..\\..\\other"),
        ("tenant.test", "/..;a=b/other"),
        ("t", "/api/x/../y"),
    ] {
        is_refused(&homing.send(format!("GET {target} HTTP/1.1\r\nHost: {host}\r\n\r\n")), 400, "target");
    }
    assert!(a.requests().is_empty());
    homing.send("GET /x/../y HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(seen(&a).0, "/x/../y", "as it is where nothing is changed");
    homing.send("GET /api/../x HTTP/1.1\r\nHost: t\r\n\r\n");
    assert_eq!(seen(&a).0, "/api/../x", "that is no path of /api");
}
