//! homing: a reverse-proxy load balancer on which a client that has found a backend keeps finding it.

pub mod base;

pub mod backend;
pub mod message;
pub mod net;
pub mod telemetry;

pub mod affinity;
pub mod health;
pub mod route;
pub mod strategy;

pub mod pool;

pub mod snapshot;

pub mod control;
pub mod demo;
pub mod proxy;
pub mod app;
pub mod cli;
pub mod explain;
