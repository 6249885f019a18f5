//! Who calls again is answered by the same backend.

use crate::harness::grpc::{Grpc, GrpcBackend, before, with};

#[test]
fn by_metadata() {
    let [a, b, c] = ["a", "b", "c"].map(GrpcBackend::new);
    for kind in ["rendezvous", "hash", "maglev"] {
        let strategy = format!("strategy = {{ kind = \"{kind}\", key = \"header:x-user\" }}");
        let homing = before(&[&a, &b, &c], &strategy, "").run();
        let clients = [Grpc::connect(homing.address), Grpc::connect(homing.address)];
        let mut homes = std::collections::BTreeSet::new();
        for user in 0..30 {
            let user = format!("user-{user}");
            let whose = |client: &Grpc| client.whose(with("x", &[("x-user", &user)]));
            let home = whose(&clients[0]);
            assert!((0..4).all(|n| whose(&clients[n % 2]) == home), "{kind} {user}");
            homes.insert(home);
        }
        assert_eq!(homes.len(), 3, "{kind}");
    }
}
