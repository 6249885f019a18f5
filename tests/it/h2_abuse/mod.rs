//! When clients abuse HTTP/2: whoever is honest is served throughout, memory stays bounded, the attacker is ended and
//! counted by what it did; and what honest clients do is no abuse.
//!
//! What was measured is printed: `cargo test --test it h2_abuse -- --nocapture`.

mod honest;

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;

use socket2::{Domain, SockRef, Socket, Type};

use crate::attacks::siege::{Served, Siege};
use crate::harness::h2::{
    COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, ENHANCE_YOUR_CALM, Event,
    FRAME_SIZE_ERROR, GO_AWAY, HEADERS, LARGEST_WINDOW, PADDED, PREFACE, PRIORITY, PROTOCOL_ERROR, Raw,
    STREAM_CLOSED, WITH_PRIORITY, block, field, frame, get, learned, ping, post, request, reset, settings,
    window,
};
use crate::harness::http2::Http2;
use crate::harness::until;

/// The most memory that any attack may add, in KiB.
const MEMORY: u64 = 64 * 1024;
/// Connections of an attack in which each is soon over.
const ATTACKERS: usize = 8;
/// Connections of one in which all are held.
const HELD: usize = 40;
/// Connections of one with a hundred streams each that are held: as long as an answer is, so is up to 64 KiB of it.
const HELD_WITH_STREAMS: usize = 6;
/// The same where nothing is read, so that as much again waits to be written.
const UNREAD: usize = 3;
/// Frames of a flood.
const FLOOD: usize = 20_000;

const INITIAL_WINDOW_SIZE: u16 = 4;

/// As what resets count that we were made to send: as long as they are not sent, their streams are open, and further
/// ones are too many.
const MADE: &[&str] = &["provoked", "refused"];

fn besieged(listener: &str) -> Siege {
    Siege::set_among(&format!("h2c = true\n{listener}"), be_honest)
}

/// An honest client of HTTP/2, which comes anew now and then.
fn be_honest(address: SocketAddr, over: &AtomicBool) -> Served {
    let mut client = Http2::connect(address);
    let mut asked = 0;
    Served::until(over, |method, path| {
        asked += 1;
        if asked % 50 == 0 {
            client = Http2::connect(address);
        }
        let answered = client.send(client.request(method, path)).unwrap();
        (answered.head.status().as_u16(), answered.body.len())
    })
}

impl Siege {
    /// How often this was counted.
    fn abused(&self, kind: &str) -> f64 {
        self.metric(&format!("homing_h2_abuse_total{{listener=\"web\",kind=\"{kind}\"}}"))
    }

    /// Attacks by connections that each say this, and are each ended by one of these codes, and counted as one of
    /// these kinds, if there are any.
    fn ends(&self, name: &str, says: &[u8], kinds: &[&str], codes: &[u32]) {
        let count = || kinds.iter().map(|kind| self.abused(kind)).sum::<f64>();
        let before = count();
        let mut ended = 0.0;
        self.under(name, MEMORY, |address| {
            for _ in 0..ATTACKERS {
                let mut attacker = Raw::begin(address, &[]);
                attacker.flood(says);
                let code = attacker.code();
                assert!(code.is_some_and(|code| codes.contains(&code)), "{name}: {code:?}");
                ended += 1.0;
            }
        });
        let told = self.metrics("homing_h2_abuse_total");
        let counted = if kinds.is_empty() { 0.0 } else { ended };
        assert_eq!(count() - before, counted, "{name} is counted as {kinds:?}: {told:?}");
    }
}

/// The same on so many streams.
fn on_streams(count: usize, each: impl Fn(u32) -> Vec<u8>) -> Vec<u8> {
    (0..count as u32).flat_map(|n| each(2 * n + 1)).collect()
}

#[test]
fn rapid_resets() {
    let siege = besieged("");
    let says = on_streams(5_000, |id| [get(id, "/large/200000"), reset(id, 8)].concat());
    siege.ends("rapid resets", &says, &["resets"], &[ENHANCE_YOUR_CALM]);
}

#[test]
fn resets_that_we_are_made_to_send() {
    let siege = besieged("");
    let calm = &[ENHANCE_YOUR_CALM];
    let says = on_streams(1_000, |id| [get(id, "/events"), window(id, LARGEST_WINDOW)].concat());
    siege.ends("windows over their bound", &says, MADE, calm);
    let says = on_streams(1_000, |id| {
        let head = [&*request("GET", "/"), &*field("te", "everything")].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, id, &head)
    });
    siege.ends("malformed requests", &says, MADE, calm);
    let says = on_streams(1_000, |id| {
        let depends_on_itself = [&id.to_be_bytes()[..], &[255], &request("GET", "/")].concat();
        frame(HEADERS, END_STREAM | END_HEADERS | WITH_PRIORITY, id, &depends_on_itself)
    });
    siege.ends("streams that depend on themselves", &says, MADE, calm);
    let says = on_streams(1_000, |id| {
        let head = [&*request("POST", "/events"), &*field("content-length", "1")].concat();
        [frame(HEADERS, END_HEADERS, id, &head), frame(DATA, 0, id, b"xy")].concat()
    });
    siege.ends("more body than was said", &says, MADE, calm);
    let says = on_streams(1_000, |id| get(id, "/events"));
    siege.ends("more streams than there may be", &says, &["refused"], calm);

    // These end the connection at once, and so are no way to make us reset many streams.
    let says = on_streams(1_000, |id| [get(id, "/events"), window(id, 0)].concat());
    siege.ends("increments of 0", &says, &[], &[PROTOCOL_ERROR]);
    let says = on_streams(1_000, |id| [get(id, "/events"), frame(DATA, END_STREAM, id, b"x")].concat());
    siege.ends("DATA behind the end", &says, &[], &[STREAM_CLOSED]);
    let says = on_streams(1_000, |id| [get(id, "/events"), frame(PRIORITY, 0, id, &[0; 4])].concat());
    siege.ends("PRIORITY of the wrong length", &says, &[], &[FRAME_SIZE_ERROR]);
}

#[test]
fn header_blocks_that_do_not_end() {
    let siege = besieged("");
    let head = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
    let flood =
        |piece: &[u8], count: usize| [&*head, &frame(CONTINUATION, 0, 1, piece).repeat(count)].concat();
    let calm = &[ENHANCE_YOUR_CALM];
    siege.ends("empty CONTINUATION frames", &flood(b"", FLOOD), &["continuation"], calm);
    siege.ends("CONTINUATION frames of one field", &flood(&field("a", "b"), FLOOD), &["continuation"], calm);
    let large = field("x-large", &"x".repeat(16_000));
    // Whichever bound is met first: that on bytes, on what they decode to, or on what is skipped.
    siege.ends(
        "large CONTINUATION frames",
        &flood(&large, 100),
        &[],
        &[ENHANCE_YOUR_CALM, COMPRESSION_ERROR],
    );
}

#[test]
fn floods_of_small_frames() {
    let siege = besieged("");
    for (name, one, kind) in [
        ("SETTINGS", settings(&[(INITIAL_WINDOW_SIZE, 100)]), "settings"),
        ("PING", ping(*b"flooding"), "ping"),
        ("PING that came back", frame(6, 1, 0, b"flooding"), "ping"),
        ("PRIORITY", frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 16]), "priority"),
        ("WINDOW_UPDATE", window(0, 1), "window_update"),
        ("unknown frames", frame(0x42, 0, 0, b"what"), "unknown"),
        ("GOAWAY", frame(GO_AWAY, 0, 0, &[0; 8]), "unknown"),
    ] {
        let says = [get(1, "/events"), one.repeat(FLOOD)].concat();
        siege.ends(name, &says, &[kind], &[ENHANCE_YOUR_CALM]);
    }
    for (name, one) in
        [("empty DATA", frame(DATA, 0, 1, b"")), ("padding", frame(DATA, PADDED, 1, &[3, 0, 0, 0]))]
    {
        let says = [post(1, "/"), one.repeat(FLOOD)].concat();
        siege.ends(name, &says, &["empty_data"], &[ENHANCE_YOUR_CALM]);
    }
}

#[test]
fn heads_that_are_large_once_decoded() {
    let siege = besieged("");
    let entry = learned("x-large", &"x".repeat(3_900));
    let bomb = |references: usize| {
        let head = [request("GET", "/large/100000"), entry.clone(), vec![0xbe; references]].concat();
        frame(HEADERS, END_STREAM | END_HEADERS, 1, &head)
    };
    siege.ends("references to a large field", &bomb(10_000), &["header_list"], &[ENHANCE_YOUR_CALM]);

    let siege = besieged("timeouts = { write = \"1s\" }\n");
    siege.under("heads just below their limit, and no window for the answers", MEMORY, |address| {
        let mut attackers: Vec<Raw> =
            (0..HELD_WITH_STREAMS).map(|_| Raw::begin(address, &[(INITIAL_WINDOW_SIZE, 0)])).collect();
        for attacker in &mut attackers {
            let first = [request("GET", "/large/100000"), entry.clone(), vec![0xbe; 6]].concat();
            attacker.send(&frame(HEADERS, END_STREAM | END_HEADERS, 1, &first));
            for id in (3..200).step_by(2) {
                let head = [request("GET", "/large/100000"), vec![0xbe; 7]].concat();
                attacker.send(&frame(HEADERS, END_STREAM | END_HEADERS, id, &head));
            }
        }
        for attacker in &mut attackers {
            assert!(
                attacker.until(|event| *event == Event::Reset(199, ENHANCE_YOUR_CALM)),
                "{:?}",
                attacker.events()
            );
        }
    });
}

#[test]
fn streams_without_a_window() {
    let siege = besieged("timeouts = { write = \"1s\" }\n");
    let before = siege.abused("zero_window");
    let mut streams = 0.0;
    siege.under("no windows", MEMORY, |address| {
        let mut attackers: Vec<Raw> =
            (0..HELD_WITH_STREAMS).map(|_| Raw::begin(address, &[(INITIAL_WINDOW_SIZE, 0)])).collect();
        for attacker in &mut attackers {
            attacker.send(&on_streams(100, |id| get(id, "/large/1000000")));
        }
        for attacker in &mut attackers {
            for id in (1..200).step_by(2) {
                assert!(attacker.until(|event| *event == Event::Reset(id, ENHANCE_YOUR_CALM)), "stream {id}");
                streams += 1.0;
            }
            assert!(!attacker.is_over());
        }
    });
    assert_eq!(siege.abused("zero_window") - before, streams);
}

#[test]
fn what_stops_half_way() {
    let siege = besieged("timeouts = { head = \"1s\", body = \"1s\" }\n");
    let unended = frame(HEADERS, END_STREAM, 1, &request("GET", "/"));
    let half = |bytes: Vec<u8>| bytes[..bytes.len() - 1].to_vec();
    for (name, says, kind) in [
        ("a header block", unended.clone(), "slow_head"),
        (
            "its second frame",
            [unended, half(frame(CONTINUATION, END_HEADERS, 1, b"abc"))].concat(),
            "slow_head",
        ),
        ("HEADERS", half(get(1, "/")), "slow_head"),
        ("PING", half(ping([0; 8])), "slow_head"),
        ("a frame's header", half(frame(DATA, 0, 1, b"")), "slow_head"),
        ("DATA", [post(1, "/"), half(frame(DATA, 0, 1, &[0; 1_000]))].concat(), "slow_data"),
    ] {
        let before = siege.abused(kind);
        let mut ended = 0.0;
        siege.under(&format!("half of {name}"), MEMORY, |address| {
            let mut attackers: Vec<Raw> = (0..HELD).map(|_| Raw::begin(address, &[])).collect();
            attackers.iter_mut().for_each(|attacker| assert!(attacker.send(&says)));
            for attacker in &mut attackers {
                assert_eq!(attacker.code(), Some(ENHANCE_YOUR_CALM), "{name}");
                ended += 1.0;
            }
        });
        assert_eq!(siege.abused(kind) - before, ended, "{name} is counted as {kind}");
    }
    for length in [1, 20, 24, 30] {
        siege.under(&format!("{length} bytes of a preface"), MEMORY, |address| {
            let begin = [PREFACE, &settings(&[(INITIAL_WINDOW_SIZE, 100)])].concat();
            let mut attackers: Vec<Raw> = (0..HELD).map(|_| Raw::silent(address)).collect();
            attackers.iter_mut().for_each(|attacker| assert!(attacker.send(&begin[..length])));
            attackers
                .iter_mut()
                .for_each(|attacker| assert!(attacker.until(|event| *event == Event::Closed)));
        });
    }
}

#[test]
fn sockets_that_are_not_read() {
    let siege = besieged("timeouts = { write = \"1s\" }\n");
    siege.under("sockets that are not read", MEMORY, |address| {
        let before = siege.abused("not_read");
        let attackers: Vec<Raw> = (0..UNREAD)
            .map(|_| {
                let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
                socket.set_recv_buffer_size(8 * 1024).unwrap();
                socket.set_tcp_mss(1_460).unwrap();
                socket.connect(&address.into()).unwrap();
                let mut attacker = Raw::on(socket.into());
                attacker.send(
                    &[
                        PREFACE,
                        &settings(&[(INITIAL_WINDOW_SIZE, LARGEST_WINDOW)]),
                        &window(0, LARGEST_WINDOW - 65_535),
                    ]
                    .concat(),
                );
                attacker.send(&on_streams(100, |id| get(id, "/large/1000000")));
                attacker
            })
            .collect();
        until(|| siege.abused("not_read") - before >= UNREAD as f64);
        siege.until_as_before();
        attackers.iter().for_each(|a| SockRef::from(&a.stream).set_linger(None).unwrap());
    });
}

#[test]
fn requests_that_are_too_large_are_answered_and_the_connection_goes_on() {
    let siege = besieged("");
    let mut client = Raw::begin(siege.address(), &[]);
    let large = block(&[("a", &"x".repeat(15_000)), ("b", &"x".repeat(15_000)), ("c", &"x".repeat(15_000))]);
    let head = [request("GET", "/"), large].concat();
    let (first, rest) = head.split_at(16_000);
    client.send(&frame(HEADERS, END_STREAM, 1, first));
    let (second, third) = rest.split_at(16_000);
    client.send(&frame(CONTINUATION, 0, 1, second));
    client.send(&frame(CONTINUATION, END_HEADERS, 1, third));
    assert!(client.until(|event| *event == Event::Status(1, 431)), "{:?}", client.events());
    client.send(&get(3, "/"));
    assert!(client.until(|event| *event == Event::Status(3, 200)), "{:?}", client.events());
}
