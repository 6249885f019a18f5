//! What happens in a run: `crash b@20s, return b@30s, roll@40s`, or the same as a TOML file of `[[at]]` tables. Times are
//! of the wall clock, from the moment when every first session has logged in; user times alone are scaled.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use crate::base::units::Span;

/// Something that is done at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// After every first session has logged in.
    pub at: Duration,
    /// What is done then.
    pub what: What,
    /// As it was written.
    pub label: String,
}

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// SIGKILL.
    Crash(String),
    /// The process is started again, on the same port.
    Restart(String),
    /// SIGSTOP: it accepts, and answers nothing.
    Freeze(String),
    /// SIGCONT.
    Thaw(String),
    /// Each backend in turn.
    Roll(Roll),
    /// By the balancer's own means; a balancer without any takes it out of the list.
    Drain(String, Option<Duration>),
    /// It takes sessions again.
    Ready(String),
    /// How large its share of new sessions is.
    Weight(String, u16),
    /// One more backend.
    Add,
    /// It is taken out of the balancer's list, and runs on.
    Remove(String),
    /// The same list, the other way round.
    Reorder,
    /// The balancer reads its configuration again.
    Reload,
    /// The balancer is killed and started again.
    RestartBalancer,
    /// One of several balancers is killed.
    LoseBalancer,
    /// The store is killed and started again, empty.
    RestartStore,
    /// This share of the clients has another address, in another network.
    Move(f64),
    /// This share of the clients loses its cookies.
    LoseCookies(f64),
    /// A command.
    Exec(String),
}

/// How backends are restarted in turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Roll {
    /// Each is emptied before: until nobody loses anything, and so long at most.
    pub drain: Option<Duration>,
    /// How long each is away.
    pub downtime: Duration,
    /// Whether each phase lasts until every live session has been answered in it.
    pub sweep: bool,
    /// Commands in the place of the balancer's own means.
    pub before: Option<String>,
    /// The same, once it is back.
    pub after: Option<String>,
}

/// One event's words, however they were written.
#[derive(Default)]
struct Words {
    target: Option<String>,
    pairs: Vec<(String, String)>,
}

impl Roll {
    /// As `roll` alone.
    #[must_use]
    pub fn plain() -> Self {
        Self { drain: None, downtime: Duration::from_secs(1), sweep: true, before: None, after: None }
    }
}

/// Reads events separated by commas.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn parse(text: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (words, at) = one.rsplit_once('@').ok_or_else(|| format!("{one}: when? as in {one}@20s"))?;
        let at = time(at.trim())?;
        let mut words = words.split_whitespace();
        let name = words.next().ok_or_else(|| format!("{one}: what happens?"))?;
        let mut read = Words::default();
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => read.pairs.push((key.to_owned(), value.to_owned())),
                None if read.target.is_none() && !(name == "roll" && word == "drain") => {
                    read.target = Some(word.to_owned());
                }
                None => read.pairs.push((word.to_owned(), String::new())),
            }
        }
        events.push(Event { at, what: what(name, &mut read)?, label: label(name, &read) });
    }
    sorted(events)
}

/// Reads a script.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn parse_file(text: &str) -> Result<(Option<u64>, Vec<Event>), String> {
    let table = DeTable::parse(text).map_err(|e| e.to_string())?;
    let (mut seed, mut events) = (None, Vec::new());
    for (key, value) in table.get_ref() {
        match (&**key.get_ref(), value.get_ref()) {
            ("seed", DeValue::Integer(n)) => {
                seed = Some(n.as_str().parse().map_err(|_| "seed must be a number from 0".to_owned())?);
            }
            ("at", DeValue::Array(list)) => {
                for one in list {
                    events.push(event(one.get_ref())?);
                }
            }
            (key, _) => return Err(format!("{key}: a script has seed = N and [[at]] tables")),
        }
    }
    Ok((seed, sorted(events)?))
}

fn event(value: &DeValue<'_>) -> Result<Event, String> {
    let DeValue::Table(table) = value else { return Err("[[at]] must be a table".to_owned()) };
    let (mut read, mut name, mut at) = (Words::default(), None, None);
    for (key, value) in table {
        let key = &**key.get_ref();
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(n) => n.as_str().to_owned(),
            DeValue::Boolean(yes) => yes.to_string(),
            _ => return Err(format!("{key}: must be a text, a number, true or false")),
        };
        match key {
            "t" => at = Some(time(&text)?),
            "do" => name = Some(text),
            "target" => read.target = Some(text),
            "scope" | "cmd" if read.target.is_none() => read.target = Some(text),
            _ => read.pairs.push((key.to_owned(), text)),
        }
    }
    let name = name.ok_or("[[at]] needs do = \"..\"")?;
    let at = at.ok_or_else(|| format!("{name}: [[at]] needs t = \"..\""))?;
    Ok(Event { at, what: what(&name, &mut read)?, label: label(&name, &read) })
}

fn label(name: &str, words: &Words) -> String {
    let mut label = name.to_owned();
    words.target.iter().for_each(|target| label.push_str(&format!(" {target}")));
    label
}

fn sorted(mut events: Vec<Event>) -> Result<Vec<Event>, String> {
    events.sort_by_key(|event| event.at);
    if events.is_empty() { Err("no event".to_owned()) } else { Ok(events) }
}

fn what(name: &str, words: &mut Words) -> Result<What, String> {
    let target = words.target.clone();
    let backend = || target.clone().ok_or_else(|| format!("{name}: which backend? as in {name} b@20s"));
    let made = match name {
        "crash" => What::Crash(backend()?),
        "restart" | "return" => What::Restart(backend()?),
        "freeze" => What::Freeze(backend()?),
        "thaw" => What::Thaw(backend()?),
        "drain" => What::Drain(backend()?, words.time("deadline")?),
        "ready" => What::Ready(backend()?),
        "weight" => {
            let weight = words.take("weight").or_else(|| words.take("to"));
            let weight = weight.and_then(|text| text.parse().ok()).ok_or("weight b to=N: which weight?")?;
            What::Weight(backend()?, weight)
        }
        "add" => What::Add,
        "remove" => What::Remove(backend()?),
        "reorder" | "list_reorder" => What::Reorder,
        "reload" | "lb_reload" => What::Reload,
        "lb_restart" | "restart_balancer" => What::RestartBalancer,
        "lb_loss" | "lose_balancer" => What::LoseBalancer,
        "store_restart" | "restart_store" => What::RestartStore,
        "ip_change" | "move" => What::Move(share(target.as_deref())?),
        "jar_clear" | "lose_cookies" => What::LoseCookies(share(target.as_deref())?),
        "exec" => What::Exec(target.clone().ok_or("exec: which command?")?),
        "roll" => What::Roll(words.roll()?),
        _ => return Err(format!("{name}: no such event; there are {}", NAMES.join(", "))),
    };
    match words.pairs.first() {
        Some((key, _)) => Err(format!("{name}: {key} means nothing here")),
        None => Ok(made),
    }
}

/// Every name that an event has, for people.
const NAMES: [&str; 18] = [
    "crash",
    "return",
    "freeze",
    "thaw",
    "roll",
    "drain",
    "ready",
    "weight",
    "add",
    "remove",
    "reorder",
    "reload",
    "lb_restart",
    "lb_loss",
    "store_restart",
    "ip_change",
    "jar_clear",
    "exec",
];

impl Words {
    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(k, _)| k == key)?;
        Some(self.pairs.remove(at).1)
    }

    fn time(&mut self, key: &str) -> Result<Option<Duration>, String> {
        self.take(key).map(|text| time(&text)).transpose()
    }

    fn roll(&mut self) -> Result<Roll, String> {
        let mut roll = Roll::plain();
        roll.drain = match self.take("drain") {
            Some(text) if text.is_empty() || text == "true" => Some(Duration::from_secs(120)),
            Some(text) => Some(time(&text)?),
            None => None,
        };
        roll.downtime = self.time("downtime")?.unwrap_or(roll.downtime);
        roll.sweep = self.take("sweep").is_none_or(|text| text != "false" && text != "no");
        (roll.before, roll.after) = (self.take("before"), self.take("after"));
        for fixed in ["batch", "surge"] {
            if self.take(fixed).is_some_and(|n| n != if fixed == "batch" { "1" } else { "0" }) {
                return Err("roll: one backend at a time is restarted: batch = 1, surge = 0".to_owned());
            }
        }
        Ok(roll)
    }
}

fn time(text: &str) -> Result<Duration, String> {
    text.parse::<Span>().map(|span| span.0).map_err(|must| format!("{text}: {must}"))
}

fn share(text: Option<&str>) -> Result<f64, String> {
    let Some(text) = text else { return Ok(1.0) };
    let percent = text.strip_suffix('%').and_then(|n| n.parse::<f64>().ok());
    percent
        .filter(|n| (0.0..=100.0).contains(n))
        .map(|n| n / 100.0)
        .ok_or_else(|| format!("{text}: must be a share, as in 20%"))
}

impl What {
    /// Its name in results.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Crash(_) => "crash",
            Self::Restart(_) => "restart",
            Self::Freeze(_) => "freeze",
            Self::Thaw(_) => "thaw",
            Self::Roll(Roll { drain: None, .. }) => "roll",
            Self::Roll(_) => "roll_drain",
            Self::Drain(..) => "drain",
            Self::Ready(_) => "ready",
            Self::Weight(..) => "weight",
            Self::Add => "add",
            Self::Remove(_) => "remove",
            Self::Reorder => "list_reorder",
            Self::Reload => "lb_reload",
            Self::RestartBalancer => "lb_restart",
            Self::LoseBalancer => "lb_loss",
            Self::RestartStore => "store_restart",
            Self::Move(share) if *share < 1.0 => "ip_change_part",
            Self::Move(_) => "ip_change",
            Self::LoseCookies(_) => "jar_clear",
            Self::Exec(_) => "exec",
        }
    }

    /// The backend that it is about.
    #[must_use]
    pub fn target(&self) -> Option<&str> {
        match self {
            Self::Crash(b) | Self::Restart(b) | Self::Freeze(b) | Self::Thaw(b) | Self::Drain(b, _) => {
                Some(b)
            }
            Self::Ready(b) | Self::Weight(b, _) | Self::Remove(b) => Some(b),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_from_a_line() {
        let events =
            parse("roll drain=20s downtime=2s @40s, crash b@20s, return b@30s, ip_change 20%@1m").unwrap();
        let roll =
            Roll { drain: Some(Duration::from_secs(20)), downtime: Duration::from_secs(2), ..Roll::plain() };
        let expected = [
            (20, What::Crash("b".to_owned()), "crash b"),
            (30, What::Restart("b".to_owned()), "return b"),
            (40, What::Roll(roll), "roll"),
            (60, What::Move(0.2), "ip_change 20%"),
        ];
        assert_eq!(events.len(), expected.len());
        for (event, (at, what, label)) in events.iter().zip(expected) {
            assert_eq!(
                (event.at, &event.what, event.label.as_str()),
                (Duration::from_secs(at), &what, label)
            );
        }
        let drained = parse("roll drain@1s").unwrap();
        assert!(matches!(&drained[0].what, What::Roll(roll) if roll.drain.is_some()), "{drained:?}");
    }

    #[test]
    fn a_script_says_the_same() {
        let text = "seed = 7\n[[at]]\nt = \"60s\"\ndo = \"crash\"\ntarget = \"b\"\n[[at]]\nt = \"120s\"\ndo = \"roll\"\n\
                    batch = 1\nsurge = 0\ndrain = \"20s\"\n[[at]]\nt = \"240s\"\ndo = \"exec\"\ncmd = \"./drain.sh b\"\n";
        let (seed, events) = parse_file(text).unwrap();
        assert_eq!((seed, events.len()), (Some(7), 3));
        assert_eq!(events[2].what, What::Exec("./drain.sh b".to_owned()));
        assert_eq!(events[1].what.name(), "roll_drain");
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, expected) in [
            ("crash b", "when?"),
            ("crash@1s", "which backend?"),
            ("explode b@1s", "no such event"),
            ("crash b@1", "needs a unit"),
            ("crash b much=1@1s", "means nothing"),
            ("ip_change 200%@1s", "share"),
            ("roll batch=2@1s", "one backend at a time"),
            ("", "no event"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
