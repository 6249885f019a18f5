//! What a browser keeps: cookies by name, taken from answers, ended by them. Path and domain are left out, since one
//! host is asked.

use std::collections::BTreeMap;

use http::header::SET_COOKIE;

use super::ask::Answer;
use crate::affinity::set_cookie::SetCookie;
use crate::base::time::UnixSeconds;

/// The cookies of one client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Jar(pub(super) BTreeMap<String, String>);

impl Jar {
    /// Takes what an answer sets.
    pub(super) fn take(&mut self, answer: &Answer, now: UnixSeconds) {
        for line in answer.headers.get_all(SET_COOKIE) {
            let Some(set) = SetCookie::parse(line.as_bytes()) else { continue };
            let name = String::from_utf8_lossy(set.name).into_owned();
            if set.deletes(now) {
                self.0.remove(&name);
            } else {
                self.0.insert(name, String::from_utf8_lossy(set.value).into_owned());
            }
        }
    }

    /// What stands in `Cookie`.
    pub(super) fn text(&self) -> String {
        let pairs: Vec<String> = self.0.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ")
    }

    /// The same with one cookie in another way: a value, several, or none.
    pub(super) fn text_with(&self, name: &str, values: &[&str]) -> String {
        let others = self.0.iter().filter(|(n, _)| *n != name).map(|(n, v)| format!("{n}={v}"));
        let pairs: Vec<String> = others.chain(values.iter().map(|v| format!("{name}={v}"))).collect();
        pairs.join("; ")
    }
}

/// The whole `Set-Cookie` line of this name.
pub(super) fn line_of(answer: &Answer, name: &str) -> Option<String> {
    let lines = answer.headers.get_all(SET_COOKIE).iter();
    let mut found =
        lines.filter(|l| SetCookie::parse(l.as_bytes()).is_some_and(|s| s.name == name.as_bytes()));
    found.next_back().map(|l| String::from_utf8_lossy(l.as_bytes()).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jar_keeps_the_last_value_until_it_is_ended() {
        let answer = |lines: &[&str]| {
            let mut answer = Answer::default();
            for line in lines {
                answer.headers.append(SET_COOKIE, line.parse().unwrap());
            }
            answer
        };
        let (mut jar, now) = (Jar::default(), UnixSeconds(1_000_000_000));
        jar.take(&answer(&["a=1; Path=/", "b=2", "a=3; HttpOnly"]), now);
        assert_eq!(jar.text(), "a=3; b=2");
        assert_eq!(jar.text_with("a", &["x", "y"]), "b=2; a=x; a=y");
        assert_eq!(jar.text_with("b", &[]), "a=3");
        jar.take(&answer(&["b=; Max-Age=0"]), now);
        assert_eq!(jar.text(), "a=3");
        assert_eq!(line_of(&answer(&["a=1", "a=2; Secure"]), "a").as_deref(), Some("a=2; Secure"));
    }
}
