//! The header in which a client without a cookie jar carries its pin: told in the answer, read back from requests,
//! and seen by no backend.

use super::opened::OpenedCache;
use super::pins::{Pins, Renewal};
use super::seal::{Nonces, SealError, SealKeys};
use super::{By, Session, Terms};
use crate::backend::members::Members;
use crate::base::time::UnixSeconds;
use std::sync::Arc;

/// One pool's header.
#[derive(Debug)]
pub struct HeaderAffinity {
    name: Box<str>,
    pins: Pins,
}

impl HeaderAffinity {
    /// A header of this name, which is told as it is written and read in any case.
    #[must_use]
    pub fn new(pool: &str, name: &str, keys: Arc<SealKeys>, terms: Terms) -> Self {
        // Pins are bound to the name: one that was given in a cookie does not open in a header.
        let pins = Pins::new(pool, &format!("header:{name}"), keys, terms, Renewal::Ours);
        Self { name: name.into(), pins }
    }

    /// The header's name.
    #[must_use]
    pub const fn name(&self) -> &str {
        &self.name
    }

    /// Its pins.
    #[must_use]
    pub const fn pins(&self) -> &Pins {
        &self.pins
    }

    /// Whether a field of this name is ours.
    #[must_use]
    pub const fn is_ours(&self, name: &[u8]) -> bool {
        name.eq_ignore_ascii_case(self.name.as_bytes())
    }

    /// The session that the header's value tells; an empty one is what a client has that was told to forget its pin.
    pub fn read(
        &self,
        value: Option<&[u8]>,
        members: &Members,
        now: UnixSeconds,
        cache: &mut OpenedCache,
        fresh: u64,
    ) -> Session {
        match value.filter(|value| !value.is_empty()) {
            Some(value) => Session { by: By::Header, ..self.pins.read(value, members, now, cache, fresh) },
            None => Session::begin(fresh, now),
        }
    }

    /// Appends the value that pins `session` to `backend`, written now; it remembers the backend `origin` as the
    /// session's first home.
    ///
    /// # Errors
    /// The pin cannot be sealed; `out` is as it was, and the answer goes out without it.
    pub fn write(
        &self,
        session: &Session,
        backend: &str,
        origin: Option<&str>,
        now: UnixSeconds,
        nonces: &mut Nonces,
        out: &mut Vec<u8>,
    ) -> Result<(), SealError> {
        self.pins.write(session, backend, origin, now, nonces, out)
    }
}
