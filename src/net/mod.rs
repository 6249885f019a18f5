//! Bytes and sockets; knows no pool.

pub mod listen;
