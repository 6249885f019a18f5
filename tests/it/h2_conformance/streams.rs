//! What may come on a stream, and when (RFC 9113 sections 5 and 6.10).

use super::*;

#[test]
fn states_of_streams() {
    const CLOSED: &[u32] = &[STREAM_CLOSED, PROTOCOL_ERROR];
    const WRONG: Right = Right::Ends(&[PROTOCOL_ERROR]);
    let more = frame(CONTINUATION, END_HEADERS, 1, &field("a", "b"));
    let data = frame(DATA, END_STREAM, 1, b"x");
    holds(&[
        case("5.1", "DATA, idle", &[&data], WRONG),
        case("5.1", "RST_STREAM, idle", &[&reset(1, 8)], WRONG),
        case("5.1", "WINDOW_UPDATE, idle", &[&window(1, 100)], WRONG),
        case("5.1", "CONTINUATION, idle", &[&more], WRONG),
        case("5.1", "PRIORITY, idle", &[&priority(1, 0, 16)], Right::GoesOn),
        case("5.1", "DATA, half-closed", &[&get(1, "/events"), &data], Right::Resets(1, CLOSED)),
        case("5.1", "HEADERS, half-closed", &[&get(1, "/events"), &get(1, "/")], Right::Resets(1, CLOSED)),
        case("5.1", "CONTINUATION, half-closed", &[&get(1, "/events"), &more], WRONG),
        case("5.1", "WINDOW_UPDATE, half-closed", &[&get(1, "/"), &window(1, 100)], Right::Answers(1)),
        case("5.1", "PRIORITY, half-closed", &[&get(1, "/"), &priority(1, 0, 16)], Right::Answers(1)),
        case("5.1", "DATA, closed", &[&closed(1), &data], Right::Resets(1, CLOSED)),
        case("5.1", "HEADERS, closed", &[&closed(1), &get(1, "/")], Right::Resets(1, CLOSED)),
        case("5.1", "CONTINUATION, closed", &[&closed(1), &more], WRONG),
        case("5.1", "RST_STREAM, closed", &[&closed(1), &reset(1, 8)], Right::GoesOn),
        case("5.1", "WINDOW_UPDATE, closed", &[&closed(1), &window(1, 100)], Right::GoesOn),
        case("5.1", "PRIORITY, closed", &[&closed(1), &priority(1, 0, 16)], Right::GoesOn),
        case("5.1.1", "an even stream", &[&get(2, "/")], WRONG),
        case("5.1.1", "a stream below one that was", &[&get(5, "/"), &get(3, "/")], Right::Ends(CLOSED)),
        case("5.1.1", "streams may be left out", &[&get(1, "/"), &get(9, "/")], Right::Answers(9)),
        case(
            "5.1.2",
            "one stream too many",
            &[&(0..=100).flat_map(|n| get(2 * n + 1, "/events")).collect::<Vec<u8>>()],
            Right::Resets(201, &[REFUSED_STREAM, PROTOCOL_ERROR]),
        ),
        case(
            "5.3.1",
            "HEADERS that depend on themselves",
            &[&frame(
                HEADERS,
                END_STREAM | END_HEADERS | WITH_PRIORITY,
                1,
                &[&[0, 0, 0, 1, 255], &*request("GET", "/")].concat(),
            )],
            Right::Resets(1, &[PROTOCOL_ERROR]),
        ),
        case(
            "5.3.1",
            "PRIORITY that depends on itself",
            &[&post(1, "/"), &priority(1, 1, 255)],
            Right::Resets(1, &[PROTOCOL_ERROR]),
        ),
        case(
            "5.4.1",
            "a GOAWAY says what was wrong",
            &[&frame(PING, 0, 3, &[0; 8])],
            Right::Sees(Event::GoAway(PROTOCOL_ERROR)),
        ),
        case(
            "5.3.1",
            "PRIORITY that depends on itself, idle",
            &[&priority(1, 1, 255)],
            Right::Resets(1, &[PROTOCOL_ERROR]),
        ),
        case(
            "5.4.1",
            "the connection is closed behind a GOAWAY",
            &[&frame(PING, 0, 1, &[0; 8])],
            Right::Sees(Event::Closed),
        ),
        case(
            "8.1",
            "HEADERS inside a body that do not end it",
            &[&post(1, "/"), &frame(HEADERS, END_HEADERS, 1, &field("a", "b"))],
            Right::Malformed,
        ),
    ]);
}

#[test]
fn streams_that_were_answered() {
    const CLOSED: Right = Right::Ends(&[STREAM_CLOSED]);
    let over =
        |what, says: &[u8], right| case("5.1", what, &[&get(1, "/")], right).behind(Event::End(1), &[says]);
    let more = frame(CONTINUATION, END_HEADERS, 1, &field("a", "b"));
    holds(&[
        over("DATA, over", &frame(DATA, END_STREAM, 1, b"x"), CLOSED),
        over("HEADERS, over", &get(1, "/"), CLOSED),
        over("CONTINUATION, over", &more, Right::Ends(&[STREAM_CLOSED, PROTOCOL_ERROR])),
        over("PRIORITY, over", &priority(1, 0, 16), Right::GoesOn),
        over("WINDOW_UPDATE, over", &window(1, 100), Right::GoesOn),
        over("RST_STREAM, over", &reset(1, 8), Right::GoesOn),
    ]);
}

/// The client still says the rest of a request that has its answer: it is judged as before.
#[test]
fn requests_that_are_answered_ahead_of_their_end() {
    const CLOSED: Right = Right::Ends(&[STREAM_CLOSED]);
    let head = request("POST", "/at-once");
    let ahead = |section, what, length: &str, says: &[&[u8]], right| {
        let head = [&*head, &*field("content-length", length)].concat();
        case(section, what, &[&frame(HEADERS, END_HEADERS, 1, &head)], right).behind(Event::End(1), says)
    };
    let data = frame(DATA, END_STREAM, 1, b"rest");
    let widest = window(1, u32::MAX >> 1);
    holds(&[
        ahead("8.1", "the rest", "4", &[&data], Right::GoesOn),
        ahead("8.1", "a reset", "4", &[&reset(1, 8)], Right::GoesOn),
        ahead("5.1", "DATA behind the rest", "4", &[&data, &data], CLOSED),
        ahead("5.1", "DATA behind a reset", "4", &[&reset(1, 8), &data], CLOSED),
        ahead("5.1", "HEADERS behind a reset", "4", &[&reset(1, 8), &get(1, "/")], CLOSED),
        ahead("8.1.1", "more than was said", "3", &[&data], Right::Sees(Event::Reset(1, PROTOCOL_ERROR))),
        ahead("8.1.1", "less than was said", "5", &[&data], Right::Sees(Event::Reset(1, PROTOCOL_ERROR))),
        ahead(
            "8.1",
            "trailers that do not end it",
            "4",
            &[&frame(HEADERS, END_HEADERS, 1, &field("a", "b"))],
            Right::Sees(Event::Reset(1, PROTOCOL_ERROR)),
        ),
        ahead(
            "6.9.1",
            "a window over its bound",
            "4",
            &[&widest, &widest],
            Right::Sees(Event::Reset(1, FLOW_CONTROL_ERROR)),
        ),
    ]);
}

#[test]
fn blocks_in_several_frames() {
    const WRONG: Right = Right::Ends(&[PROTOCOL_ERROR]);
    let head = request("GET", "/");
    holds(&[
        case(
            "6.10",
            "a block in several frames",
            &[
                &frame(HEADERS, END_STREAM, 1, &head),
                &frame(CONTINUATION, 0, 1, &field("a", "b")),
                &frame(CONTINUATION, END_HEADERS, 1, &field("c", "d")),
            ],
            Right::Answers(1),
        ),
        case(
            "6.10",
            "a block in frames that end within its fields",
            &[
                &frame(HEADERS, END_STREAM, 1, &head[..5]),
                &frame(CONTINUATION, 0, 1, &head[5..10]),
                &frame(CONTINUATION, 0, 1, b""),
                &frame(CONTINUATION, END_HEADERS, 1, &head[10..]),
            ],
            Right::Answers(1),
        ),
        case(
            "6.10",
            "a large field, and the same out of the table",
            &[
                &frame(HEADERS, END_STREAM, 1, &head),
                &frame(CONTINUATION, 0, 1, &learned("x", &"y".repeat(4_000))),
                &frame(CONTINUATION, END_HEADERS, 1, &[0xbe]),
            ],
            Right::Answers(1),
        ),
        case(
            "6.10",
            "DATA inside a block",
            &[
                &frame(HEADERS, 0, 1, &head),
                &frame(CONTINUATION, 0, 1, &field("a", "b")),
                &frame(DATA, END_STREAM, 1, b"x"),
            ],
            WRONG,
        ),
        case(
            "6.10",
            "CONTINUATION without a stream",
            &[&unended(1), &frame(CONTINUATION, END_HEADERS, 0, b"")],
            WRONG,
        ),
        case(
            "6.10",
            "CONTINUATION behind a block",
            &[&get(1, "/"), &frame(CONTINUATION, END_HEADERS, 1, b"")],
            WRONG,
        ),
        case(
            "6.10",
            "CONTINUATION behind another's end",
            &[
                &unended(1),
                &frame(CONTINUATION, END_HEADERS, 1, b""),
                &frame(CONTINUATION, END_HEADERS, 1, b""),
            ],
            WRONG,
        ),
        case(
            "6.10",
            "CONTINUATION behind DATA",
            &[&post(1, "/"), &frame(DATA, 0, 1, b"x"), &frame(CONTINUATION, END_HEADERS, 1, b"")],
            WRONG,
        ),
    ]);
}
