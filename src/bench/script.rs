//! What happens in a run: `crash b@20s, return b@30s, roll@40s`, or the same as a TOML file of `[[at]]` tables. Times are
//! of the wall clock, from the moment when every first session has logged in; user times alone are scaled. What
//! `homing simulate` reads is read here too, so that one script does for both.

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
    /// Where: the file's name, line and column, or the event's text.
    pub place: String,
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
    /// Each of its answers takes so much longer; no time ends that.
    Slow(String, Duration),
    /// This share of its answers is a 500; none ends that.
    Err(String, f64),
    /// Killed and started again, so many times: each time it is away for half of the period.
    Flap(String, Duration, u32),
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
    /// This share of the clients has another address; of those, this share is in another network now.
    Move(f64, f64),
    /// This share of the users has all sessions ended, and goes on with a copy of the cookies, as a thief would.
    Revoke(f64),
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
    /// Who is away is not in the balancer's list meanwhile.
    pub by_list: bool,
    /// How long the next one waits after each has returned.
    pub pause: Duration,
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
        Self {
            drain: None,
            downtime: Duration::from_secs(1),
            sweep: true,
            by_list: false,
            pause: Duration::ZERO,
            before: None,
            after: None,
        }
    }
}

/// Reads events separated by commas.
///
/// # Errors
/// What is wrong, as a sentence.
pub fn parse(text: &str) -> Result<Vec<Event>, String> {
    let mut events = Vec::new();
    for one in text.split(',').map(str::trim).filter(|one| !one.is_empty()) {
        let (words, rest) = one.rsplit_once('@').ok_or_else(|| format!("{one}: when? as in {one}@20s"))?;
        // Options may stand before the time and after it.
        let (at, more) = rest.trim().split_once(' ').unwrap_or((rest, ""));
        let (at, back) = at.split_once('+').map_or((at, None), |(at, back)| (at, Some(back)));
        let at = time(at.trim())?;
        let mut words = words.split_whitespace().chain(more.split_whitespace());
        let name = words.next().ok_or_else(|| format!("{one}: what happens?"))?;
        let mut read = Words::default();
        read.pairs.extend(back.map(|back| ("back".to_owned(), back.trim().to_owned())));
        for word in words {
            match word.split_once('=') {
                Some((key, value)) => read.pairs.push((key.to_owned(), value.to_owned())),
                None if read.target.is_none() && !(name == "roll" && word == "drain") => {
                    read.target = Some(word.to_owned());
                }
                None => read.pairs.push((word.to_owned(), String::new())),
            }
        }
        read.put(name, at, &format!("event \"{one}\""), &mut events)?;
    }
    sorted(events)
}

/// Reads a script; `origin` is its name.
///
/// # Errors
/// What is wrong and where, as a sentence.
pub fn parse_file(text: &str, origin: &str) -> Result<(Option<u64>, Vec<Event>), String> {
    let place = |at: usize| {
        let before = text.get(..at).unwrap_or_default();
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        format!("{origin}:{}:{column}", before.matches('\n').count() + 1)
    };
    let table = DeTable::parse(text)
        .map_err(|e| format!("{}: {}", place(e.span().map_or(0, |span| span.start)), e.message()))?;
    let (mut seed, mut events) = (None, Vec::new());
    for (key, value) in table.get_ref() {
        let at = place(key.span().start);
        match (&**key.get_ref(), value.get_ref()) {
            ("seed", DeValue::Integer(n)) => {
                let read = n.as_str().parse();
                seed = Some(read.map_err(|_| format!("{at}: seed must be a number from 0"))?);
            }
            ("at", DeValue::Array(list)) => {
                for one in list {
                    let at = place(one.span().start);
                    event(one.get_ref(), &at, &place, &mut events).map_err(|what| format!("{at}: {what}"))?;
                }
            }
            (key, _) => return Err(format!("{at}: {key}: a script has seed = N and [[at]] tables")),
        }
    }
    Ok((seed, sorted(events).map_err(|what| format!("{origin}: {what}"))?))
}

fn event(
    value: &DeValue<'_>,
    at: &str,
    place: &dyn Fn(usize) -> String,
    events: &mut Vec<Event>,
) -> Result<(), String> {
    let DeValue::Table(table) = value else { return Err("[[at]] must be a table".to_owned()) };
    let (mut read, mut name, mut time_of) = (Words::default(), None, None);
    let mut at = at.to_owned();
    for (key, value) in table {
        let (key, span) = (&**key.get_ref(), value.span());
        let text = match value.get_ref() {
            DeValue::String(text) => text.to_string(),
            DeValue::Integer(n) => n.as_str().to_owned(),
            DeValue::Float(n) => n.as_str().to_owned(),
            DeValue::Boolean(yes) => yes.to_string(),
            _ => return Err(format!("{key}: must be a text, a number, true or false")),
        };
        match key {
            "t" => time_of = Some(time(&text)?),
            "do" => name = Some(text),
            "target" | "scope" | "cmd" if read.target.is_none() => {
                read.target = Some(text);
                at = place(span.start);
            }
            _ => read.pairs.push((key.to_owned(), text)),
        }
    }
    let name = name.ok_or("[[at]] needs do = \"..\"")?;
    let time_of = time_of.ok_or_else(|| format!("{name}: [[at]] needs t = \"..\""))?;
    read.put(&name, time_of, &at, events)
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
        "slow" => What::Slow(backend()?, words.time("delay")?.ok_or("slow b delay=200ms: by how much?")?),
        "err" => What::Err(backend()?, words.share("share", None)?),
        "flap" => words.flap(backend()?)?,
        "ip_change" | "move" => {
            What::Move(words.share("share", target.as_deref())?, words.share("far", None)?)
        }
        "revoke" => What::Revoke(words.share("share", target.as_deref())?),
        "jar_clear" | "lose_cookies" => What::LoseCookies(words.share("share", target.as_deref())?),
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
const NAMES: [&str; 22] = [
    "crash",
    "return",
    "freeze",
    "thaw",
    "slow",
    "err",
    "flap",
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
    "revoke",
    "exec",
];

impl Words {
    fn take(&mut self, key: &str) -> Option<String> {
        let at = self.pairs.iter().position(|(k, _)| k == key)?;
        Some(self.pairs.remove(at).1)
    }

    /// One event more, and where a crash says after how long its backend is back, that too.
    fn put(mut self, name: &str, at: Duration, place: &str, events: &mut Vec<Event>) -> Result<(), String> {
        let back = if name == "crash" { self.time("back")? } else { None };
        let label = label(name, &self);
        let place = place.to_owned();
        events.push(Event { at, what: what(name, &mut self)?, label, place: place.clone() });
        if let (Some(back), Some(target)) = (back, self.target) {
            let label = format!("return {target}");
            events.push(Event { at: at + back, what: What::Restart(target), label, place });
        }
        Ok(())
    }

    fn time(&mut self, key: &str) -> Result<Option<Duration>, String> {
        self.take(key).map(|text| time(&text)).transpose()
    }

    /// All, if nothing is said.
    fn share(&mut self, key: &str, target: Option<&str>) -> Result<f64, String> {
        match self.take(key) {
            Some(text) => share(Some(&text)),
            None => share(target),
        }
    }

    fn flap(&mut self, backend: String) -> Result<What, String> {
        let period = self.time("period")?.unwrap_or(Duration::from_secs(2));
        let times = self.take("times").map_or(Ok(3), |text| text.parse::<u32>());
        let times = times.ok().filter(|times| (1..=100).contains(times));
        Ok(What::Flap(backend, period, times.ok_or("flap: times must be 1 to 100")?))
    }

    fn roll(&mut self) -> Result<Roll, String> {
        let mut roll = Roll::plain();
        roll.drain = match self.take("drain") {
            Some(text) if text.is_empty() || text == "true" || text == "wait" => {
                Some(Duration::from_secs(120))
            }
            Some(text) => Some(time(&text)?),
            None => None,
        };
        let downtime = self.time("downtime")?;
        roll.downtime = self.time("down")?.or(downtime).unwrap_or(roll.downtime);
        roll.pause = self.time("ready_delay")?.unwrap_or(roll.pause);
        roll.by_list = match self.take("by").as_deref() {
            None | Some("down") => false,
            Some("list") => true,
            Some(other) => return Err(format!("roll by={other}: must be down or list")),
        };
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
    let share = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok().map(|n| n / 100.0),
        None => text.parse::<f64>().ok(),
    };
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| format!("{text}: must be a share, as in 20% or 0.2"))
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
            Self::Slow(..) => "slow",
            Self::Err(..) => "err",
            Self::Flap(..) => "flap",
            Self::Roll(Roll { drain: None, by_list: false, .. }) => "roll",
            Self::Roll(Roll { drain: None, .. }) => "roll_list",
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
            Self::Move(share, far) if *share < 1.0 || (*far > 0.0 && *far < 1.0) => "ip_change_part",
            Self::Move(_, far) if *far > 0.0 => "ip_change",
            Self::Move(..) => "ip_change_near",
            Self::Revoke(_) => "revoke",
            Self::LoseCookies(_) => "jar_clear",
            Self::Exec(_) => "exec",
        }
    }

    /// The same, to give it its right name.
    pub(super) fn target_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Crash(b) | Self::Restart(b) | Self::Freeze(b) | Self::Thaw(b) | Self::Drain(b, _) => {
                Some(b)
            }
            Self::Ready(b) | Self::Weight(b, _) | Self::Remove(b) => Some(b),
            Self::Slow(b, _) | Self::Err(b, _) | Self::Flap(b, ..) => Some(b),
            _ => None,
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
            Self::Slow(b, _) | Self::Err(b, _) | Self::Flap(b, ..) => Some(b),
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
            (60, What::Move(0.2, 1.0), "ip_change 20%"),
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
        let (seed, events) = parse_file(text, "s.toml").unwrap();
        assert_eq!((seed, events.len()), (Some(7), 3));
        assert_eq!(events[2].what, What::Exec("./drain.sh b".to_owned()));
        assert_eq!(events[1].what.name(), "roll_drain");
        assert_eq!((events[0].place.as_str(), events[2].place.as_str()), ("s.toml:5:10", "s.toml:15:7"));
        for (text, expected) in [
            ("[[at]]\nt = \"1s\"\n", "s.toml:1:"),
            ("seed = 1\n[[at]]\nt = \"1s\"\ndo = \"explode\"\n", "no such event"),
            ("seed = \"x\"", "s.toml:1:1: seed"),
            ("a = [", "s.toml:1:"),
        ] {
            let error = parse_file(text, "s.toml").unwrap_err();
            assert!(error.starts_with("s.toml:") && error.contains(expected), "{error}");
        }
    }

    #[test]
    fn what_simulate_reads_is_read() {
        let events =
            parse("crash b@2s+4s, roll@9s by=list down=3s ready_delay=2s, ip_change 0.5 far=0@20s").unwrap();
        assert_eq!(events[1].what, What::Restart("b".to_owned()));
        assert_eq!(events[1].at, Duration::from_secs(6));
        let What::Roll(roll) = &events[2].what else { panic!("{events:?}") };
        assert!(roll.by_list && roll.downtime.as_secs() == 3 && roll.pause.as_secs() == 2);
        assert_eq!(events[3].what, What::Move(0.5, 0.0));
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
