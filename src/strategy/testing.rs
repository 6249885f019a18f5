//! Pools, requests and measures for the strategies' tests.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Kind, Picker, RequestFacts};
use crate::backend::members::{BackendSet, Candidates, Members};
use crate::backend::{Backend, BackendIx};
use crate::base::hash::hash64;
use crate::base::options::{Options, Value};
use crate::base::time::UnixSeconds;

/// nginx's A, B, C (and D, E) of the vectors in affinity.md.
pub(crate) const A_TO_E: [&str; 5] =
    ["10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080", "10.0.0.4:8080", "10.0.0.5:8080"];

/// Members, who of them is open, and who was tried for the request at hand.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) members: Members,
    open: BackendSet,
    tried: BackendSet,
}

/// Backends at these addresses with these weights.
pub(crate) fn members(list: &[(&str, u16)]) -> Members {
    let backend = |(address, weight): &(&str, u16)| Arc::new(Backend::at(address).unwrap().weighing(*weight));
    Members::new(list.iter().map(backend).collect())
}

impl Pool {
    /// All open, none tried.
    pub(crate) fn of(list: &[(&str, u16)]) -> Self {
        let members = members(list);
        let open = members.primaries().iter().map(|(ix, _)| ix).collect();
        Self { members, open, tried: BackendSet::new() }
    }

    /// Weight 1 each.
    pub(crate) fn at(addresses: &[&str]) -> Self {
        Self::of(&addresses.iter().map(|a| (*a, 1)).collect::<Vec<_>>())
    }

    /// `n` backends of weight 1 that differ from those of another `family`.
    pub(crate) fn sized(family: usize, n: usize) -> Self {
        let names: Vec<_> = (0..n).map(|i| format!("b{i}.f{family}.test:80")).collect();
        Self::at(&names.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Addresses that do not matter.
    pub(crate) fn weighing(weights: &[u16]) -> Self {
        let names: Vec<_> = (1..=weights.len()).map(|i| format!("10.0.0.{i}:8080")).collect();
        Self::of(&names.iter().map(String::as_str).zip(weights.iter().copied()).collect::<Vec<_>>())
    }

    /// Weight 1 each, and so many requests at most (0: no limit).
    pub(crate) fn limited(max_conns: &[u32]) -> Self {
        let backend = |(i, max_conns): (usize, &u32)| {
            let backend = Backend::at(&format!("10.0.0.{i}:8080")).unwrap();
            Arc::new(Backend { max_conns: *max_conns, ..backend })
        };
        let members = Members::new(max_conns.iter().enumerate().map(backend).collect());
        let open = members.iter().map(|(ix, _)| ix).collect();
        Self { members, open, tried: BackendSet::new() }
    }

    /// With these members closed.
    pub(crate) fn without(mut self, closed: &[usize]) -> Self {
        self.open = self.open_now().filter(|ix| !closed.contains(&ix.index())).collect();
        self
    }

    /// With these members tried.
    pub(crate) fn after(mut self, tried: &[usize]) -> Self {
        self.tried = tried.iter().map(|ix| place(*ix)).collect();
        self
    }

    /// With so many requests in flight on each.
    pub(crate) fn with_in_flight(self, loads: &[u32]) -> Self {
        for (ix, load) in loads.iter().enumerate() {
            (0..*load).for_each(|_| assert!(self.backend(ix).load.enter(0)));
        }
        self
    }

    pub(crate) fn backend(&self, ix: usize) -> &Arc<Backend> {
        self.members.get(place(ix))
    }

    pub(crate) fn candidates(&self) -> Candidates<'_> {
        Candidates::new(self.members.primaries(), &self.open, &self.tried)
    }

    /// A picker over these members; its options must all be right.
    pub(crate) fn picker(&self, kind: &Kind, options: &[(&str, Value)]) -> Box<dyn Picker> {
        let values = options.iter().map(|(name, value)| ((*name).to_owned(), value.clone(), 0..1));
        let mut options = Options::new(values.collect());
        let strategy = (kind.build)(&mut options, self.members.primaries());
        assert_eq!(options.finish(), []);
        strategy.picker(7)
    }

    pub(crate) fn pick(&self, picker: &mut dyn Picker, request: &RequestFacts<'_>) -> Option<usize> {
        picker.pick(request, &self.candidates()).map(BackendIx::index)
    }

    /// The id of the member picked.
    pub(crate) fn pick_id(&self, picker: &mut dyn Picker, request: &RequestFacts<'_>) -> Option<&str> {
        self.pick(picker, request).map(|ix| self.backend(ix).id.as_str())
    }

    /// Whom a request tries, one after the other, if each fails.
    pub(crate) fn chain(&mut self, picker: &mut dyn Picker, request: &RequestFacts<'_>) -> Vec<usize> {
        let mut chain = Vec::new();
        while let Some(ix) = picker.pick(request, &self.candidates()) {
            assert!(chain.len() < self.members.len(), "a tried member was chosen again");
            chain.push(ix.index());
            self.tried.insert(ix);
        }
        self.tried = BackendSet::new();
        chain
    }

    /// How many of the requests each member gets.
    pub(crate) fn counts<'a>(
        &self,
        picker: &mut dyn Picker,
        requests: impl IntoIterator<Item = RequestFacts<'a>>,
    ) -> Vec<usize> {
        let mut counts = vec![0; self.members.len()];
        for request in requests {
            counts[self.pick(picker, &request).unwrap()] += 1;
        }
        counts
    }

    fn open_now(&self) -> impl Iterator<Item = BackendIx> {
        self.members.iter().map(|(ix, _)| ix).filter(|ix| self.open.contains(*ix))
    }
}

pub(crate) fn place(ix: usize) -> BackendIx {
    BackendIx(u16::try_from(ix).unwrap())
}

/// A request without address and key.
pub(crate) fn facts() -> RequestFacts<'static> {
    RequestFacts { client: None, key: None, hash: 0, attempt: 0, now: UnixSeconds(0) }
}

/// A request from this address.
pub(crate) fn by_address(address: &str) -> RequestFacts<'static> {
    RequestFacts { client: Some(address.parse::<IpAddr>().unwrap()), ..facts() }
}

/// A request with this key.
pub(crate) fn by_key<K: AsRef<[u8]> + ?Sized>(key: &K) -> RequestFacts<'_> {
    RequestFacts { key: Some(key.as_ref()), hash: hash64(key.as_ref()), ..facts() }
}

/// `count` keys, different for different `family`.
pub(crate) fn keys(family: usize, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("k{family}-{i}")).collect()
}

/// Part of the requests that go to another backend (by id) in `after` than in `before`; and whether every one that
/// moved left a backend that is gone or went to one that is new.
pub(crate) fn moved(
    kind: &Kind,
    options: &[(&str, Value)],
    (before, after): (&Pool, &Pool),
    keys: &[String],
) -> (f64, bool) {
    let (mut first, mut second) = (before.picker(kind, options), after.picker(kind, options));
    let (mut moved, mut forced) = (0, 0);
    for key in keys {
        let from = before.pick_id(&mut *first, &by_key(key)).unwrap();
        let to = after.pick_id(&mut *second, &by_key(key)).unwrap();
        if from != to {
            moved += 1;
            forced += usize::from(after.members.find(from).is_none() || before.members.find(to).is_none());
        }
    }
    (moved as f64 / keys.len() as f64, moved == forced)
}

/// Standard deviation over mean of all.
pub(crate) fn cv(shares: &[f64]) -> f64 {
    let mean = mean(shares);
    mean_of(shares.iter().map(|x| (x - mean).powi(2))).sqrt() / mean
}

pub(crate) fn peak(shares: &[f64]) -> f64 {
    shares.iter().copied().fold(0.0, f64::max) / mean(shares)
}

/// Sum of (2i - n - 1) x_i / (n sum x) over the sorted shares.
pub(crate) fn gini(shares: &[f64]) -> f64 {
    let mut sorted = shares.to_vec();
    sorted.sort_by(f64::total_cmp);
    let n = sorted.len() as f64;
    let weighted: f64 = (1..).zip(&sorted).map(|(i, x)| (2.0 * f64::from(i) - n - 1.0) * x).sum();
    weighted / (n * sorted.iter().sum::<f64>())
}

pub(crate) fn mean(values: &[f64]) -> f64 {
    mean_of(values.iter().copied())
}

pub(crate) fn mean_of(values: impl Iterator<Item = f64>) -> f64 {
    let (sum, count) = values.fold((0.0, 0.0), |(sum, count), x| (sum + x, count + 1.0));
    sum / count
}

pub(crate) fn as_shares(counts: &[usize]) -> Vec<f64> {
    counts.iter().map(|c| *c as f64).collect()
}

#[track_caller]
pub(crate) fn assert_near(is: f64, expected: f64, relative: f64, what: &str) {
    let off = (is / expected - 1.0).abs();
    assert!(off <= relative, "{what}: {is:.5} is {:.2} % off {expected}", off * 100.0);
}
