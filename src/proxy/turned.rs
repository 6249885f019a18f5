//! Requests that homing answers before a pool is asked, because a listener or a route says so: turned away, redirected,
//! or answered with what stands in the configuration.
//!
//! Unlike a malformed request it is known where such a one ends, so that its connection goes on.

use std::rc::Rc;
use std::time::Instant;

use super::connection::Client;
use super::exchange::{self, Next};
use super::request::Refusal;
use super::request_id::Digits;
use super::respond::{Own, Recipient, write_connection, write_length, write_status};
use super::rewrite::write_field;
use super::story::{Asked, Story};
use super::worker::{View, Worker};
use crate::route::{Destination, HeaderRules, Route};

/// A request that is answered, and how.
#[derive(Debug)]
pub struct Turned {
    /// Status and reason.
    pub own: Own,
    /// What else its answer says.
    pub with: With,
    /// The route's place, if one was looked for.
    pub route: Option<usize>,
    /// What the log tells of it.
    pub asked: Asked,
    /// It asked with HEAD.
    pub is_head: bool,
    /// It is a call of gRPC.
    pub is_grpc: bool,
    /// Nothing of it is still to come, and its client keeps the connection open.
    pub keeps: bool,
}

/// What an answer says beside its status.
#[derive(Debug)]
pub enum With {
    /// Nothing.
    Nothing,
    /// After how many seconds it is worth asking again.
    RetryAfter(u64),
    /// Where the same is served.
    Location(String),
    /// What its route says.
    Answer {
        /// Where the client is sent.
        location: Option<String>,
    },
}

/// Answers a request that goes no further, whose head is the first `len` bytes held.
pub(super) async fn away(
    worker: &Rc<Worker>,
    client: &mut Client,
    view: &View,
    why: Refusal,
    len: usize,
    began: (Instant, Digits),
) -> Next {
    if let Refusal::Turned(turned) = why {
        return answer(worker, client, view, *turned, len, began).await;
    }
    exchange::refuse(worker, client, why.answer(), len).await;
    Next::Close
}

/// Answers the request whose head is the first `len` bytes held, and records it.
async fn answer(
    worker: &Rc<Worker>,
    client: &mut Client,
    view: &View,
    turned: Turned,
    len: usize,
    (began, id): (Instant, Digits),
) -> Next {
    let mut story = Story::new(began, id);
    story.refused(client.held.data().get(..len).unwrap_or_default(), turned.own);
    let (version, is_head) = (turned.asked.version, turned.is_head);
    story.asked = Some(Box::new(turned.asked));
    client.held.consume(len);
    let keep = turned.keeps && !client.has_ended && !client.is_last(worker);
    let id: &[u8] = if client.door.listener.request_id { &story.id } else { b"" };
    let (date, mut location, mut retry_after) = (worker.date(), None, None);
    let route = turned.route.and_then(|ix| view.snapshot.plan.routes.as_slice().get(ix));
    let mut out = worker.blocks.output();
    let mut is_fixed = false;
    match &turned.with {
        With::Nothing => {}
        With::Location(place) => location = Some(place.as_str()),
        With::RetryAfter(seconds) => retry_after = Some(*seconds),
        With::Answer { location: place } => (location, is_fixed) = (place.as_deref(), true),
    }
    let (is_grpc, date) = (turned.is_grpc, date.as_bytes());
    let to = Recipient { version, keep, is_head, is_grpc, id, location, retry_after, date };
    match route.filter(|_| is_fixed) {
        Some(route) => write(route, turned.own.status, &to, &mut out),
        None => turned.own.write(&mut out, &to),
    }
    story.bytes_out = out.len() as u64;
    let written = exchange::write_all(client, &out).await;
    worker.blocks.recycle(out);
    worker.finish(&story, None, client);
    match (written, keep) {
        (Err(()), _) => Next::Over,
        (Ok(()), true) => Next::Request,
        (Ok(()), false) => Next::Close,
    }
}

/// The answer that stands in the configuration, with the route's changes to its fields.
fn write(route: &Route, status: u16, to: &Recipient<'_>, out: &mut Vec<u8>) {
    let code = http::StatusCode::from_u16(status).ok();
    write_status(out, status, code.and_then(|c| c.canonical_reason()).unwrap_or_default().as_bytes());
    let rules = &route.response_headers;
    let field = |out: &mut Vec<u8>, name: &str, value: &[u8]| {
        if !is_ruled(rules, name) {
            write_field(out, name, value);
        }
    };
    let body = if let Destination::Respond(it) = &route.to { &*it.body } else { "" };
    if let (Destination::Respond(it), false) = (&route.to, body.is_empty()) {
        field(out, "Content-Type", it.content_type.as_bytes());
    }
    if let Some(place) = to.location {
        // Browsers keep a 301 and a 308 for good, unless they are told.
        field(out, "Cache-Control", b"no-store");
        write_field(out, "Location", place.as_bytes());
    }
    if !matches!(status, 204 | 304) {
        write_length(out, body.len() as u64);
    }
    field(out, "Date", to.date);
    if !to.id.is_empty() {
        field(out, "X-Request-Id", to.id);
    }
    write_connection(out, to.version, to.keep);
    for (name, value) in rules.set.iter().chain(&rules.add) {
        write_field(out, name, value.as_bytes());
    }
    out.extend_from_slice(b"\r\n");
    if !to.is_head {
        out.extend_from_slice(body.as_bytes());
    }
}

/// Whether the route removes or sets this field.
fn is_ruled(rules: &HeaderRules, name: &str) -> bool {
    let is = |n: &String| n.eq_ignore_ascii_case(name);
    rules.remove.iter().any(is) || rules.set.iter().any(|(n, _)| is(n))
}
