//! What a run is asked to do.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::thread::{CpuSet, sched_getaffinity};

use crate::rows::{ROWS, Row};

/// Descriptors that every process of a run may have, where the machine allows it: 9,000 held connections need two each
/// in some proxies.
const DESCRIPTORS: u64 = 65_536;

/// The options of `run`.
#[derive(clap::Args)]
pub(crate) struct Settings {
    /// Rows to measure, by name, separated by commas or spaces; all by default.
    #[arg(long, default_value = "")]
    rows: String,
    /// Paired rounds of each row.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) rounds: u32,
    /// Length of a slice: one proxy's turn in one round.
    #[arg(long, default_value_t = 0.7)]
    seconds: f64,
    /// Where raw rounds are written; the chart stands beside them. Default: `bench/peers.json` in the target folder.
    #[arg(long)]
    json: Option<PathBuf>,
    /// The homing to measure. Default: `release/homing` in the target folder.
    #[arg(long)]
    homing: Option<PathBuf>,
    /// The nginx to measure.
    #[arg(long, default_value = "nginx")]
    pub(crate) nginx: PathBuf,
    /// The HAProxy to measure.
    #[arg(long, default_value = "haproxy")]
    pub(crate) haproxy: PathBuf,
}

/// The two processors of a run: what is measured has one for itself.
#[derive(Clone, Copy)]
pub(crate) struct Places {
    pub(crate) proxy: usize,
    pub(crate) load: usize,
}

impl Settings {
    /// The rows that were asked for, in the order of the table.
    pub(crate) fn rows(&self) -> Result<Vec<&'static Row>> {
        let wanted: Vec<&str> = self.rows.split([',', ' ']).filter(|name| !name.is_empty()).collect();
        if let Some(unknown) = wanted.iter().find(|name| ROWS.iter().all(|row| row.name != **name)) {
            let names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
            bail!("no row is called \"{unknown}\"; rows are {}", names.join(", "));
        }
        Ok(ROWS.iter().filter(|row| wanted.is_empty() || wanted.contains(&row.name)).collect())
    }

    /// How long a slice is.
    pub(crate) fn slice(&self) -> Result<Duration> {
        if !(0.05..=60.0).contains(&self.seconds) {
            bail!("--seconds {}: must be between 0.05 and 60", self.seconds);
        }
        Ok(Duration::from_secs_f64(self.seconds))
    }

    /// The binary of homing.
    pub(crate) fn homing(&self) -> Result<PathBuf> {
        match &self.homing {
            Some(path) => Ok(path.clone()),
            None => Ok(target()?.join("release/homing")),
        }
    }

    /// Where the raw rounds go.
    pub(crate) fn json(&self) -> Result<PathBuf> {
        match &self.json {
            Some(path) => Ok(path.clone()),
            None => Ok(target()?.join("bench/peers.json")),
        }
    }
}

impl Places {
    /// The first two processors that we may use.
    pub(crate) fn find() -> Result<Self> {
        let allowed = sched_getaffinity(None).context("ask which processors may be used")?;
        let mut usable = (0..CpuSet::MAX_CPU).filter(|cpu| allowed.is_set(*cpu));
        match (usable.next(), usable.next()) {
            (Some(proxy), Some(load)) => Ok(Self { proxy, load }),
            _ => bail!("two processors are needed: one for the proxy, one for backends and load"),
        }
    }
}

/// Cargo's target folder: this program lies in `<target>/<profile>/deps`.
fn target() -> Result<PathBuf> {
    let program = std::env::current_exe().context("ask where this program lies")?;
    program.ancestors().nth(3).map(Path::to_path_buf).context("this program does not lie in a target folder")
}

/// Raises the limit of descriptors, for us and all that we start, and says what it is then.
pub(crate) fn raise_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let hard = limit.maximum.unwrap_or(DESCRIPTORS);
    for maximum in [hard.max(DESCRIPTORS), hard] {
        let raised = Rlimit { current: Some(maximum.min(DESCRIPTORS)), maximum: Some(maximum) };
        if setrlimit(Resource::Nofile, raised).is_ok() {
            break;
        }
    }
    getrlimit(Resource::Nofile).current.unwrap_or(DESCRIPTORS)
}
