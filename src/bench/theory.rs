//! What is to be expected, where there is a closed form: of sessions in a process's memory, one of whose backends is away
//! in turn. It holds for sessions that live through all of it and are answered at least once in each phase.

use super::balancer::{Placement, Routing};

/// What an event costs a session, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expected {
    pub(super) lost: f64,
    pub(super) stale: f64,
    pub(super) moves: f64,
    /// The check of the list that it is.
    pub(super) check: &'static str,
}

/// What is asked about.
#[derive(Debug)]
pub(super) struct Case<'a> {
    /// By its name in results.
    pub(super) event: &'a str,
    pub(super) routing: &'a Routing,
    /// A session that moves is lost: its memory stays behind.
    pub(super) keeps_in_memory: bool,
    /// Who logs in again goes on under the old id, and finds old copies under it.
    pub(super) adopts_ids: bool,
    /// Nothing has happened before.
    pub(super) is_first: bool,
    /// Each backend's share of the sessions, when it begins.
    pub(super) shares: Vec<f64>,
    /// Whom it is about.
    pub(super) target: Option<usize>,
}

/// What Maglev's table of 65537 moves in a roll, beside the two that have to, by the number of backends.
const MAGLEV: [(usize, f64); 4] = [(3, 2.001), (5, 2.010), (10, 2.045), (20, 2.140)];

/// Where somebody knows.
pub(super) fn expected(case: &Case<'_>) -> Option<Expected> {
    let n = case.shares.len() as f64;
    // Of old copies from events before, nobody keeps account here.
    if n < 2.0 || case.adopts_ids && case.keeps_in_memory && !case.is_first {
        return None;
    }
    let others = (n - 1.0) / n;
    let placement = if case.event == "roll_list" { case.routing.listed() } else { case.routing.placement };
    let is_of_network = case.routing.strategy == "ip_hash";
    let (moves, check) = match (case.event, placement) {
        ("crash" | "crash_return" | "remove", Placement::Sticky) => {
            let share = case.target.and_then(|target| case.shares.get(target)).copied();
            (share.unwrap_or(1.0 / n), "B1")
        }
        ("crash", Placement::Consistent) => (1.0 / n, "B1"),
        ("crash", Placement::Modulo) => (others, "B1"),
        ("crash_return", Placement::Consistent) => (2.0 / n, "B2"),
        ("crash_return", Placement::Modulo) => (2.0 * others, "B2"),
        ("roll" | "roll_list", Placement::Sticky) => (rolled(&case.shares).0, "B3"),
        ("roll" | "roll_list", Placement::Consistent) => (2.0, "B4"),
        ("roll" | "roll_list", Placement::Modulo) => (2.0 * (n - 1.0), "B5"),
        ("roll_list", Placement::Maglev) => {
            let known = MAGLEV.iter().find(|(backends, _)| *backends == case.shares.len());
            (known.map(|(_, moves)| *moves)?, "B6")
        }
        ("ip_change" | "ip_change_near", Placement::Sticky) => (0.0, "B12"),
        ("ip_change_near", Placement::Consistent) if is_of_network => (0.0, "B12"),
        ("ip_change" | "ip_change_near", Placement::Consistent | Placement::Modulo) => (others, "B12"),
        ("roll_drain", Placement::Sticky | Placement::Consistent) => (0.0, "drain"),
        ("lb_reload" | "list_reorder" | "lb_restart", Placement::Sticky) => (0.0, "keeps"),
        _ => return None,
    };
    // Whose id is adopted comes back to old copies, as often as it does not come to a backend for the first time.
    let stale = if check == "B5" && case.adopts_ids { moves - (3.0 - 2.0 / n) } else { 0.0 };
    let kept = if case.keeps_in_memory { 1.0 } else { 0.0 };
    Some(Expected { moves, lost: kept * (moves - stale), stale: kept * stale, check })
}

/// Each in turn gives its sessions to the others, evenly: how often a session is lost by that, and how they lie afterwards.
/// From equal shares the first is (n-1)/n ((n/(n-1))^n - 1).
fn rolled(shares: &[f64]) -> (f64, Vec<f64>) {
    let (mut shares, mut lost) = (shares.to_vec(), 0.0);
    for gone in 0..shares.len() {
        let moved = shares.get_mut(gone).map(std::mem::take).unwrap_or_default();
        lost += moved;
        let others = shares.len().saturating_sub(1).max(1) as f64;
        for (number, share) in shares.iter_mut().enumerate() {
            *share += if number == gone { 0.0 } else { moved / others };
        }
    }
    (lost, shares)
}

/// Equal shares.
pub(super) fn equal(n: usize) -> Vec<f64> {
    vec![1.0 / n.max(1) as f64; n]
}

/// How far the last backends of a roll are from an equal share, with cookie affinity: peak to average.
pub(super) fn peak_after_roll(n: usize) -> f64 {
    rolled(&equal(n)).1.into_iter().fold(0.0, f64::max) * n as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_forms_have_their_published_values() {
        for (n, lost) in [(2, 1.5), (3, 1.5833), (4, 1.6204), (5, 1.6414), (10, 1.6812), (20, 1.7)] {
            let expected = expect("cookie", "roll", n, false).unwrap();
            let n = n as f64;
            let closed = (n - 1.0) / n * ((n / (n - 1.0)).powf(n) - 1.0);
            assert!((expected.lost - closed).abs() < 1e-9);
            assert!((expected.lost - lost).abs() < 1e-4, "{n}: {expected:?}");
        }
        for (n, peak) in [(3, 1.875), (10, 1.757)] {
            assert!((peak_after_roll(n) - peak).abs() < 1e-3, "{n}");
        }
        for (way, event, adopts, [moves, lost, stale]) in [
            ("hrw", "roll", false, [2.0, 2.0, 0.0]),
            ("hash", "roll", true, [2.0, 2.0, 0.0]),
            ("hash", "roll_list", false, [4.0, 4.0, 0.0]),
            ("hash", "roll_list", true, [4.0, 7.0 / 3.0, 5.0 / 3.0]),
            ("maglev", "roll_list", false, [2.001, 2.001, 0.0]),
            ("hrw", "ip_change", false, [2.0 / 3.0, 2.0 / 3.0, 0.0]),
            ("ip-hash", "ip_change_near", false, [0.0; 3]),
        ] {
            let of = expect(way, event, 3, adopts).unwrap();
            for (value, expected) in [(of.moves, moves), (of.lost, lost), (of.stale, stale)] {
                assert!((value - expected).abs() < 1e-9, "{way} {event}: {of:?}");
            }
        }
        for (n, [moves, lost, stale]) in [(5, [8.0, 2.6, 5.4]), (10, [18.0, 2.8, 15.2])] {
            let of = expect("hash", "roll_list", n, true).unwrap();
            assert!(
                (of.moves - moves).abs() + (of.lost - lost).abs() + (of.stale - stale).abs() < 1e-9,
                "{of:?}"
            );
        }
        assert!(expect("rr", "roll", 3, false).is_none());
    }

    fn expect(way: &str, event: &str, n: usize, adopts_ids: bool) -> Option<Expected> {
        expected(&Case {
            event,
            routing: &Routing::homing(way, None).unwrap(),
            keeps_in_memory: true,
            adopts_ids,
            is_first: true,
            shares: equal(n),
            target: None,
        })
    }
}
