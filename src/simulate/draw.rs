//! Random numbers by counter: what is drawn depends on the seed, on whom it is drawn for and on what for, and on
//! nothing else. So every strategy meets the same users, and threads may draw in any order.

use crate::base::hash::combine;

/// All that one seed gives.
#[derive(Clone, Copy, Debug)]
pub(super) struct Draws(u64);

/// What a number is drawn for; each has a stream of its own.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    Age = 1,
    Stay,
    Arrival,
    Behind,
    Group,
    Host,
    Keeps,
    Mobile,
    Change,
    NewAddress,
    Key,
    Asks,
    Strip,
}

impl Draws {
    pub(super) const fn new(seed: u64) -> Self {
        Self(combine(seed, 0x5eed))
    }

    /// 64 bits for `who`, the `n`th time.
    pub(super) const fn bits(self, what: Purpose, who: u64, n: u64) -> u64 {
        combine(combine(combine(self.0, what as u64), who), n)
    }

    /// The same for what is drawn once.
    pub(super) const fn one(self, what: Purpose, who: u64) -> u64 {
        combine(self.0.wrapping_add((what as u64) << 56), who)
    }

    /// A number in (0, 1).
    pub(super) fn unit(self, what: Purpose, who: u64, n: u64) -> f64 {
        as_unit(self.bits(what, who, n))
    }

    /// A time until something that happens every `mean` on average, and remembers nothing.
    pub(super) fn wait(self, what: Purpose, who: u64, n: u64, mean: f64) -> f64 {
        -mean * self.unit(what, who, n).ln()
    }

    /// Whether something of this probability happens.
    pub(super) fn happens(self, what: Purpose, who: u64, n: u64, probability: f64) -> bool {
        probability > 0.0 && self.unit(what, who, n) < probability
    }

    /// A whole number below `bound`, which is above 0.
    pub(super) fn below(self, what: Purpose, who: u64, n: u64, bound: u64) -> u64 {
        below(self.bits(what, who, n), bound)
    }
}

/// The number in (0, 1) that 64 bits are.
pub(super) fn as_unit(bits: u64) -> f64 {
    ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64
}

/// The whole number below `bound` that 64 bits are.
pub(super) fn below(bits: u64, bound: u64) -> u64 {
    ((u128::from(bits) * u128::from(bound)) >> 64) as u64
}
