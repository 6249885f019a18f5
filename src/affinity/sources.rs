//! Where an application's own session ids stand: in requests, to be looked up, and in answers, to be learned.
//!
//! An id is bytes, compared byte for byte. Only those of a query or a path are decoded first, where a client has
//! percent-encoded what the answer had plain.

use memchr::memmem::Finder;
use memchr::{memchr, memrchr};

use super::key::{KeyFacts, argument, is_argument};
use super::pairs::{is_token, values};

/// Longest id, in bytes; longer ones are not looked at.
pub const MAX_ID: usize = 256;
/// Cookies of one name that are looked at in one request.
const MAX_COOKIES: usize = 8;

/// A place in a request.
#[derive(Debug)]
pub enum Lookup {
    /// Every cookie of this name.
    Cookie(Box<str>, Finder<'static>),
    /// A header's first line; the name is in lower case.
    Header(Box<str>),
    /// The first query argument of this name, whose case does not matter.
    Query(Box<str>),
    /// `;name=value` behind a segment of the path. (Servlet specification, section 7.1.3)
    PathParam(Box<str>, Finder<'static>),
}

/// A place in an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Create {
    /// The cookie of this name, as `Set-Cookie` sets it.
    Cookie(Box<str>),
    /// A header's first line; the name is in lower case.
    Header(Box<str>),
    /// A text in a JSON body, by its JSON pointer (RFC 6901).
    Json(Box<str>),
}

impl Lookup {
    /// Reads a place as the configuration writes it: `cookie:NAME`, `header:NAME`, `query:NAME` or `path_param:NAME`.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, name) = text.split_once(':').unwrap_or((text, ""));
        match kind {
            "cookie" | "header" if !is_token(name) => Err(no_token(kind)),
            "cookie" => Ok(Self::cookie(name)),
            "header" => Ok(Self::Header(name.to_ascii_lowercase().into())),
            "query" if is_argument(name) => Ok(Self::Query(name.into())),
            "path_param" if is_token(name) => {
                let needle = format!(";{name}=");
                Ok(Self::PathParam(name.into(), Finder::new(&needle).into_owned()))
            }
            "query" | "path_param" => Err(format!("must have a name, as in \"{kind}:jsessionid\"")),
            _ => Err("must be cookie:NAME, query:NAME, path_param:NAME or header:NAME".to_owned()),
        }
    }

    /// The place as the configuration writes it.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Cookie(name, _) => format!("cookie:{name}"),
            Self::Header(name) => format!("header:{name}"),
            Self::Query(name) => format!("query:{name}"),
            Self::PathParam(name, _) => format!("path_param:{name}"),
        }
    }

    /// The place in requests where what `create` made comes back; none for a text in a body.
    #[must_use]
    pub fn of(create: &Create) -> Option<Self> {
        match create {
            Create::Cookie(name) => Some(Self::cookie(name)),
            Create::Header(name) => Some(Self::Header(name.clone())),
            Create::Json(_) => None,
        }
    }

    fn cookie(name: &str) -> Self {
        Self::Cookie(name.into(), Finder::new(name).into_owned())
    }

    /// The first id for which `take` returns something: what it returned. Empty ones are not ids.
    pub fn find<F: KeyFacts, T>(&self, facts: &F, mut take: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
        let mut take = |id: &[u8]| if id.is_empty() { None } else { take(id) };
        match self {
            Self::Cookie(name, finder) => {
                let lines = facts.cookies().flat_map(|line| cookie_values(line, name, finder));
                lines.take(MAX_COOKIES).find_map(take)
            }
            Self::Header(name) => take(facts.header(name)?),
            Self::Query(name) => decoded(argument(facts.query()?, name.as_bytes())?, take),
            Self::PathParam(_, finder) => {
                let path = facts.path();
                let value = path.get(finder.find(path)? + finder.needle().len()..)?;
                let end = value.iter().position(|b| matches!(b, b';' | b'/')).unwrap_or(value.len());
                decoded(value.get(..end)?, take)
            }
        }
    }
}

impl Create {
    /// Reads a place as the configuration writes it: `cookie:NAME`, `header:NAME` or `json:/POINTER`.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':').unwrap_or((text, "")) {
            (kind @ ("cookie" | "header"), name) if !is_token(name) => Err(no_token(kind)),
            ("cookie", name) => Ok(Self::Cookie(name.into())),
            ("header", name) => Ok(Self::Header(name.to_ascii_lowercase().into())),
            ("json", pointer) if pointer.starts_with('/') => Ok(Self::Json(pointer.into())),
            ("json", _) => Err("must have a JSON pointer, as in \"json:/sid\"".to_owned()),
            _ => Err("must be cookie:NAME, header:NAME or json:/POINTER".to_owned()),
        }
    }
}

/// The text that the first of these pointers finds in `body`. What stands before the first `{` is skipped: engine.io
/// sends the type of a packet there.
#[must_use]
pub fn in_json<'p>(body: &[u8], pointers: impl Iterator<Item = &'p str>) -> Option<String> {
    let text = body.get(memchr(b'{', body)?..)?;
    // Of several packets in one body the first is read.
    let value = serde_json::Deserializer::from_slice(text).into_iter::<serde_json::Value>().next()?.ok()?;
    pointers.filter_map(|pointer| value.pointer(pointer)?.as_str()).next().map(str::to_owned)
}

/// The values of a cookie in a line. Whatever stands before the name's first occurrence is not split.
pub(super) fn cookie_values<'l>(
    line: &'l [u8],
    name: &str,
    finder: &Finder<'_>,
) -> impl Iterator<Item = &'l [u8]> {
    let found = if line.starts_with(name.as_bytes()) {
        Some(line)
    } else {
        finder.find(line).and_then(|at| {
            let start = memrchr(b';', line.get(..at)?).map_or(0, |i| i + 1);
            line.get(start..)
        })
    };
    found.into_iter().flat_map(move |rest| values(rest, name.as_bytes()))
}

/// Hands over `text` with its `%41` decoded; what is no such escape stays.
fn decoded<T>(text: &[u8], mut take: impl FnMut(&[u8]) -> Option<T>) -> Option<T> {
    if text.len() > MAX_ID * 3 || memchr(b'%', text).is_none() {
        return take(text);
    }
    let (mut plain, mut len, mut rest) = ([0; MAX_ID * 3], 0, text);
    while let Some((&first, after)) = rest.split_first() {
        let escaped = match (first, after) {
            (b'%', [a, b, after @ ..]) => hex(*a).zip(hex(*b)).map(|(a, b)| (a << 4 | b, after)),
            _ => None,
        };
        let (byte, after) = escaped.unwrap_or((first, after));
        rest = after;
        if let Some(slot) = plain.get_mut(len) {
            *slot = byte;
            len += 1;
        }
    }
    take(plain.get(..len)?)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|d| u8::try_from(d).ok())
}

fn no_token(kind: &str) -> String {
    format!("must have a name of letters, digits or !#$%&'*+-.^_`|~, as in \"{kind}:session\"")
}

#[cfg(test)]
#[path = "sources_tests.rs"]
mod tests;
