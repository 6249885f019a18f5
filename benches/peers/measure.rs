//! One slice: one proxy's turn in one round.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::interrupt::Interrupt;
use crate::peers::Running;
use crate::process::Program;
use crate::rows::{Figure, Row};
use crate::usage::{Usage, busy};

/// How long connections are held before memory is looked at: what a proxy gives back late is not held against it.
const SETTLE: Duration = Duration::from_secs(4);
/// What the load may take beyond its time.
const GRACE: Duration = Duration::from_secs(20);
/// And where it opens thousands of connections.
const OPENING: Duration = Duration::from_secs(90);

/// What is measured with.
pub(crate) struct Bench<'a> {
    pub(crate) row: &'a Row,
    pub(crate) backend: &'a Program,
    /// Of the load and the backends.
    pub(crate) load_cpus: &'a [usize],
    /// All that take part.
    pub(crate) cpus: &'a [usize],
    pub(crate) length: Duration,
    /// Connections to be held, in a row that holds some.
    pub(crate) held: u64,
    pub(crate) interrupt: &'a Interrupt,
}

/// What was measured. Shares are of one processor and of the slice's time.
#[derive(Clone, Copy, Default)]
pub(crate) struct Slice {
    pub(crate) done: u64,
    /// Connections that broke, answers that did not come, and answers other than 2xx (and 101).
    pub(crate) errors: u64,
    /// Set-Cookie fields in answers, and connections that presented a cookie at the end.
    pub(crate) cookies_set: u64,
    pub(crate) cookies_presented: u64,
    /// Connections answered over TLS, and those of them that took up an earlier session.
    pub(crate) handshakes: u64,
    pub(crate) resumed: u64,
    pub(crate) connections: u64,
    pub(crate) seconds: f64,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
    /// The proxy's processor time per answer, in microseconds, and the share of user time in it.
    pub(crate) cpu_us: f64,
    pub(crate) user_share: Option<f64>,
    pub(crate) busy: f64,
    pub(crate) load_busy: f64,
    pub(crate) backend_busy: f64,
    /// What others took of the processors that take part, the machine's host included.
    pub(crate) others: f64,
    /// Resident memory of the proxy in bytes, at the end.
    pub(crate) resident: u64,
    /// And how much more that is than before, which means something where connections are held.
    pub(crate) growth: f64,
}

struct Look {
    at: Instant,
    proxy: Usage,
    load: Usage,
    backend: Usage,
    busy: f64,
}

impl Bench<'_> {
    /// Measures one proxy.
    ///
    /// # Errors
    ///
    /// The run was interrupted, or a program failed; where it was the proxy, the error says so.
    pub(crate) fn slice(&self, running: &mut Running) -> Result<Slice> {
        let outcome = self.try_slice(running);
        // Whatever went wrong elsewhere, it is the proxy's end that explains it.
        running.program.check()?;
        outcome
    }

    fn try_slice(&self, running: &Running) -> Result<Slice> {
        let holds = self.row.figure == Figure::GrowthPerConnection;
        let mut options: Vec<String> =
            vec![format!("--address={}", running.address), format!("--millis={}", self.length.as_millis())];
        options
            .extend(self.row.load.iter().chain(running.peer.load(self.row.choice)).map(|o| (*o).to_owned()));
        if holds {
            options.extend(["--hold".to_owned(), format!("--connections={}", self.held)]);
        }
        let folder = tempfile::tempdir().context("make a folder")?;
        let mut load = Program::role("load", self.load_cpus, &options, folder.path())?;
        load.line(GRACE, self.interrupt).context("warm up")?;
        let before = self.look(running, &load)?;
        load.tell("go")?;
        let limit = if holds { OPENING } else { self.length + GRACE };
        let said = load.line(limit, self.interrupt).context("measure")?;
        let after = self.look(running, &load)?;
        let said: Value = serde_json::from_str(&said).context("understand the load")?;
        let mut slice = self.compare(&said, &before, &after)?;
        if holds {
            self.interrupt.pause(SETTLE)?;
            slice.resident = running.program.usage()?.resident;
            slice.growth = slice.resident as f64 - before.proxy.resident as f64;
        }
        Ok(slice)
    }

    fn look(&self, running: &Running, load: &Program) -> Result<Look> {
        Ok(Look {
            at: Instant::now(),
            proxy: running.program.usage()?,
            load: load.usage()?,
            backend: self.backend.usage()?,
            busy: busy(self.cpus)?,
        })
    }

    fn compare(&self, said: &Value, before: &Look, after: &Look) -> Result<Slice> {
        let count = |name: &str| said[name].as_u64().with_context(|| format!("the load does not say {name}"));
        let figure =
            |name: &str| said[name].as_f64().with_context(|| format!("the load does not say {name}"));
        let wall = after.at.duration_since(before.at).as_nanos() as f64;
        let proxy = after.proxy.since(&before.proxy)?;
        let load = after.load.since(&before.load).context("the load")?;
        let backend = after.backend.since(&before.backend).context("the backends")?;
        let ours = proxy.nanos + load.nanos + backend.nanos;
        let done = count("done")?;
        Ok(Slice {
            done,
            errors: count("errors")? + count("refused")?,
            cookies_set: count("cookies_set")?,
            cookies_presented: count("cookies_presented")?,
            handshakes: count("handshakes")?,
            resumed: count("resumed")?,
            connections: count("connections")?,
            seconds: figure("seconds")?,
            p50_us: figure("p50_us")?,
            p99_us: figure("p99_us")?,
            max_us: figure("max_us")?,
            cpu_us: proxy.nanos / 1e3 / done.max(1) as f64,
            user_share: proxy.user_share,
            busy: proxy.nanos / wall,
            load_busy: load.nanos / wall,
            backend_busy: backend.nanos / wall,
            others: ((after.busy - before.busy - ours) / wall).max(0.0),
            resident: after.proxy.resident,
            growth: after.proxy.resident as f64 - before.proxy.resident as f64,
        })
    }
}

impl Slice {
    /// What the row compares.
    pub(crate) fn figure(&self, figure: Figure) -> f64 {
        match figure {
            Figure::CpuPerRequest => self.cpu_us,
            Figure::SlowestPercent => self.p99_us / 1e3,
            Figure::GrowthPerConnection => self.growth / 1e3 / self.connections.max(1) as f64,
            Figure::Memory => self.resident as f64 / f64::from(1 << 20),
        }
    }

    pub(crate) fn rate(&self) -> f64 {
        self.done as f64 / self.seconds
    }

    pub(crate) fn json(&self) -> Value {
        json!({
            "requests": self.done,
            "errors": self.errors,
            "cookies_set": self.cookies_set,
            "seconds": self.seconds,
            "cpu_us_per_request": self.cpu_us,
            "user_share": self.user_share,
            "p50_us": self.p50_us,
            "p99_us": self.p99_us,
            "max_us": self.max_us,
            "busy": self.busy,
            "load_busy": self.load_busy,
            "backend_busy": self.backend_busy,
            "others_busy": self.others,
            "resident_bytes": self.resident,
            "growth_bytes": self.growth,
            "connections": self.connections,
            "handshakes": self.handshakes,
            "resumed": self.resumed,
        })
    }
}
