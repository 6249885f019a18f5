//! nginx's `hash key` and `hash key consistent`, bit for bit.
//!
//! Plain, the key's CRC-32 modulo the total weight chooses: cheap, as Cache::Memcached does it, and adding or
//! removing a backend moves nearly every key. With `consistent = true` a ring chooses, and only the keys of the
//! backend that came or went move. A request without a key goes round robin.
//! For anything new prefer `rendezvous`: it spreads more evenly and has no limit of 21 points to look at.
//! (nginx: ngx_http_upstream_hash_module.c.)
//!
//! Options: `consistent` (default false); `points` on the ring per unit of weight (1 to 4096, default 160 as in
//! nginx; any other number is a placement of its own).

use std::sync::Arc;

use super::ketama::Ring;
use super::round_robin::Smooth;
use super::wheel::{MOST_REJECTIONS, Wheel};
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Group};
use crate::base::crc::{crc32, crc32_after};
use crate::base::options::Options;

/// `strategy = "hash"`.
pub const KIND: Kind = Kind {
    name: "hash",
    summary: "by key, as nginx's hash places it; consistent = true is its ketama ring",
    needs: Needs::Key,
    build,
};

fn build(options: &mut Options, group: Group<'_>) -> Arc<dyn Strategy> {
    let consistent = options.bool("consistent", false);
    let points = options.integer("points", 1..=4096, 160);
    let table = if consistent {
        Table::Ring { ring: Ring::new(group, points), has_choice: group.len() > 1 }
    } else {
        Table::Wheel(Wheel::new(group))
    };
    Arc::new(Hash { table })
}

#[derive(Debug)]
struct Hash {
    table: Table,
}

#[derive(Debug)]
enum Table {
    Wheel(Wheel),
    Ring { ring: Ring, has_choice: bool },
}

#[derive(Debug)]
struct HashPicker {
    hash: Arc<Hash>,
    smooth: Smooth,
}

impl Strategy for Hash {
    fn picker(self: Arc<Self>, _: u64) -> Box<dyn Picker> {
        Box::new(HashPicker { hash: self, smooth: Smooth::default() })
    }
}

impl Picker for HashPicker {
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        let key = request.key.filter(|key| !key.is_empty());
        let found = match (key, &self.hash.table) {
            (Some(key), Table::Wheel(wheel)) => wheel.find(hashes(key), among),
            (Some(key), Table::Ring { ring, has_choice: true }) => {
                let smooth = &mut self.smooth;
                // nginx starts a retry at the point of the last try, so a tried server counts among the rejected
                // points there as it does here.
                ring.walk(key).take(MOST_REJECTIONS + 1).find_map(|server| at_point(server, smooth, among))
            }
            (None, _) | (_, Table::Ring { has_choice: false, .. }) => None,
        };
        found.or_else(|| self.smooth.next(among, |_| true))
    }
}

/// Who of the members at one point takes the request: nearly always there is one.
fn at_point(server: &[BackendIx], smooth: &mut Smooth, among: &Candidates<'_>) -> Option<BackendIx> {
    match server {
        [only] => among.contains(*only).then_some(*only),
        several => smooth.next(among, |ix| several.contains(&ix)),
    }
}

/// The running sum of 15 bits of the CRC-32 of the key, of "1" and the key, of "2" and the key, and so on.
fn hashes(key: &[u8]) -> impl Iterator<Item = u32> {
    let mut sum = 0_u32;
    (0_u32..).map(move |round| {
        let before = if round > 0 { crc32(itoa::Buffer::new().format(round).as_bytes()) } else { 0 };
        sum = sum.wrapping_add(crc32_after(before, key) >> 16 & 0x7fff);
        sum
    })
}

#[cfg(test)]
#[path = "hash_tests.rs"]
mod tests;
