//! The bench: what routing costs sessions, measured on running balancers.

pub mod probe;
