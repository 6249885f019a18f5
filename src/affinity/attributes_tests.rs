//! What is written and what is refused.

use super::*;

fn secure() -> Attributes {
    Attributes { secure: Secure::Always, ..Attributes::default() }
}

fn text(attributes: &Attributes) -> String {
    let mut out = Vec::new();
    attributes.write(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn attributes_are_written_in_one_order() {
    assert_eq!(text(&Attributes::default()), "; Path=/; HttpOnly; SameSite=Lax");
    let all = Attributes {
        path: "/app".into(),
        domain: Some("example.com".into()),
        max_age: Some(Duration::from_secs(3600)),
        secure: Secure::Always,
        http_only: true,
        same_site: Some(SameSite::None),
        partitioned: true,
        priority: Some(Priority::High),
    };
    let expected = "; Path=/app; Domain=example.com; Max-Age=3600; Secure; HttpOnly; SameSite=None; Partitioned; \
                    Priority=High";
    assert_eq!(text(&all), expected);
    assert_eq!(all.check("srv"), Ok(()));
    let bare = Attributes { http_only: false, same_site: None, ..Attributes::default() };
    assert_eq!(text(&bare), "; Path=/");
}

#[test]
fn what_browsers_drop_is_refused() {
    let check = |name: &str, attributes: Attributes, part: &str| {
        let error = attributes.check(name).map_or_else(|e| e.to_string(), |()| "accepted".into());
        assert!(error.contains(part), "{name}: {error}");
    };
    let plain = Attributes::default;
    for name in ["", "a b", "a;b", "a=b", "\u{e4}", &"x".repeat(1025)] {
        check(name, plain(), "cookie name");
    }
    for path in ["", "app", "/a;b", "/a\n", "/\u{e4}"] {
        check("srv", Attributes { path: path.into(), ..plain() }, "must start with");
    }
    for domain in ["", ".", "a..b", "a;b", "exa mple", "a.\n", "a,b", "http://a"] {
        check("srv", Attributes { domain: Some(domain.into()), ..plain() }, "host name");
    }
    check("srv", Attributes { domain: Some(".example.com".into()), ..plain() }, "accepted");
    check("srv", Attributes { max_age: Some(Duration::from_millis(999)), ..plain() }, "max_age");
    check(
        "srv",
        Attributes { same_site: Some(SameSite::None), ..plain() },
        "same_site = \"None\" without secure",
    );
    check("srv", Attributes { same_site: Some(SameSite::None), ..secure() }, "accepted");
    check("srv", Attributes { partitioned: true, ..plain() }, "partitioned without secure");
    check("srv", Attributes { partitioned: true, ..secure() }, "accepted");
}

#[test]
fn a_name_s_prefix_asks_for_its_attributes() {
    let check = |name: &str, attributes: Attributes, expected: Option<&str>| {
        let needs = match attributes.check(name) {
            Err(CookieError::Prefix { needs, .. }) => Some(needs),
            other => other.map(|()| None).unwrap(),
        };
        assert_eq!(needs, expected, "{name}");
    };
    for name in ["__Host-srv", "__host-srv", "__Secure-srv", "__Http-srv", "__Host-Http-srv"] {
        check(name, Attributes::default(), Some("secure = true"));
        check(name, secure(), None);
    }
    check("__Host-srv", Attributes { path: "/a".into(), ..secure() }, Some("path = \"/\""));
    check("__HOST-srv", Attributes { domain: Some("a.b".into()), ..secure() }, Some("no domain"));
    check("__Secure-srv", Attributes { domain: Some("a.b".into()), path: "/a".into(), ..secure() }, None);
    check("__Http-srv", Attributes { http_only: false, ..secure() }, Some("http_only = true"));
    check("__Host-Http-srv", Attributes { http_only: false, ..secure() }, Some("http_only = true"));
    check("__Host", Attributes::default(), None);
}

#[test]
fn words_are_read_in_any_case() {
    assert_eq!(SameSite::parse("lax"), Some(SameSite::Lax));
    assert_eq!(SameSite::parse("STRICT"), Some(SameSite::Strict));
    assert_eq!(SameSite::parse("None"), Some(SameSite::None));
    assert_eq!((SameSite::parse(""), SameSite::parse("lax ")), (None, None));
    assert_eq!(Priority::parse("high"), Some(Priority::High));
    assert_eq!(Priority::parse("urgent"), None);
}
