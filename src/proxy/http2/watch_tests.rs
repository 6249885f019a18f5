use super::*;

/// Kinds as they are on the wire.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RESET: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GO_AWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

fn frame(code: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    let head = [length[1], length[2], length[3], code, flags];
    [&head[..], &stream.to_be_bytes(), payload].concat()
}

/// Of a connection that has begun, at 0.
fn begun() -> Watch {
    let mut watch = Watch::new(0);
    watch.incoming(&PREFACE, 0);
    watch.incoming(&frame(SETTINGS, 0, 0, b""), 0);
    assert_eq!((watch.verdict(), watch.unfinished()), (None, None));
    watch
}

/// How many of these frames pass, one each so many milliseconds; 10,000 are for ever.
fn pass(watch: &mut Watch, bytes: &[u8], each: u64) -> Result<(), (usize, Verdict)> {
    for n in 0..10_000 {
        watch.incoming(bytes, n * each);
        if let Some(verdict) = watch.verdict() {
            return Err((n as usize, verdict));
        }
    }
    Ok(())
}

#[test]
fn every_kind_of_flood_ends_and_is_called_by_its_name() {
    let ping_ack = frame(PING, 1, 0, &[0; 8]);
    for (bytes, most, of) in [
        (frame(RESET, 0, 1, &[0; 4]), 100, Abuse::Resets),
        (frame(PING, 0, 0, &[0; 8]), 200, Abuse::Ping),
        (ping_ack, 200, Abuse::Ping),
        (frame(PRIORITY, 0, 1, &[0; 5]), 200, Abuse::Priority),
        (frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]), 200, Abuse::WindowUpdate),
        (frame(DATA, 0, 1, b""), 100, Abuse::EmptyData),
        (frame(DATA, 8, 1, &[3, 0, 0, 0]), 100, Abuse::EmptyData),
        (frame(GO_AWAY, 0, 0, &[0; 8]), 200, Abuse::Unknown),
        (frame(0x42, 0, 0, b"anything"), 200, Abuse::Unknown),
    ] {
        assert_eq!(pass(&mut begun(), &bytes, 0), Err((most, Verdict::Abuse(of))), "{of:?}");
        let window = if of == Abuse::Resets { 30_000 } else { 10_000 };
        assert_eq!(pass(&mut begun(), &bytes, window / most as u64), Ok(()), "{of:?} at its rate");
    }
    let settings = frame(SETTINGS, 0, 0, &[0; 6]);
    assert_eq!(
        pass(&mut begun(), &settings, 0),
        Err((199, Verdict::Abuse(Abuse::Settings))),
        "with the first"
    );
    let last = frame(DATA, END_STREAM, 1, b"");
    assert_eq!(pass(&mut begun(), &last, 0), Ok(()), "the last of a body may be empty");
}

#[test]
fn what_is_told_stays_told() {
    let mut watch = begun();
    assert!(pass(&mut watch, &frame(PING, 0, 0, &[0; 8]), 0).is_err());
    watch.incoming(&frame(RESET, 0, 1, b""), 1_000_000);
    assert_eq!(watch.verdict(), Some(Verdict::Abuse(Abuse::Ping)));
}

#[test]
fn who_downloads_may_tell_of_it() {
    let mut watch = begun();
    let (data, update) = (frame(DATA, 0, 1, &[0; 16 << 10]), frame(WINDOW_UPDATE, 0, 1, &[0, 0, 8, 0]));
    let ping = frame(PING, 0, 0, &[0; 8]);
    for _ in 0..2_000 {
        watch.outgoing(&data, 0);
        (0..16).for_each(|_| watch.incoming(&update, 0));
        watch.incoming(&ping, 0);
    }
    assert_eq!(watch.verdict(), None);
    assert!(pass(&mut watch, &update, 0).is_err(), "and no more than of it");
}

#[test]
fn who_is_answered_may_also_cancel() {
    let mut watch = begun();
    let (reset, answer) = (frame(RESET, 0, 1, &[0; 4]), frame(HEADERS, END_HEADERS | END_STREAM, 1, b"x"));
    for _ in 0..1_000 {
        watch.outgoing(&answer, 0);
        watch.incoming(&reset, 0);
    }
    assert_eq!(watch.verdict(), None);
}

#[test]
fn who_asks_may_say_how_urgent_it_is() {
    let mut watch = begun();
    let request = [frame(HEADERS, END_HEADERS | END_STREAM, 1, b"x"), frame(0x10, 0, 0, b"urgent")].concat();
    assert_eq!(pass(&mut watch, &request, 0), Ok(()));
}

#[test]
fn resets_that_we_were_made_to_send_count_and_others_do_not() {
    let sent = |code: u32| {
        let mut watch = begun();
        (0..101).for_each(|_| watch.outgoing(&frame(RESET, 0, 1, &code.to_be_bytes()), 0));
        watch.verdict()
    };
    for code in [1, 3, 5, 6, 9] {
        assert_eq!(sent(code), Some(Verdict::Abuse(Abuse::Provoked)), "{code}");
    }
    assert_eq!(sent(7), Some(Verdict::Abuse(Abuse::Refused)));
    for code in [0, 2, 8, 11] {
        assert_eq!(sent(code), None, "{code}");
    }
}

#[test]
fn header_blocks_have_few_pieces_and_a_bound() {
    let verdict = |pieces: usize, size: usize| {
        let mut watch = begun();
        watch.incoming(&frame(HEADERS, 0, 1, &vec![0; size]), 0);
        (0..pieces).for_each(|_| watch.incoming(&frame(CONTINUATION, 0, 1, &vec![0; size]), 0));
        watch.verdict()
    };
    assert_eq!(verdict(5, 0), None);
    assert_eq!(verdict(6, 0), Some(Verdict::Abuse(Abuse::Continuation)));
    assert_eq!(verdict(3, 16 << 10), None);
    assert_eq!(verdict(4, 16 << 10), Some(Verdict::Abuse(Abuse::HeaderBlock)));
    let mut watch = begun();
    let block = [frame(HEADERS, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, b"x")].concat();
    assert_eq!(pass(&mut watch, &block, 0), Ok(()), "blocks that end are no flood");
}

#[test]
fn what_is_unfinished_is_told_since_when() {
    let mut watch = Watch::new(5);
    assert_eq!(watch.unfinished(), Some(Unfinished::Head(5)), "nothing came");
    watch.incoming(&PREFACE[..20], 10);
    watch.incoming(&PREFACE[20..], 20);
    assert_eq!(watch.unfinished(), Some(Unfinished::Head(5)), "a frame belongs to the preface");
    let settings = frame(SETTINGS, 0, 0, &[0; 12]);
    watch.incoming(&settings[..20], 30);
    assert_eq!(watch.unfinished(), Some(Unfinished::Head(5)));
    watch.incoming(&settings[20..], 40);
    assert_eq!(watch.unfinished(), None);

    let headers = frame(HEADERS, 0, 1, &[0; 100]);
    watch.incoming(&headers[..3], 50);
    watch.incoming(&headers[3..50], 60);
    assert_eq!(watch.unfinished(), Some(Unfinished::Head(50)));
    watch.incoming(&headers[50..], 70);
    assert_eq!(watch.unfinished(), Some(Unfinished::Head(50)), "the block goes on");
    let last = frame(CONTINUATION, END_HEADERS, 1, &[0; 100]);
    watch.incoming(&last[..50], 80);
    assert_eq!(watch.unfinished(), Some(Unfinished::Head(50)), "and is not over before its last byte");
    watch.incoming(&last[50..], 90);
    assert_eq!(watch.unfinished(), None);

    let data = frame(DATA, 0, 1, &[0; 100]);
    watch.incoming(&data[..50], 100);
    watch.incoming(&data[50..60], 110);
    assert_eq!(watch.unfinished(), Some(Unfinished::Data(110)));
    watch.incoming(&[&data[60..], &frame(PING, 0, 0, &[0; 8])[..12]].concat(), 120);
    assert_eq!(watch.unfinished(), Some(Unfinished::Head(120)), "a frame begins with its own first byte");
}

/// A client that never pauses has frames that are cut by every read: none of them takes long.
#[test]
fn a_frame_is_no_older_than_its_first_byte() {
    let mut watch = begun();
    let updates = frame(WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]).repeat(100);
    for (now, bytes) in updates.chunks(10).enumerate() {
        watch.incoming(bytes, now as u64);
        let began = match watch.unfinished() {
            Some(Unfinished::Head(at)) => at,
            other => {
                assert_eq!(other, None);
                now as u64
            }
        };
        assert!(now as u64 - began <= 1, "{began} at {now}");
    }
}

#[test]
fn frames_that_are_wrong_by_themselves_are_told_by_their_code() {
    for (code, flags, length, expected) in [
        (SETTINGS, 0, 5, true),
        (SETTINGS, 1, 6, true),
        (SETTINGS, 0, 6, false),
        (PING, 0, 7, true),
        (PING, 0, 8, false),
        (PRIORITY, 0, 4, true),
        (RESET, 0, 5, true),
        (WINDOW_UPDATE, 0, 3, true),
        (GO_AWAY, 0, 7, true),
        (GO_AWAY, 0, 20, false),
        (0x42, 0, 7, false),
    ] {
        let mut watch = begun();
        watch.incoming(&frame(code, flags, 1, &vec![1; length]), 0);
        let told = watch.verdict() == Some(Verdict::Broken(Reason::FRAME_SIZE_ERROR));
        assert_eq!(told, expected, "kind {code}, {length} bytes");
    }
    for first in [frame(PING, 0, 0, &[0; 8]), frame(SETTINGS, 1, 0, b"")] {
        let mut watch = Watch::new(0);
        watch.incoming(&[&PREFACE[..], &first].concat(), 0);
        assert_eq!(watch.verdict(), Some(Verdict::Broken(Reason::PROTOCOL_ERROR)));
    }
}

#[test]
fn settings_and_trailers_that_are_wrong_are_told() {
    let told = |bytes: &[&[u8]]| {
        let mut watch = begun();
        watch.incoming(&bytes.concat(), 0);
        watch.verdict()
    };
    let window = |value: u32| frame(SETTINGS, 0, 0, &[&[0, 4], &value.to_be_bytes()[..]].concat());
    assert_eq!(told(&[&window(u32::MAX >> 1)]), None);
    assert_eq!(told(&[&window(1 << 31)]), Some(Verdict::Broken(Reason::FLOW_CONTROL_ERROR)));
    let head = |stream| frame(HEADERS, END_HEADERS, stream, &[0x82, 0x86, 0x84]);
    assert_eq!(told(&[&head(1), &head(3)]), None);
    assert_eq!(told(&[&head(1), &head(3), &head(1)]), Some(Verdict::Broken(Reason::PROTOCOL_ERROR)));
    let trailers = frame(HEADERS, END_HEADERS | END_STREAM, 1, b"\0\x01x\x01y");
    assert_eq!(told(&[&head(1), &trailers]), None);
}

#[test]
fn what_the_library_ended_a_connection_for_is_told() {
    let told = |code: u32, word: &[u8]| {
        let mut watch = begun();
        let payload = [&[0; 4], &code.to_be_bytes()[..], word].concat();
        watch.outgoing(&[frame(PING, 1, 0, &[0; 8]), frame(GO_AWAY, 0, 0, &payload)].concat(), 0);
        watch.told()
    };
    assert_eq!(told(11, b"header_list_way_too_large"), Some(Abuse::HeaderList));
    assert_eq!(told(11, b"too_many_resets"), Some(Abuse::Resets));
    assert_eq!(told(11, b""), None);
    assert_eq!(told(0, b"too_many_resets"), None);
}

#[test]
fn a_turn_takes_so_many_small_frames() {
    let mut watch = begun();
    let (small, large) = (frame(DATA, 0, 1, b"x"), frame(DATA, 0, 1, &[0; 256]));
    watch.incoming(&large.repeat(1_000), 0);
    assert!(!watch.is_full());
    watch.incoming(&small.repeat(256), 0);
    assert!(watch.is_full());
    watch.turn();
    assert!(!watch.is_full());
    assert_eq!(watch.verdict(), None);
}
