//! The battery: what is asked, in which order; and who is there (T1), parallel first requests (T8), upgrades (T14).

use std::rc::Rc;

use tokio::task::JoinSet;

use super::ask::{Answer, Ask};
use super::findings::Mark;
use super::identify::Identify;
use super::observed::{Node, Trial};
use super::prober::{Client, Connection, From, Path, Prober, Visit};
use super::statistics::{above, below, chi_square, shares};
use super::target::Wrong;
use super::{addresses, births, forged, hooks, login, made_up};

/// What is asked, in the order of its weight.
#[derive(Clone, Copy)]
enum Step {
    Addresses,
    Connection,
    Cookies,
    MadeUp,
    Forged,
    Rest,
    Hooks,
    Login,
}

/// See [`Step`].
const STEPS: [Step; 8] = [
    Step::Addresses,
    Step::Connection,
    Step::Cookies,
    Step::MadeUp,
    Step::Forged,
    Step::Rest,
    Step::Hooks,
    Step::Login,
];
/// New clients that are looked at first.
const FIRST: usize = 40;
/// Parallel first requests of one client.
const PARALLEL: usize = 8;

/// Asks everything, as long as there is time.
pub(super) async fn run(prober: &mut Prober<'_>) -> Result<(), Wrong> {
    prober.say("new clients: who is there, and what tells them apart");
    let first = discover(prober).await?;
    if prober.seen.nodes.is_empty() {
        return Ok(());
    }
    let mut born = Vec::new();
    for step in STEPS {
        match step {
            Step::Addresses => addresses::run(prober, &first).await,
            Step::Connection => {
                prober.say("one connection, many clients");
                addresses::connection(prober).await;
            }
            Step::Cookies => {
                prober.say("one client with its cookies");
                born = births::births(prober).await;
                births::jars(prober, &born).await;
            }
            Step::MadeUp => {
                made_up::run(prober).await;
                addresses::other_paths(prober).await;
            }
            Step::Forged => {
                prober.say("cookies lost, altered, exchanged");
                forged::run(prober, &born).await;
            }
            Step::Rest => {
                parallel(prober).await;
                upgrades(prober).await;
            }
            Step::Hooks => hooks::run(prober).await,
            Step::Login => login::run(prober).await,
        }
        prober.read_carriers();
        if prober.left().is_zero() {
            prober.seen.is_cut =
                matches!(step, Step::Addresses | Step::Connection | Step::Cookies | Step::MadeUp);
            prober.leave_out("T", "what comes behind that", "the time was up: --within gives more");
            break;
        }
    }
    Ok(())
}

/// T1: who is there, how they are told apart, and how new clients are shared out.
async fn discover(prober: &mut Prober<'_>) -> Result<Vec<(Visit, Option<Node>)>, Wrong> {
    let mut visits = sample(prober).await?;
    if prober.identify.is_none() {
        let answers: Vec<Answer> = visits.iter().filter_map(|v| v.answer.clone()).collect();
        prober.identify = Identify::guess(&answers);
    }
    if prober.identify.is_none() && prober.asker.target.path == "/" {
        // homing's application tells who it is wherever it answers in JSON.
        let mut me = Client { path: Path::Of("/api/me".to_owned()), ..Client::bare(From::Any) };
        let answer = prober.visit(&mut me).await.answer.unwrap_or_default();
        let by = Identify::Json("/backend".to_owned());
        if by.label(&answer, None).is_some() {
            prober.identify = Some(by);
            if let Some(asker) = Rc::get_mut(&mut prober.asker) {
                asker.target.path = "/api/me".to_owned();
            }
            visits = sample(prober).await?;
        }
    }
    if let Some(Identify::Cookie(name)) = &prober.identify {
        prober.seen.told_by = Some(name.clone());
    }
    let asked = "new clients without cookies, each over a new connection";
    let nodes: Vec<Option<Node>> =
        visits.iter().map(|v| v.answer.as_ref().and_then(|a| prober.whose(a, ""))).collect();
    prober.seen.spread = Trial { seen: nodes.clone(), fillers: 0 };
    let Some(by) = prober.identify.as_ref().map(Identify::to_text) else {
        let answered = visits.iter().filter(|v| v.answer.is_some()).count();
        let seen = format!("{answered} of {FIRST} answered, and nothing in an answer differs by backend");
        prober.find("T1", Mark::LeftOut, asked, seen, "say by --identify what tells backends apart");
        return Ok(Vec::new());
    };
    let mut counts = prober.seen.spread.counts();
    counts.resize(prober.seen.nodes.len(), 0);
    prober.seen.shares = shares(&counts);
    let (x, degrees) = (chi_square(&counts), counts.len().saturating_sub(1));
    let seen = format!(
        "{} (by {by}); χ² {x:.1}: by chance so even {:.3}, so uneven {:.3}",
        prober.seen.spread.to_text(&prober.seen.nodes),
        below(x, degrees),
        above(x, degrees)
    );
    let n = counts.len();
    let addresses = if prober.seen.varies { "from many addresses" } else { "from one address" };
    let verdict = if n == 1 {
        format!("one backend seen {addresses} until now")
    } else {
        let needed = prober.needed();
        format!("{n} backends seen {addresses}; {needed} answers in a row from one of them are no chance")
    };
    prober.find("T1", Mark::Note, asked, seen, verdict);
    Ok(visits.into_iter().zip(nodes).collect())
}

/// New clients; an error if nobody answers at all.
async fn sample(prober: &mut Prober<'_>) -> Result<Vec<Visit>, Wrong> {
    let mut visits = Vec::new();
    for at in 0..FIRST {
        visits.push(prober.visit(&mut Client::bare(From::Any)).await);
        let is_deaf = at == 4 && visits.iter().all(|v| v.answer.is_none());
        if is_deaf {
            let mut client = Client::bare(From::One(None));
            let answers = prober.visit(&mut client).await.answer.is_some();
            let why = if answers {
                "answers nobody who comes from another address of 127.0.0.0/8: name it by another address"
                    .to_owned()
            } else {
                format!("no answer at {}", prober.asker.address)
            };
            return Err(Wrong::Unreachable(format!("{}: {why}", prober.settings.url)));
        }
        if prober.left().is_zero() {
            break;
        }
    }
    if visits.iter().all(|v| v.answer.is_none()) {
        let why = format!("no answer at {} in time", prober.asker.address);
        return Err(Wrong::Unreachable(format!("{}: {why}", prober.settings.url)));
    }
    Ok(visits)
}

/// T8: what a browser does with a page that has many parts, before it has a cookie.
async fn parallel(prober: &mut Prober<'_>) {
    let asked = "eight first requests of one client at once";
    let From::One(source) = prober.place() else { return };
    let mut all = JoinSet::new();
    for _ in 0..PARALLEL {
        let (asker, path) = (Rc::clone(&prober.asker), prober.asker.target.path.clone());
        let ask = Ask::get(path, source);
        prober.requests += 1;
        let left = prober.left();
        all.spawn_local(async move { tokio::time::timeout(left, asker.once(&ask)).await });
    }
    let mut seen = Trial::default();
    while let Some(done) = all.join_next().await {
        let answer = done.ok().and_then(Result::ok).and_then(Result::ok);
        seen.seen.push(answer.and_then(|a| prober.whose(&a, "")));
    }
    let several = seen.counts().iter().filter(|c| **c > 0).count();
    let verdict = if several > 1 {
        format!(
            "they come to {several} backends: a session may be begun several times, and one of them stays"
        )
    } else {
        "they come to one backend".to_owned()
    };
    let mark = if several > 1 { Mark::Note } else { Mark::Good };
    let text = seen.to_text(&prober.seen.nodes);
    prober.find("T8", mark, asked, text, verdict);
}

/// T14: a WebSocket, and a stream of events.
async fn upgrades(prober: &mut Prober<'_>) {
    let mut seen = Vec::new();
    for (what, fields) in [
        (
            "WebSocket",
            vec![
                ("Connection", "Upgrade"),
                ("Upgrade", "websocket"),
                ("Sec-WebSocket-Version", "13"),
                ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ],
        ),
        ("events", vec![("Accept", "text/event-stream")]),
    ] {
        let mut client = Client { connection: Connection::Kept(None, 0), ..Client::bare(From::Any) };
        client.fields = fields.into_iter().map(|(n, v)| (n.to_owned(), v.to_owned())).collect();
        let answer = prober.visit(&mut client).await.answer;
        let status = answer.map_or_else(|| "no answer".to_owned(), |a| a.status.to_string());
        seen.push(format!("{what}: {status}"));
    }
    let verdict = if seen.iter().any(|s| s == "WebSocket: 101") {
        "upgrades pass"
    } else {
        "this path takes no upgrade"
    };
    prober.find("T14", Mark::Note, "an upgrade to WebSocket, a stream of events", seen.join(", "), verdict);
}
