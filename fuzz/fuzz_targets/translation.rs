//! Bytes as requests of HTTP/2 that become ones of HTTP/1.1.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::translation(data));
