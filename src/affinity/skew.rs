//! Whether one key makes up too large a share of a pool's requests: strategies that place by a key then send
//! everybody to one backend, and nothing else tells why.
//!
//! Each worker looks at one request in [`SAMPLE`] and counts keys in a [`Sketch`]: Space-Saving (Metwally, Agrawal and
//! El Abbadi, "Efficient Computation of Frequent and Top-k Elements in Data Streams", 2005) with 16 counters.
//! Whatever makes up more than a 16th of what was seen is in it, with the bounds of its count. The pool's [`Skew`]
//! gathers the sketches of a minute, and says once per key and hour who it is and what is the likely cause.

use std::fmt;
use std::net::IpAddr;

use parking_lot::Mutex;

use super::key::KeySource;
use crate::base::cidr::mask;
use crate::base::hash::combine;
use crate::base::time::UnixSeconds;

/// One request in so many is looked at, on average.
pub const SAMPLE: u32 = 16;
/// The least share that may be set: well above the 16th that is found for certain.
pub const LEAST_SHARE: f64 = 0.1;

/// Keys that are counted at once.
const COUNTERS: usize = 16;
/// For so long shares are gathered, seconds.
const WINDOW: u32 = 60;
/// Requests within that time below which a share says nothing.
const LEAST: u32 = 1000;
/// As many of them as are looked at.
const ENOUGH: u32 = LEAST.div_ceil(SAMPLE);
/// For so long nothing is said of a key that was told of, seconds.
const QUIET: u32 = 3600;
/// How many such keys are remembered; of more, the oldest is forgotten.
const TOLD: usize = 16;

/// The key of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its hash: what it is told apart by.
    pub hash: u64,
    /// What it is, as far as that may be told.
    pub origin: Origin,
}

/// Where a key is from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client's address.
    Client {
        /// The address; `None` for a Unix socket.
        address: Option<IpAddr>,
        /// Whether somebody else was named as the client, by a peer that is not trusted.
        claims: bool,
    },
    /// One of the pool's key sources, by its place among them.
    Source(u8),
}

/// Counts the heaviest keys of a stream in fixed room.
#[derive(Clone, Debug, Default)]
pub struct Sketch {
    counters: [Option<Counter>; COUNTERS],
    total: u32,
}

/// A key's count: at most `count`, at least `count - error`.
#[derive(Clone, Copy, Debug)]
struct Counter {
    seen: Seen,
    count: u32,
    error: u32,
}

/// What the workers' sketches say of one pool.
#[derive(Debug)]
pub struct Skew {
    share: f64,
    watch: Mutex<Watch>,
}

#[derive(Debug, Default)]
struct Watch {
    began: UnixSeconds,
    sketch: Sketch,
    present: Option<Alarm>,
    told: [Option<(u64, UnixSeconds)>; TOLD],
}

/// One key has too large a share.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alarm {
    /// Its share of the requests, 0 to 1.
    pub share: f64,
    /// The key.
    pub seen: Seen,
    /// Since when.
    pub since: UnixSeconds,
}

impl Sketch {
    /// Counts one more request, with its key if it has one.
    pub fn note(&mut self, seen: Option<Seen>) {
        if let Some(seen) = seen {
            self.add(Counter { seen, count: 1, error: 0 });
        }
        self.total = self.total.saturating_add(1);
    }

    /// Whether nothing was counted.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.total == 0
    }

    /// Adds what the other has counted. Lower bounds stay true; what `other` has forgotten is missing from the upper.
    fn absorb(&mut self, other: &Self) {
        other.counters.iter().flatten().for_each(|counter| self.add(*counter));
        self.total = self.total.saturating_add(other.total);
    }

    /// Takes the place of the rarest where there is none left, and its count as the error.
    fn add(&mut self, more: Counter) {
        let same = self.counters.iter_mut().flatten().find(|c| c.seen.hash == more.seen.hash);
        if let Some(same) = same {
            same.count = same.count.saturating_add(more.count);
            same.error = same.error.saturating_add(more.error);
            same.seen = more.seen;
            return;
        }
        let rarest = self.counters.iter_mut().min_by_key(|c| c.map_or(0, |c| c.count));
        if let Some(place) = rarest {
            let before = place.map_or(0, |c| c.count);
            let (count, error) = (more.count.saturating_add(before), more.error.saturating_add(before));
            *place = Some(Counter { count, error, ..more });
        }
    }

    /// The key that is there most often for certain, and how often.
    fn heaviest(&self) -> Option<(Seen, u32)> {
        let certain = |c: &Counter| c.count.saturating_sub(c.error);
        self.counters.iter().flatten().max_by_key(|c| certain(c)).map(|c| (c.seen, certain(c)))
    }
}

impl Skew {
    /// Speaks up at more than this share, between [`LEAST_SHARE`] and 1.
    #[must_use]
    pub fn new(share: f64) -> Self {
        Self { share, watch: Mutex::default() }
    }

    /// Takes what a worker has counted, and clears it. An alarm is to be told of now.
    pub fn absorb(&self, sketch: &mut Sketch, now: UnixSeconds) -> Option<Alarm> {
        let mut watch = self.watch.lock();
        if now.saturating_since(watch.began) >= WINDOW {
            if watch.sketch.total < ENOUGH {
                watch.present = None;
            }
            (watch.began, watch.sketch) = (now, Sketch::default());
        }
        watch.sketch.absorb(sketch);
        *sketch = Sketch::default();
        let total = watch.sketch.total;
        if total < ENOUGH {
            return None;
        }
        let (seen, count) = watch.sketch.heaviest()?;
        let share = f64::from(count) / f64::from(total);
        if share <= self.share {
            watch.present = None;
            return None;
        }
        let before = watch.present.filter(|p| p.seen.hash == seen.hash).map(|p| p.since);
        let alarm = Alarm { share, seen, since: before.unwrap_or(now) };
        watch.present = Some(alarm);
        watch.is_news(seen.hash, now).then_some(alarm)
    }

    /// The key that has too large a share now.
    #[must_use]
    pub fn now(&self, now: UnixSeconds) -> Option<Alarm> {
        let watch = self.watch.lock();
        watch.present.filter(|_| now.saturating_since(watch.began) < 2 * WINDOW)
    }
}

impl Watch {
    /// Whether nothing was said of the key for long; then that is noted.
    fn is_news(&mut self, hash: u64, now: UnixSeconds) -> bool {
        let known = self.told.iter_mut().find(|t| t.is_some_and(|(h, _)| h == hash));
        if known.as_ref().is_some_and(|t| t.is_some_and(|(_, at)| now.saturating_since(at) < QUIET)) {
            return false;
        }
        let place = match known {
            Some(known) => Some(known),
            None => self.told.iter_mut().min_by_key(|t| t.map_or(UnixSeconds::default(), |(_, at)| at)),
        };
        if let Some(place) = place {
            *place = Some((hash, now));
        }
        true
    }
}

impl Alarm {
    /// What is likely behind it, and what helps, where `sources` are those of the pool's key.
    #[must_use]
    pub fn cause(&self, sources: &[KeySource]) -> String {
        let place = match self.seen.origin {
            Origin::Client { claims: true, .. } => {
                return "its requests name other clients in X-Forwarded-For, and it is not among the listener's \
                        trusted_proxies: if it is your proxy or CDN, add it there"
                    .to_owned();
            }
            Origin::Client { address: None, .. } => {
                return "everybody comes over a Unix socket: use proxy_protocol, or another key than client_ip"
                    .to_owned();
            }
            Origin::Client { .. } => {
                return "everybody behind one proxy, CDN or NAT, or one busy client such as a health checker: a proxy \
                        should send X-Forwarded-For and be among trusted_proxies, for the others choose another key \
                        or cookie affinity"
                    .to_owned();
            }
            Origin::Source(place) => sources.get(usize::from(place)),
        };
        match place {
            Some(KeySource::Path) => {
                "many requests ask for one path: choose another key to spread them".to_owned()
            }
            Some(KeySource::Host) => {
                "many requests are for one host: choose another key to spread them".to_owned()
            }
            Some(source) => format!(
                "many clients send the same {}: a value that they share, or one busy client; a key must differ from \
                 client to client",
                source.to_text()
            ),
            None => "many clients share it, or one is busy".to_owned(),
        }
    }
}

/// As logs may show it: an address to its /24 or /48, of everything else four bytes of a hash.
impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.origin {
            Origin::Client { address: Some(ip), .. } => {
                let masked = mask(ip, 24, 48);
                write!(f, "{masked}/{}", if masked.is_ipv4() { 24 } else { 48 })
            }
            Origin::Client { address: None, .. } => f.write_str("unix:"),
            Origin::Source(_) => write!(f, "#{:08x}", combine(self.hash, 0) >> 32),
        }
    }
}

#[cfg(test)]
#[path = "skew_tests.rs"]
mod tests;
