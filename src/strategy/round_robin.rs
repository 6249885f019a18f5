//! Smooth weighted round robin, as nginx does it.
//!
//! Each turn every candidate's current weight grows by its weight; the largest wins (the first on ties) and pays
//! the total. Weights 5, 1, 1 give a a b a c a a instead of a a a a a b c.
//! (nginx: ngx_http_upstream_get_peer, without the effective weight that recovers after failures.)

use std::sync::Arc;

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
}

impl Smooth {
    /// The next of `among` that `allowed` accepts, by weight.
    pub(super) fn next(
        &mut self,
        among: &Candidates<'_>,
        allowed: impl Fn(BackendIx) -> bool,
    ) -> Option<BackendIx> {
        let mut total = 0;
        let mut best: Option<(BackendIx, i64)> = None;
        for (ix, backend) in among.iter().filter(|(ix, _)| allowed(*ix)) {
            if self.current.len() <= ix.index() {
                self.current.resize(ix.index() + 1, 0);
            }
            let weight = i64::from(backend.weight);
            let current = &mut self.current[ix.index()];
            *current += weight;
            total += weight;
            if best.is_none_or(|(_, most)| *current > most) {
                best = Some((ix, *current));
            }
        }
        let (ix, _) = best?;
        self.current[ix.index()] -= total;
        Some(ix)
    }
}

impl Picker for Smooth {
    fn pick(&mut self, _: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        self.next(among, |_| true)
    }
}
