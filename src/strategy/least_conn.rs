//! The backend with the fewest requests in flight for its weight, over all workers; ties go smoothly in turn.
//!
//! Good for requests of very different length. It knows only what passes through this node, and a backend that
//! fails fast looks idle: eject failing ones. (nginx: ngx_http_upstream_least_conn_module.c.)

use std::cmp::Ordering;
use std::sync::Arc;

use super::round_robin::Smooth;
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::members::{BackendSet, Candidates, Group};
use crate::backend::{Backend, BackendIx};
use crate::base::options::Options;

/// `strategy = "least_conn"`.
pub const KIND: Kind = Kind {
    name: "least_conn",
    summary: "fewest requests in flight for its weight",
    needs: Needs::Nothing,
    build,
};

fn build(_: &mut Options, _: Group<'_>) -> Arc<dyn Strategy> {
    Arc::new(LeastConn)
}

/// A load for each unit of weight, compared without rounding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ratio {
    load: u32,
    weight: u32,
}

#[derive(Debug)]
struct LeastConn;

#[derive(Debug, Default)]
struct LeastConnPicker {
    smooth: Smooth,
}

impl Strategy for LeastConn {
    fn picker(self: Arc<Self>, _: u64) -> Box<dyn Picker> {
        Box::new(LeastConnPicker::default())
    }
}

impl Picker for LeastConnPicker {
    fn pick(&mut self, _: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        least(&mut self.smooth, among, Ratio::in_flight)
    }
}

impl Ratio {
    /// `load` for each unit of the backend's weight.
    pub(super) fn new(load: u32, backend: &Backend) -> Self {
        Self { load, weight: backend.table_weight() }
    }

    /// Requests in flight for each unit of weight.
    pub(super) fn in_flight(backend: &Backend) -> Self {
        Self::new(backend.load.in_flight(), backend)
    }
}

impl Ord for Ratio {
    fn cmp(&self, other: &Self) -> Ordering {
        let product = |load: u32, weight: u32| u64::from(load) * u64::from(weight);
        product(self.load, other.weight).cmp(&product(other.load, self.weight))
    }
}

impl PartialOrd for Ratio {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Ratio {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ratio {}

/// The candidate whose `key` is least; of those alike, the one whose turn it is.
///
/// Other workers change loads meanwhile, so each key is read once and the ties are remembered, not found again.
pub(super) fn least<K: Ord>(
    smooth: &mut Smooth,
    among: &Candidates<'_>,
    key: impl Fn(&Backend) -> K,
) -> Option<BackendIx> {
    let mut best: Option<(BackendIx, K)> = None;
    let mut ties = BackendSet::new();
    for (ix, backend) in among.iter() {
        let key = key(backend);
        match best.as_ref().map_or(Ordering::Less, |(_, least)| key.cmp(least)) {
            Ordering::Greater => continue,
            Ordering::Equal => {}
            Ordering::Less => {
                best = Some((ix, key));
                ties = BackendSet::new();
            }
        }
        ties.insert(ix);
    }
    let (first, _) = best?;
    // The last place of every tie may have been taken between the two looks; then the first is as good as any.
    smooth.next(among, |ix| ties.contains(ix)).or(Some(first))
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Pool, facts};
    use super::*;

    #[test]
    fn the_least_loaded_for_its_weight_wins() {
        let check = |weights: &[u16], loads: &[u32], expected: usize| {
            let pool = Pool::weighing(weights).with_in_flight(loads);
            assert_eq!(
                pool.pick(&mut *pool.picker(&KIND, &[]), &facts()),
                Some(expected),
                "{weights:?} {loads:?}"
            );
        };
        check(&[1, 1, 1], &[2, 1, 3], 1);
        check(&[4, 1, 1], &[3, 1, 1], 0);
        check(&[4, 1, 1], &[5, 1, 2], 1);
        check(&[3, 7, 1], &[2, 5, 1], 0);
        check(&[65535, 65534], &[65534, 65533], 1);
    }

    #[test]
    fn ties_go_smoothly_by_weight() {
        let pool = Pool::weighing(&[5, 1, 1]);
        let mut picker = pool.picker(&KIND, &[]);
        let picks: Vec<_> = (0..7).filter_map(|_| pool.pick(&mut *picker, &facts())).collect();
        assert_eq!(picks, [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn requests_that_stay_fill_by_weight() {
        let pool = Pool::weighing(&[3, 2, 1]);
        let mut picker = pool.picker(&KIND, &[]);
        for _ in 0..60 {
            let ix = pool.pick(&mut *picker, &facts()).unwrap();
            assert!(pool.backend(ix).load.enter(0));
        }
        assert_eq!([0, 1, 2].map(|ix| pool.backend(ix).load.in_flight()), [30, 20, 10]);
    }

    #[test]
    fn a_closed_or_tried_member_is_not_chosen_though_idle() {
        let pool = Pool::weighing(&[1, 1, 1]).with_in_flight(&[0, 0, 9]).without(&[0]).after(&[1]);
        assert_eq!(pool.pick(&mut *pool.picker(&KIND, &[]), &facts()), Some(2));
    }
}
