//! What a session is found by, instead of its id: SipHash-1-3 with a secret key and 128 bits of outcome.
//!
//! Whoever sees a digest learns no id, since without the key neither leads to the other
//! (<https://www.aumasson.jp/siphash/siphash.pdf>; the variant is the one that Rust's maps use). XXH3, which homing places
//! by, does not promise that, and values that collide under any seed are known for it. A cryptographic hash would cost
//! several times as much with each look-up; so did the crate `siphasher`, 520 instructions for 32 bytes and not 230,
//! since its rounds become vector code that has no rotation. Two of 10 million sessions share a digest with a
//! probability of 10^-25.

use std::fmt;

/// The key of a table's digests. With it and the table, ids can be tried out: it is kept as secret as they are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Seeds([u64; 2]);

/// 128 bits that stand for a session's id. Printed in full they name the session to an operator.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u32; 4]);

impl Seeds {
    /// A key of 16 bytes that nobody can guess.
    #[must_use]
    pub const fn new(secret: [u8; 16]) -> Self {
        let both = u128::from_le_bytes(secret);
        Self([both as u64, (both >> 64) as u64])
    }

    /// A key drawn at random.
    ///
    /// # Errors
    ///
    /// The system gives no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        Ok(Self([getrandom::u64()?, getrandom::u64()?]))
    }

    /// The bytes, to be kept somewhere safe.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; 16] {
        (self.0[0] as u128 | (self.0[1] as u128) << 64).to_le_bytes()
    }

    /// The digest of an id under this key.
    #[must_use]
    pub fn digest(&self, id: &[u8]) -> Digest {
        let [k0, k1] = self.0;
        let mut state = Sip([
            k0 ^ 0x736f_6d65_7073_6575,
            k1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            k0 ^ 0x6c79_6765_6e65_7261,
            k1 ^ 0x7465_6462_7974_6573,
        ]);
        let (words, rest) = id.as_chunks::<8>();
        words.iter().for_each(|bytes| state.take(u64::from_le_bytes(*bytes)));
        state.take(word(rest) | (id.len() as u64) << 56);
        state.0[2] ^= 0xee;
        let low = state.finish();
        state.0[1] ^= 0xdd;
        Digest::of(low, state.finish())
    }
}

/// The state of SipHash, with one round for each word and three at the end.
struct Sip([u64; 4]);

impl Sip {
    const fn take(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.0[0] ^= word;
    }

    const fn finish(&mut self) -> u64 {
        self.round();
        self.round();
        self.round();
        let [a, b, c, d] = self.0;
        a ^ b ^ c ^ d
    }

    const fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

/// Up to eight bytes as a number, the first the lowest.
fn word(bytes: &[u8]) -> u64 {
    bytes.iter().take(8).rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
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

    const fn of(low: u64, high: u64) -> Self {
        Self([low as u32, (low >> 32) as u32, high as u32, (high >> 32) as u32])
    }

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
        let bytes: [u8; 63] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let seeds = Seeds::new(*bytes.first_chunk().unwrap());
        // As the crate `siphasher` has them, which is tested against the reference's.
        for (len, expected) in [
            (0, "e77ebcb22788a5befd62db6add303001"),
            (1, "fc6f370460d3eda85e0573cc2b2ff063"),
            (7, "1084b923f2aae0c3a62f2ec80848ab77"),
            (8, "aa12fee1d5e3dab4724f16ab35f9c799"),
            (63, "4c5800e34efe426f079f6b0aa75260ad"),
        ] {
            assert_eq!(seeds.digest(&bytes[..len]).to_string(), expected, "{len} bytes");
        }
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
