//! Weighted rendezvous hashing: every backend draws a number for the key, and the best draw has it.
//!
//! The first choice for affinity by key. Adding a backend moves only the keys it wins, closing or removing one
//! only its own, and those spread by weight over all others; a changed weight moves no more than it must. Needs no
//! table: a choice costs one hash and one logarithm per backend, fine up to some hundreds (then `maglev`).
//! Only ids and weights matter, not the order of the file, so nodes agree without talking.
//! (Thaler and Ravishankar, Using Name-Based Mappings to Increase Hit Rates, 1998; weights: Schindelhauer and
//! Schomaker, Weighted Distributed Hash Tables, 2005.)

use std::sync::Arc;

use super::known::Known;
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::members::{Candidates, Group};
use crate::backend::{Backend, BackendId, BackendIx};
use crate::base::hash::{combine, combine_turned, hash64, turned};
use crate::base::options::Options;

/// `strategy = "rendezvous"`.
pub const KIND: Kind = Kind {
    name: "rendezvous",
    summary: "by key; closing or adding a backend moves only the keys it must",
    needs: Needs::Key,
    build,
};

/// Of two 52-bit numbers that differ by more, the larger has the lesser logarithm, whatever rounding does: that is below
/// 1e-14 of the result.
const MARGIN: u64 = 256;

/// Bits of a hash that its logarithm leaves out.
const LOWER_BITS: u32 = 12;
/// These bits.
const LOWER: u64 = (1 << LOWER_BITS) - 1;

fn build(_: &mut Options, group: Group<'_>) -> Arc<dyn Strategy> {
    let first = group.iter().next().map(|(_, b)| b.table_weight());
    Arc::new(Rendezvous {
        members: group.iter().map(|(ix, b)| (ix, turned(id_hash(&b.id)))).collect(),
        is_even: group.iter().all(|(_, b)| Some(b.table_weight()) == first),
    })
}

/// Where a session goes whose backend was lost: the same candidate on every node, whatever the order of its file.
///
/// `session` is the session's own number and `lost` a hash of the lost backend's id. Mixing both spreads one
/// backend's sessions over all others by weight, and a session that loses its second backend too is drawn anew.
#[must_use]
pub fn second_choice(session: u64, lost: u64, among: &Candidates<'_>) -> Option<BackendIx> {
    let key = combine(session, lost);
    best(key, among.iter().map(|(ix, backend)| (ix, backend.as_ref(), turned(id_hash(&backend.id)))))
}

#[derive(Debug)]
struct Rendezvous {
    /// Each member and the hash of its id, as a key's is combined with it.
    members: Vec<(BackendIx, u64)>,
    /// Whether all weights are equal.
    is_even: bool,
}

#[derive(Debug)]
struct RendezvousPicker {
    table: Arc<Rendezvous>,
    known: Known,
    /// What the table has of their ids.
    ids: Vec<u64>,
}

impl Strategy for Rendezvous {
    fn picker(self: Arc<Self>, _: u64) -> Box<dyn Picker> {
        Box::new(RendezvousPicker { table: self, known: Known::default(), ids: Vec::new() })
    }
}

impl Picker for RendezvousPicker {
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        if self.table.is_even {
            // Who has room is asked of the best alone: if it has, it is also the best of those that have.
            self.know(among);
            let best = clear(request.hash, &self.ids).and_then(|at| self.known.open().get(at));
            if let Some(ix) = best.filter(|ix| among.contains(**ix)) {
                return Some(*ix);
            }
        }
        let candidates = self.table.members.iter().filter(|(ix, _)| among.contains(*ix));
        best(request.hash, candidates.map(|(ix, id)| (*ix, among.get(*ix).as_ref(), *id)))
    }
}

impl RendezvousPicker {
    /// Makes sure who is open, have they room or not.
    #[inline]
    fn know(&mut self, among: &Candidates<'_>) {
        if self.known.update(among) {
            // Both are in file order.
            let mut open = self.known.open().iter().peekable();
            let of_open = self.table.members.iter().filter(|(ix, _)| open.next_if_eq(&ix).is_some());
            self.ids.clear();
            self.ids.extend(of_open.map(|(_, id)| *id));
        }
    }
}

fn id_hash(id: &BackendId) -> u64 {
    hash64(id.as_str().as_bytes())
}

/// The place among `ids` of the one that [`best`] finds if weights are equal, by the numbers that the logarithms would be
/// taken of; `None` if the two largest are so near to each other that rounding may decide, if nobody is there, or too many are.
#[inline]
fn clear(key: u64, ids: &[u64]) -> Option<usize> {
    if ids.len() as u64 > LOWER {
        return None;
    }
    let (mut first, mut second) = (0_u64, 0_u64);
    // Without branches: which is the largest cannot be foreseen. The bits that the logarithm leaves out have the place.
    let mut take = |id: u64, place: u64| {
        let number = (combine_turned(key, id) & !LOWER) + place;
        second = second.max(first.min(number));
        first = first.max(number);
    };
    let (fours, rest) = ids.as_chunks::<4>();
    let mut place = 0;
    for four in fours {
        for (id, i) in four.iter().zip(0..) {
            take(*id, place + i);
        }
        place += 4;
    }
    for (id, i) in rest.iter().zip(0..) {
        take(*id, place + i);
    }
    let is_clear = (first >> LOWER_BITS) - (second >> LOWER_BITS) > MARGIN;
    is_clear.then_some((first & LOWER) as usize)
}

/// The candidate with the earliest arrival for `key`; should two arrive at once, the one with the lesser id.
fn best<'a>(
    key: u64,
    candidates: impl Iterator<Item = (BackendIx, &'a Backend, u64)>,
) -> Option<BackendIx> {
    let arrivals =
        candidates.map(|(ix, backend, id)| (arrival(combine_turned(key, id), backend.table_weight()), backend, ix));
    let earliest = arrivals.min_by(|(a, x, _), (b, y, _)| a.total_cmp(b).then_with(|| x.id.cmp(&y.id)));
    earliest.map(|(_, _, ix)| ix)
}

/// When a caller of rate `weight` comes: -ln(u) / weight for a number u in (0, 1) taken from `hash`. That the
/// earliest of several such callers is each with the probability of its weight is what makes the choice fair;
/// it is the order of the usual score, -weight / ln(u), upside down.
fn arrival(hash: u64, weight: u32) -> f64 {
    minus_ln(hash) / f64::from(weight)
}

/// -ln(u) for u = (2 x + 1) / 2^53, x being the upper 52 bits of `hash`.
///
/// Made of additions, multiplications and divisions alone, whose results IEEE 754 fixes to the last bit. The
/// library's `ln` may round differently from one platform to the next, and then two nodes could disagree on a key.
fn minus_ln(hash: u64) -> f64 {
    let odd = hash >> LOWER_BITS << 1 | 1;
    // u = m * 2^(top - 53) with m from 1 up to 2, then m halved if that brings it nearer to 1.
    let top = odd.ilog2();
    let m = odd as f64 / (1_u64 << top) as f64;
    let (m, halvings) = if m > std::f64::consts::SQRT_2 { (m / 2.0, 52 - top) } else { (m, 53 - top) };
    // ln(m) = 2 artanh(s); |s| < 0.172, so that nine terms leave an error below 1e-15.
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let tail = 1.0 / 11.0 + q * (1.0 / 13.0 + q * (1.0 / 15.0 + q / 17.0));
    let series = 1.0 + q * (1.0 / 3.0 + q * (1.0 / 5.0 + q * (1.0 / 7.0 + q * (1.0 / 9.0 + q * tail))));
    f64::from(halvings) * std::f64::consts::LN_2 - 2.0 * s * series
}

#[cfg(test)]
#[path = "rendezvous_tests.rs"]
mod tests;
