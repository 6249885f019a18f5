//! The body of `/events`: one server-sent event per second, so that people see a response stream through a proxy, and
//! who holds the other end of it.
//!
//! The format is the [HTML standard's](https://html.spec.whatwg.org/multipage/server-sent-events.html).

use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::backend::Backend;

/// Events in one stream. A browser that wants more asks again.
const EVENTS: u32 = 60;

/// A stream of who sends it.
#[derive(Debug)]
pub(super) struct Events {
    backend: Rc<Backend>,
    ticks: Interval,
    sent: u32,
}

impl Events {
    pub(super) fn new(backend: Rc<Backend>) -> Self {
        let mut ticks = interval(Duration::from_secs(1));
        // A slow reader gets later events, not several at once.
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { backend, ticks, sent: 0 }
    }
}

impl Body for Events {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.sent == EVENTS {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(context));
        self.sent += 1;
        let backend = &self.backend;
        let who = json!({ "backend": &**backend.name(), "boot": backend.boot, "hue": backend.hue });
        Poll::Ready(Some(Ok(Frame::data(format!("id: {}\ndata: {who}\n\n", self.sent).into()))))
    }
}
