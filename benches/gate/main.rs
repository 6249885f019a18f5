//! The instruction gate: what a request costs in user space, against the budget of `benches/budget.toml`.
//!
//! Time on a shared machine is noise; instructions are not. Each row runs the program as a child process with one
//! worker, under callgrind (or strace, for system calls), with backends and clients of our own in this process. It runs
//! twice, the second time with three times as many requests: the difference, divided by the requests that make it, is
//! what one costs, without the start, the connections and the end. More than [`SLACK`] over its budget fails.
//!
//! Instructions depend on the compiler, and a little on the processor: the budget says what it was made with. The
//! kernel's work is in no row; `calls` counts how often it is asked.

#![allow(clippy::print_stdout, reason = "the table is what this is for")]

mod budget;
#[path = "../peers/identity.rs"]
mod identity;
mod load;
mod program;
mod rows;
#[path = "../peers/tls.rs"]
mod tls;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

use budget::{Budget, Made};
use program::Program;
use rows::{ROWS, Row, Unit};

/// How far from its budget a row may be, as a share of it.
const SLACK: f64 = 0.03;
const HELP: &str = "make bench-gate [ROWS=hash,cookie,..] [UPDATE=1]";

/// What was asked for.
struct Args {
    /// The program as it ships: one that cargo builds for a bench has more features of its dependencies on.
    homing: PathBuf,
    rows: Vec<&'static Row>,
    is_update: bool,
}

fn main() -> ExitCode {
    match gate() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("\n{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn gate() -> anyhow::Result<()> {
    let Some(args) = Args::parse(std::env::args().skip(1))? else {
        println!("the instruction gate runs by: {HELP}");
        return Ok(());
    };
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/budget.toml");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("gate");
    std::fs::create_dir_all(&folder)?;
    let mut budget = Budget::load(&path)?;
    let made = Made::here();
    if !args.is_update && budget.made != made {
        println!(
            "the budget was made with {}, this is {made}: small differences mean nothing\n",
            budget.made
        );
    }
    println!("{:<13} {:>9} {:>9} {:>8}  what", "row", "budget", "found", "");
    let (mut dear, mut cheap) = (Vec::new(), Vec::new());
    for row in args.rows {
        let found = cost(row, &args.homing, &folder).with_context(|| format!("row {}", row.name))?;
        let allowed = budget.get(row.name);
        let change = allowed.map(|allowed| found / allowed - 1.0);
        let percent = change.map_or_else(|| "new".to_owned(), |c| format!("{:+.1} %", 100.0 * c));
        let before = allowed.map_or_else(|| "-".to_owned(), |allowed| row.unit.show(allowed));
        println!("{:<13} {before:>9} {:>9} {percent:>8}  {}", row.name, row.unit.show(found), row.about);
        match change {
            Some(change) if change > SLACK => dear.push(row.name),
            Some(change) if change < -SLACK => cheap.push(row.name),
            Some(_) => {}
            None => dear.push(row.name),
        }
        budget.set(row.name, found);
    }
    if args.is_update {
        budget.made = made;
        return budget.save(&path);
    }
    if !cheap.is_empty() {
        println!(
            "\ncheaper than the budget, which can be lowered: make bench-gate UPDATE=1 ROWS={}",
            cheap.join(",")
        );
    }
    if !dear.is_empty() {
        println!("\nwhere it goes: callgrind_annotate {}/ROW.callgrind", folder.display());
        bail!("over the budget: {}", dear.join(", "));
    }
    Ok(())
}

/// What one request costs.
fn cost(row: &Row, homing: &Path, folder: &Path) -> anyhow::Result<f64> {
    if row.work.wire == load::Wire::Tls {
        identity::Identity::make()?.write(folder)?;
    }
    let mut counts = [0, 0];
    for (count, rounds) in counts.iter_mut().zip([row.rounds, 3 * row.rounds]) {
        *count = run(row, homing, folder, rounds).with_context(|| format!("{rounds} rounds"))?;
    }
    let requests = 2 * row.rounds * load::CONNECTIONS;
    Ok(counts[1].saturating_sub(counts[0]) as f64 / requests as f64)
}

/// What the program costs from start to end, with so many requests on each connection.
fn run(row: &Row, homing: &Path, folder: &Path, rounds: usize) -> anyhow::Result<u64> {
    let out: PathBuf = folder.join(match row.unit {
        Unit::Instructions => format!("{}.callgrind", row.name),
        Unit::Calls => format!("{}.strace", row.name),
    });
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (listeners, backends) = load::listeners(&runtime)?;
    let config = folder.join("config.toml");
    std::fs::write(&config, row.config(&backends, folder))?;
    let program = Program::start(row.unit, homing, &config, &out)?;
    let tasks = tokio::task::LocalSet::new();
    let result = tasks.block_on(&runtime, load::drive(listeners, program.address, row.work, rounds));
    let said = program.stop()?;
    result.with_context(|| said)?;
    program::total(row.unit, &out)
}

impl Args {
    /// Nothing without a program, as by a plain `cargo bench`, which adds `--bench`.
    fn parse(args: impl Iterator<Item = String>) -> anyhow::Result<Option<Self>> {
        let mut this = Self { homing: PathBuf::new(), rows: ROWS.iter().collect(), is_update: false };
        let mut args = args.filter(|arg| arg != "--bench");
        while let Some(arg) = args.next() {
            match arg.as_str() {
                "--homing" => this.homing = args.next().context(HELP)?.into(),
                "--update" => this.is_update = true,
                "--rows" => {
                    let names = args.next().context(HELP)?;
                    let find = |name| ROWS.iter().find(|row| row.name == name);
                    this.rows = names
                        .split([',', ' '])
                        .filter(|name| !name.is_empty())
                        .map(|name| find(name).with_context(|| format!("no row is called {name}")))
                        .collect::<Result<_, _>>()?;
                }
                _ => bail!("{arg:?} is not known: {HELP}"),
            }
        }
        Ok(Some(this).filter(|args| !args.homing.as_os_str().is_empty()))
    }
}
