//! Sessions in Memcached (1.6 or newer): one `mg` per look, which also keeps the session from idling out, and changes
//! over just the CAS number that was read.
//!
//! Memcached has no sets, so that the ids of a user are one value, changed in the same way. It is a cache: what it
//! evicts is lost, and an evicted list of ids leaves sessions that a logout everywhere does not find.

use super::id::SessionId;
use super::kept::{Entry, Mark, Swap};
use super::redis::entry;
use super::{ATTEMPTS, Session, Times};
use crate::demo::accounts::letters;
use crate::demo::wire::{Fault, Link, Reply, meta};

const ENDED: &[u8] = b"ended";

/// Seconds that Memcached takes for a time to live; what is more it takes for a date.
const LONGEST: u64 = 30 * 24 * 3600;

/// Ids that a user's list holds; the oldest go first.
const IDS: usize = 1000;

#[derive(Debug)]
pub(super) struct Memcached {
    link: Link,
    times: Times,
    idle: u64,
    lifetime: u64,
}

impl Memcached {
    pub(super) fn new(link: Link, times: Times) -> Self {
        // Its clock ticks once a second: with one more nothing ends early.
        let seconds = |time: std::time::Duration| time.as_secs().saturating_add(2);
        let [idle, lifetime] = [times.idle, times.lifetime].map(|time| seconds(time).min(LONGEST));
        Self { link, times, idle, lifetime }
    }

    pub(super) fn link(&self) -> Link {
        self.link.clone()
    }

    pub(super) async fn get(&self, id: SessionId) -> Result<Entry, Fault> {
        match self.read(&key(id), self.idle).await? {
            Some((text, number)) => entry(text, self.times, |_| Mark::Number(number)),
            None => Ok(Entry::Nothing),
        }
    }

    pub(super) async fn put(
        &self,
        id: SessionId,
        session: &Session,
        before: Option<SessionId>,
    ) -> Result<(), Fault> {
        // First into the list: a logout everywhere that comes in between ends it, and it is not begun.
        self.list(&session.user, id).await?;
        let text = session.to_json().to_string();
        let flags = format!("T{} ME", self.idle);
        match self.link.ask(meta::set(&key(id), text.as_bytes(), &flags)).await? {
            Reply::Word(word) if word == "HD" => {}
            Reply::Word(_) => return Err(Fault::Busy),
            _ => return Err(Fault::Protocol),
        }
        match before {
            Some(before) => self.revoke(before).await,
            None => Ok(()),
        }
    }

    pub(super) async fn replace(&self, id: SessionId, session: &Session, mark: &Mark) -> Result<Swap, Fault> {
        let Mark::Number(number) = mark else { return Ok(Swap::Changed) };
        self.swap(&key(id), session.to_json().to_string().as_bytes(), self.idle, Some(*number)).await
    }

    /// Ends it if it is there.
    pub(super) async fn revoke(&self, id: SessionId) -> Result<(), Fault> {
        self.link.ask_again(meta::set(&key(id), ENDED, &format!("T{} MR", self.idle))).await.map(drop)
    }

    pub(super) async fn revoke_all(&self, user: &str) -> Result<(), Fault> {
        let of_user = of_user(user);
        let Some((text, _)) = self.read(&of_user, self.lifetime).await? else { return Ok(()) };
        for id in ids(&text) {
            // Whether it is there or about to be.
            let order = meta::set(&key(id), ENDED, &format!("T{}", self.idle));
            self.link.ask_again(order).await?;
        }
        Ok(())
    }

    /// Adds an id to those of a user.
    async fn list(&self, user: &str, id: SessionId) -> Result<(), Fault> {
        let of_user = of_user(user);
        for _ in 0..ATTEMPTS {
            let (text, number) = match self.read(&of_user, self.lifetime).await? {
                Some((text, number)) => (text, Some(number)),
                None => (vec![], None),
            };
            let mut ids: Vec<String> = ids(&text).map(|id| id.to_string()).collect();
            ids.push(id.to_string());
            let over = ids.len().saturating_sub(IDS);
            let text = ids.split_off(over).join(" ");
            if self.swap(&of_user, text.as_bytes(), self.lifetime, number).await? == Swap::Done {
                return Ok(());
            }
        }
        Err(Fault::Busy)
    }

    async fn read(&self, key: &str, seconds: u64) -> Result<Option<(Vec<u8>, u64)>, Fault> {
        match self.link.ask_again(meta::get(key, seconds)).await? {
            Reply::Nil => Ok(None),
            Reply::Value(text, flags) => {
                let number = flags.split(' ').find_map(|flag| flag.strip_prefix('c')?.parse().ok());
                number.map(|number| Some((text, number))).ok_or(Fault::Protocol)
            }
            _ => Err(Fault::Protocol),
        }
    }

    /// Writes over the value of this number, or over none.
    async fn swap(&self, key: &str, text: &[u8], seconds: u64, number: Option<u64>) -> Result<Swap, Fault> {
        let over = number.map_or_else(|| "ME".to_owned(), |number| format!("C{number}"));
        match self.link.ask(meta::set(key, text, &format!("T{seconds} {over}"))).await? {
            Reply::Word(word) if word == "HD" => Ok(Swap::Done),
            Reply::Word(_) => Ok(Swap::Changed),
            _ => Err(Fault::Protocol),
        }
    }
}

fn ids(text: &[u8]) -> impl Iterator<Item = SessionId> {
    text.split(|&byte| byte == b' ').filter_map(|id| SessionId::parse(std::str::from_utf8(id).ok()?))
}

fn key(id: SessionId) -> String {
    format!("shop:session:{id}")
}

/// Memcached takes no blanks in a key.
fn of_user(user: &str) -> String {
    format!("shop:sessions-of:{}", letters(user.as_bytes()))
}
