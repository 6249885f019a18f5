//! T3b and T17 to T19, against homing's application: whether a login lasts; fixation, replay after logout, altered
//! sessions and tokens.

use http::Method;

use super::findings::Mark;
use super::jar::Jar;
use super::observed::{Login, Trial};
use super::prober::{Client, Cookies, From, Path, Prober};
use super::token;

/// Where the application says who somebody is.
const ME: &str = "/api/me";
/// Requests behind a login.
const LASTS: usize = 20;

/// What is asked, in the order of the checklist.
const ASKED: [(&str, &str); 3] = [
    ("T17", "a session id that was there before the login"),
    ("T18", "the cookies of a session that has logged out"),
    ("T19", "a session's cookie, altered"),
];

/// Does it, if there is somebody to log in as.
pub(super) async fn run(prober: &mut Prober<'_>) {
    let Some(login) = prober.settings.login.clone() else {
        return ASKED.iter().for_each(|(id, asked)| prober.leave_out(id, asked, "no --login"));
    };
    prober.say("login, logout, forged sessions");
    let from = prober.place();
    let mut jar = match fixed(prober, from, &login).await {
        Ok(jar) => jar,
        Err(why) => return ASKED.iter().for_each(|(id, asked)| prober.leave_out(id, asked, &why)),
    };
    if !lasts(prober, from, &mut jar).await {
        let why = "the login itself does not last here, so that a refusal says nothing";
        return ASKED[1..].iter().for_each(|(id, asked)| prober.leave_out(id, asked, why));
    }
    altered(prober, from, &jar).await;
    logged_out(prober, from, jar).await;
}

/// T17: logs in with ids that were there before, made up and a former login's; none may live on. The cookies afterwards.
async fn fixed(prober: &mut Prober<'_>, from: From, login: &str) -> Result<Jar, String> {
    let planted = format!("{:032x}", prober.random.u128(..));
    let names = ["session", "__Host-session", "token", "__Host-token"];
    let made_up = Jar(names.map(|name| (name.to_owned(), planted.clone())).into());
    let mut first = log_in(prober, from, &made_up, login).await?;
    let is_made_up = keeps(&made_up, &first);
    // Planted names that the application does not use say nothing.
    first.0.retain(|name, value| is_made_up || made_up.0.get(name) != Some(value));
    let second = log_in(prober, from, &first, login).await?;
    let is_formers = keeps(&first, &second);
    let (mark, verdict) = match (is_made_up, is_formers) {
        (true, _) => (Mark::Bad, "a made-up one is kept: who planted it is logged in too"),
        (false, true) => (Mark::Bad, "another login's is kept: who planted it is logged in too"),
        (false, false) if is_signed(&second) => (Mark::Good, "each login signs new tokens"),
        (false, false) => (Mark::Good, "a new id is made at each login"),
    };
    let told: Vec<&str> = second.0.keys().map(String::as_str).collect();
    prober.find("T17", mark, ASKED[0].1, format!("cookies after login: {}", told.join(", ")), verdict);
    Ok(second)
}

/// Logs in with these cookies, and says which there are then.
async fn log_in(prober: &mut Prober<'_>, from: From, with: &Jar, login: &str) -> Result<Jar, String> {
    let mut client = Client::browser(from, with.clone());
    let visit = prober.request(&mut client, Method::POST, "/api/login".to_owned(), login.to_owned()).await;
    let status = visit.answer.map_or(0, |a| a.status);
    match (status, client.cookies) {
        (200..300, Cookies::Kept(jar)) => Ok(jar),
        (0, _) => Err("POST /api/login is not answered".to_owned()),
        (401, _) => {
            Err("POST /api/login answers 401: it does not know this user, or not this password".to_owned())
        }
        _ => Err(format!("POST /api/login answers {status}: it is not homing's application")),
    }
}

/// Whether a session's cookie that was there before is there still, by a login that gave none instead.
fn keeps(before: &Jar, after: &Jar) -> bool {
    let mut sessions = after.0.iter().filter(|(name, _)| is_sessions(name));
    let is_kept = |(name, value): (&String, &String)| before.0.get(name) == Some(value);
    // Of names that were made up, those that the application does not use stay as they are.
    sessions.all(is_kept)
}

/// Whether homing's application keeps its sessions by this cookie.
fn is_sessions(name: &str) -> bool {
    matches!(name.trim_start_matches("__Host-"), "session" | "token" | "refresh")
}

/// Whether this cookie gets new ones, and does not say who somebody is.
fn is_refresh(name: &str) -> bool {
    name.trim_start_matches("__Host-") == "refresh"
}

fn is_signed(jar: &Jar) -> bool {
    jar.0.iter().any(|(name, value)| is_sessions(name) && token::read(value).is_some())
}

/// Who somebody with these cookies is: the status of the answer, and whose it is.
async fn me(prober: &mut Prober<'_>, from: From, cookies: &str) -> u16 {
    let mut client = Client::with_text(from, cookies.to_owned());
    client.path = Path::Of(ME.to_owned());
    prober.visit(&mut client).await.answer.map_or(0, |a| a.status)
}

/// T3b: how many requests behind a login know the user, and at how many backends.
async fn lasts(prober: &mut Prober<'_>, from: From, jar: &mut Jar) -> bool {
    let mut client = Client { path: Path::Of(ME.to_owned()), ..Client::browser(from, jar.clone()) };
    let (mut hits, mut row) = (0, Trial::default());
    for _ in 0..LASTS {
        let visit = prober.visit(&mut client).await;
        hits += usize::from(visit.answer.is_some_and(|a| (200..300).contains(&a.status)));
        row.seen.push(visit.node);
        prober.fill().await;
    }
    if let Cookies::Kept(kept) = client.cookies {
        *jar = kept;
    }
    let is_signed = is_signed(jar);
    let places = row.counts().iter().filter(|count| **count > 0).count();
    let (mark, verdict) = match (hits, places) {
        (LASTS, 2..) if is_signed => {
            (Mark::Good, "it lasts at every backend: each can verify the signed token".to_owned())
        }
        (LASTS, 2..) => (Mark::Good, "it lasts at every backend: they share their sessions".to_owned()),
        (LASTS, _) => (Mark::Good, "it lasts, at the backend where its client is kept".to_owned()),
        (0, _) => {
            (Mark::Bad, "it is lost at once: its cookie leads to a backend that did not make it".to_owned())
        }
        _ => (Mark::Bad, "it comes and goes with the backend".to_owned()),
    };
    let seen = format!("{hits} of {LASTS} know the user; {}", row.to_text(&prober.seen.nodes));
    prober.find("T3b", mark, "a login and twenty requests behind it", seen, verdict);
    prober.seen.login = Some(Login { known: hits, of: LASTS, places, is_signed });
    if hits == LASTS && places > 1 {
        // That a client moves costs nobody a session.
        let rows = prober.findings.iter_mut().filter(|f| matches!(f.id, "T2" | "T3" | "T4"));
        for row in rows.filter(|f| f.mark == Mark::Bad) {
            row.mark = Mark::Note;
            row.verdict.push_str(", and need not: a login lasts at every backend (T3b)");
        }
    }
    hits == LASTS
}

/// T19: one letter changed; of a token also its signature, none at all, and another kind of token in its place.
async fn altered(prober: &mut Prober<'_>, from: From, jar: &Jar) {
    let (mut seen, mut is_believed) = (Vec::new(), false);
    for (name, value) in jar.0.iter().filter(|(name, _)| is_sessions(name) && !is_refresh(name)) {
        let mut forged = token::forgeries(value);
        if forged.is_empty() {
            forged.push(("altered", token::altered(value, value.len() / 2)));
        } else if let Some((_, refresh)) = jar.0.iter().find(|(name, _)| is_refresh(name)) {
            forged.push(("the refresh token in its place", refresh.clone()));
        }
        for (what, forged) in forged {
            let status = me(prober, from, &jar.text_with(name, &[&forged])).await;
            is_believed |= (200..300).contains(&status);
            seen.push(format!("{name} {what}: {status}"));
        }
    }
    let (id, asked) = ASKED[2];
    if seen.is_empty() {
        return prober.leave_out(id, asked, "no session cookie");
    }
    let verdict = if is_believed { "believed" } else { "refused" };
    prober.find(id, if is_believed { Mark::Bad } else { Mark::Good }, asked, seen.join(", "), verdict);
}

/// T18: who has copied the cookies before a logout shows them behind it.
async fn logged_out(prober: &mut Prober<'_>, from: From, jar: Jar) {
    let mut client = Client::browser(from, jar.clone());
    prober.request(&mut client, Method::POST, "/api/logout".to_owned(), String::new()).await;
    let status = me(prober, from, &jar.text()).await;
    let mut seen = format!("status {status}");
    let mut is_in = (200..300).contains(&status);
    let mut verdict = match status {
        401 => "refused".to_owned(),
        200..300 => "still logged in: a copied cookie outlives the logout".to_owned(),
        _ => "neither logged in nor refused".to_owned(),
    };
    let access = jar.0.iter().find(|(name, _)| is_sessions(name) && !is_refresh(name));
    if let Some(token) = access.and_then(|(_, value)| token::read(value)).filter(|_| is_in) {
        let life = token.life.map_or_else(String::new, |s| format!(", {s} s after it was signed"));
        verdict = format!(
            "still logged in until the token expires{life}: only a deny-list ends a signed token sooner"
        );
    }
    if jar.0.keys().any(|name| is_refresh(name)) {
        let mut thief = Client::with_text(from, jar.text());
        let visit = prober.request(&mut thief, Method::POST, "/api/refresh".to_owned(), String::new()).await;
        let refreshed = visit.answer.map_or(0, |a| a.status);
        seen.push_str(&format!("; POST /api/refresh: {refreshed}"));
        if (200..300).contains(&refreshed) {
            is_in = true;
            verdict.push_str("; and the refresh token gets new ones");
        }
    }
    let mark = match status {
        _ if is_in => Mark::Bad,
        401 => Mark::Good,
        _ => Mark::Note,
    };
    let (id, asked) = ASKED[1];
    prober.find(id, mark, asked, seen, verdict);
}
