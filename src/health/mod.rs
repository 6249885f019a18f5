//! Verdicts from checks and from real requests: pure counting, no sockets and no clock.

pub mod outlier;
pub mod streak;
