//! The fuzzer's corpora, replayed without a fuzzer: what was found once stays found.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test's panic is its finding, after the file's name"
)]

#[path = "../fuzz/fuzz_targets/common.rs"]
mod common;

use std::path::Path;

/// Runs `target` on every file of its corpus.
fn replay(name: &str, target: fn(&[u8])) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(name);
    let mut files: Vec<_> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "{} holds {} files", folder.display(), files.len());
    for file in files {
        println!("{}", file.display());
        target(&std::fs::read(&file).unwrap());
    }
}

#[test]
fn heads_are_read_in_one_way() {
    replay("admission", common::admission);
}

#[test]
fn a_pin_never_moves_while_its_backend_may_serve() {
    replay("choice", common::choice);
}

/// As the corpus, under many standings: the law is too wide for a dozen files.
#[test]
fn the_decision_table_holds_under_any_standing() {
    let mut random = fastrand::Rng::with_seed(1);
    for _ in 0..2000 {
        let bytes: Vec<u8> = (0..19).map(|n| if n == 0 { random.u8(0..12) } else { random.u8(..) }).collect();
        common::choice(&bytes);
    }
}

#[test]
fn chunked_bodies_do_not_depend_on_their_pieces() {
    replay("chunked", common::chunked);
}

#[test]
fn requests_of_http2_become_one_of_http1_each() {
    replay("translation", common::translation);
}

#[test]
fn what_is_made_of_frames_does_not_depend_on_their_pieces() {
    replay("frames", common::frames);
}

#[test]
fn cookies_choose_only_with_a_sealed_pin() {
    replay("cookie", common::cookie);
}

#[test]
fn only_sealed_pins_open() {
    replay("sealed", common::sealed);
}

#[test]
fn forwarded_addresses_are_canonical() {
    replay("forwarded", common::forwarded);
}

#[test]
fn proxy_headers_are_read_in_one_way() {
    replay("proxy_header", common::proxy_header);
}

#[test]
fn kept_tables_are_read_as_written_or_refused() {
    replay("table", common::table);
}

#[test]
fn configurations_are_used_or_refused() {
    replay("config", common::config);
}

#[test]
fn the_pins_of_the_corpora_are_real() {
    use homing::affinity::seal::{Aad, Scratch, SealKeys};
    let keys = SealKeys::parse(common::KEY).unwrap();
    let mut scratch = Scratch::new();
    for (text, backend) in common::SEALED.iter().zip(["a", "b", "gone", "a"]) {
        let pin = keys.open(&Aad::new("app", "srv"), text.as_bytes(), &mut scratch).unwrap();
        assert_eq!(pin.backend, backend);
    }
}
