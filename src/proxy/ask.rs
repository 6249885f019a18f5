//! Asking a backend: the request goes out, and the head of its answer comes in.
//!
//! Both happen at once: a backend may answer while the body is still coming, and a client may leave while the backend
//! is still thinking.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};

use super::exchange::{Exchange, Stop, write_all};
use super::forward::{Broken, Pump, Waits};
use super::pace::Pace;
use super::respond::{self, Own};
use super::retry::Stage;
use super::rewrite;
use super::upstream::{Lease, NoHead};
use crate::message::field::Name;
use crate::message::framing::is_nominated;
use crate::message::head::{self, Field, Version};
use crate::net::stream::NotProcessed;
use crate::telemetry::reasons::UpstreamError;

/// Informational answers that one request may have (RFC 9110 section 15.2 sets no bound).
const MAX_INFORMATIONAL: u32 = 16;

/// A failed try.
pub(super) struct Failed {
    /// How far it had come.
    pub(super) stage: Stage,
    /// What the client is told if it was the last.
    pub(super) own: Own,
    /// How it is counted.
    pub(super) how: UpstreamError,
}

impl Failed {
    pub(super) const fn new(stage: Stage, how: UpstreamError) -> Self {
        let own = match how {
            UpstreamError::ConnectRefused | UpstreamError::ConnectOther => respond::UNREACHABLE,
            UpstreamError::Tls => respond::NO_TLS,
            UpstreamError::NoStreams => respond::NO_STREAMS,
            UpstreamError::ConnectTimeout | UpstreamError::HeadTimeout => respond::NO_ANSWER,
            UpstreamError::Send | UpstreamError::ClosedBeforeHead => respond::CLOSED,
            UpstreamError::BadResponse | UpstreamError::BodyCut | UpstreamError::Status => {
                respond::BAD_ANSWER
            }
        };
        Self { stage, own, how }
    }

    const fn without_head(why: NoHead, reused: bool, upload: &Pump) -> Self {
        let (stage, how) = match why {
            NoHead::NotProcessed(NotProcessed::Tls) => (Stage::Connect, UpstreamError::Tls),
            NoHead::NotProcessed(NotProcessed::Stream | NotProcessed::Unsendable) => {
                (Stage::NotProcessed { reused }, UpstreamError::ClosedBeforeHead)
            }
            NoHead::Closed if reused => {
                (Stage::Stale { sent: upload.has_written() }, UpstreamError::ClosedBeforeHead)
            }
            NoHead::Closed => (Stage::BeforeHead, UpstreamError::ClosedBeforeHead),
            NoHead::Cut => (Stage::BeforeHead, UpstreamError::BadResponse),
            NoHead::Malformed => (Stage::Head, UpstreamError::BadResponse),
        };
        Self::new(stage, how)
    }
}

pub(super) fn refusal_of(error: &std::io::Error) -> UpstreamError {
    if error.kind() == std::io::ErrorKind::ConnectionRefused {
        UpstreamError::ConnectRefused
    } else {
        UpstreamError::ConnectOther
    }
}

/// What came while waiting for an answer.
enum Came {
    Head(Result<usize, NoHead>),
    Gone,
    BadBody,
    LargeBody,
    SlowBody,
    Timeout,
}

impl Came {
    /// Where a head ends, if that came; else how it failed, or why nothing more is asked.
    #[inline(always)]
    const fn into_head(self, lease: &Lease, upload: &Pump) -> Result<Result<usize, Failed>, Stop> {
        match self {
            Self::Head(Ok(end)) => Ok(Ok(end)),
            Self::Head(Err(NoHead::NotProcessed(NotProcessed::Unsendable))) => {
                Err(Stop::Answer(respond::UNSENDABLE))
            }
            Self::Head(Err(why)) => Ok(Err(Failed::without_head(why, lease.reused, upload))),
            Self::Timeout => Ok(Err(Failed::new(Stage::Head, UpstreamError::HeadTimeout))),
            Self::Gone => Err(Stop::Gone("client.request")),
            Self::BadBody => Err(Stop::Answer(respond::BAD_BODY)),
            Self::LargeBody => Err(Stop::Answer(respond::BODY_LENGTH)),
            Self::SlowBody => Err(Stop::Answer(respond::TOO_SLOW)),
        }
    }
}

impl Exchange<'_> {
    /// Sends the request and waits for the head of its answer, which is then held; informational answers go on to
    /// the client meanwhile.
    pub(super) async fn ask(
        &mut self,
        upload: &mut Pump,
        lease: &mut Lease,
    ) -> Result<Result<usize, Failed>, Stop> {
        let timeouts = self.request.pool.pool.timeouts;
        let mut body_timeout = self.client.door.listener.timeouts.body;
        let delivers = self.delivers();
        let expects = self.request.expects;
        let mut rate = self.client.door.listener.limits.body_rate;
        if self.request.is_grpc {
            // A call may be a conversation: who says nothing waits for an answer.
            (body_timeout, rate) = (body_timeout.max(timeouts.first_byte), 0);
        }
        let clock = Rc::clone(&self.worker.clock);
        let mut pace = Pace::new(rate, body_timeout, clock.now());
        let mut informational = 0;
        loop {
            let mut seen = u64::MAX;
            let client = &mut *self.client;
            let came = poll_fn(|cx| {
                let mut upload_ended = false;
                if !upload.is_done() {
                    match upload.poll(&mut client.stream, &mut client.held, &mut lease.stream, cx) {
                        Poll::Ready(Err(Broken::Sender)) => return Poll::Ready(Came::Gone),
                        Poll::Ready(Err(Broken::Coding)) => return Poll::Ready(Came::BadBody),
                        Poll::Ready(Err(Broken::Length)) => return Poll::Ready(Came::LargeBody),
                        // The backend may have answered before it stopped reading: its answer is what counts.
                        Poll::Ready(Err(Broken::Receiver(_))) => upload_ended = true,
                        Poll::Ready(Ok(())) | Poll::Pending => {}
                    }
                }
                if let Poll::Ready(head) = lease.poll_head(client.is_http2, cx) {
                    return Poll::Ready(Came::Head(head));
                }
                if upload_ended {
                    return Poll::Ready(Came::Head(Err(NoHead::Closed)));
                }
                if upload.is_read() && client.poll_gone(cx, delivers).is_ready() {
                    return Poll::Ready(Came::Gone);
                }
                if seen != upload.progress {
                    seen = upload.progress;
                    let waits = !upload.is_done() && upload.waits_for == Waits::Read;
                    // Who waits to be told to continue is not slow.
                    let is_client = waits && !(expects && informational == 0 && upload.moved == 0);
                    let pace = pace.step(clock.now(), upload.moved, is_client);
                    if is_client && pace.is_zero() {
                        return Poll::Ready(Came::SlowBody);
                    }
                    client.deadline.set(match (upload.is_done(), upload.waits_for) {
                        (true, _) => timeouts.first_byte,
                        (false, Waits::Read) if is_client => body_timeout.min(pace),
                        (false, Waits::Read) => body_timeout,
                        (false, Waits::Write) => timeouts.write,
                    });
                }
                ready!(client.deadline.poll());
                let is_client = !upload.is_done() && upload.waits_for == Waits::Read;
                Poll::Ready(if is_client { Came::SlowBody } else { Came::Timeout })
            })
            .await;
            let end = match came.into_head(lease, upload)? {
                Ok(end) => end,
                Err(failed) => return Ok(Err(failed)),
            };
            let bad = Failed::new(Stage::Head, UpstreamError::BadResponse);
            match status_of(lease.held.data()) {
                None => return Ok(Err(bad)),
                Some(100..=199) if lease.held.data().starts_with(b"HTTP/1.0") => return Ok(Err(bad)),
                Some(101) if self.request.upgrade => return Ok(Ok(end)),
                Some(101) => return Ok(Err(bad)),
                // Over HTTP/2 any success would say that there is a tunnel. (RFC 8441 section 5)
                Some(200..=299) if self.request.upgrade && self.client.is_http2 => {
                    self.answered(&lease.member);
                    return Err(Stop::Answer(respond::NO_WEB_SOCKET));
                }
                Some(100..=199) => {
                    informational += 1;
                    if informational > MAX_INFORMATIONAL || !self.inform(lease, end).await? {
                        return Ok(Err(bad));
                    }
                }
                Some(_) => return Ok(Ok(end)),
            }
        }
    }

    /// Passes an informational answer on to a client that can read it. False if it is malformed.
    async fn inform(&mut self, lease: &mut Lease, end: usize) -> Result<bool, Stop> {
        let mut out = Vec::new();
        {
            let mut room = head::room();
            let Ok(head) = lease.parse(end, &mut room) else { return Ok(false) };
            respond::write_status(&mut out, head.status, head.reason);
            let passes =
                |f: &&Field<'_>| Name::of_bytes(f.name) == Name::Other && !is_nominated(head.fields, f.name);
            for f in head.fields.iter().filter(passes) {
                rewrite::write_field(&mut out, f.name, f.value);
            }
            out.extend_from_slice(b"\r\n");
        }
        lease.held.consume(end);
        if self.request.version == Version::Http11 {
            self.has_informed = true;
            write_all(self.client, &out).await.map_err(|()| Stop::Gone("client.response"))?;
        }
        Ok(true)
    }
}

/// The status in a response's first line, or nothing if that is no status line.
fn status_of(head: &[u8]) -> Option<u16> {
    match head.strip_prefix(b"HTTP/1.")? {
        [_, b' ', digits @ ..] => {
            let digits: &[u8; 3] = digits.first_chunk()?;
            let all = digits.iter().all(u8::is_ascii_digit);
            all.then(|| digits.iter().fold(0, |n, d| n * 10 + u16::from(d - b'0')))
        }
        _ => None,
    }
}
