//! Smooth weighted round robin, as nginx does it.
//!
//! Each turn every candidate's current weight grows by its weight; the largest wins (the first on ties) and pays
//! the total. Weights 5, 1, 1 give a a b a c a a instead of a a a a a b c.
//! (nginx: ngx_http_upstream_get_peer, without the effective weight that recovers after failures.)

use std::sync::Arc;

use super::known::Known;
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Group};
use crate::base::options::Options;

/// `strategy = "round_robin"`.
pub const KIND: Kind = Kind {
    name: "round_robin",
    summary: "each in turn, smoothly by weight (nginx's default)",
    needs: Needs::Nothing,
    build,
};

fn build(_: &mut Options, _: Group<'_>) -> Arc<dyn Strategy> {
    Arc::new(RoundRobin)
}

#[derive(Debug)]
struct RoundRobin;

impl Strategy for RoundRobin {
    fn picker(self: Arc<Self>, _: u64) -> Box<dyn Picker> {
        Box::new(Smooth::default())
    }
}

/// The smooth weighted choice itself; other strategies use it to break ties and to fall back on.
#[derive(Debug, Default)]
pub(super) struct Smooth {
    /// Current weight by the member's place.
    current: Vec<i64>,
    known: Known,
}

impl Smooth {
    /// The next of `among` that `allowed` accepts, by weight.
    pub(super) fn next(
        &mut self,
        among: &Candidates<'_>,
        allowed: impl Fn(BackendIx) -> bool,
    ) -> Option<BackendIx> {
        let (mut total, mut best, mut most) = (0, None, i64::MIN);
        if self.known.update(among) {
            let last = self.known.open().last().map_or(0, |ix| ix.index());
            self.current.resize(self.current.len().max(last + 1), 0);
        }
        let may_be_full = among.may_be_full();
        for &ix in self.known.open() {
            if may_be_full && !among.contains(ix) || !allowed(ix) {
                continue;
            }
            let weight = i64::from(among.weight(ix));
            let Some(current) = self.current.get_mut(ix.index()) else { continue };
            *current += weight;
            total += weight;
            if *current > most {
                (best, most) = (Some(ix), *current);
            }
        }
        let ix = best?;
        self.current[ix.index()] -= total;
        Some(ix)
    }
}

impl Picker for Smooth {
    fn pick(&mut self, _: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        self.next(among, |_| true)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Pool, facts};
    use super::*;

    fn picks(pool: &Pool, count: usize) -> Vec<usize> {
        let mut picker = pool.picker(&KIND, &[]);
        (0..count).filter_map(|_| pool.pick(&mut *picker, &facts())).collect()
    }

    #[test]
    fn turns_are_smooth() {
        let check = |weights: &[u16], expected: &[usize]| {
            assert_eq!(picks(&Pool::weighing(weights), expected.len()), expected, "{weights:?}");
        };
        check(&[5, 1, 1], &[0, 0, 1, 0, 2, 0, 0]);
        check(&[1, 1, 1], &[0, 1, 2, 0, 1, 2]);
        check(&[3, 2], &[0, 1, 0, 1, 0]);
        check(&[1], &[0, 0]);
    }

    #[test]
    fn closed_and_tried_members_are_passed_over() {
        assert_eq!(picks(&Pool::weighing(&[1, 1, 1]).without(&[1]), 4), [0, 2, 0, 2]);
        assert_eq!(picks(&Pool::weighing(&[1, 1, 1]).after(&[0]), 4), [1, 2, 1, 2]);
        assert_eq!(picks(&Pool::weighing(&[1, 1]).without(&[0]).after(&[1]), 1), [0_usize; 0]);
    }

    #[test]
    fn a_full_member_is_passed_over() {
        let pool = Pool::limited(&[1, 0]).with_in_flight(&[1, 1]);
        assert_eq!(picks(&pool, 3), [1, 1, 1]);
    }

    #[test]
    fn a_member_that_opens_again_takes_only_its_turn() {
        let mut pool = Pool::weighing(&[1, 1, 1]).without(&[0]);
        let mut picker = pool.picker(&KIND, &[]);
        (0..10).for_each(|_| assert_ne!(pool.pick(&mut *picker, &facts()), Some(0)));
        pool = Pool::weighing(&[1, 1, 1]);
        let turns: Vec<_> = (0..6).filter_map(|_| pool.pick(&mut *picker, &facts())).collect();
        assert_eq!(turns.iter().filter(|ix| **ix == 0).count(), 2);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(100))]

        #[test]
        fn each_cycle_is_exact(weights in prop::collection::vec(1_u16..20, 1..8)) {
            let cycle = weights.iter().map(|w| usize::from(*w)).sum::<usize>();
            let picks = picks(&Pool::weighing(&weights), 3 * cycle);
            for (ix, weight) in weights.iter().enumerate() {
                for turn in picks.chunks(cycle) {
                    prop_assert_eq!(turn.iter().filter(|p| **p == ix).count(), usize::from(*weight));
                }
            }
        }
    }
}
