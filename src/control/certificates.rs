//! The files of listeners with TLS: looked at every two seconds and at every reload, taken where they are sound.
//!
//! What is not stays out, and what was there before stays in force: an error in the log, in the state and in the
//! metrics. Who must renew is told two weeks ahead, once a day.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use serde_json::{Value, json};

use super::board::{Board, Level};
use crate::base::time::UnixSeconds;
use crate::snapshot::Plan;
use crate::snapshot::published::Published;
use crate::telemetry::metrics::Metrics;

/// From one look at the files to the next.
const LOOK: Duration = Duration::from_secs(2);
/// How long before its end a certificate is warned of, seconds.
const SOON: u32 = 14 * 24 * 60 * 60;
/// From one such warning to the next, seconds.
const AGAIN: u32 = 24 * 60 * 60;

/// Looks at the files and takes what is sound; does not end.
pub(super) async fn watch(published: Arc<Published>, metrics: Arc<Metrics>, board: Arc<Board>) {
    let mut warned = AHashMap::new();
    loop {
        let plan = Arc::clone(&published.load().plan);
        look(&plan, &metrics, &board);
        warn(&plan, &board, &mut warned);
        tokio::time::sleep(LOOK).await;
    }
}

/// One look.
pub(super) fn look(plan: &Plan, metrics: &Metrics, board: &Board) {
    for listener in &plan.listeners {
        let Some(tls) = &listener.tls else {
            metrics.certificates(&listener.name, None, 0);
            continue;
        };
        let refreshed = tls.refresh();
        for what in &refreshed.changed {
            board.event(Level::Info, format!("listener {}: {what} is in force", listener.name));
        }
        for what in &refreshed.failed {
            let text = format!("listener {}: {what}; what was there before stays in force", listener.name);
            board.event(Level::Error, text);
        }
        metrics.certificates(&listener.name, Some(tls.certificates()), refreshed.failed.len() as u64);
    }
}

/// Warns of certificates that end soon, or have ended.
fn warn(plan: &Plan, board: &Board, warned: &mut AHashMap<(Arc<str>, String), UnixSeconds>) {
    let now = UnixSeconds::now();
    warned.retain(|_, at| now.saturating_since(*at) < AGAIN);
    for listener in &plan.listeners {
        for (name, end) in listener.tls.iter().flat_map(|tls| tls.certificates()) {
            let key = (Arc::clone(&listener.name), name);
            if end.saturating_since(now) >= SOON || warned.contains_key(&key) {
                continue;
            }
            let (days, name) = (end.saturating_since(now) / (24 * 60 * 60), &key.1);
            let text = match end > now {
                true => {
                    format!("listener {}: certificate {name} ends in {days} days, at {end}", listener.name)
                }
                false => format!("listener {}: certificate {name} has ended at {end}", listener.name),
            };
            board.event(Level::Warning, text);
            warned.insert(key, now);
        }
    }
}

/// What the state tells of certificates.
pub(super) fn json(plan: &Plan) -> Value {
    let listeners = plan.listeners.iter().filter_map(|listener| {
        let tls = listener.tls.as_ref()?;
        let pair = |(name, end): (String, UnixSeconds)| json!({ "name": name, "not_after": end.0 });
        Some(json!({
            "listener": *listener.name,
            "certificates": tls.certificates().into_iter().map(pair).collect::<Vec<_>>(),
            "errors": tls.wrong(),
        }))
    });
    listeners.collect()
}
