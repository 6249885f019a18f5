//! Answers as text for people and as JSON for programs.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::Answer;
use super::pins::{Foreign, Own, OwnPin, PinReport, State};
use crate::affinity::Why;
use crate::affinity::foreign::Names;
use crate::base::time::UnixSeconds;
use crate::base::units::Span;

/// Letters of a value that are shown.
const SHOWN: usize = 16;

impl Answer {
    /// As JSON, one object; `now` is what ages are told by.
    #[must_use]
    pub fn to_json(&self, now: UnixSeconds) -> String {
        let pins: Vec<Value> = self.pins.iter().map(|pin| pin.to_value(now)).collect();
        json!({
            "route": self.route,
            "pool": self.pool,
            "backend": self.backend,
            "reason": self.reason,
            "chain": self.chain,
            "depends_on": self.depends_on,
            "steps": self.steps,
            "pins": pins,
        })
        .to_string()
    }

    /// For people, a line each.
    #[must_use]
    pub fn to_text(&self, now: UnixSeconds) -> String {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".to_owned());
        let mut out = format!(
            "route    {}\npool     {}\nbackend  {}\nreason   {}\n",
            or_none(&self.route),
            or_none(&self.pool),
            or_none(&self.backend),
            self.reason
        );
        if !self.chain.is_empty() {
            out.push_str(&format!("chain    {}\n", self.chain.join(" > ")));
        }
        for (n, step) in self.steps.iter().enumerate() {
            out.push_str(&format!("{}{}. {step}\n", if n == 0 { "why      " } else { "         " }, n + 1));
        }
        self.pins.iter().for_each(|pin| out.push_str(&pin.to_text(now)));
        for what in &self.depends_on {
            out.push_str(&format!("live     {what}\n"));
        }
        out
    }
}

/// What values say, as one JSON object: `{"pins": [..]}`.
#[must_use]
pub fn pins_to_json(pins: &[PinReport], now: UnixSeconds) -> String {
    json!({ "pins": pins.iter().map(|pin| pin.to_value(now)).collect::<Vec<_>>() }).to_string()
}

impl PinReport {
    /// For people: what it is in one line, and what it says in one line each.
    #[must_use]
    pub fn to_text(&self, now: UnixSeconds) -> String {
        let shown: String = self.value.chars().take(SHOWN).collect();
        let cut = if shown.len() < self.value.len() { ".." } else { "" };
        let mut out = format!("{:<8} {}={shown}{cut}\n", self.carrier, self.name);
        match &self.own {
            Some(Own::Opened(pin)) => pin.tell(now, &mut out),
            Some(Own::Unopened { pool, why }) => {
                out.push_str(&format!("         no pin that pool \"{pool}\" can open: {why}\n"));
            }
            None if self.foreign.is_empty() => out.push_str("         nothing that homing knows\n"),
            None => {}
        }
        self.foreign.iter().for_each(|foreign| foreign.tell(&mut out));
        out
    }

    fn to_value(&self, now: UnixSeconds) -> Value {
        let homing = match &self.own {
            Some(Own::Opened(pin)) => pin.to_value(now),
            Some(Own::Unopened { pool, why }) => json!({ "pool": pool, "state": "unopened", "error": why }),
            None => Value::Null,
        };
        let readings: Vec<Value> = self.foreign.iter().map(Foreign::to_value).collect();
        json!({ "carrier": self.carrier, "name": self.name, "homing": homing, "readings": readings })
    }
}

impl OwnPin {
    fn tell(&self, now: UnixSeconds, out: &mut String) {
        let mut line = |what: &str, text: String| out.push_str(&format!("         {what:<10} {text}\n"));
        let gone = if self.is_member { "" } else { ", which the pool does not have (any more)" };
        line("homing pin", format!("pool \"{}\", backend \"{}\"{gone}", self.pool, self.backend));
        line("session", format!("{:08x}.., begun {}", self.session >> 32, ago(self.issued, now)));
        line("last seen", ago(self.last_seen, now));
        let bound = format!("{} {}", self.bound, span(self.bound_seconds));
        match self.state {
            State::Void(Why::ExpiredIdle | Why::ExpiredLifetime) => {
                line("expired", format!("{} ({bound})", ago(self.ends, now)));
            }
            State::Void(Why::Removed) => line("state", "its session moves to another backend".to_owned()),
            State::Void(_) => {
                line("refused", "its times lie further ahead than clocks may differ".to_owned())
            }
            State::OtherPool => {
                let here = self.elsewhere.as_deref().unwrap_or_default();
                line("refused", format!("it is pool \"{}\"'s and opens nothing in \"{here}\"", self.pool));
            }
            State::OtherName => {
                line("refused", format!("it is bound to the cookie name \"{}\"", self.cookie))
            }
            State::Valid | State::Due => {
                let due = if self.state == State::Due { "; written again with the next answer" } else { "" };
                line("expires", format!("{} unless it is used ({bound}){due}", ahead(self.ends, now)));
            }
        }
        line("sealed", format!("with key {} of {} ({:04x})", self.key, self.keys, self.key_id));
    }

    fn to_value(&self, now: UnixSeconds) -> Value {
        json!({
            "pool": self.pool,
            "state": self.word(),
            "cookie": self.cookie,
            "backend": self.backend,
            "is_member": self.is_member,
            "session": format!("{:016x}", self.session),
            "issued": self.issued.to_string(),
            "last_seen": self.last_seen.to_string(),
            "age_seconds": now.saturating_since(self.issued),
            "idle_seconds": now.saturating_since(self.last_seen),
            "expires": self.ends.to_string(),
            "expires_by": self.bound,
            "key": self.key,
            "keys": self.keys,
            "key_id": format!("{:04x}", self.key_id),
        })
    }

    fn word(&self) -> &'static str {
        match self.state {
            State::Valid => "valid",
            State::Due => "due",
            State::OtherPool => "other_pool",
            State::OtherName => "other_name",
            State::Void(why) => why.as_str(),
        }
    }
}

impl Foreign {
    fn tell(&self, out: &mut String) {
        let names = match (&self.backend, &self.reading.names) {
            (Some((pool, id, address)), _) => format!("names {pool}/{id} ({address})"),
            (None, Names::Stranger(text)) => format!("names {text}, which no pool here has"),
            (None, Names::Member(_) | Names::Nobody) => "names none of the backends here".to_owned(),
        };
        let (system, form) = (self.reading.system, self.reading.form);
        out.push_str(&format!("         looks like {system} ({form}): {names}\n"));
        for (what, value) in &self.reading.details {
            out.push_str(&format!("           {what}: {value}\n"));
        }
    }

    fn to_value(&self) -> Value {
        let names = match (&self.backend, &self.reading.names) {
            (Some((pool, id, address)), _) => json!({ "pool": pool, "backend": id, "address": address }),
            (None, Names::Stranger(text)) => json!({ "stranger": text }),
            (None, Names::Member(_) | Names::Nobody) => Value::Null,
        };
        let details: Map<String, Value> =
            self.reading.details.iter().map(|(what, value)| ((*what).to_owned(), json!(value))).collect();
        json!({
            "system": self.reading.system,
            "form": self.reading.form,
            "names": names,
            "details": details,
        })
    }
}

fn span(seconds: u32) -> String {
    Span(Duration::from_secs(u64::from(seconds))).to_string()
}

fn ago(then: UnixSeconds, now: UnixSeconds) -> String {
    if then > now {
        return ahead(then, now);
    }
    format!("{then}, {} ago", span(now.saturating_since(then)))
}

fn ahead(then: UnixSeconds, now: UnixSeconds) -> String {
    format!("{then}, in {}", span(then.saturating_since(now)))
}
