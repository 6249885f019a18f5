//! What a listener may be told to take: bare LF, and names with underscores.

use super::{BOTH, is_refused, passes};
use crate::harness::{backend, homing};

/// Requests to a listener with `bare_lf = true`, and what is seen: CRLF, always.
pub(super) const BARE_LF: &[(&str, &str)] = &[
    ("GET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("\nGET / HTTP/1.1\nHost: a\n\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET / HTTP/1.1\nHost: a\r\n\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET / HTTP/1.1\r\nHost: a\n\r\n", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("GET / HTTP/1.1\nHost: a\nX: \ny:z\n\n", "GET / HTTP/1.1\r\nHost: a\r\nX: \r\ny: z\r\n\r\n"),
    ("GET / HTTP/1.0\n\n", "GET / HTTP/1.1\r\nHost: \r\n\r\n"),
    (
        "POST / HTTP/1.1\nHost: a\nContent-Length: 2\n\n\n\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n\n\n",
    ),
    (
        "POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\r\nhi\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
    ),
];

/// What such a listener refuses all the same.
pub(super) const STILL_REFUSED: &[(&str, u16, &str)] = &[
    ("\n\nGET / HTTP/1.1\nHost: a\n\n", 400, "request_line"),
    ("GET / HTTP/1.1\rHost: a\r\r", 400, "request_line"),
    ("GET / HTTP/1.1\nHost: a\rX: y\n\n", 400, "field"),
    ("GET / HTTP/1.1\nHost: a\r\r\n\n", 400, "field"),
    ("GET / HTTP/1.1\nHost: a\n\rX: y\n\n", 400, "field"),
    ("GET / HTTP/1.1\nHost: a\nX: y\n z\n\n", 400, "field"),
    ("GET / HTTP/1.1\nHost: a\nX\n\n", 400, "field"),
    ("GET / HTTP/1.1\n\n", 400, "host"),
    ("GET /\n", 400, "request_line"),
    ("GET / HTTP/0.9\n\n", 505, "version"),
    ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n2\nhi\n0\n\n", 400, "chunked"),
    ("POST / HTTP/1.1\nHost: a\nTransfer-Encoding: chunked\n\n0\r\n\n", 400, "chunked"),
    ("POST / HTTP/1.1\nHost: a\nContent-Length: 1\nContent-Length: 2\n\nxx", 400, "content_length"),
];

/// A field, and whether it is seen where `underscores` is `drop` and `pass`, and refused where it is `refuse`.
pub(super) const UNDERSCORES: &[(&str, bool, bool, bool)] = &[
    ("x-user: 1", true, true, false),
    ("x_user: 1", false, true, true),
    ("_: 1", false, true, true),
    ("X-User_Id: 1", false, true, true),
    ("x.user: 1", true, true, false),
    ("x-user: a_b", true, true, false),
    ("X_Forwarded_For: 1", false, false, true),
    ("x-forwarded_for: 1", false, false, true),
    ("X_Forwarded.Proto: 1", false, false, true),
    ("X.Forwarded.Host: 1", false, false, false),
    ("x_forwarded_prefix: 1", false, false, true),
    ("X_Real_IP: 1", false, false, true),
    ("X_Request_ID: 1", false, false, true),
    ("X.Request.ID: 1", false, false, false),
    ("Content_Length: 9", false, false, true),
    ("Transfer_Encoding: chunked", false, false, true),
    ("Proxy_Connection: x", false, false, true),
    ("X_Homing_Affinity: x", false, false, true),
];

#[test]
fn a_listener_may_take_a_bare_lf_and_passes_crlf_on() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("bare_lf = true\n").run();
    for (sent, seen) in BARE_LF {
        for how in BOTH {
            passes(&homing, &a, sent, seen, how);
        }
    }
    for (sent, status, reason) in STILL_REFUSED {
        for how in BOTH {
            is_refused(&homing, &a, sent, *status, reason, how);
        }
    }
}

#[test]
fn underscores_are_dropped_passed_or_refused_and_aliases_never_pass() {
    let a = backend("a");
    for (mode, ix) in [("drop", 0), ("pass", 1), ("refuse", 2)] {
        let homing = homing(&[&a]).listener(&format!("underscores = \"{mode}\"\n")).run();
        for (field, dropped_passes, passed_passes, refused) in UNDERSCORES {
            let sent = format!("GET / HTTP/1.1\r\nHost: a\r\n{field}\r\n\r\n");
            let seen = match [*dropped_passes, *passed_passes, *dropped_passes][ix] {
                true => sent.clone(),
                false => "GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_owned(),
            };
            for how in BOTH {
                if mode == "refuse" && *refused {
                    is_refused(&homing, &a, &sent, 400, "underscore", how);
                } else {
                    passes(&homing, &a, &sent, &seen, how);
                }
            }
        }
    }
}
