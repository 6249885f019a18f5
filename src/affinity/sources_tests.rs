//! Where ids are found, and where none is.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;

/// A request as far as lookups see it.
struct Request {
    target: &'static str,
    cookies: &'static [&'static str],
    header: &'static str,
}

impl KeyFacts for Request {
    fn client(&self) -> Option<IpAddr> {
        None
    }

    fn header(&self, name: &str) -> Option<&[u8]> {
        (name == "mcp-session-id" && !self.header.is_empty()).then_some(self.header.as_bytes())
    }

    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.cookies.iter().map(|line| line.as_bytes())
    }

    fn query(&self) -> Option<&[u8]> {
        self.target.split_once('?').map(|(_, query)| query.as_bytes())
    }

    fn path(&self) -> &[u8] {
        self.target.split('?').next().unwrap().as_bytes()
    }

    fn host(&self) -> Option<&[u8]> {
        None
    }
}

fn all(lookup: &str, request: &Request) -> Vec<String> {
    let mut found = Vec::new();
    let none = Lookup::parse(lookup).unwrap().find(request, |id| {
        found.push(String::from_utf8(id.to_vec()).unwrap());
        None::<()>
    });
    assert_eq!(none, None);
    found
}

#[test]
fn ids_are_found_where_they_may_stand() {
    let check = |lookup: &str, target: &'static str, expected: &[&str]| {
        let request =
            Request { target, cookies: &["JSESSIONID=a; x=1; JSESSIONID=b", "JSESSIONID=c"], header: "h" };
        assert_eq!(all(lookup, &request), expected, "{lookup} in {target}");
    };
    check("cookie:JSESSIONID", "/", &["a", "b", "c"]);
    check("cookie:jsessionid", "/", &[]);
    check("header:Mcp-Session-Id", "/", &["h"]);
    check("header:other", "/", &[]);
    check("query:sid", "/socket.io/?EIO=4&sid=x-Y_1&t=2", &["x-Y_1"]);
    check("query:SID", "/?sid=1", &["1"]);
    check("query:sid", "/?sid=", &[]);
    check("query:sid", "/sid=1", &[]);
    check("query:id", "/hub?id=a%2Bb%3d%3D", &["a+b=="]);
    check("query:id", "/hub?id=100%&x", &["100%"]);
    check("query:id", "/hub?id=%zz", &["%zz"]);
    check("path_param:jsessionid", "/a/b;jsessionid=1F.node1?x=;jsessionid=2", &["1F.node1"]);
    check("path_param:jsessionid", "/a;v=1;jsessionid=1F;w=2/c", &["1F"]);
    check("path_param:jsessionid", "/a;jsessionid=1F/c", &["1F"]);
    check("path_param:jsessionid", "/a;JSESSIONID=1F", &[]);
    check("path_param:jsessionid", "/a;jsessionid=", &[]);
    check("path_param:jsessionid", "/a;xjsessionid=1", &[]);
}

#[test]
fn the_first_that_is_taken_ends_the_search() {
    let request = Request { target: "/", cookies: &["s=a; s=b; s=c"], header: "" };
    let lookup = Lookup::parse("cookie:s").unwrap();
    let mut seen = 0;
    let taken = lookup.find(&request, |id| {
        seen += 1;
        (id == b"b").then_some("b")
    });
    assert_eq!((taken, seen), (Some("b"), 2));
    let many = Request { target: "/", cookies: &["s=1;s=2;s=3;s=4;s=5;s=6;s=7;s=8;s=9"], header: "" };
    assert_eq!(all("cookie:s", &many).len(), MAX_COOKIES);
}

#[test]
fn places_are_read_as_they_are_written() {
    for good in ["cookie:a", "header:x-a", "query:a[]", "path_param:a"] {
        assert!(Lookup::parse(good).is_ok(), "{good}");
    }
    for (bad, part) in [
        ("", "must be cookie:NAME"),
        ("cookie", "must have a name"),
        ("cookie:a b", "must have a name"),
        ("header:", "must have a name"),
        ("query:a&b", "must have a name"),
        ("path_param:a/b", "must have a name"),
        ("json:/a", "must be cookie:NAME"),
        ("client_ip", "must be cookie:NAME"),
    ] {
        let error = Lookup::parse(bad).unwrap_err();
        assert!(error.contains(part), "{bad}: {error}");
    }
    assert_eq!(Create::parse("header:Mcp-Session-Id"), Ok(Create::Header("mcp-session-id".into())));
    assert_eq!(Create::parse("json:/a/0"), Ok(Create::Json("/a/0".into())));
    for bad in ["json:", "json:sid", "query:a", "cookie:", "sid"] {
        assert!(Create::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn an_id_in_a_body_is_found_behind_what_wraps_it() {
    let check = |body: &str, pointers: &[&str], expected: Option<&str>| {
        let found = in_json(body.as_bytes(), pointers.iter().copied());
        assert_eq!(found.as_deref(), expected, "{body}");
    };
    check(r#"{"sid":"x"}"#, &["/sid"], Some("x"));
    check(r#"0{"sid":"x","upgrades":["websocket"]}"#, &["/sid"], Some("x"));
    check(r#"96:0{"sid":"x"}2:40"#, &["/sid"], Some("x"));
    check("0{\"sid\":\"x\"}\u{1e}40", &["/sid"], Some("x"));
    check(r#"{"a":[{"id":"x"}]}"#, &["/a/0/id"], Some("x"));
    check(r#"{"connectionId":"b"}"#, &["/connectionToken", "/connectionId"], Some("b"));
    check(r#"{"connectionToken":"a","connectionId":"b"}"#, &["/connectionToken", "/connectionId"], Some("a"));
    check(r#"{"sid":1}"#, &["/sid"], None);
    check(r#"{"sid":"x""#, &["/sid"], None);
    check("", &["/sid"], None);
    check("ok", &["/sid"], None);
    check(&format!("{{\"a\":{}", "[".repeat(10_000)), &["/a"], None);
}

proptest! {
    #[test]
    fn whatever_a_client_sends_is_bounded(target in "/[ -~]{0,80}", line in "[ -~]{0,80}") {
        let request = Request { target: target.leak(), cookies: vec![&*line.leak()].leak(), header: "" };
        for lookup in ["cookie:s", "query:s", "path_param:s"] {
            for id in all(lookup, &request) {
                prop_assert!(!id.is_empty() && id.len() <= 81);
            }
        }
    }

    #[test]
    fn an_escaped_id_is_the_plain_one(id in prop::collection::vec(any::<u8>(), 1..100)) {
        let escaped: String = id.iter().map(|b| format!("%{b:02X}")).collect();
        let target = format!("/?s={escaped}").leak();
        let found = Lookup::parse("query:s").unwrap().find(&Request { target, cookies: &[], header: "" }, |found| {
            Some(found.to_vec())
        });
        prop_assert_eq!(found, Some(id));
    }

    #[test]
    fn any_body_is_read_without_harm(body in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = in_json(&body, ["/sid", "/a/0", "/"].into_iter());
    }
}
