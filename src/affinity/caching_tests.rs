//! Which answers are stored, and what makes them private.

use proptest::prelude::*;

use super::*;

fn stored(method: &str, status: u16, lines: &[&str]) -> bool {
    may_be_stored(method, status, lines.iter().map(|l| l.as_bytes()))
}

fn private(lines: &[&str]) -> String {
    let mut out = Vec::new();
    make_private(lines.iter().map(|l| l.as_bytes()), &mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn the_statuses_that_caches_keep() {
    for status in [200, 203, 300, 301, 308, 404, 410] {
        assert!(stored("GET", status, &[]) && stored("HEAD", status, &[]), "{status}");
        assert!(!stored("POST", status, &["public"]) && !stored("get", status, &[]));
    }
    for status in [101, 201, 204, 206, 302, 303, 304, 307, 400, 401, 403, 500, 502, 503] {
        assert!(!stored("GET", status, &["no-cache", "must-revalidate"]), "{status}");
    }
    assert!(stored("GET", 302, &["max-age=60"]), "asked for by name");
}

#[test]
fn directives_decide() {
    let check = |lines: &[&str], expected: bool| assert_eq!(stored("GET", 200, lines), expected, "{lines:?}");
    check(&["max-age=60"], true);
    check(&["no-store"], false);
    check(&["public, No-Store"], false);
    check(&["max-age=60", " PRIVATE "], false);
    check(&["no-cache"], true);
    check(&["x=\"a, private, no-store\""], true);
    check(&["x=\"a \\\", private\", max-age=1"], true);
    check(&["x=\"a\", private"], false);
    check(&["private=\"set-cookie\""], true);
    check(&["private=\"set-cookie, x\", private"], false);
    check(&["x=\"unterminated, private"], true);
    check(&["no-store, must-understand"], true);
    check(&["privately, xno-store"], true);
}

#[test]
fn an_answer_becomes_private_and_keeps_the_rest() {
    let check = |lines: &[&str], expected: &str| assert_eq!(private(lines), expected, "{lines:?}");
    check(&[], "private");
    check(&["public"], "private");
    check(&["Public, max-age=60, S-MaxAge=600"], "max-age=60, private");
    check(
        &["max-age=60,must-revalidate", "s-maxage=\"5\" , x=\"a, public\""],
        "max-age=60, must-revalidate, x=\"a, public\", private",
    );
    check(&["private, max-age=1"], "private, max-age=1");
    check(&["private=\"x\", public"], "private=\"x\", private");
    check(&[",, ,Max-Age = 1,"], "Max-Age = 1, private");
    check(&["max-age=5, x=\"open, public"], "max-age=5, private");
    check(&["x=\"open", "max-age=5"], "max-age=5, private");
}

#[test]
fn settings_decide_what_is_done() {
    let check = |setting: &str, lines: &[&str], expected: Pinning| {
        let lines = lines.iter().map(|l| l.as_bytes());
        assert_eq!(Cacheable::parse(setting).unwrap().pinning("GET", 200, lines), expected, "{setting}");
    };
    check("private", &[], Pinning::Private);
    check("skip", &[], Pinning::Skip);
    check("always", &[], Pinning::Plain);
    for setting in ["private", "skip", "always"] {
        check(setting, &["no-store"], Pinning::Plain);
    }
    assert_eq!((Cacheable::parse("Skip"), Cacheable::default()), (None, Cacheable::Private));
}

proptest! {
    #[test]
    fn what_was_made_private_is_stored_by_nobody(lines in prop::collection::vec(
        "(public|private|s-maxage=1|max-age=9|no-store|private=\"a, b\"|x=\"[a,\\\\\"]{0,4}|[,=\" \\\\a-c]{0,5}|, ){0,6}", 0..4)) {
        let lines: Vec<_> = lines.iter().map(String::as_str).collect();
        let once = private(&lines);
        prop_assert!(!stored("GET", 200, &[&once]));
        prop_assert_eq!(&private(&[&once]), &once);
        prop_assert!(!directives(once.as_bytes()).any(|d| d.is("public") || d.is("s-maxage")));
    }
}
