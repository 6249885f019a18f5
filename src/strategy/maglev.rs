//! Maglev hashing: a table of a prime number of slots that the backends fill in turn, each in an order of its own.
//!
//! One look in the table per choice whatever the number of backends, and shares even to one slot. Closing a backend
//! moves only its keys. Adding or removing one rebuilds the table and moves, beside the keys it must, a few more:
//! two keys in a thousand with ten backends, six with a hundred.
//! Weights give turns in proportion, and at least one. Only ids and weights matter, not the order of the file.
//! (Eisenbud et al., Maglev: A Fast and Reliable Software Network Load Balancer, NSDI 2016; weights as in Envoy.)
//!
//! Option: `table_size` (default 65537), a prime from 251 to 655373 and no less than the number of backends; a
//! hundred slots per backend keep shares within 1 %. It never follows the number of backends by itself: a table of
//! another size moves nearly every key.
//!
//! If the slot's backend cannot be taken, the key looks on in steps of its own length, so that a closed backend's
//! keys spread by weight; after 64 slots it draws among the candidates by rendezvous, so that it finds
//! whoever is left.

use std::sync::Arc;

use super::rendezvous::second_choice;
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Group};
use crate::base::hash::{combine, hash64_seeded};
use crate::base::options::Options;

/// `strategy = "maglev"`.
pub const KIND: Kind = Kind {
    name: "maglev",
    summary: "by key through a lookup table; quick with hundreds of backends",
    needs: Needs::Key,
    build,
};

/// Slots looked at before the table is left: with half of the backends closed one key in 2^64 gets there.
const PROBES: usize = 64;
/// The paper's small table.
const DEFAULT_SIZE: u32 = 65_537;
/// The paper's large table.
const LARGEST_SIZE: u32 = 655_373;
/// Seed of a backend's first slot.
const OFFSET: u64 = 1;
/// Seed of the distance between a backend's slots.
const SKIP: u64 = 2;
/// Mixed into a key's hash for the length of its steps.
const STEP: u64 = 3;
/// Mixed into a key's hash for the draw after the last probe.
const REST: u64 = 4;

fn build(options: &mut Options, group: Group<'_>) -> Arc<dyn Strategy> {
    let must = "a prime number between 251 and 655373, no less than the number of backends";
    let size = options.integer_where("table_size", must, DEFAULT_SIZE, |n| {
        (251..=LARGEST_SIZE).contains(&n) && is_prime(n) && group.len() <= n as usize
    });
    Arc::new(Maglev { slots: fill(group, size) })
}

#[derive(Debug)]
struct Maglev {
    /// Empty if the group is.
    slots: Vec<BackendIx>,
}

#[derive(Debug)]
struct MaglevPicker {
    table: Arc<Maglev>,
}

impl Strategy for Maglev {
    fn picker(self: Arc<Self>, _: u64) -> Box<dyn Picker> {
        Box::new(MaglevPicker { table: self })
    }
}

impl Picker for MaglevPicker {
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        let mut probes = self.table.probes(request.hash);
        probes.find(|ix| among.contains(*ix)).or_else(|| second_choice(request.hash, REST, among))
    }
}

impl Maglev {
    /// The members of the slots that a key looks at, in order.
    fn probes(&self, hash: u64) -> impl Iterator<Item = BackendIx> {
        let size = self.slots.len() as u64;
        // The size is prime, so that any step from 1 to size - 1 comes by every slot. Few keys need more than the first.
        let (mut at, mut step) = (hash.checked_rem(size).unwrap_or(0), 0);
        let slots = (0..PROBES).map(move |probe| {
            if probe == 1 {
                step = 1 + combine(hash, STEP).checked_rem(size.saturating_sub(1)).unwrap_or(0);
            }
            at += step;
            at = if at < size { at } else { at.saturating_sub(size) };
            at
        });
        slots.filter_map(|at| self.slots.get(usize::try_from(at).ok()?).copied())
    }
}

/// A member while the table is being filled.
struct Filler {
    ix: BackendIx,
    weight: u64,
    /// The slot it asks for next, and the distance to the one after.
    slot: usize,
    skip: usize,
    /// Its next turn is due in the round that, times its weight, reaches this.
    due: u64,
}

/// Lets the members take slots in turn until none is free.
fn fill(group: Group<'_>, size: u32) -> Vec<BackendIx> {
    let mut members: Vec<_> = group.iter().collect();
    members.sort_by(|(_, a), (_, b)| a.id.cmp(&b.id));
    let mut fillers: Vec<_> = members
        .into_iter()
        .map(|(ix, backend)| {
            let under = |seed, size| (hash64_seeded(backend.id.as_str().as_bytes(), seed) % u64::from(size)) as usize;
            let (slot, skip) = (under(OFFSET, size), 1 + under(SKIP, size - 1));
            Filler { ix, weight: u64::from(backend.table_weight()), slot, skip, due: 0 }
        })
        .collect();
    let Some(heaviest) = fillers.iter().map(|f| f.weight).max() else { return Vec::new() };
    let size = size as usize;
    let (mut slots, mut free) = (vec![None; size], size);
    for round in 1.. {
        for filler in fillers.iter_mut().filter(|f| round * f.weight >= f.due) {
            // The skips of a prime table come by every slot, so that a free one is found while there is one.
            while slots[filler.slot].is_some() {
                filler.slot = (filler.slot + filler.skip) % size;
            }
            slots[filler.slot] = Some(filler.ix);
            filler.due += heaviest;
            free -= 1;
            if free == 0 {
                return slots.into_iter().flatten().collect();
            }
        }
    }
    Vec::new()
}

fn is_prime(n: u32) -> bool {
    n > 1 && (2..).take_while(|d| d * d <= n).all(|d| !n.is_multiple_of(d))
}

#[cfg(test)]
#[path = "maglev_tests.rs"]
mod tests;
