//! `[[pool]]` and `[pool.timeouts]`.

use std::ops::Range;

use super::affinity;
use super::backends::{self, Common};
use super::named::Name;
use super::reader::{Table, Title};
use super::{Scope, defaults, health, strategy};
use crate::backend::members::Members;
use crate::pool::policy::{OnLost, Panic, Policy, Queue};
use crate::pool::{Pool, Timeouts};

/// A pool as read, with what the checks across sections need.
pub(super) struct PoolRead {
    pub(super) name: Name,
    /// `None` if something is missing without which there is none.
    pub(super) pool: Option<Pool>,
    pub(super) span: Range<usize>,
    /// Where affinity is set, and the cookie's path.
    pub(super) affinity: Option<(Range<usize>, String)>,
    /// Where the interval of the checks stands.
    pub(super) health_span: Range<usize>,
}

/// Reads one `[[pool]]`.
pub(super) fn read(table: Table<'_>, scope: &Scope<'_>) -> PoolRead {
    let span = table.span();
    let name = table.required("name", "what routes, logs and pins call it, as in name = \"app\"");
    let name = name.map_or_else(|| Name::implied(None, span.clone()), |item| Name::read(&item));
    let text = name.text.as_deref().unwrap_or_default();
    let mut read = affinity::read(table.table("affinity", Title::Section("pool.affinity")), text, scope);
    let common = Common {
        max_fails: table.integer("max_fails", 0..=u32::MAX, defaults::MAX_FAILS),
        fail_timeout: table.duration("fail_timeout", defaults::FAIL_TIMEOUT),
        slow_start: table
            .get("slow_start")
            .and_then(|i| i.duration_or_zero())
            .unwrap_or(defaults::SLOW_START),
        workers: scope.workers,
        idle: read.idle,
    };
    let list = table.required("backends", "who serves, as in backends = [\"127.0.0.1:9001\"]");
    let members = Members::new(list.map(|item| backends::read(&item, &common)).unwrap_or_default());
    let strategy = strategy::read(&table, scope);
    let health = table.table("health", Title::Section("pool.health"));
    let health_span = health
        .as_ref()
        .map_or_else(|| span.clone(), |h| h.get("interval").map_or_else(|| h.span(), |i| i.span()));
    let check = health.map(health::read);
    let policy = policy(&table, read.on_lost);
    let timeouts = timeouts(table.table("timeouts", Title::Section("pool.timeouts")));
    table.finish();
    let affinity = read.build(text, &members, scope);
    let table_file = read.file.take();
    let pool = strategy.map(|strategy| {
        let (primary, backup) = strategy.build(&members, scope);
        Pool {
            name: text.into(),
            members,
            kind: strategy.kind,
            primary,
            backup,
            key: strategy.key,
            affinity,
            table_file,
            check,
            policy,
            timeouts,
        }
    });
    PoolRead { name, pool, span, affinity: read.span.map(|s| (s, read.path)), health_span }
}

fn policy(table: &Table<'_>, on_lost: OnLost) -> Policy {
    let panic =
        table.choice("panic", &[("refuse", Panic::Refuse), ("serve", Panic::Serve)], Panic::default());
    let fail_statuses = table.get("fail_statuses").and_then(|i| health::statuses(&i)).unwrap_or_default();
    let queue = table.table("queue", Title::Inline("queue")).map_or(defaults::QUEUE, |table| {
        let size = table.integer("size", 0..=defaults::LONGEST_QUEUE, defaults::QUEUE.size);
        let queue = Queue { size, timeout: table.duration("timeout", defaults::QUEUE.timeout) };
        table.finish();
        queue
    });
    Policy { on_lost, queue, panic, fail_statuses }
}

fn timeouts(table: Option<Table<'_>>) -> Timeouts {
    let default = defaults::BACKEND;
    let Some(table) = table else { return default };
    let timeouts = Timeouts {
        connect: table.duration("connect", default.connect),
        first_byte: table.duration("first_byte", default.first_byte),
        read: table.duration("read", default.read),
        write: table.duration("write", default.write),
        idle: table.duration("idle", default.idle),
        tunnel: table.duration("tunnel", default.tunnel),
        max_idle: table.integer("max_idle", 0..=defaults::MOST_IDLE, default.max_idle),
    };
    if let Some(item) = table.get("idle").filter(|_| timeouts.idle >= defaults::RISKY_IDLE) {
        let message =
            item.sentence(&"many servers close idle connections after 5s, just as a request is sent");
        table.report.warning(item.span(), message, "below 5s, or below the backends' own keep-alive timeout");
    }
    table.finish();
    timeouts
}
