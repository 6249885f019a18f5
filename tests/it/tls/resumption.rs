//! Sessions that are taken up again: by tickets, by ids, on another node, and never at another listener.

use super::*;
use crate::harness::{backend, homing, until};

/// The lines of openssl that say whether a session is new.
fn openssl(homing: &Homing, files: &Files, version: &str, more: &[&str]) -> Vec<String> {
    let (address, ca) = (homing.address.to_string(), files.path("ca.pem"));
    let mut arguments =
        vec!["s_client", version, "-connect", &address, "-servername", "localhost", "-CAfile", text(&ca)];
    arguments.extend_from_slice(more);
    // The answer comes behind the tickets: who has read it has them.
    let request = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    arguments.push("-ign_eof");
    let output = run_with("openssl", &arguments, request, Input::StaysOpen);
    let is = |l: &&str| l.starts_with("New, ") || l.starts_with("Reused, ");
    said(&output).lines().filter(is).map(|l| l.split(',').next().unwrap().to_owned()).collect()
}

#[test]
fn openssl_takes_up_its_session() {
    let (a, files) = (backend("a"), Files::new());
    let homing = homing(&[&a]).listener(&files.tls()).run();
    for (version, label) in [("-tls1_2", "1.2"), ("-tls1_3", "1.3")] {
        let kept = files.path(version);
        assert_eq!(openssl(&homing, &files, version, &["-sess_out", text(&kept)]), ["New"]);
        assert_eq!(openssl(&homing, &files, version, &["-sess_in", text(&kept)]), ["Reused"]);
        ended(&homing, label, "resumed", 1);
    }
    // By the session's id, where a client takes no tickets.
    let kept = files.path("by-id");
    assert_eq!(openssl(&homing, &files, "-tls1_2", &["-no_ticket", "-sess_out", text(&kept)]), ["New"]);
    assert_eq!(openssl(&homing, &files, "-tls1_2", &["-no_ticket", "-sess_in", text(&kept)]), ["Reused"]);
    ended(&homing, "1.2", "resumed", 2);
}

#[test]
fn nodes_that_share_keys_take_up_each_others_sessions() {
    let (a, files) = (backend("a"), Files::new());
    files.write("tickets.key", &format!("{}\n{}\n", "1a".repeat(32), "2b".repeat(32)));
    let keys = format!("ticket_keys = {:?}\n", files.path("tickets.key"));
    let [one, two] = [(); 2].map(|()| homing(&[&a]).listener(&files.tls()).listener(&keys).run());
    files.write("others.key", &"3c".repeat(32));
    let other = homing(&[&a])
        .listener(&files.tls())
        .listener(&format!("ticket_keys = {:?}\n", files.path("others.key")))
        .run();
    for version in ["-tls1_2", "-tls1_3"] {
        let kept = files.path("session");
        openssl(&one, &files, version, &["-sess_out", text(&kept)]);
        assert_eq!(openssl(&other, &files, version, &["-sess_in", text(&kept)]), ["New"]);
        assert_eq!(openssl(&two, &files, version, &["-sess_in", text(&kept)]), ["Reused"]);
    }
    // The keys are read again: what the first one sealed is opened as long as it is there.
    let kept = files.path("session");
    openssl(&one, &files, "-tls1_2", &["-sess_out", text(&kept)]);
    files.write("tickets.key", &format!("{}\n{}\n", "4d".repeat(32), "1a".repeat(32)));
    one.until("/api/v1/state", |text| text.contains("keys of tickets of"));
    assert_eq!(openssl(&one, &files, "-tls1_2", &["-sess_in", text(&kept)]), ["Reused"]);
    files.write("tickets.key", &"4d".repeat(32));
    until(|| openssl(&one, &files, "-tls1_2", &["-sess_in", text(&kept)]) == ["New"]);
}

#[test]
fn a_session_is_worth_nothing_at_another_listener() {
    let (a, files) = (backend("a"), Files::new());
    files.write("tickets.key", &"1a".repeat(32));
    let keys = format!("{}ticket_keys = {:?}\n", files.tls(), files.path("tickets.key"));
    let asks = format!("client_certificates = {{ ca = {:?}, mode = \"optional\" }}\n", files.path("ca.pem"));
    let one = homing(&[&a]).listener(&keys).run();
    let renamed = homing(&[&a]).listener(&keys).run_edited(|text| text.replace("\"web\"", "\"other\""));
    let asking = homing(&[&a]).listener(&keys).listener(&asks).run();
    for version in ["-tls1_2", "-tls1_3"] {
        let kept = files.path("session");
        openssl(&one, &files, version, &["-sess_out", text(&kept)]);
        assert_eq!(openssl(&renamed, &files, version, &["-sess_in", text(&kept)]), ["New"]);
        assert_eq!(openssl(&asking, &files, version, &["-sess_in", text(&kept)]), ["New"]);
    }
}
