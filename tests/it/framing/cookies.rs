//! Our cookie among odd ones: it is found, it is taken out, and every other byte goes on.

use super::{BOTH, passes};
use crate::harness::{backend, homing};

/// `Cookie` lines sent and seen, and the reason for the choice; `@` is a valid pin and `#` one that is none.
pub(super) const PASS: &[(&str, &str, &str)] = &[
    ("", "", "new"),
    ("Cookie: @\r\n", "", "pinned"),
    ("cookie:@\r\n", "", "pinned"),
    ("Cookie: a=1; @\r\n", "Cookie: a=1\r\n", "pinned"),
    ("Cookie: @; a=1\r\n", "Cookie: a=1\r\n", "pinned"),
    ("Cookie: a=1; @; b=2\r\n", "Cookie: a=1; b=2\r\n", "pinned"),
    ("Cookie: a=1;@;b=2\r\n", "Cookie: a=1;b=2\r\n", "pinned"),
    ("Cookie: a=1; @;\r\n", "Cookie: a=1;\r\n", "pinned"),
    ("Cookie: @;\r\n", "", "pinned"),
    ("Cookie: ;;@; ;\r\n", "", "pinned"),
    ("Cookie: a=1\r\nCookie: @\r\nCookie: b=2\r\n", "Cookie: a=1\r\nCookie: b=2\r\n", "pinned"),
    // The first valid one wins, wherever it stands; none of our name goes on.
    ("Cookie: #; @\r\n", "", "pinned"),
    ("Cookie: @; #\r\n", "", "pinned"),
    ("Cookie: #; a=1; #; @; b=2\r\n", "Cookie: a=1; b=2\r\n", "pinned"),
    ("Cookie: #\r\nCookie: @\r\n", "", "pinned"),
    ("Cookie: @; @\r\n", "", "pinned"),
    ("Cookie: srv=; @\r\n", "", "pinned"),
    ("Cookie: srv=\"; @\r\n", "", "pinned"),
    // One that is none is taken for none, and does not go on either.
    ("Cookie: #\r\n", "", "invalid"),
    ("Cookie: a=1; #\r\n", "Cookie: a=1\r\n", "invalid"),
    ("Cookie: srv=\r\n", "", "invalid"),
    ("Cookie: srv=127.0.0.1:9001; a=1\r\n", "Cookie: a=1\r\n", "invalid"),
    ("Cookie: @x\r\n", "", "invalid"),
    ("Cookie: \"@\"\r\n", "Cookie: \"@\"\r\n", "new"),
    // Blanks and quotes of neighbours.
    ("Cookie: a=\"open; @; b=2\r\n", "Cookie: a=\"open; b=2\r\n", "pinned"),
    ("Cookie: a=\"x;y\"; @\r\n", "Cookie: a=\"x;y\"\r\n", "pinned"),
    ("Cookie: a=\\\"; @\r\n", "Cookie: a=\\\"\r\n", "pinned"),
    ("Cookie:\t@\t;\ta=1\r\n", "Cookie: a=1\r\n", "pinned"),
    ("Cookie: a = 1 ;  @  ; b\r\n", "Cookie: a = 1 ; b\r\n", "pinned"),
    ("Cookie: a=x=y=z; @; ===; novalue\r\n", "Cookie: a=x=y=z; ===; novalue\r\n", "pinned"),
    ("Cookie: \u{e9}=\u{20ac}; @\r\n", "Cookie: \u{e9}=\u{20ac}\r\n", "pinned"),
    ("Cookie: a=1, @\r\n", "Cookie: a=1, @\r\n", "new"),
    // Names that are not ours.
    ("Cookie: SRV=1; Srv=2; @\r\n", "Cookie: SRV=1; Srv=2\r\n", "pinned"),
    ("Cookie: srv2=1; xsrv=2; srv.=3; @\r\n", "Cookie: srv2=1; xsrv=2; srv.=3\r\n", "pinned"),
    ("Cookie: a=srv=1; $srv=2\r\n", "Cookie: a=srv=1; $srv=2\r\n", "new"),
    ("Cookie: srv\r\n", "Cookie: srv\r\n", "new"),
    ("Cookie: =srv\r\n", "Cookie: =srv\r\n", "new"),
    ("Cookie2: @\r\n", "Cookie2: @\r\n", "new"),
    // Not as a field of the connection either.
    ("Connection: Cookie\r\nCookie: a=1; @\r\n", "Cookie: a=1\r\n", "pinned"),
    ("Connection: srv\r\nCookie: @\r\n", "", "pinned"),
];

#[test]
fn our_cookie_is_found_and_hidden_and_all_else_is_left() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    let mut client = homing.client();
    client.get("/");
    let pin = format!("srv={}", client.cookie("srv").unwrap());
    let forged = format!("{}A", &pin[..pin.len() - 1]);
    let forged = if forged == pin { format!("{}Q", &pin[..pin.len() - 1]) } else { forged };
    let fill = |text: &str| text.replace('@', &pin).replace('#', &forged);
    for (sent, seen, why) in PASS {
        let head = "GET / HTTP/1.1\r\nHost: a\r\n";
        for how in BOTH {
            let (sent, seen) = (format!("{head}{}\r\n", fill(sent)), format!("{head}{}\r\n", fill(seen)));
            let reply = passes(&homing, &a, &sent, &seen, how);
            // Parallel first requests of one client follow each other; what counts is that they are new.
            let found = reply.why().replace("followed", "new");
            assert_eq!(found, *why, "{how:?} {sent:?}");
            assert_eq!(reply.field("set-cookie").is_some(), *why != "pinned", "{sent:?}");
        }
    }
}

#[test]
fn a_value_too_long_to_be_ours_is_no_session_and_no_error() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    for n in [100, 512, 1_000, 16_000] {
        let line = format!("Cookie: srv={}; a=1\r\n", "A".repeat(n));
        let reply = homing.send(format!("GET / HTTP/1.1\r\nHost: a\r\n{line}\r\n"));
        assert_eq!((reply.status, reply.why().as_str()), (200, "invalid"), "{n}");
        assert!(a.last().contains("\r\nCookie: a=1\r\n") && !a.last().contains("AAA"), "{}", a.last());
    }
}
