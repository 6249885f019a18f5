//! homing's own strategies over members that are made up, asked without a pool.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use crate::backend::members::{BackendSet, Candidates, Members};
use crate::backend::sessions::LiveSessions;
use crate::backend::{Backend, BackendIx};
use crate::base::hash::hash64;
use crate::base::options::{Options, Value};
use crate::base::time::UnixSeconds;
use crate::strategy::{Picker, Registry, RequestFacts};

pub(super) struct Tables {
    members: Members,
    open: BackendSet,
    picker: Box<dyn Picker>,
}

/// `count` backends at made-up addresses that differ from family to family.
pub(super) fn names(family: u64, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("b{i}.f{family}.test:80")).collect()
}

pub(super) fn members(names: &[String]) -> Members {
    let none = Arc::new(LiveSessions::none());
    let backend =
        |name: &String| Backend::at(name).map(|b| Arc::new(Backend { sessions: Arc::clone(&none), ..b }));
    Members::new(names.iter().filter_map(backend).collect())
}

impl Tables {
    /// The strategy of this name (`ring` is `hash` with `consistent`), with these options.
    pub(super) fn new(strategy: &str, options: &[(&str, i64)], names: &[String]) -> Option<Self> {
        let kind = Registry::built_in().find(if strategy == "ring" { "hash" } else { strategy })?;
        let members = members(names);
        let mut values: Vec<_> =
            options.iter().map(|(name, value)| ((*name).to_owned(), Value::Integer(*value), 0..0)).collect();
        if strategy == "ring" {
            values.push(("consistent".to_owned(), Value::Bool(true), 0..0));
        }
        let picker = (kind.build)(&mut Options::new(values), members.primaries()).picker(7);
        Some(Self { open: members.iter().map(|(ix, _)| ix).collect(), members, picker })
    }

    /// The strategy over backends of these ids.
    pub(super) fn named(strategy: &str, ids: &[String]) -> Option<Self> {
        let kind = Registry::built_in().find(strategy)?;
        let members =
            Members::new(ids.iter().filter_map(|id| Some(Arc::new(Backend::at("x:1")?.named(id)))).collect());
        let picker = (kind.build)(&mut Options::none(), members.primaries()).picker(7);
        Some(Self { open: members.iter().map(|(ix, _)| ix).collect(), members, picker })
    }

    pub(super) fn close(&mut self, place: usize) {
        self.open.remove(ix(place));
    }

    pub(super) fn open(&mut self, place: usize) {
        self.open.insert(ix(place));
    }

    pub(super) fn by_hash(&mut self, hash: u64) -> usize {
        self.pick(&RequestFacts { hash, ..NOTHING })
    }

    pub(super) fn by_key(&mut self, key: &[u8]) -> usize {
        self.pick(&RequestFacts { key: Some(key), hash: hash64(key), ..NOTHING })
    }

    pub(super) fn by_network(&mut self, [a, b, c]: [u8; 3]) -> usize {
        self.pick(&RequestFacts { client: Some(IpAddr::V4(Ipv4Addr::new(a, b, c, 1))), ..NOTHING })
    }

    /// The id of the member that has this key.
    pub(super) fn id_of(&mut self, key: &[u8]) -> &str {
        let place = self.by_key(key);
        self.members.get(ix(place)).id.as_str()
    }

    pub(super) fn has(&self, id: &str) -> bool {
        self.members.find(id).is_some()
    }

    /// The member at each of `size` slots of a table that a hash falls on by remainder.
    pub(super) fn slots(&mut self, size: u64) -> Vec<usize> {
        (0..size).map(|slot| self.by_hash(slot)).collect()
    }

    fn pick(&mut self, request: &RequestFacts<'_>) -> usize {
        let tried = BackendSet::new();
        let among = Candidates::new(self.members.primaries(), &self.open, &tried);
        self.picker.pick(request, &among).map_or(usize::MAX, BackendIx::index)
    }
}

fn ix(place: usize) -> BackendIx {
    BackendIx(u16::try_from(place).unwrap_or(u16::MAX))
}

const NOTHING: RequestFacts<'static> =
    RequestFacts { client: None, key: None, hash: 0, attempt: 0, now: UnixSeconds(0) };
