//! Session routing, measured on real processes: virtual users log in through a balancer to the application, things are done
//! to backends, balancer and store while they work, and it is counted who moved, what was lost, and what it cost.
//!
//! A run is `run.rs`: it starts `application`, `store` and `balancer/`, lets `load` and `user` come, has `director` do what
//! the `script` says, and gives what was `seen` to `measure/`. `result` makes JSON of all runs, with what `theory` expects
//! beside it. Nothing here prints; `cli/bench` does.

mod application;
mod balancer;
mod dice;
mod director;
mod family;
mod flows;
mod jar;
mod load;
mod losses;
mod measure;
pub mod probe;
mod process;
mod rehearsal;
mod result;
mod revocation;
mod run;
mod script;
mod seen;
mod settings;
mod statistics;
mod store;
mod theory;
mod usage;
mod user;
mod wire;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

pub use self::balancer::{Family, Placement, Routing};
pub use self::process::Missing;
pub use self::result::SCHEMA;
pub use self::run::Progress;
pub use self::script::{Event, Roll, What, parse, parse_file};
pub use self::settings::{ClientAddress, Foreign, Profile, Settings, Workload};

use self::result::{Combination, frame, trips};
use self::run::{Ran, Scene};

/// What stands in a run's end when somebody broke it off.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("interrupted: everything that was started has been ended")]
pub struct Interrupted;

/// Runs every combination, and returns the result as JSON. `tell` is told how it goes.
///
/// # Errors
/// A program is missing ([`Missing`]), something does not start or ends by itself, or somebody broke it off
/// ([`Interrupted`]).
pub fn bench(settings: &Settings, tell: &mut dyn FnMut(&Progress)) -> Result<Value> {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().context("start a runtime")?;
    runtime.block_on(async {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            biased;
            _ = interrupt.recv() => Err(Interrupted.into()),
            _ = terminate.recv() => Err(Interrupted.into()),
            result = all(settings, tell) => result,
        }
    })
}

/// Whether this kind of sessions could be run here; a store may be missing.
#[must_use]
pub fn has_store_for(sessions: &str) -> bool {
    store::Kind::of(sessions).is_none_or(|kind| kind.version().is_ok())
}

async fn all(settings: &Settings, tell: &mut dyn FnMut(&Progress)) -> Result<Value> {
    let versions = versions(settings)?;
    let made = u64::from(crate::base::time::UnixSeconds::now().0);
    let mut combinations: Vec<Combination<'_>> = settings
        .routings
        .iter()
        .flat_map(|routing| settings.sessions.iter().map(move |sessions| (routing, sessions)))
        .map(|(routing, sessions)| Combination { routing, sessions, runs: Vec::new() })
        .collect();
    if combinations.is_empty() {
        bail!("nothing to combine");
    }
    let runs = u32::try_from(combinations.len()).unwrap_or(u32::MAX).saturating_mul(settings.runs);
    let each = settings.expected_length();
    let tell: &RefCell<dyn FnMut(&Progress)> = &RefCell::new(tell);
    let mut calibrations: BTreeMap<String, Ran> = BTreeMap::new();
    let mut done = 0;
    for run in 0..settings.runs {
        for combination in &mut combinations {
            let progress = Progress {
                label: combination.id(),
                run: done + 1,
                runs,
                left: Some(each * (runs - done)),
                ..Progress::default()
            };
            let scene = Scene {
                settings,
                routing: combination.routing,
                sessions: combination.sessions,
                run,
                tell,
                progress: RefCell::new(progress),
            };
            if !calibrations.contains_key(combination.sessions) {
                let ran =
                    scene.calibrate().await.with_context(|| format!("calibrate {}", combination.sessions))?;
                calibrations.insert(combination.sessions.to_owned(), ran);
            }
            let ran = scene.run().await.with_context(|| combination.id())?;
            combination.runs.push(ran);
            done += 1;
        }
    }
    let mut result = frame(settings, &versions, made);
    let (mut told, mut checks) = (Vec::new(), Vec::new());
    checks
        .extend(calibrations.iter().filter_map(|(sessions, ran)| Some(trips(sessions, ran.cost.commands?))));
    for combination in &combinations {
        let (value, more) = combination.to_json(settings);
        told.push(value);
        checks.extend(more);
    }
    result["combinations"] = told.into();
    result["checks"] = checks.into();
    result["workload"]["calibration"] =
        calibrations.iter().map(|(k, ran)| (k.clone(), calibration(ran))).collect();
    result["doubts"] = json!(doubts(settings, &calibrations));
    Ok(result)
}

/// The programs that take part.
fn versions(settings: &Settings) -> Result<BTreeMap<String, String>> {
    let mut versions = BTreeMap::from([("homing".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    for routing in &settings.routings {
        versions.extend(routing.version()?.map(|version| (routing.family.name().to_owned(), version)));
    }
    for sessions in &settings.sessions {
        if let Some(kind) = store::Kind::of(sessions) {
            versions.extend(kind.version()?.map(|version| (sessions.clone(), version)));
        }
    }
    Ok(versions)
}

fn calibration(ran: &Ran) -> Value {
    let mut value = json!({
        "requests": ran.measured.requests,
        "generator_share": (ran.generator.share * 1e3).round() / 1e3,
        "lag_p99_ms": ran.generator.lag_p99_ms,
    });
    if let Some(direct) = ran.measured.latencies.class("all") {
        value["p50_ms"] = direct.p50.into();
        value["p99_ms"] = direct.p99.into();
    }
    value
}

fn doubts(settings: &Settings, calibrations: &BTreeMap<String, Ran>) -> Vec<String> {
    let mut doubts = Vec::new();
    for (sessions, ran) in calibrations {
        if ran.generator.share > 0.7 {
            doubts.push(format!(
                "{sessions}: directly at the backends the generator used {:.0} % of a processor: fewer --users, or a longer --think",
                ran.generator.share * 100.0
            ));
        }
        if ran.measured.errors > 0 {
            doubts.push(format!(
                "{sessions}: directly at the backends {} requests failed",
                ran.measured.errors
            ));
        }
    }
    if settings.runs < 5 {
        doubts
            .push(format!("{} of 5 repetitions: intervals of costs and latencies say little", settings.runs));
    }
    if cfg!(debug_assertions) {
        doubts.push(
            "this is a debug build: costs and latencies are many times those of a release build".to_owned(),
        );
    }
    doubts
}

impl Settings {
    /// How long one run takes, about.
    fn expected_length(&self) -> Duration {
        let last = self.events.last();
        let pause = self.workload.think * self.workload.think_cap;
        let n = u32::try_from(self.backends).unwrap_or(1);
        let script = last.map_or(Duration::ZERO, |event| match &event.what {
            What::Roll(roll) => event.at + (roll.downtime + pause * 2 + Duration::from_secs(2)) * n,
            _ => event.at,
        });
        let least = (script + self.settle * 2).max(self.duration);
        self.workload.ramp + least + Duration::from_secs(2)
    }
}
