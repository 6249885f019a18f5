//! config.toml says the truth: it is accepted, it shows every key, and the defaults that it shows are the defaults.

use std::collections::BTreeSet;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::Sources;
use super::diagnostic::Report;
use super::tests::{SHIPPED, dump, environment, folder, ok, parsed, said};
use crate::snapshot::carried::Carried;
use crate::strategy::Registry;

/// A key that config.toml shows commented.
#[derive(Clone, Copy, Debug)]
struct Shown {
    /// Its line, from 0.
    line: usize,
    /// The header of its section.
    section: &'static str,
    name: &'static str,
    /// Whether the value is an example and not the default.
    is_example: bool,
}

impl Shown {
    fn is_same_key(&self, other: &Self) -> bool {
        (self.section, self.name) == (other.section, other.name)
    }
}

/// Every `# key = value` of config.toml.
fn shown() -> Vec<Shown> {
    let mut section = "";
    let mut shown = Vec::new();
    for (line, text) in SHIPPED.lines().enumerate() {
        if text.starts_with('[') {
            section = text;
        }
        let name = text.strip_prefix("# ").and_then(|t| t.split_once(" = ")).map_or("", |(name, _)| name);
        if !name.is_empty() && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_' || b.is_ascii_digit())
        {
            shown.push(Shown { line, section, name, is_example: text.contains("# e.g.") });
        }
    }
    shown
}

/// The examples that may be in force together: of several for one key the first.
fn examples() -> Vec<Shown> {
    let mut chosen: Vec<Shown> = Vec::new();
    for key in shown().into_iter().filter(|key| key.is_example) {
        if !chosen.iter().any(|other| other.is_same_key(&key)) {
            chosen.push(key);
        }
    }
    chosen
}

/// config.toml with these keys in force.
fn with(keys: &[Shown]) -> String {
    let line = |(i, text): (usize, &'static str)| {
        let in_force = keys.iter().any(|key| key.line == i);
        if in_force { text.trim_start_matches("# ") } else { text }
    };
    SHIPPED.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

/// config.toml with every example in force.
pub(super) fn with_examples() -> String {
    with(&examples())
}

/// (section's header, key) of every default that config.toml shows.
pub(super) fn defaults_shown() -> Vec<(String, &'static str)> {
    let shown = shown().into_iter().filter(|key| !key.is_example);
    shown.map(|key| (key.section.to_owned(), key.name)).collect()
}

fn dumped(keys: &[Shown], folder: &Path) -> String {
    dump(&parsed(&with(keys), folder).unwrap_or_else(|e| panic!("{e}")).plan)
}

#[test]
fn it_is_accepted_without_a_word() {
    assert_eq!(said(SHIPPED), Vec::<String>::new());
    let plan = ok(SHIPPED).plan;
    assert_eq!((plan.listeners.len(), plan.pools[0].members.len()), (1, 3));
}

/// Most defaults mean something only beside the examples, as `same_site` beside `mode = "cookie"`.
#[test]
fn every_default_that_it_shows_is_the_default() {
    let (folder, examples) = (folder(), examples());
    for key in shown().into_iter().filter(|key| !key.is_example) {
        let beside: Vec<_> = examples.iter().copied().filter(|other| !other.is_same_key(&key)).collect();
        let set = [beside.as_slice(), &[key]].concat();
        assert!(dumped(&set, folder.path()) == dumped(&beside, folder.path()), "{key:?}");
    }
}

#[test]
fn every_example_that_it_shows_works_and_changes_something() {
    let (folder, examples) = (folder(), examples());
    for key in shown().into_iter().filter(|key| key.is_example) {
        // Without the path a check has no other keys, and without TLS nobody is asked for certificates.
        let beside: Vec<_> = examples
            .iter()
            .copied()
            .filter(|other| !other.is_same_key(&key) && (key.name != "path" || other.section != key.section))
            .filter(|other| {
                key.name != "tls" || !["client_certificates", "ticket_keys"].contains(&other.name)
            })
            .collect();
        let set = [beside.as_slice(), &[key]].concat();
        assert!(dumped(&set, folder.path()) != dumped(&beside, folder.path()), "{key:?}");
    }
}

#[test]
fn it_shows_every_key_and_no_other() {
    let (folder, examples) = (folder(), examples());
    let others = shown().into_iter().filter(|key| !examples.iter().any(|other| other.is_same_key(key)));
    let text = with(&others.chain(examples.iter().copied()).collect::<Vec<_>>());
    let (report, registry) = (Report::default(), Registry::built_in());
    let sources = Sources::text(&text, &folder.path().join("config.toml"));
    let plan = super::read(&report, &sources, &registry, &environment(), &Carried::default());
    assert!(plan.is_some());
    let asked: BTreeSet<_> = report.asked.take().into_iter().map(|(t, key)| format!("{t} {key}")).collect();
    let mut shown = BTreeSet::new();
    keys("the file", DeTable::parse(&text).unwrap().get_ref(), &mut shown);
    assert_eq!(shown, asked);
}

/// `title key` of every key in the text; not of tables whose keys are the operator's words.
fn keys(title: &str, table: &DeTable<'_>, out: &mut BTreeSet<String>) {
    let bare = title.trim_matches(['[', ']']);
    for (key, value) in table {
        let key = key.get_ref();
        out.insert(format!("{title} {key}"));
        match value.get_ref() {
            DeValue::Table(_) if ["set", "add", "headers"].contains(&key.as_ref()) => {}
            DeValue::Table(inner) if bare == "the file" => keys(&format!("[{key}]"), inner, out),
            DeValue::Table(inner) if ["limits", "timeouts", "affinity", "health"].contains(&key.as_ref()) => {
                keys(&format!("[{bare}.{key}]"), inner, out);
            }
            DeValue::Table(inner) => keys(key, inner, out),
            DeValue::Array(list) => {
                let title = if key == "backends" { "a backend".to_owned() } else { format!("[[{key}]]") };
                list.iter().filter_map(|v| v.get_ref().as_table()).for_each(|t| keys(&title, t, out));
            }
            _ => {}
        }
    }
}
