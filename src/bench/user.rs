//! One user and the session: a jar, an address, a kept-open connection, a login, and requests with pauses between. Who is
//! told that the session is not known logs in again, as people do, and goes on.

use std::net::IpAddr;
use std::rc::Rc;

use serde_json::Value;

use super::dice::Dice;
use super::jar::{Jar, Origin};
use super::load::{Live, Load, Nudge};
use super::seen::{Class, Cookies, Kind, Life, Micros, Outcome, Record};
use super::settings::{ClientAddress, Profile};
use super::wire::{self, Connection, Fault, Reply};

/// Logins in a row that may bring no session, before the user thinks again.
const LOGINS: u32 = 2;
/// A session is at most so many mean lengths long.
const LENGTH_CAP: u32 = 4;

/// A user.
#[derive(Debug)]
pub(super) struct User {
    load: Rc<Load>,
    number: u32,
    dice: Dice,
    jar: Jar,
    address: Option<IpAddr>,
    connection: Connection,
    /// Which of the target's addresses it goes to.
    door: usize,
    expected: u32,
    /// By when it began, the login whose session was last acknowledged.
    begun: Option<u64>,
    unsure: u16,
    has_session: bool,
    nudged: usize,
    /// All of this user's sessions are to be ended.
    ends_everywhere: bool,
}

impl User {
    pub(super) fn new(load: Rc<Load>, number: u32) -> Self {
        let mut dice = Dice::new(load.seed, 3, u64::from(number));
        let address = load.address(&mut dice, number);
        let door = number as usize;
        let nudged = load.nudges.borrow().len();
        let to = {
            let target = load.target.borrow();
            target.addresses.get(door % target.addresses.len().max(1)).copied()
        };
        let nowhere = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
        let connection = Connection::new(to.unwrap_or(nowhere), None);
        Self {
            load,
            number,
            dice,
            jar: Jar::default(),
            address,
            connection,
            door,
            expected: 0,
            begun: None,
            unsure: 0,
            has_session: false,
            nudged,
            ends_everywhere: false,
        }
    }

    /// From the first request to the last.
    pub(super) async fn live(mut self) {
        let workload = self.load.workload.clone();
        let begin = self.load.now();
        let length = self.dice.exponential(workload.session, workload.session * LENGTH_CAP);
        let end = match workload.profile {
            Profile::Web => begin + length.as_micros() as Micros,
            Profile::Cohort => Micros::MAX,
        };
        if self.dice.happens(workload.parallel) {
            self.arrive_with_several(begin).await;
        }
        let mut next = self.log_in(begin).await + self.think();
        while next < end {
            let due = self.load.sleep_until(next).await;
            if self.load.is_over.get() {
                return;
            }
            self.obey_nudges();
            if std::mem::take(&mut self.ends_everywhere) && self.has_session {
                next = self.ask(Kind::EndAll, due).await.1 + self.think();
                continue;
            }
            let done = if self.has_session { self.act(due).await } else { self.log_in(due).await };
            next = done + self.think();
        }
        if self.has_session && self.dice.happens(0.5) {
            let due = self.load.sleep_until(end).await;
            self.ask(Kind::Logout, due).await;
        } else if self.has_session {
            // Whoever has read the last page is still there.
            self.load.wait_until(end).await;
        }
        let life = self.load.live.borrow_mut().remove(&self.number);
        if let Some(life) = life {
            let ended = self.load.now();
            self.load.seen.borrow_mut().lives.push(Life { session: self.number, born: life.born, ended });
        }
    }

    fn think(&mut self) -> Micros {
        let workload = &self.load.workload;
        let time = self.dice.exponential(workload.think, workload.think * workload.think_cap);
        time.as_micros() as Micros
    }

    /// One request of a session; when its last answer came.
    async fn act(&mut self, due: Micros) -> Micros {
        let kind = if self.dice.happens(self.load.workload.writes) { Kind::Write } else { Kind::Read };
        let (outcome, done) = self.ask(kind, due).await;
        match outcome {
            Outcome::Expired if self.load.target.borrow().has_tokens => {
                let (outcome, done) = self.ask(Kind::Refresh, done).await;
                if outcome == Outcome::Hit { done } else { self.log_in(done).await }
            }
            Outcome::Unknown | Outcome::None | Outcome::Revoked | Outcome::Expired => self.log_in(done).await,
            Outcome::Hit | Outcome::Failed(_) => done,
        }
    }

    async fn log_in(&mut self, mut due: Micros) -> Micros {
        for _ in 0..LOGINS {
            let (outcome, done) = self.ask(Kind::Login, due).await;
            due = done;
            if outcome == Outcome::Hit {
                break;
            }
        }
        due
    }

    /// Several requests at once, before there is any cookie, each on a connection of its own, as browsers begin.
    async fn arrive_with_several(&mut self, due: Micros) {
        let others = 1 + self.dice.below(5);
        let (to, from) = (self.door_now(), self.source());
        let request = self.request(Kind::First, None);
        let asked: Vec<_> = (0..others)
            .map(|_| {
                let (load, request) = (Rc::clone(&self.load), request.clone());
                tokio::task::spawn_local(async move {
                    let mut connection = Connection::new(to, from);
                    let sent = load.now();
                    let reply = connection.ask(&request, load.workload.timeout, false).await;
                    (sent, load.now(), reply)
                })
            })
            .collect();
        for one in asked {
            if let Ok((sent, done, reply)) = one.await {
                self.settle(Kind::First, [due, sent, done], &reply);
            }
        }
    }

    fn obey_nudges(&mut self) {
        let nudges: Vec<Nudge> = self.load.nudges.borrow().get(self.nudged..).unwrap_or_default().to_vec();
        self.nudged += nudges.len();
        for nudge in nudges {
            match nudge {
                Nudge::Move { share, far } if self.dice.happens(share) => {
                    let near = self.address.filter(|_| !self.dice.happens(far));
                    self.address = match near {
                        Some(near) => Some(neighbour(near, &mut self.dice)),
                        None => {
                            let elsewhere = u32::try_from(self.dice.below(1 << 30)).unwrap_or(0);
                            self.load.address(&mut self.dice, elsewhere)
                        }
                    };
                    self.connection.close();
                }
                Nudge::Revoke(share) => self.ends_everywhere |= self.dice.happens(share),
                Nudge::LoseCookies(share) if self.dice.happens(share) => {
                    self.jar.lose(|_| true);
                    self.has_session = false;
                    self.connection.close();
                }
                Nudge::Move { .. } | Nudge::LoseCookies(_) => {}
            }
        }
    }

    fn source(&self) -> Option<IpAddr> {
        self.address.filter(|_| self.load.workload.client_address == ClientAddress::Bind)
    }

    fn door_now(&self) -> std::net::SocketAddr {
        let target = self.load.target.borrow();
        let address = target.addresses.get(self.door % target.addresses.len().max(1));
        address.copied().unwrap_or_else(|| ([127, 0, 0, 1], 9).into())
    }

    fn request(&self, kind: Kind, cookies: Option<&str>) -> Vec<u8> {
        let (method, path) = path(kind);
        let target = self.load.target.borrow();
        let forwarded = self
            .address
            .filter(|_| self.load.workload.client_address == ClientAddress::Header)
            .map(|address| address.to_string());
        let mut fields = Vec::new();
        fields.extend(forwarded.as_deref().map(|address| ("x-forwarded-for", address)));
        fields.extend(cookies.map(|cookies| ("cookie", cookies)));
        let body = match kind {
            Kind::Login => Some(format!("{{\"user\":\"u{}\",\"password\":\"demo\"}}", self.number)),
            Kind::Write => Some("{\"item\":\"tea\"}".to_owned()),
            _ => None,
        };
        wire::request(method, path, &target.host, &fields, body.as_deref())
    }

    /// Sends a request and takes in its answer; what came of it, and when.
    async fn ask(&mut self, kind: Kind, due: Micros) -> (Outcome, Micros) {
        let (to, from) = (self.door_now(), self.source());
        self.connection.turn_to(to, from);
        let cookies = self.jar.line(path(kind).1, std::time::Instant::now());
        let request = self.request(kind, cookies.as_deref());
        let sent = self.load.now();
        let may_repeat = matches!(kind, Kind::Read);
        let mut reply = self.connection.ask(&request, self.load.workload.timeout, may_repeat).await;
        let doors = self.load.target.borrow().addresses.len();
        for _ in 1..doors {
            // Two balancers: who does not find one tries the other.
            if matches!(reply, Err(Fault::Refused)) {
                self.door += 1;
                let to = self.door_now();
                self.connection.turn_to(to, from);
                reply = self.connection.ask(&request, self.load.workload.timeout, may_repeat).await;
                reply.iter_mut().for_each(|reply| reply.is_retried = true);
            }
        }
        let done = self.load.now();
        let outcome = self.settle(kind, [due, sent, done], &reply);
        (outcome, done)
    }

    fn settle(
        &mut self,
        kind: Kind,
        [due, sent, done]: [Micros; 3],
        reply: &Result<Reply, Fault>,
    ) -> Outcome {
        let mut cookies = if kind == Kind::First { Cookies::default() } else { self.cookie_bytes() };
        let read = reply.as_ref().ok().map(Told::read).unwrap_or_default();
        // Whose sessions are ended everywhere goes on with a copy of the cookies.
        if let Ok(reply) = reply
            && kind != Kind::EndAll
        {
            self.take_cookies(kind, reply, &mut cookies);
        }
        let outcome = match reply {
            Err(fault) => Outcome::Failed(Class::Wire(*fault)),
            Ok(reply) => judge(kind, reply.status, &read),
        };
        let backend = read.backend.as_deref().and_then(|name| {
            let place = self.load.target.borrow().backends.iter().position(|b| b == name)?;
            u16::try_from(place).ok()
        });
        let version = read.version.unwrap_or(self.expected);
        let (expected, unsure) = (self.expected, self.unsure);
        let is_other = read.begun.is_some() && self.begun.is_some() && read.begun != self.begun;
        let session = self.number;
        self.load.record(Record {
            session,
            kind,
            outcome,
            backend,
            due,
            sent,
            done,
            version,
            expected,
            is_other,
            is_retried: reply.as_ref().is_ok_and(|reply| reply.is_retried),
            unsure,
            cookies,
        });
        self.load.watch(session, kind, outcome, [sent, done]);
        if outcome == Outcome::Hit && matches!(kind, Kind::Login | Kind::Read | Kind::Write) {
            self.begun = read.begun.or(self.begun);
        }
        self.remember(kind, outcome, version, backend, sent);
        outcome
    }

    fn remember(&mut self, kind: Kind, outcome: Outcome, version: u32, backend: Option<u16>, sent: Micros) {
        match (kind, outcome) {
            (Kind::First, _) => return,
            (Kind::Login, Outcome::Hit) => {
                (self.has_session, self.expected, self.unsure) = (true, version, 0);
            }
            (Kind::Read | Kind::Write, Outcome::Hit) => (self.expected, self.unsure) = (version, 0),
            (Kind::Write, Outcome::Failed(class)) if class != Class::Wire(Fault::Refused) => {
                self.unsure = self.unsure.saturating_add(1);
            }
            (_, Outcome::Unknown | Outcome::None | Outcome::Revoked) => self.has_session = false,
            _ => {}
        }
        let Some(backend) = backend else { return };
        let mut live = self.load.live.borrow_mut();
        if kind == Kind::Login && outcome == Outcome::Hit {
            live.entry(self.number).or_insert(Live { born: sent, answered: sent, backend });
        }
        if let Some(live) = live.get_mut(&self.number) {
            (live.answered, live.backend) = (sent, backend);
        }
    }

    fn take_cookies(&mut self, kind: Kind, reply: &Reply, bytes: &mut Cookies) {
        let target = self.load.target.borrow();
        let host = target.host.split(':').next().unwrap_or_default().to_owned();
        // This machine is trusted, as browsers trust localhost.
        let is_local = host.starts_with("127.") || host == "localhost";
        let origin = Origin { host: &host, is_trustworthy: target.is_https || is_local };
        for line in &reply.cookies {
            self.jar.put(line, origin, path(kind).1, std::time::Instant::now());
            let length = u32::try_from(line.len()).unwrap_or(0);
            let slot = if is_of_application(line) { &mut bytes.session } else { &mut bytes.affinity };
            *slot += length;
        }
    }

    /// What is sent as `Cookie` now, in bytes.
    fn cookie_bytes(&self) -> Cookies {
        let mut bytes = Cookies::default();
        let line = self.jar.line("/", std::time::Instant::now()).unwrap_or_default();
        for pair in line.split("; ").filter(|pair| !pair.is_empty()) {
            let slot = if is_of_application(pair) { &mut bytes.session } else { &mut bytes.affinity };
            *slot += u32::try_from(pair.len()).unwrap_or(0) + 2;
        }
        bytes
    }
}

/// What an answer of the application says.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) backend: Option<String>,
    pub(super) session: Option<String>,
    pub(super) version: Option<u32>,
    /// When its login was, in the application's own time.
    pub(super) begun: Option<u64>,
}

impl Told {
    pub(super) fn read(reply: &Reply) -> Self {
        let body: Value = serde_json::from_slice(&reply.body).unwrap_or_default();
        let text = |key: &str| Some(body.get(key)?.as_str()?.to_owned());
        let version = body.get("version").and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        let begun = body.get("begun").and_then(Value::as_u64);
        Self { backend: text("backend"), session: text("session"), version, begun }
    }
}

fn judge(kind: Kind, status: u16, told: &Told) -> Outcome {
    match (status, told.session.as_deref()) {
        (200..=299, _) if told.backend.is_some() || matches!(kind, Kind::Logout | Kind::EndAll) => {
            Outcome::Hit
        }
        (401, Some("unknown")) => Outcome::Unknown,
        // A credential was there, and on the way it was lost.
        (401, Some("none")) => Outcome::None,
        (401, Some("expired")) => Outcome::Expired,
        (401, Some("revoked")) => Outcome::Revoked,
        (500.., _) if told.backend.is_some() => Outcome::Failed(Class::Application(status)),
        (500.., _) => Outcome::Failed(Class::Balancer(status)),
        _ => Outcome::Failed(Class::Strange(status)),
    }
}

/// Another address of the same network.
fn neighbour(address: IpAddr, dice: &mut Dice) -> IpAddr {
    match address {
        IpAddr::V4(v4) => {
            let [a, b, c, d] = v4.octets();
            // 1 to 253, and not the one that it was.
            let step = u8::try_from(1 + dice.below(252)).unwrap_or(1);
            let other = (u16::from(d.saturating_sub(1)) + u16::from(step)) % 253 + 1;
            [a, b, c, u8::try_from(other).unwrap_or(1)].into()
        }
        v6 @ IpAddr::V6(_) => v6,
    }
}

/// Whether a pair is a cookie of the application's.
fn is_of_application(pair: &str) -> bool {
    let name = pair.split('=').next().unwrap_or_default().trim();
    matches!(name.trim_start_matches("__Host-"), "session" | "token" | "refresh")
}

const fn path(kind: Kind) -> (&'static str, &'static str) {
    match kind {
        Kind::First | Kind::Read => ("GET", "/api/me"),
        Kind::Login => ("POST", "/api/login"),
        Kind::Write => ("POST", "/api/cart"),
        Kind::Refresh => ("POST", "/api/refresh"),
        Kind::Logout => ("POST", "/api/logout"),
        Kind::EndAll => ("POST", "/api/logout-everywhere"),
    }
}
