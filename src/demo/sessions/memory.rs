//! Sessions in the memory of one backend and nowhere else: what is lost when it ends, or when a visitor is moved.
//!
//! Bounded in number, in idle time and in lifetime.

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use super::id::SessionId;
use super::kept::{Entry, Mark, Swap};
use super::{Session, Times};

/// Sessions that one backend keeps, ended ones among them. One more takes the place of the one that idled longest.
const CAPACITY: usize = 200_000;

#[derive(Debug)]
pub(super) struct Memory {
    by_id: HashMap<SessionId, Slot>,
    /// Every id once, with when it was put there: whoever was seen since goes to the end when it comes to the front.
    queue: VecDeque<(SessionId, Instant)>,
    capacity: usize,
    times: Times,
    /// Whether a login keeps the id that is shown.
    pub(super) adopts: bool,
}

#[derive(Debug)]
struct Slot {
    /// Nothing if it was ended on purpose.
    session: Option<Session>,
    made: Instant,
    seen: Instant,
}

impl Memory {
    pub(super) fn new(times: Times, adopts: bool) -> Self {
        Self { by_id: HashMap::new(), queue: VecDeque::new(), capacity: CAPACITY, times, adopts }
    }

    /// Sessions that are there and have not been ended.
    pub(super) fn live(&self) -> usize {
        self.by_id.values().filter(|slot| slot.session.is_some()).count()
    }

    /// What is there; a look keeps it from idling out.
    pub(super) fn get(&mut self, id: SessionId) -> Entry {
        let (now, times) = (Instant::now(), self.times);
        let Some(slot) = self.by_id.get_mut(&id) else { return Entry::Nothing };
        let Some(session) = &slot.session else { return Entry::Revoked };
        if slot.is_over(now, times) {
            return Entry::Expired;
        }
        slot.seen = now;
        Entry::Live(session.clone(), Mark::Version(session.version))
    }

    /// Begins a session under an id that was drawn for it, or adopted; what was under that is gone.
    pub(super) fn put(&mut self, id: SessionId, session: Session) {
        let now = Instant::now();
        // Two for one: what is over goes, however many come.
        self.sweep(now);
        self.sweep(now);
        while self.by_id.len() >= self.capacity && self.evict() {}
        let slot = Slot { session: Some(session), made: now, seen: now };
        if self.by_id.insert(id, slot).is_none() {
            self.queue.push_back((id, now));
        }
    }

    pub(super) fn replace(&mut self, id: SessionId, session: &Session, mark: &Mark) -> Swap {
        let kept = self.by_id.get_mut(&id).and_then(|slot| slot.session.as_mut());
        match (kept, mark) {
            (Some(kept), Mark::Version(version)) if kept.version == *version => {
                *kept = session.clone();
                Swap::Done
            }
            _ => Swap::Changed,
        }
    }

    /// Ends a session, and remembers that.
    pub(super) fn revoke(&mut self, id: SessionId) {
        if let Some(slot) = self.by_id.get_mut(&id) {
            *slot = Slot { session: None, seen: Instant::now(), ..*slot };
        }
    }

    pub(super) fn revoke_all(&mut self, user: &str) {
        let now = Instant::now();
        let of_user = |slot: &&mut Slot| slot.session.as_ref().is_some_and(|session| session.user == user);
        self.by_id.values_mut().filter(of_user).for_each(|slot| {
            slot.session = None;
            slot.seen = now;
        });
    }

    /// Looks at the one at the front: it goes if it has been over for as long as it may idle, and to the end of the
    /// queue if it was seen since.
    fn sweep(&mut self, now: Instant) {
        let Some((id, since)) = self.queue.pop_front() else { return };
        let Some(slot) = self.by_id.get(&id) else { return };
        let long_over = now.duration_since(slot.seen) >= self.times.idle.saturating_mul(2)
            || now.duration_since(slot.made) >= self.times.lifetime.saturating_mul(2);
        if long_over {
            self.by_id.remove(&id);
        } else if slot.seen > since {
            self.queue.push_back((id, slot.seen));
        } else {
            self.queue.push_front((id, since));
        }
    }

    /// Removes the one that idled longest; false if there is none.
    fn evict(&mut self) -> bool {
        while let Some((id, since)) = self.queue.pop_front() {
            match self.by_id.get(&id) {
                Some(slot) if slot.seen > since => self.queue.push_back((id, slot.seen)),
                Some(_) => {
                    self.by_id.remove(&id);
                    return true;
                }
                None => {}
            }
        }
        false
    }
}

impl Slot {
    fn is_over(&self, now: Instant, times: Times) -> bool {
        let is_idle = |time: Duration, since: Instant| now.duration_since(since) >= time;
        is_idle(times.idle, self.seen) || is_idle(times.lifetime, self.made)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const TIMES: Times =
        Times { idle: Duration::from_secs(1800), lifetime: Duration::from_secs(7200), access: MINUTE };

    fn session(user: &str) -> Session {
        Session { user: user.into(), created_by: "a".into(), version: 0, cart: vec![], born: 0 }
    }

    fn is_live(memory: &mut Memory, id: SessionId) -> bool {
        matches!(memory.get(id), Entry::Live(..))
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_store_gives_up_the_session_that_idled_longest() {
        let mut memory = Memory { capacity: 2, ..Memory::new(TIMES, false) };
        let [a, b, c] = [1, 2, 3].map(SessionId::of);
        for id in [a, b] {
            memory.put(id, session("x"));
            advance(MINUTE).await;
        }
        assert!(is_live(&mut memory, a));
        advance(MINUTE).await;
        memory.put(c, session("x"));
        assert!(is_live(&mut memory, a) && is_live(&mut memory, c) && !is_live(&mut memory, b));
        assert_eq!((memory.by_id.len(), memory.queue.len()), (2, 2));
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_session_ends_and_a_visit_keeps_it_but_not_past_its_lifetime() {
        let mut memory = Memory::new(TIMES, false);
        let id = SessionId::of(7);
        memory.put(id, session("ada"));
        for _ in 0..5 {
            advance(TIMES.idle - MINUTE).await;
            let expected = memory.by_id[&id].made.elapsed() < TIMES.lifetime;
            assert_eq!(is_live(&mut memory, id), expected);
        }
        memory.put(SessionId::of(8), session("bob"));
        advance(TIMES.idle).await;
        assert!(matches!(memory.get(SessionId::of(8)), Entry::Expired));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_long_over_goes_by_itself() {
        let mut memory = Memory::new(TIMES, false);
        for n in 0..100 {
            memory.put(SessionId::of(n), session("ada"));
        }
        advance(TIMES.idle * 2).await;
        for n in 100..150 {
            memory.put(SessionId::of(n), session("ada"));
        }
        assert_eq!((memory.by_id.len(), memory.queue.len()), (50, 50));
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_ended_is_remembered_and_not_written_over() {
        let mut memory = Memory::new(TIMES, false);
        let [a, b, c] = [1, 2, 3].map(SessionId::of);
        for (id, user) in [(a, "ada"), (b, "ada"), (c, "bob")] {
            memory.put(id, session(user));
        }
        let Entry::Live(found, mark) = memory.get(a) else { panic!() };
        assert_eq!(memory.replace(a, &found.with("tea"), &mark), Swap::Done);
        assert_eq!(memory.replace(a, &found.with("milk"), &mark), Swap::Changed);
        let Entry::Live(found, mark) = memory.get(a) else { panic!() };
        memory.revoke_all("ada");
        assert_eq!(memory.replace(a, &found.with("milk"), &mark), Swap::Changed);
        assert!(matches!((memory.get(a), memory.get(b)), (Entry::Revoked, Entry::Revoked)));
        assert!(is_live(&mut memory, c));
        assert_eq!(memory.live(), 1);
    }
}
