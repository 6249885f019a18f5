//! The weighted list and the rule of rejections that nginx's `ip_hash` and `hash` share.
//!
//! A hash modulo the total weight falls on one member, closed ones included; a member that cannot be taken is a
//! rejection and the next hash is tried; the 21st rejection gives up, and the caller falls back on round robin.
//! (nginx: ngx_http_upstream_get_ip_hash_peer, ngx_http_upstream_get_hash_peer.)

use crate::backend::BackendIx;
use crate::backend::members::{BackendSet, Candidates, Group};

/// Rejections after which hashing gives up: one more than this, as nginx's `tries > 20`.
pub(super) const MOST_REJECTIONS: usize = 20;

/// A group's members, each as wide as its table weight, in file order.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Where each member's part ends, and whose it is. 65535 members of weight 65535 still fit 32 bits.
    ends: Vec<(u32, BackendIx)>,
}

impl Wheel {
    /// The wheel of a whole group: who is closed keeps its part, so that closing moves nobody else.
    pub(super) fn new(group: Group<'_>) -> Self {
        let mut end = 0;
        let ends = group.iter().map(|(ix, backend)| {
            end += backend.table_weight();
            (end, ix)
        });
        Self { ends: ends.collect() }
    }

    /// The first member on which `hashes` fall that may be taken; `None` after too many rejections, and always if
    /// there is no choice (nginx hands a single peer to round robin).
    ///
    /// nginx carries its hash and its tries from one try of a request to the next; here every try starts over. The
    /// two agree because the choice made then is met again now as a tried member: it cost no rejection then, so
    /// the first meeting costs none now, and every later one does.
    pub(super) fn find(
        &self,
        hashes: impl Iterator<Item = u32>,
        among: &Candidates<'_>,
    ) -> Option<BackendIx> {
        if self.ends.len() < 2 {
            return None;
        }
        let (mut rejections, mut met) = (0, BackendSet::new());
        for hash in hashes {
            let ix = self.at(hash)?;
            if among.contains(ix) {
                return Some(ix);
            }
            if among.was_tried(ix) && !met.contains(ix) {
                met.insert(ix);
                continue;
            }
            rejections += 1;
            if rejections > MOST_REJECTIONS {
                return None;
            }
        }
        None
    }

    /// On whom this hash falls.
    fn at(&self, hash: u32) -> Option<BackendIx> {
        let (total, _) = self.ends.last()?;
        let part = hash.checked_rem(*total)?;
        let place = self.ends.partition_point(|(end, _)| *end <= part);
        self.ends.get(place).map(|(_, ix)| *ix)
    }
}
