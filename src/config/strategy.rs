//! `strategy = "ip_hash"` or `strategy = { kind = "hash", key = "header:x-user", consistent = true }`.

use std::ops::Range;
use std::sync::Arc;

use toml::de::DeValue;

use super::item::{Item, did_you_mean, whole};
use super::reader::{Table, Title};
use super::record;
use super::{Scope, defaults};
use crate::affinity::key::{KeyPlan, KeySource};
use crate::backend::members::{Group, Members};
use crate::base::options::{Options, Problem, Value, nearest};
use crate::strategy::{Kind, Needs, Strategy};

/// Keys of the table that every kind has.
const OWN: [&str; 4] = ["kind", "key", "v4_prefix", "v6_prefix"];

/// A strategy as configured, not yet built over members.
pub(super) struct StrategyRead {
    pub(super) kind: &'static Kind,
    pub(super) key: KeyPlan,
    options: Vec<(String, Value, Range<usize>)>,
}

/// Reads `strategy` of a pool; `None` if the kind is not known.
pub(super) fn read(pool: &Table<'_>, scope: &Scope<'_>) -> Option<StrategyRead> {
    let title = Title::Inline("strategy");
    let written = pool.get("strategy");
    let table = match written {
        None => pool.section("strategy", title),
        Some(item) if item.value.is_str() => Table::of_one(&item, title, "kind"),
        Some(item) if item.value.is_table() => item.table(title)?,
        Some(item) => {
            item.refuse("must be a name, as in \"ip_hash\", or { kind = \"hash\", key = \"header:x-user\" }");
            return None;
        }
    };
    let kind = match table.get("kind") {
        Some(item) => kind(&item, scope),
        None if written.is_none() => scope.registry.find(defaults::STRATEGY),
        None => {
            table.report.error(table.span(), "strategy has no kind: must be named, as in kind = \"hash\"");
            None
        }
    };
    table.default("kind", record::Value::text(defaults::STRATEGY));
    let key = key_plan(&table, kind);
    let others = table.entries().filter(|(name, ..)| !OWN.contains(name));
    let options = others.map(|(name, span, item)| (name.to_owned(), option(item.value), span)).collect();
    let read = kind.map(|kind| StrategyRead { kind, key, options });
    if let Some(read) = &read {
        read.check(&table);
    }
    table.leave();
    read
}

impl StrategyRead {
    /// Reports options that are wrong whatever the members are, and notes those that are in effect.
    fn check(&self, table: &Table<'_>) {
        let mut options = Options::new(self.options.clone());
        // Nobody's tables are small: what the options are is known before it is known whether tables are needed.
        drop((self.kind.build)(&mut options, Members::new(Vec::new()).primaries()));
        for (name, value) in options.in_effect() {
            table.default(name, record::Value::plain(value));
        }
        options.finish().into_iter().for_each(|p| table.report.problem(self.explain(p)));
    }

    /// Builds the tables over the primaries and, if there are any, the backups; reports options that are wrong for so
    /// many.
    pub(super) fn build(
        &self,
        members: &Members,
        scope: &Scope<'_>,
    ) -> (Arc<dyn Strategy>, Option<Arc<dyn Strategy>>) {
        let build = |group: Group<'_>| {
            let mut options = Options::new(self.options.clone());
            ((self.kind.build)(&mut options, group), options.finish())
        };
        let (primary, problems) = build(members.primaries());
        let problems = problems.into_iter().map(|p| self.explain(p));
        problems.filter(|p| !scope.report.has(p)).for_each(|p| scope.report.problem(p));
        let backup = (members.backups().iter().len() > 0).then(|| build(members.backups()).0);
        (primary, backup)
    }

    /// What the kind does not know may be a key of every kind, misspelt.
    fn explain(&self, mut problem: Problem) -> Problem {
        let unknown = self.options.iter().find(|(name, _, span)| {
            *span == problem.span && problem.message == format!("unknown option \"{name}\"")
        });
        if let Some((name, ..)) = unknown {
            let help = problem.help.take().map(|help| format!("; {help}"));
            let help = help.or_else(|| nearest(name, OWN).map(did_you_mean)).unwrap_or_default();
            problem.message = format!("unknown option \"{name}\" of strategy {}{help}", self.kind.name);
        }
        problem
    }
}

fn kind(item: &Item<'_>, scope: &Scope<'_>) -> Option<&'static Kind> {
    let name = item.text()?;
    let found = scope.registry.find(name);
    if found.is_none() {
        let names = || scope.registry.iter().map(|k| k.name);
        let help = nearest(name, names()).map(did_you_mean).unwrap_or_default();
        let all = names().collect::<Vec<_>>().join(", ");
        item.refuse_with_help(format_args!("no such strategy{help}"), format!("there are {all}"));
    }
    found
}

fn key_plan(table: &Table<'_>, kind: Option<&Kind>) -> KeyPlan {
    let item = table.get("key");
    if let (Some(item), Some(kind)) = (item, kind)
        && kind.needs != Needs::Key
    {
        item.refuse(format_args!(
            "{} places by no key: leave it out, or choose hash or rendezvous",
            kind.name
        ));
    }
    let sources = item.map(|i| sources(&i)).unwrap_or_default();
    let by_key = kind.is_some_and(|k| k.needs == Needs::Key);
    if by_key {
        table.default("key", record::Value::text(&KeySource::ClientIp.to_text()));
    }
    let prefix = |key, most: u8| {
        if !by_key && table.get(key).is_none() {
            return most;
        }
        u8::try_from(table.integer(key, 0..=u32::from(most), u32::from(most))).unwrap_or(most)
    };
    KeyPlan {
        sources: if sources.is_empty() { KeyPlan::client_ip().sources } else { sources },
        v4_prefix: prefix("v4_prefix", defaults::V4_PREFIX),
        v6_prefix: prefix("v6_prefix", defaults::V6_PREFIX),
    }
}

/// One source or a list of them.
fn sources(item: &Item<'_>) -> Vec<KeySource> {
    let source = |item: &Item<'_>| {
        let parsed = KeySource::parse(item.text()?);
        parsed.map_err(|message| item.report.error(item.span(), message)).ok()
    };
    if item.value.is_str() {
        return source(item).into_iter().collect();
    }
    let list = item.list("keys").unwrap_or_default();
    if item.value.as_array().is_some_and(|a| a.is_empty()) {
        item.refuse("must have at least one key, as in [\"cookie:session\", \"client_ip\"]");
    }
    list.iter().filter_map(source).collect()
}

fn option(value: &DeValue<'_>) -> Value {
    match value {
        DeValue::Boolean(b) => Value::Bool(*b),
        DeValue::Integer(_) => whole(value).map_or(Value::Other("a number too large"), Value::Integer),
        DeValue::Float(x) => x.as_str().parse().map_or(Value::Other("a number too large"), Value::Float),
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(_) => Value::Other("a list"),
        DeValue::Table(_) => Value::Other("a table"),
    }
}
