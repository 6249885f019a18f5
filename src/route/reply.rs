//! What a route answers itself, without a pool: a redirect, or a small fixed answer.

use crate::message::host;

/// Largest body of a fixed answer, bytes.
pub const LARGEST_BODY: usize = 64 << 10;

/// A redirect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// Where to.
    pub to: Template,
    /// With which status.
    pub status: u16,
}

/// A fixed answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Respond {
    /// The status.
    pub status: u16,
    /// The body; empty is none.
    pub body: Box<str>,
    /// What the body is.
    pub content_type: Box<str>,
}

/// A place to redirect to, with what is filled in from the request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    /// As it is written.
    Text(Box<str>),
    /// `{host}`: the host asked for, without port.
    Host,
    /// `{path}`: the path, which begins with a slash.
    Path,
    /// `{query}`: the query with its `?`, or nothing.
    Query,
}

impl Template {
    /// Reads `https://example.org{path}{query}` or `/new{path}`.
    ///
    /// # Errors
    /// What would be right, as the rest of a sentence that begins with the value.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (mut parts, mut rest) = (Vec::new(), text);
        while let Some((before, from)) = rest.split_once('{') {
            let (name, after) = from.split_once('}').ok_or("has a \"{\" without its \"}\"")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            }
            parts.push(match name {
                "host" => Part::Host,
                "path" => Part::Path,
                "query" => Part::Query,
                _ => return Err(format!("\"{{{name}}}\" must be one of {{host}}, {{path}}, {{query}}")),
            });
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        let texts = parts.iter().filter_map(|p| if let Part::Text(text) = p { Some(text) } else { None });
        if texts.flat_map(|t| t.bytes()).any(must_be_escaped) {
            return Err(
                "must be printable ASCII without quotes, < >, \\ and }: write the rest as %20".to_owned()
            );
        }
        let template = Self(parts);
        template.check().map(|()| template)
    }

    /// Whether it begins as a place does, and the request cannot make another host of it.
    fn check(&self) -> Result<(), String> {
        let must = "must begin with \"https://\", \"http://\", \"/\" or \"{path}\"";
        let text = match self.0.as_slice() {
            [Part::Path, ..] => return Ok(()),
            [Part::Text(text), ..] => text,
            _ => return Err(must.to_owned()),
        };
        if text.starts_with('/') {
            return if text.starts_with("//") { Err(must.to_owned()) } else { Ok(()) };
        }
        let authority = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).ok_or(must)?;
        let is_there = match (authority, self.0.get(1)) {
            ("", next) => next == Some(&Part::Host),
            (text, _) => {
                let name = text.split(['/', '?']).next().unwrap_or_default();
                // A host that the request goes on with is whole only with it.
                host::is_valid(name.as_bytes()) || self.0.get(1) == Some(&Part::Host) && !name.contains('@')
            }
        };
        if is_there {
            Ok(())
        } else {
            Err("must have a host, as in \"https://example.org{path}\"".to_owned())
        }
    }

    /// The place for a request; `None` if it needs a host and there is none. `target` is path and query.
    ///
    /// What a client wrote is escaped where it could be read for something else, and a place on this host begins with
    /// one slash: two would be another host.
    #[must_use]
    pub fn fill(&self, host: &str, target: &str) -> Option<String> {
        let (path, query) = target.split_at(target.find('?').unwrap_or(target.len()));
        let mut out = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => out.push_str(text),
                Part::Host if host.is_empty() => return None,
                Part::Host => push_escaped(host, &mut out),
                Part::Path => push_escaped(if path.starts_with('/') { path } else { "/" }, &mut out),
                Part::Query => push_escaped(query, &mut out),
            }
        }
        if out.starts_with('/') {
            let slashes = out.bytes().take_while(|b| *b == b'/').count();
            out.drain(..slashes - 1);
        }
        Some(out)
    }
}

/// Bytes that do not stand in a URI. (RFC 3986 section 2)
fn must_be_escaped(b: u8) -> bool {
    !b.is_ascii_graphic() || b"\"<>\\^`{|}".contains(&b)
}

fn push_escaped(text: &str, out: &mut String) {
    for b in text.bytes() {
        if must_be_escaped(b) {
            out.push_str(&format!("%{b:02X}"));
        } else {
            out.push(char::from(b));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn places_are_filled_in() {
        let table = [
            ("https://example.org{path}", "t", "/a?b", "https://example.org/a"),
            ("https://example.org{path}{query}", "t", "/a?b=/c", "https://example.org/a?b=/c"),
            ("https://{host}{path}{query}", "t.test", "/a", "https://t.test/a"),
            ("https://www.{host}/x{query}", "t.test", "/a?q", "https://www.t.test/x?q"),
            ("http://[::1]:80/", "t", "/a", "http://[::1]:80/"),
            ("https://example.org{path}", "t", "//evil.example", "https://example.org//evil.example"),
            ("{path}", "t", "//evil.example/x", "/evil.example/x"),
            ("/{path}", "t", "/evil.example", "/evil.example"),
            ("{path}", "t", "/\\evil.example", "/%5Cevil.example"),
            ("/new{path}{query}", "t", "/a?b", "/new/a?b"),
            ("/fixed", "t", "/a?b", "/fixed"),
            ("{path}", "t", "*", "/"),
            ("{path}", "t", "/\"<>{}", "/%22%3C%3E%7B%7D"),
        ];
        for (template, host, target, place) in table {
            let filled = Template::parse(template).unwrap().fill(host, target);
            assert_eq!(filled.as_deref(), Some(place), "{template} {target}");
        }
        assert_eq!(Template::parse("https://{host}/").unwrap().fill("", "/"), None);
    }

    #[test]
    fn what_is_no_place_says_what_would_be() {
        let table = [
            ("", "must begin with"),
            ("example.org{path}", "must begin with"),
            ("//example.org", "must begin with"),
            ("{host}", "must begin with"),
            ("{query}", "must begin with"),
            ("ftp://example.org", "must begin with"),
            ("javascript:alert(1)", "must begin with"),
            ("https://", "must have a host"),
            ("https://{path}", "must have a host"),
            ("https:///x", "must have a host"),
            ("https://a@b{host}", "must have a host"),
            ("https://user@example.org/", "must have a host"),
            ("https://example.org{uri}", "one of {host}, {path}, {query}"),
            ("https://example.org{path", "without its"),
            ("/a b", "printable ASCII"),
            ("/a\r\nSet-Cookie: x", "printable ASCII"),
            ("/\\evil", "printable ASCII"),
        ];
        for (text, part) in table {
            let error = Template::parse(text).unwrap_err();
            assert!(error.contains(part), "{text:?}: {error}");
        }
    }

    proptest! {
        #[test]
        fn no_request_makes_a_place_of_another_host(target in "[/*][ -~]{0,12}", at in 0_usize..5) {
            let templates = ["{path}", "/{path}", "/x{path}{query}", "https://example.org{path}{query}", "https://example.org{query}"];
            let place = Template::parse(templates[at]).unwrap().fill("t.test", &target).unwrap();
            prop_assert!(place.bytes().all(|b| !must_be_escaped(b)), "{}", place);
            match place.strip_prefix("https://example.org") {
                Some(rest) => prop_assert!(at > 2 && (rest.is_empty() || rest.starts_with(['/', '?'])), "{}", place),
                None => prop_assert!(at <= 2 && place.starts_with('/') && !place.starts_with("//"), "{}", place),
            }
        }
    }
}
