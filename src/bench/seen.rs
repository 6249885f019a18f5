//! What a run saw, and nothing that is made of it: each request with its answer, when each session was there, what was
//! done to whom. Times are microseconds since the run's zero. Figures are made of it afterwards, in `measure/`.

use super::wire::Fault;

/// Microseconds since the run's zero.
pub(super) type Micros = u64;

/// Records that a run keeps at most; what is beyond is counted, and told as a doubt.
pub(super) const MOST_RECORDS: usize = 4_000_000;

/// What a request was for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Before there is a session: one of several at once.
    First,
    Login,
    Read,
    Write,
    Refresh,
    Logout,
    /// Of all sessions that the user has.
    EndAll,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The session was known, or the login succeeded.
    Hit,
    /// A credential was shown that the application issued, and it does not know it: a lost session.
    Unknown,
    /// None was shown.
    None,
    Expired,
    Revoked,
    Failed(Class),
}

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Class {
    Wire(Fault),
    /// 5xx, not by the application.
    Balancer(u16),
    /// 5xx by the application.
    Application(u16),
    /// Any other answer that is not one of the application's.
    Strange(u16),
}

/// One request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) session: u32,
    pub(super) kind: Kind,
    pub(super) outcome: Outcome,
    /// Who answered, if the application did.
    pub(super) backend: Option<u16>,
    /// When it was to be sent; latency counts from here.
    pub(super) due: Micros,
    pub(super) sent: Micros,
    pub(super) done: Micros,
    /// What was answered, and what was last acknowledged to this client before.
    pub(super) version: u32,
    pub(super) expected: u32,
    /// The session is of another login than the one last acknowledged: an old copy, or back from one.
    pub(super) is_other: bool,
    /// It was answered at a second try.
    pub(super) is_retried: bool,
    /// Writes without an answer since that may have been done.
    pub(super) unsure: u16,
    pub(super) cookies: Cookies,
}

/// Bytes of `Cookie` sent and `Set-Cookie` received.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cookies {
    pub(super) session: u32,
    pub(super) affinity: u32,
}

/// When a session was there: from its login to the last thing that its user did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Life {
    pub(super) session: u32,
    pub(super) born: Micros,
    pub(super) ended: Micros,
}

/// How long a session was accepted after all of its user's had been ended.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Revocation {
    pub(super) seconds: f64,
    /// Requests that were accepted.
    pub(super) accepted: u32,
    /// It still was, when nobody looked any longer.
    pub(super) is_capped: bool,
}

/// How a backend stands, by what was done to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    Up,
    /// It does not answer: killed, or stopped.
    Dead,
    /// It takes no new sessions, and keeps its own.
    Draining,
    /// It gives up its sessions.
    Past,
    /// It is not in the list.
    Absent,
}

/// What was done, and when.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) kind: String,
    pub(super) target: Option<u16>,
    pub(super) label: String,
    pub(super) began: Micros,
    pub(super) ended: Micros,
    /// Of its sweeps (spans in which every live session was to be answered at least once), the share that was.
    pub(super) coverage: Option<f64>,
}

/// Everything that was done to the backends.
#[derive(Clone, Debug, Default)]
pub(super) struct World {
    /// In the order of time.
    changes: Vec<(Micros, u16, Standing)>,
    pub(super) done: Vec<Done>,
}

/// All that a run saw.
#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) records: Vec<Record>,
    pub(super) lives: Vec<Life>,
    pub(super) world: World,
    pub(super) revocations: Vec<Revocation>,
    /// Records that there was no room for.
    pub(super) dropped: u64,
}

impl World {
    pub(super) fn set(&mut self, at: Micros, backend: u16, standing: Standing) {
        self.changes.push((at, backend, standing));
    }

    /// How a backend stands at a time.
    pub(super) fn standing(&self, backend: u16, at: Micros) -> Standing {
        let before = self.changes.iter().rev().find(|(t, b, _)| *b == backend && *t <= at);
        before.map_or(Standing::Up, |(.., standing)| *standing)
    }

    /// Whether this holds of how it stands, at any time of these.
    pub(super) fn stood(
        &self,
        backend: u16,
        from: Micros,
        to: Micros,
        is: impl Fn(Standing) -> bool,
    ) -> bool {
        is(self.standing(backend, from))
            || self.changes.iter().any(|(t, b, s)| *b == backend && (from..=to).contains(t) && is(*s))
    }
}

impl Seen {
    pub(super) fn record(&mut self, record: Record) {
        if self.records.len() < MOST_RECORDS {
            self.records.push(record);
        } else {
            self.dropped += 1;
        }
    }
}

impl Record {
    /// From when it was due.
    pub(super) const fn latency(&self) -> Micros {
        self.done.saturating_sub(self.due)
    }

    pub(super) const fn failed(&self) -> bool {
        matches!(self.outcome, Outcome::Failed(_))
    }

    /// Another state than the one last acknowledged was seen: an older version, or that of another login.
    pub(super) fn is_stale(&self) -> bool {
        self.outcome == Outcome::Hit
            && match self.kind {
                Kind::Read => self.is_other || self.version < self.expected,
                Kind::Write => self.is_other || self.version < self.expected + 1,
                _ => false,
            }
    }

    /// How many writes were done that nobody asked for.
    pub(super) fn duplicates(&self) -> u32 {
        if self.kind == Kind::Write && self.outcome == Outcome::Hit && !self.is_other {
            self.version.saturating_sub(self.expected + 1 + u32::from(self.unsure))
        } else {
            0
        }
    }
}

impl Class {
    /// Its name in results.
    pub(super) fn name(self) -> String {
        match self {
            Self::Wire(fault) => fault.name().to_owned(),
            Self::Balancer(status) => format!("balancer_{status}"),
            Self::Application(status) => format!("application_{status}"),
            Self::Strange(status) => format!("status_{status}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_standing_holds_until_the_next() {
        let mut world = World::default();
        world.set(10, 1, Standing::Dead);
        world.set(20, 1, Standing::Up);
        for (at, expected) in
            [(9, Standing::Up), (10, Standing::Dead), (19, Standing::Dead), (20, Standing::Up)]
        {
            assert_eq!(world.standing(1, at), expected, "{at}");
            assert_eq!(world.standing(0, at), Standing::Up);
        }
        let dead = |from, to| world.stood(1, from, to, |s| s == Standing::Dead);
        assert!(dead(5, 10) && dead(12, 13) && !dead(20, 30) && !dead(0, 9));
    }
}
