//! How far a drain has come, in words.

use serde_json::Value;

use super::admin::{Named, list, number, text};
use super::table::clean;

/// Cells of the bar.
const CELLS: u64 = 20;
/// Characters of a line that is written over: no terminal breaks it, or it could not be written over.
const WIDTH: usize = 79;

/// What is left on a backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Progress {
    /// `pool/backend`
    name: String,
    sessions: u64,
    /// The most sessions that there have been since the drain began.
    most: u64,
    requests: u64,
    tunnels: u64,
    /// Unix seconds.
    deadline: Option<u64>,
    /// Unix seconds.
    expected_end: Option<u64>,
    /// Nodes that could not be asked.
    errors: Vec<String>,
}

impl Progress {
    /// Reads an answer of `safe-to-stop`; `most` sessions were seen before.
    pub(super) fn read(named: &Named, answer: &Value, most: u64) -> Self {
        let sessions = number(answer, "sessions");
        let nodes = list(answer, "nodes").iter().filter(|node| !text(node, "error").is_empty());
        Self {
            name: named.to_string(),
            sessions,
            most: most.max(sessions),
            requests: number(answer, "requests"),
            tunnels: number(answer, "tunnels"),
            deadline: answer.get("deadline").and_then(Value::as_u64),
            expected_end: answer.get("expected_end").and_then(Value::as_u64),
            errors: nodes
                .map(|node| clean(&format!("{}: {}", text(node, "node"), text(node, "error"))))
                .collect(),
        }
    }

    /// The most sessions that there have been.
    pub(super) const fn most(&self) -> u64 {
        self.most
    }

    /// `app/b: 12 of 40 sessions, 3 requests and 1 tunnel left; 9m12s to the deadline, expected end in 4m`
    pub(super) fn line(&self, now: u64) -> String {
        format!("{}: {}", self.name, self.words(now))
    }

    /// The same behind a bar, in one line of a terminal.
    pub(super) fn bar(&self, now: u64) -> String {
        let gone = (self.most - self.sessions) * CELLS / self.most.max(1);
        let gone = usize::try_from(if self.most == 0 { CELLS } else { gone }).unwrap_or(0);
        let bar = "#".repeat(gone) + &"-".repeat(CELLS as usize - gone);
        format!("[{bar}] {}", self.line(now)).chars().take(WIDTH).collect()
    }

    fn words(&self, now: u64) -> String {
        let mut words = left(self.sessions, self.most, self.requests, self.tunnels);
        match self.deadline {
            Some(at) if at > now => words.push_str(&format!("; {} to the deadline", rough(at - now))),
            Some(_) => words.push_str("; the deadline has passed"),
            None => {}
        }
        if let Some(at) = self.expected_end.filter(|at| *at > now && Some(*at) != self.deadline) {
            words.push_str(&format!(
                "{} expected end in {}",
                if self.deadline.is_some() { "," } else { ";" },
                rough(at - now)
            ));
        }
        self.errors.iter().for_each(|error| words.push_str(&format!("; {error}")));
        words
    }
}

/// `12 of 40 sessions, 3 requests and 1 tunnel left`
pub(super) fn left(sessions: u64, most: u64, requests: u64, tunnels: u64) -> String {
    let of = if most > sessions { format!(" of {most}") } else { String::new() };
    let (requests, tunnels) = (several(requests, "request"), several(tunnels, "tunnel"));
    format!(
        "{sessions}{of} session{}, {requests} and {tunnels} left",
        if most.max(sessions) == 1 { "" } else { "s" }
    )
}

/// `1 request`, `3 requests`
pub(super) fn several(n: u64, what: &str) -> String {
    if n == 1 { format!("1 {what}") } else { format!("{n} {what}s") }
}

/// A time in its two largest units: `2d4h`, `9m12s`.
pub(super) fn rough(seconds: u64) -> String {
    let units = [("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)];
    let first = units.iter().position(|(_, size)| seconds >= *size).unwrap_or(units.len() - 1);
    let (unit, size) = units[first];
    let mut out = format!("{}{unit}", seconds / size);
    if let Some((unit, smaller)) = units.get(first + 1)
        && seconds % size / smaller > 0
    {
        out.push_str(&format!("{}{unit}", seconds % size / smaller));
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn progress(more: &Value, most: u64) -> Progress {
        let named = Named { pool: "app".to_owned(), backend: "b".to_owned() };
        let mut answer = json!({ "safe": false, "sessions": 12, "requests": 3, "tunnels": 1, "nodes": [] });
        more.as_object().unwrap().iter().for_each(|(key, value)| answer[key] = value.clone());
        Progress::read(&named, &answer, most)
    }

    #[test]
    fn what_is_left_is_said_with_what_there_was() {
        for (more, most, expected) in [
            (json!({}), 40, "app/b: 12 of 40 sessions, 3 requests and 1 tunnel left"),
            (json!({}), 0, "app/b: 12 sessions, 3 requests and 1 tunnel left"),
            (json!({ "sessions": 1, "requests": 1 }), 1, "app/b: 1 session, 1 request and 1 tunnel left"),
            (
                json!({ "deadline": 1552, "expected_end": 1240 }),
                40,
                "app/b: 12 of 40 sessions, 3 requests and 1 tunnel left; 9m12s to the deadline, expected end in 4m",
            ),
            (
                json!({ "deadline": 1552, "expected_end": 1552 }),
                12,
                "app/b: 12 sessions, 3 requests and 1 tunnel left; 9m12s to the deadline",
            ),
            (
                json!({ "deadline": 999 }),
                12,
                "app/b: 12 sessions, 3 requests and 1 tunnel left; the deadline has passed",
            ),
            (
                json!({ "expected_end": 1060, "nodes": [{ "node": "http://n2:1", "error": "re\x1bfused" }] }),
                12,
                "app/b: 12 sessions, 3 requests and 1 tunnel left; expected end in 1m; http://n2:1: re\u{fffd}fused",
            ),
        ] {
            assert_eq!(progress(&more, most).line(1000), expected);
        }
    }

    #[test]
    fn the_bar_fills_as_sessions_leave_and_fits_its_line() {
        let bar =
            |sessions: u64, most| progress(&json!({ "sessions": sessions, "deadline": 99_999 }), most).bar(0);
        assert!(bar(40, 40).starts_with("[--------------------] app/b: 40 sessions"));
        assert!(bar(10, 40).starts_with("[###############-----] app/b: 10 of 40 sessions"));
        assert!(bar(0, 40).starts_with("[####################] app/b: 0 of 40"));
        assert!(bar(0, 0).starts_with("[####################] "));
        assert_eq!(bar(u64::MAX / 100, 0).chars().count(), WIDTH);
    }

    #[test]
    fn times_have_two_units() {
        for (seconds, expected) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (552, "9m12s"),
            (3600, "1h"),
            (12_059, "3h20m"),
            (187_200, "2d4h"),
        ] {
            assert_eq!(rough(seconds), expected);
        }
    }
}
