//! T17 to T19, against homing's application: fixation, replay after logout, altered tokens; and whether a login lasts.

use http::Method;

use super::findings::Mark;
use super::jar::Jar;
use super::prober::{Client, Cookies, From, Prober};

/// Where the application says who somebody is.
const ME: &str = "/api/me";
/// Requests behind a login.
const LASTS: usize = 20;

/// Does it, if there is somebody to log in as.
pub(super) async fn run(prober: &mut Prober<'_>) {
    let asked = [
        ("T17", "a session id that was there before the login"),
        ("T18", "the cookies of a session that has logged out"),
        ("T19", "a session's cookie with a letter changed"),
    ];
    let Some(login) = prober.settings.login.clone() else {
        for (id, asked) in asked {
            prober.leave_out(id, asked, "no --login");
        }
        return;
    };
    prober.say("login, logout, forged sessions");
    let from = prober.place();
    let (jar, before) = match log_in(prober, from, &login).await {
        Ok(done) => done,
        Err(why) => {
            for (id, asked) in asked {
                prober.leave_out(id, asked, &why);
            }
            return;
        }
    };
    let is_fixed = jar.0.iter().any(|(name, value)| before.0.get(name) == Some(value) && is_sessions(name));
    let verdict =
        if is_fixed { "it is kept: who planted it is logged in too" } else { "a new id is made at login" };
    let seen = format!("cookies after login: {}", jar.0.keys().cloned().collect::<Vec<_>>().join(", "));
    prober.find("T17", if is_fixed { Mark::Bad } else { Mark::Good }, asked[0].1, seen, verdict);
    if lasts(prober, from, &jar).await < LASTS {
        for (id, asked) in &asked[1..] {
            prober.leave_out(
                id,
                asked,
                "the login itself does not last here, so that a refusal says nothing",
            );
        }
        return;
    }
    altered(prober, from, &jar, asked[2].1).await;
    let mut client = Client::browser(from, jar.clone());
    prober.request(&mut client, Method::POST, "/api/logout".to_owned(), String::new()).await;
    let status = me(prober, from, &jar.text()).await;
    let (mark, verdict) = if status == 401 {
        (Mark::Good, "refused")
    } else if (200..300).contains(&status) {
        (Mark::Bad, "still logged in: a copied cookie outlives the logout")
    } else {
        (Mark::Note, "neither logged in nor refused")
    };
    prober.find("T18", mark, asked[1].1, format!("status {status}"), verdict);
}

/// Logs in as a client that brings an id of somebody else's making: its cookies, and those from before.
async fn log_in(prober: &mut Prober<'_>, from: From, login: &str) -> Result<(Jar, Jar), String> {
    let planted = format!("{:032x}", prober.random.u128(..));
    let mut before = Jar::default();
    for name in ["session", "__Host-session", "token"] {
        before.0.insert(name.to_owned(), planted.clone());
    }
    let mut client = Client::browser(from, before.clone());
    let visit = prober.request(&mut client, Method::POST, "/api/login".to_owned(), login.to_owned()).await;
    let status = visit.answer.map_or(0, |a| a.status);
    let Cookies::Kept(mut jar) = client.cookies else { return Err("no cookies".to_owned()) };
    if !(200..300).contains(&status) {
        return Err(format!(
            "POST /api/login answers {status}: it is not homing's application, or does not know this user"
        ));
    }
    if jar.0.iter().any(|(name, value)| is_sessions(name) && before.0.get(name) != Some(value)) {
        // Planted names that the application does not use say nothing.
        jar.0.retain(|name, value| before.0.get(name) != Some(value));
    }
    Ok((jar, before))
}

/// Whether homing's application keeps its sessions by this cookie.
fn is_sessions(name: &str) -> bool {
    matches!(name.trim_start_matches("__Host-"), "session" | "token" | "refresh")
}

async fn me(prober: &mut Prober<'_>, from: From, cookies: &str) -> u16 {
    let mut client = Client::with_text(from, cookies.to_owned());
    client.path = super::prober::Path::Of(ME.to_owned());
    prober.visit(&mut client).await.answer.map_or(0, |a| a.status)
}

/// How many requests behind a login know the user.
async fn lasts(prober: &mut Prober<'_>, from: From, jar: &Jar) -> usize {
    let mut hits = 0;
    for _ in 0..LASTS {
        hits += usize::from((200..300).contains(&me(prober, from, &jar.text()).await));
        prober.fill().await;
    }
    let verdict = match hits {
        LASTS => "the login lasts, wherever requests go",
        0 => "the login is lost at once",
        _ => "the login comes and goes with the backend",
    };
    let mark = if hits == LASTS { Mark::Good } else { Mark::Bad };
    let seen = format!("{hits} of {LASTS} know the user");
    prober.find("T3b", mark, "a login and twenty requests behind it", seen, verdict);
    hits
}

async fn altered(prober: &mut Prober<'_>, from: From, jar: &Jar, asked: &str) {
    let mut seen = Vec::new();
    let mut is_believed = false;
    for (name, value) in jar.0.iter().filter(|(name, _)| is_sessions(name) && name.as_str() != "refresh") {
        let mut forged = vec![("altered", swapped(value))];
        if value.split('.').count() == 3 {
            // {"alg":"none"} in front, no signature behind. (RFC 8725 section 2.1)
            let claims = value.split('.').nth(1).unwrap_or_default();
            forged.push(("alg none", format!("eyJhbGciOiJub25lIn0.{claims}.")));
        }
        for (what, forged) in forged {
            let status = me(prober, from, &jar.text_with(name, &[&forged])).await;
            is_believed |= (200..300).contains(&status);
            seen.push(format!("{name} {what}: {status}"));
        }
    }
    if seen.is_empty() {
        return prober.leave_out("T19", asked, "no session cookie");
    }
    let verdict = if is_believed { "believed" } else { "refused" };
    prober.find("T19", if is_believed { Mark::Bad } else { Mark::Good }, asked, seen.join(", "), verdict);
}

/// One letter in the middle changed.
fn swapped(value: &str) -> String {
    let at = value.len() / 2;
    value.char_indices().map(|(i, c)| if i == at { if c == 'A' { 'B' } else { 'A' } } else { c }).collect()
}
