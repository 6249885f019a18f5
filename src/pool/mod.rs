//! A pool: members, affinity, strategy and standing, and the choice that joins them.
//!
//! [`standing`] is who may be used now; [`choose`] is the decision table; [`policy`] is what is done when a backend
//! cannot serve; [`transport`] is how backends are spoken to.

pub mod choose;
pub mod policy;
pub mod standing;
pub mod transport;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::affinity::carriers::Affinity;
use crate::affinity::key::KeyPlan;
use crate::affinity::skew::Skew;
use crate::backend::members::Members;
use crate::base::settings::Settings;
use crate::health::Check;
use crate::strategy::{Kind, Strategy};

use policy::Policy;
use transport::Transport;

/// Backends that serve the same thing.
#[derive(Debug)]
pub struct Pool {
    /// Its name in configuration, logs and metrics.
    pub name: Arc<str>,
    /// Its backends.
    pub members: Members,
    /// The strategy's kind.
    pub kind: &'static Kind,
    /// The strategy's tables over the primaries.
    pub primary: Arc<dyn Strategy>,
    /// The strategy's tables over the backups, if there are any.
    pub backup: Option<Arc<dyn Strategy>>,
    /// What hash strategies place by.
    pub key: KeyPlan,
    /// What keeps clients with their backends, if the pool has it.
    pub affinity: Option<Affinity>,
    /// Where the table of its sessions outlives the process, if that is wanted.
    pub table_file: Option<TableFile>,
    /// Active checks, if the pool has them.
    pub check: Option<Check>,
    /// Whether one key is too heavy, where a key places; `None` where none does, or nobody wants to know.
    pub skew: Option<Skew>,
    /// What is done when a backend cannot serve.
    pub policy: Policy,
    /// How long a backend may take.
    pub timeouts: Timeouts,
    /// How its backends are spoken to.
    pub transport: Arc<Transport>,
    /// Its section of the configuration as it is in effect, without the backends.
    pub settings: Settings,
    /// Equal exactly when everything about the pool is: its section, its backends, who is leaving, its key files, what
    /// operators changed, and how many workers count for it.
    pub digest: u64,
}

/// A copy of a table on disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableFile {
    /// The file.
    pub path: PathBuf,
    /// From one copy to the next. Default 1 min.
    pub interval: Duration,
}

/// How long a backend may take. Every one is above zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// To accept a connection. Default 2 s. (nginx: proxy_connect_timeout)
    pub connect: Duration,
    /// From the request's end to the response's head. Default 60 s. (nginx: proxy_read_timeout)
    pub first_byte: Duration,
    /// Between two reads of the body. Default 60 s. (nginx: proxy_read_timeout)
    pub read: Duration,
    /// Without progress in writing the request. Default 30 s. (nginx: proxy_send_timeout)
    pub write: Duration,
    /// How long an idle connection is kept. Default 4 s, below the 5 s of common servers.
    /// (nginx: keepalive_timeout in upstream)
    pub idle: Duration,
    /// A tunnel without a byte either way. Default 1 h. (HAProxy: timeout tunnel)
    pub tunnel: Duration,
    /// Idle connections kept per backend and worker. Default 64. (nginx: keepalive)
    pub max_idle: u32,
}
