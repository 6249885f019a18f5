//! Bytes as a head: its end, its parts and where its body would end.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::admission(data));
