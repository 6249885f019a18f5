//! From what was seen to figures. Nothing here has a clock or a socket: the same records give the same figures.

pub(super) mod flow;
pub(super) mod latency;
pub(super) mod moves;
pub(super) mod spread;

use super::seen::{Micros, Outcome, Seen};
use latency::Latencies;
use moves::Tracked;

/// What one run of a combination comes to.
#[derive(Debug, Default)]
pub(super) struct Measured {
    pub(super) requests: u64,
    pub(super) errors: u64,
    /// By class.
    pub(super) classes: std::collections::BTreeMap<String, u64>,
    /// Sessions that were there at any time.
    pub(super) sessions: u64,
    pub(super) totals: moves::Counts,
    pub(super) events: Vec<EventFigures>,
    pub(super) births: u64,
    pub(super) birth_races: u64,
    /// Sessions per backend at the end, and requests since the last event.
    pub(super) sessions_end: Vec<f64>,
    pub(super) requests_end: Vec<f64>,
    pub(super) latencies: Latencies,
    pub(super) cookie_bytes: [f64; 2],
    pub(super) series: Series,
    pub(super) flows: Vec<flow::Flow>,
}

/// What an event did.
#[derive(Clone, Debug)]
pub(super) struct EventFigures {
    pub(super) kind: String,
    pub(super) target: Option<u16>,
    pub(super) label: String,
    /// Since the measuring began, in seconds.
    pub(super) at: f64,
    pub(super) live: u64,
    /// How they lay on the backends when it began, by share.
    pub(super) shares: Vec<f64>,
    /// Of the sessions that lived through it: how many times each was lost.
    pub(super) losses: Vec<u32>,
    pub(super) stale: Vec<u32>,
    pub(super) moves: Vec<u32>,
    pub(super) counts: moves::Counts,
    /// Sessions that the backends that went had.
    pub(super) least: f64,
    /// Moves against the least that different shares need.
    pub(super) ideal: f64,
    pub(super) detect: Option<f64>,
    pub(super) recover: f64,
    pub(super) matrix: Vec<Vec<u64>>,
    pub(super) coverage: Option<f64>,
}

/// What happened over time, in equal windows.
#[derive(Clone, Debug, Default)]
pub(super) struct Series {
    pub(super) t: Vec<f64>,
    pub(super) live: Vec<Vec<u64>>,
    pub(super) requests: Vec<Vec<u64>>,
    pub(super) lost: Vec<u64>,
    pub(super) stale: Vec<u64>,
    pub(super) errors: Vec<u64>,
}

/// Windows of a series, at most.
const WINDOWS: u64 = 120;

/// Figures of what was seen from a time on, with so many backends. Sessions that come and go are of a mean length.
pub(super) fn measure(
    seen: &Seen,
    from: Micros,
    to: Micros,
    backends: usize,
    mean: Option<Micros>,
) -> Measured {
    let tracked = Tracked::of(seen, backends);
    let within = || seen.records.iter().filter(|r| (from..=to).contains(&r.sent));
    let mut measured = Measured {
        requests: within().count() as u64,
        sessions: seen.lives.iter().filter(|life| life.ended >= from).count() as u64,
        ..Measured::default()
    };
    for record in within() {
        if let Outcome::Failed(class) = record.outcome {
            measured.errors += 1;
            *measured.classes.entry(class.name()).or_default() += 1;
        }
    }
    let (births, races) = moves::birth_races(seen);
    (measured.births, measured.birth_races) = (births, races);
    measured.totals = tracked.counts(from, to);
    measured.events = moves::events(seen, &tracked, from, to, backends);
    measured.latencies = Latencies::of(seen, &tracked, from, to);
    measured.sessions_end = spread::sessions_at(&tracked, to, backends);
    let last = seen.world.done.last().map_or(from, |done| done.ended);
    measured.requests_end = spread::requests(seen, last.min(to), to, backends);
    let sum = within().fold([0_u64; 2], |[session, affinity], r| {
        [session + u64::from(r.cookies.session), affinity + u64::from(r.cookies.affinity)]
    });
    measured.cookie_bytes = sum.map(|sum| sum as f64 / measured.requests.max(1) as f64);
    measured.flows = mean.map_or_else(Vec::new, |mean| flow::flows(seen, &tracked, to, backends, mean));
    measured.series = series(seen, &tracked, from, to, backends);
    measured
}

fn series(seen: &Seen, tracked: &Tracked, from: Micros, to: Micros, backends: usize) -> Series {
    let length = to.saturating_sub(from).max(1);
    let window = (length / WINDOWS).max(1_000_000).min(length);
    let count = usize::try_from(length.div_ceil(window)).unwrap_or(1);
    let mut series = Series {
        t: (0..count).map(|i| (i as u64 * window) as f64 / 1e6).collect(),
        live: vec![vec![0; count]; backends],
        requests: vec![vec![0; count]; backends],
        lost: vec![0; count],
        stale: vec![0; count],
        errors: vec![0; count],
    };
    let place = |t: Micros| usize::try_from(t.saturating_sub(from) / window).unwrap_or(0).min(count - 1);
    for record in seen.records.iter().filter(|r| (from..=to).contains(&r.sent)) {
        let at = place(record.sent);
        if let Some(slot) = record.backend.and_then(|b| series.requests.get_mut(usize::from(b))?.get_mut(at))
        {
            *slot += 1;
        }
        for (counts, is) in [
            (&mut series.lost, record.outcome == Outcome::Unknown),
            (&mut series.stale, record.is_stale()),
            (&mut series.errors, record.failed()),
        ] {
            if let Some(slot) = counts.get_mut(at) {
                *slot += u64::from(is);
            }
        }
    }
    for at in 0..count {
        let live = spread::sessions_at(tracked, from + at as u64 * window, backends);
        for (backend, live) in live.iter().enumerate() {
            if let Some(slot) = series.live.get_mut(backend).and_then(|of| of.get_mut(at)) {
                *slot = *live as u64;
            }
        }
    }
    series
}
