//! Bytes and sockets; knows no pool.
//!
//! [`listen`] binds, [`connect`] dials, [`descriptors`] counts what that takes, [`crowd`] counts who has come in,
//! [`stream`] is a connection of either kind, [`buffer`] is where bytes wait, [`proxy_header`] reads who a connection is
//! from where a proxy says so, [`tls`] is what listeners and connections to backends encrypt with.

pub mod buffer;
pub mod connect;
pub mod crowd;
pub mod descriptors;
pub mod listen;
pub mod proxy_header;
pub mod stream;
pub mod tls;
