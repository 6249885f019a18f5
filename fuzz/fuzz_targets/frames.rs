//! Bytes as the client's side of a connection of HTTP/2, as they are read.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::frames(data));
