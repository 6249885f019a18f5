//! The sessions of a pool that keeps a table of them: listed, found, moved, ended.
//!
//! A session is named by its digest: whoever reads a list learns no id.

use std::sync::Arc;

use serde_json::{Value, json};

use super::View;
use super::reply::Failure;
use super::wishes::Which;
use crate::affinity::table::{Cursor, Digest, Held, NameNo, Table, Times};
use crate::base::time::UnixSeconds;
use crate::control::board::Level;
use crate::pool::Pool;

/// Sessions of a list that says nothing about it, and at most.
const LIMIT: (usize, usize) = (100, 1000);

/// The table of a pool's sessions and when they end, if it keeps one.
const fn table_of(_: &Pool) -> Option<(&Table, Times)> {
    None
}

/// One page of a pool's sessions: `backend`, `limit` and `cursor` of the query say which.
pub(super) fn list(
    view: &View,
    pool: &str,
    query: impl Fn(&str) -> Option<String>,
) -> Result<Value, Failure> {
    let pool = pool_of(view, pool)?;
    let (table, times) = table(&pool)?;
    let limit = query("limit").map_or(Ok(LIMIT.0), |text| {
        let limit = text.parse().ok().filter(|n| (1..=LIMIT.1).contains(n));
        limit.ok_or_else(|| Failure::wrong(format!("limit \"{text}\": must be from 1 to {}", LIMIT.1)))
    })?;
    let cursor = query("cursor").map_or(Ok(Cursor::default()), |text| {
        let cursor = text.parse().map(Cursor);
        cursor
            .map_err(|_| Failure::wrong(format!("cursor \"{text}\": must be the `next` of the page before")))
    })?;
    let home = query("backend").map(|backend| home(&pool, table, &backend)).transpose()?;
    let now = UnixSeconds::now();
    let page = table.page(cursor, limit, home);
    let live = page.sessions.iter().filter(|(_, held)| held.expired(now, times).is_none());
    Ok(json!({
        "sessions": live.map(|(digest, held)| told(table, *digest, held, now)).collect::<Vec<_>>(),
        "next": page.next.map(|cursor| cursor.0.to_string()),
        "total": table.figures().entries,
    }))
}

/// The session with this id.
pub(super) fn find(view: &View, pool: &str, id: &str) -> Result<Value, Failure> {
    let pool = pool_of(view, pool)?;
    let (table, times) = table(&pool)?;
    let (digest, now) = (table.digest(id.as_bytes()), UnixSeconds::now());
    let found = table.get(digest, now, times).filter(|found| found.expired.is_none());
    found.map(|found| told(table, digest, &found.held, now)).ok_or_else(no_such)
}

/// Gives a session another backend.
pub(super) fn move_to(view: &View, pool: &str, which: &Which, to: &str, by: &str) -> Result<Value, Failure> {
    let pool = pool_of(view, pool)?;
    let (table, _) = table(&pool)?;
    let (digest, home) = (digest(table, which)?, home(&pool, table, to)?);
    let was = table.move_to(digest, home).ok_or_else(no_such)?;
    let text = format!("session {digest} of pool {}: moved from {} to {to}", pool.name, table.text(was.home));
    done(view, text, by);
    Ok(told(table, digest, &Held { home, origin: None, ..was }, UnixSeconds::now()))
}

/// Ends a session.
pub(super) fn end(view: &View, pool: &str, which: &Which, by: &str) -> Result<Value, Failure> {
    let pool = pool_of(view, pool)?;
    let (table, _) = table(&pool)?;
    let digest = digest(table, which)?;
    let was = table.end(digest).ok_or_else(no_such)?;
    done(view, format!("session {digest} of pool {}: ended", pool.name), by);
    Ok(told(table, digest, &was, UnixSeconds::now()))
}

fn done(view: &View, text: String, by: &str) {
    tracing::info!(%by, "audit: {text}");
    view.board.event(Level::Info, text);
}

fn pool_of(view: &View, name: &str) -> Result<Arc<Pool>, Failure> {
    let plan = Arc::clone(&view.published.load().plan);
    let pool = plan.pools.iter().find(|pool| *pool.name == *name);
    pool.cloned().ok_or_else(|| Failure::unknown(format!("no pool \"{name}\"")))
}

fn table(pool: &Pool) -> Result<(&Table, Times), Failure> {
    table_of(pool).ok_or_else(|| {
        Failure::unknown(format!("pool \"{}\" keeps no table of its sessions: clients carry them", pool.name))
    })
}

fn home(pool: &Pool, table: &Table, backend: &str) -> Result<NameNo, Failure> {
    let known = pool.members.find(backend).and_then(|_| table.name(backend));
    known.ok_or_else(|| Failure::unknown(format!("no backend \"{backend}\" in pool \"{}\"", pool.name)))
}

fn digest(table: &Table, which: &Which) -> Result<Digest, Failure> {
    match which {
        Which::Id(id) => Ok(table.digest(id.as_bytes())),
        Which::Name(name) => Digest::parse(name)
            .ok_or_else(|| Failure::wrong(format!("name \"{name}\": must be 32 hex digits, as listed"))),
    }
}

fn no_such() -> Failure {
    Failure::unknown("no such session: it is over, or never was here")
}

fn told(table: &Table, digest: Digest, held: &Held, now: UnixSeconds) -> Value {
    json!({
        "name": digest.to_string(),
        "backend": *table.text(held.home),
        "issued": held.issued.0,
        "last_seen": held.last_seen.0,
        "idle_s": now.saturating_since(held.last_seen),
    })
}
