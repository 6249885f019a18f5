//! Delivering an answer: the session is settled, the head rewritten, and both bodies moved to their ends.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Duration;

use super::ask::Failed;
use super::exchange::{Exchange, Next, Stop, write_all};
use super::forward::{Broken, Pump, Sink, Trailers, Waits};
use super::respond::{self, Passing};
use super::retry::Stage;
use super::tunnel::{self, End};
use super::upstream::Lease;
use super::visits::Visit;
use crate::affinity::caching::Pinning;
use crate::message::field::Name;
use crate::message::framing::{ConnectionOptions, Framing, Lengths};
use crate::message::head::{self, MAX_FIELDS, Version};
use crate::net::buffer::BLOCK;
use crate::pool::choose::Choice;
use crate::route::HeaderRules;
use crate::telemetry::reasons::UpstreamError;

/// Largest body that is waited for before anything of its answer is passed on.
const SMALL: u64 = 16 * 1024;
/// How long it is waited for: what is sent at once is here by then, and what is not is passed on as it comes.
const GATHER: Duration = Duration::from_millis(100);

/// Without a view.
static NO_RULES: HeaderRules = HeaderRules { remove: Vec::new(), set: Vec::new(), add: Vec::new() };

/// Why an answer is not passed on, now.
enum Unfit {
    /// It is malformed.
    Malformed,
    /// So many bytes of it should be held first, head and body.
    Partial(usize),
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
        let mut rewritten = self.rewrite(&lease, end, choice, upload, may_retry);
        if let Err(Unfit::Partial(whole)) = rewritten {
            if let Err(failed) = self.gather(&mut lease, whole).await? {
                return Ok(Err(failed));
            }
            rewritten = self.rewrite(&lease, end, choice, upload, false);
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
        // What follows may last for hours, and new views come meanwhile.
        self.view = None;
        if answer.is_tunnel {
            return self.tunnel(lease, answer).await.map(Ok);
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
                    (false, true) => Next::Over,
                    (false, false) => Next::Close,
                }))
            }
            Err(end) => {
                if end == "backend.body" {
                    self.failed(&member, UpstreamError::BodyCut);
                }
                // A cut answer must not look whole: the client sees a reset, or no last chunk.
                self.client.stream.reset_on_close();
                Err(Stop::Gone(end))
            }
        }
    }

    /// Waits a little for a small answer to be whole: while nothing of it was passed on, a request whose backend breaks
    /// can be tried again. (nginx: postpone_output, which waits too)
    async fn gather(&mut self, lease: &mut Lease, whole: usize) -> Result<Result<(), Failed>, Stop> {
        let delivers = self.delivers();
        let client = &mut *self.client;
        client.deadline.set(GATHER);
        poll_fn(|cx| {
            while lease.held.len() < whole {
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

    /// Builds the head for the client and writes the pin, if one is due; if it `gathers`, not before a small answer is
    /// whole.
    fn rewrite(
        &mut self,
        lease: &Lease,
        end: usize,
        choice: Choice,
        upload: &Pump,
        gathers: bool,
    ) -> Result<Answer, Unfit> {
        let mut room = head::room();
        let head = lease.parse(end, &mut room).map_err(|_| Unfit::Malformed)?;
        let (mut lengths, mut options) = (Lengths::default(), ConnectionOptions::default());
        let mut switches = false;
        let mut names = [Name::Other; MAX_FIELDS];
        for (f, slot) in head.fields.iter().zip(&mut names) {
            *slot = Name::of(f.name);
            match *slot {
                Name::Connection => options.note(f.value),
                Name::Upgrade => switches |= f.value.eq_ignore_ascii_case(b"websocket"),
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
        if let Framing::Length(n @ ..=SMALL) = source
            && let whole = end + n as usize
            && gathers
            && (lease.held.len() + 1..=BLOCK).contains(&whole)
        {
            return Err(Unfit::Partial(whole));
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
        let (pin, private) = self.settle(&head, &names, choice);
        let listener = &self.client.door.listener;
        let date = self.worker.date();
        let passing = Passing {
            request: &self.request,
            rules: self.rules(),
            framing,
            length: lengths.length(),
            keep,
            pin: pin.as_deref(),
            private,
            id: upload.head().get(self.request.id.clone()).unwrap_or_default(),
            affinity: listener.affinity_header.then(|| choice.why.as_str()),
            date: date.as_bytes(),
            upgrade: is_tunnel,
        };
        let mut out = self.worker.blocks.output();
        passing.write(&head, &names, options, &mut out);
        let persists = options.persists(head.version);
        Ok(Answer { out, source, framing, keep, persists, is_tunnel })
    }

    /// The pin for this answer, if one is to be written, and whether it makes the answer private.
    fn settle(
        &self,
        head: &head::ResponseHead<'_, '_>,
        names: &[Name],
        choice: Choice,
    ) -> (Option<Vec<u8>>, bool) {
        let pool = &self.request.pool.pool;
        let (Some(cookie), Some(session)) = (&pool.cookie, &self.request.session) else {
            return (None, false);
        };
        if choice.why.is_borrowed() || !session.needs_pin(choice.backend) {
            return (None, false);
        }
        let lines = head.fields.iter().zip(names).filter(|(_, n)| **n == Name::CacheControl);
        let lines = lines.map(|(f, _)| f.value);
        let method = self.request.verb.as_str();
        let pinning = cookie.cacheable().pinning(method, head.status, lines);
        if pinning == Pinning::Skip {
            return (None, false);
        }
        let now = self.worker.unix_now();
        let id = |ix| pool.members.get(ix).id.as_str();
        let origin = pool.policy.origin(session, choice.backend).map(id);
        let mut pin = Vec::with_capacity(256);
        let mut nonces = self.worker.nonces.borrow_mut();
        if cookie.set_cookie(session, id(choice.backend), origin, now, &mut nonces, &mut pin).is_err() {
            return (None, false);
        }
        cookie.count(session, &pool.members, choice.backend, self.worker.index, now);
        (Some(pin), pinning == Pinning::Private)
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
                Poll::Ready(Err(Broken::Sender | Broken::Coding)) => return Poll::Ready(Err("backend.body")),
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

    async fn tunnel(&mut self, lease: Lease, answer: Answer) -> Result<Next, Stop> {
        let timeouts = self.request.pool.pool.timeouts;
        let write = self.client.door.listener.timeouts.write;
        write_all(self.client, &answer.out).await.map_err(|()| Stop::Gone("client.response"))?;
        let member = Rc::clone(&lease.member);
        let (mut stream, mut held) = lease.into_tunnel();
        let client = End { stream: &mut self.client.stream, held: &mut self.client.held, write };
        let backend = End { stream: &mut stream, held: &mut held, write: timeouts.write };
        let (load, deadline) = (&member.backend.load, &self.client.deadline);
        let (up, down) = tunnel::run(self.worker, load, client, backend, deadline, timeouts.tunnel).await;
        self.story.bytes_in = up;
        self.story.bytes_out = down + answer.out.len() as u64;
        Ok(Next::Over)
    }
}
