//! homing: a reverse-proxy load balancer on which a client that has found a backend keeps finding it.
//!
//! The house has eight floors, listed from the ground up; a file may use its own room and the floors below it, never
//! another room of its floor and never one above (`tests/architecture.rs` holds us to it). A request's way is told by
//! [`proxy`]; ARCHITECTURE.md tells the rest.

// 0: what everything stands on
pub mod base;

// 1: who is there, messages and sockets, counters, what was measured
pub mod backend;
pub mod message;
pub mod net;
pub mod report;
pub mod telemetry;

// 2: decisions
pub mod affinity;
pub mod health;
pub mod route;
pub mod strategy;

// 3: members, affinity, strategy and standing, joined
pub mod pool;

// 4: what crosses between the planes, what outlives the process
pub mod snapshot;
pub mod store;

// 5: text to snapshot
pub mod config;

// 6: data plane, control plane, and the tools beside them
pub mod control;
pub mod demo;
pub mod proxy;
pub mod simulate;

// 7: wiring
pub mod app;
pub mod bench;
pub mod cli;
pub mod explain;
