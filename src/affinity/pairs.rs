//! The pairs of a `Cookie` line.
//!
//! Split at `;`, name and value trimmed of blanks and tabs, nothing else: a quote is a byte like any other, as it is
//! to browsers ([RFC 6265, 5.4](https://www.rfc-editor.org/rfc/rfc6265#section-5.4)), so that an odd neighbour cannot
//! swallow a pair. What has no `=` is no pair.

use memchr::memchr;

/// The parts of a line between its `;`, as they are.
pub fn segments(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let end = memchr(b';', line);
        rest = end.and_then(|at| line.get(at + 1..));
        line.get(..end.unwrap_or(line.len()))
    })
}

/// One part's name and value.
#[must_use]
pub fn pair(segment: &[u8]) -> Option<(&[u8], &[u8])> {
    let (name, value) = segment.split_at_checked(memchr(b'=', segment)?)?;
    Some((trim(name), trim(value.get(1..)?)))
}

/// The values of the pairs of this name, in order; the name is compared byte for byte.
pub fn values<'l>(line: &'l [u8], name: &[u8]) -> impl Iterator<Item = &'l [u8]> {
    segments(line).filter_map(pair).filter(move |(n, _)| *n == name).map(|(_, value)| value)
}

/// Without the blanks and tabs at both ends.
#[must_use]
pub const fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether this is a token of HTTP, of which names of fields and cookies are made.
#[must_use]
pub fn is_token(text: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(is_letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_semicolons_only() {
        let check = |line: &str, expected: &[&str]| {
            let found: Vec<_> = values(line.as_bytes(), b"srv").collect();
            assert_eq!(found, expected.iter().map(|v| v.as_bytes()).collect::<Vec<_>>(), "{line}");
        };
        check("srv=1", &["1"]);
        check("a=1; srv=2;srv = 3 ;\t srv=4\t; b=5", &["2", "3", "4"]);
        check("SRV=1; srv2=2; xsrv=3; srv", &[]);
        check("q=\"open; srv=1; r=\"", &["1"]);
        check("q=\"a=b\"; srv=x=y=z", &["x=y=z"]);
        check(";;; srv=; srv=\"1\"", &["", "\"1\""]);
        check("", &[]);
        check("a=srv=1", &[]);
    }

    #[test]
    fn a_token_has_no_separators() {
        assert!(is_token("__Host-srv_1.x"));
        for bad in ["", "a b", "a;b", "a=b", "a,b", "\"a\"", "a/b", "a:b", "ä", "a\u{7f}", "[a]"] {
            assert!(!is_token(bad), "{bad:?}");
        }
    }
}
