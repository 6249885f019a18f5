use std::sync::Arc;
use std::time::Duration;

use super::super::link::Link;
use super::super::{CONNECTION_WINDOW, STREAM_WINDOW};
use super::*;
use crate::proxy::clock::Clock;

const END_STREAM: u8 = frames::END_STREAM;
const END_HEADERS: u8 = frames::END_HEADERS;
const PADDED: u8 = 8;

/// A request for / by fields that all know, and by a name that is spelt out.
const GET: &[u8] = b"\x82\x86\x84\x41\x04test";

fn frame(kind: Kind, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    [&frames::header(kind, flags, stream, payload.len())[..], payload].concat()
}

fn get(stream: u32) -> Vec<u8> {
    frame(Kind::Headers, END_STREAM | END_HEADERS, stream, GET)
}

fn post(stream: u32) -> Vec<u8> {
    frame(Kind::Headers, END_HEADERS, stream, b"\x83\x86\x84\x41\x04test")
}

/// One side of a connection, without sockets.
struct Connection {
    link: Link,
    reading: Reading,
    heads: Vec<String>,
    places: Vec<usize>,
}

impl Connection {
    fn new() -> Self {
        let blocks = Rc::new(Blocks::new(1));
        let reading = Reading::new(Buffer::new(&blocks), 32 * 1024, &blocks, 5);
        let link =
            Link::new(&Rc::new(Clock::default()), Vec::new(), Duration::from_secs(60), &Arc::default());
        Self { link, reading, heads: Vec::new(), places: Vec::new() }
    }

    /// One whose preface has come, at 5.
    fn begun() -> Self {
        let mut connection = Self::new();
        let begin = [&PREFACE[..], &frame(Kind::Settings, 0, 0, b"")].concat();
        assert_eq!(connection.comes(&begin, 5), Ok(()));
        assert_eq!(connection.said(), frame(Kind::Settings, frames::ACK, 0, b""));
        connection
    }

    fn comes(&mut self, bytes: &[u8], now: u64) -> Judged {
        assert!(self.reading.input.put(bytes));
        let (heads, places) = (&mut self.heads, &mut self.places);
        self.reading.look(&mut self.link.state.borrow_mut(), now, |begun: Begun, _: &mut State| {
            heads.push(String::from_utf8(begun.asked.head).unwrap());
            places.push(begun.place);
        })
    }

    /// What was said since the last time.
    fn said(&self) -> Vec<u8> {
        std::mem::take(&mut self.link.state.borrow_mut().out)
    }

    fn data(&self, place: usize) -> Vec<u8> {
        let state = &mut *self.link.state.borrow_mut();
        state.slots.get_mut(place).unwrap().data.clone()
    }
}

#[test]
fn frames_say_the_same_however_their_bytes_arrive() {
    let all = [
        &PREFACE[..],
        &frame(Kind::Settings, 0, 0, &[0; 18]),
        &get(1),
        &frame(Kind::Headers, END_STREAM, 3, &GET[..4]),
        &frame(Kind::Continuation, END_HEADERS, 3, &GET[4..]),
        &post(5),
        &frame(Kind::Data, PADDED, 5, b"\x03data\0\0\0"),
        &frame(Kind::Unknown, 0xff, 7, b"what"),
        &frame(Kind::Data, END_STREAM, 5, &[b'x'; 300]),
        &frame(Kind::Ping, 0, 0, b"are you?"),
    ]
    .concat();
    for size in (1..40).chain([all.len()]) {
        let mut connection = Connection::new();
        for piece in all.chunks(size) {
            assert_eq!(connection.comes(piece, 5), Ok(()), "pieces of {size}");
        }
        let line = "HTTP/1.1\r\nHost: test\r\n";
        let expected = [
            format!("GET / {line}\r\n"),
            format!("GET / {line}\r\n"),
            format!("POST / {line}Transfer-Encoding: chunked\r\n\r\n"),
        ];
        assert_eq!(connection.heads, expected, "pieces of {size}");
        assert_eq!(connection.data(2), [&b"data"[..], &[b'x'; 300]].concat());
        assert!(connection.said().ends_with(&frame(Kind::Ping, frames::ACK, 0, b"are you?")));
        assert_eq!(connection.reading.unfinished(), None);
    }
}

#[test]
fn what_is_unfinished_is_told_since_when() {
    let mut connection = Connection::new();
    let unfinished = |connection: &mut Connection, bytes: &[u8], now| {
        assert_eq!(connection.comes(bytes, now), Ok(()));
        connection.reading.unfinished()
    };
    assert_eq!(connection.reading.unfinished(), Some(Unfinished::Head(5)), "nothing came");
    let mut at = |bytes: &[u8], now| unfinished(&mut connection, bytes, now);
    assert_eq!(at(&PREFACE[..20], 10), Some(Unfinished::Head(5)));
    assert_eq!(at(&PREFACE[20..], 20), Some(Unfinished::Head(5)), "a frame belongs to the preface");
    let settings = frame(Kind::Settings, 0, 0, &[0; 12]);
    assert_eq!(at(&settings[..20], 30), Some(Unfinished::Head(5)));
    assert_eq!(at(&settings[20..], 40), None);

    let headers = frame(Kind::Headers, 0, 1, GET);
    assert_eq!(at(&headers[..3], 50), Some(Unfinished::Head(50)));
    assert_eq!(at(&headers[3..10], 60), Some(Unfinished::Head(50)));
    assert_eq!(at(&headers[10..], 70), Some(Unfinished::Head(50)), "the block goes on");
    let last = frame(Kind::Continuation, END_HEADERS, 1, b"\0\x01a\x01b");
    assert_eq!(at(&last[..10], 80), Some(Unfinished::Head(50)), "and is not over before its last byte");
    assert_eq!(at(&last[10..], 90), None);

    let data = frame(Kind::Data, 0, 1, &[0; 100]);
    assert_eq!(at(&data[..50], 100), Some(Unfinished::Data(100)));
    assert_eq!(at(&data[50..60], 110), Some(Unfinished::Data(110)));
    let next = [&data[60..], &frame(Kind::Ping, 0, 0, &[0; 8])[..12]].concat();
    assert_eq!(at(&next, 120), Some(Unfinished::Head(120)), "a frame begins with its own first byte");
}

/// A client that never pauses has frames that are cut by every read: none of them takes long.
#[test]
fn a_frame_is_no_older_than_its_first_byte() {
    let mut connection = Connection::begun();
    let updates = frame(Kind::WindowUpdate, 0, 0, &[0, 0, 0, 1]).repeat(100);
    for (now, bytes) in updates.chunks(10).enumerate() {
        let now = 10 + now as u64;
        assert_eq!(connection.comes(bytes, now), Ok(()));
        match connection.reading.unfinished() {
            Some(Unfinished::Head(at)) => assert!(now - at <= 1, "{at} at {now}"),
            other => assert_eq!(other, None),
        }
    }
}

#[test]
fn header_blocks_have_few_pieces_and_a_bound() {
    let judged = |pieces: usize, size: usize| {
        let mut connection = Connection::begun();
        connection.comes(&frame(Kind::Headers, 0, 1, &vec![0; size]), 5)?;
        (0..pieces).try_for_each(|_| connection.comes(&frame(Kind::Continuation, 0, 1, &vec![0; size]), 5))
    };
    assert_eq!(judged(5, 0), Ok(()));
    assert_eq!(judged(6, 0), Err(Fault::Abuse(Abuse::Continuation)));
    assert_eq!(judged(3, 16 << 10), Ok(()));
    assert_eq!(judged(4, 16 << 10), Err(Fault::Abuse(Abuse::HeaderBlock)));
}

#[test]
fn a_body_is_not_given_to_another_stream_that_has_its_place() {
    let mut connection = Connection::begun();
    let data = frame(Kind::Data, 0, 1, &[b'x'; 100]);
    connection.comes(&[&post(1), &data[..50]].concat(), 5).unwrap();
    let first = connection.places[0];
    assert_eq!(connection.data(first).len(), 41);
    connection.link.state.borrow_mut().leave(first, 5);
    assert_eq!(connection.link.state.borrow_mut().slots.open(3, 0), first, "the next has the same place");
    connection.comes(&data[50..], 5).unwrap();
    assert_eq!(connection.data(first), b"");
}

#[test]
fn windows_are_given_back_for_what_nobody_reads() {
    let mut connection = Connection::begun();
    connection.comes(&post(1), 5).unwrap();
    let place = connection.places[0];
    connection.link.state.borrow_mut().leave(place, 5);
    let reset = frame(Kind::Reset, 0, 1, &(Code::Cancel as u32).to_be_bytes());
    assert_eq!(connection.said(), reset);
    // On a stream that we have reset, what was on its way is no mistake, and takes no room for ever.
    let data = frame(Kind::Data, 0, 1, &[0; LARGEST]);
    for _ in 0..STREAM_WINDOW as usize / LARGEST {
        connection.comes(&data, 5).unwrap();
    }
    let more = STREAM_WINDOW.to_be_bytes();
    assert_eq!(connection.said(), frame(Kind::WindowUpdate, 0, 0, &more));
    for _ in 0..1_000 {
        connection.comes(&data, 5).unwrap();
    }
}

#[test]
fn who_sends_more_than_there_is_a_window_for_is_stopped() {
    let mut connection = Connection::begun();
    connection.comes(&post(1), 5).unwrap();
    let data = frame(Kind::Data, 0, 1, &[0; LARGEST]);
    for _ in 0..STREAM_WINDOW as usize / LARGEST {
        connection.comes(&data, 5).unwrap();
    }
    assert_eq!(connection.said(), b"");
    connection.comes(&frame(Kind::Data, 0, 1, b"x"), 5).unwrap();
    let reset = frame(Kind::Reset, 0, 1, &(Code::FlowControl as u32).to_be_bytes());
    assert_eq!(connection.said(), reset);
}

#[test]
fn a_request_above_the_last_is_read_and_left() {
    let mut connection = Connection::begun();
    connection.reading.highest = 1;
    // The field that the second one learns is there for the third.
    let learned = [GET, b"\x40\x01x\x01y"].concat();
    connection.comes(&get(1), 5).unwrap();
    connection.comes(&frame(Kind::Headers, END_STREAM | END_HEADERS, 3, &learned), 5).unwrap();
    connection
        .comes(&frame(Kind::Headers, END_STREAM | END_HEADERS, 5, &[GET, b"\xbe"].concat()), 5)
        .unwrap();
    connection.comes(&frame(Kind::Reset, 0, 5, &[0, 0, 0, 8]), 5).unwrap();
    assert_eq!(connection.heads.len(), 1);
    assert_eq!(connection.said(), b"");
}

/// A client that keeps to the windows, as it is told of them.
#[test]
fn bodies_that_nobody_reads_leave_room_for_the_others() {
    let mut connection = Connection::begun();
    let data = |id| frame(Kind::Data, 0, id, &[0; LARGEST]);
    let mut room = i64::from(CONNECTION_WINDOW);
    let stalled = 2 * super::super::STREAMS - 2;
    for id in (1..stalled).step_by(2) {
        connection.comes(&post(id), 5).unwrap();
        for _ in 0..STREAM_WINDOW as usize / LARGEST {
            connection.comes(&data(id), 5).unwrap();
            room -= LARGEST as i64;
        }
    }
    let last = stalled + 1;
    connection.comes(&post(last), 5).unwrap();
    let place = *connection.places.last().unwrap();
    let mut own = i64::from(STREAM_WINDOW);
    for n in 0..1_000 {
        assert!(room.min(own) >= LARGEST as i64, "no room for frame {n}: {room} in all, {own} on the stream");
        connection.comes(&data(last), 5).unwrap();
        (room, own) = (room - LARGEST as i64, own - LARGEST as i64);
        let state = &mut *connection.link.state.borrow_mut();
        state.slots.get_mut(place).unwrap().data.clear();
        state.release_on(place, LARGEST as u32);
        for update in std::mem::take(&mut state.out).as_chunks::<13>().0 {
            let [.., s, t, u, v, a, b, c, d] = *update;
            let more = i64::from(u32::from_be_bytes([a, b, c, d]));
            *(if u32::from_be_bytes([s, t, u, v]) == 0 { &mut room } else { &mut own }) += more;
        }
    }
}
