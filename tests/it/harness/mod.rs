//! Three lines of setup, one claim: backends that do as they are told, a homing around them, clients that keep cookies.

mod backend;
pub(crate) mod chromium;
mod client;
pub(crate) mod fronts;
pub(crate) mod grpc;
pub(crate) mod h2;
pub(crate) mod http2;
pub(crate) mod http2_backend;
mod process;
pub(crate) mod program;
mod serve;
pub(crate) mod websocket;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use homing::app::{self, Running};
use homing::backend::BackendIx;
use homing::config::{Environment, Loaded, Sources};
use homing::control::Signals;
use homing::control::reload::Origin;
use homing::snapshot::carried::Carried;
use homing::snapshot::phases::Phase;
use homing::strategy::Registry;

pub(crate) use backend::{Backend, Does, backend, bound};
pub(crate) use client::{Client, Reply, exchange, get, open, read_reply};
pub(crate) use process::{Process, descriptors};

/// Long enough for anything that happens at all, short enough to fail in one's lifetime.
pub(crate) const LIMIT: Duration = Duration::from_secs(10);

/// A homing that serves until it is dropped.
pub(crate) struct Homing {
    pub(crate) address: SocketAddr,
    pub(crate) admin: SocketAddr,
    running: Option<Running>,
}

/// What the homing under test is given.
pub(crate) struct Setup {
    listener: String,
    pool: String,
    rest: String,
    backends: Vec<String>,
}

/// A homing with one listener and one pool over `backends`.
pub(crate) fn homing(backends: &[&Backend]) -> Setup {
    let backends = backends
        .iter()
        .map(|b| format!("{{ name = \"{}\", address = \"{}\" }}", b.name, b.address))
        .collect();
    Setup { listener: String::new(), pool: String::new(), rest: String::new(), backends }
}

impl Setup {
    /// Keys of the listener.
    pub(crate) fn listener(mut self, toml: &str) -> Self {
        self.listener.push_str(toml);
        self
    }

    /// Keys of the pool, ahead of its tables.
    pub(crate) fn pool(mut self, toml: &str) -> Self {
        self.pool.push_str(toml);
        self
    }

    /// Everything else, behind the pool.
    pub(crate) fn with(mut self, toml: &str) -> Self {
        self.rest.push_str(toml);
        self
    }

    /// Cookie affinity under the name `srv`.
    pub(crate) fn cookie(self) -> Self {
        self.with("\n[pool.affinity]\nmode = \"cookie\"\nname = \"srv\"\n")
    }

    pub(crate) fn toml(&self) -> String {
        let backends = match self.backends.as_slice() {
            [] => String::new(),
            some => format!("backends = [{}]", some.join(", ")),
        };
        format!(
            "workers = 2\n[admin]\nlisten = \"127.0.0.1:0\"\n[access_log]\nformat = \"off\"\n[shutdown]\nnotice = \"1ms\"\n\
             drain = \"5s\"\n[[listener]]\nname = \"web\"\nlisten = \"127.0.0.1:0\"\naffinity_header = true\n{}\n[[pool]]\n\
             name = \"app\"\n{}\n{}\n{}",
            self.listener, self.pool, backends, self.rest
        )
    }

    /// Starts it with keys of its own.
    pub(crate) fn run(&self) -> Homing {
        self.run_with(&Environment::detect().unwrap())
    }

    /// Starts it with its text changed.
    pub(crate) fn run_edited(&self, edit: impl FnOnce(&str) -> String) -> Homing {
        self.run_edited_with(&Environment::detect().unwrap(), edit)
    }

    /// The same with the keys of `environment`.
    pub(crate) fn run_edited_with(
        &self,
        environment: &Environment,
        edit: impl FnOnce(&str) -> String,
    ) -> Homing {
        start(&edit(&self.toml()), environment, Registry::built_in())
    }

    /// Starts what another text says, with the keys of `environment`.
    pub(crate) fn run_text(&self, text: &str, environment: &Environment) -> Homing {
        start(text, environment, Registry::built_in())
    }

    /// Starts what another text says, with the strategies of `registry`.
    pub(crate) fn run_among(&self, registry: Registry, text: &str) -> Homing {
        start(text, &Environment::detect().unwrap(), registry)
    }

    /// Starts it with the keys of `environment`, which two nodes may share.
    pub(crate) fn run_with(&self, environment: &Environment) -> Homing {
        start(&self.toml(), environment, Registry::built_in())
    }
}

fn start(text: &str, environment: &Environment, registry: Registry) -> Homing {
    let sources = Sources::text(text, Path::new("test"));
    let loaded = sources.build(&registry, environment, &Carried::default());
    let Loaded { plan, warnings } = loaded.unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    let origin = Origin { sources, registry, environment: environment.clone(), warnings };
    let running = app::start(plan, Some(origin), Signals::Leave).unwrap();
    let address = running.listeners[0].2.unwrap();
    // The control plane has begun: what a test does to the load of a backend is not undone by its first look.
    assert_eq!(get(running.admin.unwrap(), "/healthz").status, 200);
    Homing { address, admin: running.admin.unwrap(), running: Some(running) }
}

impl Homing {
    /// A client with a cookie jar and a connection per request.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.address)
    }

    /// The address of another listener than the first.
    pub(crate) fn other(&self, name: &str) -> SocketAddr {
        let mut listeners = self.running.as_ref().unwrap().listeners.iter();
        listeners.find_map(|(n, _, address)| address.filter(|_| **n == *name)).unwrap()
    }

    /// Sends bytes on a new connection and reads one reply.
    pub(crate) fn send(&self, bytes: impl AsRef<[u8]>) -> Reply {
        exchange(self.address, bytes.as_ref())
    }

    /// Asks the admin listener to change something, as a program on this machine does.
    pub(crate) fn post(&self, path: &str, body: &str) -> Reply {
        post(self.admin, path, body)
    }

    /// What the admin listener tells at `path`, as JSON.
    pub(crate) fn told(&self, path: &str) -> serde_json::Value {
        get(self.admin, path).json()
    }

    pub(crate) fn phases(&self) -> Arc<homing::snapshot::phases::Phases> {
        Arc::clone(&self.running.as_ref().unwrap().phases)
    }

    /// Cuts the tunnels of the first pool's backend at this place.
    pub(crate) fn cut(&self, backend: u16) {
        let published = &self.running.as_ref().unwrap().published;
        published.cut(published.load().plan.pools[0].members.get(BackendIx(backend)));
    }

    /// Takes that back.
    pub(crate) fn mend(&self, backend: u16) {
        let published = &self.running.as_ref().unwrap().published;
        published.load().plan.pools[0].members.get(BackendIx(backend)).load.mend();
    }

    /// Tunnels of the first pool's backend at this place.
    pub(crate) fn tunnels(&self, backend: u16) -> u32 {
        let published = &self.running.as_ref().unwrap().published;
        published.load().plan.pools[0].members.get(BackendIx(backend)).load.tunnels()
    }

    /// Waits until `condition` holds for the text of `path` on the admin listener.
    pub(crate) fn until(&self, path: &str, condition: impl Fn(&str) -> bool) {
        let mut last = String::new();
        until(|| {
            last = String::from_utf8(get(self.admin, path).body).unwrap();
            condition(&last)
        });
    }

    /// Ends it and waits for its threads.
    pub(crate) fn join(mut self) {
        self.running.take().unwrap().join().unwrap();
    }
}

impl Drop for Homing {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.phases.advance(Phase::Cut);
            let _ = running.join();
        }
    }
}

/// Asks the admin listener at this address to change something.
pub(crate) fn post(admin: SocketAddr, path: &str, body: &str) -> Reply {
    let length = body.len();
    let head =
        format!("POST {path} HTTP/1.1\r\nHost: {admin}\r\nX-Homing: 1\r\nContent-Length: {length}\r\n\r\n");
    exchange(admin, (head + body).as_bytes())
}

/// A client whose home is `home`.
pub(crate) fn client_at(homing: &Homing, home: &str) -> Client {
    let served = |mut client: Client| (client.get("/").served_by() == home).then_some(client);
    (0..100).find_map(|_| served(homing.client())).unwrap_or_else(|| panic!("no new session goes to {home}"))
}

/// Lets what goes on go on for a while: to pace a load, never to wait for a state.
pub(crate) fn pause(lasts: Duration) {
    let until = Instant::now() + lasts;
    while let Some(left) = until.checked_duration_since(Instant::now()) {
        std::thread::park_timeout(left);
    }
}

/// Waits until `condition` holds, within the limit.
pub(crate) fn until(mut condition: impl FnMut() -> bool) {
    let began = Instant::now();
    while !condition() {
        assert!(began.elapsed() < LIMIT, "it did not come about in {LIMIT:?}");
        std::thread::park_timeout(Duration::from_millis(1));
    }
}
