//! Text to plan: the only room that knows TOML.
//!
//! [`load`] reads a file, [`parse`] a text. Reading never stops at the first mistake: `reader` and `item` gather
//! every one as a [`diagnostic`], the sections' files build types that cannot be wrong, and `build` checks across
//! sections. Every default is in `defaults`; [`mod@print`] writes the one-line form as a file. [`Sources`] holds what was
//! read, so that a plan can be built from it again.

mod defaults;
pub mod diagnostic;
pub mod print;
mod reach;
mod sources;

mod effective;
mod expand;
mod include;
mod item;
mod named;
mod reader;
mod record;

mod address;
mod affinity;
mod backends;
mod build;
mod guard;
mod headers;
mod health;
mod lint;
mod listener;
mod lost;
mod pem;
mod pool;
mod preset;
mod route;
mod strategy;
mod tls;
mod transport;

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use toml::de::DeTable;

use self::diagnostic::{Diagnostics, Report};
pub use self::reach::{Reach, reach};
use self::reader::Table;
pub use self::sources::Sources;
use crate::affinity::seal::SealKeys;
use crate::affinity::table::{Bounds, Seeds, Table as StickTable};
use crate::snapshot::Plan;
use crate::snapshot::carried::Carried;
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
    /// What `${NAME}` stands for.
    pub variables: Variables,
}

/// Variables by name.
#[derive(Clone, Default)]
pub struct Variables(Arc<BTreeMap<String, String>>);

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
    report: &'a Report,
    registry: &'a Registry,
    environment: &'a Environment,
    /// What is carried over from the plan before.
    carried: &'a Carried<'a>,
    /// Where files that the configuration names are read.
    sources: &'a Sources,
    /// The configuration's folder: files that it names are relative to it.
    folder: &'a Path,
    /// Threads that counters are built for.
    workers: usize,
    /// The system's certificates, once they were needed.
    roots: OnceCell<Option<Arc<RootCertStore>>>,
}

/// Reads a file.
///
/// # Errors
/// Everything that is wrong with it, warnings included.
pub fn load(path: &Path, registry: &Registry, environment: &Environment) -> Result<Loaded, Diagnostics> {
    Sources::read(path)?.build(registry, environment, &Carried::default())
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
    Sources::text(text, origin).build(registry, environment, &Carried::default())
}

/// Builds a plan, and what `and` makes of the report of it.
fn build<T>(
    sources: &Sources,
    registry: &Registry,
    environment: &Environment,
    carried: &Carried<'_>,
    and: impl FnOnce(&Report) -> T,
) -> Result<(Loaded, T), Diagnostics> {
    let report = Report::default();
    let plan = read(&report, sources, registry, environment, carried);
    let more = and(&report);
    let diagnostics = report.into_diagnostics();
    match plan.filter(|_| !diagnostics.has_errors()) {
        Some(plan) => Ok((Loaded { plan, warnings: diagnostics }, more)),
        None => Err(diagnostics),
    }
}

fn read(
    report: &Report,
    sources: &Sources,
    registry: &Registry,
    environment: &Environment,
    carried: &Carried<'_>,
) -> Option<Plan> {
    let text = Arc::clone(sources.main());
    let base = report.add(sources.origin(), &text);
    let main = table(report, base, &text, environment)?;
    let folder = sources.origin().parent().unwrap_or(Path::new(""));
    let included = include::find(report, &main, folder, sources);
    let mut tables = vec![(base, main)];
    for file in &included {
        // Without one of them names that stand in it would not be known.
        let table = table(report, file.base, &file.text, environment)?;
        tables.push((file.base, table));
    }
    let tables: Vec<_> = tables.iter().map(|(base, table)| (*base, table)).collect();
    let mut scope =
        Scope { report, registry, environment, carried, sources, folder, workers: 1, roots: OnceCell::new() };
    Some(build::plan(Table::root(report, &tables), &mut scope))
}

fn table<'t>(report: &Report, base: usize, text: &'t str, environment: &Environment) -> Option<DeTable<'t>> {
    match DeTable::parse(text) {
        Ok(root) => {
            let mut table = root.into_inner();
            expand::table(&mut table, base, report, &environment.variables);
            Some(table)
        }
        Err(error) => {
            let span = error.span().unwrap_or(0..0);
            report.error(base + span.start..base + span.end, error.message());
            None
        }
    }
}

impl Environment {
    /// This process on this machine. Cores are those of its cgroup and affinity mask.
    ///
    /// # Errors
    /// The system gave no random bytes.
    pub fn detect() -> Result<Self, getrandom::Error> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        // What is not UTF-8 cannot stand in a string.
        let utf8 =
            |(name, value): (OsString, OsString)| Some((name.into_string().ok()?, value.into_string().ok()?));
        let variables = std::env::vars_os().filter_map(utf8).collect();
        let mut secret = [0; 16];
        getrandom::fill(&mut secret)?;
        let (boot, keys) = (getrandom::u32()?, Arc::new(SealKeys::random()?));
        Ok(Self { cores, boot, keys, seeds: Seeds::new(secret), variables })
    }
}

impl Variables {
    /// The value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

impl FromIterator<(String, String)> for Variables {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(from: I) -> Self {
        Self(Arc::new(from.into_iter().collect()))
    }
}

impl fmt::Debug for Variables {
    /// Without the values: there are passwords among them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Scope<'_> {
    /// The table of the pool of this name: the one that it has already; with what is in it, if its bounds change.
    fn table_for(&self, pool: &str, bounds: Bounds) -> Arc<StickTable> {
        let restored = self.carried.tables.get(pool);
        match restored.or_else(|| Some(self.carried.pool(pool)?.affinity.as_ref()?.kept()?.table())) {
            Some(old) if old.bounds() == bounds => Arc::clone(old),
            Some(old) => Arc::new(StickTable::of(old, bounds)),
            None => Arc::new(StickTable::new(bounds, self.environment.seeds)),
        }
    }

    /// The certificates that the system trusts; `span` is what needs them.
    fn system_roots(&self, span: &Range<usize>) -> Option<Arc<RootCertStore>> {
        let roots = self.roots.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            let mut roots = RootCertStore::empty();
            let (added, _) = roots.add_parsable_certificates(found.certs);
            (added > 0).then(|| Arc::new(roots))
        });
        if roots.is_none() {
            let message = "tls: the system trusts no certificate, so that no backend could prove who it is";
            let help = "tls = { ca = \"ca.pem\" }, or install the package ca-certificates";
            self.report.error_with_help(span.clone(), message, help);
        }
        roots.clone()
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
