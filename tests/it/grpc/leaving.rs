//! Backends that die, are sick, go away, are drained; and homing's own end.

use tonic::{Code, Request};

use crate::harness::grpc::{Grpc, GrpcBackend, Word, before, with, word};
use crate::harness::until;

#[test]
fn a_backend_that_dies_in_the_middle_is_unavailable() {
    let mut a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let held = client.spawn(client.saying(with("hold", &[])));
    let mut words = client.list(Request::new(Word { count: 3, ..word("hold") })).unwrap().into_inner();
    for _ in 0..3 {
        client.next(&mut words).unwrap().unwrap();
    }
    until(|| a.open() == 2);
    a.dies();
    let status = client.next(&mut words).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let status = client.wait(held).unwrap().unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    let status = client.say(with("x", &[])).unwrap_err();
    assert_eq!(status.code(), Code::Unavailable, "{status:?}");
    assert!(!status.message().is_empty(), "{status:?}");
}
