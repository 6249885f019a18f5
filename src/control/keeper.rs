//! Tables on disk: read when they are needed first, written on an interval and at the end.
//!
//! A file that is damaged is set aside with an error; a disk that is full is told of and survived. Sessions that began
//! after the last copy are lost only if the process is killed.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use tokio::time::Instant;

use super::board::{Board, Level};
use crate::affinity::table::Table;
use crate::base::time::UnixSeconds;
use crate::pool::Pool;
use crate::snapshot::Plan;
use crate::snapshot::published::Published;
use crate::store::disk;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::reasons::SnapshotEnd;

/// From one look to the next whether a copy is due and sessions are over.
const LOOK: Duration = Duration::from_secs(1);
/// Sessions that are freed at one look, per table.
const SWEPT: usize = 20_000;

/// The tables of `plan` that are kept in files, of pools that had none in the plan before.
pub(super) fn restore(
    plan: &Plan,
    previous: Option<&Plan>,
    metrics: &Metrics,
) -> AHashMap<Box<str>, Arc<Table>> {
    let now = UnixSeconds::now();
    let had_table = |pool: &Pool| {
        let before = previous.and_then(|p| p.pools.iter().find(|old| old.name == pool.name));
        before.is_some_and(|old| table(old).is_some())
    };
    let mut tables = AHashMap::new();
    for pool in plan.pools.iter().filter(|pool| !had_table(pool)) {
        let Some((path, affinity)) = pool.table_file.as_ref().zip(pool.affinity.as_ref()) else { continue };
        let Some(kept) = affinity.kept() else { continue };
        match disk::load(&path.path, kept.table().bounds(), now, kept.times()) {
            Ok(None) => {}
            Ok(Some(loaded)) => {
                let (sessions, age) = (loaded.table.figures().entries, now.saturating_since(loaded.saved));
                tracing::info!(
                    "pool {}: {sessions} sessions restored from {}, as they were {age} s ago ({} were over)",
                    pool.name,
                    path.path.display(),
                    loaded.expired
                );
                metrics.snapshot_ended(&pool.name, SnapshotEnd::Restored);
                tables.insert((*pool.name).into(), Arc::new(loaded.table));
            }
            Err(error) => {
                metrics.snapshot_ended(&pool.name, SnapshotEnd::Corrupt);
                let error = anyhow::Error::from(error);
                let aside = match disk::set_aside(&path.path, now) {
                    Ok(aside) => format!("set aside as {}", aside.display()),
                    Err(e) => format!("left where it is: {e}"),
                };
                tracing::error!("pool {}: no session is restored: {error:#}; the file is {aside}", pool.name);
            }
        }
    }
    tables
}

/// Counts the sessions of tables that were restored into `plan`.
pub(super) fn count(plan: &Plan, restored: &AHashMap<Box<str>, Arc<Table>>) {
    let now = UnixSeconds::now();
    for pool in plan.pools.iter().filter(|pool| restored.contains_key(&*pool.name)) {
        if let Some(kept) = pool.affinity.as_ref().and_then(|a| a.kept()) {
            kept.count_restored(&pool.members, now);
        }
    }
}

/// Writes copies as they are due and frees what is over; does not end.
pub(super) async fn keep(published: Arc<Published>, metrics: Arc<Metrics>, board: Arc<Board>) {
    let mut written: AHashMap<PathBuf, Instant> = AHashMap::new();
    let mut failing: AHashMap<PathBuf, String> = AHashMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let plan = Arc::clone(&published.load().plan);
        for pool in &plan.pools {
            if let Some(kept) = pool.affinity.as_ref().and_then(|a| a.kept()) {
                kept.sweep(UnixSeconds::now(), SWEPT);
            }
            let Some((file, table)) = pool.table_file.as_ref().zip(table(pool)) else { continue };
            let last = *written.entry(file.path.clone()).or_insert_with(Instant::now);
            if last.elapsed() < file.interval {
                continue;
            }
            let (path, table) = (file.path.clone(), Arc::clone(table));
            let saved =
                tokio::task::spawn_blocking(move || disk::save(&table, &path, UnixSeconds::now())).await;
            written.insert(file.path.clone(), Instant::now());
            let Ok(saved) = saved else { continue };
            let end = if saved.is_ok() { SnapshotEnd::Written } else { SnapshotEnd::Failed };
            metrics.snapshot_ended(&pool.name, end);
            match saved {
                Ok(saved) => {
                    tracing::debug!("pool {}: {} sessions written", pool.name, saved.sessions);
                    if failing.remove(&file.path).is_some() {
                        let text = format!("pool {}: its sessions are written to disk again", pool.name);
                        board.event(Level::Info, text);
                    }
                }
                Err(error) => {
                    let text = format!("{:#}", anyhow::Error::from(error));
                    // Told once, and again if it is another one.
                    if failing.insert(file.path.clone(), pool.name.to_string()).is_none() {
                        board.event(Level::Error, format!("pool {}: {text}", pool.name));
                    }
                }
            }
        }
    }
}

/// Writes the tables of pools that `after` has no more: when they come back, they go on with all of their sessions.
pub(super) async fn save_gone(before: &Arc<Plan>, after: &Plan) {
    let is_gone = |pool: &Pool| pool.table_file.is_some() && !after.pools.iter().any(|p| p.name == pool.name);
    let gone: Vec<_> = before.pools.iter().filter(|pool| is_gone(pool)).cloned().collect();
    if !gone.is_empty() {
        // Whoever reads one next waits for this; if it panics, the copy of before is there.
        let _ = tokio::task::spawn_blocking(move || save(&gone)).await;
    }
}

/// Writes every table that has a file, when nobody uses them any more.
pub fn save_all(plan: &Plan) {
    save(&plan.pools);
}

fn save(pools: &[Arc<Pool>]) {
    for pool in pools {
        let Some((file, table)) = pool.table_file.as_ref().zip(table(pool)) else { continue };
        match disk::save(table, &file.path, UnixSeconds::now()) {
            Ok(saved) => tracing::info!("pool {}: {} sessions written to disk", pool.name, saved.sessions),
            Err(error) => tracing::error!("pool {}: {:#}", pool.name, anyhow::Error::from(error)),
        }
    }
}

fn table(pool: &Pool) -> Option<&Arc<Table>> {
    pool.affinity.as_ref()?.kept().map(crate::affinity::kept::Kept::table)
}
