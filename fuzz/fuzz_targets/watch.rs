//! Bytes as both sides of a connection of HTTP/2, as its watch sees them.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::watch(data));
