//! A pass over the live sessions, each of which asks once (or, with think times, as likely as it asks at all before the
//! next change).
//!
//! It is cut into pieces of a fixed size that threads share; a piece has pickers of its own, so that the number of threads
//! makes no difference. Strategies that choose by turns or by counts are asked in order, as one worker is.

use super::draw::{Draws, Purpose, below};
use super::fleet::{Fleet, NOBODY, SlotIx, View};
use super::marks::Marks;
use super::tally::{BATCHES, Seen, Tally};
use super::users::{Book, Users};
use super::{Affinity, Setup, Way};
use crate::affinity::{Pin, Session, Why};
use crate::backend::members::BackendSet;
use crate::base::hash::combine;
use crate::base::time::UnixSeconds;
use crate::pool::choose::{Patience, Pickers, Question};
use crate::strategy::RequestFacts;

/// Sessions of one piece.
const PIECE: usize = 16_384;
/// Sessions of a piece whose marks are made together.
const BLOCK: usize = 64;
/// Live sessions are counted at one time: a session that ended is known to have.
pub(super) const NOW: UnixSeconds = UnixSeconds(1_000_000);
/// A cohort of all: who was born by then and has not ended by then.
pub(super) const EVERYBODY: (f64, f64) = (f64::MAX, f64::MIN);
/// Bytes kept per session here: its backend, and a bit for each backend that holds its data or that it was at.
pub(super) const BYTES: usize = 2 + 8 + 8;

/// A pass as every session of it sees it.
#[derive(Clone, Copy)]
pub(super) struct Pass<'a> {
    pub(super) setup: &'a Setup,
    pub(super) users: &'a Users,
    pub(super) way: &'a Way,
    pub(super) address: &'a [u32],
    pub(super) view: &'a View,
    pub(super) kind: Kind,
    pub(super) n: u64,
    pub(super) now: f64,
    pub(super) until: f64,
    pub(super) cohort: (f64, f64),
    pub(super) is_first: bool,
    pub(super) wiped: u64,
    /// Whether live sessions are counted as they move.
    pub(super) counts: bool,
    pub(super) fleet: &'a Fleet,
    pub(super) tried: &'a BackendSet,
}

/// What clients come with in a pass.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    Plain,
    /// Pins that the balancer cannot read.
    Void,
    /// A share has no pin any more.
    Strip(f64),
    /// A share has nothing any more.
    Clear(f64),
}

/// One session's state.
struct State<'a> {
    owner: &'a mut SlotIx,
    held: &'a mut u64,
    seen: &'a mut u64,
}

/// Sessions of one pass that follow each other.
pub(super) struct Piece<'a> {
    first: usize,
    owner: &'a mut [SlotIx],
    held: &'a mut [u64],
    seen: &'a mut [u64],
}

pub(super) fn pieces<'a>(
    first: usize,
    [owner]: [&'a mut [SlotIx]; 1],
    [held, seen]: [&'a mut [u64]; 2],
) -> Vec<Piece<'a>> {
    let parts = owner.chunks_mut(PIECE).zip(held.chunks_mut(PIECE)).zip(seen.chunks_mut(PIECE));
    let piece = |(i, ((owner, held), seen))| Piece { first: first + i * PIECE, owner, held, seen };
    parts.enumerate().map(piece).collect()
}

/// The pieces, dealt out to threads; sums do not depend on who summed.
pub(super) fn in_threads(pass: &Pass<'_>, pieces: Vec<Piece<'_>>, threads: usize, slots: usize) -> Tally {
    let mut hands: Vec<Vec<Piece<'_>>> = (0..threads).map(|_| Vec::new()).collect();
    for (i, piece) in pieces.into_iter().enumerate() {
        hands[i % threads].push(piece);
    }
    let work = |hand: Vec<Piece<'_>>| {
        let mut tally = Tally::new(slots);
        for piece in hand {
            let seed = combine(combine(pass.setup.seed, pass.n), piece.first as u64);
            pass.go_over(piece, &mut Pickers::new(&pass.view.pool, seed), &mut tally);
        }
        tally
    };
    let work = &work;
    let mut total = Tally::new(slots);
    std::thread::scope(|scope| {
        let mut hands = hands.into_iter();
        let mine = hands.next();
        let others: Vec<_> = hands.map(|hand| scope.spawn(move || work(hand))).collect();
        mine.into_iter().for_each(|hand| total.add(&work(hand)));
        for other in others {
            // A thread that panicked has said so; the run is worth nothing then, and ends the same way.
            match other.join() {
                Ok(tally) => total.add(&tally),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    total
}

/// A pass in which nothing is counted.
pub(super) const fn quiet<'a>(
    setup: &'a Setup,
    users: &'a Users,
    way: &'a Way,
    address: &'a [u32],
    (view, fleet, tried): (&'a View, &'a Fleet, &'a BackendSet),
) -> Pass<'a> {
    Pass {
        kind: Kind::Plain,
        n: 0,
        now: 0.0,
        until: f64::MAX,
        cohort: EVERYBODY,
        is_first: false,
        wiped: 0,
        counts: false,
        setup,
        users,
        way,
        address,
        view,
        fleet,
        tried,
    }
}

impl Pass<'_> {
    pub(super) fn go_over(&self, piece: Piece<'_>, pickers: &mut Pickers, tally: &mut Tally) {
        let Piece { first, owner, held, seen } = piece;
        let (mut asking, mut marks) = (Vec::with_capacity(BLOCK), Marks::default());
        for start in (0..owner.len()).step_by(BLOCK) {
            asking.clear();
            for at in start..owner.len().min(start + BLOCK) {
                let i = first + at;
                if f64::from(self.users.end[i]) <= self.now {
                    continue;
                }
                held[at] &= !self.wiped;
                if self.is_first
                    && self.is_in_cohort(i, owner[at])
                    && self.keeps_cookies(self.users.draws, i as u64)
                {
                    tally.batches[self.batch(i)].live += 1;
                }
                if self.asks(self.users.draws, i) {
                    asking.push(at);
                }
            }
            marks.set(self, asking.iter().map(|at| first + at));
            for (place, at) in asking.iter().enumerate() {
                let state = State { owner: &mut owner[*at], held: &mut held[*at], seen: &mut seen[*at] };
                self.one(first + at, state, &marks.facts(place), pickers, tally);
            }
        }
    }

    fn one(
        &self,
        i: usize,
        state: State<'_>,
        facts: &RequestFacts<'_>,
        pickers: &mut Pickers,
        tally: &mut Tally,
    ) {
        let State { owner, held, seen } = state;
        let (draws, who) = (self.users.draws, i as u64);
        let keeps = self.keeps_cookies(draws, who);
        let from = *owner;
        let kind = match self.kind {
            Kind::Strip(share) | Kind::Clear(share) if !draws.happens(Purpose::Strip, who, self.n, share) => {
                Kind::Plain
            }
            kind => kind,
        };
        let Some(to) = self.choose(i, from, kind, facts, pickers) else {
            tally.refused += 1;
            return;
        };
        if self.counts && from != to {
            self.fleet.backend(from).iter().for_each(|b| b.sessions.end(0, NOW, NOW));
            self.fleet.backend(to).iter().for_each(|b| b.sessions.begin(0, NOW));
        }
        let bit = 1_u64 << to;
        let is_known = *held & bit != 0;
        if from == to && is_known && !matches!(kind, Kind::Clear(_)) && keeps {
            return;
        }
        *owner = to;
        if from == NOBODY || !keeps || matches!(kind, Kind::Clear(_)) {
            (*held, *seen) = (bit, bit);
            tally.flow(from, to);
            tally.unkept += u64::from(!keeps);
            tally.relogins += u64::from(matches!(kind, Kind::Clear(_)));
            return;
        }
        let is_stale = is_known && from != to;
        let was_there = *seen & bit != 0;
        let in_cohort = self.is_in_cohort(i, from);
        let batch = if in_cohort { self.batch(i) } else { 0 };
        let answer = Seen { from, to, is_lost: !is_known, is_stale, was_there, in_cohort, batch };
        tally.count(self.view, answer);
        // Who logs in again has a new id, which no other backend knows; an application that adopts ids goes on with it.
        *held = if self.setup.adopts_ids || is_known && !is_stale { *held | bit } else { bit };
        *seen |= bit;
    }

    fn keeps_cookies(&self, draws: Draws, who: u64) -> bool {
        self.way.affinity == Affinity::None
            || !draws.happens(Purpose::Keeps, who, 0, self.setup.workload.cookieless)
    }

    /// Whether it was live from the event's beginning to its end.
    fn is_in_cohort(&self, i: usize, from: SlotIx) -> bool {
        from != NOBODY
            && f64::from(self.users.born[i]) <= self.cohort.0
            && f64::from(self.users.end[i]) > self.cohort.1
    }

    /// Whether it asks before the next change.
    fn asks(&self, draws: Draws, i: usize) -> bool {
        let Some(think) = self.setup.workload.think else { return true };
        let time = self.until.min(f64::from(self.users.end[i])) - self.now;
        draws.happens(Purpose::Asks, i as u64, self.n, 1.0 - (-time / think).exp())
    }

    fn batch(&self, i: usize) -> usize {
        let of = match self.way.affinity {
            Affinity::Cookie => i as u64,
            Affinity::None => match self.users.book {
                Book::V4 => u64::from(self.address[i] >> 8),
                Book::Listed(_) => self.users.book.network(self.address[i]),
            },
        };
        below(of.wrapping_mul(0x9e37_79b9_7f4a_7c15), BATCHES as u64) as usize
    }

    /// The backend that it gets: the proxy's own choice.
    pub(super) fn choose(
        &self,
        i: usize,
        from: SlotIx,
        kind: Kind,
        facts: &RequestFacts<'_>,
        pickers: &mut Pickers,
    ) -> Option<SlotIx> {
        let session = match self.way.affinity {
            Affinity::None => None,
            Affinity::Cookie => Some(self.session(i, from, kind)),
        };
        let ask = Question {
            pool: &self.view.pool,
            standing: &self.view.standing,
            session: session.as_ref(),
            tried: self.tried,
            follow: None,
            patience: Patience::NONE,
        };
        let decision = pickers.choose(&ask, facts);
        decision.choice().map(|choice| self.view.slot(choice.backend))
    }

    /// The session as its pin tells it.
    fn session(&self, i: usize, from: SlotIx, kind: Kind) -> Session {
        let who = i as u64;
        let begun = Session::begin(self.users.draws.one(Purpose::Key, who), NOW);
        if from == NOBODY || !self.keeps_cookies(self.users.draws, who) {
            return begun;
        }
        match (kind, self.view.place(from)) {
            (Kind::Strip(_) | Kind::Clear(_), _) => begun,
            (Kind::Void, _) => Session { pin: Pin::Void(Why::Invalid), ..begun },
            (Kind::Plain, Some(place)) => Session { pin: Pin::To(place), ..begun },
            (Kind::Plain, None) => {
                Session { pin: Pin::Void(Why::Removed), lost: self.view.id_hash(from), ..begun }
            }
        }
    }
}
