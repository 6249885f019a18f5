//! Who may come in, by address.

use std::net::IpAddr;

use crate::base::cidr::PrefixSet;

/// Whom a listener or a route serves. `deny` wins over `allow`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Nobody else may; `None` is everybody.
    pub allow: Option<PrefixSet>,
    /// These may not.
    pub deny: PrefixSet,
}

impl Access {
    /// Whether a client may come in. One without an address, on a Unix socket, is in no list.
    #[must_use]
    pub fn admits(&self, client: Option<IpAddr>) -> bool {
        let is_in = |set: &PrefixSet| client.is_some_and(|ip| set.contains(ip));
        !is_in(&self.deny) && self.allow.as_ref().is_none_or(is_in)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deny_wins_over_allow_and_with_allow_nobody_else_may() {
        let set = |texts: &[&str]| PrefixSet::parse(texts.iter().copied()).unwrap();
        let ten = || Some(set(&["10.0.0.0/8", "2001:db8::/32"]));
        let table = [
            (None, set(&[]), "192.0.2.1", true),
            (None, set(&["192.0.2.0/24"]), "192.0.2.1", false),
            (None, set(&["192.0.2.0/24"]), "::ffff:192.0.2.1", false),
            (ten(), set(&[]), "10.1.2.3", true),
            (ten(), set(&[]), "2001:db8::1", true),
            (ten(), set(&[]), "192.0.2.1", false),
            (ten(), set(&["10.1.0.0/16"]), "10.1.2.3", false),
            (ten(), set(&["10.1.0.0/16"]), "10.2.2.3", true),
            (Some(set(&[])), set(&[]), "10.2.2.3", false),
        ];
        for (allow, deny, ip, admitted) in table {
            let access = Access { allow, deny };
            assert_eq!(access.admits(Some(ip.parse().unwrap())), admitted, "{ip} {access:?}");
        }
        assert!(Access { allow: None, deny: set(&["0.0.0.0/0", "::/0"]) }.admits(None));
        assert!(!Access { allow: Some(set(&["0.0.0.0/0", "::/0"])), deny: set(&[]) }.admits(None));
    }
}
