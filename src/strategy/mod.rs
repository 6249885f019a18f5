//! One file per algorithm: how a backend is chosen for a new session.
//!
//! A strategy sees key, hash, client address, attempt and candidates; never a request head, never health. To add
//! one: a file with its docs, a `KIND` and its tests, and its name in [`strategies!`] below.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Group};
use crate::base::options::Options;
use crate::base::time::UnixSeconds;

/// What a strategy's file registers.
#[derive(Debug)]
pub struct Kind {
    /// As written in the configuration: `"rendezvous"`.
    pub name: &'static str,
    /// One line for `homing strategies` and the README.
    pub summary: &'static str,
    /// What it must be given to be of use.
    pub needs: Needs,
    /// Builds its tables over one group of members. Wrong options are recorded in `Options`, not returned.
    pub build: fn(&mut Options, Group<'_>) -> Arc<dyn Strategy>,
}

/// What a kind of strategy places by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing of the request: `round_robin`, `least_conn`, ..
    Nothing,
    /// The client's address as it is: `ip_hash`.
    Address,
    /// The affinity key: `hash`, `rendezvous`, `maglev`. `key` defaults to `client_ip`.
    Key,
}

/// Tables for one membership: immutable, shared by all workers, built off the request's path.
pub trait Strategy: Debug + Send + Sync {
    /// One worker's chooser. `seed` keeps workers out of step with each other.
    fn picker(self: Arc<Self>, seed: u64) -> Box<dyn Picker>;
}

/// One worker's chooser; may keep cursors and a generator of random numbers, needs no atomics.
pub trait Picker: Debug {
    /// Chooses among the candidates; `None` means that nobody here suits, and only that.
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx>;
}

/// What a strategy may know of a request.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// Who asks; `None` for a client on a Unix socket.
    pub client: Option<IpAddr>,
    /// The affinity key's bytes; `None` if no key source was present in the request.
    pub key: Option<&'a [u8]>,
    /// A stable hash of the key, or a random number if there is no key.
    pub hash: u64,
    /// How many backends were tried for this request before.
    pub attempt: u8,
    /// Now, for strategies that count live sessions.
    pub now: UnixSeconds,
}

/// The kinds that a configuration may name.
#[derive(Clone, Debug)]
pub struct Registry {
    kinds: Vec<&'static Kind>,
}

impl Registry {
    /// Adds a kind from outside the crate, or replaces one of the same name.
    #[must_use]
    pub fn with(mut self, kind: &'static Kind) -> Self {
        self.kinds.retain(|k| k.name != kind.name);
        self.kinds.push(kind);
        self
    }

    /// The kind of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&'static Kind> {
        self.kinds.iter().copied().find(|k| k.name == name)
    }

    /// All kinds, in the order registered.
    pub fn iter(&self) -> impl Iterator<Item = &'static Kind> + '_ {
        self.kinds.iter().copied()
    }
}

/// Declares the strategies' files and registers their `KIND`s.
macro_rules! strategies {
    ($($name:ident),* $(,)?) => {
        $(pub mod $name;)*
        impl Registry {
            /// The strategies that homing ships.
            #[must_use]
            pub fn built_in() -> Self {
                Self { kinds: vec![$(&$name::KIND),*] }
            }
        }
    };
}

strategies! { hash, ip_hash, least_conn, least_sessions, maglev, random, rendezvous, round_robin }

mod ketama;
#[cfg(test)]
mod testing;
mod wheel;
