//! Bytes as `Cookie` lines: a pin is one that was sealed, and what is stripped is gone.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::cookie(data));
