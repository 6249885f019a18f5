//! The demo's backends as their audience may kill and revive them: who lives, and whose turn it is.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::backend::{Backend, End, hue, run};
use super::options::Options;

/// Between an order to die and death: the answer to the order, which may come from whom it concerns, gets out first.
const LAST_WORDS: Duration = Duration::from_millis(100);

/// Between two attempts to have a port back.
const BIND_PAUSE: Duration = Duration::from_millis(100);

/// Everybody who plays.
#[derive(Debug)]
pub(super) struct Stage {
    actors: Vec<Actor>,
}

#[derive(Debug)]
struct Actor {
    name: Arc<str>,
    address: SocketAddr,
    /// Whether it shall live.
    wanted: watch::Sender<bool>,
    /// What this life of it is called; nothing while it is dead.
    boot: RefCell<Option<String>>,
}

/// Why an order was not carried out. The text is for who gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum OrderError {
    #[error("there is no backend of that name")]
    Nobody,
    #[error("the last one stays: nobody could revive the others")]
    Last,
}

impl Stage {
    pub(super) fn new(actors: impl Iterator<Item = (Arc<str>, SocketAddr)>) -> Self {
        let actor = |(name, address)| Actor {
            name,
            address,
            wanted: watch::Sender::new(true),
            boot: RefCell::new(None),
        };
        Self { actors: actors.map(actor).collect() }
    }

    /// Plays one backend, life after life, until the future is dropped.
    pub(super) async fn play(self: Rc<Self>, listener: TcpListener, options: Options) {
        let Some(actor) = self.actors.iter().find(|actor| actor.name == options.name) else { return };
        let mut wanted = actor.wanted.subscribe();
        let mut next = Some(listener);
        loop {
            if let Some(listener) = next.take() {
                let mut dies = wanted.clone();
                let death = dies.wait_for(|wanted| !wanted);
                // What cannot begin is dead, and looks it.
                let _ = run(&listener, options.clone(), Some(Rc::clone(&self)), death, End::Abrupt).await;
            }
            actor.boot.replace(None);
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            match TcpListener::bind(actor.address).await {
                Ok(listener) => next = Some(listener),
                Err(_) => tokio::time::sleep(BIND_PAUSE).await,
            }
        }
    }

    /// Says that a life of a backend has begun.
    pub(super) fn began(&self, name: &str, boot: &str) {
        if let Some(actor) = self.actors.iter().find(|actor| *actor.name == *name) {
            actor.boot.replace(Some(boot.to_owned()));
        }
    }

    /// Kills or revives a backend, soon.
    pub(super) fn order(self: &Rc<Self>, name: &str, alive: bool) -> Result<(), OrderError> {
        let at = self.actors.iter().position(|actor| *actor.name == *name).ok_or(OrderError::Nobody)?;
        let others = self.actors.iter().enumerate().filter(|(i, actor)| *i != at && *actor.wanted.borrow());
        if !alive && others.count() == 0 {
            return Err(OrderError::Last);
        }
        let stage = Rc::clone(self);
        tokio::task::spawn_local(async move {
            if !alive {
                tokio::time::sleep(LAST_WORDS).await;
            }
            if let Some(actor) = stage.actors.get(at) {
                // Two orders at once must not leave nobody.
                let lives = |actor: &&Actor| *actor.wanted.borrow();
                if alive || stage.actors.iter().filter(lives).count() > 1 {
                    actor.wanted.send_replace(alive);
                }
            }
        });
        Ok(())
    }

    /// Everybody, for the page.
    pub(super) fn tell(&self, by: &Backend) -> Value {
        let actors = self.actors.iter().map(|actor| {
            let mut told = json!({
                "name": &*actor.name, "address": actor.address.to_string(), "hue": hue(&actor.name),
                "alive": actor.boot.borrow().is_some(),
            });
            if let (Some(boot), Some(told)) = (&*actor.boot.borrow(), told.as_object_mut()) {
                told.insert("boot".into(), boot.as_str().into());
            }
            told
        });
        json!({
            "backend": &**by.name(), "boot": by.boot, "sessions": by.options.sessions.to_string(),
            "backends": actors.collect::<Vec<_>>(),
        })
    }
}
