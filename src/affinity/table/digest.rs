//! What a session is found by, instead of its id: SipHash-1-3 with a secret key and 128 bits of outcome.
//!
//! Whoever reads the table's memory or sees a name of it printed learns no id, since without the key neither leads to
//! the other (<https://www.aumasson.jp/siphash/siphash.pdf>). XXH3, which homing places by, does not promise that,
//! and values that collide under any seed are known for it. A cryptographic hash would cost several times as much
//! with each look-up. Two of 10 million sessions share a digest with a probability of 10^-25.

use std::fmt;
use std::hash::Hasher as _;

use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// The key of a table's digests. With it and the table, ids can be tried out: it is kept as secret as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seeds([u8; 16]);

/// 128 bits that stand for a session's id. Printed in full they name the session to an operator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u32; 4]);

impl Seeds {
    /// A key of 16 bytes that nobody can guess.
    #[must_use]
    pub const fn new(secret: [u8; 16]) -> Self {
        Self(secret)
    }

    /// A key drawn at random.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        Ok(Self(secret))
    }

    /// The bytes, to be kept somewhere safe.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        self.0
    }

    /// The digest of an id under this key.
    #[must_use]
    pub fn digest(&self, id: &[u8]) -> Digest {
        let mut hasher = SipHasher13::new_with_key(&self.0);
        hasher.write(id);
        Digest::from_bytes(hasher.finish128().as_bytes())
    }
}

impl fmt::Debug for Seeds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seeds(***)")
    }
}

impl Digest {
    /// Letters of a digest in full.
    pub const LETTERS: usize = 32;
    /// Of a free slot.
    pub(super) const NONE: Self = Self([0; 4]);

    /// The digest of these bytes, as written by [`Digest::to_bytes`].
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        let all = u128::from_le_bytes(bytes);
        Self([0, 32, 64, 96].map(|by| (all >> by) as u32))
    }

    /// Its bytes.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        let all = self.0.iter().rev().fold(0_u128, |all, part| all << 32 | u128::from(*part));
        all.to_le_bytes()
    }

    /// Reads a digest in full, as it is printed.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != Self::LETTERS || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|all| Self::from_bytes(all.to_be_bytes()))
    }

    /// 64 bits of it, for choices that are to be the same for a session each time.
    #[must_use]
    pub const fn key(self) -> u64 {
        (self.0[1] as u64) << 32 | self.0[2] as u64
    }

    /// Which of `shards` it belongs to.
    pub(super) const fn shard(self, shards: usize) -> usize {
        ((self.0[0] as u64 * shards as u64) >> 32) as usize
    }

    /// The bits that an index is ordered by; independent of the shard.
    pub(super) const fn place(self) -> u32 {
        self.0[3]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.to_bytes()))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Digest({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_never_change_since_they_are_kept_on_disk() {
        let seeds = Seeds::new(std::array::from_fn(|i| u8::try_from(i).unwrap()));
        assert_eq!(seeds.digest(b"").to_string(), "e77ebcb22788a5befd62db6add303001");
        assert_eq!(
            seeds.digest(b"0123456789abcdef0123456789abcdef").to_string(),
            "ea6ac5a27868af6682667500bc767ead"
        );
    }

    #[test]
    fn a_digest_is_read_as_it_is_printed() {
        let digest = Seeds::new([7; 16]).digest(b"id");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::from_bytes(digest.to_bytes()), digest);
        for wrong in ["", "0123", "+0000000000000000000000000000000", "g0000000000000000000000000000000"] {
            assert_eq!(Digest::parse(wrong), None, "{wrong}");
        }
        assert_eq!(format!("{:?}", Seeds::new([7; 16])), "Seeds(***)");
    }

    #[test]
    fn another_key_makes_another_digest() {
        assert_ne!(Seeds::new([1; 16]).digest(b"id"), Seeds::new([2; 16]).digest(b"id"));
    }
}
