//! What a signed token ([RFC 7519](https://www.rfc-editor.org/rfc/rfc7519)) says to whoever holds it, and what may be
//! made of it without its key.

use std::time::Duration;

use serde_json::Value;

use crate::affinity::base64url;

/// Letters of a value that is looked at: a cookie has no more.
const LONGEST: usize = 4096;

/// A token, as anybody can read it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// How it is signed, by its own word.
    pub algorithm: String,
    /// For how many seconds it is good from when it was issued, if it says both.
    pub life: Option<u64>,
    /// What it says something of.
    pub claims: Vec<String>,
}

/// Reads a value that has the shape of one.
#[must_use]
pub fn read(value: &str) -> Option<Token> {
    let [header, claims, _] = parts(value)?;
    let (header, claims) = (object(header)?, object(claims)?);
    let second = |name: &str| claims.get(name).and_then(Value::as_f64);
    Some(Token {
        algorithm: header.get("alg")?.as_str()?.to_owned(),
        life: second("exp")
            .zip(second("iat"))
            .and_then(|(end, begin)| Some(Duration::try_from_secs_f64(end - begin).ok()?.as_secs())),
        claims: claims.as_object()?.keys().cloned().collect(),
    })
}

/// Forgeries of a token, each with what it is called.
#[must_use]
pub fn forgeries(value: &str) -> Vec<(&'static str, String)> {
    let Some([header, claims, signature]) = parts(value) else { return Vec::new() };
    vec![
        ("claims altered", format!("{header}.{}.{signature}", altered(claims, claims.len() / 2))),
        ("signature altered", format!("{header}.{claims}.{}", altered(signature, 0))),
        ("signature left out", format!("{header}.{claims}.")),
        // {"alg":"none"} (RFC 8725 section 2.1)
        ("alg none", format!("eyJhbGciOiJub25lIn0.{claims}.")),
    ]
}

/// A text with this letter changed.
#[must_use]
pub fn altered(text: &str, at: usize) -> String {
    text.char_indices().map(|(i, c)| if i == at { if c == 'A' { 'B' } else { 'A' } } else { c }).collect()
}

fn parts(value: &str) -> Option<[&str; 3]> {
    let parts: Vec<&str> = value.split('.').collect();
    <[&str; 3]>::try_from(parts).ok().filter(|_| value.len() <= LONGEST)
}

fn object(part: &str) -> Option<Value> {
    let mut bytes = vec![0; part.len()];
    let bytes = base64url::decode(part.as_bytes(), &mut bytes)?;
    serde_json::from_slice(bytes).ok().filter(Value::is_object)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"HS256","typ":"JWT"}` and `{"sub":"u","iat":1000,"exp":1300.5}`.
    const SIGNED: &str =
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJ1IiwiaWF0IjoxMDAwLCJleHAiOjEzMDAuNX0.c2ln";

    #[test]
    fn a_token_is_read_and_nothing_else_is() {
        let token = read(SIGNED).unwrap();
        assert_eq!((&*token.algorithm, token.life), ("HS256", Some(300)));
        assert_eq!(token.claims, ["exp", "iat", "sub"]);
        for other in ["", "a.b.c", "4F2A", &SIGNED[..60], &format!("{SIGNED}.x")] {
            assert_eq!(read(other), None, "{other}");
        }
    }

    #[test]
    fn forgeries_differ_from_the_token_and_from_each_other() {
        let mut forged: Vec<String> = forgeries(SIGNED).into_iter().map(|(_, text)| text).collect();
        assert!(forged.iter().all(|text| text != SIGNED));
        assert_eq!(read(&forged[3]).unwrap().algorithm, "none");
        forged.sort_unstable();
        forged.dedup();
        assert_eq!(forged.len(), 4);
        assert_eq!(altered("ABC", 0), "BBC");
        assert!(forgeries("4F2A").is_empty());
    }
}
