//! A session's name: 128 bits of the system's randomness, 22 letters of base64url in the cookie.

use std::fmt;

use crate::affinity::base64url;

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct SessionId([u8; 16]);

impl SessionId {
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub(super) fn random() -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)?;
        Ok(Self(bytes))
    }

    /// Reads only what `Display` writes: an id has one spelling.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        let len = base64url::decode(text.as_bytes(), &mut bytes)?.len();
        (len == 16).then_some(Self(bytes))
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&crate::demo::accounts::letters(&self.0))
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
impl SessionId {
    pub(super) fn of(byte: u8) -> Self {
        Self([byte; 16])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_one_spelling() {
        let id = SessionId::random().unwrap();
        let text = id.to_string();
        assert_eq!((text.len(), SessionId::parse(&text)), (22, Some(id)));
        for other in ["", "A", &"A".repeat(21), &"A".repeat(23), &format!("{text}="), &("A".repeat(21) + "B")]
        {
            assert_eq!(SessionId::parse(other), None, "{other:?}");
        }
        assert_eq!(format!("{id:?}"), "***");
    }
}
