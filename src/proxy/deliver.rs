//! Delivering an answer: the session is settled, the head rewritten, and both bodies moved to their ends.

use std::borrow::Cow;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use super::ask::Failed;
use super::exchange::{Exchange, Next, Stop, write_all};
use super::forward::{Broken, Pump, Sink, Trailers, Waits};
use super::grpc;
use super::respond::{self, Passing};
use super::retry::Stage;
use super::tunnel::{self, End};
use super::upstream::Lease;
use super::visits::Visit;
use crate::affinity::kept::Site;
use crate::affinity::settle::{self, Point, Settled};
use crate::message::chunked::{Decoder, Malformed, Step};
use crate::message::field::Name;
use crate::message::framing::{ConnectionOptions, Framing, Lengths};
use crate::message::head::{self, MAX_FIELDS, Version};
use crate::net::buffer::BLOCK;
use crate::net::stream::Fault;
use crate::pool::choose::Choice;
use crate::route::HeaderRules;
use crate::telemetry::reasons::UpstreamError;

/// Largest body that is waited for before anything of its answer is passed on.
const SMALL: u64 = 16 * 1024;
/// How long it is waited for: what is sent at once is here by then, and what is not is passed on as it comes.
const GATHER: Duration = Duration::from_millis(100);

/// Without a view.
static NO_RULES: HeaderRules = HeaderRules { remove: Vec::new(), set: Vec::new(), add: Vec::new() };

/// What most answers have to tell of their session.
static NOTHING: Settled = Settled { set_cookie: None, pin: None, header: None, private: false };

/// Why an answer is not passed on, now.
enum Unfit {
    /// It is malformed.
    Malformed,
    /// It should be held first, as far as this says.
    Partial(Whole),
}

/// Up to where an answer is held.
#[derive(Clone, Copy)]
enum Whole {
    /// So many bytes, head and body.
    Length(usize),
    /// To the end of a chunked body, which begins behind so many bytes.
    Chunked(usize),
}

/// What is held of an answer before its head is rewritten.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Holding {
    /// A small answer may be held, since its request may be sent again.
    ToRetry,
    /// One is held only where a session's id stands in its body.
    ForId,
    /// It was held as far as it came.
    Done,
}

/// An answer on its way.
struct Answer {
    out: Vec<u8>,
    source: Framing,
    framing: Framing,
    keep: bool,
    persists: bool,
    is_tunnel: bool,
}

impl Whole {
    /// Whether all of it is here, or no more will be waited for. `seen` is how many bytes were looked at before.
    fn is_held(self, held: &[u8], seen: &mut usize) -> bool {
        match self {
            Self::Length(whole) => held.len() >= whole,
            Self::Chunked(end) => {
                let is_known = std::mem::replace(seen, held.len()) == held.len();
                let body = held.get(end..).unwrap_or_default();
                let bound = 2 * SMALL as usize;
                !is_known && (body.len() > bound || held.len() >= BLOCK || !matches!(chunked(body), Ok(None)))
            }
        }
    }
}

impl Exchange<'_> {
    /// Settles the session and passes the answer on.
    pub(super) async fn pass_on(
        &mut self,
        upload: &mut Pump,
        mut lease: Lease,
        end: usize,
        choice: Choice,
        mut visit: Option<Visit>,
    ) -> Result<Result<Next, Failed>, Stop> {
        self.story.first_byte = Some(self.story.began.elapsed());
        let member = Rc::clone(&lease.member);
        let may_retry = self.request.is_idempotent && upload.is_done();
        let holding = if may_retry { Holding::ToRetry } else { Holding::ForId };
        let mut rewritten = self.rewrite(&lease, end, choice, upload, holding);
        if let Err(Unfit::Partial(whole)) = rewritten {
            if let Err(failed) = self.gather(&mut lease, whole).await? {
                return Ok(Err(failed));
            }
            rewritten = self.rewrite(&lease, end, choice, upload, Holding::Done);
        }
        let Ok(mut answer) = rewritten else {
            self.failed(&member, UpstreamError::BadResponse);
            return Err(Stop::Answer(respond::BAD_ANSWER));
        };
        if self.request.pool.pool.policy.is_failure(self.story.status) {
            self.failed(&member, UpstreamError::Status);
        } else {
            self.answered(&member);
        }
        lease.held.consume(end);
        upload.holds = false;
        // What follows may last for hours, and new views come meanwhile.
        self.view = None;
        if answer.is_tunnel {
            return self.tunnel(lease, answer, visit).await.map(Ok);
        }
        let sink = if answer.framing == Framing::Chunked { Sink::Chunked } else { Sink::Plain };
        let trailers = Trailers::asked(self.request.trailers);
        let out = std::mem::take(&mut answer.out);
        let head_len = out.len() as u64;
        let mut download = Pump::new(out, answer.source, sink, trailers);
        let relayed = self.relay(upload, &mut download, &mut lease, &mut visit).await;
        self.story.bytes_in = upload.moved;
        self.story.bytes_out = download.moved + head_len;
        self.worker.blocks.recycle(download.take_head());
        match relayed {
            Ok(()) => {
                let is_clean = upload.is_done() && answer.persists && answer.source != Framing::UntilClose;
                if is_clean {
                    let pool = Rc::clone(&self.request.pool);
                    lease.keep(self.worker, &pool);
                }
                let is_quiet = upload.is_done() && self.client.held.is_empty();
                Ok(Ok(match (answer.keep && upload.is_done(), is_quiet) {
                    (true, _) => Next::Request,
                    // Nothing more is on its way, so the close alone ends it: no shutdown, no lingering.
                    (false, true) => {
                        self.client.say_goodbye();
                        Next::Over
                    }
                    (false, false) => Next::Close,
                }))
            }
            Err(end) => {
                if end == "backend.body" {
                    self.failed(&member, UpstreamError::BodyCut);
                    let is_call = self.request.is_grpc && self.client.is_http2;
                    if is_call && self.tells(&mut download, &mut lease).await {
                        return Err(Stop::Gone(end));
                    }
                }
                // A cut answer must not look whole: the client sees a reset, or no last chunk.
                self.client.stream.reset_on_close();
                Err(Stop::Gone(end))
            }
        }
    }

    /// Ends an answer that its backend broke off with a status, which whoever makes calls reads behind it. False if it
    /// could not be written.
    async fn tells(&mut self, download: &mut Pump, lease: &mut Lease) -> bool {
        if !download.cut(grpc::BROKEN_OFF) {
            return false;
        }
        let client = &mut *self.client;
        client.deadline.set(client.door.listener.timeouts.write);
        poll_fn(|cx| match download.poll(&mut lease.stream, &mut lease.held, &mut client.stream, cx) {
            Poll::Ready(written) => Poll::Ready(written.is_ok()),
            Poll::Pending => client.deadline.poll().map(|()| false),
        })
        .await
    }

    /// Waits a little for a small answer to be whole: while nothing of it was passed on, a request whose backend breaks
    /// can be tried again. (nginx: postpone_output, which waits too)
    async fn gather(&mut self, lease: &mut Lease, whole: Whole) -> Result<Result<(), Failed>, Stop> {
        let delivers = self.delivers();
        let client = &mut *self.client;
        client.deadline.set(GATHER);
        let mut seen = 0;
        poll_fn(|cx| {
            // A chunked body is decoded anew only where more of it came.
            while !whole.is_held(lease.held.data(), &mut seen) {
                match lease.held.poll_fill(&mut lease.stream, cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => {
                        return Poll::Ready(Ok(Err(Failed::new(Stage::BeforeHead, UpstreamError::BodyCut))));
                    }
                    Poll::Pending => {
                        if client.poll_gone(cx, delivers).is_ready() {
                            return Poll::Ready(Err(Stop::Gone("client.request")));
                        }
                        ready!(client.deadline.poll());
                        break;
                    }
                }
            }
            Poll::Ready(Ok(Ok(())))
        })
        .await
    }

    /// Builds the head for the client and settles the session; by what `holding` says, not before a small answer is whole.
    fn rewrite(
        &mut self,
        lease: &Lease,
        end: usize,
        choice: Choice,
        upload: &Pump,
        holding: Holding,
    ) -> Result<Answer, Unfit> {
        let mut room = head::room();
        let head = lease.parse(end, &mut room).map_err(|_| Unfit::Malformed)?;
        let (mut lengths, mut options) = (Lengths::default(), ConnectionOptions::default());
        let (mut switches, mut point, mut has_set_cookie) = (false, None, false);
        let mut names = [Name::Other; MAX_FIELDS];
        for (f, slot) in head.fields.iter().zip(&mut names) {
            *slot = Name::of_bytes(f.name);
            match *slot {
                Name::Connection => options.note(f.value),
                Name::Upgrade => switches |= f.value.eq_ignore_ascii_case(b"websocket"),
                Name::HomingSession => point = point.or(Point::parse(f.value)),
                Name::SetCookie => has_set_cookie = true,
                name => lengths.note(name, f.value).map_err(|_| Unfit::Malformed)?,
            }
        }
        let request = &self.request;
        let is_tunnel = head.status == 101;
        if is_tunnel && !switches {
            return Err(Unfit::Malformed); // To something else than what was asked for.
        }
        let source = lengths.of_response(head.version, head.status, request.to_head);
        let source = source.map_err(|_| Unfit::Malformed)?;
        let reads_body = self.reads_body(&head);
        if holding == Holding::ToRetry || holding == Holding::ForId && reads_body {
            match source {
                Framing::Length(n @ ..=SMALL) => {
                    let whole = end + n as usize;
                    if (lease.held.len() + 1..=BLOCK).contains(&whole) {
                        return Err(Unfit::Partial(Whole::Length(whole)));
                    }
                }
                Framing::Chunked if reads_body => return Err(Unfit::Partial(Whole::Chunked(end))),
                Framing::Length(_) | Framing::Chunked | Framing::None | Framing::UntilClose => {}
            }
        }
        let framing = match (source, request.version) {
            (Framing::UntilClose, Version::Http11) => Framing::Chunked,
            (Framing::Chunked, Version::Http10) => Framing::UntilClose,
            (same, _) => same,
        };
        let keep = request.persists
            && framing != Framing::UntilClose
            && upload.is_read()
            && !self.client.has_ended
            && !self.is_last();
        self.story.status = head.status;
        let body = if reads_body { body_of(lease.held.data(), end, source) } else { None };
        let is_settled = point.is_none()
            && match (&self.request.pool.pool.affinity, &self.request.session) {
                (Some(affinity), Some(session)) => {
                    affinity.is_settled(session, choice.backend, has_set_cookie)
                }
                (None, _) | (_, None) => true,
            };
        let told;
        let settled = if is_settled {
            &NOTHING
        } else {
            told = self.settle(&head, &names, body.as_deref(), point, choice);
            &told
        };
        let listener = &self.client.door.listener;
        let date = self.worker.date();
        let passing = Passing {
            request: &self.request,
            rules: self.rules(),
            framing,
            length: lengths.length(),
            keep,
            settled,
            id: upload.head().get(self.request.id.clone()).unwrap_or_default(),
            affinity: listener.affinity_header.then(|| choice.why.as_str()),
            date: date.as_bytes(),
            now: self.worker.unix_now(),
            upgrade: is_tunnel,
        };
        let mut out = self.worker.blocks.output();
        passing.write(&head, &names, options, &mut out);
        let persists = options.persists(head.version);
        Ok(Answer { out, source, framing, keep, persists, is_tunnel })
    }

    /// Settles the session, in a pool with affinity.
    fn settle(
        &self,
        head: &head::ResponseHead<'_, '_>,
        names: &[Name],
        body: Option<&[u8]>,
        point: Option<Point>,
        choice: Choice,
    ) -> Settled {
        let pool = &self.request.pool.pool;
        let (Some(affinity), Some(session)) = (&pool.affinity, &self.request.session) else {
            return Settled::default();
        };
        let (worker, now) = (self.worker.index, self.worker.unix_now());
        let origin = pool.policy.origin(session, choice.backend);
        let is_borrowed = choice.why.is_borrowed();
        let site = Site { members: &pool.members, chosen: choice.backend, is_borrowed, origin, worker, now };
        let method = self.request.verb.as_str();
        let is_open = self.request.pool.standing.open.contains(choice.backend);
        let answer = settle::Answer { method, head, names, body, point, is_open };
        let mut settled = affinity.settle(session, &answer, &site, &mut self.worker.nonces.borrow_mut());
        if self.request.is_secure {
            settled.over_tls(affinity);
        }
        settled
    }

    /// Whether a session's id may stand in this answer's body: it is small and plain JSON, or the text that engine.io
    /// wraps it in.
    fn reads_body(&self, head: &head::ResponseHead<'_, '_>) -> bool {
        let (Some(affinity), Some(session)) = (&self.request.pool.pool.affinity, &self.request.session)
        else {
            return false;
        };
        if !affinity.wants_body(session) || !(200..300).contains(&head.status) {
            return false;
        }
        let field = |name: &str| {
            head.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name.as_bytes())).map(|f| f.value)
        };
        let is_text = |kind: &[u8]| {
            let kind =
                kind.split(|b| *b == b';').next().unwrap_or_default().trim_ascii().to_ascii_lowercase();
            kind.ends_with(b"json") || matches!(kind.as_slice(), b"text/plain" | b"application/octet-stream")
        };
        field("content-encoding").is_none() && field("content-type").is_none_or(is_text)
    }

    fn rules(&self) -> &HeaderRules {
        match &self.view {
            Some(view) => &view.snapshot.plan.routes.as_slice()[self.request.route].response_headers,
            None => &NO_RULES,
        }
    }

    /// Moves both bodies to their ends. The error is the word for whose end it was.
    async fn relay(
        &mut self,
        upload: &mut Pump,
        download: &mut Pump,
        lease: &mut Lease,
        visit: &mut Option<Visit>,
    ) -> Result<(), &'static str> {
        let timeouts = self.request.pool.pool.timeouts;
        let write_timeout = self.client.door.listener.timeouts.write;
        let delivers = self.delivers();
        let client = &mut *self.client;
        let (mut seen, mut upload_open) = (u64::MAX, !upload.is_done());
        poll_fn(|cx| {
            if upload_open {
                let polled = upload.poll(&mut client.stream, &mut client.held, &mut lease.stream, cx);
                if let Poll::Ready(Err(Broken::Length)) = polled {
                    return Poll::Ready(Err(respond::BODY_LENGTH.reason));
                }
                // Whatever ends the upload now, the answer is under way and counts.
                upload_open = polled.is_pending();
            }
            let polled = download.poll(&mut lease.stream, &mut lease.held, &mut client.stream, cx);
            if download.has_written()
                && let Some(visit) = visit.take()
            {
                visit.answered();
            }
            match polled {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(Broken::Sender | Broken::Coding | Broken::Length)) => {
                    return Poll::Ready(Err("backend.body"));
                }
                Poll::Ready(Err(Broken::Receiver(_))) => return Poll::Ready(Err("client.response")),
                Poll::Pending => {}
            }
            if !upload_open && client.poll_gone(cx, delivers).is_ready() {
                return Poll::Ready(Err("client.response"));
            }
            if seen != download.progress + upload.progress {
                seen = download.progress + upload.progress;
                client.deadline.set(match download.waits_for {
                    Waits::Read => timeouts.read,
                    Waits::Write => write_timeout,
                });
            }
            ready!(client.deadline.poll());
            Poll::Ready(Err(match download.waits_for {
                Waits::Read => "backend.body",
                Waits::Write => "client.response",
            }))
        })
        .await
    }

    async fn tunnel(&mut self, lease: Lease, answer: Answer, visit: Option<Visit>) -> Result<Next, Stop> {
        let timeouts = self.request.pool.pool.timeouts;
        let write = self.client.door.listener.timeouts.write;
        write_all(self.client, &answer.out).await.map_err(|()| Stop::Gone("client.response"))?;
        visit.into_iter().for_each(Visit::answered);
        let member = Rc::clone(&lease.member);
        let (mut stream, mut held) = lease.into_tunnel();
        let client = End { stream: &mut self.client.stream, held: &mut self.client.held, write };
        let backend = End { stream: &mut stream, held: &mut held, write: timeouts.write };
        let (load, deadline) = (&member.backend.load, &self.client.deadline);
        let (up, down) = tunnel::run(self.worker, load, client, backend, deadline, timeouts.tunnel).await;
        self.story.bytes_in = up;
        self.story.bytes_out = down + answer.out.len() as u64;
        if let Some(Fault::Here(reason)) = self.client.stream.fault() {
            self.story.end = reason;
        }
        Ok(Next::Over)
    }
}

/// A body that is held whole, decoded; none if it is not whole or too large.
fn body_of(held: &[u8], end: usize, framing: Framing) -> Option<Cow<'_, [u8]>> {
    let body = held.get(end..)?;
    match framing {
        Framing::Length(n @ ..=SMALL) => body.get(..n as usize).map(Cow::Borrowed),
        Framing::Chunked => chunked(body).ok()?.filter(|b| b.len() <= SMALL as usize).map(Cow::Owned),
        Framing::Length(_) | Framing::None | Framing::UntilClose => None,
    }
}

/// A chunked body that is held whole, decoded; none if more of it is to come.
fn chunked(held: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    let (mut decoder, mut body, mut at) = (Decoder::default(), Vec::new(), 0);
    loop {
        let input = held.get(at..).unwrap_or_default();
        at += match decoder.next(input)? {
            Step::Skip(n) | Step::Trailer(n) => n,
            Step::Data(skip, n) => {
                body.extend_from_slice(input.get(skip..skip + n).unwrap_or_default());
                skip + n
            }
            Step::End(_) => return Ok(Some(body)),
            Step::More => return Ok(None),
        };
    }
}
