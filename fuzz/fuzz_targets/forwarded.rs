//! Bytes as an entry of `X-Forwarded-For`.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::forwarded(data));
