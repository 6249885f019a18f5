//! Which certificate a client is shown, and what becomes of files that change.

use std::io::Write as _;

use super::*;
use crate::harness::{Homing, backend, homing, until};

/// The certificate that is shown to who asks for this name, as DER; an error's text if there is none.
fn shown(homing: &Homing, files: &Files, name: &str) -> Result<Vec<u8>, String> {
    let mut stream = connect(homing, name, &files.client());
    stream.write_all(GET.as_bytes()).map_err(|e| e.to_string())?;
    Ok(stream.conn.peer_certificates().unwrap()[0].to_vec())
}

fn der(files: &Files, name: &str) -> Vec<u8> {
    CertificateDer::from_pem_file(files.path(&format!("{name}.pem"))).unwrap().to_vec()
}

/// What openssl is shown that says this, or no, name.
fn subject(homing: &Homing, name: &[&str]) -> String {
    let address = homing.address.to_string();
    let arguments = [&["s_client", "-connect", &address][..], name].concat();
    let output = said(&run("openssl", &arguments, ""));
    let line = output.lines().find(|l| l.starts_with("subject=") || l.contains("unrecognized name"));
    line.unwrap_or(&output).to_owned()
}

fn sites() -> (Files, String) {
    let files = Files::new();
    files.make("shop", &["shop.test", "*.shop.test"]);
    files.make("pay", &["pay.shop.test"]);
    let tls = format!("tls = [{}, {}, {}]\n", files.pair("web"), files.pair("shop"), files.pair("pay"));
    (files, tls)
}

#[test]
fn a_certificate_is_chosen_by_the_name_asked_for() {
    let (a, (files, tls)) = (backend("a"), sites());
    let homing = homing(&[&a]).listener(&tls).run();
    let table = [
        ("shop.test", "shop"),
        ("a.shop.test", "shop"),
        ("A.Shop.Test", "shop"),
        ("pay.shop.test", "pay"),
        ("localhost", "web"),
        ("127.0.0.1", "web"),
    ];
    for (name, expected) in table {
        assert!(shown(&homing, &files, name).unwrap() == der(&files, expected), "{name}");
    }
    // A wildcard stands for one label; who asks for what is not there is shown the first.
    for name in ["a.b.shop.test", "elsewhere.test"] {
        assert!(shown(&homing, &files, name).unwrap_err().contains("not valid for name"), "{name}");
        assert!(subject(&homing, &["-servername", name]).contains("CN = x"));
    }
    assert!(subject(&homing, &["-noservername"]).contains("CN = x"));
}

#[test]
fn an_unknown_name_may_be_rejected() {
    let (a, (files, tls)) = (backend("a"), sites());
    let homing = homing(&[&a]).listener(&tls).listener("unknown_sni = \"reject\"\n").run();
    assert!(shown(&homing, &files, "b.shop.test").is_ok());
    assert!(shown(&homing, &files, "elsewhere.test").unwrap_err().contains("UnrecognisedName"));
    assert!(subject(&homing, &["-servername", "elsewhere.test"]).contains("unrecognized name"));
    assert!(subject(&homing, &["-noservername"]).contains("unrecognized name"));
    ended(&homing, "", "unknown_name", 3);
}

#[test]
fn files_are_read_again_and_the_last_good_pair_stays() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    let before = der(&files, "web");
    assert!(shown(&homing, &files, "localhost").unwrap() == before);
    homing.until("/metrics", |text| {
        text.contains("homing_tls_certificate_reload_failures_total{listener=\"web\"} 0\n")
            && text.contains("_not_after_timestamp_seconds{listener=\"web\",name=\"localhost\"} ")
    });
    // Another certificate beside the old key, then half a certificate, then none.
    let (certificate, key) = files.made(&["localhost"], |_| {});
    for (n, (text, says)) in [
        (certificate.as_str(), "web.key does not match the certificate"),
        (&certificate[..certificate.len() / 2], "web.pem is not whole: its last section has no END line"),
        ("", "web.pem has no certificate"),
    ]
    .into_iter()
    .enumerate()
    {
        files.write("web.pem", text);
        let failures = format!("_reload_failures_total{{listener=\"web\"}} {}\n", n + 1);
        homing.until("/metrics", |text| text.contains(&failures));
        let tls = &homing.told("/api/v1/state")["tls"][0];
        assert!(tls["errors"][0].as_str().unwrap().contains(says), "{tls}");
        assert!(shown(&homing, &files, "localhost").unwrap() == before);
    }
    files.write("web.key", &key);
    files.write("web.pem", &certificate);
    homing.until("/api/v1/state", |text| text.contains("web.pem until ") && text.contains("\"errors\":[]"));
    assert!(shown(&homing, &files, "localhost").unwrap() == der(&files, "web"));
}

#[test]
fn a_certificate_that_ends_soon_is_warned_of() {
    let (a, files) = (backend("a"), Files::new());
    let soon = rcgen::date_time_ymd(2020, 1, 1);
    files.make_with("old", &["old.test"], |params| (params.not_before, params.not_after) = (soon, soon));
    let tls = format!("tls = {}\n", files.pair("old"));
    let homing = homing(&[&a]).listener(&tls).run();
    homing.until("/api/v1/state", |t| t.contains("certificate old.test has ended at 2020-01-01T00:00:00Z"));
    let pool = "[[pool]]\nname = \"app\"\nbackends = [\"a:1\"]\n";
    files.write("homing.toml", &format!("[[listener]]\nlisten = \"127.0.0.1:0\"\n{tls}{pool}"));
    let config = files.path("homing.toml");
    let said = run(env!("CARGO_BIN_EXE_homing"), &["check", "-c", config.to_str().unwrap()], "").err;
    assert!(said.contains("old.pem has ended at 2020-01-01T00:00:00Z: clients refuse it"), "{said}");
}

#[test]
fn two_certificates_for_one_name_are_warned_of() {
    let files = Files::new();
    files.make("one", &["a.test", "shop.test"]);
    files.make("two", &["shop.test", "*.shop.test"]);
    files.make("three", &["b.shop.test"]); // No twin: a whole name counts before a wildcard.
    let pairs = ["one", "two", "three"].map(|name| files.pair(name)).join(", ");
    let pool = "[[pool]]\nname = \"app\"\nbackends = [\"a:1\"]\n";
    files.write("homing.toml", &format!("[[listener]]\nlisten = \"127.0.0.1:0\"\ntls = [{pairs}]\n{pool}"));
    let config = files.path("homing.toml");
    let said = run(env!("CARGO_BIN_EXE_homing"), &["check", "-c", config.to_str().unwrap()], "").err;
    assert!(said.contains("two.pem is for shop.test, as ") && said.contains("one.pem is"), "{said}");
    assert_eq!(said.matches(" is for ").count(), 1, "{said}");
}

#[test]
fn another_file_keeps_the_sockets_and_a_bad_one_changes_nothing() {
    let (a, files) = (backend("a"), Files::new());
    let mut process = homing(&[&a]).listener(&files.tls()).spawn();
    process.until_said("listener \"web\": https://127.0.0.1:");
    let ask = |address| {
        let mut stream = over(crate::harness::open(address), "localhost", &files.client());
        let status = ask_on(&mut stream, GET).status;
        (status, stream.conn.peer_certificates().unwrap()[0].to_vec(), stream)
    };
    let (status, shown, mut kept) = ask(process.address);
    assert!(status == 200 && shown == der(&files, "web"));
    files.make("new", &["localhost"]);
    let text = process.config().replace("web.pem", "new.pem").replace("web.key", "new.key");
    assert_eq!(process.reload(&text), (1, 0));
    // Each worker sees it at its next look, and nobody knows which one takes a connection.
    until(|| (0..10).all(|_| ask(process.address).1 == der(&files, "new")));
    assert_eq!(ask_on(&mut kept, GET).status, 200, "who was there stays");
    files.write("broken.pem", "-----BEGIN CERTIFICATE-----\nMIIB");
    assert_eq!(process.reload(&text.replace("new.pem", "broken.pem")), (1, 1));
    let (status, shown, _) = ask(process.address);
    assert!(status == 200 && shown == der(&files, "new"));
    process.kill();
}

#[test]
fn keys_of_every_form_are_read() {
    let (a, files) = (backend("a"), Files::new());
    let table: [(&str, &[&str]); 3] = [
        ("PKCS#8", &["genpkey", "-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"]),
        ("PKCS#1", &["genrsa", "-traditional", "2048"]),
        ("SEC1", &["ecparam", "-name", "prime256v1", "-genkey", "-noout"]),
    ];
    for (form, make) in table {
        let key = files.path("form.key");
        let made = run("openssl", make, "");
        files.write("form.key", &String::from_utf8(made.out).unwrap());
        let (out, name) = (files.path("form.pem"), "subjectAltName=DNS:form.test");
        let arguments =
            ["req", "-x509", "-key", text(&key), "-subj", "/CN=form", "-addext", name, "-out", text(&out)];
        assert!(run("openssl", &arguments, "").status.success(), "{form}");
        let homing = homing(&[&a]).listener(&format!("tls = {}\n", files.pair("form"))).run();
        assert!(subject(&homing, &["-servername", "form.test"]).contains("CN = form"), "{form}");
    }
}
