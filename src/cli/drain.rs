//! `homing drain`, `ready`, `maint` and `weight`: what an operator wants of one backend, and when it can be stopped.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, ValueEnum};
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::admin::{self, AdminArgs, Named, Place, as_json, number, text};
use super::client::{Answer, Client, Failed};
use super::progress::{Progress, left, rough};
use super::table::clean;
use super::{print, say};
use crate::base::time::UnixSeconds;
use crate::base::units::Span;

/// Between two questions whether it is safe.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two looks at a backend that comes up.
const LOOK: Duration = Duration::from_millis(250);
/// Between two lines where nobody sees a bar.
const LINE: Duration = Duration::from_secs(5);
/// Questions in a row that may stay without an answer: homing may be restarted meanwhile.
const SILENCES: u32 = 5;

#[derive(Args, Debug)]
pub(super) struct DrainArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The backend, as POOL/BACKEND; BACKEND if there is but one pool
    #[arg(value_name = "POOL/BACKEND", value_parser = Place::parse)]
    place: Place,
    /// How long sessions may stay: afterwards they move at their next request, and WebSockets are closed
    #[arg(long, value_name = "TIME", value_parser = time, required_if_eq("mode", "deadline"))]
    deadline: Option<Span>,
    /// Sessions move when they come back after a pause of so long [mode idle; default there: 5m]
    #[arg(long, value_name = "TIME", value_parser = time)]
    idle: Option<Span>,
    /// What becomes of the sessions [default: as --deadline and --idle say, or keep]
    #[arg(long)]
    mode: Option<Mode>,
    /// Wait until it can be stopped without anybody losing anything. Alone, it waits for a drain that has begun
    #[arg(long)]
    wait: bool,
    /// Wait no longer than this; exit 1 then
    #[arg(long, value_name = "TIME", value_parser = time, requires = "wait")]
    timeout: Option<Span>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// They stay for as long as they are used
    Keep,
    /// Each moves when it comes back after a pause
    Idle,
    /// They stay until the deadline
    Deadline,
    /// Each moves at its next request
    Now,
}

#[derive(Args, Debug)]
pub(super) struct ReadyArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The backend, as POOL/BACKEND; BACKEND if there is but one pool
    #[arg(value_name = "POOL/BACKEND", value_parser = Place::parse)]
    place: Place,
    /// What the configuration says, in place of ready: nothing is set at run time any more
    #[arg(long)]
    as_configured: bool,
    /// Only once a health check finds it up, as after its restart; at once if the pool has no checks
    #[arg(long)]
    when_up: bool,
    /// Wait no longer than this for it to be up; exit 1 then
    #[arg(long, value_name = "TIME", value_parser = time, requires = "when_up")]
    timeout: Option<Span>,
}

#[derive(Args, Debug)]
pub(super) struct MaintArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The backend, as POOL/BACKEND; BACKEND if there is but one pool
    #[arg(value_name = "POOL/BACKEND", value_parser = Place::parse)]
    place: Place,
}

#[derive(Args, Debug)]
pub(super) struct WeightArgs {
    #[command(flatten)]
    admin: AdminArgs,
    /// The backend, as POOL/BACKEND; BACKEND if there is but one pool
    #[arg(value_name = "POOL/BACKEND", value_parser = Place::parse)]
    place: Place,
    /// 0 to 65535, or `default` for what the configuration says
    #[arg(value_name = "N", value_parser = weight_or_default)]
    weight: Weight,
}

/// `None` is as configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weight(Option<u16>);

pub(super) fn drain(args: &DrainArgs) -> anyhow::Result<ExitCode> {
    let wish = args.wish().map_err(Failed::Usage)?;
    admin::run(&args.admin, async |client| {
        let named = args.place.resolve(client).await?;
        let answer = args.begin(client, &named, &wish).await?;
        if args.admin.json && !(args.wait && answer.status.is_success()) {
            return as_json(&answer);
        }
        let backend = answer.accepted()?;
        if !args.wait {
            print(&format!("{}\n", in_words(&named, &backend)))?;
            return Ok(ExitCode::SUCCESS);
        }
        let most = backend.get("drain").map_or(0, |drain| number(drain, "began_with"));
        let screen = match (args.admin.json, std::io::stderr().is_terminal()) {
            (true, _) => Screen::Nothing,
            (false, true) => Screen::Bar,
            (false, false) => Screen::Lines,
        };
        let wait = Wait { client, named: &named, screen, timeout: args.timeout.map(|t| t.0) };
        wait.run(most).await
    })
}

pub(super) fn ready(args: &ReadyArgs) -> anyhow::Result<ExitCode> {
    let wish = json!({ "state": if args.as_configured { "configured" } else { "ready" } });
    admin::run(&args.admin, async |client| {
        let named = args.place.resolve(client).await?;
        if args.when_up && !is_up_within(args.timeout, client, &named).await? {
            let left_alone = if args.admin.json { "" } else { "; its state is as it was" };
            say(&format!("{named} is not up: no check has found it so since{left_alone}\n"));
            return Ok(ExitCode::FAILURE);
        }
        change(client, &args.admin, &named, "/state", &wish).await
    })
}

pub(super) fn maint(args: &MaintArgs) -> anyhow::Result<ExitCode> {
    let wish = json!({ "state": "maint" });
    admin::run(&args.admin, async |client| {
        change(client, &args.admin, &args.place.resolve(client).await?, "/state", &wish).await
    })
}

pub(super) fn weight(args: &WeightArgs) -> anyhow::Result<ExitCode> {
    let wish = json!({ "weight": args.weight.0 });
    admin::run(&args.admin, async |client| {
        change(client, &args.admin, &args.place.resolve(client).await?, "/weight", &wish).await
    })
}

async fn change(
    client: &Client,
    args: &AdminArgs,
    named: &Named,
    what: &str,
    wish: &Value,
) -> anyhow::Result<ExitCode> {
    let answer = client.post(&named.path(what), wish).await?;
    if args.json {
        return as_json(&answer);
    }
    print(&format!("{}\n", in_words(named, &answer.accepted()?)))?;
    Ok(ExitCode::SUCCESS)
}

/// Waits for a check, later than the last one so far, that finds the backend up: what was found before its restart says
/// nothing.
async fn is_up_within(timeout: Option<Span>, client: &Client, named: &Named) -> Result<bool, Failed> {
    let (began, mut before) = (Instant::now(), None);
    loop {
        let backend = client.get(&named.path("")).await?.accepted()?;
        let Some(check) = backend.get("last_check").filter(|check| check.is_object()) else {
            return Ok(true);
        };
        let at = number(check, "at");
        let is_new = at > *before.get_or_insert(at);
        if is_new && text(check, "result") == "good" && text(&backend, "health") == "up" {
            return Ok(true);
        }
        if timeout.is_some_and(|timeout| began.elapsed() >= timeout.0) {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}

impl DrainArgs {
    /// What is sent.
    fn wish(&self) -> Result<Value, String> {
        let mode = match (self.mode, self.idle) {
            (Some(mode), Some(_)) if mode != Mode::Idle => {
                return Err("--idle belongs to --mode idle".to_owned());
            }
            (None, Some(_)) => Some(Mode::Idle),
            (mode, _) => mode,
        };
        if mode == Some(Mode::Now) && self.deadline.is_some() {
            return Err("--mode now has no --deadline: every session moves at its next request".to_owned());
        }
        let mut wish = json!({ "state": "drain" });
        let mode = mode.and_then(|mode| Some(mode.to_possible_value()?.get_name().to_owned()));
        let times = [("deadline", self.deadline), ("idle", self.idle)];
        let times = times.into_iter().filter_map(|(key, time)| Some((key, time?.to_string())));
        mode.map(|mode| ("mode", mode))
            .into_iter()
            .chain(times)
            .for_each(|(key, value)| wish[key] = value.into());
        Ok(wish)
    }

    /// Begins the drain, if it is not one that only is to be waited for.
    async fn begin(&self, client: &Client, named: &Named, wish: &Value) -> Result<Answer, Failed> {
        if self.wait && wish.as_object().is_some_and(|wish| wish.len() == 1) {
            let answer = client.get(&named.path("")).await?;
            if answer.body.get("drain").is_some_and(Value::is_object) {
                return Ok(answer);
            }
        }
        client.post(&named.path("/state"), wish).await
    }
}

/// Where progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Screen {
    Bar,
    Lines,
    /// What comes out is for programs.
    Nothing,
}

/// Waiting for a backend that drains.
struct Wait<'a> {
    client: &'a Client,
    named: &'a Named,
    screen: Screen,
    timeout: Option<Duration>,
}

impl Wait<'_> {
    async fn run(&self, most: u64) -> anyhow::Result<ExitCode> {
        tokio::select! {
            ended = self.until_safe(most) => ended,
            pressed = tokio::signal::ctrl_c() => {
                pressed?;
                self.end_bar();
                let named = self.named;
                say(&format!("no longer waiting; {named} goes on draining (homing ready {named} takes that back)\n"));
                Ok(ExitCode::FAILURE)
            }
        }
    }

    async fn until_safe(&self, mut most: u64) -> anyhow::Result<ExitCode> {
        let path = self.named.path("/safe-to-stop");
        let (began, mut silences, mut told) = (Instant::now(), 0, None::<Instant>);
        loop {
            let answer = match self.client.get(&path).await {
                Ok(answer) if answer.status != StatusCode::SERVICE_UNAVAILABLE => answer,
                Ok(answer) if silences >= SILENCES => return Err(Failed::Refused(answer).into()),
                Err(failed) if silences >= SILENCES => return Err(failed.into()),
                Ok(_) | Err(_) => {
                    silences += 1;
                    tokio::time::sleep(PAUSE).await;
                    continue;
                }
            };
            silences = 0;
            if answer.status == StatusCode::OK {
                return self.end(&answer, ExitCode::SUCCESS, "can be stopped: nobody loses anything");
            }
            if answer.status != StatusCode::CONFLICT {
                self.end_bar();
                return Err(Failed::Refused(answer).into());
            }
            if answer.body.get("closed") == Some(&Value::Bool(false)) {
                let why = "drains no longer: somebody made it ready, or homing was restarted";
                return self.end(&answer, ExitCode::FAILURE, why);
            }
            let progress = Progress::read(self.named, &answer.body, most);
            most = progress.most();
            let left = self.timeout.map(|timeout| timeout.saturating_sub(began.elapsed()));
            if left == Some(Duration::ZERO) {
                let left = progress.line(now());
                self.end_bar();
                if self.screen != Screen::Nothing {
                    say(&format!("{left}\n"));
                }
                return self.end(&answer, ExitCode::FAILURE, "is not safe to stop yet; it goes on draining");
            }
            self.show(&progress, &mut told);
            tokio::time::sleep(left.map_or(PAUSE, |left| left.min(PAUSE))).await;
        }
    }

    fn show(&self, progress: &Progress, told: &mut Option<Instant>) {
        match self.screen {
            Screen::Bar => say(&format!("\r\x1b[K{}", progress.bar(now()))),
            Screen::Lines if told.is_none_or(|told| told.elapsed() >= LINE) => {
                *told = Some(Instant::now());
                say(&format!("{}\n", progress.line(now())));
            }
            Screen::Lines | Screen::Nothing => {}
        }
    }

    fn end_bar(&self) {
        if self.screen == Screen::Bar {
            say("\r\x1b[K");
        }
    }

    fn end(&self, answer: &Answer, code: ExitCode, words: &str) -> anyhow::Result<ExitCode> {
        self.end_bar();
        match self.screen {
            Screen::Nothing => print(&format!("{}\n", answer.body))?,
            Screen::Bar | Screen::Lines => print(&format!("{} {words}\n", self.named))?,
        }
        Ok(code)
    }
}

/// A backend after a change: `app/b: drain (deadline in 10m), weight 3 (configured: 1); 12 sessions, ..`
fn in_words(named: &Named, backend: &Value) -> String {
    let mut out = format!("{named}: {}", clean(text(backend, "admin")));
    let drain = backend.get("drain").filter(|drain| drain.is_object());
    if let Some(drain) = drain {
        out.push_str(&format!(", mode {}", clean(text(drain, "mode"))));
        if let Some(at) = drain.get("deadline").and_then(Value::as_u64) {
            out.push_str(&format!(", deadline in {}", rough(at.saturating_sub(now()))));
        }
    }
    out.push_str(&format!(
        "; checks say {}; weight {}",
        clean(text(backend, "health")),
        number(backend, "weight")
    ));
    let weight = backend.get("overrides").and_then(|o| o.get("weight")?.get("covers")?.as_u64());
    if let Some(covers) = weight {
        out.push_str(&format!(" (configured: {covers})"));
    }
    let (sessions, tunnels) = (number(backend, "sessions"), number(backend, "tunnels"));
    let requests = number(backend, "in_flight").saturating_sub(tunnels);
    let most = drain.map_or(0, |drain| number(drain, "began_with"));
    out.push_str(&format!("; {}", left(sessions, most, requests, tunnels)));
    out
}

fn now() -> u64 {
    UnixSeconds::now().0.into()
}

fn time(text: &str) -> Result<Span, String> {
    text.parse::<Span>().map_err(|must| format!("a time {must}"))
}

fn weight_or_default(text: &str) -> Result<Weight, String> {
    if text == "default" {
        return Ok(Weight(None));
    }
    text.parse().map(|n| Weight(Some(n))).map_err(|_| "must be 0 to 65535, or default".to_owned())
}
