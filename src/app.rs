//! The composition root: claim addresses, start control and workers, join them.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::thread::JoinHandle;

use crate::control::admin::AdminSocket;
use crate::control::reload::{Origin, Reloader};
use crate::control::{self, Control, Signals, keeper};
use crate::net::descriptors;
use crate::net::listen::{Bound, Claim, ListenAddress};
use crate::proxy::record::AFFINITY;
use crate::proxy::respond::REFUSALS;
use crate::proxy::visits::Visits;
use crate::proxy::worker::{Shared, Worker};
use crate::snapshot::phases::{Phase, Phases};
use crate::snapshot::published::Published;
use crate::snapshot::{LogFormat, Plan, Snapshot, reports};
use crate::telemetry::access_log::{AccessLogWriter, Format};
use crate::telemetry::metrics::{Layout, Metrics};
use anyhow::Context as _;

/// A homing that serves.
#[derive(Debug)]
pub struct Running {
    /// The listeners' names and the addresses really bound, in the plan's order.
    pub listeners: Vec<(Arc<str>, ListenAddress, Option<SocketAddr>)>,
    /// The admin listener's address, if it has one over TCP.
    pub admin: Option<SocketAddr>,
    /// How far stopping has come; advancing it stops.
    pub phases: Arc<Phases>,
    /// The snapshots, and how a backend's tunnels are cut.
    pub published: Arc<Published>,
    /// The admin listener's file, if it is a Unix socket.
    admin_path: Option<PathBuf>,
    workers: Vec<JoinHandle<io::Result<()>>>,
    control: control::Handle,
    log: Option<AccessLogWriter>,
}

/// Starts everything the plan says. When this returns, every listener accepts. Without its `origin` the plan cannot be
/// reloaded, nor can weights be changed.
///
/// # Errors
/// The descriptors do not suffice, an address is taken or not ours, the access log cannot be opened, or a thread cannot be started.
pub fn start(plan: Plan, origin: Option<Origin>, signals: Signals) -> anyhow::Result<Running> {
    let workers = plan.workers.max(1);
    let descriptors = descriptors::raise();
    let max_open = plan.max_open(descriptors).map_err(anyhow::Error::msg)?;
    tracing::info!(max_connections = max_open, descriptors, "connections of clients that may be open");
    let bound = bind(&plan, workers)?;
    let admin = match &plan.admin {
        None => None,
        Some(admin) => Some(claim_one(&admin.listen, "[admin] listen")?),
    };
    let admin_path = match plan.admin.as_ref().map(|admin| &admin.listen) {
        Some(ListenAddress::Unix(path)) => Some(path.clone()),
        Some(ListenAddress::Tcp { .. }) | None => None,
    };
    let metrics = Arc::new(Metrics::new(Layout { workers, affinity: &AFFINITY, refusals: REFUSALS }));
    let log = start_log(&plan, &metrics)?;
    let reloader = origin.map(|origin| Reloader::new(origin, workers, descriptors));
    let plan = match &reloader {
        Some(reloader) => reloader.with_kept(plan, &metrics)?,
        None => plan,
    };
    let phases = Arc::new(Phases::default());
    let (reporter, reports) = reports::channel();
    let listeners = plan.listeners.iter().zip(&bound);
    let listeners = listeners.map(|(l, b)| (Arc::clone(&l.name), b.listen.clone(), b.address)).collect();
    let snapshot = Snapshot { bound, max_open, ..Snapshot::new(Arc::new(plan)) };
    let published = Arc::new(Published::new(snapshot));
    let shared = Shared {
        published: Arc::clone(&published),
        reporter,
        metrics: Arc::clone(&metrics),
        phases: Arc::clone(&phases),
        visits: Arc::new(Visits::default()),
        open: Arc::new(AtomicU32::new(0)),
        pseudonym: format!("homing-{:08x}", fastrand::u32(..)).into(),
    };
    let admin_address = admin.as_ref().and_then(Claim::address);
    let admin = admin.map(AdminSocket::new).transpose().context("listen for [admin]")?;
    let threads = (0..workers).map(|index| {
        let (shared, logger) = (shared.clone(), log.as_ref().map(AccessLogWriter::logger));
        let name = format!("worker-{index}");
        std::thread::Builder::new().name(name).spawn(move || work(index, shared, logger))
    });
    let threads = threads.collect::<io::Result<_>>().context("start a worker")?;
    let control = control::start(Control {
        published: Arc::clone(&published),
        reports,
        metrics,
        admin,
        phases: Arc::clone(&phases),
        access_log: log.as_ref().map(AccessLogWriter::reopener),
        reloader,
        signals,
    })
    .context("start the control plane")?;
    phases.advance(Phase::Serving);
    let admin = admin_address;
    Ok(Running { listeners, admin, phases, published, admin_path, workers: threads, control, log })
}

impl Running {
    /// Waits until it has stopped.
    ///
    /// # Errors
    /// A worker failed.
    pub fn join(self) -> anyhow::Result<()> {
        let mut result = Ok(());
        for worker in self.workers {
            match worker.join() {
                Ok(done) => result = result.and(done.context("a worker failed")),
                Err(_) => result = result.and(Err(anyhow::anyhow!("a worker panicked"))),
            }
        }
        for bound in &self.published.load().bound {
            if let ListenAddress::Unix(path) = &bound.listen {
                // Gone already, or not ours to remove any more: nothing to be done either way.
                let _ = std::fs::remove_file(path);
            }
        }
        keeper::save_all(&self.published.load().plan);
        self.phases.advance(Phase::Cut);
        self.control.stop();
        if let Some(path) = &self.admin_path {
            let _ = std::fs::remove_file(path);
        }
        if let Some(log) = self.log {
            log.close();
        }
        result
    }
}

/// Claims every address first, so that nothing is listened on if one is taken.
fn bind(plan: &Plan, workers: usize) -> anyhow::Result<Vec<Arc<Bound>>> {
    let claims = plan
        .listeners
        .iter()
        .map(|listener| claim_one(&listener.listen, &format!("listen of listener \"{}\"", listener.name)));
    let claims = claims.collect::<anyhow::Result<Vec<_>>>()?;
    let bound = claims.into_iter().zip(&plan.listeners).map(|(claim, listener)| {
        let bound = claim.listen(workers).with_context(|| format!("listen for \"{}\"", listener.name))?;
        Ok(Arc::new(bound))
    });
    bound.collect()
}

fn claim_one(listen: &ListenAddress, what: &str) -> anyhow::Result<Claim> {
    listen.claim().map_err(|error| match error.kind() {
        io::ErrorKind::AddrInUse => {
            anyhow::anyhow!("{listen} is taken by another program; choose another address ({what}, or --listen)")
        }
        io::ErrorKind::PermissionDenied => anyhow::anyhow!(
            "no permission to listen on {listen}; ports below 1024 need CAP_NET_BIND_SERVICE ({what}, or --listen)"
        ),
        _ => anyhow::anyhow!("cannot listen on {listen}: {error} ({what}, or --listen)"),
    })
}

fn work(
    index: usize,
    shared: Shared,
    logger: Option<crate::telemetry::access_log::AccessLogger>,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(8)
        .build_local(tokio::runtime::LocalOptions::default())?;
    let worker = runtime.block_on(async { Worker::new(index, shared, logger) });
    let end = runtime.block_on(Rc::clone(&worker).run());
    drop(runtime); // And with it what is cut, of which the log is told.
    worker.record().flush();
    end
}

fn start_log(plan: &Plan, metrics: &Metrics) -> anyhow::Result<Option<AccessLogWriter>> {
    let format = match plan.access_log.format {
        LogFormat::Off => return Ok(None),
        LogFormat::Json => Format::Json,
        LogFormat::Combined => Format::Combined,
    };
    let path = plan.access_log.path.clone();
    let what = path.as_ref().map_or_else(|| "standard output".to_owned(), |p| p.display().to_string());
    AccessLogWriter::start(path, format, Arc::clone(metrics.log_dropped()))
        .map(Some)
        .with_context(|| format!("open the access log {what}"))
}
