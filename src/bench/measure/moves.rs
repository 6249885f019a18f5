//! Who moved, why, and what was lost by it. A session moves when a backend answers it that is not the one that answered
//! before. The move is *forced* if that one was dead, removed or past its drain's deadline when the request was under way;
//! *policy* if it was draining; *failback* if the session returns to who had it before; *unforced* otherwise.

use std::collections::{BTreeMap, BTreeSet};

use crate::bench::seen::{Kind, Micros, Outcome, Record, Seen, Standing};

/// A balancer learns of what became of a backend by then, in microseconds: until then its moves are the backend's.
const NOTICED: Micros = 1_000_000;

/// Why a session moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Cause {
    Forced,
    Policy,
    Failback,
    Unforced,
}

/// A move.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Move {
    pub(in crate::bench) session: u32,
    pub(in crate::bench) at: Micros,
    pub(in crate::bench) from: u16,
    pub(in crate::bench) to: u16,
    pub(in crate::bench) cause: Cause,
}

/// Each session's way through the backends.
#[derive(Debug, Default)]
pub(in crate::bench) struct Tracked {
    pub(in crate::bench) moves: Vec<Move>,
    /// When a session was lost.
    pub(in crate::bench) losses: Vec<(u32, Micros)>,
    pub(in crate::bench) stale: Vec<(u32, Micros)>,
    pub(in crate::bench) duplicates: Vec<(Micros, u32)>,
    /// Where each session was, from when on; and when it ended.
    pub(in crate::bench) homes: BTreeMap<u32, (Vec<(Micros, u16)>, Micros)>,
    /// By the place of a record: whether it was the first of its session, or moved.
    pub(in crate::bench) classes: Vec<Class>,
}

/// What a request was to its session.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub(in crate::bench) enum Class {
    First,
    Moved,
    #[default]
    OwnerHit,
}

/// How often what happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::bench) struct Counts {
    pub(in crate::bench) lost: u64,
    pub(in crate::bench) stale: u64,
    pub(in crate::bench) duplicates: u64,
    pub(in crate::bench) forced: u64,
    pub(in crate::bench) policy: u64,
    pub(in crate::bench) failback: u64,
    pub(in crate::bench) unforced: u64,
}

impl Counts {
    pub(in crate::bench) const fn moves(&self) -> u64 {
        self.forced + self.policy + self.failback + self.unforced
    }
}

impl Tracked {
    /// Follows every session.
    pub(in crate::bench) fn of(seen: &Seen, backends: usize) -> Self {
        let mut tracked = Self { classes: vec![Class::default(); seen.records.len()], ..Self::default() };
        let mut order: Vec<usize> = (0..seen.records.len()).collect();
        let key = |i: &usize| seen.records.get(*i).map(|r| (r.session, r.sent));
        order.sort_by_key(key);
        let mut before: Option<(u32, u16, BTreeSet<u16>)> = None;
        for place in order {
            let Some(record) = seen.records.get(place) else { continue };
            if record.kind == Kind::First {
                continue;
            }
            if before.as_ref().is_none_or(|(session, ..)| *session != record.session) {
                before = None;
            }
            tracked.note(record);
            let Some(backend) = record.backend.filter(|b| usize::from(*b) < backends) else { continue };
            let class = match &mut before {
                None => {
                    before = Some((record.session, backend, BTreeSet::from([backend])));
                    Class::First
                }
                Some((_, home, _)) if *home == backend => Class::OwnerHit,
                Some((session, home, had)) => {
                    let cause = cause(seen, record, *home, had.contains(&backend));
                    tracked.moves.push(Move {
                        session: *session,
                        at: record.sent,
                        from: *home,
                        to: backend,
                        cause,
                    });
                    *home = backend;
                    had.insert(backend);
                    Class::Moved
                }
            };
            if let Some(slot) = tracked.classes.get_mut(place) {
                *slot = class;
            }
            if class != Class::OwnerHit {
                let home = tracked.homes.entry(record.session).or_insert_with(|| (Vec::new(), Micros::MAX));
                home.0.push((record.sent, backend));
            }
        }
        for life in &seen.lives {
            if let Some(home) = tracked.homes.get_mut(&life.session) {
                home.1 = life.ended;
            }
        }
        tracked
    }

    fn note(&mut self, record: &Record) {
        if record.outcome == Outcome::Unknown {
            self.losses.push((record.session, record.sent));
        }
        if record.is_stale() {
            self.stale.push((record.session, record.sent));
        }
        if record.duplicates() > 0 {
            self.duplicates.push((record.sent, record.duplicates()));
        }
    }

    /// What happened in a time.
    pub(in crate::bench) fn counts(&self, from: Micros, to: Micros) -> Counts {
        let within = |at: &Micros| (from..to).contains(at);
        let mut counts = Counts {
            lost: self.losses.iter().filter(|(_, at)| within(at)).count() as u64,
            stale: self.stale.iter().filter(|(_, at)| within(at)).count() as u64,
            duplicates: self.duplicates.iter().filter(|(at, _)| within(at)).map(|(_, n)| u64::from(*n)).sum(),
            ..Counts::default()
        };
        for one in self.moves.iter().filter(|one| within(&one.at)) {
            let slot = match one.cause {
                Cause::Forced => &mut counts.forced,
                Cause::Policy => &mut counts.policy,
                Cause::Failback => &mut counts.failback,
                Cause::Unforced => &mut counts.unforced,
            };
            *slot += 1;
        }
        counts
    }

    /// Where a session is at a time, if it is there.
    pub(in crate::bench) fn home(&self, session: u32, at: Micros) -> Option<u16> {
        let (homes, ended) = self.homes.get(&session)?;
        if *ended <= at {
            return None;
        }
        homes.get(homes.partition_point(|(since, _)| *since <= at).checked_sub(1)?).map(|(_, home)| *home)
    }
}

fn cause(seen: &Seen, record: &Record, home: u16, had_it: bool) -> Cause {
    let since = record.sent.saturating_sub(NOTICED);
    let stood = |is: fn(Standing) -> bool| seen.world.stood(home, since, record.done, is);
    if stood(|s| matches!(s, Standing::Dead | Standing::Absent | Standing::Past)) {
        Cause::Forced
    } else if stood(|s| s == Standing::Draining) {
        Cause::Policy
    } else if had_it && has_been_away(seen, record) {
        Cause::Failback
    } else {
        Cause::Unforced
    }
}

/// Whether who answered has been away before.
fn has_been_away(seen: &Seen, record: &Record) -> bool {
    record.backend.is_some_and(|b| seen.world.stood(b, 0, record.done, |s| s != Standing::Up))
}

/// Sessions that began with several requests at once, and those of them that met more than one backend by that.
pub(in crate::bench) fn birth_races(seen: &Seen) -> (u64, u64) {
    let mut met: BTreeMap<u32, BTreeSet<u16>> = BTreeMap::new();
    for record in seen.records.iter().filter(|r| r.kind == Kind::First) {
        met.entry(record.session).or_default().extend(record.backend);
    }
    let races = met.values().filter(|met| met.len() > 1).count();
    (met.len() as u64, races as u64)
}

/// What each event did, until the next one began. A crash and the return of the same backend are told together with what
/// came between, as `crash_return`, where nothing else did.
pub(in crate::bench) fn events(
    seen: &Seen,
    tracked: &Tracked,
    from: Micros,
    to: Micros,
    backends: usize,
) -> Vec<super::EventFigures> {
    let done = &seen.world.done;
    let mut figures = Vec::new();
    for (place, event) in done.iter().enumerate() {
        let end = done.get(place + 1).map_or(to, |next| next.began);
        let kind = event.kind.as_str();
        figures.push(figure(seen, tracked, (event, kind), [from, event.began, end], backends));
        let returns = done
            .get(place + 1)
            .filter(|next| kind == "crash" && next.kind == "restart" && next.target == event.target);
        if returns.is_some() {
            let end = done.get(place + 2).map_or(to, |next| next.began);
            let told = (event, "crash_return");
            figures.push(figure(seen, tracked, told, [from, event.began, end], backends));
        }
    }
    figures
}

fn figure(
    seen: &Seen,
    tracked: &Tracked,
    (event, kind): (&crate::bench::seen::Done, &str),
    [zero, began, end]: [Micros; 3],
    backends: usize,
) -> super::EventFigures {
    let stayers: Vec<u32> =
        seen.lives.iter().filter(|l| l.born < began && l.ended >= end).map(|l| l.session).collect();
    let within = |at: Micros| (began..end).contains(&at);
    let each = |seen: &mut dyn Iterator<Item = (u32, Micros)>| {
        let mut each: BTreeMap<u32, u32> = stayers.iter().map(|s| (*s, 0)).collect();
        for (session, _) in seen.filter(|(_, at)| within(*at)) {
            each.entry(session).and_modify(|times| *times += 1);
        }
        each.into_values().collect::<Vec<u32>>()
    };
    let mut matrix = vec![vec![0_u64; backends]; backends];
    let mut last_trouble = None::<Micros>;
    for one in tracked.moves.iter().filter(|one| within(one.at)) {
        if let Some(cell) =
            matrix.get_mut(usize::from(one.from)).and_then(|row| row.get_mut(usize::from(one.to)))
        {
            *cell += 1;
        }
        if one.cause == Cause::Unforced {
            last_trouble = last_trouble.max(Some(one.at));
        }
    }
    let failures = || seen.records.iter().filter(|r| within(r.sent) && r.failed()).map(|r| r.done);
    let losses = tracked.losses.iter().map(|(_, at)| *at).filter(|at| within(*at));
    last_trouble = last_trouble.max(losses.max()).max(failures().max());
    let seconds = |at: Micros| at.saturating_sub(began) as f64 / 1e6;
    let went = |b: u16| seen.world.stood(b, began, event.ended.max(began), |s| s != Standing::Up);
    let all: Vec<u16> = (0..backends).filter_map(|b| u16::try_from(b).ok()).collect();
    let home_before = |s: u32| tracked.home(s, began);
    let mut shares = vec![0.0; backends];
    for home in stayers.iter().filter_map(|s| home_before(*s)) {
        if let Some(share) = shares.get_mut(usize::from(home)) {
            *share += 1.0 / stayers.len() as f64;
        }
    }
    let least = stayers.iter().filter(|s| home_before(**s).is_some_and(went)).count() as f64;
    let gone = all.iter().filter(|b| went(**b)).count();
    // Of a roll, each backend goes once; of everything else, those that are away afterwards.
    let ideal = stayers.len() as f64 * gone as f64 / backends.max(1) as f64;
    super::EventFigures {
        kind: kind.to_owned(),
        target: event.target,
        label: if kind == "crash_return" {
            format!("{} and return", event.label)
        } else {
            event.label.clone()
        },
        at: began.saturating_sub(zero) as f64 / 1e6,
        live: seen.lives.iter().filter(|l| l.born < began && l.ended >= began).count() as u64,
        shares,
        losses: each(&mut tracked.losses.iter().copied()),
        stale: each(&mut tracked.stale.iter().copied()),
        moves: each(&mut tracked.moves.iter().map(|one| (one.session, one.at))),
        counts: tracked.counts(began, end),
        least,
        ideal,
        detect: detected(seen, event, began, end).map(seconds),
        recover: last_trouble.map_or(0.0, seconds),
        matrix,
        coverage: event.coverage,
    }
}

/// When the last request was sent that failed or waited long because of what was done: the balancer did not know yet.
/// Long is ten times what nearly all took before, and a tenth of a second at least.
fn detected(seen: &Seen, event: &crate::bench::seen::Done, began: Micros, end: Micros) -> Option<Micros> {
    if !matches!(event.kind.as_str(), "crash" | "freeze") {
        return None;
    }
    let mut before: Vec<Micros> =
        seen.records.iter().filter(|r| r.done < began).map(Record::latency).collect();
    before.sort_unstable();
    let usual = before.get(before.len() * 99 / 100).copied().unwrap_or(0);
    let long = (usual * 10).max(100_000);
    let slow = |r: &&Record| (began..end).contains(&r.sent) && (r.failed() || r.latency() > long);
    Some(seen.records.iter().filter(slow).map(|r| r.sent).max().unwrap_or(began))
}

#[cfg(test)]
#[path = "moves_tests.rs"]
mod tests;
