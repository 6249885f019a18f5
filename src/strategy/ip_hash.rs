//! nginx's `ip_hash`, bit for bit: clients of one IPv4 /24 share a backend, IPv6 clients go by the whole address.
//!
//! Kept exactly so that a fleet can move from nginx without moving its clients; for anything new prefer
//! `rendezvous`. The price of the original: there are only 6271 hash values, so with a total weight above that the
//! end of the list gets nobody; a backend added or removed (not closed) moves nearly everybody; and IPv6 privacy
//! addresses move their client each time they change.
//! (nginx: ngx_http_upstream_ip_hash_module.c. IPv4-mapped addresses hash as IPv6 there; homing's listener turns
//! them into IPv4 before they come here.)

use std::iter;
use std::net::IpAddr;
use std::sync::Arc;

use super::round_robin::Smooth;
use super::wheel::Wheel;
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Group};
use crate::base::options::Options;

/// `strategy = "ip_hash"`.
pub const KIND: Kind = Kind {
    name: "ip_hash",
    summary: "by client address, as nginx's ip_hash places it (IPv4: by /24)",
    needs: Needs::Address,
    build,
};

/// What nginx starts with, multiplies by and divides by.
const START: u32 = 89;
/// See [`START`].
const FACTOR: u32 = 113;
/// See [`START`].
const MODULUS: u32 = 6271;

fn build(_: &mut Options, group: Group<'_>) -> Arc<dyn Strategy> {
    Arc::new(IpHash { wheel: Wheel::new(group) })
}

#[derive(Debug)]
struct IpHash {
    wheel: Wheel,
}

#[derive(Debug)]
struct IpHashPicker {
    table: Arc<IpHash>,
    smooth: Smooth,
}

impl Strategy for IpHash {
    fn picker(self: Arc<Self>, _: u64) -> Box<dyn Picker> {
        Box::new(IpHashPicker { table: self, smooth: Smooth::default() })
    }
}

impl Picker for IpHashPicker {
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        let found = match request.client {
            Some(IpAddr::V4(v4)) => {
                let [a, b, c, _] = v4.octets();
                self.table.wheel.find(hashes([a, b, c]), among)
            }
            Some(IpAddr::V6(v6)) => self.table.wheel.find(hashes(v6.octets()), among),
            None => self.table.wheel.find(hashes([0; 3]), among),
        };
        found.or_else(|| self.smooth.next(among, |_| true))
    }
}

/// The hash after one round over the address, after two, and so on without end.
fn hashes(address: impl AsRef<[u8]>) -> impl Iterator<Item = u32> {
    let mut hash = START;
    iter::repeat_with(move || {
        hash = address.as_ref().iter().fold(hash, |hash, byte| (hash * FACTOR + u32::from(*byte)) % MODULUS);
        hash
    })
}

#[cfg(test)]
#[path = "ip_hash_tests.rs"]
mod tests;
