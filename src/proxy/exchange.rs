//! The spine: one request's whole way, in order.
//!
//! [`serve`] cannot fail: what `Exchange::run` could not do becomes an answer of our own, and the access is recorded.

use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;
use std::time::Instant;

use tokio::io::AsyncWrite;

use super::ask::{Failed, refusal_of};
use super::connection::Client;
use super::forward::{Pump, Sink, Trailers};
use super::grpc;
use super::place::{Place, Tries};
use super::request::{self, Asker, Request};
use super::respond::{self, Own, Recipient};
use super::retry::{self, Again, Stage, Tried};
use super::story::Story;
use super::turned;
use super::upstream::{self, Lease, Member, NoLease, Reuse};
use super::visits::Visit;
use super::worker::{View, Worker};
use crate::affinity::Why;
use crate::message::framing::Framing;
use crate::message::head::Version;
use crate::net::stream::Fault;
use crate::pool::choose::Choice;
use crate::snapshot::HalfClose;
use crate::snapshot::reports::Outcome;
use crate::telemetry::reasons::UpstreamError;

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
pub(super) enum Stop {
    /// homing answers itself.
    Answer(Own),
    /// homing sends the client elsewhere. In a box, for it is seldom and this is moved often.
    Redirect(Box<(Own, Arc<str>)>),
    /// The client is gone, or its answer broke off: there is nobody to answer to. The word says whose end it was.
    Gone(&'static str),
}

/// Serves the request whose head is the first `len` bytes that `client` holds.
pub async fn serve(worker: &Rc<Worker>, client: &mut Client, len: usize) -> Next {
    let (began, id) = (Instant::now(), worker.request_id());
    let view = worker.view();
    let door = Rc::clone(&client.door);
    let asker = Asker {
        listener: &door.listener,
        listener_ix: door.place(),
        peer: client.peer,
        vouched: &client.vouched,
        tls: client.tls.as_deref(),
        is_http2: client.is_http2,
        id: &id,
        now: Some(began),
    };
    let head = client.held.data().get(..len).unwrap_or_default();
    let admitted = request::admit(worker, &view, &asker, head, &mut client.memory);
    let mut request = match admitted {
        Ok(request) => request,
        Err(why) => return Box::pin(turned::away(worker, client, &view, why, len, (began, id))).await,
    };
    client.held.consume(len);
    let upload = upload_of(&mut request);
    // Made where it stays: as locals that were lent its parts would have other places in every exchange.
    let exchange = Exchange {
        worker,
        client,
        view: Some(view),
        request,
        story: Story::new(began, id),
        has_informed: false,
    };
    let mut told = Told { upload, exchange, is_over: false };
    let Told { exchange, upload, is_over } = &mut told;
    let next = match exchange.run(upload).await {
        Ok(next) => next,
        Err(Stop::Answer(own)) => exchange.answer(own, None, upload).await,
        Err(Stop::Redirect(to)) => exchange.answer(to.0, Some(&to.1), upload).await,
        Err(Stop::Gone(end)) => exchange.gone(end, upload.moved),
    };
    *is_over = true;
    next
}

/// A request of which the counters and the log are told when it is over; also when homing stops, or fails, before that.
struct Told<'a> {
    exchange: Exchange<'a>,
    upload: Pump,
    is_over: bool,
}

impl Drop for Told<'_> {
    fn drop(&mut self) {
        let Exchange { worker, request, story, client, .. } = &mut self.exchange;
        if !self.is_over {
            story.end = if std::thread::panicking() { "panicked" } else { "stopped" };
            story.bytes_in = story.bytes_in.max(self.upload.moved);
        }
        request.head = self.upload.take_head();
        worker.finish(story, Some(request), client);
        worker.blocks.recycle(std::mem::take(&mut request.head));
    }
}

/// One request on its way.
pub(super) struct Exchange<'a> {
    pub(super) worker: &'a Rc<Worker>,
    pub(super) client: &'a mut Client,
    /// From admission until the head of the answer is written.
    pub(super) view: Option<Rc<View>>,
    pub(super) request: Request,
    pub(super) story: Story,
    /// Whether the client was sent an informational answer.
    pub(super) has_informed: bool,
}

impl Exchange<'_> {
    /// From the choice to the last byte of the answer.
    async fn run(&mut self, upload: &mut Pump) -> Result<Next, Stop> {
        let mut tries = Tries::new(self.request.is_idempotent, upload.head().len());
        self.request.pool.budget.earn();
        let mut kept = None;
        loop {
            let Place { choice, member, seat } = match kept.take() {
                Some(place) => place,
                None => {
                    let place = self.place(&mut tries).await?;
                    self.tell(place.choice, &mut tries, upload);
                    place
                }
            };
            let visit = self.begin_visit(choice);
            self.story.tries += 1;
            let failed = match self.lease(&member, tries.reuse).await {
                Err(NoLease::Exhausted(_)) => return Err(Stop::Answer(respond::EXHAUSTED)),
                Err(NoLease::Gone) => return Err(Stop::Gone("client.request")),
                Err(NoLease::Timeout) => Failed::new(Stage::ConnectTimeout, UpstreamError::ConnectTimeout),
                Err(NoLease::NoStreams) => Failed::new(Stage::ConnectTimeout, UpstreamError::NoStreams),
                Err(NoLease::Tls(_)) => Failed::new(Stage::Connect, UpstreamError::Tls),
                Err(NoLease::Refused(e)) => Failed::new(Stage::Connect, refusal_of(&e)),
                Ok(mut lease) => match self.ask(upload, &mut lease).await? {
                    Ok(end) => match self.pass_on(upload, lease, end, choice, visit).await? {
                        Ok(next) => return Ok(next),
                        Err(failed) => failed,
                    },
                    Err(failed) => failed,
                },
            };
            if matches!(failed.stage, Stage::Stale { .. } | Stage::NotProcessed { reused: true }) {
                self.story.replays += 1;
            } else {
                self.failed(&member, failed.how);
            }
            match self.again(&failed, choice, &mut tries, upload) {
                Again::No => return Err(Stop::Answer(failed.own)),
                Again::Fresh => {
                    tries.reuse = Reuse::No;
                    // Others may wait for the seat: the backend would be full, and the session would move.
                    kept = Some(Place { choice, member, seat });
                }
                Again::Elsewhere => {
                    tries.failed.insert(choice.backend);
                    self.story.lost = Some(failed.own);
                    self.refresh();
                }
            }
            upload.rewind();
        }
    }

    /// What may be done after a try that failed; a retry that sends the request again is paid for.
    fn again(&self, failed: &Failed, choice: Choice, tries: &mut Tries, upload: &Pump) -> Again {
        let is_home = matches!(choice.why, Why::Pinned | Why::Refreshed);
        let tried = Tried {
            is_idempotent: self.request.is_idempotent,
            is_whole: !upload.has_taken && !self.has_informed,
            resent: tries.resent,
            is_first_at_home: is_home && !tries.was_home,
        };
        tries.was_home |= is_home;
        let again = retry::again(failed.stage, tried);
        if again == Again::No || !failed.stage.was_sent() {
            return again;
        }
        tries.resent += 1;
        let pool = &self.request.pool;
        if pool.budget.spend(self.worker.clock.now()) {
            return again;
        }
        pool.shard.denied();
        Again::No
    }

    fn begin_visit(&self, choice: Choice) -> Option<Visit> {
        if self.request.visit == 0 || self.request.key.is_some() {
            return None;
        }
        self.worker.visits.begin(self.request.visit, choice.backend)
    }

    async fn lease(&mut self, member: &Rc<Member>, reuse: Reuse) -> Result<Lease, NoLease> {
        let pool = Rc::clone(&self.request.pool);
        let is_upgrade = self.request.upgrade && member.http2.is_none();
        let reuse = if is_upgrade { Reuse::No } else { reuse };
        let delivers = self.delivers();
        let lease = upstream::lease(self.worker, &pool, member, reuse, self.client, delivers).await;
        self.story.backend = Some(member.ix);
        if let Ok(lease) = &lease {
            pool.shard.backend(member.ix.index()).sent(lease.reused);
            self.story.reused = lease.reused;
            self.story.connect = lease.connect;
        }
        lease
    }

    /// Answers ourselves, and closes if anything of the request may still come.
    async fn answer(&mut self, own: Own, location: Option<&str>, upload: &Pump) -> Next {
        self.story.own(own);
        let keep = self.request.persists
            && self.request.framing == Framing::None
            && !self.client.has_ended
            && !self.is_last();
        let (version, is_head) = (self.request.version, self.request.to_head);
        let id = upload.head().get(self.request.id.clone()).unwrap_or_default();
        let date = self.worker.date();
        let (is_grpc, retry_after) = (self.request.is_grpc, None);
        let date = date.as_bytes();
        let to = Recipient { version, keep, is_head, is_grpc, id, location, retry_after, date };
        let (next, sent) = answer(self.worker, self.client, own, &to).await;
        (self.story.bytes_in, self.story.bytes_out) = (upload.moved, sent);
        next
    }

    /// There is nobody left to answer to: who says so, and how much had come of the request. A client of HTTP/2 that is at
    /// fault has heard of it by a reset, and is told of in the log as by an answer of our own.
    #[cold]
    fn gone(&mut self, end: &'static str, moved: u64) -> Next {
        self.story.bytes_in = self.story.bytes_in.max(moved);
        self.story.end = end;
        let fault = if end.starts_with("client.") { self.client.stream.fault() } else { None };
        match fault {
            Some(Fault::Here(reason)) => {
                self.story.end = reason;
                if self.story.status == 0 {
                    self.story.status = 400;
                }
            }
            Some(Fault::Carrier) => self.story.end = "client.connection",
            None => {}
        }
        Next::Over
    }

    /// Whether the client's connection ends after this exchange whatever the client wants.
    pub(super) fn is_last(&self) -> bool {
        self.client.is_last(self.worker)
    }

    /// Whether the answer is delivered to a client that has ended its sending side.
    pub(super) fn delivers(&self) -> bool {
        match self.client.door.listener.half_close {
            HalfClose::Auto => !self.request.persists,
            HalfClose::Never => false,
            HalfClose::Always => true,
        }
    }

    pub(super) fn failed(&self, member: &Rc<Member>, how: UpstreamError) {
        self.request.pool.owed.note(member.ix);
        self.worker.report(&self.request.pool, member.ix, Outcome::Failed);
        self.request.pool.shard.backend(member.ix.index()).failed(how);
    }

    pub(super) fn answered(&self, member: &Rc<Member>) {
        let pool = &self.request.pool;
        let is_ejected = pool.standing.members.get(member.ix.index()).is_some_and(|a| a.ejected);
        if pool.owed.answered(member.ix, is_ejected) {
            self.worker.report(pool, member.ix, Outcome::Answered);
        }
    }
}

/// The pump for a request: its head, with what came of its body right behind it.
fn upload_of(request: &mut Request) -> Pump {
    let sink = if request.framing == Framing::Chunked { Sink::Chunked } else { Sink::Plain };
    let head = std::mem::take(&mut request.head);
    let mut pump = Pump::new(head, request.framing, sink, Trailers::asked(request.trailers));
    pump.most = request.max_body;
    pump.holds = true;
    pump
}

/// Writes an answer of our own; what becomes of the connection, and how many bytes it was.
async fn answer(worker: &Rc<Worker>, client: &mut Client, own: Own, to: &Recipient<'_>) -> (Next, u64) {
    let mut out = worker.blocks.output();
    own.write(&mut out, to);
    let written = write_all(client, &out).await;
    let len = out.len() as u64;
    worker.blocks.recycle(out);
    match (written, to.keep) {
        (Err(()), _) => (Next::Over, 0),
        (Ok(()), true) => (Next::Request, len),
        (Ok(()), false) => (Next::Close, len),
    }
}

/// Refuses a request whose head, or what came of it, is the first `len` bytes held: answers, and records it. The
/// connection cannot go on, since where the next request begins is not known.
pub async fn refuse(worker: &Rc<Worker>, client: &mut Client, own: Own, len: usize) {
    let mut story = Story::new(Instant::now(), worker.request_id());
    let head = client.held.data().get(..len).unwrap_or_default();
    let is_head = head.starts_with(b"HEAD ");
    let is_grpc = grpc::is_call_head(head);
    story.refused(head, own);
    client.held.consume(len);
    let id: &[u8] = if client.door.listener.request_id { &story.id } else { b"" };
    let (version, date) = (Version::Http11, worker.date());
    let (location, retry_after, date) = (None, None, date.as_bytes());
    let to = Recipient { version, keep: false, is_head, is_grpc, id, location, retry_after, date };
    (_, story.bytes_out) = answer(worker, client, own, &to).await;
    worker.finish(&story, None, client);
}

/// Writes all of `bytes` to the client, within its deadline.
pub(super) async fn write_all(client: &mut Client, bytes: &[u8]) -> Result<(), ()> {
    client.deadline.set(client.door.listener.timeouts.write);
    let mut left = bytes;
    poll_fn(|cx| {
        while !left.is_empty() {
            match Pin::new(&mut client.stream).poll_write(cx, left) {
                Poll::Ready(Ok(n @ 1..)) => left = left.get(n..).unwrap_or_default(),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Err(())),
                Poll::Pending => return client.deadline.poll().map(Err),
            }
        }
        match Pin::new(&mut client.stream).poll_flush(cx) {
            Poll::Pending => client.deadline.poll().map(Err),
            Poll::Ready(flushed) => Poll::Ready(flushed.map_err(drop)),
        }
    })
    .await
}
