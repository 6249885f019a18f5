//! Which bytes are the key.

use proptest::prelude::*;

use super::*;

#[derive(Default)]
struct Facts {
    client: Option<IpAddr>,
    headers: Vec<(&'static str, &'static str)>,
    cookies: Vec<&'static str>,
    query: Option<&'static str>,
    path: &'static str,
    host: Option<&'static str>,
}

impl KeyFacts for Facts {
    fn client(&self) -> Option<IpAddr> {
        self.client
    }
    fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(n, _)| *n == name).map(|(_, v)| v.as_bytes())
    }
    fn cookies(&self) -> impl Iterator<Item = &[u8]> {
        self.cookies.iter().map(|c| c.as_bytes())
    }
    fn query(&self) -> Option<&[u8]> {
        self.query.map(str::as_bytes)
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn host(&self) -> Option<&[u8]> {
        self.host.map(str::as_bytes)
    }
}

fn plan(sources: &[&str]) -> KeyPlan {
    let sources = sources.iter().map(|s| KeySource::parse(s).unwrap()).collect();
    KeyPlan { sources, ..KeyPlan::client_ip() }
}

fn found(plan: &KeyPlan, facts: &Facts) -> Option<String> {
    plan.find(facts).map(|key| String::from_utf8(key.into_owned()).unwrap())
}

fn address(text: &str, v4_prefix: u8, v6_prefix: u8) -> String {
    let plan = KeyPlan { v4_prefix, v6_prefix, ..KeyPlan::client_ip() };
    found(&plan, &Facts { client: Some(text.parse().unwrap()), ..Facts::default() }).unwrap()
}

#[test]
fn the_clients_address_is_written_as_nginx_writes_it() {
    let check = |ip: &str, expected: &str| assert_eq!(address(ip, 32, 128), expected);
    check("203.0.113.7", "203.0.113.7");
    check("0.0.0.0", "0.0.0.0");
    check("::ffff:203.0.113.7", "203.0.113.7");
    check("2001:DB8:0:0:0:0:0:1", "2001:db8::1");
    check("2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1");
    check("2001:0:0:1:0:0:0:1", "2001:0:0:1::1");
    check("2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1");
    check("fe80::", "fe80::");
    check("::", "::");
    check("::1", "::1");
    check("::2", "::2");
    check("::1.2.3.4", "::1.2.3.4");
    check("::ab12", "::0.0.171.18");
    check("::ab01", "::ab01");
    check("0:0:0:0:0:1:2:3", "::1:2:3");
    assert_eq!(found(&KeyPlan::client_ip(), &Facts::default()).as_deref(), Some("unix:"));
}

#[test]
fn a_shorter_prefix_takes_the_masked_address() {
    assert_eq!(address("203.0.113.255", 24, 128), "203.0.113.0");
    assert_eq!(address("203.0.113.255", 31, 128), "203.0.113.254");
    assert_eq!(address("203.0.113.255", 0, 128), "0.0.0.0");
    assert_eq!(address("203.0.113.255", 255, 255), "203.0.113.255");
    assert_eq!(address("2001:db8:1:2:3:4:5:6", 32, 64), "2001:db8:1:2::");
    assert_eq!(address("2001:db8:1:2:3:4:5:6", 32, 56), "2001:db8:1::");
    assert_eq!(address("2001:db8:1:2:3:4:5:6", 32, 0), "::");
    assert_eq!(address("::ffff:203.0.113.255", 16, 0), "203.0.0.0");
}

#[test]
fn sources_are_read_and_explained() {
    for text in ["client_ip", "path", "host", "header:x-session-id", "cookie:JSESSIONID", "query:id[]"] {
        assert_eq!(KeySource::parse(text).unwrap().to_text(), text);
    }
    assert_eq!(KeySource::parse("header:X-Id"), Ok(KeySource::Header("x-id".into())));
    let bad = |text: &str, part: &str| {
        let error = KeySource::parse(text).unwrap_err();
        assert!(error.contains(part), "{error}");
    };
    bad("", "must be client_ip, header:NAME");
    bad("ip", "must be client_ip, header:NAME");
    bad("Header:x", "must be client_ip, header:NAME");
    bad("client_ip:x", "must be \"client_ip\", without a name");
    bad("cookie", "such as \"cookie:JSESSIONID\"");
    bad("header:", "must be letters");
    bad("header:a b", "must be letters");
    bad("cookie:a;b", "must be letters");
    bad("query:a&b", "without &");
    bad("query:", "without &");
}

#[test]
fn the_first_source_present_wins() {
    let facts = Facts {
        client: Some(IpAddr::from([10, 0, 0, 1])),
        headers: vec![("x-id", "h"), ("x-empty", "")],
        cookies: vec!["a=1; sid=", "sid2=x;sid = c ; sid=d"],
        query: Some("a=b&s=q"),
        path: "/p",
        host: Some("example.com"),
    };
    let check = |sources: &[&str], expected: Option<&str>| {
        assert_eq!(found(&plan(sources), &facts).as_deref(), expected, "{sources:?}");
    };
    check(&["header:X-Id", "client_ip"], Some("h"));
    check(&["header:x-none", "header:x-empty", "client_ip", "path"], Some("10.0.0.1"));
    check(&["cookie:sid", "query:s"], Some("q"));
    check(&["cookie:sid2"], Some("x"));
    check(&["cookie:SID2"], None);
    check(&["query:none", "path"], Some("/p"));
    check(&["host"], Some("example.com"));
    check(&["header:x-none"], None);
    check(&[], None);
}

#[test]
fn an_argument_is_found_as_nginx_finds_it() {
    let check = |query: &str, expected: Option<&str>| {
        let found = argument(query.as_bytes(), b"id");
        assert_eq!(found, expected.map(str::as_bytes), "{query}");
    };
    check("id=1", Some("1"));
    check("a=1&ID=2&id=3", Some("2"));
    check("id&id=x=y%20z&b", Some("x=y%20z"));
    check("id=&id=2", Some(""));
    check("xid=1&idx=2&i%64=3", None);
    check("a=id=1", None);
    check("", None);
    check("&&id=1&", Some("1"));
}

/// nginx's loop over the whole query, in other words.
fn nginx_argument<'q>(query: &'q str, name: &str) -> Option<&'q str> {
    let lower = query.to_ascii_lowercase();
    let starts = lower.match_indices(&format!("{name}=")).map(|(at, _)| at).collect::<Vec<_>>();
    let at = starts.into_iter().find(|&at| at == 0 || query.as_bytes()[at - 1] == b'&')?;
    query[at + name.len() + 1..].split('&').next()
}

proptest! {
    #[test]
    fn arguments_agree_with_nginx(query in "([iIdD=&x]|id=|&id=){0,16}") {
        let found = argument(query.as_bytes(), b"id");
        prop_assert_eq!(found, nginx_argument(&query, "id").map(str::as_bytes));
    }

    #[test]
    fn an_address_reads_back(bits in any::<u128>(), zeros in any::<u128>()) {
        let ip = Ipv6Addr::from_bits(bits & zeros & zeros.rotate_left(13));
        let text = address(&ip.to_string(), 32, 128);
        prop_assert_eq!(text.parse::<IpAddr>().unwrap(), IpAddr::from(ip).to_canonical());
    }

    #[test]
    fn any_text_is_a_source_or_explained(text in "(client_ip|header|cookie|query|path|host|x)?:?\\PC{0,6}") {
        if let Ok(source) = KeySource::parse(&text) {
            prop_assert_eq!(source.to_text().to_ascii_lowercase(), text.to_ascii_lowercase());
        }
    }
}
