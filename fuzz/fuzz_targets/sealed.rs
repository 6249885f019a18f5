//! Bytes as a sealed pin: only what was sealed opens.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::sealed(data));
