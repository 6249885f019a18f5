//! `homing explain`: which backend a request would get, and why, offline; and what its cookies say.
//!
//! The request is written out as bytes and goes through the proxy's own admission and choice, so the answer cannot
//! differ from what a running homing with the same configuration and no failures would do. [`pins`] reads what the
//! request presents, `story` puts the way to the answer into words, `tell` prints.

pub mod pins;

mod story;
mod tell;

pub use tell::pins_to_json;

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use anyhow::Context as _;

use crate::affinity::foreign::Secrets;
use crate::affinity::pairs::{pair, segments};
use crate::affinity::seal::SealKeys;
use crate::affinity::{By, Pin, Why};
use crate::backend::members::BackendSet;
use crate::config::Environment;
use crate::pool::Pool;
use crate::pool::choose::{Decision, Patience, Question};
use crate::proxy::request::{self, Asker, Refusal, Request};
use crate::proxy::visits::Visits;
use crate::proxy::vouched::Vouched;
use crate::proxy::worker::{Shared, View, Worker};
use crate::snapshot::phases::Phases;
use crate::snapshot::published::Published;
use crate::snapshot::{Plan, Snapshot, reports};
use crate::strategy::{Needs, RequestFacts};
use crate::telemetry::metrics::{Layout, Metrics};

use pins::{Decoder, PinReport};
use story::Decided;

/// The request that is asked about.
#[derive(Clone, Debug, Default)]
pub struct Ask {
    /// The listener's name; the first if absent.
    pub listener: Option<String>,
    /// Who asks; `None` is a client on a Unix socket.
    pub ip: Option<IpAddr>,
    /// The host; `localhost` if absent.
    pub host: Option<String>,
    /// Path and query; `/` if absent.
    pub path: Option<String>,
    /// Further fields, as `Name: value`.
    pub headers: Vec<String>,
    /// Cookies, as `name=value`.
    pub cookies: Vec<String>,
}

/// The answer.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The route, as host and path; `None` if none is for the request.
    pub route: Option<String>,
    /// The pool.
    pub pool: Option<String>,
    /// The backend's id; `None` if the request would not get one.
    pub backend: Option<String>,
    /// The reason word.
    pub reason: String,
    /// Backends in the order they would be tried if each failed.
    pub chain: Vec<String>,
    /// What a running homing knows and this command does not.
    pub depends_on: Vec<String>,
    /// The way to the answer, a sentence each.
    pub steps: Vec<String>,
    /// What the request's cookies and fields say, as far as they say anything.
    pub pins: Vec<PinReport>,
}

/// Answers questions about one plan.
#[derive(Debug)]
pub struct Explainer {
    worker: Rc<Worker>,
    view: Rc<View>,
    secrets: Secrets,
    /// What pools without a secret seal with in this process, and so in no other.
    unsaved: Arc<SealKeys>,
}

impl Ask {
    /// Whether it is about nothing but cookies, and so about what they say.
    #[must_use]
    pub const fn is_about_cookies(&self) -> bool {
        let Self { listener, ip, host, path, headers, cookies } = self;
        listener.is_none()
            && ip.is_none()
            && host.is_none()
            && path.is_none()
            && headers.is_empty()
            && !cookies.is_empty()
    }
}

impl Explainer {
    /// An explainer for `plan`, which was read with `environment`. `secrets` are those of other balancers.
    #[must_use]
    pub fn new(plan: Plan, environment: &Environment, secrets: Secrets) -> Self {
        let (reporter, _reports) = reports::channel();
        let shared = Shared {
            published: Arc::new(Published::new(Snapshot::new(Arc::new(plan)))),
            reporter,
            metrics: Arc::new(Metrics::new(Layout::default())),
            phases: Arc::new(Phases::default()),
            visits: Arc::new(Visits::default()),
            open: Arc::new(AtomicU32::new(0)),
            pseudonym: "homing-explain".into(),
        };
        let worker = Worker::new(0, shared, None);
        let view = worker.view();
        Self { worker, view, secrets, unsaved: Arc::clone(&environment.keys) }
    }

    /// Explains one request.
    ///
    /// # Errors
    /// The listener is not known, or a header or cookie is not one.
    pub fn explain(&self, ask: &Ask) -> anyhow::Result<Answer> {
        match self.admit(ask)? {
            Ok(request) => {
                let mut pins = self.pins(ask, Some(&request.pool.pool))?;
                pins.retain(PinReport::tells);
                Ok(self.answer(&request, None, pins))
            }
            Err(refusal) => {
                let own = refusal.answer();
                Ok(Answer {
                    route: None,
                    pool: None,
                    backend: None,
                    reason: own.reason.to_owned(),
                    chain: Vec::new(),
                    depends_on: Vec::new(),
                    steps: vec![format!("homing answers {} itself: {}", own.status, own.text)],
                    pins: self.pins(ask, None)?.into_iter().filter(PinReport::tells).collect(),
                })
            }
        }
    }

    /// What the cookies and fields say, for any pool of the plan.
    ///
    /// # Errors
    /// A header or cookie is not one.
    pub fn decode(&self, ask: &Ask) -> anyhow::Result<Vec<PinReport>> {
        self.pins(ask, None)
    }

    fn pins(&self, ask: &Ask, here: Option<&Pool>) -> anyhow::Result<Vec<PinReport>> {
        let (pools, now) = (&self.view.snapshot.plan.pools, self.worker.unix_now());
        let decoder = Decoder { pools, here, unsaved: &self.unsaved, secrets: &self.secrets, now };
        let mut pins = Vec::new();
        let mut of_line = |line: &str| {
            for (name, value) in segments(line.as_bytes()).filter_map(pair) {
                let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
                pins.push(decoder.cookie(&text(name), &text(value)));
            }
        };
        for cookie in &ask.cookies {
            anyhow::ensure!(cookie.contains('='), "--cookie \"{cookie}\": write 'name=value'");
            of_line(cookie);
        }
        let fields: Vec<(&str, &str)> =
            ask.headers.iter().map(|h| field(h)).collect::<anyhow::Result<_>>()?;
        let (cookies, others): (Vec<_>, Vec<_>) =
            fields.into_iter().partition(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        cookies.iter().for_each(|(_, line)| of_line(line));
        pins.extend(others.iter().map(|(name, value)| decoder.header(name, value)));
        Ok(pins)
    }

    /// The backend for each line: an address is a client's, anything else is the affinity key itself.
    ///
    /// # Errors
    /// As [`Self::explain`].
    pub fn batch(&self, ask: &Ask, lines: &str) -> anyhow::Result<String> {
        let mut out = String::new();
        for line in lines.lines().map(str::trim).filter(|l| !l.is_empty()) {
            let ip = line.parse::<IpAddr>().ok();
            let ask = Ask { ip: ip.or(ask.ip), ..ask.clone() };
            let backend = self.admit(&ask)?.ok().and_then(|request| {
                let key = (ip.is_none()).then_some(line.as_bytes());
                self.answer(&request, key, Vec::new()).backend
            });
            out.push_str(line);
            out.push('\t');
            out.push_str(backend.as_deref().unwrap_or("-"));
            out.push('\n');
        }
        Ok(out)
    }

    fn admit(&self, ask: &Ask) -> anyhow::Result<Result<Request, Refusal>> {
        let listeners = &self.view.snapshot.plan.listeners;
        let ix = match &ask.listener {
            None => 0,
            Some(name) => listeners
                .iter()
                .position(|l| *l.name == **name)
                .with_context(|| format!("no listener is named \"{name}\""))?,
        };
        let listener = listeners.get(ix).context("the configuration has no listener")?;
        let path = ask.path.as_deref().unwrap_or("/");
        let host = ask.host.as_deref().unwrap_or("localhost");
        let mut head = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n");
        for header in &ask.headers {
            let (name, value) = field(header)?;
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        if !ask.cookies.is_empty() {
            head.push_str(&format!("Cookie: {}\r\n", ask.cookies.join("; ")));
        }
        head.push_str("\r\n");
        let peer = ask.ip.map(|ip| ip.to_canonical());
        let asker = Asker {
            listener,
            listener_ix: ix,
            peer,
            vouched: &Vouched::new(peer, None),
            is_http2: false,
            id: &[b'0'; 32],
        };
        Ok(request::admit(&self.worker, &self.view, &asker, head.as_bytes(), &mut None))
    }

    fn answer(&self, request: &Request, key: Option<&[u8]>, pins: Vec<PinReport>) -> Answer {
        let pool = &request.pool;
        let mut tried = BackendSet::new();
        let (mut chain, mut why, mut refused) = (Vec::new(), Why::NoBackend, None);
        let key = key.or(request.key.as_deref());
        let hash = key.map_or(request.hash, crate::base::hash::hash64);
        loop {
            let ask = Question {
                pool: &pool.pool,
                standing: &pool.standing,
                session: request.session.as_ref(),
                tried: &tried,
                follow: None,
                patience: Patience::NONE,
            };
            let attempt = u8::try_from(chain.len()).unwrap_or(u8::MAX);
            let facts =
                RequestFacts { client: request.client, key, hash, attempt, now: self.worker.unix_now() };
            let decision = pool.pickers.borrow_mut().choose(&ask, &facts);
            if chain.is_empty()
                && let Decision::Refuse(cause) = decision
            {
                (why, refused) = (Why::Strict, Some(cause));
            }
            let Some(choice) = decision.choice() else { break };
            if chain.is_empty() {
                why = choice.why;
            }
            tried.insert(choice.backend);
            chain.push(choice.backend);
        }
        let route = self.view.snapshot.plan.routes.as_slice().get(request.route).map(ToString::to_string);
        let decided = Decided {
            route: route.as_deref().unwrap_or_default(),
            pool: &pool.pool,
            standing: &pool.standing,
            session: request.session.as_ref(),
            key,
            pins: &pins,
            chosen: chain.first().copied(),
            why,
            refused,
        };
        let steps = decided.steps();
        let chain: Vec<String> = chain.iter().map(|ix| pool.pool.members.get(*ix).id.to_string()).collect();
        Answer {
            pool: Some(pool.pool.name.to_string()),
            backend: chain.first().cloned(),
            reason: why.as_str().to_owned(),
            depends_on: depends_on(request, key),
            route,
            chain,
            steps,
            pins,
        }
    }
}

/// The name and the value of a field as it is asked about.
fn field(header: &str) -> anyhow::Result<(&str, &str)> {
    let (name, value) =
        header.split_once(':').with_context(|| format!("--header \"{header}\": write 'Name: value'"))?;
    Ok((name.trim(), value.trim()))
}

fn depends_on(request: &Request, key: Option<&[u8]>) -> Vec<String> {
    let pool = &request.pool.pool;
    let mut on = vec!["health: every backend is taken to be up".to_owned()];
    if request.session.is_some_and(|s| matches!(s.by, By::Learned | By::Route)) {
        on.push(format!(
            "table: a running homing may know the session: homing sessions {} --find ID",
            pool.name
        ));
    }
    let placed = |pin| matches!(pin, Pin::To(_) | Pin::Void(Why::Removed | Why::Unknown));
    if request.session.is_some_and(|s| placed(s.pin)) {
        on.push("load: max_conns is taken to have room".to_owned());
        return on;
    }
    match pool.kind.needs {
        Needs::Nothing => on.push(format!("{}: another request may get another backend", pool.kind.name)),
        Needs::Key if key.is_none() => {
            on.push("no key is in the request: the choice is not stable".to_owned())
        }
        Needs::Key | Needs::Address => {}
    }
    on
}

#[cfg(test)]
#[path = "explain_tests.rs"]
mod tests;
