//! JSON Web Tokens ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)), signed with one key in one way.
//!
//! A token is ours if its header is, byte for byte, the one that we write, and if its signature is of our key: what
//! the header says is never used to choose how to verify. So `none`, a public key taken for a secret, and whatever
//! else a header may ask for ([RFC 8725](https://www.rfc-editor.org/rfc/rfc8725)) come to nothing.

mod keys;

use serde_json::Value;

pub use self::keys::{KeyError, Keys};

use super::accounts::letters;
use crate::affinity::base64url;

/// Bytes of a token that is looked at: a cookie has no more.
const LIMIT: usize = 4096;

/// How tokens are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// HMAC with SHA-256: who can verify can sign.
    Hs256,
    /// RSA of 2048 bits or more, PKCS #1 v1.5, SHA-256.
    Rs256,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl Algorithm {
    /// The one of this name, in either case.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        [Self::Hs256, Self::Rs256, Self::Es256, Self::EdDsa]
            .into_iter()
            .find(|algorithm| algorithm.name().eq_ignore_ascii_case(name))
    }

    /// As a header has it (RFC 7518, RFC 8037).
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Rs256 => "RS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// A token with these claims; `None` if the key cannot sign, which only a lack of randomness brings about.
pub(super) fn sign(keys: &Keys, claims: &Value) -> Option<String> {
    let mut text = format!("{}.{}", header(keys), letters(claims.to_string().as_bytes()));
    let signature = keys.sign(text.as_bytes())?;
    text.push('.');
    text.push_str(&letters(&signature));
    Some(text)
}

/// The claims of a token that we signed. Whether it is still good is for its reader to say.
pub(super) fn verify(keys: &Keys, token: &str) -> Option<Value> {
    if token.len() > LIMIT {
        return None;
    }
    let (signed, signature) = token.rsplit_once('.')?;
    let claims = signed.strip_prefix(&header(keys))?.strip_prefix('.')?;
    let mut buffer = vec![0; LIMIT];
    let signature = base64url::decode(signature.as_bytes(), &mut buffer)?;
    if !keys.verify(signed.as_bytes(), signature) {
        return None;
    }
    let claims = base64url::decode(claims.as_bytes(), &mut buffer)?;
    serde_json::from_slice(claims).ok().filter(Value::is_object)
}

fn header(keys: &Keys) -> String {
    letters(format!(r#"{{"alg":"{}","typ":"JWT"}}"#, keys.algorithm().name()).as_bytes())
}

#[cfg(test)]
#[path = "jwt_tests.rs"]
mod tests;
