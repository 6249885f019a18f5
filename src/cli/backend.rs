//! `homing backend`: one backend of the demo's shop, for a balancer to be put before it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use super::print;
use crate::base::units::Span;
use crate::demo::{self, Cost, Endpoint, Keys, Options, Place};

#[derive(Args, Debug)]
pub(super) struct BackendArgs {
    /// Where sessions live: `memory`, `redis://HOST:PORT`, `redis+unix:///PATH`, `memcached://HOST:PORT`,
    /// `memcached+unix:///PATH`, or `jwt[:hs256|rs256|es256|eddsa]` for signed tokens
    #[arg(long, default_value = "memory", value_name = "PLACE")]
    sessions: Place,
    /// A Redis that names revoked tokens, asked once a request: `redis://HOST:PORT`; with `jwt`
    #[arg(long, value_name = "URL", value_parser = deny_list)]
    deny_list: Option<Endpoint>,
    /// What tokens are signed with: a secret in hexadecimal (HS256), or a private key as PKCS #8 in PEM. Made if there is
    /// no such file; without one, the key is this process's alone. With `jwt`
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// What it calls itself
    #[arg(long, default_value = "a")]
    name: String,
    /// Where it listens; `:0` is a free port of 127.0.0.1
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDRESS", value_parser = address)]
    listen: SocketAddr,
    /// A session that nobody visits for so long is over
    #[arg(long, default_value = "30m", value_name = "TIME")]
    idle: Span,
    /// Any session is over after so long
    #[arg(long, default_value = "8h", value_name = "TIME")]
    lifetime: Span,
    /// How long an access token is good; with `jwt`
    #[arg(long, default_value = "5m", value_name = "TIME")]
    access: Span,
    /// Cookies are `Secure` and have the prefix `__Host-`
    #[arg(long)]
    secure: bool,
    /// A login keeps whatever id the client shows, as careless applications do: old copies of a session stay reachable, and
    /// an id can be planted. To see what comes of it, with `memory`
    #[arg(long)]
    adopt: bool,
    /// Who logs in with the password `demo` is registered then and there
    #[arg(long)]
    open_registration: bool,
    /// `POST /faults` with `{"delay_ms": 200, "errors": 0.5}` makes answers late, and half of them a 500
    #[arg(long)]
    faults: bool,
    /// `owasp` (Argon2id, 19 MiB, two passes), or `low`, which protects nothing, to measure something else
    #[arg(long, default_value = "owasp", value_name = "COST")]
    password_cost: CostArg,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum CostArg {
    Owasp,
    Low,
}

pub(super) fn backend(args: BackendArgs) -> anyhow::Result<ExitCode> {
    let keys = match (&args.sessions, &args.key_file) {
        (Place::Jwt(algorithm), Some(file)) => {
            let keys = Keys::of_file(*algorithm, file).with_context(|| file.display().to_string())?;
            Some(Arc::new(keys))
        }
        (Place::Jwt(_), None) => None,
        _ if args.key_file.is_some() || args.deny_list.is_some() => {
            anyhow::bail!("--key-file and --deny-list go with --sessions jwt")
        }
        _ => None,
    };
    if args.adopt && args.sessions != Place::Memory {
        anyhow::bail!("--adopt goes with --sessions memory: in a store there are no old copies");
    }
    let options = Options {
        sessions: args.sessions,
        deny_list: args.deny_list,
        keys,
        idle: args.idle.0,
        lifetime: args.lifetime.0,
        access: args.access.0,
        secure: args.secure,
        adopts_ids: args.adopt,
        takes_faults: args.faults,
        open_registration: args.open_registration,
        cost: match args.password_cost {
            CostArg::Owasp => Cost::Owasp,
            CostArg::Low => Cost::Low,
        },
        ..Options::named(&args.name)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind(args.listen).await;
        let listener = listener.with_context(|| format!("listen on {}", args.listen))?;
        // Before anybody knows that we are here.
        let (mut term, mut int) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let stop = async move {
            tokio::select! {
                _ = term.recv() => {}
                _ = int.recv() => {}
            }
        };
        let at = listener.local_addr()?;
        print(&format!("backend {}: http://{at}/ (sessions: {})\n", options.name, options.sessions))?;
        demo::serve(listener, options, stop).await?;
        Ok(ExitCode::SUCCESS)
    })
}

fn deny_list(text: &str) -> Result<Endpoint, String> {
    match text.parse() {
        Ok(Place::Redis(endpoint)) => Ok(endpoint),
        _ => Err("must be redis://HOST:PORT or redis+unix:///PATH".to_owned()),
    }
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let whole = if text.starts_with(':') { format!("127.0.0.1{text}") } else { text.to_owned() };
    whole.parse().map_err(|_| "must be an address and a port, as 127.0.0.1:0, or :0".to_owned())
}
