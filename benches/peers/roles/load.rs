//! The role `load`: visitors of one proxy, in one thread.
//!
//! It says `ready` when its visitors are connected and warm, waits for a line, measures, says its result as one line of
//! JSON, and keeps its connections until its standard input ends. Between those lines nothing is under way, so that
//! the proxy's processor time between them belongs to exactly the requests that it counts.

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::json;

use super::histogram::Histogram;
use super::poll::{Poll, Ready};
use super::streams;
use super::transport::Transport;
use super::visitor::{Step, Visitor};
use crate::tls;

/// How long answers are waited for that are under way when the time is over.
pub(crate) const LAST_ANSWERS: Duration = Duration::from_secs(5);
/// Requests under way at once while idle connections are opened: fewer than any queue of a listener.
const OPENING: usize = 64;
/// How long that may take.
const OPENING_LIMIT: Duration = Duration::from_secs(60);
/// Errors after which there is nothing left to measure.
pub(crate) const ERRORS: u64 = 1_000;
/// Room for one read.
const BUFFER: usize = 256 << 10;

/// What visitors do.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    #[arg(long, value_delimiter = ',')]
    cpus: Vec<usize>,
    #[arg(long)]
    pub(crate) address: SocketAddrV4,
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Connection i comes from 127.0.0.(2 + i mod N).
    #[arg(long, default_value_t = 1)]
    sources: usize,
    /// Bytes of an answer.
    #[arg(long, default_value_t = 200)]
    pub(crate) answer: usize,
    /// Bytes of a request's body.
    #[arg(long, default_value_t = 0)]
    pub(crate) upload: usize,
    /// Bytes of a WebSocket message.
    #[arg(long, default_value_t = 0)]
    pub(crate) message: usize,
    /// Each connection presents the cookie that it was given.
    #[arg(long)]
    pub(crate) learn: bool,
    /// Connection i presents this cookie, `i` in hexadecimal behind it.
    #[arg(long)]
    pub(crate) cookie: Option<String>,
    #[arg(long)]
    pub(crate) connection_per_request: bool,
    /// Over TLS.
    #[arg(long)]
    pub(crate) tls: bool,
    /// Each connection takes up the session of the one before it, by the ticket that it was given.
    #[arg(long)]
    pub(crate) resume: bool,
    /// HTTP/2, with so many streams at once on each connection.
    #[arg(long, default_value_t = 0)]
    pub(crate) streams: usize,
    /// Calls of gRPC with messages of so many bytes.
    #[arg(long, default_value_t = 0, requires = "streams")]
    pub(crate) grpc: usize,
    /// Requests per second, whatever the answers do; latency counts from the moment that was planned.
    #[arg(long, default_value_t = 0)]
    rate: u64,
    /// Open the connections with one request each, and hold them.
    #[arg(long)]
    hold: bool,
    #[arg(long, default_value_t = 100)]
    warm_ms: u64,
    #[arg(long, default_value_t = 1_000)]
    millis: u64,
}

/// What was counted.
pub(crate) struct Tally {
    done: u64,
    pub(crate) errors: u64,
    pub(crate) refused: u64,
    pub(crate) cookies: u64,
    /// Connections that were answered over TLS, and those of them that took up an earlier session.
    handshakes: u64,
    resumed: u64,
    latency: Histogram,
}

struct Load {
    poll: Poll,
    visitors: Vec<Visitor>,
    tally: Tally,
    buffer: Vec<u8>,
    /// Visitors without anything to do.
    idle: Vec<usize>,
    /// Whether a visitor asks again as soon as it is answered.
    goes_on: bool,
    per_request: bool,
}

pub(crate) fn main(arguments: &Arguments) -> Result<()> {
    super::settle(&arguments.cpus)?;
    if arguments.streams > 0 {
        return main_of_streams(arguments);
    }
    let shared = Rc::new(super::visitor::Script::new(arguments));
    let visitors = (0..arguments.connections)
        .map(|i| {
            let client = arguments.tls.then(|| tls::client("http/1.1", arguments.resume)).transpose()?;
            Ok(Visitor::new(i, arguments.source(i)?, Rc::clone(&shared), client))
        })
        .collect::<Result<Vec<_>>>()?;
    let mut load = Load {
        poll: Poll::new().context("make an epoll")?,
        idle: (0..visitors.len()).rev().collect(),
        visitors,
        tally: Tally::new(),
        buffer: vec![0; BUFFER],
        goes_on: false,
        per_request: arguments.connection_per_request,
    };
    if !arguments.hold {
        load.closed_loop(Duration::from_millis(arguments.warm_ms))?;
        load.tally.check()?;
    }
    load.tally = Tally::new();
    let commands = wait_for_go()?;
    let begin = Instant::now();
    match arguments {
        Arguments { hold: true, .. } => load.open_all()?,
        Arguments { rate: 0, .. } => load.closed_loop(Duration::from_millis(arguments.millis))?,
        _ => load.open_loop(Duration::from_millis(arguments.millis), arguments.rate)?,
    }
    let presented = load.visitors.iter().filter(|visitor| visitor.presents_a_cookie()).count();
    say(&load.tally.result(begin.elapsed(), load.visitors.len(), presented))?;
    // The end of standard input is the only way on, whatever else comes before it.
    commands.for_each(drop);
    Ok(())
}

/// The same with HTTP/2.
fn main_of_streams(arguments: &Arguments) -> Result<()> {
    let mut load = streams::Load::new(arguments)?;
    load.closed_loop(Duration::from_millis(arguments.warm_ms))?;
    load.tally.check()?;
    load.tally = Tally::new();
    let commands = wait_for_go()?;
    let begin = Instant::now();
    load.closed_loop(Duration::from_millis(arguments.millis))?;
    say(&load.tally.result(begin.elapsed(), load.connections(), 0))?;
    commands.for_each(drop);
    Ok(())
}

/// Says that all is warm, and waits for a line. Gives those that follow.
fn wait_for_go() -> Result<impl Iterator<Item = std::io::Result<String>>> {
    say("ready")?;
    let mut commands = std::io::stdin().lock().lines();
    commands.next().context("told to go")??;
    Ok(commands)
}

fn say(line: &str) -> Result<()> {
    println!("{line}");
    std::io::stdout().flush().context("say how it went")
}

impl Load {
    /// Every visitor asks, waits, and asks again, for so long.
    fn closed_loop(&mut self, length: Duration) -> Result<()> {
        let end = Instant::now() + length;
        self.goes_on = true;
        while let Some(i) = self.idle.pop() {
            self.begin(i, Instant::now());
        }
        while Instant::now() < end && self.tally.errors < ERRORS {
            self.turn(end)?;
        }
        self.goes_on = false;
        self.finish_all()
    }

    /// So many requests per second. One that finds no idle connection waits for one while its clock runs.
    fn open_loop(&mut self, length: Duration, rate: u64) -> Result<()> {
        let (begin, total) = (Instant::now(), (length.as_secs_f64() * rate as f64) as u64);
        let planned = |n: u64| begin + Duration::from_secs_f64(n as f64 / rate as f64);
        let mut begun = 0;
        while begun < total && self.tally.errors < ERRORS {
            while begun < total && planned(begun) <= Instant::now() {
                let Some(i) = self.idle.pop() else { break };
                self.begin(i, planned(begun));
                begun += 1;
            }
            if begin.elapsed() > length + LAST_ANSWERS {
                self.tally.errors += total - begun;
                break;
            }
            let next = if self.idle.is_empty() { begin + length + LAST_ANSWERS } else { planned(begun) };
            self.turn(next)?;
        }
        self.finish_all()
    }

    /// Opens every connection with one request, a few at a time.
    fn open_all(&mut self) -> Result<()> {
        let limit = Instant::now() + OPENING_LIMIT;
        let mut unopened = std::mem::take(&mut self.idle);
        while let Some(i) = unopened.pop() {
            self.begin(i, Instant::now());
            while self.visitors.len() - self.idle.len() - unopened.len() >= OPENING && Instant::now() < limit
            {
                self.turn(limit)?;
            }
            if Instant::now() >= limit || self.tally.errors >= ERRORS {
                self.tally.errors += unopened.len() as u64;
                self.idle.append(&mut unopened);
            }
        }
        self.finish_all()
    }

    /// Waits for what is under way; what does not come is an error.
    fn finish_all(&mut self) -> Result<()> {
        let end = Instant::now() + LAST_ANSWERS;
        while self.idle.len() < self.visitors.len() {
            if Instant::now() >= end {
                let busy = (0..self.visitors.len()).filter(|i| !self.idle.contains(i));
                let busy: Vec<usize> = busy.collect();
                self.tally.errors += busy.len() as u64;
                busy.iter().for_each(|i| self.visitors[*i].hang_up());
                self.idle.extend(busy);
                break;
            }
            self.turn(end)?;
        }
        Ok(())
    }

    /// Waits for events, until then at most, and acts on them.
    fn turn(&mut self, until: Instant) -> Result<()> {
        let mut ready: Vec<Ready> = Vec::new();
        self.poll
            .wait(until.saturating_duration_since(Instant::now()), &mut ready)
            .context("wait for answers")?;
        for event in ready {
            let visitor = &mut self.visitors[event.key];
            let step = visitor.turn(event, &self.poll, &mut self.buffer, &mut self.tally);
            self.after(event.key, step);
        }
        Ok(())
    }

    /// A visitor asks, and its clock runs from then.
    fn begin(&mut self, i: usize, clock: Instant) {
        let step = self.visitors[i].begin(clock, &self.poll);
        self.after(i, step);
    }

    fn after(&mut self, i: usize, step: Step) {
        match step {
            Step::Waits => {}
            // The proxy closes what was asked to be one request's, and the visitor comes again.
            Step::Left if self.per_request => {
                self.visitors[i].close();
                self.next(i, Instant::now());
            }
            // The proxy closed an idle connection; the visitor's next request dials.
            Step::Left => self.visitors[i].close(),
            Step::Failed => {
                self.visitors[i].hang_up();
                self.tally.errors += 1;
                self.next(i, Instant::now());
            }
            Step::Answered(begun) => {
                let now = Instant::now();
                self.tally.answered(begun, now);
                if !self.per_request {
                    self.next(i, now);
                }
            }
        }
    }

    fn next(&mut self, i: usize, now: Instant) {
        // A proxy that fails at once must not keep us here for ever.
        if self.goes_on && self.tally.errors < ERRORS {
            self.begin(i, now);
        } else {
            self.idle.push(i);
        }
    }
}

impl Arguments {
    /// Where a connection comes from.
    pub(crate) fn source(&self, connection: usize) -> Result<Ipv4Addr> {
        let last = u8::try_from(2 + connection % self.sources.max(1)).context("at most 250 sources")?;
        Ok(Ipv4Addr::new(127, 0, 0, last))
    }
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self {
            done: 0,
            errors: 0,
            refused: 0,
            cookies: 0,
            handshakes: 0,
            resumed: 0,
            latency: Histogram::new(),
        }
    }

    /// The request of that time is answered.
    pub(crate) fn answered(&mut self, begun: Instant, now: Instant) {
        self.done += 1;
        self.latency.add(now.duration_since(begun));
    }

    /// A connection got its first answer.
    pub(crate) fn connected(&mut self, transport: &Transport) {
        if let Some(is_resumed) = transport.is_resumed() {
            self.handshakes += 1;
            self.resumed += u64::from(is_resumed);
        }
    }

    /// # Errors
    ///
    /// Something went wrong while warming up.
    fn check(&self) -> Result<()> {
        if self.errors + self.refused > 0 {
            bail!("{} errors, {} refused while warming up", self.errors, self.refused);
        }
        Ok(())
    }

    fn result(&self, took: Duration, connections: usize, presented: usize) -> String {
        json!({
            "done": self.done,
            "errors": self.errors,
            "refused": self.refused,
            "cookies_set": self.cookies,
            "cookies_presented": presented,
            "handshakes": self.handshakes,
            "resumed": self.resumed,
            "connections": connections,
            "seconds": took.as_secs_f64(),
            "p50_us": self.latency.micros(0.50),
            "p99_us": self.latency.micros(0.99),
            "max_us": self.latency.largest_micros(),
        })
        .to_string()
    }
}
