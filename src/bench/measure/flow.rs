//! How sessions that come and go leave a backend that drains, and fill one that is new. Times are told in mean lengths of
//! a session, so that they are the same at any speed.

use std::collections::BTreeMap;

use super::moves::Tracked;
use crate::bench::seen::{Done, Micros, Seen};

/// A session's longest length, in mean ones: who was there at a time has left after so long.
pub(in crate::bench) const LONGEST: f64 = 4.0;
/// When it is looked after a drain, and after an addition.
const DRAINED: [f64; 4] = [1.0 / 3.0, 1.0, 2.0, LONGEST];
const ADDED: [f64; 3] = [0.25, 1.0, 3.0];

/// How many were there, so long after an event.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::bench) struct Flow {
    pub(in crate::bench) kind: String,
    pub(in crate::bench) label: String,
    /// Mean lengths of a session since the event.
    pub(in crate::bench) after: f64,
    /// Of a drained backend's sessions the share that is still there; of a new one's, that of a fair share.
    pub(in crate::bench) share: f64,
    /// Sessions that it had, or that would be its fair share.
    pub(in crate::bench) of: f64,
    /// Sessions had come and gone for long enough before: their ages no longer tell when all began.
    pub(in crate::bench) is_steady: bool,
}

/// Of every drain and every addition, as far as was looked, where sessions are `mean` long.
pub(in crate::bench) fn flows(
    seen: &Seen,
    tracked: &Tracked,
    to: Micros,
    backends: usize,
    mean: Micros,
) -> Vec<Flow> {
    let done = &seen.world.done;
    let added = done.iter().filter(|event| event.kind == "add").count();
    let (mut flows, mut there) = (Vec::new(), backends.saturating_sub(added));
    for event in done {
        let parts: &[f64] = match event.kind.as_str() {
            "drain" => &DRAINED,
            "add" => &ADDED,
            _ => continue,
        };
        there += usize::from(event.kind == "add");
        for part in parts {
            let at = event.ended + (mean as f64 * part) as Micros;
            if at > to {
                break;
            }
            let told = match event.target {
                Some(target) if event.kind == "drain" => left(tracked, event, target, at),
                _ => filled(tracked, there, at),
            };
            flows.extend(told.map(|(share, of)| Flow {
                kind: event.kind.clone(),
                label: event.label.clone(),
                after: *part,
                share,
                of,
                is_steady: event.began as f64 >= mean as f64 * LONGEST,
            }));
        }
    }
    flows
}

/// Of those that a backend had when it began to drain.
fn left(tracked: &Tracked, event: &Done, target: u16, at: Micros) -> Option<(f64, f64)> {
    let had: Vec<u32> =
        tracked.homes.keys().copied().filter(|s| tracked.home(*s, event.began) == Some(target)).collect();
    let still = had.iter().filter(|s| tracked.home(**s, at) == Some(target)).count();
    (!had.is_empty()).then(|| (still as f64 / had.len() as f64, had.len() as f64))
}

/// Of the last of so many backends.
fn filled(tracked: &Tracked, there: usize, at: Micros) -> Option<(f64, f64)> {
    let mut live: BTreeMap<u16, usize> = BTreeMap::new();
    for home in tracked.homes.keys().filter_map(|s| tracked.home(*s, at)) {
        *live.entry(home).or_default() += 1;
    }
    let fair = live.values().sum::<usize>() as f64 / there.max(1) as f64;
    let last = u16::try_from(there.checked_sub(1)?).ok()?;
    (fair > 0.0).then(|| (live.get(&last).copied().unwrap_or(0) as f64 / fair, fair))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_left_and_who_is_new_is_counted() {
        let homes = (0..8_u32).map(|s| (s, (vec![(0, u16::from(s >= 4))], 100 + u64::from(s) * 100)));
        let mut tracked = Tracked { homes: homes.collect(), ..Tracked::default() };
        let done = |kind: &str, target, at| Done {
            kind: kind.to_owned(),
            target,
            label: kind.to_owned(),
            began: at,
            ended: at,
            coverage: None,
        };
        let mut seen = Seen::default();
        seen.world.done = vec![done("drain", Some(0), 0), done("add", None, 500)];
        // Those of the first backend end at 100, 200, 300, 400; a new one comes to the third.
        tracked.homes.insert(9, (vec![(600, 2)], 10_000));
        let flows = flows(&seen, &tracked, 900, 3, 300);
        let told: Vec<(&str, f64, f64)> = flows.iter().map(|f| (f.kind.as_str(), f.share, f.of)).collect();
        assert_eq!(
            told,
            [
                ("drain", 0.75, 4.0),
                ("drain", 0.25, 4.0),
                ("drain", 0.0, 4.0),
                ("add", 0.0, 1.0),
                ("add", 3.0, 1.0 / 3.0),
            ]
        );
    }
}
