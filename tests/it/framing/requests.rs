//! Request lines, targets and hosts that pass.

use super::{BOTH, passes};
use crate::harness::{backend, homing};

/// Sent and seen, both without the end of the head.
pub(super) const PASS: &[(&str, &str)] = &[
    // Request lines.
    ("GET / HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: a"),
    ("\r\nGET / HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: a"),
    ("get / HTTP/1.1\r\nHost: a", "get / HTTP/1.1\r\nHost: a"),
    ("PURGE / HTTP/1.1\r\nHost: a", "PURGE / HTTP/1.1\r\nHost: a"),
    ("M-SEARCH / HTTP/1.1\r\nHost: a", "M-SEARCH / HTTP/1.1\r\nHost: a"),
    ("!#$%&'*+-.^_`|~09AZaz / HTTP/1.1\r\nHost: a", "!#$%&'*+-.^_`|~09AZaz / HTTP/1.1\r\nHost: a"),
    ("HEAD / HTTP/1.1\r\nHost: a", "HEAD / HTTP/1.1\r\nHost: a"),
    ("DELETE / HTTP/1.1\r\nHost: a", "DELETE / HTTP/1.1\r\nHost: a"),
    ("PRI / HTTP/1.1\r\nHost: a", "PRI / HTTP/1.1\r\nHost: a"),
    ("POST / HTTP/1.1\r\nHost: a", "POST / HTTP/1.1\r\nHost: a"),
    ("connect / HTTP/1.1\r\nHost: a", "connect / HTTP/1.1\r\nHost: a"),
    // HTTP/1.0: the next hop is HTTP/1.1, and that needs a Host.
    ("GET / HTTP/1.0", "GET / HTTP/1.1\r\nHost: "),
    ("GET / HTTP/1.0\r\nHost: a", "GET / HTTP/1.1\r\nHost: a"),
    ("GET / HTTP/1.0\r\nConnection: keep-alive", "GET / HTTP/1.1\r\nHost: "),
    ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\nHost: a", "GET / HTTP/1.1\r\nHost: a"),
    ("GET / HTTP/1.0\r\nConnection: keep-alive, close", "GET / HTTP/1.1\r\nHost: "),
    ("GET http://b/ HTTP/1.0", "GET / HTTP/1.1\r\nHost: b"),
    ("GET / HTTP/1.0\r\nExpect: x\r\nUpgrade: websocket\r\nConnection: upgrade", "GET / HTTP/1.1\r\nHost: "),
    (
        "POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 0",
        "POST / HTTP/1.1\r\nHost: \r\nContent-Length: 0",
    ),
    ("POST / HTTP/1.0\r\nContent-Length: 0", "POST / HTTP/1.1\r\nHost: \r\nContent-Length: 0"),
    // Targets: what is forwarded is what was sent, and routed by.
    ("GET /%7e;p?q=/../&x=%00 HTTP/1.1\r\nHost: a", "GET /%7e;p?q=/../&x=%00 HTTP/1.1\r\nHost: a"),
    ("GET /a/../b//c HTTP/1.1\r\nHost: a", "GET /a/../b//c HTTP/1.1\r\nHost: a"),
    ("GET /./%2e%2E/%2f HTTP/1.1\r\nHost: a", "GET /./%2e%2E/%2f HTTP/1.1\r\nHost: a"),
    ("GET // HTTP/1.1\r\nHost: a", "GET // HTTP/1.1\r\nHost: a"),
    ("GET //b/c HTTP/1.1\r\nHost: a", "GET //b/c HTTP/1.1\r\nHost: a"),
    ("GET /http://b/ HTTP/1.1\r\nHost: a", "GET /http://b/ HTTP/1.1\r\nHost: a"),
    ("GET /? HTTP/1.1\r\nHost: a", "GET /? HTTP/1.1\r\nHost: a"),
    ("GET /?a?b=c/d HTTP/1.1\r\nHost: a", "GET /?a?b=c/d HTTP/1.1\r\nHost: a"),
    ("GET /%zz%0d%0aX:%20y HTTP/1.1\r\nHost: a", "GET /%zz%0d%0aX:%20y HTTP/1.1\r\nHost: a"),
    ("GET /\"<>\\^`{|} HTTP/1.1\r\nHost: a", "GET /\"<>\\^`{|} HTTP/1.1\r\nHost: a"),
    ("GET /* HTTP/1.1\r\nHost: a", "GET /* HTTP/1.1\r\nHost: a"),
    ("GET /:80@b HTTP/1.1\r\nHost: a", "GET /:80@b HTTP/1.1\r\nHost: a"),
    ("OPTIONS * HTTP/1.1\r\nHost: a", "OPTIONS * HTTP/1.1\r\nHost: a"),
    ("OPTIONS / HTTP/1.1\r\nHost: a", "OPTIONS / HTTP/1.1\r\nHost: a"),
    // The absolute form: its authority takes the place of Host.
    ("OPTIONS http://b HTTP/1.1\r\nHost: a", "OPTIONS * HTTP/1.1\r\nHost: b"),
    ("OPTIONS http://b/ HTTP/1.1\r\nHost: a", "OPTIONS / HTTP/1.1\r\nHost: b"),
    ("GET http://b/x?y HTTP/1.1\r\nHost: a", "GET /x?y HTTP/1.1\r\nHost: b"),
    ("GET HTTP://b HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: b"),
    ("GET https://b/ HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: b"),
    ("GET http://b:80/ HTTP/1.1\r\nHost: a:81", "GET / HTTP/1.1\r\nHost: b:80"),
    ("GET http://[::1]:80/ HTTP/1.1\r\nHost: a", "GET / HTTP/1.1\r\nHost: [::1]:80"),
    ("GET http://b//c HTTP/1.1\r\nHost: a", "GET //c HTTP/1.1\r\nHost: b"),
    ("GET http://b/http://c/ HTTP/1.1\r\nHost: a", "GET /http://c/ HTTP/1.1\r\nHost: b"),
    ("GET http://b/@c HTTP/1.1\r\nHost: a", "GET /@c HTTP/1.1\r\nHost: b"),
    // Hosts.
    ("GET / HTTP/1.1\r\nhOsT:\t a:80 \r\nx-y:z", "GET / HTTP/1.1\r\nHost: a:80\r\nx-y: z"),
    ("GET / HTTP/1.1\r\nX: y\r\nHost: a", "GET / HTTP/1.1\r\nHost: a\r\nX: y"),
    ("GET / HTTP/1.1\r\nHost: a:", "GET / HTTP/1.1\r\nHost: a:"),
    ("GET / HTTP/1.1\r\nHost: A.Example.COM", "GET / HTTP/1.1\r\nHost: A.Example.COM"),
    ("GET / HTTP/1.1\r\nHost: a.example.", "GET / HTTP/1.1\r\nHost: a.example."),
    ("GET / HTTP/1.1\r\nHost: foo_bar.example", "GET / HTTP/1.1\r\nHost: foo_bar.example"),
    ("GET / HTTP/1.1\r\nHost: xn--bcher-kva.example", "GET / HTTP/1.1\r\nHost: xn--bcher-kva.example"),
    ("GET / HTTP/1.1\r\nHost: a!$&'()*+;=~", "GET / HTTP/1.1\r\nHost: a!$&'()*+;=~"),
    ("GET / HTTP/1.1\r\nHost: 127.0.0.1:65535", "GET / HTTP/1.1\r\nHost: 127.0.0.1:65535"),
    ("GET / HTTP/1.1\r\nHost: [::1]:8080", "GET / HTTP/1.1\r\nHost: [::1]:8080"),
    ("GET / HTTP/1.1\r\nHost: [2001:DB8::192.0.2.1]", "GET / HTTP/1.1\r\nHost: [2001:DB8::192.0.2.1]"),
];

#[test]
fn what_passes_is_seen_byte_for_byte() {
    let a = backend("a");
    let homing = homing(&[&a]).run();
    for (sent, seen) in PASS {
        for how in BOTH {
            passes(&homing, &a, &format!("{sent}\r\n\r\n"), &format!("{seen}\r\n\r\n"), how);
        }
    }
}
