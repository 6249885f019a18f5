//! The decision table: a session, the standing of the members and what was tried already -> a backend, or none.
//!
//! | pin     | its backend              | by `on_lost` | goes to                                      | the pin is     |
//! |---------|--------------------------|--------------|----------------------------------------------|----------------|
//! | none    |                          |              | the strategy's choice among the open members | written        |
//! | to b    | any, and its first home  |              |                                              |                |
//! |         | o is open again          |              | o, when `return_home` says so                | written        |
//! | to b    | serving, not tried       |              | b, draining and ejected included             | renewed if due |
//! | to b    | draining, and b's        | `rebind`     | the open member of highest rank of           |                |
//! |         | sessions are to go;      |              | (session key, b's id)                        | written        |
//! |         | down, maint, unreachable | `borrow`     | the same                                     | kept           |
//! |         | or full                  | `wait`       | b, if it is back in time; else as `rebind`   |                |
//! |         |                          | `strict`     | nobody: a status or a redirect               | kept           |
//! | removed | gone from the pool       |              | as where b is down                           |                |
//! | unknown | an id not seen made      |              | the open member of highest rank of the id    |                |
//! | void    | expired or invalid       |              | the strategy's choice among the open members | written        |
//!
//! The second choice is the same on every node, and spreads the lost sessions of one backend over all others. Whatever
//! `on_lost` says, a full b is waited for in its queue first. Nobody waits for a backend that is gone from the pool: it
//! has no way back.

use super::Pool;
use super::policy::{Remedy, ReturnHome};
use super::standing::Standing;
use crate::affinity::{Pin, Session, Why};
use crate::backend::BackendIx;
use crate::backend::availability::AdminState;
use crate::backend::members::{BackendSet, Candidates, Room};
use crate::base::hash::hash64;
use crate::base::time::UnixSeconds;
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
            Pin::To(home) => {
                if let Some(backend) = session.origin.filter(|o| ask.returns(home, *o, session, facts.now)) {
                    return Decision::Go(Choice { backend, why: Why::Returned });
                }
                match ask.lost(home, session, facts.now) {
                    None => {
                        let why = if session.is_due { Why::Refreshed } else { Why::Pinned };
                        Decision::Go(Choice { backend: home, why })
                    }
                    Some(why) => ask.without(Some(home), why, session),
                }
            }
            Pin::Void(Why::Removed) => ask.without(None, Why::Removed, session),
            Pin::Void(Why::Unknown) => ask.second(session.key, 0, Why::Unknown),
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

    /// The strategy's choice; members in their slow start are left out as often as they must, and those with too large
    /// a part of the load always, if there are others.
    fn warm(&mut self, ask: &Question<'_>, facts: &RequestFacts<'_>) -> Option<BackendIx> {
        let crowded = if ask.pool.policy.max_load > 0 { Some(ask.crowded()) } else { None };
        let closed = crowded.as_ref().unwrap_or(ask.tried);
        if !ask.standing.ramps.is_empty() {
            let draw = match (ask.pool.kind.needs, facts.client) {
                (Needs::Address, Some(client)) => hash64(client.to_string().as_bytes()),
                (Needs::Address, None) | (Needs::Nothing | Needs::Key, _) => facts.hash,
            };
            let mut closed = closed.clone();
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
        let found = self.place(ask, facts, closed, Room::Needed);
        if found.is_none() && crowded.is_some() {
            return self.place(ask, facts, ask.tried, Room::Needed);
        }
        found
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
    fn lost(&self, home: BackendIx, session: &Session, now: UnixSeconds) -> Option<Why> {
        if self.tried.contains(home) {
            return Some(Why::Unreachable);
        }
        if self.standing.serving.contains(home) {
            if self.standing.lets_idle_go && self.has_to_go(home, session, now) {
                return Some(Why::Drained);
            }
            return if self.pool.members.get(home).has_room() { None } else { Some(Why::Full) };
        }
        Some(match self.standing.members.get(home.index()) {
            Some(a) if a.admin == AdminState::Maint => Why::Maint,
            Some(a) if a.has_left() => Why::Drained,
            _ => Why::Down,
        })
    }

    /// Whether its home, which drains, gives up a session that paused as long as this one did.
    fn has_to_go(&self, home: BackendIx, session: &Session, now: UnixSeconds) -> bool {
        let longest = self.standing.members.get(home.index()).and_then(|a| a.longest_pause());
        longest.is_some_and(|longest| self.pause(home, session, now) >= longest)
    }

    /// For how many seconds the session was surely not used.
    fn pause(&self, home: BackendIx, session: &Session, now: UnixSeconds) -> u32 {
        self.pool.members.get(home).sessions.slots().pause(session.last_seen, now)
    }

    /// Whether a session at `home` goes back to its first home `origin`: only if that takes new sessions too, so that it
    /// does not come and go with every doubt about it.
    fn returns(&self, home: BackendIx, origin: BackendIx, session: &Session, now: UnixSeconds) -> bool {
        let is_time = match self.pool.policy.return_home {
            ReturnHome::Never => false,
            ReturnHome::Now => true,
            ReturnHome::Idle(pause) => self.pause(home, session, now) >= pause,
        };
        is_time
            && self.standing.open.contains(origin)
            && !self.standing.panics
            && !self.tried.contains(origin)
            && self.pool.members.get(origin).has_room()
    }

    /// A session whose home cannot be used for the reason `why`; one that is gone from the pool is no member.
    fn without(&self, home: Option<BackendIx>, why: Why, session: &Session) -> Decision {
        let lost =
            home.map_or(session.lost, |home| hash64(self.pool.members.get(home).id.as_str().as_bytes()));
        match (home, self.pool.policy.on_lost.of(why)) {
            (Some(backend), _) if why == Why::Full && self.patience.room => {
                Decision::Queue(Choice { backend, why: Why::Pinned })
            }
            (Some(backend), Remedy::Wait(_)) if why != Why::Full && self.patience.home => {
                Decision::Await(Choice { backend, why })
            }
            (_, Remedy::Refuse(_) | Remedy::Redirect(_)) => Decision::Refuse(why),
            (_, Remedy::Borrow) => self.second(session.key, lost, why.borrowed()),
            (_, Remedy::Rebind | Remedy::Wait(_)) => self.second(session.key, lost, why),
        }
    }

    /// The members that were tried, and those with so many requests in flight that one more would be above `max_load`
    /// times their share by weight, rounded up; all open ones together always have room for it.
    /// (Mirrokni, Thorup and Zadimoghaddam, Consistent Hashing with Bounded Loads, SODA 2018)
    fn crowded(&self) -> BackendSet {
        let (members, standing) = (&self.pool.members, self.standing);
        let group = if standing.has_open_primary { members.primaries() } else { members.backups() };
        let open = || group.iter().filter(|(ix, _)| standing.open.contains(*ix));
        let (weights, requests) = open().fold((0, 1), |(weights, requests), (_, b)| {
            (weights + u128::from(b.weight), requests + u128::from(b.load.in_flight()))
        });
        let whole = requests * u128::from(self.pool.policy.max_load);
        let mut crowded = self.tried.clone();
        if standing.has_open_primary {
            // A primary above its bound is better than a backup.
            members.backups().iter().for_each(|(ix, _)| crowded.insert(ix));
        }
        for (ix, backend) in open() {
            let most = (whole * u128::from(backend.weight)).div_ceil(weights * 1000);
            if u128::from(backend.load.in_flight()) >= most {
                crowded.insert(ix);
            }
        }
        crowded
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
