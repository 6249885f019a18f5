//! One way of keeping sessions, through the whole script.
//!
//! What is kept of a session is in arrays of their own: 18 bytes here, 16 in [`Users`], 4 more where addresses change.
//! Between events sessions begin and end in the order of their times; a change is one pass over the live sessions.

use std::borrow::Cow;
use std::time::{Duration, Instant};

use super::balance::Balance;
use super::draw::Purpose;
use super::fleet::{Fleet, MOST, NOBODY, SlotIx, View};
use super::marks::Marks;
use super::pass::{self, EVERYBODY, Kind, NOW, Pass, in_threads, pieces, quiet};
use super::script::{Change, Roll, Step, What};
use super::tally::Tally;
use super::users::{self, Users};
use super::{Affinity, Key, Problem, Setup, Way};
use crate::backend::members::BackendSet;
use crate::base::hash::combine;
use crate::pool::choose::Pickers;
use crate::strategy::Needs;

/// Times at which live sessions are noted, and more at the events.
const SAMPLES: usize = 60;

/// What a run found.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) names: Vec<String>,
    pub(super) events: Vec<EventRecord>,
    /// Between events: clients that changed their address.
    pub(super) drift: Tally,
    pub(super) series: Series,
    pub(super) balance: Balance,
    pub(super) sessions: u64,
    pub(super) bytes: usize,
    /// What each pass took, and how many sessions it went over.
    pub(super) passes: Vec<(Duration, usize)>,
}

/// What one event did.
#[derive(Debug)]
pub(super) struct EventRecord {
    /// Sessions that are live from its beginning to its end.
    pub(super) live: u64,
    pub(super) tally: Tally,
    /// The part of them that would move to backends that were added, if all had their share.
    pub(super) ideal: f64,
    pub(super) before: Balance,
    pub(super) after: Balance,
    /// Live sessions that the shared store lost.
    pub(super) store_lost: u64,
    /// Whether nothing had happened before.
    pub(super) is_first: bool,
    cohort: (f64, f64),
    has_begun: bool,
}

/// What was there at which time.
#[derive(Debug, Default)]
pub(super) struct Series {
    pub(super) t: Vec<f64>,
    /// By slot.
    pub(super) live: Vec<Vec<u64>>,
    pub(super) lost: Vec<u64>,
    pub(super) stale: Vec<u64>,
}

/// The state of a run.
pub(super) struct Course<'a> {
    setup: &'a Setup,
    users: &'a Users,
    way: &'a Way,
    fleet: Fleet,
    view: View,
    pickers: Pickers,
    owner: Vec<SlotIx>,
    held: Vec<u64>,
    seen: Vec<u64>,
    address: Cow<'a, [u32]>,
    live: [i64; MOST],
    next_birth: usize,
    next_end: usize,
    passes: Vec<(Duration, usize)>,
    /// Of who begins.
    marks: Marks,
    /// Nobody.
    tried: BackendSet,
}

impl<'a> Course<'a> {
    pub(super) fn new(setup: &'a Setup, users: &'a Users, way: &'a Way) -> Result<Self, Problem> {
        let fleet = Fleet::new(setup.backends)?;
        let view = fleet.view(way);
        let pickers = Pickers::new(&view.pool, combine(setup.seed, 1));
        Ok(Self {
            owner: vec![NOBODY; users.len()],
            held: vec![0; users.len()],
            seen: vec![0; users.len()],
            address: Cow::Borrowed(&users.address),
            live: [0; MOST],
            next_birth: 0,
            next_end: 0,
            passes: Vec::new(),
            marks: Marks::default(),
            tried: BackendSet::new(),
            setup,
            users,
            way,
            fleet,
            view,
            pickers,
        })
    }

    /// Goes through the steps, the last of which may be followed by quiet until `horizon`.
    pub(super) fn run(
        mut self,
        steps: &[Step],
        horizon: f64,
        tick: &mut dyn FnMut(),
    ) -> Result<Record, Problem> {
        let mut events = self.events(steps);
        let slots = self.final_slots(steps);
        let (mut drift, mut series) =
            (Tally::new(slots), Series { live: vec![Vec::new(); slots], ..Series::default() });
        let mut grid = (0..=SAMPLES).map(|i| horizon * i as f64 / SAMPLES as f64).peekable();
        let mut last_drift = 0.0;
        for (i, step) in steps.iter().enumerate() {
            while let Some(t) = grid.next_if(|t| *t <= step.at) {
                self.advance(t);
                series.note(t, &self.live);
            }
            self.advance(step.at);
            let until = steps.get(i + 1).map_or(horizon, |s| s.at);
            let Some(event) = events.get_mut(step.event) else { continue };
            if !event.has_begun && self.drifts() {
                let moved = self.wander(step.at, step.at - last_drift, i as u64, slots);
                drift.add(&moved);
                last_drift = step.at;
            }
            if !event.has_begun {
                event.before = self.balance();
            }
            let tally = self.step(step, (i as u64, until), event, slots)?;
            series.note(step.at, &self.live);
            if let (Some(lost), Some(stale)) = (series.lost.last_mut(), series.stale.last_mut()) {
                *lost += tally.all.lost;
                *stale += tally.all.stale;
            }
            event.tally.add(&tally);
            event.after = self.balance();
            event.has_begun = true;
            tick();
        }
        for t in grid {
            self.advance(t);
            series.note(t, &self.live);
        }
        for event in &mut events {
            event.live = event.tally.batches.iter().map(|b| b.live).sum();
        }
        let bytes = users::BYTES + pass::BYTES + if matches!(self.address, Cow::Owned(_)) { 4 } else { 0 };
        Ok(Record {
            names: self.fleet.names(),
            balance: self.balance(),
            sessions: self.next_birth as u64,
            passes: self.passes,
            events,
            drift,
            series,
            bytes,
        })
    }

    fn events(&self, steps: &[Step]) -> Vec<EventRecord> {
        let slots = self.final_slots(steps);
        let script = &self.setup.script.events;
        (0..script.len())
            .map(|event| {
                let times = || steps.iter().filter(|s| s.event == event).map(|s| s.at);
                let (first, last) = (times().next().unwrap_or(0.0), times().next_back().unwrap_or(0.0));
                let cohort = match script.get(event).map(|e| &e.what) {
                    // How many are left of those that were there, ended ones included.
                    Some(What::Drain(..)) => (first, first),
                    // So long that hardly anybody would be there from its beginning to its end.
                    Some(What::Roll(Roll { drain: Some(_), .. })) => EVERYBODY,
                    _ => (first, last),
                };
                EventRecord {
                    live: 0,
                    tally: Tally::new(slots),
                    ideal: 0.0,
                    before: Balance::default(),
                    after: Balance::default(),
                    store_lost: 0,
                    is_first: event == 0,
                    cohort,
                    has_begun: false,
                }
            })
            .collect()
    }

    fn final_slots(&self, steps: &[Step]) -> usize {
        let added = steps.iter().map(|s| if let Change::Add(count) = s.change { count } else { 0 });
        self.setup.backends + added.sum::<usize>()
    }

    /// Live sessions of those backends that take new ones.
    fn balance(&self) -> Balance {
        let open = (0..MOST).filter(|slot| self.view.open >> slot & 1 == 1);
        Balance::of_counts(open.map(|slot| u64::try_from(self.live[slot]).unwrap_or(0)))
    }

    /// Sessions begin and end until `t`.
    fn advance(&mut self, t: f64) {
        loop {
            let birth = self.users.born.get(self.next_birth).map_or(f64::MAX, |b| f64::from(*b));
            let ending = self.users.by_end.get(self.next_end).map(|i| *i as usize);
            let end = ending.map_or(f64::MAX, |i| f64::from(self.users.end[i]));
            if birth.min(end) > t {
                return;
            }
            if let Some(i) = ending.filter(|_| end <= birth) {
                self.end(i);
                self.next_end += 1;
            } else {
                self.begin(self.next_birth);
                self.next_birth += 1;
            }
        }
    }

    fn begin(&mut self, i: usize) {
        let pass =
            quiet(self.setup, self.users, self.way, &self.address, (&self.view, &self.fleet, &self.tried));
        self.marks.set(&pass, std::iter::once(i));
        let facts = self.marks.facts(0);
        let Some(slot) = pass.choose(i, NOBODY, Kind::Plain, &facts, &mut self.pickers) else { return };
        self.owner[i] = slot;
        self.held[i] = 1 << slot;
        self.seen[i] = 1 << slot;
        self.live[usize::from(slot)] += 1;
        if self.way.counts_sessions() {
            self.fleet.backend(slot).iter().for_each(|b| b.sessions.begin(0, NOW));
        }
    }

    fn end(&mut self, i: usize) {
        let slot = self.owner[i];
        let Some(live) = self.live.get_mut(usize::from(slot)) else { return };
        *live -= 1;
        if self.way.counts_sessions() {
            self.fleet.backend(slot).iter().for_each(|b| b.sessions.end(0, NOW, NOW));
        }
    }

    /// Whether clients that change their address matter.
    fn drifts(&self) -> bool {
        self.setup.workload.mobile > 0.0 && self.is_by_address()
    }

    fn is_by_address(&self) -> bool {
        match self.way.kind.needs {
            Needs::Address => true,
            Needs::Key => self.setup.key == Key::ClientIp,
            Needs::Nothing => false,
        }
    }

    /// Clients change their addresses as they did in `passed` seconds, and all ask.
    fn wander(&mut self, now: f64, passed: f64, n: u64, slots: usize) -> Tally {
        let w = &self.setup.workload;
        let share = 1.0 - (-passed / w.change_every).exp();
        self.change_addresses(now, 2 * n + 1, share, w.change_far, w.mobile);
        self.pass(Kind::Plain, now, f64::MAX, n, EVERYBODY, false, 0, slots)
    }

    fn change_addresses(&mut self, now: f64, n: u64, share: f64, far: f64, of: f64) {
        let (users, range) = (self.users, self.users.range(now, self.setup.workload.longest()));
        let address = self.address.to_mut();
        for i in range {
            let who = i as u64;
            if (of >= 1.0 || users.draws.happens(Purpose::Mobile, who, 0, of))
                && users.draws.happens(Purpose::Change, who, n, share)
            {
                address[i] = users.changed(address[i], who, n, far);
            }
        }
    }

    /// One change, and the pass that follows.
    fn step(
        &mut self,
        step: &Step,
        (n, until): (u64, f64),
        event: &mut EventRecord,
        slots: usize,
    ) -> Result<Tally, Problem> {
        let mask = |slots: &[SlotIx]| slots.iter().fold(0, |mask, slot| mask | 1_u64 << slot);
        let (mut kind, mut wiped, mut is_new_list) = (Kind::Plain, 0, false);
        match &step.change {
            Change::Crash(who) => {
                wiped = mask(who);
                self.fleet.crash(who);
            }
            Change::Back(who) => {
                // A process that comes back has nothing, even if nobody saw it go.
                wiped = mask(who);
                self.fleet.come_back(who);
            }
            Change::Drain(who) => self.fleet.drain(who),
            Change::Leave(who) => self.fleet.leave(who),
            Change::Add(count) => {
                let open = f64::from(self.view.open.count_ones());
                event.ideal += *count as f64 / (open + *count as f64);
                self.fleet.add(*count)?;
                is_new_list = true;
            }
            Change::Delist(who) => {
                wiped = mask(who);
                self.fleet.remove(who);
                is_new_list = true;
            }
            Change::Enlist(who) => {
                self.fleet.enlist(who);
                is_new_list = true;
            }
            Change::Reverse => {
                self.fleet.reverse();
                is_new_list = true;
            }
            Change::Reload => is_new_list = true,
            Change::Void => {
                kind = Kind::Void;
                is_new_list = true;
            }
            Change::EmptyStore => {
                event.store_lost += u64::try_from(self.live.iter().sum::<i64>()).unwrap_or(0);
            }
            Change::Address(share, far) => self.change_addresses(step.at, 2 * n, *share, *far, 1.0),
            Change::Strip(share) => kind = Kind::Strip(*share),
            Change::Clear(share) => kind = Kind::Clear(*share),
        }
        self.view = self.fleet.view(self.way);
        if is_new_list {
            self.pickers = Pickers::new(&self.view.pool, combine(self.setup.seed, n + 2));
        }
        Ok(self.pass(kind, step.at, until, n, event.cohort, !event.has_begun, wiped, slots))
    }

    /// Every live session asks.
    #[allow(clippy::too_many_arguments, reason = "they are the fields of a pass")]
    fn pass(
        &mut self,
        kind: Kind,
        now: f64,
        until: f64,
        n: u64,
        cohort: (f64, f64),
        is_first: bool,
        wiped: u64,
        slots: usize,
    ) -> Tally {
        let range = self.users.range(now, self.setup.workload.longest());
        let is_in_turn = self.way.kind.needs == Needs::Nothing
            && (self.way.affinity == Affinity::None
                || kind != Kind::Plain
                || self.setup.workload.cookieless > 0.0);
        let counts = is_in_turn && self.way.counts_sessions();
        let pass = Pass {
            kind,
            n,
            now,
            until,
            cohort,
            is_first,
            wiped,
            counts,
            ..quiet(self.setup, self.users, self.way, &self.address, (&self.view, &self.fleet, &self.tried))
        };
        let begun = Instant::now();
        let pieces = pieces(
            range.start,
            [&mut self.owner[range.clone()]],
            [&mut self.held[range.clone()], &mut self.seen[range.clone()]],
        );
        let tally = if is_in_turn {
            let mut tally = Tally::new(slots);
            for piece in pieces {
                pass.go_over(piece, &mut self.pickers, &mut tally);
            }
            tally
        } else {
            in_threads(&pass, pieces, self.setup.threads.max(1), slots)
        };
        self.passes.push((begun.elapsed(), range.len()));
        for (slot, flow) in tally.flows.iter().enumerate() {
            self.live[slot] += flow;
            if self.way.counts_sessions() && !counts {
                let backend = self.fleet.backend(u16::try_from(slot).unwrap_or(NOBODY));
                for _ in 0..flow.unsigned_abs() {
                    backend.iter().for_each(|b| {
                        if *flow > 0 { b.sessions.begin(0, NOW) } else { b.sessions.end(0, NOW, NOW) }
                    });
                }
            }
        }
        tally
    }
}

impl Series {
    fn note(&mut self, t: f64, live: &[i64; MOST]) {
        self.t.push(t);
        self.lost.push(0);
        self.stale.push(0);
        for (of, live) in self.live.iter_mut().zip(live) {
            of.push(u64::try_from(*live).unwrap_or(0));
        }
    }
}
