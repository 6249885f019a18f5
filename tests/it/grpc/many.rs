//! Many calls at once, over few connections, and over TLS.

use std::collections::BTreeMap;

use crate::harness::grpc::{Grpc, GrpcBackend, before, with};
use crate::harness::until;

#[test]
fn calls_of_one_connection_go_to_all_backends_over_several_connections_each() {
    let [a, b] = ["a", "b"].map(|n| GrpcBackend::with(n, |server| server.max_concurrent_streams(10)));
    let homing = before(&[&a, &b], "", "").run();
    let client = Grpc::connect(homing.address);
    let held: Vec<_> = (0..100).map(|_| client.spawn(client.saying(with("hold", &[])))).collect();
    until(|| a.open() + b.open() == 100);
    assert_eq!((a.open(), b.open()), (50, 50));
    assert!(a.connections() >= 5 && b.connections() >= 5, "{} {}", a.connections(), b.connections());
    assert!(a.connections() <= 10 && b.connections() <= 10, "{} {}", a.connections(), b.connections());
    a.lets_go();
    b.lets_go();
    let mut by = BTreeMap::new();
    for held in held {
        *by.entry(client.wait(held).unwrap().unwrap().into_inner().text).or_insert(0) += 1;
    }
    assert_eq!(by, BTreeMap::from([("a".to_owned(), 50), ("b".to_owned(), 50)]));
}
