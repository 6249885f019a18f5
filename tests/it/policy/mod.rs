//! What a listener and a route ask of a request before its pool is asked: who, how often, how large; and what they
//! answer themselves.

mod aging;
mod answers;
mod bodies;
mod http2;
mod paths;
mod rates;

use std::io::Write as _;
use std::net::SocketAddr;

use crate::harness::{Homing, Reply, backend, exchange, homing, open, read_reply, until};

const BEHIND: &str = "trusted_proxies = [\"127.0.0.1\"]\n";

/// From a client behind a trusted proxy.
fn from(homing: &Homing, ip: &str, path: &str) -> Reply {
    from_at(homing.address, ip, path)
}

/// The same, of an address that threads share.
fn from_at(address: SocketAddr, ip: &str, path: &str) -> Reply {
    let head =
        format!("GET {path} HTTP/1.1\r\nHost: t\r\nX-Forwarded-For: {ip}\r\nConnection: close\r\n\r\n");
    exchange(address, head.as_bytes())
}

/// Whether it is turned away for this reason, with this status.
fn is_refused(reply: &Reply, status: u16, reason: &str) {
    let is = (reply.status, reply.text().contains(&format!("({reason})")));
    assert_eq!(is, (status, true), "{}{}", reply.head, reply.text());
}

/// Waits until so many requests are counted as answered for this reason.
fn is_counted(homing: &Homing, reason: &str, times: u64) {
    let line = format!("homing_refusals_total{{reason=\"{reason}\"}} {times}");
    homing.until("/metrics", |text| text.lines().any(|l| l == line));
}

#[test]
fn who_is_denied_and_who_is_not_allowed_does_not_come_in() {
    let a = backend("a");
    let listener = format!("{BEHIND}deny = [\"10.6.0.0/16\", \"2001:db8:6::/48\"]\n");
    let route = "\n[[route]]\npool = \"app\"\n[[route]]\npath = \"/inside\"\npool = \"app\"\n\
                 allow = [\"10.0.0.0/8\"]\ndeny = [\"10.7.0.0/16\"]\n";
    let homing = homing(&[&a]).listener(&listener).with(route).run();
    for (ip, path, served) in [
        ("192.0.2.1", "/", true),
        ("10.6.0.1", "/", false),
        ("::ffff:10.6.0.1", "/", false),
        ("2001:db8:6::1", "/", false),
        ("2001:db8:7::1", "/", true),
        ("192.0.2.1", "/inside", false),
        ("10.1.0.1", "/inside/x", true),
        ("10.7.0.1", "/inside", false),
        ("10.6.0.1", "/inside", false),
        ("192.0.2.1", "/insidex", true),
        ("192.0.2.1", "/%69nside/x", false),
        ("192.0.2.1", "//inside", false),
        ("192.0.2.1", "/x/%2e./inside", false),
        ("10.1.0.1", "/%69nside", true),
    ] {
        let (before, reply) = (a.requests().len(), from(&homing, ip, path));
        match served {
            true => assert_eq!(reply.served_by(), "a", "{ip} {path}"),
            false => is_refused(&reply, 403, "denied"),
        }
        assert_eq!(a.requests().len() - before, usize::from(served), "{ip} {path}");
    }
    is_counted(&homing, "denied", 9);
}

/// Who is not trusted cannot pass for somebody who may come in.
#[test]
fn a_clients_own_word_for_its_address_opens_nothing() {
    let a = backend("a");
    let homing = homing(&[&a]).listener("allow = [\"192.0.2.0/24\"]\n").run();
    is_refused(&from(&homing, "192.0.2.1", "/"), 403, "denied");
}

#[test]
fn who_is_turned_away_keeps_the_connection_and_is_logged_with_his_address() {
    let a = backend("a");
    let listener = format!("{BEHIND}deny = [\"10.6.0.0/16\"]\n");
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("access.log");
    let access = format!("[access_log]\nformat = \"json\"\npath = {:?}\n", log.to_str().unwrap());
    let homing = homing(&[&a])
        .listener(&listener)
        .run_edited(|t| t.replace("[access_log]\nformat = \"off\"\n", &access));
    let mut stream = open(homing.address);
    for (ip, status) in [("10.6.0.1", 403), ("192.0.2.1", 200), ("10.6.0.2", 403)] {
        let request = format!(
            "GET /x?y HTTP/1.1\r\nHost: shop.test\r\nX-Forwarded-For: {ip}\r\nUser-Agent: t/1\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_reply(&mut stream, &mut Vec::new(), true).status, status);
    }
    let lines = || std::fs::read_to_string(&log).unwrap_or_default();
    until(|| lines().lines().count() == 3);
    let text = lines();
    let first: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
    let field = |name: &str| first[name].as_str().unwrap_or_default().to_owned();
    let is =
        [field("client_ip"), field("peer_ip"), field("host"), field("path"), field("query"), field("end")];
    assert_eq!([field("proto"), field("ua")], ["HTTP/1.1", "t/1"], "{first}");
    assert_eq!(is, ["10.6.0.1", "127.0.0.1", "shop.test", "/x", "y", "denied"], "{first}");
}
