//! AnchorHash and DxHash: how many hashes a look-up takes, and who moves.
//! (Mendelson et al., ToN 2021; Dong and Wang, DxHash, 2021)

use crate::base::hash::combine;

/// An anchor of a fixed size with some of its places working.
#[derive(Clone, Debug)]
pub(in crate::simulate) struct Anchor {
    /// 0 for a working place, else how many worked when it was removed.
    removed_at: Vec<usize>,
    successor: Vec<usize>,
    working: Vec<usize>,
    place: Vec<usize>,
    count: usize,
}

impl Anchor {
    pub(in crate::simulate) fn new(size: usize) -> Self {
        let all: Vec<usize> = (0..size).collect();
        Self {
            removed_at: vec![0; size],
            successor: all.clone(),
            working: all.clone(),
            place: all,
            count: size,
        }
    }

    pub(in crate::simulate) fn remove(&mut self, b: usize) {
        self.count -= 1;
        self.removed_at[b] = self.count;
        let last = self.working[self.count];
        self.working[self.place[b]] = last;
        self.place[last] = self.place[b];
        self.successor[b] = last;
    }

    /// The place of `key`, and the hashes that it took.
    pub(in crate::simulate) fn find(&self, key: u64) -> (usize, u32) {
        let below = |hash: u64, bound: usize| super::super::draw::below(hash, bound as u64) as usize;
        let mut b = below(combine(key, u64::MAX), self.removed_at.len());
        let mut hashes = 1;
        while self.removed_at[b] > 0 {
            let mut h = below(combine(key, b as u64), self.removed_at[b]);
            hashes += 1;
            while self.removed_at[h] >= self.removed_at[b] {
                h = self.successor[h];
            }
            b = h;
        }
        (b, hashes)
    }
}

/// Probes of DxHash until a working one of `size` places is met.
pub(in crate::simulate) fn dx_probes(key: u64, size: u64, working: u64) -> u32 {
    let mut probes = 1;
    while super::super::draw::below(combine(key, u64::from(probes)), size) >= working {
        probes += 1;
    }
    probes
}
