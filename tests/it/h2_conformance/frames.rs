//! How a connection begins, and its frames one by one (RFC 9113 sections 3.4, 4, 5.5, 6.1 to 6.8 and 7).

use std::io::{Read as _, Write as _};

use super::*;

#[test]
fn beginnings() {
    let backend = backend("a");
    let homing = homing(&[&backend]).listener("h2c = true\n").run();
    let code = |says: &[u8]| {
        let mut client = Raw::silent(homing.address);
        client.send(says);
        client.code()
    };
    let begin = [PREFACE, &frame(PING, 0, 0, &[0; 8])].concat();
    assert_eq!(code(&begin), Some(PROTOCOL_ERROR), "3.4: SETTINGS comes first");
    let begin = [PREFACE, &frame(SETTINGS, 0, 0, b"12345")].concat();
    assert_eq!(code(&begin), Some(FRAME_SIZE_ERROR), "3.4, 6.5: and is a whole one");
    for wrong in ["PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n", "PRI\n", "neither of both\r\n\r\n", "\n"] {
        assert_eq!(code(wrong.as_bytes()), Some(PROTOCOL_ERROR), "3.4: {wrong:?} is a wrong preface");
        let mut client = Raw::silent(homing.address);
        client.stream.set_nodelay(true).unwrap();
        for byte in wrong.bytes() {
            client.send(&[byte]);
        }
        assert_eq!(client.code(), Some(PROTOCOL_ERROR), "3.4: {wrong:?} in pieces");
    }
}

#[test]
fn beginnings_of_http_1_are_no_wrong_prefaces() {
    let backend = backend("a");
    backend.does(Does::Serve);
    let homing = homing(&[&backend]).listener("h2c = true\n").run();
    for (says, status) in [
        ("PUT / HTTP/1.1\r\nHost: t\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", 200),
        ("PRI / HTTP/1.1\r\nHost: t\r\nConnection: close\r\n\r\n", 200),
        ("PRI * HTTP/2.0\n\n", 400),
        ("GET /\r\n\r\n", 400),
        ("P\rRI\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\nHost: t\r\n\r\nneither of both\r\n\r\n", 200),
    ] {
        let mut client = Raw::silent(homing.address).stream;
        client.write_all(says.as_bytes()).unwrap();
        let mut answer = String::new();
        client.read_to_string(&mut answer).unwrap();
        let is_http_2 = answer.contains('\0');
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")) && !is_http_2, "{says:?}: {answer:?}");
    }
}

#[test]
fn frames() {
    let long = vec![0; FRAME + 1];
    let mut reserved = get(1, "/");
    reserved[5] |= 0x80;
    holds(&[
        case("4.1", "unknown frames are ignored", &[&frame(0x16, 0, 0, b"what")], Right::GoesOn),
        case(
            "4.1",
            "unknown flags are ignored",
            &[&frame(PING, 0x16, 0, &PINGED)],
            Right::Sees(Event::Pong(PINGED)),
        ),
        case("4.1", "the reserved bit is ignored", &[&reserved], Right::Answers(1)),
        case(
            "4.2",
            "DATA may have 16 KiB",
            &[&post(1, "/"), &frame(DATA, END_STREAM, 1, &long[1..])],
            Right::Answers(1),
        ),
        case(
            "4.2",
            "and no more",
            &[&post(1, "/"), &frame(DATA, END_STREAM, 1, &long)],
            Right::Resets(1, &[FRAME_SIZE_ERROR]),
        ),
        case(
            "4.2",
            "HEADERS neither",
            &[&frame(HEADERS, END_STREAM | END_HEADERS, 1, &long)],
            Right::Ends(&[FRAME_SIZE_ERROR]),
        ),
        case("4.2", "SETTINGS neither", &[&frame(SETTINGS, 0, 0, &long)], Right::Ends(&[FRAME_SIZE_ERROR])),
        case(
            "4.3",
            "a block that is not HPACK",
            &[&frame(HEADERS, END_STREAM | END_HEADERS, 1, &[0x40])],
            Right::Ends(&[COMPRESSION_ERROR]),
        ),
        case(
            "4.3",
            "PRIORITY inside a block",
            &[&unended(1), &priority(1, 0, 16)],
            Right::Ends(&[PROTOCOL_ERROR]),
        ),
        case(
            "4.3",
            "HEADERS of another inside a block",
            &[&unended(1), &get(3, "/")],
            Right::Ends(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.5",
            "unknown frames inside a block",
            &[&unended(1), &frame(0x16, 0, 0, b"what")],
            Right::Ends(&[PROTOCOL_ERROR]),
        ),
        case(
            "5.5",
            "unknown frames of a stream are ignored",
            &[&frame(0x16, 0xff, 9, b"what")],
            Right::GoesOn,
        ),
        case(
            "7",
            "a GOAWAY for no known reason",
            &[&frame(GO_AWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]), &get(1, "/")],
            Right::Answers(1),
        ),
        case(
            "7",
            "a reset for no known reason",
            &[&post(1, "/"), &reset(1, 0xff), &get(3, "/")],
            Right::Answers(3),
        ),
    ]);
}

#[test]
fn frames_of_streams() {
    const WRONG: Right = Right::Ends(&[PROTOCOL_ERROR]);
    const SIZE: Right = Right::Ends(&[FRAME_SIZE_ERROR]);
    let head = request("GET", "/");
    let flags = END_STREAM | END_HEADERS;
    holds(&[
        case("6.1", "DATA without a stream", &[&frame(DATA, 0, 0, b"x")], WRONG),
        case(
            "6.1",
            "DATA with padding",
            &[&post(1, "/"), &frame(DATA, END_STREAM | PADDED, 1, b"\x03x\0\0\0")],
            Right::Answers(1),
        ),
        case(
            "6.1",
            "DATA with more padding than there is",
            &[&post(1, "/"), &frame(DATA, END_STREAM | PADDED, 1, b"\x05x\0\0\0")],
            WRONG,
        ),
        case("6.2", "HEADERS without a stream", &[&frame(HEADERS, flags, 0, &head)], WRONG),
        case(
            "6.2",
            "HEADERS with padding",
            &[&frame(HEADERS, flags | PADDED, 1, &[&[2], &*head, &[0, 0]].concat())],
            Right::Answers(1),
        ),
        case(
            "6.2",
            "HEADERS with a priority",
            &[&frame(HEADERS, flags | WITH_PRIORITY, 1, &[&[0, 0, 0, 0, 16], &*head].concat())],
            Right::Answers(1),
        ),
        case(
            "6.2",
            "HEADERS with more padding than there is",
            &[&frame(HEADERS, flags | PADDED, 1, &[&[255], &*head].concat())],
            WRONG,
        ),
        case(
            "4.2",
            "DATA too short for the length of its padding",
            &[&post(1, "/"), &frame(DATA, PADDED, 1, b"")],
            SIZE,
        ),
        case("4.2", "HEADERS too short for it", &[&frame(HEADERS, flags | PADDED, 1, b"")], SIZE),
        case(
            "4.2",
            "HEADERS too short for a priority",
            &[&frame(HEADERS, flags | WITH_PRIORITY, 1, b"1234")],
            SIZE,
        ),
        case(
            "6.1",
            "DATA that is padding alone",
            &[&post(1, "/"), &frame(DATA, END_STREAM | PADDED, 1, b"\x03\0\0\0")],
            Right::Answers(1),
        ),
        case("6.3", "PRIORITY without a stream", &[&priority(0, 0, 16)], WRONG),
        case(
            "6.3",
            "PRIORITY of an idle stream opens none",
            &[&priority(3, 0, 255), &get(1, "/")],
            Right::Answers(1),
        ),
        case(
            "6.3",
            "PRIORITY on a stream that is idle",
            &[&priority(3, 1, 0), &get(1, "/")],
            Right::Answers(1),
        ),
        case("6.3", "PRIORITY, exclusive", &[&priority(1, 1 << 31, 0), &get(1, "/")], Right::Answers(1)),
        case(
            "6.3",
            "PRIORITY of four bytes",
            &[&frame(PRIORITY, 0, 1, &[0; 4])],
            Right::Resets(1, &[FRAME_SIZE_ERROR]),
        ),
        case("6.4", "RST_STREAM without a stream", &[&reset(0, 8)], WRONG),
        case("6.4", "RST_STREAM of three bytes", &[&post(1, "/"), &frame(RESET, 0, 1, &[0; 3])], SIZE),
    ]);
}

#[test]
fn frames_of_the_connection() {
    const WRONG: Right = Right::Ends(&[PROTOCOL_ERROR]);
    const SIZE: Right = Right::Ends(&[FRAME_SIZE_ERROR]);
    let head = request("GET", "/");
    holds(&[
        case("6.5", "SETTINGS are confirmed", &[&settings(&[(4, 100)])], Right::Sees(Event::SettingsAck)),
        case("6.5", "a confirmation that says more", &[&frame(SETTINGS, ACK, 0, &[0; 6])], SIZE),
        case(
            "6.5",
            "SETTINGS of all that can be set",
            &[&settings(&[(1, 4096), (2, 1), (3, 100), (4, 65_535), (5, 16_384), (6, 100), (8, 0)])],
            Right::Sees(Event::SettingsAck),
        ),
        case("6.5", "SETTINGS of a stream", &[&frame(SETTINGS, 0, 1, b"")], WRONG),
        case("6.5", "SETTINGS of three bytes", &[&frame(SETTINGS, 0, 0, &[0; 3])], SIZE),
        case("6.5.2", "ENABLE_PUSH = 2", &[&settings(&[(2, 2)])], WRONG),
        case(
            "6.5.2",
            "INITIAL_WINDOW_SIZE over its bound",
            &[&settings(&[(4, 1 << 31)])],
            Right::Ends(&[FLOW_CONTROL_ERROR]),
        ),
        case("6.5.2", "MAX_FRAME_SIZE below its bound", &[&settings(&[(5, (1 << 14) - 1)])], WRONG),
        case("6.5.2", "MAX_FRAME_SIZE over its bound", &[&settings(&[(5, 1 << 24)])], WRONG),
        case("6.5.2", "unknown settings are ignored", &[&settings(&[(0xff, 1)])], Right::GoesOn),
        case(
            "6.5.3",
            "the last of two values counts",
            &[&settings(&[(4, 100), (4, 1)]), &get(1, "/large/9")],
            Right::Sees(Event::Data(1, 1)),
        ),
        case(
            "6.6",
            "PUSH_PROMISE",
            &[&post(1, "/"), &frame(PUSH_PROMISE, END_HEADERS, 1, &[&[0, 0, 0, 2], &*head].concat())],
            WRONG,
        ),
        case("6.7", "PING comes back", &[&ping(*b"12345678")], Right::Sees(Event::Pong(*b"12345678"))),
        case(
            "6.7",
            "PING that came back does not again",
            &[&frame(PING, ACK, 0, b"12345678")],
            Right::GoesOn,
        ),
        case("6.7", "PING of a stream", &[&frame(PING, 0, 1, &[0; 8])], WRONG),
        case(
            "6.7",
            "PING with other flags and the reserved bit",
            &[&frame(PING, 0x16, 1 << 31, &PINGED)],
            Right::Sees(Event::Pong(PINGED)),
        ),
        case("6.7", "PING of six bytes", &[&frame(PING, 0, 0, &[0; 6])], SIZE),
        case("6.8", "GOAWAY with a word", &[&frame(GO_AWAY, 0, 0, b"\0\0\0\0\0\0\0\0bye")], Right::GoesOn),
        case("6.8", "GOAWAY of four bytes", &[&frame(GO_AWAY, 0, 0, &[0; 4])], SIZE),
        case("6.8", "GOAWAY of a stream", &[&frame(GO_AWAY, 0, 1, &[0; 8])], WRONG),
    ]);
}
