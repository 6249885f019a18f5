//! What came out, as the JSON that `homing bench` writes too: `homing.bench/1`, source `simulate`.
//!
//! Nothing in it depends on the machine, on the time or on the number of threads. Counts of an event are those of the
//! sessions that were live from its beginning to its end, so that those that happened to leave do not dilute it; `all`
//! counts everybody.

use serde_json::{Map, Value, json};

use super::balance::mean_and_error;
use super::run::{EventRecord, Record};
use super::script::{Event, What};
use super::tally::{BATCHES, Batch, Counts};
use super::theory::{self, Moments};
use super::users::Users;
use super::{Affinity, Key, Setup, Store, Timing, Way, rounded};
use crate::strategy::Needs;

/// Two-sided 95 % of Student's t with one degree of freedom less than there are batches.
const T_95: f64 = 2.093;
/// Points per backend of `hash` with `consistent = true`.
const POINTS: usize = 160;

/// Everything that a run found.
#[derive(Clone, Debug)]
pub struct Outcome {
    json: Value,
    /// How long it took; no part of the JSON.
    pub timing: Timing,
}

/// One way with one store.
#[derive(Debug)]
pub(super) struct Combination(Value);

impl Outcome {
    pub(super) fn new(
        setup: &Setup,
        users: &Users,
        horizon: f64,
        combinations: Vec<Combination>,
        timing: Timing,
    ) -> Self {
        let w = &setup.workload;
        let networks = users.n_eff(|a| users.book.network(a));
        let addresses = users.n_eff(u64::from);
        let cv = |n_eff| rounded(theory::group_cv(setup.backends, n_eff));
        let mut workload = json!({
            "users": users.at_start, "n": setup.backends, "profile": w.profile, "stay_s": w.stay,
            "duration_s": rounded(horizon), "time_scale": 1, "zipf": w.zipf, "behind_one": w.behind_one,
            "cookieless": w.cookieless, "mobile": w.mobile, "key": key(setup.key),
            "application": if setup.adopts_ids { "adopting" } else { "strict" },
            "n_eff": rounded(networks), "n_eff_addresses": rounded(addresses),
            "predicted_cv": cv(networks), "predicted_cv_addresses": cv(addresses),
        });
        if let (Some(think), Some(map)) = (w.think, workload.as_object_mut()) {
            map.insert("think_s".to_owned(), json!(think));
        }
        if let (Some(replay), Some(map)) = (&setup.replay, workload.as_object_mut()) {
            map.insert("replay".to_owned(), replay.to_json());
        }
        let mut doubts: Vec<String> = setup.script.left_out.clone();
        if let (Some(think), true) = (w.think, setup.theory) {
            doubts.push(format!(
                "with think times of {think} s not every session asks between two changes: no closed form"
            ));
        }
        let combinations: Vec<Value> = combinations.into_iter().map(|c| c.0).collect();
        let json = json!({
            "schema": "homing.bench/1", "source": "simulate", "command": setup.command, "seed": setup.seed,
            "versions": { "homing": env!("CARGO_PKG_VERSION") },
            "workload": workload, "combinations": combinations, "doubts": doubts,
        });
        Self { json, timing }
    }

    /// The result.
    #[must_use]
    pub const fn to_json(&self) -> &Value {
        &self.json
    }
}

impl Combination {
    pub(super) fn new(setup: &Setup, users: &Users, way: &Way, store: Store, record: &Record) -> Self {
        let view = Seen { setup, users, way, store, record };
        Self(view.combination())
    }
}

/// What a combination is made from.
struct Seen<'a> {
    setup: &'a Setup,
    users: &'a Users,
    way: &'a Way,
    store: Store,
    record: &'a Record,
}

/// A figure with what it should be.
struct Figure {
    value: f64,
    /// Its 95 % interval, if it has one.
    interval: Option<(f64, f64)>,
    n: u64,
    theory: Option<(f64, f64)>,
    unit: &'static str,
}

impl Seen<'_> {
    fn combination(&self) -> Value {
        let events: Vec<Value> = self
            .record
            .events
            .iter()
            .zip(&self.setup.script.events)
            .map(|(e, of)| self.event(e, of))
            .collect();
        let way = self.way;
        json!({
            "id": format!("homing/{}/{}/{}", way.name, way.affinity.as_str(), self.store.as_str()),
            "balancer": "homing", "strategy": way.name, "affinity": way.affinity.as_str(),
            "sessions": self.store.as_str(), "backends": self.record.names,
            "metrics": self.metrics(), "events": events, "series": self.series(), "doubts": self.doubts(),
        })
    }

    fn is_memory(&self) -> bool {
        self.store == Store::Memory
    }

    /// What is lost and stale counts only where sessions are in the backends' memory.
    fn counts(&self, counts: &Counts, store_lost: u64) -> Counts {
        if self.is_memory() {
            return *counts;
        }
        let lost = if self.store.is_emptied_by_restart() { store_lost } else { 0 };
        Counts { lost, stale: 0, ..*counts }
    }

    fn metrics(&self) -> Value {
        let mut metrics = Map::new();
        let mut put = |name: &str, figure: Figure| metrics.insert(name.to_owned(), figure.to_json());
        let events = &self.record.events;
        let sum = |of: fn(&Counts) -> u64| -> u64 {
            events.iter().map(|e| of(&self.counts(&e.tally.all, e.store_lost))).sum()
        };
        let count = |value: u64| Figure {
            value: value as f64,
            interval: None,
            n: value,
            theory: None,
            unit: "count",
        };
        put("lost", count(sum(|c| c.lost)));
        put("stale", count(sum(|c| c.stale)));
        put("forced_moves", count(sum(|c| c.forced)));
        put("policy_moves", count(sum(|c| c.policy)));
        put("failback_moves", count(sum(|c| c.failback)));
        put("unforced_moves", count(sum(|c| c.unforced)));
        put("drift_moves", count(self.record.drift.all.moved()));
        put("sessions", count(self.record.sessions));
        if !events.is_empty() {
            put("lost_per_live", self.per_live(|b| b.lost, |e| e.lost));
            put("stale_per_live", self.per_live(|b| b.stale, |e| e.stale));
            let (moved, least) =
                events.iter().fold((0, 0.0), |(m, l), e| (m + e.tally.cohort.moved(), l + e.least()));
            if least > 0.0 {
                let value = moved as f64 / least;
                put("disruption", Figure { value, interval: None, n: moved, theory: None, unit: "share" });
            }
        }
        let balance = self.record.balance;
        let plain = |value, unit| Figure {
            value,
            interval: None,
            n: self.record.names.len() as u64,
            theory: None,
            unit,
        };
        put("peak_to_average", plain(balance.peak, "share"));
        put("cv", plain(balance.cv, "share"));
        put("gini", plain(balance.gini, "share"));
        put("jain", plain(balance.jain, "share"));
        put("bytes_per_session", plain(self.record.bytes as f64, "bytes"));
        Value::Object(metrics)
    }

    /// The sum over the events of what is counted per session that is live, with an interval over batches of sessions.
    fn per_live(&self, of: fn(&Batch) -> u64, theory: fn(&theory::Expected) -> Option<Moments>) -> Figure {
        let events = &self.record.events;
        let live: u64 = events.first().map_or(0, |e| e.live);
        if !self.is_memory() {
            let all: u64 = events.iter().map(|e| e.store_lost).sum();
            let lost =
                if self.store.is_emptied_by_restart() && of(&Batch { lost: 1, ..Batch::default() }) == 1 {
                    all
                } else {
                    0
                };
            let value = lost as f64 / live.max(1) as f64;
            let interval = (lost == 0 && live > 0).then(|| (0.0, 3.0 / live as f64));
            return Figure { value, interval, n: live, theory: None, unit: "per session" };
        }
        let rates: Vec<f64> = (0..BATCHES)
            .filter(|b| events.iter().all(|e| e.tally.batches[*b].live > 0))
            .map(|b| {
                events.iter().map(|e| of(&e.tally.batches[b]) as f64 / e.tally.batches[b].live as f64).sum()
            })
            .collect();
        let total = |e: &EventRecord| e.tally.batches.iter().map(of).sum::<u64>() as f64;
        let value = events.iter().map(|e| total(e) / e.live.max(1) as f64).sum::<f64>();
        let (_, error) = mean_and_error(&rates);
        let interval = if value == 0.0 && live > 0 {
            Some((0.0, 3.0 / live as f64))
        } else {
            (rates.len() > 1).then(|| ((value - T_95 * error).max(0.0), value + T_95 * error))
        };
        let expected = match (self.setup.theory, events.as_slice(), self.setup.script.events.first()) {
            (true, [_], Some(event)) => {
                theory::expected(&event.what, self.way, self.setup).as_ref().and_then(theory)
            }
            _ => None,
        };
        let theory = expected.map(|m| (m.mean, self.sigma(m, live)));
        Figure { value, interval, n: live, theory, unit: "per session" }
    }

    /// The standard deviation of a mean over so many live sessions: of as many as are independent of each other.
    fn sigma(&self, m: Moments, live: u64) -> f64 {
        let independent = match (self.way.affinity, self.way.kind.needs, self.setup.key) {
            (Affinity::None, Needs::Address, _) => self.users.n_eff(|a| self.users.book.network(a)),
            (Affinity::None, Needs::Key, Key::ClientIp) => self.users.n_eff(u64::from),
            _ => live as f64,
        };
        let ring = if self.way.is_ring && m.variance > 0.0 && self.way.affinity == Affinity::None {
            m.mean * theory::ring_cv(self.setup.backends, POINTS)
        } else {
            0.0
        };
        (m.variance / independent.max(1.0) + ring * ring).sqrt()
    }

    fn event(&self, e: &EventRecord, of: &Event) -> Value {
        let counts = self.counts(&e.tally.cohort, e.store_lost);
        let all = self.counts(&e.tally.all, e.store_lost);
        let n = self.record.names.len();
        let rows: Vec<&[u64]> = e.tally.matrix.chunks(n.max(1)).collect();
        let mut json = json!({
            "t": of.at, "kind": of.kind(), "target": of.target(), "label": of.label(), "live": e.live,
            "lost": counts.lost, "stale": counts.stale, "forced": counts.forced, "policy": counts.policy,
            "failback": counts.failback, "unforced": counts.unforced, "least": rounded(e.least()),
            "all": { "lost": all.lost, "stale": all.stale, "moved": all.moved() },
            "before": e.before.to_json(), "after": e.after.to_json(),
            "matrix": { "names": self.record.names, "counts": rows },
        });
        let Some(map) = json.as_object_mut() else { return json };
        let mut put = |name: &str, value: Value| map.insert(name.to_owned(), value);
        if e.least() > 0.0 {
            put("disruption", json!(rounded(counts.moved() as f64 / e.least())));
        }
        for (name, count) in
            [("refused", e.tally.refused), ("relogins", e.tally.relogins), ("unkept", e.tally.unkept)]
        {
            if count > 0 {
                put(name, json!(count));
            }
        }
        if let (What::Drain(..), Affinity::Cookie) = (&of.what, self.way.affinity) {
            put("residue", json!(rounded(counts.forced as f64 / self.drained(e, of).max(1.0))));
        }
        if let Some(theory) = self.theory(e, of, counts) {
            put("theory", theory);
        }
        json
    }

    /// Sessions that were on the drained backends at its beginning, as an estimate from an even share.
    fn drained(&self, e: &EventRecord, of: &Event) -> f64 {
        match &of.what {
            What::Drain(who, _) => e.live as f64 * who.len() as f64 / self.setup.backends as f64,
            _ => 0.0,
        }
    }

    fn theory(&self, e: &EventRecord, of: &Event, counts: Counts) -> Option<Value> {
        if !self.setup.theory || !e.is_first || e.live == 0 {
            return None;
        }
        let expected = theory::expected(&of.what, self.way, self.setup)?;
        let mut map = Map::new();
        let live = e.live as f64;
        let zero = Some(Moments::default());
        let (lost, stale) = if self.is_memory() { (expected.lost, expected.stale) } else { (zero, zero) };
        for (name, m, value) in [
            ("lost_per_live", lost, counts.lost),
            ("stale_per_live", stale, counts.stale),
            ("moves_per_live", expected.moved, counts.moved()),
        ] {
            if let Some(m) = m {
                let figure = Figure {
                    value: value as f64 / live,
                    interval: None,
                    n: e.live,
                    theory: Some((m.mean, self.sigma(m, e.live))),
                    unit: "per session",
                };
                map.insert(name.to_owned(), figure.to_json());
            }
        }
        Some(Value::Object(map))
    }

    fn series(&self) -> Value {
        let s = &self.record.series;
        let live: Map<String, Value> =
            self.record.names.iter().zip(&s.live).map(|(name, live)| (name.clone(), json!(live))).collect();
        let zeros = vec![0; s.lost.len()];
        let (lost, stale) = if self.is_memory() { (&s.lost, &s.stale) } else { (&zeros, &zeros) };
        let t: Vec<f64> = s.t.iter().map(|t| rounded(*t)).collect();
        json!({ "t": t, "live": live, "lost": lost, "stale": stale })
    }

    fn doubts(&self) -> Vec<String> {
        let mut doubts = Vec::new();
        if matches!(self.way.name, "least_conn" | "random") {
            doubts.push(format!("{}: no requests are in flight here, so it sees no load", self.way.name));
        }
        if self.way.affinity == Affinity::None && self.way.kind.needs == Needs::Nothing {
            doubts.push(
                "without affinity a session goes elsewhere at every request; here it asks once per change"
                    .to_owned(),
            );
        }
        if self.setup.workload.cookieless > 0.0 && self.way.affinity == Affinity::Cookie {
            doubts.push("clients that keep no cookie are left out of the events: they are placed anew at every request".to_owned());
        }
        doubts
    }
}

impl EventRecord {
    /// The least number of moves that it could have come to: of sessions whose backend was gone; and, where backends were
    /// added and nobody was forced, of those that would even the shares out.
    fn least(&self) -> f64 {
        let forced = self.tally.cohort.forced as f64;
        if forced > 0.0 { forced } else { self.ideal * self.live as f64 }
    }
}

impl Figure {
    fn to_json(&self) -> Value {
        let mut json = json!({ "value": rounded(self.value), "n": self.n, "unit": self.unit });
        let Some(map) = json.as_object_mut() else { return json };
        let mut put = |name: &str, value: f64| map.insert(name.to_owned(), json!(rounded(value)));
        if let Some((low, high)) = self.interval {
            put("low", low);
            put("high", high);
        }
        if let Some((theory, sigma)) = self.theory {
            put("theory", theory);
            if sigma > 0.0 {
                put("z", (self.value - theory) / sigma);
            } else if (self.value - theory).abs() < 1e-9 {
                put("z", 0.0);
            }
        }
        json
    }
}

const fn key(key: Key) -> &'static str {
    match key {
        Key::ClientIp => "client_ip",
        Key::User => "user",
    }
}
