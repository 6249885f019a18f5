//! New clients and the cookies they are given (T2, T3, T4): does a client stay by all of them, and by each alone?

use http::Method;

use super::ask::{Answer, Ask};
use super::findings::Mark;
use super::jar::Jar;
use super::observed::{Carrier, Held, Node, Trial};
use super::prober::{Client, Connection, Cookies, From, Path, Prober, asker};
use super::target::{Target, Vary};
use crate::base::time::UnixSeconds;

/// New clients whose second request is looked at.
const BIRTHS: usize = 12;

/// A client with the cookies of its first answer.
pub(super) struct Born {
    /// Where its cookies lead.
    pub(super) home: Node,
    pub(super) jar: Jar,
    pub(super) from: From,
    pub(super) answer: Answer,
}

/// New clients as browsers, their first answers and their second ones.
pub(super) async fn births(prober: &mut Prober<'_>) -> Vec<Born> {
    let mut born = Vec::new();
    let (mut kept, mut of, mut values) = (0, 0, Vec::new());
    for _ in 0..BIRTHS {
        let from = prober.place();
        let (visit, jar) = prober.birth(from).await;
        let (Some(node), Some(answer)) = (visit.node, visit.answer) else { continue };
        prober.fill().await;
        let mut home = node;
        if !jar.0.is_empty() {
            let again = if prober.seen.varies { From::Any } else { from };
            let second = prober.visit(&mut Client::with_text(again, jar.text())).await;
            if let Some(second) = second.node {
                of += 1;
                kept += usize::from(second == node);
                home = second;
            }
        }
        values.extend(jar.0.iter().map(|(name, value)| (name.clone(), node, value.clone())));
        born.push(Born { home, jar, from, answer });
    }
    let mut names: Vec<String> = born.iter().flat_map(|b| b.jar.0.keys().cloned()).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let of_name = values.iter().filter(|(n, ..)| *n == name);
        let values = of_name.map(|(_, node, value)| (*node, value.clone())).collect();
        let carrier = Carrier { name, is_set: true, kept_birth: (kept, of), values, ..Carrier::default() };
        prober.seen.carriers.push(carrier);
    }
    born
}

/// T2, T3, T4: one client with its cookies; and each cookie alone.
pub(super) async fn jars(prober: &mut Prober<'_>, born: &[Born]) {
    let Some(one) = born.iter().find(|b| !b.jar.0.is_empty()) else {
        for (id, asked) in [
            ("T2", "the same cookies, one connection"),
            ("T3", "the same cookies, a new connection each"),
            ("T4", "the same cookies, another address each time"),
        ] {
            prober.leave_out(id, asked, "no answer sets a cookie");
        }
        return;
    };
    let mut client = Client::browser(one.from, one.jar.clone());
    client.connection = Connection::Kept(None, 0);
    let row = prober.row(&mut client).await;
    tell_row(prober, "T2", "the same cookies, one connection", &row);
    let row = prober.row(&mut Client::browser(one.from, one.jar.clone())).await;
    tell_row(prober, "T3", "the same cookies, a new connection each", &row);
    prober.seen.jar = Some(row);
    let asked = "the same cookies, another address each time";
    if prober.seen.varies {
        let row = prober.row(&mut Client::browser(From::Any, one.jar.clone())).await;
        tell_row(prober, "T4", asked, &row);
        prober.seen.jar_moved = Some(row);
    } else {
        prober.leave_out(
            "T4",
            asked,
            "clients come from one address here; --client-header names a field that the balancer trusts",
        );
    }
    if let Some(direct) = direct(prober).await {
        for carrier in &mut prober.seen.carriers {
            carrier.is_the_applications = Some(direct.contains(&carrier.name));
        }
    }
    let jar = prober.seen.jar_moved.as_ref().or(prober.seen.jar.as_ref());
    if !prober.seen.held(jar).is_always() {
        return;
    }
    let anywhere = set_anywhere(prober).await;
    for at in 0..prober.seen.carriers.len() {
        let name = prober.seen.carriers[at].name.clone();
        let Some(value) = one.jar.0.get(&name) else { continue };
        let jar = prober.seen.jar_moved.as_ref().or(prober.seen.jar.as_ref());
        let row = match jar.filter(|_| one.jar.0.len() == 1) {
            Some(row) => row.clone(),
            None => {
                let from = if prober.seen.varies { From::Any } else { one.from };
                prober.row(&mut Client::with_text(from, format!("{name}={value}"))).await
            }
        };
        let carrier = &mut prober.seen.carriers[at];
        carrier.alone = Some(row);
        carrier.is_set_anywhere = anywhere.as_ref().map(|sets| sets.contains(&name));
    }
}

fn tell_row(prober: &mut Prober<'_>, id: &'static str, asked: &str, row: &Trial) {
    let held = row.held(&prober.seen.shares);
    let (mark, verdict) = match held {
        Held::Always(_) => (Mark::Good, "it stays"),
        Held::Mostly(_) => (Mark::Bad, "it stays most of the time only"),
        Held::No => (Mark::Bad, "it does not stay"),
        Held::Unknown => (Mark::Note, "does not show"),
    };
    let text = row.to_text(&prober.seen.nodes);
    prober.find_with(id, mark, asked, text, verdict, held.chance());
}

/// The cookies that an answer to a path that nobody serves sets.
async fn set_anywhere(prober: &mut Prober<'_>) -> Option<Vec<String>> {
    let path = format!("/no-such-page-{:x}", prober.random.u64(..));
    let mut client = Client::browser(From::Any, Jar::default());
    client.path = Path::Of(path);
    let answer = prober.visit(&mut client).await.answer?;
    let Cookies::Kept(jar) = client.cookies else { return None };
    (400..500).contains(&answer.status).then(|| jar.0.into_keys().collect())
}

/// T16, where a backend's own URL is known: the cookies that it sets without the balancer.
async fn direct(prober: &mut Prober<'_>) -> Option<Vec<String>> {
    let url = prober.settings.direct.clone()?;
    let asked = format!("which cookies the backend at {url} sets without the balancer");
    match sets(prober, &url).await {
        Ok(names) => {
            let (seen, verdict) = if names.is_empty() {
                ("none".to_owned(), "all that come through the balancer are its own")
            } else {
                (names.join(", "), "these are the application's, and others the balancer's")
            };
            prober.find("T16", Mark::Note, &asked, seen, verdict);
            Some(names)
        }
        Err(why) => {
            prober.leave_out("T16", &asked, &why);
            None
        }
    }
}

/// Asks it as a new client, who logs in where that is asked for.
async fn sets(prober: &Prober<'_>, url: &str) -> Result<Vec<String>, String> {
    let target = Target::parse(url).map_err(|e| e.to_string())?;
    let path = if target.path == "/" { prober.asker.target.path.clone() } else { target.path.clone() };
    let asker = asker(prober.settings, target, Vary::Never).await.map_err(|e| e.to_string())?;
    let mut ask = Ask::get(path, None);
    if let Some(login) = prober.settings.login.clone() {
        (ask.method, ask.path, ask.body) = (Method::POST, "/api/login".to_owned(), login);
    }
    let answer = tokio::time::timeout(prober.left(), asker.once(&ask)).await;
    let answer = answer.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    let answer = answer.map_err(|e| format!("it does not answer: {e}"))?;
    let mut jar = Jar::default();
    jar.take(&answer, UnixSeconds::now());
    Ok(jar.0.into_keys().collect())
}
