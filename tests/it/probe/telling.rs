//! What tells backends apart, and what a person who knows them may say: `--identify`, `--backends`, `--direct`.

use super::programs::{NAMES, Ports, haproxy, nginx, upstream};
use super::{check, details, finding, over, port, told};

#[test]
fn a_body_tells_backends_apart() {
    let ports = Ports::new(5);
    let more = upstream(&ports, 3, "ip_hash;") + &upstream(&ports, 4, "");
    let _nginx = nginx(&ports, &more);
    for (at, kind) in [(3, "source_24"), (4, "none")] {
        let probe = check(&port(&ports, at, "/page"), &["--identify", "body:<b>*</b>"], kind);
        let mut names: Vec<&str> =
            probe["backends"].as_array().unwrap().iter().map(|n| n.as_str().unwrap()).collect();
        names.sort_unstable();
        assert_eq!(names, NAMES);
        assert!(probe["identified_by"].as_str().unwrap().contains("between"), "{probe:#}");
    }
    let probe = told(&port(&ports, 3, "/page"), &["--identify", "body:<i>*</i>"]);
    assert!(probe["sentence"].as_str().unwrap().contains("cannot be told apart"), "{probe:#}");
}

#[test]
fn a_cookie_tells_backends_apart_where_somebody_reads_it() {
    let ports = Ports::new(5);
    let _nginx = nginx(&ports, "");
    let backends = ["balance roundrobin\ncookie SRV insert indirect nocache", "balance roundrobin"];
    let _haproxy = haproxy(&ports, 3, &backends);
    check(&port(&ports, 3, "/page"), &["--identify", "cookie:SRV"], "lb_cookie");
    // The application gives one to whoever has none, and the balancer does not look at it.
    let probe = told(&port(&ports, 4, "/once"), &["--identify", "cookie:node"]);
    assert!(probe["certainty"].as_f64().unwrap() <= 0.5, "{probe:#}");
    assert_eq!(probe["backends"].as_array().unwrap().len(), 3, "a made-up value is no backend: {probe:#}");
}

#[test]
fn addresses_that_a_person_knows_are_read_from_their_digests() {
    let ports = Ports::new(4);
    let _nginx = nginx(&ports, "");
    let _haproxy = haproxy(&ports, 3, &["balance roundrobin\ncookie digest insert indirect nocache"]);
    let known: Vec<String> =
        NAMES.iter().enumerate().map(|(i, name)| format!("{name}=127.0.0.1:{}", ports.get(i))).collect();
    let leak = |words: &[&str]| {
        let probe = check(&port(&ports, 3, "/"), words, "lb_cookie");
        finding(&probe, "T16", "digest").1.to_owned()
    };
    assert!(!leak(&[]).contains("it names a backend"), "nobody knows whose digest it is");
    let told = leak(&["--backends", &known.join(",")]);
    assert!(told.contains("it names a backend: ") && told.contains(" at 127.0.0.1:"), "{told}");
}

#[test]
fn a_backend_asked_directly_tells_whose_a_cookie_is() {
    let ports = Ports::new(5);
    let _nginx = nginx(&ports, "");
    let table = "stick-table type string len 64 size 100k\nstick on req.cook(odd)\nstick store-response res.cook(odd)";
    let backends =
        [&*format!("balance leastconn\n{table}"), "balance roundrobin\ncookie SRV insert indirect nocache"];
    let _haproxy = haproxy(&ports, 3, &backends);
    let direct = format!("http://127.0.0.1:{}/", ports.get(0));
    let probe = told(&port(&ports, 3, "/odd"), &["--direct", &direct]);
    assert_eq!(probe["kind"], "app_cookie_table", "{probe:#}");
    assert_eq!(finding(&probe, "T16", "without the balancer").0, "note");
    let asked = "Set-Cookie of odd says: the application's (a backend asked directly sets it too)";
    finding(&probe, "T16", asked);

    let homing = over(&ports, "strategy = \"round_robin\"", "\n[pool.affinity]\nmode = \"cookie\"\n");
    for url in [super::at(homing.address, "/"), port(&ports, 4, "/")] {
        let probe = check(&url, &["--direct", &direct], "lb_cookie");
        assert!(details(&probe).contains("a backend asked directly does not set it"), "{probe:#}");
    }
    let probe = told(&port(&ports, 4, "/"), &["--direct", "http://127.0.0.1:1/"]);
    let (mark, why) = finding(&probe, "T16", "without the balancer");
    assert!(mark == "left_out" && why.contains("does not answer"), "{probe:#}");
    let ran = super::ask(&[&port(&ports, 4, "/"), "--direct", "nowhere"]);
    assert_eq!(ran.status.code(), Some(2), "{ran:?}");
}
