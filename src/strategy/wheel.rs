//! The weighted list and the rule of rejections that nginx's `ip_hash` and `hash` share.
//!
//! A hash modulo the total weight falls on one member, closed ones included; a member that cannot be taken is a
//! rejection and the next hash is tried; the 21st rejection gives up, and the caller falls back on round robin.
//! (nginx: ngx_http_upstream_get_ip_hash_peer, ngx_http_upstream_get_hash_peer.)

use std::iter::repeat_n;

use crate::backend::members::{BackendSet, Candidates, Group};
use crate::backend::{Backend, BackendIx};

/// Rejections after which hashing gives up: one more than this, as nginx's `tries > 20`.
pub(super) const MOST_REJECTIONS: usize = 20;

/// Total weight up to which there is an entry for every unit of it.
const MOST_UNITS: u32 = 4096;

/// A group's members, each as wide as its table weight, in file order.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Where each member's part ends, and whose it is. 65535 members of weight 65535 still fit 32 bits.
    ends: Vec<(u32, BackendIx)>,
    /// Whose each unit of weight is; empty if there are too many.
    units: Vec<BackendIx>,
    total: u32,
}

impl Wheel {
    /// The wheel of a whole group: who is closed keeps its part, so that closing moves nobody else.
    pub(super) fn new(group: Group<'_>) -> Self {
        let mut total = 0;
        let ends = group.iter().map(|(ix, backend)| {
            total += backend.table_weight();
            (total, ix)
        });
        let ends = ends.collect();
        let width = |backend: &Backend| backend.table_weight() as usize;
        let units = if total <= MOST_UNITS {
            group.iter().flat_map(|(ix, backend)| repeat_n(ix, width(backend))).collect()
        } else {
            Vec::new()
        };
        Self { ends, units, total }
    }

    /// The first member on which `hashes` fall that may be taken; `None` after too many rejections, and always if
    /// there is no choice (nginx hands a single peer to round robin).
    ///
    /// nginx carries its hash and its tries from one try of a request to the next; here every try starts over. The
    /// two agree because the choice made then is met again now as a tried member: it cost no rejection then, so
    /// the first meeting costs none now, and every later one does.
    pub(super) fn find(
        &self,
        mut hashes: impl Iterator<Item = u32>,
        among: &Candidates<'_>,
    ) -> Option<BackendIx> {
        if self.ends.len() < 2 {
            return None;
        }
        let first = self.at(hashes.next()?)?;
        if among.contains(first) { Some(first) } else { self.after(first, hashes, among) }
    }

    /// The same, where the first member cannot be taken.
    fn after(
        &self,
        first: BackendIx,
        mut hashes: impl Iterator<Item = u32>,
        among: &Candidates<'_>,
    ) -> Option<BackendIx> {
        let (mut ix, mut rejections, mut met) = (first, 0, BackendSet::new());
        while !among.contains(ix) {
            if among.was_tried(ix) && !met.contains(ix) {
                met.insert(ix);
            } else {
                rejections += 1;
                if rejections > MOST_REJECTIONS {
                    return None;
                }
            }
            ix = self.at(hashes.next()?)?;
        }
        Some(ix)
    }

    /// On whom this hash falls.
    fn at(&self, hash: u32) -> Option<BackendIx> {
        let part = hash.checked_rem(self.total)?;
        if let Some(ix) = self.units.get(part as usize) {
            return Some(*ix);
        }
        let place = self.ends.partition_point(|(end, _)| *end <= part);
        self.ends.get(place).map(|(_, ix)| *ix)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pool;
    use super::*;

    #[test]
    fn units_and_ends_say_the_same() {
        let light = Wheel::new(Pool::weighing(&[3, 1, 7, 2]).members.primaries());
        let whole =
            Wheel { units: Vec::new(), ..Wheel::new(Pool::weighing(&[3, 1, 7, 2]).members.primaries()) };
        assert_eq!((light.units.len(), light.total), (13, 13));
        assert!((0..40).all(|hash| light.at(hash) == whole.at(hash)));
        let heavy = Wheel::new(Pool::weighing(&[4000, 97]).members.primaries());
        assert!(heavy.units.is_empty());
        assert_eq!(
            [3999, 4000, 4096, 4097].map(|h| heavy.at(h).map(BackendIx::index)),
            [0, 1, 1, 0].map(Some)
        );
    }
}
