//! A client's connection: waiting for heads, one exchange after the other, then parked or closed.
//!
//! A head is withheld from everything until it is whole; a slow one costs its own few bytes. An idle connection is
//! parked after 2 s: what is left of it is a small task and the socket.

use std::future::poll_fn;
use std::net::IpAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::AsyncWrite;

use super::aging::Aging;
use super::clock::Deadline;
use super::door::{Door, Inside};
use super::exchange::{self, Next};
use super::handshake::{self, Secured};
use super::http2;
use super::request::Refusal;
use super::respond::{Own, TOO_SLOW};
use super::vouched::Vouched;
use super::worker::Worker;
use crate::affinity::memory::Memory;
use crate::message::head::{Fault, Search, check_first_line, find_end};
use crate::net::buffer::Buffer;
use crate::net::proxy_header;
use crate::net::stream::Stream;
use crate::telemetry::reasons::Rejection;

/// How long a connection is kept ready before it is parked.
const PARK: Duration = Duration::from_secs(2);
/// How long, and how many bytes, a client may go on sending after an answer that ends its connection: so that it
/// reads the answer instead of a reset. The bytes are those that two sockets hold at most, as Linux has them at first:
/// a client that reads now and then finds the answer behind them. (nginx: lingering_close, without a bound)
pub(super) const LINGER: Duration = Duration::from_secs(2);
pub(super) const LINGER_BYTES: usize = 10 * 1024 * 1024;

/// A client's connection.
#[derive(Debug)]
pub struct Client {
    /// The socket.
    pub stream: Stream,
    /// Bytes read and not yet used.
    pub held: Buffer,
    /// Its address, as a PROXY header tells it if there is one; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// Where it came in.
    pub door: Rc<Door>,
    /// The one deadline of its task.
    pub deadline: Deadline,
    /// What homing vouches for about it.
    pub vouched: Vouched,
    /// What its TLS handshake told, if there was one.
    pub tls: Option<Rc<Secured>>,
    /// When it was accepted.
    pub opened: Instant,
    /// Requests served on it.
    pub served: u32,
    /// Whether it is a stream of HTTP/2.
    pub is_http2: bool,
    /// Whether it has said that it will send no more.
    pub has_ended: bool,
    /// What its last request told of its session; nothing while it is parked.
    pub memory: Option<Box<Memory>>,
    /// When it has served enough.
    pub aging: Aging,
}

/// Room for a method, blanks and the version beside the target, bytes.
const LONGEST_METHOD: usize = 64;

/// What waiting for a head came to.
enum Waited {
    /// A whole head of this length is held.
    Head(usize),
    /// Nothing came for a while: the connection can be parked.
    Idle,
    /// It is over, without an answer.
    Over,
    /// It is over, with one.
    Refused(Own),
}

/// What waiting for a PROXY header came to.
enum Introduced {
    /// It is known who the client is.
    Done,
    /// The connection is over before a word was said.
    Over,
    /// There is no header, for this reason: whatever comes is nobody's.
    Wrong(&'static str),
}

/// Serves one connection to its end.
pub async fn serve(worker: Rc<Worker>, mut inside: Inside, stream: Stream, peer: Option<IpAddr>) {
    let door = Rc::clone(inside.door());
    let deadline = worker.clock.deadline();
    poll_fn(|cx| {
        deadline.tie(cx);
        Poll::Ready(())
    })
    .await;
    let opened = Instant::now();
    let mut client = Client {
        stream,
        held: Buffer::new(&worker.blocks),
        peer,
        vouched: Vouched::new(peer, door.port()),
        tls: None,
        aging: Aging::new(&door.listener, opened, || worker.random()),
        door,
        deadline,
        opened,
        served: 0,
        is_http2: false,
        has_ended: false,
        memory: None,
    };
    if client.door.listener.proxy_protocol {
        match Box::pin(introduce(&worker, &mut client)).await {
            Introduced::Done => {}
            Introduced::Over => return,
            Introduced::Wrong(what) => {
                tracing::debug!(listener = &*client.door.listener.name, peer = ?client.peer, what, "no PROXY header");
                return client.door.shard.rejected(Rejection::ProxyHeader);
            }
        }
    }
    if !inside.introduce(&client.stream, client.peer) {
        return;
    }
    if let Some(tls) = client.door.listener.tls.clone() {
        match Box::pin(handshake::shake(&worker, client, &tls)).await {
            Some(secured) => client = secured,
            None => return,
        }
        if client.tls.as_ref().is_some_and(|tls| tls.is_http2) {
            return Box::pin(http2::serve(&worker, client)).await;
        }
    } else if client.door.listener.h2c {
        match Box::pin(begins_with_http2(&worker, &mut client)).await {
            None => return,
            Some(true) => return Box::pin(http2::serve(&worker, client)).await,
            Some(false) => {}
        }
    }
    loop {
        // The working state is on the heap while there is work, and gone while there is none.
        match Box::pin(active(&worker, client)).await {
            None => return,
            Some(parked) => client = Client { memory: None, ..parked },
        }
        client.deadline.set(client.door.listener.timeouts.idle.saturating_sub(PARK));
        let woken = poll_fn(|cx| {
            if worker.closes_idle() {
                return Poll::Ready(false);
            }
            match client.stream.poll_read_ready(cx) {
                Poll::Ready(_) => Poll::Ready(true),
                Poll::Pending => client.deadline.poll().map(|()| false),
            }
        });
        if !woken.await {
            return client.say_goodbye();
        }
    }
}

/// Waits for the PROXY header and takes who the client is from it. What came behind it stays held.
async fn introduce(worker: &Worker, client: &mut Client) -> Introduced {
    client.deadline.set(client.door.listener.timeouts.proxy_header);
    poll_fn(|cx| {
        loop {
            match proxy_header::parse(client.held.data()) {
                Err(_) => return Poll::Ready(Introduced::Wrong("malformed")),
                Ok(None) => {}
                Ok(Some(header)) => {
                    client.held.consume(header.len);
                    if let Some(carried) = header.carried {
                        client.peer = Some(carried.source.ip());
                        client.vouched = Vouched::new(client.peer, Some(carried.destination.port()));
                    }
                    return Poll::Ready(Introduced::Done);
                }
            }
            if client.held.is_empty() && worker.closes_idle() {
                return Poll::Ready(Introduced::Over);
            }
            match client.held.poll_fill(&mut client.stream, cx) {
                // A check that connects and says nothing is no mistake of anybody's.
                Poll::Ready(Ok(0)) if client.held.is_empty() => return Poll::Ready(Introduced::Over),
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Introduced::Wrong("cut")),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    client.held.shrink();
                    return client.deadline.poll().map(|()| Introduced::Wrong("late"));
                }
            }
        }
    })
    .await
}

/// Whether the first bytes are the preface of HTTP/2, right or wrong; `None` if they did not come.
async fn begins_with_http2(worker: &Worker, client: &mut Client) -> Option<bool> {
    client.deadline.set(client.door.listener.timeouts.head);
    poll_fn(|cx| {
        loop {
            let (data, preface) = (client.held.data(), http2::PREFACE);
            let n = data.len().min(preface.len());
            if data.get(..n) != preface.get(..n) {
                // Nobody else begins with the first line of it. (RFC 9113 section 3.4)
                return Poll::Ready(Some(data.starts_with(b"PRI * HTTP/2.0\r\n")));
            }
            if n == preface.len() {
                return Poll::Ready(Some(true));
            }
            if n == 0 && worker.closes_idle() {
                return Poll::Ready(None);
            }
            match client.held.poll_fill(&mut client.stream, cx) {
                // What is cut here is a cut head, and is dealt with as one.
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready((n > 0).then_some(false)),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    client.held.shrink();
                    return client.deadline.poll().map(|()| (n > 0).then_some(false));
                }
            }
        }
    })
    .await
}

/// Whether what came first, where both are served, is of neither version of HTTP: a whole line without the slash that each
/// has in its name. It is a wrong preface then, and HTTP/2 says so. (RFC 9113 section 3.4)
fn is_neither(client: &Client) -> bool {
    let listener = &client.door.listener;
    if !listener.h2c || listener.tls.is_some() || client.served > 0 {
        return false;
    }
    // What is refused before its line is whole is so however its bytes arrived.
    let data = client.held.data();
    let data =
        data.get(..data.len().min(listener.limits.target).min(listener.limits.head)).unwrap_or_default();
    let end = memchr::memchr3(b'/', b'\r', b'\n', data).and_then(|at| data.get(at..));
    end.is_some_and(|end| end.starts_with(b"\n") || end.starts_with(b"\r\n"))
}

/// Serves requests until the connection ends (`None`) or is idle.
async fn active(worker: &Rc<Worker>, mut client: Client) -> Option<Client> {
    loop {
        match wait_for_head(worker, &mut client).await {
            Waited::Head(_) | Waited::Refused(_) if is_neither(&client) => {
                Box::pin(http2::serve(worker, client)).await;
                return None;
            }
            Waited::Head(len) => match exchange::serve(worker, &mut client, len).await {
                Next::Request => client.served = client.served.saturating_add(1),
                Next::Close => {
                    linger(&mut client).await;
                    return None;
                }
                Next::Over => return None,
            },
            Waited::Idle => return Some(client),
            Waited::Over => {
                client.say_goodbye();
                return None;
            }
            Waited::Refused(own) => {
                let len = client.held.len();
                exchange::refuse(worker, &mut client, own, len).await;
                linger(&mut client).await;
                return None;
            }
        }
    }
}

async fn wait_for_head(worker: &Rc<Worker>, client: &mut Client) -> Waited {
    let listener = Arc::clone(&client.door.listener);
    let mut search = Search::new(listener.bare_lf);
    let mut has_skipped = false;
    let mut began = client.served == 0 || !client.held.is_empty();
    client.deadline.set(if began { listener.timeouts.head } else { PARK });
    poll_fn(|cx| {
        loop {
            if !client.held.is_empty() {
                if !began {
                    began = true;
                    client.deadline.set(listener.timeouts.head);
                }
                let blank = search.blank_line(client.held.data());
                if search.in_first_line() && blank > 0 {
                    // One blank line before a request (RFC 9112 section 2.2).
                    if std::mem::replace(&mut has_skipped, true) {
                        return Poll::Ready(Waited::Refused(Refusal::Fault(Fault::StartLine).answer()));
                    }
                    client.held.consume(blank);
                    search = Search::new(listener.bare_lf);
                    continue;
                }
                match look(client, &mut search, listener.limits.head, listener.limits.target) {
                    Ok(Some(len)) => return Poll::Ready(Waited::Head(len)),
                    Ok(None) => {}
                    Err(fault) => return Poll::Ready(Waited::Refused(Refusal::Fault(fault).answer())),
                }
            }
            if client.held.is_empty() && worker.closes_idle() {
                return Poll::Ready(Waited::Over);
            }
            match client.held.poll_fill(&mut client.stream, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Waited::Over),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    client.held.shrink();
                    ready!(client.deadline.poll());
                    return Poll::Ready(match (client.held.is_empty(), client.served) {
                        (false, _) => Waited::Refused(TOO_SLOW),
                        (true, 0) => Waited::Over,
                        (true, _) => Waited::Idle,
                    });
                }
            }
        }
    })
    .await
}

/// Whether a whole head is held, and within its limits so far.
fn look(client: &Client, search: &mut Search, max: usize, max_target: usize) -> Result<Option<usize>, Fault> {
    let data = client.held.data();
    let found = find_end(data, search)?;
    if found.unwrap_or(data.len()) > max {
        // However its bytes arrived, what is too long is told by where the first line ends.
        let line = memchr::memchr(b'\n', data).unwrap_or(data.len());
        return Err(if line > max_target + LONGEST_METHOD { of_long_line(data) } else { Fault::HeadTooLong });
    }
    if found.is_none() {
        check_first_line(data)?;
    }
    if found.is_none() && search.in_first_line() && data.len() > max_target + LONGEST_METHOD {
        return Err(of_long_line(data));
    }
    Ok(found)
}

/// Whether it is the target that makes a first line too long, or a word that is no method.
fn of_long_line(line: &[u8]) -> Fault {
    let method = line.iter().take(LONGEST_METHOD).position(|&b| b == b' ');
    if method.is_some() { Fault::TargetTooLong } else { Fault::StartLine }
}

/// Closes so that the client can read the last answer: ends our side, and reads a little of what still comes.
pub(super) async fn linger(client: &mut Client) {
    client.deadline.set(LINGER);
    let mut left = LINGER_BYTES;
    let mut is_shut = false;
    poll_fn(|cx| {
        if !is_shut {
            if ready!(Pin::new(&mut client.stream).poll_shutdown(cx)).is_err() {
                return Poll::Ready(());
            }
            is_shut = true;
        }
        loop {
            left = left.saturating_sub(client.held.len());
            client.held.release();
            if left == 0 || client.has_ended {
                return Poll::Ready(());
            }
            match client.held.poll_fill(&mut client.stream, cx) {
                Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => return client.deadline.poll(),
            }
        }
    })
    .await;
}

impl Client {
    /// Ends a TLS session in order, as far as that can be done without waiting; a socket needs no word for it.
    pub(super) fn say_goodbye(&mut self) {
        if self.tls.is_some() && !self.is_http2 {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            // Nobody waits for it: a client that does not read has gone.
            let _ = Pin::new(&mut self.stream).poll_shutdown(&mut cx);
        }
    }

    /// Whether the answer to the present request is the connection's last: homing stops, its listener is gone, or it has
    /// served enough.
    #[must_use]
    pub fn is_last(&self, worker: &Worker) -> bool {
        worker.is_draining() || self.door.is_gone() || self.aging.is_over(self.served)
    }

    /// Whether the client is gone while its request is in flight: reads what it sends meanwhile, as far as there is
    /// room. `delivers` says that an end of its sending side does not mean that it is gone.
    pub fn poll_gone(&mut self, cx: &mut Context<'_>, delivers: bool) -> Poll<()> {
        while !self.has_ended && !self.held.is_full() {
            match ready!(self.held.poll_fill(&mut self.stream, cx)) {
                Ok(0) if delivers => self.has_ended = true,
                Ok(0) | Err(_) => return Poll::Ready(()),
                Ok(_) => {}
            }
        }
        Poll::Pending
    }
}
