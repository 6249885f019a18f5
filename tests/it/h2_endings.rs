//! When a connection of HTTP/2 ends: by its times, by its age, by a stop; and that nobody is left waiting on it.

use std::time::{Duration, Instant};

use homing::snapshot::phases::Phase;

use crate::harness::h2::{
    ACK, CANCEL, DATA, END_HEADERS, END_STREAM, Event, HEADERS, NO_ERROR, PING, Raw, block, field, frame,
    get, ping, request, reset, settings, window,
};
use crate::harness::{Backend, Does, Homing, LIMIT, backend, homing};

/// What a GOAWAY names that leaves room for requests that are on their way.
const ANY: u32 = u32::MAX >> 1;
const INITIAL_WINDOW_SIZE: u16 = 4;

fn served(listener: &str) -> (Backend, Homing) {
    let backend = backend("a");
    backend.does(Does::Serve);
    let homing = homing(&[&backend]).listener(&format!("h2c = true\n{listener}")).run();
    (backend, homing)
}

const SHORT_IDLE: &str = "timeouts = { idle = \"1s\" }\n";

/// Says that it has heard of every leave so far.
fn confirm(client: &mut Raw) {
    for payload in std::mem::take(&mut client.pinged) {
        client.send(&frame(PING, ACK, 0, &payload));
    }
}

#[test]
fn a_connection_is_idle_once_its_last_stream_was_cancelled() {
    let (backend, homing) = served(SHORT_IDLE);
    backend.does(Does::Hold);
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&get(1, "/"));
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    client.send(&reset(1, CANCEL));
    assert_eq!(client.code(), Some(NO_ERROR));
}

#[test]
fn a_connection_is_idle_once_the_rest_of_an_answered_request_has_come() {
    let (_backend, homing) = served(SHORT_IDLE);
    let mut client = Raw::begin(homing.address, &[]);
    // Answered by homing, ahead of its body.
    let head = block(&[
        (":method", "OPTIONS"),
        (":scheme", "http"),
        (":path", "/"),
        (":authority", "test"),
        ("max-forwards", "0"),
    ]);
    client.send(&frame(HEADERS, END_HEADERS, 1, &head));
    assert!(client.until(|event| *event == Event::End(1)));
    client.send(&frame(DATA, END_STREAM, 1, b"the rest"));
    assert_eq!(client.code(), Some(NO_ERROR));
}

#[test]
fn a_connection_that_never_asks_is_idle_too() {
    let (_backend, homing) = served(SHORT_IDLE);
    let mut client = Raw::begin(homing.address, &[]);
    assert_eq!(client.code(), Some(NO_ERROR));
    assert_eq!(client.lasts, [ANY, 0]);
}

#[test]
fn frames_in_parts_do_not_keep_an_idle_connection() {
    let (_backend, homing) = served(SHORT_IDLE);
    let mut client = Raw::begin(homing.address, &[]);
    client.stream.set_nodelay(true).unwrap();
    client.stream.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    let (ping, began) = (ping(*b"awake???"), Instant::now());
    while !client.is_over() {
        for part in ping.chunks(12) {
            client.send(part);
            client.more();
        }
        assert!(began.elapsed() < LIMIT, "it goes on");
    }
    assert!(client.events().contains(&Event::GoAway(NO_ERROR)), "{:?}", client.events());
}

#[test]
fn a_client_that_has_heard_of_a_stop_is_told_the_last_stream_and_no_later_one() {
    let (backend, homing) = served("");
    backend.does(Does::Hold);
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&get(1, "/"));
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    homing.phases().advance(Phase::Drain);
    assert!(client.until(|event| matches!(event, Event::GoAway(NO_ERROR))));
    // It was on its way, and is served.
    client.send(&get(3, "/"));
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":2"));
    while client.pinged.is_empty() {
        assert!(client.more());
    }
    confirm(&mut client);
    while client.lasts.len() < 2 {
        assert!(client.more());
    }
    // It has heard which was the last, and is not served, whatever it says next.
    client.send(&[get(5, "/"), ping(*b"are you?")].concat());
    assert!(client.until(|event| *event == Event::Pong(*b"are you?")));
    client.send(&frame(PING, 0, 1, &[0; 8]));
    assert!(client.until(|event| *event == Event::Closed));
    assert_eq!(client.lasts, [ANY, 3, 3], "the number of the last stream never rises");
}

#[test]
fn a_client_that_says_nothing_to_a_stop_ends_with_its_streams() {
    let (backend, homing) = served("");
    backend.does(Does::Hold);
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&get(1, "/"));
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    homing.phases().advance(Phase::Drain);
    assert!(client.until(|event| matches!(event, Event::GoAway(NO_ERROR))));
    backend.does(Does::Answer);
    assert_eq!(client.code(), Some(NO_ERROR));
    assert!(client.events().contains(&Event::End(1)));
    homing.join();
}

#[test]
fn a_client_that_goes_on_asking_is_told_at_last_that_this_was_the_last() {
    let (_backend, homing) = served("max_requests_per_connection = 2\n");
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&[window(0, 1 << 30), get(1, "/events")].concat());
    let (mut id, began) = (1, Instant::now());
    // It is never silent, and never says that it has heard.
    while client.lasts.len() < 2 {
        id += 2;
        client.send(&get(id, "/"));
        let seen = client.events().len();
        while !client.events()[seen..].iter().any(|event| matches!(event, Event::End(_) | Event::GoAway(_))) {
            assert!(client.more(), "stream {id}");
        }
        assert!(began.elapsed() < 3 * LIMIT, "it goes on for ever");
    }
    assert_eq!(client.lasts[0], ANY);
    assert!(client.lasts[1] < ANY);
}

#[test]
fn a_stop_that_is_over_cuts_streams_that_have_no_end() {
    let (_backend, homing) = served("");
    let mut client = Raw::begin(homing.address, &[]);
    client.send(&get(1, "/events"));
    assert!(client.until(|event| matches!(event, Event::Data(1, _))));
    homing.phases().advance(Phase::Drain);
    assert!(client.until(|event| matches!(event, Event::GoAway(NO_ERROR))));
    homing.phases().advance(Phase::Cut);
    assert_eq!(client.code(), Some(NO_ERROR));
    assert!(!client.events().contains(&Event::End(1)), "a stream that was cut does not look whole");
    homing.join();
}

/// Pings that wait to be answered hold homing up, until its client reads again; then it goes on with what came meanwhile.
#[test]
fn a_client_that_reads_at_last_is_served_what_it_asked_for_meanwhile() {
    let (_backend, homing) = served("");
    let mut client = Raw::begin(homing.address, &[(INITIAL_WINDOW_SIZE, 0)]);
    // Whoever is sent data may ping: so many frames of a byte are so many pings.
    let ids: Vec<u32> = (0..99).map(|n| 2 * n + 1).collect();
    client.send(&ids.iter().flat_map(|id| get(*id, "/large/1000")).collect::<Vec<u8>>());
    let mut frames = 0;
    for round in 1..=160 {
        client.send(&ids.iter().flat_map(|id| window(*id, 1)).collect::<Vec<u8>>());
        frames = ids.len() * round;
        while client.events().iter().filter(|event| matches!(event, Event::Data(..))).count() < frames {
            assert!(client.more(), "round {round}");
        }
    }
    let asked =
        [get(199, "/large/30000000"), window(0, 1 << 30), settings(&[(INITIAL_WINDOW_SIZE, 1 << 30)])];
    client.send(&asked.concat());
    homing.until("/api/v1/pools", |text| text.contains("\"in_flight\":1"));
    // The first one goes away, so that nobody but its client makes homing look again.
    client.send(&[reset(199, CANCEL), ping(*b"flooding").repeat(frames), get(201, "/")].concat());
    assert!(client.until(|event| *event == Event::End(201)), "{:?}", client.events().last());
}

/// A window for one frame now and then: each gets its part.
#[test]
fn a_hundred_answers_share_a_small_window() {
    let (_backend, homing) = served("");
    let mut client = Raw::begin(homing.address, &[(INITIAL_WINDOW_SIZE, 1 << 20)]);
    let ids: Vec<u32> = (0..100).map(|n| 2 * n + 1).collect();
    client.send(&ids.iter().flat_map(|id| get(*id, "/large/200000")).collect::<Vec<u8>>());
    let (mut total, mut seen) = (65_535, 0);
    let mut got = vec![0; 100];
    loop {
        while got.iter().sum::<usize>() < total {
            assert!(client.more());
            for event in &client.events()[seen..] {
                if let Event::Data(id, n) = event {
                    got[*id as usize / 2] += n;
                }
            }
            seen = client.events().len();
        }
        let (least, most) = (got.iter().min().unwrap(), got.iter().max().unwrap());
        // The first window is of who was served first.
        assert!(most - least <= 65_535 + 2 * 16_384, "{got:?}");
        if total == 20_000_000 {
            break;
        }
        let more = 16_384.min(20_000_000 - total);
        client.send(&window(0, more as u32));
        total += more;
    }
    assert!(ids.iter().all(|id| client.until(|event| *event == Event::End(*id))));
}

/// Many clients say the end of a body in a frame of its own, and some lose an answer that a reset follows.
#[test]
fn a_request_that_is_answered_may_still_end() {
    let (backend, homing) = served("");
    backend.does(Does::Answer);
    let mut client = Raw::begin(homing.address, &[]);
    let head = [request("POST", "/"), field("content-length", "3")].concat();
    client.send(&[frame(HEADERS, END_HEADERS, 1, &head), frame(DATA, 0, 1, b"abc")].concat());
    assert!(client.until(|event| *event == Event::End(1)));
    client.send(&[get(3, "/"), ping(*b"are you?")].concat());
    assert!(client.until(|event| *event == Event::Pong(*b"are you?")));
    assert!(client.until(|event| *event == Event::End(3)));
    client.send(&[frame(DATA, END_STREAM, 1, b""), get(5, "/")].concat());
    assert!(client.until(|event| *event == Event::End(5)));
    assert!(!client.events().iter().any(|event| matches!(event, Event::Reset(..))), "{:?}", client.events());
}
