//! A run: every row, round by round, each proxy in its turn.

use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::thread::{CpuSet, sched_setaffinity};

use crate::identity::Identity;
use crate::interrupt::Interrupt;
use crate::machine::Machine;
use crate::measure::{Bench, Slice};
use crate::peers::{Installed, Peer, Place, Running};
use crate::process::Program;
use crate::rows::{HELD, Row, Wire};
use crate::settings::{Places, Settings, raise_descriptors};
use crate::{charts, raw, report};

/// How long the backends may take to say their ports.
const START: Duration = Duration::from_secs(10);
/// What a slice takes beside its length, until it has been seen: starting the load, warming up, looking around.
const AROUND: Duration = Duration::from_millis(250);
/// Who goes first, second and third: every order equally often, so that no proxy is always behind the same one.
const ORDERS: [[usize; 3]; 6] = [[0, 1, 2], [2, 1, 0], [1, 2, 0], [0, 2, 1], [2, 0, 1], [1, 0, 2]];

/// What came of a row.
pub(crate) struct Outcome {
    pub(crate) row: &'static Row,
    pub(crate) rounds: Vec<Round>,
    /// As `Peer::ALL` has them.
    pub(crate) configurations: Vec<String>,
    /// Why it was given up.
    pub(crate) failed: Option<String>,
}

/// One round: a slice of each, as `Peer::ALL` has them.
pub(crate) struct Round {
    pub(crate) order: [usize; 3],
    pub(crate) slices: [Slice; 3],
}

/// What a run is made with.
pub(crate) struct Run<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) installed: Vec<Installed>,
    pub(crate) machine: Machine,
    pub(crate) length: Duration,
    pub(crate) descriptors: u64,
    /// Connections that `idle` holds.
    pub(crate) held: u64,
    places: Places,
    identity: Identity,
    interrupt: Interrupt,
}

struct Progress {
    slices: u32,
    done: u32,
    begun: Instant,
    nominal: Duration,
    terminal: bool,
}

pub(crate) fn main(settings: &Settings) -> ExitCode {
    match lead(settings) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("peers: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Makes the run and tells its results; whether every row was measured.
fn lead(settings: &Settings) -> Result<bool> {
    let rows = settings.rows()?;
    let json = settings.json()?;
    let length = settings.slice()?;
    let places = Places::find()?;
    let installed = Peer::ALL.iter().map(|peer| peer.find(settings)).collect::<Result<Vec<_>>>()?;
    let descriptors = raise_descriptors();
    let run = Run {
        settings,
        installed,
        machine: Machine::look(),
        length,
        descriptors,
        held: HELD.min(descriptors.saturating_sub(600) / 2),
        places,
        identity: Identity::make()?,
        interrupt: Interrupt::listen()?,
    };
    stay_away(places.load)?;
    report::introduce(&run, &rows);
    let slices = rows.iter().map(|row| (row.rounds(settings.rounds) + 1) * 3).sum();
    let mut progress = Progress {
        slices,
        done: 0,
        begun: Instant::now(),
        nominal: length + AROUND,
        terminal: std::io::stderr().is_terminal(),
    };
    let mut outcomes = Vec::new();
    for row in rows {
        outcomes.push(run.row(row, &mut progress));
        if run.interrupt.is_told() {
            break;
        }
    }
    progress.clear();
    let chart = json.with_extension("svg");
    report::tell(&run, &outcomes);
    write(&json, &format!("{:#}\n", raw::json(&run, &outcomes)))?;
    write(&chart, &charts::svg(&run, &outcomes))?;
    println!("\nRaw rounds and configurations: {}\nChart: {}", json.display(), chart.display());
    Ok(outcomes.iter().all(|outcome| outcome.failed.is_none()))
}

fn write(path: &std::path::Path, text: &str) -> Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make {}", folder.display()))?;
    }
    std::fs::write(path, text).with_context(|| format!("write {}", path.display()))
}

/// Leaves the proxies' processor to them.
fn stay_away(cpu: usize) -> Result<()> {
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).with_context(|| format!("run on processor {cpu} alone"))
}

impl Run<'_> {
    fn row(&self, row: &'static Row, progress: &mut Progress) -> Outcome {
        let mut outcome = Outcome { row, rounds: Vec::new(), configurations: Vec::new(), failed: None };
        if let Err(error) = self.measure(&mut outcome, progress) {
            outcome.failed = Some(format!("{error:#}"));
        }
        outcome
    }

    fn measure(&self, outcome: &mut Outcome, progress: &mut Progress) -> Result<()> {
        let row = outcome.row;
        let Places { proxy, load } = self.places;
        let both = [proxy, load];
        let (proxy_cpus, load_cpus): (&[usize], &[usize]) =
            if row.workers > 1 { (&both, &both) } else { (&both[..1], &both[1..]) };
        let folder = tempfile::tempdir().context("make a folder")?;
        let mut options = vec![format!("--count={}", row.backends)];
        options.extend((row.wire == Wire::Grpc).then(|| "--grpc".to_owned()));
        let mut backend = Program::role("backend", load_cpus, &options, folder.path())?;
        let ports = backend.line(START, &self.interrupt)?;
        let ports =
            ports.split(' ').map(str::parse).collect::<Result<Vec<u16>, _>>().context("read ports")?;
        let place = Place {
            row,
            backends: &ports,
            cpus: proxy_cpus,
            descriptors: self.descriptors,
            identity: &self.identity,
        };
        let bench = Bench {
            row,
            backend: &backend,
            load_cpus,
            cpus: &both,
            length: self.length,
            held: self.held,
            interrupt: &self.interrupt,
        };
        let mut running = self.start(&place)?;
        outcome.configurations = running.iter().map(|running| running.configuration.clone()).collect();
        // Round 0 is not kept: it pays for what a proxy does once.
        let rounds = row.rounds(self.settings.rounds);
        for round in 0..=rounds {
            if row.starts_anew() {
                if round == 0 {
                    progress.skip(3);
                    continue;
                }
                running.clear();
                running = self.start(&place)?;
            }
            let order = ORDERS[round as usize % ORDERS.len()];
            let mut slices = [Slice::default(); 3];
            for turn in order {
                progress.tell(row, round, rounds);
                let Some(running) = running.get_mut(turn) else { bail!("not all proxies run") };
                slices[turn] = bench.slice(running).with_context(|| format!("round {round}"))?;
            }
            if round > 0 {
                outcome.rounds.push(Round { order, slices });
            }
        }
        Ok(())
    }

    fn start(&self, place: &Place<'_>) -> Result<Vec<Running>> {
        self.installed.iter().map(|installed| installed.start(place, &self.interrupt)).collect()
    }
}

impl Progress {
    fn tell(&mut self, row: &Row, round: u32, rounds: u32) {
        let each = if self.done < 6 { self.nominal } else { self.begun.elapsed() / self.done };
        let left = (each * (self.slices - self.done)).as_secs();
        self.done += 1;
        let line = format!("{}: round {round} of {rounds}, {}:{:02} left", row.name, left / 60, left % 60);
        if self.terminal {
            eprint!("\r\x1b[K{line}");
        } else if round.is_multiple_of(10) && self.done % 3 == 1 {
            eprintln!("{line}");
        }
        let _ = std::io::stderr().flush();
    }

    fn skip(&mut self, slices: u32) {
        self.slices = self.slices.saturating_sub(slices);
    }

    fn clear(&self) {
        if self.terminal {
            eprint!("\r\x1b[K");
        }
    }
}
