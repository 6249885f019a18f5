//! What a route changes of a request's path: a prefix goes, then another comes.
//!
//! Prefixes are whole segments, of the path as the client writes it. What is left begins with one slash: two would be
//! another host to whoever makes a redirect of them. A path that climbs (`..`, however it is written) is refused, since
//! it could leave the prefix that is put before it.

use std::borrow::Cow;

/// What a route changes of a path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathChange {
    /// What goes, as in `/api`; empty is nothing.
    pub strip: Box<str>,
    /// What comes before the rest, as in `/v2`; empty is nothing.
    pub add: Box<str>,
}

/// A target whose path was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Path and query.
    pub target: String,
    /// Whether the prefix was there, and is gone.
    pub is_stripped: bool,
}

/// A path that climbs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Climbs;

impl PathChange {
    /// The target with its path changed; `None` if it stays as it is.
    ///
    /// # Errors
    /// The path climbs.
    pub fn apply(&self, target: &str) -> Result<Option<Changed>, Climbs> {
        let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
        if !path.starts_with('/') {
            return Ok(None); // "*": the server as a whole.
        }
        if climbs(path) {
            return Err(Climbs);
        }
        let rest = Some(&*self.strip).filter(|s| !s.is_empty()).and_then(|strip| behind(path, strip));
        if rest.is_none() && self.add.is_empty() {
            return Ok(None);
        }
        let slash = if rest.is_some() { "/" } else { "" };
        let kept = rest.map_or(path, |rest| rest.trim_start_matches(['/', '\\']));
        Ok(Some(Changed { target: [&*self.add, slash, kept, query].concat(), is_stripped: rest.is_some() }))
    }
}

/// What stands behind `prefix` if it is the first segments of `path`.
fn behind<'p>(path: &'p str, prefix: &str) -> Option<&'p str> {
    path.strip_prefix(prefix).filter(|rest| matches!(rest.as_bytes().first(), None | Some(b'/' | b';')))
}

/// Whether a segment is `..` to somebody: escaped, behind an escaped slash or a backslash, with parameters.
fn climbs(path: &str) -> bool {
    if !path.contains("..") && !path.contains(['%', '\\']) {
        return false;
    }
    let plain = unescaped(&unescaped(path.as_bytes())); // Some decode again what they were sent.
    let mut segments = plain.split(|b| matches!(b, b'/' | b'\\'));
    segments.any(|segment| segment.split(|b| *b == b';').next() == Some(b".."))
}

/// The path as most read it who serve by it: escapes decoded, slashes that stand together taken for one, dots followed.
/// Whose route it is goes by this: a rule for `/admin` would not be one for `/%61dmin`, `//admin` or `/x/../admin`.
#[must_use]
pub fn as_read(path: &str) -> Cow<'_, str> {
    let is_plain = |pair: &[u8]| !matches!(pair, [b'%' | b'\\', _] | [_, b'%' | b'\\'] | [b'/', b'/' | b'.']);
    if path.as_bytes().windows(2).all(is_plain) {
        return Cow::Borrowed(path);
    }
    let plain = unescaped(path.as_bytes());
    let (mut out, mut ends_open) = (Vec::<&[u8]>::new(), false);
    for segment in plain.split(|b| matches!(b, b'/' | b'\\')) {
        let name = segment.split(|b| *b == b';').next().unwrap_or_default();
        ends_open = segment.is_empty() || matches!(name, b"." | b"..");
        if name == b".." {
            out.pop();
        } else if !ends_open {
            out.push(segment);
        }
    }
    let mut text = String::with_capacity(plain.len() + 1);
    for segment in &out {
        text.push('/');
        text.push_str(&String::from_utf8_lossy(segment));
    }
    if ends_open || out.is_empty() {
        text.push('/');
    }
    Cow::Owned(text)
}

/// The path with its escapes decoded, once.
fn unescaped(text: &[u8]) -> Vec<u8> {
    let (mut out, mut at) = (Vec::with_capacity(text.len()), 0);
    while let Some(&b) = text.get(at) {
        let digits = text.get(at + 1..at + 3).and_then(|d| std::str::from_utf8(d).ok());
        let digits = digits.filter(|d| d.bytes().all(|d| d.is_ascii_hexdigit()));
        match digits.and_then(|d| u8::from_str_radix(d, 16).ok()) {
            Some(byte) if b == b'%' => {
                out.push(byte);
                at += 3;
            }
            _ => {
                out.push(b);
                at += 1;
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(strip: &str, add: &str) -> PathChange {
        PathChange { strip: strip.into(), add: add.into() }
    }

    #[test]
    fn whole_segments_go_and_come() {
        let table = [
            ("/api", "", "/api", "/", true),
            ("/api", "", "/api/", "/", true),
            ("/api", "", "/api?x=1", "/?x=1", true),
            ("/api", "", "/api/a/b?x=/api/", "/a/b?x=/api/", true),
            ("/api", "", "/api;v=1/a", "/;v=1/a", true),
            ("/api", "", "/api//evil.example", "/evil.example", true),
            ("/api", "", "/api/\\/evil.example", "/evil.example", true),
            ("/api", "", "/apix", "/apix", false),
            ("/api", "", "/API/a", "/API/a", false),
            ("/api", "", "/x/api/a", "/x/api/a", false),
            ("/a/b", "", "/a/b/c", "/c", true),
            ("", "/v2", "/", "/v2/", false),
            ("", "/v2", "/a?b", "/v2/a?b", false),
            ("", "/v2", "//a", "/v2//a", false),
            ("/api", "/v2", "/api/a?b", "/v2/a?b", true),
            ("/api", "/v2", "/other", "/v2/other", false),
            ("/api", "/v2", "*", "*", false),
        ];
        for (strip, add, target, expected, is_stripped) in table {
            let changed = change(strip, add).apply(target).unwrap();
            let is = changed.as_ref().map_or((target, false), |c| (&c.target, c.is_stripped));
            assert_eq!(is, (expected, is_stripped), "{strip} {add} {target}");
        }
    }

    #[test]
    fn who_climbs_is_refused_and_dots_alone_do_not() {
        for path in [
            "/api/../x",
            "/..",
            "/a/%2e%2E/b",
            "/a/.%2e",
            "/a/..;x/b",
            "/a%2f../b",
            "/a%5c..%5cb",
            "/a\\..\\b",
            "/%252e%252e/b",
            "/a/..%00;/b/..",
        ] {
            assert_eq!(change("/api", "").apply(path), Err(Climbs), "{path}");
        }
        for path in ["/a..b", "/...", "/.well-known/x", "/a/.", "/%zz", "/%", "/a?x=/../"] {
            assert!(change("/api", "/t").apply(path).is_ok(), "{path}");
        }
    }

    #[test]
    fn a_path_is_read_as_backends_read_it() {
        for (path, read) in [
            ("/", "/"),
            ("/admin", "/admin"),
            ("/admin/", "/admin/"),
            ("/a.b/c;d=1", "/a.b/c;d=1"),
            ("/%61dmin", "/admin"),
            ("/%2561dmin", "/%61dmin"),
            ("//admin", "/admin"),
            ("/./admin/.", "/admin/"),
            ("/x/../admin", "/admin"),
            ("/x/%2e%2E/admin", "/admin"),
            ("/x/..;y/admin", "/admin"),
            ("/../../admin", "/admin"),
            ("/admin/..", "/"),
            ("/admin%2fx", "/admin/x"),
            ("/admin\\x", "/admin/x"),
            ("/.well-known/x", "/.well-known/x"),
            ("/a//", "/a/"),
            ("/%zz%", "/%zz%"),
            ("/...", "/..."),
        ] {
            assert_eq!(as_read(path), read, "{path}");
        }
    }

    proptest! {
        #[test]
        fn what_is_read_is_a_path_without_doubt(path in "/[a-c/\\\\;.%25ef]{0,12}") {
            let read = as_read(&path);
            prop_assert!(read.starts_with('/') && !read.contains("//") && !read.contains('\\'));
            prop_assert!(read.split('/').all(|s| !matches!(s.split(';').next(), Some("." | ".."))));
            prop_assert!(!path.contains(['%', '\\']) || matches!(read, Cow::Owned(_)));
        }

        #[test]
        fn what_comes_out_is_one_path_of_this_host(
            strip in "(/[a-c]{1,2}){0,2}", add in "(/[a-c]{1,2}){0,2}", target in "/[a-c/\\\\;.%25ef]{0,12}(\\?[a-c/?.]{0,6})?",
        ) {
            let change = change(&strip, &add);
            let Ok(Some(changed)) = change.apply(&target) else { return Ok(()) };
            let (path, query) = changed.target.split_at(changed.target.find('?').unwrap_or(changed.target.len()));
            let (old, old_query) = target.split_at(target.find('?').unwrap_or(target.len()));
            prop_assert_eq!(query, old_query);
            prop_assert!(path.starts_with('/') && path.starts_with(&add));
            prop_assert!(!climbs(path));
            if changed.is_stripped {
                prop_assert!(!path.starts_with("//") && !path.starts_with("/\\"));
                prop_assert!(old.len() == strip.len() || old[strip.len()..].starts_with(['/', ';']));
                let tail = path[add.len()..].trim_start_matches('/');
                prop_assert!(old.ends_with(tail));
            } else {
                prop_assert_eq!(&path[add.len()..], old);
            }
        }
    }
}
