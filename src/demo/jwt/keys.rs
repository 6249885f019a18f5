//! The key that tokens are signed with: made for a process, or read from a file that several share.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, Ed25519KeyPair,
    KeyPair as _, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_SHA256, RsaKeyPair,
};
use aws_lc_rs::{hmac, rsa};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use super::Algorithm;
use crate::affinity::base64url;

/// Bytes of a key file that are read.
const FILE_LIMIT: u64 = 64 * 1024;

/// Bytes of a secret that we make; RFC 7518 asks HS256 for no fewer.
const SECRET: usize = 32;

/// A key, and how it is used.
pub struct Keys(Kind);

enum Kind {
    Secret(Box<hmac::Key>),
    Rsa(Box<RsaKeyPair>, ParsedPublicKey),
    Ec(Box<EcdsaKeyPair>, ParsedPublicKey),
    Ed(Box<Ed25519KeyPair>, ParsedPublicKey),
}

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or made.
    #[error("read or make the key file")]
    File(#[source] io::Error),
    /// It holds something else.
    #[error("the key file must hold a private key for {0}, as PKCS #8 in PEM")]
    NotAKey(&'static str),
    /// It holds a secret that can be guessed.
    #[error("the key file must hold a secret of 32 bytes or more for HS256, in hexadecimal")]
    NotASecret,
    /// The system has no randomness to give.
    #[error("the system has no randomness to give")]
    NoRandomness,
}

impl Keys {
    /// A new key.
    ///
    /// # Errors
    ///
    /// When the system has no randomness to give.
    pub fn generate(algorithm: Algorithm) -> Result<Self, KeyError> {
        Self::parse(algorithm, &make(algorithm)?)
    }

    /// The key in a file. One that does not exist is made, readable by its owner alone; of several processes that
    /// come at once, one makes it and all read it.
    ///
    /// # Errors
    ///
    /// When the file can neither be read nor made, or holds no key of this kind.
    pub fn of_file(algorithm: Algorithm, path: &Path) -> Result<Self, KeyError> {
        match fs::metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                put(path, &make(algorithm)?).map_err(KeyError::File)?;
            }
            Err(error) => return Err(KeyError::File(error)),
            Ok(file) if file.len() > FILE_LIMIT => return Err(KeyError::NotAKey(algorithm.name())),
            Ok(_) => {}
        }
        let text = fs::read_to_string(path).map_err(KeyError::File)?;
        Self::parse(algorithm, &text)
    }

    /// How it signs.
    #[must_use]
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Kind::Secret(_) => Algorithm::Hs256,
            Kind::Rsa(..) => Algorithm::Rs256,
            Kind::Ec(..) => Algorithm::Es256,
            Kind::Ed(..) => Algorithm::EdDsa,
        }
    }

    pub(super) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let random = SystemRandom::new();
        match &self.0 {
            Kind::Secret(key) => Some(hmac::sign(key, message).as_ref().to_vec()),
            Kind::Rsa(pair, _) => {
                let mut out = vec![0; pair.public_modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &random, message, &mut out).ok()?;
                Some(out)
            }
            Kind::Ec(pair, _) => Some(pair.sign(&random, message).ok()?.as_ref().to_vec()),
            Kind::Ed(pair, _) => Some(pair.try_sign(message).ok()?.as_ref().to_vec()),
        }
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        match &self.0 {
            // In constant time.
            Kind::Secret(key) => hmac::verify(key, message, signature).is_ok(),
            Kind::Rsa(_, public) | Kind::Ec(_, public) | Kind::Ed(_, public) => {
                public.verify_sig(message, signature).is_ok()
            }
        }
    }

    pub(super) fn parse(algorithm: Algorithm, text: &str) -> Result<Self, KeyError> {
        if algorithm == Algorithm::Hs256 {
            let secret = hex(text.trim()).filter(|secret| secret.len() >= SECRET);
            let secret = secret.ok_or(KeyError::NotASecret)?;
            return Ok(Self(Kind::Secret(Box::new(hmac::Key::new(hmac::HMAC_SHA256, &secret)))));
        }
        let no_key = || KeyError::NotAKey(algorithm.name());
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).map_err(|_| no_key())?;
        let der = der.secret_pkcs8_der();
        let public = |how: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            ParsedPublicKey::new(how, key).map_err(|_| no_key())
        };
        Ok(Self(match algorithm {
            Algorithm::Rs256 => {
                let pair = RsaKeyPair::from_pkcs8(der).map_err(|_| no_key())?;
                let public = public(&RSA_PKCS1_2048_8192_SHA256, pair.public_key().as_ref())?;
                Kind::Rsa(Box::new(pair), public)
            }
            Algorithm::Es256 => {
                let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der);
                let pair = pair.map_err(|_| no_key())?;
                let public = public(&ECDSA_P256_SHA256_FIXED, pair.public_key().as_ref())?;
                Kind::Ec(Box::new(pair), public)
            }
            Algorithm::Hs256 | Algorithm::EdDsa => {
                let pair = Ed25519KeyPair::from_pkcs8(der).map_err(|_| no_key())?;
                let public = public(&ED25519, pair.public_key().as_ref())?;
                Kind::Ed(Box::new(pair), public)
            }
        }))
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keys({} ***)", self.algorithm().name())
    }
}

/// A new key as a file holds it.
fn make(algorithm: Algorithm) -> Result<String, KeyError> {
    let none = |_| KeyError::NoRandomness;
    let random = SystemRandom::new();
    Ok(match algorithm {
        Algorithm::Hs256 => {
            let mut secret = [0; SECRET];
            getrandom::fill(&mut secret).map_err(|_| KeyError::NoRandomness)?;
            secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>() + "\n"
        }
        Algorithm::Rs256 => {
            let pair = RsaKeyPair::generate(rsa::KeySize::Rsa2048).map_err(none)?;
            let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).map_err(none)?;
            pem(der.as_ref())
        }
        Algorithm::Es256 => {
            let how = &ECDSA_P256_SHA256_FIXED_SIGNING;
            pem(EcdsaKeyPair::generate_pkcs8(how, &random).map_err(none)?.as_ref())
        }
        Algorithm::EdDsa => pem(Ed25519KeyPair::generate_pkcs8v1(&random).map_err(none)?.as_ref()),
    })
}

/// Writes a file that appears whole, unless another is there already.
fn put(path: &Path, text: &str) -> io::Result<()> {
    let draft = path.with_extension(format!("{}.draft", std::process::id()));
    let mut file = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = file.write_all(text.as_bytes()).and_then(|()| match fs::hard_link(&draft, path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    fs::remove_file(&draft).and(written)
}

fn pem(der: &[u8]) -> String {
    /// Letters in a line (RFC 7468).
    const LINE: usize = 64;
    let mut letters = Vec::new();
    base64url::encode(der, &mut letters);
    letters.resize(letters.len().next_multiple_of(4), b'=');
    let letters = letters.into_iter().map(|c| match c {
        b'-' => '+',
        b'_' => '/',
        c => char::from(c),
    });
    let mut out = String::from("-----BEGIN PRIVATE KEY-----");
    for (i, letter) in letters.enumerate() {
        if i % LINE == 0 {
            out.push('\n');
        }
        out.push(letter);
    }
    out + "\n-----END PRIVATE KEY-----\n"
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
    let bytes = pairs.iter().map(|&[high, low]| Some(digit(high)? << 4 | digit(low)?));
    rest.is_empty().then(|| bytes.collect()).flatten()
}
