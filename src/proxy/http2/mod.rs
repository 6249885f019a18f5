//! HTTP/2 towards clients.
//!
//! [`watch`] counts what a client does to its connection, [`watched`] is that connection with the watch beside it.

pub mod watch;
pub mod watched;
