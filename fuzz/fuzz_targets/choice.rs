//! Bytes as a pool's standing and a session: a pin never moves while its backend may serve.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::choice(data));
