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
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stored(method: &str, status: u16, lines: &[&str]) -> bool {
        may_be_stored(method, status, lines.iter().map(|l| l.as_bytes()))
    }

    fn private(lines: &[&str]) -> String {
        let mut out = Vec::new();
        make_private(lines.iter().map(|l| l.as_bytes()), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn the_statuses_that_caches_keep() {
        for status in [200, 203, 300, 301, 308, 404, 410] {
            assert!(stored("GET", status, &[]) && stored("HEAD", status, &[]), "{status}");
            assert!(!stored("POST", status, &["public"]) && !stored("get", status, &[]));
        }
        for status in [101, 201, 204, 206, 302, 303, 304, 307, 400, 401, 403, 500, 502, 503] {
            assert!(!stored("GET", status, &["no-cache", "must-revalidate"]), "{status}");
        }
        assert!(stored("GET", 302, &["max-age=60"]), "asked for by name");
    }

    #[test]
    fn directives_decide() {
        let check =
            |lines: &[&str], expected: bool| assert_eq!(stored("GET", 200, lines), expected, "{lines:?}");
        check(&["max-age=60"], true);
        check(&["no-store"], false);
        check(&["public, No-Store"], false);
        check(&["max-age=60", " PRIVATE "], false);
        check(&["no-cache"], true);
        check(&["x=\"a, private, no-store\""], true);
        check(&["x=\"a \\\", private\", max-age=1"], true);
        check(&["x=\"a\", private"], false);
        check(&["private=\"set-cookie\""], true);
        check(&["private=\"set-cookie, x\", private"], false);
        check(&["x=\"unterminated, private"], true);
        check(&["no-store, must-understand"], true);
        check(&["privately, xno-store"], true);
    }

    #[test]
    fn an_answer_becomes_private_and_keeps_the_rest() {
        let check = |lines: &[&str], expected: &str| assert_eq!(private(lines), expected, "{lines:?}");
        check(&[], "private");
        check(&["public"], "private");
        check(&["Public, max-age=60, S-MaxAge=600"], "max-age=60, private");
        check(
            &["max-age=60,must-revalidate", "s-maxage=\"5\" , x=\"a, public\""],
            "max-age=60, must-revalidate, x=\"a, public\", private",
        );
        check(&["private, max-age=1"], "private, max-age=1");
        check(&["private=\"x\", public"], "private=\"x\", private");
        check(&[",, ,Max-Age = 1,"], "Max-Age = 1, private");
        check(&["max-age=5, x=\"open, public"], "max-age=5, private");
        check(&["x=\"open", "max-age=5"], "max-age=5, private");
    }

    #[test]
    fn settings_decide_what_is_done() {
        let check = |setting: &str, lines: &[&str], expected: Pinning| {
            let lines = lines.iter().map(|l| l.as_bytes());
            assert_eq!(Cacheable::parse(setting).unwrap().pinning("GET", 200, lines), expected, "{setting}");
        };
        check("private", &[], Pinning::Private);
        check("skip", &[], Pinning::Skip);
        check("always", &[], Pinning::Plain);
        for setting in ["private", "skip", "always"] {
            check(setting, &["no-store"], Pinning::Plain);
        }
        assert_eq!((Cacheable::parse("Skip"), Cacheable::default()), (None, Cacheable::Private));
    }

    proptest! {
        #[test]
        fn what_was_made_private_is_stored_by_nobody(lines in prop::collection::vec(
            "(public|private|s-maxage=1|max-age=9|no-store|private=\"a, b\"|x=\"[a,\\\\\"]{0,4}|[,=\" \\\\a-c]{0,5}|, ){0,6}", 0..4)) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            let once = private(&lines);
            prop_assert!(!stored("GET", 200, &[&once]));
            prop_assert_eq!(&private(&[&once]), &once);
            prop_assert!(!directives(once.as_bytes()).any(|d| d.is("public") || d.is("s-maxage")));
        }
    }
}
