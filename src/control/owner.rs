//! The owner of what is true: does what operators ask for, one thing after the other.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};

use super::board::{Board, Level};
use super::checker::{Checkers, Good, Probed};
use super::reload::Reloader;
use super::state::{State, Wish};
use crate::snapshot::phases::Phases;
use crate::snapshot::published::Published;
use crate::telemetry::metrics::Metrics;

/// What may be asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    /// The configuration is read again; a dry one only says what would change.
    Reload { is_dry: bool },
    /// A backend's administrative state.
    Set { pool: String, backend: String, wish: Wish },
    /// A backend's weight; `None` is as configured.
    Weigh { pool: String, backend: String, weight: Option<u16> },
}

/// An order, who gives it, and whom to tell what came of it.
#[derive(Debug)]
pub(super) struct Ask {
    order: Order,
    by: String,
    reply: oneshot::Sender<Result<Value, Refused>>,
}

/// Why an order was not carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// There is no such pool or backend.
    Unknown(String),
    /// It is wrong: a configuration with mistakes, say.
    Wrong(String),
    /// It cannot be done here or now.
    Impossible(String),
}

/// Owns the state, and what follows from it.
#[derive(Debug)]
pub(super) struct Owner {
    pub(super) state: State,
    pub(super) published: Arc<Published>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) phases: Arc<Phases>,
    pub(super) board: Arc<Board>,
    pub(super) checkers: Checkers,
    pub(super) reloader: Option<Reloader>,
}

impl Ask {
    /// An order and the end at which its answer arrives.
    pub(super) fn new(order: Order, by: &str) -> (Self, oneshot::Receiver<Result<Value, Refused>>) {
        let (reply, answer) = oneshot::channel();
        (Self { order, by: by.to_owned(), reply }, answer)
    }
}

impl Owner {
    /// The owner of the published snapshot; begins to probe.
    pub(super) fn new(
        published: Arc<Published>,
        metrics: Arc<Metrics>,
        phases: Arc<Phases>,
        board: Arc<Board>,
        reloader: Option<Reloader>,
        probed: mpsc::Sender<Probed>,
    ) -> Self {
        let state = State::new(Arc::clone(&published), Arc::clone(&metrics), Arc::clone(&board));
        let mut checkers = Checkers::new(probed);
        checkers.follow(&published.load().plan);
        if let Some(reloader) = &reloader {
            reloader.introduce(&board, &metrics);
        }
        Self { state, published, metrics, phases, board, checkers, reloader }
    }

    /// Carries out an order and tells what came of it.
    pub(super) async fn obey(&mut self, ask: Ask) {
        let Ask { order, by, reply } = ask;
        tracing::info!(%by, ?order, "audit");
        let done = self.carry_out(order).await;
        if let Err(refused) = &done {
            tracing::warn!(%by, "refused: {}", refused.text());
        }
        // Who asked may have gone.
        let _ = reply.send(done);
    }

    /// A probe ended.
    pub(super) async fn probed(&mut self, probed: Probed) {
        let (pool, backend) = (Arc::clone(&probed.pool), probed.backend.clone());
        let weight = match &probed.result {
            Ok(Good::Answered(_, weight) | Good::Drain(_, weight)) => Some(*weight),
            Ok(Good::Connected | Good::Serving) | Err(_) => None,
        };
        self.state.probed(probed);
        if let Some(weight) = weight {
            self.weight_asked(&pool, &backend, weight).await;
        }
    }

    /// Time passed.
    pub(super) async fn tick(&mut self, now: Duration) {
        self.state.tick(now);
        self.drop_emptied().await;
    }

    /// When [`Self::tick`] has something to do.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.state.next_due()
    }

    async fn carry_out(&mut self, order: Order) -> Result<Value, Refused> {
        match order {
            Order::Reload { is_dry } => self.reload(is_dry).await,
            Order::Set { pool, backend, wish } => {
                if wish == Wish::Ready && self.is_leaving(&pool, &backend) {
                    return Err(Refused::Impossible(format!(
                        "backend {pool}/{backend} is not in the configuration any more: put it back there and reload"
                    )));
                }
                self.state.set(&pool, &backend, wish).ok_or_else(|| self.unknown(&pool, &backend))?;
                Ok(json!({ "pool": pool, "backend": backend }))
            }
            Order::Weigh { pool, backend, weight } => {
                if self.state.find(&pool, &backend).is_none() {
                    return Err(self.unknown(&pool, &backend));
                }
                self.weigh(&pool, &backend, weight).await?;
                let text = match weight {
                    Some(weight) => format!("backend {pool}/{backend}: weight {weight}"),
                    None => format!("backend {pool}/{backend}: weight as configured"),
                };
                self.board.event(Level::Info, text);
                Ok(json!({ "pool": pool, "backend": backend, "weight": weight }))
            }
        }
    }

    fn is_leaving(&self, pool: &str, backend: &str) -> bool {
        let plan = Arc::clone(&self.published.load().plan);
        let pool = plan.pools.iter().find(|p| &*p.name == pool);
        pool.is_some_and(|p| p.members.find(backend).is_some_and(|ix| p.members.get(ix).leaving))
    }

    /// There is no such backend, and these there are.
    fn unknown(&self, pool: &str, backend: &str) -> Refused {
        let plan = Arc::clone(&self.published.load().plan);
        let list = |names: Vec<&str>| names.join(", ");
        Refused::Unknown(match plan.pools.iter().find(|p| &*p.name == pool) {
            None => {
                let names = list(plan.pools.iter().map(|p| &*p.name).collect());
                format!("no pool {pool:?}; there are: {names}")
            }
            Some(it) => {
                let names = list(it.members.iter().map(|(_, b)| b.id.as_str()).collect());
                format!("no backend {backend:?} in pool {pool:?}; there are: {names}")
            }
        })
    }
}

impl Refused {
    /// For people.
    pub(super) fn text(&self) -> &str {
        match self {
            Self::Unknown(text) | Self::Wrong(text) | Self::Impossible(text) => text,
        }
    }
}
