//! Bytes as a table kept in a file: refused, or written and read as itself.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::table(data));
