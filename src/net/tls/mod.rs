//! TLS: what speaks it to backends, and a session of it as a connection.
//!
//! Which files say what is for [`crate::config`]; what goes through a session is for whoever has it.

pub mod client;
pub mod stream;
