//! First visits in flight: where a client's first request went, so that its parallel first requests go there too.
//!
//! A browser sends several requests before it has the first cookie; each would make a session of its own. So a new
//! session leaves its choice under (pool, client address, User-Agent) until the head of its answer was sent, and
//! for 1 s more for requests that were on their way by then: the first ones on connections that were open already.
//! A later visit from the same address, by whomever, is spread as any other. And so are all while one has waited for
//! its answer for longer than 1 s: a backend that hangs must not draw in everybody behind one address.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::backend::BackendIx;

/// Entries at once; beyond it new ones are not made, and parallel first requests may part.
const MOST: usize = 65_536;
/// How long an entry is kept after the head of its answer was sent.
const LINGER: Duration = Duration::from_secs(1);
/// How long a visit without an answer is followed.
const OVERDUE: Duration = Duration::from_secs(1);

/// The map that workers share.
#[derive(Debug, Default)]
pub struct Visits {
    map: Mutex<Map>,
}

#[derive(Debug, Default)]
struct Map {
    entries: AHashMap<u64, Entry>,
    /// When to look for entries that are over.
    sweep: Option<Instant>,
}

#[derive(Clone, Copy, Debug)]
struct Entry {
    backend: BackendIx,
    began: Instant,
    in_flight: u32,
    answered: Option<Instant>,
}

/// One first request in flight; tells when its answer's head was sent, or on drop that there was none.
#[derive(Debug)]
pub struct Visit {
    visits: Arc<Visits>,
    key: u64,
    is_answered: bool,
}

impl Visits {
    /// Where to follow to. `opened` is when the request's connection was accepted if it is the first on it.
    #[must_use]
    pub fn follow(&self, key: u64, opened: Option<Instant>) -> Option<BackendIx> {
        let map = self.map.lock();
        let entry = map.entries.get(&key)?;
        let follows = match entry.answered {
            None => !entry.is_overdue(),
            Some(at) => at.elapsed() < LINGER && opened.is_some_and(|opened| opened <= at),
        };
        follows.then_some(entry.backend)
    }

    /// A first request goes to `backend`; `None` if nobody is to follow it.
    #[must_use]
    pub fn begin(self: &Arc<Self>, key: u64, backend: BackendIx) -> Option<Visit> {
        let mut map = self.map.lock();
        let now = Instant::now();
        if map.sweep.is_none_or(|at| now >= at) {
            map.sweep = Some(now + LINGER);
            map.entries.retain(|_, e| e.in_flight > 0 || e.answered.is_some_and(|at| now - at < LINGER));
        }
        if map.entries.len() >= MOST {
            return None;
        }
        let new = Entry { backend, began: now, in_flight: 0, answered: None };
        let entry = map.entries.entry(key).or_insert(new);
        if entry.is_overdue() {
            return None;
        }
        if entry.in_flight == 0 || entry.backend != backend {
            *entry = Entry { in_flight: entry.in_flight, ..new };
        }
        entry.in_flight += 1;
        Some(Visit { visits: Arc::clone(self), key, is_answered: false })
    }

    fn end(&self, key: u64, is_answered: bool) {
        let mut map = self.map.lock();
        let Some(entry) = map.entries.get_mut(&key) else { return };
        entry.in_flight = entry.in_flight.saturating_sub(1);
        if is_answered && entry.answered.is_none() {
            entry.answered = Some(Instant::now());
        }
        if entry.in_flight == 0 && entry.answered.is_none() {
            map.entries.remove(&key);
        }
    }
}

impl Entry {
    fn is_overdue(&self) -> bool {
        self.in_flight > 0 && self.answered.is_none() && self.began.elapsed() >= OVERDUE
    }
}

impl Visit {
    /// The head of the answer was sent.
    pub fn answered(mut self) {
        self.is_answered = true;
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        self.visits.end(self.key, self.is_answered);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parallel_first_requests_follow_and_later_ones_spread() {
        let visits = Arc::new(Visits::default());
        let before = Instant::now();
        let first = visits.begin(7, BackendIx(2)).unwrap();
        assert_eq!(visits.follow(7, None), Some(BackendIx(2)));
        assert_eq!(visits.follow(8, None), None);
        first.answered();
        assert_eq!(visits.follow(7, Some(before)), Some(BackendIx(2)), "it was on its way");
        assert_eq!(visits.follow(7, Some(Instant::now())), None, "it came after the answer");
        assert_eq!(visits.follow(7, None), None, "its connection had served others");
    }

    #[test]
    fn a_visit_that_gets_no_answer_is_not_followed_for_long() {
        let visits = Arc::new(Visits::default());
        let hangs = visits.begin(7, BackendIx(2)).unwrap();
        visits.map.lock().entries.get_mut(&7).unwrap().began -= OVERDUE;
        assert_eq!(visits.follow(7, None), None);
        assert!(visits.begin(7, BackendIx(1)).is_none() && visits.begin(7, BackendIx(2)).is_none());
        assert_eq!(visits.follow(7, None), None, "nor is who came after it");
        drop(hangs);
        let _next = visits.begin(7, BackendIx(1)).unwrap();
        assert_eq!(visits.follow(7, None), Some(BackendIx(1)));
    }

    #[test]
    fn a_first_request_without_an_answer_leaves_nothing() {
        let visits = Arc::new(Visits::default());
        drop(visits.begin(7, BackendIx(2)));
        assert_eq!(visits.follow(7, Some(Instant::now())), None);
        assert!(visits.map.lock().entries.is_empty());
    }
}
