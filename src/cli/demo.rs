//! `homing demo`: a proxy and three backends of the shop, in one process, with the store that their sessions are to
//! live in.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::Context as _;
use clap::Args;

use super::{environment, log_to_standard_error, print, read_quietly};
use crate::app;
use crate::config::Sources;
use crate::control::Signals;
use crate::control::reload::Origin;
use crate::demo::{self, Algorithm, Audience, Keys, Options, Place, Server, Software};
use crate::snapshot::carried::Carried;
use crate::strategy::Registry;

#[derive(Args, Debug)]
pub(super) struct DemoArgs {
    /// Where the proxy listens
    #[arg(long, default_value = "127.0.0.1:8080", value_name = "ADDRESS")]
    listen: String,
    /// How a backend is chosen for a new session
    #[arg(long, default_value = "round_robin", value_name = "NAME")]
    strategy: String,
    /// `cookie`, or `none` to see sessions lost
    #[arg(long, default_value = "cookie", value_name = "MODE")]
    affinity: String,
    /// Where sessions live: `memory` of each backend, a `redis` or `memcached` of the demo's own, or `jwt`, which is a
    /// signed token (`jwt:rs256`, `jwt:es256`, `jwt:eddsa`)
    #[arg(long, default_value = "memory", value_name = "PLACE")]
    sessions: Where,
    /// Where /metrics, /healthz and /readyz are served
    #[arg(long, default_value = "127.0.0.1:9900", value_name = "ADDRESS")]
    admin: String,
}

/// As a place, but a store needs no address: it is started.
#[derive(Clone, Debug)]
enum Where {
    Memory,
    Own(Software),
    Jwt(Algorithm),
}

impl FromStr for Where {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse()) {
            ("redis", _) => Ok(Self::Own(Software::Redis)),
            ("memcached", _) => Ok(Self::Own(Software::Memcached)),
            (_, Ok(Place::Memory)) => Ok(Self::Memory),
            (_, Ok(Place::Jwt(algorithm))) => Ok(Self::Jwt(algorithm)),
            _ => Err("must be memory, redis, memcached or jwt[:hs256|rs256|es256|eddsa]".to_owned()),
        }
    }
}

pub(super) fn demo(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let server = match args.sessions {
        Where::Own(software) => Some(Server::start(software)?),
        Where::Memory | Where::Jwt(_) => None,
    };
    let (sessions, keys) = match (&args.sessions, &server) {
        (_, Some(server)) => (server.place(), None),
        (Where::Jwt(algorithm), _) => (Place::Jwt(*algorithm), Some(Arc::new(Keys::generate(*algorithm)?))),
        _ => (Place::Memory, None),
    };
    let options = Options { sessions, keys, open_registration: true, ..Options::named("shop") };
    let is_loopback = args.listen.parse::<SocketAddr>().is_ok_and(|at| at.ip().is_loopback());
    let audience = if is_loopback { Audience::Directs } else { Audience::Watches };
    let backends =
        demo::start(&["amber", "birch", "coral"], &options, audience).context("start the demo's backends")?;
    let list: String = backends
        .addresses()
        .iter()
        .map(|(name, a)| format!("  {{ name = \"{name}\", address = \"{a}\" }},\n"))
        .collect();
    let text = format!(
        "[admin]\nlisten = {:?}\n\n[access_log]\nformat = \"off\"\n\n[[listener]]\nname = \"web\"\nlisten = {:?}\n\
         affinity_header = true\n\n[[pool]]\nname = \"demo\"\nstrategy = {:?}\nbackends = [\n{list}]\n\n\
         [pool.affinity]\nmode = {:?}\n\n[pool.health]\npath = \"/healthz\"\ninterval = \"1s\"\nfall = 1\nrise = 1\n\n\
         [shutdown]\nnotice = \"1ms\"\ndrain = \"1s\"\n",
        args.admin, args.listen, args.strategy, args.affinity
    );
    let (registry, environment) = (Registry::built_in(), environment()?);
    let sources = Sources::text(&text, Path::new("demo"));
    let Some(loaded) = read_quietly(sources.build(&registry, &environment, &Carried::default())) else {
        return Ok(ExitCode::FAILURE);
    };
    log_to_standard_error();
    let origin = Origin { sources, registry, environment, warnings: loaded.warnings };
    let running = app::start(loaded.plan, Some(origin), Signals::Take)?;
    let proxy =
        running.listeners.first().and_then(|(.., a)| *a).map_or_else(String::new, |a| format!("http://{a}"));
    let admin = running.admin.map_or_else(String::new, |a| format!("http://{a}"));
    print(&demo::introduction(&proxy, &admin, args.affinity == "cookie", &options.sessions))?;
    running.join()?;
    drop(server);
    Ok(ExitCode::SUCCESS)
}
