//! Tunnels that end politely: whole frames, then a Close with 1001, both ways (RFC 6455 sections 5.5.1, 7.1, 7.4.1).

use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use homing::snapshot::phases::Phase;

use crate::harness::websocket::{BEGINS, CLOSE, Frame, GOES_ON, Peer, TEXT, homing_for_tunnels, tunnel};
use crate::harness::{Does, Homing, backend, homing, open, until};

fn assert_going_away(peer: &mut Peer, is_masked: bool) {
    let frame = peer.receive().expect("ended without a word");
    assert!(frame.closes_with(1001) && frame.is_masked == is_masked, "{frame:?}");
}

fn until_no_tunnel(homing: &Homing) {
    homing.until("/api/v1/pools", |text| text.contains("\"tunnels\":0") && text.contains("\"in_flight\":0"));
}

#[test]
fn a_cut_closes_both_ends_with_1001() {
    let (homing, listener) = homing_for_tunnels();
    let (mut client, mut backend) = tunnel(&homing, &listener);
    client.send(TEXT, b"hello");
    assert_eq!(backend.receive().unwrap().payload, b"hello");
    homing.until("/api/v1/pools", |text| text.contains("\"tunnels\":1"));
    homing.cut(0);
    assert_going_away(&mut client, false);
    assert_going_away(&mut backend, true);
    client.send(CLOSE, &1001_u16.to_be_bytes());
    backend.send(CLOSE, &1001_u16.to_be_bytes());
    assert_eq!((client.receive(), backend.receive()), (None, None));
    until_no_tunnel(&homing);
}

#[test]
fn a_frame_under_way_passes_whole_and_no_further_one_begins() {
    for length in [3, 200, 100_000] {
        let (homing, listener) = homing_for_tunnels();
        let (mut client, mut backend) = tunnel(&homing, &listener);
        let payload = vec![b'x'; length];
        let frame = client.bytes(TEXT, &payload);
        for cut in [1, 5, frame.len() - 1] {
            let (front, back) = frame.split_at(cut);
            client.write(front);
            backend.await_bytes(front.len());
            let (mut other, mut its_backend) = tunnel(&homing, &listener);
            homing.cut(0);
            // The way down stands at a border, so that its word tells that the cut is known.
            assert_going_away(&mut client, false);
            assert_going_away(&mut other, false);
            assert_going_away(&mut its_backend, true);
            client.write(back);
            client.send(TEXT, b"too late");
            assert_eq!(
                backend.receive(),
                Some(Frame { first: TEXT, is_masked: true, payload: payload.clone() })
            );
            assert_going_away(&mut backend, true);
            client.send(CLOSE, b"");
            assert_eq!(client.receive(), None);
            homing.mend(0);
            (client, backend) = tunnel(&homing, &listener);
        }
    }
}

#[test]
fn a_frame_of_the_backend_passes_whole_too() {
    let (homing, listener) = homing_for_tunnels();
    let (mut client, mut backend) = tunnel(&homing, &listener);
    let frame = backend.bytes(TEXT, &[b'y'; 70_000]);
    backend.write(&frame[..30_000]);
    client.await_bytes(30_000);
    homing.cut(0);
    assert_going_away(&mut backend, true);
    backend.write(&frame[30_000..]);
    backend.send(CLOSE, b"");
    assert_eq!(client.receive().unwrap().payload.len(), 70_000);
    assert_going_away(&mut client, false);
    client.send(CLOSE, b"");
    assert_eq!(client.receive(), None);
}

#[test]
fn a_close_may_stand_between_the_fragments_of_a_message() {
    let (homing, listener) = homing_for_tunnels();
    let (mut client, mut backend) = tunnel(&homing, &listener);
    client.send(BEGINS, b"the fir");
    assert_eq!(backend.receive().unwrap().first, BEGINS);
    homing.cut(0);
    assert_going_away(&mut client, false);
    client.send(GOES_ON, b"st");
    assert_going_away(&mut backend, true);
    client.send(CLOSE, b"");
    assert_eq!(client.receive(), None);
}

#[test]
fn a_client_does_not_wait_for_a_backend_that_does_not_answer() {
    let (homing, listener) = homing_for_tunnels();
    let (mut client, mut backend) = tunnel(&homing, &listener);
    homing.cut(0);
    assert_going_away(&mut client, false);
    assert_going_away(&mut backend, true);
    client.send(CLOSE, b"");
    assert_eq!(client.receive(), None);
    assert!(backend.is_quiet(), "the backend has its time");
}

#[test]
fn nobody_is_waited_for_without_end() {
    let a = backend("a");
    let plain = homing(&[&a]).run();
    a.does(Does::Echo(b"this is no WebSocket"));
    let mut stream = open(plain.address);
    stream
        .write_all(b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n\xff\xff")
        .unwrap();
    plain.until("/api/v1/pools", |text| text.contains("\"tunnels\":1"));
    plain.cut(0);
    let (homing, listener) = homing_for_tunnels();
    let (mut silent, mut its_backend) = tunnel(&homing, &listener);
    let (mut half, mut half_backend) = tunnel(&homing, &listener);
    half.write(&half.bytes(TEXT, &[b'x'; 1000])[..500]);
    half_backend.await_bytes(500);
    homing.cut(0);
    assert_going_away(&mut silent, false);
    assert_going_away(&mut its_backend, true);
    assert_going_away(&mut half, false);
    assert_eq!((silent.receive(), its_backend.receive(), half.receive()), (None, None, None));
    until_no_tunnel(&homing);
    until_no_tunnel(&plain);
}

#[test]
fn who_has_closed_already_is_sent_no_second_word() {
    let (homing, listener) = homing_for_tunnels();
    let (mut client, mut backend) = tunnel(&homing, &listener);
    client.send(CLOSE, &1000_u16.to_be_bytes());
    assert!(backend.receive().unwrap().closes_with(1000));
    homing.cut(0);
    assert_going_away(&mut client, false);
    assert_eq!(client.receive(), None);
    backend.send(CLOSE, &1000_u16.to_be_bytes());
    assert_eq!(backend.receive(), None);
    until_no_tunnel(&homing);
}

#[test]
fn ends_that_are_busy_get_whole_frames_and_then_the_word() {
    let (homing, listener) = homing_for_tunnels();
    let (client, backend) = tunnel(&homing, &listener);
    let is_told = Arc::new(AtomicBool::new(false));
    let busy = |mut peer: Peer, is_masked: bool| {
        let mut sender = peer.stream.try_clone().unwrap();
        let (frame, close) = (peer.bytes(TEXT, &[b'z'; 5_003]), peer.bytes(CLOSE, b""));
        let told = Arc::clone(&is_told);
        let sending = std::thread::spawn(move || {
            while !told.load(Ordering::SeqCst) {
                sender.write_all(&frame).unwrap();
            }
            // The other side may be through already.
            let _ = sender.write_all(&close);
        });
        let receiving = std::thread::spawn(move || {
            loop {
                let frame = peer.receive().expect("ended without a word");
                if frame.closes_with(1001) {
                    assert_eq!(frame.is_masked, is_masked);
                    return peer;
                }
                assert_eq!((frame.first, frame.payload.len()), (TEXT, 5_003));
            }
        });
        (sending, receiving)
    };
    let (up, client) = busy(client, false);
    let (down, backend) = busy(backend, true);
    homing.until("/api/v1/pools", |text| text.contains("\"tunnels\":1"));
    homing.cut(0);
    let ends = (client.join().unwrap(), backend.join().unwrap());
    is_told.store(true, Ordering::SeqCst);
    up.join().unwrap();
    down.join().unwrap();
    until_no_tunnel(&homing);
    drop(ends);
}

#[test]
fn a_cut_ends_the_tunnels_of_one_backend_and_those_to_come_until_it_is_mended() {
    let (a, b) = (backend("a"), backend("b"));
    let homing = homing(&[&a, &b]).run();
    a.does(Does::Echo(b""));
    b.does(Does::Echo(b""));
    let ask = b"GET / HTTP/1.1\r\nHost: t\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let tunnels = || {
        let mut tunnels: Vec<_> = (0..4).map(|_| open(homing.address)).collect();
        tunnels.iter_mut().for_each(|t| t.write_all(ask).unwrap());
        tunnels
    };
    let load = |backend: u16| homing.tunnels(backend);
    let first = tunnels();
    until(|| load(0) + load(1) == 4);
    let others = load(1);
    homing.cut(0);
    until(|| load(0) == 0);
    assert_eq!(load(1), others);
    homing.mend(0);
    let second = tunnels();
    until(|| load(0) > 0 && load(0) + load(1) == 4 + others);
    drop((first, second));
}

#[test]
fn homing_says_the_word_when_it_ends_itself() {
    let (homing, listener) = homing_for_tunnels();
    let (mut client, mut backend) = tunnel(&homing, &listener);
    homing.phases().advance(Phase::Drain);
    client.send(TEXT, b"still here");
    assert_eq!(backend.receive().unwrap().payload, b"still here");
    homing.phases().advance(Phase::Cut);
    assert_going_away(&mut client, false);
    assert_going_away(&mut backend, true);
    client.send(CLOSE, b"");
    backend.send(CLOSE, b"");
    assert_eq!((client.receive(), backend.receive()), (None, None));
    homing.join();
}
