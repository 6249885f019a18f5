//! Whose keys move when a pool changes: sample keys, placed by the tables of both its plans.
//!
//! Every backend is taken to be up and idle, and in the state that the configuration gives it. What is counted is an
//! estimate, good to about a percent of all keys; the samples are the same every time.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use ahash::AHashMap;

use crate::affinity::key::{KeyPlan, KeySource};
use crate::backend::members::{BackendSet, Candidates, Group, Room};
use crate::backend::{Backend, BackendIx};
use crate::base::hash::{hash64, hash64_seeded};
use crate::base::time::UnixSeconds;
use crate::pool::Pool;
use crate::pool::standing::Standing;
use crate::strategy::{Needs, Picker, RequestFacts};

/// Sample keys that are placed for a pool.
const SAMPLES: u32 = 10_000;
/// Most members that all samples of a pool look at: a strategy that ranks them all gets fewer samples.
const MOST_LOOKS: usize = 20_000_000;
/// Fewest samples.
const LEAST_SAMPLES: u32 = 500;
/// Where sample keys are placed before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    /// How many there were.
    pub samples: u32,
    /// How many of them move.
    pub moved: u32,
    /// Of each backend, those of before first.
    pub backends: Vec<Share>,
}

/// A backend's sample keys.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Its id.
    pub backend: String,
    /// Those that it has.
    pub before: u32,
    /// Those that it would have.
    pub after: u32,
    /// Those of `before` that it would not have.
    pub moved: u32,
}

/// How many keys move from the pool's one plan to the other; `None` if one of them places by nothing of a request.
#[must_use]
pub fn estimate(old: &Pool, new: &Pool) -> Option<Placement> {
    if old.kind.needs == Needs::Nothing || new.kind.needs == Needs::Nothing {
        return None;
    }
    let most = old.members.len().max(new.members.len()).max(1);
    let fewer = u32::try_from(MOST_LOOKS / most).unwrap_or(u32::MAX);
    let samples = SAMPLES.min(fewer).max(LEAST_SAMPLES);
    let (mut before, mut after) = (Placer::new(old), Placer::new(new));
    let mut placed = Placement { samples, moved: 0, backends: Vec::new() };
    let ids = named(old).chain(named(new)).map(|b| b.id.to_string());
    let mut places: AHashMap<String, usize> = AHashMap::new();
    for id in ids {
        places.entry(id).or_insert_with_key(|id| {
            placed.backends.push(Share { backend: id.clone(), ..Share::default() });
            placed.backends.len() - 1
        });
    }
    for n in 0..samples {
        let [was, is] = [&mut before, &mut after].map(|placer| {
            let ix = placer.place(n)?;
            places.get(placer.pool.members.get(ix).id.as_str()).copied()
        });
        placed.moved += u32::from(was != is);
        if let Some(share) = was.and_then(|at| placed.backends.get_mut(at)) {
            share.before += 1;
            share.moved += u32::from(was != is);
        }
        if let Some(share) = is.and_then(|at| placed.backends.get_mut(at)) {
            share.after += 1;
        }
    }
    Some(placed)
}

/// A pool's own tables, with every backend in the state that the configuration gives it, idle.
struct Placer<'a> {
    pool: &'a Pool,
    standing: Standing,
    picker: Option<Box<dyn Picker>>,
    group: Group<'a>,
}

impl<'a> Placer<'a> {
    fn new(pool: &'a Pool) -> Self {
        let standing = Standing::initial(&pool.members);
        let (table, group) = if standing.has_open_primary {
            (Some(&pool.primary), pool.members.primaries())
        } else {
            (pool.backup.as_ref(), pool.members.backups())
        };
        Self { picker: table.map(|t| Arc::clone(t).picker(0)), pool, standing, group }
    }

    fn place(&mut self, sample: u32) -> Option<BackendIx> {
        let client = IpAddr::V4(Ipv4Addr::from_bits(hash64(&sample.to_be_bytes()) as u32));
        let key = key(&self.pool.key, client, sample);
        let request = RequestFacts {
            client: Some(client),
            key: Some(&key),
            hash: hash64(&key),
            attempt: 0,
            now: UnixSeconds(0),
        };
        let tried = BackendSet::new();
        let among = Candidates::new(self.group, &self.standing.open, &tried).with(Room::Whatever);
        self.picker.as_mut()?.pick(&request, &among)
    }
}

/// A key as the first source would give it: the same for the same source, another one for another.
fn key(plan: &KeyPlan, client: IpAddr, sample: u32) -> Vec<u8> {
    match plan.sources.first() {
        None | Some(KeySource::ClientIp) => plan.of_client(client),
        Some(source) => {
            let seed = hash64(source.to_text().as_bytes());
            format!("{:016x}", hash64_seeded(&sample.to_be_bytes(), seed)).into_bytes()
        }
    }
}

/// The members that the configuration names.
pub(super) fn named(pool: &Pool) -> impl Iterator<Item = &Arc<Backend>> {
    pool.members.iter().map(|(_, b)| b).filter(|b| !b.leaving)
}
