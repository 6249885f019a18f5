//! A request's head: who asks, for what, within limits; and the head that its backend will see.
//!
//! Everything is read from the bytes once. What a proxy must not pass on is refused here or left out here; what it
//! vouches for (`X-Forwarded-*`, `Via`) is written last, so that no field of the client's can remove or change it.

use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use super::facts::{Facts, claimed_client, tells_https};
use super::grpc;
use super::handshake::Secured;
use super::request_id::Digits;
use super::rewrite::Writer;
use super::screen::Screen;
use super::turned::Turned;
use super::upstream::PoolView;
use super::vouched::Vouched;
use super::worker::{View, Worker};
use crate::affinity::carriers::Reading;
use crate::affinity::memory::Memory;
use crate::affinity::{Pin, Session, Why};
use crate::base::hash::{combine, hash64};
use crate::message::field::{self, Name, Underscores};
use crate::message::framing::{ConnectionOptions, Framing, Lengths};
use crate::message::head::{self, Fault, MAX_FIELDS, RequestHead, Version};
use crate::message::host;
use crate::route::Route;
use crate::route::path::Changed;
use crate::snapshot::Listener;
use crate::snapshot::guard::Guard;
use crate::strategy::Needs;

/// What is known of the client before its request.
#[derive(Debug)]
pub struct Asker<'a> {
    /// The listener it came in by.
    pub listener: &'a Listener,
    /// The listener's place in the snapshot.
    pub listener_ix: usize,
    /// Its address; `None` on a Unix socket.
    pub peer: Option<IpAddr>,
    /// The fields that say who it is, written once per connection.
    pub vouched: &'a Vouched,
    /// What its TLS handshake told, if there was one.
    pub tls: Option<&'a Secured>,
    /// Whether it came over HTTP/2.
    pub is_http2: bool,
    /// What the request is called, unless a trusted proxy has given it a name.
    pub id: &'a Digits,
    /// When it asks; `None` where nobody asks and no rate is charged.
    pub now: Option<Instant>,
}

impl Asker<'_> {
    /// Whether its listener asks clients for certificates: then nobody else tells of them.
    pub(super) fn asks_for_certificates(&self) -> bool {
        self.listener.tls.as_ref().is_some_and(|tls| tls.settings.clients.is_some())
    }
}

/// A request that may go to a backend.
#[derive(Debug)]
pub struct Request {
    /// The pool it goes to.
    pub pool: Rc<PoolView>,
    /// The route's place in the snapshot.
    pub route: usize,
    /// The head as the backend will see it.
    pub head: Vec<u8>,
    /// Where in `head` the method stands.
    pub method: Range<usize>,
    /// Where in `head` the target stands.
    pub target: Range<usize>,
    /// Where in `head` the target's path stands.
    pub path: Range<usize>,
    /// Where in `head` the host stands.
    pub host: Range<usize>,
    /// The target as the client wrote it, where the route has changed it.
    pub asked: Option<Box<str>>,
    /// How its body is framed.
    pub framing: Framing,
    /// Largest body that is passed on, bytes.
    pub max_body: u64,
    /// Its version.
    pub version: Version,
    /// The client keeps the connection open.
    pub persists: bool,
    /// The method, as far as answers depend on it.
    pub verb: Verb,
    /// The method is HEAD.
    pub to_head: bool,
    /// The request may be sent twice.
    pub is_idempotent: bool,
    /// The client waits for a 100 before it sends its body.
    pub expects: bool,
    /// A WebSocket is asked for.
    pub upgrade: bool,
    /// The client reads trailers.
    pub trailers: bool,
    /// It is a call of gRPC: so are the answers that homing makes itself, and trailers are the end of it.
    pub is_grpc: bool,
    /// The client came by TLS, or a trusted proxy says so.
    pub is_secure: bool,
    /// The session, in a pool with affinity.
    pub session: Option<Session>,
    /// The affinity key.
    pub key: Option<Vec<u8>>,
    /// The key's hash, or a random number.
    pub hash: u64,
    /// What parallel first requests of one client have in common.
    pub visit: u64,
    /// The client's address, as the trusted proxies tell it.
    pub client: Option<IpAddr>,
    /// Where in `head` the request's id stands; empty if it has none.
    pub id: Range<usize>,
    /// Where in `head` the User-Agent stands.
    pub user_agent: Range<usize>,
    /// Where in `head` the Referer stands.
    pub referer: Range<usize>,
}

/// Methods that answers depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// `GET`
    Get,
    /// `HEAD`
    Head,
    /// `POST`
    Post,
    /// `DELETE`
    Delete,
    /// Any other.
    Other,
}

impl Verb {
    fn of(method: &str) -> Self {
        match method {
            "GET" => Self::Get,
            "HEAD" => Self::Head,
            "POST" => Self::Post,
            "DELETE" => Self::Delete,
            _ => Self::Other,
        }
    }

    /// As a request line has it; of others a dash.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Post => "POST",
            Self::Delete => "DELETE",
            Self::Other => "-",
        }
    }
}

/// Why homing answers a request itself.
#[derive(Debug)]
pub enum Refusal {
    /// It is malformed or not served.
    Fault(Fault),
    /// It asks what the last recipient that its `Max-Forwards` allows can do, and that is homing.
    LastHop,
    /// No route is for it.
    NoRoute,
    /// A listener or a route says so.
    Turned(Box<Turned>),
}

/// What one pass over the fields found.
pub(super) struct Fields<'b> {
    pub(super) names: [Name; MAX_FIELDS],
    pub(super) lengths: Lengths,
    pub(super) options: ConnectionOptions,
    pub(super) host: Option<&'b [u8]>,
    upgrade: bool,
    pub(super) te_trailers: bool,
    is_grpc: bool,
    is_last_hop: bool,
    pub(super) expects: bool,
    /// The `Cookie` line, while it is the only one.
    pub(super) cookie: Option<&'b [u8]>,
    pub(super) cookies: usize,
    forwarded_for: usize,
    pub(super) request_id: Option<&'b [u8]>,
    user_agent: &'b [u8],
}

/// Reads, checks and rewrites a head that is whole.
///
/// # Errors
/// Why homing answers itself.
pub fn admit(
    worker: &Worker,
    view: &Rc<View>,
    asker: &Asker<'_>,
    bytes: &[u8],
    memory: &mut Option<Box<Memory>>,
) -> Result<Request, Refusal> {
    let mut room = head::room();
    let head = head::parse_request(bytes, &mut room).map_err(Refusal::Fault)?;
    let mut fields = Fields::new();
    inspect(&head, asker.listener, worker.pseudonym(), &mut fields).map_err(Refusal::Fault)?;
    let framing = fields.lengths.of_request(head.version).map_err(Refusal::Fault)?;
    let place = Place::of(&head, fields.host).map_err(Refusal::Fault)?;
    if fields.is_last_hop {
        return Err(Refusal::LastHop);
    }
    let path = path_of(place.target);
    let is_trusted = asker.peer.is_some_and(|ip| asker.listener.trusted_proxies.contains(ip));
    let claims = fields.forwarded_for > 0;
    let client = if is_trusted && claims { claimed_client(&head, &fields, asker) } else { asker.peer };
    let (host, target, tls) = (place.host, place.target, asker.tls);
    let facts = Facts { head: &head, fields: &fields, client, host, target, tls };
    let persists = fields.options.persists(head.version);
    let is_secure = tls.is_some() || is_trusted && tells_https(&head, &fields);
    let screen = Screen { asker, facts: &facts, framing, persists, is_secure, route: None };
    let way = way(view, screen, path)?;
    let (route, pool, now) = (way.route, way.pool, worker.unix_now());
    let session = pool.pool.affinity.as_ref().map(|affinity| {
        let cache = &mut worker.opened.borrow_mut();
        let memory = memory.get_or_insert_default();
        let (members, fresh) = (&pool.pool.members, worker.random());
        affinity.read(&facts, Reading { members, now, cache, fresh, memory, pool: pool.pool.digest })
    });
    if way.guard.is_some() {
        way.screen.charge_session(way.guard, session.as_ref())?;
    }
    let (key, hash) = placed_by(worker, pool, &facts, claims && !is_trusted);
    let is_new = session
        .is_some_and(|s| !matches!(s.pin, Pin::To(_) | Pin::Void(Why::Removed | Why::Unknown)))
        && pool.pool.affinity.as_ref().is_some_and(|a| a.begins_together());
    let visit = if is_new { visit_key(client, fields.user_agent, pool) } else { 0 };

    let is_plain_get = head.method == "GET" && framing == Framing::None; // RFC 6455 section 4.1
    let (sent, path) = match &way.changed {
        None => (Place { ..place }, path),
        Some(changed) => (Place { target: &changed.target, ..place }, path_of(&changed.target)),
    };
    let upgrade = fields.upgrade && head.version == Version::Http11 && is_plain_get;
    let mut request = Request {
        pool: Rc::clone(pool),
        route: way.route_ix,
        head: worker.blocks.output(),
        method: 0..head.method.len(),
        target: head.method.len() + 1..head.method.len() + 1 + sent.target.len(),
        path: head.method.len() + 1..head.method.len() + 1 + path.len(),
        host: 0..0,
        asked: way.changed.as_ref().map(|_| place.target.into()),
        framing,
        max_body: way.max_body,
        version: head.version,
        persists,
        verb: Verb::of(head.method),
        to_head: head.method == "HEAD",
        is_idempotent: super::retry::is_idempotent(head.method),
        expects: fields.expects,
        upgrade,
        trailers: fields.te_trailers,
        is_grpc: fields.is_grpc,
        is_secure,
        session,
        key,
        hash,
        visit,
        client,
        id: 0..0,
        user_agent: 0..0,
        referer: 0..0,
    };
    let rules = &route.request_headers;
    let prefix = way.changed.as_ref().filter(|c| c.is_stripped).and(route.path_change.as_ref());
    let prefix = prefix.map(|change| &*change.strip);
    let (head, fields, memory) = (&head, &fields, memory.as_deref());
    let writer = Writer { worker, asker, head, fields, framing, is_trusted, rules, memory, prefix };
    writer.write(&mut request, &sent);
    Ok(request)
}

/// Which way a request goes.
struct Way<'a, 'b> {
    screen: Screen<'a, 'b>,
    route: &'a Route,
    route_ix: usize,
    guard: Option<&'a Guard>,
    pool: &'a Rc<PoolView>,
    changed: Option<Changed>,
    max_body: u64,
}

/// Finds the route, and asks whoever stands before it and its pool.
fn way<'a, 'b>(view: &'a View, mut screen: Screen<'a, 'b>, path: &str) -> Result<Way<'a, 'b>, Refusal> {
    let plan = &view.snapshot.plan;
    let before = screen.asker.listener.guard.as_ref();
    if let Some(guard) = before {
        screen.enter(guard)?;
    }
    let found = plan.routes.find(screen.asker.listener_ix, screen.facts.name(), path);
    if let Some(port) = screen.asker.listener.https_redirect {
        screen.over_tls(port, found.map(|(_, route)| route))?;
    }
    let (route_ix, route) = found.ok_or(Refusal::NoRoute)?;
    screen.route = Some(route_ix);
    let guard = plan.guards.get(route_ix).and_then(Option::as_ref);
    let is_guarded = before.is_some() || guard.is_some();
    let max_body = if is_guarded { screen.pass(before, guard)? } else { u64::MAX };
    let changed = match &route.path_change {
        None => None,
        Some(change) => change.apply(screen.facts.target).map_err(|_| Refusal::Fault(Fault::Target))?,
    };
    if let Some(answer) = screen.answer(route, changed.as_ref()) {
        return Err(answer);
    }
    let pool = route.pool().and_then(|ix| view.pools.get(ix)).ok_or(Refusal::NoRoute)?;
    Ok(Way { screen, route, route_ix, guard, pool, changed, max_body })
}

/// The path of a target; the server as a whole is what serves its root.
fn path_of(target: &str) -> &str {
    if target == "*" {
        return "/";
    }
    let end = memchr::memchr(b'?', target.as_bytes()).unwrap_or(target.len());
    target.get(..end).unwrap_or_default()
}

/// The key that the pool's strategy places by, and its hash, or a random number. `claims` says that the client tells of
/// others and is not believed.
#[inline(always)]
fn placed_by(
    worker: &Worker,
    pool: &PoolView,
    facts: &Facts<'_, '_>,
    claims: bool,
) -> (Option<Vec<u8>>, u64) {
    let (mut key, mut source) = (None, 0);
    if pool.pool.kind.needs == Needs::Key
        && let Some((place, bytes)) = pool.pool.key.find_at(facts)
    {
        (key, source) = (Some(bytes.into_owned()), place);
    }
    let hash = key.as_deref().map_or_else(|| worker.random(), hash64);
    if let Some(skew) = &pool.skew
        && skew.takes(|| worker.random())
    {
        skew.take(&pool.pool, key.as_ref().map(|_| (source, hash)), facts.client, claims);
    }
    (key, hash)
}

/// What parallel first requests have in common. Pools are told apart by where they are: a reload may move their places,
/// and those of their members.
fn visit_key(client: Option<IpAddr>, user_agent: &[u8], pool: &PoolView) -> u64 {
    let client = match client {
        None => 0,
        Some(IpAddr::V4(ip)) => u128::from(u32::from(ip)),
        Some(IpAddr::V6(ip)) => u128::from(ip),
    };
    combine(
        combine(hash64(&client.to_be_bytes()), hash64(user_agent)),
        Arc::as_ptr(&pool.pool) as usize as u64,
    )
}

impl<'b> Fields<'b> {
    /// Before the pass.
    fn new() -> Self {
        Self {
            names: [Name::Other; MAX_FIELDS],
            lengths: Lengths::default(),
            options: ConnectionOptions::default(),
            host: None,
            upgrade: false,
            te_trailers: false,
            is_grpc: false,
            is_last_hop: false,
            expects: false,
            cookie: None,
            cookies: 0,
            forwarded_for: 0,
            request_id: None,
            user_agent: b"",
        }
    }
}

/// One pass over the fields: their names, and all that can be refused by looking at them. They are filled in where they
/// are, for they are many.
fn inspect<'b>(
    head: &RequestHead<'_, 'b>,
    listener: &Listener,
    pseudonym: &str,
    seen: &mut Fields<'b>,
) -> Result<(), Fault> {
    let limits = &listener.limits;
    if head.fields.len() > limits.fields {
        return Err(Fault::TooManyFields);
    }
    if head.target.len() > limits.target {
        return Err(Fault::TargetTooLong);
    }
    for (f, slot) in head.fields.iter().zip(&mut seen.names) {
        if f.name.len() + f.value.len() > limits.field {
            return Err(Fault::FieldTooLong);
        }
        let name = Name::of_bytes(f.name);
        *slot = name;
        match name {
            Name::Other if listener.underscores == Underscores::Refuse && field::has_underscore(f.name) => {
                return Err(Fault::Underscore);
            }
            Name::Other => {}
            Name::Host if seen.host.is_some() => return Err(Fault::Host),
            Name::Host => seen.host = Some(f.value),
            Name::ContentLength | Name::TransferEncoding => seen.lengths.note(name, f.value)?,
            Name::Connection => seen.options.note(f.value),
            Name::Upgrade => seen.upgrade |= f.value.eq_ignore_ascii_case(b"websocket"),
            Name::Te => {
                seen.te_trailers |= field::list(f.value).any(|c| c.eq_ignore_ascii_case(b"trailers"));
            }
            Name::Expect if head.version == Version::Http11 => {
                if !f.value.eq_ignore_ascii_case(b"100-continue") {
                    return Err(Fault::Expectation);
                }
                seen.expects = true;
            }
            Name::MaxForwards if head.method == "OPTIONS" => {
                seen.is_last_hop |= field::number(f.value) == Some(0);
            }
            Name::Cookie => {
                seen.cookies += 1;
                seen.cookie = (seen.cookies == 1).then_some(f.value);
            }
            Name::ForwardedFor => seen.forwarded_for += 1,
            Name::RequestId => seen.request_id = seen.request_id.or(Some(f.value)),
            Name::UserAgent => seen.user_agent = f.value,
            Name::Via if is_own_via(f.value, pseudonym) => return Err(Fault::Loop),
            _ => {}
        }
    }
    seen.upgrade &= seen.options.upgrade;
    seen.is_grpc = head.method == "POST" && grpc::is_call(head.fields);
    seen.te_trailers |= seen.is_grpc;
    Ok(())
}

fn is_own_via(value: &[u8], pseudonym: &str) -> bool {
    field::list(value).any(|hop| {
        let by = hop.split(|b| b.is_ascii_whitespace()).filter(|w| !w.is_empty()).nth(1);
        by == Some(pseudonym.as_bytes())
    })
}

/// Where a request is for: its host and its target in origin form.
pub(super) struct Place<'b> {
    pub(super) host: &'b str,
    pub(super) target: &'b str,
}

impl<'b> Place<'b> {
    fn of(head: &RequestHead<'_, 'b>, host: Option<&'b [u8]>) -> Result<Self, Fault> {
        match head.method {
            "CONNECT" => return Err(Fault::Connect),
            "TRACE" => return Err(Fault::Trace),
            _ => {}
        }
        let host = match (host, head.version) {
            (None, Version::Http10) => "",
            (None, Version::Http11) => return Err(Fault::Host),
            (Some(h), _) if host::is_valid(h) => std::str::from_utf8(h).map_err(|_| Fault::Host)?,
            (Some(_), _) => return Err(Fault::Host),
        };
        let target = head.target;
        if memchr::memchr(b'#', target.as_bytes()).is_some() {
            return Err(Fault::Target);
        }
        if target.starts_with('/') {
            return Ok(Self { host, target });
        }
        if target == "*" && head.method == "OPTIONS" {
            return Ok(Self { host, target });
        }
        let lower = target.get(..8).map(str::to_ascii_lowercase).unwrap_or_default();
        let rest = if lower.starts_with("http://") {
            &target[7..]
        } else if lower.starts_with("https://") {
            &target[8..]
        } else {
            return Err(Fault::Target);
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if !host::is_valid(authority.as_bytes()) {
            return Err(Fault::Target);
        }
        let target = match path {
            "" if head.method == "OPTIONS" => "*",
            "" => "/",
            // A query without a path has no origin form of its own bytes.
            path if path.starts_with('?') => return Err(Fault::Target),
            path => path,
        };
        Ok(Self { host: authority, target })
    }
}

impl Request {
    /// A part of the head as text.
    #[must_use]
    pub fn part(&self, range: &Range<usize>) -> &[u8] {
        self.head.get(range.clone()).unwrap_or_default()
    }
}
