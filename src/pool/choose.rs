//! The decision table: a session, the standing of the members and what was tried already -> a backend, or none.
//!
//! | pin         | its backend            | goes to                                                    |
//! |-------------|------------------------|------------------------------------------------------------|
//! | none        |                        | the strategy's choice among the open members               |
//! | to b        | serving, not tried     | b, draining and ejected included                           |
//! | to b        | down, maint, full, lost| the open member of highest rank of (session key, b's id)   |
//! | removed     | gone from the pool     | the same                                                   |
//! | void        | expired or invalid     | the strategy's choice among the open members               |
//!
//! The second choice is the same on every node, and spreads the lost sessions of one backend over all others.

use super::Pool;
use super::standing::Standing;
use crate::affinity::{Pin, Session, Why};
use crate::backend::BackendIx;
use crate::backend::availability::AdminState;
use crate::backend::members::{BackendSet, Candidates};
use crate::base::hash::hash64;
use crate::strategy::{Picker, RequestFacts, rendezvous};

/// One worker's pickers for one pool.
#[derive(Debug)]
pub struct Pickers {
    primary: Box<dyn Picker>,
    backup: Option<Box<dyn Picker>>,
}

/// A backend and the reason for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The backend.
    pub backend: BackendIx,
    /// Why this one.
    pub why: Why,
}

/// What is known when choosing.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The pool.
    pub pool: &'a Pool,
    /// Its members' standing.
    pub standing: &'a Standing,
    /// The request's session; `None` in a pool without affinity.
    pub session: Option<&'a Session>,
    /// Members that were tried for this request and failed.
    pub tried: &'a BackendSet,
    /// Where a parallel first request of the same client went.
    pub follow: Option<BackendIx>,
}

impl Pickers {
    /// Pickers over the pool's tables; `seed` keeps workers out of step.
    #[must_use]
    pub fn new(pool: &Pool, seed: u64) -> Self {
        Self {
            primary: std::sync::Arc::clone(&pool.primary).picker(seed),
            backup: pool.backup.as_ref().map(|b| std::sync::Arc::clone(b).picker(seed)),
        }
    }

    /// Chooses, or says that nobody can be used.
    pub fn choose(&mut self, ask: &Question<'_>, facts: &RequestFacts<'_>) -> Option<Choice> {
        let Some(session) = ask.session else {
            return self.place(ask, facts).map(|backend| Choice { backend, why: Why::Balanced });
        };
        match session.pin {
            Pin::To(home) => match ask.lost(home) {
                None => {
                    let why = if session.is_due { Why::Refreshed } else { Why::Pinned };
                    Some(Choice { backend: home, why })
                }
                Some(why) => {
                    let lost = hash64(ask.pool.members.get(home).id.as_str().as_bytes());
                    ask.second(session.key, lost).map(|backend| Choice { backend, why })
                }
            },
            Pin::Void(Why::Removed) => {
                ask.second(session.key, session.lost).map(|backend| Choice { backend, why: Why::Removed })
            }
            Pin::Void(why) => self.place(ask, facts).map(|backend| Choice { backend, why }),
            Pin::Free => {
                let follow = ask.follow.filter(|&ix| {
                    ask.standing.open.contains(ix)
                        && !ask.tried.contains(ix)
                        && ask.pool.members.get(ix).has_room()
                });
                match follow {
                    Some(backend) => Some(Choice { backend, why: Why::Followed }),
                    None => self.place(ask, facts).map(|backend| Choice { backend, why: Why::New }),
                }
            }
        }
    }

    /// The strategy's choice among the open primaries, or else among the open backups.
    fn place(&mut self, ask: &Question<'_>, facts: &RequestFacts<'_>) -> Option<BackendIx> {
        let members = &ask.pool.members;
        let primaries = Candidates::new(members.primaries(), &ask.standing.open, ask.tried);
        let chosen = if ask.standing.has_open_primary { self.primary.pick(facts, &primaries) } else { None };
        chosen.or_else(|| {
            let backups = Candidates::new(members.backups(), &ask.standing.open, ask.tried);
            self.backup.as_mut()?.pick(facts, &backups)
        })
    }
}

impl Question<'_> {
    /// Why the pin's backend cannot be used, if it cannot.
    fn lost(&self, home: BackendIx) -> Option<Why> {
        if self.tried.contains(home) {
            return Some(Why::Unreachable);
        }
        if self.standing.serving.contains(home) {
            return if self.pool.members.get(home).has_room() { None } else { Some(Why::Full) };
        }
        let admin = self.standing.members.get(home.index()).map(|a| a.admin);
        Some(if admin == Some(AdminState::Maint) { Why::Maint } else { Why::Down })
    }

    fn second(&self, session: u64, lost: u64) -> Option<BackendIx> {
        let members = &self.pool.members;
        let primaries = Candidates::new(members.primaries(), &self.standing.open, self.tried);
        rendezvous::second_choice(session, lost, &primaries).or_else(|| {
            let backups = Candidates::new(members.backups(), &self.standing.open, self.tried);
            rendezvous::second_choice(session, lost, &backups)
        })
    }
}
