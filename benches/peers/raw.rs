//! Everything that was measured, as JSON: whoever doubts the table can make another one.

use serde_json::{Value, json};

use crate::peers::Peer;
use crate::run::{Outcome, Round, Run};

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
        "configurations": configurations,
        "rounds": outcome.rounds.iter().map(round).collect::<Vec<_>>(),
    })
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
