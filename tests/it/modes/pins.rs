//! homing's own pin, in a header and in cookies of the application's.

use homing::config::Environment;

use super::{all_answer, finds, send, sticky, until_live, without_ejection};
use crate::harness::{Homing, Reply, backend, homing};

const HEADER: &str = "mode = \"header\"";

fn header_pin(homing: &Homing) -> (String, String) {
    let reply = send(homing, "GET", "/", "");
    (reply.served_by(), reply.field("x-homing-session").unwrap())
}

#[test]
fn a_pin_in_a_header_is_enough_and_no_backend_sees_it() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], HEADER).run();
    let (home, pin) = header_pin(&homing);
    finds(&homing, &home, "/", &format!("X-Homing-Session: {pin}\r\n"));
    let reply = send(&homing, "GET", "/", &format!("x-homing-session: {pin}\r\n"));
    assert_eq!((reply.field("x-homing-session"), reply.field("set-cookie")), (None, None), "it is not due");
    for backend in [&a, &b] {
        assert!(!backend.last().to_lowercase().contains("x-homing-session"), "{}", backend.last());
    }
    until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
}

#[test]
fn the_header_s_name_is_the_pool_s_and_an_answer_s_own_is_dropped() {
    let a = backend("a");
    let homing = sticky(&[&a], "mode = \"header\"\nheader = \"X-Api-Pin\"").run();
    all_answer(&[&a], "x-api-pin: forged\r\n", "");
    let pin = send(&homing, "GET", "/", "").field("x-api-pin").unwrap();
    assert!(pin.len() > 80, "{pin}");
    let reply = send(&homing, "GET", "/", &format!("X-Api-Pin: {pin}\r\n"));
    assert_eq!((reply.why().as_str(), reply.field("x-api-pin")), ("pinned", None));
}

#[test]
fn what_is_not_our_pin_chooses_nothing() {
    let (a, b) = (backend("a"), backend("b"));
    let keys = Environment::detect().unwrap();
    let ours = sticky(&[&a, &b], HEADER).run_with(&keys);
    let stranger = sticky(&[&a, &b], HEADER).run();
    let cookie = homing(&[&a, &b]).cookie().run_with(&keys);
    let other_name = sticky(&[&a, &b], "mode = \"header\"\nheader = \"x-other\"").run_with(&keys);
    let other_pool = sticky(&[&a, &b], HEADER);
    let text = other_pool.toml().replace("name = \"app\"", "name = \"app2\"");
    let other_pool = sticky(&[], "").run_text(&text, &keys);
    let (_, pin) = header_pin(&ours);
    let mut forged = pin.clone().into_bytes();
    forged[40] ^= 1;
    let of_cookie = cookie.client().get("/").field("set-cookie").unwrap();
    let of_cookie = of_cookie.split([';', '=']).nth(1).unwrap().to_owned();
    for value in [
        String::from_utf8(forged).unwrap(),
        pin[..pin.len() - 1].to_owned(),
        format!("{pin}A"),
        "a".to_owned(),
        header_pin(&stranger).1,
        header_pin(&other_pool).1,
        send(&other_name, "GET", "/", "").field("x-other").unwrap(),
        of_cookie,
    ] {
        let reply = send(&ours, "GET", "/", &format!("X-Homing-Session: {value}\r\n"));
        assert_eq!((reply.status, reply.why().as_str()), (200, "invalid"), "{value}");
        assert!(reply.field("x-homing-session").is_some(), "{value} is replaced");
    }
}

#[test]
fn cookie_and_header_serve_one_session() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = [\"cookie\", \"header\"]").run();
    let first = send(&homing, "GET", "/", "");
    let home = first.served_by();
    let cookie = first.field("set-cookie").unwrap();
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    let header = format!("X-Homing-Session: {}\r\n", first.field("x-homing-session").unwrap());
    for fields in
        [cookie.clone(), header.clone(), format!("{cookie}{header}"), format!("Cookie: srv=x\r\n{header}")]
    {
        finds(&homing, &home, "/", &fields);
        let reply = send(&homing, "GET", "/", &fields);
        assert_eq!((reply.field("set-cookie"), reply.field("x-homing-session")), (None, None), "{fields}");
    }
    until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
}

#[test]
fn a_moved_session_is_told_by_what_carried_it() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = [\"cookie\", \"header\"]").run();
    let first = (0..64).map(|_| send(&homing, "GET", "/", "")).find(|r| r.served_by() == "a").unwrap();
    a.crash();
    let header = format!("X-Homing-Session: {}\r\n", first.field("x-homing-session").unwrap());
    let moved = send(&homing, "GET", "/", &header);
    assert_eq!((moved.why().as_str(), moved.field("set-cookie")), ("unreachable", None));
    finds(&homing, "b", "/", &format!("X-Homing-Session: {}\r\n", moved.field("x-homing-session").unwrap()));
}

#[test]
fn a_pin_before_the_application_s_value_is_seen_by_the_client_alone() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = \"cookie\"\nname = \"sid\"\nstyle = \"prefix\"").run();
    let reply = send(&homing, "GET", "/", "");
    assert_eq!((reply.why().as_str(), reply.field("set-cookie")), ("new", None), "the application sets it");
    all_answer(&[&a, &b], "Set-Cookie: sid=app~NAME; Path=/x; Secure\r\nSet-Cookie: other=1\r\n", "");
    let reply = send(&homing, "GET", "/", "Cookie: sid=old~value\r\n");
    let home = reply.served_by();
    let [set, other] = reply.fields("set-cookie").try_into().unwrap();
    let (value, attributes) = set.strip_prefix("sid=").unwrap().split_once(';').unwrap();
    let (pin, theirs) = value.split_once('~').unwrap();
    assert_eq!(
        (theirs, attributes, other.as_str()),
        (&*format!("app~{home}"), " Path=/x; Secure", "other=1")
    );
    assert!(pin.len() > 80);
    let seen = |fields: &str| {
        send(&homing, "GET", "/", fields);
        let heads = [a.last(), b.last()];
        let cookie = |head: &String| head.lines().find_map(|l| l.strip_prefix("Cookie: ")).map(str::to_owned);
        heads.iter().find_map(cookie)
    };
    all_answer(&[&a, &b], "", "");
    finds(&homing, &home, "/", &format!("Cookie: x=1; sid={value}\r\n"));
    until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
    drop((a.take_requests(), b.take_requests()));
    assert_eq!(seen(&format!("Cookie: x=1; sid={value};y=2\r\n")), Some(format!("x=1; sid=app~{home};y=2")));
    drop((a.take_requests(), b.take_requests()));
    assert_eq!(seen("Cookie: sid=old~value; x=1\r\n").as_deref(), Some("sid=old~value; x=1"));
    // What is no pin of ours and looks like one does not reach the application either.
    let forged = value.replacen(&pin[40..44], "AAAA", 1);
    assert_eq!(send(&homing, "GET", "/", &format!("Cookie: sid={forged}\r\n")).why(), "invalid");
}

#[test]
fn an_application_s_cookie_whose_value_is_the_pin() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = \"cookie\"\nname = \"srv\"\nstyle = \"rewrite\"").run();
    assert_eq!(send(&homing, "GET", "/", "").field("set-cookie"), None);
    all_answer(&[&a, &b], "Set-Cookie: srv=; Path=/y\r\n", "");
    let mut others = 0;
    let first = loop {
        let reply = send(&homing, "GET", "/", "");
        if reply.served_by() == "a" {
            break reply;
        }
        others += 1;
    };
    let set = first.field("set-cookie").unwrap();
    assert!(set.ends_with("; Path=/y") && set.len() > 90, "{set}");
    let cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
    all_answer(&[&a, &b], "", "");
    finds(&homing, "a", "/", &cookie);
    assert!(a.last().contains(cookie.trim_end()), "the application sees that its cookie is there");
    // The cookie cannot be renewed: where the session is after a move, the table knows.
    a.crash();
    assert_eq!(send(&homing, "GET", "/", &cookie).why(), "unreachable");
    finds(&homing, "b", "/", &cookie);
    a.revive();
    finds(&homing, "b", "/", &cookie);
    all_answer(&[&b], "Set-Cookie: srv=x; Max-Age=0\r\n", "");
    let reply = send(&homing, "GET", "/", &cookie);
    assert_eq!(reply.field("set-cookie").as_deref(), Some("srv=x; Max-Age=0"), "a deletion stays one");
    until_live(&homing, &[0, others]);
}

#[test]
fn an_application_s_cookie_that_is_set_while_its_session_is_lent_has_the_pin_to_its_home() {
    for style in ["rewrite", "prefix"] {
        let (mut a, b) = (backend("a"), backend("b"));
        let affinity =
            format!("mode = \"cookie\"\nname = \"srv\"\nstyle = \"{style}\"\non_lost = \"borrow\"");
        let homing = sticky(&[&a, &b], &affinity).run();
        all_answer(&[&a, &b], "Set-Cookie: srv=1; Path=/y\r\n", "");
        let first = (0..64).map(|_| send(&homing, "GET", "/", "")).find(|r| r.served_by() == "a").unwrap();
        let cookie = |reply: &Reply| {
            let set = reply.field("set-cookie").unwrap();
            format!("Cookie: {}\r\n", set.split(';').next().unwrap())
        };
        a.crash();
        let lent = send(&homing, "GET", "/", &cookie(&first));
        assert_eq!((lent.served_by().as_str(), lent.why().as_str()), ("b", "unreachable"), "{style}");
        let again = send(&homing, "GET", "/", &cookie(&lent));
        assert_eq!((again.served_by().as_str(), again.why().as_str()), ("b", "unreachable"), "{style}");
        a.revive();
        finds(&homing, "a", "/", &cookie(&again));
    }
}

#[test]
fn an_application_s_cookie_goes_home_as_the_pool_says() {
    let (mut a, b) = (backend("a"), backend("b"));
    let affinity = "mode = \"cookie\"\nname = \"srv\"\nstyle = \"rewrite\"\nreturn_home = \"now\"";
    let homing = without_ejection(&[&a, &b], affinity).run();
    all_answer(&[&a, &b], "Set-Cookie: srv=1\r\n", "");
    let first = (0..64).map(|_| send(&homing, "GET", "/", "")).find(|r| r.served_by() == "a").unwrap();
    let set = first.field("set-cookie").unwrap();
    let cookie = format!("Cookie: {}\r\n", set.split(';').next().unwrap());
    all_answer(&[&a, &b], "", "");
    a.crash();
    assert_eq!(send(&homing, "GET", "/", &cookie).why(), "unreachable");
    a.revive();
    let reply = send(&homing, "GET", "/", &cookie);
    assert_eq!((reply.served_by().as_str(), reply.why().as_str()), ("a", "returned"));
    finds(&homing, "a", "/", &cookie);
}

#[test]
fn an_application_may_set_our_cookie_where_that_is_preserved() {
    let a = backend("a");
    let homing = sticky(&[&a], "mode = \"cookie\"\nname = \"srv\"\npreserve = true").run();
    all_answer(&[&a], "Set-Cookie: srv=theirs; Path=/\r\n", "");
    let reply = send(&homing, "GET", "/", "");
    assert_eq!(reply.fields("set-cookie"), ["srv=theirs; Path=/"]);
    all_answer(&[&a], "", "");
    let mut client = homing.client();
    client.get("/");
    until_live(&homing, &[1]);
    all_answer(&[&a], "Set-Cookie: srv=; Max-Age=0\r\n", "");
    assert_eq!(client.get("/").fields("set-cookie"), ["srv=; Max-Age=0"]);
    until_live(&homing, &[0]);
}

#[test]
fn a_cookie_for_posts_is_set_by_posts_alone() {
    let a = backend("a");
    let homing = sticky(&[&a], "mode = \"cookie\"\npost_only = true").run();
    for (method, sets) in [("GET", false), ("PUT", false), ("POST", true), ("HEAD", false)] {
        let reply = send(&homing, method, "/", if method == "POST" { "Content-Length: 0\r\n" } else { "" });
        assert_eq!(reply.field("set-cookie").is_some(), sets, "{method}");
    }
    until_live(&homing, &[1]);
}

#[test]
fn a_client_that_keeps_no_cookies_is_found_by_its_id_beside_the_cookie() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = [\"cookie\", \"learn\"]\ncreate = \"header:x-id\"").run();
    all_answer(&[&a, &b], "X-Id: id-NAME\r\n", "");
    let first = send(&homing, "GET", "/", "");
    let home = first.served_by();
    let cookie = first.field("set-cookie").unwrap();
    all_answer(&[&a, &b], "", "");
    finds(&homing, &home, "/", &format!("X-Id: id-{home}\r\n"));
    finds(&homing, &home, "/", &format!("Cookie: {}\r\n", cookie.split(';').next().unwrap()));
    until_live(&homing, if home == "a" { &[1, 0] } else { &[0, 1] });
}

#[test]
fn an_id_beside_a_pin_moves_with_it() {
    let (mut a, b) = (backend("a"), backend("b"));
    let homing = sticky(&[&a, &b], "mode = [\"cookie\", \"learn\"]\ncreate = \"header:x-id\"").run();
    all_answer(&[&a, &b], "X-Id: id-NAME\r\n", "");
    let first = (0..64).map(|_| send(&homing, "GET", "/", "")).find(|r| r.served_by() == "a").unwrap();
    all_answer(&[&a, &b], "", "");
    a.crash();
    let cookie = first.field("set-cookie").unwrap();
    let both = format!("X-Id: id-a\r\nCookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!(send(&homing, "GET", "/", &both).why(), "unreachable");
    a.revive();
    finds(&homing, "b", "/", "X-Id: id-a\r\n");
}
