//! Behaviour over real sockets: one file per behaviour, through the harness.

mod harness;

mod cookie_affinity;
mod failover;
mod framing;
mod placement;
mod routes;
mod shutdown;
mod streaming;
mod tunnel;
