//! What was read, key by key, as it is in effect: written down while it is read, so that what `homing print` shows, what
//! digests tell apart and what `homing diff` names cannot differ from what is used.
//!
//! A table is a node; the typed reads of `reader` and `item` note each key with its value and where that came from.

use std::cell::RefCell;
use std::fmt::Write as _;

use toml::de::DeValue;

use super::item::whole;
use super::print::quote;
use super::reader::Title;
use crate::base::hash::hash64;
use crate::base::settings::Settings;

/// Everything that was read of one configuration.
#[derive(Debug, Default)]
pub(super) struct Record {
    nodes: RefCell<Vec<Node>>,
}

/// A table that was read.
#[derive(Debug)]
pub(super) struct Node {
    title: Title,
    /// In the order in which they were asked for.
    pub(super) entries: Vec<Entry>,
    /// What else decides about it and is not shown.
    hidden: Vec<String>,
}

/// Which node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeId(usize);

/// A key in effect.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key: Box<str>,
    pub(super) value: Value,
    pub(super) origin: Origin,
}

/// A value in effect.
#[derive(Clone, Debug)]
pub(super) enum Value {
    /// A string.
    Text(String),
    /// A number, a switch or a date, as TOML writes it.
    Plain(String),
    List(Vec<Self>),
    Table(NodeId),
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    Default,
    /// An offset in the texts.
    At(usize),
    /// The section around it.
    Inherited,
}

/// Where a value is noted: under a key, or in the list there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Slot<'a> {
    pub(super) node: NodeId,
    pub(super) key: &'a str,
    pub(super) element: Option<usize>,
}

impl Record {
    /// A table that is noted nowhere: the file.
    pub(super) fn open(&self, title: Title) -> NodeId {
        let mut nodes = self.nodes.borrow_mut();
        nodes.push(Node { title, entries: Vec::new(), hidden: Vec::new() });
        NodeId(nodes.len() - 1)
    }

    /// A table that stands at `slot`.
    pub(super) fn open_at(&self, slot: Slot<'_>, title: Title) -> NodeId {
        let id = self.open(title);
        self.set(slot, Value::Table(id));
        id
    }

    /// Notes a key, unless it is noted already.
    pub(super) fn note(&self, node: NodeId, key: &str, value: impl FnOnce() -> Value, origin: Origin) {
        self.with(node, |node| {
            if !node.entries.iter().any(|e| *e.key == *key) {
                node.entries.push(Entry { key: key.into(), value: value(), origin });
            }
        });
    }

    /// The value at a slot in the form that is in effect.
    pub(super) fn set(&self, slot: Slot<'_>, value: Value) {
        self.with(slot.node, |node| {
            let Some(entry) = node.entries.iter_mut().find(|e| *e.key == *slot.key) else { return };
            match (slot.element, &mut entry.value) {
                (None, whole) => *whole = value,
                (Some(i), Value::List(list)) => {
                    if let Some(element) = list.get_mut(i) {
                        *element = value;
                    }
                }
                (Some(_), Value::Text(_) | Value::Plain(_) | Value::Table(_)) => {}
            }
        });
    }

    /// Says of these keys, where they are not written, that they are what the section around says.
    pub(super) fn inherit(&self, node: NodeId, keys: &[&str]) {
        self.with(node, |node| {
            for entry in node.entries.iter_mut().filter(|e| keys.contains(&&*e.key)) {
                if entry.origin == Origin::Default {
                    entry.origin = Origin::Inherited;
                }
            }
        });
    }

    /// Adds what decides about a node and is not shown.
    pub(super) fn hide(&self, node: NodeId, what: String) {
        self.with(node, |node| node.hidden.push(what));
    }

    /// Equal exactly when everything in the node and below it is.
    pub(super) fn digest(&self, node: NodeId) -> u64 {
        let mut out = String::new();
        self.canon(&Value::Table(node), &mut out);
        hash64(out.as_bytes())
    }

    /// The node's keys and those of its tables, without those under `except`.
    pub(super) fn settings(&self, node: NodeId, except: &[&str]) -> Settings {
        let mut list = Vec::new();
        self.flatten(node, "", except, &mut list);
        list.into_iter().collect()
    }

    /// The entries of a node.
    pub(super) fn entries(&self, node: NodeId) -> Vec<Entry> {
        self.nodes.borrow().get(node.0).map(|n| n.entries.clone()).unwrap_or_default()
    }

    /// The file's node.
    pub(super) fn root(&self) -> Option<NodeId> {
        self.nodes.borrow().iter().position(|n| n.title == Title::Root).map(NodeId)
    }

    /// What the node is called.
    pub(super) fn title(&self, node: NodeId) -> Title {
        self.nodes.borrow().get(node.0).map_or(Title::Root, |n| n.title)
    }

    fn flatten(&self, node: NodeId, prefix: &str, except: &[&str], into: &mut Vec<(String, String)>) {
        for entry in self.entries(node).iter().filter(|e| !except.contains(&&*e.key)) {
            let key = format!("{prefix}{}", entry.key);
            if let Value::Table(inner) = entry.value {
                self.flatten(inner, &format!("{key}."), &[], into);
            } else {
                let mut value = String::new();
                self.canon(&entry.value, &mut value);
                into.push((key, value));
            }
        }
    }

    /// One text for equal values.
    fn canon(&self, value: &Value, out: &mut String) {
        match value {
            Value::Text(text) => out.push_str(&quote(text)),
            Value::Plain(text) => out.push_str(text),
            Value::List(list) => {
                out.push('[');
                for (i, value) in list.iter().enumerate() {
                    out.push_str(if i > 0 { ", " } else { "" });
                    self.canon(value, out);
                }
                out.push(']');
            }
            Value::Table(node) => {
                let mut entries = self.entries(*node);
                entries.sort_by(|a, b| a.key.cmp(&b.key));
                out.push('{');
                for entry in entries {
                    // Writing to memory does not fail.
                    let _ = write!(out, "{:?} = ", entry.key);
                    self.canon(&entry.value, out);
                    out.push_str(", ");
                }
                if let Some(node) = self.nodes.borrow().get(node.0) {
                    let _ = write!(out, "{:?}", node.hidden);
                }
                out.push('}');
            }
        }
    }

    fn with(&self, node: NodeId, change: impl FnOnce(&mut Node)) {
        if let Some(node) = self.nodes.borrow_mut().get_mut(node.0) {
            change(node);
        }
    }
}

impl Value {
    pub(super) const fn table(&self) -> Option<NodeId> {
        match self {
            Self::Table(node) => Some(*node),
            Self::Text(_) | Self::Plain(_) | Self::List(_) => None,
        }
    }

    pub(super) fn text(text: &(impl ToString + ?Sized)) -> Self {
        Self::Text(text.to_string())
    }

    pub(super) fn plain(value: &(impl ToString + ?Sized)) -> Self {
        Self::Plain(value.to_string())
    }
}

impl From<&DeValue<'_>> for Value {
    /// As it is written. What a table holds is noted when it is read.
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(n) => whole(value).map_or_else(|| Self::plain(n), |n| Self::plain(&n)),
            DeValue::Float(x) => Self::plain(x),
            DeValue::Boolean(b) => Self::plain(b),
            DeValue::Datetime(d) => Self::plain(d),
            DeValue::Array(list) => Self::List(list.iter().map(|v| v.get_ref().into()).collect()),
            DeValue::Table(_) => Self::plain("{}"),
        }
    }
}
