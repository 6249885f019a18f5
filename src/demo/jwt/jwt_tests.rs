//! Tokens of every algorithm, and what is not one.

use serde_json::json;

use super::*;

const ALL: [Algorithm; 4] = [Algorithm::Hs256, Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa];

#[test]
fn a_token_round_trips_and_every_change_of_it_is_refused() {
    for algorithm in ALL {
        let keys = Keys::generate(algorithm).unwrap();
        let claims = json!({ "sub": "ada", "exp": 1 });
        let token = sign(&keys, &claims).unwrap();
        assert_eq!(verify(&keys, &token), Some(claims), "{algorithm:?}");
        for at in 0..token.len() {
            let mut bytes = token.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(verify(&keys, std::str::from_utf8(&bytes).unwrap()), None, "{algorithm:?} at {at}");
        }
        for len in 0..token.len() {
            assert_eq!(verify(&keys, &token[..len]), None, "{algorithm:?} cut at {len}");
        }
        assert_eq!(verify(&keys, &format!("{token}A")), None);
        assert_eq!(verify(&Keys::generate(algorithm).unwrap(), &token), None, "another key");
    }
}

/// The lengths are those that RFC 7518 and RFC 8037 make of a payload of 90 bytes.
#[test]
fn a_token_is_as_long_as_its_signature_makes_it() {
    for (algorithm, expected) in
        [(Algorithm::Hs256, 201), (Algorithm::Rs256, 500), (Algorithm::Es256, 244), (Algorithm::EdDsa, 244)]
    {
        let claims = json!({ "sub": "a".repeat(90 - r#"{"sub":""}"#.len()) });
        let token = sign(&Keys::generate(algorithm).unwrap(), &claims).unwrap();
        assert_eq!(token.len(), expected, "{algorithm:?}");
    }
}

#[test]
fn a_header_chooses_nothing() {
    let payload = letters(br#"{"sub":"ada"}"#);
    for algorithm in ALL {
        let keys = Keys::generate(algorithm).unwrap();
        for header in [
            r#"{"alg":"none","typ":"JWT"}"#,
            r#"{"alg":"None"}"#,
            r#"{"alg":"HS256","typ":"JWT","kid":"../../dev/null"}"#,
            r#"{"typ":"JWT","alg":"HS256"}"#,
            r#"{"alg":"HS512","typ":"JWT"}"#,
        ] {
            let signed = format!("{}.{payload}", letters(header.as_bytes()));
            assert_eq!(verify(&keys, &format!("{signed}.")), None, "{header}");
            // Even with a signature of the very key.
            let signature = letters(&keys.sign(signed.as_bytes()).unwrap());
            assert_eq!(verify(&keys, &format!("{signed}.{signature}")), None, "{header}");
        }
    }
}

/// The public key is public: who signs with it as if it were a secret must get nowhere, whatever the header says.
#[test]
fn a_public_key_is_no_secret() {
    use aws_lc_rs::hmac;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("key.pem");
    for algorithm in [Algorithm::Rs256, Algorithm::Es256, Algorithm::EdDsa] {
        let _ = std::fs::remove_file(&path);
        let keys = Keys::of_file(algorithm, &path).unwrap();
        let secret = std::fs::read(&path).unwrap();
        for name in [algorithm.name(), "HS256"] {
            let head = format!(r#"{{"alg":"{name}","typ":"JWT"}}"#);
            let signed = format!("{}.{}", letters(head.as_bytes()), letters(br#"{"sub":"ada"}"#));
            let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &secret), signed.as_bytes());
            assert_eq!(verify(&keys, &format!("{signed}.{}", letters(tag.as_ref()))), None, "{name}");
        }
    }
}

#[test]
fn a_key_file_is_made_once_and_is_its_owners() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    for algorithm in ALL {
        let path = folder.path().join(algorithm.name());
        let first = Keys::of_file(algorithm, &path).unwrap();
        let again = Keys::of_file(algorithm, &path).unwrap();
        let token = sign(&first, &json!({ "sub": "ada" })).unwrap();
        assert!(verify(&again, &token).is_some(), "{algorithm:?}");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        for other in ALL.into_iter().filter(|other| *other != algorithm) {
            assert!(Keys::of_file(other, &path).is_err(), "{algorithm:?} is no key for {other:?}");
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), ALL.len(), "no drafts are left");
    let short = folder.path().join("short");
    std::fs::write(&short, "00ff".repeat(4)).unwrap();
    assert!(matches!(Keys::of_file(Algorithm::Hs256, &short), Err(KeyError::NotASecret)));
}

proptest::proptest! {
    #[test]
    fn what_we_did_not_sign_is_no_token(text in "[A-Za-z0-9_.-]{0,200}", header in proptest::bool::ANY) {
        let keys = Keys::parse(Algorithm::Hs256, &"5a".repeat(32)).unwrap();
        let text = if header { format!("{}.{text}", super::header(&keys)) } else { text };
        proptest::prop_assert_eq!(verify(&keys, &text), None);
    }
}
