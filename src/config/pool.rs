//! `[[pool]]` and `[pool.timeouts]`.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use toml::de::DeValue;

use super::affinity;
use super::backends::{self, Common};
use super::item::{Item, whole};
use super::named::Name;
use super::reader::{Table, Title};
use super::record::Value;
use super::strategy::StrategyRead;
use super::{Scope, defaults, health, strategy, transport};
use crate::affinity::skew::{LEAST_SHARE, Skew};
use crate::backend::members::Members;
use crate::pool::policy::{Panic, Policy, Queue};
use crate::pool::{Pool, Timeouts};
use crate::strategy::Needs;

/// A pool as read, with what the checks across sections need.
pub(super) struct PoolRead {
    pub(super) name: Name,
    /// `None` if something is missing without which there is none.
    pub(super) pool: Option<Arc<Pool>>,
    pub(super) span: Range<usize>,
    /// Where affinity is set, and the cookie's path.
    pub(super) affinity: Option<(Range<usize>, String)>,
    /// How long a session lasts without a request.
    pub(super) idle: Duration,
    /// Where the interval of the checks stands.
    pub(super) health_span: Range<usize>,
}

/// Reads one `[[pool]]`.
pub(super) fn read(table: Table<'_>, scope: &Scope<'_>) -> PoolRead {
    let span = table.span();
    let name = table.required("name", "what routes, logs and pins call it, as in name = \"app\"");
    let name = name.map_or_else(|| Name::implied(None, span.clone()), |item| Name::read(&item));
    let text = name.text.as_deref().unwrap_or_default();
    let mut affinity =
        affinity::read(table.section("affinity", Title::Section("pool.affinity")), text, scope);
    let common = Common {
        max_fails: table.integer("max_fails", 0..=u32::MAX, defaults::MAX_FAILS),
        fail_timeout: table.duration("fail_timeout", defaults::FAIL_TIMEOUT),
        slow_start: table.duration_or_zero("slow_start", defaults::SLOW_START),
        workers: scope.workers,
        idle: affinity.idle,
        pool: text,
        carried: scope.carried,
    };
    let list = table.required("backends", "who serves, as in backends = [\"127.0.0.1:9001\"]");
    let backends = list.map(|item| backends::read(&item, &common)).unwrap_or_default();
    let strategy = strategy::read(&table, scope);
    let transport = transport::read(&table, scope);
    let health = table.table("health", Title::Section("pool.health"));
    let health_span = health
        .as_ref()
        .map_or_else(|| span.clone(), |h| h.get("interval").map_or_else(|| h.span(), |i| i.span()));
    let check = health.map(|h| health::read(h, transport.protocol()));
    let skew =
        table.get("skew").map_or(Some(defaults::SKEW), |item| skew(&item)).filter(|share| *share > 0.0);
    table.default("skew", Value::Plain(defaults::SKEW.to_string()));
    let max_load = max_load(&table, strategy.as_ref());
    let (on_lost, return_home) = (std::mem::take(&mut affinity.on_lost), affinity.return_home);
    let policy = Policy { on_lost, return_home, max_load, ..policy(&table) };
    let timeouts = timeouts(table.section("timeouts", Title::Section("pool.timeouts")));
    let leaving = scope.carried.leaving(text, &backends);
    let record = &scope.report.record;
    record.hide(table.node(), format!("{} workers", scope.workers));
    leaving.iter().for_each(|b| record.hide(table.node(), format!("leaving: {}", b.id)));
    let (digest, settings) = (record.digest(table.node()), record.settings(table.node(), &["backends"]));
    table.finish();
    let idle = affinity.idle;
    let spreads = backends.len() > 1;
    let pool = strategy.map(|strategy| {
        if let Some(same) = scope.carried.pool(text).filter(|pool| pool.digest == digest) {
            return Arc::clone(same);
        }
        let carry = |backend| scope.carried.backend(text, backend);
        let members = Members::new(backends.into_iter().map(carry).chain(leaving).collect());
        let transport = transport.build(&members, scope.carried.pool(text).map(|p| &**p), scope);
        let (primary, backup) = strategy.build(&members, scope);
        Arc::new(Pool {
            name: text.into(),
            kind: strategy.kind,
            primary,
            backup,
            key: strategy.key,
            affinity: affinity.build(text, &members, scope),
            table_file: affinity.file.take(),
            check,
            skew: (spreads && strategy.kind.needs != Needs::Nothing).then_some(skew).flatten().map(Skew::new),
            policy,
            timeouts,
            transport: Arc::new(transport),
            settings,
            digest,
            members,
        })
    });
    PoolRead { name, pool, span, affinity: affinity.span.map(|s| (s, affinity.path)), idle, health_span }
}

/// `max_load`, in thousandths; 0 where there is none, or where the strategy looks at the load or at nothing.
fn max_load(table: &Table<'_>, strategy: Option<&StrategyRead>) -> u32 {
    let Some(item) = table.get("max_load") else {
        table.default("max_load", Value::Plain(defaults::MAX_LOAD.to_string()));
        return defaults::MAX_LOAD;
    };
    let text = match item.value {
        DeValue::Integer(n) => n.as_str(),
        DeValue::Float(x) => x.as_str(),
        _ => "",
    };
    let load = text.parse::<f64>().ok().filter(|x| *x == 0.0 || (1.0..=defaults::MOST_LOAD).contains(x));
    let Some(load) = load else {
        item.refuse(format_args!("must be 0 or a number from 1 to {}, as in 1.25", defaults::MOST_LOAD));
        return 0;
    };
    if let Some(kind) = strategy.map(|s| s.kind).filter(|k| load > 0.0 && k.needs == Needs::Nothing) {
        let message =
            item.sentence(&format_args!("{} does not place by a hash: it is not bounded", kind.name));
        table.report.warning(
            item.span(),
            message,
            "leave it out, or choose rendezvous, maglev, hash or ip_hash",
        );
        return 0;
    }
    (load * 1000.0).round() as u32
}

fn policy(table: &Table<'_>) -> Policy {
    let panic =
        table.choice("panic", &[("refuse", Panic::Refuse), ("serve", Panic::Serve)], Panic::default());
    let fail_statuses = table.get("fail_statuses").and_then(|i| health::statuses(&i)).unwrap_or_default();
    let inner = table.section("queue", Title::Inline("queue"));
    let size = inner.integer("size", 0..=defaults::LONGEST_QUEUE, defaults::QUEUE.size);
    let queue = Queue { size, timeout: inner.duration("timeout", defaults::QUEUE.timeout) };
    inner.finish();
    let leave = table.duration_or_zero("leave", defaults::LEAVE);
    Policy { queue, panic, fail_statuses, leave, ..Policy::default() }
}

/// A share; 0 is off.
fn skew(item: &Item<'_>) -> Option<f64> {
    let share = match item.value {
        DeValue::Float(share) => share.as_str().parse().ok(),
        other => whole(other).and_then(|n| i32::try_from(n).ok()).map(f64::from),
    };
    let share = share.filter(|share| *share == 0.0 || (LEAST_SHARE..1.0).contains(share));
    if share.is_none() {
        item.refuse(format_args!("must be a share from {LEAST_SHARE} to below 1, or 0 for no warning"));
    }
    share
}

fn timeouts(table: Table<'_>) -> Timeouts {
    let default = defaults::BACKEND;
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
