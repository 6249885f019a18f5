//! What the control plane tells about itself beside the snapshot: the last check of every backend, drains, what the
//! operator set, how reloads went, and what happened of late. Written by the owner of the state, read by the admin
//! listener.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::drain::Drain;
use crate::backend::BackendId;
use crate::backend::availability::AdminState;
use crate::base::time::UnixSeconds;

/// Events that are kept, the oldest first to go.
const EVENTS: usize = 200;

/// A pool's name and a backend's id.
pub(super) type Key = (Arc<str>, BackendId);

/// What is told; within the control plane only.
#[derive(Debug, Default)]
pub(super) struct Board {
    told: Mutex<Told>,
    happened: Notify,
}

/// All of it at one moment.
#[derive(Clone, Debug, Default)]
pub(super) struct Told {
    pub(super) backends: BTreeMap<Key, Notes>,
    pub(super) events: VecDeque<Event>,
    pub(super) config: ConfigState,
}

/// What is told of one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes {
    pub(super) check: Option<LastCheck>,
    pub(super) drain: Option<Drain>,
    /// The administrative state that the operator set in place of the configured one.
    pub(super) admin: Option<Override<AdminState>>,
    /// The same of the weight.
    pub(super) weight: Option<Override<u16>>,
}

/// What the operator set at run time, and the configured value in whose place it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Override<T> {
    pub(super) value: T,
    pub(super) covers: T,
    pub(super) since: UnixSeconds,
}

/// A backend's last check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastCheck {
    /// Whether it was good.
    pub(super) is_good: bool,
    /// What came of it: `status 200`, `connect refused`.
    pub(super) text: String,
    /// When it ended.
    pub(super) at: UnixSeconds,
}

/// Something that happened.
#[derive(Clone, Debug)]
pub(super) struct Event {
    /// Grows by one with each.
    pub(super) number: u64,
    pub(super) at: UnixSeconds,
    pub(super) level: Level,
    pub(super) text: String,
}

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    Info,
    Warning,
    Error,
}

/// The configuration in force.
#[derive(Clone, Debug, Default)]
pub(super) struct ConfigState {
    /// Where it was read from.
    pub(super) source: String,
    /// Tells one text from another.
    pub(super) hash: String,
    /// When it was loaded.
    pub(super) loaded: UnixSeconds,
    /// What is probably not meant.
    pub(super) warnings: Vec<String>,
    /// The last reload that was asked for, if there was one.
    pub(super) last_reload: Option<Reloaded>,
}

/// How a reload went.
#[derive(Clone, Debug)]
pub(super) struct Reloaded {
    pub(super) at: UnixSeconds,
    pub(super) is_ok: bool,
    /// What changed, or what is wrong.
    pub(super) text: String,
}

impl Board {
    /// All that is told now.
    pub(super) fn told(&self) -> Told {
        self.told.lock().clone()
    }

    /// Changes what is told; short, for the admin listener waits meanwhile.
    pub(super) fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock());
    }

    /// Changes what is told of one backend.
    pub(super) fn note(&self, pool: &Arc<str>, backend: &BackendId, change: impl FnOnce(&mut Notes)) {
        let key = (Arc::clone(pool), backend.clone());
        change(self.told.lock().backends.entry(key).or_default());
    }

    /// Logs something that happened, and keeps it for the page.
    pub(super) fn event(&self, level: Level, text: String) {
        match level {
            Level::Info => tracing::info!("{text}"),
            Level::Warning => tracing::warn!("{text}"),
            Level::Error => tracing::error!("{text}"),
        }
        let mut told = self.told.lock();
        let number = told.events.back().map_or(1, |last| last.number + 1);
        if told.events.len() >= EVENTS {
            told.events.pop_front();
        }
        told.events.push_back(Event { number, at: UnixSeconds::now(), level, text });
        drop(told);
        self.happened.notify_one();
    }

    /// Waits for the next event; one that came since the last call counts. For one who waits.
    pub(super) async fn happened(&self) {
        self.happened.notified().await;
    }

    /// The events after this number, the oldest first.
    pub(super) fn events_after(&self, number: u64) -> Vec<Event> {
        self.told.lock().events.iter().filter(|event| event.number > number).cloned().collect()
    }
}

impl Told {
    /// What is told of one backend.
    pub(super) fn of(&self, pool: &Arc<str>, backend: &BackendId) -> Notes {
        self.backends.get(&(Arc::clone(pool), backend.clone())).cloned().unwrap_or_default()
    }
}

impl Event {
    /// As the API tells it.
    pub(super) fn json(&self) -> Value {
        json!({ "number": self.number, "at": self.at.0, "level": self.level.as_str(), "text": self.text })
    }
}

impl ConfigState {
    /// As the API tells it.
    pub(super) fn json(&self) -> Value {
        let reload = self.last_reload.as_ref();
        json!({
            "source": self.source,
            "hash": self.hash,
            "loaded": self.loaded.0,
            "warnings": self.warnings,
            "last_reload": reload.map(|r| json!({ "at": r.at.0, "ok": r.is_ok, "text": r.text })),
        })
    }
}

impl Level {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}
