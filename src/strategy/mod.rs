//! One file per algorithm: how a backend is chosen for a new session.
//!
//! A strategy sees key, hash, client address, attempt and candidates; never a request head, never health. To add
//! one: a file with its docs, a `KIND` and its tests, and its name in `strategies!` below.

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
mod known;
#[cfg(test)]
mod testing;
mod wheel;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::{Pool, by_key};
    use super::*;
    use crate::base::options::Value;

    #[test]
    fn names_are_in_order_and_kinds_are_found_by_them() {
        let registry = Registry::built_in();
        assert!(registry.iter().map(|k| k.name).is_sorted());
        assert!(registry.iter().all(|k| registry.find(k.name).is_some_and(|found| std::ptr::eq(found, k))));
        assert!(registry.find("banana").is_none());
    }

    #[test]
    fn a_kind_of_the_same_name_replaces() {
        static MINE: Kind = Kind { summary: "mine", ..round_robin::KIND };
        let registry = Registry::built_in().with(&MINE);
        assert_eq!(registry.find("round_robin").map(|k| k.summary), Some("mine"));
        assert_eq!(registry.iter().count(), Registry::built_in().iter().count());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// The contract of a picker: a candidate if there is one, and nobody else ever.
        #[test]
        fn every_kind_picks_a_candidate_if_there_is_one(
            weights in prop::collection::vec(1_u16..9, 0..150),
            closed in prop::collection::vec(0_usize..150, 0..150),
            tried in prop::collection::vec(0_usize..150, 0..4),
            key in prop::collection::vec(any::<u8>(), 0..20),
        ) {
            let tried: Vec<_> = tried.into_iter().filter(|ix| *ix < weights.len()).collect();
            let pool = Pool::weighing(&weights).without(&closed).after(&tried);
            let client = key.first().map(|b| IpAddr::from([*b, 7, 7, 7]));
            let request = RequestFacts { client, ..by_key(&key) };
            let on = |name| (name, Value::Bool(true));
            for kind in Registry::built_in().iter() {
                let options: &[_] = match kind.name {
                    "hash" => &[vec![], vec![on("consistent"), ("points", Value::Integer(3))]],
                    "maglev" => &[vec![("table_size", Value::Integer(251))]],
                    "random" => &[vec![], vec![on("two")]],
                    _ => &[vec![]],
                };
                for options in options {
                    let mut picker = pool.picker(kind, options);
                    for _ in 0..3 {
                        match picker.pick(&request, &pool.candidates()) {
                            Some(ix) => prop_assert!(pool.candidates().contains(ix), "{}", kind.name),
                            None => prop_assert!(pool.candidates().is_empty(), "{}", kind.name),
                        }
                    }
                }
            }
        }
    }
}
