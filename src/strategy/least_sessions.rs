//! A new session goes where the fewest sessions live for the backend's weight.
//!
//! `least_conn` sees requests, and a session asks for one only now and then; where sessions are what costs (memory,
//! carts, sockets kept), this balances them, and a backend just started fills up instead of waiting for churn.
//! Equal ones are told apart by requests in flight, then smoothly in turn.
//! It counts what this node has seen within the affinity's idle time; a pool without affinity has no sessions, and
//! this is then `least_conn`. Each choice reads 32 cells per worker and backend.

use std::sync::Arc;

use super::least_conn::{Ratio, least};
use super::round_robin::Smooth;
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Group};
use crate::base::options::Options;

/// `strategy = "least_sessions"`.
pub const KIND: Kind = Kind {
    name: "least_sessions",
    summary: "fewest live sessions for its weight",
    needs: Needs::Nothing,
    build,
};

fn build(_: &mut Options, _: Group<'_>) -> Arc<dyn Strategy> {
    Arc::new(LeastSessions)
}

#[derive(Debug)]
struct LeastSessions;

#[derive(Debug, Default)]
struct LeastSessionsPicker {
    smooth: Smooth,
}

impl Strategy for LeastSessions {
    fn picker(self: Arc<Self>, _: u64) -> Box<dyn Picker> {
        Box::new(LeastSessionsPicker::default())
    }
}

impl Picker for LeastSessionsPicker {
    fn pick(&mut self, request: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        least(&mut self.smooth, among, |backend| {
            (Ratio::new(backend.sessions.live(request.now), backend), Ratio::in_flight(backend))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Pool, facts};
    use super::*;
    use crate::base::time::UnixSeconds;

    const NOW: UnixSeconds = UnixSeconds(1_000_000);

    fn check(weights: &[u16], sessions: &[u32], in_flight: &[u32], expected: usize) {
        let pool = Pool::weighing(weights).with_in_flight(in_flight);
        for (ix, count) in sessions.iter().enumerate() {
            (0..*count).for_each(|_| pool.backend(ix).sessions.begin(0, NOW));
        }
        let at = RequestFacts { now: NOW, ..facts() };
        let picked = pool.pick(&mut *pool.picker(&KIND, &[]), &at);
        assert_eq!(picked, Some(expected), "{weights:?} {sessions:?} {in_flight:?}");
    }

    #[test]
    fn the_fewest_sessions_for_its_weight_win_then_the_fewest_requests() {
        check(&[1, 1, 1], &[3, 1, 2], &[0, 9, 0], 1);
        check(&[4, 1, 1], &[7, 2, 2], &[0, 0, 0], 0);
        check(&[2, 1, 1], &[2, 1, 1], &[4, 3, 1], 2);
        check(&[1, 1, 1], &[5, 5, 5], &[1, 1, 0], 2);
    }

    #[test]
    fn new_sessions_level_out_and_then_follow_weight() {
        let pool = Pool::weighing(&[2, 1, 1]);
        (0..50).for_each(|_| pool.backend(0).sessions.begin(0, NOW));
        let (mut picker, at) = (pool.picker(&KIND, &[]), RequestFacts { now: NOW, ..facts() });
        let mut begin = |count| {
            for _ in 0..count {
                let ix = pool.pick(&mut *picker, &at).unwrap();
                pool.backend(ix).sessions.begin(0, NOW);
            }
            [0, 1, 2].map(|ix| pool.backend(ix).sessions.live(NOW))
        };
        assert_eq!(begin(50), [50, 25, 25]);
        assert_eq!(begin(100), [100, 50, 50]);
    }

    #[test]
    fn sessions_that_ended_count_no_longer() {
        let pool = Pool::weighing(&[1, 1]);
        pool.backend(0).sessions.begin(0, NOW);
        let later = |after| RequestFacts { now: UnixSeconds(NOW.0 + after), ..facts() };
        let first = |at| pool.pick(&mut *pool.picker(&KIND, &[]), &at);
        assert_eq!(first(later(1)), Some(1));
        assert_eq!(first(later(3600)), Some(0));
    }
}
