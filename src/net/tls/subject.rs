//! Who a certificate is of, as text that fits a header: RFC 4514, in ASCII.

use std::fmt::Write as _;

use x509_cert::Certificate;
use x509_cert::der::Decode as _;
use x509_cert::name::Name;

/// Longest subject, in bytes as it is written. One that was cut could pass for another.
const LONGEST: usize = 2048;

/// The subject of a certificate.
///
/// # Errors
/// The certificate cannot be read, or its subject is too long.
pub fn of(certificate: &[u8]) -> Result<String, String> {
    let parsed = Certificate::from_der(certificate).map_err(|e| e.to_string())?;
    text(&parsed.tbs_certificate.subject)
}

pub(super) fn of_name(der: &[u8]) -> Result<String, String> {
    text(&Name::from_der(der).map_err(|e| e.to_string())?)
}

fn text(name: &Name) -> Result<String, String> {
    let mut whole = String::new();
    write!(whole, "{name}").map_err(|_| "its subject cannot be written".to_owned())?;
    let mut ascii = String::with_capacity(whole.len());
    for &byte in whole.as_bytes() {
        match byte {
            b' '..=b'~' => ascii.push(byte.into()),
            // Each byte of its UTF-8 as a pair of digits, as section 2.4 allows.
            _ => write!(ascii, "\\{byte:02X}").map_err(|e| e.to_string())?,
        }
    }
    if ascii.len() > LONGEST {
        return Err(format!("its subject is longer than {LONGEST} bytes"));
    }
    Ok(ascii)
}
