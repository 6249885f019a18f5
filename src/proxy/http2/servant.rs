//! Tasks that serve one stream after the other.
//!
//! A request's state is some kilobytes. A task that has served a request keeps its state's place and waits for the next
//! request of any connection, which is cheaper than a new task for each: 3 % of what a small request costs.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Poll, Waker, ready};

use tokio::io::{AsyncRead as _, AsyncWrite as _, ReadBuf};

use super::Shared;
use super::stream::Incoming;
use crate::net::buffer::Buffer;
use crate::net::stream::Stream;
use crate::proxy::aging::Aging;
use crate::proxy::connection::{Client, LINGER};
use crate::proxy::exchange::{self, Next};
use crate::proxy::respond::{self, Own};
use crate::proxy::worker::Worker;

/// Tasks that wait for a request, per worker at most; more end when they have served theirs.
const MOST: usize = 256;

/// A task that serves streams, seen from outside.
#[derive(Debug, Default)]
pub struct Servant {
    job: RefCell<Option<Job>>,
    waker: RefCell<Option<Waker>>,
}

/// A request to be served.
#[derive(Debug)]
pub(super) struct Job {
    pub(super) shared: Counted,
    pub(super) stream: Incoming,
    /// Its head, as HTTP/1.1 has it.
    pub(super) head: Vec<u8>,
    /// Why it is refused, if it is.
    pub(super) refused: Option<Own>,
}

/// A stream that is counted until it is dropped.
#[derive(Debug)]
pub(super) struct Counted(Rc<Shared>);

impl Counted {
    pub(super) fn new(shared: &Rc<Shared>) -> Self {
        shared.open.set(shared.open.get() + 1);
        Self(Rc::clone(shared))
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.served.set(self.0.served.get().wrapping_add(1));
        if std::thread::panicking() {
            self.0.worker.record().panicked();
        }
    }
}

impl Servant {
    /// Gives it a request; it has none.
    pub(super) fn give(&self, job: Job) {
        *self.job.borrow_mut() = Some(job);
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }

    async fn next(&self) -> Job {
        poll_fn(|cx| {
            if let Some(job) = self.job.borrow_mut().take() {
                return Poll::Ready(job);
            }
            self.waker.borrow_mut().get_or_insert_with(|| cx.waker().clone());
            Poll::Pending
        })
        .await
    }
}

/// Serves what the servant is given, until too many wait.
pub(super) async fn attend(worker: Rc<Worker>, servant: Rc<Servant>) {
    let mut deadline = worker.clock.deadline();
    poll_fn(|cx| {
        deadline.tie(cx);
        Poll::Ready(())
    })
    .await;
    loop {
        let Job { shared, stream, head, refused } = servant.next().await;
        let mut held = Buffer::new(&worker.blocks);
        let (len, fits) = (head.len(), held.put(&head));
        worker.blocks.recycle(head);
        let of = &shared.0.client;
        let mut client = Client {
            stream: Stream::Carried(Box::new(stream)),
            held,
            peer: of.peer,
            vouched: of.vouched.clone(),
            tls: of.tls.clone(),
            door: Rc::clone(&of.door),
            deadline,
            opened: of.opened,
            served: shared.0.served.get(),
            is_http2: true,
            has_ended: false,
            memory: shared.0.memory.borrow_mut().take(),
            aging: Aging::default(),
        };
        let next = match refused.or((!fits).then_some(respond::HEAD_TOO_LONG)) {
            Some(own) => {
                exchange::refuse(&worker, &mut client, own, len).await;
                Next::Close
            }
            None => exchange::serve(&worker, &mut client, len).await,
        };
        if matches!(next, Next::Close) {
            linger(&mut client).await;
        }
        let Client { deadline: mine, memory, .. } = client;
        deadline = mine;
        deadline.clear();
        *shared.0.memory.borrow_mut() = memory;
        drop(shared);
        let mut idle = worker.servants.borrow_mut();
        if idle.len() >= MOST {
            return;
        }
        idle.push(Rc::clone(&servant));
    }
}

/// Waits for the end of a request that was answered ahead of it. A stream with a part of a request to come is reset when
/// it is dropped, and there are clients that lose an answer that a reset follows at once (curl 7).
async fn linger(client: &mut Client) {
    client.deadline.set(LINGER);
    client.held.release();
    poll_fn(|cx| {
        if ready!(Pin::new(&mut client.stream).poll_shutdown(cx)).is_err() {
            return Poll::Ready(());
        }
        match Pin::new(&mut client.stream).poll_read(cx, &mut ReadBuf::new(&mut [0])) {
            Poll::Ready(_) => Poll::Ready(()),
            Poll::Pending => client.deadline.poll(),
        }
    })
    .await;
}
