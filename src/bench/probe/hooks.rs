//! T11 to T13 and T15: a backend ends, comes back, drains; the balancer reads its configuration again. By the person's
//! own commands.

use std::process::Stdio;
use std::time::{Duration, Instant};

use super::findings::Mark;
use super::jar::Jar;
use super::observed::{Held, Node, Trial};
use super::prober::{Client, Cookies, From, Prober};
use crate::bench::process;

/// Clients whose way is followed.
const CLIENTS: usize = 36;
/// Longest that a hook may take, and that something is waited for.
const HOOK: Duration = Duration::from_secs(15);
/// Between two looks at what is waited for.
const PAUSE: Duration = Duration::from_millis(20);
/// Between two looks at a hook.
const LOOK: Duration = Duration::from_millis(5);

/// What makes a client: a cookie, a field, an address.
struct Followed {
    client: Client,
    home: Node,
}

/// What became of clients.
#[derive(Default)]
struct Fate {
    stayed: usize,
    moved: usize,
    failed: usize,
}

/// Does what there are hooks for.
pub(super) async fn run(prober: &mut Prober<'_>) {
    let hooks = prober.settings.hooks.clone();
    let asked = [
        "a backend ends (--kill-hook)",
        "it comes back (--revive-hook)",
        "a backend drains (--drain-hook)",
        "the balancer reads its configuration again (--reload-hook)",
    ];
    let ids = ["T11", "T12", "T13", "T15"];
    let has = [
        hooks.kill.is_some(),
        hooks.kill.is_some() && hooks.revive.is_some(),
        hooks.drain.is_some(),
        hooks.reload.is_some(),
    ];
    if let Some(reload) = &hooks.reload {
        prober.say("the balancer reads its configuration again");
        reloaded(prober, reload, asked[3]).await;
    }
    if let Some(drain) = &hooks.drain {
        prober.say("a backend drains");
        drained(prober, drain, hooks.revive.as_deref(), asked[2]).await;
    }
    if let Some(kill) = &hooks.kill {
        prober.say("a backend ends");
        killed(prober, kill, hooks.revive.as_deref(), asked[0], asked[1]).await;
    }
    for at in (0..4).filter(|at| !has[*at]) {
        prober.leave_out(ids[at], asked[at], "no hook");
    }
}

/// Runs a hook for this backend, within its time and that of the whole. One that hangs is ended with all it has started.
///
/// # Errors
/// Why it was not done, in words.
async fn hook(prober: &Prober<'_>, command: &str, backend: &str) -> Result<(), String> {
    // One that hangs leaves time for the others.
    let limit = HOOK.min(prober.settings.within / 4).min(prober.left());
    let began = Instant::now();
    let mut child = process::shell(command)
        .env("HOMING_BACKEND", backend)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|e| format!("run {command}: {e}"))?;
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok(()),
            Ok(Some(status)) => return Err(format!("{command}: {}", in_words(status))),
            Ok(None) if began.elapsed() < limit => tokio::time::sleep(LOOK).await,
            Ok(None) => {
                process::end(&mut child);
                let (id, seconds) = (child.id(), limit.as_secs_f64());
                return Err(format!("{command}: not done within {seconds:.1} s, process {id} was ended"));
            }
            Err(e) => return Err(format!("{command}: {e}")),
        }
    }
}

/// How a command that did not go well ended.
fn in_words(status: std::process::ExitStatus) -> String {
    match status.code() {
        Some(126) => "the shell may not run it (exit status 126)".to_owned(),
        Some(127) => "the shell does not find it (exit status 127)".to_owned(),
        _ => status.to_string(),
    }
}

/// What is kept back of the time while a backend is away, so that it can be brought back within it.
fn reserve(prober: &Prober<'_>) -> Duration {
    HOOK.min(prober.settings.within / 4)
}

/// Whether there is time to send a backend away and to bring it back; if not, that is said.
fn has_time(prober: &mut Prober<'_>, id: &'static str, asked: &str) -> bool {
    let is_enough = prober.left() > reserve(prober) * 2;
    if !is_enough {
        prober.leave_out(id, asked, "too little of the time is left: --within gives more");
    }
    is_enough
}

/// Sends a backend away. One that does not go as it should is brought back, since nobody knows how far that came.
async fn send_away(
    prober: &mut Prober<'_>,
    command: &str,
    revive: Option<&str>,
    name: &str,
) -> Result<(), String> {
    prober.reserved = if revive.is_some() { reserve(prober) } else { Duration::ZERO };
    let done = hook(prober, command, name).await;
    let (Err(why), Some(revive)) = (&done, revive) else { return done };
    Err(match bring_back(prober, revive, name).await {
        Ok(()) => format!("{why}; the revive hook was run"),
        Err(also) => format!("{why}; and then {also}"),
    })
}

/// Brings it back, with the time that was kept for that.
async fn bring_back(prober: &mut Prober<'_>, revive: &str, name: &str) -> Result<(), String> {
    prober.reserved = Duration::ZERO;
    hook(prober, revive, name).await
}

/// Clients as this balancer knows them, and their homes.
async fn clients(prober: &mut Prober<'_>) -> Vec<Followed> {
    let hashed = prober.seen.carriers.iter().find(|c| prober.seen.held(c.made_up.as_ref()).is_always());
    let cookie = hashed.map(|c| c.name.clone());
    let field = prober.seen.headers.iter().find(|f| prober.seen.held(Some(&f.made_up)).is_always());
    let field = field.map(|f| f.name.clone());
    let mut all = Vec::new();
    for at in 0..CLIENTS {
        let from = prober.place();
        let mut client = Client::browser(from, Jar::default());
        let value = format!("probe{at}{:08x}", prober.random.u32(..));
        if let Some(name) = &cookie {
            client = Client::with_text(from, format!("{name}={value}"));
        } else if let Some(name) = &field {
            client.fields = vec![(name.clone(), value)];
        } else {
            let (_, jar) = prober.birth(from).await;
            client.cookies = Cookies::Kept(jar);
        }
        if let Some(home) = prober.visit(&mut client).await.node {
            all.push(Followed { client, home });
        }
    }
    all
}

/// Asks for each client once and says what became of those that `of` takes. Their homes are kept as they were.
async fn ask(prober: &mut Prober<'_>, all: &mut [Followed], of: impl Fn(Node) -> bool) -> Fate {
    let mut fate = Fate::default();
    for followed in all.iter_mut().filter(|f| of(f.home)) {
        match prober.visit(&mut followed.client).await.node {
            Some(node) if node == followed.home => fate.stayed += 1,
            Some(_) => fate.moved += 1,
            None => fate.failed += 1,
        }
    }
    fate
}

/// The backend that most of them are at.
fn busiest(all: &[Followed]) -> Option<Node> {
    let row = Trial { seen: all.iter().map(|f| Some(f.home)).collect(), fillers: 0 };
    row.counts().into_iter().enumerate().max_by_key(|(_, count)| *count).map(|(node, _)| node)
}

fn is_keeping(prober: &Prober<'_>) -> bool {
    let seen = &prober.seen;
    let rows = [seen.jar.as_ref(), seen.same_address.as_ref()];
    let carried = seen.carriers.iter().any(|c| seen.held(c.made_up.as_ref()).is_always());
    carried
        || rows.iter().any(|r| seen.held(*r).is_always())
        || seen.headers.iter().any(|f| seen.held(Some(&f.made_up)).is_always())
}

async fn reloaded(prober: &mut Prober<'_>, command: &str, asked: &str) {
    let mut all = clients(prober).await;
    if let Err(why) = hook(prober, command, "").await {
        return prober.leave_out("T15", asked, &why);
    }
    let fate = ask(prober, &mut all, |_| true).await;
    let keeps = is_keeping(prober);
    let (mark, verdict) = match (fate.moved, fate.failed) {
        _ if !keeps => (Mark::Note, "nothing keeps clients anyway"),
        (0, 0) => (Mark::Good, "nobody moves and nothing fails"),
        (0, _) => (Mark::Bad, "nobody moves, and requests fail"),
        (_, _) => (Mark::Bad, "clients move without need"),
    };
    let seen = format!("{} clients stay, {} move, {} get no answer", fate.stayed, fate.moved, fate.failed);
    prober.find("T15", mark, asked, seen, verdict);
}

async fn drained(prober: &mut Prober<'_>, command: &str, revive: Option<&str>, asked: &str) {
    if !has_time(prober, "T13", asked) {
        return;
    }
    let mut all = clients(prober).await;
    let Some(node) = busiest(&all) else { return prober.leave_out("T13", asked, "nobody answers") };
    let name = prober.seen.nodes[node].clone();
    if let Err(why) = send_away(prober, command, revive, &name).await {
        return prober.leave_out("T13", asked, &why);
    }
    let fate = ask(prober, &mut all, |home| home == node).await;
    let others = ask(prober, &mut all, |home| home != node).await;
    let mut new = 0;
    for _ in 0..CLIENTS {
        let from = prober.place();
        new += usize::from(prober.visit(&mut Client::bare(from)).await.node == Some(node));
    }
    let seen = format!(
        "{name}: of its clients {} stay, {} move, {} get no answer; of others {} move; {new} of {CLIENTS} new clients came to it",
        fate.stayed, fate.moved, fate.failed, others.moved
    );
    let keeps = is_keeping(prober);
    let (mark, verdict) = match (fate.moved + fate.failed, new) {
        _ if !keeps => (Mark::Note, "nothing keeps clients anyway"),
        (0, 0) => (Mark::Good, "its clients stay and no new ones come: a drain that loses nobody"),
        (0, _) => (Mark::Bad, "new clients still come"),
        (_, 0) => (Mark::Bad, "its clients are sent away at once: what it has in memory is lost"),
        (..) => (Mark::Bad, "its clients move, and new ones still come"),
    };
    prober.find("T13", mark, asked, seen, verdict);
    let Some(revive) = revive else { return };
    match bring_back(prober, revive, &name).await {
        Ok(()) => {
            until_back(prober, node).await;
        }
        Err(why) => {
            let asked = "its drain ends (--revive-hook)";
            prober.find("T13", Mark::Bad, asked, why, format!("{name} may still be drained"));
        }
    }
}

async fn killed(prober: &mut Prober<'_>, kill: &str, revive: Option<&str>, asked: &str, asked_back: &str) {
    if !has_time(prober, "T11", asked) {
        return;
    }
    let mut all = clients(prober).await;
    let Some(node) = busiest(&all) else { return prober.leave_out("T11", asked, "nobody answers") };
    let name = prober.seen.nodes[node].clone();
    if let Err(why) = send_away(prober, kill, revive, &name).await {
        return prober.leave_out("T11", asked, &why);
    }
    let mut fate = ask(prober, &mut all, |home| home == node).await;
    let began = Instant::now();
    let lost = fate.failed;
    // What ends politely serves for a while.
    while fate.failed + fate.stayed > 0 && began.elapsed() < HOOK && !prober.left().is_zero() {
        tokio::time::sleep(PAUSE).await;
        fate = ask(prober, &mut all, |home| home == node).await;
    }
    let others = ask(prober, &mut all, |home| home != node).await;
    let keeps = is_keeping(prober);
    if keeps {
        prober.seen.collateral = Some((others.moved, others.moved + others.stayed));
    }
    let seen = format!(
        "{name} ended: of its clients {lost} got no answer at first, {} moved; of the others' {} of {} moved, {} got no answer",
        fate.moved,
        others.moved,
        others.moved + others.stayed,
        others.failed
    );
    let (mark, verdict) = match (lost, others.moved) {
        _ if !keeps => (Mark::Note, "nothing keeps clients anyway"),
        (0, 0) => (Mark::Good, "its clients move without an error, nobody else moves"),
        (_, 0) => (Mark::Note, "its clients meet errors first, nobody else moves"),
        (..) => (Mark::Bad, "clients move whose backend is well"),
    };
    prober.find("T11", mark, asked, seen, verdict);
    let Some(revive) = revive else { return };
    prober.say("it comes back");
    if let Err(why) = bring_back(prober, revive, &name).await {
        return prober.find("T12", Mark::Bad, asked_back, why, format!("{name} may still be away"));
    }
    if !until_back(prober, node).await {
        return prober.leave_out("T12", asked_back, "no new client came to it in time");
    }
    let back = ask(prober, &mut all, |home| home == node).await;
    let others = ask(prober, &mut all, |home| home != node).await;
    let seen = format!(
        "of its clients {} return, {} stay where they went; of others {} are not at home",
        back.stayed, back.moved, others.moved
    );
    let (mark, verdict) = match (back.stayed, back.moved) {
        _ if !keeps => (Mark::Note, "nothing keeps clients anyway"),
        (0, _) => (Mark::Good, "nobody is moved a second time"),
        (_, 0) => {
            (Mark::Note, "all return: what they did meanwhile stays behind, and old state may come back")
        }
        _ => (Mark::Note, "some return"),
    };
    prober.find("T12", mark, asked_back, seen, verdict);
}

/// Waits until new clients come to this backend.
async fn until_back(prober: &mut Prober<'_>, node: Node) -> bool {
    let began = Instant::now();
    while began.elapsed() < HOOK && !prober.left().is_zero() {
        for _ in 0..CLIENTS {
            let mut client = Client::bare(From::Any);
            // Where a key decides, a new client is one with a new key.
            client.cookies = Cookies::Text(key(prober));
            client.fields = prober
                .seen
                .headers
                .iter()
                .map(|f| (f.name.clone(), format!("{:x}", prober.random.u64(..))))
                .collect();
            if prober.visit(&mut client).await.node == Some(node) {
                return true;
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
    false
}

/// A new key of each cookie that is hashed.
fn key(prober: &mut Prober<'_>) -> String {
    let hashed = prober
        .seen
        .carriers
        .iter()
        .filter(|c| !matches!(prober.seen.held(c.made_up.as_ref()), Held::No | Held::Unknown));
    let names: Vec<String> = hashed.map(|c| c.name.clone()).collect();
    let pairs: Vec<String> =
        names.into_iter().map(|name| format!("{name}={:x}", prober.random.u64(..))).collect();
    pairs.join("; ")
}
