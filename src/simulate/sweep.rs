//! The same run over whole ranges of settings: `n=2..50`, `zipf=0..1.4`, `cookieless=0,0.1,0.3`.

use serde_json::{Value, json};

use super::{Problem, Setup, rounded, run};

/// Most runs of one sweep.
const MOST: usize = 5000;
/// Values of a range without a step, besides whole numbers.
const PARTS: usize = 7;
/// What can be swept.
const NAMES: [&str; 7] = ["n", "users", "zipf", "behind_one", "cookieless", "mobile", "stay"];

/// One setting and its values.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Its name.
    pub name: &'static str,
    /// What it is set to, one after the other.
    pub values: Vec<f64>,
}

/// What came out.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// As the run at the first values, with a `sweep` of (`set`, `combinations`).
    pub json: Value,
}

impl Dimension {
    /// `n=2..50`, `n=10..50/10`, `zipf=0,0.5,1`
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        let wrong = |must: String| Problem::new(format!("--sweep {text}"), must);
        let (name, range) = text
            .split_once('=')
            .ok_or_else(|| wrong("as in n=2..50, zipf=0..1.4/0.2 or n=3,10,20".to_owned()))?;
        let name = NAMES
            .into_iter()
            .find(|n| *n == name)
            .ok_or_else(|| wrong(format!("one of {}", NAMES.join(", "))))?;
        let number = |text: &str| text.trim().parse::<f64>().ok().filter(|x| x.is_finite() && *x >= 0.0);
        let is_whole = matches!(name, "n" | "users");
        let values: Option<Vec<f64>> = match range.split_once("..") {
            None => range.split(',').map(number).collect(),
            Some((from, to)) => {
                let (to, step) = to.split_once('/').map_or((to, None), |(to, step)| (to, Some(step)));
                match (number(from), number(to), step.map(number)) {
                    (Some(from), Some(to), step) if from <= to => {
                        let whole = if is_whole { 1.0 } else { (to - from) / PARTS as f64 };
                        match step.unwrap_or(Some(whole)) {
                            Some(step) if step > 0.0 && (to - from) / step < MOST as f64 => {
                                let count = ((to - from) / step + 1e-9) as usize;
                                Some((0..=count).map(|i| rounded(from + step * i as f64)).collect())
                            }
                            _ if from == to => Some(vec![from]),
                            _ => None,
                        }
                    }
                    _ => None,
                }
            }
        };
        let is_share = matches!(name, "behind_one" | "cookieless" | "mobile");
        let fits = |x: f64| match name {
            "n" => (1.0..=64.0).contains(&x) && x.fract() == 0.0,
            "users" => (1.0..=1e7).contains(&x) && x.fract() == 0.0,
            "zipf" => x <= 5.0,
            "stay" => x >= 1.0,
            _ => !is_share || x <= 1.0,
        };
        match values {
            Some(values) if !values.is_empty() && values.iter().all(|x| fits(*x)) => {
                Ok(Self { name, values })
            }
            _ => Err(wrong(match name {
                "n" => "whole numbers of backends from 1 to 64, as in n=2..50".to_owned(),
                "users" => "whole numbers of users from 1 to 10 million".to_owned(),
                "zipf" => "exponents from 0 to 5, as in zipf=0..1.4/0.2".to_owned(),
                "stay" => "seconds from 1, as in stay=300,900".to_owned(),
                _ => format!("shares from 0 to 1, as in {name}=0..0.3/0.05"),
            })),
        }
    }

    fn set(&self, setup: &mut Setup, value: f64) {
        let w = &mut setup.workload;
        match self.name {
            "n" => setup.backends = value as usize,
            "users" => w.users = value as u32,
            "zipf" => w.zipf = value,
            "behind_one" => w.behind_one = value,
            "cookieless" => w.cookieless = value,
            "mobile" => w.mobile = value,
            _ => w.stay = value,
        }
    }
}

/// Runs the setup for every combination of values, the last dimension's fastest.
///
/// # Errors
/// Too many, or what is wrong with one of them.
pub fn sweep(
    setup: &Setup,
    dimensions: &[Dimension],
    progress: &mut dyn FnMut(f64),
) -> Result<Sweep, Problem> {
    let cells: usize = dimensions.iter().map(|d| d.values.len()).product();
    if cells > MOST {
        return Err(Problem::new(format!("--sweep: {cells} runs"), format!("{MOST} at most")));
    }
    let (mut whole, mut rows) = (Value::Null, Vec::new());
    for cell in 0..cells {
        let (mut here, mut set, mut rest) = (setup.clone(), serde_json::Map::new(), cell);
        for d in dimensions.iter().rev() {
            let value = d.values[rest % d.values.len()];
            rest /= d.values.len();
            d.set(&mut here, value);
            set.insert(d.name.to_owned(), json!(value));
        }
        let mut inner = |share| progress((cell as f64 + share) / cells as f64);
        let outcome = run(&here, &mut inner)?.to_json().clone();
        let combinations: Vec<Value> =
            outcome["combinations"].as_array().into_iter().flatten().map(slim).collect();
        rows.push(json!({ "set": set, "workload": outcome["workload"], "combinations": combinations }));
        if whole.is_null() {
            whole = outcome;
        }
    }
    whole["sweep"] = Value::Array(rows);
    Ok(Sweep { json: whole })
}

/// A combination without series and matrices.
fn slim(combination: &Value) -> Value {
    let mut slim = combination.clone();
    if let Some(map) = slim.as_object_mut() {
        map.remove("series");
        for event in map.get_mut("events").and_then(Value::as_array_mut).into_iter().flatten() {
            event.as_object_mut().map(|e| e.remove("matrix"));
        }
    }
    slim
}
