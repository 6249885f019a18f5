//! Behaviour over real sockets: one file per behaviour, through the harness.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]
#![allow(clippy::print_stdout, reason = "what was counted is shown")]

mod harness;

mod admin_api;
mod application;
mod attacks;
mod bench;
mod browser;
mod caps;
mod clients;
mod commands;
mod cookie_affinity;
mod difference;
mod explain;
mod failover;
mod failover_causes;
mod faults;
mod framing;
mod gep_1619;
mod going_away;
mod grpc;
mod h2_abuse;
mod h2_conformance;
mod h2_endings;
mod h2_errors;
mod http2;
mod http2_upstream;
mod lost;
mod modes;
mod one_connection;
mod openapi;
mod page;
mod panics;
mod placement;
mod policy;
mod probe;
mod proxy_protocol;
mod queue;
mod reload;
mod report;
mod rolling_deploy;
mod routes;
mod shutdown;
mod simulate;
mod skew;
mod streaming;
mod tls;
mod tls_upstream;
mod tunnel;
mod who_asked;
