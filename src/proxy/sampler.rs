//! One worker's look at the keys of a pool's requests, for [`crate::affinity::skew`].
//!
//! The gaps between requests that are looked at are drawn, so that clients that take turns are all seen.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;

use crate::affinity::key::KeySource;
use crate::affinity::skew::{Origin, SAMPLE, Seen, Sketch};
use crate::base::cidr::mask;
use crate::base::hash::hash64;
use crate::base::time::UnixSeconds;
use crate::pool::Pool;
use crate::strategy::Needs;

/// One pool's.
#[derive(Debug, Default)]
pub struct Sampler {
    /// Requests to be passed over.
    gap: Cell<u32>,
    sketch: RefCell<Sketch>,
}

impl Sampler {
    /// Whether this request is looked at.
    #[must_use]
    pub fn takes(&self, random: impl FnOnce() -> u64) -> bool {
        let gap = self.gap.get();
        if gap > 0 {
            self.gap.set(gap - 1);
            return false;
        }
        // Between 0 and twice the mean, which makes it one in SAMPLE.
        self.gap.set((random() % u64::from(2 * SAMPLE - 1)) as u32);
        true
    }

    /// Looks at a request, with its key as the place of its source and the hash, and with its client; `claims` says
    /// that it names another client, and is not believed.
    pub fn take(&self, pool: &Pool, key: Option<(usize, u64)>, client: Option<IpAddr>, claims: bool) {
        let of_client = |address| Origin::Client { address, claims };
        let seen = match pool.kind.needs {
            Needs::Nothing => None,
            Needs::Address => {
                // As ip_hash tells clients apart.
                let address = client.map(|ip| mask(ip, 24, 128));
                let hash = match address {
                    None => 0,
                    Some(IpAddr::V4(ip)) => hash64(&ip.octets()),
                    Some(IpAddr::V6(ip)) => hash64(&ip.octets()),
                };
                Some(Seen { hash, origin: of_client(address) })
            }
            Needs::Key => key.map(|(place, hash)| {
                let origin = match pool.key.sources.get(place) {
                    Some(KeySource::ClientIp) => of_client(client),
                    _ => Origin::Source(u8::try_from(place).unwrap_or(u8::MAX)),
                };
                Seen { hash, origin }
            }),
        };
        self.sketch.borrow_mut().note(seen);
    }

    /// Hands what was seen to the pool; tells the log of an alarm.
    pub fn tick(&self, pool: &Pool, now: UnixSeconds) {
        let mut sketch = self.sketch.borrow_mut();
        let Some(skew) = pool.skew.as_ref().filter(|_| !sketch.is_empty()) else { return };
        if let Some(alarm) = skew.absorb(&mut sketch, now) {
            tracing::warn!(
                "pool {}: one key, {}, makes up {:.0} % of the requests, and a key goes to one backend: {}",
                pool.name,
                alarm.seen,
                alarm.share * 100.0,
                alarm.cause(&pool.key.sources)
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_in_sixteen_is_looked_at_whoever_takes_turns() {
        let (sampler, mut rng) = (Sampler::default(), fastrand::Rng::with_seed(7));
        let mut taken = [0; 16];
        (0..160_000).for_each(|i| taken[i % 16] += u32::from(sampler.takes(|| rng.u64(..))));
        assert!((9_500..10_500).contains(&taken.iter().sum::<u32>()), "{taken:?}");
        assert!(taken.iter().all(|n| (500..750).contains(n)), "{taken:?}");
    }
}
