//! Who is registered: in the process, or where the sessions are if that is a store.

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::password::Hash;
use super::wire::{Fault, Link, Reply, meta, resp};
use crate::affinity::base64url;

/// Accounts that a process keeps. One more is refused.
const CAPACITY: usize = 1_000_000;

/// Accounts in the memory of a process, for those of its backends that share them.
#[derive(Clone, Default)]
pub struct Shared(Arc<Mutex<HashMap<String, Hash>>>);

/// Where a backend looks a user up.
#[derive(Debug)]
pub(super) enum Accounts {
    Local(Shared),
    Redis(Link),
    Memcached(Link),
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("accounts", &self.0.lock().len()).finish()
    }
}

impl Accounts {
    pub(super) async fn find(&self, user: &str) -> Result<Option<Hash>, Fault> {
        let reply = match self {
            Self::Local(shared) => return Ok(shared.0.lock().get(user).cloned()),
            Self::Redis(link) => link.ask_again(resp::command(&[b"GET", redis_key(user).as_bytes()])).await?,
            Self::Memcached(link) => link.ask_again(format!("mg {} v\r\n", key(user)).into_bytes()).await?,
        };
        match reply {
            Reply::Nil => Ok(None),
            Reply::Value(text, _) => {
                let hash = std::str::from_utf8(&text).ok().and_then(Hash::from_text);
                hash.map(Some).ok_or(Fault::Protocol)
            }
            _ => Err(Fault::Protocol),
        }
    }

    /// Adds a user who is not there yet; false if somebody of that name is.
    pub(super) async fn add(&self, user: &str, hash: &Hash) -> Result<bool, Fault> {
        let value = hash.as_str().as_bytes();
        let reply = match self {
            Self::Local(shared) => {
                let mut all = shared.0.lock();
                if all.contains_key(user) {
                    return Ok(false);
                }
                if all.len() >= CAPACITY {
                    return Err(Fault::Busy);
                }
                all.insert(user.to_owned(), hash.clone());
                return Ok(true);
            }
            Self::Redis(link) => {
                link.ask(resp::command(&[b"SET", redis_key(user).as_bytes(), value, b"NX"])).await?
            }
            Self::Memcached(link) => link.ask(meta::set(&key(user), value, "ME")).await?,
        };
        match reply {
            Reply::Word(word) if word == "OK" || word == "HD" => Ok(true),
            Reply::Word(word) if word == "NS" => Ok(false),
            Reply::Nil => Ok(false),
            _ => Err(Fault::Protocol),
        }
    }
}

fn redis_key(user: &str) -> String {
    format!("shop:user:{user}")
}

/// Memcached takes no blanks in a key.
fn key(user: &str) -> String {
    format!("shop:user:{}", letters(user.as_bytes()))
}

/// As base64url.
pub(super) fn letters(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64url::encode(bytes, &mut out);
    out.into_iter().map(char::from).collect()
}
