//! Where operators ask, and who may.

use std::fmt;
use std::sync::Arc;

use crate::base::address::Address;
use crate::net::listen::ListenAddress;

/// The admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admin {
    /// Where it is.
    pub listen: ListenAddress,
    /// What opens it to others than this machine; without it nothing can be changed from anywhere else.
    pub token: Option<Token>,
    /// The admin listeners of the other nodes in front of the same backends.
    pub peers: Vec<Peer>,
}

/// A bearer token (RFC 6750). It is not shown, and compared in constant time.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Arc<str>);

/// Another node's admin listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// As the configuration writes it: `http://10.0.0.2:9900`.
    pub url: Arc<str>,
    /// Where it listens.
    pub address: Address,
}

impl Token {
    /// Least length, in characters: what nobody guesses.
    pub const LEAST: usize = 16;
    /// Greatest length: what fits a header field with ease.
    pub const MOST: usize = 1024;

    /// Reads a token: visible ASCII without blanks; space around it is not part of it.
    ///
    /// # Errors
    /// What it must be, as the rest of a sentence that begins with the token's place.
    pub fn parse(text: &str) -> Result<Self, String> {
        let token = text.trim();
        if token.is_empty() {
            return Err("is empty: it must hold the token".to_owned());
        }
        if !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err("must hold one token of visible ASCII letters, without blanks".to_owned());
        }
        if !(Self::LEAST..=Self::MOST).contains(&token.len()) {
            let (least, most) = (Self::LEAST, Self::MOST);
            return Err(format!("must hold a token of {least} to {most} characters"));
        }
        Ok(Self(token.into()))
    }

    /// Whether it is this one. Takes as long for one wrong letter as for another; only the length shows.
    #[must_use]
    pub fn is(&self, given: &[u8]) -> bool {
        let own = self.0.as_bytes();
        let differs =
            own.iter().zip(given).fold(0, |differs, (a, b)| std::hint::black_box(differs | (a ^ b)));
        own.len() == given.len() && differs == 0
    }

    /// The token, to be sent to another node.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Peer {
    /// Reads `http://host:port`.
    ///
    /// # Errors
    /// What it must be, as the rest of a sentence.
    pub fn parse(text: &str) -> Result<Self, String> {
        let must = || "must be another node's admin address, as in \"http://10.0.0.2:9900\"".to_owned();
        if text.starts_with("https://") {
            return Err("must begin with http://: admin listeners speak no TLS".to_owned());
        }
        let authority = text.strip_prefix("http://").ok_or_else(must)?.trim_end_matches('/');
        let is_plain = authority.bytes().all(|b| b.is_ascii_graphic() && !b"/?#@\"\\".contains(&b));
        let address = Address::parse(authority).filter(|a| is_plain && !matches!(a, Address::Unix(_)));
        Ok(Self { url: format!("http://{authority}").into(), address: address.ok_or_else(must)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_else() {
        let token = Token::parse(" 0123456789abcdef\n").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        let wrong: [&[u8]; 5] =
            [b"", b"0123456789abcdeF", b"0123456789abcde", b"0123456789abcdef0", b"\x000123456789abcdef"];
        wrong.iter().for_each(|given| assert!(!token.is(given), "{given:?}"));
        assert_eq!(format!("{token:?}"), "***");
    }

    #[test]
    fn tokens_that_are_none_are_refused() {
        for (text, expected) in [
            ("", "is empty"),
            (" \n", "is empty"),
            ("short", "16 to 1024"),
            ("0123456789abcdef 0123456789abcdef", "without blanks"),
            ("0123456789abcdef\n0123456789abcdef", "one token"),
            ("0123456789abcdéf", "visible ASCII"),
        ] {
            assert!(Token::parse(text).unwrap_err().contains(expected), "{text:?}");
        }
    }

    #[test]
    fn peers_are_http_addresses() {
        for (text, expected) in [
            ("http://10.0.0.2:9900", Some("http://10.0.0.2:9900")),
            ("http://[::1]:9900/", Some("http://[::1]:9900")),
            ("http://node-2:9900", Some("http://node-2:9900")),
            ("https://node-2:9900", None),
            ("http://node-2", None),
            ("http://unix:/run/x", None),
            ("http://user@node-2:9900", None),
            ("http://node-2:9900/api", None),
            ("http://no de:9900", None),
            ("10.0.0.2:9900", None),
            ("", None),
        ] {
            assert_eq!(Peer::parse(text).ok().map(|p| p.url.to_string()).as_deref(), expected, "{text}");
        }
    }
}
