//! What happens to the backends, the balancer, the store and the clients, and when.
//!
//! One line, `crash b@60s+15s, roll@120s drain=20s`, or a file of `[[at]]` tables as `homing bench` reads it. What
//! only a live run can show (a frozen backend, a command of one's own) is left out and told.

use std::time::Duration;

use toml::de::{DeTable, DeValue};

use super::Problem;
use super::fleet::{MOST, SlotIx, name};
use crate::base::options::nearest;
use crate::base::units::Span;

/// Seconds that a backend is away for a restart. (the demo's default)
const DOWN: f64 = 5.0;
/// Seconds from its return to the next.
const GAP: f64 = 5.0;
/// Kinds that a simulation knows, as they are written.
const KINDS: [&str; 14] = [
    "crash",
    "return",
    "restart",
    "roll",
    "drain",
    "add",
    "remove",
    "reorder",
    "lb_reload",
    "lb_restart",
    "store_restart",
    "ip_change",
    "cookie_strip",
    "jar_clear",
];
/// Kinds that only `homing bench` has.
const LIVE: [&str; 14] = [
    "freeze",
    "slow",
    "err",
    "refuse",
    "weight",
    "flap",
    "exec",
    "revoke",
    "lb_replica",
    "lb_loss",
    "store_crash",
    "store_flush",
    "key_rotate",
    "tab_race",
];
/// Most events of a script.
const MOST_EVENTS: usize = 1000;
/// Latest time of an event, seconds.
const LATEST: f64 = 7.0 * 86_400.0;

/// Events in the order of their times.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Script {
    /// The events.
    pub events: Vec<Event>,
    /// What a simulation cannot show.
    pub left_out: Vec<String>,
    /// The seed that the file asks for.
    pub seed: Option<u64>,
}

/// One event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    /// Seconds from the start.
    pub at: f64,
    /// What happens.
    pub what: What,
}

/// What happens.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    /// Backends end at once, and with them what they hold in memory; they are back after so many seconds, or not.
    Crash(Vec<String>, Option<f64>),
    /// They are back, with nothing in memory.
    Return(Vec<String>),
    /// One after the other is restarted.
    Roll(Roll),
    /// They take no new sessions, and give up those that are left after so many seconds.
    Drain(Vec<String>, Option<f64>),
    /// So many new backends, at the list's end.
    Add(usize),
    /// They are gone from the list.
    Remove(Vec<String>),
    /// The list is turned round.
    Reorder,
    /// The balancer reads its configuration again.
    LbReload,
    /// The balancer starts anew; without a `secret` it cannot read the pins of before.
    LbRestart {
        /// Whether its pins have a key of their own.
        secret: bool,
    },
    /// The shared store starts anew, empty.
    StoreRestart,
    /// A share of the clients change their address, and a share of those to another network.
    IpChange(f64, f64),
    /// A share of the clients lose the affinity cookie, and it alone.
    CookieStrip(f64),
    /// A share of the clients lose all cookies, and log in again.
    JarClear(f64),
}

/// How a rolling restart goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Roll {
    /// So many at once.
    pub batch: usize,
    /// New backends that take over from the old instead, so many at once; 0: the old ones come back.
    pub surge: usize,
    /// How long each is drained before; `None`: not at all.
    pub drain: Option<Drained>,
    /// Whether a backend that is away is gone from the list meanwhile, or only down.
    pub by_list: bool,
    /// Seconds that it is away.
    pub down: f64,
    /// Seconds until the next.
    pub gap: f64,
}

/// How long a backend is drained.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drained {
    /// Seconds.
    For(f64),
    /// Until its last session has ended.
    Wait,
}

/// One change at one time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    pub(super) at: f64,
    /// The place of its event in the script.
    pub(super) event: usize,
    pub(super) change: Change,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Change {
    Crash(Vec<SlotIx>),
    Back(Vec<SlotIx>),
    Drain(Vec<SlotIx>),
    Leave(Vec<SlotIx>),
    Add(usize),
    Delist(Vec<SlotIx>),
    Enlist(Vec<SlotIx>),
    Reverse,
    Reload,
    Void,
    EmptyStore,
    Address(f64, f64),
    Strip(f64),
    Clear(f64),
}

impl Script {
    /// Reads the one-line form.
    ///
    /// # Errors
    /// What is there and what would be right.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let mut this = Self::default();
        for part in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let spaced = part.replace('@', " @");
            let mut words = spaced.split_whitespace();
            let mut fields =
                Fields { kind: words.next().unwrap_or_default().to_owned(), ..Fields::default() };
            for word in words {
                if let Some(time) = word.strip_prefix('@') {
                    let (at, back) = time.split_once('+').map_or((time, None), |(at, back)| (at, Some(back)));
                    fields.set("t", at);
                    if let Some(back) = back {
                        fields.set("back", back);
                    }
                } else if let Some((key, value)) = word.split_once('=') {
                    fields.set(key, value);
                } else {
                    fields.set("target", word);
                }
            }
            this.take(fields, &format!("event {part:?}"))?;
        }
        this.finish()
    }

    /// Reads the form of a file.
    ///
    /// # Errors
    /// What is there and what would be right, with the line.
    pub fn parse_toml(text: &str, origin: &str) -> Result<Self, Problem> {
        let line = |at: usize| text.get(..at).unwrap_or_default().matches('\n').count() + 1;
        let table = DeTable::parse(text).map_err(|e| {
            let at = e.span().map_or(1, |s| line(s.start));
            Problem::new(format!("{origin}:{at}: {}", e.message()), "TOML with [[at]] tables".to_owned())
        })?;
        let mut this = Self::default();
        for (key, value) in table.get_ref() {
            let place = format!("{origin}:{}", line(key.span().start));
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("seed", v) => {
                    let seed = word(v).and_then(|w| w.parse().ok());
                    this.seed = Some(seed.ok_or_else(|| wrong(&place, "seed", "a whole number from 0"))?);
                }
                ("at", DeValue::Array(events)) => {
                    for event in events {
                        let place = format!("{origin}:{}", line(event.span().start));
                        let DeValue::Table(event) = event.get_ref() else {
                            return Err(wrong(&place, "at", "[[at]] tables"));
                        };
                        let mut fields = Fields::default();
                        for (key, value) in event {
                            let key = key.get_ref().as_ref();
                            let value = word(value.get_ref())
                                .ok_or_else(|| wrong(&place, key, "a text, a number or true or false"))?;
                            if key == "do" { fields.kind = value } else { fields.set(key, &value) }
                        }
                        this.take(fields, &place)?;
                    }
                }
                (other, _) => return Err(wrong(&place, other, "seed or [[at]]")),
            }
        }
        this.finish()
    }

    fn take(&mut self, fields: Fields, place: &str) -> Result<(), Problem> {
        if LIVE.contains(&fields.kind.as_str()) {
            self.left_out.push(format!("{place}: {} is left out: only `homing bench` shows it", fields.kind));
            return Ok(());
        }
        self.events.push(fields.event(place)?);
        if self.events.len() > MOST_EVENTS {
            return Err(Problem::new(format!("{place}: more than {MOST_EVENTS} events"), String::new()));
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Self, Problem> {
        self.events.sort_by(|a, b| a.at.total_cmp(&b.at));
        Ok(self)
    }

    /// The changes that the events are, in the order of their times, where there are `n` backends at first. `longest` is
    /// how long the last session of a drained backend may take.
    pub(super) fn steps(&self, n: usize, longest: f64) -> Result<Vec<Step>, Problem> {
        let (mut steps, mut slots) = (Vec::new(), n);
        for (event, Event { at, what }) in self.events.iter().enumerate() {
            let find = |names: &[String]| {
                names.iter().map(|name| slot_of(name, slots)).collect::<Result<Vec<_>, _>>()
            };
            let mut add = |after: f64, change| steps.push(Step { at: at + after, event, change });
            match what {
                What::Crash(who, back) => {
                    let who = find(who)?;
                    add(0.0, Change::Crash(who.clone()));
                    back.iter().for_each(|back| add(*back, Change::Back(who.clone())));
                }
                What::Return(who) => add(0.0, Change::Back(find(who)?)),
                What::Roll(roll) => roll.steps(n, &mut slots, longest, &mut add),
                What::Drain(who, deadline) => {
                    let who = find(who)?;
                    add(0.0, Change::Drain(who.clone()));
                    deadline.iter().for_each(|after| add(*after, Change::Leave(who.clone())));
                }
                What::Add(count) => {
                    slots += count;
                    add(0.0, Change::Add(*count));
                }
                What::Remove(who) => add(0.0, Change::Delist(find(who)?)),
                What::Reorder => add(0.0, Change::Reverse),
                What::LbReload | What::LbRestart { secret: true } => add(0.0, Change::Reload),
                What::LbRestart { secret: false } => add(0.0, Change::Void),
                What::StoreRestart => add(0.0, Change::EmptyStore),
                What::IpChange(share, far) => add(0.0, Change::Address(*share, *far)),
                What::CookieStrip(share) => add(0.0, Change::Strip(*share)),
                What::JarClear(share) => add(0.0, Change::Clear(*share)),
            }
        }
        if slots > MOST {
            return Err(Problem::new(
                format!("{slots} backends, those that events add included"),
                format!("{MOST} at most"),
            ));
        }
        steps.sort_by(|a, b| a.at.total_cmp(&b.at));
        Ok(steps)
    }
}

impl Roll {
    fn steps(&self, n: usize, slots: &mut usize, longest: f64, add: &mut impl FnMut(f64, Change)) {
        let mut t = 0.0;
        let all: Vec<SlotIx> = (0..u16::try_from(n).unwrap_or(0)).collect();
        for batch in all.chunks(if self.surge > 0 { self.surge } else { self.batch }.max(1)) {
            if self.surge > 0 {
                *slots += batch.len();
                add(t, Change::Add(batch.len()));
                t += self.gap;
            }
            if let Some(drain) = self.drain {
                add(t, Change::Drain(batch.to_vec()));
                t += match drain {
                    Drained::For(seconds) => seconds,
                    Drained::Wait => longest + 1.0,
                };
            }
            if self.surge > 0 {
                add(t, Change::Delist(batch.to_vec()));
            } else {
                let out = if self.by_list { Change::Delist } else { Change::Crash };
                let back = if self.by_list { Change::Enlist } else { Change::Back };
                add(t, out(batch.to_vec()));
                t += self.down;
                add(t, back(batch.to_vec()));
            }
            t += self.gap;
        }
    }
}

impl Event {
    /// As it is written.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self.what {
            What::Crash(_, None) => "crash",
            What::Crash(_, Some(_)) => "crash_return",
            What::Return(_) => "return",
            What::Roll(_) => "roll",
            What::Drain(..) => "drain",
            What::Add(_) => "add",
            What::Remove(_) => "remove",
            What::Reorder => "reorder",
            What::LbReload => "lb_reload",
            What::LbRestart { .. } => "lb_restart",
            What::StoreRestart => "store_restart",
            What::IpChange(..) => "ip_change",
            What::CookieStrip(_) => "cookie_strip",
            What::JarClear(_) => "jar_clear",
        }
    }

    /// Whom it is about; empty where it is all.
    #[must_use]
    pub fn target(&self) -> String {
        match &self.what {
            What::Crash(who, _) | What::Return(who) | What::Drain(who, _) | What::Remove(who) => {
                who.join(" ")
            }
            What::Add(count) => count.to_string(),
            What::IpChange(share, _) | What::CookieStrip(share) | What::JarClear(share) => {
                format!("{}%", super::rounded(share * 100.0))
            }
            What::Roll(_) | What::Reorder | What::LbReload | What::LbRestart { .. } | What::StoreRestart => {
                String::new()
            }
        }
    }

    /// For tables: `crash b`, `roll by the list`.
    #[must_use]
    pub fn label(&self) -> String {
        let more = match &self.what {
            What::Roll(roll) => {
                let drain = match roll.drain {
                    None => String::new(),
                    Some(Drained::Wait) => " drained".to_owned(),
                    Some(Drained::For(seconds)) => format!(" drain {seconds}s"),
                };
                let list = if roll.surge > 0 {
                    " surge"
                } else if roll.by_list {
                    " by list"
                } else {
                    ""
                };
                format!("{list}{drain}")
            }
            What::LbRestart { secret: false } => " without secret".to_owned(),
            _ if self.target().is_empty() => String::new(),
            _ => format!(" {}", self.target()),
        };
        format!("{}{more}", self.kind())
    }
}

/// What is written of one event.
#[derive(Debug, Default)]
struct Fields {
    kind: String,
    /// Key and value.
    given: Vec<(String, String)>,
}

impl Fields {
    fn set(&mut self, key: &str, value: &str) {
        self.given.push((key.to_owned(), value.to_owned()));
    }

    fn event(self, place: &str) -> Result<Event, Problem> {
        let kind = match self.kind.as_str() {
            "reload" | "upgrade" | "lb_upgrade" => "lb_reload",
            "list_reorder" => "reorder",
            "cookie_loss" => "cookie_strip",
            other => other,
        }
        .to_owned();
        let mut read = Reader { place, fields: self, asked: vec!["t", "do"] };
        let at = read.seconds("t")?.ok_or_else(|| {
            Problem::new(format!("{place}: has no time"), "as in \"crash b@60s\", or t = \"60s\"".to_owned())
        })?;
        let what = match kind.as_str() {
            "crash" => What::Crash(read.targets()?, read.seconds("back")?),
            "restart" => What::Return(read.targets()?),
            "return" => What::Return(read.targets()?),
            "roll" => What::Roll(read.roll()?),
            "drain" => {
                let (who, deadline) = (read.targets()?, read.seconds("deadline")?);
                What::Drain(who, deadline.or(read.seconds("back")?))
            }
            "add" => What::Add(read.count("target", 1..=MOST)?.unwrap_or(1)),
            "remove" => What::Remove(read.targets()?),
            "reorder" => What::Reorder,
            "lb_reload" => What::LbReload,
            "lb_restart" => What::LbRestart { secret: read.is("secret", true)? },
            "store_restart" => What::StoreRestart,
            "ip_change" => What::IpChange(read.share()?, read.number("far", 0.8)?),
            "cookie_strip" => What::CookieStrip(read.share()?),
            "jar_clear" => What::JarClear(read.share()?),
            other => {
                let help = nearest(other, KINDS).map_or_else(
                    || format!("one of {}", KINDS.join(", ")),
                    |near| format!("did you mean \"{near}\"?"),
                );
                return Err(Problem::new(format!("{place}: unknown event {other:?}"), help));
            }
        };
        read.finish()?;
        Ok(Event { at, what })
    }
}

/// Reads the fields of one event, and remembers which were asked for.
struct Reader<'a> {
    place: &'a str,
    fields: Fields,
    asked: Vec<&'static str>,
}

impl Reader<'_> {
    fn get(&mut self, key: &'static str) -> Option<String> {
        self.asked.push(key);
        self.fields.given.iter().find(|(k, _)| k == key).map(|(_, v)| v.clone())
    }

    fn targets(&mut self) -> Result<Vec<String>, Problem> {
        self.asked.push("target");
        let given = self.fields.given.iter().filter(|(k, _)| k == "target");
        let all: Vec<String> = given.flat_map(|(_, v)| v.split_whitespace()).map(str::to_owned).collect();
        if all.is_empty() {
            return Err(Problem::new(
                format!("{}: {} names no backend", self.place, self.fields.kind),
                format!("as in \"{} b@60s\"", self.fields.kind),
            ));
        }
        Ok(all)
    }

    fn seconds(&mut self, key: &'static str) -> Result<Option<f64>, Problem> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let span: Span =
            text.parse().map_err(|e: String| Problem::new(format!("{}: {key} = {text:?}", self.place), e))?;
        let seconds = Duration::as_secs_f64(&span.0);
        if seconds > LATEST {
            return Err(wrong(self.place, key, "at most 7 days"));
        }
        Ok(Some(seconds))
    }

    fn count(
        &mut self,
        key: &'static str,
        bounds: std::ops::RangeInclusive<usize>,
    ) -> Result<Option<usize>, Problem> {
        let Some(text) = self.get(key) else { return Ok(None) };
        let must =
            || wrong(self.place, key, &format!("a whole number from {} to {}", bounds.start(), bounds.end()));
        text.parse().ok().filter(|n| bounds.contains(n)).map(Some).ok_or_else(must)
    }

    fn number(&mut self, key: &'static str, default: f64) -> Result<f64, Problem> {
        let Some(text) = self.get(key) else { return Ok(default) };
        share(&text).ok_or_else(|| wrong(self.place, key, "a share from 0 to 1, or 30%"))
    }

    fn share(&mut self) -> Result<f64, Problem> {
        let default = self.number("share", 1.0)?;
        self.number("target", default)
    }

    fn is(&mut self, key: &'static str, default: bool) -> Result<bool, Problem> {
        match self.get(key).as_deref() {
            None => Ok(default),
            Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(_) => Err(wrong(self.place, key, "true or false")),
        }
    }

    fn roll(&mut self) -> Result<Roll, Problem> {
        let drain = match self.get("drain").as_deref() {
            None => None,
            Some("wait") => Some(Drained::Wait),
            Some(_) => self.seconds("drain")?.map(Drained::For),
        };
        Ok(Roll {
            batch: self.count("batch", 1..=MOST)?.unwrap_or(1),
            surge: self.count("surge", 0..=MOST)?.unwrap_or(0),
            drain,
            by_list: match self.get("by").as_deref() {
                None | Some("down") => false,
                Some("list") => true,
                Some(_) => return Err(wrong(self.place, "by", "down or list")),
            },
            down: self.seconds("down")?.unwrap_or(DOWN),
            gap: self.seconds("ready_delay")?.unwrap_or(GAP),
        })
    }

    fn finish(self) -> Result<(), Problem> {
        for (key, _) in &self.fields.given {
            if !self.asked.contains(&key.as_str()) {
                let help = nearest(key, self.asked.iter().copied()).map_or_else(
                    || format!("one of {}", self.asked.join(", ")),
                    |n| format!("did you mean \"{n}\"?"),
                );
                return Err(Problem::new(
                    format!("{}: {} has no {key:?}", self.place, self.fields.kind),
                    help,
                ));
            }
        }
        Ok(())
    }
}

/// `0.3` or `30%`.
pub(super) fn share(text: &str) -> Option<f64> {
    let value = match text.strip_suffix('%') {
        Some(percent) => percent.parse::<f64>().ok()? / 100.0,
        None => text.parse().ok()?,
    };
    (0.0..=1.0).contains(&value).then_some(value)
}

/// The slot of a backend's name; `b2` is the second one, whatever the names.
fn slot_of(wanted: &str, slots: usize) -> Result<SlotIx, Problem> {
    let by_name = (0..slots).find(|slot| name(*slot) == wanted);
    let by_place =
        || wanted.strip_prefix('b')?.parse::<usize>().ok()?.checked_sub(1).filter(|slot| *slot < slots);
    by_name.or_else(by_place).and_then(|slot| u16::try_from(slot).ok()).ok_or_else(|| {
        let names: Vec<_> = (0..slots).map(name).collect();
        Problem::new(format!("no backend {wanted:?}"), format!("one of {}", names.join(", ")))
    })
}

fn word(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Integer(n) => Some(n.as_str().to_owned()),
        DeValue::Float(n) => Some(n.as_str().to_owned()),
        DeValue::Boolean(is) => Some(is.to_string()),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

fn wrong(place: &str, key: &str, must: &str) -> Problem {
    Problem::new(format!("{place}: {key} is wrong"), format!("must be {must}"))
}
