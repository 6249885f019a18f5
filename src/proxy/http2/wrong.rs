//! What clients do wrong over HTTP/2, in the words of the log and the counters.
//!
//! A malformed request ends its stream with a code (RFC 9113 section 8.1.1) and has no answer that could say why. The log
//! has its line all the same, with the status that it would have over HTTP/1.1, as nginx and HAProxy log theirs.

use std::time::Instant;

use super::Shared;
use super::link::{Fault, State};
use super::reading::Begun;
use crate::message::h2_frames::{Code, Frame};
use crate::proxy::respond::Own;
use crate::proxy::story::Story;
use crate::telemetry::reasons::H2Error;

const fn malformed(reason: &'static str, text: &'static str) -> Own {
    Own { status: 400, reason, text }
}

/// The pseudo-fields are not those of a request. (RFC 9113 section 8.3)
pub(super) const PSEUDO_FIELD: Own =
    malformed("pseudo_field", "a pseudo-field is missing, unknown, behind others or there twice");
/// One of them says what it cannot. (sections 8.2.1 and 8.3.1)
pub(super) const PSEUDO_VALUE: Own = malformed("pseudo_value", "the value of a pseudo-field is malformed");
/// A name in capitals, or with a byte that names do not have; a value with one. (section 8.2.1)
pub(super) const FIELD: Own = malformed("field", "a header field is malformed");
/// A field that is of a connection of HTTP/1.1. (section 8.2.2)
pub(super) const CONNECTION_FIELD: Own =
    malformed("connection_field", "a field that HTTP/2 has not, as connection or transfer-encoding");
/// Not a number, or two. (RFC 9110 section 8.6)
pub(super) const CONTENT_LENGTH: Own = malformed("content_length", "content-length is not one number");
/// More or less data than `content-length` says. (section 8.1.1)
pub(super) const LENGTH_MISMATCH: Own =
    malformed("length_mismatch", "the body is not as long as content-length says");
/// A stream that depends on itself. (RFC 7540 section 5.3.1)
pub(super) const OWN_PARENT: Own = malformed("own_parent", "the stream depends on itself");
/// What stands behind a body does not end the stream, or is none that may stand there. (section 8.1)
pub(super) const TRAILERS: Own = malformed("trailers", "the trailers are malformed");
/// More data than there was room for, or a window over its bound. (sections 6.9 and 6.9.1)
pub(super) const FLOW_CONTROL: Own = malformed("flow_control", "a window of the stream is overrun");
/// More streams at once than there may be. (section 5.1.2)
pub(super) const TOO_MANY: Own =
    Own { status: 503, reason: "stream_limit", text: "the connection has as many requests as it may" };

/// Who is told of the requests that come.
pub(super) trait Hears {
    /// One begins.
    fn begins(&mut self, begun: Begun, state: &mut State);

    /// One is refused by a reset, for this reason; of its head there is at least the first line.
    fn refused(&mut self, _head: &[u8], _why: &'static Own) {}
}

impl<F: FnMut(Begun, &mut State)> Hears for F {
    fn begins(&mut self, begun: Begun, state: &mut State) {
        self(begun, state);
    }
}

/// Serves what comes on a connection.
pub(super) struct Serves<'a>(pub(super) &'a std::rc::Rc<Shared>);

impl Hears for Serves<'_> {
    fn begins(&mut self, begun: Begun, state: &mut State) {
        super::begin(self.0, begun, state);
    }

    #[cold]
    fn refused(&mut self, head: &[u8], why: &'static Own) {
        let (worker, client) = (&self.0.worker, &self.0.client);
        let mut story = Story::new(Instant::now(), worker.request_id());
        story.refused(head, *why);
        worker.record().reset(&story, &client.door.listener, &client.vouched, client.tls.as_deref());
    }
}

/// What a code that a stream or a connection is ended with is counted as, if it is for an error of the client's.
pub(super) const fn counted(code: Code) -> Option<H2Error> {
    match code {
        Code::Protocol => Some(H2Error::Protocol),
        Code::FlowControl => Some(H2Error::FlowControl),
        Code::StreamClosed => Some(H2Error::StreamClosed),
        Code::FrameSize => Some(H2Error::FrameSize),
        Code::RefusedStream => Some(H2Error::RefusedStream),
        Code::Compression => Some(H2Error::Compression),
        Code::NoError | Code::Internal | Code::Cancel | Code::EnhanceYourCalm => None,
    }
}

/// Counts that a connection ends for what its client did, and tells the log now and then: there may be many. `frame` is
/// the one that was wrong.
#[cold]
pub(super) fn tell(shared: &Shared, fault: Fault, frame: Option<Frame>) {
    let (door, peer) = (&shared.client.door, &shared.client.vouched);
    let code = match fault {
        Fault::Abuse(of) => {
            door.shard.abused(of);
            of.as_str()
        }
        Fault::Wrong(code) => counted(code).map_or("", |error| {
            door.shard.broken(error);
            error.as_str()
        }),
    };
    let Some(untold) = door.may_tell() else { return };
    let frame = match frame {
        Some(frame) if matches!(fault, Fault::Wrong(_)) => {
            format!(", by a frame {} of stream {}", frame.kind.name(), frame.stream)
        }
        Some(_) | None => String::new(),
    };
    let others =
        if untold > 0 { format!("; {untold} others ended since the last word") } else { String::new() };
    let (listener, peer) = (&*door.listener.name, String::from_utf8_lossy(peer.address()));
    tracing::info!(listener, %peer, "HTTP/2: a connection ended for its client's {code}{frame}{others}");
}
