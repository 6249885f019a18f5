//! `homing report`: a result again, as a page, a document, a table, against another one or a condition; and what every
//! command that makes a result does with it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::Value;

use super::table::{Paint, clean, clean_lines};
use super::{paint, print, say};
use crate::report::{self, Ink, SCHEMA};

/// Columns of letters where nobody says how many there are.
const WIDTH: usize = 120;

#[derive(Args, Debug)]
pub(super) struct ReportArgs {
    /// The result: a file that `--json` wrote
    #[arg(value_name = "RESULT")]
    result: PathBuf,
    #[command(flatten)]
    output: OutputArgs,
}

/// What is made of a result.
#[derive(Args, Debug, Default)]
pub(super) struct OutputArgs {
    /// Write the report as one HTML page; `-` is standard output
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write it as Markdown
    #[arg(long, value_name = "FILE")]
    md: Option<PathBuf>,
    /// Write every figure as CSV
    #[arg(long, value_name = "FILE")]
    csv: Option<PathBuf>,
    /// Tell what changed since an older result
    #[arg(long, value_name = "OLD")]
    compare: Option<PathBuf>,
    /// Exit with 1 if a combination meets this: 'unforced_moves>0', 'lost_per_live>1.05*theory', 'cookie/memory:lost>0'; may be
    /// repeated
    #[arg(long, value_name = "EXPR", value_parser = condition)]
    fail_if: Vec<String>,
}

/// A condition that can be read; a mistake in it is told before anything is measured.
fn condition(text: &str) -> Result<String, String> {
    report::check(text).map(|()| text.to_owned())
}

pub(super) fn report(args: &ReportArgs) -> anyhow::Result<ExitCode> {
    match read(&args.result) {
        Ok(result) => deliver(&result, &args.output),
        Err(error) => {
            say(&format!("homing: {error:#}\n"));
            Ok(ExitCode::from(2))
        }
    }
}

/// One way to tell a result.
type Form = fn(&Value) -> String;

/// Shows a result and writes it where that is wanted: 0 if all is well, 1 if a condition is met, 2 if one, or the older
/// result, cannot be used. What can be written is written all the same.
pub(super) fn deliver(result: &Value, output: &OutputArgs) -> anyhow::Result<ExitCode> {
    let forms: [(&Option<PathBuf>, Form); 3] =
        [(&output.html, report::html), (&output.md, report::markdown), (&output.csv, report::csv)];
    let to_standard_output = forms.iter().any(|(file, _)| file.as_deref() == Some(Path::new("-")));
    if !to_standard_output {
        let ink = if paint() == Paint::Coloured { Ink::Coloured } else { Ink::Plain };
        print(&report::table(result, width(), ink))?;
    }
    for (file, form) in forms {
        match file.as_deref() {
            None => {}
            Some(file) if file == Path::new("-") => print(&form(result))?,
            Some(file) => {
                std::fs::write(file, form(result)).with_context(|| format!("write {}", file.display()))?;
            }
        }
    }
    let mut code = 0;
    if let Some(old) = &output.compare {
        match read(old) {
            Ok(old) => say(&format!("\n{}", report::compare(&old, result))),
            Err(error) => {
                say(&format!("homing: {error:#}\n"));
                code = 2;
            }
        }
    }
    for expression in &output.fail_if {
        match report::fails(result, expression) {
            Ok(met) => {
                met.iter().for_each(|line| say(&format!("failed: {}\n", clean(line))));
                code = code.max(u8::from(!met.is_empty()));
            }
            Err(error) => {
                say(&format!("homing: --fail-if {}\n", clean_lines(&error)));
                code = 2;
            }
        }
    }
    Ok(ExitCode::from(code))
}

fn read(file: &Path) -> anyhow::Result<Value> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let result: Value =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let schema = result.get("schema").and_then(Value::as_str);
    anyhow::ensure!(
        schema == Some(SCHEMA),
        "{} is no result of bench or simulate: its \"schema\" is {}, and not {SCHEMA:?}",
        file.display(),
        schema.map_or_else(|| "missing".to_owned(), |schema| format!("{schema:?}")),
    );
    Ok(result)
}

fn width() -> usize {
    std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok()).unwrap_or(WIDTH)
}
