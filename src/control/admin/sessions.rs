//! The sessions of a pool that keeps a table of them: listed, found, moved, ended.
//!
//! A session is named by its digest: whoever reads a list learns no id.

use std::sync::Arc;

use serde_json::{Value, json};

use super::View;
use super::reply::Failure;
use super::wishes::Which;
use crate::affinity::carriers::Affinity;
use crate::affinity::kept::Kept;
use crate::affinity::table::{Cursor, Digest, Held, Table};
use crate::base::time::UnixSeconds;
use crate::control::board::Level;
use crate::pool::Pool;

/// Sessions of a list that says nothing about it, and at most.
const LIMIT: (usize, usize) = (100, 1000);

/// One page of a pool's sessions: `backend`, `limit` and `cursor` of the query say which.
pub(super) fn list(
    view: &View,
    pool: &str,
    query: impl Fn(&str) -> Option<String>,
) -> Result<Value, Failure> {
    let pool = pool_of(view, pool)?;
    let kept = kept(&pool)?;
    let (table, times) = (kept.table(), kept.times());
    let limit = query("limit").map_or(Ok(LIMIT.0), |text| {
        let limit = text.parse().ok().filter(|n| (1..=LIMIT.1).contains(n));
        limit.ok_or_else(|| Failure::wrong(format!("limit \"{text}\": must be from 1 to {}", LIMIT.1)))
    })?;
    let cursor = query("cursor").map_or(Ok(Cursor::default()), |text| {
        let cursor = text.parse().map(Cursor);
        cursor
            .map_err(|_| Failure::wrong(format!("cursor \"{text}\": must be the `next` of the page before")))
    })?;
    let home = query("backend").map(|backend| {
        let known = pool.members.find(&backend).and_then(|_| table.name(&backend));
        known.ok_or_else(|| no_backend(&pool, &backend))
    });
    let home = home.transpose()?;
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
    let (kept, now) = (kept(&pool)?, UnixSeconds::now());
    let digest = kept.digest(id.as_bytes());
    Ok(told(kept.table(), digest, &seen(kept, digest, now)?, now))
}

/// Gives a session another backend.
pub(super) fn move_to(view: &View, pool: &str, which: &Which, to: &str, by: &str) -> Result<Value, Failure> {
    let pool = pool_of(view, pool)?;
    let (kept, now) = (kept(&pool)?, UnixSeconds::now());
    let digest = digest(kept, which)?;
    let home = pool.members.find(to).ok_or_else(|| no_backend(&pool, to))?;
    let was = seen(kept, digest, now)?;
    if !kept.move_session(digest, home, &pool.members, now) {
        return Err(Failure::unavailable("full", "the table has no room for the backend's name"));
    }
    let from = kept.table().text(was.home);
    done(view, format!("session {digest} of pool {}: moved from {from} to {to}", pool.name), by);
    Ok(told(kept.table(), digest, &seen(kept, digest, now)?, now))
}

/// Ends a session.
pub(super) fn end(view: &View, pool: &str, which: &Which, by: &str) -> Result<Value, Failure> {
    let pool = pool_of(view, pool)?;
    let (kept, now) = (kept(&pool)?, UnixSeconds::now());
    let digest = digest(kept, which)?;
    let was = seen(kept, digest, now)?;
    kept.drop_session(digest, &pool.members, now);
    done(view, format!("session {digest} of pool {}: ended", pool.name), by);
    Ok(told(kept.table(), digest, &was, now))
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

fn kept(pool: &Pool) -> Result<&Kept, Failure> {
    pool.affinity.as_ref().and_then(Affinity::kept).ok_or_else(|| {
        Failure::unknown(format!("pool \"{}\" keeps no table of its sessions: clients carry them", pool.name))
    })
}

fn no_backend(pool: &Pool, backend: &str) -> Failure {
    Failure::unknown(format!("no backend \"{backend}\" in pool \"{}\"", pool.name))
}

fn digest(kept: &Kept, which: &Which) -> Result<Digest, Failure> {
    match which {
        Which::Id(id) => Ok(kept.digest(id.as_bytes())),
        Which::Name(name) => Digest::parse(name)
            .ok_or_else(|| Failure::wrong(format!("name \"{name}\": must be 32 hex digits, as listed"))),
    }
}

/// The session, if it is there and not over.
fn seen(kept: &Kept, digest: Digest, now: UnixSeconds) -> Result<Held, Failure> {
    let found = kept.table().get(digest, now, kept.times()).filter(|found| found.expired.is_none());
    let no_such = || Failure::unknown("no such session: it is over, or never was here");
    found.map(|found| found.held).ok_or_else(no_such)
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
