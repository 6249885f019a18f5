//! One pool's side of the stick table: its members by the table's names, and its live sessions by what is written.
//!
//! A session is written down when it begins, when it moves, and else once a slot; a look-up writes nothing. What a
//! write found there says how it is counted, so that two workers that write at once do not count one session twice.

use std::sync::Arc;

use super::table::{Digest, Evicted, Held, NameNo, Outcome, Record, ShardCopy, Table, Times};
use super::{By, Id, Pin, Session, Terms, Why};
use crate::backend::BackendIx;
use crate::backend::members::Members;
use crate::base::hash::hash64;
use crate::base::time::UnixSeconds;

/// How long requests that were on their way come under an id that its application replaced by another, in seconds. One
/// that is used later is still somebody's: an application elsewhere on the host may set a cookie of the same name, or
/// its client kept the old one.
pub const LATE: u32 = 10;

/// A table, and the members of the pool that it is for.
#[derive(Debug)]
pub struct Kept {
    table: Arc<Table>,
    terms: Terms,
    /// The table's name of each member; none if the table has no room for names.
    names: Box<[Option<NameNo>]>,
    /// The same the other way, in order of names.
    places: Box<[(NameNo, BackendIx)]>,
}

/// Where a request was answered: what counting needs.
#[derive(Clone, Copy, Debug)]
pub struct Site<'a> {
    /// The members that its session was read with.
    pub members: &'a Members,
    /// Who answered.
    pub chosen: BackendIx,
    /// Whether the session is only lent to who answered, and its pin stays as it is.
    pub is_borrowed: bool,
    /// The first home that a session which moved remembers.
    pub origin: Option<BackendIx>,
    /// The worker that counts.
    pub worker: usize,
    /// The time.
    pub now: UnixSeconds,
}

/// Whether what is written down is counted live by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counting {
    /// It is.
    Here,
    /// It is not: a pin, or another id of the session, counts it.
    Elsewhere,
}

impl Kept {
    /// The side of `table` that belongs to these members.
    #[must_use]
    pub fn new(table: Arc<Table>, terms: Terms, members: &Members) -> Self {
        let names: Box<[_]> = members.iter().map(|(_, b)| table.name(b.id.as_str())).collect();
        let places = names.iter().zip(members.iter()).filter_map(|(name, (ix, _))| Some(((*name)?, ix)));
        let mut places: Box<[_]> = places.collect();
        places.sort_unstable();
        Self { table, terms, names, places }
    }

    /// The table.
    #[must_use]
    pub const fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// How long its sessions last.
    #[must_use]
    pub const fn times(&self) -> Times {
        self.terms.times
    }

    /// What the table finds an id by.
    #[must_use]
    pub fn digest(&self, id: &[u8]) -> Digest {
        self.table.digest(id)
    }

    /// What the table finds a session by that has a number of its own and no id.
    #[must_use]
    pub fn digest_of(&self, session: u64) -> Digest {
        self.table.digest(&session.to_be_bytes())
    }

    /// The session that an id names, if it is known. `key` is a hash of the id that is the same on every node.
    pub fn read(&self, key: u64, digest: Digest, now: UnixSeconds) -> Option<Session> {
        let found = self.table.get(digest, now, self.terms.times)?;
        let Held { home, origin, issued, last_seen, ends } = found.held;
        let member = self.place(home);
        let (pin, lost, issued) = match (found.expired, member) {
            (Some(why), _) => (Pin::Void(why), 0, now),
            (None, Some(ix)) => (Pin::To(ix), 0, issued),
            (None, None) => (Pin::Void(Why::Removed), hash64(self.table.text(home).as_bytes()), issued),
        };
        let is_due = found.expired.is_some() || self.terms.times.slots.is_due(last_seen, now);
        let session = Session {
            pin,
            key,
            issued,
            last_seen,
            boot: self.terms.boot,
            is_due,
            lost,
            origin: origin.and_then(|name| self.place(name)),
            counted_on: member,
            by: By::Learned,
            id: Some(Id { digest, is_header: false }),
        };
        Some(match ends {
            None => session,
            Some(ends) => self.retired(session, ends, now),
        })
    }

    /// A session whose id was replaced: of requests that were on their way nothing is written down, and later ones begin
    /// it anew where it is.
    fn retired(&self, session: Session, ends: UnixSeconds, now: UnixSeconds) -> Session {
        let is_late = ends.0.saturating_sub(now.0) > self.terms.times.slots.idle().saturating_sub(LATE);
        let id = session.id.filter(|_| !is_late);
        Session { counted_on: None, is_due: false, id, ..session }
    }

    /// What the table knows of a session that something else told of: when it was written down last, and where it is
    /// now. What it does not know is written down with the answer.
    pub fn beside(&self, session: Session, digest: Digest, now: UnixSeconds) -> Session {
        let id = Some(Id { digest, is_header: false });
        let unknown = Session { counted_on: None, is_due: false, id, ..session };
        let Some(found) = self.table.get(digest, now, self.terms.times) else { return unknown };
        let Held { home, origin, issued, last_seen, ends } = found.held;
        let member = self.place(home);
        let is_due = self.terms.times.slots.is_due(last_seen, now);
        let known = match ends {
            None => Session { counted_on: member, last_seen, boot: self.terms.boot, is_due, ..unknown },
            Some(ends) => self.retired(unknown, ends, now),
        };
        if found.expired.is_some() {
            return known;
        }
        let (pin, origin) = match member {
            Some(home) => (Pin::To(home), origin.and_then(|name| self.place(name))),
            None => (session.pin, session.origin),
        };
        Session { pin, origin, issued: session.issued.min(issued), ..known }
    }

    /// Whether the table has an id that was not replaced by another.
    #[must_use]
    pub fn knows(&self, digest: Digest, now: UnixSeconds) -> bool {
        self.table.get(digest, now, self.terms.times).is_some_and(|found| found.held.ends.is_none())
    }

    /// Writes a session down as used now and at `site`, and counts it.
    pub fn write(&self, digest: Digest, issued: UnixSeconds, site: &Site<'_>, counting: Counting) {
        let Some(home) = self.name(site.chosen) else { return };
        let record = Record { home, origin: site.origin.and_then(|ix| self.name(ix)), issued };
        let put = self.table.put(digest, record, site.now, self.terms.times);
        if counting == Counting::Here {
            let to = &site.members.get(site.chosen).sessions;
            match put.outcome {
                Outcome::Created => to.begin(site.worker, site.now),
                Outcome::Refreshed { last_seen } => to.refresh(site.worker, last_seen, site.now),
                Outcome::Moved { from, last_seen } => {
                    self.uncount(from, last_seen, site);
                    to.begin(site.worker, site.now);
                }
            }
        }
        // Where a pin counts who is written here, it counts on for who had to go.
        if counting == Counting::Here
            && let Some(Evicted { held, was_live: true }) = put.evicted
        {
            self.uncount(held.home, held.last_seen, site);
        }
    }

    /// Ends a session. It is counted no more, if this table counted it.
    pub fn end(&self, digest: Digest, site: &Site<'_>, counting: Counting) {
        let held = self.table.end(digest);
        self.forget(held, site, counting);
    }

    /// Lets a session whose id was replaced end by itself, or before all others. It is counted no more, if this table
    /// counted it.
    pub fn retire(&self, digest: Digest, site: &Site<'_>, counting: Counting) {
        let held = self.table.retire(digest, site.now, self.terms.times.slots.idle());
        self.forget(held, site, counting);
    }

    /// Counts what the table held before this process began. `members` are those that this side was made for.
    pub fn count_restored(&self, members: &Members, now: UnixSeconds) {
        let mut copy = ShardCopy::default();
        for part in 0..self.table.parts() {
            self.table.copy_part(part, &mut copy);
            let live = copy.sessions().map(|(_, held)| held);
            let live = live.filter(|h| h.ends.is_none() && h.expired(now, self.terms.times).is_none());
            for (ix, held) in live.filter_map(|held| Some((self.place(held.home)?, held))) {
                members.get(ix).sessions.restore(held.last_seen, now);
            }
        }
    }

    /// Frees up to `budget` sessions that are over.
    pub fn sweep(&self, now: UnixSeconds, budget: usize) -> usize {
        self.table.sweep(now, self.terms.times, budget)
    }

    /// Ends a session by the operator's wish; whether there was one.
    pub fn drop_session(&self, digest: Digest, members: &Members, now: UnixSeconds) -> bool {
        let held = self.table.end(digest);
        if let Some((ix, held)) =
            held.and_then(|h| Some((self.place(h.home)?, h)).filter(|_| h.ends.is_none()))
        {
            let sessions = &members.get(ix).sessions;
            sessions.end(sessions.last_row(), held.last_seen, now);
        }
        held.is_some()
    }

    /// Gives a session another home by the operator's wish; whether there was one.
    pub fn move_session(&self, digest: Digest, to: BackendIx, members: &Members, now: UnixSeconds) -> bool {
        let Some(name) = self.name(to) else { return false };
        let Some(held) = self.table.move_to(digest, name) else { return false };
        if held.ends.is_none() {
            if let Some(from) = self.place(held.home) {
                let sessions = &members.get(from).sessions;
                sessions.end(sessions.last_row(), held.last_seen, now);
            }
            members.get(to).sessions.restore(held.last_seen, now);
        }
        true
    }

    fn forget(&self, held: Option<Held>, site: &Site<'_>, counting: Counting) {
        if let Some(held) = held.filter(|h| h.ends.is_none() && counting == Counting::Here) {
            self.uncount(held.home, held.last_seen, site);
        }
    }

    fn uncount(&self, home: NameNo, last_seen: UnixSeconds, site: &Site<'_>) {
        if let Some(from) = self.place(home) {
            site.members.get(from).sessions.end(site.worker, last_seen, site.now);
        }
    }

    fn name(&self, ix: BackendIx) -> Option<NameNo> {
        self.names.get(ix.index()).copied().flatten()
    }

    fn place(&self, name: NameNo) -> Option<BackendIx> {
        let at = self.places.binary_search_by_key(&name, |(name, _)| *name).ok()?;
        self.places.get(at).map(|(_, ix)| *ix)
    }
}
