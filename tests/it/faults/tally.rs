//! What is counted in a round, and which counts must be 0.

use std::fmt;
use std::ops::AddAssign;
use std::time::Duration;

use super::fault::{Cost, Fault};

/// Requests that can be repeated may fail at a home that has a fault, so many per fault.
const LOST: u64 = 2;

/// The counts of a round.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Tally {
    /// Requests sent.
    pub(super) sent: u64,
    /// Repeatable requests that failed, and their home had the fault.
    pub(super) at_home: u64,
    /// The same for requests that must not be repeated.
    pub(super) posts: u64,
    /// Requests that failed, and their home was healthy.
    pub(super) elsewhere: u64,
    /// Requests that failed and were sent when the fault was over.
    pub(super) after: u64,
    /// Sessions that moved because their home had the fault.
    pub(super) moved: u64,
    /// Sessions that moved and had no reason to.
    pub(super) needless: u64,
    /// Sessions that went back where they had moved from.
    pub(super) returned: u64,
    /// Requests that must not be repeated, and that backends saw more than once.
    pub(super) duplicated: u64,
    /// Streams through healthy backends.
    pub(super) streams: u64,
    /// Those that ended, or did not go on in order.
    pub(super) cut: u64,
    /// What came by them, in events and echoes.
    pub(super) events: u64,
    /// The longest time that a request took whose home was healthy. It has no bar: it is the machine's, too.
    pub(super) slowest: Duration,
}

impl Tally {
    /// The counts that miss their bar, in words.
    pub(super) fn missed(&self, fault: Fault) -> Vec<String> {
        let costs = fault.costs();
        let mut bars = vec![
            ("failed elsewhere", self.elsewhere, 0),
            ("failed afterwards", self.after, 0),
            ("moved without need", self.needless, 0),
            ("returned", self.returned, 0),
            ("duplicated", self.duplicated, 0),
            ("streams cut", self.cut, 0),
        ];
        match costs {
            Cost::Moves => bars.push(("failed at home", self.at_home, LOST)),
            Cost::Fails => bars.push(("moved", self.moved, 0)),
            Cost::Nothing => bars.push(("failed or moved", self.at_home + self.posts + self.moved, 0)),
        }
        let is_felt = match costs {
            Cost::Moves => self.moved > 0,
            Cost::Fails => self.at_home > 0 || fault == Fault::Restart,
            Cost::Nothing => true,
        };
        let missed = bars.iter().filter(|(_, count, most)| count > most);
        let mut missed: Vec<String> =
            missed.map(|(what, count, most)| format!("{what}: {count}, at most {most}")).collect();
        if !is_felt {
            missed.push("nobody felt the fault: the round shows nothing".to_owned());
        }
        missed
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { sent, at_home, posts, elsewhere, after, moved, needless, returned, duplicated, .. } = self;
        let Self { streams, cut, events, slowest, .. } = self;
        write!(
            f,
            "sent {sent}, failed at home {at_home} (POST {posts}), elsewhere {elsewhere}, afterwards {after}; moved \
             {moved}, without need {needless}, returned {returned}; duplicated {duplicated}; streams {streams} \
             ({events} events), cut {cut}; slowest elsewhere {slowest:.0?}"
        )
    }
}

impl AddAssign for Tally {
    fn add_assign(&mut self, more: Self) {
        self.sent += more.sent;
        self.at_home += more.at_home;
        self.posts += more.posts;
        self.elsewhere += more.elsewhere;
        self.after += more.after;
        self.moved += more.moved;
        self.needless += more.needless;
        self.returned += more.returned;
        self.duplicated += more.duplicated;
        self.streams += more.streams;
        self.cut += more.cut;
        self.events += more.events;
        self.slowest = self.slowest.max(more.slowest);
    }
}
