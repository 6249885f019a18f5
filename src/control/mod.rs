//! Stub, replaced when the room is joined.
use std::sync::Arc;
use crate::snapshot::phase::Phases; use crate::snapshot::published::Published; use crate::snapshot::reports::Reports; use crate::telemetry::metrics::Metrics;
/// x
#[derive(Debug)] pub struct Start { /// x
pub published: Arc<Published>, /// x
pub reports: Reports, /// x
pub metrics: Arc<Metrics>, /// x
pub phases: Arc<Phases>, /// x
pub admin: Option<socket2::Socket>, /// x
pub reopen: Option<crate::telemetry::access_log::Reopener>, /// x
pub heeds_signals: bool }
/// x
#[derive(Debug)] pub struct Handle;
impl Handle { /// x
pub fn join(self) {} }
/// x
/// # Errors
/// x
pub fn start(s: Start) -> std::io::Result<Handle> { std::mem::drop(s); Ok(Handle) }
