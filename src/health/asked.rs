//! What a backend asks for by the `X-Homing-State` field of its answer to a check. (HAProxy: agent-check)
//!
//! `ready`, `drain` or `maint`, and a weight as `weight=50`, in any order, between commas: `X-Homing-State: drain`,
//! `X-Homing-State: ready, weight=5`. Words that are not known are passed over, so that later versions may have more.

use crate::backend::availability::AdminState;

/// What is asked for; nothing by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The state that it wants to be in.
    pub state: Option<AdminState>,
    /// The weight that it wants to have.
    pub weight: Option<u16>,
}

impl Asked {
    /// Reads the field's value. Of two words of a kind the first counts.
    #[must_use]
    pub fn parse(value: &str) -> Self {
        let mut asked = Self::default();
        for word in value.split([',', ';']).map(str::trim) {
            let states = [AdminState::Ready, AdminState::Drain, AdminState::Maint];
            let state = states.into_iter().find(|s| word.eq_ignore_ascii_case(s.as_str()));
            asked.state = asked.state.or(state);
            let weight = word.split_once('=').filter(|(key, _)| key.trim().eq_ignore_ascii_case("weight"));
            asked.weight = asked.weight.or_else(|| weight?.1.trim().parse().ok());
        }
        asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_backend_may_ask_for() {
        use AdminState::{Drain, Maint, Ready};
        for (value, state, weight) in [
            ("drain", Some(Drain), None),
            (" Ready , weight = 5", Some(Ready), Some(5)),
            ("weight=0;maint", Some(Maint), Some(0)),
            ("drain, ready", Some(Drain), None),
            ("weight=70000, weight=7", None, Some(7)),
            ("weight=-1", None, None),
            ("drained, sleepy", None, None),
            ("", None, None),
        ] {
            assert_eq!(Asked::parse(value), Asked { state, weight }, "{value:?}");
        }
    }
}
