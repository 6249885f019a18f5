//! What opens and, mostly, what does not.

use proptest::prelude::*;

use super::*;

const A: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const B: &str = "f0e0d0c0b0a090807060504030201000f0e0d0c0b0a090807060504030201000";

fn keys(text: &str) -> SealKeys {
    SealKeys::parse(text).unwrap()
}

fn pin(backend: &str) -> Sealed<'_> {
    let (issued, last_seen) = (UnixSeconds(1_800_000_000), UnixSeconds(1_800_000_060));
    Sealed { backend, origin: None, session: 0x0123_4567_89ab_cdef, issued, last_seen, boot: 7 }
}

fn sealed(keys: &SealKeys, aad: &Aad, pin: &Sealed<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    keys.seal(aad, pin, &mut Nonces::new(), &mut out).unwrap();
    out
}

#[test]
fn a_pin_opens_to_what_was_sealed() {
    let (keys, aad) = (keys(A), Aad::new("web", "srv"));
    for id in ["", "a", "10.0.0.7:8080", "unix:/run/app.sock", "käse", &"x".repeat(MAX_ID)] {
        let text = sealed(&keys, &aad, &pin(id));
        assert_eq!(keys.open(&aad, &text, &mut Scratch::new()), Some(pin(id)));
        assert!(text.len() <= MAX_TEXT);
    }
}

#[test]
fn a_usual_pin_is_about_a_hundred_letters() {
    assert_eq!(sealed(&keys(A), &Aad::new("web", "srv"), &pin("10.0.0.7:8080")).len(), 102);
}

#[test]
fn an_id_that_is_too_long_is_not_sealed() {
    let mut out = b"before".to_vec();
    for n in [MAX_ID + 1, MAX_ID + 17, 4000] {
        let id = "x".repeat(n);
        let result = keys(A).seal(&Aad::new("web", "srv"), &pin(&id), &mut Nonces::new(), &mut out);
        assert!(matches!(result, Err(SealError::LongId(len)) if len == n));
    }
    assert_eq!(out, b"before");
}

#[test]
fn the_same_pin_is_never_sealed_the_same_way() {
    let (keys, aad, mut nonces) = (keys(A), Aad::new("web", "srv"), Nonces::new());
    let mut seen = std::collections::HashSet::new();
    for _ in 0..1000 {
        let mut out = Vec::new();
        keys.seal(&aad, &pin("a"), &mut nonces, &mut out).unwrap();
        assert!(seen.insert(out));
    }
}

#[test]
fn another_pool_name_or_key_does_not_open() {
    let check = |ring: &str, pool: &str, cookie: &str, opens: bool| {
        let text = sealed(&keys(A), &Aad::new("web", "srv"), &pin("a"));
        let opened = keys(ring).open(&Aad::new(pool, cookie), &text, &mut Scratch::new()).is_some();
        assert_eq!(opened, opens, "{pool}/{cookie}");
    };
    check(A, "web", "srv", true);
    check(B, "web", "srv", false);
    check(A, "api", "srv", false);
    check(A, "web", "SRV", false);
    check(A, "webs", "rv", false);
    check(A, "we", "bsrv", false);
    check(A, "srv", "web", false);
    check(A, "", "websrv", false);
}

#[test]
fn an_old_key_opens_and_a_new_one_seals() {
    let (aad, rotated) = (Aad::new("web", "srv"), keys(&format!("{B}\n{A}")));
    let old = sealed(&keys(A), &aad, &pin("a"));
    let new = sealed(&rotated, &aad, &pin("a"));
    let opens = |ring: &SealKeys, text: &[u8]| ring.open(&aad, text, &mut Scratch::new()).is_some();
    assert!(opens(&rotated, &old) && opens(&rotated, &new));
    assert!(opens(&keys(B), &new) && !opens(&keys(A), &new));
    assert!(!opens(&keys(B), &old));
}

#[test]
fn nodes_with_the_same_file_open_each_others_pins() {
    let (aad, one, other) = (Aad::new("web", "srv"), keys(A), keys(&format!("# node 2\n\n{A}\n")));
    assert!(other.open(&aad, &sealed(&one, &aad, &pin("a")), &mut Scratch::new()).is_some());
    assert_eq!(one.fingerprint(), other.fingerprint());
}

#[test]
fn random_keys_differ() {
    let (a, b) = (SealKeys::random().unwrap(), SealKeys::random().unwrap());
    assert_ne!(a.fingerprint(), b.fingerprint());
    assert_eq!((a.len(), a.is_empty()), (1, false));
}

#[test]
fn a_key_file_is_read_and_its_mistakes_are_placed() {
    let ok = |text: &str, n: usize| assert_eq!(keys(text).len(), n, "{text}");
    ok(A, 1);
    ok(&format!("\n# two\r\n{A}\r\n  {B}  # the old one\n\n"), 2);
    ok(&A.to_uppercase(), 1);
    let sixteen: String = (0..16).map(|n| format!("{n:064x}\n")).collect();
    ok(&sixteen, 16);

    let bad = |text: &str, line: usize, part: &str| {
        let error = SealKeys::parse(text).unwrap_err();
        assert!(error.line == line && error.what.contains(part), "{error}");
        assert!(!error.to_string().contains(&A[..8]), "a key in a message");
    };
    bad("", 1, "no key");
    bad("# nothing\n\n", 2, "no key");
    bad(&A[..63], 1, "63 hex digits: must be 64");
    bad(&format!("\n{A}0"), 2, "65 hex digits");
    bad(&format!("{A}\n{}g", &A[..63]), 2, "character 64 is no hex digit");
    bad(&format!("{A}\n{B}\n{}", A.to_uppercase()), 3, "earlier line");
    bad(&format!("{sixteen}{A}"), 17, "at most 16");
}

#[test]
fn nothing_secret_is_printed() {
    assert_eq!(format!("{:?}", keys(A)), "SealKeys(***)");
    assert_eq!(format!("{:?} {:?}", Nonces::new(), Scratch::new()), "Nonces(***) Scratch(***)");
}

#[test]
fn every_flipped_bit_and_every_cut_is_refused() {
    let (keys, aad) = (keys(&format!("{A}\n{B}")), Aad::new("web", "srv"));
    let text = sealed(&keys, &aad, &pin("10.0.0.7:8080"));
    let opens = |text: &[u8]| keys.open(&aad, text, &mut Scratch::new()).is_some();
    for at in 0..text.len() {
        assert!(!opens(&text[..at]) && !opens(&text[at + 1..]));
        for bit in 0..8 {
            let mut forged = text.clone();
            forged[at] ^= 1 << bit;
            assert!(!opens(&forged), "bit {bit} of letter {at}");
        }
    }
    for more in [&b"A"[..], b"AAAA", b"=", b" "] {
        assert!(!opens(&[&text[..], more].concat()));
    }
    assert!(opens(&text));
}

#[test]
fn a_first_home_is_sealed_with_the_pin_and_its_id_is_bounded_too() {
    let (keys, aad) = (keys(A), Aad::new("web", "srv"));
    for (id, origin) in [("b", "a"), ("b", &*"x".repeat(MAX_ID)), (&*"x".repeat(MAX_ID), "käse")] {
        let moved = Sealed { origin: Some(origin), ..pin(id) };
        let text = sealed(&keys, &aad, &moved);
        assert_eq!(keys.open(&aad, &text, &mut Scratch::new()), Some(moved));
        assert!(text.len() <= MAX_TEXT);
    }
    let long = "x".repeat(MAX_ID + 1);
    let long = Sealed { origin: Some(&long), ..pin("b") };
    let result = keys.seal(&aad, &long, &mut Nonces::new(), &mut Vec::new());
    assert!(matches!(result, Err(SealError::LongId(256))));
}

#[test]
fn a_pin_from_before_there_were_first_homes_opens() {
    let text = b"AZ8VaugFkvpLLzHPclX8q0hVNjoKMEXq1BmnMDokpRwVrt8DCpsHuoDFNEIz3otAB-XA_wgoDwqri3Z2hOjbNpRTkgEt-UnjfM3UQw";
    let opened = Sealed { session: 42, ..pin("10.0.0.7:8080") };
    assert_eq!(keys(A).open(&Aad::new("web", "srv"), text, &mut Scratch::new()), Some(opened));
}

proptest! {
    #[test]
    fn sealing_round_trips(
        backend in "\\PC{0,60}", origin in prop::option::of("\\PC{1,60}"), session in any::<u64>(), issued in any::<u32>(), last_seen in any::<u32>(),
        boot in any::<u32>(), pool in "\\PC{0,20}", name in "[!-:<-~]{1,20}",
    ) {
        let (keys, aad) = (keys(A), Aad::new(&pool, &name));
        let (issued, last_seen) = (UnixSeconds(issued), UnixSeconds(last_seen));
        let pin = Sealed { backend: &backend, origin: origin.as_deref(), session, issued, last_seen, boot };
        let mut scratch = Scratch::new();
        prop_assert_eq!(keys.open(&aad, &sealed(&keys, &aad, &pin), &mut scratch), Some(pin));
    }

    #[test]
    fn any_bytes_open_to_nothing(text in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut scratch = Scratch::new();
        prop_assert_eq!(keys(A).open(&Aad::new("web", "srv"), &text, &mut scratch), None);
    }

    #[test]
    fn any_letters_under_our_version_and_key_open_to_nothing(tail in prop::collection::vec(any::<u8>(), 0..330)) {
        let keys = keys(A);
        let mut text = Vec::new();
        base64url::encode(&[&[VERSION][..], keys.ring[0].id(), &tail].concat(), &mut text);
        let mut scratch = Scratch::new();
        prop_assert_eq!(keys.open(&Aad::new("web", "srv"), &text, &mut scratch), None);
    }
}

#[test]
fn an_inspection_tells_the_key_or_the_first_thing_wrong() {
    let (old, ring) = (keys(B), keys(&format!("{A}\n{B}")));
    let aad = Aad::new("web", "srv");
    let text = sealed(&old, &aad, &pin("a"));
    let inspect = |ring: &SealKeys, aad: &Aad, text: &[u8]| {
        ring.inspect(aad, text, &mut Scratch::new()).map(|(key, _)| key)
    };
    assert_eq!(ring.inspect(&aad, &text, &mut Scratch::new()), Ok((1, pin("a"))));
    let id = old.ids().next().unwrap();
    assert_eq!(inspect(&keys(A), &aad, &text), Err(Unopened::UnknownKey(id)));
    assert_eq!(inspect(&ring, &Aad::new("web", "other"), &text), Err(Unopened::Forged(1)));
    assert_eq!(inspect(&ring, &aad, &text[..60]), Err(Unopened::Length(60)));
    assert_eq!(inspect(&ring, &aad, &[b'A'; MAX_TEXT + 1]), Err(Unopened::Length(MAX_TEXT + 1)));
    assert_eq!(inspect(&ring, &aad, b"a.b"), Err(Unopened::NotBase64));
    assert_eq!(inspect(&ring, &aad, &text[..85]), Err(Unopened::Length(85)), "no bytes have so many");
    let other = [b"AA".as_slice(), &text[2..]].concat();
    assert_eq!(inspect(&ring, &aad, &other), Err(Unopened::Version(0)));
    let mut forged = text;
    forged[70] = if forged[70] == b'A' { b'B' } else { b'A' };
    assert_eq!(inspect(&ring, &aad, &forged), Err(Unopened::Forged(1)));
}
