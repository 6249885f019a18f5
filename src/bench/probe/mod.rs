//! `homing bench probe`: what kind of affinity has the balancer at this URL?
//!
//! It sees nothing but answers. Rows of requests that have one thing in common (a cookie, an address, a connection, a
//! field) are sent, each over a new connection unless said otherwise, with a random number of other clients' requests in
//! between: two clients that take turns on a round robin over two backends look perfectly sticky without. A row from one
//! backend is affinity unless chance did it, whose probability is said; rows are long enough to make that 10⁻⁶.
//!
//! * `statistics`, `observed`, `names`, `token`, `classify`: what rows say. Pure; the verdict is a function of what was seen.
//! * `target`, `ask`, `jar`, `identify`: one request, its client, and who answered it.
//! * `prober`, `battery`: one request after the other, and what is asked in which order; `addresses`, `births`,
//!   `made_up`, `forged`, `hooks`, `login`: which requests are sent, and what was seen of each.
//! * `findings`: the checklist and its JSON.
//!
//! Left out: HTTP/2, and affinity to anything in a body.

pub mod classify;
pub mod findings;
pub mod identify;
pub mod names;
pub mod observed;
pub mod statistics;
pub mod target;
pub mod token;

mod addresses;
mod ask;
mod battery;
mod births;
mod forged;
mod hooks;
mod jar;
mod login;
mod made_up;
mod prober;

use std::time::Duration;

use self::findings::Probed;
use self::identify::Identify;
use self::target::Wrong;
use crate::net::tls::client::Settings as Tls;

/// What is probed, and how.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Whom.
    pub url: String,
    /// What tells backends apart; guessed where it is not given.
    pub identify: Option<Identify>,
    /// The header field by which the balancer believes addresses.
    pub client_header: Option<String>,
    /// Fields of every request.
    pub fields: Vec<(String, String)>,
    /// Cookies that are tried with made-up values, besides usual ones.
    pub try_cookies: Vec<String>,
    /// Fields that are tried with made-up values, besides usual ones.
    pub try_fields: Vec<String>,
    /// Backends' names and addresses, where the person knows them: digests of addresses can be read then.
    pub backends: Vec<(String, String)>,
    /// A backend's own URL: what it sets there is the application's.
    pub direct: Option<String>,
    /// What is sent to `/api/login` of homing's application.
    pub login: Option<String>,
    /// What is run to make things happen.
    pub hooks: Hooks,
    /// For all of it.
    pub within: Duration,
    /// Of the random choices.
    pub seed: u64,
    /// Believe whoever answers by TLS, or only who can prove it by these roots.
    pub trust: Trust,
}

/// Commands that a shell runs, with the backend's name in `HOMING_BACKEND`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hooks {
    /// Ends a backend.
    pub kill: Option<String>,
    /// Brings it back, also from a drain.
    pub revive: Option<String>,
    /// Drains it.
    pub drain: Option<String>,
    /// Has the balancer read its configuration again.
    pub reload: Option<String>,
}

/// Whom to believe over TLS.
#[derive(Clone, Debug, Default)]
pub struct Trust(Option<Tls>);

impl Trust {
    /// Believes whoever these settings believe.
    #[must_use]
    pub const fn by(tls: Tls) -> Self {
        Self(Some(tls))
    }
}

/// Probes. `progress` is told what is done, in a few words each time. It runs in a `LocalSet`.
///
/// # Errors
/// What is asked for makes no sense, or nobody answers.
pub async fn probe(settings: &Settings, progress: &mut dyn FnMut(&str)) -> Result<Probed, Wrong> {
    let mut prober = prober::Prober::new(settings, progress).await?;
    battery::run(&mut prober).await?;
    Ok(prober.end())
}
