//! The result as types. Lenient: what is missing, or of another kind than expected, is left out.

use serde_json::{Map, Value};

use super::known;
use super::words::Words;

/// A whole result.
#[derive(Clone, Debug, Default)]
pub(crate) struct Run {
    pub(crate) source: String,
    pub(crate) command: String,
    pub(crate) seed: Option<String>,
    /// Seconds since 1970.
    pub(crate) made: Option<u32>,
    /// What it ran on and with: names and values, as they stand.
    pub(crate) host: Vec<(String, String)>,
    pub(crate) versions: Vec<(String, String)>,
    pub(crate) workload: Vec<(String, String)>,
    pub(crate) combinations: Vec<Combination>,
    /// The same run with other settings; the combinations above are then those of the first.
    pub(crate) sweep: Vec<Stop>,
    pub(crate) checks: Vec<Check>,
    pub(crate) probe: Option<Probe>,
    pub(crate) doubts: Vec<String>,
    /// Whether it may be ranked as a whole.
    pub(crate) is_ranked: bool,
}

/// One run of a range: what was set, and what came out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Stop {
    pub(crate) set: Vec<(String, f64)>,
    pub(crate) combinations: Vec<Combination>,
}

/// One way to route with one way to keep sessions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Combination {
    pub(crate) id: String,
    pub(crate) balancer: String,
    pub(crate) strategy: String,
    pub(crate) affinity: String,
    pub(crate) sessions: String,
    pub(crate) backends: Vec<String>,
    /// In the order of [`known::METRICS`], then by name.
    pub(crate) metrics: Vec<(String, Metric)>,
    pub(crate) events: Vec<Event>,
    pub(crate) series: Option<Series>,
    /// In the order in which classes are shown.
    pub(crate) latency: Vec<(String, Latency)>,
    pub(crate) doubts: Vec<String>,
    /// Whether it may be ranked, the run's own word included.
    pub(crate) is_ranked: bool,
}

/// A figure, and what it should be.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Metric {
    pub(crate) value: f64,
    pub(crate) low: Option<f64>,
    pub(crate) high: Option<f64>,
    pub(crate) n: Option<f64>,
    pub(crate) theory: Option<f64>,
    pub(crate) z: Option<f64>,
    pub(crate) unit: String,
}

/// Something that was done to the system, and what came of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Event {
    pub(crate) t: f64,
    pub(crate) kind: String,
    pub(crate) label: String,
    /// The figures that it has, in the order of [`known::OF_EVENTS`].
    pub(crate) figures: Vec<(&'static str, f64)>,
    pub(crate) theory: Vec<(String, Metric)>,
    pub(crate) matrix: Option<Matrix>,
}

/// Who moved from where (rows) to where (columns).
#[derive(Clone, Debug, Default)]
pub(crate) struct Matrix {
    pub(crate) names: Vec<String>,
    pub(crate) counts: Vec<Vec<f64>>,
}

/// What happened over time. Every list is as long as `t`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) t: Vec<f64>,
    pub(crate) live: Vec<(String, Vec<f64>)>,
    /// `lost`, `stale` and `errors`, those that there are.
    pub(crate) trouble: Vec<(&'static str, Vec<f64>)>,
}

/// How long answers took, of one class of requests.
#[derive(Clone, Debug, Default)]
pub(crate) struct Latency {
    pub(crate) n: Option<f64>,
    /// `p50` and so on, in milliseconds, those that there are.
    pub(crate) percentiles: Vec<(&'static str, f64)>,
    /// Milliseconds, and the share that took no longer.
    pub(crate) cdf: Vec<(f64, f64)>,
}

/// An expected value beside what was measured.
#[derive(Clone, Debug, Default)]
pub(crate) struct Check {
    pub(crate) id: String,
    pub(crate) what: String,
    pub(crate) expected: Option<f64>,
    pub(crate) measured: Option<f64>,
    pub(crate) z: Option<f64>,
    pub(crate) tolerance: String,
    pub(crate) pass: Option<bool>,
}

/// What a probe found out about a balancer.
#[derive(Clone, Debug, Default)]
pub(crate) struct Probe {
    pub(crate) url: String,
    pub(crate) kind: String,
    pub(crate) certainty: Option<f64>,
    pub(crate) findings: Vec<Finding>,
}

/// One question of a probe.
#[derive(Clone, Debug, Default)]
pub(crate) struct Finding {
    pub(crate) id: String,
    pub(crate) asked: String,
    pub(crate) seen: String,
    pub(crate) verdict: String,
    pub(crate) error_probability: Option<f64>,
}

const CLASSES: [&str; 5] = ["all", "owner_hit", "moved", "first", "retried"];
const PERCENTILES: [&str; 5] = ["p50", "p90", "p99", "p999", "max"];

impl Run {
    pub(crate) fn read(json: &Value) -> Self {
        let source = text(json, "source");
        let doubts = texts(json, "doubts");
        let is_ranked = may_be_ranked(json, &doubts, &source);
        let read = |c| Combination::read(c, &source, is_ranked);
        Self {
            command: text(json, "command"),
            seed: json.get("seed").map(plain),
            made: json
                .get("made")
                .and_then(Value::as_f64)
                .map(|made| made.clamp(0.0, f64::from(u32::MAX)) as u32),
            host: pairs(json, "host"),
            versions: pairs(json, "versions"),
            workload: pairs(json, "workload"),
            combinations: list(json, "combinations").iter().map(read).collect(),
            sweep: list(json, "sweep")
                .iter()
                .map(|stop| Stop {
                    set: fields(stop, "set").filter_map(|(k, v)| Some((k.clone(), v.as_f64()?))).collect(),
                    combinations: list(stop, "combinations").iter().map(read).collect(),
                })
                .collect(),
            checks: list(json, "checks").iter().map(Check::read).collect(),
            probe: json.get("probe").filter(|probe| probe.is_object()).map(Probe::read),
            source,
            doubts,
            is_ranked,
        }
    }

    /// The columns of the table of combinations, in groups: those that anybody has.
    pub(crate) fn columns(&self) -> Vec<(&'static Words, Vec<&'static str>)> {
        // What a simulation needs per session is its own memory, and no cost of anybody's.
        let is_there = |name: &&str| {
            let is_its_own = *name == "bytes_per_session" && self.source == "simulate";
            !is_its_own && self.combinations.iter().any(|c| c.metric(name).is_some())
        };
        known::COLUMNS
            .iter()
            .map(|(words, names)| (words, names.iter().copied().filter(is_there).collect::<Vec<_>>()))
            .filter(|(_, names)| !names.is_empty())
            .collect()
    }

    /// From where to where a sweep went through a setting.
    pub(crate) fn range(&self, name: &str) -> Option<String> {
        let is_it = |(n, _): &&(String, f64)| n == name || name.strip_suffix("_s") == Some(n);
        let mut values = self.sweep.iter().filter_map(|stop| stop.set.iter().find(is_it)).map(|(_, v)| *v);
        let first = values.next()?;
        let (least, most) = values.fold((first, first), |(a, b), v| (a.min(v), b.max(v)));
        Some(format!("{} – {}", super::number::short(least), super::number::short(most)))
    }

    /// The value of the workload's key.
    pub(crate) fn of_workload(&self, key: &str) -> Option<&str> {
        self.workload.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }
}

impl Stop {
    /// What this setting was set to.
    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.set.iter().find(|(n, _)| n == name).map(|(_, value)| *value)
    }
}

/// A bench that doubts its own figures must not be ranked; what a simulation says there is about its model. Both may say
/// it outright, by `ranked`.
fn may_be_ranked(json: &Value, doubts: &[String], source: &str) -> bool {
    json.get("ranked").and_then(Value::as_bool).unwrap_or(doubts.is_empty() || source == "simulate")
}

impl Combination {
    fn read(json: &Value, source: &str, run_is_ranked: bool) -> Self {
        let doubts = texts(json, "doubts");
        let parts = ["balancer", "strategy", "affinity", "sessions"].map(|key| text(json, key));
        let id = Some(text(json, "id")).filter(|id| !id.is_empty());
        let id = id
            .unwrap_or_else(|| parts.iter().filter(|p| !p.is_empty()).cloned().collect::<Vec<_>>().join("/"));
        let [balancer, strategy, affinity, sessions] = parts;
        let mut metrics = metrics(json, "metrics");
        metrics.sort_by_key(|(name, _)| known::place(name));
        let mut latency: Vec<_> =
            fields(json, "latency").map(|(k, v)| (k.clone(), Latency::read(v))).collect();
        latency.retain(|(_, l)| !l.percentiles.is_empty() || !l.cdf.is_empty());
        latency.sort_by_key(|(name, _)| CLASSES.iter().position(|c| c == name).unwrap_or(CLASSES.len()));
        Self {
            id,
            balancer,
            strategy,
            affinity,
            sessions,
            backends: texts(json, "backends"),
            metrics,
            events: list(json, "events").iter().map(Event::read).collect(),
            series: json.get("series").and_then(Series::read),
            latency,
            is_ranked: run_is_ranked && may_be_ranked(json, &doubts, source),
            doubts,
        }
    }

    pub(crate) fn metric(&self, name: &str) -> Option<&Metric> {
        self.metrics.iter().find(|(n, _)| n == name).map(|(_, metric)| metric)
    }

    pub(crate) fn value(&self, name: &str) -> Option<f64> {
        self.metric(name).map(|metric| metric.value)
    }
}

impl Metric {
    /// An object, or a number alone.
    fn read(json: &Value) -> Option<Self> {
        if let Some(value) = json.as_f64() {
            return Some(Self { value, ..Self::default() });
        }
        Some(Self {
            value: number(json, "value")?,
            low: number(json, "low"),
            high: number(json, "high"),
            n: number(json, "n"),
            theory: number(json, "theory"),
            z: number(json, "z"),
            unit: text(json, "unit"),
        })
    }

    /// Of nothing seen in n trials, how much there may still be, with 95 %: the rule of three.
    pub(crate) fn at_most(&self) -> Option<f64> {
        if self.value != 0.0 {
            return None;
        }
        let by_three = || self.n.filter(|n| *n > 0.0 && self.unit == "per session").map(|n| 3.0 / n);
        self.high.filter(|high| *high > 0.0).or_else(by_three)
    }

    /// The interval, if it has one.
    pub(crate) fn interval(&self) -> Option<(f64, f64)> {
        Some((self.low?, self.high?))
    }
}

impl Event {
    fn read(json: &Value) -> Self {
        let (kind, target) = (text(json, "kind"), text(json, "target"));
        let label = Some(text(json, "label")).filter(|label| !label.is_empty());
        Self {
            t: number(json, "t").unwrap_or(0.0),
            label: label.unwrap_or_else(|| format!("{kind} {target}").trim().to_owned()),
            kind,
            figures: known::OF_EVENTS.iter().filter_map(|name| Some((*name, number(json, name)?))).collect(),
            theory: metrics(json, "theory"),
            matrix: json.get("matrix").and_then(Matrix::read),
        }
    }

    pub(crate) fn figure(&self, name: &str) -> Option<f64> {
        self.figures.iter().find(|(n, _)| *n == name).map(|(_, value)| *value)
    }
}

impl Matrix {
    fn read(json: &Value) -> Option<Self> {
        let names = texts(json, "names");
        let row = |row: &Value| -> Vec<f64> {
            let mut row: Vec<f64> =
                row.as_array().into_iter().flatten().map(|v| v.as_f64().unwrap_or(0.0)).collect();
            row.resize(names.len(), 0.0);
            row
        };
        let mut counts: Vec<Vec<f64>> = list(json, "counts").iter().map(row).collect();
        counts.resize(names.len(), vec![0.0; names.len()]);
        (counts.iter().flatten().sum::<f64>() > 0.0).then_some(Self { names, counts })
    }
}

impl Series {
    fn read(json: &Value) -> Option<Self> {
        let t = numbers(json.get("t")?);
        if t.len() < 2 {
            return None;
        }
        let as_long = |values: &Value| {
            let mut values = numbers(values);
            values.resize(t.len(), 0.0);
            values
        };
        let live = fields(json, "live").map(|(name, values)| (name.clone(), as_long(values))).collect();
        let trouble = ["lost", "stale", "errors"]
            .into_iter()
            .filter_map(|name| Some((name, as_long(json.get(name)?))))
            .collect();
        Some(Self { live, trouble, t })
    }
}

impl Latency {
    fn read(json: &Value) -> Self {
        let point = |p: &Value| Some((p.get(0)?.as_f64()?, p.get(1)?.as_f64()?));
        let mut cdf: Vec<(f64, f64)> = list(json, "cdf").iter().filter_map(point).collect();
        cdf.sort_by(|a, b| a.0.total_cmp(&b.0));
        Self {
            n: number(json, "n"),
            percentiles: PERCENTILES
                .into_iter()
                .filter_map(|name| Some((name, number(json, name)?)))
                .collect(),
            cdf,
        }
    }

    /// The points of its distribution: as given, or by its percentiles.
    pub(crate) fn points(&self) -> Vec<(f64, f64)> {
        if self.cdf.len() > 1 {
            return self.cdf.clone();
        }
        let share = |name| match name {
            "p50" => 0.5,
            "p90" => 0.9,
            "p99" => 0.99,
            "p999" => 0.999,
            _ => 1.0,
        };
        self.percentiles.iter().map(|(name, ms)| (*ms, share(*name))).collect()
    }
}

impl Check {
    fn read(json: &Value) -> Self {
        Self {
            id: text(json, "id"),
            what: text(json, "what"),
            expected: number(json, "expected"),
            measured: number(json, "measured"),
            z: number(json, "z"),
            tolerance: text(json, "tolerance"),
            pass: json.get("pass").and_then(Value::as_bool),
        }
    }
}

impl Probe {
    fn read(json: &Value) -> Self {
        let finding = |f: &Value| Finding {
            id: text(f, "id"),
            asked: text(f, "asked"),
            seen: text(f, "seen"),
            verdict: text(f, "verdict"),
            error_probability: number(f, "error_probability"),
        };
        Self {
            url: text(json, "url"),
            kind: text(json, "kind"),
            certainty: number(json, "certainty"),
            findings: list(json, "findings").iter().map(finding).collect(),
        }
    }
}

fn list<'a>(json: &'a Value, key: &str) -> &'a [Value] {
    json.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn fields<'a>(json: &'a Value, key: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    json.get(key).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn metrics(json: &Value, key: &str) -> Vec<(String, Metric)> {
    fields(json, key).filter_map(|(name, m)| Some((name.clone(), Metric::read(m)?))).collect()
}

fn number(json: &Value, key: &str) -> Option<f64> {
    json.get(key).and_then(Value::as_f64)
}

fn numbers(json: &Value) -> Vec<f64> {
    json.as_array().into_iter().flatten().map(|v| v.as_f64().unwrap_or(0.0)).collect()
}

/// A text, or a number as one; empty if there is neither.
fn text(json: &Value, key: &str) -> String {
    json.get(key).map(plain).unwrap_or_default()
}

fn texts(json: &Value, key: &str) -> Vec<String> {
    list(json, key).iter().map(plain).collect()
}

fn pairs(json: &Value, key: &str) -> Vec<(String, String)> {
    fields(json, key)
        .map(|(name, value)| (name.clone(), plain(value)))
        .filter(|(_, v)| !v.is_empty())
        .collect()
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Number(n) if n.is_f64() => n.as_f64().map(super::number::short).unwrap_or_default(),
        Value::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(all) => {
            all.iter().map(|(k, v)| format!("{k} {}", plain(v))).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}
