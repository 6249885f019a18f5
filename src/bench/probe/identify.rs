//! Which backend an answer came from: by what the person says, or by what differs between answers and is not different
//! in each.

use std::collections::BTreeSet;

use http::header::{ETAG, SET_COOKIE};
use serde_json::Value;

use super::ask::Answer;
use crate::affinity::set_cookie::SetCookie;

/// Fields by which backends usually tell who they are, the clearest first.
const FIELDS: [&str; 20] = [
    "x-served-by",
    "x-backend",
    "x-backend-server",
    "x-backend-name",
    "x-upstream",
    "x-upstream-addr",
    "x-server",
    "x-server-id",
    "x-server-name",
    "x-instance",
    "x-instance-id",
    "x-hostname",
    "x-host",
    "x-node",
    "x-node-id",
    "x-pod",
    "x-pod-name",
    "x-container-id",
    "server-timing",
    "via",
];
/// Members of a JSON answer by which backends usually tell who they are.
const MEMBERS: [&str; 9] =
    ["/backend", "/server", "/hostname", "/host", "/node", "/instance", "/pod", "/served_by", "/name"];
/// Characters that are kept of what tells a backend.
const LABEL: usize = 60;

/// Where an answer tells which backend it is from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identify {
    /// A header field.
    Header(String),
    /// A member of a JSON body, as a JSON pointer.
    Json(String),
    /// A cookie's value: the one that is set, or the one that was sent, where none is set.
    Cookie(String),
    /// What stands in the body between two texts.
    Between(String, String),
    /// The whole body, by its digest.
    Body,
    /// The entity tag.
    Etag,
}

impl Identify {
    /// Reads `header:NAME`, `json:/pointer`, `cookie:NAME`, `body:BEFORE*AFTER` or `body`.
    ///
    /// # Errors
    /// What it must be.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        match (kind, rest) {
            ("header", name) if http::HeaderName::try_from(name).is_ok() => Ok(Self::Header(name.to_owned())),
            ("json", pointer) if pointer.starts_with('/') => Ok(Self::Json(pointer.to_owned())),
            ("cookie", name) if !name.is_empty() => Ok(Self::Cookie(name.to_owned())),
            ("body", "") => Ok(Self::Body),
            ("body", text) => match text.split_once('*') {
                Some((before, after)) if !before.is_empty() => {
                    Ok(Self::Between(before.to_owned(), after.to_owned()))
                }
                _ => Err("body: needs what stands before the name, a *, and what follows".to_owned()),
            },
            _ => Err("must be header:NAME, json:/pointer, cookie:NAME, body:BEFORE*AFTER or body".to_owned()),
        }
    }

    /// Which backend this answer is from; `sent` is the cookie's value in the request, where it goes by a cookie.
    pub(super) fn label(&self, answer: &Answer, sent: Option<&str>) -> Option<String> {
        let body = || std::str::from_utf8(&answer.body).ok();
        let found = match self {
            Self::Header(name) => answer.headers.get(name)?.to_str().ok()?.to_owned(),
            Self::Json(pointer) => {
                match serde_json::from_slice::<Value>(&answer.body).ok()?.pointer(pointer)? {
                    Value::String(text) => text.clone(),
                    Value::Number(number) => number.to_string(),
                    Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => return None,
                }
            }
            Self::Cookie(name) => set_by(answer, name).or_else(|| sent.map(str::to_owned))?,
            Self::Between(before, after) => {
                let rest = body()?.split_once(before.as_str())?.1;
                let end = if after.is_empty() {
                    rest.find(['\r', '\n']).unwrap_or(rest.len())
                } else {
                    rest.find(after.as_str())?
                };
                rest[..end].to_owned()
            }
            Self::Body if answer.body.is_empty() || answer.status >= 500 => return None,
            Self::Body => match body().map(str::trim) {
                Some(text) if text.len() <= 24 && !text.contains('\n') => text.to_owned(),
                _ => format!("body {:08x}", crate::base::hash::hash64(&answer.body) >> 32),
            },
            Self::Etag => answer.headers.get(ETAG)?.to_str().ok()?.to_owned(),
        };
        Some(found.trim().chars().take(LABEL).collect()).filter(|l: &String| !l.is_empty())
    }

    /// In words.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Header(name) => format!("the field {name}"),
            Self::Json(pointer) => format!("{pointer} of the JSON body"),
            Self::Cookie(name) => format!("the value of the cookie {name}"),
            Self::Between(before, after) => format!("what the body says between {before:?} and {after:?}"),
            Self::Body => "the body".to_owned(),
            Self::Etag => "the ETag".to_owned(),
        }
    }

    /// What tells backends apart in these answers, if anything does. One that names a single backend in all of them is
    /// believed only where it is a usual name.
    pub(super) fn guess(answers: &[Answer]) -> Option<Self> {
        let known = MEMBERS.iter().map(|m| Self::Json((*m).to_owned()));
        let known: Vec<Self> = known.chain(FIELDS.iter().map(|f| Self::Header((*f).to_owned()))).collect();
        let mut names = BTreeSet::new();
        for line in answers.iter().flat_map(|a| a.headers.get_all(SET_COOKIE)) {
            names.extend(
                SetCookie::parse(line.as_bytes()).map(|s| String::from_utf8_lossy(s.name).into_owned()),
            );
        }
        let mut others = vec![Self::Body, Self::Etag];
        others.extend(names.into_iter().map(Self::Cookie));
        let tells = |way: &&Self| (2..=answers.len() / 3).contains(&way.kinds(answers));
        let several = known.iter().chain(&others).find(tells).cloned();
        several.or_else(|| known[..known.len() - 2].iter().find(|way| way.kinds(answers) == 1).cloned())
    }

    /// How many backends these answers come from by this; 0 if not all of them tell.
    fn kinds(&self, answers: &[Answer]) -> usize {
        let labels: Vec<Option<String>> = answers.iter().map(|a| self.label(a, None)).collect();
        let told = labels.iter().flatten().count();
        if told * 10 < answers.len() * 9 {
            0
        } else {
            labels.into_iter().flatten().collect::<BTreeSet<_>>().len()
        }
    }
}

/// The value of this cookie that an answer sets.
pub(super) fn set_by(answer: &Answer, name: &str) -> Option<String> {
    let mut sets = answer.headers.get_all(SET_COOKIE).iter().filter_map(|l| SetCookie::parse(l.as_bytes()));
    let value = sets.rfind(|s| s.name == name.as_bytes())?.value;
    Some(String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(fields: &[(&'static str, &str)], body: &str) -> Answer {
        let mut answer = Answer { status: 200, body: body.to_owned().into(), ..Answer::default() };
        for (name, value) in fields {
            answer.headers.append(*name, value.parse().unwrap());
        }
        answer
    }

    #[test]
    fn what_differs_and_is_not_different_in_each_tells_backends_apart() {
        let guess = |make: &dyn Fn(usize) -> Answer| Identify::guess(&(0..12).map(make).collect::<Vec<_>>());
        let name = |i: usize| ["a", "b"][i % 2];
        assert_eq!(
            guess(&|i| answer(&[("x-backend", name(i)), ("via", "1.1 x")], &i.to_string())),
            Some(Identify::Header("x-backend".to_owned()))
        );
        assert_eq!(
            guess(&|i| answer(&[], &format!("{{\"backend\":\"{}\",\"n\":{i}}}", name(i)))),
            Some(Identify::Json("/backend".to_owned()))
        );
        assert_eq!(guess(&|i| answer(&[("x-request-id", &i.to_string())], name(i))), Some(Identify::Body));
        assert_eq!(guess(&|i| answer(&[("x-host", &i.to_string())], "same")), None, "each is different");
        assert_eq!(
            guess(&|i| answer(&[("set-cookie", &format!("srv={}; Path=/", name(i)))], "same")),
            Some(Identify::Cookie("srv".to_owned()))
        );
        assert_eq!(
            guess(&|_| answer(&[("x-served-by", "a")], "")),
            Some(Identify::Header("x-served-by".to_owned()))
        );
        assert_eq!(guess(&|_| answer(&[("via", "1.1 x")], "same")), None);
    }

    #[test]
    fn people_say_where_a_backend_is_named() {
        let shown =
            answer(&[("x-node", " n1 "), ("set-cookie", "srv=s1; Path=/")], "<p>served by <b>web1</b>\n{");
        for (text, expected) in [
            ("header:X-Node", Some("n1")),
            ("header:X-Other", None),
            ("cookie:srv", Some("s1")),
            ("body:<b>*</b>", Some("web1")),
            ("body:served *", Some("by <b>web1</b>")),
            ("json:/a", None),
        ] {
            assert_eq!(Identify::parse(text).unwrap().label(&shown, None).as_deref(), expected, "{text}");
        }
        let json = answer(&[], "{\"a\":{\"b\":7}}");
        assert_eq!(Identify::parse("json:/a/b").unwrap().label(&json, None).as_deref(), Some("7"));
        assert_eq!(Identify::parse("cookie:srv").unwrap().label(&json, Some("s2")).as_deref(), Some("s2"));
        for wrong in ["", "header:", "header:a b", "json:a", "cookie:", "body:*x", "regex:x"] {
            assert!(Identify::parse(wrong).is_err(), "{wrong}");
        }
    }
}
