//! How many connections each address has open by one listener, over all workers; kept only where that is limited.
//!
//! There is an entry for an address while it has a connection, so the map is as large as the number of connections
//! allows and is never swept. The locks are taken once when a connection has said who it is, and once when it ends.

use std::net::IpAddr;
use std::num::NonZero;

use ahash::AHashMap;
use parking_lot::Mutex;

use crate::base::hash::combine;

/// Maps: so that workers seldom wait for each other.
const SHARDS: usize = 16;

/// The connections of one listener, by address.
#[derive(Debug, Default)]
pub struct Crowd {
    shards: [Mutex<AHashMap<Who, u32>>; SHARDS],
}

/// An address as it is counted: an IPv6 client has a whole /64 of them (RFC 4291 section 2.5.1), and counts as one.
/// An IPv4 address is put where no IPv6 network is assigned (0:1::/32).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Who(NonZero<u64>);

impl Who {
    /// The address as it is counted.
    #[must_use]
    pub const fn of(ip: IpAddr) -> Self {
        let bits = match ip.to_canonical() {
            IpAddr::V4(ip) => 1 << 32 | ip.to_bits() as u64,
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        };
        match NonZero::new(bits) {
            Some(bits) => Self(bits),
            None => Self(NonZero::<u64>::MIN), // ::1 and what else is in ::/64
        }
    }
}

impl Crowd {
    /// Counts one more connection of `who`; false if it has `most` already.
    #[must_use]
    pub fn join(&self, who: Who, most: NonZero<u32>) -> bool {
        let mut map = self.shard(who).lock();
        let count = map.entry(who).or_default();
        if *count >= most.get() {
            return false; // `most` is above 0: this entry was there before.
        }
        *count += 1;
        true
    }

    /// A connection that was counted is over.
    pub fn leave(&self, who: Who) {
        let mut map = self.shard(who).lock();
        match map.get_mut(&who) {
            Some(count) if *count > 1 => *count -= 1,
            _ => drop(map.remove(&who)),
        }
    }

    fn shard(&self, who: Who) -> &Mutex<AHashMap<Who, u32>> {
        &self.shards[combine(who.0.get(), 0) as usize % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn who(ip: &str) -> Who {
        Who::of(ip.parse().unwrap())
    }

    #[test]
    fn an_address_has_so_many_and_no_more() {
        let (crowd, two) = (Crowd::default(), NonZero::new(2).unwrap());
        let (a, b) = (who("192.0.2.1"), who("192.0.2.2"));
        assert!(crowd.join(a, two) && crowd.join(a, two) && !crowd.join(a, two) && crowd.join(b, two));
        crowd.leave(a);
        assert!(crowd.join(a, two) && !crowd.join(a, two));
        [a, a, b].into_iter().for_each(|who| crowd.leave(who));
        assert!(crowd.shards.iter().all(|s| s.lock().is_empty()), "an entry without a connection");
    }

    #[test]
    fn whom_an_address_counts_with() {
        let table = [
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1:2:3", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
            ("0.0.0.0", "::", false),
            ("0.0.0.1", "::1", false),
            ("::1", "::2", true),
        ];
        for (one, other, same) in table {
            assert_eq!(who(one) == who(other), same, "{one} {other}");
        }
    }
}
