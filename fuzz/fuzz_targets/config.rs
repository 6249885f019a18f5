//! Text as a configuration: used or refused, never more.

#![no_main]

mod common;

libfuzzer_sys::fuzz_target!(|data: &[u8]| common::config(data));
