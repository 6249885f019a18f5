//! What a backend says of a session by `Homing-Session`.

use homing::config::Environment;

use super::{all_answer, finds, send, sticky, until_live};
use crate::harness::{backend, homing};

#[test]
fn the_word_is_between_homing_and_the_backend() {
    let a = backend("a");
    let homing = homing(&[&a]).cookie().run();
    for word in ["pin", "may-move", "ended", "anything"] {
        all_answer(&[&a], &format!("Homing-Session: {word}\r\n"), "");
        let reply = send(&homing, "GET", "/", "Homing-Session: moved; from=x\r\nHoming_Session: moved\r\n");
        assert_eq!((reply.status, reply.field("homing-session")), (200, None), "{word}");
        assert!(!a.last().to_lowercase().contains("homing-session"), "a client's own never arrives");
    }
}

#[test]
fn a_pin_that_is_put_off_is_written_when_it_is_asked_for() {
    let a = backend("a");
    let homing = sticky(&[&a], "mode = \"cookie\"\ncacheable = \"skip\"\npost_only = true").run();
    assert_eq!(send(&homing, "GET", "/", "").field("set-cookie"), None);
    all_answer(&[&a], "Homing-Session: pin\r\nCache-Control: public, max-age=9\r\n", "");
    let reply = send(&homing, "GET", "/", "");
    assert!(reply.field("set-cookie").is_some());
    assert_eq!(reply.field("cache-control").as_deref(), Some("max-age=9, private"), "no cache may keep it");
}

#[test]
fn a_session_that_ended_is_taken_back_from_its_cookie() {
    let (a, b) = (backend("a"), backend("b"));
    let affinity =
        "mode = \"cookie\"\nname = \"srv\"\npath = \"/app\"\ndomain = \"example.com\"\nmax_age = \"1d\"";
    let homing = sticky(&[&a, &b], affinity).run();
    let mut client = homing.client();
    let home = client.get("/").served_by();
    until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
    all_answer(&[&a, &b], "Homing-Session: ended\r\n", "");
    let reply = client.get("/logout");
    let expected = "srv=; Max-Age=0; Path=/app; Domain=example.com; HttpOnly; SameSite=Lax";
    assert_eq!(reply.field("set-cookie").as_deref(), Some(expected));
    until_live(&homing, &[0, 0]);
    assert_eq!(send(&homing, "GET", "/", "").field("set-cookie"), None, "there is nothing to take back");
}

#[test]
fn a_session_that_ended_is_taken_back_from_its_header_and_from_the_table() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = [\"header\", \"learn\"]\ncreate = \"cookie:sid\"").run();
    all_answer(&[&a, &b], "Set-Cookie: sid=1\r\n", "");
    let first = send(&homing, "GET", "/", "");
    let header = format!("X-Homing-Session: {}\r\n", first.field("x-homing-session").unwrap());
    all_answer(&[&a, &b], "", "");
    finds(&homing, &first.served_by(), "/", "Cookie: sid=1\r\n");
    all_answer(&[&a, &b], "Homing-Session: ended\r\n", "");
    let reply = send(&homing, "GET", "/", &format!("{header}Cookie: sid=1\r\n"));
    assert_eq!((reply.why().as_str(), reply.field("x-homing-session").as_deref()), ("pinned", Some("")));
    all_answer(&[&a, &b], "", "");
    assert_eq!(send(&homing, "GET", "/", "Cookie: sid=1\r\n").why(), "unknown");
    assert_eq!(send(&homing, "GET", "/", "X-Homing-Session:\r\n").why(), "new");
}

#[test]
fn an_id_made_as_a_session_ends_begins_another() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = \"learn\"\ncreate = \"cookie:sid\"").run();
    all_answer(&[&a, &b], "Set-Cookie: sid=1\r\n", "");
    let home = send(&homing, "GET", "/", "").served_by();
    all_answer(&[&a, &b], "Homing-Session: ended\r\nSet-Cookie: sid=2\r\n", "");
    send(&homing, "GET", "/", "Cookie: sid=1\r\n");
    all_answer(&[&a, &b], "", "");
    finds(&homing, &home, "/", "Cookie: sid=2\r\n");
    assert_eq!(send(&homing, "GET", "/", "Cookie: sid=1\r\n").why(), "unknown");
    until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
}

#[test]
fn a_session_that_may_move_leaves_a_backend_that_is_emptied_and_no_other() {
    let (a, b) = (backend("a"), backend("b"));
    let keys = Environment::detect().unwrap();
    let before = homing(&[&a, &b]).cookie().run_with(&keys);
    let mut client = before.client();
    while client.get("/").served_by() != "a" {
        client = before.client();
    }
    all_answer(&[&a, &b], "Homing-Session: may-move\r\n", "");
    assert_eq!(client.get("/").field("set-cookie"), None, "it takes new sessions: nothing is to be done");

    let list = format!(
        "backends = [{{ name = \"a\", address = \"{}\", state = \"drain\" }}, {{ name = \"b\", address = \"{}\" }}]\n",
        a.address, b.address
    );
    let after = homing(&[]).pool(&list).cookie().run_with(&keys);
    let mut client = client.at(after.address);
    all_answer(&[&a, &b], "", "");
    assert_eq!(client.get("/").served_by(), "a", "a session is kept while it does not say so");
    all_answer(&[&a, &b], "Homing-Session: may-move\r\n", "");
    let reply = client.get("/");
    assert_eq!(reply.served_by(), "a");
    assert!(reply.field("set-cookie").unwrap().starts_with("srv=; Max-Age=0; Path=/"));
    all_answer(&[&a, &b], "", "");
    assert_eq!(send(&after, "GET", "/", "").served_by(), "b");
}
