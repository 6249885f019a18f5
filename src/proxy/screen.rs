//! What a request must pass before its pool is asked: its listener's guard and its route's.
//!
//! Who comes in is looked at first, then how often, then how large a body is announced. A session's own rate is looked
//! at once the session is read, which is in `request`.

use super::facts::Facts;
use super::grpc;
use super::request::{Asker, Refusal};
use super::respond::{self, Own};
use super::story::Asked;
use super::turned::{Turned, With};
use crate::affinity::key::KeyFacts as _;
use crate::affinity::{By, Pin, Session, Why};
use crate::message::framing::Framing;
use crate::message::head::Fault;
use crate::route::path::Changed;
use crate::route::{Destination, Route};
use crate::snapshot::guard::{Guard, RateLimit};

/// Where who issues certificates asks whether a name is ours (RFC 8555 section 8.3): in the clear.
const ACME: &str = "/.well-known/acme-challenge";

/// What two sources of a rate's key are told apart by, where a session is the key.
const PIN: usize = usize::MAX;

/// A request that is looked at.
pub(super) struct Screen<'a, 'b> {
    pub(super) asker: &'a Asker<'a>,
    pub(super) facts: &'a Facts<'a, 'b>,
    pub(super) framing: Framing,
    /// Whether its client goes on after it.
    pub(super) persists: bool,
    /// Whether its client came over TLS, by its own connection or by a trusted proxy's word.
    pub(super) is_secure: bool,
    /// Its route's place, once that is known.
    pub(super) route: Option<usize>,
}

impl Screen<'_, '_> {
    /// Whether the client may come in.
    pub(super) fn enter(&self, guard: &Guard) -> Result<(), Refusal> {
        let admits = guard.access.admits(self.facts.client);
        if admits { Ok(()) } else { Err(self.turn(respond::DENIED, With::Nothing)) }
    }

    /// Sends a request that came in the clear on to https, by this port. One without a host cannot be sent anywhere.
    pub(super) fn over_tls(&self, port: u16, route: Option<&Route>) -> Result<(), Refusal> {
        if self.is_secure || route.is_some_and(|route| route.path.starts_with(ACME)) {
            return Ok(());
        }
        if self.facts.host.is_empty() {
            return Err(Refusal::Fault(Fault::Host));
        }
        let (host, target) =
            (self.facts.name(), if self.facts.target == "*" { "/" } else { self.facts.target });
        let location = match port {
            443 => format!("https://{host}{target}"),
            port => format!("https://{host}:{port}{target}"),
        };
        // Unlike 301, 308 says that the method stays.
        let status = if matches!(self.facts.head.method, "GET" | "HEAD") { 301 } else { 308 };
        Err(self.turn(Own { status, ..respond::TO_HTTPS }, With::Location(location)))
    }

    /// Whether it may go on behind its listener's guard and its route's; how large its body may be.
    pub(super) fn pass(&self, listener: Option<&Guard>, route: Option<&Guard>) -> Result<u64, Refusal> {
        if let Some(guard) = route {
            self.enter(guard)?;
        }
        for limit in [listener, route].into_iter().flatten().filter_map(|g| g.limit.as_ref()) {
            if !limit.by_pin {
                self.charge(limit, None)?;
            }
        }
        let most = route.and_then(|g| g.max_body).or_else(|| listener.and_then(|g| g.max_body));
        let most = most.unwrap_or(u64::MAX);
        if matches!(self.framing, Framing::Length(n) if n > most) {
            return Err(self.turn(respond::BODY_LENGTH, With::Nothing));
        }
        Ok(most)
    }

    /// One request of its session's, or of its client's where homing cannot vouch for the session.
    pub(super) fn charge_session(
        &self,
        guard: Option<&Guard>,
        session: Option<&Session>,
    ) -> Result<(), Refusal> {
        match guard.and_then(|guard| guard.limit.as_ref()).filter(|limit| limit.by_pin) {
            Some(limit) => self.charge(limit, session.and_then(vouched)),
            None => Ok(()),
        }
    }

    fn charge(&self, limit: &RateLimit, session: Option<u64>) -> Result<(), Refusal> {
        let Some(now) = self.asker.now else { return Ok(()) };
        let charged = match session {
            Some(key) => limit.gate.charge(PIN, &key.to_le_bytes(), now),
            None => match limit.keys.find_at(self.facts) {
                Some((place, key)) => limit.gate.charge(place, &key, now),
                None => Ok(()), // There is one in every request.
            },
        };
        charged.map_err(|wait| {
            let seconds = wait.as_nanos().div_ceil(1_000_000_000).max(1);
            let seconds = u64::try_from(seconds).unwrap_or(u64::MAX);
            self.turn(respond::RATE_LIMIT, With::RetryAfter(seconds))
        })
    }

    /// The answer of a route without a pool; `None` if it has one.
    pub(super) fn answer(&self, route: &Route, changed: Option<&Changed>) -> Option<Refusal> {
        let target = changed.map_or(self.facts.target, |c| c.target.as_str());
        match &route.to {
            Destination::Pool(_) => None,
            Destination::Respond(it) => {
                let own = Own { status: it.status, ..respond::RESPOND };
                Some(self.turn(own, With::Answer { location: None }))
            }
            Destination::Redirect(it) => {
                let own = Own { status: it.status, ..respond::REDIRECT };
                Some(match it.to.fill(self.facts.name(), target) {
                    Some(place) => self.turn(own, With::Answer { location: Some(place) }),
                    None => Refusal::Fault(Fault::Host),
                })
            }
        }
    }

    fn turn(&self, own: Own, with: With) -> Refusal {
        let (head, client) = (self.facts.head, self.facts.client);
        let field = |name| self.facts.header(name).unwrap_or_default();
        Refusal::Turned(Box::new(Turned {
            own,
            with,
            route: self.route,
            asked: Asked {
                client: client.filter(|ip| Some(*ip) != self.asker.peer),
                version: head.version,
                host: self.facts.host.into(),
                user_agent: field("user-agent").into(),
                referer: field("referer").into(),
            },
            is_head: head.method == "HEAD",
            is_grpc: head.method == "POST" && grpc::is_call(head.fields),
            keeps: self.persists && self.framing == Framing::None,
        }))
    }
}

/// The session's number, if no client could have made it up: it was read from a pin of ours, or the table knows its id.
const fn vouched(session: &Session) -> Option<u64> {
    let is_ours = matches!(session.by, By::Cookie | By::Header | By::Learned);
    let is_known = matches!(session.pin, Pin::To(_) | Pin::Void(Why::Removed));
    if is_ours && is_known { Some(session.key) } else { None }
}
