//! What each system's values say, by the vectors of its documents, of its source, or of a run of it.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;

const A: &str = "10.0.0.1:8080";
const B: &str = "10.0.0.2:8080";

/// Members `m0`, `m1`, .. at these addresses.
fn at(addresses: &[&str]) -> Members {
    let backend = |(i, address): (usize, &&str)| Backend::at(address).unwrap().named(&format!("m{i}"));
    Members::new(addresses.iter().enumerate().map(backend).map(Arc::new).collect())
}

fn secrets() -> Secrets {
    Secrets { haproxy: Some("MYKEY".to_owned()), caddy: Some("secret".to_owned()) }
}

fn readings(name: &str, value: &str, members: &Members) -> Vec<Reading> {
    read(Presented { name, value }, "app", members, &secrets())
}

/// The only reading.
fn only(name: &str, value: &str, members: &Members) -> Reading {
    let mut all = readings(name, value, members);
    assert_eq!(all.len(), 1, "{value}: {all:#?}");
    all.remove(0)
}

/// The only reading is this system's and names the member at this address, among two others.
fn check(system: &str, address: &str, value: &str) {
    let found = only("srv", value, &at(&["192.0.2.1:1", address, "192.0.2.3:1"]));
    assert_eq!((found.system, &found.names), (system, &Names::Member(BackendIx(1))), "{value}");
}

#[test]
fn nginx_names_a_peer_by_its_md5() {
    for (address, value) in [
        ("127.0.0.1:8081", "df2b80dc43705d28db9be6f29fe58da3"),
        ("127.0.0.1:80", "cef54f47984626c9efbf070c50bfad1b"),
        (A, "05ef642f508b1e5b76612ddbd5f89a4c"),
        (B, "0efcb8350f3a691c838b9f9fc91af980"),
        ("[::1]:8080", "1c2e56fe441d2a91a692b6e4ac8b5c9b"),
        ("unix:/run/app.sock", "939db79304b0f599c2c20969650359ab"),
    ] {
        check("nginx sticky cookie", address, value);
        let strange = only("srv", value, &at(&["192.0.2.1:1"]));
        assert_eq!((strange.system, strange.names), ("nginx sticky cookie", Names::Nobody));
    }
    assert_eq!(
        readings("srv", "05EF642F508B1E5B76612DDBD5F89A4C", &at(&[A])),
        [],
        "it compares byte for byte"
    );
}

#[test]
fn haproxy_tells_a_server_and_when_it_was_seen() {
    let found = only("SRV", "m1|awREx|awREx", &at(&[A, B]));
    assert_eq!((found.system, found.form), ("HAProxy cookie", "id and dates"));
    assert_eq!(found.names, Names::Member(BackendIx(1)));
    let seen = "2026-11-23T13:51:00Z".to_owned(); // 1795441860
    assert_eq!(found.details, [("last seen", seen.clone()), ("first seen", seen.clone())]);

    let strange = only("SRV", "web9|awREx", &at(&[A, B]));
    assert_eq!(strange.names, Names::Stranger("web9".to_owned()));
    assert_eq!(strange.details, [("last seen", seen)]);

    let prefix = only("PHPSESSID", "m0~j2k9", &at(&[A, B]));
    assert_eq!((prefix.form, prefix.names), ("prefix", Names::Member(BackendIx(0))));
    assert_eq!(prefix.details, [("the application's value", "j2k9".to_owned())]);

    for none in ["m1|awRE", "m1|awREx|x", "m1|aw-Ex", "|awREx", "m1|awREx|awREx|awREx", "m9~x", "m1|"] {
        assert_eq!(readings("SRV", none, &at(&[A, B])), [], "{none}");
    }
}

#[test]
fn haproxy_makes_a_value_of_key_and_address() {
    for (address, value) in [
        ("127.0.0.1:38081", "24a5b8b88dbd7b9f"),
        ("127.0.0.1:38082", "09e3f88e74556eed"),
        ("[::1]:38081", "4700f368d0dfaf00"),
        (A, "c81ac2d2a4a662ad"),
        (B, "c77a19dfdab2dbaf"),
        ("[2001:db8::1]:8080", "1d1e065205c42d20"),
    ] {
        check("HAProxy cookie", address, value);
        check("HAProxy cookie", address, &format!("{value}|awREx"));
        let unknown = read(Presented { name: "s", value }, "app", &at(&[address]), &Secrets::default());
        let hint = unknown.iter().find(|r| r.system == "HAProxy cookie").unwrap();
        assert_eq!((&hint.names, hint.details[0].0), (&Names::Nobody, "to tell"), "without the key");
    }
}

#[test]
fn traefik_names_a_url_in_four_ways() {
    for (value, form) in [
        ("cc3dd0c247d6ff41", "SHA-256 of the URL"),
        ("http://10.0.0.1:8080", "the URL"),
        ("b0139f9bf96a2faf", "FNV-64 of the URL"),
        ("4e414402b31ab6ea", "FNV-64 of the FNV-64 of the URL"),
    ] {
        check("Traefik", A, value);
        assert_eq!(only("_6f2e5", value, &at(&[A])).form, form);
    }
    let strange = only("_6f2e5", "http://10.9.9.9:80", &at(&[A]));
    assert_eq!(strange.names, Names::Stranger("http://10.9.9.9:80".to_owned()));
    // The published vectors of FNV-1.
    assert_eq!(
        ["", "a", "foobar"].map(fnv_hex),
        ["cbf29ce484222325", "af63bd4c8601b7be", "340d8765a4dda9c2"]
    );
}

#[test]
fn caddy_names_an_upstream_by_its_mac() {
    check("Caddy", A, "9694d8651b0da44c9815ed15bd44fb89459f9d1cd1dd830fd076e2014764fc24");
    check("Caddy", B, "8862d8fd8aa01102b0e8f3a7677693e445694d6e6348eac6f8acd7ab1435a303");
    let value = "9694d8651b0da44c9815ed15bd44fb89459f9d1cd1dd830fd076e2014764fc24";
    let blind = read(Presented { name: "lb", value }, "app", &at(&[A]), &Secrets::default());
    assert_eq!((blind.len(), &blind[0].names, blind[0].details[0].0), (1, &Names::Nobody, "to tell"));
}

#[test]
fn f5_writes_an_address_in_four_ways() {
    let check = |value: &str, address: &str| {
        let found = only("BIGipServerapp", value, &at(&["192.0.2.9:1", address]));
        assert_eq!((found.system, &found.names), ("F5 BIG-IP", &Names::Member(BackendIx(1))), "{value}");
        let strange = only("BIGipServerapp", value, &at(&["192.0.2.9:1"]));
        assert_eq!(strange.names, Names::Stranger(address.to_owned()), "{value}");
    };
    check("1677787402.36895.0000", "10.1.1.100:8080");
    check("2064452106.47873.0000", "10.10.13.123:443");
    check("1701187756.20480.0000", "172.16.102.101:80");
    check("rd5o00000000000000000000ffffc0000201o80", "192.0.2.1:80");
    check("vi20010112000000000000000000000030.20480", "[2001:112::30]:80");
    check("rd3o20010112000000000000000000000030o80", "[2001:112::30]:80");
    let sealed = only("BIGipServerapp", "!ZdBcQm0==", &at(&[A]));
    assert_eq!((sealed.system, sealed.names), ("F5 BIG-IP", Names::Nobody));
    for none in ["4294967296.1.0000", "1.65536.0000", "1677787402.36895.0001", "vi2001.80", "rdxo00o80"] {
        assert_eq!(readings("BIGipServerapp", none, &at(&[A])), [], "{none}");
    }
}

#[test]
fn envoy_writes_an_address_alone_or_in_a_message() {
    let check = |value: &str, address: &str, form: &str| {
        for value in [value.to_owned(), format!("\"{value}\"")] {
            let found = only("sticky-host", &value, &at(&["192.0.2.9:1", address]));
            assert_eq!((found.system, found.form), ("Envoy stateful session", form));
            assert_eq!(found.names, Names::Member(BackendIx(1)), "{value}");
        }
    };
    check("Cg4xMjcuMC4wLjE6OTk5Nw==", "127.0.0.1:9997", "message with the address");
    check("Cg0xMC4wLjAuMjo4MDgwEKwC", B, "message with the address");
    check("MS4yLjMuNDo4MA==", "1.2.3.4:80", "address");
    check("WzIwMDE6ZGI4OjoxXTo4MDgw", "[2001:db8::1]:8080", "address");
    let found = only("sticky-host", "Cg0xMC4wLjAuMjo4MDgwEKwC", &at(&[A]));
    assert_eq!(found.names, Names::Stranger(B.to_owned()));
    assert_eq!(found.details, [("ends at", "second 300 of that Envoy's own clock".to_owned())]);
}

#[test]
fn ingress_nginx_names_an_endpoint_by_a_salted_md5() {
    let value = "16b6fa828159c9eaaffdcd755926f72c|893aba7f849e8e7e9eba282605c4877b";
    check("ingress-nginx", A, value);
    let found = only("INGRESSCOOKIE", value, &at(&[A]));
    assert_eq!((found.form, &found.details[0].1), ("persistent key", &"app".to_owned()));
    let placed = only("route", "1795441860.1.42.93|893aba7f849e8e7e9eba282605c4877b", &at(&[A]));
    assert_eq!((placed.form, placed.names), ("balanced key, which its hash places", Names::Nobody));
}

#[test]
fn yarp_names_a_destination_by_a_hash_of_its_id() {
    let members = at(&[A, B]);
    let value = format!("{:016x}", xxh64(&[b'M', 0, b'1', 0], 0));
    let found = only("srv", &value, &members);
    assert_eq!((found.form, found.names), ("HashCookie", Names::Member(BackendIx(1))));
    let one = Members::new(vec![Arc::new(Backend::at(A).unwrap().named("A"))]);
    let value = "FFE9AAEAA2A2D5048174DF0B80599EF0197EC024C4B051BC9860CFF58EF7F9F3"; // of a, as python has it
    assert_eq!(only("srv", value, &one).form, "ArrCookie");
}

#[test]
fn a_route_stands_behind_an_applications_own_id() {
    for value in ["8F2A.m1", "8F2A.x.m1", "a.m1"] {
        let found = only("any", value, &at(&[A, B]));
        assert_eq!(
            (found.form, found.names),
            ("session id and route", Names::Member(BackendIx(1))),
            "{value}"
        );
    }
    let strange = only("JSESSIONID", "8F2A.node7", &at(&[A, B]));
    assert_eq!(strange.names, Names::Stranger("node7".to_owned()));
    assert_eq!(strange.details, [("the application's id", "8F2A".to_owned())]);
    assert_eq!(readings("_ga", "GA1.2.1042.17", &at(&[A, B])), [], "a point alone is no route");
}

#[test]
fn a_name_alone_is_a_name() {
    assert_eq!(only("srv", "m1", &at(&[A, B])).names, Names::Member(BackendIx(1)));
    let sozu = only("SOZUBALANCEID", "node7", &at(&[A, B]));
    assert_eq!((sozu.system, sozu.names), ("Sōzu", Names::Stranger("node7".to_owned())));
    assert_eq!(readings("theme", "dark", &at(&[A, B])), []);
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(format!("{:?}", secrets()), "Secrets(***)");
}

proptest! {
    /// Whatever is presented, reading it ends, and where one reading names a member all do.
    #[test]
    fn any_value_is_read_or_not(
        name in "BIGipServer|JSESSIONID|[a-z]{0,4}",
        value in "\\PC{0,40}|[0-9a-f|~.m]{0,70}|(vi|rd|m1)[0-9a-fo.|]{0,50}|[A-Za-z0-9+/=\"]{0,40}",
    ) {
        let all = readings(&name, &value, &at(&[A, B]));
        let named = all.iter().filter(|r| matches!(r.names, Names::Member(_))).count();
        prop_assert!(named == 0 || named == all.len(), "{:?}", all);
    }
}
