//! Pools, plans and the rest, for the tests of this room.

use std::sync::Arc;
use std::time::Duration;

use crate::backend::Backend;
use crate::backend::availability::AdminState;
use crate::backend::members::Members;
use crate::backend::sessions::LiveSessions;
use crate::base::address::Address;
use crate::base::options::Options;
use crate::base::settings::Settings;
use crate::health::{Check, Probe};
use crate::pool::policy::Policy;
use crate::pool::{Pool, Timeouts};
use crate::route::Routes;
use crate::snapshot::published::Published;
use crate::snapshot::{AccessLog, Plan, Shutdown, Snapshot};
use crate::strategy::round_robin;
use crate::telemetry::metrics::{Layout, Metrics};

/// A primary that is ejected for 10 s by 2 failures.
pub(super) fn backend(id: &str, address: Address) -> Backend {
    Backend {
        id: id.into(),
        route: None,
        address_text: address.to_string().into(),
        address,
        weight: 1,
        written_weight: 1,
        backup: false,
        admin: AdminState::Ready,
        leaving: false,
        max_conns: 0,
        max_fails: 2,
        fail_timeout: Duration::from_secs(10),
        slow_start: Duration::ZERO,
        load: Arc::default(),
        sessions: Arc::new(LiveSessions::new(1, Duration::from_secs(60))),
    }
}

/// A check each 2 s, within 1 s, rise 2, fall 3, without jitter.
pub(super) fn check(probe: Probe) -> Check {
    let (interval, timeout) = (Duration::from_secs(2), Duration::from_secs(1));
    Check { probe, interval, timeout, rise: 2, fall: 3, fall_pinned: 3, jitter: 0 }
}

/// A plan of one pool, `app`.
pub(super) fn plan(backends: Vec<Backend>, check: Option<Check>) -> Arc<Plan> {
    let members = Members::new(backends.into_iter().map(Arc::new).collect());
    let second = Duration::from_secs(1);
    let primary = (round_robin::KIND.build)(&mut Options::none(), members.primaries());
    let timeouts = Timeouts {
        connect: second,
        first_byte: second,
        read: second,
        write: second,
        idle: second,
        tunnel: second,
        max_idle: 1,
    };
    let pool = Pool {
        name: "app".into(),
        members,
        kind: &round_robin::KIND,
        primary,
        backup: None,
        key: crate::affinity::key::KeyPlan::client_ip(),
        affinity: None,
        table_file: None,
        check,
        skew: None,
        policy: Policy::default(),
        settings: Settings::default(),
        digest: 0,
        transport: std::sync::Arc::default(),
        timeouts,
    };
    Arc::new(Plan {
        max_connections: None,
        workers: 1,
        admin: None,
        access_log: AccessLog::default(),
        listeners: Vec::new(),
        routes: Routes::default(),
        guards: Vec::new(),
        pools: vec![Arc::new(pool)],
        settings: Settings::default(),
        shutdown: Shutdown { notice: 5 * second, drain: 30 * second },
    })
}

/// The plan, published, and its metrics.
pub(super) fn published(plan: Arc<Plan>) -> (Arc<Published>, Arc<Metrics>) {
    let metrics = Metrics::new(Layout { workers: 1, ..Layout::default() });
    (Arc::new(Published::new(Snapshot::new(plan))), Arc::new(metrics))
}
