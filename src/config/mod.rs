//! Text to plan: the only room that knows TOML.
//!
//! [`load`] reads a file, [`parse`] a text. Reading never stops at the first mistake: `reader` and `item` gather
//! every one as a [`diagnostic`], the sections' files build types that cannot be wrong, and `build` checks across
//! sections. Every default is in `defaults`; [`mod@print`] writes the one-line form as a file.

mod defaults;
pub mod diagnostic;
pub mod print;

mod item;
mod named;
mod reader;

mod address;
mod affinity;
mod backends;
mod build;
mod headers;
mod health;
mod listener;
mod pool;
mod preset;
mod route;
mod strategy;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::de::DeTable;

use self::diagnostic::{Diagnostics, Report};
use self::reader::{Table, Title};
use crate::affinity::seal::SealKeys;
use crate::affinity::table::{Bounds, Seeds, Table as StickTable};
use crate::snapshot::Plan;
use crate::strategy::Registry;

/// What a configuration must be told about the process it is read for. Made once: every reload uses the same, so that
/// pins sealed without a secret survive it.
#[derive(Clone, Debug)]
pub struct Environment {
    /// Cores this process may use: the default of `workers`.
    pub cores: usize,
    /// A random number that names this start of this node.
    pub boot: u32,
    /// What pools without a `secret` seal with.
    pub keys: Arc<SealKeys>,
    /// What tables key their digests with.
    pub seeds: Seeds,
}

/// A configuration that can be used.
#[derive(Debug)]
pub struct Loaded {
    /// What it says.
    pub plan: Plan,
    /// What is probably not meant.
    pub warnings: Diagnostics,
}

/// What every section needs.
#[derive(Debug)]
struct Scope<'a> {
    report: &'a Report<'a>,
    registry: &'a Registry,
    environment: &'a Environment,
    /// The configuration's folder: files that it names are relative to it.
    folder: &'a Path,
    workers: usize,
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn load(path: &Path, registry: &Registry, environment: &Environment) -> Result<Loaded, Diagnostics> {
    let bytes =
        std::fs::read(path).map_err(|e| Diagnostics::of_file(path, format!("read configuration: {e}")))?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes());
        let report = Report::new(&text);
        report.error(valid..valid + 1, "this is not UTF-8: the file must be UTF-8 text");
        report.into_diagnostics(path)
    })?;
    parse(&text, path, registry, environment)
}

/// Reads a text; `origin` is its name in messages, and its folder is where files that it names are looked for.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn parse(
    text: &str,
    origin: &Path,
    registry: &Registry,
    environment: &Environment,
) -> Result<Loaded, Diagnostics> {
    let report = Report::new(text);
    let plan = read(&report, text, origin, registry, environment);
    let diagnostics = report.into_diagnostics(origin);
    match plan.filter(|_| !diagnostics.has_errors()) {
        Some(plan) => Ok(Loaded { plan, warnings: diagnostics }),
        None => Err(diagnostics),
    }
}

fn read(
    report: &Report<'_>,
    text: &str,
    origin: &Path,
    registry: &Registry,
    environment: &Environment,
) -> Option<Plan> {
    let root = match DeTable::parse(text) {
        Ok(root) => root,
        Err(error) => {
            report.error(error.span().unwrap_or(0..0), error.message());
            return None;
        }
    };
    let folder = origin.parent().unwrap_or(Path::new(""));
    let mut scope = Scope { report, registry, environment, folder, workers: 1 };
    Some(build::plan(Table::new(report, Title::Root, 0..0, root.get_ref()), &mut scope))
}

impl Environment {
    /// This process on this machine. Cores are those of its cgroup and affinity mask.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn detect() -> Result<Self, getrandom::Error> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let (boot, keys) = (getrandom::u32()?, Arc::new(SealKeys::random()?));
        Ok(Self { cores, boot, keys, seeds: Seeds::new(secret) })
    }
}

impl Scope<'_> {
    /// The table of the pool of this name: an empty one.
    ///
    /// One that a pool of this name has already, with the same bounds, belongs here.
    fn table_for(&self, _pool: &str, bounds: Bounds) -> Arc<StickTable> {
        Arc::new(StickTable::new(bounds, self.environment.seeds))
    }

    /// A file that the configuration names.
    fn path(&self, text: &str) -> Result<PathBuf, String> {
        if text.is_empty() || text.contains('\0') {
            return Err("must be the path of a file".to_owned());
        }
        Ok(self.folder.join(text))
    }
}

#[cfg(test)]
#[path = "config_tests.rs"]
mod tests;

#[cfg(test)]
mod shipped_tests;
