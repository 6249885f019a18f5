//! Units, prefixes, hashing, option reading: what every other room may use.
//!
//! Nothing here knows what a backend or a request is.

pub mod address;
pub mod cidr;
pub mod crc;
pub mod hash;
pub mod ip_text;
pub mod options;
pub mod settings;
pub mod time;
pub mod units;
