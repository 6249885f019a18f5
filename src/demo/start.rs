//! Several backends on one thread, alive as long as their owner holds them.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::backend::{End, run};
use super::options::Options;
use super::stage::Stage;

/// Running demo backends. Dropping it ends them, with whatever they were answering, and waits for their thread.
#[derive(Debug)]
pub struct Demo {
    addresses: Vec<(Arc<str>, SocketAddr)>,
    /// Never sent to: that it is gone is the message.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

/// Whether who uses the backends may kill and revive them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// They may, at `/demo/stage`: for a demo that only its own machine reaches.
    Directs,
    /// There is no such page.
    Watches,
}

/// Starts one backend per name, each on a free port of 127.0.0.1, all on one thread of their own. All are told the
/// same, and share their accounts, as the backends of a shop do.
///
/// They accept connections from the moment this returns.
///
/// # Errors
///
/// When a port cannot be bound, or the thread or its runtime cannot be had.
pub fn start(names: &[&str], options: &Options, audience: Audience) -> io::Result<Demo> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let mut addresses = Vec::with_capacity(names.len());
    let mut listeners = Vec::with_capacity(names.len());
    let accounts = options.accounts.clone().unwrap_or_default();
    {
        let _reactor = runtime.enter();
        for &name in names {
            let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
            listener.set_nonblocking(true)?;
            let name: Arc<str> = name.into();
            addresses.push((Arc::clone(&name), listener.local_addr()?));
            let options = Options { name, accounts: Some(accounts.clone()), ..options.clone() };
            listeners.push((options, TcpListener::from_std(listener)?));
        }
    }

    let (stop, stopped) = oneshot::channel::<()>();
    let actors = addresses.clone();
    let thread = thread::Builder::new().name("demo".into()).spawn(move || {
        let local = tokio::task::LocalSet::new();
        let stage = (audience == Audience::Directs).then(|| Rc::new(Stage::new(actors.into_iter())));
        let backends = async {
            let mut backends = JoinSet::new();
            for (options, listener) in listeners {
                // Each ends with the set: its own signal never comes.
                match &stage {
                    Some(stage) => backends.spawn_local(Rc::clone(stage).play(listener, options)),
                    None => backends.spawn_local(async move {
                        let stop = std::future::pending::<()>();
                        let _ = run(&listener, options, None, stop, End::Abrupt).await;
                    }),
                };
            }
            // An error says that the sender is gone, which is what we wait for.
            let _ = stopped.await;
        };
        local.block_on(&runtime, backends);
    })?;
    Ok(Demo { addresses, stop: Some(stop), thread: Some(thread) })
}

impl Demo {
    /// Each backend's name and where it listens, in the order of the names given to [`start`].
    #[must_use]
    pub fn addresses(&self) -> Vec<(Arc<str>, SocketAddr)> {
        self.addresses.clone()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic over there has already been printed; there is nothing left to end.
            let _ = thread.join();
        }
    }
}
