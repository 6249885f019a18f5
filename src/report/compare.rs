//! What changed since another run: only where both intervals are apart. The wording is that of hyperfine and criterion:
//! `1.42 ± 0.08 times as much`.

use std::fmt::Write as _;

use serde_json::Value;

use super::known::{self, Better};
use super::number::short;
use super::read::{Combination, Metric, Run};

/// What of the two runs has to be the same for a difference to mean something.
const SAME: [&str; 6] = ["users", "n", "profile", "think_s", "duration_s", "time_scale"];

/// How a metric changed.
#[derive(Clone, Debug, PartialEq)]
enum Change {
    /// Beyond both intervals: how many times as much, give or take.
    Beyond {
        times: Option<(f64, f64)>,
    },
    Within,
    /// It differs, and one of the two has no interval to judge by.
    Unjudged,
}

/// In lines: what is not comparable, then per combination what changed, then how much did not.
#[must_use]
pub fn compare(old: &Value, new: &Value) -> String {
    let (old, new) = (Run::read(old), Run::read(new));
    let mut out = differences(&old, &new);
    let (mut changed, mut within) = (0, 0);
    for combination in &new.combinations {
        let Some(before) = old.combinations.iter().find(|c| c.id == combination.id) else {
            let _ = writeln!(out, "{}: new", clean(&combination.id));
            continue;
        };
        let mut lines = String::new();
        for (name, metric) in &combination.metrics {
            let Some(was) = before.metric(name) else { continue };
            match change(was, metric) {
                Change::Within => within += 1,
                change => {
                    changed += 1;
                    let _ = writeln!(lines, "  {}", told(name, was, metric, &change));
                }
            }
        }
        if !lines.is_empty() {
            let doubted =
                if is_ranked(before, combination) { "" } else { " (one of the two is not to be ranked)" };
            let _ = write!(out, "{}{doubted}\n{lines}", clean(&combination.id));
        }
    }
    for gone in old.combinations.iter().filter(|c| !new.combinations.iter().any(|n| n.id == c.id)) {
        let _ = writeln!(out, "{}: no longer there", clean(&gone.id));
    }
    let _ = writeln!(out, "{changed} figures changed, {within} are within their intervals");
    out
}

const fn is_ranked(old: &Combination, new: &Combination) -> bool {
    old.is_ranked && new.is_ranked
}

fn differences(old: &Run, new: &Run) -> String {
    let mut out = String::new();
    let mut say = |name: &str, was: Option<&str>, is: Option<&str>| {
        if let Some((was, is)) = was.zip(is).filter(|(was, is)| was != is) {
            let _ = writeln!(out, "not the same: {name} was {}, is {}", clean(was), clean(is));
        }
    };
    say("source", Some(&old.source), Some(&new.source));
    for name in SAME {
        say(name, old.of_workload(name), new.of_workload(name));
    }
    let of = |pairs: &[(String, String)], name: &str| {
        pairs.iter().find(|(n, _)| n == name).map(|(_, v)| v.clone())
    };
    for (name, value) in &new.host {
        say(name, of(&old.host, name).as_deref(), Some(value));
    }
    for (name, value) in &new.versions {
        say(&format!("version of {name}"), of(&old.versions, name).as_deref(), Some(value));
    }
    out
}

fn change(old: &Metric, new: &Metric) -> Change {
    let differs = (old.value - new.value).abs() > f64::EPSILON * old.value.abs().max(new.value.abs());
    if !differs {
        return Change::Within;
    }
    let (Some((old_low, old_high)), Some((new_low, new_high))) = (old.interval(), new.interval()) else {
        return Change::Unjudged;
    };
    if new_low <= old_high && old_low <= new_high {
        return Change::Within;
    }
    let half = |(low, high): (f64, f64), value: f64| (high - low) / 2.0 / value.abs();
    let times = (old.value.abs() > 0.0 && new.value.abs() > 0.0).then(|| {
        let times = new.value / old.value;
        let spread = half((old_low, old_high), old.value).hypot(half((new_low, new_high), new.value));
        (times, times.abs() * spread)
    });
    Change::Beyond { times }
}

fn told(name: &str, old: &Metric, new: &Metric, change: &Change) -> String {
    let known = known::find(name);
    let is_judged = known.is_some_and(|k| k.better == Better::Lower);
    let (was, is) = (short(old.value), short(new.value));
    let judged = match change {
        Change::Beyond { .. } if is_judged => {
            if new.value > old.value {
                " (worse)"
            } else {
                " (better)"
            }
        }
        Change::Unjudged => " (no interval to judge by)",
        Change::Beyond { .. } | Change::Within => "",
    };
    match change {
        Change::Beyond { times: Some((times, spread)) } => {
            format!("{}: {times:.2} ± {spread:.2} times as much, {was} -> {is}{judged}", clean(name))
        }
        Change::Beyond { .. } | Change::Within | Change::Unjudged => {
            format!("{}: {was} -> {is}{judged}", clean(name))
        }
    }
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::testing;
    use super::*;

    fn metric(value: f64, half: f64) -> Metric {
        Metric { value, low: Some(value - half), high: Some(value + half), ..Metric::default() }
    }

    #[test]
    fn a_difference_is_one_where_both_intervals_are_apart() {
        assert_eq!(change(&metric(10.0, 1.0), &metric(11.5, 1.0)), Change::Within);
        assert_eq!(change(&metric(10.0, 1.0), &metric(10.0, 1.0)), Change::Within);
        let Change::Beyond { times: Some((times, spread)) } = change(&metric(10.0, 1.0), &metric(20.0, 1.0))
        else {
            panic!("they are apart");
        };
        assert!((times - 2.0).abs() < 1e-9 && (spread - 2.0 * 0.1_f64.hypot(0.05)).abs() < 1e-9, "{spread}");
        assert_eq!(change(&metric(0.0, 0.0), &metric(2.0, 0.1)), Change::Beyond { times: None });
        assert_eq!(change(&metric(1.0, 0.1), &Metric { value: 2.0, ..Metric::default() }), Change::Unjudged);
    }

    #[test]
    fn what_changed_is_told_and_what_is_not_comparable() {
        let old = testing::result();
        assert!(compare(&old, &old).starts_with("0 figures changed"), "{}", compare(&old, &old));
        let mut new = old.clone();
        new["workload"]["users"] = json!(9);
        new["combinations"][0]["metrics"]["p99_ms"] =
            json!({ "value": 8.4, "low": 8.0, "high": 8.8, "n": 9 });
        new["combinations"][0]["metrics"]["cookie_bytes"] = json!(7);
        new["combinations"][1]["id"] = json!("other/\u{1b}[2J");
        let text = compare(&old, &new);
        for line in [
            "not the same: users was 600, is 9\n",
            "homing/cookie/memory\n",
            "  p99_ms: 2.00 ± 0.13 times as much, 4.2 -> 8.4 (worse)\n",
            "  cookie_bytes: 96 -> 7 (no interval to judge by)\n",
            "other/\u{fffd}[2J: new\n",
            "homing/cookie/redis: no longer there\n",
            "2 figures changed, ",
        ] {
            assert!(text.contains(line), "{line:?} in\n{text}");
        }
    }
}
