//! A ring of random points, and multi-probe hashing on one; shares are exact, no keys are drawn.
//! (Karger et al., STOC 1997; Appleton and O'Reilly, Multi-Probe Consistent Hashing, 2015)

use crate::base::hash::combine;

/// Each node's share of a ring on which each has so many points, times the number of nodes.
pub(in crate::simulate) fn shares(nodes: usize, points: usize, seed: u64) -> Vec<f64> {
    let place = |at: usize| combine(seed, at as u64);
    let mut all: Vec<(u64, usize)> = (0..nodes * points).map(|at| (place(at), at / points)).collect();
    all.sort_unstable();
    let mut shares = vec![0.0; nodes];
    let mut before = all.last().map_or(0, |last| last.0);
    for (at, node) in all {
        shares[node] += at.wrapping_sub(before) as f64 / 2_f64.powi(64) * nodes as f64;
        before = at;
    }
    shares
}

/// Shares where a key looks at `probes` places and takes the point that is nearest behind one of them.
///
/// A probe is at most x before its point with probability G(x), the sum over all arcs of min(arc, x). A node of arc L gets
/// the integral from 0 to L of k (1 - G(x))^(k-1), and G is straight between one arc's length and the next.
pub(in crate::simulate) fn probed_shares(nodes: usize, probes: i32, seed: u64) -> Vec<f64> {
    let mut arcs = shares(nodes, 1, seed);
    arcs.iter_mut().for_each(|arc| *arc /= nodes as f64);
    arcs.sort_by(f64::total_cmp);
    let (mut share, mut x, mut rest) = (0.0, 0.0, 1.0_f64);
    let mut out = Vec::with_capacity(nodes);
    for (i, arc) in arcs.iter().enumerate() {
        let slope = (nodes - i) as f64;
        let after = (rest - slope * (arc - x)).max(0.0);
        share += (rest.powi(probes) - after.powi(probes)) / slope;
        (x, rest) = (*arc, after);
        out.push(share * nodes as f64);
    }
    out
}
