//! Everything that was measured, as JSON: whoever doubts the table can make another one.

use serde_json::{Value, json};

use crate::peers::Peer;
use crate::run::{Outcome, Round, Run};
use crate::statistics::Spread;

/// Of this file's form.
const FORMAT: u32 = 1;

pub(crate) fn json(run: &Run<'_>, outcomes: &[Outcome]) -> Value {
    let versions: serde_json::Map<String, Value> =
        run.installed.iter().map(|i| (i.peer.name().to_owned(), i.version.clone().into())).collect();
    json!({
        "format": FORMAT,
        "date": run.machine.date,
        "commit": run.machine.commit,
        "machine": run.machine.json(),
        "versions": versions,
        "settings": {
            "rounds": run.settings.rounds,
            "slice_seconds": run.length.as_secs_f64(),
            "descriptors": run.descriptors,
            "held_connections": run.held,
        },
        "rows": outcomes.iter().map(row).collect::<Vec<_>>(),
    })
}

fn row(outcome: &Outcome) -> Value {
    let configurations: serde_json::Map<String, Value> = Peer::ALL
        .iter()
        .zip(&outcome.configurations)
        .map(|(p, text)| (p.name().to_owned(), text.clone().into()))
        .collect();
    json!({
        "name": outcome.row.name,
        "about": outcome.row.about,
        "compares": outcome.row.figure.unit(),
        "failed": outcome.failed,
        "doubts": outcome.doubts(),
        "summary": summary(outcome),
        "configurations": configurations,
        "rounds": outcome.rounds.iter().map(round).collect::<Vec<_>>(),
    })
}

/// The medians that the tables show, and the ratios of paired rounds.
fn summary(outcome: &Outcome) -> Value {
    let of = |spread: Option<Spread>| {
        spread.map(|spread| {
            json!({
                "median": spread.median,
                "quartiles": [spread.lower_quartile, spread.upper_quartile],
                "interval_95": spread.interval.map(|(low, high)| [low, high]),
            })
        })
    };
    let peers = Peer::ALL.iter().map(|peer| {
        let told = json!({
            "figure": of(outcome.figures(*peer)),
            "homing_to_it": of(outcome.ratios(*peer)),
            "limit": outcome.limit(*peer).to_string(),
            "verdict": outcome.verdict(*peer).map(|verdict| verdict.to_string()),
        });
        (peer.name().to_owned(), told)
    });
    Value::Object(peers.collect())
}

fn round(round: &Round) -> Value {
    let slices: serde_json::Map<String, Value> = Peer::ALL
        .iter()
        .zip(&round.slices)
        .map(|(peer, slice)| (peer.name().to_owned(), slice.json()))
        .collect();
    let order: Vec<&str> =
        round.order.iter().filter_map(|i| Peer::ALL.get(*i)).map(|peer| peer.name()).collect();
    json!({ "order": order, "slices": slices })
}
