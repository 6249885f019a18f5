//! One connection to a store: requests go out as they come, answers come back in order, and every wait has a deadline.
//!
//! A connection that breaks takes what was under way with it: whether that was done, nobody knows, so it is not sent
//! again. The next request makes another connection, at most one in [`PAUSE`]; until then requests fail at once.

use std::cell::Cell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Fault, Parsed, Reply};
use crate::demo::options::Endpoint;

/// For a connection to be made.
const CONNECT: Duration = Duration::from_secs(1);

/// For an answer, from when the request was given to us.
const ANSWER: Duration = Duration::from_secs(2);

/// Between two attempts at a connection.
const PAUSE: Duration = Duration::from_millis(50);

/// Requests that wait to be sent, and requests that wait for their answer.
const WAITING: usize = 1024;

type Parse = fn(&[u8]) -> Parsed;

/// A store, as a backend asks it. Cheap to clone; the connection ends with the last clone.
#[derive(Clone, Debug)]
pub(in crate::demo) struct Link {
    orders: mpsc::Sender<Order>,
    tally: Rc<Tally>,
}

/// What was asked of a store.
#[derive(Debug, Default)]
pub(in crate::demo) struct Tally {
    /// Requests that were sent, each one round trip.
    pub(in crate::demo) trips: Cell<u64>,
    /// Requests that came to nothing.
    pub(in crate::demo) faults: Cell<u64>,
}

#[derive(Debug)]
struct Order {
    bytes: Vec<u8>,
    due: Instant,
    answer: oneshot::Sender<Result<Reply, Fault>>,
}

impl Link {
    /// Begins a task on the local set that it is called in. Nothing is connected before something is asked.
    pub(in crate::demo) fn new(endpoint: Endpoint, parse: Parse, tally: Rc<Tally>) -> Self {
        let (orders, wishes) = mpsc::channel(WAITING);
        tokio::task::spawn_local(drive(endpoint, parse, wishes));
        Self { orders, tally }
    }

    /// One round trip. An answer that says an error is one.
    pub(in crate::demo) async fn ask(&self, bytes: Vec<u8>) -> Result<Reply, Fault> {
        self.tally.trips.set(self.tally.trips.get() + 1);
        let (answer, comes) = oneshot::channel();
        let order = Order { bytes, due: Instant::now() + ANSWER, answer };
        let result = match self.orders.try_send(order) {
            Ok(()) => comes.await.unwrap_or(Err(Fault::Closed)),
            Err(_) => Err(Fault::Busy),
        };
        let result = match result {
            Ok(Reply::Error(text)) => Err(Fault::Refused(text)),
            other => other,
        };
        if result.is_err() {
            self.tally.faults.set(self.tally.faults.get() + 1);
        }
        result
    }

    /// The same for what may be done twice: once more if the connection broke meanwhile.
    pub(in crate::demo) async fn ask_again(&self, bytes: Vec<u8>) -> Result<Reply, Fault> {
        match self.ask(bytes.clone()).await {
            Err(Fault::Closed) => self.ask(bytes).await,
            other => other,
        }
    }
}

/// Serves until the last [`Link`] is gone.
async fn drive(endpoint: Endpoint, parse: Parse, mut wishes: mpsc::Receiver<Order>) {
    let mut next_attempt = Instant::now();
    while let Some(order) = wishes.recv().await {
        if Instant::now() < next_attempt {
            let _ = order.answer.send(Err(Fault::Connect));
            continue;
        }
        let connected = tokio::time::timeout(CONNECT, connect(&endpoint)).await;
        next_attempt = Instant::now() + PAUSE;
        match connected {
            Ok(Ok(stream)) => {
                let mut talk = Talk { parse, pending: VecDeque::new(), out: BytesMut::new() };
                talk.take(order);
                let fault = talk.run(stream, &mut wishes).await;
                for order in talk.pending {
                    let _ = order.answer.send(Err(fault.clone()));
                }
            }
            Ok(Err(_)) | Err(_) => {
                let _ = order.answer.send(Err(Fault::Connect));
            }
        }
    }
}

trait Duplex: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Duplex for T {}

async fn connect(endpoint: &Endpoint) -> std::io::Result<Box<dyn Duplex>> {
    Ok(match endpoint {
        Endpoint::Tcp(at) => {
            let stream = TcpStream::connect(at.as_str()).await?;
            stream.set_nodelay(true)?;
            Box::new(stream)
        }
        Endpoint::Unix(path) => Box::new(UnixStream::connect(path).await?),
    })
}

/// A connection, while it lasts.
struct Talk {
    parse: Parse,
    /// Sent or about to be, in order.
    pending: VecDeque<Order>,
    out: BytesMut,
}

impl Talk {
    fn take(&mut self, order: Order) {
        self.out.extend_from_slice(&order.bytes);
        self.pending.push_back(order);
    }

    /// Until it breaks, and how.
    async fn run(&mut self, stream: Box<dyn Duplex>, wishes: &mut mpsc::Receiver<Order>) -> Fault {
        let (mut reader, mut writer) = tokio::io::split(stream);
        let mut input = BytesMut::with_capacity(4096);
        loop {
            let due = self.pending.front().map_or_else(Instant::now, |order| order.due);
            tokio::select! {
                order = wishes.recv(), if self.pending.len() < WAITING => {
                    let Some(order) = order else { return Fault::Closed };
                    self.take(order);
                    // What came at the same time goes in the same packet.
                    while self.pending.len() < WAITING && let Ok(order) = wishes.try_recv() {
                        self.take(order);
                    }
                }
                wrote = writer.write_buf(&mut self.out), if !self.out.is_empty() => {
                    if !wrote.is_ok_and(|n| n > 0) {
                        return Fault::Closed;
                    }
                }
                read = reader.read_buf(&mut input) => {
                    if !read.is_ok_and(|n| n > 0) {
                        return Fault::Closed;
                    }
                    if let Err(fault) = self.answer(&mut input) {
                        return fault;
                    }
                }
                () = tokio::time::sleep_until(due), if !self.pending.is_empty() => return Fault::Timeout,
            }
        }
    }

    fn answer(&mut self, input: &mut BytesMut) -> Result<(), Fault> {
        while !input.is_empty() {
            match (self.parse)(input) {
                Parsed::Whole(reply, taken) => {
                    input.advance(taken);
                    let order = self.pending.pop_front().ok_or(Fault::Protocol)?;
                    // Whoever asked may have gone.
                    let _ = order.answer.send(Ok(reply));
                }
                Parsed::Part => return Ok(()),
                Parsed::Broken => return Err(Fault::Protocol),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[path = "link_tests.rs"]
mod tests;
