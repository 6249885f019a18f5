//! Flow control (RFC 9113 sections 5.2 and 6.9).

use super::*;

#[test]
fn windows() {
    const WRONG: Right = Right::Ends(&[PROTOCOL_ERROR]);
    const SIZE: Right = Right::Ends(&[FRAME_SIZE_ERROR]);
    holds(&[
        case("6.9", "an increment of 0 for all", &[&window(0, 0)], WRONG),
        case(
            "6.9",
            "an increment of 0 for a stream",
            &[&get(1, "/events"), &window(1, 0)],
            Right::Resets(1, &[PROTOCOL_ERROR]),
        ),
        case("6.9", "WINDOW_UPDATE of three bytes", &[&frame(WINDOW_UPDATE, 0, 0, &[0; 3])], SIZE),
        case(
            "6.9.1",
            "no more is sent than there is window for",
            &[&settings(&[(4, 1)]), &get(1, "/large/9")],
            Right::Sees(Event::Data(1, 1)),
        ),
        case(
            "6.9.1",
            "a window over its bound for all",
            &[&window(0, u32::MAX >> 1), &window(0, u32::MAX >> 1)],
            Right::Ends(&[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.1",
            "a window over its bound for a stream",
            &[&get(1, "/events"), &window(1, u32::MAX >> 1), &window(1, u32::MAX >> 1)],
            Right::Resets(1, &[FLOW_CONTROL_ERROR]),
        ),
        case(
            "6.9.2",
            "windows that SETTINGS open",
            &[&settings(&[(4, 0)]), &get(1, "/large/9"), &settings(&[(4, 2)])],
            Right::Sees(Event::Data(1, 2)),
        ),
        case(
            "6.9.2",
            "windows below 0",
            &[&settings(&[(4, 3)]), &get(1, "/large/9"), &settings(&[(4, 2)]), &window(1, 8)],
            Right::Sees(Event::End(1)),
        ),
        case(
            "6.9.2",
            "windows of streams that are over have no bound",
            &[&get(1, "/events"), &window(1, u32::MAX >> 1), &settings(&[(4, 65_536)]), &get(3, "/")],
            Right::EndsAnyway(3),
        ),
        case("6.9", "WINDOW_UPDATE of five bytes", &[&frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1, 0])], SIZE),
        case(
            "6.9.1",
            "an answer without a body needs no window",
            &[&settings(&[(4, 0)]), &get(1, "/chunks/0")],
            Right::Sees(Event::End(1)),
        ),
        case(
            "6.9.2",
            "windows over their bound by SETTINGS",
            &[&get(1, "/events"), &window(1, (u32::MAX >> 1) - 65_535), &settings(&[(4, 65_536)])],
            Right::Ends(&[FLOW_CONTROL_ERROR]),
        ),
    ]);
}
