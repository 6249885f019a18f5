//! What RFC 9113 and RFC 7541 ask of a server, section by section: one connection per case, and what comes of it.
//!
//! The cases are those of the RFCs' own musts. Where the RFC leaves a choice (an error of a stream may be made one of
//! the connection, section 5.4.1), every choice that it leaves is right.

mod compression;
mod frames;
mod requests;
mod streams;
mod windows;

use std::fmt::Write as _;
use std::net::SocketAddr;

use crate::harness::h2::{
    ACK, COMPRESSION_ERROR, CONTINUATION, DATA, END_HEADERS, END_STREAM, Event, FLOW_CONTROL_ERROR,
    FRAME_SIZE_ERROR, GO_AWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY, PROTOCOL_ERROR, PUSH_PROMISE,
    REFUSED_STREAM, RESET, Raw, SETTINGS, STREAM_CLOSED, WINDOW_UPDATE, WITH_PRIORITY, block, field, frame,
    get, learned, ping, post, request, reset, settings, window,
};
use crate::harness::{Does, backend, homing};

/// The most bytes of a frame where nothing else was agreed on.
const FRAME: usize = 16 << 10;
const PINGED: [u8; 8] = *b"are you?";

/// What is right.
enum Right {
    /// The connection ends with one of these codes.
    Ends(&'static [u32]),
    /// The stream ends with one of these codes, or the connection does.
    Resets(u32, &'static [u32]),
    /// The same, or the answer is 400.
    Malformed,
    /// The stream is answered 200.
    Answers(u32),
    /// The connection goes on: a ping comes back.
    GoesOn,
    /// This is seen.
    Sees(Event),
    /// This stream ends well, whatever becomes of others.
    EndsAnyway(u32),
}

struct Case {
    section: &'static str,
    what: &'static str,
    says: Vec<u8>,
    /// What is said once something was seen.
    then: Option<(Event, Vec<u8>)>,
    right: Right,
}

fn case(section: &'static str, what: &'static str, says: &[&[u8]], right: Right) -> Case {
    Case { section, what, says: says.concat(), then: None, right }
}

impl Case {
    /// And says this once that was seen.
    fn behind(self, seen: Event, says: &[&[u8]]) -> Self {
        Self { then: Some((seen, says.concat())), ..self }
    }
}

impl Right {
    fn is(&self, event: &Event) -> bool {
        match (self, event) {
            (Self::Ends(codes) | Self::Resets(_, codes), Event::GoAway(code)) => codes.contains(code),
            (Self::Resets(id, codes), Event::Reset(stream, code)) => id == stream && codes.contains(code),
            (
                Self::Malformed,
                Event::Reset(1, PROTOCOL_ERROR) | Event::Status(1, 400) | Event::GoAway(PROTOCOL_ERROR),
            ) => true,
            (Self::Answers(id), Event::Status(stream, 200)) => id == stream,
            (Self::GoesOn, Event::Pong(PINGED)) => true,
            (Self::Sees(this), that) => this == that,
            (Self::EndsAnyway(id), Event::End(stream)) => id == stream,
            _ => false,
        }
    }

    /// What must not have come before.
    fn forbids(&self, event: &Event) -> bool {
        match self {
            Self::Ends(_) => false,
            Self::Malformed => matches!(event, Event::Status(1, 200)),
            Self::Resets(id, _) => *event == Event::End(*id),
            Self::Sees(Event::Closed) => false,
            Self::EndsAnyway(id) => {
                matches!(event, Event::GoAway(_)) || matches!(event, Event::Reset(stream, _) if stream == id)
            }
            Self::Answers(_) | Self::GoesOn | Self::Sees(_) => {
                matches!(event, Event::GoAway(_) | Event::Reset(..))
            }
        }
    }
}

/// What is wrong with the outcomes of these cases.
fn wrong(address: SocketAddr, cases: &[Case]) -> String {
    let mut wrong = String::new();
    for Case { section, what, says, then, right } in cases {
        let mut client = Raw::begin(address, &[]);
        client.send(says);
        if let Some((seen, says)) = then {
            client.until(|event| event == seen);
            client.send(says);
        }
        if matches!(right, Right::GoesOn) {
            client.send(&ping(PINGED));
        }
        let is_seen = client.until(|event| right.is(event) || *event == Event::Closed);
        let seen = client.events();
        let at = seen.iter().position(|event| right.is(event));
        if !is_seen || at.is_none_or(|at| seen[..at].iter().any(|event| right.forbids(event))) {
            writeln!(wrong, "{section}: {what}: {seen:?}").unwrap();
        }
    }
    wrong
}

/// Routes of which one is answered at once, ahead of any body.
const ROUTES: &str = "\n[[route]]\npool = \"app\"\n\
                      [[route]]\npath = \"/at-once\"\nrespond = { body = \"here\" }\n";

fn holds(cases: &[Case]) {
    let backend = backend("a");
    backend.does(Does::Serve);
    let homing = homing(&[&backend]).listener("h2c = true\n").with(ROUTES).run();
    let wrong = wrong(homing.address, cases);
    assert!(wrong.is_empty(), "\n{wrong}");
}

/// HEADERS of a GET that has not ended its block.
fn unended(stream: u32) -> Vec<u8> {
    frame(HEADERS, END_STREAM, stream, &request("GET", "/"))
}

fn priority(stream: u32, on: u32, weight: u8) -> Vec<u8> {
    frame(PRIORITY, 0, stream, &[&on.to_be_bytes()[..], &[weight]].concat())
}

fn closed(stream: u32) -> Vec<u8> {
    [get(stream, "/"), reset(stream, 8)].concat()
}
