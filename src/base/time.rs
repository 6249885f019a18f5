//! Wall-clock seconds, handed into decisions so that they never read a clock themselves.

/// Seconds since the Unix epoch. 32 bits last until 2106 and keep sealed pins small.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixSeconds(pub u32);

impl UnixSeconds {
    /// The system's clock, read now. A clock before 1970 reads as 0.
    #[must_use]
    pub fn now() -> Self {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self(since.map_or(0, |d| u32::try_from(d.as_secs()).unwrap_or(u32::MAX)))
    }

    /// Seconds from `earlier` to `self`; 0 when `earlier` lies in the future.
    #[must_use]
    pub const fn saturating_since(self, earlier: Self) -> u32 {
        self.0.saturating_sub(earlier.0)
    }
}
