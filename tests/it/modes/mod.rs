//! What carries sessions besides a cookie of homing's own: the application's ids, its routes, and a header.

mod learn;
mod pins;
mod points;
mod presets;
mod route;

use crate::harness::{Backend, Homing, Reply, Setup, homing};

/// Two backends' homing with this affinity.
fn sticky(backends: &[&Backend], affinity: &str) -> Setup {
    homing(backends).with(&format!("\n[pool.affinity]\n{affinity}\n"))
}

/// The same, and failures close no backend.
fn without_ejection(backends: &[&Backend], affinity: &str) -> Setup {
    let list = backends.iter().map(|b| format!("{{ name = \"{}\", address = \"{}\" }}", b.name, b.address));
    let pool = format!("max_fails = 0\nbackends = [{}]\n", list.collect::<Vec<_>>().join(", "));
    homing(&[]).pool(&pool).with(&format!("\n[pool.affinity]\n{affinity}\n"))
}

/// From now on both answer 200 with their name, these fields and this body; `NAME` in either is their name.
fn all_answer(backends: &[&Backend], fields: &str, body: &str) {
    for backend in backends {
        let (name, body) = (backend.name, body.replace("NAME", backend.name));
        let head = format!("HTTP/1.1 200 OK\r\nX-Backend: {name}\r\n{}", fields.replace("NAME", name));
        backend.answers(format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()));
    }
}

/// A request with these fields on a connection of its own.
fn send(homing: &Homing, method: &str, target: &str, fields: &str) -> Reply {
    homing.send(format!("{method} {target} HTTP/1.1\r\nHost: t\r\n{fields}Connection: close\r\n\r\n"))
}

/// Sends so many requests without an id that each backend has made one.
fn begin_everywhere(homing: &Homing, method: &str, target: &str) {
    let mut homes = std::collections::BTreeSet::new();
    for _ in 0..64 {
        let reply = send(homing, method, target, "");
        // One whose answer is still being counted is followed.
        assert_eq!(reply.why().replace("followed", "new"), "new");
        homes.insert(reply.served_by());
        if homes.len() == 2 {
            return;
        }
    }
    panic!("only {homes:?} were given sessions");
}

/// That this request finds this home, however often it is sent.
fn finds(homing: &Homing, home: &str, target: &str, fields: &str) {
    for _ in 0..3 {
        let reply = send(homing, "GET", target, fields);
        assert_eq!(
            (reply.served_by().as_str(), reply.why().as_str()),
            (home, "pinned"),
            "{target} {fields:?}"
        );
    }
}

/// Waits until each backend has so many live sessions.
fn until_live(homing: &Homing, expected: &[u64]) {
    homing.until("/api/v1/pools", |text| {
        let pools: serde_json::Value = serde_json::from_str(text).unwrap();
        let backends = pools["pools"][0]["backends"].as_array().unwrap();
        let live: Vec<u64> = backends.iter().map(|b| b["sessions"].as_u64().unwrap()).collect();
        live == expected
    });
}
