//! Sessions in Redis (6.2 or newer): one `GETEX` per look, which also keeps the session from idling out.
//!
//! A session is one text, so that a change can be made over just what was read; every user has a sorted set of ids, by
//! when they end, for logging out everywhere. What is ended is overwritten and not deleted: it is `revoked`, not lost.
//! What idled out Redis has forgotten, so that it is `unknown`, as if it had been lost: that is the store's way.

use super::id::SessionId;
use super::kept::{Entry, Mark, Swap};
use super::{Session, Times, now};
use crate::demo::wire::{Fault, Link, Reply, resp};

/// What stands in the place of a session that was ended.
const ENDED: &[u8] = b"ended";

/// Writes over what was read, and over nothing else: 1 if done.
const SWAP: &[u8] = b"if redis.call('GET', KEYS[1]) == ARGV[1] then \
    redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) return 1 end return 0";

/// Session, its id in the user's set (and the set without those that are over), and the end of the one before.
const PUT: &[u8] = b"redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) \
    redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', ARGV[3]) \
    redis.call('ZADD', KEYS[2], ARGV[4], KEYS[1]) \
    redis.call('PEXPIREAT', KEYS[2], ARGV[4]) \
    if KEYS[3] then redis.call('SET', KEYS[3], ARGV[5], 'XX', 'PX', ARGV[2]) end return 1";

/// Ends all that are in the user's set. The keys are computed, which a cluster would not have: this is one server.
const END_ALL: &[u8] = b"for _, key in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do \
    redis.call('SET', key, ARGV[1], 'XX', 'PX', ARGV[2]) end return redis.call('DEL', KEYS[1])";

#[derive(Debug)]
pub(super) struct Redis {
    link: Link,
    times: Times,
    /// Milliseconds that a session may idle, as Redis wants it.
    idle: String,
}

impl Redis {
    pub(super) fn new(link: Link, times: Times) -> Self {
        Self { link, times, idle: times.idle.as_millis().max(1).to_string() }
    }

    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    pub(super) async fn get(&self, id: SessionId) -> Result<Entry, Fault> {
        let words: [&[u8]; 4] = [b"GETEX", &key(id), b"PX", self.idle.as_bytes()];
        match self.link.ask_again(resp::command(&words)).await? {
            Reply::Nil => Ok(Entry::Nothing),
            Reply::Value(text, _) => entry(text, self.times, Mark::Text),
            _ => Err(Fault::Protocol),
        }
    }

    pub(super) async fn put(
        &self,
        id: SessionId,
        session: &Session,
        before: Option<SessionId>,
    ) -> Result<(), Fault> {
        let (text, key, user, now) = (session.to_json().to_string(), key(id), of_user(&session.user), now());
        let end = now.saturating_add(u64::try_from(self.times.lifetime.as_millis()).unwrap_or(u64::MAX / 4));
        let (now, end, before) = (now.to_string(), end.to_string(), before.map(self::key));
        let count: &[u8] = if before.is_some() { b"3" } else { b"2" };
        let mut words: Vec<&[u8]> = vec![b"EVAL", PUT, count, &key, &user];
        words.extend(before.as_deref());
        words.extend([text.as_bytes(), self.idle.as_bytes(), now.as_bytes(), end.as_bytes(), ENDED]);
        self.link.ask(resp::command(&words)).await.map(drop)
    }

    pub(super) async fn replace(&self, id: SessionId, session: &Session, mark: &Mark) -> Result<Swap, Fault> {
        let Mark::Text(before) = mark else { return Ok(Swap::Changed) };
        let text = session.to_json().to_string();
        let words: [&[u8]; 7] =
            [b"EVAL", SWAP, b"1", &key(id), before, text.as_bytes(), self.idle.as_bytes()];
        match self.link.ask(resp::command(&words)).await? {
            Reply::Number(1) => Ok(Swap::Done),
            Reply::Number(0) => Ok(Swap::Changed),
            _ => Err(Fault::Protocol),
        }
    }

    pub(super) async fn revoke(&self, id: SessionId) -> Result<(), Fault> {
        let words: [&[u8]; 6] = [b"SET", &key(id), ENDED, b"XX", b"PX", self.idle.as_bytes()];
        self.link.ask_again(resp::command(&words)).await.map(drop)
    }

    pub(super) async fn revoke_all(&self, user: &str) -> Result<(), Fault> {
        let words: [&[u8]; 6] = [b"EVAL", END_ALL, b"1", &of_user(user), ENDED, self.idle.as_bytes()];
        self.link.ask_again(resp::command(&words)).await.map(drop)
    }
}

/// What a store's text says.
pub(super) fn entry(text: Vec<u8>, times: Times, mark: impl Fn(Vec<u8>) -> Mark) -> Result<Entry, Fault> {
    if text == ENDED {
        return Ok(Entry::Revoked);
    }
    let session = serde_json::from_slice(&text).ok().as_ref().and_then(Session::from_json);
    let session = session.ok_or(Fault::Protocol)?;
    Ok(if session.left(times).is_some() { Entry::Live(session, mark(text)) } else { Entry::Expired })
}

fn key(id: SessionId) -> Vec<u8> {
    format!("shop:session:{id}").into_bytes()
}

fn of_user(user: &str) -> Vec<u8> {
    format!("shop:sessions-of:{user}").into_bytes()
}
