//! Where a message's body ends (RFC 9112 section 6), with nothing left to interpretation.

use super::field::{self, Name};
use super::head::{Fault, Field, Version};

/// How a body's end is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Framing {
    /// There is no body.
    None,
    /// This many bytes, at least one.
    Length(u64),
    /// The chunked coding.
    Chunked,
    /// Until the sender closes. Responses only.
    UntilClose,
}

/// What the fields that frame a body said.
#[derive(Clone, Copy, Debug, Default)]
pub struct Lengths {
    length: Option<u64>,
    coding: Coding,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Coding {
    #[default]
    None,
    Chunked,
    /// A list that ends in `chunked`: framed, but not as we serve it.
    Listed,
    /// `chunked` is not the last: nobody can tell where the body ends (RFC 9112 section 6.3).
    Unframed,
}

impl Lengths {
    /// Takes one field into account; others than the two that frame a body are ignored.
    ///
    /// # Errors
    /// `Content-Length` is not 1*DIGIT below 2^63, or differs from an earlier one.
    pub fn note(&mut self, name: Name, value: &[u8]) -> Result<(), Fault> {
        match name {
            Name::ContentLength => {
                let n = parse_length(value).ok_or(Fault::ContentLength)?;
                if self.length.is_some_and(|before| before != n) {
                    return Err(Fault::ContentLength);
                }
                self.length = Some(n);
            }
            Name::TransferEncoding => {
                // Exactly one line that says exactly "chunked": every list has been a hole in some server.
                let one = self.coding == Coding::None && value.eq_ignore_ascii_case(b"chunked");
                let ends = field::list(value).last().is_some_and(|c| c.eq_ignore_ascii_case(b"chunked"));
                self.coding = match (one, ends) {
                    (true, _) => Coding::Chunked,
                    (false, true) => Coding::Listed,
                    (false, false) => Coding::Unframed,
                };
            }
            _ => {}
        }
        Ok(())
    }

    /// The framing of a request.
    ///
    /// # Errors
    /// Both length and coding, a coding in HTTP/1.0, or one that is not `chunked`.
    pub const fn of_request(self, version: Version) -> Result<Framing, Fault> {
        match (self.coding, self.length, version) {
            (Coding::None, None | Some(0), _) => Ok(Framing::None),
            (Coding::None, Some(n), _) => Ok(Framing::Length(n)),
            (_, Some(_), _) => Err(Fault::LengthAndCoding),
            (_, None, Version::Http10) => Err(Fault::CodingInHttp10),
            (Coding::Chunked, None, Version::Http11) => Ok(Framing::Chunked),
            (Coding::Listed, None, Version::Http11) => Err(Fault::TransferCoding),
            (Coding::Unframed, None, Version::Http11) => Err(Fault::UnframedCoding),
        }
    }

    /// The framing of a response to `method_is_head` with `status`.
    ///
    /// # Errors
    /// Both length and coding, a coding in HTTP/1.0, or one that is not `chunked`.
    pub const fn of_response(self, version: Version, status: u16, to_head: bool) -> Result<Framing, Fault> {
        if to_head || matches!(status, 100..=199 | 204 | 304) {
            return Ok(Framing::None);
        }
        match (self.coding, self.length, version) {
            (Coding::None, Some(0), _) => Ok(Framing::None),
            (Coding::None, Some(n), _) => Ok(Framing::Length(n)),
            (Coding::None, None, _) => Ok(Framing::UntilClose),
            (_, Some(_), _) => Err(Fault::LengthAndCoding),
            (_, None, Version::Http10) => Err(Fault::CodingInHttp10),
            (Coding::Chunked, None, Version::Http11) => Ok(Framing::Chunked),
            (Coding::Listed, None, Version::Http11) => Err(Fault::TransferCoding),
            (Coding::Unframed, None, Version::Http11) => Err(Fault::UnframedCoding),
        }
    }

    /// The length that was written, for answers whose body is left out (HEAD, 304).
    #[must_use]
    pub const fn length(self) -> Option<u64> {
        self.length
    }
}

/// 1*DIGIT below 2^63.
fn parse_length(value: &[u8]) -> Option<u64> {
    if value.is_empty() || value.len() > 19 {
        return None;
    }
    let mut n = 0_u64;
    for &b in value {
        if !b.is_ascii_digit() {
            return None;
        }
        n = n.checked_mul(10)?.checked_add(u64::from(b - b'0'))?;
    }
    i64::try_from(n).is_ok().then_some(n)
}

/// What a message's `Connection` fields say.
#[derive(Clone, Copy, Debug, Default)]
pub struct ConnectionOptions {
    /// `close` is named.
    pub close: bool,
    /// `keep-alive` is named.
    pub keep_alive: bool,
    /// `upgrade` is named.
    pub upgrade: bool,
    /// Some other name is, so fields may have to go.
    pub nominates: bool,
}

impl ConnectionOptions {
    /// Takes one `Connection` value into account.
    pub fn note(&mut self, value: &[u8]) {
        if value.eq_ignore_ascii_case(b"keep-alive") {
            self.keep_alive = true;
            return;
        }
        for option in field::list(value) {
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade = true;
            } else {
                self.nominates = true;
            }
        }
    }

    /// Whether the sender keeps the connection open after this message.
    #[must_use]
    pub const fn persists(self, version: Version) -> bool {
        match version {
            Version::Http11 => !self.close,
            Version::Http10 => self.keep_alive && !self.close,
        }
    }
}

/// Whether a `Connection` field among `fields` names `name`.
#[must_use]
pub fn is_nominated(fields: &[Field<'_>], name: &[u8]) -> bool {
    fields
        .iter()
        .filter(|f| Name::of_bytes(f.name) == Name::Connection)
        .any(|f| field::list(f.value).any(|n| n.eq_ignore_ascii_case(name)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(fields: &[(Name, &str)], version: Version) -> Result<Framing, Fault> {
        let mut lengths = Lengths::default();
        for (name, value) in fields {
            lengths.note(*name, value.as_bytes())?;
        }
        lengths.of_request(version)
    }

    #[test]
    fn requests() {
        use Name::{ContentLength as CL, TransferEncoding as TE};
        use Version::{Http10, Http11};
        let table = [
            (&[][..], Http11, Ok(Framing::None)),
            (&[(CL, "0")], Http11, Ok(Framing::None)),
            (&[(CL, "5")], Http11, Ok(Framing::Length(5))),
            (&[(CL, "005")], Http11, Ok(Framing::Length(5))),
            (&[(CL, "5"), (CL, "5")], Http11, Ok(Framing::Length(5))),
            (&[(CL, "5"), (CL, "6")], Http11, Err(Fault::ContentLength)),
            (&[(CL, "5, 5")], Http11, Err(Fault::ContentLength)),
            (&[(CL, "+5")], Http11, Err(Fault::ContentLength)),
            (&[(CL, "-0")], Http11, Err(Fault::ContentLength)),
            (&[(CL, "0x5")], Http11, Err(Fault::ContentLength)),
            (&[(CL, "")], Http11, Err(Fault::ContentLength)),
            (&[(CL, "9223372036854775807")], Http11, Ok(Framing::Length(i64::MAX as u64))),
            (&[(CL, "9223372036854775808")], Http11, Err(Fault::ContentLength)),
            (&[(TE, "chunked")], Http11, Ok(Framing::Chunked)),
            (&[(TE, "Chunked")], Http11, Ok(Framing::Chunked)),
            (&[(TE, "chunked")], Http10, Err(Fault::CodingInHttp10)),
            (&[(TE, "chunked"), (TE, "chunked")], Http11, Err(Fault::TransferCoding)),
            (&[(TE, "identity")], Http11, Err(Fault::UnframedCoding)),
            (&[(TE, "chunked, gzip")], Http11, Err(Fault::UnframedCoding)),
            (&[(TE, "gzip, chunked")], Http11, Err(Fault::TransferCoding)),
            (&[(TE, "chunked, chunked")], Http11, Err(Fault::TransferCoding)),
            (&[(TE, ", chunked")], Http11, Err(Fault::TransferCoding)),
            (&[(TE, "")], Http11, Err(Fault::UnframedCoding)),
            (&[(TE, "\"chunked\"")], Http11, Err(Fault::UnframedCoding)),
            (&[(TE, "chunked"), (CL, "5")], Http11, Err(Fault::LengthAndCoding)),
            (&[(CL, "0"), (TE, "chunked")], Http11, Err(Fault::LengthAndCoding)),
        ];
        for (fields, version, expected) in table {
            assert_eq!(request(fields, version), expected, "{fields:?} {version:?}");
        }
    }

    #[test]
    fn responses_without_a_body_have_none_whatever_they_say() {
        let mut lengths = Lengths::default();
        lengths.note(Name::ContentLength, b"5").unwrap();
        for (status, to_head, framing) in [
            (200, false, Framing::Length(5)),
            (200, true, Framing::None),
            (204, false, Framing::None),
            (304, false, Framing::None),
            (101, false, Framing::None),
        ] {
            assert_eq!(
                lengths.of_response(Version::Http11, status, to_head),
                Ok(framing),
                "{status} {to_head}"
            );
        }
        let until_close = Lengths::default().of_response(Version::Http11, 200, false);
        assert_eq!(until_close, Ok(Framing::UntilClose));
    }

    #[test]
    fn connection_options() {
        let mut options = ConnectionOptions::default();
        options.note(b"close, X-User");
        assert!(options.close && options.nominates && !options.persists(Version::Http11));
        assert!(ConnectionOptions::default().persists(Version::Http11));
        assert!(!ConnectionOptions::default().persists(Version::Http10));
    }
}
