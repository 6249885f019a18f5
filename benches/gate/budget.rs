//! The committed budget: a row, and what a request of it may cost.

use std::fmt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, anyhow};
use toml::de::{DeTable, DeValue};

use super::rows::{ROWS, Unit};

const HEAD: &str = "\
# What a request may cost: user-space instructions, or system calls, for each row of `make bench-gate`, which fails at
# 3 % more. `make bench-gate UPDATE=1` writes this file; a commit that raises a number says what for.
";

/// The budget file.
pub(crate) struct Budget {
    pub(crate) made: Made,
    rows: Vec<(String, f64)>,
}

/// What the numbers depend on besides the code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Made {
    rustc: String,
    valgrind: String,
}

impl Budget {
    /// Reads the file; without one there is no budget yet.
    pub(crate) fn load(path: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        let table = DeTable::parse(&text).map_err(|e| anyhow!("{}: {}", path.display(), e.message()))?;
        let mut this =
            Self { made: Made { rustc: String::new(), valgrind: String::new() }, rows: Vec::new() };
        for (key, value) in table.get_ref() {
            let (name, value) = (key.get_ref(), value.get_ref());
            match (name.as_ref(), value) {
                ("rustc", DeValue::String(text)) => this.made.rustc = text.to_string(),
                ("valgrind", DeValue::String(text)) => this.made.valgrind = text.to_string(),
                (_, DeValue::Integer(number)) => this.set(name, number.as_str().parse()?),
                (_, DeValue::Float(number)) => this.set(name, number.as_str().parse()?),
                _ => return Err(anyhow!("{}: {name} is no number", path.display())),
            }
        }
        Ok(this)
    }

    /// Writes the file.
    pub(crate) fn save(&self, path: &Path) -> anyhow::Result<()> {
        let Made { rustc, valgrind } = &self.made;
        let mut out = format!("{HEAD}\nrustc = \"{rustc}\"\nvalgrind = \"{valgrind}\"\n\n");
        for row in &ROWS {
            if let Some(count) = self.get(row.name) {
                out += &match row.unit {
                    Unit::Instructions => format!("{} = {count:.0}\n", row.name),
                    Unit::Calls => format!("{} = {count:.2}\n", row.name),
                };
            }
        }
        std::fs::write(path, out).with_context(|| format!("write {}", path.display()))
    }

    /// What a request of this row may cost.
    pub(crate) fn get(&self, row: &str) -> Option<f64> {
        self.rows.iter().find(|(name, _)| name == row).map(|(_, count)| *count)
    }

    pub(crate) fn set(&mut self, row: &str, count: f64) {
        self.rows.retain(|(name, _)| name != row);
        self.rows.push((row.to_owned(), count));
    }
}

impl Made {
    /// The tools of this machine.
    pub(crate) fn here() -> Self {
        let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
        Self { rustc: version(&rustc), valgrind: version("valgrind") }
    }
}

impl fmt::Display for Made {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} and {}", self.rustc, self.valgrind)
    }
}

/// The first line of what a tool says of itself, without what stands in brackets.
fn version(tool: &str) -> String {
    let output = Command::new(tool).arg("--version").output().map(|o| o.stdout).unwrap_or_default();
    let text = String::from_utf8_lossy(&output);
    text.lines().next().and_then(|line| line.split(" (").next()).unwrap_or("unknown").to_owned()
}
