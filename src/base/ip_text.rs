//! An address of a client as text, on the stack and without `core::fmt`, which takes 1,600 instructions for one of
//! IPv4.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};

/// The longest: `ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255`. (INET6_ADDRSTRLEN)
const LONGEST: usize = 45;

/// Each octet's digits with a dot behind them, the first letter lowest, and how many bits that is.
static DIGITS: [(u32, u8); 256] = {
    let mut all = [(0, 0); 256];
    let mut n = 0_u8;
    loop {
        let (hundreds, tens, ones) = (b'0' + n / 100, b'0' + n / 10 % 10, b'0' + n % 10);
        let (letters, bits) = match n {
            100.. => ([hundreds, tens, ones, b'.'], 32),
            10.. => ([tens, ones, b'.', 0], 24),
            _ => ([ones, b'.', 0, 0], 16),
        };
        all[n as usize] = (u32::from_le_bytes(letters), bits);
        if n == u8::MAX {
            break;
        }
        n += 1;
    }
    all
};

/// An address as text, as `Display` writes it.
#[derive(Clone, Copy)]
pub struct IpText {
    bytes: [u8; LONGEST],
    len: usize,
}

impl IpText {
    /// The text of no address.
    pub const EMPTY: Self = Self { bytes: [0; LONGEST], len: 0 };

    /// The text of an address.
    #[must_use]
    pub fn of(ip: IpAddr) -> Self {
        match ip {
            IpAddr::V4(ip) => Self::of_v4(ip),
            IpAddr::V6(ip) => {
                let mut this = Self::EMPTY;
                // What does not fit is not written, and everything fits.
                let _ = write!(this, "{ip}");
                this
            }
        }
    }

    /// The text of an address of IPv4.
    #[inline]
    #[must_use]
    pub fn of_v4(ip: Ipv4Addr) -> Self {
        // Put together in registers, whatever the digits' number: branches on that cannot be foreseen, and letters that
        // are written one octet at a time have to reach memory before a hash can read eight of them.
        let half = |high: u8, low: u8| {
            let ((first, bits), (second, more)) = (DIGITS[usize::from(high)], DIGITS[usize::from(low)]);
            (u64::from(first) | u64::from(second) << bits, bits + more)
        };
        let [a, b, c, d] = ip.octets();
        let ((front, bits), (back, more)) = (half(a, b), half(c, d));
        let letters = u128::from(front) | u128::from(back) << bits;
        let mut this = Self::EMPTY;
        if let Some(place) = this.bytes.first_chunk_mut() {
            *place = letters.to_le_bytes();
        }
        // Without the last dot.
        this.len = usize::from(bits + more) / 8 - 1;
        this
    }

    /// Its bytes.
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    #[inline]
    fn push(&mut self, byte: u8) {
        if let Some(place) = self.bytes.get_mut(self.len) {
            *place = byte;
            self.len += 1;
        }
    }
}

impl fmt::Write for IpText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

impl fmt::Debug for IpText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IpText({})", self.as_bytes().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_fits() {
        for text in ["255.255.255.255", "::ffff:255.255.255.255", "1111:2222:3333:4444:5555:6666:7777:8888"] {
            assert_eq!(IpText::of(text.parse().unwrap()).as_bytes(), text.as_bytes());
        }
        assert!(IpText::EMPTY.as_bytes().is_empty());
    }

    proptest! {
        #[test]
        fn it_is_what_display_writes(ip in any::<IpAddr>()) {
            let (ours, text) = (IpText::of(ip), ip.to_string());
            prop_assert_eq!(ours.as_bytes(), text.as_bytes());
        }
    }
}
