//! What is said of a result afterwards: whether it fails, and what differs from an earlier one.

use std::cmp::Ordering;
use std::str::FromStr;

use serde_json::Value;

/// `unforced_moves>0`, `lost_per_live>1.05*theory`, `homing/cookie/memory:lost>0`
#[derive(Clone, Debug, PartialEq)]
pub struct FailIf {
    /// Of the combinations whose id has this in it.
    combination: Option<String>,
    metric: String,
    comparison: Comparison,
    limit: f64,
    /// The limit is so many times what is expected.
    is_of_theory: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Comparison {
    Less,
    LessOrEqual,
    Equal,
    NotEqual,
    GreaterOrEqual,
    Greater,
}

/// Signs of comparisons, the longer first.
const SIGNS: [(&str, Comparison); 6] = [
    ("<=", Comparison::LessOrEqual),
    (">=", Comparison::GreaterOrEqual),
    ("==", Comparison::Equal),
    ("!=", Comparison::NotEqual),
    ("<", Comparison::Less),
    (">", Comparison::Greater),
];

impl FromStr for FailIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let must =
            || "must be METRIC>NUMBER, as in 'unforced_moves>0' or 'lost_per_live>1.05*theory'".to_owned();
        let first = text.find(['<', '>', '=', '!']).ok_or_else(must)?;
        let (left, right) = text.split_at(first);
        let (sign, comparison) = SIGNS.iter().find(|(sign, _)| right.starts_with(sign)).ok_or_else(must)?;
        let right = right.trim_start_matches(sign).trim();
        let (number, is_of_theory) = match right.strip_suffix("theory") {
            Some("") => ("1", true),
            Some(rest) => (rest.trim_end().strip_suffix('*').ok_or_else(must)?.trim(), true),
            None => (right, false),
        };
        let limit: f64 = number.parse().map_err(|_| must())?;
        let (combination, metric) = match left.trim().rsplit_once(':') {
            Some((combination, metric)) => (Some(combination.to_owned()), metric),
            None => (None, left.trim()),
        };
        let is_name = !metric.is_empty() && metric.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name || !limit.is_finite() {
            return Err(must());
        }
        Ok(Self { combination, metric: metric.to_owned(), comparison: *comparison, limit, is_of_theory })
    }
}

impl FailIf {
    /// What of a result fails by it, in words. A metric that no combination has fails too: it would never be noticed.
    #[must_use]
    pub fn failures(&self, result: &Value) -> Vec<String> {
        let (mut failures, mut was_found) = (Vec::new(), false);
        for combination in list(result, "combinations") {
            let id = text(combination, "id");
            if self.combination.as_deref().is_some_and(|part| !id.contains(part)) {
                continue;
            }
            let Some(metric) = combination.get("metrics").and_then(|metrics| metrics.get(&self.metric))
            else {
                continue;
            };
            let Some(value) = metric.get("value").and_then(Value::as_f64) else { continue };
            let limit = match (self.is_of_theory, metric.get("theory").and_then(Value::as_f64)) {
                (false, _) => self.limit,
                (true, Some(theory)) => self.limit * theory,
                (true, None) => continue,
            };
            was_found = true;
            if self.comparison.holds(value, limit) {
                failures.push(format!("{id}: {} is {value}", self.metric));
            }
        }
        if !was_found {
            failures.push(format!("{}: no combination has this metric", self.metric));
        }
        failures
    }
}

impl Comparison {
    fn holds(self, value: f64, limit: f64) -> bool {
        let order = value.partial_cmp(&limit);
        match self {
            Self::Less => order == Some(Ordering::Less),
            Self::LessOrEqual => matches!(order, Some(Ordering::Less | Ordering::Equal)),
            Self::Equal => order == Some(Ordering::Equal),
            Self::NotEqual => order != Some(Ordering::Equal),
            Self::GreaterOrEqual => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
            Self::Greater => order == Some(Ordering::Greater),
        }
    }
}

/// A metric that differs between two results: their intervals have nothing in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The id of the combination.
    pub combination: String,
    /// The name of the metric.
    pub metric: String,
    /// In the earlier result.
    pub before: f64,
    /// In this one.
    pub after: f64,
}

/// What differs from an earlier result, for the combinations that both have.
///
/// # Errors
/// It is not a result.
pub fn compare(before: &Value, after: &Value) -> Result<Vec<Change>, String> {
    if text(before, "schema") != super::result::SCHEMA {
        return Err(format!("is no result of the form {}", super::result::SCHEMA));
    }
    let mut changes = Vec::new();
    for new in list(after, "combinations") {
        let id = text(new, "id");
        let Some(old) = list(before, "combinations").iter().find(|old| text(old, "id") == id) else {
            continue;
        };
        let Some(metrics) = new.get("metrics").and_then(Value::as_object) else { continue };
        for (name, metric) in metrics {
            let Some(earlier) = old.get("metrics").and_then(|metrics| metrics.get(name)) else { continue };
            let number = |of: &Value, key: &str| of.get(key).and_then(Value::as_f64);
            let (Some(was), Some(is)) = (number(earlier, "value"), number(metric, "value")) else { continue };
            let apart = number(earlier, "high")
                .zip(number(metric, "low"))
                .is_some_and(|(high, low)| high < low)
                || number(metric, "high").zip(number(earlier, "low")).is_some_and(|(high, low)| high < low);
            if apart && (was - is).abs() > 1e-9 {
                changes.push(Change {
                    combination: id.to_owned(),
                    metric: name.clone(),
                    before: was,
                    after: is,
                });
            }
        }
    }
    Ok(changes)
}

fn list<'a>(of: &'a Value, key: &str) -> &'a [Value] {
    of.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(of: &'a Value, key: &str) -> &'a str {
    of.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn result(lost: f64, low: f64, high: f64) -> Value {
        json!({ "schema": "homing.bench/1", "combinations": [
            { "id": "homing/cookie/memory", "metrics": { "lost": { "value": lost, "low": low, "high": high, "theory": 2.0 } } },
            { "id": "homing/rendezvous/memory", "metrics": { "lost": { "value": 0.0, "low": 0.0, "high": 3.0 } } },
        ]})
    }

    #[test]
    fn conditions_are_read_and_judged() {
        for (text, failures) in [
            ("lost>0", 1),
            ("lost >= 0", 2),
            ("lost==0", 1),
            ("lost!=0", 1),
            ("lost<1", 1),
            ("lost>1.05*theory", 1),
            ("lost>1.3*theory", 0),
            ("lost>theory", 1),
            ("rendezvous:lost>0", 0),
            ("cookie:lost<=2.5", 1),
            // Nobody has it.
            ("lots>0", 1),
        ] {
            let condition: FailIf = text.parse().unwrap();
            assert_eq!(condition.failures(&result(2.5, 2.0, 3.0)).len(), failures, "{text}");
        }
        for text in ["lost", "lost>", ">1", "lost>x", "lost=1", "lost>2theory", "lo st>1", "lost>inf"] {
            assert!(text.parse::<FailIf>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_difference_is_named_only_if_the_intervals_are_apart() {
        let of = |before, after| compare(&before, &after).unwrap().len();
        assert_eq!(of(result(2.5, 2.0, 3.0), result(3.5, 2.9, 4.0)), 0);
        assert_eq!(of(result(2.5, 2.0, 3.0), result(5.0, 4.0, 6.0)), 1);
        assert_eq!(of(result(5.0, 4.0, 6.0), result(2.5, 2.0, 3.0)), 1);
        assert!(compare(&json!({}), &result(1.0, 1.0, 1.0)).is_err());
    }
}
