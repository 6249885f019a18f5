//! The one stable 64-bit hash: XXH3 with a seed.
//!
//! Placement must be the same on every node, in every version and after every restart, so this is never
//! `ahash` (whose keys and algorithm are free to change); the golden tests below pin it.

/// Hashes `bytes`. Equal on every machine and version of homing.
#[inline]
#[must_use]
pub fn hash64(bytes: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(bytes)
}

/// Hashes `bytes` under a seed, for families of independent hashes.
#[must_use]
pub fn hash64_seeded(bytes: &[u8], seed: u64) -> u64 {
    xxhash_rust::xxh3::xxh3_64_with_seed(bytes, seed)
}

/// Mixes two hashes into one (the finalizer of SplitMix64 over their combination).
#[inline]
#[must_use]
pub const fn combine(a: u64, b: u64) -> u64 {
    combine_turned(a, turned(b))
}

/// The part of [`combine`] that depends on its second hash alone, for one that many are combined with.
#[inline]
#[must_use]
pub const fn turned(b: u64) -> u64 {
    b.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
}

/// [`combine`] with a second hash that is [`turned`] already.
#[inline]
#[must_use]
pub const fn combine_turned(a: u64, b: u64) -> u64 {
    let mut z = a ^ b;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placement_hashes_never_change() {
        assert_eq!(hash64(b""), 0x2d06_8005_38d3_94c2);
        assert_eq!(hash64(b"203.0.113.7"), hash64_seeded(b"203.0.113.7", 0));
        assert_eq!(hash64(b"10.0.0.1:8080"), 0xb655_a4a4_783c_5011);
        assert_eq!(hash64(b"203.0.113.7"), 0x5a3c_5731_3081_7a24);
        assert_eq!(hash64_seeded(b"203.0.113.7", 1), 0x5acc_2c1b_3638_6781);
        assert_eq!(hash64(&[b'a'; 300]), 0xc1d1_7581_d8eb_7e21);
        assert_eq!(
            [combine(0, 0), combine(1, 2), combine(2, 1), combine(u64::MAX, 7)],
            [0, 0x532b_1c3b_f229_dcfd, 0xdf3c_2a4f_e614_29f4, 0xaf77_ef66_8265_fda7]
        );
    }
}
