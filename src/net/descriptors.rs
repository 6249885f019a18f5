//! How many descriptors this process may have, and how many connections that makes.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Descriptors that are not for connections: listeners, logs, the runtimes' own.
const OWN: u64 = 64;
/// Connections that are tried for however few descriptors there are: accepting rests when they run out.
const LEAST: u32 = 16;

/// Raises the soft limit of open descriptors to the hard one, as far as that is allowed, and returns it. The soft
/// one is low (1024, as a rule) for programs that use `select`, and this is none.
#[must_use]
pub fn raise() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    // What cannot be raised stays as it is: the caller goes by what is allowed then.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Connections of clients for which `descriptors` suffice: each may need a second one to a backend.
#[must_use]
pub fn connections(descriptors: u64) -> u32 {
    u32::try_from(descriptors.saturating_sub(OWN) / 2).unwrap_or(u32::MAX).max(LEAST)
}

/// Descriptors that so many connections of clients need.
#[must_use]
pub const fn needed(connections: u32) -> u64 {
    2 * connections as u64 + OWN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_and_descriptors_agree() {
        let table =
            [(0, 16), (64, 16), (96, 16), (98, 17), (1024, 480), (65_536, 32_736), (u64::MAX, u32::MAX)];
        for (descriptors, most) in table {
            assert_eq!(connections(descriptors), most, "{descriptors}");
        }
        for most in [16, 480, 32_736] {
            assert_eq!(connections(needed(most)), most);
        }
    }

    #[test]
    fn raising_never_lowers() {
        let before = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        assert!(raise() >= before);
    }
}
