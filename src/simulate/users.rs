//! Who uses the pool: when sessions begin and end, and from which addresses.
//!
//! Sessions arrive as a Poisson process and last for an exponential time with a cap at four means, as TPC-W's do
//! (clause 6.2.1.2). At time 0 as many are live as were asked for, in the steady state: ages and remaining times are
//! drawn from its distribution, so that no time has to be simulated for warming up. Clients are in /24 networks whose
//! sizes follow Zipf's law; a share of all may be behind one address.

use std::net::{IpAddr, Ipv4Addr};

use ahash::AHashMap;

use super::Problem;
use super::draw::{Draws, Purpose};
use crate::base::hash::combine;

/// Longest stay, in means. (TPC-W: 60 min for 15)
const CAP: f64 = 4.0;
/// Users per /24 network on average.
const PER_NETWORK: u32 = 20;
/// Most sessions of one run: what is kept for them then is a few GB.
pub(super) const MOST: f64 = 50_000_000.0;

/// What users do.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Its name among [`PROFILES`].
    pub profile: &'static str,
    /// Sessions live at any time, on average.
    pub users: u32,
    /// How long a session lasts, seconds on average before the cap at four times that.
    pub stay: f64,
    /// From one request to the next, seconds on average; `None`: every live session asks between any two events.
    pub think: Option<f64>,
    /// How unequal the clients' networks are: Zipf's exponent.
    pub zipf: f64,
    /// Share of all clients that come from one address.
    pub behind_one: f64,
    /// Share of clients that keep no cookie.
    pub cookieless: f64,
    /// Share of clients whose address changes meanwhile.
    pub mobile: f64,
    /// How often it does: seconds on average.
    pub change_every: f64,
    /// Share of changes to another /24.
    pub change_far: f64,
}

/// Names of workloads, and what differs in them from `web`.
pub const PROFILES: [(&str, &str); 7] = [
    ("web", "networks by Zipf 1.0, stays of 15 minutes"),
    ("residential", "networks by Zipf 0.5"),
    ("cgnat", "networks by Zipf 1.2"),
    ("corporate", "30 % of all clients come from one address"),
    ("cdn", "all clients come from one address"),
    ("mobile", "half of the clients change their address every 30 minutes; 3 % keep no cookie"),
    ("bank", "stays of 5 minutes"),
];

impl Workload {
    /// The workload of this name, for so many users.
    #[must_use]
    pub fn named(profile: &str, users: u32) -> Option<Self> {
        let (profile, _) = PROFILES.into_iter().find(|(name, _)| *name == profile)?;
        let web = Self {
            profile,
            users,
            stay: 900.0,
            think: None,
            zipf: 1.0,
            behind_one: 0.0,
            cookieless: 0.0,
            mobile: 0.0,
            change_every: 1800.0,
            change_far: 0.8,
        };
        Some(match profile {
            "residential" => Self { zipf: 0.5, ..web },
            "cgnat" => Self { zipf: 1.2, ..web },
            "corporate" => Self { behind_one: 0.3, ..web },
            "cdn" => Self { behind_one: 1.0, ..web },
            "mobile" => Self { mobile: 0.5, cookieless: 0.03, ..web },
            "bank" => Self { stay: 300.0, ..web },
            _ => web,
        })
    }

    /// The longest stay, seconds.
    pub(super) fn longest(&self) -> f64 {
        CAP * self.stay
    }

    /// How long a session lasts on average, the cap considered. (Little: users are arrivals times this)
    pub(super) fn mean_stay(&self) -> f64 {
        self.stay * (1.0 - (-CAP).exp())
    }
}

/// Clients' addresses as the numbers that are kept of them.
#[derive(Clone, Debug)]
pub(super) enum Book {
    /// The number is an IPv4 address.
    V4,
    /// The number is a place here.
    Listed(Vec<IpAddr>),
}

impl Book {
    pub(super) fn ip(&self, number: u32) -> IpAddr {
        match self {
            Self::V4 => IpAddr::V4(Ipv4Addr::from_bits(number)),
            Self::Listed(all) => {
                all.get(number as usize).copied().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
            }
        }
    }

    /// A number of its network: the /24 of IPv4, the /64 of IPv6.
    pub(super) fn network(&self, number: u32) -> u64 {
        match self.ip(number).to_canonical() {
            IpAddr::V4(ip) => u64::from(ip.to_bits() >> 8),
            IpAddr::V6(ip) => (ip.to_bits() >> 64) as u64,
        }
    }
}

/// All sessions of one run, in the order of their beginnings; the same for every strategy.
#[derive(Debug)]
pub(super) struct Users {
    pub(super) draws: Draws,
    pub(super) book: Book,
    pub(super) born: Vec<f32>,
    pub(super) end: Vec<f32>,
    pub(super) address: Vec<u32>,
    /// Sessions in the order of their ends.
    pub(super) by_end: Vec<u32>,
    /// Those that are live at time 0.
    pub(super) at_start: usize,
    networks: Networks,
}

/// Bytes that are kept per session for all strategies.
pub(super) const BYTES: usize = 16;

impl Users {
    /// Draws everybody who is live at any time from 0 to `horizon`. `listed` are addresses of a log.
    pub(super) fn draw(
        w: &Workload,
        seed: u64,
        horizon: f64,
        listed: Option<&[IpAddr]>,
    ) -> Result<Self, Problem> {
        let expected = f64::from(w.users) * (1.0 + horizon / w.mean_stay());
        if expected > MOST {
            return Err(Problem::new(
                format!("{} users over {horizon:.0} s are {expected:.0} sessions", w.users),
                format!("at most {MOST:.0} sessions; fewer users, or events closer together"),
            ));
        }
        let draws = Draws::new(seed);
        let (cap, stay) = (w.longest(), w.stay);
        let share = 1.0 - (-CAP).exp();
        let mut born: Vec<f32> = (0..u64::from(w.users))
            .map(|who| (stay * (1.0 - share * draws.unit(Purpose::Age, who, 0)).ln()) as f32)
            .collect();
        born.sort_unstable_by(f32::total_cmp);
        let at_start = born.len();
        let mut end: Vec<f32> = born
            .iter()
            .zip(0..)
            .map(|(b, who)| {
                let rest = draws.wait(Purpose::Stay, who, 0, stay).min(cap + f64::from(*b));
                rest as f32
            })
            .collect();
        let (between, mut t) = (w.mean_stay() / f64::from(w.users.max(1)), 0.0);
        for who in u64::from(w.users).. {
            t += draws.wait(Purpose::Arrival, who, 0, between);
            if t > horizon {
                break;
            }
            born.push(t as f32);
            end.push((t + draws.wait(Purpose::Stay, who, 0, stay).min(cap)) as f32);
        }
        let networks = Networks::new(w, seed);
        let (book, address) = match listed {
            Some(all) if !all.is_empty() => Self::listed(all, born.len()),
            _ => (Book::V4, (0..born.len() as u64).map(|who| networks.address(draws, who, 0)).collect()),
        };
        let mut by_end: Vec<u32> = (0..u32::try_from(born.len()).unwrap_or(u32::MAX)).collect();
        by_end.sort_by(|a, b| end[*a as usize].total_cmp(&end[*b as usize]));
        Ok(Self { draws, book, born, end, address, by_end, at_start, networks })
    }

    /// The log's visits in turn, from the first again when they are over.
    fn listed(all: &[IpAddr], count: usize) -> (Book, Vec<u32>) {
        let (mut places, mut book) = (AHashMap::new(), Vec::new());
        let numbers: Vec<u32> = all
            .iter()
            .map(|ip| {
                *places.entry(*ip).or_insert_with(|| {
                    book.push(*ip);
                    u32::try_from(book.len() - 1).unwrap_or(u32::MAX)
                })
            })
            .collect();
        (Book::Listed(book), numbers.iter().copied().cycle().take(count).collect())
    }

    pub(super) fn len(&self) -> usize {
        self.born.len()
    }

    /// The sessions that may be live at `t`, given the longest stay: from the first of them to the last born.
    pub(super) fn range(&self, t: f64, longest: f64) -> std::ops::Range<usize> {
        let first = self.born.partition_point(|b| f64::from(*b) < t - longest - 1.0);
        first..self.born.partition_point(|b| f64::from(*b) <= t)
    }

    /// The address that a client has after its `n`th change.
    pub(super) fn changed(&self, number: u32, who: u64, n: u64, far: f64) -> u32 {
        if self.draws.happens(Purpose::NewAddress, who, 2 * n, far) {
            match &self.book {
                Book::V4 => self.networks.address(self.draws, who, n + 1),
                Book::Listed(_) => {
                    self.address[self.draws.below(Purpose::NewAddress, who, n, self.len() as u64) as usize]
                }
            }
        } else {
            match self.book {
                Book::V4 => {
                    number & !0xff
                        | (number + 1 + self.draws.below(Purpose::NewAddress, who, 2 * n + 1, 255) as u32)
                            & 0xff
                }
                Book::Listed(_) => number,
            }
        }
    }

    /// How many equal groups the sessions at the start are worth, by `group` of their addresses: 1 / sum of squared shares.
    pub(super) fn n_eff(&self, group: impl Fn(u32) -> u64) -> f64 {
        let mut sizes: AHashMap<u64, u64> = AHashMap::new();
        self.address[..self.at_start].iter().for_each(|a| *sizes.entry(group(*a)).or_default() += 1);
        n_eff(sizes.values().copied())
    }
}

/// 1 / sum of squared shares.
pub(super) fn n_eff(sizes: impl Iterator<Item = u64>) -> f64 {
    let (sum, squares) =
        sizes.fold((0.0, 0.0), |(sum, squares), n| (sum + n as f64, squares + (n as f64).powi(2)));
    if squares > 0.0 { sum * sum / squares } else { 0.0 }
}

/// The networks that clients are in.
#[derive(Debug)]
struct Networks {
    behind_one: f64,
    /// Cumulated shares.
    cumulated: Vec<f64>,
    turn: u32,
}

impl Networks {
    fn new(w: &Workload, seed: u64) -> Self {
        let mut sum = 0.0;
        let mut cumulated: Vec<f64> = (1..=(w.users / PER_NETWORK).clamp(1, 1 << 22))
            .map(|rank| {
                sum += f64::from(rank).powf(-w.zipf);
                sum
            })
            .collect();
        cumulated.iter_mut().for_each(|c| *c /= sum);
        Self { behind_one: w.behind_one, cumulated, turn: combine(seed, 24) as u32 }
    }

    fn address(&self, draws: Draws, who: u64, n: u64) -> u32 {
        if draws.happens(Purpose::Behind, who, 0, self.behind_one) {
            return 0x0a00_0007;
        }
        let u = draws.unit(Purpose::Group, who, n);
        let rank = self.cumulated.partition_point(|c| *c < u) as u32;
        // An odd factor takes every one of the 2^24 networks in turn.
        let network = rank.wrapping_mul(0x9e_3779).wrapping_add(self.turn) & 0xff_ffff;
        network << 8 | draws.below(Purpose::Host, who, n, 256) as u32
    }
}
