//! Bytes and sockets; knows no pool.
//!
//! [`listen`] binds, [`connect`] dials, [`stream`] is a connection of either kind, [`buffer`] is where bytes wait.

pub mod buffer;
pub mod connect;
pub mod listen;
pub mod stream;
