//! What is to be expected, where there is a closed form: of sessions in a process's memory, one of whose backends is away
//! in turn. It holds for sessions that live through all of it and are answered at least once in each phase.

use super::balancer::Placement;

/// What an event costs a session, on average.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Expected {
    pub(super) lost: f64,
    pub(super) moves: f64,
    /// The check of the list that it is.
    pub(super) check: &'static str,
}

/// Of an event by its name in results, in a pool where sessions lie so when it begins (each backend's share of them). A
/// session that moves is lost where its memory stays behind. `target` is who crashes.
pub(super) fn expected(
    event: &str,
    placement: Placement,
    keeps_in_memory: bool,
    shares: &[f64],
    target: Option<usize>,
) -> Option<Expected> {
    let n = shares.len() as f64;
    if n < 2.0 {
        return None;
    }
    let (moves, lost, check) = match (event, placement) {
        ("crash" | "crash_return", Placement::Sticky) => {
            let share = target.and_then(|target| shares.get(target)).copied().unwrap_or(1.0 / n);
            (share, share, "B1")
        }
        ("crash", Placement::Consistent) => (1.0 / n, 1.0 / n, "B1"),
        ("crash", Placement::Modulo) => ((n - 1.0) / n, (n - 1.0) / n, "B1"),
        ("crash_return", Placement::Consistent) => (2.0 / n, 2.0 / n, "B2"),
        ("crash_return", Placement::Modulo) => (2.0 * (n - 1.0) / n, 2.0 * (n - 1.0) / n, "B2"),
        ("roll", Placement::Sticky) => {
            let (lost, _) = rolled(shares);
            (lost, lost, "B3")
        }
        ("roll", Placement::Consistent) => (2.0, 2.0, "B4"),
        // The application gives a new id with each login: what would have been an old version is not known either.
        ("roll", Placement::Modulo) => (2.0 * (n - 1.0), 2.0 * (n - 1.0), "B5"),
        ("ip_change", Placement::Sticky) => (0.0, 0.0, "B12"),
        ("ip_change", Placement::Consistent | Placement::Modulo) => ((n - 1.0) / n, (n - 1.0) / n, "B12"),
        ("roll_drain", Placement::Sticky | Placement::Consistent) => (0.0, 0.0, "drain"),
        ("lb_reload" | "list_reorder" | "lb_restart", Placement::Sticky) => (0.0, 0.0, "keeps"),
        _ => return None,
    };
    Some(Expected { moves, lost: if keeps_in_memory { lost } else { 0.0 }, check })
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
            let expected = expected("roll", Placement::Sticky, true, &equal(n), None).unwrap();
            let n = n as f64;
            let closed = (n - 1.0) / n * ((n / (n - 1.0)).powf(n) - 1.0);
            assert!((expected.lost - closed).abs() < 1e-9);
            assert!((expected.lost - lost).abs() < 1e-4, "{n}: {expected:?}");
        }
        for (n, peak) in [(3, 1.875), (10, 1.757)] {
            assert!((peak_after_roll(n) - peak).abs() < 1e-3, "{n}");
        }
        let of = |event, placement| expected(event, placement, true, &equal(3), None).unwrap().moves;
        assert_eq!(of("roll", Placement::Consistent), 2.0);
        assert_eq!(of("roll", Placement::Modulo), 4.0);
        assert!(expected("roll", Placement::Sticky, false, &equal(3), None).unwrap().lost == 0.0);
        assert!(expected("roll", Placement::Unknown, true, &equal(3), None).is_none());
    }
}
