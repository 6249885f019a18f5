//! What a request is called, from the first proxy to the application's log: `X-Request-Id`.
//!
//! A trusted proxy's name for it is kept if it is one that can stand anywhere; otherwise it gets one of 128 random
//! bits. The bits come from a worker's own generator: a name has to be unlikely twice, not hard to guess.

/// Bytes of a kept name at most.
const LONGEST: usize = 128;

/// A name that homing has given: 128 bits in hexadecimal.
pub type Digits = [u8; 32];

/// The name of these bits.
#[must_use]
pub fn digits(high: u64, low: u64) -> Digits {
    let bytes = (u128::from(high) << 64 | u128::from(low)).to_be_bytes();
    let mut out = [0; 32];
    for (pair, byte) in out.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    out
}

const fn digit(n: u8) -> u8 {
    if n < 10 { b'0' + n } else { b'a' + n - 10 }
}

/// Whether a name may be kept: visible ASCII, and no more of it than a log line can bear.
#[must_use]
pub fn is_sane(name: &[u8]) -> bool {
    (1..=LONGEST).contains(&name.len()) && name.iter().all(u8::is_ascii_graphic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_bits_in_order() {
        assert_eq!(
            &digits(0x0123_4567_89ab_cdef, 0xfedc_ba98_7654_3210),
            b"0123456789abcdeffedcba9876543210"
        );
        assert_eq!(digits(0, 0), [b'0'; 32]);
    }

    #[test]
    fn what_may_be_kept() {
        for name in [&b"a"[..], b"7f3c-9", b"!~", &[b'x'; 128]] {
            assert!(is_sane(name), "{name:?}");
        }
        for name in [&b""[..], b"a b", b"a\tb", b"\x7f", "\u{e9}".as_bytes(), &[b'x'; 129]] {
            assert!(!is_sane(name), "{name:?}");
        }
    }
}
