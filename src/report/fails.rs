//! Conditions for `--fail-if`: `unforced_moves>0`, `lost_per_live>1.05*theory`, `cookie/memory:lost>0`.

use std::fmt;

use serde_json::Value;

use super::number::short;
use super::read::Run;

/// What a metric is compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Operator {
    Above,
    AtLeast,
    Below,
    AtMost,
    Equal,
    Unequal,
}

/// The longer ones first: `>=` begins with `>`.
const OPERATORS: [(&str, Operator); 7] = [
    (">=", Operator::AtLeast),
    ("<=", Operator::AtMost),
    ("!=", Operator::Unequal),
    ("==", Operator::Equal),
    (">", Operator::Above),
    ("<", Operator::Below),
    ("=", Operator::Equal),
];

/// What a metric is compared with.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Bound {
    Number(f64),
    /// So many times what theory says of the same metric.
    Theory(f64),
}

#[derive(Clone, Debug, PartialEq)]
struct Condition {
    /// Only of combinations whose name ends with this.
    of: String,
    metric: String,
    operator: Operator,
    bound: Bound,
}

/// Which combinations meet a condition, a line each; none if all is well. Who lacks the metric, or theory where that is
/// asked for, is passed over.
///
/// # Errors
///
/// The condition cannot be read; or no combination has the metric, or the theory: then nothing would ever be found.
pub fn fails(result: &Value, expression: &str) -> Result<Vec<String>, String> {
    let condition = Condition::parse(expression)?;
    let mut run = Run::read(result);
    let name = &condition.metric;
    if !run.combinations.iter().any(|c| c.id.ends_with(&condition.of)) {
        let ids: Vec<&str> = run.combinations.iter().map(|c| c.id.as_str()).collect();
        return Err(format!(
            "{expression}: no combination {:?}; there are: {}",
            condition.of,
            ids.join(", ")
        ));
    }
    run.combinations.retain(|c| c.id.ends_with(&condition.of));
    if !run.combinations.iter().any(|c| c.metric(name).is_some()) {
        let mut names: Vec<&str> =
            run.combinations.iter().flat_map(|c| &c.metrics).map(|(n, _)| n.as_str()).collect();
        names.sort_unstable();
        names.dedup();
        return Err(format!(
            "{expression}: no combination has a metric {name:?}; there are: {}",
            names.join(", ")
        ));
    }
    let (mut found, mut was_asked) = (Vec::new(), false);
    for combination in &run.combinations {
        let Some(metric) = combination.metric(name) else { continue };
        let bound = match condition.bound {
            Bound::Number(number) => number,
            Bound::Theory(times) => match metric.theory {
                Some(theory) => times * theory,
                None => continue,
            },
        };
        was_asked = true;
        if condition.operator.holds(metric.value, bound) {
            let told = match condition.bound {
                Bound::Number(_) => String::new(),
                Bound::Theory(_) => {
                    format!(" ({} times theory)", short(bound / metric.theory.unwrap_or(1.0)))
                }
            };
            let (value, bound) = (short(metric.value), short(bound));
            found.push(format!("{}: {name} is {value} {} {bound}{told}", combination.id, condition.operator));
        }
    }
    if was_asked {
        Ok(found)
    } else {
        Err(format!("{expression}: no combination has a theoretical value of {name}"))
    }
}

/// Whether a condition can be read, whatever result it is for.
///
/// # Errors
///
/// What is wrong with it.
pub fn check(expression: &str) -> Result<(), String> {
    Condition::parse(expression).map(drop)
}

impl Condition {
    fn parse(expression: &str) -> Result<Self, String> {
        let wrong = |why: &str| {
            format!(
                "{expression:?}: {why}; a condition is a metric (or combination:metric), one of > >= < <= == != and a number or k*theory"
            )
        };
        let found =
            OPERATORS.iter().filter_map(|(sign, operator)| Some((expression.find(sign)?, sign, *operator)));
        let (at, sign, operator) = found
            .min_by_key(|(at, sign, _)| (*at, usize::MAX - sign.len()))
            .ok_or_else(|| wrong("no comparison"))?;
        let (metric, bound) = (expression[..at].trim(), expression[at + sign.len()..].trim());
        let (of, metric) =
            metric.rsplit_once(':').map_or(("", metric), |(of, metric)| (of.trim(), metric.trim()));
        if metric.is_empty() || !metric.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
            return Err(wrong("no metric before the comparison"));
        }
        let number = |text: &str| {
            let number = text.trim().parse::<f64>().ok().filter(|n| n.is_finite());
            number.ok_or_else(|| wrong(&format!("{:?} is no number", text.trim())))
        };
        let bound = match bound.split_once('*') {
            _ if bound == "theory" => Bound::Theory(1.0),
            Some((times, theory)) if theory.trim() == "theory" => Bound::Theory(number(times)?),
            Some((theory, times)) if theory.trim() == "theory" => Bound::Theory(number(times)?),
            _ => Bound::Number(number(bound)?),
        };
        Ok(Self { of: of.to_owned(), metric: metric.to_owned(), operator, bound })
    }
}

impl Operator {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::Above => value > bound,
            Self::AtLeast => value >= bound,
            Self::Below => value < bound,
            Self::AtMost => value <= bound,
            Self::Equal => value.total_cmp(&bound).is_eq(),
            Self::Unequal => value.total_cmp(&bound).is_ne(),
        }
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = OPERATORS.iter().find(|(_, operator)| operator == self).map_or("", |(sign, _)| sign);
        f.write_str(sign)
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing;
    use super::*;

    #[test]
    fn a_condition_is_met_by_those_combinations_that_it_names() {
        let run = testing::result();
        for (expression, met) in [
            ("unforced_moves>0", 1),
            ("unforced_moves > 17", 0),
            ("unforced_moves>=17", 1),
            ("unforced_moves == 17", 1),
            ("unforced_moves!=17", 3),
            ("unforced_moves=17", 1),
            ("lost_per_live>1.05*theory", 0),
            ("lost_per_live > theory*0.9", 2),
            ("lost_per_live<=theory", 2),
            ("lost_per_live<1e-3", 2),
            ("stale_per_live>-1", 4),
            ("ip_hash/memory:stale_per_live>0", 1),
            ("memory: lost_per_live > 0", 2),
            ("homing/cookie/redis:lost>0", 0),
        ] {
            let found = fails(&run, expression).unwrap();
            assert_eq!(found.len(), met, "{expression}: {found:?}");
        }
        let told = fails(&run, "unforced_moves>0").unwrap();
        assert_eq!(told, ["nginx/ip_hash/memory: unforced_moves is 17 > 0"]);
        let told = fails(&run, "lost_per_live>0.9*theory").unwrap();
        assert_eq!(told[0], "homing/cookie/memory: lost_per_live is 1.59 > 1.425 (0.9 times theory)");
    }

    #[test]
    fn a_condition_that_can_never_be_met_is_refused() {
        let run = testing::result();
        for (expression, why) in [
            ("", "no comparison"),
            ("unforced_moves", "no comparison"),
            (">0", "no metric before"),
            ("a b>0", "no metric before"),
            ("mamory:lost>0", "no combination \"mamory\"; there are: homing/cookie/memory, "),
            ("lost>", "\"\" is no number"),
            ("lost>1O", "\"1O\" is no number"),
            ("lost>nan", "is no number"),
            ("lost>x*theory", "\"x\" is no number"),
            ("lost>theory*theory", "is no number"),
            ("unforced>0", "no combination has a metric \"unforced\"; there are: "),
            ("unforced_moves>theory", "no combination has a theoretical value"),
        ] {
            let error = fails(&run, expression).unwrap_err();
            assert!(error.contains(why), "{expression}: {error}");
        }
        assert!(fails(&run, "x>0").unwrap_err().contains("lost_per_live"), "known names are told");
    }
}
