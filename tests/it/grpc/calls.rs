//! Calls of each kind, and what goes with them.

use std::time::Duration;

use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Status};

use crate::harness::grpc::{Grpc, GrpcBackend, Word, before, with, word};
use crate::harness::{get, pause, until};

#[test]
fn one_word_for_another() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    for _ in 0..3 {
        assert_eq!(client.say(with("x", &[])).unwrap().into_inner().text, "a");
    }
    assert_eq!(a.calls(), 3);
}

#[test]
fn many_words_one_way_and_the_other() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let mut words = client.list(Request::new(Word { count: 1000, ..word("") })).unwrap().into_inner();
    for n in 0..1000 {
        assert_eq!(client.next(&mut words).unwrap().unwrap().count, n);
    }
    assert_eq!(client.next(&mut words).unwrap(), None);
    assert!(client.wait(words.trailers()).unwrap().is_some(), "the status came in trailers");
    let list = (0..1000).map(|_| Word { load: vec![7; 100], ..word("") }).collect();
    let sum = client.sum(list).unwrap().into_inner();
    assert_eq!((sum.text.as_str(), sum.count), ("a 100000", 1000));
    assert_eq!(client.sum(Vec::new()).unwrap().into_inner().count, 0);
    let mut none = client.list(Request::new(word(""))).unwrap().into_inner();
    assert_eq!(client.next(&mut none).unwrap(), None);
}

#[test]
fn a_conversation_may_pause_for_longer_than_a_body_may() {
    let a = GrpcBackend::new("a");
    let timeouts = "[listener.timeouts]\nbody = \"50ms\"\n";
    let setup = before(&[&a], "", "").listener(timeouts);
    let homing = setup.run();
    let client = Grpc::connect(homing.address);
    for is_late in [false, true] {
        let mut metadata = MetadataMap::new();
        if is_late {
            metadata.insert("x-late", "1".parse().unwrap());
        }
        let before = a.calls();
        let talk = client.chat(metadata);
        until(|| a.calls() > before);
        // Nobody says anything for several times as long as a body may pause, while others are served.
        for _ in 0..10 {
            client.say(with("x", &[])).unwrap();
            pause(Duration::from_millis(30));
        }
        client.wait(talk.out.send(word("1"))).unwrap();
        let mut heard = client.wait(talk.answer).unwrap().unwrap().into_inner();
        assert_eq!(client.next(&mut heard).unwrap().unwrap().text, "a");
        for n in 0..10 {
            pause(Duration::from_millis(20));
            client.wait(talk.out.send(Word { count: n, ..word("") })).unwrap();
            assert_eq!(client.next(&mut heard).unwrap().unwrap().count, n);
        }
        drop(talk.out);
        assert_eq!(client.next(&mut heard).unwrap(), None);
    }
    until(|| a.open() == 0);
    assert_eq!(a.cancelled(), 0);
}

fn check_failure(status: &Status) {
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, "n\u{e4}h: 100 %"));
    assert_eq!(status.details(), b"\x08\x09\x12\x05why\xff\x00");
    assert_eq!(status.metadata().get("x-why").unwrap(), "a");
    assert_eq!(status.metadata().get_bin("x-why-bin").unwrap().to_bytes().unwrap().as_ref(), [0, 255, 10]);
}

#[test]
fn a_failure_comes_with_message_details_and_metadata() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    check_failure(&client.say(with("fail", &[])).unwrap_err());
    for count in [0, 1, 100] {
        let mut words = client.list(Request::new(Word { count, ..word("fail") })).unwrap().into_inner();
        for _ in 0..count {
            assert!(client.next(&mut words).unwrap().is_some());
        }
        check_failure(&client.next(&mut words).unwrap_err());
    }
    // It is the application's word, and no failure of its backend.
    assert_eq!(client.whose(with("x", &[])), "a");
}

#[test]
fn metadata_passes_both_ways() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let mut request = with("x", &[("authorization", "Bearer a.b.c"), ("x-utf", "caf%C3%A9")]);
    let metadata = request.metadata_mut();
    for text in ["one", "two, three", ""] {
        metadata.append("x-echo", text.parse().unwrap());
    }
    let blobs: [&[u8]; 3] = [&[0, 1, 2, 255], b"", &[b','; 300]];
    for blob in blobs {
        metadata.append_bin("x-echo-bin", MetadataValue::from_bytes(blob));
    }
    let response = client.say(request).unwrap();
    let seen = a.metadata();
    assert_eq!(seen.get("authorization").unwrap(), "Bearer a.b.c");
    for metadata in [&seen, response.metadata()] {
        let texts: Vec<_> = metadata.get_all("x-echo").iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(texts, ["one", "two, three", ""]);
        let bytes: Vec<_> =
            metadata.get_all_bin("x-echo-bin").iter().map(|v| v.to_bytes().unwrap()).collect();
        assert_eq!(bytes, blobs);
    }
}

#[test]
fn a_deadline_reaches_the_backend_and_ends_the_call_there_too() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let mut request = with("x", &[]);
    request.set_timeout(Duration::from_secs(77));
    client.say(request).unwrap();
    let told = a.metadata().get("grpc-timeout").map(|v| v.to_str().unwrap().to_owned());
    assert_eq!(told.as_deref(), Some("77000000u"));
    let mut request = with("hold", &[]);
    request.set_timeout(Duration::from_millis(200));
    let status = client.say(request).unwrap_err();
    assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
    until(|| a.cancelled() == 1 && a.open() == 0);
}

#[test]
fn a_client_that_gives_up_is_seen_to_by_the_backend() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let held = client.spawn(client.saying(with("hold", &[])));
    until(|| a.open() == 1);
    held.abort();
    until(|| a.cancelled() == 1);
    let mut words = client.list(Request::new(Word { count: 2, ..word("hold") })).unwrap().into_inner();
    assert_eq!(client.next(&mut words).unwrap().unwrap().count, 0);
    drop(words);
    until(|| a.cancelled() == 2);
    let talk = client.chat(MetadataMap::new());
    client.wait(talk.out.send(word("1"))).unwrap();
    let mut heard = client.wait(talk.answer).unwrap().unwrap().into_inner();
    client.next(&mut heard).unwrap().unwrap();
    talk.gives_up.cancel();
    // To tonic's service it is the end of what it hears, which the client has not said.
    until(|| a.open() == 0);
    drop(talk.out);
    // And one that is gone with its connection.
    let other = Grpc::connect(homing.address);
    let _held = other.spawn(other.saying(with("hold", &[])));
    until(|| a.open() == 1);
    drop(other);
    until(|| a.cancelled() == 3 && a.open() == 0);
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":0"));
    assert_eq!(client.whose(with("x", &[])), "a");
}

#[test]
fn large_messages_go_both_ways_and_who_does_not_read_holds_up_no_other() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let load: Vec<u8> = (0..6_000_000_u32).map(|n| (n % 251) as u8).collect();
    let response = client.say(Request::new(Word { load: load.clone(), ..word("x") })).unwrap();
    assert!(response.into_inner().load == load);
    // More than all windows together, and nobody reads it.
    let slow = client.list(Request::new(Word { count: 40, load: load.clone(), ..word("") })).unwrap();
    for _ in 0..10 {
        assert_eq!(client.whose(with("x", &[])), "a");
    }
    let mut slow = slow.into_inner();
    for n in 0..5 {
        let word = client.next(&mut slow).unwrap().unwrap();
        assert!(word.count == n && word.load == load);
    }
    drop(slow);
    let sum = client.sum(vec![Word { load, ..word("") }; 4]).unwrap().into_inner();
    assert_eq!(sum.text, "a 24000000");
}

#[test]
fn a_method_that_is_not_there_is_the_backends_to_tell() {
    let a = GrpcBackend::new("a");
    let homing = before(&[&a], "", "").run();
    let client = Grpc::connect(homing.address);
    let status = client.call("/test.Talk/Nothing", word("x")).unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "no such method"));
    let status = client.call("/test.Other/Say", word("x")).unwrap_err();
    assert_eq!(status.code(), Code::Unimplemented);
    assert_eq!(get(homing.admin, "/readyz").status, 200);
}
