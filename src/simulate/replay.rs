//! Clients of an access log: combined or common lines, or JSON lines (homing's own, and others').
//!
//! A visit is one address and one user agent, with no pause longer than half an hour; where a line has no time that can
//! be read, lines follow each other without pause. Only addresses and how often they come are taken: when they came is
//! not, for sessions arrive as the workload says.

use std::net::IpAddr;

use ahash::AHashMap;
use serde_json::{Value, json};

use super::Problem;
use super::users::n_eff;
use crate::base::hash::hash64;

/// Longest pause within a visit, seconds.
const PAUSE: i64 = 1800;
/// Most visits that are taken.
const MOST: usize = 10_000_000;
/// Names under which JSON logs have the client's address.
const CLIENT: [&str; 6] = ["client_ip", "remote_addr", "clientip", "client", "remote_ip", "ip"];
/// And the user agent.
const AGENT: [&str; 4] = ["user_agent", "http_user_agent", "agent", "ua"];
/// And the time, in Unix seconds or as text.
const TIME: [&str; 5] = ["ts", "time", "timestamp", "time_iso8601", "msec"];

/// Visits of a log.
#[derive(Clone, Debug, PartialEq)]
pub struct Replay {
    visits: Vec<IpAddr>,
    lines: u64,
    unread: u64,
    single: u64,
}

/// One line's client.
struct Line<'a> {
    ip: IpAddr,
    agent: &'a str,
    /// Unix seconds.
    at: Option<i64>,
}

impl Replay {
    /// Reads a log.
    ///
    /// # Errors
    /// No line has a client's address.
    pub fn parse(text: &str, origin: &str) -> Result<Self, Problem> {
        let mut this = Self { visits: Vec::new(), lines: 0, unread: 0, single: 0 };
        let mut open: AHashMap<(IpAddr, u64), (i64, u64)> = AHashMap::new();
        for line in text.lines().filter(|l| !l.trim().is_empty()) {
            this.lines += 1;
            let json = if line.starts_with('{') { serde_json::from_str::<Value>(line).ok() } else { None };
            let found = match &json {
                Some(json) => of_json(json),
                None => of_combined(line),
            };
            let Some(found) = found else {
                this.unread += 1;
                continue;
            };
            let key = (found.ip.to_canonical(), hash64(found.agent.as_bytes()));
            let at = found.at.or_else(|| open.get(&key).map(|(at, _)| *at)).unwrap_or(0);
            match open.get_mut(&key) {
                Some((last, requests)) if (at - *last).abs() <= PAUSE => {
                    (*last, *requests) = (at, *requests + 1)
                }
                visit => {
                    this.single += u64::from(visit.is_some_and(|(_, requests)| *requests == 1));
                    if this.visits.len() < MOST {
                        this.visits.push(key.0);
                    }
                    open.insert(key, (at, 1));
                }
            }
        }
        this.single += open.values().filter(|(_, requests)| *requests == 1).count() as u64;
        if this.visits.is_empty() {
            return Err(Problem::new(
                format!("{origin}: no line has a client's address"),
                "combined lines begin with it; JSON lines have client_ip or remote_addr".to_owned(),
            ));
        }
        Ok(this)
    }

    /// The clients' addresses, one for each visit.
    #[must_use]
    pub fn addresses(&self) -> &[IpAddr] {
        &self.visits
    }

    /// How many visits there were.
    #[must_use]
    pub fn visits(&self) -> u32 {
        u32::try_from(self.visits.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn to_json(&self) -> Value {
        let mut counts: AHashMap<IpAddr, u64> = AHashMap::new();
        self.visits.iter().for_each(|ip| *counts.entry(*ip).or_default() += 1);
        json!({
            "lines": self.lines, "unread": self.unread, "visits": self.visits.len(), "addresses": counts.len(),
            "n_eff_visits": super::rounded(n_eff(counts.values().copied())),
            "single_request_share": super::rounded(self.single as f64 / self.visits.len().max(1) as f64),
        })
    }
}

fn of_json(json: &Value) -> Option<Line<'_>> {
    let text = |names: &[&str]| names.iter().find_map(|name| json.get(name)?.as_str());
    let ip = text(&CLIENT)?.trim().parse().ok()?;
    let time = TIME.iter().find_map(|name| json.get(name));
    let at = time.and_then(|t| t.as_f64().map(|t| t as i64).or_else(|| iso(t.as_str()?)));
    Some(Line { ip, agent: text(&AGENT).unwrap_or_default(), at })
}

/// `203.0.113.7 - - [10/Oct/2000:13:55:36 -0700] "GET / HTTP/1.1" 200 2326 "-" "agent"`
fn of_combined(line: &str) -> Option<Line<'_>> {
    let first = line.split_ascii_whitespace().next()?;
    let ip = first.parse().ok()?;
    let at = line.split_once('[').and_then(|(_, rest)| common(rest.get(..20)?));
    let agent = line.rsplit('"').nth(1).unwrap_or_default();
    Some(Line { ip, agent, at })
}

/// `10/Oct/2000:13:55:36`, without regard to the zone: only differences count.
fn common(text: &str) -> Option<i64> {
    const MONTHS: &str = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = MONTHS.find(text.get(3..6)?)? / 3 + 1;
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    Some(seconds(number(7..11)?, i64::try_from(month).ok()?, number(0..2)?) + clock(text.get(12..20)?)?)
}

/// `2026-11-25T21:57:52`, without regard to the zone.
fn iso(text: &str) -> Option<i64> {
    let number = |range: std::ops::Range<usize>| text.get(range)?.parse::<i64>().ok();
    Some(seconds(number(0..4)?, number(5..7)?, number(8..10)?) + clock(text.get(11..19)?)?)
}

/// `13:55:36`
fn clock(text: &str) -> Option<i64> {
    let mut parts = text.split(':').map(str::parse::<i64>);
    let (h, m, s) = (parts.next()?.ok()?, parts.next()?.ok()?, parts.next()?.ok()?);
    Some(h * 3600 + m * 60 + s)
}

/// Seconds of a day's beginning. (days from civil, proleptic Gregorian calendar)
const fn seconds(year: i64, month: i64, day: i64) -> i64 {
    let (y, m) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    (365 * y + y.div_euclid(4) - y.div_euclid(100) + y.div_euclid(400) + (153 * m + 2) / 5 + day) * 86_400
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visits(text: &str) -> Vec<String> {
        Replay::parse(text, "log").unwrap().visits.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn logs_of_every_form_give_their_clients() {
        let combined = "203.0.113.7 - - [10/Oct/2000:13:55:36 -0700] \"GET / HTTP/1.1\" 200 1 \"-\" \"a\"\n\
                        203.0.113.7 - - [10/Oct/2000:14:05:36 -0700] \"GET / HTTP/1.1\" 200 1 \"-\" \"a\"\n\
                        203.0.113.7 - - [10/Oct/2000:14:05:37 -0700] \"GET / HTTP/1.1\" 200 1 \"-\" \"b\"\n\
                        203.0.113.7 - - [10/Oct/2000:15:05:36 -0700] \"GET / HTTP/1.1\" 200 1 \"-\" \"a\"\n\
                        2001:db8::1 - - [31/Dec/2000:23:59:59 -0700] \"GET / HTTP/1.1\" 200 1\nnonsense\n";
        assert_eq!(visits(combined), ["203.0.113.7", "203.0.113.7", "203.0.113.7", "2001:db8::1"]);
        let json = "{\"ts\":\"2026-11-25T21:57:52Z\",\"client_ip\":\"::ffff:192.0.2.1\"}\n\
                    {\"time\":1764107000,\"remote_addr\":\"192.0.2.2\"}\n{\"client_ip\":\"\"}\n{";
        assert_eq!(visits(json), ["192.0.2.1", "192.0.2.2"]);
        let read = Replay::parse(combined, "log").unwrap().to_json();
        assert_eq!((read["unread"].as_u64(), read["visits"].as_u64()), (Some(1), Some(4)));
        assert!(Replay::parse("nonsense\n", "log").is_err());
    }
}
