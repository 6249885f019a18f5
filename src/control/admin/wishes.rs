//! What the bodies of changes say: JSON, read strictly, with errors that say what would be right.

use std::time::Duration;

use serde_json::{Map, Value};

use super::super::drain::Mode;
use super::super::state::Wish;
use crate::base::units::Span;

/// How long a session may pause before it moves, in mode `idle`.
const IDLE: Duration = Duration::from_secs(5 * 60);
/// Longest time that may be asked for.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// A session by the name that the API gives it or by the id that its application gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Which {
    Name(String),
    Id(String),
}

/// An object of which only these keys are known.
struct Body<'a>(&'a Map<String, Value>);

/// `{"state": "drain", "deadline": "10m"}`
pub(super) fn state(body: &[u8]) -> Result<Wish, String> {
    let value = read(body, r#"{"state": "drain", "deadline": "10m"}"#)?;
    let body = Body::of(&value, &["state", "mode", "deadline", "idle"])?;
    let state = body.word("state", &["ready", "drain", "maint", "configured"])?;
    let state = state.ok_or(r#"state is missing: "ready", "drain", "maint" or "configured""#)?;
    let mode = body.word("mode", &["keep", "idle", "deadline", "now"])?;
    let (deadline, idle) = (body.duration("deadline")?, body.duration("idle")?);
    if state != "drain" {
        if mode.is_some() || deadline.is_some() || idle.is_some() {
            return Err(format!("mode, deadline and idle belong to \"drain\", not to \"{state}\""));
        }
        return Ok(match state {
            "ready" => Wish::Ready,
            "maint" => Wish::Maint,
            _ => Wish::AsConfigured,
        });
    }
    let mode = mode.unwrap_or(if deadline.is_some() {
        "deadline"
    } else if idle.is_some() {
        "idle"
    } else {
        "keep"
    });
    if idle.is_some() && mode != "idle" {
        return Err(format!("idle belongs to mode \"idle\", not to \"{mode}\""));
    }
    if deadline.is_some() && mode == "now" {
        return Err("deadline: mode \"now\" has none, every session moves at its next request".to_owned());
    }
    let mode = match mode {
        "deadline" if deadline.is_none() => {
            return Err("mode \"deadline\" needs a deadline, as in \"deadline\": \"10m\"".to_owned());
        }
        "idle" => Mode::Idle(u32::try_from(idle.unwrap_or(IDLE).as_secs()).unwrap_or(u32::MAX).max(1)),
        "now" => Mode::Now,
        _ => Mode::Keep,
    };
    Ok(Wish::Drain { mode, within: deadline })
}

/// `{"weight": 5}`, or null for as configured.
pub(super) fn weight(body: &[u8]) -> Result<Option<u16>, String> {
    let value = read(body, r#"{"weight": 5}"#)?;
    let body = Body::of(&value, &["weight"])?;
    match body.0.get("weight") {
        None => Err("weight is missing: a number from 0 to 65535, or null for as configured".to_owned()),
        Some(Value::Null) => Ok(None),
        Some(value) => {
            let weight = value.as_u64().and_then(|n| u16::try_from(n).ok());
            weight.map(Some).ok_or_else(|| {
                format!("weight {value}: must be a whole number from 0 to 65535, or null for as configured")
            })
        }
    }
}

/// `{"id": ".."}`; to find one, only that.
pub(super) fn id(body: &[u8]) -> Result<String, String> {
    let value = read(body, r#"{"id": "what the application calls it"}"#)?;
    let body = Body::of(&value, &["id"])?;
    body.text("id")?.map(str::to_owned).ok_or_else(|| "id is missing".to_owned())
}

/// `{"name": ".."}` or `{"id": ".."}`.
pub(super) fn which(body: &[u8]) -> Result<Which, String> {
    let value = read(body, r#"{"name": "as listed"}"#)?;
    Body::of(&value, &["name", "id"])?.which()
}

/// The same, and `"to"`.
pub(super) fn which_and_to(body: &[u8]) -> Result<(Which, String), String> {
    let value = read(body, r#"{"name": "as listed", "to": "b"}"#)?;
    let body = Body::of(&value, &["name", "id", "to"])?;
    let to = body.text("to")?.ok_or("to is missing: the backend that the session is to have")?;
    Ok((body.which()?, to.to_owned()))
}

fn read(body: &[u8], example: &str) -> Result<Value, String> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(format!("the body is empty: send JSON, as in {example}"));
    }
    serde_json::from_slice(body).map_err(|e| format!("the body is not JSON: {e}; send {example}"))
}

impl<'a> Body<'a> {
    fn of(value: &'a Value, known: &[&str]) -> Result<Self, String> {
        let map = value.as_object().ok_or("the body must be a JSON object")?;
        match map.keys().find(|key| !known.contains(&key.as_str())) {
            Some(key) => Err(format!("unknown key {key:?}; there are: {}", known.join(", "))),
            None => Ok(Self(map)),
        }
    }

    /// A text, or nothing if it is missing or null.
    fn text(&self, key: &str) -> Result<Option<&'a str>, String> {
        match self.0.get(key) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(format!("{key} {other}: must be a string")),
        }
    }

    fn word(&self, key: &str, words: &[&'static str]) -> Result<Option<&'static str>, String> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let word = words.iter().find(|word| **word == text).copied();
        word.map(Some).ok_or_else(|| format!("{key} {text:?}: must be one of {}", words.join(", ")))
    }

    fn duration(&self, key: &str) -> Result<Option<Duration>, String> {
        let Some(text) = self.text(key)? else { return Ok(None) };
        let Span(duration) = text.parse().map_err(|must| format!("{key} {text:?}: {must}"))?;
        if duration < Duration::from_secs(1) || duration > LONGEST {
            return Err(format!("{key} {text:?}: must be from 1s to {}", Span(LONGEST)));
        }
        Ok(Some(duration))
    }

    fn which(&self) -> Result<Which, String> {
        match (self.text("name")?, self.text("id")?) {
            (Some(name), None) => Ok(Which::Name(name.to_owned())),
            (None, Some(id)) => Ok(Which::Id(id.to_owned())),
            _ => Err("name or id: one of them says which session is meant".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drain(mode: Mode, within: Option<u64>) -> Result<Wish, String> {
        Ok(Wish::Drain { mode, within: within.map(Duration::from_secs) })
    }

    #[test]
    fn states_are_read() {
        for (body, expected) in [
            (r#"{"state": "ready"}"#, Ok(Wish::Ready)),
            (r#" {"state": "maint", "mode": null}"#, Ok(Wish::Maint)),
            (r#"{"state": "configured"}"#, Ok(Wish::AsConfigured)),
            (r#"{"state": "drain"}"#, drain(Mode::Keep, None)),
            (r#"{"state": "drain", "mode": "now"}"#, drain(Mode::Now, None)),
            (r#"{"state": "drain", "mode": "idle"}"#, drain(Mode::Idle(300), None)),
            (r#"{"state": "drain", "idle": "1m"}"#, drain(Mode::Idle(60), None)),
            (
                r#"{"state": "drain", "mode": "idle", "idle": "90s", "deadline": "1h"}"#,
                drain(Mode::Idle(90), Some(3600)),
            ),
            (r#"{"state": "drain", "deadline": "10m"}"#, drain(Mode::Keep, Some(600))),
            (r#"{"state": "drain", "mode": "deadline", "deadline": "10m"}"#, drain(Mode::Keep, Some(600))),
        ] {
            assert_eq!(state(body.as_bytes()), expected, "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_said_with_what_would_be_right() {
        for (body, expected) in [
            ("", r#"the body is empty: send JSON, as in {"state": "drain", "deadline": "10m"}"#),
            ("state=drain", "the body is not JSON: expected value at line 1 column 1"),
            ("[]", "must be a JSON object"),
            ("{}", "state is missing"),
            (r#"{"state": 3}"#, "state 3: must be a string"),
            (r#"{"state": "dran"}"#, "state \"dran\": must be one of ready, drain, maint, configured"),
            (r#"{"stat": "drain"}"#, "unknown key \"stat\"; there are: state, mode, deadline, idle"),
            (r#"{"state": "ready", "deadline": "1m"}"#, "belong to \"drain\", not to \"ready\""),
            (r#"{"state": "drain", "deadline": "10"}"#, "deadline \"10\": needs a unit, as in \"10s\""),
            (r#"{"state": "drain", "deadline": "0s"}"#, "must be from 1s to 365d"),
            (r#"{"state": "drain", "mode": "deadline"}"#, "needs a deadline, as in"),
            (r#"{"state": "drain", "mode": "now", "deadline": "1m"}"#, "mode \"now\" has none"),
            (r#"{"state": "drain", "mode": "keep", "idle": "1m"}"#, "idle belongs to mode \"idle\""),
        ] {
            let said = state(body.as_bytes()).unwrap_err();
            assert!(said.contains(expected), "{body}: {said}");
        }
    }

    #[test]
    fn weights_are_whole_numbers_or_null() {
        for (body, expected) in [
            (r#"{"weight": 0}"#, Ok(Some(0))),
            (r#"{"weight": 65535}"#, Ok(Some(65535))),
            (r#"{"weight": null}"#, Ok(None)),
            (r#"{"weight": 65536}"#, Err("weight 65536: must be a whole number from 0 to 65535")),
            (r#"{"weight": -1}"#, Err("weight -1")),
            (r#"{"weight": 1.5}"#, Err("weight 1.5")),
            (r#"{"weight": "1"}"#, Err("weight \"1\"")),
            ("{}", Err("weight is missing")),
        ] {
            match (weight(body.as_bytes()), expected) {
                (Err(said), Err(part)) => assert!(said.contains(part), "{body}: {said}"),
                (said, expected) => assert_eq!(said, expected.map_err(str::to_owned), "{body}"),
            }
        }
    }

    #[test]
    fn a_session_is_named_once() {
        assert_eq!(which(br#"{"name": "x"}"#), Ok(Which::Name("x".to_owned())));
        assert_eq!(
            which_and_to(br#"{"id": "y", "to": "b"}"#),
            Ok((Which::Id("y".to_owned()), "b".to_owned()))
        );
        let wrong: [&[u8]; 3] = [b"{}", br#"{"name": "x", "id": "y"}"#, br#"{"name": 1}"#];
        wrong.iter().for_each(|body| assert!(which(body).is_err()));
        assert!(which_and_to(br#"{"id": "y"}"#).is_err());
    }
}
