//! Weighted random choice; with `two = true`, the less loaded of two such choices.
//!
//! Needs nothing from other nodes, and unlike `least_conn` many nodes at once do not all run to the same idle
//! backend. Two choices instead of one bring the fullest backend from far above the mean to just above it.
//! (nginx: random two least_conn. Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001.)
//!
//! Option: `two` (default false).

use std::sync::Arc;

use super::least_conn::Ratio;
use super::{Kind, Needs, Picker, RequestFacts, Strategy};
use crate::backend::BackendIx;
use crate::backend::members::{Candidates, Group};
use crate::base::options::Options;

/// `strategy = "random"`.
pub const KIND: Kind = Kind {
    name: "random",
    summary: "at random by weight; two = true takes the less loaded of two",
    needs: Needs::Nothing,
    build,
};

fn build(options: &mut Options, _: Group<'_>) -> Arc<dyn Strategy> {
    let choices = if options.bool("two", false) { Choices::Two } else { Choices::One };
    Arc::new(Random { choices })
}

#[derive(Debug)]
struct Random {
    choices: Choices,
}

#[derive(Clone, Copy, Debug)]
enum Choices {
    One,
    Two,
}

#[derive(Debug)]
struct RandomPicker {
    choices: Choices,
    random: fastrand::Rng,
}

impl Strategy for Random {
    fn picker(self: Arc<Self>, seed: u64) -> Box<dyn Picker> {
        Box::new(RandomPicker { choices: self.choices, random: fastrand::Rng::with_seed(seed) })
    }
}

impl Picker for RandomPicker {
    fn pick(&mut self, _: &RequestFacts<'_>, among: &Candidates<'_>) -> Option<BackendIx> {
        let one = self.draw(among, |_| true)?;
        match self.choices {
            Choices::One => Some(one),
            Choices::Two => {
                let two = self.draw(among, |ix| ix != one).unwrap_or(one);
                let load = |ix| Ratio::in_flight(among.get(ix));
                Some(if load(two) < load(one) { two } else { one })
            }
        }
    }
}

impl RandomPicker {
    /// A candidate that `allowed` accepts, by weight. One pass: each takes the choice from those before it with
    /// its part of their common weight, so that a candidate lost between two passes cannot leave a hole.
    fn draw(&mut self, among: &Candidates<'_>, allowed: impl Fn(BackendIx) -> bool) -> Option<BackendIx> {
        let (mut total, mut drawn) = (0_u64, None);
        for (ix, backend) in among.iter().filter(|(ix, _)| allowed(*ix)) {
            let weight = u64::from(backend.table_weight());
            total += weight;
            if self.random.u64(..total) < weight {
                drawn = Some(ix);
            }
        }
        drawn
    }
}

#[cfg(test)]
#[path = "random_tests.rs"]
mod tests;
