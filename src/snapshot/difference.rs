//! What another plan would change: the keys, the backends, and whose sessions and keys would move.
//!
//! Keys are compared as they are in effect, so that a default written out is no change. Where a strategy places by a
//! hash, [`placement`] says how many keys move. Pins stay with their backend: of those only the sessions of backends that
//! go are counted. Values of fields are not shown: there are tokens among them.

use std::fmt::{self, Display, Write as _};
use std::sync::Arc;

use ahash::AHashMap;
use serde_json::{Value, json};

use super::Plan;
use super::placement::{self, Placement, Share};
use crate::backend::Backend;
use crate::base::settings::Change;
use crate::base::units::Span;
use crate::pool::Pool;
use crate::route::Route;

/// What a reload does not change: what begins the key of a setting.
const RESTART: [&str; 3] = ["workers", "admin.listen", "access_log."];

/// What another plan would change.
#[derive(Clone, Debug, Default)]
pub struct Difference {
    /// Keys outside of listeners, routes and pools.
    pub settings: Vec<Change>,
    /// Listeners by name.
    pub listeners: Vec<Changed>,
    /// Routes by listener, host and path.
    pub routes: Vec<Changed>,
    /// Pools by name.
    pub pools: Vec<PoolChanged>,
}

/// Something that is named, and what becomes of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// Its name.
    pub name: String,
    /// What becomes of it.
    pub what: What,
}

/// What becomes of something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// These keys of it change.
    Changed(Vec<Change>),
}

/// A pool, and what becomes of it.
#[derive(Clone, Debug)]
pub struct PoolChanged {
    /// Its name.
    pub name: String,
    /// What becomes of it; the keys are those of the pool itself.
    pub what: What,
    /// Its backends: those that change, with the live sessions that each has.
    pub backends: Vec<(Changed, u32)>,
    /// Live sessions of backends that go: they move.
    pub sessions_moved: u32,
    /// The strategy by whose places keys are given away although nothing else changed but the order of the backends.
    pub reordered: Option<&'static str>,
    /// Whose keys move, where a hash places them.
    pub placement: Option<Placement>,
    /// Whether pins keep sessions where they are, so that only new ones are placed elsewhere.
    pub has_pins: bool,
}

impl Difference {
    /// What `new` changes of `old`, both built for as many workers. `live` tells how many sessions a backend of a pool has now; 0 where nothing runs.
    #[must_use]
    pub fn between(old: &Plan, new: &Plan, live: &dyn Fn(&Pool, &Backend) -> u32) -> Self {
        let named = |plan: &Plan| -> Vec<_> {
            plan.listeners.iter().map(|l| (l.name.to_string(), l.settings.clone())).collect()
        };
        let mut settings = old.settings.changes(&new.settings);
        let token = |plan: &Plan| plan.admin.as_ref().and_then(|admin| admin.token.clone());
        if token(old) != token(new) && !settings.iter().any(|change| change.key.starts_with("admin.token")) {
            let key = "the contents of the admin listener's token file".to_owned();
            settings.push(Change { key, old: None, new: None });
        }
        Self {
            settings,
            listeners: compare(&named(old), &named(new), |old, new| old.changes(new)),
            routes: compare(&routes(old), &routes(new), route_changes),
            pools: pools(old, new, live),
        }
    }

    /// Whether nothing changes.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.settings.is_empty()
            && self.listeners.is_empty()
            && self.routes.is_empty()
            && self.pools.is_empty()
    }

    /// Keys that change only with a restart: until then what was in force stays so.
    pub fn restart(&self) -> impl Iterator<Item = &Change> {
        self.settings.iter().filter(|c| needs_restart(&c.key))
    }

    /// What is probably not meant, a sentence each.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        let warn = |pool: &PoolChanged| {
            let (kind, placement) = (pool.reordered?, pool.placement.as_ref()?);
            let what = if pool.has_pins { "keys of new sessions" } else { "keys" };
            let percent = percent(placement.moved, placement.samples);
            Some(format!("pool \"{}\": the order changed under {kind}: {percent} of {what} move", pool.name))
        };
        self.pools.iter().filter_map(warn).collect()
    }

    /// For people: a line for each thing, and then the warnings.
    #[must_use]
    pub fn to_text(&self) -> String {
        if self.is_empty() {
            return "nothing changes\n".to_owned();
        }
        let mut out = String::new();
        // Writing to memory does not fail.
        let _ = self.write(&mut out);
        out
    }

    fn write(&self, out: &mut String) -> fmt::Result {
        for change in &self.settings {
            let restart = if needs_restart(&change.key) { " (needs a restart)" } else { "" };
            writeln!(out, "~ {}{restart}", Shown(change))?;
        }
        for (kind, list) in [("listener", &self.listeners), ("route", &self.routes)] {
            for changed in list {
                changed.write(out, "", kind, "")?;
            }
        }
        for pool in &self.pools {
            pool.write(out)?;
        }
        for warning in self.warnings() {
            writeln!(out, "warning: {warning}")?;
        }
        Ok(())
    }

    /// For machines: one object.
    #[must_use]
    pub fn to_json(&self) -> Value {
        json!({
            "changes": !self.is_empty(),
            "restart": self.restart().map(|c| &c.key).collect::<Vec<_>>(),
            "warnings": self.warnings(),
            "settings": self.settings.iter().map(change_json).collect::<Vec<_>>(),
            "listeners": self.listeners.iter().map(Changed::to_json).collect::<Vec<_>>(),
            "routes": self.routes.iter().map(Changed::to_json).collect::<Vec<_>>(),
            "pools": self.pools.iter().map(PoolChanged::to_json).collect::<Vec<_>>(),
        })
    }
}

impl Changed {
    fn write(&self, out: &mut String, indent: &str, kind: &str, more: &str) -> fmt::Result {
        let (sign, keys) = self.what.shown();
        writeln!(out, "{indent}{sign} {kind} \"{}\"{keys}{more}", self.name)
    }

    fn to_json(&self) -> Value {
        json!({ "name": self.name, "change": self.what.word(), "keys": self.what.keys_json() })
    }
}

impl What {
    const fn word(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed(_) => "changed",
        }
    }

    fn keys(&self) -> &[Change] {
        match self {
            Self::Added | Self::Removed => &[],
            Self::Changed(keys) => keys,
        }
    }

    fn keys_json(&self) -> Vec<Value> {
        self.keys().iter().map(change_json).collect()
    }

    /// A sign, and the keys.
    fn shown(&self) -> (char, String) {
        let sign = match self {
            Self::Added => '+',
            Self::Removed => '-',
            Self::Changed(_) => '~',
        };
        let keys: Vec<_> = self.keys().iter().map(|c| Shown(c).to_string()).collect();
        (sign, if keys.is_empty() { String::new() } else { format!(": {}", keys.join(", ")) })
    }
}

impl PoolChanged {
    fn write(&self, out: &mut String) -> fmt::Result {
        let (sign, keys) = self.what.shown();
        writeln!(out, "{sign} pool \"{}\"{keys}", self.name)?;
        for (backend, live) in &self.backends {
            let more = match live {
                0 => String::new(),
                1 => " (1 live session)".to_owned(),
                n => format!(" ({n} live sessions)"),
            };
            backend.write(out, "    ", "backend", &more)?;
        }
        if self.has_pins && self.sessions_moved > 0 {
            writeln!(out, "    sessions that move: {}, those of backends that go", self.sessions_moved)?;
        }
        if let Some(placement) = &self.placement {
            let what = if self.has_pins { "keys of new sessions" } else { "keys" };
            writeln!(out, "    {what} that move: {}", percent(placement.moved, placement.samples))?;
            for share in placement.backends.iter().filter(|s| s.moved > 0 || s.before != s.after) {
                let [before, after, moved] =
                    [share.before, share.after, share.moved].map(|n| percent(n, placement.samples));
                writeln!(out, "      {}: {before} -> {after} of all, {moved} move away", share.backend)?;
            }
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let backend = |(changed, live): &(Changed, u32)| {
            let mut value = changed.to_json();
            value["sessions"] = json!(live);
            value
        };
        let placement = self.placement.as_ref().map(|placement| {
            let part = |n: u32| f64::from(n) / f64::from(placement.samples.max(1));
            let share = |s: &Share| json!({ "name": s.backend, "before": part(s.before), "after": part(s.after), "moved": part(s.moved) });
            json!({
                "samples": placement.samples,
                "moved": part(placement.moved),
                "backends": placement.backends.iter().map(share).collect::<Vec<_>>(),
            })
        });
        json!({
            "name": self.name,
            "change": self.what.word(),
            "keys": self.what.keys_json(),
            "backends": self.backends.iter().map(backend).collect::<Vec<_>>(),
            "has_pins": self.has_pins,
            "sessions_moved": self.sessions_moved,
            "reordered": self.reordered,
            "placement": placement,
        })
    }
}

/// `key old -> new`
struct Shown<'a>(&'a Change);

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change { key, old, new } = self.0;
        match (old, new) {
            (Some(old), Some(new)) => write!(f, "{key} {old} -> {new}"),
            (None, Some(new)) => write!(f, "{key} = {new}, which was not set"),
            (Some(old), None) => write!(f, "{key} = {old} is no longer set"),
            (None, None) => f.write_str(key),
        }
    }
}

fn change_json(change: &Change) -> Value {
    json!({ "key": change.key, "old": change.old, "new": change.new, "restart": needs_restart(&change.key) })
}

fn needs_restart(key: &str) -> bool {
    RESTART.iter().any(|begin| key.starts_with(begin))
}

fn percent(n: u32, of: u32) -> String {
    let tenths = (u64::from(n) * 1000 + u64::from(of) / 2) / u64::from(of.max(1));
    if tenths.is_multiple_of(10) || tenths >= 100 {
        format!("{} %", (tenths + 5) / 10)
    } else {
        format!("{}.{} %", tenths / 10, tenths % 10)
    }
}

/// What is named in one list and not in the other, or differs; in the order of the new list, then what is gone.
fn compare<T>(
    old: &[(String, T)],
    new: &[(String, T)],
    changes: impl Fn(&T, &T) -> Vec<Change>,
) -> Vec<Changed> {
    let mut found = Vec::new();
    let mut before: AHashMap<&str, &T> = AHashMap::new();
    for (name, it) in old {
        before.entry(name).or_insert(it);
    }
    let mut seen: AHashMap<&str, ()> = AHashMap::new();
    for (name, it) in new {
        if seen.insert(name, ()).is_some() {
            continue;
        }
        let what = match before.remove(name.as_str()) {
            None => What::Added,
            Some(was) => What::Changed(changes(was, it)),
        };
        if !matches!(&what, What::Changed(keys) if keys.is_empty()) {
            found.push(Changed { name: name.clone(), what });
        }
    }
    let gone = old.iter().filter(|(name, _)| before.remove(name.as_str()).is_some());
    found.extend(gone.map(|(name, _)| Changed { name: name.clone(), what: What::Removed }));
    found
}

/// (key, old, new) of pairs that differ.
fn changed<const N: usize>(pairs: [(&str, String, String); N]) -> Vec<Change> {
    let differ = pairs.into_iter().filter(|(_, old, new)| old != new);
    differ.map(|(key, old, new)| Change { key: key.to_owned(), old: Some(old), new: Some(new) }).collect()
}

/// Takes the values out.
fn hide(change: &mut Change) {
    (change.old, change.new) = (None, None);
}

/// Routes by what they are for, with the name of their pool.
fn routes(plan: &Plan) -> Vec<(String, (String, &Route))> {
    let of = |route: &'_ Route| {
        let listener = route.listener.and_then(|ix| plan.listeners.get(ix)).map(|l| format!("{} ", l.name));
        let pool = route.pool().and_then(|ix| plan.pools.get(ix));
        let pool = pool.map_or_else(String::new, |p| p.name.to_string());
        (format!("{}{route}", listener.unwrap_or_default()), pool)
    };
    let route = |route| {
        let (name, pool) = of(route);
        (name, (pool, route))
    };
    plan.routes.as_slice().iter().map(route).collect()
}

fn route_changes((old_pool, old): &(String, &Route), (new_pool, new): &(String, &Route)) -> Vec<Change> {
    // What they are for is their name.
    let Route {
        listener: _,
        host: _,
        path: _,
        to: _,
        path_change: _,
        request_headers,
        response_headers,
        settings,
    } = old;
    let mut keys = changed([
        ("pool", format!("{old_pool:?}"), format!("{new_pool:?}")),
        ("request_headers", format!("{request_headers:?}"), format!("{:?}", new.request_headers)),
        ("response_headers", format!("{response_headers:?}"), format!("{:?}", new.response_headers)),
    ]);
    keys.iter_mut().filter(|c| c.key != "pool").for_each(hide);
    keys.extend(settings.changes(&new.settings));
    keys
}

fn pools(old: &Plan, new: &Plan, live: &dyn Fn(&Pool, &Backend) -> u32) -> Vec<PoolChanged> {
    let find = |plan: &'_ Plan, name: &str| plan.pools.iter().find(|p| &*p.name == name).map(Arc::clone);
    let added = |pool: &Pool, what: What| PoolChanged {
        name: pool.name.to_string(),
        backends: Vec::new(),
        sessions_moved: match what {
            What::Removed => placement::named(pool).map(|b| live(pool, b)).sum(),
            What::Added | What::Changed(_) => 0,
        },
        what,
        reordered: None,
        placement: None,
        has_pins: pool.affinity.is_some(),
    };
    let mut found = Vec::new();
    for pool in &new.pools {
        match find(old, &pool.name) {
            None => found.push(added(pool, What::Added)),
            Some(was) if was.digest == pool.digest => {}
            Some(was) => found.extend(pool_changes(&was, pool, live)),
        }
    }
    let gone = old.pools.iter().filter(|p| find(new, &p.name).is_none());
    found.extend(gone.map(|pool| added(pool, What::Removed)));
    found
}

/// `None` if nothing changes: who is leaving already is no part of the configuration.
fn pool_changes(old: &Pool, new: &Pool, live: &dyn Fn(&Pool, &Backend) -> u32) -> Option<PoolChanged> {
    let mut keys = old.settings.changes(&new.settings);
    keys.iter_mut().filter(|c| c.key.starts_with("health.headers.")).for_each(hide);
    let named = |pool: &'_ Pool| -> Vec<_> {
        placement::named(pool).map(|b| (b.id.to_string(), Arc::clone(b))).collect()
    };
    let backends = compare(&named(old), &named(new), |old, new| backend_changes(old, new));
    let sessions =
        |changed: &Changed| old.members.find(&changed.name).map_or(0, |ix| live(old, old.members.get(ix)));
    let backends: Vec<_> = backends.into_iter().map(|b| (sessions(&b), b)).map(|(n, b)| (b, n)).collect();
    let gone = backends.iter().filter(|(b, _)| b.what == What::Removed);
    let has_new_order = order_changed(old, new);
    let is_rebuilt = !keys.is_empty() || !backends.is_empty() || has_new_order;
    if !is_rebuilt {
        let same_leaving = leaving(old).eq(leaving(new));
        if !same_leaving {
            return None;
        }
        // All that is left is what is not shown.
        keys.push(Change { key: "the contents of its key file".to_owned(), old: None, new: None });
    }
    if has_new_order {
        keys.push(Change { key: "the order of its backends".to_owned(), old: None, new: None });
    }
    let placement = placement::estimate(old, new);
    let reordered = has_new_order && is_positional(old) && is_positional(new);
    Some(PoolChanged {
        name: new.name.to_string(),
        sessions_moved: gone.map(|(_, n)| n).sum(),
        what: What::Changed(keys),
        backends,
        reordered: reordered.then_some(new.kind.name),
        placement,
        has_pins: new.affinity.is_some(),
    })
}

fn leaving(pool: &Pool) -> impl Iterator<Item = &str> {
    pool.members.iter().filter(|(_, b)| b.leaving).map(|(_, b)| b.id.as_str())
}

fn backend_changes(old: &Backend, new: &Backend) -> Vec<Change> {
    let Backend {
        id: _,
        route: _,
        address: _,
        address_text,
        weight,
        written_weight: _,
        backup,
        admin,
        leaving: _,
        max_conns,
        max_fails,
        fail_timeout,
        slow_start,
        load: _,
        sessions: _,
    } = old;
    let span = |duration| format!("\"{}\"", Span(duration));
    changed([
        ("address", format!("{address_text:?}"), format!("{:?}", new.address_text)),
        ("route", format!("{:?}", old.route()), format!("{:?}", new.route())),
        ("weight", weight.to_string(), new.weight.to_string()),
        ("backup", backup.to_string(), new.backup.to_string()),
        ("state", format!("{:?}", admin.as_str()), format!("{:?}", new.admin.as_str())),
        ("max_conns", max_conns.to_string(), new.max_conns.to_string()),
        ("max_fails", max_fails.to_string(), new.max_fails.to_string()),
        ("fail_timeout", span(*fail_timeout), span(new.fail_timeout)),
        ("slow_start", span(*slow_start), span(new.slow_start)),
    ])
}

/// Whether those that both have stand in another order.
fn order_changed(old: &Pool, new: &Pool) -> bool {
    let common = |pool: &Pool, other: &Pool| -> Vec<String> {
        let is_common = |b: &&Arc<Backend>| {
            other.members.find(b.id.as_str()).is_some_and(|ix| !other.members.get(ix).leaving)
        };
        placement::named(pool).filter(is_common).map(|b| b.id.to_string()).collect()
    };
    common(old, new) != common(new, old)
}

/// Whether the strategy places by the places in the list: `ip_hash`, and `hash` unless it is consistent.
fn is_positional(pool: &Pool) -> bool {
    match pool.kind.name {
        "ip_hash" => true,
        "hash" => pool.settings.get("strategy.consistent") != Some("true"),
        _ => false,
    }
}
