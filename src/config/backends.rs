//! `backends = [..]`: addresses, or tables with what differs from the pool.

use std::sync::Arc;
use std::time::Duration;

use ahash::AHashMap;
use toml::de::DeValue;

use super::item::Item;
use super::named::{Name, check_unique};
use super::reader::{Table, Title};
use super::record::Value;
use super::{address, defaults};
use crate::backend::availability::AdminState;
use crate::backend::sessions::LiveSessions;
use crate::backend::{Backend, BackendId};
use crate::snapshot::carried::Carried;

/// What a backend has unless it says otherwise.
pub(super) struct Common<'a> {
    /// Its name.
    pub(super) pool: &'a str,
    /// Weights that operators set.
    pub(super) carried: &'a Carried<'a>,
    pub(super) max_fails: u32,
    pub(super) fail_timeout: Duration,
    pub(super) slow_start: Duration,
    pub(super) workers: usize,
    /// How long a session lasts without a request.
    pub(super) idle: Duration,
}

/// A backend as read.
type Read = (Name, Backend);

/// Reads the list; reports an empty one, one too long, one of backups only, and ids that stand twice.
pub(super) fn read(item: &Item<'_>, common: &Common<'_>) -> Vec<Backend> {
    let Some(list) = item.list("backends") else { return Vec::new() };
    if list.is_empty() {
        item.refuse("a pool needs at least one backend, as in [\"127.0.0.1:9001\"]");
    }
    if list.len() > defaults::MOST_BACKENDS {
        item.refuse(format_args!("{} backends: must be at most {}", list.len(), defaults::MOST_BACKENDS));
        return Vec::new();
    }
    let read: Vec<_> = list.iter().filter_map(|item| one(item, common)).collect();
    check_unique(item.report, "backend", read.iter().map(|(name, _)| name));
    check_routes(item, read.iter().map(|(_, b)| b));
    if read.len() == list.len() && !read.is_empty() && read.iter().all(|(_, b)| b.backup) {
        item.refuse("every backend is a backup: at least one must not be");
    }
    read.into_iter().map(|(_, backend)| backend).collect()
}

/// A route names one backend, whether it was given or is the backend's name. Names that stand twice are told already.
fn check_routes<'b>(item: &Item<'_>, backends: impl Iterator<Item = &'b Backend>) {
    let mut taken: AHashMap<&str, &Backend> = AHashMap::new();
    for backend in backends {
        if let Some(other) = taken.insert(backend.route(), backend).filter(|o| o.id != backend.id) {
            item.refuse(format_args!(
                "the route {:?} is both {:?}'s and {:?}'s: each needs one of its own",
                backend.route(),
                other.id.as_str(),
                backend.id.as_str()
            ));
        }
    }
}

fn one(item: &Item<'_>, common: &Common<'_>) -> Option<Read> {
    if let DeValue::Table(_) = item.value {
        return of_table(item.table(Title::Inline("a backend"))?, common);
    }
    if item.value.as_str().is_none() {
        item.refuse("must be an address, as in \"127.0.0.1:9001\", or { address = \"127.0.0.1:9001\", .. }");
        return None;
    }
    of_table(Table::of_one(item, Title::Inline("a backend"), "address"), common)
}

fn of_table(table: Table<'_>, common: &Common<'_>) -> Option<Read> {
    let at = table.required("address", "where it listens, as in address = \"127.0.0.1:9001\"");
    let address = at.and_then(|i| i.parse(address::backend));
    let name = match (table.get("name"), at) {
        (Some(item), _) => Name::read(&item),
        (None, Some(item)) => Name::implied(item.value.as_str().and_then(|t| id(t, &item)), item.span()),
        (None, None) => Name::implied(None, table.span()),
    };
    let id = name.text.as_deref().unwrap_or_default();
    table.default("name", Value::text(id));
    let states = [AdminState::Ready, AdminState::Drain, AdminState::Maint].map(|s| (s.as_str(), s));
    let weight = table.integer("weight", 0..=u32::from(u16::MAX), defaults::WEIGHT.into());
    let max_conns = table.integer("max_conns", 0..=u32::MAX, defaults::MAX_CONNS);
    let max_fails = table.integer("max_fails", 0..=u32::MAX, common.max_fails);
    let fail_timeout = table.duration("fail_timeout", common.fail_timeout);
    let slow_start = table.duration_or_zero("slow_start", common.slow_start);
    let backup = table.bool("backup", false);
    let admin = table.choice("state", &states, AdminState::Ready);
    let route = table.get("route").and_then(|i| i.parse(route));
    let record = &table.report.record;
    record.inherit(table.node(), &["max_fails", "fail_timeout", "slow_start"]);
    table.default("route", Value::text(id));
    let written_weight = u16::try_from(weight).unwrap_or(u16::MAX);
    let operators = common.carried.weight(common.pool, id);
    if let Some(weight) = operators {
        record.hide(table.node(), format!("an operator's weight: {weight}"));
    }
    table.finish();
    let text = at.and_then(|i| i.value.as_str())?;
    name.text.as_ref()?;
    let backend = Backend {
        id: BackendId::from(id),
        address: address?,
        address_text: text.into(),
        weight: operators.unwrap_or(written_weight),
        written_weight,
        max_conns,
        max_fails,
        fail_timeout,
        slow_start,
        backup,
        admin,
        route: route.map(Into::into),
        leaving: false,
        load: Arc::default(),
        sessions: Arc::new(LiveSessions::new(common.workers, common.idle)),
    };
    Some((name, backend))
}

fn route(text: &str) -> Result<&str, String> {
    let is_plain = !text.is_empty() && text.bytes().all(|b| b.is_ascii_graphic());
    if is_plain && text.len() <= defaults::LONGEST_ROUTE {
        Ok(text)
    } else {
        Err(format!("must be 1 to {} printable ASCII characters without blanks", defaults::LONGEST_ROUTE))
    }
}

/// An address as id: it must fit a pin.
fn id(address: &str, item: &Item<'_>) -> Option<String> {
    if address.len() > defaults::LONGEST_ID {
        let most = defaults::LONGEST_ID;
        item.refuse(format_args!(
            "is longer than {most} bytes and stands for the backend's name: give it a name"
        ));
        return None;
    }
    Some(address.to_owned())
}
