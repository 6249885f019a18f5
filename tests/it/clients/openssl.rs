//! openssl s_client: versions, certificates by name, protocols, sessions that are taken up again, and what is refused.

use super::{Both, text};
use crate::harness::program::{Input, Ran, run, run_with};
use crate::harness::{backend, homing};

/// Connects, sends a request that ends the connection, and reads to the end.
fn ask(both: &Both, more: &[&str]) -> Ran {
    let (ca, address) = (both.authority.ca(), both.homing.other("tls").to_string());
    let fixed = ["s_client", "-connect", &address, "-CAfile", text(&ca), "-ign_eof"];
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    run_with("openssl", &[&fixed, more].concat(), request, Input::StaysOpen)
}

fn assert_says(told: &Ran, lines: &[&str]) {
    let text = told.text();
    for line in lines {
        assert!(text.lines().any(|l| l.trim() == *line), "no `{line}` in {text}");
    }
}

#[test]
fn both_versions_are_shaken_hands_with_and_verified() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    for (option, version) in [("-tls1_2", "TLSv1.2"), ("-tls1_3", "TLSv1.3")] {
        let told = ask(
            &both,
            &[option, "-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error"],
        );
        assert_says(
            &told,
            &["Verify return code: 0 (ok)", "HTTP/1.1 200 OK", "Verified peername: localhost"],
        );
        assert!(told.text().contains(&format!("New, {version}, Cipher is ")), "{}", told.text());
        // Its end was told: it was not cut.
        assert!(told.out_text().trim_end().ends_with("closed"), "{}", told.out_text());
    }
    let wrong = ask(&both, &["-verify_hostname", "other.test", "-verify_return_error"]);
    assert!(!wrong.status.success(), "{}", wrong.out_text());
}

#[test]
fn protocols_are_agreed_on_by_alpn() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    for (offers, agreed) in [
        ("h2,http/1.1", "ALPN protocol: h2"),
        ("http/1.1,h2", "ALPN protocol: h2"),
        ("http/1.1", "ALPN protocol: http/1.1"),
        ("http/1.0", "ALPN protocol: http/1.0"),
        ("other,http/1.1", "ALPN protocol: http/1.1"),
    ] {
        // Who agreed on HTTP/2 and speaks HTTP/1.1 is sent away; the handshake is what counts.
        let text = ask(&both, &["-alpn", offers]).out_text();
        assert!(text.lines().any(|line| line == agreed), "{offers}: {text}");
    }
    assert_says(&ask(&both, &[]), &["No ALPN negotiated", "HTTP/1.1 200 OK"]);
    let none = ask(&both, &["-alpn", "other"]);
    assert!(!none.status.success() && none.err.contains("no application protocol"), "{}", none.err);
}

#[test]
fn sessions_are_taken_up_again() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    for version in ["-tls1_2", "-tls1_3"] {
        let kept = both.authority.folder().join(version);
        let first = ask(&both, &[version, "-sess_out", text(&kept)]).text();
        assert!(first.contains("\nNew, "), "{first}");
        let again = ask(&both, &[version, "-sess_in", text(&kept)]);
        assert!(again.text().contains("\nReused, "), "{}", again.text());
        assert_says(&again, &["HTTP/1.1 200 OK"]);
    }
}

#[test]
fn a_certificate_is_chosen_by_the_name_that_is_asked_for() {
    let a = backend("a");
    let both = Both::new(&[&a]);
    let issued = ["shop.test", "*.shop.test"].map(|name| both.authority.issue(&[name]));
    let pairs: Vec<String> = issued
        .iter()
        .map(|i| format!("{{ certificate = {:?}, key = {:?} }}", i.certificate, i.key))
        .collect();
    let named = homing(&[&a]).listener(&format!("tls = [{}]\n", pairs.join(", "))).run();
    let address = named.address.to_string();
    let ca = both.authority.ca();
    for (asked, matches, is_shown) in [
        ("shop.test", "shop.test", true),
        ("www.shop.test", "www.shop.test", true),
        ("www.shop.test", "shop.test", false),
        // Nobody's name: the first one is shown.
        ("other.test", "shop.test", true),
        ("other.test", "other.test", false),
    ] {
        let fixed = ["s_client", "-connect", &address, "-CAfile", text(&ca), "-servername", asked];
        let checks = ["-verify_hostname", matches, "-verify_return_error"];
        let told = run("openssl", &[&fixed[..], &checks].concat(), "");
        assert_eq!(told.status.success(), is_shown, "{asked}, {matches}: {}", told.err);
    }
}

#[test]
fn versions_that_are_too_old_are_refused() {
    let a = backend("a");
    let both = Both::with(homing(&[&a]), "tls_min = \"1.3\"");
    // openssl itself speaks the oldest ones at its lowest level alone.
    for version in ["-tls1", "-tls1_1", "-tls1_2"] {
        let told = ask(&both, &[version, "-cipher", "ALL:@SECLEVEL=0"]);
        assert!(!told.status.success(), "{version}: {}", told.out_text());
        let said = &told.err;
        assert!(
            said.contains("alert protocol version") || said.contains("alert handshake failure"),
            "{version}: {said}"
        );
    }
    assert_says(&ask(&both, &["-tls1_3"]), &["HTTP/1.1 200 OK"]);
    assert_eq!(a.requests().len(), 1);
}
