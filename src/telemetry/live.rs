//! What is true now and counted elsewhere: sessions, requests in flight, states. Whoever owns it hands it in.

use super::metrics::Names;
use crate::base::time::UnixSeconds;

/// What is true now. Places are those in [`Live::names`].
pub trait Live {
    /// Whose series are to be seen, in the order in which they are to stand.
    fn names(&self) -> Names;
    /// The session table of the pool at this place, if it has one.
    fn table(&self, pool: usize) -> Option<TableLive>;
    /// The backend at this place of this pool.
    fn backend(&self, pool: usize, backend: usize) -> BackendLive;
    /// Reports of workers that the control plane did not get.
    fn reports_dropped(&self) -> u64;
}

/// What is true of one pool's session table now.
#[derive(Clone, Copy, Debug)]
pub struct TableLive {
    /// Sessions in it.
    pub entries: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Live sessions that had to make room, since it is there.
    pub evicted_live: u64,
    /// Sessions that were over when they made room.
    pub evicted_expired: u64,
}

/// What is true of one backend now.
#[derive(Clone, Copy, Debug)]
pub struct BackendLive {
    /// Its state, the one that matters most.
    pub state: BackendState,
    /// Its weight.
    pub weight: u16,
    /// Requests and tunnels in flight.
    pub in_flight: u32,
    /// Of these, tunnels.
    pub tunnels: u32,
    /// Requests that wait because it is full.
    pub waiting: u32,
    /// Live sessions.
    pub sessions: u32,
    /// How far its drain has come, if it drains.
    pub drain: Option<DrainLive>,
}

/// What is true of a drain now.
#[derive(Clone, Copy, Debug)]
pub struct DrainLive {
    /// Sessions that are still there.
    pub sessions: u32,
    /// When it began.
    pub started: UnixSeconds,
    /// When it ends whoever is still there, if ever.
    pub deadline: Option<UnixSeconds>,
}

/// A backend's state in one word: of all that is true, the first that keeps new sessions away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackendState {
    /// Serves everybody.
    Up,
    /// Serves everybody; no check has said so yet.
    Unknown,
    /// Closed to new sessions for a while by failures.
    Ejected,
    /// Closed to new sessions by the operator.
    Drain,
    /// Closed to new sessions by checks; those that it has are kept.
    Weak,
    /// Closed by checks.
    Down,
    /// Closed by the operator.
    Maint,
}

impl BackendState {
    /// Every state, in declaration order.
    pub const ALL: [Self; 7] =
        [Self::Up, Self::Unknown, Self::Ejected, Self::Drain, Self::Weak, Self::Down, Self::Maint];

    /// As a label and in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unknown => "unknown",
            Self::Ejected => "ejected",
            Self::Drain => "drain",
            Self::Weak => "weak",
            Self::Down => "down",
            Self::Maint => "maint",
        }
    }
}
