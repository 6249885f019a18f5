//! Whoever asks: clients as they are described, one request at a time, and rows of them.

use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::{Duration, Instant};

use http::Method;
use rustls::RootCertStore;
use tokio::task::JoinSet;

use super::Settings;
use super::ask::{Answer, Ask, Asker, Line};
use super::classify::classify;
use super::findings::{Finding, Mark, Probed};
use super::identify::Identify;
use super::jar::Jar;
use super::names::{self, Reading};
use super::observed::{Node, Observed, Trial};
use super::statistics::{ALPHA, needed};
use super::target::{Target, Vary, Wrong};
use crate::base::time::UnixSeconds;
use crate::net::tls::client;

/// For one answer.
const EACH: Duration = Duration::from_secs(5);
/// Answers that came from elsewhere, before a row is given up as not held.
const ENOUGH: usize = 4;
/// Most requests of others between two of a row.
const FILLERS: usize = 24;

/// Answers of a row while one backend only is known.
const ALONE: usize = 12;
/// An answer that takes longer than this comes from afar.
const FAR: Duration = Duration::from_millis(20);

/// The state of a probe.
pub(super) struct Prober<'p> {
    pub(super) settings: &'p Settings,
    pub(super) asker: Rc<Asker>,
    pub(super) identify: Option<Identify>,
    pub(super) random: fastrand::Rng,
    pub(super) seen: Observed,
    /// A reading for each carrier, in their order.
    pub(super) readings: Vec<Reading>,
    pub(super) findings: Vec<Finding>,
    pub(super) requests: u64,
    /// What is kept back of the time.
    pub(super) reserved: Duration,
    /// Time spent waiting for answers.
    waited: Duration,
    progress: &'p mut dyn FnMut(&str),
    began: Instant,
}

/// A client: what its requests have in common.
pub(super) struct Client {
    pub(super) cookies: Cookies,
    pub(super) from: From,
    pub(super) fields: Vec<(String, String)>,
    pub(super) path: Path,
    pub(super) connection: Connection,
}

/// Which cookies it sends.
pub(super) enum Cookies {
    /// As a browser: those that it was given.
    Kept(Jar),
    /// None, whatever it is given.
    None,
    /// Always this text.
    Text(String),
}

/// Where it comes from.
#[derive(Clone, Copy)]
pub(super) enum From {
    /// One address; none where there is no choice.
    One(Option<Ipv4Addr>),
    /// Another address each time.
    Any,
    /// Another address each time that shares so many octets with this one.
    Like(Ipv4Addr, usize),
}

/// What it asks for.
#[derive(Clone)]
pub(super) enum Path {
    /// What the probe is for.
    Given,
    /// This.
    Of(String),
    /// Another path and query each time.
    Any,
}

/// Over which connections.
pub(super) enum Connection {
    /// A new one each.
    New,
    /// One that is kept; and how often it had to be opened.
    Kept(Option<Line>, usize),
}

/// One request's outcome.
#[derive(Clone, Debug, Default)]
pub(super) struct Visit {
    pub(super) node: Option<Node>,
    pub(super) answer: Option<Answer>,
    pub(super) source: Option<Ipv4Addr>,
}

impl Client {
    /// Without anything.
    pub(super) const fn bare(from: From) -> Self {
        Self {
            cookies: Cookies::None,
            from,
            fields: Vec::new(),
            path: Path::Given,
            connection: Connection::New,
        }
    }

    /// With these cookies, always the same.
    pub(super) fn with_text(from: From, cookies: String) -> Self {
        Self { cookies: Cookies::Text(cookies), ..Self::bare(from) }
    }

    /// As a browser.
    pub(super) fn browser(from: From, jar: Jar) -> Self {
        Self { cookies: Cookies::Kept(jar), ..Self::bare(from) }
    }
}

impl<'p> Prober<'p> {
    /// Finds out where that is.
    pub(super) async fn new(
        settings: &'p Settings,
        progress: &'p mut dyn FnMut(&str),
    ) -> Result<Self, Wrong> {
        let began = Instant::now();
        if let Some(direct) = &settings.direct {
            Target::parse(direct)?;
        }
        let target = Target::parse(&settings.url)?;
        let address = found(&target, settings).await?;
        let vary = Vary::of(address, settings.client_header.as_deref());
        let asker = asker(settings, target, vary.clone()).await?;
        let seen = Observed { varies: vary != Vary::Never, ..Observed::default() };
        Ok(Self {
            settings,
            asker: Rc::new(asker),
            identify: settings.identify.clone(),
            random: fastrand::Rng::with_seed(settings.seed),
            seen,
            readings: Vec::new(),
            findings: Vec::new(),
            requests: 0,
            reserved: Duration::ZERO,
            waited: Duration::ZERO,
            progress,
            began,
        })
    }

    /// The verdict on what was seen until now.
    pub(super) fn end(self) -> Probed {
        let mut findings = self.findings;
        // A reader looks for them by their numbers. Those of one number stay as they were asked.
        findings.sort_by_key(|f| (number(f.id), f.id));
        let verdict = classify(&self.seen, &self.readings);
        Probed {
            url: self.settings.url.clone(),
            verdict,
            backends: self.seen.nodes,
            identified_by: self.identify.map(|i| i.to_text()),
            findings,
            requests: self.requests,
            seconds: self.began.elapsed().as_secs_f64(),
            seed: self.settings.seed,
        }
    }

    /// Says what is done now.
    pub(super) fn say(&mut self, what: &str) {
        (self.progress)(what);
    }

    /// What is left of the time, but for what is kept back.
    pub(super) fn left(&self) -> Duration {
        self.settings.within.saturating_sub(self.began.elapsed() + self.reserved)
    }

    /// Puts a line on the checklist.
    pub(super) fn find(
        &mut self,
        id: &'static str,
        mark: Mark,
        asked: &str,
        seen: impl Into<String>,
        verdict: impl Into<String>,
    ) {
        self.find_with(id, mark, asked, seen, verdict, None);
    }

    /// The same with an error probability.
    pub(super) fn find_with(
        &mut self,
        id: &'static str,
        mark: Mark,
        asked: &str,
        seen: impl Into<String>,
        verdict: impl Into<String>,
        error_probability: Option<f64>,
    ) {
        let (asked, seen, mut verdict) = (asked.to_owned(), seen.into(), verdict.into());
        let (mut mark, mut error_probability) = (mark, error_probability);
        if self.left().is_zero() && mark != Mark::LeftOut {
            // What was asked last has no answers, which says nothing.
            (mark, error_probability) = (Mark::LeftOut, None);
            "the time was up".clone_into(&mut verdict);
        }
        self.findings.push(Finding { id, mark, asked, seen, verdict, error_probability });
    }

    /// Says that something was not asked, and why.
    pub(super) fn leave_out(&mut self, id: &'static str, asked: &str, why: &str) {
        self.find(id, Mark::LeftOut, asked, "", why);
    }

    /// A fixed address, where there is a choice.
    pub(super) fn place(&mut self) -> From {
        From::One(self.asker.vary.draw(&mut self.random, None))
    }

    /// The number of a backend.
    pub(super) fn node(&mut self, label: &str) -> Node {
        let nodes = &mut self.seen.nodes;
        nodes.iter().position(|n| n == label).unwrap_or_else(|| {
            nodes.push(label.to_owned());
            nodes.len() - 1
        })
    }

    /// One request of this client.
    pub(super) async fn visit(&mut self, client: &mut Client) -> Visit {
        let path = match &client.path {
            Path::Given => self.asker.target.path.clone(),
            Path::Of(path) => path.clone(),
            Path::Any => {
                let (base, mark) = (self.asker.target.path.clone(), self.random.u64(..));
                let join = if base.contains('?') { '&' } else { '?' };
                format!("{base}{join}probe={mark:x}")
            }
        };
        self.request(client, Method::GET, path, String::new()).await
    }

    /// The same with a method, a path and a body of its own.
    pub(super) async fn request(
        &mut self,
        client: &mut Client,
        method: Method,
        path: String,
        body: String,
    ) -> Visit {
        let source = match client.from {
            From::One(ip) => ip,
            From::Any => self.asker.vary.draw(&mut self.random, None),
            From::Like(like, same) => self.asker.vary.draw(&mut self.random, Some((like, same))),
        };
        let cookies = match &client.cookies {
            Cookies::Kept(jar) => jar.text(),
            Cookies::None => String::new(),
            Cookies::Text(text) => text.clone(),
        };
        let ask = Ask { method, path, fields: client.fields.clone(), cookies, source, body };
        let left = self.left();
        if left.is_zero() {
            return Visit::default();
        }
        self.requests += 1;
        let (asker, asked) = (Rc::clone(&self.asker), Instant::now());
        let answer = match &mut client.connection {
            Connection::New => tokio::time::timeout(left, asker.once(&ask)).await,
            Connection::Kept(line, opened) => {
                *opened += usize::from(line.is_none());
                tokio::time::timeout(left, asker.over(line, &ask)).await
            }
        };
        self.waited += asked.elapsed();
        let Ok(Ok(answer)) = answer else { return Visit { source, ..Visit::default() } };
        let node = self.whose(&answer, &ask.cookies);
        if let Cookies::Kept(jar) = &mut client.cookies {
            jar.take(&answer, UnixSeconds::now());
        }
        Visit { node, answer: Some(answer), source }
    }

    /// Who answered.
    pub(super) fn whose(&mut self, answer: &Answer, sent: &str) -> Option<Node> {
        let identify = self.identify.clone()?;
        let of = |name: &str| {
            let mut pairs = sent.split("; ").filter_map(|p| p.split_once('='));
            pairs.find(|(n, _)| *n == name).map(|(_, v)| v)
        };
        if let Some(label) = identify.label(answer, None) {
            return Some(self.node(&label));
        }
        // A cookie is not set again while it is good: but a client may send what it likes.
        let Identify::Cookie(name) = &identify else { return None };
        let label = identify.label(answer, of(name))?;
        self.seen.nodes.iter().position(|node| *node == label)
    }

    /// Requests of others: so many, drawn at random, that a turn that goes on by one for each may stand anywhere. All at
    /// once where answers take their time.
    pub(super) async fn fill(&mut self) -> usize {
        let most = (self.seen.nodes.len().max(2) * 2).min(FILLERS);
        let count = self.random.usize(..most);
        if self.waited < FAR * u32::try_from(self.requests).unwrap_or(u32::MAX) {
            for _ in 0..count {
                self.visit(&mut Client::bare(From::Any)).await;
            }
            return count;
        }
        let mut all = JoinSet::new();
        for _ in 0..count {
            let source = self.asker.vary.draw(&mut self.random, None);
            let (asker, left) = (Rc::clone(&self.asker), self.left());
            self.requests += 1;
            all.spawn_local(async move {
                let ask = Ask::get(asker.target.path.clone(), source);
                tokio::time::timeout(left, asker.once(&ask)).await.is_ok()
            });
        }
        while all.join_next().await.is_some() {}
        count
    }

    /// How many answers a row needs; few where there is nothing to tell apart.
    pub(super) fn needed(&self) -> usize {
        if self.seen.nodes.len() < 2 { ALONE } else { needed(&self.seen.shares, ALPHA) }
    }

    /// A row: as many requests of this client as are needed, others' in between, until it is plain that it is not held,
    /// or the time is up.
    pub(super) async fn row(&mut self, client: &mut Client) -> Trial {
        let mut trial = Trial::default();
        let mut elsewhere = 0;
        while trial.seen.len() < self.needed() && elsewhere < ENOUGH && !self.left().is_zero() {
            let visit = self.visit(client).await;
            let first = trial.seen.iter().flatten().next().copied();
            elsewhere += usize::from(visit.node.is_none() || first.is_some_and(|f| visit.node != Some(f)));
            trial.seen.push(visit.node);
            trial.fillers += self.fill().await;
        }
        trial
    }

    /// A new client that has been answered once, or has logged in where that is asked for: its visit and its cookies.
    pub(super) async fn birth(&mut self, from: From) -> (Visit, Jar) {
        let mut client = Client::browser(from, Jar::default());
        let visit = match self.settings.login.clone() {
            Some(login) => self.request(&mut client, Method::POST, "/api/login".to_owned(), login).await,
            None => self.visit(&mut client).await,
        };
        let Cookies::Kept(jar) = client.cookies else { return (visit, Jar::default()) };
        (visit, jar)
    }

    /// Reads what the carriers' values say.
    pub(super) fn read_carriers(&mut self) {
        let (seen, known) = (&self.seen, &self.settings.backends);
        self.readings = seen.carriers.iter().map(|c| names::read(c, &seen.nodes, known)).collect();
    }
}

/// `T5b` is the fifth; what has no number comes last.
fn number(id: &str) -> usize {
    let digits = id.trim_start_matches('T').trim_end_matches(|c: char| c.is_ascii_lowercase());
    digits.parse().unwrap_or(usize::MAX)
}

/// Where it is.
async fn found(target: &Target, settings: &Settings) -> Result<SocketAddr, Wrong> {
    let late = || Wrong::Unreachable(format!("resolve {}: no answer in time", target.host));
    tokio::time::timeout(settings.within, target.resolve()).await.map_err(|_| late())?
}

/// Who asks this target.
pub(super) async fn asker(settings: &Settings, target: Target, vary: Vary) -> Result<Asker, Wrong> {
    let address = found(&target, settings).await?;
    let tls = if target.is_tls {
        let tls = match &settings.trust.0 {
            Some(tls) => tls.clone(),
            None => by_the_systems_roots()?,
        };
        let name = client::name(&target.host);
        Some(tls.connector(name.ok_or_else(|| Wrong::Usage(format!("{}: no name of a host", target.host)))?))
    } else {
        None
    };
    Ok(Asker { target, address, tls, vary, fields: settings.fields.clone(), each: EACH.min(settings.within) })
}

fn by_the_systems_roots() -> Result<client::Settings, Wrong> {
    let mut roots = RootCertStore::empty();
    let (added, _) = roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if added == 0 {
        let message =
            "the system trusts no certificate: --ca FILE, --insecure, or install the package ca-certificates";
        return Err(Wrong::Usage(message.to_owned()));
    }
    client::Settings::new(Some(roots.into()), None).map_err(|e| Wrong::Usage(e.to_string()))
}
