//! homing: a reverse-proxy load balancer on which a client that has found a backend keeps finding it.

pub mod base;

pub mod backend;
pub mod net;

pub mod affinity;
pub mod health;
pub mod route;
pub mod strategy;

pub mod pool;

pub mod snapshot;

pub mod config;
