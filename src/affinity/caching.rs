//! Answers that a shared cache may store, and what a pin may do with them.
//!
//! A cache that stores an answer with its `Set-Cookie` hands one client's pin to all. So a pin that goes out on such an
//! answer makes it private, or does not go out ([RFC 9111](https://www.rfc-editor.org/rfc/rfc9111#section-3)).
//! Targeted fields of one vendor's cache (`CDN-Cache-Control`, `Surrogate-Control`) are not looked at.

use super::pairs::trim;

/// What is done with a pin on an answer that a shared cache may store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cacheable {
    /// The pin goes out and the answer becomes private.
    #[default]
    Private,
    /// The pin does not go out with this answer.
    Skip,
    /// The pin goes out and the answer stays as it is.
    Always,
}

/// What is done with a pin on the answer at hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// It goes out; the answer stays as it is.
    Plain,
    /// It goes out; the answer's `Cache-Control` is replaced by what [`make_private`] writes.
    Private,
    /// It does not go out.
    Skip,
}

/// One directive of a `Cache-Control` line, without the blanks around it.
struct Directive<'l> {
    text: &'l [u8],
    /// Whether its quoted string ends. If not, caches differ on what it is.
    is_closed: bool,
}

impl Cacheable {
    /// Reads `private`, `skip` or `always`.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "private" => Some(Self::Private),
            "skip" => Some(Self::Skip),
            "always" => Some(Self::Always),
            _ => None,
        }
    }

    /// What this setting means for the answer at hand.
    #[must_use]
    pub fn pinning<'l>(
        self,
        method: &str,
        status: u16,
        cache_control: impl Iterator<Item = &'l [u8]>,
    ) -> Pinning {
        if self == Self::Always || !may_be_stored(method, status, cache_control) {
            return Pinning::Plain;
        }
        if self == Self::Skip { Pinning::Skip } else { Pinning::Private }
    }
}

/// Whether a shared cache may store the answer: to a GET or HEAD; of a status that caches keep unasked (200, 203, 300,
/// 301, 308, 404, 410) or with `public`, `max-age` or `s-maxage`; and without `no-store` or `private`.
///
/// `private="set-cookie"` forbids the storing of one field and not of the answer; `no-store` beside `must-understand`
/// forbids nothing to a cache that understands the status. Neither counts.
#[must_use]
pub fn may_be_stored<'l>(method: &str, status: u16, cache_control: impl Iterator<Item = &'l [u8]>) -> bool {
    if !matches!(method, "GET" | "HEAD") {
        return false;
    }
    let mut asked = matches!(status, 200 | 203 | 300 | 301 | 308 | 404 | 410);
    let (mut no_store, mut must_understand) = (false, false);
    for directive in cache_control.flat_map(directives).filter(|d| d.is_closed) {
        if directive.is("private") && !directive.has_value() {
            return false;
        }
        asked |= ["public", "max-age", "s-maxage"].iter().any(|name| directive.is(name));
        no_store |= directive.is("no-store");
        must_understand |= directive.is("must-understand");
    }
    asked && (must_understand || !no_store)
}

/// Appends one `Cache-Control` value in place of all the lines: `public` and `s-maxage` removed, `private` added if
/// it is not there, every other directive as it is. A directive whose quoted string does not end is left out: it
/// would swallow `private`.
pub fn make_private<'l>(cache_control: impl Iterator<Item = &'l [u8]>, out: &mut Vec<u8>) {
    let mut is_private = false;
    for directive in cache_control.flat_map(directives).filter(|d| d.is_closed) {
        if directive.is("public") || directive.is("s-maxage") {
            continue;
        }
        is_private |= directive.is("private") && !directive.has_value();
        out.extend_from_slice(directive.text);
        out.extend_from_slice(b", ");
    }
    if is_private {
        out.truncate(out.len() - 2);
    } else {
        out.extend_from_slice(b"private");
    }
}

impl Directive<'_> {
    fn is(&self, name: &str) -> bool {
        let end = memchr::memchr(b'=', self.text).unwrap_or(self.text.len());
        self.text.get(..end).is_some_and(|n| trim(n).eq_ignore_ascii_case(name.as_bytes()))
    }

    fn has_value(&self) -> bool {
        memchr::memchr(b'=', self.text).is_some()
    }
}

/// The directives of a line: what stands between commas that are not in a quoted string.
fn directives(line: &[u8]) -> impl Iterator<Item = Directive<'_>> {
    let mut rest = Some(line);
    let next = move || {
        let line = rest?;
        let (end, is_closed) = end_of_directive(line);
        rest = line.get(end + 1..);
        Some(Directive { text: trim(line.get(..end)?), is_closed })
    };
    std::iter::from_fn(next).filter(|d| !d.text.is_empty())
}

/// Where the first directive of `line` ends, and whether its quoted strings do.
fn end_of_directive(line: &[u8]) -> (usize, bool) {
    let (mut is_quoted, mut is_escaped) = (false, false);
    for (at, byte) in line.iter().enumerate() {
        match byte {
            _ if is_escaped => is_escaped = false,
            b'\\' if is_quoted => is_escaped = true,
            b'"' => is_quoted = !is_quoted,
            b',' if !is_quoted => return (at, true),
            _ => {}
        }
    }
    (line.len(), !is_quoted)
}

#[cfg(test)]
#[path = "caching_tests.rs"]
mod tests;
