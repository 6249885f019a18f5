//! The sessions of one backend, in its memory and nowhere else: what is lost when a visitor is moved.
//!
//! Bounded in number and in idle time. Another store takes this file's place, behind the same few calls.

use std::collections::HashMap;
use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// Sessions that one backend keeps. One more evicts the one that has idled longest.
const CAPACITY: usize = 10_000;

/// Time after which a session that nobody visits is over.
const IDLE: Duration = Duration::from_secs(30 * 60);

/// A session's name: 128 random bits, 32 lower-case hex digits in the cookie.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId(u128);

/// Who logged in, and what this backend has counted for them.
#[derive(Clone, Debug)]
pub(super) struct Session {
    pub(super) user: String,
    pub(super) counter: u64,
    pub(super) since: Instant,
    seen: Instant,
}

/// The store.
#[derive(Debug)]
pub(super) struct Sessions {
    by_id: HashMap<SessionId, Session>,
    capacity: usize,
}

impl SessionId {
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(u128::from_ne_bytes(bytes)))
    }

    /// Reads only what `Display` writes: an id has one spelling.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        digits.then(|| u128::from_str_radix(text, 16).ok().map(Self)).flatten()
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Sessions {
    /// Begins a session under an id that was drawn for it.
    pub(super) fn open(&mut self, id: SessionId, user: String, now: Instant) {
        if self.by_id.len() >= self.capacity {
            // A walk over all of them, only once the store is full: an order kept on every visit would cost more.
            let idlest = self.by_id.iter().min_by_key(|(_, session)| session.seen).map(|(&id, _)| id);
            idlest.and_then(|id| self.by_id.remove(&id));
        }
        self.by_id.insert(id, Session { user, counter: 0, since: now, seen: now });
    }

    /// Counts a visit, if the session is known.
    pub(super) fn visit(&mut self, id: SessionId, now: Instant) -> Option<&Session> {
        if self.peek(id, now).is_none() {
            self.close(id);
            return None;
        }
        let session = self.by_id.get_mut(&id)?;
        session.counter += 1;
        session.seen = now;
        Some(session)
    }

    /// Looks without counting and without keeping the session from idling out.
    pub(super) fn peek(&self, id: SessionId, now: Instant) -> Option<&Session> {
        self.by_id.get(&id).filter(|session| now.duration_since(session.seen) < IDLE)
    }

    /// Ends a session, if there is one.
    pub(super) fn close(&mut self, id: SessionId) {
        self.by_id.remove(&id);
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self { by_id: HashMap::new(), capacity: CAPACITY }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = SessionId::random().unwrap();
        assert_eq!(SessionId::parse(&id.to_string()), Some(id));
        for other in ["", "1", "+0000000000000000000000000000001", &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(SessionId::parse(other), None, "{other:?}");
        }
        assert_eq!(format!("{id:?}"), "***");
    }

    #[test]
    fn a_full_store_gives_up_the_session_that_idled_longest() {
        let mut sessions = Sessions { capacity: 2, ..Sessions::default() };
        let [a, b, c] = [1, 2, 3].map(SessionId);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        sessions.open(a, "a".into(), at(0));
        sessions.open(b, "b".into(), at(1));
        assert!(sessions.visit(a, at(2)).is_some());
        sessions.open(c, "c".into(), at(3));
        assert!(sessions.peek(a, at(3)).is_some());
        assert!(sessions.peek(b, at(3)).is_none());
        assert_eq!(sessions.by_id.len(), 2);
    }

    #[test]
    fn an_idle_session_ends_and_a_visit_keeps_it() {
        let mut sessions = Sessions::default();
        let id = SessionId(7);
        let start = Instant::now();
        sessions.open(id, "ada".into(), start);
        assert_eq!(sessions.visit(id, start + IDLE / 2).map(|s| s.counter), Some(1));
        assert_eq!(sessions.visit(id, start + IDLE).map(|s| s.counter), Some(2));
        assert!(sessions.visit(id, start + IDLE * 2).is_none());
        assert!(sessions.by_id.is_empty());
    }
}
