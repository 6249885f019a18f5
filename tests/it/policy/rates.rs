//! Rates: of the whole process, by key, over a reload. Rates are so low that nothing comes back while a test runs.

use super::{BEHIND, from, from_at, is_counted, is_refused};
use crate::harness::{Homing, Reply, backend, exchange, homing};

fn limited(key: &str, burst: u32) -> String {
    format!("\n[[route]]\npool = \"app\"\nrate_limit = {{ key = {key}, rate = \"2/h\", burst = {burst} }}\n")
}

fn with_key(homing: &Homing, key: &str) -> Reply {
    homing.send(format!("GET / HTTP/1.1\r\nHost: t\r\n{key}Connection: close\r\n\r\n"))
}

#[test]
fn an_address_has_its_burst_over_all_workers_and_another_has_its_own() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(BEHIND).with(&limited("\"client_ip\"", 8)).run();
    let address = homing.address;
    let passed = std::thread::scope(|s| {
        let ask = || (0..5).filter(|_| from_at(address, "192.0.2.1", "/").status == 200).count();
        let threads: Vec<_> = (0..4).map(|_| s.spawn(ask)).collect();
        threads.into_iter().map(|t| t.join().unwrap()).sum::<usize>()
    });
    assert_eq!((passed, a.requests().len()), (8, 8));
    is_counted(&homing, "rate_limit", 12);
    let reply = from(&homing, "192.0.2.1", "/");
    is_refused(&reply, 429, "rate_limit");
    let wait: u64 = reply.field("retry-after").unwrap().parse().unwrap();
    assert!((1700..=1800).contains(&wait), "{wait}");
    assert_eq!(from(&homing, "192.0.2.2", "/").status, 200);
}

#[test]
fn an_ipv6_network_has_one_budget() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(BEHIND).with(&limited("\"client_ip\"", 1)).run();
    assert_eq!(from(&homing, "2001:db8::1", "/").status, 200);
    assert_eq!(from(&homing, "2001:db8::ffff:2", "/").status, 429);
    assert_eq!(from(&homing, "2001:db8:0:1::1", "/").status, 200);
}

#[test]
fn who_leaves_the_key_out_is_known_by_address() {
    let a = backend("a");
    let homing = homing(&[&a]).with(&limited("\"header:x-api-key\"", 1)).run();
    let statuses = [
        "X-Api-Key: one\r\n",
        "X-Api-Key: one\r\n",
        "X-Api-Key: two\r\n",
        "",
        "",
        "X-Api-Key:\r\n",
        "X-Api-Key: 127.0.0.1\r\n",
    ];
    let statuses = statuses.map(|key| with_key(&homing, key).status);
    assert_eq!(statuses, [200, 429, 200, 200, 429, 429, 200]);
}

#[test]
fn a_session_has_its_own_budget_and_a_forged_one_none() {
    let a = backend("a");
    let homing = homing(&[&a]).listener(BEHIND).cookie().with(&limited("\"pin\"", 2)).run();
    let ask = |cookie: &str| {
        let cookie = if cookie.is_empty() { String::new() } else { format!("Cookie: srv={cookie}\r\n") };
        with_key(&homing, &format!("X-Forwarded-For: 192.0.2.1\r\n{cookie}"))
    };
    let pin = |reply: &Reply| {
        let set = reply.field("set-cookie").unwrap();
        set.split(';').next().unwrap().strip_prefix("srv=").unwrap().to_owned()
    };
    let (one, two) = (pin(&ask("")), pin(&ask("")));
    assert_eq!(ask("").status, 429, "new sessions are their address's");
    assert_eq!([&one, &one, &one, &two].map(|pin| ask(pin).status), [200, 200, 429, 200]);
    assert_eq!(ask(&format!("{}AAAA", &two[..two.len() - 4])).status, 429, "a forged pin is nobody's");
}

#[test]
fn a_listeners_rate_comes_before_its_routes() {
    let a = backend("a");
    let listener = format!("{BEHIND}rate_limit = {{ rate = \"2/h\", burst = 3 }}\n");
    let route = "\n[[route]]\npool = \"app\"\n[[route]]\npath = \"/one\"\npool = \"app\"\nrate_limit = { rate = \"1/h\" }\n";
    let homing = homing(&[&a]).listener(&listener).with(route).run();
    let statuses = ["/one", "/one", "/", "/"].map(|path| from(&homing, "192.0.2.1", path).status);
    assert_eq!(statuses, [200, 429, 200, 429]);
}

#[test]
fn a_reload_forgets_nothing_unless_the_rate_changes() {
    let a = backend("a");
    let homing = homing(&[&a]).with(&limited("\"client_ip\"", 1)).spawn();
    let ask = || exchange(homing.address, b"GET / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n").status;
    assert_eq!([ask(), ask()], [200, 429]);
    let text = homing.config();
    let more = format!("{text}\n[[route]]\nhost = \"other.test\"\npool = \"app\"\n");
    homing.reload(&more.replace("name = \"app\"\n", "name = \"app\"\nmax_fails = 7\n"));
    assert_eq!(ask(), 429);
    homing.reload(&text.replace("burst = 1", "burst = 2"));
    assert_eq!([ask(), ask(), ask()], [200, 200, 429]);
}
