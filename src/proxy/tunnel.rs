//! What is no longer HTTP: bytes both ways after a 101 that was asked for.
//!
//! A tunnel holds its seat in the backend's load and no view. It ends when both sides have ended, when either breaks,
//! or when no byte moved for the pool's `tunnel` time; or for the time for writing, if bytes wait that a side does not
//! take: behind them the end of the other side would not be seen. (nginx: send_timeout)

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::AsyncWrite;

use super::clock::Deadline;
use super::forward::{Pump, Sink, Trailers, Waits};
use crate::message::framing::Framing;
use crate::net::buffer::Buffer;
use crate::net::stream::Stream;

/// How long a tunnel may go without a byte once one side has ended: what the other still had to say.
const HALF_OPEN: Duration = Duration::from_secs(30);

/// One end of a tunnel: its connection, and bytes read from it that wait.
#[derive(Debug)]
pub struct End<'a> {
    /// The connection.
    pub stream: &'a mut Stream,
    /// Bytes that came early.
    pub held: &'a mut Buffer,
    /// How long it may take nothing of what waits for it.
    pub write: Duration,
}

/// Moves bytes both ways until the tunnel ends; returns how many went (to the backend, to the client).
pub async fn run(client: End<'_>, backend: End<'_>, deadline: &Deadline, idle: Duration) -> (u64, u64) {
    let pump = || Pump::new(Vec::new(), Framing::UntilClose, Sink::Plain, Trailers::Drop);
    let (mut up, mut down) = (pump(), pump());
    let (mut up_open, mut down_open, mut seen) = (true, true, 0);
    deadline.set(idle);
    poll_fn(|cx| {
        if up_open {
            match up.poll(client.stream, client.held, backend.stream, cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    up_open = false;
                    let _ = Pin::new(&mut *backend.stream).poll_shutdown(cx);
                }
                Poll::Pending => {}
            }
        }
        if down_open {
            match down.poll(backend.stream, backend.held, client.stream, cx) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(())) => {
                    down_open = false;
                    let _ = Pin::new(&mut *client.stream).poll_shutdown(cx);
                }
                Poll::Pending => {}
            }
        }
        if !up_open && !down_open {
            return Poll::Ready(());
        }
        if seen != up.progress + down.progress {
            seen = up.progress + down.progress;
            let blocked = |pump: &Pump, is_open: bool| is_open && pump.waits_for == Waits::Write;
            let mut time = if up_open && down_open { idle } else { idle.min(HALF_OPEN) };
            if blocked(&up, up_open) {
                time = time.min(backend.write);
            }
            if blocked(&down, down_open) {
                time = time.min(client.write);
            }
            deadline.set(time);
        }
        deadline.poll()
    })
    .await;
    (up.moved, down.moved)
}
