//! Passwords as they are kept: Argon2id ([RFC 9106](https://www.rfc-editor.org/rfc/rfc9106)) with a salt each, written
//! as the [PHC string format](https://github.com/P-H-C/phc-string-format/blob/master/phc-sf-spec.md) has it.

use std::time::Duration;

use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use tokio::sync::Semaphore;

use crate::affinity::base64url;

/// Passwords that are hashed at a time: each takes a core, and 19 MiB.
const AT_ONCE: usize = 2;

/// How long a login waits for its turn.
const PATIENCE: Duration = Duration::from_secs(10);

const SALT: usize = 16;
const HASH: usize = 32;

/// What hashing a password costs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cost {
    /// 19 MiB, two passes (the OWASP Password Storage Cheat Sheet's first recommendation).
    #[default]
    Owasp,
    /// 8 KiB, one pass: as good as nothing against a thief, and cheap enough to measure something else.
    Low,
}

/// A hash as it is kept.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Hash(String);

/// Hashes, a few at a time, off the thread that serves.
#[derive(Debug)]
pub(super) struct Hasher {
    cost: Cost,
    turns: Semaphore,
}

/// Why no hash was made.
#[derive(Clone, Copy, Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("too many people log in at once")]
    Busy,
    #[error("the system has no randomness, memory or thread to give")]
    System,
}

impl Cost {
    /// KiB and passes.
    fn parameters(self) -> (u32, u32) {
        match self {
            Self::Owasp => (19 * 1024, 2),
            Self::Low => (8, 1),
        }
    }
}

impl Hash {
    pub(super) fn from_text(text: &str) -> Option<Self> {
        read(text).map(|_| Self(text.to_owned()))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Hash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

impl Hasher {
    pub(super) fn new(cost: Cost) -> Self {
        Self { cost, turns: Semaphore::new(AT_ONCE) }
    }

    pub(super) async fn hash(&self, password: String) -> Result<Hash, Failed> {
        let cost = self.cost;
        self.run(move || make(cost, password.as_bytes())).await
    }

    /// Whether the password is the one that was hashed. Without a hash it takes as long and is false, so that time
    /// does not tell who is registered.
    pub(super) async fn check(&self, password: String, hash: Option<Hash>) -> Result<bool, Failed> {
        let cost = self.cost;
        self.run(move || match hash.as_ref().and_then(|hash| read(&hash.0)) {
            Some((memory, passes, salt, expected)) => {
                let made = derive(memory, passes, password.as_bytes(), &salt)?;
                Some(verify_slices_are_equal(&made, &expected).is_ok())
            }
            None => make(cost, password.as_bytes()).map(|_| false),
        })
        .await
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Option<T> + Send + 'static,
    ) -> Result<T, Failed> {
        if self.cost == Cost::Low {
            return work().ok_or(Failed::System);
        }
        let turn = tokio::time::timeout(PATIENCE, self.turns.acquire()).await;
        let Ok(Ok(_turn)) = turn else { return Err(Failed::Busy) };
        tokio::task::spawn_blocking(work).await.ok().flatten().ok_or(Failed::System)
    }
}

fn make(cost: Cost, password: &[u8]) -> Option<Hash> {
    let mut salt = [0; SALT];
    getrandom::fill(&mut salt).ok()?;
    let (memory, passes) = cost.parameters();
    let hash = derive(memory, passes, password, &salt)?;
    Some(Hash(format!("$argon2id$v=19$m={memory},t={passes},p=1${}${}", letters(&salt), letters(&hash))))
}

fn derive(memory: u32, passes: u32, password: &[u8], salt: &[u8]) -> Option<[u8; HASH]> {
    let parameters = Params::new(memory, passes, 1, Some(HASH)).ok()?;
    let mut out = [0; HASH];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters)
        .hash_password_into(password, salt, &mut out)
        .ok()?;
    Some(out)
}

/// KiB, passes, salt and hash of a text that we wrote.
fn read(text: &str) -> Option<(u32, u32, [u8; SALT], [u8; HASH])> {
    let mut parts = text.strip_prefix("$argon2id$v=19$m=")?.split('$');
    let (parameters, salt, hash) = (parts.next()?, parts.next()?, parts.next()?);
    let (memory, rest) = parameters.split_once(",t=")?;
    let (memory, passes) = (memory.parse().ok()?, rest.strip_suffix(",p=1")?.parse().ok()?);
    // A store that others can write to must not make us hash for a minute.
    let is_sane = (8..=64 * 1024).contains(&memory) && (1..=10).contains(&passes) && parts.next().is_none();
    let (mut s, mut h) = ([0; SALT], [0; HASH]);
    let is_whole = bytes(salt, &mut s) && bytes(hash, &mut h);
    (is_sane && is_whole).then_some((memory, passes, s, h))
}

/// base64 without padding, in the alphabet of PHC strings.
fn letters(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    base64url::encode(bytes, &mut out);
    out.iter()
        .map(|&c| char::from(c))
        .map(|c| {
            if c == '-' {
                '+'
            } else if c == '_' {
                '/'
            } else {
                c
            }
        })
        .collect()
}

fn bytes<const N: usize>(text: &str, out: &mut [u8; N]) -> bool {
    if text.contains(['-', '_']) {
        return false;
    }
    let text = text.replace('+', "-").replace('/', "_");
    base64url::decode(text.as_bytes(), out).is_some_and(|read| read.len() == N)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_its_own_and_no_other() {
        for cost in [Cost::Low, Cost::Owasp] {
            let hasher = Hasher::new(cost);
            let hash = hasher.hash("tea for two".to_owned()).await.unwrap();
            assert!(hasher.check("tea for two".to_owned(), Some(hash.clone())).await.unwrap());
            assert!(!hasher.check("tea for three".to_owned(), Some(hash.clone())).await.unwrap());
            assert!(!hasher.check("tea for two".to_owned(), None).await.unwrap());
            assert_ne!(hasher.hash("tea for two".to_owned()).await.unwrap(), hash, "a salt each");
            assert_eq!(Hash::from_text(hash.as_str()), Some(hash));
        }
    }

    #[test]
    fn a_hash_that_we_did_not_write_is_none() {
        let good = make(Cost::Low, b"x").unwrap();
        for (from, to) in
            [("argon2id", "argon2i"), ("m=8", "m=9999999"), ("t=1", "t=99"), ("p=1", "p=2"), ("$v=19", "")]
        {
            assert_eq!(Hash::from_text(&good.0.replacen(from, to, 1)), None, "{from}");
        }
        assert_eq!(Hash::from_text(&good.0[..good.0.len() - 1]), None);
        assert_eq!(format!("{good:?}"), "***");
    }
}
