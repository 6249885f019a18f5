//! Session tickets: what a client brings back to be known again, sealed so that only we can read it.
//!
//! A ticket is the name of its key (8 bytes), a nonce (24), and what is sealed by XChaCha20-Poly1305 with the name as
//! associated data: when it was made (8), and what the library wants to know again. Every listener derives keys of its
//! own: a ticket is worth nothing at another listener, nor where other client certificates are asked for.
//!
//! Keys come from a file that several nodes share, and the first one seals; or they are random, and change every 12
//! hours. A ticket is good for 24 hours however old its key may become.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac as _};
use rustls::crypto::SecureRandom;
use rustls::server::ProducesTickets;
use sha2::Sha256;

use crate::base::time::UnixSeconds;

/// How long a ticket is good.
const LIFE: Duration = Duration::from_secs(24 * 60 * 60);
/// How long random keys seal. Two that are older are kept, so that no ticket dies before its time.
const ROTATION: Duration = Duration::from_secs(12 * 60 * 60);
/// Older random keys that are kept.
const KEPT: usize = 2;
/// How far the clocks of nodes may differ.
const SKEW: u32 = 60;
/// Most keys of a file.
const MOST_KEYS: usize = 16;
const NAME: usize = 8;
const NONCE: usize = 24;
const TIME: usize = 8;

/// A key as a file has it.
#[derive(Clone, PartialEq, Eq)]
pub struct TicketKey([u8; 32]);

/// Seals and opens a listener's tickets.
pub struct Tickets {
    ring: ArcSwap<Ring>,
    /// What sets this listener's keys apart from another's.
    context: Vec<u8>,
    random: &'static dyn SecureRandom,
}

/// The keys at one moment. The first one seals.
struct Ring {
    keys: Vec<Arc<Derived>>,
    since: Instant,
    /// Whether they change by themselves.
    is_random: bool,
}

struct Derived {
    name: [u8; NAME],
    cipher: XChaCha20Poly1305,
}

impl TicketKey {
    /// Reads a file: 64 hex digits a line, as of `openssl rand -hex 32`, the newest key first.
    ///
    /// # Errors
    /// What the file must be: the rest of a sentence.
    pub fn parse_all(text: &str) -> Result<Vec<Self>, String> {
        let must = || "must hold 64 hex digits a line, the newest key first".to_owned();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let keys: Vec<Self> =
            lines.map(|line| Self::parse(line).ok_or_else(must)).collect::<Result<_, _>>()?;
        match keys.len() {
            0 => Err(must()),
            n if n > MOST_KEYS => Err(format!("holds {n} keys: there may be {MOST_KEYS}")),
            _ => Ok(keys),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let mut key = [0; 32];
        if line.len() != 64 || !line.is_ascii() {
            return None;
        }
        for (byte, digits) in key.iter_mut().zip(line.as_bytes().chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        // The parser of numbers takes a sign.
        line.bytes().all(|b| b.is_ascii_hexdigit()).then_some(Self(key))
    }
}

impl Tickets {
    /// With keys of a file, or with random ones.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub fn new(
        keys: Option<&[TicketKey]>,
        context: &[u8],
        random: &'static dyn SecureRandom,
    ) -> Result<Self, String> {
        let ring = match keys {
            Some(keys) => Ring::of(keys, context),
            None => Ring { is_random: true, ..Ring::of(&[fresh(random)?], context) },
        };
        Ok(Self { ring: ArcSwap::from_pointee(ring), context: context.to_vec(), random })
    }

    /// Takes other keys of the file.
    pub fn replace(&self, keys: &[TicketKey]) {
        self.ring.store(Arc::new(Ring::of(keys, &self.context)));
    }

    /// Makes a new key where they are random and the present one has served its time.
    pub fn rotate(&self) {
        let old = self.ring.load();
        if !old.is_random || old.since.elapsed() < ROTATION {
            return;
        }
        // Without random numbers the old key goes on for a while.
        let Ok(key) = fresh(self.random) else { return };
        let mut ring = Ring { is_random: true, ..Ring::of(&[key], &self.context) };
        ring.keys.extend(old.keys.iter().take(KEPT).cloned());
        self.ring.store(Arc::new(ring));
    }
}

fn fresh(random: &dyn SecureRandom) -> Result<TicketKey, String> {
    let mut key = [0; 32];
    random.fill(&mut key).map_err(|_| "the system gives no random numbers".to_owned())?;
    Ok(TicketKey(key))
}

impl Ring {
    fn of(keys: &[TicketKey], context: &[u8]) -> Self {
        let keys = keys.iter().map(|key| Arc::new(Derived::new(key, context))).collect();
        Self { keys, since: Instant::now(), is_random: false }
    }
}

impl Derived {
    fn new(key: &TicketKey, context: &[u8]) -> Self {
        let key = mac(&key.0, &[b"homing tls ticket 1\0", context]);
        let mut name = [0; NAME];
        name.iter_mut().zip(mac(&key, &[b"name"])).for_each(|(to, from)| *to = from);
        Self { name, cipher: XChaCha20Poly1305::new(&key.into()) }
    }
}

fn mac(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // A key that is shorter than a block is filled up with zeros. (RFC 2104 section 2)
    let mut block = [0; 64];
    block.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    let mut mac = <Hmac<Sha256> as hmac::Mac>::new(&block.into());
    parts.iter().for_each(|part| mac.update(part));
    mac.finalize().into_bytes().into()
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        u32::try_from(LIFE.as_secs()).unwrap_or(u32::MAX)
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let ring = self.ring.load();
        let key = ring.keys.first()?;
        let mut nonce = [0; NONCE];
        self.random.fill(&mut nonce).ok()?;
        let mut message = Vec::with_capacity(TIME + plain.len());
        message.extend_from_slice(&u64::from(UnixSeconds::now().0).to_be_bytes());
        message.extend_from_slice(plain);
        let payload = Payload { msg: &message, aad: &key.name };
        let sealed = key.cipher.encrypt(XNonce::from_slice(&nonce), payload).ok()?;
        let mut out = Vec::with_capacity(NAME + NONCE + sealed.len());
        out.extend_from_slice(&key.name);
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        Some(out)
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE)?;
        let ring = self.ring.load();
        let key = ring.keys.iter().find(|key| key.name == name)?;
        let mut plain =
            key.cipher.decrypt(XNonce::from_slice(nonce), Payload { msg: sealed, aad: name }).ok()?;
        let made = u64::from_be_bytes(*plain.first_chunk::<TIME>()?);
        let now = u64::from(UnixSeconds::now().0);
        let is_good = made <= now + u64::from(SKEW) && now.saturating_sub(made) < LIFE.as_secs();
        is_good.then(|| plain.split_off(TIME))
    }
}

impl fmt::Debug for TicketKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TicketKey(..)")
    }
}

impl fmt::Debug for Tickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tickets").field("keys", &self.ring.load().keys.len()).finish_non_exhaustive()
    }
}
