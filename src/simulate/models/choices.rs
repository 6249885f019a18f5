//! Balls in bins: the power of two choices, at rest and in queues; and random subsets.
//! (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001)

use super::super::draw::{as_unit, below};
use crate::base::hash::combine;

/// A stream of numbers.
struct Stream(u64, u64);

impl Stream {
    fn bits(&mut self) -> u64 {
        self.1 += 1;
        combine(self.0, self.1)
    }

    fn below(&mut self, bound: usize) -> usize {
        below(self.bits(), bound as u64) as usize
    }
}

/// The fullest of `n` bins after `n` balls, each of which took the emptiest of `d`.
pub(in crate::simulate) fn fullest(n: usize, d: usize, seed: u64) -> u32 {
    let (mut bins, mut stream) = (vec![0_u32; n], Stream(seed, 0));
    for _ in 0..n {
        let mut best = stream.below(n);
        for _ in 1..d {
            let other = stream.below(n);
            if bins[other] < bins[best] {
                best = other;
            }
        }
        bins[best] += 1;
    }
    bins.into_iter().max().unwrap_or(0)
}

/// `balls` in `bins`, thrown evenly.
pub(in crate::simulate) fn thrown(balls: usize, bins: usize, seed: u64) -> Vec<f64> {
    let (mut loads, mut stream) = (vec![0.0; bins], Stream(seed, 1 << 40));
    (0..balls).for_each(|_| loads[stream.below(bins)] += 1.0);
    loads
}

/// Mean time in the system of `servers` that each serve one at a time in a mean time of 1, at this load, where each
/// arrival joins the shorter of `d` queues. By Little's law from the mean number there.
pub(in crate::simulate) fn mean_time(servers: usize, load: f64, d: usize, events: u64, seed: u64) -> f64 {
    let mut stream = Stream(seed, 1 << 41);
    // The steady state of many servers: `k` or more wait at a share of load^(1 + d + d^2 + ..) of them, `k` terms.
    let mut draw = || {
        let (u, mut power, mut length) = (as_unit(stream.bits()), 1.0, 0_u32);
        let mut tail = load;
        while u < tail {
            length += 1;
            power *= d as f64;
            tail *= load.powf(power);
        }
        length
    };
    let mut queues: Vec<u32> = (0..servers).map(|_| draw()).collect();
    // Busy servers, and the place of each among them.
    let mut busy: Vec<usize> = (0..servers).filter(|server| queues[*server] > 0).collect();
    let mut place = vec![0; servers];
    busy.iter().enumerate().for_each(|(at, server)| place[*server] = at);
    let (mut there, mut time, mut area) = (queues.iter().map(|q| u64::from(*q)).sum::<u64>(), 0.0, 0.0);
    let arrivals = load * servers as f64;
    for event in 0..events {
        let rate = arrivals + busy.len() as f64;
        let passed = -as_unit(stream.bits()).ln() / rate;
        if event > events / 4 {
            time += passed;
            area += there as f64 * passed;
        }
        if as_unit(stream.bits()) * rate < arrivals {
            let mut best = stream.below(servers);
            for _ in 1..d {
                let other = stream.below(servers);
                if queues[other] < queues[best] {
                    best = other;
                }
            }
            if queues[best] == 0 {
                place[best] = busy.len();
                busy.push(best);
            }
            queues[best] += 1;
            there += 1;
        } else {
            let at = stream.below(busy.len().max(1));
            let Some(server) = busy.get(at).copied() else { continue };
            queues[server] -= 1;
            there -= 1;
            if queues[server] == 0 {
                busy.swap_remove(at);
                if let Some(moved) = busy.get(at) {
                    place[*moved] = at;
                }
            }
        }
    }
    area / time / arrivals
}

/// Clients of each of `servers`, where as many clients each take `k` of them at random.
pub(in crate::simulate) fn subsets(servers: usize, k: usize, seed: u64) -> Vec<f64> {
    let (mut stream, mut loads) = (Stream(seed, 1 << 42), vec![0.0; servers]);
    let mut all: Vec<usize> = (0..servers).collect();
    for _ in 0..servers {
        for i in 0..k {
            let j = i + stream.below(servers - i);
            all.swap(i, j);
            loads[all[i]] += 1.0;
        }
    }
    loads
}
