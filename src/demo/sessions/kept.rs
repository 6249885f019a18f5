//! Sessions that a server keeps, in memory or in a store, and the client has no more of than an id.
//!
//! A change reads the session, and writes it only over what was read: of two that come at once, one is told that it
//! came too late and reads again. So no change is lost, whichever backends they come in on.

use std::cell::RefCell;

use super::id::SessionId;
use super::memcached::Memcached;
use super::memory::Memory;
use super::redis::Redis;
use super::{ATTEMPTS, Failed, Found, Given, Jar, Session, Shown};
use crate::demo::wire::Fault;

#[derive(Debug)]
pub(super) enum Kept {
    Memory(RefCell<Memory>),
    Redis(Redis),
    Memcached(Memcached),
}

/// What is under an id.
#[derive(Debug)]
pub(super) enum Entry {
    Nothing,
    Expired,
    Revoked,
    /// And what tells whether it is still the same.
    Live(Session, Mark),
}

/// By what a store tells that a session has not changed since.
#[derive(Clone, Debug)]
pub(super) enum Mark {
    Version(u64),
    Text(Vec<u8>),
    Number(u64),
}

/// What became of a change.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Swap {
    Done,
    /// Another came first.
    Changed,
}

impl Kept {
    pub(super) async fn find(&self, shown: &Shown) -> Result<Found, Failed> {
        let Some(id) = shown.id() else { return Ok(shown.no_id()) };
        Ok(match self.get(id).await? {
            Entry::Nothing => Found::Unknown,
            Entry::Expired => Found::Expired,
            Entry::Revoked => Found::Revoked,
            Entry::Live(session, _) => Found::Known(session),
        })
    }

    pub(super) async fn begin(
        &self,
        shown: &Shown,
        session: &Session,
        jar: Jar,
    ) -> Result<Vec<String>, Failed> {
        let adopted = match self {
            Self::Memory(memory) if memory.borrow().adopts => shown.id(),
            _ => None,
        };
        let id = match adopted {
            Some(id) => id,
            None => SessionId::random().map_err(|_| Failed::NoRandomness)?,
        };
        match self {
            Self::Memory(memory) => {
                let mut memory = memory.borrow_mut();
                memory.put(id, session.clone());
                shown.id().filter(|before| *before != id).into_iter().for_each(|b| memory.revoke(b));
            }
            Self::Redis(redis) => redis.put(id, session, shown.id()).await?,
            Self::Memcached(memcached) => memcached.put(id, session, shown.id()).await?,
        }
        Ok(vec![jar.set("session", &id.to_string(), None)])
    }

    pub(super) async fn add(&self, shown: &Shown, item: &str) -> Result<Result<Given, Found>, Failed> {
        let Some(id) = shown.id() else { return Ok(Err(shown.no_id())) };
        for _ in 0..ATTEMPTS {
            let (session, mark) = match self.get(id).await? {
                Entry::Nothing => return Ok(Err(Found::Unknown)),
                Entry::Expired => return Ok(Err(Found::Expired)),
                Entry::Revoked => return Ok(Err(Found::Revoked)),
                Entry::Live(session, mark) => (session.with(item), mark),
            };
            let swap = match self {
                Self::Memory(memory) => memory.borrow_mut().replace(id, &session, &mark),
                Self::Redis(redis) => redis.replace(id, &session, &mark).await?,
                Self::Memcached(memcached) => memcached.replace(id, &session, &mark).await?,
            };
            if swap == Swap::Done {
                return Ok(Ok(Given { session, cookies: vec![] }));
            }
        }
        Err(Fault::Busy.into())
    }

    pub(super) async fn end(&self, shown: &Shown) -> Result<(), Failed> {
        let Some(id) = shown.id() else { return Ok(()) };
        match self {
            Self::Memory(memory) => memory.borrow_mut().revoke(id),
            Self::Redis(redis) => redis.revoke(id).await?,
            Self::Memcached(memcached) => memcached.revoke(id).await?,
        }
        Ok(())
    }

    pub(super) async fn end_all(&self, user: &str) -> Result<(), Failed> {
        match self {
            Self::Memory(memory) => memory.borrow_mut().revoke_all(user),
            Self::Redis(redis) => redis.revoke_all(user).await?,
            Self::Memcached(memcached) => memcached.revoke_all(user).await?,
        }
        Ok(())
    }

    async fn get(&self, id: SessionId) -> Result<Entry, Failed> {
        Ok(match self {
            Self::Memory(memory) => memory.borrow_mut().get(id),
            Self::Redis(redis) => redis.get(id).await?,
            Self::Memcached(memcached) => memcached.get(id).await?,
        })
    }
}

impl Shown {
    /// The session id, if the cookie has the form of one.
    fn id(&self) -> Option<SessionId> {
        self.session.as_deref().and_then(SessionId::parse)
    }

    fn no_id(&self) -> Found {
        if self.session.is_some() { Found::Unknown } else { Found::None }
    }
}
