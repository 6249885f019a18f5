//! The same for spreadsheets: a row per figure ([RFC 4180](https://www.rfc-editor.org/rfc/rfc4180)).

use serde_json::Value;

use super::read::{Metric, Run};

/// What a row says.
const HEAD: [&str; 14] = [
    "combination",
    "balancer",
    "strategy",
    "affinity",
    "sessions",
    "scope",
    "t_s",
    "name",
    "value",
    "low",
    "high",
    "n",
    "theory",
    "z",
];

/// Every figure of every combination, of its events and of the checks, in full precision.
#[must_use]
pub fn csv(result: &Value) -> String {
    let run = Run::read(result);
    let mut out = HEAD.join(",") + ",unit\r\n";
    for c in &run.combinations {
        let who = [&c.id, &c.balancer, &c.strategy, &c.affinity, &c.sessions].map(|text| field(text));
        let mut row = |scope: &str, t: Option<f64>, name: &str, m: &Metric| {
            let front = [field(scope), number(t), field(name)];
            out.push_str(&(who.iter().chain(&front).cloned().collect::<Vec<_>>().join(",") + &figures(m)));
        };
        for (name, metric) in &c.metrics {
            row("run", None, name, metric);
        }
        for event in &c.events {
            for (name, value) in &event.figures {
                row(&event.label, Some(event.t), name, &Metric { value: *value, ..Metric::default() });
            }
            for (name, metric) in &event.theory {
                row(&event.label, Some(event.t), name, metric);
            }
        }
        for (class, latency) in &c.latency {
            for (name, ms) in &latency.percentiles {
                let metric = Metric { value: *ms, n: latency.n, unit: "ms".to_owned(), ..Metric::default() };
                row(&format!("latency {class}"), None, name, &metric);
            }
        }
    }
    for check in &run.checks {
        let Some(value) = check.measured else { continue };
        let metric = Metric { value, theory: check.expected, z: check.z, ..Metric::default() };
        let front = [field(&check.id), ",,,,check,".to_owned(), format!(",{}", field(&check.what))];
        out.push_str(&(front.concat() + &figures(&metric)));
    }
    out
}

fn figures(m: &Metric) -> String {
    let numbers = [Some(m.value), m.low, m.high, m.n, m.theory, m.z].map(number).join(",");
    format!(",{numbers},{}\r\n", field(&m.unit))
}

fn number(value: Option<f64>) -> String {
    value.map(|v| v.to_string()).unwrap_or_default()
}

/// A text; what a spreadsheet would take for a formula is made a text.
fn field(text: &str) -> String {
    let is_formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = if is_formula { format!("'{text}") } else { text.to_owned() };
    if text.contains(['"', ',', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}
