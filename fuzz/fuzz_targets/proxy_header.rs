//! Bytes as the start of a connection from a proxy.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::proxy_header(data));
