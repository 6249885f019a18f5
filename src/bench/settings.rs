//! What a bench is to do: who comes, what is combined, what happens.

use std::net::SocketAddr;
use std::time::Duration;

use super::balancer::Routing;
use super::script::Event;

/// Everything that was asked for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What was typed, for the result.
    pub command: String,
    /// What chance hangs on.
    pub seed: u64,
    /// Repetitions of each combination.
    pub runs: u32,
    /// Who comes.
    pub workload: Workload,
    /// Backends; ignored where their addresses are given.
    pub backends: usize,
    /// Each is combined with each kind of sessions.
    pub routings: Vec<Routing>,
    /// `memory`, `redis`, `memcached`, `jwt` or `jwt:ALGORITHM`; and with `+deny` behind those, tokens with a deny-list.
    pub sessions: Vec<String>,
    /// What happens, in the order of time.
    pub events: Vec<Event>,
    /// How long is measured before the first event, and after the last.
    pub settle: Duration,
    /// The least time that is measured in all.
    pub duration: Duration,
    /// Balancers side by side.
    pub replicas: usize,
    /// A foreign balancer, and where it expects the backends.
    pub url: Option<Foreign>,
    /// The application adopts the session id that a login shows, where sessions are in its memory.
    pub adopts_ids: bool,
    /// The application's cookies are `Secure` and have the prefix `__Host-`.
    pub secure: bool,
    /// Users of whom all sessions are ended everywhere at the end, to see how long others of theirs are accepted.
    pub revocations: usize,
    /// How long that is watched at most.
    pub revocation_limit: Duration,
}

/// A balancer that is not ours to start.
#[derive(Clone, Debug)]
pub struct Foreign {
    /// What stands in `Host`.
    pub host: String,
    /// Where it is.
    pub address: SocketAddr,
    /// Where our backends are to listen.
    pub backends: Vec<SocketAddr>,
}

/// Who comes.
#[derive(Clone, Debug)]
pub struct Workload {
    /// How sessions come and go.
    pub profile: Profile,
    /// Sessions at a time.
    pub users: usize,
    /// What user times were divided by.
    pub time_scale: f64,
    /// Mean think time, scaled.
    pub think: Duration,
    /// Think times are cut at so many means.
    pub think_cap: u32,
    /// Mean length of a session, scaled; cut at four means.
    pub session: Duration,
    /// A session ends after so long without a request, scaled.
    pub idle: Duration,
    /// An access token is good for so long, scaled.
    pub access: Duration,
    /// The share of requests that write.
    pub writes: f64,
    /// The share of sessions that begin with several requests at once.
    pub parallel: f64,
    /// The exponent of Zipf's law by which users share networks; 0: each has a network of its own.
    pub zipf: f64,
    /// How the balancer learns of a client's address.
    pub client_address: ClientAddress,
    /// Over which time the first sessions log in.
    pub ramp: Duration,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// Kinds of workload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Profile {
    /// Partly open: sessions arrive as a Poisson process, live for a while, and leave.
    Web,
    /// All sessions are there from the beginning and stay: what closed forms are about.
    Cohort,
}

/// How a client's address reaches the balancer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientAddress {
    /// Connections come from 127.x.y.z.
    Bind,
    /// In `X-Forwarded-For`, which the balancer must trust.
    Header,
    /// All from where they are.
    Same,
}

impl Profile {
    /// As written on the command line and in results.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Web => "web",
            Self::Cohort => "cohort",
        }
    }
}

impl Workload {
    /// Sessions that arrive in a second.
    pub(super) fn arrivals(&self) -> f64 {
        // The mean of an exponential time that is cut at four means is 1 - e^-4 of it.
        let length = self.session.as_secs_f64() * (1.0 - (-4.0_f64).exp());
        if self.profile == Profile::Web && length > 0.0 { self.users as f64 / length } else { 0.0 }
    }

    /// Networks that clients come from, at most.
    pub(super) fn networks(&self) -> usize {
        if self.zipf > 0.0 { (self.users / 20).clamp(1, 16_000) } else { self.users.clamp(1, 16_000) }
    }
}
