//! Address prefixes, trusted-proxy sets, and masking a client address.
//!
//! IPv4-mapped IPv6 addresses (`::ffff:10.0.0.1`) are IPv4 everywhere here: a socket for both families shows IPv4
//! clients that way, and a rule on `10.0.0.0/8` is meant for them too.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The addresses that begin with the same bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prefix {
    /// From the first to the last, as numbers.
    V4(u32, u32),
    /// From the first to the last, as numbers.
    V6(u128, u128),
}

/// A set of address prefixes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrefixSet {
    /// (first, last) of each family as numbers, sorted, neither overlapping nor adjoining.
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl FromStr for Prefix {
    type Err = String;

    /// Reads `10.0.0.0/8`, `2001:db8::/32`, `10.0.0.7` or `::1`.
    ///
    /// # Errors
    /// What would be right, as the rest of a sentence that begins with the value. Bits below the prefix must be 0:
    /// whether `10.0.0.7/8` means one address or sixteen million is no guess to make about trust.
    fn from_str(text: &str) -> Result<Self, String> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(a, b)| (a, Some(b)));
        let Ok(ip) = address.parse::<IpAddr>() else {
            return Err(
                "must be an address or a prefix, as in \"10.0.0.0/8\" or \"2001:db8::/32\"".to_owned()
            );
        };
        let most: u8 = if ip.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            None => most,
            Some(b) => b
                .parse()
                .ok()
                .filter(|n| *n <= most && b.bytes().all(|b| b.is_ascii_digit()))
                .ok_or_else(|| format!("must have a prefix length between 0 and {most}"))?,
        };
        let network = mask_exact(ip, bits);
        if network != ip {
            let one = if most == 32 { 32 } else { 128 };
            return Err(format!(
                "has bits set below its prefix: must be \"{network}/{bits}\", or \"{ip}/{one}\" for one address"
            ));
        }
        Ok(match (ip, ip.to_canonical()) {
            (IpAddr::V6(_), IpAddr::V4(mapped)) if bits >= 96 => Self::v4(mapped, bits - 96),
            (IpAddr::V4(ip), _) => Self::v4(ip, bits),
            (IpAddr::V6(ip), _) => Self::v6(ip, bits),
        })
    }
}

impl Prefix {
    fn v4(network: Ipv4Addr, bits: u8) -> Self {
        let first = u32::from(network);
        Self::V4(first, first | u32::MAX.checked_shr(u32::from(bits)).unwrap_or(0))
    }

    fn v6(network: Ipv6Addr, bits: u8) -> Self {
        let first = u128::from(network);
        Self::V6(first, first | u128::MAX.checked_shr(u32::from(bits)).unwrap_or(0))
    }
}

impl PrefixSet {
    /// The set of these prefixes.
    ///
    /// # Errors
    /// The first text that is no prefix, and what would be right.
    pub fn parse<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<Self, String> {
        texts.into_iter().map(|t| t.parse().map_err(|e| format!("\"{t}\" {e}"))).collect()
    }

    /// Whether `ip` is in the set. IPv4-mapped addresses count as IPv4.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        match ip.to_canonical() {
            IpAddr::V4(ip) => within(&self.v4, u32::from(ip)),
            IpAddr::V6(ip) => within(&self.v6, u128::from(ip)),
        }
    }

    /// Whether no address is in the set.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }
}

impl FromIterator<Prefix> for PrefixSet {
    fn from_iter<I: IntoIterator<Item = Prefix>>(prefixes: I) -> Self {
        let mut set = Self::default();
        for prefix in prefixes {
            match prefix {
                Prefix::V4(first, last) => set.v4.push((first, last)),
                Prefix::V6(first, last) => set.v6.push((first, last)),
            }
        }
        set.v4 = merged(set.v4, |n| n.checked_add(1));
        set.v6 = merged(set.v6, |n| n.checked_add(1));
        set
    }
}

/// `ip` with all but its first `v4_prefix` or `v6_prefix` bits set to 0. IPv4-mapped addresses count as IPv4.
#[must_use]
pub fn mask(ip: IpAddr, v4_prefix: u8, v6_prefix: u8) -> IpAddr {
    let ip = ip.to_canonical();
    mask_exact(ip, if ip.is_ipv4() { v4_prefix } else { v6_prefix })
}

fn mask_exact(ip: IpAddr, bits: u8) -> IpAddr {
    let bits = u32::from(bits);
    match ip {
        IpAddr::V4(ip) => Ipv4Addr::from(u32::from(ip) & !u32::MAX.checked_shr(bits).unwrap_or(0)).into(),
        IpAddr::V6(ip) => Ipv6Addr::from(u128::from(ip) & !u128::MAX.checked_shr(bits).unwrap_or(0)).into(),
    }
}

/// Sorted ranges of which none touches the next.
fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>, next: impl Fn(T) -> Option<T>) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut merged: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (first, last) in ranges {
        match merged.last_mut() {
            Some(before) if next(before.1).is_none_or(|n| first <= n) => before.1 = before.1.max(last),
            _ => merged.push((first, last)),
        }
    }
    merged
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], x: T) -> bool {
    let after = ranges.partition_point(|(first, _)| *first <= x);
    after > 0 && ranges[after - 1].1 >= x
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_set_holds_what_its_prefixes_hold() {
        let set =
            PrefixSet::parse(["10.0.0.0/8", "192.0.2.7", "2001:db8::/32", "::1", "::ffff:172.16.0.0/108"]);
        let set = set.unwrap();
        let table = [
            ("10.0.0.0", true),
            ("10.255.255.255", true),
            ("11.0.0.0", false),
            ("9.255.255.255", false),
            ("::ffff:10.1.2.3", true),
            ("192.0.2.7", true),
            ("192.0.2.8", false),
            ("172.31.255.255", true),
            ("172.32.0.0", false),
            ("2001:db8:ffff::1", true),
            ("2001:db9::", false),
            ("::1", true),
            ("::2", false),
        ];
        for (address, expected) in table {
            assert_eq!(set.contains(ip(address)), expected, "{address}");
        }
        assert!(!PrefixSet::default().contains(ip("127.0.0.1")));
    }

    #[test]
    fn everything_is_a_prefix_too() {
        let set = PrefixSet::parse(["0.0.0.0/0", "::/0"]).unwrap();
        for address in ["0.0.0.0", "255.255.255.255", "::", "ffff::"] {
            assert!(set.contains(ip(address)), "{address}");
        }
    }

    #[test]
    fn ranges_that_touch_are_one() {
        let set = PrefixSet::parse(["10.1.0.0/16", "10.0.0.0/16", "10.0.3.0/24", "255.255.255.255"]).unwrap();
        assert_eq!(set.v4, [(0x0a00_0000, 0x0a01_ffff), (u32::MAX, u32::MAX)]);
    }

    #[test]
    fn what_is_no_prefix_says_what_would_be() {
        let table = [
            ("", "must be an address or a prefix"),
            ("10.0.0/8", "must be an address or a prefix"),
            ("localhost", "must be an address or a prefix"),
            ("10.0.0.0/33", "between 0 and 32"),
            ("10.0.0.0/+8", "between 0 and 32"),
            ("10.0.0.0/", "between 0 and 32"),
            ("::/129", "between 0 and 128"),
            ("10.0.0.7/8", "must be \"10.0.0.0/8\", or \"10.0.0.7/32\""),
        ];
        for (text, part) in table {
            let error = text.parse::<Prefix>().unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn masks_keep_the_first_bits() {
        let table = [
            ("203.0.113.7", 24, 128, "203.0.113.0"),
            ("::ffff:203.0.113.7", 24, 0, "203.0.113.0"),
            ("203.0.113.7", 32, 0, "203.0.113.7"),
            ("203.0.113.7", 0, 0, "0.0.0.0"),
            ("2001:db8:1:2:3::4", 0, 64, "2001:db8:1:2::"),
            ("2001:db8::1", 0, 128, "2001:db8::1"),
            ("2001:db8::1", 0, 0, "::"),
        ];
        for (address, v4, v6, expected) in table {
            assert_eq!(mask(ip(address), v4, v6), ip(expected), "{address}/{v4}/{v6}");
        }
    }

    proptest! {
        #[test]
        fn a_set_holds_an_address_if_one_prefix_does(
            networks in prop::collection::vec((any::<u32>(), 0_u8..=32), 0..12), probe in any::<u32>(),
        ) {
            let of = |(n, bits): &(u32, u8)| (mask(Ipv4Addr::from(*n).into(), *bits, 0), *bits);
            let texts: Vec<_> = networks.iter().map(of).map(|(n, bits)| format!("{n}/{bits}")).collect();
            let set = PrefixSet::parse(texts.iter().map(String::as_str)).unwrap();
            let probe = IpAddr::from(Ipv4Addr::from(probe));
            let expected = networks.iter().map(of).any(|(n, bits)| mask(probe, bits, 0) == n);
            prop_assert_eq!(set.contains(probe), expected);
        }
    }
}
