//! `allow`, `deny`, `max_body` and `rate_limit`, of a listener or a route.

use std::ops::Range;
use std::sync::Arc;

use super::defaults;
use super::item::Item;
use super::reader::{Table, Title};
use super::record::Value;
use crate::affinity::key::{KeyPlan, KeySource};
use crate::base::cidr::{Prefix, PrefixSet};
use crate::route::access::Access;
use crate::route::rate::{Gate, Rate, Terms};
use crate::snapshot::guard::{Guard, RateLimit};

/// A guard as read.
pub(super) struct GuardRead {
    /// `None` if nothing is asked for.
    pub(super) guard: Option<Guard>,
    /// Where `pin` is asked for, which needs a session.
    pub(super) pin: Option<Range<usize>>,
}

/// Reads the keys of a section.
pub(super) fn read(table: &Table<'_>) -> GuardRead {
    let access =
        Access { allow: prefixes(table, "allow"), deny: prefixes(table, "deny").unwrap_or_default() };
    let max_body = table.get("max_body").and_then(|item| item.size(&(0..=defaults::LARGEST_BODY)));
    let max_body = max_body.map(|bytes| bytes as u64);
    let (limit, pin) = table.table("rate_limit", Title::Inline("rate_limit")).map_or((None, None), limit);
    let is_needed = access != Access::default() || max_body.is_some() || limit.is_some();
    GuardRead { guard: is_needed.then_some(Guard { access, max_body, limit }), pin }
}

fn prefixes(table: &Table<'_>, key: &'static str) -> Option<PrefixSet> {
    let list = table.get(key)?.list("prefixes")?;
    Some(list.iter().filter_map(|item| item.parse(str::parse::<Prefix>)).collect())
}

/// `rate_limit = { key = "client_ip", rate = "10/s", burst = 20 }`
fn limit(table: Table<'_>) -> (Option<RateLimit>, Option<Range<usize>>) {
    let rate = table.required("rate", "how often each key may ask, as in rate = \"10/s\"");
    let rate = rate.and_then(|item| Some((item.parse(str::parse::<Rate>)?, item.span())));
    let burst = table.integer("burst", 1..=Rate::MOST, rate.as_ref().map_or(1, |(rate, _)| rate.count));
    let entries = table.integer("entries", defaults::RATE_ENTRIES_BOUNDS, defaults::RATE_ENTRIES);
    let item = table.get("key");
    table.default("key", Value::text("client_ip"));
    let (pin, keys) = item.as_ref().map(keys).unwrap_or_default();
    let report = table.report;
    table.finish();
    let Some((rate, span)) = rate else { return (None, pin) };
    if rate.interval().saturating_mul(burst) > defaults::LONGEST {
        report.error(
            span,
            format!("rate = \"{rate}\": a burst of {burst} takes more than a year to come back"),
        );
        return (None, pin);
    }
    let by_pin = pin.is_some();
    let gate = Arc::new(Gate::new(Terms { rate, burst, entries }));
    (Some(RateLimit { by_pin, keys: plan(keys), gate }), pin)
}

/// Where `pin` stands, and the other keys.
fn keys(item: &Item<'_>) -> (Option<Range<usize>>, Vec<KeySource>) {
    let list = match item.value.as_array() {
        Some(_) => item.list("keys").unwrap_or_default(),
        None => vec![*item],
    };
    if list.is_empty() {
        item.refuse("must name a key, as in \"client_ip\"");
    }
    let (mut pin, mut sources) = (None, Vec::new());
    for (i, key) in list.iter().enumerate() {
        match key.text() {
            Some("pin") if i == 0 => pin = Some(key.span()),
            Some("pin") => key.refuse("must stand first: a session is asked for before other keys"),
            Some(text) => match KeySource::parse(text) {
                Ok(source) => sources.push(source),
                Err(wrong) => key.report.error(key.span(), format!("{wrong}, or pin")),
            },
            None => {}
        }
    }
    (pin, sources)
}

/// Every request has a key: who has none of those that are asked for is known by address.
fn plan(mut sources: Vec<KeySource>) -> KeyPlan {
    if !sources.iter().any(|s| matches!(s, KeySource::ClientIp | KeySource::Path)) {
        sources.push(KeySource::ClientIp);
    }
    KeyPlan { sources, v4_prefix: 32, v6_prefix: defaults::RATE_V6_PREFIX }
}
