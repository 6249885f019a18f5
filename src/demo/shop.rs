//! The shop: register, log in, who am I, a cart, log out, log out everywhere.
//!
//! Every answer names the backend and its boot. What a store could not do is a 503 with its reason and is counted: it
//! is no lost session.

use http::{HeaderName, HeaderValue, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::backend::{Backend, count};
use super::password;
use super::routes::{Asked, Told};
use super::sessions::{Failed, Found, Given};
use super::wire::Fault;

/// Characters of a user's name, of a password, and of a thing in the cart.
const NAME_LIMIT: usize = 40;
const PASSWORD_LIMIT: usize = 128;
const ITEM_LIMIT: usize = 40;

/// With this password a user is registered at the first login, where that is allowed.
const OPEN: &str = "demo";

/// Says whether what was ended is over now, or when its token expires.
const REVOCATION: HeaderName = HeaderName::from_static("x-revocation");

pub(super) async fn register(backend: &Backend, asked: &Asked) -> Told {
    let (user, password) = match credentials(asked) {
        Ok(both) => both,
        Err(wrong) => return error(backend, StatusCode::BAD_REQUEST, wrong),
    };
    let hash = match backend.hasher.hash(password).await {
        Ok(hash) => hash,
        Err(failed) => return hashing(backend, failed),
    };
    match backend.accounts.add(&user, &hash).await {
        Ok(true) => say(backend, StatusCode::CREATED, [("user", user.into())]),
        Ok(false) => error(backend, StatusCode::CONFLICT, "this name is taken"),
        Err(fault) => store(backend, &fault),
    }
}

pub(super) async fn log_in(backend: &Backend, asked: &Asked) -> Told {
    let (user, password) = match credentials(asked) {
        Ok(both) => both,
        Err(wrong) => return error(backend, StatusCode::BAD_REQUEST, wrong),
    };
    let began = Instant::now();
    match is_right(backend, &user, password).await {
        Ok(true) => {}
        Ok(false) => return error(backend, StatusCode::UNAUTHORIZED, "name and password do not match"),
        Err(told) => return told,
    }
    let checked = began.elapsed();
    match backend.sessions.begin(&asked.shown, &user, backend.name()).await {
        Ok(given) => {
            count(&backend.counts.logins);
            let mut told = of_session(backend, &given, "new");
            if asked.traced {
                let took = began.elapsed().saturating_sub(checked);
                let trace = json!({
                    "checked_us": micros(checked), "took_us": micros(took),
                    "hue": backend.hue, "sessions": backend.options.sessions.to_string(),
                });
                put(&mut told, "trace", trace);
            }
            told
        }
        Err(failed) => unavailable(backend, &failed),
    }
}

/// Whether it is the user's password; whoever comes with the open one for the first time is registered.
async fn is_right(backend: &Backend, user: &str, password: String) -> Result<bool, Told> {
    let faulty = |fault: Fault| store(backend, &fault);
    let mut hash = backend.accounts.find(user).await.map_err(faulty)?;
    if hash.is_none() && backend.options.open_registration && password == OPEN {
        let new = backend.hasher.hash(password.clone()).await.map_err(|failed| hashing(backend, failed))?;
        if backend.accounts.add(user, &new).await.map_err(faulty)? {
            return Ok(true);
        }
        hash = backend.accounts.find(user).await.map_err(faulty)?;
    }
    backend.hasher.check(password, hash).await.map_err(|failed| hashing(backend, failed))
}

pub(super) async fn me(backend: &Backend, asked: &Asked) -> Told {
    let began = Instant::now();
    let found = backend.sessions.find(&asked.shown).await;
    let took = began.elapsed();
    let mut told = match found {
        Ok(Found::Known(session)) => of_session(backend, &Given { session, cookies: vec![] }, "hit"),
        Ok(found) => no_session(backend, &found),
        Err(failed) => return unavailable(backend, &failed),
    };
    if asked.traced {
        let trace = json!({
            "took_us": micros(took), "sessions": backend.options.sessions.to_string(),
            "hue": backend.hue, "shown": backend.sessions.describe(&asked.shown),
        });
        put(&mut told, "trace", trace);
    }
    told
}

pub(super) async fn add(backend: &Backend, asked: &Asked) -> Told {
    let Some(item) = text(&asked.body, "item", ITEM_LIMIT) else {
        return error(backend, StatusCode::BAD_REQUEST, "item must be a text of 1 to 40 characters");
    };
    match backend.sessions.add(&asked.shown, &item).await {
        Ok(Ok(given)) => {
            let mut told = of_session(backend, &given, "hit");
            // The client knows of a later one than we had: we have brought an old cart back.
            let seen = asked.body.get("seen").and_then(Value::as_u64);
            if seen.is_some_and(|seen| seen >= given.session.version) {
                put(&mut told, "stale", true.into());
            }
            told
        }
        Ok(Err(found)) => no_session(backend, &found),
        Err(failed) => unavailable(backend, &failed),
    }
}

pub(super) async fn log_out(backend: &Backend, asked: &Asked) -> Told {
    match backend.sessions.end(&asked.shown).await {
        Ok(()) => goodbye(backend),
        Err(failed) => unavailable(backend, &failed),
    }
}

pub(super) async fn log_out_everywhere(backend: &Backend, asked: &Asked) -> Told {
    match backend.sessions.end_everywhere(&asked.shown).await {
        Ok(Ok(())) => goodbye(backend),
        Ok(Err(found)) => no_session(backend, &found),
        Err(failed) => unavailable(backend, &failed),
    }
}

pub(super) async fn refresh(backend: &Backend, asked: &Asked) -> Told {
    match backend.sessions.refresh(&asked.shown).await {
        Ok(Some(Ok(given))) => of_session(backend, &given, "refreshed"),
        Ok(Some(Err(found))) => no_session(backend, &found),
        Ok(None) => error(backend, StatusCode::NOT_FOUND, "there are no tokens here to refresh"),
        Err(failed) => unavailable(backend, &failed),
    }
}

fn credentials(asked: &Asked) -> Result<(String, String), &'static str> {
    let user = text(&asked.body, "user", NAME_LIMIT).ok_or("user must be a text of 1 to 40 characters")?;
    let password = asked.body.get("password").and_then(Value::as_str);
    let password = password.filter(|p| (1..=PASSWORD_LIMIT).contains(&p.chars().count()));
    Ok((user, password.ok_or("password must be a text of 1 to 128 characters")?.to_owned()))
}

/// A text without blanks around it and control characters in it.
fn text(body: &Value, name: &str, limit: usize) -> Option<String> {
    let text = body.get(name)?.as_str()?.trim();
    let is_fine = !text.is_empty() && text.chars().count() <= limit && !text.contains(char::is_control);
    is_fine.then(|| text.to_owned())
}

fn of_session(backend: &Backend, given: &Given, how: &'static str) -> Told {
    if how == "hit" {
        count(&backend.counts.hits);
    }
    let session = &given.session;
    let told = say(
        backend,
        StatusCode::OK,
        [
            ("user", session.user.as_str().into()),
            ("version", session.version.into()),
            ("created_by", session.created_by.as_str().into()),
            ("begun", session.born.into()),
            ("cart", session.cart.clone().into()),
            ("session", how.into()),
        ],
    );
    Told { cookies: given.cookies.clone(), ..told }
}

fn no_session(backend: &Backend, found: &Found) -> Told {
    let word = match found {
        Found::None => "none",
        Found::Unknown => "unknown",
        Found::Expired => "expired",
        Found::Revoked => "revoked",
        Found::Known(_) => "hit",
    };
    if matches!(found, Found::Unknown) {
        count(&backend.counts.misses);
    }
    say(backend, StatusCode::UNAUTHORIZED, [("session", word.into())])
}

fn goodbye(backend: &Backend) -> Told {
    let when = if backend.sessions.revokes() { "now" } else { "when the token expires" };
    Told {
        cookies: backend.sessions.take_back(),
        extra: Some((REVOCATION, HeaderValue::from_static(when))),
        ..say(backend, StatusCode::NO_CONTENT, [])
    }
}

fn hashing(backend: &Backend, failed: password::Failed) -> Told {
    count(&backend.counts.unavailable);
    error(backend, StatusCode::SERVICE_UNAVAILABLE, &failed.to_string())
}

fn unavailable(backend: &Backend, failed: &Failed) -> Told {
    match failed {
        Failed::Store(fault) => store(backend, fault),
        Failed::NoRandomness => hashing(backend, password::Failed::System),
    }
}

fn store(backend: &Backend, fault: &Fault) -> Told {
    count(&backend.counts.unavailable);
    let mut told = error(backend, StatusCode::SERVICE_UNAVAILABLE, &fault.to_string());
    put(&mut told, "reason", fault.reason().into());
    told
}

fn error(backend: &Backend, status: StatusCode, error: &str) -> Told {
    say(backend, status, [("error", error.into())])
}

fn say<const N: usize>(backend: &Backend, status: StatusCode, fields: [(&str, Value); N]) -> Told {
    let mut body = Map::new();
    body.insert("backend".to_owned(), (&**backend.name()).into());
    body.insert("boot".to_owned(), backend.boot.as_str().into());
    body.extend(fields.map(|(name, value)| (name.to_owned(), value)));
    Told { status, body: body.into(), cookies: vec![], extra: None }
}

fn put(told: &mut Told, name: &str, value: Value) {
    if let Some(body) = told.body.as_object_mut() {
        body.insert(name.to_owned(), value);
    }
}

fn micros(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}
