//! The decision table: a session, the standing of the members and what was tried already -> a backend, or none.
//!
//! | pin         | its backend            | goes to                                                    |
//! |-------------|------------------------|------------------------------------------------------------|
//! | none        |                        | the strategy's choice among the open members               |
//! | to b        | serving, not tried     | b, draining and ejected included                           |
//! | to b        | down, maint, full, lost| the open member of highest rank of (session key, b's id)   |
//! | removed     | gone from the pool     | the same                                                   |
//! | unknown     |                        | the same, by the id alone                                  |
//! | void        | expired or invalid     | the strategy's choice among the open members               |
//!
//! The second choice is the same on every node, and spreads the lost sessions of one backend over all others. Before it
//! a request may wait: for b's room, and by `on_lost` for b itself; or be refused. Of nobody's home but b's is that
//! asked: where a backend is gone from the pool, or a new session finds all full, there is nothing to come back to.

use super::Pool;
use super::policy::OnLost;
use super::standing::Standing;
use crate::affinity::{Pin, Session, Why};
use crate::backend::BackendIx;
use crate::backend::availability::AdminState;
use crate::backend::members::{BackendSet, Candidates, Room};
use crate::base::hash::hash64;
use crate::strategy::{Needs, Picker, RequestFacts, rendezvous};

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

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Send it there.
    Go(Choice),
    /// Wait for room at this backend, and send it there.
    Queue(Choice),
    /// Wait for the pin's backend, which cannot be used for this reason, and ask again.
    Await(Choice),
    /// Refuse it: the pin's backend cannot be used for this reason, and its sessions do not move.
    Refuse(Why),
    /// Nobody can be used.
    Nobody,
}

/// What a request may still wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// A place at a backend that is full.
    pub room: bool,
    /// A pin's backend that was lost.
    pub home: bool,
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
    /// What it may wait for.
    pub patience: Patience,
}

impl Decision {
    /// The backend that it comes to, if the request is not to wait.
    #[must_use]
    pub const fn choice(self) -> Option<Choice> {
        match self {
            Self::Go(choice) => Some(choice),
            Self::Queue(_) | Self::Await(_) | Self::Refuse(_) | Self::Nobody => None,
        }
    }
}

impl Patience {
    /// Waits for nothing.
    pub const NONE: Self = Self { room: false, home: false };
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

    /// Decides.
    pub fn choose(&mut self, ask: &Question<'_>, facts: &RequestFacts<'_>) -> Decision {
        let Some(session) = ask.session else { return self.begin(ask, facts, Why::Balanced) };
        match session.pin {
            Pin::To(home) => match ask.lost(home) {
                None => {
                    let why = if session.is_due { Why::Refreshed } else { Why::Pinned };
                    Decision::Go(Choice { backend: home, why })
                }
                Some(why) => ask.without(home, why, session.key),
            },
            Pin::Void(why @ (Why::Removed | Why::Unknown)) => ask.second(session.key, session.lost, why),
            Pin::Void(why) => self.begin(ask, facts, why),
            Pin::Free => {
                let follow = ask.follow.filter(|&ix| {
                    ask.standing.open.contains(ix)
                        && !ask.tried.contains(ix)
                        && ask.pool.members.get(ix).has_room()
                });
                match follow {
                    Some(backend) => Decision::Go(Choice { backend, why: Why::Followed }),
                    None => self.begin(ask, facts, Why::New),
                }
            }
        }
    }

    /// A new session, or a request without one: the strategy's choice; where all are full, a place in the queue of whom
    /// it would have chosen.
    fn begin(&mut self, ask: &Question<'_>, facts: &RequestFacts<'_>, why: Why) -> Decision {
        if let Some(backend) = self.warm(ask, facts) {
            return Decision::Go(Choice { backend, why });
        }
        let full = if ask.patience.room { self.place(ask, facts, ask.tried, Room::Whatever) } else { None };
        full.map_or(Decision::Nobody, |backend| Decision::Queue(Choice { backend, why }))
    }

    /// The strategy's choice; members in their slow start are left out as often as they must, if there are others.
    fn warm(&mut self, ask: &Question<'_>, facts: &RequestFacts<'_>) -> Option<BackendIx> {
        if !ask.standing.ramps.is_empty() {
            let draw = match (ask.pool.kind.needs, facts.client) {
                (Needs::Address, Some(client)) => hash64(client.to_string().as_bytes()),
                (Needs::Address, None) | (Needs::Nothing | Needs::Key, _) => facts.hash,
            };
            let mut closed = ask.tried.clone();
            for ramp in &ask.standing.ramps {
                let id = ask.pool.members.get(ramp.backend).id.as_str();
                if ramp.holds_back(draw, id, facts.now) {
                    closed.insert(ramp.backend);
                }
            }
            if let Some(backend) = self.place(ask, facts, &closed, Room::Needed) {
                return Some(backend);
            }
        }
        self.place(ask, facts, ask.tried, Room::Needed)
    }

    /// The strategy's choice among the open primaries, or else among the open backups.
    fn place(
        &mut self,
        ask: &Question<'_>,
        facts: &RequestFacts<'_>,
        closed: &BackendSet,
        room: Room,
    ) -> Option<BackendIx> {
        let members = &ask.pool.members;
        let among = |group| Candidates::new(group, &ask.standing.open, closed).with(room);
        let chosen = if ask.standing.has_open_primary {
            self.primary.pick(facts, &among(members.primaries()))
        } else {
            None
        };
        chosen.or_else(|| self.backup.as_mut()?.pick(facts, &among(members.backups())))
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

    /// A session whose home cannot be used for the reason `why`.
    fn without(&self, home: BackendIx, why: Why, session: u64) -> Decision {
        let choice = Choice { backend: home, why };
        match (why, self.pool.policy.on_lost) {
            (Why::Full, _) if self.patience.room => {
                Decision::Queue(Choice { backend: home, why: Why::Pinned })
            }
            (_, OnLost::Strict) => Decision::Refuse(why),
            (_, OnLost::Wait(_)) if why != Why::Full && self.patience.home => Decision::Await(choice),
            (_, OnLost::Rebind | OnLost::Wait(_)) => {
                let lost = hash64(self.pool.members.get(home).id.as_str().as_bytes());
                self.second(session, lost, why)
            }
        }
    }

    /// The second choice among those with room; where all are full, a place in the queue of whom it would have been.
    fn second(&self, session: u64, lost: u64, why: Why) -> Decision {
        let members = &self.pool.members;
        let among = |group, room| {
            let candidates = Candidates::new(group, &self.standing.open, self.tried).with(room);
            rendezvous::second_choice(session, lost, &candidates)
        };
        let find = |room| among(members.primaries(), room).or_else(|| among(members.backups(), room));
        if let Some(backend) = find(Room::Needed) {
            return Decision::Go(Choice { backend, why });
        }
        let full = if self.patience.room { find(Room::Whatever) } else { None };
        full.map_or(Decision::Nobody, |backend| Decision::Queue(Choice { backend, why }))
    }
}

#[cfg(test)]
#[path = "choose_tests.rs"]
mod tests;
