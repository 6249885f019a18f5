//! Routes and changes to fields.

use crate::harness::{backend, homing};

#[test]
fn host_and_path_name_the_pool() {
    let (a, b) = (backend("a"), backend("b"));
    let more = format!(
        "\n[[pool]]\nname = \"api\"\nbackends = [{{ name = \"b\", address = \"{}\" }}]\n\
         [[route]]\nhost = \"shop.test\"\npool = \"app\"\n\
         [[route]]\nhost = \"*.shop.test\"\npath = \"/api\"\npool = \"api\"\n",
        b.address
    );
    let homing = homing(&[&a]).with(&more).run();
    for (host, path, served) in [
        ("shop.test", "/", Some("a")),
        ("SHOP.test:80", "/x?y", Some("a")),
        ("eu.shop.test", "/api/1", Some("b")),
        ("eu.shop.test", "/api?x", Some("b")),
        ("eu.shop.test", "/apix", None),
        ("other.test", "/", None),
    ] {
        let reply = homing.send(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"));
        match served {
            Some(name) => assert_eq!(reply.served_by(), name, "{host}{path}"),
            None => assert!(reply.text().contains("(no_route)") && reply.status == 404, "{host}{path}"),
        }
    }
}

#[test]
fn fields_are_set_added_and_removed_both_ways() {
    let a = backend("a");
    let rules = "\n[[route]]\npool = \"app\"\n\
        request_headers = { set = { \"x-front\" = \"1\" }, add = { \"x-more\" = \"2\" }, remove = [\"x-debug\"] }\n\
        response_headers = { set = { \"x-frame-options\" = \"DENY\" }, remove = [\"x-powered-by\"] }\n";
    let homing = homing(&[&a]).with(rules).run();
    a.answers("HTTP/1.1 200 OK\r\nX-Powered-By: x\r\nX-Frame-Options: ALLOW\r\nContent-Length: 0\r\n\r\n");
    let reply = homing.send("GET / HTTP/1.1\r\nHost: t\r\nX-Front: 9\r\nX-More: 1\r\nX-Debug: 1\r\n\r\n");
    let seen = a.last();
    assert!(seen.contains("\r\nx-front: 1\r\n") && !seen.contains("X-Front"), "{seen}");
    assert!(seen.contains("\r\nX-More: 1\r\n") && seen.contains("\r\nx-more: 2\r\n"), "{seen}");
    assert!(!seen.contains("X-Debug"), "{seen}");
    assert_eq!(reply.field("x-frame-options").as_deref(), Some("DENY"));
    assert_eq!(reply.field("x-powered-by"), None);
}
