//! Bytes as the chunked coding, whole and in pieces.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::chunked(data));
