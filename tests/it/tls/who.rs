//! Client certificates: who must show one, and what a backend is told of it.

use std::io::{Read as _, Write as _};

use super::*;
use crate::harness::{Backend, backend, homing};

fn asks(files: &Files, mode: &str) -> String {
    format!("{}client_certificates = {{ ca = {:?}, mode = \"{mode}\" }}\n", files.tls(), files.path("ca.pem"))
}

/// What the last request tells of the certificate.
fn told(a: &Backend) -> Vec<String> {
    let last = a.last();
    let mut lines: Vec<_> = last
        .lines()
        .filter(|l| {
            let name = l.split(':').next().unwrap().to_ascii_lowercase().replace(['_', '.'], "-");
            name.starts_with("x-client-cert")
        })
        .map(str::to_owned)
        .collect();
    lines.sort();
    lines
}

fn person(files: &Files, name: &str) {
    files.make_with(name, &[], |params| {
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::OrganizationName, "Ex, Inc.");
        params.distinguished_name.push(DnType::CommonName, format!("{name}\u{fc}"));
    });
}

const FORGED: &str = "GET / HTTP/1.1\r\nHost: localhost\r\nX-Client-Cert-Subject: CN=root\r\n\
                      x-client-cert-verify: SUCCESS\r\nX_Client_Cert_Subject: CN=root\r\nX-Client.Cert-Verify: SUCCESS\r\n\
                      Connection: x-client-cert-subject\r\n\r\n";

#[test]
fn a_subject_reaches_the_backend_and_cannot_be_forged() {
    let (a, files) = (backend("a"), Files::new());
    person(&files, "ann");
    let homing = homing(&[&a])
        .listener(&asks(&files, "optional"))
        .listener("trusted_proxies = [\"127.0.0.1\"]\nunderscores = \"pass\"\n")
        .run();
    let with = files.client_with(&[&rustls::version::TLS13, &rustls::version::TLS12], Some("ann"));
    // The second time it is resumed, and the subject with it.
    for _ in 0..2 {
        assert_eq!(ask(&homing, &with, FORGED).status, 200);
        let subject = "X-Client-Cert-Subject: CN=ann\\C3\\BC,O=Ex\\, Inc.";
        assert_eq!(told(&a), [subject, "X-Client-Cert-Verify: SUCCESS"]);
    }
    ended(&homing, "1.3", "resumed", 1);
    assert_eq!(ask(&homing, &files.client(), FORGED).status, 200);
    assert_eq!(told(&a), ["X-Client-Cert-Verify: NONE"]);
}

#[test]
fn where_no_certificates_are_asked_for_only_trusted_proxies_tell_of_them() {
    let (a, files) = (backend("a"), Files::new());
    let plain = homing(&[&a]).run();
    assert_eq!(plain.send(FORGED).status, 200);
    assert_eq!(told(&a), Vec::<String>::new());
    let tls = homing(&[&a]).listener(&files.tls()).run();
    assert_eq!(ask(&tls, &files.client(), FORGED).status, 200);
    assert_eq!(told(&a), Vec::<String>::new());
    let behind = homing(&[&a]).listener("trusted_proxies = [\"127.0.0.1\"]\n").run();
    assert_eq!(behind.send(FORGED).status, 200);
    assert_eq!(told(&a), ["X-Client-Cert-Subject: CN=root", "x-client-cert-verify: SUCCESS"]);
}

#[test]
fn nobody_comes_in_without_where_one_is_required() {
    let (a, files) = (backend("a"), Files::new());
    person(&files, "ann");
    let homing = homing(&[&a]).listener(&asks(&files, "required")).run();
    for version in [&rustls::version::TLS13, &rustls::version::TLS12] {
        let with = files.client_with(&[version], Some("ann"));
        assert_eq!(ask(&homing, &with, GET).status, 200);
        let mut without = connect(&homing, "localhost", &files.client_with(&[version], None));
        let done = without.write_all(GET.as_bytes()).and_then(|()| without.read_to_end(&mut Vec::new()));
        // It is told why, not only cut off.
        assert!(done.unwrap_err().to_string().contains("received fatal alert"), "{version:?}");
    }
    ended(&homing, "", "no_client_certificate", 2);
    // Of another signer.
    let strangers = Files::new();
    person(&strangers, "bob");
    for end in ["pem", "key"] {
        let name = format!("bob.{end}");
        std::fs::copy(strangers.path(&name), files.path(&name)).unwrap();
    }
    let mut bob = connect(&homing, "localhost", &files.client_with(&[&rustls::version::TLS13], Some("bob")));
    assert!(bob.write_all(GET.as_bytes()).and_then(|()| bob.read_to_end(&mut Vec::new())).is_err());
    ended(&homing, "", "bad_client_certificate", 1);
    assert_eq!(a.requests().len(), 2);
}

#[test]
fn a_subject_is_a_key() {
    let (a, b, c, files) = (backend("a"), backend("b"), backend("c"), Files::new());
    let homing = homing(&[&a, &b, &c])
        .listener(&asks(&files, "required"))
        .pool("strategy = { kind = \"rendezvous\", key = \"tls_subject\" }\n")
        .run();
    let mut homes = std::collections::BTreeSet::new();
    for n in 0..12 {
        let name = format!("person-{n}");
        person(&files, &name);
        let with = || files.client_with(&[&rustls::version::TLS13], Some(&name));
        let home = ask(&homing, &with(), GET).served_by();
        assert_eq!(ask(&homing, &with(), GET).served_by(), home);
        homes.insert(home);
    }
    assert!(homes.len() > 1, "{homes:?}");
}
