//! The result as JSON, schema `homing.bench/1`: its names are stable, what does not exist is left out, and each figure has
//! its number of observations, its interval, and what is to be expected where somebody knows.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::balancer::{Family, Placement, Routing};
use super::load::effective_networks;
use super::measure::latency::{Distribution, Latencies};
use super::measure::spread::Spread;
use super::measure::{EventFigures, Measured};
use super::run::{Ran, lateness};
use super::script::What;
use super::seen::Revocation;
use super::settings::{Profile, Settings};
use super::statistics::{Estimate, estimate, of_count};
use super::store::DENIES;
use super::theory::peak_after_roll;

/// The name of the form.
pub const SCHEMA: &str = "homing.bench/1";

/// Runs of one combination.
#[derive(Debug)]
pub(super) struct Combination<'a> {
    pub(super) routing: &'a Routing,
    pub(super) sessions: &'a str,
    pub(super) runs: Vec<Ran>,
}

/// Metrics by name.
#[derive(Debug, Default)]
pub(super) struct Metrics(Map<String, Value>);

impl Metrics {
    pub(super) fn put(&mut self, name: &str, unit: &str, n: usize, of: Estimate) {
        self.0.insert(
            name.to_owned(),
            json!({ "value": tidy(of.mean), "low": tidy(of.low), "high": tidy(of.high), "n": n, "unit": unit }),
        );
    }

    /// An average over runs.
    fn average(&mut self, name: &str, unit: &str, values: impl Iterator<Item = f64>) {
        let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
        if let Some(of) = estimate(&values) {
            self.put(name, unit, values.len(), of);
        }
    }

    /// How often something was seen.
    pub(super) fn count(&mut self, name: &str, n: usize, count: u64) {
        let (low, high) = of_count(count);
        self.put(name, "count", n, Estimate { mean: count as f64, low, high, error: 0.0 });
    }

    pub(super) fn expect(&mut self, name: &str, theory: f64, z: Option<f64>) {
        if let Some(metric) = self.0.get_mut(name) {
            metric["theory"] = tidy(theory).into();
            if let Some(z) = z {
                metric["z"] = tidy(z).into();
            }
        }
    }
}

impl Combination<'_> {
    pub(super) fn id(&self) -> String {
        id(self.routing, self.sessions)
    }

    /// What it comes to, and the checks against closed forms.
    pub(super) fn to_json(&self, settings: &Settings) -> (Value, Vec<Value>) {
        let (mut metrics, mut checks) = (Metrics::default(), Vec::new());
        self.losses(settings, &mut metrics, &mut checks);
        self.moves(&mut metrics);
        self.balance(settings, &mut metrics);
        self.costs(&mut metrics);
        let latencies = self.latencies(&mut metrics);
        let revocation = self.revocations(settings, &mut metrics, &mut checks);
        let mut doubts: Vec<String> = self.runs.iter().flat_map(|run| run.doubts.clone()).collect();
        doubts.sort();
        doubts.dedup();
        doubts.extend(lateness(&self.runs));
        let backends = self.runs.first().map(|run| run.backends.clone()).unwrap_or_default();
        let events: Vec<Value> = self.events(&backends);
        let series = self.runs.first().map(|run| series(&run.measured, &backends)).unwrap_or_default();
        let flows = self.flows(settings, &mut checks, &mut doubts);
        let mut value = json!({
            "id": self.id(),
            "balancer": self.routing.family.name(),
            "strategy": self.routing.strategy,
            "affinity": self.routing.affinity,
            "sessions": self.sessions,
            "backends": backends,
            "metrics": metrics.0,
            "events": events,
            "series": series,
            "latency": latencies,
            "errors": self.classes(),
            "doubts": doubts,
        });
        if !flows.is_empty() {
            value["flows"] = flows.into();
        }
        if let Some(revocation) = revocation {
            value["revocation"] = revocation;
        }
        (value, checks)
    }

    pub(super) fn measured(&self) -> impl Iterator<Item = &Measured> {
        self.runs.iter().map(|run| &run.measured)
    }

    pub(super) fn sum(&self, of: impl Fn(&Measured) -> u64) -> u64 {
        self.measured().map(of).sum()
    }

    /// How many backends a session can be on.
    pub(super) fn backends(&self, settings: &Settings) -> usize {
        settings.url.as_ref().map_or(settings.backends, |foreign| foreign.backends.len())
    }

    /// The events of all runs, side by side; what is told twice (a crash, and it with its return) once.
    pub(super) fn told(&self) -> Vec<Vec<&EventFigures>> {
        let first = self.runs.first().map(|run| run.measured.events.as_slice()).unwrap_or_default();
        (0..first.len())
            .map(|place| self.measured().filter_map(|m| m.events.get(place)).collect::<Vec<_>>())
            .filter(|events| {
                let is_part = events.first().is_some_and(|event| {
                    matches!(event.kind.as_str(), "crash" | "restart")
                        && first
                            .iter()
                            .any(|other| other.kind == "crash_return" && other.target == event.target)
                });
                !is_part
            })
            .collect()
    }

    fn moves(&self, metrics: &mut Metrics) {
        let n = usize::try_from(self.sum(|m| m.requests)).unwrap_or(0);
        metrics.count("forced_moves", n, self.sum(|m| m.totals.forced));
        metrics.count("policy_moves", n, self.sum(|m| m.totals.policy));
        metrics.count("failback_moves", n, self.sum(|m| m.totals.failback));
        metrics.count("unforced_moves", n, self.sum(|m| m.totals.unforced));
        let births = usize::try_from(self.sum(|m| m.births)).unwrap_or(0);
        if births > 0 {
            metrics.count("birth_races", births, self.sum(|m| m.birth_races));
        }
        let disruption = |m: &Measured| {
            let least: f64 = m.events.iter().map(|e| e.least).sum();
            let moves: u64 = m.events.iter().map(|e| e.counts.moves()).sum();
            if least > 0.0 { moves as f64 / least } else { f64::NAN }
        };
        metrics.average("disruption", "ratio", self.measured().map(disruption));
        let events = || self.measured().flat_map(|m| &m.events);
        metrics.average("detect_s", "s", events().filter_map(|e| e.detect));
        let recover = |m: &Measured| m.events.iter().map(|e| e.recover).fold(f64::NAN, f64::max);
        metrics.average("recover_s", "s", self.measured().map(recover));
    }

    fn balance(&self, settings: &Settings, metrics: &mut Metrics) {
        let of = |suffix: &str, metrics: &mut Metrics, loads: &dyn Fn(&Measured) -> Vec<f64>| {
            let spreads: Vec<Spread> = self.measured().filter_map(|m| Spread::of(&loads(m))).collect();
            metrics.average(&format!("peak_to_average{suffix}"), "ratio", spreads.iter().map(|s| s.peak));
            metrics.average(&format!("cv{suffix}"), "ratio", spreads.iter().map(|s| s.cv));
            metrics.average(&format!("gini{suffix}"), "ratio", spreads.iter().map(|s| s.gini));
        };
        of("", metrics, &|m| m.sessions_end.clone());
        of("_requests", metrics, &|m| m.requests_end.clone());
        let kinds: Vec<&str> = self
            .runs
            .first()
            .map_or_else(Vec::new, |run| run.measured.events.iter().map(|e| e.kind.as_str()).collect());
        let is_strict = settings.workload.profile == Profile::Cohort && kinds == ["roll"];
        if is_strict && self.routing.placement == Placement::Sticky {
            metrics.expect("peak_to_average", peak_after_roll(self.backends(settings)), None);
        }
    }

    fn costs(&self, metrics: &mut Metrics) {
        metrics.count("requests", self.runs.len(), self.sum(|m| m.requests));
        metrics.count("sessions", self.runs.len(), self.sum(|m| m.sessions));
        let n = usize::try_from(self.sum(|m| m.requests)).unwrap_or(0);
        metrics.count("errors", n, self.sum(|m| m.errors));
        let rate = |m: &Measured| m.errors as f64 / m.requests.max(1) as f64;
        metrics.average("error_rate", "share", self.measured().map(rate));
        let runs = || self.runs.iter();
        metrics.average("cpu_us_balancer", "us", runs().filter_map(|r| r.cost.balancer));
        metrics.average("cpu_us_application", "us", runs().filter_map(|r| r.cost.application));
        metrics.average("cpu_us_store", "us", runs().filter_map(|r| r.cost.store));
        metrics.average("trips_per_request", "count", runs().filter_map(|r| r.cost.trips));
        metrics.average("bytes_per_session", "bytes", runs().filter_map(|r| r.cost.bytes_per_session));
        let bytes =
            |place: usize| self.measured().map(move |m| m.cookie_bytes.get(place).copied().unwrap_or(0.0));
        metrics.average("session_cookie_bytes", "bytes", bytes(0));
        metrics.average("affinity_cookie_bytes", "bytes", bytes(1));
        metrics.average("cookie_bytes", "bytes", self.measured().map(|m| m.cookie_bytes.iter().sum()));
    }

    /// How long sessions were accepted that had been ended, and the distribution of that.
    fn revocations(
        &self,
        settings: &Settings,
        metrics: &mut Metrics,
        checks: &mut Vec<Value>,
    ) -> Option<Value> {
        let all: Vec<Revocation> = self.runs.iter().flat_map(|run| run.revocations.iter().copied()).collect();
        let mut seconds: Vec<f64> = all.iter().map(|one| one.seconds).collect();
        seconds.sort_by(f64::total_cmp);
        let longest = *seconds.last()?;
        metrics.average("revocation_s", "s", seconds.iter().copied());
        metrics.count(
            "accepted_after_revocation",
            all.len(),
            all.iter().map(|one| u64::from(one.accepted)).sum(),
        );
        let place = (seconds.len() * 99).div_ceil(100).saturating_sub(1);
        metrics.average("revocation_p99_s", "s", seconds.get(place).copied().into_iter());
        let still = all.iter().filter(|one| one.is_capped).count();
        if still > 0 {
            metrics.count("revocations_not_seen", all.len(), still as u64);
        }
        let only_probes = !settings.events.iter().any(|event| matches!(event.what, What::Revoke(_)));
        if self.sessions.starts_with("jwt") && !self.sessions.ends_with(DENIES) && still == 0 && only_probes {
            // Tokens were new when they were revoked: each is good for all of its life, as far as one asks often.
            let life = settings.workload.access.as_secs_f64();
            metrics.expect("revocation_s", life, None);
            checks.push(json!({
                "id": "B15",
                "what": format!("{}: the longest that a token was accepted after its end, s", self.id()),
                "expected": tidy(life),
                "measured": tidy(longest),
                "tolerance": "5 % and 0.3 s",
                "pass": (longest - life).abs() < 0.05 * life + 0.3,
            }));
        }
        let n = seconds.len() as f64;
        let cdf: Vec<[f64; 2]> =
            seconds.iter().enumerate().map(|(i, s)| [tidy(*s), tidy((i + 1) as f64 / n)]).collect();
        Some(json!({ "n": seconds.len(), "not_seen": still, "max": tidy(longest), "cdf": cdf }))
    }

    fn latencies(&self, metrics: &mut Metrics) -> Value {
        let mut joined = Latencies::default();
        self.measured().for_each(|m| joined.join(&m.latencies));
        for (name, of) in [
            ("p50_ms", (|d: &Distribution| d.p50) as fn(&Distribution) -> f64),
            ("p90_ms", |d| d.p90),
            ("p99_ms", |d| d.p99),
            ("p999_ms", |d| d.p999),
        ] {
            metrics.average(name, "ms", self.measured().filter_map(|m| Some(of(&m.latencies.class("all")?))));
        }
        let classes: Map<String, Value> =
            joined.classes().map(|(name, d)| (name.to_owned(), distribution(&d))).collect();
        classes.into()
    }

    fn classes(&self) -> BTreeMap<&str, u64> {
        self.measured().flat_map(|m| &m.classes).fold(BTreeMap::new(), |mut sum, (name, count)| {
            *sum.entry(name.as_str()).or_default() += count;
            sum
        })
    }

    /// Of the first run; counts of all would have no matrix that is anybody's.
    fn events(&self, backends: &[String]) -> Vec<Value> {
        let first = self.runs.first().map(|run| run.measured.events.as_slice()).unwrap_or_default();
        first.iter().map(|event| event_json(event, backends)).collect()
    }
}

fn event_json(event: &EventFigures, backends: &[String]) -> Value {
    let counts = &event.counts;
    let mut value = json!({
        "t": tidy(event.at),
        "kind": event.kind,
        "label": event.label,
        "live": event.live,
        "stayed": event.losses.len(),
        "lost": counts.lost,
        "stale": counts.stale,
        "duplicates": counts.duplicates,
        "forced": counts.forced,
        "policy": counts.policy,
        "failback": counts.failback,
        "unforced": counts.unforced,
        "least": event.least,
        "recover_s": tidy(event.recover),
        "matrix": { "names": backends, "counts": event.matrix },
    });
    if let Some(name) = event.target.and_then(|target| backends.get(usize::from(target))) {
        value["target"] = name.clone().into();
    }
    if event.least > 0.0 {
        value["disruption"] = tidy(counts.moves() as f64 / event.least).into();
    }
    if event.ideal > 0.0 {
        value["ideal"] = tidy(event.ideal).into();
    }
    if let Some(detect) = event.detect {
        value["detect_s"] = tidy(detect).into();
    }
    if let Some(coverage) = event.coverage {
        value["coverage"] = tidy(coverage).into();
    }
    value
}

fn series(measured: &Measured, backends: &[String]) -> Value {
    let of = |all: &[Vec<u64>]| -> Map<String, Value> {
        backends.iter().zip(all).map(|(name, counts)| (name.clone(), json!(counts))).collect()
    };
    let series = &measured.series;
    json!({
        "t": series.t,
        "live": of(&series.live),
        "requests": of(&series.requests),
        "lost": series.lost,
        "stale": series.stale,
        "errors": series.errors,
    })
}

fn distribution(of: &Distribution) -> Value {
    let cdf: Vec<[f64; 2]> = of.cdf.iter().map(|(ms, share)| [tidy(*ms), tidy(*share)]).collect();
    json!({ "n": of.n, "p50": of.p50, "p90": of.p90, "p99": of.p99, "p999": of.p999, "max": of.max, "cdf": cdf })
}

/// How many standard errors a mean is away. What never varies may be away by half an observation.
pub(super) fn z(mean: f64, theory: f64, error: f64, n: usize) -> f64 {
    let difference = mean - theory;
    if difference.abs() < 1e-9 { 0.0 } else { difference / error.max(0.5 / n.max(1) as f64) }
}

/// To a millionth: more digits are nobody's.
pub(super) fn tidy(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// Commands that the store counted against trips that the application did, from their beginning to a quiet end.
pub(super) fn trips(sessions: &str, (commands, trips): (u64, u64)) -> Value {
    json!({
        "id": "B16",
        "what": format!("{sessions}: commands by the store's own count, for each trip by the application's"),
        "expected": trips,
        "measured": commands,
        "tolerance": "exact",
        "pass": commands == trips,
    })
}

/// `homing/cookie/memory`, `nginx/ip_hash/redis`
pub(super) fn id(routing: &Routing, sessions: &str) -> String {
    let way = match (routing.family, routing.strategy.as_str(), routing.affinity.as_str()) {
        (Family::Homing, "round_robin", "none") => "round_robin",
        (Family::Homing, strategy, "none") => strategy,
        (Family::Homing, "round_robin", affinity) => affinity,
        (Family::Homing, strategy, affinity) => return format!("homing/{strategy}+{affinity}/{sessions}"),
        (Family::Foreign, ..) => return format!("url/{sessions}"),
        (_, strategy, _) => strategy,
    };
    format!("{}/{way}/{sessions}", routing.family.name())
}

/// What stands around the combinations.
pub(super) fn frame(settings: &Settings, versions: &BTreeMap<String, String>, made: u64) -> Value {
    let workload = &settings.workload;
    let n = settings.url.as_ref().map_or(settings.backends, |foreign| foreign.backends.len());
    let effective = effective_networks(workload);
    json!({
        "schema": SCHEMA,
        "source": "bench",
        "command": settings.command,
        "seed": settings.seed,
        "made": made,
        "host": host(),
        "versions": versions,
        "workload": {
            "users": workload.users,
            "n": n,
            "profile": workload.profile.name(),
            "runs": settings.runs,
            "think_s": workload.think.as_secs_f64(),
            "session_s": workload.session.as_secs_f64(),
            "application": if settings.adopts_ids { "adopting" } else { "strict" },
            "access_s": workload.access.as_secs_f64(),
            "idle_s": workload.idle.as_secs_f64(),
            "duration_s": settings.duration.as_secs_f64(),
            "time_scale": workload.time_scale,
            "writes": workload.writes,
            "parallel": workload.parallel,
            "zipf": workload.zipf,
            "n_eff": tidy(effective),
            "predicted_cv": tidy(((n.max(1) - 1) as f64 / effective).sqrt()),
        },
    })
}

fn host() -> Value {
    let read = |file: &str| std::fs::read_to_string(file).unwrap_or_default();
    let cpuinfo = read("/proc/cpuinfo");
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "cpu": model.map_or("unknown", |(_, model)| model.trim()),
        "cores": std::thread::available_parallelism().map_or(1, usize::from),
        "kernel": read("/proc/sys/kernel/osrelease").trim(),
    })
}
