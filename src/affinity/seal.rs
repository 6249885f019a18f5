//! The pin's sealed form: authenticated, encrypted, versioned, with a ring of keys.
//!
//! XChaCha20-Poly1305 ([draft-irtf-cfrg-xchacha](https://datatracker.ietf.org/doc/html/draft-irtf-cfrg-xchacha)):
//! its 24-byte nonces may be drawn at random at any rate. The text is base64url of
//!
//! ```text
//! version 1 | key id 2 | nonce 24 | encrypted: session 8, issued 4, last seen 4, boot 4, backend id 0..255 | tag 16
//! ```
//!
//! numbers big-endian. Of a session that moved and is to go back, a NUL and the id of its first home follow the
//! backend's, which hold none: what else a pin says is as before, so one version and one way to open it will do, and
//! pins without a first home are what they always were. Version, pool and cookie name are associated data: a value of another pool or under another
//! name does not open. The length of the text tells the length of the ids and nothing else of them.

use std::fmt;

use chacha20poly1305::aead::AeadInPlace;
use chacha20poly1305::{KeyInit, Tag, XChaCha20Poly1305, XNonce};
use thiserror::Error;

use super::base64url;
use crate::base::hash::hash64_seeded;
use crate::base::time::UnixSeconds;

/// Most keys that a ring holds.
pub const MAX_KEYS: usize = 16;
/// Longest backend id that can be sealed, in bytes.
pub const MAX_ID: usize = 255;
/// Longest text that can open, in bytes; what is longer is refused unread.
pub const MAX_TEXT: usize = base64url::encoded_len(MAX_RAW);

/// The keys that seal and open pins. The first seals, all open.
pub struct SealKeys {
    ring: Vec<Key>,
}

/// What a pin is bound to besides its key: the pool and the cookie's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Aad(Box<[u8]>);

/// What a pin holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed<'a> {
    /// The stable id of the backend that it names.
    pub backend: &'a str,
    /// The stable id of the backend that the session moved from and is to go back to.
    pub origin: Option<&'a str>,
    /// The random number that names the session.
    pub session: u64,
    /// When the session began.
    pub issued: UnixSeconds,
    /// When the pin was written.
    pub last_seen: UnixSeconds,
    /// Which node counted the session then.
    pub boot: u32,
}

/// Room on the stack in which a pin is opened.
pub struct Scratch([u8; MAX_RAW]);

/// Random bytes drawn from the system in batches, for one worker.
pub struct Nonces {
    batch: Box<[u8; NONCE * 64]>,
    used: usize,
}

/// A line of a key file that is not a key.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: {what}")]
pub struct KeyError {
    /// The line, from 1.
    pub line: usize,
    /// What is there and what would be right. Never the key itself.
    pub what: String,
}

/// Why a pin was not sealed.
#[derive(Debug, Error)]
pub enum SealError {
    /// The system gave no random bytes.
    #[error("draw a nonce")]
    Entropy(#[source] getrandom::Error),
    /// The backend's id is longer than [`MAX_ID`].
    #[error("seal a backend id of {0} bytes: must be at most 255")]
    LongId(usize),
}

/// Why a text does not open, as far as it tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Unopened {
    /// It has letters or an end that no sealed text has.
    #[error("it is not base64url, which pins are written in")]
    NotBase64,
    /// It is too short or too long for a pin; so many letters it has.
    #[error("it has {0} letters, and no pin has ({MIN_TEXT} to {MAX_TEXT}): it is cut or none")]
    Length(usize),
    /// It begins with a version that is not ours.
    #[error("it begins with version {0}: pins begin with {VERSION}")]
    Version(u8),
    /// No key of the ring has the id that it begins with.
    #[error("it was sealed with key {0:04x}, which this pool does not have")]
    UnknownKey(u16),
    /// The key of this place in the ring, from 0, has its id and does not open it.
    #[error("key {} has its id and does not open it: forged, changed, or sealed for another pool or name", .0 + 1)]
    Forged(usize),
}

struct Key {
    /// What the key makes of a constant: the same on every node that holds it, and nothing else is known of it.
    check: [u8; 16],
    cipher: XChaCha20Poly1305,
}

const VERSION: u8 = 1;
const KEY_ID: usize = 2;
const NONCE: usize = 24;
const HEAD: usize = 1 + KEY_ID + NONCE;
const FIXED: usize = 8 + 4 + 4 + 4;
const TAG: usize = 16;
/// Between the two ids.
const NUL: u8 = 0;
const MAX_RAW: usize = HEAD + FIXED + MAX_ID + 1 + MAX_ID + TAG;
const KEY_HEX: usize = 64;
/// Shortest text that can open, in bytes.
pub const MIN_TEXT: usize = base64url::encoded_len(HEAD + FIXED + TAG);

impl SealKeys {
    /// Reads a key file: one key a line as 64 hex digits, the first seals, all open; blank lines and what follows a
    /// `#` are left out.
    ///
    /// # Errors
    /// The first line that is not a key, is a key twice, or is one too many; or no key at all.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let mut ring: Vec<Key> = Vec::new();
        for (line, content) in (1..).zip(text.lines()) {
            let content = content.split('#').next().unwrap_or("").trim();
            if content.is_empty() {
                continue;
            }
            let key = Key::new(&parse_hex(content).map_err(|what| KeyError { line, what })?);
            let problem = if ring.iter().any(|k| k.check == key.check) {
                "this key stands on an earlier line: must be there once".to_owned()
            } else if ring.len() == MAX_KEYS {
                format!("one key too many: must be at most {MAX_KEYS}")
            } else {
                ring.push(key);
                continue;
            };
            return Err(KeyError { line, what: problem });
        }
        if ring.is_empty() {
            let what =
                "no key: must hold at least one line of 64 hex digits (openssl rand -hex 32)".to_owned();
            return Err(KeyError { line: text.lines().count().max(1), what });
        }
        Ok(Self { ring })
    }

    /// One key made now, known to this process only.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self { ring: vec![Key::new(&key)] })
    }

    /// How many keys there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ring.len()
    }

    /// Whether there is none; never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Appends the sealed text of `pin` to `out`.
    ///
    /// # Errors
    /// No random bytes, or an id too long; `out` is as it was.
    pub fn seal(
        &self,
        aad: &Aad,
        pin: &Sealed<'_>,
        nonces: &mut Nonces,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        let (id, origin) = (pin.backend.as_bytes(), pin.origin.unwrap_or_default().as_bytes());
        let longest = id.len().max(origin.len());
        let mut raw = [0; MAX_RAW];
        let mut end = HEAD + FIXED + id.len();
        let (Some(key), Some(place)) = (self.ring.first(), raw.get_mut(HEAD + FIXED..end)) else {
            return Err(SealError::LongId(longest));
        };
        if longest > MAX_ID {
            return Err(SealError::LongId(longest));
        }
        place.copy_from_slice(id);
        if !origin.is_empty() {
            raw[end] = NUL;
            raw[end + 1..end + 1 + origin.len()].copy_from_slice(origin);
            end += 1 + origin.len();
        }
        let mut nonce = nonces.draw().map_err(SealError::Entropy)?;
        raw[0] = VERSION;
        raw[1..1 + KEY_ID].copy_from_slice(key.id());
        raw[HEAD..HEAD + 8].copy_from_slice(&pin.session.to_be_bytes());
        raw[HEAD + 8..HEAD + 12].copy_from_slice(&pin.issued.0.to_be_bytes());
        raw[HEAD + 12..HEAD + 16].copy_from_slice(&pin.last_seen.0.to_be_bytes());
        raw[HEAD + 16..HEAD + 20].copy_from_slice(&pin.boot.to_be_bytes());
        mix(&mut nonce, &raw[HEAD..end]);
        raw[1 + KEY_ID..HEAD].copy_from_slice(&nonce);
        let tag =
            key.cipher.encrypt_in_place_detached(XNonce::from_slice(&nonce), &aad.0, &mut raw[HEAD..end]);
        let tag = tag.map_err(|_| SealError::LongId(longest))?; // Only for messages beyond 256 GiB.
        raw[end..end + TAG].copy_from_slice(&tag);
        base64url::encode(&raw[..end + TAG], out);
        Ok(())
    }

    /// Opens a sealed text; `None` if it was not sealed with one of these keys for this pool and name, whatever it is
    /// instead. Allocates nothing.
    #[must_use]
    pub fn open<'s>(&self, aad: &Aad, text: &[u8], scratch: &'s mut Scratch) -> Option<Sealed<'s>> {
        let raw = base64url::decode(text, &mut scratch.0)?;
        let (head, rest) = raw.split_at_mut_checked(HEAD)?;
        let (body, tag) = rest.split_at_mut_checked(rest.len().checked_sub(TAG)?)?;
        let (id, nonce) = head.split_first().filter(|(v, _)| **v == VERSION)?.1.split_at_checked(KEY_ID)?;
        let (nonce, tag) = (XNonce::from_slice(nonce), Tag::from_slice(tag));
        let mut keys = self.ring.iter().filter(|key| key.id() == id);
        keys.find(|key| key.cipher.decrypt_in_place_detached(nonce, &aad.0, body, tag).is_ok())?;
        Sealed::from_bytes(body)
    }

    /// A number that differs for rings that differ, for keys of caches.
    pub fn fingerprint(&self) -> Vec<u8> {
        self.ring.iter().flat_map(|key| key.check).collect()
    }

    /// The ids of the keys, in the ring's order: what a sealed text shows of its key.
    pub fn ids(&self) -> impl Iterator<Item = u16> {
        self.ring.iter().map(|key| u16::from_be_bytes([key.check[0], key.check[1]]))
    }

    /// As [`Self::open`], for people who ask: which key of the ring opens it, from 0, or what is in the way.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn inspect<'s>(
        &self,
        aad: &Aad,
        text: &[u8],
        scratch: &'s mut Scratch,
    ) -> Result<(usize, Sealed<'s>), Unopened> {
        if text.iter().any(|b| !b.is_ascii_alphanumeric() && !b"-_".contains(b)) {
            return Err(Unopened::NotBase64);
        }
        if !(MIN_TEXT..=MAX_TEXT).contains(&text.len()) || text.len() % 4 == 1 {
            return Err(Unopened::Length(text.len()));
        }
        let &mut [version, a, b, ..] = base64url::decode(text, &mut scratch.0).ok_or(Unopened::NotBase64)?
        else {
            return Err(Unopened::Length(text.len()));
        };
        if version != VERSION {
            return Err(Unopened::Version(version));
        }
        let id = u16::from_be_bytes([a, b]);
        let known = self.ids().position(|known| known == id).ok_or(Unopened::UnknownKey(id))?;
        // Two keys of one id are one in 65,536 rings of two; the first is told then.
        let sealed = self.open(aad, text, scratch).ok_or(Unopened::Forged(known))?;
        Ok((known, sealed))
    }
}

impl fmt::Debug for SealKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealKeys(***)")
    }
}

impl Aad {
    /// Binds to this pool and this cookie name.
    #[must_use]
    pub fn new(pool: &str, cookie: &str) -> Self {
        let mut bytes = vec![VERSION];
        for part in [pool, cookie] {
            bytes.extend((part.len() as u64).to_be_bytes());
            bytes.extend(part.as_bytes());
        }
        Self(bytes.into())
    }

    pub(super) const fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl<'a> Sealed<'a> {
    fn from_bytes(body: &'a [u8]) -> Option<Self> {
        let (session, rest) = body.split_first_chunk::<8>()?;
        let (issued, rest) = rest.split_first_chunk::<4>()?;
        let (last_seen, rest) = rest.split_first_chunk::<4>()?;
        let (boot, ids) = rest.split_first_chunk::<4>()?;
        let ids = std::str::from_utf8(ids).ok()?;
        let (backend, origin) = match ids.split_once(char::from(NUL)) {
            Some((backend, origin)) => (backend, Some(origin)),
            None => (ids, None),
        };
        Some(Self {
            backend,
            origin,
            session: u64::from_be_bytes(*session),
            issued: UnixSeconds(u32::from_be_bytes(*issued)),
            last_seen: UnixSeconds(u32::from_be_bytes(*last_seen)),
            boot: u32::from_be_bytes(*boot),
        })
    }
}

impl Scratch {
    /// Empty room.
    #[must_use]
    pub const fn new() -> Self {
        Self([0; MAX_RAW])
    }
}

impl Default for Scratch {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Scratch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Scratch(***)")
    }
}

impl Nonces {
    /// Nothing drawn yet: the first use asks the system.
    #[must_use]
    pub fn new() -> Self {
        Self { batch: Box::new([0; NONCE * 64]), used: NONCE * 64 }
    }

    /// The next nonce. None is given out twice: after a failure the next draw asks the system again.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn draw(&mut self) -> Result<[u8; NONCE], getrandom::Error> {
        let next = self.batch.get(self.used..).and_then(<[u8]>::first_chunk::<NONCE>);
        let nonce = if let Some(nonce) = next {
            *nonce
        } else {
            getrandom::fill(&mut self.batch[..])?;
            self.used = 0;
            let mut nonce = [0; NONCE];
            nonce.copy_from_slice(&self.batch[..NONCE]);
            nonce
        };
        self.used += NONCE;
        Ok(nonce)
    }
}

impl Default for Nonces {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Nonces {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Nonces(***)")
    }
}

impl Key {
    fn new(key: &[u8; 32]) -> Self {
        let cipher = XChaCha20Poly1305::new(key.into());
        // The encryption of zeros under a nonce that is no random one. Its first bytes are shown as the key's id.
        let mut check = [0; 16];
        let nonce = XNonce::from_slice(b"homing: the id of a key.");
        if cipher.encrypt_in_place_detached(nonce, b"", &mut check).is_err() {
            check = [0; 16]; // Only for messages beyond 256 GiB.
        }
        Self { check, cipher }
    }

    fn id(&self) -> &[u8] {
        &self.check[..KEY_ID]
    }
}

/// Folds what is sealed into its nonce: no less random, and two different pins have different nonces even if a virtual
/// machine was started twice from one memory image and draws the same batch again.
fn mix(nonce: &mut [u8; NONCE], body: &[u8]) {
    for (part, seed) in nonce.chunks_exact_mut(8).zip(1..) {
        let hash = hash64_seeded(body, seed).to_be_bytes();
        part.iter_mut().zip(hash).for_each(|(n, h)| *n ^= h);
    }
}

fn parse_hex(text: &str) -> Result<[u8; 32], String> {
    let mut key = [0; 32];
    if let Some(at) = text.bytes().position(|b| !b.is_ascii_hexdigit()) {
        return Err(format!("character {} is no hex digit: must be {KEY_HEX} of 0-9, a-f", at + 1));
    }
    if text.len() != KEY_HEX {
        return Err(format!("{} hex digits: must be {KEY_HEX} (openssl rand -hex 32)", text.len()));
    }
    let digit = |b: u8| char::from(b).to_digit(16).and_then(|d| u8::try_from(d).ok()).unwrap_or(0);
    for (byte, pair) in key.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = pair.iter().fold(0, |byte, &b| byte << 4 | digit(b));
    }
    Ok(key)
}

#[cfg(test)]
#[path = "seal_tests.rs"]
mod tests;
