//! The spine: one request's whole way, in order.
//!
//! [`serve`] cannot fail: what [`run`] could not do becomes an answer of our own, and the access is recorded.

use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Poll, ready};
use std::time::Instant;

use super::connection::Client;
use super::forward::{Broken, Pump, Sink, Trailers, Waits};
use super::request::{self, Asker, Request};
use super::respond::{self, Own, Passing};
use super::retry::{Again, Stage, again};
use super::story::Story;
use super::tunnel::{self, End};
use super::upstream::{self, Lease, Member, NoHead, NoLease, Reuse};
use super::visits::Visit;
use super::worker::{View, Worker};
use crate::affinity::Why;
use crate::affinity::caching::Pinning;
use crate::backend::members::BackendSet;
use crate::message::field::Name;
use crate::message::framing::{ConnectionOptions, Framing, Lengths};
use crate::message::head::{self, Version};
use crate::pool::choose::{Choice, Question};
use crate::route::HeaderRules;
use crate::snapshot::HalfClose;
use crate::snapshot::reports::Outcome;
use crate::strategy::RequestFacts;
use crate::telemetry::reasons::UpstreamError;

/// Informational answers that one request may have (RFC 9110 section 15.2 sets no bound).
const MAX_INFORMATIONAL: u32 = 16;

/// What becomes of the client's connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// It may send its next request.
    Request,
    /// It ends, once the client has read its answer.
    Close,
    /// It is over.
    Over,
}

/// Why an exchange did not come to its end.
enum Stop {
    /// homing answers itself.
    Answer(Own),
    /// The client is gone, or its answer broke off: there is nobody to answer to. The word says whose end it was.
    Gone(&'static str),
}

/// Serves the request whose head is the first `len` bytes that `client` holds.
pub async fn serve(worker: &Rc<Worker>, client: &mut Client, len: usize) -> Next {
    let story = Story::new(Instant::now());
    let view = worker.view();
    let door = Rc::clone(&client.door);
    let asker =
        Asker { listener: &door.listener, listener_ix: door.ix, peer: client.peer, vouched: &client.vouched };
    let head = client.held.data().get(..len).unwrap_or_default();
    let admitted = request::admit(worker, &view, &asker, head);
    let request = match admitted {
        Ok(request) => request,
        Err(refusal) => {
            refuse(worker, client, refusal.answer(), len).await;
            return Next::Close;
        }
    };
    client.held.consume(len);
    let mut exchange = Exchange { worker, client, view: &view, request, story };
    let next = match exchange.run().await {
        Ok(next) => next,
        Err(Stop::Answer(own)) => exchange.answer(own).await,
        Err(Stop::Gone(end)) => {
            exchange.story.end = end;
            Next::Over
        }
    };
    let Exchange { request, story, .. } = exchange;
    worker.finish(&story, Some(&request), client);
    worker.blocks.recycle(request.head);
    next
}

/// One request on its way.
struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    client: &'a mut Client,
    view: &'a Rc<View>,
    request: Request,
    story: Story,
}

impl Exchange<'_> {
    /// From the choice to the last byte of the answer.
    async fn run(&mut self) -> Result<Next, Stop> {
        let mut tried = BackendSet::new();
        let mut reuse = if self.request.is_idempotent { Reuse::Likely } else { Reuse::Sure };
        let mut retries = 0;
        let mut upload = self.upload();
        loop {
            let choice = self.choose(&tried)?;
            let visit = self.begin_visit(choice);
            let pool = Rc::clone(&self.request.pool);
            let Some(member) = pool.members.get(choice.backend.index()) else {
                return Err(Stop::Answer(respond::NO_BACKEND));
            };
            let member = Rc::clone(member);
            self.story.tries += 1;
            let failed = match self.lease(&member, reuse).await {
                Err(NoLease::Exhausted(_)) => return Err(Stop::Answer(respond::EXHAUSTED)),
                Err(NoLease::Full) => {
                    tried.insert(choice.backend);
                    continue;
                }
                Err(NoLease::Timeout) => Failed::new(Stage::Connect, UpstreamError::ConnectTimeout),
                Err(NoLease::Refused(e)) => Failed::new(Stage::Connect, refusal_of(&e)),
                Ok(mut lease) => match self.ask(&mut upload, &mut lease).await? {
                    Ok(end) => return self.pass_on(upload, lease, end, choice, visit).await,
                    Err(failed) => failed,
                },
            };
            if matches!(failed.stage, Stage::Stale { .. }) {
                self.story.replays += 1;
            } else {
                self.failed(&member, failed.how);
            }
            match again(failed.stage, self.request.is_idempotent, !upload.has_taken, retries) {
                Again::No => return Err(Stop::Answer(failed.own)),
                Again::Fresh => reuse = Reuse::No,
                Again::Elsewhere => {
                    tried.insert(choice.backend);
                    self.story.lost = Some(failed.own);
                }
            }
            retries += u32::from(failed.stage != Stage::Connect);
            upload.rewind();
        }
    }

    /// The pump for the request: its head, with what came of its body right behind it.
    fn upload(&mut self) -> Pump {
        let sink = if self.request.framing == Framing::Chunked { Sink::Chunked } else { Sink::Plain };
        let head = std::mem::take(&mut self.request.head);
        Pump::new(head, self.request.framing, sink, Trailers::Pass)
    }

    fn choose(&mut self, tried: &BackendSet) -> Result<Choice, Stop> {
        let request = &self.request;
        let pool = &request.pool;
        let is_first = self.client.served == 0;
        let follow = if request.visit != 0 && request.key.is_none() {
            self.worker.visits.follow(request.visit, is_first.then_some(self.client.opened))
        } else {
            None
        };
        let session = request.session.as_ref();
        let ask = Question { pool: &pool.pool, standing: &pool.standing, session, tried, follow };
        let facts = RequestFacts {
            client: request.client,
            key: request.key.as_deref(),
            hash: request.hash,
            attempt: u8::try_from(tried.len()).unwrap_or(u8::MAX),
            now: self.worker.unix_now(),
        };
        let chosen = pool.pickers.borrow_mut().choose(&ask, &facts);
        if let Some(choice) = chosen {
            self.story.why = choice.why;
            return Ok(choice);
        }
        self.story.why = Why::NoBackend;
        let is_full =
            pool.pool.members.iter().any(|(ix, b)| pool.standing.open.contains(ix) && !b.has_room());
        Err(Stop::Answer(match self.story.lost {
            Some(own) => own,
            None if is_full => respond::FULL,
            None => respond::NO_BACKEND,
        }))
    }

    fn begin_visit(&self, choice: Choice) -> Option<Visit> {
        if self.request.visit == 0 || self.request.key.is_some() {
            return None;
        }
        self.worker.visits.begin(self.request.visit, choice.backend)
    }

    async fn lease(&mut self, member: &Rc<Member>, reuse: Reuse) -> Result<Lease, NoLease> {
        let began = Instant::now();
        let pool = Rc::clone(&self.request.pool);
        let reuse = if self.request.upgrade { Reuse::No } else { reuse };
        let lease = upstream::lease(self.worker, &pool, member, reuse, &self.client.deadline).await;
        self.story.backend = Some(member.ix);
        if let Ok(lease) = &lease {
            self.worker.record().sent(pool.ix, member.ix, lease.reused);
            self.story.reused = lease.reused;
            self.story.connect = if lease.reused { None } else { Some(began.elapsed()) };
        }
        lease
    }

    /// Sends the request and waits for the head of its answer, which is then held; informational answers go on to
    /// the client meanwhile.
    async fn ask(&mut self, upload: &mut Pump, lease: &mut Lease) -> Result<Result<usize, Failed>, Stop> {
        let timeouts = self.request.pool.pool.timeouts;
        let body_timeout = self.client.door.listener.timeouts.body;
        let delivers = self.delivers();
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
                        // The backend may have answered before it stopped reading: its answer is what counts.
                        Poll::Ready(Err(Broken::Receiver(_))) => upload_ended = true,
                        Poll::Ready(Ok(())) | Poll::Pending => {}
                    }
                }
                if let Poll::Ready(head) = lease.poll_head(cx) {
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
                    client.deadline.set(match (upload.is_done(), upload.waits_for) {
                        (true, _) => timeouts.first_byte,
                        (false, Waits::Read) => body_timeout,
                        (false, Waits::Write) => timeouts.write,
                    });
                }
                ready!(client.deadline.poll());
                let is_client = !upload.is_done() && upload.waits_for == Waits::Read;
                Poll::Ready(if is_client { Came::SlowBody } else { Came::Timeout })
            })
            .await;
            let end = match came {
                Came::Gone => return Err(Stop::Gone("client.request")),
                Came::BadBody => return Err(Stop::Answer(respond::BAD_BODY)),
                Came::SlowBody => return Err(Stop::Answer(respond::TOO_SLOW)),
                Came::Timeout => return Ok(Err(Failed::new(Stage::Head, UpstreamError::HeadTimeout))),
                Came::Head(Err(NoHead::Closed)) if lease.reused => {
                    let stage = Stage::Stale { sent: upload.has_written() };
                    return Ok(Err(Failed::new(stage, UpstreamError::ClosedBeforeHead)));
                }
                Came::Head(Err(NoHead::Closed)) => {
                    return Ok(Err(Failed::new(Stage::BeforeHead, UpstreamError::ClosedBeforeHead)));
                }
                Came::Head(Err(NoHead::Cut | NoHead::Malformed)) => {
                    return Ok(Err(Failed::new(Stage::Head, UpstreamError::BadResponse)));
                }
                Came::Head(Ok(end)) => end,
            };
            let bad = Failed::new(Stage::Head, UpstreamError::BadResponse);
            match status_of(lease.held.data()) {
                None => return Ok(Err(bad)),
                Some(100..=199) if lease.held.data().starts_with(b"HTTP/1.0") => return Ok(Err(bad)),
                Some(101) if self.request.upgrade => return Ok(Ok(end)),
                Some(101) => return Ok(Err(bad)),
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
            for f in head.fields.iter().filter(|f| Name::of(f.name) == Name::Other) {
                request::write_field(&mut out, f.name, f.value);
            }
            out.extend_from_slice(b"\r\n");
        }
        lease.held.consume(end);
        if self.request.version == Version::Http11 {
            write_all(self.client, &out).await.map_err(|()| Stop::Gone("client.response"))?;
        }
        Ok(true)
    }

    /// Settles the session and passes the answer on.
    async fn pass_on(
        &mut self,
        mut upload: Pump,
        mut lease: Lease,
        end: usize,
        choice: Choice,
        visit: Option<Visit>,
    ) -> Result<Next, Stop> {
        self.story.first_byte = Some(self.story.began.elapsed());
        let member = Rc::clone(&lease.member);
        let Ok(mut answer) = self.rewrite(&lease, end, choice, &upload) else {
            self.failed(&member, UpstreamError::BadResponse);
            return Err(Stop::Answer(respond::BAD_ANSWER));
        };
        self.answered(&member);
        lease.held.consume(end);
        if answer.is_tunnel {
            drop(visit);
            return self.tunnel(upload, lease, answer).await;
        }
        let sink = if answer.framing == Framing::Chunked { Sink::Chunked } else { Sink::Plain };
        let trailers = if self.request.trailers { Trailers::Pass } else { Trailers::Drop };
        let out = std::mem::take(&mut answer.out);
        let head_len = out.len() as u64;
        let mut download = Pump::new(out, answer.source, sink, trailers);
        let relayed = self.relay(&mut upload, &mut download, &mut lease).await;
        if let Some(visit) = visit {
            visit.answered();
        }
        self.story.bytes_in = upload.moved;
        self.story.bytes_out = download.moved + head_len;
        self.worker.blocks.recycle(download.take_head());
        self.request.head = upload.take_head();
        match relayed {
            Ok(()) => {
                let is_clean = upload.is_done() && answer.persists && answer.source != Framing::UntilClose;
                if is_clean {
                    let pool = Rc::clone(&self.request.pool);
                    lease.keep(self.worker, &pool);
                }
                Ok(if answer.keep && upload.is_done() { Next::Request } else { Next::Close })
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

    /// Builds the head for the client and writes the pin, if one is due.
    fn rewrite(&mut self, lease: &Lease, end: usize, choice: Choice, upload: &Pump) -> Result<Answer, ()> {
        let mut room = head::room();
        let head = lease.parse(end, &mut room).map_err(|_| ())?;
        let (mut lengths, mut options) = (Lengths::default(), ConnectionOptions::default());
        for f in head.fields {
            match Name::of(f.name) {
                Name::Connection => options.note(f.value),
                name => lengths.note(name, f.value).map_err(|_| ())?,
            }
        }
        let request = &self.request;
        let is_tunnel = head.status == 101;
        let source = lengths.of_response(head.version, head.status, request.to_head).map_err(|_| ())?;
        let framing = match (source, request.version) {
            (Framing::UntilClose, Version::Http11) => Framing::Chunked,
            (Framing::Chunked, Version::Http10) => Framing::UntilClose,
            (same, _) => same,
        };
        let keep = request.persists
            && framing != Framing::UntilClose
            && upload.is_read()
            && !self.client.has_ended
            && !self.worker.is_draining();
        self.story.status = head.status;
        let (pin, private) = self.settle(&head, choice);
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
            affinity: listener.affinity_header.then(|| choice.why.as_str()),
            date: date.as_bytes(),
            upgrade: is_tunnel,
        };
        let mut out = self.worker.blocks.output();
        passing.write(&head, options, &mut out);
        let persists = options.persists(head.version);
        Ok(Answer { out, source, framing, keep, persists, is_tunnel })
    }

    /// The pin for this answer, if one is to be written, and whether it makes the answer private.
    fn settle(&self, head: &head::ResponseHead<'_, '_>, choice: Choice) -> (Option<Vec<u8>>, bool) {
        let pool = &self.request.pool.pool;
        let (Some(cookie), Some(session)) = (&pool.cookie, &self.request.session) else {
            return (None, false);
        };
        if !session.needs_pin(choice.backend) {
            return (None, false);
        }
        let lines = head.fields.iter().filter(|f| Name::of(f.name) == Name::CacheControl).map(|f| f.value);
        let method = self.request.verb.as_str();
        let pinning = cookie.cacheable().pinning(method, head.status, lines);
        if pinning == Pinning::Skip {
            return (None, false);
        }
        let now = self.worker.unix_now();
        let id = &pool.members.get(choice.backend).id;
        let mut pin = Vec::with_capacity(256);
        let mut nonces = self.worker.nonces.borrow_mut();
        if cookie.set_cookie(session, id.as_str(), now, &mut nonces, &mut pin).is_err() {
            return (None, false);
        }
        cookie.count(session, &pool.members, choice.backend, self.worker.index, now);
        (Some(pin), pinning == Pinning::Private)
    }

    fn rules(&self) -> &HeaderRules {
        &self.view.snapshot.plan.routes.as_slice()[self.request.route].response_headers
    }

    /// Moves both bodies to their ends. The error is the word for whose end it was.
    async fn relay(
        &mut self,
        upload: &mut Pump,
        download: &mut Pump,
        lease: &mut Lease,
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
            match download.poll(&mut lease.stream, &mut lease.held, &mut client.stream, cx) {
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

    async fn tunnel(&mut self, mut upload: Pump, lease: Lease, answer: Answer) -> Result<Next, Stop> {
        self.request.head = upload.take_head();
        let idle = self.request.pool.pool.timeouts.tunnel;
        write_all(self.client, &answer.out).await.map_err(|()| Stop::Gone("client.response"))?;
        let (mut stream, mut held, _seat) = lease.into_tunnel();
        let client = End { stream: &mut self.client.stream, held: &mut self.client.held };
        let backend = End { stream: &mut stream, held: &mut held };
        let (up, down) = tunnel::run(client, backend, &self.client.deadline, idle).await;
        self.story.bytes_in = up;
        self.story.bytes_out = down + answer.out.len() as u64;
        Ok(Next::Over)
    }

    /// Answers ourselves, and closes if anything of the request may still come.
    async fn answer(&mut self, own: Own) -> Next {
        self.story.own(own);
        let keep = self.request.persists
            && self.request.framing == Framing::None
            && !self.client.has_ended
            && !self.worker.is_draining();
        let (version, to_head) = (self.request.version, self.request.to_head);
        answer(self.worker, self.client, own, version, to_head, keep).await
    }

    /// Whether the answer is delivered to a client that has ended its sending side.
    fn delivers(&self) -> bool {
        match self.client.door.listener.half_close {
            HalfClose::Auto => !self.request.persists,
            HalfClose::Never => false,
            HalfClose::Always => true,
        }
    }

    fn failed(&self, member: &Rc<Member>, how: UpstreamError) {
        self.request.pool.owed.note(member.ix);
        self.worker.report(self.request.pool.ix, member.ix, Outcome::Failed);
        self.worker.record().failed(self.request.pool.ix, member.ix, how);
    }

    fn answered(&self, member: &Rc<Member>) {
        let pool = &self.request.pool;
        let is_ejected = pool.standing.members.get(member.ix.index()).is_some_and(|a| a.ejected);
        if pool.owed.answered(member.ix, is_ejected) {
            self.worker.report(self.request.pool.ix, member.ix, Outcome::Answered);
        }
    }
}

/// A failed try.
struct Failed {
    stage: Stage,
    own: Own,
    how: UpstreamError,
}

impl Failed {
    const fn new(stage: Stage, how: UpstreamError) -> Self {
        let own = match how {
            UpstreamError::ConnectRefused | UpstreamError::ConnectOther => respond::UNREACHABLE,
            UpstreamError::ConnectTimeout | UpstreamError::HeadTimeout => respond::NO_ANSWER,
            UpstreamError::Send | UpstreamError::ClosedBeforeHead => respond::CLOSED,
            UpstreamError::BadResponse | UpstreamError::BodyCut => respond::BAD_ANSWER,
        };
        Self { stage, own, how }
    }
}

fn refusal_of(error: &std::io::Error) -> UpstreamError {
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
    SlowBody,
    Timeout,
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

/// The status in a response's first line, or nothing if that is no status line.
fn status_of(head: &[u8]) -> Option<u16> {
    let digits = head.strip_prefix(b"HTTP/1.")?.get(1..5)?.strip_prefix(b" ")?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

/// Writes an answer of our own.
async fn answer(
    worker: &Rc<Worker>,
    client: &mut Client,
    own: Own,
    version: Version,
    to_head: bool,
    keep: bool,
) -> Next {
    let mut out = worker.blocks.output();
    own.write(&mut out, version, keep, to_head, worker.date().as_bytes());
    let written = write_all(client, &out).await;
    worker.blocks.recycle(out);
    match (written, keep) {
        (Err(()), _) => Next::Over,
        (Ok(()), true) => Next::Request,
        (Ok(()), false) => Next::Close,
    }
}

/// Refuses a request whose head, or what came of it, is the first `len` bytes held: answers, and records it. The
/// connection cannot go on, since where the next request begins is not known.
pub async fn refuse(worker: &Rc<Worker>, client: &mut Client, own: Own, len: usize) {
    let mut story = Story::new(Instant::now());
    let head = client.held.data().get(..len).unwrap_or_default();
    let to_head = head.starts_with(b"HEAD ");
    story.refused(head, own);
    client.held.consume(len);
    let _ = answer(worker, client, own, Version::Http11, to_head, false).await;
    worker.finish(&story, None, client);
}

/// Writes all of `bytes` to the client, within its deadline.
async fn write_all(client: &mut Client, bytes: &[u8]) -> Result<(), ()> {
    client.deadline.set(client.door.listener.timeouts.write);
    let mut left = bytes;
    poll_fn(|cx| {
        while !left.is_empty() {
            let polled = std::pin::Pin::new(&mut client.stream);
            match tokio::io::AsyncWrite::poll_write(polled, cx, left) {
                Poll::Ready(Ok(n @ 1..)) => left = left.get(n..).unwrap_or_default(),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(())),
                Poll::Pending => return client.deadline.poll().map(Err),
            }
        }
        Poll::Ready(Ok(()))
    })
    .await
}
